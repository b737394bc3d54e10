#include "run/bridge_heart.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "disk/heartbeat.h"
#include "run/bridge_inside.h"
#include "store/db.h"

#define FIRST_MS 1000 /* two that began at the same moment are told apart soon */

/* One beat, with a copy of all that it needs: the bridge may be gone before the volume answers. */
struct heart_beat {
	struct bridge *bridge; /* NULL: nobody waits */
	struct heartbeat heartbeat;
	int64_t began_ms;
	bool ok;
	struct err failure;
};

/* False: the bridge has failed. */
static bool hear(struct bridge *b, bool ok, const struct err *e, int64_t asked_ms)
{
	if (ok && asked_ms > b->heart.sure_ms)
		b->heart.sure_ms = asked_ms;
	if (!ok && e->code != ERR_BUSY)
		log_limited(LOG_WARNING, loop_now_ms(b->parts.loop), "heartbeat",
			    "heartbeat-failed", "reason=%s", log_value(e->text));
	if (ok || e->code != ERR_BUSY)
		return true;
	db_heartbeat(b->parts.db)->is_held = false;
	db_leave(b->parts.db);
	if (!b->has_failed)
		bridge_fail(b, e);
	return false;
}

/* --- by the pool --------------------------------------------------------------------------- */

static void on_time(void *bridge);

static void set_timer(struct bridge *b, uint64_t after_ms)
{
	loop_timer_set(b->parts.loop, &b->heart.timer, after_ms, on_time, b);
}

/* In another thread. */
static void beat(void *ctx)
{
	struct heart_beat *h = ctx;

	h->ok = heartbeat_renew(&h->heartbeat, &h->failure);
	close(h->heartbeat.dir_fd);
}

static void on_beaten(void *ctx)
{
	struct heart_beat *h = ctx;
	struct bridge *b = h->bridge;

	if (b) {
		b->heart.beat = NULL;
		if (hear(b, h->ok, &h->failure, h->began_ms))
			set_timer(b, HEARTBEAT_MS);
	}
	free(h);
}

static void on_time(void *bridge)
{
	struct bridge *b = bridge;
	struct heartbeat *own = db_heartbeat(b->parts.db);
	int fd = fcntl(own->dir_fd, F_DUPFD_CLOEXEC, 3);
	struct heart_beat *h;

	if (fd < 0) { /* no descriptors just now */
		set_timer(b, FIRST_MS);
		return;
	}
	h = mem_zalloc(sizeof *h);
	own->beats++;
	h->bridge = b;
	h->heartbeat = *own;
	h->heartbeat.dir_fd = fd;
	h->began_ms = loop_now_ms(b->parts.loop);
	b->heart.beat = h;
	loop_work(b->parts.loop, beat, on_beaten, h);
}

/* --- in the turn --------------------------------------------------------------------------- */

static bool look_now(struct bridge *b, int64_t now_ms)
{
	struct err e = { 0 };
	bool ok = heartbeat_renew(db_heartbeat(b->parts.db), &e);

	return hear(b, ok, &e, now_ms);
}

bool bridge_heart_start(struct bridge *b, int64_t now_ms)
{
	set_timer(b, FIRST_MS);
	b->heart.sure_ms = now_ms;
	return look_now(b, now_ms);
}

/* It stood still: the machine slept, a debugger was here, or the volume did not answer.  Another may have come. */
bool bridge_heart_is_sure(struct bridge *b, int64_t now_ms)
{
	if (now_ms - b->heart.sure_ms < HEARTBEAT_SURE_MS)
		return true;
	if (b->heart.beat) { /* its answer may never come, or be of before */
		b->heart.beat->bridge = NULL;
		b->heart.beat = NULL;
		set_timer(b, HEARTBEAT_MS);
	}
	b->heart.sure_ms = now_ms; /* asked once, whatever comes of it */
	return look_now(b, now_ms);
}

void bridge_heart_end(struct bridge *b)
{
	if (b->heart.beat)
		b->heart.beat->bridge = NULL;
	b->heart.beat = NULL;
	loop_timer_close(&b->heart.timer, NULL);
}
