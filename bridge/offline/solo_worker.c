/* solo_worker.c -- the loop runs while a job is out, and only then: until the process has taken it (another one
 * may have to start first) and it is back. */
#include "offline/solo_worker.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"
#include "translate/executor.h"
#include "work/worker.h"

#define PATIENCE_MS 30000 /* for a process that takes the job */

struct solo_worker {
	struct loop *loop;
	struct workers *workers;
	struct worker_pool pool;
	struct job *job; /* in hand */
	bool is_taken;	 /* the process has it */
	int64_t deadline_ms;
};

/* With the signals as they were: who pipes the output into a program that ends early wants it to end, too. */
static struct loop *make_loop(struct err *e)
{
	struct sigaction pipe, size;
	struct loop *l;

	sigaction(SIGPIPE, NULL, &pipe);
	sigaction(SIGXFSZ, NULL, &size);
	l = loop_new(e);
	sigaction(SIGPIPE, &pipe, NULL);
	sigaction(SIGXFSZ, &size, NULL);
	return l;
}

static void give_up(struct solo_worker *s)
{
	struct results results = { 0 };

	results_refuse(&results, DEAD_MAPPING_OVERRUN, "there is no process to translate it");
	executor_back(s->job, &results);
}

static void before_sleep(void *ctx, int64_t now_ms)
{
	struct solo_worker *s = ctx;
	const struct worker_pool *pool = workers_pool(s->workers);

	(void)now_ms;
	if (!s->is_taken)
		s->is_taken = pool->take(pool->ctx, s->job);
	workers_flush(s->workers);
	if (!s->is_taken && clock_mono_ms() >= s->deadline_ms)
		give_up(s);
	if (s->job->stage == JOB_BACK)
		loop_stop(s->loop);
}

static bool take(void *ctx, struct job *job)
{
	struct solo_worker *s = ctx;

	s->job = job;
	s->is_taken = false;
	s->deadline_ms = clock_mono_ms() + PATIENCE_MS;
	loop_run(s->loop);
	s->job = NULL;
	return true;
}

static void tell(void *ctx, const struct plan *plan, const char *key, const char *value)
{
	struct solo_worker *s = ctx;
	const struct worker_pool *pool = workers_pool(s->workers);

	pool->tell(pool->ctx, plan, key, value);
}

struct solo_worker *solo_worker_new(struct compiler *c, struct err *e)
{
	struct solo_worker *s = mem_zalloc(sizeof *s);

	s->pool = (struct worker_pool){ take, tell, s };
	s->loop = make_loop(e);
	if (s->loop)
		s->workers = workers_new(s->loop, 1, e);
	if (s->workers && c)
		workers_fork_from(s->workers, c, NULL, NULL);
	if (!s->workers) {
		solo_worker_free(s);
		return NULL;
	}
	loop_before_sleep(s->loop, before_sleep, s);
	return s;
}

bool solo_worker_start(struct solo_worker *s, struct err *e)
{
	return workers_start(s->workers, e);
}

void solo_worker_free(struct solo_worker *s)
{
	if (!s)
		return;
	if (s->loop)
		loop_before_sleep(s->loop, NULL, NULL);
	workers_free(s->workers);
	loop_free(s->loop);
	free(s);
}

const struct worker_pool *solo_worker_pool(struct solo_worker *s)
{
	return &s->pool;
}
