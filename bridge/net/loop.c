/* loop.c -- a turn: libuv's timers, then before_sleep, the sleep, then what became ready; so before_sleep is
 * the one place that comes after all input and before any waiting.
 *
 * libuv must not poll a descriptor that somebody else closes, and libmosquitto closes its own before it
 * says so.  So the sessions are in an epoll of ours, and libuv polls that one descriptor.  The kernel
 * takes a closed descriptor out of an epoll by itself; by_fd[] knows which watch had a number last, so
 * that one whose descriptor is closed, and whose number has been given again, disturbs nobody.
 * Level-triggered, because the library reads as many packets as it likes. */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#define EVENTS_PER_POLL 256

/* Lookups of a dead resolver block their thread for many seconds; libuv's four threads would keep
 * the healthy links waiting behind them. */
#define POOL_THREADS "16"

/* At the end: how long work may take that is still under way. */
#define WORK_END_MS 500

struct signal_watch {
	uv_signal_t uv;
	void (*f)(void *ctx, int signum);
	void *ctx;
	struct signal_watch *next;
};

struct work {
	uv_work_t uv;
	void (*work)(void *ctx);
	void (*done)(void *ctx);
	void *ctx;
};

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_poll_t poll;
	uv_async_t again;
	int epoll_fd;
	int64_t now_ms;
	bool is_now_stale; /* a new turn has begun */
	void (*before_sleep)(void *ctx, int64_t now_ms);
	void *before_sleep_ctx;
	struct loop_watch **by_fd; /* the watch that last claimed a descriptor, or NULL */
	size_t n_fds;
	struct signal_watch *signals;
};

/* Every callback of libuv enters through here, so the first one of a turn reads the time. */
static struct loop *enter(uv_loop_t *uv)
{
	struct loop *l = uv->data;

	if (l->is_now_stale) {
		l->now_ms = clock_now_ms();
		l->is_now_stale = false;
	}
	return l;
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct loop *l = enter(prepare->loop);

	if (l->before_sleep)
		l->before_sleep(l->before_sleep_ctx, l->now_ms);
	l->is_now_stale = true;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct loop *l = enter(poll->loop);
	struct epoll_event ready[EVENTS_PER_POLL];
	int n = epoll_wait(l->epoll_fd, ready, EVENTS_PER_POLL, 0);

	(void)status;
	(void)events;
	for (int i = 0; i < n; i++) {
		/* Looked up each time: a callback may have ended the watch of a later event. */
		struct loop_watch *w = l->by_fd[ready[i].data.fd];
		bool failed = ready[i].events & (EPOLLERR | EPOLLHUP);

		if (w)
			w->on_ready(w->ctx, failed || (ready[i].events & EPOLLIN),
				    ready[i].events & (EPOLLOUT | EPOLLERR));
	}
}

static void on_again(uv_async_t *again)
{
	enter(again->loop);
}

void loop_again(struct loop *l)
{
	uv_async_send(&l->again);
}

/* Set up the handles of `l`.  A libuv error code, or 0. */
static int open_handles(struct loop *l)
{
	int rc = uv_prepare_init(&l->uv, &l->prepare);

	if (rc == 0)
		rc = uv_prepare_start(&l->prepare, on_prepare);
	if (rc == 0)
		rc = uv_poll_init(&l->uv, &l->poll, l->epoll_fd);
	if (rc == 0)
		rc = uv_poll_start(&l->poll, UV_READABLE, on_poll);
	if (rc == 0)
		rc = uv_async_init(&l->uv, &l->again, on_again);
	return rc;
}

struct loop *loop_new(struct err *e)
{
	struct loop *l = mem_zalloc(sizeof *l);
	int rc;

	l->is_now_stale = true;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		err_errno(e, "epoll");
		free(l);
		return NULL;
	}
	rc = uv_loop_init(&l->uv);
	if (rc != 0) {
		err_set(e, ERR_IO, "event loop: %s", uv_strerror(rc));
		close(l->epoll_fd);
		free(l);
		return NULL;
	}
	l->uv.data = l;
	enter(&l->uv);
	rc = open_handles(l);
	if (rc != 0) {
		err_set(e, ERR_IO, "event loop: %s", uv_strerror(rc));
		loop_free(l);
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* the write that is refused says so */
	return l;
}

static void on_signal_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* Handles that loop_new() could not open have no type yet. */
static void close_handle(uv_handle_t *handle)
{
	if (handle->type != UV_UNKNOWN_HANDLE)
		uv_close(handle, NULL);
}

static void on_work_too_long(uv_timer_t *limit)
{
	uv_stop(limit->loop);
}

/* Let everything come to its end.  False: there is work that does not. */
static bool run_out(struct loop *l)
{
	uv_timer_t limit;
	bool is_over;

	uv_timer_init(&l->uv, &limit);
	uv_timer_start(&limit, on_work_too_long, WORK_END_MS, 0);
	uv_unref((uv_handle_t *)&limit);
	is_over = uv_run(&l->uv, UV_RUN_DEFAULT) == 0;
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&l->uv, UV_RUN_NOWAIT);
	return is_over;
}

/* libuv would join its threads on the way out of exit(). */
static void exit_at_once(int status, void *unused)
{
	(void)unused;
	fflush(NULL);
	_exit(status);
}

void loop_free(struct loop *l)
{
	int rc;

	if (!l)
		return;
	close_handle((uv_handle_t *)&l->prepare);
	close_handle((uv_handle_t *)&l->poll);
	close_handle((uv_handle_t *)&l->again);
	while (l->signals) {
		struct signal_watch *w = l->signals;

		l->signals = w->next;
		uv_close((uv_handle_t *)&w->uv, on_signal_closed);
	}
	if (!run_out(l)) {
		log_event(LOG_WARNING, "work-abandoned", "after_ms=%d", WORK_END_MS);
		on_exit(exit_at_once, NULL);
		return;
	}
	rc = uv_loop_close(&l->uv);
	assert(rc == 0);
	(void)rc;
	close(l->epoll_fd);
	free(l->by_fd);
	free(l);
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

void loop_before_sleep(struct loop *l, void (*f)(void *ctx, int64_t now_ms), void *ctx)
{
	l->before_sleep = f;
	l->before_sleep_ctx = ctx;
}

int64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

void loop_set_now_ms(struct loop *l, int64_t now_ms)
{
	l->now_ms = now_ms;
}

static void forget(struct loop *l, struct loop_watch *w)
{
	/* If somebody else has the number by now, the descriptor of this watch is long closed. */
	if (l->by_fd[w->fd] == w) {
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
		l->by_fd[w->fd] = NULL;
	}
	w->is_active = false;
}

static void claim(struct loop *l, struct loop_watch *w, int fd)
{
	size_t n = l->n_fds ? l->n_fds : 64;

	while (n <= (size_t)fd)
		n *= 2;
	if (n != l->n_fds) {
		l->by_fd = mem_realloc(l->by_fd, n * sizeof(struct loop_watch *));
		memset(l->by_fd + l->n_fds, 0, (n - l->n_fds) * sizeof(struct loop_watch *));
		l->n_fds = n;
	}
	if (l->by_fd[fd] && l->by_fd[fd] != w)
		l->by_fd[fd]->is_active = false;
	l->by_fd[fd] = w;
}

void loop_watch(struct loop *l, struct loop_watch *w, int fd, bool reading, bool writing)
{
	uint32_t events = (reading ? (uint32_t)EPOLLIN : 0) | (writing ? (uint32_t)EPOLLOUT : 0);
	struct epoll_event event = { .events = events, .data.fd = fd };
	int rc;

	if (w->is_active && (w->fd != fd || events == 0))
		forget(l, w);
	if (events == 0 || (w->is_active && w->events == events))
		return;
	claim(l, w, fd);
	rc = epoll_ctl(l->epoll_fd, w->is_active ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
	if (rc < 0 && (errno == ENOENT || errno == EEXIST))
		rc = epoll_ctl(l->epoll_fd, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd,
			       &event);
	if (rc < 0)
		log_event(LOG_ERROR, "watch-failed", "fd=%d reason=%s", fd,
			  log_value(strerror(errno)));
	w->fd = fd;
	w->events = events;
	w->is_active = true;
}

static void on_timer(uv_timer_t *uv)
{
	struct loop_timer *t = uv->data;

	enter(uv->loop);
	t->f(t->ctx);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t after_ms, void (*f)(void *ctx),
		    void *ctx)
{
	if (!t->is_open) {
		uv_timer_init(&l->uv, &t->uv);
		t->uv.data = t;
		t->is_open = true;
	}
	t->f = f;
	t->ctx = ctx;
	uv_timer_start(&t->uv, on_timer, after_ms, 0);
}

void loop_timer_set_about(struct loop *l, struct loop_timer *t, uint64_t after_ms,
			  void (*f)(void *ctx), void *ctx)
{
	uint64_t late_ms = 999 - (uv_now(&l->uv) + after_ms + 999) % 1000;

	loop_timer_set(l, t, late_ms <= after_ms / 4 ? after_ms + late_ms : after_ms, f, ctx);
}

void loop_timer_stop(struct loop_timer *t)
{
	if (t->is_open)
		uv_timer_stop(&t->uv);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct loop_timer *t = handle->data;

	if (t->closed)
		t->closed(t->ctx);
}

void loop_timer_close(struct loop_timer *t, void (*closed)(void *ctx))
{
	t->closed = closed;
	if (t->is_open) {
		t->is_open = false;
		uv_close((uv_handle_t *)&t->uv, on_timer_closed);
	} else if (closed) {
		closed(t->ctx);
	}
}

static void on_signal(uv_signal_t *uv, int signum)
{
	struct signal_watch *w = uv->data;

	enter(uv->loop);
	w->f(w->ctx, signum);
}

bool loop_on_signal(struct loop *l, int signum, void (*f)(void *ctx, int signum), void *ctx,
		    struct err *e)
{
	struct signal_watch *w = mem_zalloc(sizeof *w);
	int rc;

	w->f = f;
	w->ctx = ctx;
	rc = uv_signal_init(&l->uv, &w->uv);
	if (rc != 0) {
		err_set(e, ERR_IO, "signal %d: %s", signum, uv_strerror(rc));
		free(w);
		return false;
	}
	w->uv.data = w;
	rc = uv_signal_start(&w->uv, on_signal, signum);
	if (rc != 0) {
		err_set(e, ERR_IO, "signal %d: %s", signum, uv_strerror(rc));
		uv_close((uv_handle_t *)&w->uv, on_signal_closed);
		return false;
	}
	w->next = l->signals;
	l->signals = w;
	return true;
}

static void on_work(uv_work_t *uv)
{
	struct work *w = uv->data;

	w->work(w->ctx);
}

static void on_work_done(uv_work_t *uv, int status)
{
	struct work *w = uv->data;

	(void)status; /* nobody cancels work */
	enter(uv->loop);
	w->done(w->ctx);
	free(w);
}

void loop_work(struct loop *l, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
	static bool is_pool_sized;
	struct work *w = mem_zalloc(sizeof *w);

	/* libuv reads the size of its pool when the first work is queued. */
	if (!is_pool_sized)
		setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
	is_pool_sized = true;
	w->uv.data = w;
	w->work = work;
	w->done = done;
	w->ctx = ctx;
	uv_queue_work(&l->uv, &w->uv, on_work, on_work_done);
}

void loop_run(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}
