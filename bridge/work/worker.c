/* worker.c -- the bridge's side of the workers.
 *
 * A worker is missing, starting (pid), or up (is_up: it said so).  Jobs that it has stay in `jobs`, oldest first, until
 * their results are back; the first n_given of them its process was given, and answers in that order: so nothing
 * needs a number, and when the process ends with one in hand, that is the (started - n_back)th.  The counts are in
 * memory that both see, since a process that crashes or is killed says nothing any more.
 *
 * Who ends: one that died (its socket ends), one that used WORKER_JOB_MS of processor time for one job, or has not
 * answered for WORKER_WALL_MS (check()), one that answered what its job cannot have led to.
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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
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

#define IN_PLACE_BYTES 4096	  /* of a message that needs no jq */
#define MAX_JOBS       1024u	  /* of one worker: a queue, not a store */
#define MAX_BYTES      (4u << 20) /* not sent yet; then it takes no more */
#define ENOUGH_JOBS    64u	  /* while one has fewer, it is not worth waking another */
#define READ_BYTES     (64u << 10)
#define KEEP_BYTES     (1u << 20) /* of an empty buffer; what a huge message made it is given back */
#define CHECK_MS       50
#define READY_MS       10000 /* for a process to be in its sandbox */
#define PAUSE_MS                                                                                   \
	100 /* before the third try in a row that leads to no job done; doubled for each further one */
#define MAX_PAUSE_MS 10000
#define MAX_ATTEMPTS 2
#define MAX_ENDS                                                                                   \
	8 /* of processes that had this job alone, and say that they did not have it in hand */
#define SLOW_JOB_MS (WORKER_JOB_MS / 4)
#define N_PRIVATE   2 /* processes at a time for jobs with credentials */

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

/* --- giving -------------------------------------------------------------------------------- */

static size_t begin_frame(struct worker *w, enum frame type)
{
	size_t begin = pack_frame_begin(&w->out);

	pack_u8(&w->out, type);
	return begin;
}

static void put_job(struct worker *w, const struct job *job)
{
	size_t begin = begin_frame(w, FRAME_JOB);

	job_codec_put_job(&w->out, job);
	pack_frame_end(&w->out, begin);
}

static bool wants_alone(const struct job *job)
{
	return job->is_alone || job->was_slow;
}

static void give(struct worker *w)
{
	if (w->n_given == 0)
		w->since_ms = clock_mono_ms();
	put_job(w, w->next);
	w->n_given++;
	w->has_alone = wants_alone(w->next);
	w->next = TAILQ_NEXT(w->next, hand_entry);
}

/* What its process may have by now. */
static void give_more(struct worker *w)
{
	while (w->next && !w->has_alone && (w->n_given == 0 || !wants_alone(w->next)))
		give(w);
}

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

static void set_check(struct workers *all);
static void start_missing(struct workers *all);

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

static bool is_private(const struct worker *w)
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
	if (is_private(w))
		start_missing(all);
	else
		give_more(w);
	set_check(all);
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
		begin = begin_frame(w, FRAME_DEVICE);
		pack_u64(&w->out, job_codec_plan(plan));
		pack_text(&w->out, key);
		pack_text(&w->out, value);
		pack_frame_end(&w->out, begin);
	}
}

static void greet(struct worker *w);
static void dismiss(struct worker *w);
static void renew(struct worker *w);
static void lost(struct worker *w);

/* Write what the socket takes.  False: the process is gone. */
static bool send_out(struct worker *w)
{
	while (w->n_sent < w->out.len) {
		ssize_t n = send(w->watch.fd, w->out.data + w->n_sent, w->out.len - w->n_sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			w->n_sent += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return false;
	}
	if (w->n_sent == w->out.len) {
		buf_reset_above(&w->out, KEEP_BYTES);
		w->n_sent = 0;
	} else if (w->n_sent > w->out.len / 2) { /* under load it is never empty */
		buf_drop(&w->out, w->n_sent);
		w->n_sent = 0;
	}
	loop_watch(w->all->loop, &w->watch, w->watch.fd, true, w->out.len > 0);
	return true;
}

/* A process that is gone is seen to by its socket's end. */
void workers_flush(struct workers *all)
{
	for (size_t i = 0; i < all->n_all; i++)
		if (all->items[i].is_up && all->items[i].out.len > 0)
			send_out(&all->items[i]);
}

/* --- taking back --------------------------------------------------------------------------- */

/* One that its process was given. */
static struct job *take_out(struct worker *w, struct job *job)
{
	TAILQ_REMOVE(&w->jobs, job, hand_entry);
	w->n_jobs--;
	w->n_given--;
	w->has_alone = false;
	if (job->was_slow)
		w->all->slow = NULL;
	return job;
}

/* The results of the oldest job.  False: they are not its. */
static bool take_results(struct worker *w, struct unpack *frame)
{
	struct results results = { 0 };

	if (w->n_given == 0 ||
	    !job_codec_get_results(frame, TAILQ_FIRST(&w->jobs), &w->all->scratch, &results)) {
		results_fini(&results);
		return false;
	}
	w->n_back++;
	w->since_ms = clock_mono_ms();
	executor_back(take_out(w, TAILQ_FIRST(&w->jobs)), &results);
	give_more(w);
	return true;
}

static bool take_frames(struct worker *w)
{
	struct unpack u = { .p = w->in.data, .left = w->in.len }, frame;
	bool ok = true;

	while (ok && unpack_frame(&u, &frame))
		ok = take_results(w, &frame);
	if (unpack_frame_is_over(&u, JOB_CODEC_ANSWER_BYTES))
		ok = false;
	w->has_lied = !ok;
	buf_drop(&w->in, w->in.len - u.left);
	if (u.left == 0)
		buf_reset_above(&w->in, KEEP_BYTES);
	buf_reset_above(&w->all->scratch, KEEP_BYTES);
	return ok;
}

static bool receive(struct worker *w)
{
	for (;;) {
		size_t room;
		ssize_t n;

		buf_reserve(&w->in, READ_BYTES);
		room = w->in.cap - w->in.len - 1;
		n = recv(w->watch.fd, w->in.data + w->in.len, room, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		w->in.len += (size_t)n;
		if (!take_frames(w))
			return false;
		if ((size_t)n < room)
			return true;
	}
}

static void on_ready(void *ctx, bool readable, bool writable)
{
	struct worker *w = ctx;

	if (!w->is_up)
		greet(w);
	else if ((readable && !receive(w)) || (writable && !send_out(w)))
		lost(w);
	else if (is_private(w) && w->n_jobs == 0)
		dismiss(w);
	else if (w == w->all->leaving && w->n_jobs == 0)
		renew(w);
}

/* --- checking ------------------------------------------------------------------------------ */

static void on_check(void *ctx);
static void check_end(struct workers *all);

/* Is there something to look after? */
static bool has_work(const struct workers *all)
{
	for (size_t i = 0; i < all->n_all; i++)
		if (all->items[i].n_jobs > 0 || (i < all->n && !all->items[i].is_up))
			return true;
	return false;
}

static void set_check(struct workers *all)
{
	if (all->is_checking)
		return;
	all->is_checking = true;
	loop_timer_set(all->loop, &all->check, CHECK_MS, on_check, all);
}

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
static void check(struct worker *w)
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

/* --- programs of functions ----------------------------------------------------------------- */

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
		renew(all->leaving);
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

/* --- ends and beginnings ------------------------------------------------------------------- */

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

	take_out(w, job);
	results_refuse(&results, DEAD_MAPPING_OVERRUN, "%s", why);
	executor_back(job, &results);
}

static int end_process(struct worker *w)
{
	int status = 0;

	if (w->watch.is_active)
		loop_watch(w->all->loop, &w->watch, w->watch.fd, false, false);
	close(w->watch.fd);
	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	w->pid = 0;
	w->is_up = false;
	return status;
}

/* It has done what it was made for; what it has seen goes with it. */
static void dismiss(struct worker *w)
{
	end_process(w);
	w->n_vain = 0;
	if (w->in.data)
		explicit_bzero(w->in.data, w->in.cap);
	if (w->out.data)
		explicit_bzero(w->out.data, w->out.cap);
}

static bool start(struct worker *w, struct err *e);

/* A process has ended, or there was none: when may there be another one? */
static void pause_starts(struct worker *w, bool was_in_vain)
{
	int64_t ms = 0;

	w->n_vain = was_in_vain ? w->n_vain + 1 : 0;
	for (unsigned i = 1; i < w->n_vain && ms < MAX_PAUSE_MS; i++)
		ms = ms ? 2 * ms : PAUSE_MS;
	w->again_ms = clock_mono_ms() + (ms < MAX_PAUSE_MS ? ms : MAX_PAUSE_MS);
}

static void start_failed(struct worker *w, const struct err *e)
{
	if (w->pid)
		end_process(w);
	pause_starts(w, true);
	set_check(w->all);
	log_limited(LOG_ERROR, loop_now_ms(w->all->loop), "worker-failed", "worker-failed",
		    "reason=%s", log_value(e->text));
}

/* What is not there could not be started the last time, or not yet.  It is tried again even if nothing is to be
 * done: a worker that is not there is given nothing. */
static void start_missing(struct workers *all)
{
	struct err e = { 0 };

	for (size_t i = 0; i < all->n_all; i++) {
		struct worker *w = &all->items[i];
		bool is_wanted = i < all->n || w->n_jobs > 0;

		if (is_wanted && !w->pid && clock_mono_ms() >= w->again_ms && !start(w, &e))
			start_failed(w, &e);
	}
}

/* Starting for too long? */
static void check_start(struct worker *w)
{
	struct err e = { 0 };

	if (!w->pid || w->is_up || clock_mono_ms() < w->deadline_ms)
		return;
	err_set(&e, ERR_IO, "worker: the process does not answer");
	start_failed(w, &e);
}

static bool has_process(const struct workers *all)
{
	for (size_t i = 0; i < all->n_all; i++)
		if (all->items[i].pid)
			return true;
	return false;
}

/* With nobody to fork from, those that are there go on, and with the last of them all ends. */
static void check_end(struct workers *all)
{
	void (*gone)(void *ctx) = all->gone;

	if (!gone || has_process(all) || !compiler_is_lost(all->compiler))
		return;
	all->gone = NULL;
	gone(all->gone_ctx);
}

static void on_check(void *ctx)
{
	struct workers *all = ctx;

	all->is_checking = false;
	for (size_t i = 0; i < all->n_all; i++) {
		check(&all->items[i]);
		check_start(&all->items[i]);
	}
	start_missing(all);
	check_end(all);
	see_to_own(all);
	if (has_work(all))
		set_check(all);
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
static void lost(struct worker *w)
{
	struct workers *all = w->all;
	struct job *job = blame(w), *only = w->n_given == 1 ? TAILQ_FIRST(&w->jobs) : NULL;
	bool is_done = false;
	char why[120];

	all->counters.replaced++;
	all->counters.lied += w->has_lied;
	describe_end(w, job, end_process(w), why, sizeof why);
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
	pause_starts(w, w->n_back == 0 && !is_done);
	check_end(all);
	start_missing(all);
	set_check(all);
}

unsigned workers_wanted(unsigned n)
{
	cpu_set_t set;
	unsigned cores =
		sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;

	if (n > 0)
		return n;
	return cores > 1 ? cores - 1 : 1;
}

/* It says that it is ready, or why not. */
static bool hear(struct worker *w, struct err *e)
{
	char said[sizeof e->text];
	ssize_t n = recv(w->watch.fd, said, sizeof said - 1, MSG_DONTWAIT);

	w->is_up = n == 1 && said[0] == WORKER_READY;
	if (w->is_up || (n < 0 && errno == EINTR))
		return true;
	said[n > 0 ? n : 0] = '\0';
	err_set(e, ERR_IO, "worker: %s", n > 0 ? said : "the process does not answer");
	return false;
}

static void greet(struct worker *w)
{
	struct err e = { 0 };

	if (!hear(w, &e))
		start_failed(w, &e);
	else if (w->is_up) {
		give_more(w);
		if (!send_out(w))
			lost(w);
	}
}

static pid_t fork_process(struct worker *w, int fd, struct err *e)
{
	pid_t parent = getpid(), pid;

	if (w->all->compiler)
		return compiler_fork(w->all->compiler, fd, w->progress_fd, e);
	pid = fork();
	if (pid == 0)
		worker_begin(fd, w->progress, parent);
	if (pid < 0)
		err_errno(e, "fork");
	return pid;
}

/* It has nothing in hand. */
static void renew(struct worker *w)
{
	struct err e = { 0 };

	w->all->leaving = NULL;
	w->all->counters.renewed++;
	end_process(w);
	if (!start(w, &e))
		start_failed(w, &e);
}

/* Fork one, which is not up yet. */
static bool start(struct worker *w, struct err *e)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		err_set(e, ERR_IO, "worker: socketpair: %s", strerror(errno));
		return false;
	}
	atomic_store(&w->progress->started, 0);
	atomic_store(&w->progress->done, 0);
	atomic_store(&w->progress->wanted.n, 0);
	w->n_heard = 0;
	if (w->all->leaving == w)
		w->all->leaving = NULL;
	w->pid = fork_process(w, ends[1], e);
	close(ends[1]);
	if (w->pid < 0) {
		w->pid = 0;
		close(ends[0]);
		err_prefix(e, "worker");
		return false;
	}
	w->n_own = w->all->compiler ? compiler_n_own(w->all->compiler) : 0;
	w->deadline_ms = clock_mono_ms() + READY_MS;
	w->n_back = w->checked = 0;
	w->has_overrun = w->has_stalled = w->has_lied = false;
	w->checked_cpu = (struct timespec){ 0 };
	buf_reset(&w->in);
	buf_reset(&w->out);
	w->n_sent = 0;
	w->next = TAILQ_FIRST(&w->jobs);
	w->n_given = 0;
	w->has_alone = false;
	w->watch = (struct loop_watch){ .on_ready = on_ready, .ctx = w };
	loop_watch(w->all->loop, &w->watch, ends[0], true, false);
	set_check(w->all);
	return true;
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
		if (!hear(w, e))
			return false;
	}
	return true;
}

bool workers_start(struct workers *all, struct err *e)
{
	for (size_t i = 0; i < all->n; i++)
		if (!start(&all->items[i], e))
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
			end_process(w);
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
