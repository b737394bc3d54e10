#include "delivery/ack_clock.h"

void ack_clock_init(struct ack_clock *c, int64_t timeout_ms)
{
	*c = (struct ack_clock){ .timeout_ms = timeout_ms };
}

void ack_clock_reset(struct ack_clock *c)
{
	c->progress_ms = c->look_ms = 0;
	c->goal = c->taken = 0;
}

static void start(struct ack_clock *c, int64_t now_ms)
{
	c->progress_ms = now_ms;
	c->look_ms = now_ms + ACK_CLOCK_LOOK_MS;
	c->goal = 0;
}

void ack_clock_sent(struct ack_clock *c, int64_t now_ms)
{
	if (!c->progress_ms)
		start(c, now_ms);
}

void ack_clock_acked(struct ack_clock *c, bool is_more, int64_t now_ms)
{
	c->is_late = false;
	c->n_timeouts = 0;
	if (is_more)
		start(c, now_ms);
	else
		c->progress_ms = c->look_ms = 0;
}

void ack_clock_taken(struct ack_clock *c, uint64_t taken, uint64_t owed, int64_t now_ms)
{
	if (c->goal == 0 && owed < UINT64_MAX)
		c->goal = owed;
	if (c->goal && taken > c->goal)
		taken = c->goal;
	if (taken <= c->taken)
		return;
	c->taken = taken;
	c->progress_ms = now_ms;
}

static int64_t timeout_ms(const struct ack_clock *c)
{
	int64_t most_ms = c->timeout_ms > ACK_CLOCK_MOST_MS ? c->timeout_ms : ACK_CLOCK_MOST_MS;
	int64_t ms = c->timeout_ms;

	for (unsigned i = 0; i < c->n_timeouts && ms < most_ms; i++)
		ms *= 2;
	return ms < most_ms ? ms : most_ms;
}

static int64_t late_ms(const struct ack_clock *c)
{
	return c->timeout_ms < 2 * ACK_CLOCK_LATE_MS ? c->timeout_ms / 2 : ACK_CLOCK_LATE_MS;
}

enum ack_state ack_clock_look(struct ack_clock *c, int64_t now_ms)
{
	int64_t silent_ms = now_ms - c->progress_ms;

	c->look_ms = now_ms + ACK_CLOCK_LOOK_MS;
	if (silent_ms >= timeout_ms(c)) {
		c->n_timeouts++;
		return ACK_OVER;
	}
	if (c->is_late || silent_ms < late_ms(c))
		return ACK_FINE;
	c->is_late = true;
	return ACK_LATE;
}
