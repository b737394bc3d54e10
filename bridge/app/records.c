#include "app/records.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "store/journal.h"

struct record {
	TAILQ_ENTRY(record) due;
	struct records *all;
	const char *link;
	struct journal_entry entry; /* its message only until it is written */
	struct journal_output *outputs;
	size_t n_outputs;
	bool is_due;	 /* differs from what is in the journal */
	bool is_written; /* is in the journal */
	bool is_decided; /* is in the journal as decided, with its outputs */
};
TAILQ_HEAD(due, record);

struct records {
	struct db *db;
	uint64_t last_seq;
	struct due due;	   /* oldest first */
	uint64_t *settled; /* to be removed from the journal */
	size_t n_settled;
};

struct records *records_new(struct db *db, struct err *e)
{
	struct records *all = mem_zalloc(sizeof *all);

	all->db = db;
	TAILQ_INIT(&all->due);
	if (journal_last(db, &all->last_seq, e))
		return all;
	free(all);
	return NULL;
}

void records_free(struct records *all)
{
	if (all)
		free(all->settled);
	free(all);
}

static void make_due(struct record *r)
{
	if (!r->is_due)
		TAILQ_INSERT_TAIL(&r->all->due, r, due);
	r->is_due = true;
}

static struct record *new_record(struct records *all, const char *link)
{
	struct record *r = mem_zalloc(sizeof *r);

	r->all = all;
	r->link = link;
	return r;
}

struct record *records_accept(struct records *all, const char *link, enum side from,
			      const struct message *m, int64_t now_ms)
{
	struct record *r = new_record(all, link);

	r->entry = (struct journal_entry){ .seq = ++all->last_seq,
					   .from = from,
					   .received_ms = now_ms };
	message_copy(&r->entry.message, m);
	make_due(r);
	return r;
}

struct record *records_own(struct records *all, const char *link, enum side from, int64_t now_ms)
{
	struct record *r = new_record(all, link);

	r->entry = (struct journal_entry){
		.seq = ++all->last_seq,
		.from = from,
		.received_ms = now_ms,
		.is_own = true,
	};
	return r;
}

struct record *records_resumed(struct records *all, const char *link,
			       const struct journal_entry *entry)
{
	struct record *r = new_record(all, link);

	r->entry = *entry;
	r->entry.message = (struct message){ 0 }; /* that is the caller's */
	r->is_written = true;
	r->is_decided = entry->is_decided;
	return r;
}

void record_output(struct record *r, enum side to, enum lane lane, const struct message *m)
{
	struct journal_output *o;

	if (r->is_decided)
		return; /* sent again */
	r->outputs = mem_grow(r->outputs, r->n_outputs, sizeof *r->outputs);
	o = &r->outputs[r->n_outputs++];
	*o = (struct journal_output){ .to = to, .lane = lane };
	message_copy(&o->message, m);
}

void record_decided(struct record *r)
{
	r->entry.is_decided = true;
	make_due(r);
}

/* It is as the journal has it, or no longer of interest: nothing is due. */
static void clear(struct record *r)
{
	message_fini(&r->entry.message);
	for (size_t i = 0; i < r->n_outputs; i++)
		message_fini(&r->outputs[i].message);
	free(r->outputs);
	r->outputs = NULL;
	r->n_outputs = 0;
	if (r->is_due)
		TAILQ_REMOVE(&r->all->due, r, due);
	r->is_due = false;
}

void record_forget(struct record *r)
{
	clear(r);
	free(r);
}

void record_settled(struct record *r)
{
	struct records *all = r->all;

	if (r->is_written) {
		all->settled = mem_grow(all->settled, all->n_settled, sizeof *all->settled);
		all->settled[all->n_settled++] = r->entry.seq;
	}
	record_forget(r);
}

static bool write_record(struct record *r, struct err *e)
{
	struct db *db = r->all->db;
	bool ok = true;

	if (!r->is_written)
		ok = journal_add(db, r->link, &r->entry, e);
	else if (r->entry.is_decided && !r->is_decided)
		ok = journal_decide(db, r->entry.seq, e);
	for (size_t i = 0; ok && r->entry.is_decided && i < r->n_outputs; i++)
		ok = journal_add_output(db, r->link, r->entry.seq, (unsigned)i, &r->outputs[i], e);
	if (!ok)
		return false;
	r->is_written = true;
	r->is_decided = r->entry.is_decided;
	clear(r);
	return true;
}

bool records_write(struct records *all, struct err *e)
{
	struct record *r;

	while ((r = TAILQ_FIRST(&all->due)) != NULL)
		if (!write_record(r, e))
			return false;
	for (size_t i = 0; i < all->n_settled; i++)
		if (!journal_remove(all->db, all->settled[i], e))
			return false;
	free(all->settled);
	all->settled = NULL;
	all->n_settled = 0;
	return true;
}
