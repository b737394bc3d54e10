/* worker_process.c -- how a process of a worker begins and ends. */
#include "work/worker_inside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "net/loop.h"
#include "work/compiler.h"
#include "work/worker_begin.h"
#include "work/worker_child.h"

#define READY_MS 10000 /* for a process to be in its sandbox */
#define PAUSE_MS                                                                                   \
	100 /* before the third try in a row that leads to no job done; doubled for each further one */
#define MAX_PAUSE_MS 10000

int worker_end_process(struct worker *w)
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
	worker_end_process(w);
	w->n_vain = 0;
	if (w->in.data)
		explicit_bzero(w->in.data, w->in.cap);
	if (w->out.data)
		explicit_bzero(w->out.data, w->out.cap);
}

/* A process has ended, or there was none: when may there be another one? */
void worker_pause_starts(struct worker *w, bool was_in_vain)
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
		worker_end_process(w);
	worker_pause_starts(w, true);
	workers_set_check(w->all);
	log_limited(LOG_ERROR, loop_now_ms(w->all->loop), "worker-failed", "worker-failed",
		    "reason=%s", log_value(e->text));
}

/* Starting for too long? */
void worker_check_start(struct worker *w)
{
	struct err e = { 0 };

	if (!w->pid || w->is_up || clock_mono_ms() < w->deadline_ms)
		return;
	err_set(&e, ERR_IO, "worker: the process does not answer");
	start_failed(w, &e);
}

/* It says that it is ready, or why not. */
bool worker_hear(struct worker *w, struct err *e)
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

	if (!worker_hear(w, &e))
		start_failed(w, &e);
	else if (w->is_up) {
		worker_give_more(w);
		if (!worker_send_out(w))
			worker_lost(w);
	}
}

static void on_ready(void *ctx, bool readable, bool writable)
{
	struct worker *w = ctx;

	if (!w->is_up)
		greet(w);
	else if ((readable && !worker_receive(w)) || (writable && !worker_send_out(w)))
		worker_lost(w);
	else if (worker_is_private(w) && w->n_jobs == 0)
		dismiss(w);
	else if (w == w->all->leaving && w->n_jobs == 0)
		worker_renew(w);
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
void worker_renew(struct worker *w)
{
	struct err e = { 0 };

	w->all->leaving = NULL;
	w->all->counters.renewed++;
	worker_end_process(w);
	if (!worker_start(w, &e))
		start_failed(w, &e);
}

/* Fork one, which is not up yet. */
bool worker_start(struct worker *w, struct err *e)
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
	workers_set_check(w->all);
	return true;
}

/* What is not there could not be started the last time, or not yet.  It is tried again even if nothing is to be
 * done: a worker that is not there is given nothing. */
void workers_start_missing(struct workers *all)
{
	struct err e = { 0 };

	for (size_t i = 0; i < all->n_all; i++) {
		struct worker *w = &all->items[i];
		bool is_wanted = i < all->n || w->n_jobs > 0;

		if (is_wanted && !w->pid && clock_mono_ms() >= w->again_ms && !worker_start(w, &e))
			start_failed(w, &e);
	}
}

static bool has_process(const struct workers *all)
{
	for (size_t i = 0; i < all->n_all; i++)
		if (all->items[i].pid)
			return true;
	return false;
}

/* With nobody to fork from, those that are there go on, and with the last of them all ends. */
void workers_check_end(struct workers *all)
{
	void (*gone)(void *ctx) = all->gone;

	if (!gone || has_process(all) || !compiler_is_lost(all->compiler))
		return;
	all->gone = NULL;
	gone(all->gone_ctx);
}
