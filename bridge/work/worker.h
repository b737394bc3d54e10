/* worker.h -- the processes that translate, as a worker pool of the executor.
 *
 * Forked from where the programs are compiled, sandboxed (sandbox.h), fed in batches.  A process that dies, takes too
 * long or too much memory, or answers what its job cannot have led to (job_codec.h), is replaced: at once, or after a
 * pause if several in a row have done no job.  The job it had in hand gets a second attempt, alone with a new process;
 * if that ends so too, it is refused (DEAD_MAPPING_OVERRUN).
 * A job with credentials in it (job_has_secrets()) has a process of its own, that ends with it, so that no other one
 * ever saw them.  What is called often is compiled once more, alone (own_programs.h), and when that is done one process
 * after the other makes room for one that has it: it is given nothing more, and ends when all that it had is back.
 * All other jobs are done, and a job costs no time but its own process's.  What is small and calls no function of a
 * mapping, or none that takes jq (jq/mapping_simple.c), is done in place: to send it and to check the answer would cost
 * more, and who waits for it waits for one process.  One that no process has the memory for
 * is refused at once (DEAD_TOO_LARGE).  Nothing waits for a process to start but workers_start().  Loop thread
 * only. */
#ifndef BRIDGE_WORKER_H
#define BRIDGE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "translate/executor.h"

struct compiler;
struct err;
struct loop;
struct workers;

#define WORKER_JOB_MS	    250 /* processor time for one job; with several to check, up to 50 more */
#define WORKER_WALL_MS	    30000	 /* by the clock, for an answer */
#define WORKER_MEMORY_BYTES (256u << 20) /* on top of what the bridge had when it forked */

/* Bytes of a job: it is in a process's memory some eight times (as a frame, a message, a text of jq, its result,
 * and each buffer may be twice as large as what is in it). */
#define WORKER_JOB_BYTES (WORKER_MEMORY_BYTES / 8)

/* How many are meant by `n`; 0: one for each core that this process may use but one, which the bridge itself keeps
 * busy.  At least one. */
unsigned workers_wanted(unsigned n);
/* So many processes.  They are not there yet: jobs wait.  NULL
 * sets *e (ERR_IO). */
struct workers *workers_new(struct loop *l, unsigned n, struct err *e);
/* Have them forked by that compiler (compiler.h; borrowed), not by this process.  When it has ended and so has the last
 * of them, `gone` is called, once. */
void workers_fork_from(struct workers *w, struct compiler *c, void (*gone)(void *ctx), void *ctx);
/* Fork them, with the plans and device tables as they are now.  False sets *e (ERR_IO): they cannot be
 * had, or not be sandboxed. */
bool workers_start(struct workers *w, struct err *e);
void workers_free(struct workers *w); /* NULL is allowed; ends the processes, jobs stay undone */

const struct worker_pool *workers_pool(struct workers *w);
/* Send what was taken since the last time. */
void workers_flush(struct workers *w);

struct workers_counters {
	size_t processes;	 /* that are up */
	uint64_t replaced, lied; /* of them for what they answered */
	uint64_t renewed;	 /* to have more programs of functions */
	size_t own_programs;	 /* that there are */
};
void workers_count(const struct workers *w, struct workers_counters *out);

#endif
