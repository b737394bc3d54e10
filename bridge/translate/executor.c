#include "translate/executor.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/mem.h"

TAILQ_HEAD(jobs, job);

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
 *	without workers a job is begun when it is the first, so that it sees what those before it did */
struct strand {
	TAILQ_ENTRY(strand) entry;
	struct executor *executor;
	struct jobs jobs;
	struct job *next; /* the first of those at the end that wait to be done; NULL: none does */
	size_t n_early;	  /* that wait in front of it: they came to the head, or are done again */
	bool is_resting;  /* until the next executor_run() */
	bool is_step;	  /* what is submitted goes to the front ... */
	struct job *last; /* ... behind this one; NULL: first */
};
TAILQ_HEAD(strands, strand);

struct executor {
	const struct worker_pool *pool;
	struct strands strands;
	size_t n_jobs;
};

struct executor *executor_new(const struct worker_pool *pool)
{
	struct executor *t = mem_zalloc(sizeof *t);

	t->pool = pool;
	TAILQ_INIT(&t->strands);
	return t;
}

void executor_free(struct executor *t)
{
	assert(!t || TAILQ_EMPTY(&t->strands));
	free(t);
}

struct strand *strand_new(struct executor *t)
{
	struct strand *s = mem_zalloc(sizeof *s);

	s->executor = t;
	TAILQ_INIT(&s->jobs);
	TAILQ_INSERT_TAIL(&t->strands, s, entry);
	return s;
}

static void leave(struct strand *s, struct job *job)
{
	TAILQ_REMOVE(&s->jobs, job, entry);
	s->executor->n_jobs--;
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
	TAILQ_REMOVE(&s->executor->strands, s, entry);
	free(s);
}

void strand_submit(struct strand *s, struct job *job)
{
	job->stage = JOB_WAITING;
	job->results = (struct results){ 0 };
	s->executor->n_jobs++;
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

void strand_rest(struct strand *s)
{
	s->is_resting = true;
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
	job->stage = JOB_BACK;
	job->results = *results;
	*results = (struct results){ 0 };
}

/* --- a strand's turn ----------------------------------------------------------------------- */

static bool begin(const struct worker_pool *pool, struct job *job)
{
	if (job->start)
		job->start(job);
	if (pool && job->type != JOB_NOTHING) {
		job->stage = JOB_TAKEN; /* it may come back at once */
		if (pool->take(pool->ctx, job))
			return true;
		job->stage = JOB_WAITING;
		return false;
	}
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
		if (!may_begin(s, job) || !begin(s->executor->pool, job))
			return false;
		s->n_early--;
	}
	return true;
}

static void begin_waiting(struct strand *s)
{
	if (!begin_early(s))
		return;
	while (s->next && may_begin(s, s->next) && begin(s->executor->pool, s->next))
		s->next = TAILQ_NEXT(s->next, entry);
}

static void complete(struct strand *s, struct job *job)
{
	struct results results = job->results;

	leave(s, job);
	job->results = (struct results){ 0 };
	strand_begin(s);
	job->done(job, &results);
	strand_end(s);
	results_fini(&results);
}

/* Complete the first job, if it is back and what it was told still holds. */
static bool complete_first(struct strand *s)
{
	struct job *job = TAILQ_FIRST(&s->jobs);

	if (!job || job->stage != JOB_BACK)
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

static bool run(struct strand *s)
{
	bool has_worked = false, goes_on;

	s->is_resting = false;
	do {
		goes_on = complete_first(s);
		has_worked = has_worked || goes_on;
		begin_waiting(s);
		if (!goes_on && !s->executor->pool && !TAILQ_EMPTY(&s->jobs))
			goes_on = true; /* it is done now */
	} while (goes_on && !s->is_resting);
	return has_worked;
}

bool executor_run(struct executor *t)
{
	struct strand *s;
	bool has_worked = false;

	TAILQ_FOREACH (s, &t->strands, entry)
		has_worked = run(s) || has_worked;
	return has_worked;
}

bool executor_is_idle(const struct executor *t)
{
	return t->n_jobs == 0;
}
