#include "store/journal.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/blob.h"
#include "store/db_inside.h"

static const char last_sql[] = "SELECT seq FROM sqlite_sequence WHERE name = 'journal'";
static const char rows_sql[] = "SELECT count(*) FROM journal";
static const char add_sql[] =
	"INSERT INTO journal (seq, link, side, received_ms, attempts, is_own, is_decided, message)"
	" VALUES (?, ?, ?, ?, 0, ?, ?, ?)";
static const char decide_sql[] = "UPDATE journal SET is_decided = 1 WHERE seq = ?";
static const char add_output_sql[] =
	"INSERT INTO output (seq, n, side, lane, message) VALUES (?, ?, ?, ?, ?)";
static const char remove_outputs_sql[] = "DELETE FROM output WHERE seq = ?";
static const char remove_sql[] = "DELETE FROM journal WHERE seq = ?";
static const char count_sql[] = "UPDATE journal SET attempts = attempts + 1";
static const char load_sql[] = "SELECT seq, side, received_ms, is_own, is_decided, message"
			       " FROM journal WHERE link = ? ORDER BY seq";
static const char load_outputs_sql[] =
	"SELECT n, side, lane, message FROM output WHERE seq = ? ORDER BY n";

/* --- messages ------------------------------------------------------------------------------ */

static char *entry_context(const char *link, uint64_t seq)
{
	return mem_printf("journal/%s/%llu", link, (unsigned long long)seq);
}

static char *output_context(const char *link, uint64_t seq, unsigned n)
{
	return mem_printf("output/%s/%llu/%u", link, (unsigned long long)seq, n);
}

static bool seal(struct db *db, const char *context, const struct message *m, struct buf *out,
		 struct err *e)
{
	struct buf plain = { 0 };
	bool ok;

	blob_put(m, &plain);
	ok = db_seal(db, context, plain.data, plain.len, out, e);
	db_wipe(&plain);
	return ok;
}

static bool unseal(struct db *db, const char *context, sqlite3_stmt *stmt, int column,
		   struct message *m, struct err *e)
{
	const void *p = sqlite3_column_blob(stmt, column);
	struct buf plain = { 0 };
	bool ok = db_unseal(db, context, p, (size_t)sqlite3_column_bytes(stmt, column), &plain, e);

	if (ok && !blob_get(plain.data, plain.len, m)) {
		err_set(e, ERR_CORRUPT, "%s: not a message that this calque can read", context);
		ok = false;
	}
	db_wipe(&plain);
	return ok;
}

/* --- writing ------------------------------------------------------------------------------- */

static bool bind_seq(sqlite3_stmt *stmt, uint64_t seq)
{
	return sqlite3_bind_int64(stmt, 1, (sqlite3_int64)seq) == SQLITE_OK;
}

static bool bind_entry(sqlite3_stmt *stmt, const char *link, const struct journal_entry *entry,
		       const struct buf *sealed)
{
	return bind_seq(stmt, entry->seq) &&
	       sqlite3_bind_text(stmt, 2, link, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 3, (int)entry->from) == SQLITE_OK &&
	       sqlite3_bind_int64(stmt, 4, entry->received_ms) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 5, entry->is_own) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 6, entry->is_decided) == SQLITE_OK &&
	       (entry->is_own || sqlite3_bind_blob64(stmt, 7, sealed->data, sealed->len,
						     SQLITE_STATIC) == SQLITE_OK);
}

bool journal_add(struct db *db, const char *link, const struct journal_entry *entry, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, add_sql, e) : NULL;
	char *context = entry_context(link, entry->seq);
	struct buf sealed = { 0 };
	bool ok = stmt && (entry->is_own || seal(db, context, &entry->message, &sealed, e)) &&
		  db_run(db, stmt, bind_entry(stmt, link, entry, &sealed), "write", e);

	buf_fini(&sealed);
	free(context);
	return ok || db_break(db);
}

static bool bind_output(sqlite3_stmt *stmt, uint64_t seq, unsigned n,
			const struct journal_output *output, const struct buf *sealed)
{
	return bind_seq(stmt, seq) && sqlite3_bind_int64(stmt, 2, n) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 3, (int)output->to) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 4, (int)output->lane) == SQLITE_OK &&
	       sqlite3_bind_blob64(stmt, 5, sealed->data, sealed->len, SQLITE_STATIC) == SQLITE_OK;
}

bool journal_add_output(struct db *db, const char *link, uint64_t seq, unsigned n,
			const struct journal_output *output, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, add_output_sql, e) : NULL;
	char *context = output_context(link, seq, n);
	struct buf sealed = { 0 };
	bool ok = stmt && seal(db, context, &output->message, &sealed, e) &&
		  db_run(db, stmt, bind_output(stmt, seq, n, output, &sealed), "write", e);

	buf_fini(&sealed);
	free(context);
	return ok || db_break(db);
}

static bool run_for(struct db *db, const char *sql, uint64_t seq, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, sql, e) : NULL;

	return (stmt && db_run(db, stmt, bind_seq(stmt, seq), "write", e)) || db_break(db);
}

bool journal_decide(struct db *db, uint64_t seq, struct err *e)
{
	return run_for(db, decide_sql, seq, e);
}

bool journal_remove(struct db *db, uint64_t seq, struct err *e)
{
	return run_for(db, remove_outputs_sql, seq, e) && run_for(db, remove_sql, seq, e);
}

bool journal_count_start(struct db *db, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, count_sql, e) : NULL;

	return (stmt && db_run(db, stmt, true, "write", e)) || db_break(db);
}

/* --- reading ------------------------------------------------------------------------------- */

/* The number that `sql` gives; 0 if it gives none. */
static bool read_number(struct db *db, const char *sql, uint64_t *n, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, sql, e);
	int rc;

	*n = 0;
	if (!stmt)
		return false;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*n = (uint64_t)sqlite3_column_int64(stmt, 0);
	else if (rc != SQLITE_DONE)
		db_failed(db, "read", e);
	db_release(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

bool journal_last(struct db *db, uint64_t *seq, struct err *e)
{
	return read_number(db, last_sql, seq, e);
}

bool journal_count(struct db *db, uint64_t *n, struct err *e)
{
	return read_number(db, rows_sql, n, e);
}

struct outputs {
	struct journal_output *items;
	size_t n;
};

static void outputs_fini(struct outputs *o)
{
	for (size_t i = 0; i < o->n; i++)
		message_fini(&o->items[i].message);
	free(o->items);
	*o = (struct outputs){ 0 };
}

/* A number out of the database that is an index here. */
static bool take_index(sqlite3_stmt *stmt, int column, int end, int *value)
{
	*value = sqlite3_column_int(stmt, column);
	return *value >= 0 && *value < end;
}

static bool read_output(struct db *db, sqlite3_stmt *stmt, const char *link, uint64_t seq,
			struct outputs *out, struct err *e)
{
	char *context = output_context(link, seq, (unsigned)sqlite3_column_int64(stmt, 0));
	struct message m;
	int to = 0, lane = 0;
	bool ok = take_index(stmt, 1, SIDES, &to) && take_index(stmt, 2, LANES, &lane);

	if (!ok)
		err_set(e, ERR_CORRUPT, "%s: side or lane", context);
	ok = ok && unseal(db, context, stmt, 3, &m, e);
	if (ok) {
		out->items = mem_grow(out->items, out->n, sizeof *out->items);
		out->items[out->n++] = (struct journal_output){ (enum side)to, (enum lane)lane, m };
	}
	free(context);
	return ok;
}

static bool read_outputs(struct db *db, const char *link, uint64_t seq, struct outputs *out,
			 struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, load_outputs_sql, e);
	bool ok = stmt != NULL;
	int rc;

	if (ok && !bind_seq(stmt, seq))
		ok = db_failed(db, "bind", e);
	while (ok && (rc = sqlite3_step(stmt)) != SQLITE_DONE)
		ok = rc == SQLITE_ROW ? read_output(db, stmt, link, seq, out, e)
				      : db_failed(db, "read", e);
	if (stmt)
		db_release(stmt);
	return ok;
}

static bool read_entry(struct db *db, sqlite3_stmt *stmt, const char *link,
		       struct journal_entry *entry, struct err *e)
{
	char *context;
	int from = 0;
	bool ok = take_index(stmt, 1, SIDES, &from);

	*entry = (struct journal_entry){
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.from = (enum side)from,
		.received_ms = sqlite3_column_int64(stmt, 2),
		.is_own = sqlite3_column_int(stmt, 3),
		.is_decided = sqlite3_column_int(stmt, 4),
	};
	context = entry_context(link, entry->seq);
	if (!ok)
		err_set(e, ERR_CORRUPT, "%s: side", context);
	ok = ok && (entry->is_own || unseal(db, context, stmt, 5, &entry->message, e));
	free(context);
	return ok;
}

bool journal_load(struct db *db, const char *link,
		  bool (*each)(void *ctx, struct journal_entry *entry,
			       struct journal_output *outputs, size_t n, struct err *e),
		  void *ctx, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, load_sql, e);
	struct journal_entry entry = { 0 };
	struct outputs outputs = { 0 };
	bool ok = stmt != NULL;
	int rc;

	if (ok && sqlite3_bind_text(stmt, 1, link, -1, SQLITE_STATIC) != SQLITE_OK)
		ok = db_failed(db, "bind", e);
	while (ok && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
		if (rc != SQLITE_ROW)
			ok = db_failed(db, "read", e);
		else
			ok = read_entry(db, stmt, link, &entry, e) &&
			     read_outputs(db, link, entry.seq, &outputs, e) &&
			     each(ctx, &entry, outputs.items, outputs.n, e);
		message_fini(&entry.message);
		outputs_fini(&outputs);
	}
	if (stmt)
		db_release(stmt);
	return ok;
}
