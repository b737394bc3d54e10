#include "live/tap.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "message/topic.h"
#include "net/loop.h"

#define SOON_MS 1 /* what comes together is taken together */

struct line {
	STAILQ_ENTRY(line) entry;
	size_t n;
	char text[];
};

struct tap {
	TAILQ_ENTRY(tap) entry;
	struct taps *taps; /* NULL: what it listened to has ended */
	void *owner;
	struct loop *loop;
	struct loop_timer timer;
	char *topic, *device;
	size_t most_bytes, n_bytes;
	int64_t ends_ms; /* clock_mono_ms(); 0: never */
	STAILQ_HEAD(, line) lines;
	struct map ids; /* that are followed */
	uint64_t n_dropped;
	bool is_woken, wants; /* taps_want() */
};

static void on_timer(void *ctx);

/* At the latest when it is over. */
static void wait_for(struct tap *t, int64_t ms)
{
	int64_t left_ms = t->ends_ms ? t->ends_ms - clock_mono_ms() : ms;

	t->is_woken = ms == SOON_MS;
	if (left_ms < ms)
		ms = left_ms;
	loop_timer_set(t->loop, &t->timer, ms > SOON_MS ? (uint64_t)ms : SOON_MS, on_timer, t);
}

/* The turn of the loop that this makes is all that is wanted. */
static void on_timer(void *ctx)
{
	struct tap *t = ctx;

	wait_for(t, TAP_BEAT_MS);
}

static void wake(struct tap *t)
{
	if (!t->is_woken)
		wait_for(t, SOON_MS);
}

struct tap *tap_new(struct loop *loop, struct taps *taps, void *owner,
		    const struct tap_terms *terms)
{
	struct tap *t = mem_zalloc(sizeof *t);

	t->loop = loop;
	t->taps = taps;
	t->owner = owner;
	t->topic = mem_strdup(terms->topic);
	t->device = mem_strdup(terms->device);
	t->most_bytes = terms->most_bytes ? terms->most_bytes : TAP_MOST_BYTES;
	t->ends_ms = terms->for_ms ? clock_mono_ms() + terms->for_ms : 0;
	STAILQ_INIT(&t->lines);
	TAILQ_INSERT_TAIL(taps, t, entry);
	wait_for(t, TAP_BEAT_MS);
	return t;
}

void *tap_owner(const struct tap *t)
{
	return t->taps ? t->owner : NULL;
}

static void leave(struct tap *t)
{
	if (t->taps)
		TAILQ_REMOVE(t->taps, t, entry);
	t->taps = NULL;
}

static void drop_first(struct tap *t)
{
	struct line *line = STAILQ_FIRST(&t->lines);

	STAILQ_REMOVE_HEAD(&t->lines, entry);
	t->n_bytes -= line->n;
	free(line);
}

void tap_free(struct tap *t)
{
	if (!t)
		return;
	leave(t);
	while (!STAILQ_EMPTY(&t->lines))
		drop_first(t);
	map_fini(&t->ids, NULL);
	free(t->topic);
	free(t->device);
	t->timer.ctx = t;
	loop_timer_close(&t->timer, free);
}

void taps_end(struct taps *taps)
{
	struct tap *t;

	while ((t = TAILQ_FIRST(taps)) != NULL) {
		leave(t);
		wake(t);
	}
}

static bool is_for(const struct tap *t, const char *topic, const char *device)
{
	return (!t->topic || topic_filter_covers(t->topic, topic)) &&
	       (!t->device || !device || strcmp(t->device, device) == 0);
}

void taps_begin(const struct taps *taps, uint64_t id, const char *topic, const char *device)
{
	struct tap *t;

	TAILQ_FOREACH (t, taps, entry) {
		if (!is_for(t, topic, device))
			continue;
		if (t->ids.n < TAP_MOST_IDS)
			map_set(&t->ids, &id, sizeof id, t);
		else
			t->n_dropped++;
	}
}

static bool follows(const struct tap *t, uint64_t id)
{
	return map_get(&t->ids, &id, sizeof id);
}

/* False is counted. */
static bool has_room(struct tap *t, size_t n)
{
	bool fits = n <= t->most_bytes - t->n_bytes;

	t->n_dropped += !fits;
	return fits;
}

bool taps_want(const struct taps *taps, uint64_t id, size_t n)
{
	bool is_wanted = false;
	struct tap *t;

	TAILQ_FOREACH (t, taps, entry) {
		t->wants = follows(t, id) && has_room(t, n);
		is_wanted |= t->wants;
	}
	return is_wanted;
}

static void put(struct tap *t, const char *text, size_t n)
{
	struct line *line = mem_alloc(sizeof *line + n);

	line->n = n;
	memcpy(line->text, text, n);
	STAILQ_INSERT_TAIL(&t->lines, line, entry);
	t->n_bytes += n;
	wake(t);
}

void taps_put(const struct taps *taps, const char *line, size_t n)
{
	struct tap *t;

	TAILQ_FOREACH (t, taps, entry)
		if (t->wants && has_room(t, n))
			put(t, line, n);
}

void taps_settle(const struct taps *taps, uint64_t id)
{
	struct tap *t;

	TAILQ_FOREACH (t, taps, entry)
		map_remove(&t->ids, &id, sizeof id);
}

void tap_take(struct tap *t, struct buf *out, size_t most)
{
	size_t before = out->len;
	struct line *line;

	while ((line = STAILQ_FIRST(&t->lines)) != NULL) {
		if (out->len > before && out->len - before + line->n > most)
			return;
		buf_append(out, line->text, line->n);
		drop_first(t);
	}
}

uint64_t tap_dropped(const struct tap *t)
{
	return t->n_dropped;
}

bool tap_is_empty(const struct tap *t)
{
	return STAILQ_EMPTY(&t->lines);
}

bool tap_is_over(const struct tap *t)
{
	return !t->taps || (t->ends_ms && clock_mono_ms() >= t->ends_ms);
}
