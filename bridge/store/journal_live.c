#include "store/journal_live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/journal.h"

#define SETTLED_MS     1000
#define BATCH_BYTES    (256u << 10)
#define SPARSE_MS      10000 /* a batch that is nearly settled for that long is rewritten ... */
#define SPARSE_BYTES   4096  /* ... if it is larger than a page of the database */
#define MAX_SPARE      4096  /* records kept for use again */
#define MAX_SPARE_BUFS 16
#define MAX_KEPT_BYTES 1024 /* of outputs, in a spare record */

/* A row of the journal, or what will be one. */
struct batch {
	TAILQ_ENTRY(batch) all;	   /* records.batches */
	TAILQ_ENTRY(batch) due;	   /* records.fresh or .touched */
	TAILQ_ENTRY(batch) sparse; /* records.sparse, if is_sparse */
	struct journal_live_link *link;
	struct journal_row row; /* its seq is 0 until it is written */
	unsigned n_left;	/* not settled */
	unsigned n_stored;	/* in the row, the settled ones included */
	enum { FRESH, STORED, LOST /* given up */ } state;
	bool is_touched, is_sparse;
	int64_t sparse_ms;
	struct journal_bits settled;
	struct buf plain; /* while it is fresh */
};
TAILQ_HEAD(batches, batch);

struct journal_live_link {
	struct journal_live *all;
	const char *name;
	void *ctx;
	struct batch *open[SIDES]; /* that takes further messages */
	uint64_t bytes[SIDES];
};

struct record {
	TAILQ_ENTRY(record) due; /* or spare */
	struct journal_live_link *link;
	int64_t since_ms;
	struct batch *batch;	/* NULL: of none */
	unsigned index;		/* in it */
	bool is_due;		/* its outputs are to be written */
	bool is_written;	/* its outputs are in the journal */
	struct journal_row row; /* of its outputs */
	struct buf outputs;
};
TAILQ_HEAD(due, record);

struct journal_live {
	struct db *db;
	uint64_t last_seq, bytes;
	struct map links; /* by name */
	struct batches batches, fresh, touched, sparse;
	struct due decided; /* in the order they were */
	struct due spare;
	size_t n_spare;
	struct buf spare_bufs[MAX_SPARE_BUFS];
	size_t n_spare_bufs;
	uint64_t *removals; /* outputs of messages that are settled */
	size_t n_removals;
	int64_t settled_ms; /* when what is settled is to be written at the latest */
	bool is_writing;    /* journal_live_write() wrote what is due */
};

struct journal_live *journal_live_new(struct db *db, struct err *e)
{
	struct journal_live *all = mem_zalloc(sizeof *all);

	all->db = db;
	all->settled_ms = INT64_MAX;
	TAILQ_INIT(&all->batches);
	TAILQ_INIT(&all->fresh);
	TAILQ_INIT(&all->touched);
	TAILQ_INIT(&all->sparse);
	TAILQ_INIT(&all->decided);
	TAILQ_INIT(&all->spare);
	if (journal_last(db, &all->last_seq, e))
		return all;
	free(all);
	return NULL;
}

/* Messages may carry credentials. */
static void wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->len);
	buf_reset(b);
}

void journal_live_free(struct journal_live *all)
{
	struct batch *b;
	struct record *r;

	if (!all)
		return;
	while ((b = TAILQ_FIRST(&all->batches)) != NULL) {
		TAILQ_REMOVE(&all->batches, b, all);
		wipe(&b->plain);
		buf_fini(&b->plain);
		free(b);
	}
	while ((r = TAILQ_FIRST(&all->spare)) != NULL) {
		TAILQ_REMOVE(&all->spare, r, due);
		buf_fini(&r->outputs);
		free(r);
	}
	while (all->n_spare_bufs)
		buf_fini(&all->spare_bufs[--all->n_spare_bufs]);
	map_fini(&all->links, free);
	free(all->removals);
	free(all);
}

struct journal_live_link *journal_live_link(struct journal_live *all, const char *name, void *ctx)
{
	struct journal_live_link *link = mem_zalloc(sizeof *link);

	*link = (struct journal_live_link){ .all = all, .name = name, .ctx = ctx };
	free(map_set_str(&all->links, name, link));
	return link;
}

uint64_t journal_live_bytes(const struct journal_live *all)
{
	return all->bytes;
}

uint64_t journal_live_link_bytes(const struct journal_live_link *link, enum side from)
{
	return link->bytes[from];
}

/* --- batches ------------------------------------------------------------------------------- */

static struct batch *new_batch(struct journal_live_link *link, enum side from)
{
	struct batch *b = mem_zalloc(sizeof *b);

	b->link = link;
	b->row = (struct journal_row){ .link = link->name, .from = from };
	TAILQ_INSERT_TAIL(&link->all->batches, b, all);
	return b;
}

static void keep_buf(struct journal_live *all, struct buf *b)
{
	wipe(b);
	if (all->n_spare_bufs < MAX_SPARE_BUFS && b->cap / 2 <= BATCH_BYTES)
		all->spare_bufs[all->n_spare_bufs++] = *b;
	else
		buf_fini(b);
	*b = (struct buf){ 0 };
}

/* No longer fresh: it takes no further messages. */
static void close_batch(struct batch *b)
{
	struct batch **open = &b->link->open[b->row.from];

	if (*open == b)
		*open = NULL;
	TAILQ_REMOVE(&b->link->all->fresh, b, due);
	keep_buf(b->link->all, &b->plain);
}

static void free_batch(struct batch *b)
{
	struct journal_live *all = b->link->all;

	if (b->state == FRESH)
		close_batch(b);
	if (b->is_sparse)
		TAILQ_REMOVE(&all->sparse, b, sparse);
	TAILQ_REMOVE(&all->batches, b, all);
	free(b);
}

static struct batch *open_batch(struct journal_live_link *link, enum side from)
{
	struct journal_live *all = link->all;
	struct batch *b = link->open[from];

	if (b && b->row.n < JOURNAL_BATCH && b->plain.len < BATCH_BYTES)
		return b;
	b = link->open[from] = new_batch(link, from);
	if (all->n_spare_bufs)
		b->plain = all->spare_bufs[--all->n_spare_bufs];
	TAILQ_INSERT_TAIL(&all->fresh, b, due);
	return b;
}

/* Message `i` of it needs nothing more. */
static void settle(struct batch *b, unsigned i)
{
	struct journal_live *all = b->link->all;

	journal_set(&b->settled, i);
	b->n_left--;
	if (b->state == STORED && !b->is_touched) {
		b->is_touched = true;
		TAILQ_INSERT_TAIL(&all->touched, b, due);
	}
	if (b->state == LOST && b->n_left == 0)
		free_batch(b);
}

static void count_bytes(struct journal_live_link *link, enum side from, size_t more, size_t less)
{
	link->bytes[from] += more - less;
	link->all->bytes += more - less;
}

/* --- records ------------------------------------------------------------------------------- */

static struct record *new_record(struct journal_live_link *link, enum side from, int64_t now_ms)
{
	struct journal_live *all = link->all;
	struct record *r = TAILQ_FIRST(&all->spare);
	struct buf outputs = { 0 };

	if (r) {
		TAILQ_REMOVE(&all->spare, r, due);
		all->n_spare--;
		outputs = r->outputs;
	} else {
		r = mem_alloc(sizeof *r);
	}
	*r = (struct record){ .link = link, .since_ms = now_ms, .outputs = outputs };
	r->row = (struct journal_row){ .link = link->name, .from = from, .received_ms = now_ms };
	return r;
}

static void free_record(struct record *r)
{
	struct journal_live *all = r->link->all;

	if (r->is_due)
		TAILQ_REMOVE(&all->decided, r, due);
	wipe(&r->outputs);
	if (r->outputs.cap > MAX_KEPT_BYTES)
		buf_fini(&r->outputs);
	if (all->n_spare == MAX_SPARE) {
		buf_fini(&r->outputs);
		free(r);
		return;
	}
	TAILQ_INSERT_HEAD(&all->spare, r, due);
	all->n_spare++;
}

struct record *journal_live_accept(struct journal_live_link *link, enum side from,
				   const struct message *m, int64_t received_ms, int64_t now_ms)
{
	struct record *r = new_record(link, from, now_ms);
	struct batch *b = open_batch(link, from);

	r->row.received_ms = received_ms;
	if (b->row.n == 0)
		b->row.received_ms = now_ms;
	r->batch = b;
	r->index = b->row.n++;
	b->n_left++;
	journal_put_message(&b->plain, r->index, received_ms, m);
	return r;
}

struct record *journal_live_own(struct journal_live_link *link, enum side from, int64_t now_ms)
{
	struct record *r = new_record(link, from, now_ms);

	r->row.is_own = true;
	return r;
}

int64_t record_since_ms(const struct record *r)
{
	return r->since_ms;
}

void record_output(struct record *r, enum side to, enum lane lane, const struct message *m)
{
	if (!r->is_written) /* else it is sent again */
		journal_put_output(&r->outputs, to, lane, m);
}

void record_decided(struct record *r)
{
	if (r->is_written || r->is_due)
		return;
	r->is_due = true;
	TAILQ_INSERT_TAIL(&r->link->all->decided, r, due);
}

void record_forget(struct record *r)
{
	if (r->batch && r->batch->state != STORED)
		settle(r->batch, r->index);
	free_record(r);
}

void record_settled(struct record *r)
{
	struct journal_live *all = r->link->all;

	if (r->is_written) {
		all->removals = mem_grow(all->removals, all->n_removals, sizeof *all->removals);
		all->removals[all->n_removals++] = r->row.seq;
		count_bytes(r->link, r->row.from, 0, r->row.size);
	}
	if (r->batch)
		settle(r->batch, r->index);
	free_record(r);
}

/* --- writing ------------------------------------------------------------------------------- */

/* What was settled in the turn in which it came. */
static void drop_settled(struct journal_live *all)
{
	struct batch *b, *next;

	for (b = TAILQ_FIRST(&all->fresh); b; b = next) {
		next = TAILQ_NEXT(b, due);
		if (b->n_left == 0)
			free_batch(b);
	}
}

static bool write_batch(struct journal_live *all, struct batch *b, struct err *e)
{
	bool is_whole = b->n_left == b->row.n;

	if (!is_whole)
		journal_drop(&b->plain, &b->settled);
	b->row.seq = all->last_seq += b->row.n + 1;
	return journal_put(all->db, &b->row, &b->plain, e) &&
	       (is_whole || journal_mark(all->db, b->row.seq, &b->settled, b->row.n, e));
}

static bool write_outputs(struct journal_live *all, struct record *r, struct err *e)
{
	const struct batch *b = r->batch;

	if (b && b->state != LOST)
		r->row.seq = b->row.seq - b->row.n + r->index;
	else if (r->row.seq == 0)
		r->row.seq = ++all->last_seq;
	r->row.is_own = !b || b->state == LOST;
	return journal_put(all->db, &r->row, &r->outputs, e);
}

static bool write_settled(struct journal_live *all, struct batch *b, struct err *e)
{
	return b->n_left ? journal_mark(all->db, b->row.seq, &b->settled, b->row.n, e)
			 : journal_remove(all->db, b->row.seq, e);
}

/* A few messages that are not settled for long must not hold the space of a large batch. */
static bool is_sparse(const struct batch *b)
{
	return b->n_left > 0 && b->n_left < b->n_stored / 4 && b->row.size > SPARSE_BYTES;
}

static bool compact(struct batch *b, struct err *e)
{
	struct buf content = { 0 };
	size_t before = b->row.size;
	bool ok = journal_get(b->link->all->db, &b->row, &content, e);

	if (ok) {
		journal_drop(&content, &b->settled);
		ok = journal_put(b->link->all->db, &b->row, &content, e);
	}
	if (ok) {
		b->n_stored = b->n_left;
		count_bytes(b->link, b->row.from, b->row.size, before);
	}
	wipe(&content);
	buf_fini(&content);
	return ok;
}

static bool compact_sparse(struct journal_live *all, int64_t now_ms, struct err *e)
{
	struct batch *b;

	TAILQ_FOREACH (b, &all->touched, due)
		if (!b->is_sparse && is_sparse(b)) {
			TAILQ_INSERT_TAIL(&all->sparse, b, sparse);
			b->is_sparse = true;
			b->sparse_ms = now_ms;
		}
	while ((b = TAILQ_FIRST(&all->sparse)) != NULL && now_ms - b->sparse_ms >= SPARSE_MS) {
		TAILQ_REMOVE(&all->sparse, b, sparse);
		b->is_sparse = false;
		if (is_sparse(b) && !compact(b, e))
			return false;
	}
	return true;
}

static bool write_all(struct journal_live *all, int64_t now_ms, struct err *e)
{
	struct batch *b;
	struct record *r;

	all->is_writing = true;
	TAILQ_FOREACH (b, &all->touched, due)
		if (!write_settled(all, b, e))
			return false;
	for (size_t i = 0; i < all->n_removals; i++)
		if (!journal_remove(all->db, all->removals[i], e))
			return false;
	TAILQ_FOREACH (b, &all->fresh, due)
		if (!write_batch(all, b, e))
			return false;
	TAILQ_FOREACH (r, &all->decided, due)
		if (!write_outputs(all, r, e))
			return false;
	return compact_sparse(all, now_ms, e);
}

bool journal_live_has_news(const struct journal_live *all)
{
	return !TAILQ_EMPTY(&all->fresh) || !TAILQ_EMPTY(&all->decided) || db_is_writing(all->db);
}

bool journal_live_write(struct journal_live *all, int64_t now_ms, struct err *e)
{
	bool has_settled = all->n_removals || !TAILQ_EMPTY(&all->touched);

	all->is_writing = false;
	drop_settled(all);
	if (has_settled && all->settled_ms == INT64_MAX && now_ms < INT64_MAX)
		all->settled_ms = now_ms + SETTLED_MS;
	if (!journal_live_has_news(all) && (!has_settled || now_ms < all->settled_ms))
		return true;
	return write_all(all, now_ms, e);
}

int64_t journal_live_deadline(const struct journal_live *all)
{
	return all->settled_ms;
}

static void note_batch(struct batch *b)
{
	close_batch(b);
	b->state = STORED;
	b->n_stored = b->n_left;
	count_bytes(b->link, b->row.from, b->row.size, 0);
}

static void note_outputs(struct record *r)
{
	TAILQ_REMOVE(&r->link->all->decided, r, due);
	r->is_due = false;
	r->is_written = true;
	wipe(&r->outputs);
	count_bytes(r->link, r->row.from, r->row.size, 0);
}

static void note_settled(struct batch *b)
{
	TAILQ_REMOVE(&b->link->all->touched, b, due);
	b->is_touched = false;
	if (b->n_left > 0)
		return;
	count_bytes(b->link, b->row.from, 0, b->row.size);
	free_batch(b);
}

void journal_live_committed(struct journal_live *all)
{
	struct batch *b;
	struct record *r;

	if (!all->is_writing)
		return;
	all->is_writing = false;
	while ((b = TAILQ_FIRST(&all->touched)) != NULL)
		note_settled(b);
	while ((b = TAILQ_FIRST(&all->fresh)) != NULL)
		note_batch(b);
	while ((r = TAILQ_FIRST(&all->decided)) != NULL)
		note_outputs(r);
	all->n_removals = 0;
	all->settled_ms = INT64_MAX;
}

void journal_live_give_up(struct journal_live *all)
{
	struct batch *b;

	drop_settled(all);
	while ((b = TAILQ_FIRST(&all->fresh)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		close_batch(b);
		b->state = LOST;
	}
}

/* --- an earlier run ------------------------------------------------------------------------ */

struct resume {
	struct journal_live *all;
	const struct journal_live_reader *reader;
	struct batch *batch; /* in hand */
	struct map orphans;  /* by link */
};

struct orphan {
	char *link;
	size_t n;
};

static unsigned count_left(const struct journal_row *row, const struct journal_bits *settled)
{
	unsigned n = 0;

	for (unsigned i = 0; i < row->n; i++)
		n += !journal_is_set(settled, i);
	return row->n ? n : row->is_own;
}

static void count_orphans(struct resume *x, const struct journal_row *row, unsigned n)
{
	struct orphan *o = map_get_str(&x->orphans, row->link);

	if (!o) {
		o = mem_zalloc(sizeof *o);
		o->link = mem_strdup(row->link);
		map_set_str(&x->orphans, row->link, o);
	}
	o->n += n;
}

static bool wants(void *ctx, const struct journal_row *row, const struct journal_bits *settled)
{
	struct resume *x = ctx;
	struct journal_live_link *link = map_get_str(&x->all->links, row->link);
	unsigned n_left = count_left(row, settled);

	x->all->bytes += row->size;
	if (!link) {
		count_orphans(x, row, n_left);
		return false;
	}
	link->bytes[row->from] += row->size;
	if (row->n == 0)
		return true;
	x->batch = new_batch(link, row->from);
	x->batch->row = *row;
	x->batch->row.link = link->name;
	x->batch->settled = *settled;
	x->batch->state = STORED;
	x->batch->n_left = n_left;
	x->batch->n_stored = row->n;
	return true;
}

static bool take(void *ctx, struct journal_entry *entry, struct journal_output *outputs, size_t n,
		 struct err *e)
{
	struct resume *x = ctx;
	struct journal_live_link *link = map_get_str(&x->all->links, entry->link);
	struct record *r = new_record(link, entry->from, entry->received_ms);

	(void)e;
	r->since_ms = entry->since_ms;
	r->batch = entry->batch ? x->batch : NULL;
	r->index = entry->index;
	r->is_written = entry->is_decided;
	r->row.seq = entry->is_decided ? entry->seq : 0;
	r->row.size = entry->size;
	x->reader->take(link->ctx, r, entry, outputs, n);
	return true;
}

static void free_orphan(void *orphan)
{
	struct orphan *o = orphan;

	free(o->link);
	free(o);
}

bool journal_live_resume(struct journal_live *all, const struct journal_live_reader *reader,
			 struct err *e)
{
	static const struct journal_reader rows = { .wants = wants, .take = take };
	struct resume x = { .all = all, .reader = reader };
	struct map_pos pos = { 0 };
	struct orphan *o;
	bool ok = journal_load(all->db, &rows, &x, e);

	while (ok && (o = map_next(&x.orphans, &pos)) != NULL)
		reader->orphans(o->link, o->n);
	map_fini(&x.orphans, free_orphan);
	return ok;
}
