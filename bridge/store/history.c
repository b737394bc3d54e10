#include "store/history.h"

#include <string.h>

#include "base/clock.h"
#include "store/db_inside.h"

static const char last_sql[] = "SELECT id, note FROM history WHERE link = ? AND device = ?"
			       " ORDER BY id DESC LIMIT 1";
static const char again_sql[] = "UPDATE history SET n = n + 1, last_ms = ?2 WHERE id = ?1";
static const char put_sql[] = "INSERT INTO history (link, device, first_ms, last_ms, n, note)"
			      " VALUES (?1, ?2, ?3, ?3, 1, ?4)";
static const char cut_sql[] = "DELETE FROM history WHERE link = ?1 AND device = ?2 AND id <="
			      " (SELECT id FROM history WHERE link = ?1 AND device = ?2 ORDER BY "
			      "id DESC LIMIT 1 OFFSET ?3)";
static const char evict_sql[] =
	"DELETE FROM history WHERE id IN (SELECT id FROM history ORDER BY id"
	" LIMIT max(0, (SELECT n FROM history_count) - ?1))";
static const char each_sql[] = "SELECT id, first_ms, last_ms, n, note FROM history"
			       " WHERE link = ? AND device = ? ORDER BY id";

static bool bind_device(sqlite3_stmt *stmt, const char *link, const char *device)
{
	return sqlite3_bind_text(stmt, 1, link, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(stmt, 2, device, -1, SQLITE_STATIC) == SQLITE_OK;
}

/* *id: of the last entry, if that is the same note; else 0. */
static bool find_same(struct db *db, const char *link, const char *device, const char *note,
		      int64_t *id, struct err *e)
{
	sqlite3_stmt *last = db_statement(db, last_sql, e);
	int rc = SQLITE_ERROR;

	*id = 0;
	if (last && bind_device(last, link, device))
		rc = sqlite3_step(last);
	if (rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(last, 1), note) == 0)
		*id = sqlite3_column_int64(last, 0);
	if (last && rc != SQLITE_ROW && rc != SQLITE_DONE)
		db_failed(db, "read", e);
	if (last)
		db_release(last);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static bool count_again(struct db *db, int64_t id, struct err *e)
{
	sqlite3_stmt *again = db_statement(db, again_sql, e);

	return again && db_run(db, again,
			       sqlite3_bind_int64(again, 1, id) == SQLITE_OK &&
				       sqlite3_bind_int64(again, 2, clock_now_ms()) == SQLITE_OK,
			       "write", e);
}

static bool put(struct db *db, const char *link, const char *device, const char *note,
		struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, put_sql, e);

	return stmt &&
	       db_run(db, stmt,
		      bind_device(stmt, link, device) &&
			      sqlite3_bind_int64(stmt, 3, clock_now_ms()) == SQLITE_OK &&
			      sqlite3_bind_text(stmt, 4, note, -1, SQLITE_STATIC) == SQLITE_OK,
		      "write", e);
}

static bool cut(struct db *db, const char *link, const char *device, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, cut_sql, e);

	return stmt && db_run(db, stmt,
			      bind_device(stmt, link, device) &&
				      sqlite3_bind_int(stmt, 3, HISTORY_OF_DEVICE) == SQLITE_OK,
			      "delete", e);
}

bool history_evict(struct db *db, int64_t most, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, evict_sql, e) : NULL;

	return stmt &&
	       db_run(db, stmt, sqlite3_bind_int64(stmt, 1, most) == SQLITE_OK, "delete", e);
}

bool history_add(struct db *db, const char *link, const char *device, const char *note,
		 struct err *e)
{
	int64_t same;

	if (!db_begin(db, e) || !find_same(db, link, device, note, &same, e))
		return false;
	if (same)
		return count_again(db, same, e);
	return put(db, link, device, note, e) && cut(db, link, device, e) &&
	       history_evict(db, HISTORY_IN_ALL, e);
}

bool history_each(struct db *db, const char *link, const char *device,
		  void (*each)(void *ctx, const struct history_entry *entry), void *ctx,
		  struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, each_sql, e);
	int rc = SQLITE_ERROR;

	if (stmt && bind_device(stmt, link, device))
		while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
			each(ctx, &(struct history_entry){
					  .id = sqlite3_column_int64(stmt, 0),
					  .first_ms = sqlite3_column_int64(stmt, 1),
					  .last_ms = sqlite3_column_int64(stmt, 2),
					  .n = sqlite3_column_int64(stmt, 3),
					  .note = (const char *)sqlite3_column_text(stmt, 4),
				  });
	if (stmt && rc != SQLITE_DONE)
		db_failed(db, "read", e);
	if (stmt)
		db_release(stmt);
	return rc == SQLITE_DONE;
}
