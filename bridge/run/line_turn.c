/* line_turn.c -- what a line does in a turn of the loop: publish, press, expire, save; and how far it
 * is with stopping. */
#include "base/err.h"
#include "base/log.h"
#include "link/delivery.h"
#include "run/line_inside.h"
#include "run/records.h"
#include "store/state.h"

static void publish(struct peer *p, int64_t now_ms)
{
	const struct parcel *next;
	struct parcel out;
	struct err e = { 0 };
	int mid;

	while (session_is_up(p->session) && pace_is_ready(&p->pace, now_ms) &&
	       (next = delivery_next(p->delivery)) != NULL) {
		if (session_publish(p->session, &next->message, &mid, &e)) {
			delivery_sent(p->delivery, mid);
			pace_take(&p->pace, now_ms);
			continue;
		}
		if (e.code == ERR_NET)
			return; /* it goes again after the reconnect */
		if (delivery_pop(p->delivery, &out))
			line_end_parcel(p, &out,
					e.code == ERR_LIMIT ? DEAD_TOO_LARGE : DEAD_BAD_TOPIC,
					e.text);
	}
}

static void each_session(struct line *line, int64_t now_ms,
			 void (*before)(struct peer *p, int64_t now_ms))
{
	struct peer *const peers[] = { &line->peer[SOUTH], &line->peer[NORTH],
				       &line->provisioning };

	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
		if (!peers[i]->session)
			continue;
		if (before)
			before(peers[i], now_ms);
		session_flush(peers[i]->session, now_ms);
	}
}

size_t line_held_bytes(const struct line *line, enum side source)
{
	return link_pending_bytes(line->link, flow_from(source)) +
	       delivery_bytes(line->peer[side_other(source)].delivery);
}

/* What is held of the source's direction, and what waits for its target, decide whether it waits. */
static void press(struct peer *source)
{
	struct line *line = source->line;
	size_t bytes = line_held_bytes(line, source->side);

	switch (pressure_step(&line->pressure, source->side, bytes)) {
	case PRESSURE_HOLD:
		log_event(LOG_WARNING, "source-held", "%s bytes=%zu", source->name, bytes);
		session_hold(source->session);
		break;
	case PRESSURE_RELEASE:
		log_event(LOG_INFO, "source-released", "%s bytes=%zu", source->name, bytes);
		session_release(source->session);
		break;
	case PRESSURE_SAME:
		break;
	}
}

/* Held or not, what waits for a side has to get there. */
static void deliver(struct peer *p, int64_t now_ms)
{
	bool is_waiting = delivery_waiting(p->delivery) > 0;

	p->is_paced = is_waiting && !pace_is_ready(&p->pace, now_ms);
	if (is_waiting && !p->is_paced)
		session_visit(p->session);
}

void line_flush(struct line *line, int64_t now_ms)
{
	each_session(line, now_ms, publish);
	for (int s = 0; s < SIDES; s++) {
		press(&line->peer[s]);
		deliver(&line->peer[s], now_ms);
	}
}

void line_hold_sources(struct line *line, bool is_held, int64_t now_ms)
{
	line->pressure.is_closed = is_held;
	for (int s = 0; s < SIDES; s++) {
		press(&line->peer[s]);
		deliver(&line->peer[s], now_ms);
	}
}

void line_acknowledge(struct line *line, int64_t now_ms)
{
	each_session(line, now_ms, NULL);
}

static void expire(struct peer *p, int64_t now_ms)
{
	struct parcel parcel;

	while (delivery_expired(p->delivery, now_ms, &parcel)) {
		link_acked(p->line->link, p->side, parcel.echo, now_ms);
		link_expire(p->line->link, parcel.origin, parcel.order, now_ms);
		message_fini(&parcel.message);
	}
	while (delivery_pop_old(p->delivery, now_ms - p->line->parts->max_age_ms, &parcel))
		line_end_parcel(p, &parcel, DEAD_EXPIRED, "older than journal.max_age");
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
	return earlier(expiry_ms, oldest_ms + p->line->parts->max_age_ms);
}

static int64_t next_tick(const struct line *line)
{
	int64_t earliest = link_next_deadline(line->link);

	for (int s = 0; s < SIDES; s++)
		earliest = earlier(earliest, next_expiry(&line->peer[s]));
	return earliest;
}

void line_tick(struct line *line, int64_t now_ms)
{
	if (next_tick(line) > now_ms)
		return;
	if (link_is_deciding(line->link)) {
		link_await_tick(line->link);
		return;
	}
	for (int s = 0; s < SIDES; s++)
		expire(&line->peer[s], now_ms);
	if (link_next_deadline(line->link) <= now_ms)
		link_tick(line->link, now_ms);
}

/* While it is deciding, line_tick() could do nothing, and the end of that wakes the loop. */
int64_t line_next_deadline(const struct line *line)
{
	int64_t earliest = link_is_deciding(line->link) ? INT64_MAX : next_tick(line);

	for (int s = 0; s < SIDES; s++)
		if (line->peer[s].is_paced)
			earliest = earlier(earliest, pace_ready_ms(&line->peer[s].pace));
	return earliest;
}

static bool save(struct line *line, const struct changes *c, struct err *e)
{
	return !c || c->n == 0 || state_apply(line->parts->db, line->plan->name, c, e);
}

bool line_save(struct line *line, struct err *e)
{
	struct changes c = link_changes(line->link);
	bool ok = save(line, &c, e);

	for (int s = 0; ok && s < SIDES; s++)
		ok = save(line, link_echoes(line->link, (enum side)s), e);
	return ok;
}

void line_saved(struct line *line)
{
	link_changes_written(line->link);
}

uint64_t line_journal_bytes(const struct line *line)
{
	return records_link_bytes(line->records, SOUTH) + records_link_bytes(line->records, NORTH);
}

void line_stop(struct line *line)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(line->link, (enum flow)f);

		line->stop_at[f] = c->received + c->resumed;
	}
}

bool line_has_settled(const struct line *line)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(line->link, (enum flow)f);

		if (c->delivered + c->filtered + c->dead < line->stop_at[f])
			return false;
	}
	return true;
}

bool line_is_drained(const struct line *line)
{
	for (int s = 0; s < SIDES; s++) {
		const struct peer *p = &line->peer[s];

		if (p->session && session_is_up(p->session) &&
		    delivery_waiting(p->delivery) + delivery_in_flight(p->delivery) > 0)
			return false;
	}
	return true;
}
