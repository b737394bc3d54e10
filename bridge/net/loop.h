/* loop.h -- the event loop: libuv, with one poll on an epoll of ours that holds the sessions.
 *
 * libmosquitto closes its descriptors itself, which uv_poll_t does not bear (libuv: "do not close a
 * polled descriptor"); a plain epoll does.  Everything runs in the thread that called loop_run(). */
#ifndef BRIDGE_LOOP_H
#define BRIDGE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct err;
struct loop;

/* Also ignores SIGPIPE (TLS writes go through write()) and SIGXFSZ for the process.  NULL sets *e (ERR_IO). */
struct loop *loop_new(struct err *e);
/* Timers and sessions must have been closed before (what is left of them is finished here).  Waits for
 * the work that is under way, but not long: a lookup may take minutes, and nothing ends a thread.  Then
 * the loop stays as it is, for its threads, and exit() will end the process without waiting for them.
 * NULL is allowed. */
void loop_free(struct loop *l);
uv_loop_t *loop_uv(struct loop *l);

/* Called once per turn, after all input has been handled and before the loop sleeps; the time is
 * read once per turn.  One callback.  Not called for the turn in which loop_stop() was called. */
void loop_before_sleep(struct loop *l, void (*f)(void *ctx, int64_t now_ms), void *ctx);
/* The time of this turn, epoch ms. */
int64_t loop_now_ms(const struct loop *l);
/* For tests, which move the time and do not run the loop. */
void loop_set_now_ms(struct loop *l, int64_t now_ms);

/* Another turn follows this one without a sleep between them: what is ready by then is read first, so whoever has more
 * to do than one turn may take goes on in the next, and nobody waits for it longer than that.  Once; asked for again in
 * the same turn it is the same. */
void loop_again(struct loop *l);

/* A descriptor under watch, embedded in its owner; zero it before first use.  `on_ready` and `ctx`
 * are the owner's to set.  An error on the descriptor counts as readable. */
struct loop_watch {
	int fd; /* as given; meaningless unless is_active */
	bool is_active;
	uint32_t events;
	void (*on_ready)(void *ctx, bool readable, bool writable);
	void *ctx;
};
/* Watch `fd` for reading and/or writing (both false: stop watching).  Called with another fd than
 * before, the old one is forgotten; it may already be closed. */
void loop_watch(struct loop *l, struct loop_watch *w, int fd, bool reading, bool writing);

/* A timer, embedded in its owner (zero it before first use); closed by loop_timer_close(), whose
 * callback frees the owner. */
struct loop_timer {
	uv_timer_t uv;
	bool is_open;
	void (*f)(void *ctx);
	void *ctx;
	void (*closed)(void *ctx);
};
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t after_ms, void (*f)(void *ctx),
		    void *ctx); /* again: replaces */
/* The same, but at a whole second of the loop's clock if that is at most a quarter of the time later, so that all that
 * were set so have one turn.  For what thousands do now and then: a turn costs more than what each does in it. */
void loop_timer_set_about(struct loop *l, struct loop_timer *t, uint64_t after_ms,
			  void (*f)(void *ctx), void *ctx);
void loop_timer_stop(struct loop_timer *t);
/* `closed` (may be NULL) is called, maybe later, once the memory may go.  It gets the `ctx` that was
 * set before, or that of loop_timer_set(). */
void loop_timer_close(struct loop_timer *t, void (*closed)(void *ctx));

/* Call `f` on the signal, in the loop. */
bool loop_on_signal(struct loop *l, int signum, void (*f)(void *ctx, int signum), void *ctx,
		    struct err *e);

/* Run `work` in a thread of the pool and `done` in the loop afterwards. */
void loop_work(struct loop *l, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);

void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);

#endif
