#include "delivery/endpoint.h"

#include <stdlib.h>

#include "base/mem.h"
#include "delivery/rate_limit.h"

#define DOWN_AFTER                                                                                 \
	2 /* of one: a server that knows an older MQTT only may end the first without a word */
#define MOST_TRIES 5 /* of who tries alone: it may be its own fault */

struct endpoint {
	struct rate_limit rate;
	bool is_down;
	struct seat *prober; /* while it is down: who tries; NULL: the next one in line */
	struct seat_line urgent, others;
};

struct endpoint *endpoint_new(int64_t per_second)
{
	struct endpoint *ep = mem_zalloc(sizeof *ep);

	rate_limit_init(&ep->rate, per_second);
	TAILQ_INIT(&ep->urgent);
	TAILQ_INIT(&ep->others);
	return ep;
}

void endpoint_free(struct endpoint *ep)
{
	free(ep);
}

static void stand_in(struct seat *seat, struct seat_line *line)
{
	if (seat->line)
		TAILQ_REMOVE(seat->line, seat, entry);
	seat->line = line;
	if (line)
		TAILQ_INSERT_TAIL(line, seat, entry);
}

static struct seat *first(const struct endpoint *ep)
{
	struct seat *seat = TAILQ_FIRST(&ep->urgent);

	return seat ? seat : TAILQ_FIRST(&ep->others);
}

bool endpoint_ask(struct endpoint *ep, struct seat *seat, bool is_urgent, int64_t now_ms)
{
	bool may = ep->is_down ? ep->prober == seat || (!ep->prober && !first(ep))
			       : !first(ep) && rate_limit_is_ready(&ep->rate, now_ms);

	if (seat->line) {
		if (is_urgent)
			endpoint_hurry(ep, seat);
		return false;
	}
	if (!may) {
		stand_in(seat, is_urgent ? &ep->urgent : &ep->others);
		return false;
	}
	if (ep->is_down)
		ep->prober = seat;
	rate_limit_take(&ep->rate, now_ms);
	return true;
}

void endpoint_hurry(struct endpoint *ep, struct seat *seat)
{
	if (seat->line == &ep->others)
		stand_in(seat, &ep->urgent);
}

void endpoint_leave(struct endpoint *ep, struct seat *seat)
{
	stand_in(seat, NULL);
	seat->n_failed = 0;
	if (ep->prober == seat)
		ep->prober = NULL;
}

void endpoint_answered(struct endpoint *ep, struct seat *seat)
{
	seat->n_failed = 0;
	ep->is_down = false;
	ep->prober = NULL;
}

void endpoint_failed(struct endpoint *ep, struct seat *seat)
{
	seat->n_failed++;
	if (!ep->is_down && seat->n_failed >= DOWN_AFTER) {
		ep->is_down = true;
		ep->prober = seat;
	} else if (ep->prober == seat && seat->n_failed % MOST_TRIES == 0) {
		ep->prober = NULL;
	}
}

bool endpoint_is_down(const struct endpoint *ep)
{
	return ep->is_down;
}

struct seat *endpoint_next(struct endpoint *ep, int64_t now_ms)
{
	struct seat *seat = endpoint_due_ms(ep) <= now_ms ? first(ep) : NULL;

	if (!seat)
		return NULL;
	stand_in(seat, NULL);
	if (ep->is_down)
		ep->prober = seat;
	rate_limit_take(&ep->rate, now_ms);
	return seat;
}

int64_t endpoint_due_ms(const struct endpoint *ep)
{
	if (!first(ep) || (ep->is_down && ep->prober))
		return INT64_MAX;
	return rate_limit_ready_ms(&ep->rate);
}
