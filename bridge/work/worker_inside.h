/* worker_inside.h -- what the files of the workers share: worker.c (who gets which job), worker_jobs.c (what one
 * process has to do), worker_process.c (how it begins and ends), worker_fault.c (who is to blame for an end). */
#ifndef BRIDGE_WORKER_INSIDE_H
#define BRIDGE_WORKER_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "net/loop.h"
#include "work/own_programs.h"
#include "work/worker.h"
#include "work/worker_child.h"

struct job;

TAILQ_HEAD(jobs, job);

struct worker {
	struct workers *all;
	pid_t pid; /* 0: none */
	bool is_up;
	unsigned n_vain;	       /* processes in a row that have done no job */
	int64_t again_ms, deadline_ms; /* clock_mono_ms(): not started before; to be up by then */
	struct loop_watch watch;
	struct worker_progress *progress; /* shared with the process */
	int progress_fd;
	struct jobs jobs; /* that are not back, oldest first */
	size_t n_jobs;
	struct job *next; /* the first of them that the process was not given; NULL: it has all */
	size_t n_given;
	bool has_alone;	  /* it is given no other one meanwhile */
	uint64_t n_back;  /* of this process */
	int64_t since_ms; /* clock_mono_ms(): since then the first one is waited for */
	struct buf in, out;
	size_t n_sent; /* of `out` */
	/* What the last check saw. */
	uint64_t checked;	     /* jobs started */
	struct timespec checked_cpu; /* processor time */
	bool has_overrun, has_stalled;
	bool has_lied;
	size_t n_own;	/* programs of functions that it has */
	size_t n_heard; /* of what it wants programs for */
};

struct workers {
	struct loop *loop;
	struct worker_pool pool;
	struct worker *items;
	size_t n;		/* that are there all the time */
	size_t n_all;		/* and behind those, that are there for a job */
	struct worker *slow;	/* that has a slow job; NULL: none */
	struct worker *leaving; /* is given nothing more, and renewed then; NULL: none */
	struct own_programs own;
	struct loop_timer check; /* looks after all, while there is something to do */
	bool is_checking;
	struct compiler *compiler; /* NULL: this process forks */
	struct loop_watch compiler_watch;
	void (*gone)(void *ctx);
	void *gone_ctx;
	struct buf scratch;
	struct workers_counters counters;
};

/* The private ones, for jobs with credentials, come behind those that are there all the time. */
bool worker_is_private(const struct worker *w);

/* --- worker_jobs.c --- */

/* Begin one for its process: pack_frame_end() ends it. */
size_t worker_begin_frame(struct worker *w, enum frame type);
/* Give its process what it may have by now of its jobs. */
void worker_give_more(struct worker *w);
/* Write what the socket takes.  False: the process is gone. */
bool worker_send_out(struct worker *w);
/* Read what it answers, and give those jobs back.  False: it is gone, or answered what its job cannot lead to
 * (has_lied). */
bool worker_receive(struct worker *w);
/* Take a job from it that its process was given; it is the caller's. */
struct job *worker_take_out(struct worker *w, struct job *job);

/* --- worker_process.c --- */

/* Fork one, which is not up yet.  False sets *e (ERR_IO). */
bool worker_start(struct worker *w, struct err *e);
/* Start those that are wanted and not there, unless it is too early for them. */
void workers_start_missing(struct workers *all);
/* It says that it is ready (is_up), or why not: false sets *e (ERR_IO). */
bool worker_hear(struct worker *w, struct err *e);
/* Kill it; returns its status, of waitpid(). */
int worker_end_process(struct worker *w);
/* Another process instead of this one, which has nothing in hand. */
void worker_renew(struct worker *w);
/* A process has ended, or there was none: there may be another one after a pause, if so many did nothing. */
void worker_pause_starts(struct worker *w, bool was_in_vain);
/* End one that takes too long to start. */
void worker_check_start(struct worker *w);
/* With nobody to fork from, those that are there go on, and with the last of them all ends. */
void workers_check_end(struct workers *all);
/* Look after all of them in a while, and go on with that as long as there is something to look after. */
void workers_set_check(struct workers *all);

/* --- worker_fault.c --- */

/* Kill it if it takes too long, or says what cannot be. */
void worker_check(struct worker *w);
/* The process is gone, or of no use: another one, for all that it had to do. */
void worker_lost(struct worker *w);

#endif
