#include "delivery/slow_start.h"

#define SECOND_MS      INT64_C(1000)
#define FIRST_PAUSE_MS 100

void slow_start_up(struct slow_start *s, int64_t now_ms)
{
	s->up_ms = s->second_ms = now_ms;
	s->n_acked = s->n_before = 0;
}

void slow_start_acked(struct slow_start *s, int64_t now_ms)
{
	if (now_ms - s->second_ms >= SECOND_MS) {
		s->n_before = now_ms - s->second_ms < 2 * SECOND_MS ? s->n_acked : 0;
		s->n_acked = 0;
		s->second_ms = now_ms;
	}
	s->n_acked++;
	s->pause_ms = 0;
	if (s->window)
		s->window++;
}

/* What it was still fine with; 0: it acknowledged nothing, which says nothing. */
static int64_t last_second(const struct slow_start *s, int64_t now_ms)
{
	int64_t age_ms = now_ms - s->second_ms;

	if (age_ms >= 2 * SECOND_MS)
		return 0;
	return s->n_acked > s->n_before ? s->n_acked : s->n_before;
}

static void set_pace(struct slow_start *s, int64_t per_second)
{
	s->per_second = per_second;
	rate_limit_init(&s->pace, per_second);
}

/* One that was kept to a pace and was too fast all the same gets less. */
static int64_t next_pace(const struct slow_start *s, int64_t measured)
{
	int64_t less = s->per_second * 3 / 4;

	if (!measured)
		return s->per_second;
	if (!s->per_second || measured < less)
		return measured;
	return less ? less : 1;
}

static void be_slow(struct slow_start *s, int64_t now_ms)
{
	s->window = 1;
	s->until_ms = now_ms + SLOW_START_OVER_MS;
}

void slow_start_begin(struct slow_start *s, int64_t now_ms)
{
	set_pace(s, 0);
	be_slow(s, now_ms);
}

bool slow_start_ended(struct slow_start *s, bool has_in_flight, int64_t now_ms)
{
	bool was_slow = s->window > 0 && now_ms < s->until_ms;

	if (!has_in_flight || now_ms - s->up_ms >= SLOW_START_SOON_MS)
		return false;
	set_pace(s, next_pace(s, last_second(s, now_ms)));
	be_slow(s, now_ms);
	return !was_slow;
}

void slow_start_refused(struct slow_start *s, int64_t now_ms)
{
	s->refused_ms = now_ms;
	s->pause_ms = s->pause_ms ? s->pause_ms * 2 : FIRST_PAUSE_MS;
	if (s->pause_ms > SECOND_MS)
		s->pause_ms = SECOND_MS;
}

int64_t slow_start_ready_ms(const struct slow_start *s)
{
	int64_t pace_ms = rate_limit_ready_ms(&s->pace);
	int64_t pause_ms = s->pause_ms ? s->refused_ms + s->pause_ms : 0;

	return pace_ms > pause_ms ? pace_ms : pause_ms;
}

int64_t slow_start_widens_ms(const struct slow_start *s, int64_t now_ms)
{
	if (s->refused_ms && now_ms - s->refused_ms < SECOND_MS)
		return s->refused_ms + SECOND_MS;
	return s->window && s->until_ms > now_ms ? s->until_ms : INT64_MAX;
}

unsigned slow_start_window(struct slow_start *s, unsigned most, int64_t now_ms)
{
	if (s->window && now_ms >= s->until_ms) {
		s->window = 0;
		set_pace(s, 0);
	}
	if (s->refused_ms && now_ms - s->refused_ms < SECOND_MS)
		return 1;
	return s->window && s->window < most ? s->window : most;
}
