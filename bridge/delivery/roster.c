#include "delivery/roster.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/mem.h"

#define NOWHERE SIZE_MAX

struct roster_entry {
	TAILQ_ENTRY(roster_entry) entry; /* while it is awake */
	struct roster *roster;
	void *owner;
	bool is_awake, is_touched;
	uint64_t commit; /* the last one with something of it */
	int64_t deadline_ms;
	size_t at; /* in the heap; NOWHERE: it has no deadline */
};

struct roster {
	TAILQ_HEAD(, roster_entry) awake;
	/* A binary heap of those with a deadline, the earliest first. */
	struct roster_entry **heap;
	size_t n;
};

/* --- deadlines ----------------------------------------------------------------------------- */

static void put(struct roster *r, size_t at, struct roster_entry *e)
{
	r->heap[at] = e;
	e->at = at;
}

static void move_up(struct roster *r, struct roster_entry *e)
{
	size_t at = e->at;

	for (; at > 0 && r->heap[(at - 1) / 2]->deadline_ms > e->deadline_ms; at = (at - 1) / 2)
		put(r, at, r->heap[(at - 1) / 2]);
	put(r, at, e);
}

static void move_down(struct roster *r, struct roster_entry *e)
{
	size_t at = e->at, child;

	for (; (child = 2 * at + 1) < r->n; at = child) {
		if (child + 1 < r->n &&
		    r->heap[child + 1]->deadline_ms < r->heap[child]->deadline_ms)
			child++;
		if (r->heap[child]->deadline_ms >= e->deadline_ms)
			break;
		put(r, at, r->heap[child]);
	}
	put(r, at, e);
}

static void leave_heap(struct roster *r, struct roster_entry *e)
{
	struct roster_entry *last = r->heap[--r->n];
	size_t at = e->at;

	e->at = NOWHERE;
	if (last == e)
		return;
	put(r, at, last);
	move_up(r, last);
	move_down(r, last);
}

static void set_deadline(struct roster *r, struct roster_entry *e, int64_t deadline_ms)
{
	if (deadline_ms == e->deadline_ms)
		return;
	e->deadline_ms = deadline_ms;
	if (deadline_ms == INT64_MAX) {
		leave_heap(r, e);
		return;
	}
	if (e->at == NOWHERE) {
		r->heap = mem_grow(r->heap, r->n, sizeof(struct roster_entry *));
		put(r, r->n, e);
		r->n++;
	}
	move_up(r, e);
	move_down(r, e);
}

int64_t roster_deadline(const struct roster *r)
{
	return r->n ? r->heap[0]->deadline_ms : INT64_MAX;
}

void roster_wake_due(struct roster *r, int64_t now_ms)
{
	while (roster_deadline(r) <= now_ms) {
		struct roster_entry *e = r->heap[0];

		set_deadline(r, e, INT64_MAX);
		roster_wake(e);
	}
}

/* --- who is awake -------------------------------------------------------------------------- */

struct roster *roster_new(void)
{
	struct roster *r = mem_zalloc(sizeof *r);

	TAILQ_INIT(&r->awake);
	return r;
}

void roster_free(struct roster *r)
{
	if (!r)
		return;
	free(r->heap);
	free(r);
}

struct roster_entry *roster_add(struct roster *r, void *owner)
{
	struct roster_entry *e = mem_zalloc(sizeof *e);

	*e = (struct roster_entry){
		.roster = r, .owner = owner, .deadline_ms = INT64_MAX, .at = NOWHERE
	};
	roster_wake(e);
	return e;
}

static void fall_asleep(struct roster_entry *e)
{
	if (e->is_awake)
		TAILQ_REMOVE(&e->roster->awake, e, entry);
	e->is_awake = false;
}

void roster_remove(struct roster_entry *e)
{
	fall_asleep(e);
	set_deadline(e->roster, e, INT64_MAX);
	free(e);
}

void roster_wake(struct roster_entry *e)
{
	e->is_touched = true;
	if (e->is_awake)
		return;
	e->is_awake = true;
	TAILQ_INSERT_TAIL(&e->roster->awake, e, entry);
}

struct roster_entry *roster_first(const struct roster *r)
{
	return TAILQ_FIRST(&r->awake);
}

struct roster_entry *roster_next(const struct roster_entry *e)
{
	return TAILQ_NEXT(e, entry);
}

void *roster_owner(const struct roster_entry *e)
{
	return e->owner;
}

void roster_work(struct roster_entry *e, uint64_t commit)
{
	e->is_touched = false;
	e->commit = commit;
}

void roster_rest(struct roster_entry *e, uint64_t durable, int64_t deadline_ms)
{
	set_deadline(e->roster, e, deadline_ms);
	if (!e->is_touched && e->commit <= durable)
		fall_asleep(e);
}
