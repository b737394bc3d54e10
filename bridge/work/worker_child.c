/* worker_child.c -- runs in the sandbox.  Plans, mappings and readers are those of the bridge at the time
 * of the fork and at the same addresses, so frames may name them by address; device tables are told
 * when they change.  A job is marked as started when its frame begins to come in, so that whatever it does to
 * this process is its own, and as done when its results are ready.  There is no error to report to: what cannot
 * go on ends the process. */
#include "work/worker_child.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "jq/mapping.h"
#include "plan/plan.h"
#include "state/change.h"
#include "state/devices.h"
#include "translate/job_codec.h"
#include "work/sandbox.h"

#define READ_BYTES (64u << 10)
#define TYPE_AT	   4u	      /* in a frame, behind its length */
#define KEEP_BYTES (1u << 20) /* of an empty buffer: memory is limited (WORKER_MEMORY_BYTES) */
/* Results are sent when there are that many, the oldest is that old, nothing is left to do, or a quarter of what came
 * in at once is done: the bridge goes on with that meanwhile.  Not of less than SHARE_BYTES, which is some twenty small
 * jobs, as each time the bridge is woken. */
#define WRITE_BYTES (64u << 10)
#define WRITE_MS    20
#define SHARES	    4u
#define SHARE_BYTES 2048u

struct child {
	struct worker_progress *progress;
	struct buf in, out;
	bool is_marked; /* the job that comes in is started */
	int64_t sent_ms;
	size_t share,
		n_done; /* bytes of jobs: after that many results are sent; that are done since */
};

/* By a clock that costs nothing, and is exact enough. */
static int64_t coarse_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* The frames end with the bridge, and then there is nothing left to do. */
static void need(bool ok)
{
	if (!ok)
		_exit(0);
}

static void send_results(struct child *c)
{
	for (size_t sent = 0; sent < c->out.len;) {
		ssize_t n = write(SANDBOX_FD, c->out.data + sent, c->out.len - sent);

		need(n > 0 || errno == EINTR);
		if (n > 0)
			sent += (size_t)n;
	}
	buf_reset_above(&c->out, KEEP_BYTES);
	c->sent_ms = coarse_ms();
	c->n_done = 0;
}

static void mark(struct child *c)
{
	if (!c->is_marked)
		atomic_fetch_add_explicit(&c->progress->started, 1, memory_order_relaxed);
	c->is_marked = true;
}

static void want_own(struct child *c, struct mapping *m)
{
	for (int fn; (fn = mapping_next_busy(m)) >= 0;)
		own_programs_want(&c->progress->wanted,
				  (struct own_program){ mapping_number(m), (uint32_t)fn });
}

static void want_own_of(struct child *c, const struct plan *plan)
{
	for (int s = 0; s < SIDES; s++)
		want_own(c, plan->side[s].mapping);
	for (size_t i = 0; i < plan->n_through; i++)
		want_own(c, plan->through[i].mapping);
}

static void do_job(struct child *c, struct unpack *u)
{
	struct results results = { 0 };
	struct job_codec carried;
	size_t begin;

	mark(c);
	need(job_codec_get_job(u, &carried));
	translate(&carried.job, &results);
	begin = pack_frame_begin(&c->out);
	job_codec_put_results(&c->out, &carried.job, &results);
	pack_frame_end(&c->out, begin);
	want_own_of(c, carried.job.plan);
	results_fini(&results);
	job_codec_fini(&carried);
	atomic_fetch_add_explicit(&c->progress->done, 1, memory_order_relaxed);
	c->is_marked = false;
}

bool worker_take_device(struct unpack *u)
{
	const struct plan *plan = (const struct plan *)(uintptr_t)unpack_u64(u);
	char *key = unpack_text(u), *value = unpack_text(u);
	struct changes none = { 0 };
	bool ok = !u->is_bad && plan && key;

	if (ok && value)
		devices_restore(plan->devices, key, value, NULL);
	else if (ok)
		devices_forget(plan->devices, key, &none);
	changes_fini(&none);
	free(key);
	free(value);
	return ok;
}

static void take_frame(struct child *c, struct unpack *u)
{
	c->n_done += u->left;
	if (unpack_u8(u) == FRAME_JOB)
		do_job(c, u);
	else
		need(worker_take_device(u));
	if (c->n_done >= c->share || c->out.len >= WRITE_BYTES ||
	    coarse_ms() - c->sent_ms >= WRITE_MS)
		send_results(c);
}

/* Do what has come in whole; keep the rest. */
static void take_frames(struct child *c)
{
	struct unpack u = { .p = c->in.data, .left = c->in.len }, frame;

	c->share = c->in.len / SHARES < SHARE_BYTES ? SHARE_BYTES : c->in.len / SHARES;
	while (unpack_frame(&u, &frame))
		take_frame(c, &frame);
	if (u.left > TYPE_AT && u.p[TYPE_AT] == FRAME_JOB)
		mark(c);
	buf_drop(&c->in, c->in.len - u.left);
	if (u.left == 0)
		buf_reset_above(&c->in, KEEP_BYTES);
}

_Noreturn void worker_child(struct worker_progress *progress)
{
	static const char ready[] = { WORKER_READY };
	struct child c = { .progress = progress };

	need(write(SANDBOX_FD, ready, sizeof ready) == sizeof ready);
	for (;;) {
		ssize_t n;

		buf_reserve(&c.in, READ_BYTES);
		n = read(SANDBOX_FD, c.in.data + c.in.len, c.in.cap - c.in.len - 1);
		need(n > 0 || (n < 0 && errno == EINTR));
		if (n < 0)
			continue;
		c.in.len += (size_t)n;
		c.sent_ms = coarse_ms(); /* nothing waits now */
		take_frames(&c);
		send_results(&c);
	}
}
