#include "store/aside.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/db_inside.h"
#include "store/journal.h"
#include "store/state.h"

static const char put_state_sql[] =
	"INSERT INTO aside (link, part, key, reason, at_ms, value)"
	" SELECT link, machine, key, ?2, ?3, value FROM state WHERE seq = ?1";
static const char put_journal_sql[] =
	"INSERT INTO aside (link, part, key, reason, at_ms, value)"
	" SELECT link, 'journal', seq, ?2, ?3, content FROM pending WHERE seq = ?1";
static const char drop_state_sql[] = "DELETE FROM state WHERE seq = ?1";
static const char drop_journal_sql[] = "DELETE FROM pending WHERE seq = ?1";
static const char drop_mark_sql[] = "DELETE FROM mark WHERE seq = ?1";
static const char evict_sql[] = "DELETE FROM aside WHERE id <= (SELECT max(id) FROM aside) - 1000";
static const char count_sql[] = "SELECT count(*) FROM aside";
static const char each_sql[] = "SELECT id, link, part, key, reason, at_ms, length(value) FROM aside"
			       " ORDER BY id";

static bool put(struct db *db, const char *sql, int64_t seq, const char *reason, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, sql, e) : NULL;

	return stmt &&
	       db_run(db, stmt,
		      sqlite3_bind_int64(stmt, 1, seq) == SQLITE_OK &&
			      sqlite3_bind_text(stmt, 2, reason, -1, SQLITE_STATIC) == SQLITE_OK &&
			      sqlite3_bind_int64(stmt, 3, clock_now_ms()) == SQLITE_OK,
		      "write", e);
}

static bool drop(struct db *db, const char *sql, int64_t seq, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, sql, e);

	return stmt && db_run(db, stmt, sqlite3_bind_int64(stmt, 1, seq) == SQLITE_OK, "write", e);
}

static bool evict(struct db *db, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, evict_sql, e);

	return stmt && db_run(db, stmt, true, "write", e);
}

bool aside_state(struct db *db, int64_t seq, const char *reason, struct err *e)
{
	return (put(db, put_state_sql, seq, reason, e) && drop(db, drop_state_sql, seq, e) &&
		evict(db, e)) ||
	       db_break(db);
}

bool aside_journal(struct db *db, int64_t seq, const char *reason, struct err *e)
{
	return (put(db, put_journal_sql, seq, reason, e) && drop(db, drop_journal_sql, seq, e) &&
		drop(db, drop_mark_sql, seq, e) && evict(db, e)) ||
	       db_break(db);
}

bool aside_count(struct db *db, uint64_t *n, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, count_sql, e);
	bool ok = stmt && sqlite3_step(stmt) == SQLITE_ROW;

	*n = ok ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
	if (stmt && !ok)
		db_failed(db, "read", e);
	if (stmt)
		db_release(stmt);
	return ok;
}

static const char *text(sqlite3_stmt *stmt, int i)
{
	const char *s = (const char *)sqlite3_column_text(stmt, i);

	return s ? s : "";
}

bool aside_each(struct db *db, bool (*each)(void *ctx, const struct aside_row *row), void *ctx,
		struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, each_sql, e);
	int rc = SQLITE_ERROR;
	bool more = true;

	while (stmt && more && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct aside_row row = {
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.link = text(stmt, 1),
			.part = text(stmt, 2),
			.key = text(stmt, 3),
			.reason = text(stmt, 4),
			.at_ms = sqlite3_column_int64(stmt, 5),
			.bytes = sqlite3_column_int64(stmt, 6),
		};

		more = each(ctx, &row);
	}
	if (stmt && rc != SQLITE_ROW && rc != SQLITE_DONE)
		db_failed(db, "read", e);
	if (stmt)
		db_release(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

/* What it was bound to in its place; of the journal it is not told which of these. */
static char *sealed_context(sqlite3_stmt *row, const char *link, unsigned i)
{
	const char *part = (const char *)sqlite3_column_text(row, 3),
		   *key = (const char *)sqlite3_column_text(row, 4);
	bool is_journal = part && strcmp(part, "journal") == 0;
	struct journal_row was = { .link = link, .from = i & 1 ? NORTH : SOUTH, .n = i < 2 };

	if (!part || !key || i >= (is_journal ? 4 : 1))
		return NULL;
	was.seq = strtoull(key, NULL, 10);
	return is_journal ? journal_context(&was) : state_context(link, part, key);
}

const struct db_sealed aside_sealed = {
	"SELECT id, value, link, part, key FROM aside WHERE typeof(value) = 'blob' ORDER BY id",
	"UPDATE aside SET value = ?2 WHERE id = ?1",
	sealed_context,
};
