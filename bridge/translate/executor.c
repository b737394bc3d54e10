#include "translate/executor.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/mem.h"
#include "metric/histogram.h"

TAILQ_HEAD(jobs, job);

#define FIRST_AHEAD 8 /* jobs of a strand that workers may have at a time, until one is done ... */
#define MAX_AHEAD   4096 /* ... then twice as many each time, and one after an overrun */

/* The jobs of a strand stand in the order in which they complete; only the first ever completes.  A job is
 *	WAITING	it is not begun, or what it was told has changed and it is to be done again
 *	TAKEN	a worker has it (in place there is no such stage)
 *	BACK	done, and waits to be the first
 * What always holds:
 *	from `next` on all are WAITING: they were submitted in turn, and are begun in turn
 *	before `next`, n_early are WAITING: they came to the head from within a completion, or are done
 *	again; they are begun before `next` is
 *	while a job completes, what is submitted goes to the head, in order, behind `last`: so what one
 *	message leads to is complete before the next message is
 *	n_taken are TAKEN, at most `ahead`, or one strand whose jobs take too long would fill all workers
 *	it is in the list of its executor while it has jobs
 *	without workers a job is begun when it is the first, so that it sees what those before it did */
struct strand {
	TAILQ_ENTRY(strand) entry; /* if it has jobs */
	struct executor *executor;
	void (*worked)(void *ctx); /* as in strand_new() */
	void *ctx;
	struct jobs jobs;
	struct job *next; /* the first of those at the end that wait to be done; NULL: none does */
	size_t n_early;	  /* that wait in front of it: they came to the head, or are done again */
	size_t n_jobs, n_taken, ahead;
	bool is_listed;
	bool is_step;	  /* what is submitted goes to the front ... */
	struct job *last; /* ... behind this one; NULL: first */
};
TAILQ_HEAD(strands, strand);

struct executor {
	const struct worker_pool *pool;
	struct strands strands;
	size_t n_jobs;
	struct histogram times;
};

struct executor *executor_new(const struct worker_pool *pool)
{
	struct executor *t = mem_zalloc(sizeof *t);

	t->pool = pool;
	TAILQ_INIT(&t->strands);
	return t;
}

/* What was taken is in front of `next`. */
static void take_back(struct strand *s)
{
	struct job *job;

	TAILQ_FOREACH (job, &s->jobs, entry) {
		if (job->stage != JOB_TAKEN)
			continue;
		job->stage = JOB_WAITING;
		s->n_early++;
		s->n_taken--;
	}
}

void executor_set_pool(struct executor *t, const struct worker_pool *pool)
{
	struct strand *s;

	t->pool = pool;
	TAILQ_FOREACH (s, &t->strands, entry)
		take_back(s);
}

void executor_free(struct executor *t)
{
	assert(!t || TAILQ_EMPTY(&t->strands));
	free(t);
}

struct strand *strand_new(struct executor *t, void (*worked)(void *ctx), void *ctx)
{
	struct strand *s = mem_zalloc(sizeof *s);

	s->executor = t;
	s->worked = worked;
	s->ctx = ctx;
	s->ahead = FIRST_AHEAD;
	TAILQ_INIT(&s->jobs);
	return s;
}

/* (A strand without jobs leaves the list of its executor when that has walked past it.) */
static void leave(struct strand *s, struct job *job)
{
	TAILQ_REMOVE(&s->jobs, job, entry);
	s->n_jobs--;
	s->executor->n_jobs--;
}

static void enlist(struct strand *s, bool is_wanted)
{
	if (s->is_listed == is_wanted)
		return;
	s->is_listed = is_wanted;
	if (is_wanted)
		TAILQ_INSERT_TAIL(&s->executor->strands, s, entry);
	else
		TAILQ_REMOVE(&s->executor->strands, s, entry);
}

bool strand_is_idle(const struct strand *s)
{
	return s->n_jobs == 0;
}

void strand_free(struct strand *s)
{
	struct job *job;

	if (!s)
		return;
	while ((job = TAILQ_FIRST(&s->jobs)) != NULL) {
		leave(s, job);
		results_fini(&job->results);
		if (job->drop)
			job->drop(job);
	}
	enlist(s, false);
	free(s);
}

void strand_submit(struct strand *s, struct job *job)
{
	job->stage = JOB_WAITING;
	job->results = (struct results){ 0 };
	job->strand = s;
	s->n_jobs++;
	s->executor->n_jobs++;
	enlist(s, true);
	if (!s->is_step) {
		TAILQ_INSERT_TAIL(&s->jobs, job, entry);
		if (!s->next)
			s->next = job;
		return;
	}
	if (s->last)
		TAILQ_INSERT_AFTER(&s->jobs, s->last, job, entry);
	else
		TAILQ_INSERT_HEAD(&s->jobs, job, entry);
	s->last = job;
	s->n_early++;
}

void strand_begin(struct strand *s)
{
	s->is_step = true;
	s->last = NULL;
}

void strand_end(struct strand *s)
{
	s->is_step = false;
}

void strand_tell(struct strand *s, const struct plan *plan, const char *key, const char *value)
{
	const struct worker_pool *pool = s->executor->pool;

	if (pool)
		pool->tell(pool->ctx, plan, key, value);
}

void executor_back(struct job *job, struct results *results)
{
	assert(job->stage == JOB_TAKEN);
	histogram_add(&job->strand->executor->times, clock_mono_us() - job->taken_us);
	job->strand->n_taken--;
	job->stage = JOB_BACK;
	job->results = *results;
	*results = (struct results){ 0 };
}

/* --- a strand's turn ----------------------------------------------------------------------- */

/* Offer it to the workers. */
static bool give(struct strand *s, struct job *job)
{
	const struct worker_pool *pool = s->executor->pool;

	job->stage = JOB_TAKEN; /* it may come back at once */
	job->taken_us = clock_mono_us();
	s->n_taken++;
	if (pool->take(pool->ctx, job))
		return true;
	s->n_taken--;
	job->stage = JOB_WAITING;
	return false;
}

static bool begin(struct strand *s, struct job *job)
{
	bool is_given = s->executor->pool && job->type != JOB_NOTHING;

	if (is_given && s->n_taken >= s->ahead)
		return false;
	if (job->start)
		job->start(job);
	if (is_given)
		return give(s, job);
	if (job->type != JOB_NOTHING)
		translate(job, &job->results);
	job->stage = JOB_BACK;
	return true;
}

/* In place, one job is done ahead at most: each sees what the one before has changed. */
static bool may_begin(const struct strand *s, const struct job *job)
{
	return s->executor->pool || job == TAILQ_FIRST(&s->jobs);
}

/* False: not all can be begun now.  They are near the head: a backlog is not walked through. */
static bool begin_early(struct strand *s)
{
	struct job *job;

	for (job = TAILQ_FIRST(&s->jobs); s->n_early > 0; job = TAILQ_NEXT(job, entry)) {
		if (job->stage != JOB_WAITING)
			continue;
		if (!may_begin(s, job) || !begin(s, job))
			return false;
		s->n_early--;
	}
	return true;
}

static void begin_waiting(struct strand *s)
{
	if (!begin_early(s))
		return;
	while (s->next && may_begin(s, s->next) && begin(s, s->next))
		s->next = TAILQ_NEXT(s->next, entry);
}

static bool has_overrun(const struct results *r)
{
	return r->n == 1 && r->items[0].type == ITEM_REFUSED &&
	       r->items[0].reason == DEAD_MAPPING_OVERRUN;
}

static void set_ahead(struct strand *s, const struct results *r)
{
	if (has_overrun(r))
		s->ahead = 1;
	else if (s->ahead < MAX_AHEAD)
		s->ahead *= 2;
}

static void complete(struct strand *s, struct job *job)
{
	struct results results = job->results;

	leave(s, job);
	job->results = (struct results){ 0 };
	set_ahead(s, &results);
	if (job->type != JOB_NOTHING)
		translate_address(job, &results);
	strand_begin(s);
	job->done(job, &results);
	strand_end(s);
	results_fini(&results);
	if (s->worked)
		s->worked(s->ctx);
}

static bool is_back(const struct job *job)
{
	return job && job->stage == JOB_BACK;
}

/* Complete the first job, if it is back and what it was told still holds. */
static bool complete_first(struct strand *s)
{
	struct job *job = TAILQ_FIRST(&s->jobs);

	if (!is_back(job))
		return false;
	if (s->executor->pool && job->start && job->start(job)) {
		results_fini(&job->results);
		job->stage = JOB_WAITING;
		s->n_early++;
		return false;
	}
	complete(s, job);
	return true;
}

/* (What needs no worker is back as soon as it is begun.) */
static bool run(struct strand *s)
{
	bool has_worked = false, goes_on;

	do {
		goes_on = complete_first(s);
		has_worked = has_worked || goes_on;
		begin_waiting(s);
	} while (goes_on || is_back(TAILQ_FIRST(&s->jobs)));
	return has_worked;
}

static bool run_all(struct executor *t)
{
	struct strand *s, *next;
	bool has_worked = false;

	for (s = TAILQ_FIRST(&t->strands); s; s = next) {
		has_worked = run(s) || has_worked;
		next = TAILQ_NEXT(s, entry); /* it may be new */
		enlist(s, s->n_jobs > 0);
	}
	return has_worked;
}

/* What a strand leads to in one that was walked past has its turn, too. */
bool executor_run(struct executor *t)
{
	bool has_worked = false;

	while (run_all(t))
		has_worked = true;
	return has_worked;
}

bool executor_is_idle(const struct executor *t)
{
	return t->n_jobs == 0;
}

const struct histogram *executor_times(const struct executor *t)
{
	return &t->times;
}
