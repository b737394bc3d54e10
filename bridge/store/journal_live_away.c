/* journal_live_away.c -- messages that are in the journal and nowhere else: their records are gone, and come back. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "store/journal_live_inside.h"

void journal_live_rest(struct batch *b)
{
	if (b->state != STORED || b->n_away == 0 || b->n_away < b->n_left || b->is_sparse ||
	    b->is_rewritten)
		return;
	b->link->n_asleep += b->n_left;
	b->n_left = 0;
	journal_live_free_batch(b);
}

bool record_may_leave(const struct record *r)
{
	const struct batch *b = r->batch;

	if (b && (b->state == FRESH || b->state == HANDED || b->state == LOST))
		return false;
	return r->state == WRITTEN || (b && r->state == NOTED);
}

void record_leave(struct record *r, struct journal_place *out)
{
	struct batch *b = r->batch;

	assert(record_may_leave(r));
	*out = (struct journal_place){ .row = b ? b->row.seq : r->row.seq,
				       .since_ms = r->since_ms,
				       .index = (uint16_t)r->index,
				       .is_own = !b,
				       .is_decided = r->state == WRITTEN };
	journal_live_free_record(r);
	if (!b)
		return;
	if (b->n_away++ == 0)
		map_set(&b->link->all->left, &b->row.seq, sizeof b->row.seq, b);
	journal_live_rest(b);
}

static unsigned count_left(const struct journal_row *row, const struct journal_bits *settled)
{
	unsigned n = 0;

	for (unsigned i = 0; i < row->n; i++)
		n += !journal_is_set(settled, i);
	return n;
}

/* The batch is in memory again; nobody has a record of it.  NULL: it cannot be read. */
static struct batch *wake(struct journal_live_link *link, enum side from, uint64_t seq,
			  struct err *e)
{
	struct journal_bits settled;
	struct journal_row row;
	struct batch *b;

	if (!journal_find(link->all->db, seq, &row, &settled, e))
		return NULL;
	b = journal_live_new_batch(link, from);
	b->row = row;
	b->row.link = link->name;
	b->settled = settled;
	b->state = STORED;
	b->n_left = b->n_told = b->n_away = count_left(&row, &settled);
	b->n_stored = row.n;
	link->n_asleep -= b->n_left;
	map_set(&link->all->left, &b->row.seq, sizeof b->row.seq, b);
	return b;
}

static struct batch *batch_of(struct journal_live_link *link, enum side from,
			      const struct journal_place *at, struct err *e)
{
	struct batch *b = map_get(&link->all->left, &at->row, sizeof at->row);

	return b ? b : wake(link, from, at->row, e);
}

/* What is known of the row of its outputs. */
static bool find_outputs(struct record *r, uint64_t seq, struct err *e)
{
	struct journal_bits none;
	struct journal_row row;

	if (!journal_find(r->link->all->db, seq, &row, &none, e))
		return false;
	r->row = row;
	r->row.link = r->link->name;
	r->state = WRITTEN;
	return true;
}

struct record *journal_live_recall(struct journal_live_link *link, enum side from,
				   const struct journal_place *at, struct err *e)
{
	struct batch *b = at->is_own ? NULL : batch_of(link, from, at, e);
	struct record *r;
	uint64_t seq = b ? b->row.seq - b->row.n + at->index : at->row;

	if (!b && !at->is_own)
		return NULL;
	r = journal_live_new_record(link, from, at->since_ms);
	r->batch = b;
	r->index = at->index;
	if (at->is_decided && !find_outputs(r, seq, e)) {
		r->batch = NULL;
		journal_live_free_record(r);
		return NULL;
	}
	if (b && --b->n_away == 0)
		map_remove(&link->all->left, &b->row.seq, sizeof b->row.seq);
	return r;
}

/* The content of a batch; others of it are often wanted next. */
static bool open_batch(const struct batch *b, struct err *e)
{
	struct journal_live *all = b->link->all;

	if (all->opened == b->row.seq)
		return true;
	all->opened = 0;
	journal_live_wipe(&all->content);
	if (!journal_get(all->db, &b->row, &all->content, e))
		return false;
	all->opened = b->row.seq;
	return true;
}

static bool read_message(const struct record *r, struct journal_entry *entry, struct err *e)
{
	const struct batch *b = r->batch;

	entry->batch = b->row.seq;
	entry->index = r->index;
	entry->seq = b->row.seq - b->row.n + r->index;
	if (!open_batch(b, e))
		return false;
	if (journal_take_message(&b->link->all->content, r->index, entry))
		return true;
	err_set(e, ERR_CORRUPT, "the message is not in its row");
	return false;
}

static bool read_outputs(const struct record *r, struct journal_output **outputs, size_t *n,
			 struct err *e)
{
	struct buf content = { 0 };
	bool ok = journal_get(r->link->all->db, &r->row, &content, e);

	if (ok)
		*n = journal_take_outputs(&content, outputs);
	journal_live_wipe(&content);
	buf_fini(&content);
	return ok;
}

bool record_read(struct record *r, struct journal_entry *entry, struct journal_output **outputs,
		 size_t *n, struct err *e)
{
	*entry = (struct journal_entry){ .seq = r->row.seq,
					 .link = r->link->name,
					 .from = r->row.from,
					 .received_ms = r->row.received_ms,
					 .since_ms = r->since_ms,
					 .is_decided = r->state == WRITTEN,
					 .size = r->row.size };
	*outputs = NULL;
	*n = 0;
	return (!r->batch || read_message(r, entry, e)) &&
	       (!entry->is_decided || read_outputs(r, outputs, n, e));
}
