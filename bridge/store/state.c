#include "store/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/aside.h"
#include "store/db_inside.h"
#include "store/history.h"
#include "store/layout.h"

/* An update keeps the row's place in the order of state_load(). */
static const char put_sql[] =
	"INSERT INTO state (link, machine, key, value, is_secret, sum)"
	" VALUES (?1, ?2, ?3, ?4, ?5, calque_sum(?1, ?2, ?3, ?4, ?5))"
	" ON CONFLICT (link, machine, key) DO UPDATE"
	" SET value = excluded.value, is_secret = excluded.is_secret, sum = excluded.sum";
static const char delete_sql[] = "DELETE FROM state WHERE link = ? AND machine = ? AND key = ?";
static const char load_sql[] =
	"SELECT machine, key, value, is_secret, seq, sum IS " LAYOUT_STATE_SUM
	" FROM state WHERE link = ? ORDER BY seq";

/* A name that was damaged may have become bytes that read the same, and are another's. */
static const char count_sql[] = "SELECT iif(typeof(link) = 'text', link, '?'), count(*) FROM state"
				" GROUP BY link";

char *state_context(const char *link, const char *machine, const char *key)
{
	return mem_printf("%s/%s/%s", link, machine, key);
}

static const char *column_text(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return text ? text : "";
}

static char *sealed_context(sqlite3_stmt *row, const char *link, unsigned i)
{
	return i == 0 ? state_context(link, column_text(row, 3), column_text(row, 4)) : NULL;
}

/* Append the value of the row that `load` stands on. */
static bool row_value(struct db *db, sqlite3_stmt *load, const char *link, struct buf *out,
		      struct err *e)
{
	const void *value = sqlite3_column_blob(load, 2);
	size_t n = (size_t)sqlite3_column_bytes(load, 2);
	char *context;
	bool ok;

	if (!sqlite3_column_int(load, 3)) {
		buf_append(out, value, n);
		if (!sqlite3_column_int(load, 5))
			err_set(e, ERR_CORRUPT, "%s of '%s': its sum is of something else",
				column_text(load, 0), column_text(load, 1));
		return sqlite3_column_int(load, 5);
	}
	context = state_context(link, column_text(load, 0), column_text(load, 1));
	ok = db_unseal(db, context, value, n, out, e);
	free(context);
	return ok;
}

/* The rows that could not be read. */
struct unread {
	struct unread_row {
		int64_t seq;
		char *why;
	} * rows;
	size_t n;
};

/* Hand out the row that `load` stands on.  False: the load ends. */
static bool read_row(struct db *db, sqlite3_stmt *load, const char *link,
		     const struct state_reader *reader, void *ctx, struct unread *unread,
		     struct err *e)
{
	const char *machine = column_text(load, 0), *key = column_text(load, 1);
	struct buf value = { 0 };
	struct err why = { 0 };
	bool ok = row_value(db, load, link, &value, &why) &&
		  reader->each(ctx, machine, key, buf_str(&value), &why);

	db_wipe(&value);
	if (!ok && why.code == ERR_CORRUPT) {
		reader->aside(ctx, machine, key, why.text);
		unread->rows = mem_grow(unread->rows, unread->n, sizeof *unread->rows);
		unread->rows[unread->n++] =
			(struct unread_row){ sqlite3_column_int64(load, 4), mem_strdup(why.text) };
		ok = true;
	}
	if (!ok)
		*e = why;
	return ok;
}

/* Should the disk be full, they stay, and the next start finds them again. */
static bool set_aside(struct db *db, struct unread *unread, struct err *e)
{
	struct err why = { 0 };
	bool ok = true;

	for (size_t i = 0; i < unread->n; i++) {
		ok = ok && aside_state(db, unread->rows[i].seq, unread->rows[i].why, &why);
		free(unread->rows[i].why);
	}
	free(unread->rows);
	if (!ok && why.code == ERR_FULL)
		db_commit(db, NULL); /* what is rolled back is not to be tried again */
	else if (!ok)
		*e = why;
	return ok || why.code == ERR_FULL;
}

bool state_load(struct db *db, const char *link, const struct state_reader *reader, void *ctx,
		struct err *e)
{
	sqlite3_stmt *load = db_statement(db, load_sql, e);
	struct unread unread = { 0 };
	bool ok = load != NULL;
	int rc;

	if (!load)
		return false;
	if (sqlite3_bind_text(load, 1, link, -1, SQLITE_STATIC) != SQLITE_OK)
		ok = db_failed(db, "bind", e);
	while (ok && (rc = sqlite3_step(load)) != SQLITE_DONE)
		ok = rc == SQLITE_ROW ? read_row(db, load, link, reader, ctx, &unread, e)
				      : db_failed(db, "read", e);
	db_release(load);
	return set_aside(db, &unread, e) && ok;
}

bool state_look(struct db *db, const char *link,
		void (*each)(void *ctx, const char *machine, const char *key, const char *value),
		void *ctx, struct err *e)
{
	sqlite3_stmt *load = db_statement(db, load_sql, e);
	bool ok = load != NULL;
	int rc;

	if (!load)
		return false;
	if (sqlite3_bind_text(load, 1, link, -1, SQLITE_STATIC) != SQLITE_OK)
		ok = db_failed(db, "bind", e);
	while (ok && (rc = sqlite3_step(load)) != SQLITE_DONE) {
		struct buf value = { 0 };

		ok = rc == SQLITE_ROW || db_failed(db, "read", e);
		if (ok && !sqlite3_column_int(load, 3) && row_value(db, load, link, &value, NULL))
			each(ctx, column_text(load, 0), column_text(load, 1), buf_str(&value));
		buf_fini(&value);
	}
	db_release(load);
	return ok;
}

static bool bind_row(sqlite3_stmt *stmt, const char *link, const struct change *c)
{
	return sqlite3_bind_text(stmt, 1, link, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(stmt, 2, c->machine, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(stmt, 3, c->key, -1, SQLITE_STATIC) == SQLITE_OK;
}

static bool bind_value(sqlite3_stmt *stmt, const struct change *c, const struct buf *sealed)
{
	int rc = c->is_secret
			 ? sqlite3_bind_blob64(stmt, 4, sealed->data, sealed->len, SQLITE_STATIC)
			 : sqlite3_bind_text(stmt, 4, c->value, -1, SQLITE_STATIC);

	return rc == SQLITE_OK && sqlite3_bind_int(stmt, 5, c->is_secret) == SQLITE_OK;
}

static bool seal_value(struct db *db, const char *link, const struct change *c, struct buf *sealed,
		       struct err *e)
{
	char *context = state_context(link, c->machine, c->key);
	bool ok = db_seal(db, context, c->value, strlen(c->value), sealed, e);

	free(context);
	return ok;
}

static bool put_row(struct db *db, const char *link, const struct change *c, struct err *e)
{
	sqlite3_stmt *put = db_statement(db, put_sql, e);
	struct buf *sealed = db_scratch(db);

	return put && (!c->is_secret || seal_value(db, link, c, sealed, e)) &&
	       db_run(db, put, bind_row(put, link, c) && bind_value(put, c, sealed), "write", e);
}

const struct db_sealed state_sealed = {
	"SELECT seq, value, link, machine, key FROM state WHERE is_secret ORDER BY seq",
	"UPDATE state SET value = ?2, sum = calque_sum(link, machine, key, ?2, is_secret)"
	" WHERE seq = ?1",
	sealed_context,
};

static bool delete_row(struct db *db, const char *link, const struct change *c, struct err *e)
{
	sqlite3_stmt *delete = db_statement(db, delete_sql, e);

	return delete &&db_run(db, delete, bind_row(delete, link, c), "delete", e);
}

bool state_count(struct db *db, void (*each)(void *ctx, const char *link, size_t n), void *ctx,
		 struct err *e)
{
	sqlite3_stmt *count = db_statement(db, count_sql, e);
	int rc = SQLITE_DONE;

	while (count && (rc = sqlite3_step(count)) == SQLITE_ROW)
		each(ctx, column_text(count, 0), (size_t)sqlite3_column_int64(count, 1));
	if (count && rc != SQLITE_DONE)
		db_failed(db, "read", e);
	if (count)
		db_release(count);
	return count && rc == SQLITE_DONE;
}

static bool apply(struct db *db, const char *link, const struct change *c, struct err *e)
{
	if (strcmp(c->machine, CHANGES_NOTE) == 0)
		return history_add(db, link, c->key, c->value, e);
	return c->value ? put_row(db, link, c, e) : delete_row(db, link, c, e);
}

bool state_apply(struct db *db, const char *link, const struct changes *c, struct err *e)
{
	bool ok = c->n == 0 ? db_usable(db, e) : db_begin(db, e);

	for (size_t i = 0; ok && i < c->n; i++)
		ok = apply(db, link, &c->items[i], e);
	return ok || db_break(db);
}
