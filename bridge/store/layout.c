#include "store/layout.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/db_inside.h"

/* Since version 5. */
#define ASIDE                                                                                      \
	"CREATE TABLE aside (id INTEGER PRIMARY KEY, link TEXT NOT NULL, part TEXT NOT NULL,"      \
	" key TEXT NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL, value BLOB);"

/* Since version 7: which messages have ended the process. */
#define SUSPECT "CREATE TABLE suspect (seq INTEGER PRIMARY KEY, crashes INTEGER NOT NULL);"

/* Since version 11: what was done with devices.  Their number is counted where they come and go, as nobody else can in
 * time. */
#define HISTORY                                                                                    \
	"CREATE TABLE history (id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL,"          \
	" device TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"              \
	" n INTEGER NOT NULL, note TEXT NOT NULL);"                                                \
	"CREATE INDEX history_device ON history (link, device, id);"                               \
	"CREATE TABLE history_count (n INTEGER NOT NULL);"                                         \
	"INSERT INTO history_count VALUES (0);"                                                    \
	"CREATE TRIGGER history_more AFTER INSERT ON history"                                      \
	" BEGIN UPDATE history_count SET n = n + 1; END;"                                          \
	"CREATE TRIGGER history_less AFTER DELETE ON history"                                      \
	" BEGIN UPDATE history_count SET n = n - 1; END;"

/* A change of these tables, or of what is in their rows, is a version more, and a step.
 * The numbers of batches and letters must not be given again (AUTOINCREMENT): rows are sealed by them. */
static const char tables[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);"
	"CREATE TABLE state (seq INTEGER PRIMARY KEY, link TEXT NOT NULL, machine TEXT NOT NULL,"
	" key TEXT NOT NULL, value BLOB NOT NULL, is_secret INTEGER NOT NULL,"
	" sum INTEGER, UNIQUE (link, machine, key));"
	"CREATE TABLE pending (seq INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL,"
	" side INTEGER NOT NULL, n INTEGER NOT NULL, is_own INTEGER NOT NULL,"
	" received_ms INTEGER NOT NULL, content BLOB NOT NULL, sum INTEGER);"
	"CREATE TABLE mark (seq INTEGER PRIMARY KEY, settled BLOB, sum INTEGER);"
	"CREATE TABLE deadletter (id INTEGER PRIMARY KEY AUTOINCREMENT, link TEXT NOT NULL,"
	" side INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL,"
	" topic TEXT NOT NULL, device TEXT NOT NULL DEFAULT '',"
	" session TEXT NOT NULL DEFAULT '', received_ms INTEGER NOT NULL,"
	" died_ms INTEGER NOT NULL, size INTEGER NOT NULL, message BLOB);" ASIDE SUSPECT HISTORY;

/* Versions 1 to 3 were never in anybody's hands, so that no step leads from them. */
static const struct layout_step steps[] = {
	{ .sql = ASIDE },
	/* 6: outputs say more of themselves (store/journal.c), and a twin how far each key got.  Rows that do not are
	 * read as they are; but a calque that does not know of it would write it away. */
	{ .sql = NULL },
	{ .sql = "ALTER TABLE mark DROP COLUMN starts;" SUSPECT },
	/* 8: whose a letter is. */
	{ .sql = "ALTER TABLE deadletter ADD COLUMN device TEXT NOT NULL DEFAULT '';" },
	/* 9: a twin has a row for each key (state/twin_store.c), and takes one that says all apart when it is read. */
	{ .sql = NULL },
	/* 10: what is not sealed has a sum. */
	{ .sql = "ALTER TABLE state ADD COLUMN sum INTEGER;"
		 "ALTER TABLE pending ADD COLUMN sum INTEGER;"
		 "ALTER TABLE mark ADD COLUMN sum INTEGER;"
		 "UPDATE state SET sum = " LAYOUT_STATE_SUM ";"
		 "UPDATE pending SET sum = " LAYOUT_PENDING_SUM ";"
		 "UPDATE mark SET sum = " LAYOUT_MARK_SUM ";" },
	/* 11: the fleet has rows (fleet/fleet_rows.c), and a history. */
	{ .sql = HISTORY },
	/* 12: on whose session a message came (store/journal.c), and what a letter was. */
	{ .sql = "ALTER TABLE deadletter ADD COLUMN session TEXT NOT NULL DEFAULT '';" },
};
const struct layout layout_calque = { 12, tables, steps, sizeof steps / sizeof steps[0] };

static int oldest(const struct layout *l)
{
	return l->version - l->n_steps;
}

static bool is_empty(struct db *db, bool *has_none, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, "SELECT count(*) FROM sqlite_master", e);
	bool ok = stmt && (sqlite3_step(stmt) == SQLITE_ROW || db_failed(db, "read", e));

	*has_none = ok && sqlite3_column_int(stmt, 0) == 0;
	if (stmt)
		db_release(stmt);
	return ok;
}

bool layout_read(struct db *db, const struct layout *l, int *version, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, "PRAGMA user_version", e);
	bool has_none = false;

	if (!stmt)
		return false;
	if (sqlite3_step(stmt) != SQLITE_ROW) {
		db_failed(db, "read", e);
		db_release(stmt);
		return false;
	}
	*version = sqlite3_column_int(stmt, 0);
	db_release(stmt);
	if (*version == 0 && !is_empty(db, &has_none, e))
		return false;
	if (*version == 0 && !has_none)
		return db_damaged(db, "version", "none, and there are tables", e);
	if (*version == 0 || (*version >= oldest(l) && *version <= l->version))
		return true;
	if (*version > l->version)
		err_set(e, ERR_INVALID,
			"%s/calque.db was written by a newer calque (version %d, this one knows "
			"%d)",
			db_dir(db), *version, l->version);
	else
		err_set(e, ERR_INVALID,
			"%s/calque.db was written by an older calque (version %d, this one takes "
			"over %d "
			"and newer): start one in between with it first, or move %s away to begin "
			"without "
			"what it holds",
			db_dir(db), *version, oldest(l), db_dir(db));
	return false;
}

static bool set_version(struct db *db, int version, struct err *e)
{
	char *sql = mem_printf("PRAGMA user_version = %d", version);
	bool ok = db_exec(db, sql, "set the version", e);

	free(sql);
	return ok;
}

bool layout_make(struct db *db, const struct layout *l, struct err *e)
{
	return db_begin(db, e) && db_exec(db, l->tables, "create the tables", e) &&
	       set_version(db, l->version, e);
}

static bool take_step(struct db *db, const struct layout_step *s, struct err *e)
{
	static const char what[] = "bring the tables up";

	return (!s->sql || db_exec(db, s->sql, what, e)) && (!s->convert || s->convert(db, e)) &&
	       (!s->end_sql || db_exec(db, s->end_sql, what, e));
}

bool layout_bring_up(struct db *db, const struct layout *l, int version, struct err *e)
{
	bool ok;

	assert(version >= oldest(l) && version <= l->version);
	if (version == l->version)
		return true;
	ok = db_begin(db, e);
	for (int i = version - oldest(l); ok && i < l->n_steps; i++)
		ok = take_step(db, &l->steps[i], e);
	ok = ok && set_version(db, l->version, e);
	return ok ? db_commit(db, e) : db_break(db);
}
