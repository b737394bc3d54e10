#include "store/deadletter.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/message_codec.h"
#include "store/db_inside.h"
#include "store/fair_share.h"

#define SPARE	    32 /* the part of a bound that is freed beyond it */
#define AGE_LOOK_MS INT64_C(60000)
#define ROW_BYTES   200 /* what a row takes beside its texts and its message, about */

static const char last_sql[] = "SELECT seq FROM sqlite_sequence WHERE name = 'deadletter'";
static const char totals_sql[] = "SELECT count(*), coalesce(sum(size), 0) FROM deadletter";
static const char add_sql[] = "INSERT INTO deadletter (id, link, side, kind, reason, text, topic, "
			      "received_ms, died_ms, size,"
			      " message, device, session)"
			      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char size_sql[] = "SELECT size FROM deadletter WHERE id = ?";
static const char remove_sql[] = "DELETE FROM deadletter WHERE id = ?";
static const char oldest_sql[] = "SELECT id, size, died_ms FROM deadletter ORDER BY id";
static const char shares_sql[] = "SELECT link, reason, device, id, size FROM deadletter ORDER BY "
				 "link, reason, device, id";
static const char remove_to_sql[] = "DELETE FROM deadletter WHERE id <= ?";
static const char find_sql[] =
	"SELECT id FROM deadletter WHERE (?1 IS NULL OR link = ?1) AND (?2 IS NULL OR instr(',' || "
	"?2 || ',', ',' || reason || ','))"
	" AND (?3 IS NULL OR kind = ?3) AND died_ms >= ?4 AND died_ms <= ?5 ORDER BY received_ms, "
	"id";
static const char get_sql[] = "SELECT link, side, kind, reason, text, topic, received_ms, died_ms,"
			      " message, session FROM deadletter WHERE id = ?";

struct deadletters {
	struct db *db;
	struct deadletter_bounds bounds;
	struct deadletter_totals totals;
	uint64_t evicted; /* by transactions that were committed */
	uint64_t last_id;
	unsigned long rollbacks; /* of the database, when `totals` were true */
	int64_t age_looked_ms;
};

void deadletter_fini(struct deadletter *l)
{
	free(l->link);
	free(l->kind);
	free(l->reason);
	free(l->text);
	free(l->topic);
	free(l->device);
	free(l->session);
	message_fini(&l->message);
	*l = (struct deadletter){ 0 };
}

/* --- how much there is --------------------------------------------------------------------- */

/* Step a statement that gives at most one row.  *found; the caller releases it. */
static bool step_row(struct db *db, sqlite3_stmt *stmt, bool *found, struct err *e)
{
	int rc = sqlite3_step(stmt);

	*found = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE || db_failed(db, "read", e);
}

static bool count(struct deadletters *all, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(all->db, totals_sql, e);
	bool found, ok = stmt && step_row(all->db, stmt, &found, e);

	if (ok) {
		all->totals.count = (size_t)sqlite3_column_int64(stmt, 0);
		all->totals.bytes = sqlite3_column_int64(stmt, 1);
		all->totals.evicted = all->evicted;
		all->rollbacks = db_rollbacks(all->db);
	}
	if (stmt)
		db_release(stmt);
	return ok;
}

static bool count_if_stale(struct deadletters *all, struct err *e)
{
	return all->rollbacks == db_rollbacks(all->db) || count(all, e);
}

static bool read_last_id(struct deadletters *all, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(all->db, last_sql, e);
	bool found = false, ok = stmt && step_row(all->db, stmt, &found, e);

	if (found)
		all->last_id = (uint64_t)sqlite3_column_int64(stmt, 0);
	if (stmt)
		db_release(stmt);
	return ok;
}

struct deadletters *deadletters_new(struct db *db, const struct deadletter_bounds *bounds,
				    struct err *e)
{
	struct deadletters *all = mem_zalloc(sizeof *all);

	all->db = db;
	all->bounds =
		bounds ? *bounds
		       : (struct deadletter_bounds){ DEADLETTER_MAX_COUNT, DEADLETTER_MAX_BYTES,
						     DEADLETTER_MAX_AGE_MS };
	if (read_last_id(all, e) && count(all, e))
		return all;
	free(all);
	return NULL;
}

void deadletters_free(struct deadletters *all)
{
	free(all);
}

bool deadletters_totals(struct deadletters *all, struct deadletter_totals *out, struct err *e)
{
	bool ok = count_if_stale(all, e);

	*out = all->totals;
	return ok;
}

/* --- adding -------------------------------------------------------------------------------- */

uint64_t deadletters_next_id(struct deadletters *all)
{
	return ++all->last_id;
}

static char *row_context(const char *link, uint64_t id)
{
	return mem_printf("deadletter/%s/%llu", link, (unsigned long long)id);
}

static char *sealed_context(sqlite3_stmt *row, const char *link, unsigned i)
{
	return i == 0 ? row_context(link, (uint64_t)sqlite3_column_int64(row, 0)) : NULL;
}

const struct db_sealed deadletter_sealed = {
	"SELECT id, message, link FROM deadletter WHERE message IS NOT NULL ORDER BY id",
	"UPDATE deadletter SET message = ?2 WHERE id = ?1",
	sealed_context,
};

static bool seal(struct db *db, const struct deadletter *l, struct buf *out, struct err *e)
{
	char *context = row_context(l->link, l->id);
	struct buf plain = { 0 };
	bool ok;

	message_codec_put(&l->message, &plain);
	ok = db_seal(db, context, plain.data, plain.len, out, e);
	db_wipe(&plain);
	free(context);
	return ok;
}

static bool bind_text(sqlite3_stmt *stmt, int i, const char *text)
{
	return sqlite3_bind_text(stmt, i, text, -1, SQLITE_STATIC) == SQLITE_OK;
}

static bool bind_number(sqlite3_stmt *stmt, int i, int64_t n)
{
	return sqlite3_bind_int64(stmt, i, n) == SQLITE_OK;
}

static bool bind_letter(sqlite3_stmt *stmt, const struct deadletter *l, const struct buf *sealed,
			size_t size)
{
	return bind_number(stmt, 1, (int64_t)l->id) && bind_text(stmt, 2, l->link) &&
	       bind_number(stmt, 3, (int64_t)l->from) && bind_text(stmt, 4, l->kind) &&
	       bind_text(stmt, 5, l->reason) && bind_text(stmt, 6, l->text ? l->text : "") &&
	       bind_text(stmt, 7, l->topic) && bind_number(stmt, 8, l->received_ms) &&
	       bind_number(stmt, 9, l->died_ms) && bind_number(stmt, 10, (int64_t)size) &&
	       bind_text(stmt, 12, l->device ? l->device : "") &&
	       bind_text(stmt, 13, l->session ? l->session : "") &&
	       (!sealed->len || sqlite3_bind_blob64(stmt, 11, sealed->data, sealed->len,
						    SQLITE_STATIC) == SQLITE_OK);
}

bool deadletters_add(struct deadletters *all, const struct deadletter *l, struct err *e)
{
	struct db *db = all->db;
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, add_sql, e) : NULL;
	bool is_kept = l->has_message && message_size(&l->message) <= DEADLETTER_MAX_MESSAGE;
	size_t size = ROW_BYTES + strlen(l->topic) + (l->text ? strlen(l->text) : 0);
	struct buf sealed = { 0 };
	bool ok = stmt && count_if_stale(all, e) && (!is_kept || seal(db, l, &sealed, e));

	size += sealed.len;
	ok = ok && db_run(db, stmt, bind_letter(stmt, l, &sealed, size), "write", e);
	buf_fini(&sealed);
	if (!ok)
		return db_break(db);
	all->totals.count++;
	all->totals.bytes += (int64_t)size;
	return true;
}

/* --- taking out ---------------------------------------------------------------------------- */

static bool run_for(struct db *db, const char *sql, uint64_t id, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, sql, e) : NULL;

	return (stmt && db_run(db, stmt, bind_number(stmt, 1, (int64_t)id), "delete", e)) ||
	       db_break(db);
}

static bool find_size(struct deadletters *all, uint64_t id, int64_t *size, bool *found,
		      struct err *e)
{
	sqlite3_stmt *stmt = db_statement(all->db, size_sql, e);
	bool ok;

	if (!stmt)
		return false;
	ok = (bind_number(stmt, 1, (int64_t)id) || db_failed(all->db, "bind", e)) &&
	     step_row(all->db, stmt, found, e);
	if (ok && *found)
		*size = sqlite3_column_int64(stmt, 0);
	db_release(stmt);
	return ok;
}

static bool not_found(uint64_t id, struct err *e)
{
	err_set(e, ERR_NOT_FOUND, "there is no dead letter %llu", (unsigned long long)id);
	return false;
}

bool deadletters_remove(struct deadletters *all, uint64_t id, struct err *e)
{
	int64_t size = 0;
	bool found = false;

	if (!count_if_stale(all, e) || !find_size(all, id, &size, &found, e))
		return false;
	if (!found)
		return not_found(id, e);
	if (!run_for(all->db, remove_sql, id, e))
		return false;
	all->totals.count--;
	all->totals.bytes -= size;
	return true;
}

static bool is_over(const struct deadletters *all, size_t count, int64_t bytes)
{
	return all->totals.count > count || all->totals.bytes > bytes;
}

static void count_out(struct deadletters *all, int64_t bytes)
{
	all->totals.count--;
	all->totals.bytes -= bytes;
	all->totals.evicted++;
}

static bool remove_old(struct deadletters *all, int64_t before_ms, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(all->db, oldest_sql, e);
	uint64_t last = 0;
	bool ok = stmt, found = true;

	while (ok && (ok = step_row(all->db, stmt, &found, e)) && found &&
	       sqlite3_column_int64(stmt, 2) < before_ms) {
		last = (uint64_t)sqlite3_column_int64(stmt, 0);
		count_out(all, sqlite3_column_int64(stmt, 1));
	}
	if (stmt)
		db_release(stmt);
	return ok && (!last || run_for(all->db, remove_to_sql, last, e));
}

static const char *borrow_text(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return text ? text : "";
}

/* NULL sets *e. */
static struct fair_share *read_shares(struct deadletters *all, struct err *e)
{
	const struct deadletter_bounds *max = &all->bounds;
	struct fair_share *shares = fair_share_new(1 + max->max_bytes / (int64_t)max->max_count);
	sqlite3_stmt *stmt = db_statement(all->db, shares_sql, e);
	bool ok = stmt, found = true;

	while (ok && (ok = step_row(all->db, stmt, &found, e)) && found) {
		const struct fair_share_letter letter = { (uint64_t)sqlite3_column_int64(stmt, 3),
							  sqlite3_column_int64(stmt, 4) };

		fair_share_add(shares, borrow_text(stmt, 0), borrow_text(stmt, 1),
			       borrow_text(stmt, 2), &letter);
	}
	if (stmt)
		db_release(stmt);
	if (ok)
		return shares;
	fair_share_free(shares);
	return NULL;
}

/* Some more than need be, so that not each new letter must do it again. */
static bool remove_too_many(struct deadletters *all, struct err *e)
{
	const struct deadletter_bounds *max = &all->bounds;
	struct fair_share *shares = read_shares(all, e);
	struct fair_share_letter letter;
	bool ok = shares;

	while (ok &&
	       is_over(all, max->max_count - max->max_count / SPARE,
		       max->max_bytes - max->max_bytes / SPARE) &&
	       fair_share_take(shares, &letter)) {
		ok = run_for(all->db, remove_sql, letter.id, e);
		count_out(all, letter.bytes);
	}
	fair_share_free(shares);
	return ok;
}

bool deadletters_evict(struct deadletters *all, int64_t now_ms, struct err *e)
{
	bool ok = count_if_stale(all, e);
	/* A clock that was set back must not keep us from looking. */
	bool looks_at_age =
		now_ms < all->age_looked_ms || now_ms - all->age_looked_ms >= AGE_LOOK_MS;

	all->evicted = all->totals.evicted; /* else they would have been counted anew */
	if (ok && looks_at_age) {
		all->age_looked_ms = now_ms;
		ok = remove_old(all, now_ms - all->bounds.max_age_ms, e);
	}
	return ok && (!is_over(all, all->bounds.max_count, all->bounds.max_bytes) ||
		      remove_too_many(all, e));
}

/* --- reading ------------------------------------------------------------------------------- */

static bool bind_filter(sqlite3_stmt *stmt, const struct deadletter_filter *f)
{
	return bind_text(stmt, 1, f->link) && bind_text(stmt, 2, f->reason) &&
	       bind_text(stmt, 3, f->kind) && bind_number(stmt, 4, f->since_ms) &&
	       bind_number(stmt, 5, f->until_ms ? f->until_ms : INT64_MAX);
}

bool deadletters_find(struct deadletters *all, const struct deadletter_filter *filter,
		      uint64_t **ids, size_t *n, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(all->db, find_sql, e);
	bool ok, found = true;

	*ids = NULL;
	*n = 0;
	if (!stmt)
		return false;
	ok = bind_filter(stmt, filter) || db_failed(all->db, "bind", e);
	while (ok && (ok = step_row(all->db, stmt, &found, e)) && found) {
		*ids = mem_grow(*ids, *n, sizeof **ids);
		(*ids)[(*n)++] = (uint64_t)sqlite3_column_int64(stmt, 0);
	}
	db_release(stmt);
	if (ok)
		return true;
	free(*ids);
	*ids = NULL;
	return false;
}

static char *column_text(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return mem_strdup(text ? text : "");
}

static bool unseal(struct db *db, struct deadletter *l, const void *p, struct err *e)
{
	char *context = row_context(l->link, l->id);
	struct buf plain = { 0 };
	bool ok = db_unseal(db, context, p, l->bytes, &plain, e);

	l->has_message = ok && message_codec_get(plain.data, plain.len, &l->message);
	if (ok && !l->has_message)
		err_set(e, ERR_CORRUPT, "%s: not a message that this calque can read", context);
	db_wipe(&plain);
	free(context);
	return l->has_message;
}

static bool read_letter(struct db *db, sqlite3_stmt *stmt, bool with_message, struct deadletter *l,
			struct err *e)
{
	l->link = column_text(stmt, 0);
	l->from = sqlite3_column_int(stmt, 1) == SOUTH ? SOUTH : NORTH;
	l->kind = column_text(stmt, 2);
	l->reason = column_text(stmt, 3);
	l->text = column_text(stmt, 4);
	l->topic = column_text(stmt, 5);
	l->received_ms = sqlite3_column_int64(stmt, 6);
	l->died_ms = sqlite3_column_int64(stmt, 7);
	l->bytes = (size_t)sqlite3_column_bytes(stmt, 8);
	if (sqlite3_column_bytes(stmt, 9))
		l->session = column_text(stmt, 9);
	return !with_message || l->bytes == 0 || unseal(db, l, sqlite3_column_blob(stmt, 8), e);
}

bool deadletters_get(struct deadletters *all, uint64_t id, bool with_message,
		     struct deadletter *out, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(all->db, get_sql, e);
	bool ok, found = false;

	*out = (struct deadletter){ .id = id };
	if (!stmt)
		return false;
	ok = (bind_number(stmt, 1, (int64_t)id) || db_failed(all->db, "bind", e)) &&
	     step_row(all->db, stmt, &found, e) && (found || not_found(id, e)) &&
	     read_letter(all->db, stmt, with_message, out, e);
	db_release(stmt);
	if (!ok)
		deadletter_fini(out);
	return ok;
}
