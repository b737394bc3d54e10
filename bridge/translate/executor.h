/* executor.h -- where jobs are done: submitted now, completed later, in order.
 *
 * A strand is a sequence of jobs, those of one device.  Its jobs complete in the order in which they
 * were submitted; a job that is submitted from within a completion comes before all that wait (what
 * one message leads to is done before the next message).  Strands do not wait for each other.
 *
 * Translation is a function of the job, so it may be done ahead of its turn and anywhere: in place,
 * or by a worker pool.  What a job was told by its start() may have changed by the time
 * its turn comes; it is asked again then, and done again if so. */
#ifndef BRIDGE_EXECUTOR_H
#define BRIDGE_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "translate/translate.h"

struct strand;
struct executor;
struct histogram;

/* Somebody who does jobs. */
struct worker_pool {
	/* Take the job (borrowed until it is given back with executor_back()).  False: not now; it is
	 * offered again in the next executor_run().  One that is_slow may not keep others waiting. */
	bool (*take)(void *ctx, struct job *job);
	/* The device table of this plan has changed: for all jobs taken from now on. */
	void (*tell)(void *ctx, const struct plan *plan, const char *key, const char *value);
	void *ctx;
};

/* `pool` NULL: in place, within executor_run().  Borrowed. */
struct executor *executor_new(const struct worker_pool *pool);
/* Another pool does the jobs from now on, also those that the one before had in hand: it has ended.  NULL: in place. */
void executor_set_pool(struct executor *t, const struct worker_pool *pool);
void executor_free(struct executor *t); /* NULL is allowed; strands must be gone */

/* `worked` (may be NULL) is called with `ctx` after each job that is complete. */
struct strand *strand_new(struct executor *t, void (*worked)(void *ctx), void *ctx);
/* Jobs that are not complete are dropped; the pool must have ended, or not have any of them. */
void strand_free(struct strand *s);

/* The job is the caller's: its start() is called at least once, then its done() once, from executor_run();
 * done() may free it.  (One of JOB_NOTHING is done by nobody and only waits for its turn.) */
void strand_submit(struct strand *s, struct job *job);
/* What is submitted until strand_end() comes before all that waits, as if in a completion. */
void strand_begin(struct strand *s);
void strand_end(struct strand *s);
bool strand_is_idle(const struct strand *s); /* there are no jobs */
/* The device table of this plan has changed. */
void strand_tell(struct strand *s, const struct plan *plan, const char *key, const char *value);

/* A taken job is done; *results are taken. */
void executor_back(struct job *job, struct results *results);

/* Have done what can be, and complete what is.  False: nothing was completed. */
bool executor_run(struct executor *t);
bool executor_is_idle(const struct executor *t); /* there are no jobs */
/* How long jobs took that a pool did, from when it took them until they were back. */
const struct histogram *executor_times(const struct executor *t);

#endif
