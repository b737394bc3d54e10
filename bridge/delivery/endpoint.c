#include "delivery/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "delivery/rate_limit.h"

#define DOWN_AFTER                                                                                 \
	2 /* of one: a server that knows an older MQTT only may end the first without a word */
#define MOST_TRIES 5 /* of who tries alone: it may be its own fault */

struct endpoint {
	LIST_ENTRY(endpoint) entry;
	char *host;
	int port;
	LIST_HEAD(, endpoint_user) users;
	struct rate_limit connects, messages;
	int64_t connects_per_second, messages_per_second;
	bool is_down;
	struct seat *prober; /* while it is down: who tries; NULL: the next one in line */
	struct seat_line urgent, others;
	struct seat_line sending;
};

struct endpoints {
	LIST_HEAD(, endpoint) list;
};

/* --- who shares one ------------------------------------------------------------------------ */

struct endpoints *endpoints_new(void)
{
	struct endpoints *all = mem_zalloc(sizeof *all);

	LIST_INIT(&all->list);
	return all;
}

void endpoints_free(struct endpoints *all)
{
	free(all);
}

static int64_t narrower(int64_t a, int64_t b)
{
	return a && (!b || a < b) ? a : b;
}

static void set_rate(struct rate_limit *rate, int64_t *is, int64_t wanted)
{
	if (*is == wanted)
		return;
	rate_limit_init(rate, wanted);
	*is = wanted;
}

static void follow_users(struct endpoint *ep)
{
	int64_t connects = 0, messages = 0;
	const struct endpoint_user *user;

	LIST_FOREACH (user, &ep->users, entry) {
		connects = narrower(connects, user->connects_per_second);
		messages = narrower(messages, user->messages_per_second);
	}
	set_rate(&ep->connects, &ep->connects_per_second, connects);
	set_rate(&ep->messages, &ep->messages_per_second, messages);
}

static struct endpoint *find(const struct endpoints *all, const char *host, int port)
{
	struct endpoint *ep;

	LIST_FOREACH (ep, &all->list, entry)
		if (ep->port == port && strcmp(ep->host, host) == 0)
			return ep;
	return NULL;
}

struct endpoint *endpoint_join(struct endpoints *all, const char *host, int port,
			       struct endpoint_user *user)
{
	struct endpoint *ep = find(all, host, port);

	if (!ep) {
		ep = mem_zalloc(sizeof *ep);
		ep->host = mem_strdup(host);
		ep->port = port;
		LIST_INIT(&ep->users);
		TAILQ_INIT(&ep->urgent);
		TAILQ_INIT(&ep->others);
		TAILQ_INIT(&ep->sending);
		LIST_INSERT_HEAD(&all->list, ep, entry);
	}
	LIST_INSERT_HEAD(&ep->users, user, entry);
	follow_users(ep);
	return ep;
}

void endpoint_part(struct endpoint *ep, struct endpoint_user *user)
{
	LIST_REMOVE(user, entry);
	if (!LIST_EMPTY(&ep->users)) {
		follow_users(ep);
		return;
	}
	LIST_REMOVE(ep, entry);
	free(ep->host);
	free(ep);
}

static void tell_users(const struct endpoint *ep)
{
	const struct endpoint_user *user;

	LIST_FOREACH (user, &ep->users, entry)
		user->on_change(user->ctx);
}

/* --- connecting ---------------------------------------------------------------------------- */

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
			       : !first(ep) && rate_limit_is_ready(&ep->connects, now_ms);

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
	rate_limit_take(&ep->connects, now_ms);
	return true;
}

void endpoint_hurry(struct endpoint *ep, struct seat *seat)
{
	if (seat->line == &ep->others)
		stand_in(seat, &ep->urgent);
}

static void stop_sending(struct endpoint *ep, struct seat *seat)
{
	if (seat->is_in_turn)
		TAILQ_REMOVE(&ep->sending, seat, sending);
	seat->is_in_turn = seat->may_send = false;
}

void endpoint_leave(struct endpoint *ep, struct seat *seat)
{
	stand_in(seat, NULL);
	stop_sending(ep, seat);
	seat->n_failed = 0;
	if (ep->prober != seat)
		return;
	ep->prober = NULL;
	tell_users(ep);
}

void endpoint_answered(struct endpoint *ep, struct seat *seat)
{
	bool was_down = ep->is_down;

	seat->n_failed = 0;
	ep->is_down = false;
	ep->prober = NULL;
	if (was_down)
		tell_users(ep);
}

void endpoint_failed(struct endpoint *ep, struct seat *seat)
{
	seat->n_failed++;
	if (!ep->is_down && seat->n_failed >= DOWN_AFTER) {
		ep->is_down = true;
		ep->prober = seat;
	} else if (ep->prober == seat && seat->n_failed % MOST_TRIES == 0) {
		ep->prober = NULL;
	} else {
		return;
	}
	tell_users(ep);
}

bool endpoint_is_down(const struct endpoint *ep)
{
	return ep->is_down;
}

static int64_t connects_due_ms(const struct endpoint *ep)
{
	if (!first(ep) || (ep->is_down && ep->prober))
		return INT64_MAX;
	return rate_limit_ready_ms(&ep->connects);
}

struct seat *endpoint_next(struct endpoint *ep, int64_t now_ms)
{
	struct seat *seat = connects_due_ms(ep) <= now_ms ? first(ep) : NULL;

	if (!seat)
		return NULL;
	stand_in(seat, NULL);
	if (ep->is_down)
		ep->prober = seat;
	rate_limit_take(&ep->connects, now_ms);
	return seat;
}

/* --- sending ------------------------------------------------------------------------------- */

static int64_t sends_due_ms(const struct endpoint *ep)
{
	return TAILQ_EMPTY(&ep->sending) ? INT64_MAX : rate_limit_ready_ms(&ep->messages);
}

bool endpoint_may_send(struct endpoint *ep, struct seat *seat, int64_t now_ms)
{
	if (!ep->messages_per_second || seat->may_send)
		return true;
	if (seat->is_in_turn)
		return false;
	if (TAILQ_EMPTY(&ep->sending) && rate_limit_is_ready(&ep->messages, now_ms))
		return true;
	seat->is_in_turn = true;
	TAILQ_INSERT_TAIL(&ep->sending, seat, sending);
	return false;
}

void endpoint_sent(struct endpoint *ep, struct seat *seat, int64_t now_ms)
{
	if (!seat->may_send)
		rate_limit_take(&ep->messages, now_ms);
	seat->may_send = false;
}

void endpoint_has_sent(struct endpoint *ep, struct seat *seat)
{
	stop_sending(ep, seat);
}

struct seat *endpoint_next_to_send(struct endpoint *ep, int64_t now_ms)
{
	struct seat *seat = sends_due_ms(ep) <= now_ms ? TAILQ_FIRST(&ep->sending) : NULL;

	if (!seat)
		return NULL;
	stop_sending(ep, seat);
	seat->may_send = true;
	rate_limit_take(&ep->messages, now_ms);
	return seat;
}

int64_t endpoint_due_ms(const struct endpoint *ep)
{
	int64_t connects_ms = connects_due_ms(ep), sends_ms = sends_due_ms(ep);

	return connects_ms < sends_ms ? connects_ms : sends_ms;
}
