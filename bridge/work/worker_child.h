/* worker_child.h -- a worker's own side: reads frames, does jobs, writes results.  See worker.c for the
 * other one. */
#ifndef BRIDGE_WORKER_CHILD_H
#define BRIDGE_WORKER_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "work/own_programs.h"

struct unpack;

/* Frames (base/pack.h): to a worker a type and what follows it, from a worker the results of the next
 * job. */
enum frame { FRAME_JOB, FRAME_DEVICE };
/* Before all frames, a worker says this; anything else is why it cannot work. */
#define WORKER_READY '+'

/* Memory that both sides see: jobs.  One that is started and not done is in hand, from the first bytes of it that
 * come in (memory may run out over these already) to the results. */
struct worker_progress {
	atomic_uint_fast64_t started, done;
	struct own_programs_wanted wanted;
};

/* Take a row of a plan's device table, behind the type of FRAME_DEVICE.  False: it is none. */
bool worker_take_device(struct unpack *u);

/* The life of the child; its end of the socket is SANDBOX_FD. */
_Noreturn void worker_child(struct worker_progress *progress);

#endif
