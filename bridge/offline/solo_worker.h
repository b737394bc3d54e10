/* solo_worker.h -- one process that translates, and is waited for: the worker pool of an executor whose
 * messages come by hand.  The process is one of work/worker.h, so that a mapping meets the limits of the bridge, and
 * is refused as there: what loops, takes too much memory or ends jq is DEAD_MAPPING_OVERRUN, and the next job
 * is done.
 *
 * A job is done when it is taken: in the order of the executor, one at a time, the same at each run. */
#ifndef BRIDGE_SOLO_WORKER_H
#define BRIDGE_SOLO_WORKER_H

#include <stdbool.h>

struct compiler;
struct err;
struct solo_worker;
struct worker_pool;

/* `c` (borrowed; NULL: this process) forks the process.  NULL sets *e (ERR_IO). */
struct solo_worker *solo_worker_new(struct compiler *c, struct err *e);
/* Fork it, once, before the first job: with the plans and device tables as they are now, of however many links.
 * False sets *e (ERR_IO): it cannot be had, or not be sandboxed. */
bool solo_worker_start(struct solo_worker *s, struct err *e);
void solo_worker_free(struct solo_worker *s); /* NULL is allowed */

const struct worker_pool *solo_worker_pool(struct solo_worker *s);

#endif
