/* The journal before version 3: a row per message, and a row per output.  Each message becomes a batch
 * of one. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/kind.h"
#include "message/side.h"
#include "store/blob.h"
#include "store/db_inside.h"
#include "store/journal.h"

static const char messages_sql[] =
	"SELECT seq, link, side, received_ms, is_own, is_decided, message"
	" FROM journal ORDER BY seq";
static const char outputs_sql[] =
	"SELECT n, side, lane, message FROM output WHERE seq = ? ORDER BY n";

struct upgrade {
	struct db *db;
	uint64_t last; /* number given */
	sqlite3_stmt *messages, *outputs;
};

static bool unseal(struct upgrade *u, const char *context, sqlite3_stmt *stmt, int column,
		   struct message *m, struct err *e)
{
	const void *p = sqlite3_column_blob(stmt, column);
	struct buf plain = { 0 };
	bool ok =
		db_unseal(u->db, context, p, (size_t)sqlite3_column_bytes(stmt, column), &plain, e);

	if (ok && !blob_get(plain.data, plain.len, m)) {
		err_set(e, ERR_CORRUPT, "%s: not a message that this calque can read", context);
		ok = false;
	}
	db_wipe(&plain);
	return ok;
}

static bool take_output(struct upgrade *u, const char *link, uint64_t seq, struct buf *out,
			struct err *e)
{
	sqlite3_stmt *stmt = u->outputs;
	char *context = mem_printf("output/%s/%" PRIu64 "/%u", link, seq,
				   (unsigned)sqlite3_column_int64(stmt, 0));
	struct message m;
	bool ok = unseal(u, context, stmt, 3, &m, e);

	if (ok) {
		journal_put_output(out, (enum side)sqlite3_column_int(stmt, 1),
				   (enum lane)sqlite3_column_int(stmt, 2), &m);
		message_fini(&m);
	}
	free(context);
	return ok;
}

static bool take_outputs(struct upgrade *u, uint64_t seq, struct journal_row *row, struct err *e)
{
	struct buf content = { 0 };
	bool ok = sqlite3_bind_int64(u->outputs, 1, (sqlite3_int64)seq) == SQLITE_OK;
	int rc = SQLITE_DONE;

	while (ok && (rc = sqlite3_step(u->outputs)) == SQLITE_ROW)
		ok = take_output(u, row->link, seq, &content, e);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		ok = db_failed(u->db, "read", e);
	db_release(u->outputs);
	ok = ok && journal_put(u->db, row, &content, e);
	db_wipe(&content);
	return ok;
}

static bool take_message(struct upgrade *u, uint64_t seq, struct journal_row *row, struct err *e)
{
	char *context = mem_printf("journal/%s/%" PRIu64, row->link, seq);
	struct buf content = { 0 };
	struct message m;
	bool ok = unseal(u, context, u->messages, 6, &m, e);

	if (ok) {
		journal_put_message(&content, 0, row->received_ms, &m);
		ok = journal_put(u->db, row, &content, e);
		message_fini(&m);
	}
	db_wipe(&content);
	free(context);
	return ok;
}

static bool take_row(struct upgrade *u, struct err *e)
{
	uint64_t seq = (uint64_t)sqlite3_column_int64(u->messages, 0);
	struct journal_row row = {
		.link = (const char *)sqlite3_column_text(u->messages, 1),
		.from = (enum side)sqlite3_column_int(u->messages, 2),
		.received_ms = sqlite3_column_int64(u->messages, 3),
		.is_own = sqlite3_column_int(u->messages, 4),
	};
	struct journal_row batch = row;

	row.seq = ++u->last;
	if (!row.is_own) {
		batch.seq = ++u->last;
		batch.n = 1;
		if (!take_message(u, seq, &batch, e))
			return false;
	}
	return !sqlite3_column_int(u->messages, 5) || take_outputs(u, seq, &row, e);
}

bool journal_upgrade(struct db *db, struct err *e)
{
	struct upgrade u = { .db = db };
	bool ok = journal_last(db, &u.last, e);
	int rc = SQLITE_DONE;

	u.messages = ok ? db_statement(db, messages_sql, e) : NULL;
	u.outputs = u.messages ? db_statement(db, outputs_sql, e) : NULL;
	if (!u.outputs)
		return false;
	while (ok && (rc = sqlite3_step(u.messages)) == SQLITE_ROW)
		ok = take_row(&u, e);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		ok = db_failed(db, "read", e);
	db_release(u.messages);
	return ok;
}
