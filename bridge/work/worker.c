/* worker.c -- the bridge's side of the workers: who gets which job.  worker_jobs.c, worker_process.c and
 * worker_fault.c see to one of them.
 *
 * A worker is missing, starting (pid), or up (is_up: it said so).  Jobs that it has stay in `jobs`, oldest first, until
 * their results are back; the first n_given of them its process was given, and answers in that order: so nothing
 * needs a number, and when the process ends with one in hand, that is the (started - n_back)th.  The counts are in
 * memory that both see, since a process that crashes or is killed says nothing any more.
 *
 * Who ends: one that died (its socket ends), one that used WORKER_JOB_MS of processor time for one job, or has not
 * answered for WORKER_WALL_MS (worker_check()), one that answered what its job cannot have led to.
 *
 * A process may be in the hands of what it was given to read, so its counts are believed for one thing only: which job
 * is tried first.  What it was given goes to the next process one job at a time, that one in front; so who is in hand
 * then is known here, and only a job that is alone with a new process when that ends is refused.  A second attempt,
 * because the fault may be another job's before it (memory, mostly: jobs share a process); not a third, because then
 * it is its own.  A process that says that it had nothing in hand is believed, too, but not for ever (MAX_ENDS).
 *
 * Who has fewer programs of functions than there are is renewed (renew_one()), one process at a time, while all are up.
 *
 * A slow job (struct job) is given only when no other one is out, and others go to other workers meanwhile; it is alone
 * with its process, and has a quarter of the time, and one attempt. */
#include "work/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "translate/job_codec.h"
#include "work/compiler.h"
#include "work/own_programs.h"
#include "work/worker_begin.h"
#include "work/worker_child.h"
#include "work/worker_inside.h"

#define IN_PLACE_BYTES 4096	  /* of a message that needs no jq */
#define MAX_JOBS       1024u	  /* of one worker: a queue, not a store */
#define MAX_BYTES      (4u << 20) /* not sent yet; then it takes no more */
#define ENOUGH_JOBS    64u	  /* while one has fewer, it is not worth waking another */
#define CHECK_MS       50
#define N_PRIVATE      2 /* processes at a time for jobs with credentials */

/* --- who gets a job ------------------------------------------------------------------------ */

static bool is_full(const struct worker *w)
{
	return !w->is_up || w == w->all->leaving || w->n_jobs >= MAX_JOBS ||
	       w->out.len - w->n_sent >= MAX_BYTES;
}

/* The first that has little to do, so that batches are large and the others sleep; else the one with
 * the least to do. */
static struct worker *choose(struct workers *all)
{
	struct worker *best = NULL;

	for (size_t i = 0; i < all->n; i++) {
		struct worker *w = &all->items[i];

		if (is_full(w) || (w == all->slow && all->n > 1))
			continue;
		if (w->n_jobs < ENOUGH_JOBS)
			return w;
		if (!best || w->n_jobs < best->n_jobs)
			best = w;
	}
	return best;
}

/* The one with the least to do, the last of them. */
static struct worker *choose_for_slow(struct workers *all)
{
	struct worker *best = NULL;

	for (size_t i = 0; i < all->n && !all->slow; i++) {
		struct worker *w = &all->items[i];

		if (!is_full(w) && (!best || w->n_jobs <= best->n_jobs))
			best = w;
	}
	return best;
}

static size_t job_bytes(const struct job *job)
{
	return job->type == JOB_READ ? message_size(job->message) : job->plain.body_len;
}

static void refuse_large(struct job *job)
{
	struct results results = { 0 };

	results_refuse(&results, DEAD_TOO_LARGE,
		       "%zu bytes; what is more than %u cannot be translated", job_bytes(job),
		       WORKER_JOB_BYTES);
	executor_back(job, &results);
}

/* False: it takes a process that has jq. */
static bool do_in_place(struct job *job)
{
	struct results results = { 0 };

	if (job->needs_jq || job_bytes(job) > IN_PLACE_BYTES)
		return false;
	if (!job_calls_nothing(job) && (job_has_secrets(job) || !job_is_simple(job)))
		return false;
	translate(job, &results);
	job->needs_jq = results.lacks_jq;
	if (job->needs_jq)
		results_fini(&results);
	else
		executor_back(job, &results);
	return !job->needs_jq;
}

bool worker_is_private(const struct worker *w)
{
	return w >= w->all->items + w->all->n;
}

static struct worker *choose_private(struct workers *all)
{
	for (size_t i = all->n; i < all->n_all; i++)
		if (!all->items[i].pid && all->items[i].n_jobs == 0)
			return &all->items[i];
	return NULL;
}

static struct worker *choose_for(struct workers *all, struct job *job)
{
	struct worker *w;

	if (job_has_secrets(job))
		return choose_private(all);
	w = job->is_slow ? choose_for_slow(all) : choose(all);
	if (w && job->is_slow)
		all->slow = w;
	return w;
}

static bool take(void *ctx, struct job *job)
{
	struct workers *all = ctx;
	struct worker *w;

	if (job_bytes(job) > WORKER_JOB_BYTES) {
		refuse_large(job);
		return true;
	}
	if (do_in_place(job))
		return true;
	w = choose_for(all, job);
	if (!w)
		return false;
	job->was_slow = w == all->slow && job->is_slow;
	job->attempts = job->ends = 0;
	job->is_alone = false;
	TAILQ_INSERT_TAIL(&w->jobs, job, hand_entry);
	w->n_jobs++;
	if (!w->next)
		w->next = job;
	if (worker_is_private(w))
		workers_start_missing(all);
	else
		worker_give_more(w);
	workers_set_check(all);
	return true;
}

static void tell(void *ctx, const struct plan *plan, const char *key, const char *value)
{
	struct workers *all = ctx;

	if (all->compiler)
		compiler_tell(all->compiler, plan, key, value);
	for (size_t i = 0; i < all->n_all; i++) {
		struct worker *w = &all->items[i];
		size_t begin;

		if (!w->pid)
			continue; /* it will begin with the table as it is then */
		begin = worker_begin_frame(w, FRAME_DEVICE);
		pack_u64(&w->out, job_codec_plan(plan));
		pack_text(&w->out, key);
		pack_text(&w->out, value);
		pack_frame_end(&w->out, begin);
	}
}

/* A process that is gone is seen to by its socket's end. */
void workers_flush(struct workers *all)
{
	for (size_t i = 0; i < all->n_all; i++)
		if (all->items[i].is_up && all->items[i].out.len > 0)
			worker_send_out(&all->items[i]);
}

/* --- looking after them -------------------------------------------------------------------- */

/* Is there something to look after? */
static bool has_work(const struct workers *all)
{
	for (size_t i = 0; i < all->n_all; i++)
		if (all->items[i].n_jobs > 0 || (i < all->n && !all->items[i].is_up))
			return true;
	return false;
}

static void on_check(void *ctx);

void workers_set_check(struct workers *all)
{
	if (all->is_checking)
		return;
	all->is_checking = true;
	loop_timer_set(all->loop, &all->check, CHECK_MS, on_check, all);
}

/* One that has less than there is, once that is all that was wanted.  NULL: none, or not now. */
static struct worker *choose_to_renew(struct workers *all)
{
	struct worker *old = NULL;

	if (all->leaving || compiler_is_busy(all->compiler) || !own_programs_are_begun(&all->own))
		return NULL;
	for (size_t i = 0; i < all->n; i++) {
		struct worker *w = &all->items[i];

		if (!w->is_up)
			return NULL;
		if (!old && w->n_own < compiler_n_own(all->compiler))
			old = w;
	}
	return old;
}

static void renew_one(struct workers *all)
{
	all->leaving = choose_to_renew(all);
	if (all->leaving && all->leaving->n_jobs == 0)
		worker_renew(all->leaving);
}

/* Have compiled what workers want, and give it to them. */
static void see_to_own(struct workers *all)
{
	struct own_program next;

	if (!all->compiler || all->leaving)
		return;
	for (size_t i = 0; i < all->n; i++)
		own_programs_hear(&all->own, &all->items[i].progress->wanted,
				  &all->items[i].n_heard);
	if (!compiler_is_busy(all->compiler) && own_programs_next(&all->own, &next))
		compiler_want_own(all->compiler, next.mapping, next.fn);
	renew_one(all);
}

static void on_check(void *ctx)
{
	struct workers *all = ctx;

	all->is_checking = false;
	for (size_t i = 0; i < all->n_all; i++) {
		worker_check(&all->items[i]);
		worker_check_start(&all->items[i]);
	}
	workers_start_missing(all);
	workers_check_end(all);
	see_to_own(all);
	if (has_work(all))
		workers_set_check(all);
}

/* --- making and ending --------------------------------------------------------------------- */

unsigned workers_wanted(unsigned n)
{
	cpu_set_t set;
	unsigned cores =
		sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;

	if (n > 0)
		return n;
	return cores > 1 ? cores - 1 : 1;
}

/* (A file in memory, since the process may be no fork of this one.  It has no name and no other descriptor.) */
static bool init_worker(struct workers *all, struct worker *w, struct err *e)
{
	*w = (struct worker){ .all = all };
	TAILQ_INIT(&w->jobs);
	w->progress_fd = memfd_create("calque-worker", MFD_CLOEXEC);
	if (w->progress_fd >= 0 && ftruncate(w->progress_fd, sizeof *w->progress) == 0)
		w->progress = worker_progress_map(w->progress_fd);
	if (!w->progress)
		err_errno(e, "worker: memory to share");
	return w->progress != NULL;
}

struct workers *workers_new(struct loop *l, unsigned n, struct err *e)
{
	struct workers *all = mem_zalloc(sizeof *all);
	unsigned wanted = workers_wanted(n);

	all->loop = l;
	all->pool = (struct worker_pool){ take, tell, all };
	all->n = wanted;
	all->items = mem_zalloc((wanted + N_PRIVATE) * sizeof *all->items);
	while (all->n_all < wanted + N_PRIVATE)
		if (!init_worker(all, &all->items[all->n_all++], e)) {
			workers_free(all);
			return NULL;
		}
	return all;
}

static void on_compiler(void *ctx, bool readable, bool writable)
{
	struct workers *all = ctx;

	(void)readable;
	(void)writable;
	compiler_hear(all->compiler);
	if (!compiler_is_lost(all->compiler)) {
		see_to_own(all);
		return;
	}
	loop_watch(all->loop, &all->compiler_watch, all->compiler_watch.fd, false, false);
	log_event(LOG_ERROR, "compiler-lost", "consequence=%s",
		  log_value("workers that end are not replaced; without any, calque ends"));
}

void workers_fork_from(struct workers *all, struct compiler *c, void (*gone)(void *ctx), void *ctx)
{
	all->compiler = c;
	all->gone = gone;
	all->gone_ctx = ctx;
	all->compiler_watch = (struct loop_watch){ .on_ready = on_compiler, .ctx = all };
	loop_watch(all->loop, &all->compiler_watch, compiler_fd(c), true, false);
}

static bool wait_until_up(struct worker *w, struct err *e)
{
	struct pollfd fd = { .fd = w->watch.fd, .events = POLLIN };

	while (!w->is_up) {
		int64_t left_ms = w->deadline_ms - clock_mono_ms();

		if (left_ms > 0 && poll(&fd, 1, (int)left_ms) < 0 && errno == EINTR)
			continue;
		if (!worker_hear(w, e))
			return false;
	}
	return true;
}

bool workers_start(struct workers *all, struct err *e)
{
	for (size_t i = 0; i < all->n; i++)
		if (!worker_start(&all->items[i], e))
			return false;
	for (size_t i = 0; i < all->n; i++)
		if (!wait_until_up(&all->items[i], e))
			return false;
	return true;
}

static void free_memory(void *ctx)
{
	free(ctx);
}

void workers_free(struct workers *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n_all; i++) {
		struct worker *w = &all->items[i];

		if (w->pid)
			worker_end_process(w);
		if (w->progress)
			munmap(w->progress, sizeof *w->progress);
		if (w->progress_fd >= 0)
			close(w->progress_fd);
		buf_fini(&w->in);
		buf_fini(&w->out);
	}
	free(all->items);
	if (all->compiler_watch.is_active)
		loop_watch(all->loop, &all->compiler_watch, all->compiler_watch.fd, false, false);
	buf_fini(&all->scratch);
	all->check.ctx = all;
	loop_timer_close(&all->check, free_memory);
}

const struct worker_pool *workers_pool(struct workers *all)
{
	return &all->pool;
}

void workers_count(const struct workers *all, struct workers_counters *out)
{
	*out = all->counters;
	out->processes = 0;
	for (size_t i = 0; i < all->n_all; i++)
		out->processes += all->items[i].is_up;
	out->own_programs = all->compiler ? compiler_n_own(all->compiler) : 0;
}
