#include "store/journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/message_codec.h"
#include "store/aside.h"
#include "store/db_inside.h"
#include "store/layout.h"

static const char last_sql[] = "SELECT seq FROM sqlite_sequence WHERE name = 'pending'";
static const char put_sql[] =
	"INSERT INTO pending (seq, link, side, n, is_own, received_ms, content, sum)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, calque_sum(?1, ?2, ?3, ?4, ?5, ?6))"
	" ON CONFLICT (seq) DO UPDATE SET content = excluded.content";
static const char mark_sql[] = "INSERT INTO mark (seq, settled, sum)"
			       " VALUES (?1, ?2, calque_sum(?1, ?2)) ON CONFLICT (seq) DO UPDATE"
			       " SET settled = excluded.settled, sum = excluded.sum";
static const char remove_mark_sql[] = "DELETE FROM mark WHERE seq = ?";
static const char remove_link_marks_sql[] =
	"DELETE FROM mark WHERE seq IN (SELECT seq FROM pending WHERE link = ?)";
static const char remove_link_sql[] = "DELETE FROM pending WHERE link = ?";
static const char remove_sql[] = "DELETE FROM pending WHERE seq = ?";
static const char blame_sql[] = "INSERT INTO suspect (seq, crashes) VALUES (?, 1)"
				" ON CONFLICT (seq) DO UPDATE SET crashes = crashes + 1";
static const char suspects_sql[] = "SELECT seq, crashes FROM suspect ORDER BY seq";
static const char acquit_sql[] = "DELETE FROM suspect WHERE seq = ?";
static const char get_sql[] = "SELECT content FROM pending WHERE seq = ?";
static const char left_sql[] = "SELECT n, is_own, settled FROM pending LEFT JOIN mark USING (seq)";
static const char load_batches_sql[] =
	"SELECT pending.seq, link, side, n, is_own, received_ms, length(content), content, settled,"
	" pending.sum IS " LAYOUT_PENDING_SUM ", mark.seq IS NULL OR mark.sum IS " LAYOUT_MARK_SUM
	" FROM pending LEFT JOIN mark USING (seq) WHERE n IS NOT 0 ORDER BY pending.seq";
static const char find_sql[] =
	"SELECT pending.seq, link, side, n, is_own, received_ms, length(content), NULL, settled,"
	" pending.sum IS " LAYOUT_PENDING_SUM ", mark.seq IS NULL OR mark.sum IS " LAYOUT_MARK_SUM
	" FROM pending LEFT JOIN mark USING (seq) WHERE pending.seq = ?";
static const char load_decided_sql[] =
	"SELECT seq, link, side, n, is_own, received_ms, length(content), content, NULL,"
	" sum IS " LAYOUT_PENDING_SUM ", 1 FROM pending WHERE n = 0 ORDER BY seq";
enum column {
	SEQ,
	LINK,
	SIDE,
	N,
	IS_OWN,
	RECEIVED,
	SIZE,
	CONTENT,
	SETTLED,
	IS_WHOLE,
	IS_MARK_WHOLE
};

/* --- content ------------------------------------------------------------------------------- */

/* A batch is a series of
 *   4 bytes  length of what follows
 *   2        index in the batch, with MESSAGE_SESSION if a device's session is noted
 *   8        time of arrival, ms
 *   4, *     with MESSAGE_SESSION: length of the device's name, and it
 *   *        the message (message_codec.h)
 * and outputs are a series of
 *   4 bytes  length of what follows
 *   1        side
 *   1        lane, with OUTPUT_MORE
 *   8        not to be sent from then on, ms
 *   4, *     length of the device, and it; none: length 0
 *   4, *     length of the far id, and it; none: length 0
 *   *        the message
 * Without OUTPUT_MORE, from before version 6, the message follows at once.
 * Numbers have their lowest byte first. */
#define LENGTH_BYTES	4
#define MESSAGE_BYTES	10
#define MESSAGE_SESSION 0x8000
#define OUTPUT_BYTES	2
#define OUTPUT_MORE	0x80

static void put_number(uint8_t *to, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_number(const uint8_t *from, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

static unsigned index_of(const uint8_t *message)
{
	return (unsigned)get_number(message, 2) & ~(unsigned)MESSAGE_SESSION;
}

/* A part begins; returns where, for end_part(). */
static size_t begin_part(struct buf *out, const uint8_t *head, size_t n)
{
	size_t at = out->len;

	buf_append(out, "\0\0\0", LENGTH_BYTES);
	buf_append(out, head, n);
	return at;
}

static void end_part(struct buf *out, size_t at, const struct message *m)
{
	message_codec_put(m, out);
	put_number((uint8_t *)out->data + at, out->len - at - LENGTH_BYTES, LENGTH_BYTES);
}

static void put_text(struct buf *out, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	uint8_t head[LENGTH_BYTES];

	put_number(head, len, LENGTH_BYTES);
	buf_append(out, head, LENGTH_BYTES);
	buf_append(out, text ? text : "", len);
}

void journal_put_message(struct buf *batch, unsigned index, int64_t received_ms,
			 const char *session, const struct message *m)
{
	uint8_t head[MESSAGE_BYTES];
	size_t at;

	put_number(head, index | (session ? MESSAGE_SESSION : 0), 2);
	put_number(head + 2, (uint64_t)received_ms, 8);
	at = begin_part(batch, head, sizeof head);
	if (session)
		put_text(batch, session);
	end_part(batch, at, m);
}

void journal_put_output(struct buf *outputs, const struct journal_output *o)
{
	uint8_t head[OUTPUT_BYTES + 8] = { (uint8_t)o->to, (uint8_t)(o->lane | OUTPUT_MORE) };
	size_t at;

	put_number(head + OUTPUT_BYTES, (uint64_t)o->expires_ms, 8);
	at = begin_part(outputs, head, sizeof head);
	put_text(outputs, o->device);
	put_text(outputs, o->far_id);
	end_part(outputs, at, &o->message);
}

void journal_output_fini(struct journal_output *o)
{
	message_fini(&o->message);
	free(o->device);
	free(o->far_id);
	*o = (struct journal_output){ 0 };
}

/* A number of `n` bytes, or a text, at *p, and step over it.  False: it goes beyond `end`. */
static bool take_number(const uint8_t **p, const uint8_t *end, unsigned n, uint64_t *out)
{
	if ((size_t)(end - *p) < n)
		return false;
	*out = get_number(*p, n);
	*p += n;
	return true;
}

static bool take_text(const uint8_t **p, const uint8_t *end, char **out)
{
	uint64_t len;

	if (!take_number(p, end, LENGTH_BYTES, &len) || (size_t)(end - *p) < len)
		return false;
	*out = len ? mem_strndup((const char *)*p, len) : NULL;
	*p += len;
	return true;
}

/* The message that is a part of `n` bytes, with whose session it came on (NULL: any's); the caller ends both.  False:
 * it is none, and there is nothing to end. */
static bool get_message(const uint8_t *part, size_t n, char **session, struct message *m)
{
	const uint8_t *p = part + MESSAGE_BYTES, *end = part + n;

	*session = NULL;
	if ((!(get_number(part, 2) & MESSAGE_SESSION) || take_text(&p, end, session)) &&
	    message_codec_get(p, (size_t)(end - p), m))
		return true;
	free(*session);
	*session = NULL;
	return false;
}

/* The output that is a part of `n` bytes; the caller ends it.  False: it is none, and there is nothing to end. */
static bool get_output(const uint8_t *part, size_t n, struct journal_output *o)
{
	const uint8_t *p = part + OUTPUT_BYTES, *end = part + n;
	bool has_more = part[1] & OUTPUT_MORE;
	uint64_t expires = 0;
	bool ok;

	*o = (struct journal_output){ .to = (enum side)part[0],
				      .lane = (enum lane)(part[1] & ~OUTPUT_MORE) };
	ok = o->to < SIDES && o->lane < LANES &&
	     (!has_more || (take_number(&p, end, 8, &expires) && take_text(&p, end, &o->device) &&
			    take_text(&p, end, &o->far_id))) &&
	     message_codec_get(p, (size_t)(end - p), &o->message);
	o->expires_ms = (int64_t)expires;
	if (!ok)
		journal_output_fini(o);
	return ok;
}

/* The part at *at, without its length, and step over it.  False: there is no whole one with a head
 * of `head` bytes. */
static bool next_part(const struct buf *content, size_t *at, size_t head, const uint8_t **part,
		      size_t *n)
{
	size_t left = content->len - *at;

	if (left < LENGTH_BYTES)
		return false;
	*part = (const uint8_t *)content->data + *at + LENGTH_BYTES;
	*n = get_number(*part - LENGTH_BYTES, LENGTH_BYTES);
	if (*n > left - LENGTH_BYTES || *n < head)
		return false;
	*at += LENGTH_BYTES + *n;
	return true;
}

void journal_drop(struct buf *batch, const struct journal_bits *settled)
{
	size_t at = 0, kept = 0, n;
	const uint8_t *part;

	while (next_part(batch, &at, MESSAGE_BYTES, &part, &n)) {
		unsigned index = index_of(part);

		if (index < JOURNAL_BATCH && journal_is_set(settled, index))
			continue;
		memmove(batch->data + kept, part - LENGTH_BYTES, n + LENGTH_BYTES);
		kept += n + LENGTH_BYTES;
	}
	if (batch->len > kept)
		explicit_bzero(batch->data + kept, batch->len - kept);
	batch->len = kept;
}

/* --- writing ------------------------------------------------------------------------------- */

char *journal_context(const struct journal_row *row)
{
	return mem_printf("%s/%s/%s/%" PRIu64, row->n ? "batch" : "outputs", row->link,
			  side_name(row->from), row->seq);
}

static char *sealed_context(sqlite3_stmt *stmt, const char *link, unsigned i)
{
	const struct journal_row row = {
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.link = link,
		.from = (enum side)sqlite3_column_int(stmt, 3),
		.n = (unsigned)sqlite3_column_int64(stmt, 4),
	};
	bool is_side = row.from == SOUTH || row.from == NORTH;

	return i == 0 && is_side ? journal_context(&row) : NULL;
}

const struct db_sealed journal_sealed = {
	"SELECT seq, content, link, side, n FROM pending ORDER BY seq",
	"UPDATE pending SET content = ?2 WHERE seq = ?1",
	sealed_context,
};

static bool bind_seq(sqlite3_stmt *stmt, uint64_t seq)
{
	return sqlite3_bind_int64(stmt, 1, (sqlite3_int64)seq) == SQLITE_OK;
}

static bool bind_row(sqlite3_stmt *stmt, const struct journal_row *row, const struct buf *sealed)
{
	return bind_seq(stmt, row->seq) &&
	       sqlite3_bind_text(stmt, 2, row->link, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 3, (int)row->from) == SQLITE_OK &&
	       sqlite3_bind_int64(stmt, 4, row->n) == SQLITE_OK &&
	       sqlite3_bind_int(stmt, 5, row->is_own) == SQLITE_OK &&
	       sqlite3_bind_int64(stmt, 6, row->received_ms) == SQLITE_OK &&
	       sqlite3_bind_blob64(stmt, 7, sealed->data, sealed->len, SQLITE_STATIC) == SQLITE_OK;
}

bool journal_put(struct db *db, struct journal_row *row, const struct buf *content, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, put_sql, e) : NULL;
	char *context = journal_context(row);
	struct buf *sealed = db_scratch(db);
	bool ok = stmt && db_seal(db, context, buf_str(content), content->len, sealed, e) &&
		  db_run(db, stmt, bind_row(stmt, row, sealed), "write", e);

	row->size = sealed->len;
	free(context);
	return ok || db_break(db);
}

static bool run_for(struct db *db, const char *sql, uint64_t seq, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, sql, e) : NULL;

	return (stmt && db_run(db, stmt, bind_seq(stmt, seq), "write", e)) || db_break(db);
}

bool journal_mark(struct db *db, uint64_t seq, const struct journal_bits *settled, unsigned n,
		  struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, mark_sql, e) : NULL;
	uint8_t bytes[JOURNAL_BATCH / 8];
	unsigned words = (n + 63) / 64;

	for (size_t i = 0; i < words; i++)
		put_number(bytes + 8 * i, settled->word[i], 8);
	return (stmt &&
		db_run(db, stmt,
		       bind_seq(stmt, seq) && sqlite3_bind_blob(stmt, 2, bytes, (int)(8 * words),
								SQLITE_STATIC) == SQLITE_OK,
		       "write", e)) ||
	       db_break(db);
}

bool journal_remove(struct db *db, uint64_t seq, struct err *e)
{
	return run_for(db, remove_mark_sql, seq, e) && run_for(db, remove_sql, seq, e);
}

static bool run_for_link(struct db *db, const char *sql, const char *link, struct err *e)
{
	sqlite3_stmt *stmt = db_begin(db, e) ? db_statement(db, sql, e) : NULL;

	return (stmt &&
		db_run(db, stmt, sqlite3_bind_text(stmt, 1, link, -1, SQLITE_STATIC) == SQLITE_OK,
		       "write", e)) ||
	       db_break(db);
}

bool journal_remove_link(struct db *db, const char *link, struct err *e)
{
	return run_for_link(db, remove_link_marks_sql, link, e) &&
	       run_for_link(db, remove_link_sql, link, e);
}

bool journal_blame(struct db *db, uint64_t seq, struct err *e)
{
	return run_for(db, blame_sql, seq, e);
}

/* --- reading ------------------------------------------------------------------------------- */

bool journal_last(struct db *db, uint64_t *seq, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, last_sql, e);
	int rc;

	*seq = 0;
	if (!stmt)
		return false;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*seq = (uint64_t)sqlite3_column_int64(stmt, 0);
	else if (rc != SQLITE_DONE)
		db_failed(db, "read", e);
	db_release(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

/* What is not settled of a row of left_sql. */
static unsigned count_left(sqlite3_stmt *stmt)
{
	const uint8_t *settled = sqlite3_column_blob(stmt, 2);
	int n_bytes = sqlite3_column_bytes(stmt, 2);
	unsigned n = (unsigned)sqlite3_column_int64(stmt, 0);

	if (n == 0)
		return sqlite3_column_int(stmt, 1) != 0;
	for (int i = 0; i < n_bytes; i++)
		n -= (unsigned)__builtin_popcount(settled[i]);
	return n;
}

bool journal_count(struct db *db, uint64_t *n, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, left_sql, e);
	int rc;

	*n = 0;
	if (!stmt)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		*n += count_left(stmt);
	if (rc != SQLITE_DONE)
		db_failed(db, "read", e);
	db_release(stmt);
	return rc == SQLITE_DONE;
}

static bool unseal(struct db *db, const struct journal_row *row, sqlite3_stmt *stmt, int column,
		   struct buf *out, struct err *e)
{
	char *context = journal_context(row);
	const void *p = sqlite3_column_blob(stmt, column);
	bool ok = db_unseal(db, context, p, (size_t)sqlite3_column_bytes(stmt, column), out, e);

	free(context);
	return ok;
}

bool journal_get(struct db *db, const struct journal_row *row, struct buf *content, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(db, get_sql, e);
	bool ok = false;

	if (!stmt)
		return false;
	if (!bind_seq(stmt, row->seq) || sqlite3_step(stmt) != SQLITE_ROW)
		db_failed(db, "read", e);
	else
		ok = unseal(db, row, stmt, 0, content, e);
	db_release(stmt);
	return ok;
}

/* One of the two series of rows, and where in its row it stands. */
struct cursor {
	sqlite3_stmt *stmt;
	bool has_row;
	struct journal_row row; /* its link is SQLite's, until the next row */
	struct journal_bits settled;
	struct buf content;
	size_t at; /* in a batch: what is behind `entry` */
	struct journal_entry entry;
};

struct load {
	struct db *db;
	const struct journal_reader *reader;
	void *ctx;
	struct cursor batches, decided;
	struct journal_output *outputs;
	size_t n_outputs;
	struct unread {
		int64_t seq;
		char *why;
	} * unread; /* to be set aside */
	size_t n_unread;
	struct suspect {
		uint64_t seq;
		unsigned n_crashes;
		bool is_here; /* not settled */
	} * suspects;	      /* in order */
	size_t n_suspects;
};

static bool fail_row(const struct journal_row *row, const char *what, struct err *e)
{
	err_set(e, ERR_CORRUPT, "journal row %" PRIu64 " of %s: %s", row->seq, row->link, what);
	return false;
}

static void read_bits(sqlite3_stmt *stmt, struct journal_bits *bits)
{
	const uint8_t *p = sqlite3_column_blob(stmt, SETTLED);
	size_t n = (size_t)sqlite3_column_bytes(stmt, SETTLED) / 8;

	*bits = (struct journal_bits){ 0 };
	for (size_t i = 0; p && i < n && i < JOURNAL_BATCH / 64; i++)
		bits->word[i] = get_number(p + 8 * i, 8);
}

static bool read_row(struct cursor *c, struct err *e)
{
	sqlite3_stmt *stmt = c->stmt;
	int side = sqlite3_column_int(stmt, SIDE);

	c->row = (struct journal_row){
		.seq = (uint64_t)sqlite3_column_int64(stmt, SEQ),
		.link = (const char *)sqlite3_column_text(stmt, LINK),
		.from = (enum side)side,
		.n = (unsigned)sqlite3_column_int64(stmt, N),
		.is_own = sqlite3_column_int(stmt, IS_OWN),
		.received_ms = sqlite3_column_int64(stmt, RECEIVED),
		.size = (size_t)sqlite3_column_int64(stmt, SIZE),
	};
	read_bits(stmt, &c->settled);
	if (!c->row.link)
		c->row.link = "";
	if (side < 0 || side >= SIDES || c->row.n > JOURNAL_BATCH ||
	    c->row.n >= c->row.seq + !c->row.n)
		return fail_row(&c->row, "side or number", e);
	if (!sqlite3_column_int(stmt, IS_WHOLE))
		return fail_row(&c->row, "its sum is of something else", e);
	if (!sqlite3_column_int(stmt, IS_MARK_WHOLE)) /* rather twice than never */
		c->settled = (struct journal_bits){ 0 };
	return true;
}

bool journal_find(struct db *db, uint64_t seq, struct journal_row *row,
		  struct journal_bits *settled, struct err *e)
{
	struct cursor c = { .stmt = db_statement(db, find_sql, e) };
	bool ok = false;

	if (!c.stmt)
		return false;
	if (!bind_seq(c.stmt, seq) || sqlite3_step(c.stmt) != SQLITE_ROW)
		db_failed(db, "read", e);
	else
		ok = read_row(&c, e);
	db_release(c.stmt);
	*row = c.row;
	row->link = NULL;
	*settled = c.settled;
	return ok;
}

bool journal_take_message(const struct buf *batch, unsigned index, struct journal_entry *out)
{
	const uint8_t *part;
	size_t at = 0, n;

	while (next_part(batch, &at, MESSAGE_BYTES, &part, &n)) {
		if (index_of(part) != index)
			continue;
		out->received_ms = (int64_t)get_number(part + 2, 8);
		return get_message(part, n, &out->session, &out->message);
	}
	return false;
}

size_t journal_take_outputs(const struct buf *content, struct journal_output **out)
{
	struct journal_output o;
	const uint8_t *part;
	size_t at = 0, n_out = 0, n;

	*out = NULL;
	while (next_part(content, &at, OUTPUT_BYTES, &part, &n) && get_output(part, n, &o)) {
		*out = mem_grow(*out, n_out, sizeof **out);
		(*out)[n_out++] = o;
	}
	return n_out;
}

static void note_unread(struct load *l, const struct journal_row *row, bool was_wanted,
			const struct err *why)
{
	l->reader->aside(l->ctx, row, was_wanted, why->text);
	l->unread = mem_grow(l->unread, l->n_unread, sizeof *l->unread);
	l->unread[l->n_unread++] = (struct unread){ (int64_t)row->seq, mem_strdup(why->text) };
}

static bool is_message(const uint8_t *part, size_t n)
{
	struct message m = { 0 };
	char *session;
	bool ok = get_message(part, n, &session, &m);

	message_fini(&m);
	free(session);
	return ok;
}

static bool is_output(const uint8_t *part, size_t n)
{
	struct journal_output o;
	bool ok = get_output(part, n, &o);

	journal_output_fini(&o);
	return ok;
}

/* Can all parts of what `c` stands on be read?  Asked before the first is handed out, since a row is
 * set aside as a whole. */
static bool check_parts(struct cursor *c, struct err *e)
{
	size_t head = c->row.n ? MESSAGE_BYTES : OUTPUT_BYTES, at = 0, n;
	const uint8_t *part;

	while (at < c->content.len) {
		if (!next_part(&c->content, &at, head, &part, &n))
			return fail_row(&c->row, "cut short", e);
		if (c->row.n && index_of(part) >= c->row.n)
			return fail_row(&c->row, "index", e);
		if (!(c->row.n ? is_message(part, n) : is_output(part, n)))
			return fail_row(&c->row, "not a message that this calque can read", e);
	}
	return true;
}

/* Is the row at which `c` stands, which is wanted, to be read? */
static bool open_row(struct load *l, struct cursor *c)
{
	struct err why = { 0 };

	if (unseal(l->db, &c->row, c->stmt, CONTENT, &c->content, &why) && check_parts(c, &why))
		return true;
	db_wipe(&c->content);
	note_unread(l, &c->row, true, &why);
	return false;
}

/* The next row that is wanted, its content unsealed; none: has_row is false. */
static bool next_row(struct load *l, struct cursor *c, struct err *e)
{
	int rc = SQLITE_DONE;

	struct err why = { 0 };

	c->has_row = false;
	c->at = 0;
	db_wipe(&c->content);
	while (!c->has_row && (rc = sqlite3_step(c->stmt)) == SQLITE_ROW) {
		if (!read_row(c, &why))
			note_unread(l, &c->row, false, &why);
		else if (l->reader->wants(l->ctx, &c->row, &c->settled))
			c->has_row = open_row(l, c);
	}
	return rc == SQLITE_ROW || rc == SQLITE_DONE || db_failed(l->db, "read", e);
}

static void end_entry(struct journal_entry *entry)
{
	message_fini(&entry->message);
	free(entry->session);
	entry->session = NULL;
}

/* The next message of the batches that is not settled. */
static bool next_message(struct load *l, struct err *e)
{
	struct cursor *c = &l->batches;
	const uint8_t *part;
	size_t n;

	end_entry(&c->entry);
	while (c->has_row) {
		unsigned index;
		bool is_whole;

		if (c->at == c->content.len) {
			if (!next_row(l, c, e))
				return false;
			continue;
		}
		is_whole = next_part(&c->content, &c->at, MESSAGE_BYTES, &part, &n);
		assert(is_whole); /* check_parts() saw to it */
		index = index_of(part);
		if (journal_is_set(&c->settled, index))
			continue;
		c->entry = (struct journal_entry){
			.seq = c->row.seq - c->row.n + index,
			.batch = c->row.seq,
			.index = index,
			.link = c->row.link,
			.from = c->row.from,
			.received_ms = (int64_t)get_number(part + 2, 8),
		};
		c->entry.since_ms = c->row.received_ms > c->entry.received_ms
					    ? c->row.received_ms
					    : c->entry.received_ms;
		return get_message(part, n, &c->entry.session, &c->entry.message);
	}
	return true;
}

static void drop_outputs(struct load *l)
{
	for (size_t i = 0; i < l->n_outputs; i++)
		journal_output_fini(&l->outputs[i]);
	free(l->outputs);
	l->outputs = NULL;
	l->n_outputs = 0;
}

static bool read_suspects(struct load *l, struct err *e)
{
	sqlite3_stmt *stmt = db_statement(l->db, suspects_sql, e);
	int rc;

	if (!stmt)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		l->suspects = mem_grow(l->suspects, l->n_suspects, sizeof *l->suspects);
		l->suspects[l->n_suspects++] =
			(struct suspect){ .seq = (uint64_t)sqlite3_column_int64(stmt, 0),
					  .n_crashes = (unsigned)sqlite3_column_int(stmt, 1) };
	}
	if (rc != SQLITE_DONE)
		db_failed(l->db, "read", e);
	db_release(stmt);
	return rc == SQLITE_DONE;
}

/* They are few. */
static unsigned count_crashes(struct load *l, uint64_t seq)
{
	for (size_t i = 0; i < l->n_suspects; i++)
		if (l->suspects[i].seq == seq) {
			l->suspects[i].is_here = true;
			return l->suspects[i].n_crashes;
		}
	return 0;
}

/* What is settled has done nothing. */
static bool acquit(struct load *l, bool is_whole, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; i < l->n_suspects && is_whole; i++)
		ok = ok &&
		     (l->suspects[i].is_here || run_for(l->db, acquit_sql, l->suspects[i].seq, e));
	free(l->suspects);
	return ok;
}

static bool give(struct load *l, struct journal_entry *entry, struct err *e)
{
	entry->n_crashes = count_crashes(l, entry->seq);
	return l->reader->take(l->ctx, entry, l->outputs, l->n_outputs, e);
}

static bool take_decided(struct load *l, struct journal_entry *entry, struct err *e)
{
	bool ok;

	entry->is_decided = true;
	entry->size = l->decided.row.size;
	l->n_outputs = journal_take_outputs(&l->decided.content, &l->outputs);
	ok = give(l, entry, e) && next_row(l, &l->decided, e);
	drop_outputs(l);
	return ok;
}

static bool take_own(struct load *l, struct err *e)
{
	const struct journal_row *row = &l->decided.row;
	struct journal_entry entry = { .seq = row->seq,
				       .link = row->link,
				       .from = row->from,
				       .received_ms = row->received_ms,
				       .since_ms = row->received_ms };

	return take_decided(l, &entry, e);
}

/* The rows of outputs between the messages. */
static bool take_next(struct load *l, struct err *e)
{
	const struct cursor *b = &l->batches, *d = &l->decided;

	if (d->has_row && (!b->has_row || d->row.seq < b->entry.seq))
		return take_own(l, e);
	if (d->has_row && d->row.seq == b->entry.seq)
		return take_decided(l, &l->batches.entry, e) && next_message(l, e);
	return give(l, &l->batches.entry, e) && next_message(l, e);
}

static bool set_unread_aside(struct load *l, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; i < l->n_unread; i++) {
		ok = ok && aside_journal(l->db, l->unread[i].seq, l->unread[i].why, e);
		free(l->unread[i].why);
	}
	free(l->unread);
	return ok;
}

/* What was found is put in order.  Should the disk be full, the next start finds it again. */
static bool tidy(struct load *l, bool is_whole, struct err *e)
{
	struct err why = { 0 };
	bool has_set_aside = set_unread_aside(l, &why);
	bool ok = acquit(l, is_whole && has_set_aside, &why) && has_set_aside;

	if (!ok && why.code == ERR_FULL)
		db_commit(l->db, NULL); /* what is rolled back is not to be tried again */
	else if (!ok)
		*e = why;
	return ok || why.code == ERR_FULL;
}

bool journal_load(struct db *db, const struct journal_reader *reader, void *ctx, struct err *e)
{
	struct load l = { .db = db, .reader = reader, .ctx = ctx };
	bool ok;

	l.batches.stmt = db_statement(db, load_batches_sql, e);
	l.decided.stmt = l.batches.stmt ? db_statement(db, load_decided_sql, e) : NULL;
	ok = l.decided.stmt && read_suspects(&l, e) && next_row(&l, &l.batches, e) &&
	     next_message(&l, e) && next_row(&l, &l.decided, e);
	while (ok && (l.batches.has_row || l.decided.has_row))
		ok = take_next(&l, e);
	end_entry(&l.batches.entry);
	db_wipe(&l.batches.content);
	db_wipe(&l.decided.content);
	if (l.decided.stmt) {
		db_release(l.batches.stmt);
		db_release(l.decided.stmt);
	}
	return tidy(&l, ok, e) && ok;
}
