#include "store/journal_live_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/db.h"

#define SETTLED_MS     1000
#define BATCH_BYTES    (256u << 10)
#define SPARSE_MS      10000 /* a batch that is nearly settled for that long is rewritten ... */
#define SPARSE_BYTES   4096  /* ... if it is larger than a page of the database */
#define MAX_SPARE      4096  /* records kept for use again */
#define MAX_KEPT_BYTES 1024  /* of outputs, in a spare record */

static const bool batch_may_become[BATCH_STATES][BATCH_STATES] = {
	[FRESH] = { [HANDED] = true, [LOST] = true },
	[HANDED] = { [STORED] = true, [TOUCHED] = true, [FRESH] = true },
	[STORED] = { [TOUCHED] = true },
	[TOUCHED] = { [MARKED] = true },
	[MARKED] = { [STORED] = true, [TOUCHED] = true },
};

static const bool outputs_may_become[OUTPUTS_STATES][OUTPUTS_STATES] = {
	[NOTED] = { [DUE] = true },
	[DUE] = { [IN_FLIGHT] = true },
	[IN_FLIGHT] = { [WRITTEN] = true, [DUE] = true },
};

struct journal_live *journal_live_new(struct db *db, struct err *e)
{
	struct journal_live *all = mem_zalloc(sizeof *all);

	all->db = db;
	all->settled_ms = INT64_MAX;
	TAILQ_INIT(&all->batches);
	TAILQ_INIT(&all->fresh);
	TAILQ_INIT(&all->touched);
	TAILQ_INIT(&all->in_flight);
	TAILQ_INIT(&all->sparse);
	TAILQ_INIT(&all->rewritten);
	TAILQ_INIT(&all->decided);
	TAILQ_INIT(&all->handed);
	TAILQ_INIT(&all->spare);
	if (journal_last(db, &all->last_seq, e))
		return all;
	free(all);
	return NULL;
}

/* Messages may carry credentials. */
void journal_live_wipe(struct buf *b)
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
		journal_live_wipe(&b->plain);
		buf_fini(&b->plain);
		free(b);
	}
	while ((r = TAILQ_FIRST(&all->spare)) != NULL) {
		TAILQ_REMOVE(&all->spare, r, list);
		buf_fini(&r->outputs);
		free(r);
	}
	while (all->n_spare_bufs)
		buf_fini(&all->spare_bufs[--all->n_spare_bufs]);
	map_fini(&all->links, free);
	map_fini(&all->left, NULL);
	journal_live_wipe(&all->content);
	buf_fini(&all->content);
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

uint64_t journal_live_messages(const struct journal_live *all)
{
	const struct batch *b;
	const struct journal_live_link *link;
	struct map_pos pos = { 0 };
	uint64_t n = 0;

	TAILQ_FOREACH (b, &all->batches, all)
		n += b->n_left;
	while ((link = map_next(&all->links, &pos)) != NULL)
		n += link->n_asleep;
	return n;
}

uint64_t journal_live_link_bytes(const struct journal_live_link *link, enum side from)
{
	return link->bytes[from];
}

/* --- batches ------------------------------------------------------------------------------- */

/* NULL: nobody walks over those in this state. */
static struct batches *list_of(struct journal_live *all, enum batch_state state)
{
	return state == FRESH			    ? &all->fresh
	       : state == TOUCHED		    ? &all->touched
	       : state == HANDED || state == MARKED ? &all->in_flight
						    : NULL;
}

/* The one place in which a batch changes its state. */
static void batch_become(struct batch *b, enum batch_state to)
{
	struct batches *from_list = list_of(b->link->all, b->state);
	struct batches *to_list = list_of(b->link->all, to);

	assert(batch_may_become[b->state][to]);
	if (from_list)
		TAILQ_REMOVE(from_list, b, state_link);
	b->state = to;
	if (to == FRESH) /* again: older than those that are there */
		TAILQ_INSERT_HEAD(to_list, b, state_link);
	else if (to_list)
		TAILQ_INSERT_TAIL(to_list, b, state_link);
}

struct batch *journal_live_new_batch(struct journal_live_link *link, enum side from)
{
	struct batch *b = mem_zalloc(sizeof *b);

	b->link = link;
	b->row = (struct journal_row){ .link = link->name, .from = from };
	TAILQ_INSERT_TAIL(&link->all->batches, b, all);
	return b;
}

static void keep_buf(struct journal_live *all, struct buf *b)
{
	if (!b->data)
		return;
	journal_live_wipe(b);
	if (all->n_spare_bufs < JOURNAL_SPARE_BUFS && b->cap / 2 <= BATCH_BYTES)
		all->spare_bufs[all->n_spare_bufs++] = *b;
	else
		buf_fini(b);
	*b = (struct buf){ 0 };
}

/* It takes no further messages. */
static void close_batch(struct batch *b)
{
	struct batch **open = &b->link->open[b->row.from];

	if (*open == b)
		*open = NULL;
}

void journal_live_free_batch(struct batch *b)
{
	struct journal_live *all = b->link->all;

	assert(b->n_left == 0);
	close_batch(b);
	keep_buf(all, &b->plain);
	if (list_of(all, b->state))
		TAILQ_REMOVE(list_of(all, b->state), b, state_link);
	if (b->is_sparse)
		TAILQ_REMOVE(&all->sparse, b, sparse);
	if (b->is_rewritten)
		TAILQ_REMOVE(&all->rewritten, b, rewritten);
	if (b->n_away)
		map_remove(&all->left, &b->row.seq, sizeof b->row.seq);
	TAILQ_REMOVE(&all->batches, b, all);
	free(b);
}

static struct batch *open_batch(struct journal_live_link *link, enum side from)
{
	struct journal_live *all = link->all;
	struct batch *b = link->open[from];

	if (b && b->row.n < JOURNAL_BATCH && b->plain.len < BATCH_BYTES)
		return b;
	b = link->open[from] = journal_live_new_batch(link, from);
	if (all->n_spare_bufs)
		b->plain = all->spare_bufs[--all->n_spare_bufs];
	TAILQ_INSERT_TAIL(&all->fresh, b, state_link);
	return b;
}

/* Message `i` of it needs nothing more. */
static void settle(struct batch *b, unsigned i)
{
	assert(!journal_is_set(&b->settled, i) && b->n_left > 0);
	journal_set(&b->settled, i);
	b->n_left--;
	if (b->state == STORED)
		batch_become(b, TOUCHED);
	if (b->state == LOST && b->n_left == 0)
		journal_live_free_batch(b);
}

static void count_bytes(struct journal_live_link *link, enum side from, size_t more, size_t less)
{
	link->bytes[from] += more - less;
	link->all->bytes += more - less;
}

void journal_live_unlink(struct journal_live_link *link)
{
	struct journal_live *all = link->all;
	struct batch *b, *next;

	for (b = TAILQ_FIRST(&all->batches); b; b = next) {
		next = TAILQ_NEXT(b, all);
		if (b->link != link)
			continue;
		b->n_left = 0;
		journal_live_free_batch(b);
	}
	for (int s = 0; s < SIDES; s++)
		count_bytes(link, (enum side)s, 0, link->bytes[s]);
	free(map_remove_str(&all->links, link->name));
}

/* --- records ------------------------------------------------------------------------------- */

static struct records *outputs_list(struct journal_live *all, enum outputs_state state)
{
	return state == DUE ? &all->decided : state == IN_FLIGHT ? &all->handed : NULL;
}

/* The one place in which outputs change their state. */
static void outputs_become(struct record *r, enum outputs_state to)
{
	struct records *from_list = outputs_list(r->link->all, r->state);
	struct records *to_list = outputs_list(r->link->all, to);
	bool is_again = r->state == IN_FLIGHT; /* older than those that are there */

	assert(outputs_may_become[r->state][to]);
	if (from_list)
		TAILQ_REMOVE(from_list, r, list);
	r->state = to;
	if (to_list && is_again)
		TAILQ_INSERT_HEAD(to_list, r, list);
	else if (to_list)
		TAILQ_INSERT_TAIL(to_list, r, list);
}

struct record *journal_live_new_record(struct journal_live_link *link, enum side from,
				       int64_t now_ms)
{
	struct journal_live *all = link->all;
	struct record *r = TAILQ_FIRST(&all->spare);
	struct buf outputs = { 0 };

	if (r) {
		TAILQ_REMOVE(&all->spare, r, list);
		all->n_spare--;
		outputs = r->outputs;
	} else {
		r = mem_alloc(sizeof *r);
	}
	*r = (struct record){ .link = link, .since_ms = now_ms, .outputs = outputs };
	r->row = (struct journal_row){ .link = link->name, .from = from, .received_ms = now_ms };
	return r;
}

void journal_live_free_record(struct record *r)
{
	struct journal_live *all = r->link->all;

	if (r->state == DUE || r->state == IN_FLIGHT)
		TAILQ_REMOVE(outputs_list(all, r->state), r, list);
	journal_live_wipe(&r->outputs);
	if (r->outputs.cap > MAX_KEPT_BYTES)
		buf_fini(&r->outputs);
	if (all->n_spare == MAX_SPARE) {
		buf_fini(&r->outputs);
		free(r);
		return;
	}
	TAILQ_INSERT_HEAD(&all->spare, r, list);
	all->n_spare++;
}

struct record *journal_live_accept(struct journal_live_link *link, enum side from,
				   const char *session, const struct message *m,
				   int64_t received_ms, int64_t now_ms)
{
	struct record *r = journal_live_new_record(link, from, now_ms);
	struct batch *b = open_batch(link, from);

	r->row.received_ms = received_ms;
	if (b->row.n == 0)
		b->row.received_ms = now_ms;
	r->batch = b;
	r->index = b->row.n++;
	b->n_left++;
	journal_put_message(&b->plain, r->index, received_ms, session, m);
	return r;
}

struct record *journal_live_own(struct journal_live_link *link, enum side from, int64_t now_ms)
{
	struct record *r = journal_live_new_record(link, from, now_ms);

	r->row.is_own = true;
	return r;
}

bool record_is_stored(const struct record *r)
{
	if (!r->batch)
		return r->state == WRITTEN;
	return r->batch->state != FRESH && r->batch->state != HANDED;
}

uint64_t record_commit(const struct record *r)
{
	bool is_due = r->state == DUE || (r->state == NOTED && !r->batch);

	return is_due ? UINT64_MAX : r->state == IN_FLIGHT ? r->commit : 0;
}

uint64_t record_seq(const struct record *r)
{
	const struct batch *b = r->batch;

	if (!b || b->state == LOST)
		return r->row.seq;
	return b->row.seq ? b->row.seq - b->row.n + r->index : 0;
}

int64_t record_since_ms(const struct record *r)
{
	return r->since_ms;
}

void record_output(struct record *r, const struct journal_output *o)
{
	if (r->state < IN_FLIGHT) /* else it is sent again */
		journal_put_output(&r->outputs, o);
}

void record_decided(struct record *r)
{
	if (r->state == NOTED)
		outputs_become(r, DUE);
}

void record_forget(struct record *r)
{
	if (r->batch && (r->batch->state == FRESH || r->batch->state == LOST))
		settle(r->batch, r->index);
	journal_live_free_record(r);
}

void record_settled(struct record *r)
{
	struct journal_live *all = r->link->all;

	if (r->state >= IN_FLIGHT) {
		all->removals = mem_grow(all->removals, all->n_removals, sizeof *all->removals);
		all->removals[all->n_removals++] = (struct removal){ .seq = r->row.seq };
		count_bytes(r->link, r->row.from, 0, r->row.size);
	}
	if (r->batch)
		settle(r->batch, r->index);
	journal_live_free_record(r);
}

/* --- writing ------------------------------------------------------------------------------- */

/* What was settled in the turn in which it came. */
static void drop_settled(struct journal_live *all)
{
	struct batch *b, *next;

	for (b = TAILQ_FIRST(&all->fresh); b; b = next) {
		next = TAILQ_NEXT(b, state_link);
		if (b->n_left == 0)
			journal_live_free_batch(b);
	}
}

static bool write_batch(struct journal_live *all, struct batch *b, uint64_t commit, struct err *e)
{
	bool is_whole = b->n_left == b->row.n;

	close_batch(b);
	if (!is_whole)
		journal_drop(&b->plain, &b->settled);
	b->row.seq = all->last_seq += b->row.n + 1;
	if (!journal_put(all->db, &b->row, &b->plain, e) ||
	    !(is_whole || journal_mark(all->db, b->row.seq, &b->settled, b->row.n, e)))
		return false;
	b->n_stored = b->n_told = b->n_left;
	b->commit = commit;
	count_bytes(b->link, b->row.from, b->row.size, 0);
	batch_become(b, HANDED);
	return true;
}

static bool write_outputs(struct journal_live *all, struct record *r, uint64_t commit,
			  struct err *e)
{
	const struct batch *b = r->batch;

	if (b && b->state != LOST)
		r->row.seq = b->row.seq - b->row.n + r->index;
	else if (r->row.seq == 0)
		r->row.seq = ++all->last_seq;
	r->row.is_own = !b || b->state == LOST;
	if (!journal_put(all->db, &r->row, &r->outputs, e))
		return false;
	r->commit = commit;
	count_bytes(r->link, r->row.from, r->row.size, 0);
	outputs_become(r, IN_FLIGHT);
	return true;
}

static bool write_settled(struct journal_live *all, struct batch *b, uint64_t commit, struct err *e)
{
	if (!(b->n_left ? journal_mark(all->db, b->row.seq, &b->settled, b->row.n, e)
			: journal_remove(all->db, b->row.seq, e)))
		return false;
	b->n_told = b->n_left;
	b->commit = commit;
	batch_become(b, MARKED);
	return true;
}

static bool write_removals(struct journal_live *all, uint64_t commit, struct err *e)
{
	for (; all->n_removing < all->n_removals; all->n_removing++) {
		struct removal *next = &all->removals[all->n_removing];

		if (!journal_remove(all->db, next->seq, e))
			return false;
		next->commit = commit;
	}
	return true;
}

/* A few messages that are not settled for long must not hold the space of a large batch. */
static bool is_sparse(const struct batch *b)
{
	return b->n_left > 0 && b->n_left < b->n_stored / 4 && b->row.size > SPARSE_BYTES;
}

static void note_rewritten(struct batch *b, size_t old_size, uint64_t commit)
{
	b->old_size = old_size;
	b->old_n_stored = b->n_stored;
	b->n_stored = b->n_left;
	b->rewriting = commit;
	b->is_rewritten = true;
	TAILQ_INSERT_TAIL(&b->link->all->rewritten, b, rewritten);
	count_bytes(b->link, b->row.from, b->row.size, old_size);
}

static void end_rewriting(struct batch *b)
{
	TAILQ_REMOVE(&b->link->all->rewritten, b, rewritten);
	b->is_rewritten = false;
}

static void undo_rewriting(struct batch *b)
{
	count_bytes(b->link, b->row.from, b->old_size, b->row.size);
	b->row.size = b->old_size;
	b->n_stored = b->old_n_stored;
	end_rewriting(b);
}

/* One that cannot be read back stays as it is: the next start sets it aside. */
static bool compact(struct batch *b, uint64_t commit, struct err *e)
{
	struct buf content = { 0 };
	size_t before = b->row.size;
	struct err why = { 0 };
	bool ok = journal_get(b->link->all->db, &b->row, &content, &why);

	if (!ok && why.code == ERR_CORRUPT) {
		log_event(LOG_ERROR, "row-damaged", "link=%s part=journal key=%llu reason=%s",
			  b->link->name, (unsigned long long)b->row.seq, log_value(why.text));
		buf_fini(&content);
		return true;
	}
	if (!ok)
		*e = why;
	if (ok) {
		journal_drop(&content, &b->settled);
		ok = journal_put(b->link->all->db, &b->row, &content, e);
		if (ok)
			note_rewritten(b, before, commit);
		else
			b->row.size = before;
	}
	journal_live_wipe(&content);
	buf_fini(&content);
	return ok;
}

static void note_sparse(struct journal_live *all, int64_t now_ms)
{
	struct batch *b;

	TAILQ_FOREACH (b, &all->touched, state_link)
		if (!b->is_sparse && is_sparse(b)) {
			TAILQ_INSERT_TAIL(&all->sparse, b, sparse);
			b->is_sparse = true;
			b->sparse_ms = now_ms;
		}
}

static bool compact_sparse(struct journal_live *all, uint64_t commit, int64_t now_ms, struct err *e)
{
	struct batch *b;

	while ((b = TAILQ_FIRST(&all->sparse)) != NULL && now_ms - b->sparse_ms >= SPARSE_MS) {
		TAILQ_REMOVE(&all->sparse, b, sparse);
		b->is_sparse = false;
		/* What is settled and not marked yet must not be missing from the row. */
		if (is_sparse(b) && b->n_left == b->n_told && !b->is_rewritten &&
		    !compact(b, commit, e))
			return false;
		journal_live_rest(b);
	}
	return true;
}

static bool write_all(struct journal_live *all, uint64_t commit, int64_t now_ms, struct err *e)
{
	struct batch *b;
	struct record *r;

	note_sparse(all, now_ms);
	while ((b = TAILQ_FIRST(&all->touched)) != NULL)
		if (!write_settled(all, b, commit, e))
			return false;
	if (!write_removals(all, commit, e))
		return false;
	while ((b = TAILQ_FIRST(&all->fresh)) != NULL)
		if (!write_batch(all, b, commit, e))
			return false;
	while ((r = TAILQ_FIRST(&all->decided)) != NULL)
		if (!write_outputs(all, r, commit, e))
			return false;
	all->settled_ms = INT64_MAX;
	return compact_sparse(all, commit, now_ms, e);
}

bool journal_live_has_news(const struct journal_live *all)
{
	return !TAILQ_EMPTY(&all->fresh) || !TAILQ_EMPTY(&all->decided) || db_is_writing(all->db);
}

static bool is_settled_due(const struct journal_live *all)
{
	return all->n_removing < all->n_removals || !TAILQ_EMPTY(&all->touched);
}

bool journal_live_write(struct journal_live *all, uint64_t commit, int64_t now_ms, struct err *e)
{
	bool has_settled = is_settled_due(all);

	drop_settled(all);
	if (has_settled && all->settled_ms == INT64_MAX && now_ms < INT64_MAX)
		all->settled_ms = now_ms + SETTLED_MS;
	if (!journal_live_has_news(all) && (!has_settled || now_ms < all->settled_ms))
		return true;
	return write_all(all, commit, now_ms, e);
}

int64_t journal_live_deadline(const struct journal_live *all)
{
	if (all->settled_ms == INT64_MAX && is_settled_due(all))
		return 0; /* it came after the writing of its turn: the next one will see */
	return all->settled_ms;
}

/* The commit in which its row or its mark was is durable. */
static void batch_durable(struct batch *b)
{
	keep_buf(b->link->all, &b->plain);
	if (b->n_told == 0) { /* its removal was */
		count_bytes(b->link, b->row.from, 0, b->row.size);
		journal_live_free_batch(b);
		return;
	}
	batch_become(b, b->n_left < b->n_told ? TOUCHED : STORED);
	journal_live_rest(b);
}

void journal_live_durable(struct journal_live *all, uint64_t commit)
{
	struct batch *b;
	struct record *r;
	size_t n = 0;

	while ((b = TAILQ_FIRST(&all->rewritten)) != NULL && b->rewriting <= commit) {
		end_rewriting(b);
		journal_live_rest(b);
	}
	while ((b = TAILQ_FIRST(&all->in_flight)) != NULL && b->commit <= commit)
		batch_durable(b);
	while ((r = TAILQ_FIRST(&all->handed)) != NULL && r->commit <= commit) {
		outputs_become(r, WRITTEN);
		journal_live_wipe(&r->outputs);
	}
	while (n < all->n_removing && all->removals[n].commit <= commit)
		n++;
	all->n_removing -= n;
	all->n_removals -= n;
	if (n && all->n_removals)
		memmove(all->removals, all->removals + n, all->n_removals * sizeof *all->removals);
}

/* From the last to the first, so that each list is in its old order again. */
void journal_live_undone(struct journal_live *all)
{
	struct batch *b;
	struct record *r;

	while ((b = TAILQ_FIRST(&all->rewritten)) != NULL)
		undo_rewriting(b);
	while ((b = TAILQ_LAST(&all->in_flight, batches)) != NULL) {
		if (b->state == HANDED)
			count_bytes(b->link, b->row.from, 0, b->row.size);
		batch_become(b, b->state == HANDED ? FRESH : TOUCHED);
	}
	while ((r = TAILQ_LAST(&all->handed, records)) != NULL) {
		count_bytes(r->link, r->row.from, 0, r->row.size);
		outputs_become(r, DUE);
	}
	all->n_removing = 0;
}

void journal_live_give_up(struct journal_live *all)
{
	struct batch *b;

	assert(TAILQ_EMPTY(&all->in_flight));
	drop_settled(all);
	while ((b = TAILQ_FIRST(&all->fresh)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		close_batch(b);
		keep_buf(all, &b->plain);
		batch_become(b, LOST);
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

	if (link && link->is_resumed)
		return false;
	x->all->bytes += row->size;
	if (!link) {
		x->all->orphan_bytes += row->size;
		count_orphans(x, row, n_left);
		return false;
	}
	link->bytes[row->from] += row->size;
	if (row->n == 0)
		return true;
	x->batch = journal_live_new_batch(link, row->from);
	x->batch->row = *row;
	x->batch->row.link = link->name;
	x->batch->settled = *settled;
	x->batch->state = STORED;
	x->batch->n_left = x->batch->n_told = n_left;
	x->batch->n_stored = row->n;
	return true;
}

static bool take(void *ctx, struct journal_entry *entry, struct journal_output *outputs, size_t n,
		 struct err *e)
{
	struct resume *x = ctx;
	struct journal_live_link *link = map_get_str(&x->all->links, entry->link);
	struct record *r = journal_live_new_record(link, entry->from, entry->received_ms);

	(void)e;
	r->since_ms = entry->since_ms;
	r->batch = entry->batch ? x->batch : NULL;
	r->index = entry->index;
	r->state = entry->is_decided ? WRITTEN : NOTED;
	r->row.seq = entry->is_decided ? entry->seq : 0;
	r->row.size = entry->size;
	x->reader->take(link->ctx, r, entry, outputs, n);
	return true;
}

static void set_aside(void *ctx, const struct journal_row *row, bool was_wanted, const char *why)
{
	struct resume *x = ctx;

	if (was_wanted)
		count_bytes(map_get_str(&x->all->links, row->link), row->from, 0, row->size);
	if (was_wanted && row->n) {
		x->batch->n_left = 0;
		journal_live_free_batch(x->batch);
	}
	x->reader->aside(row->link, row->seq, why);
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
	static const struct journal_reader rows = { .wants = wants,
						    .take = take,
						    .aside = set_aside };
	struct resume x = { .all = all, .reader = reader };
	struct map_pos pos = { 0 };
	struct orphan *o;
	struct map_pos at = { 0 };
	struct journal_live_link *link;
	bool ok;

	all->bytes -= all->orphan_bytes;
	all->orphan_bytes = 0;
	ok = journal_load(all->db, &rows, &x, e);
	while ((link = map_next(&all->links, &at)) != NULL)
		link->is_resumed = true;

	while (ok && (o = map_next(&x.orphans, &pos)) != NULL)
		reader->orphans(o->link, o->n);
	map_fini(&x.orphans, free_orphan);
	return ok;
}
