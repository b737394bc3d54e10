/* worker_fault.c -- which process is at fault, and which of its jobs: worker.c says what is believed of it. */
#include "work/worker_inside.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"
#include "work/worker_child.h"

#define MAX_ATTEMPTS 2
#define MAX_ENDS                                                                                   \
	8 /* of processes that had this job alone, and say that they did not have it in hand */
#define SLOW_JOB_MS (WORKER_JOB_MS / 4)

static bool processor_time(pid_t pid, struct timespec *out)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, out) == 0;
}

static int64_t ms_between(const struct timespec *a, const struct timespec *b)
{
	return (b->tv_sec - a->tv_sec) * 1000 + (b->tv_nsec - a->tv_nsec) / 1000000;
}

/* The job that the process has in hand, or had when it ended, as it says itself; NULL: none.  False: what it says
 * cannot be. */
static bool job_in_hand(const struct worker *w, struct job **job)
{
	uint64_t started = atomic_load_explicit(&w->progress->started, memory_order_relaxed);
	uint64_t done = atomic_load_explicit(&w->progress->done, memory_order_relaxed);
	uint64_t n = started - w->n_back;

	*job = NULL;
	if (n > w->n_given)
		return false;
	if (started == done || n == 0)
		return true;
	*job = TAILQ_FIRST(&w->jobs);
	while (--n > 0)
		*job = TAILQ_NEXT(*job, hand_entry);
	return true;
}

static int limit_ms(const struct job *in_hand)
{
	return in_hand && in_hand->was_slow ? SLOW_JOB_MS : WORKER_JOB_MS;
}

/* Its socket's end tells. */
static void stop(struct worker *w, bool *why)
{
	*why = true;
	kill(w->pid, SIGKILL);
}

/* Processor time, not time on the clock: a busy machine must not kill mappings.  On the clock there is a limit all the
 * same, far beyond that: for one that says all the time that it has begun another job, or sleeps. */
void worker_check(struct worker *w)
{
	uint64_t started = atomic_load_explicit(&w->progress->started, memory_order_relaxed);
	struct timespec cpu;
	struct job *job;

	if (!w->pid || w->n_given == 0 || w->has_overrun || w->has_stalled || w->has_lied ||
	    !processor_time(w->pid, &cpu))
		return;
	if (!job_in_hand(w, &job)) {
		stop(w, &w->has_lied);
	} else if (clock_mono_ms() - w->since_ms >= WORKER_WALL_MS) {
		stop(w, &w->has_stalled);
	} else if (started != w->checked) {
		w->checked = started;
		w->checked_cpu = cpu;
	} else if (ms_between(&w->checked_cpu, &cpu) >= limit_ms(job)) {
		stop(w, &w->has_overrun);
	}
}

static void describe_end(const struct worker *w, const struct job *job, int status, char *text,
			 size_t size)
{
	if (w->has_lied)
		snprintf(text, size, "its process answered what this cannot lead to");
	else if (w->has_stalled)
		snprintf(text, size, "it gave no answer for %d s", WORKER_WALL_MS / 1000);
	else if (w->has_overrun)
		snprintf(text, size, "it took more than %d ms", limit_ms(job));
	else if (WIFSIGNALED(status))
		snprintf(text, size, "jq ended by signal %d (%s)%s", WTERMSIG(status),
			 sigabbrev_np(WTERMSIG(status)),
			 WTERMSIG(status) == SIGABRT ? ", out of memory perhaps" : "");
	else
		snprintf(text, size, "jq ended with status %d", WEXITSTATUS(status));
}

static void refuse(struct worker *w, struct job *job, const char *why)
{
	struct results results = { 0 };

	worker_take_out(w, job);
	results_refuse(&results, DEAD_MAPPING_OVERRUN, "%s", why);
	executor_back(job, &results);
}

/* Whose fault is it most likely?  NULL: nobody's. */
static struct job *blame(const struct worker *w)
{
	struct job *said, *first = w->n_given ? TAILQ_FIRST(&w->jobs) : NULL;
	bool is_sound = job_in_hand(w, &said);

	if (w->has_lied || !is_sound)
		return first;
	return said || !(w->has_overrun || w->has_stalled) ? said : first;
}

/* Is it over with this job, which was alone with a process that ended? */
static bool is_beyond_help(const struct worker *w, struct job *job, bool is_to_blame)
{
	job->ends++;
	if (is_to_blame && job->was_slow)
		return true;
	return w->n_back == 0 && (job->ends >= MAX_ENDS || job->attempts >= MAX_ATTEMPTS);
}

/* The jobs that a process had go to the next one, each alone, this one (NULL: none) first. */
static void set_apart(struct worker *w, struct job *first)
{
	struct job *job = TAILQ_FIRST(&w->jobs);

	for (size_t i = 0; i < w->n_given; i++, job = TAILQ_NEXT(job, hand_entry))
		job->is_alone = true;
	if (!first)
		return;
	TAILQ_REMOVE(&w->jobs, first, hand_entry);
	TAILQ_INSERT_HEAD(&w->jobs, first, hand_entry);
}

/* The process is gone, or of no use: another one, for all that it had to do. */
void worker_lost(struct worker *w)
{
	struct workers *all = w->all;
	struct job *job = blame(w), *only = w->n_given == 1 ? TAILQ_FIRST(&w->jobs) : NULL;
	bool is_done = false;
	char why[120];

	all->counters.replaced++;
	all->counters.lied += w->has_lied;
	describe_end(w, job, worker_end_process(w), why, sizeof why);
	log_limited(LOG_WARNING, loop_now_ms(all->loop), "worker-replaced", "worker-replaced",
		    "reason=%s attempt=%u", log_value(why), job ? job->attempts + 1 : 0);
	if (job)
		job->attempts++;
	if (only && is_beyond_help(w, only, only == job)) {
		refuse(w, only, why);
		is_done = true;
	} else {
		set_apart(w, job);
	}
	worker_pause_starts(w, w->n_back == 0 && !is_done);
	workers_check_end(all);
	workers_start_missing(all);
	workers_set_check(all);
}
