/* live_link_turn.c -- what a live link does in a turn of the loop: publish, press, expire, save; and how far it
 * is with stopping. */
#include "base/err.h"
#include "base/log.h"
#include "link/delivery.h"
#include "run/live_link_inside.h"
#include "store/journal_live.h"
#include "store/state.h"

static void publish(struct peer *p, int64_t now_ms)
{
	const struct parcel *next;
	struct parcel out;
	struct err e = { 0 };
	int mid;

	while (session_is_up(p->session) && rate_limit_is_ready(&p->rate, now_ms) &&
	       (next = delivery_next(p->delivery)) != NULL) {
		if (session_publish(p->session, &next->message, &mid, &e)) {
			delivery_sent(p->delivery, mid);
			rate_limit_take(&p->rate, now_ms);
			continue;
		}
		if (e.code == ERR_NET)
			return; /* it goes again after the reconnect */
		if (delivery_pop(p->delivery, &out))
			live_link_end_parcel(p, &out,
					     e.code == ERR_LIMIT ? DEAD_TOO_LARGE : DEAD_BAD_TOPIC,
					     e.text);
	}
}

static void each_session(struct live_link *live, int64_t now_ms,
			 void (*before)(struct peer *p, int64_t now_ms))
{
	struct peer *const peers[] = { &live->peer[SOUTH], &live->peer[NORTH],
				       &live->provisioning };

	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
		if (!peers[i]->session)
			continue;
		if (before)
			before(peers[i], now_ms);
		session_flush(peers[i]->session, now_ms);
	}
}

size_t live_link_held_bytes(const struct live_link *live, enum side source)
{
	return link_pending_bytes(live->link, flow_from(source)) +
	       delivery_bytes(live->peer[side_other(source)].delivery);
}

/* What is held of the source's direction, and what waits for its target, decide whether it waits. */
static void press(struct peer *source)
{
	struct live_link *live = source->live;
	size_t bytes = live_link_held_bytes(live, source->side);

	switch (backpressure_step(&live->backpressure, source->side, bytes)) {
	case BACKPRESSURE_HOLD:
		log_event(LOG_WARNING, "source-held", "%s bytes=%zu", source->name, bytes);
		session_hold(source->session);
		break;
	case BACKPRESSURE_RELEASE:
		log_event(LOG_INFO, "source-released", "%s bytes=%zu", source->name, bytes);
		session_release(source->session);
		break;
	case BACKPRESSURE_SAME:
		break;
	}
}

/* Held or not, what waits for a side has to get there. */
static void deliver(struct peer *p, int64_t now_ms)
{
	bool is_waiting = delivery_waiting(p->delivery) > 0;

	p->is_paced = is_waiting && !rate_limit_is_ready(&p->rate, now_ms);
	if (is_waiting && !p->is_paced)
		session_visit(p->session);
}

void live_link_flush(struct live_link *live, int64_t now_ms)
{
	each_session(live, now_ms, publish);
	for (int s = 0; s < SIDES; s++) {
		press(&live->peer[s]);
		deliver(&live->peer[s], now_ms);
	}
}

void live_link_hold_sources(struct live_link *live, bool is_held, int64_t now_ms)
{
	live->backpressure.is_closed = is_held;
	for (int s = 0; s < SIDES; s++) {
		press(&live->peer[s]);
		deliver(&live->peer[s], now_ms);
	}
}

void live_link_acknowledge(struct live_link *live, int64_t now_ms)
{
	each_session(live, now_ms, NULL);
}

static void expire(struct peer *p, int64_t now_ms)
{
	struct parcel parcel;

	while (delivery_expired(p->delivery, now_ms, &parcel)) {
		link_acked(p->live->link, p->side, parcel.echo, now_ms);
		link_expire(p->live->link, parcel.origin, parcel.order, now_ms);
		parcel_fini(&parcel);
	}
	while (delivery_pop_old(p->delivery, now_ms - p->live->parts->max_age_ms, &parcel))
		live_link_end_parcel(p, &parcel, DEAD_EXPIRED, "older than journal.max_age");
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_expiry(const struct peer *p)
{
	int64_t oldest_ms = delivery_oldest(p->delivery);
	int64_t expiry_ms = delivery_next_expiry(p->delivery);

	if (oldest_ms == INT64_MAX)
		return expiry_ms;
	return earlier(expiry_ms, oldest_ms + p->live->parts->max_age_ms);
}

static int64_t next_tick(const struct live_link *live)
{
	int64_t earliest = link_next_deadline(live->link);

	for (int s = 0; s < SIDES; s++)
		earliest = earlier(earliest, next_expiry(&live->peer[s]));
	return earliest;
}

void live_link_tick(struct live_link *live, int64_t now_ms)
{
	if (next_tick(live) > now_ms)
		return;
	if (link_is_deciding(live->link)) {
		link_await_tick(live->link);
		return;
	}
	for (int s = 0; s < SIDES; s++)
		expire(&live->peer[s], now_ms);
	if (link_next_deadline(live->link) <= now_ms)
		link_tick(live->link, now_ms);
}

/* While it is deciding, live_link_tick() could do nothing, and the end of that wakes the loop. */
int64_t live_link_next_deadline(const struct live_link *live)
{
	int64_t earliest = link_is_deciding(live->link) ? INT64_MAX : next_tick(live);

	for (int s = 0; s < SIDES; s++)
		if (live->peer[s].is_paced)
			earliest = earlier(earliest, rate_limit_ready_ms(&live->peer[s].rate));
	return earliest;
}

static bool save(struct live_link *live, const struct changes *c, struct err *e)
{
	return !c || c->n == 0 || state_apply(live->parts->db, live->plan->name, c, e);
}

bool live_link_save(struct live_link *live, struct err *e)
{
	struct changes c = link_changes(live->link);
	bool ok = save(live, &c, e);

	for (int s = 0; ok && s < SIDES; s++)
		ok = save(live, link_echoes(live->link, (enum side)s), e);
	return ok;
}

void live_link_saved(struct live_link *live)
{
	link_changes_written(live->link);
}

uint64_t live_link_journal_bytes(const struct live_link *live)
{
	return journal_live_link_bytes(live->records, SOUTH) +
	       journal_live_link_bytes(live->records, NORTH);
}

void live_link_stop(struct live_link *live)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(live->link, (enum flow)f);

		live->stop_at[f] = c->received + c->resumed;
	}
}

bool live_link_has_settled(const struct live_link *live)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(live->link, (enum flow)f);

		if (c->delivered + c->filtered + c->dead < live->stop_at[f])
			return false;
	}
	return true;
}

bool live_link_is_drained(const struct live_link *live)
{
	for (int s = 0; s < SIDES; s++) {
		const struct peer *p = &live->peer[s];

		if (p->session && session_is_up(p->session) &&
		    delivery_waiting(p->delivery) + delivery_in_flight(p->delivery) > 0)
			return false;
	}
	return true;
}
