/* live_link_turn.c -- what a live link does in a turn of the loop: let out, press, expire, save; and how far
 * it is with stopping. */
#include "base/err.h"
#include "base/log.h"
#include "delivery/delivery.h"
#include "live/live_link_inside.h"
#include "port/port.h"
#include "delivery/roster.h"
#include "live/suspects.h"
#include "store/journal_live.h"
#include "store/state_live.h"

static struct live_link *owner(const struct roster_entry *e)
{
	return e ? roster_owner(e) : NULL;
}

struct live_link *live_link_first_awake(const struct live_link_parts *parts)
{
	return owner(roster_first(parts->roster));
}

struct live_link *live_link_next_awake(const struct live_link *live)
{
	return owner(roster_next(live->turn));
}

void live_link_wake(struct live_link *live)
{
	roster_wake(live->turn);
}

/* Behind those that are no device's come the ones of devices that are awake. */
struct port *live_link_next_awake_port(const struct port *p)
{
	struct port *next = p->turn ? NULL : TAILQ_NEXT(p, entry);
	const struct roster_entry *e;

	if (next && !next->turn)
		return next;
	e = p->turn ? roster_next(p->turn) : roster_first(p->live->awake);
	return e ? roster_owner(e) : NULL;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Of what waits for it, so much holds the source. */
static size_t holding_bytes(const struct port *p)
{
	return live_link_is_parked(p) ? 0 : live_link_bytes(p);
}

static int64_t port_tick(const struct port *p)
{
	if (p->is_to_greet || p->is_to_renew || live_link_is_to_close(p) ||
	    (live_link_overflows(p) && !live_link_is_oldest_parked(p)))
		return 0;
	if (p->is_provisioning)
		return INT64_MAX;
	return earlier(earlier(live_link_next_expiry(p), live_link_drain_look(p)),
		       p->n_fallen ? p->tells_fallen_ms : INT64_MAX);
}

/* (Jobs for stamps come when all others had been handed out: they are with the next turn.) */
static int64_t port_deadline(const struct port *p)
{
	return earlier(earlier(port_tick(p), p->has_asked ? 0 : p->due_ms),
		       earlier(live_link_pace_look_ms(p), live_link_pace_widens_ms(p)));
}

/* Until then it sleeps.  That it is parked changes nothing but what counts where. */
static int64_t port_sleep(const struct port *p, int64_t now_ms)
{
	int64_t parks_ms = live_link_parks_ms(p);
	int64_t due_ms = earlier(port_deadline(p), live_link_disk_due_ms(p, now_ms));

	return parks_ms > now_ms ? earlier(due_ms, parks_ms) : due_ms;
}

#define WATCH_MS 10000

void live_link_rest(struct live_link *live, uint64_t durable)
{
	struct port *p, *next;
	int64_t deadline_ms;

	for (p = TAILQ_FIRST(&live->ports); p; p = next) {
		next = live_link_next_awake_port(p);
		if (!p->turn)
			continue;
		live->device_bytes[p->side] += holding_bytes(p) - p->counted_bytes;
		p->counted_bytes = holding_bytes(p);
		live->parked_bytes += live_link_bytes(p) - p->counted_bytes - p->counted_parked;
		p->counted_parked = live_link_bytes(p) - p->counted_bytes;
		deadline_ms = port_sleep(p, live->now_ms);
		if (live_link_watch_device(p))
			deadline_ms = earlier(deadline_ms, live->now_ms + WATCH_MS);
		roster_rest(p->turn, durable, deadline_ms);
	}
	roster_rest(live->turn, durable, live_link_next_deadline(live));
}

size_t live_link_held_bytes(const struct live_link *live, enum side source)
{
	size_t bytes = link_pending_bytes(live->link, flow_from(source)) +
		       suspects_bytes(live->parts->suspects) +
		       live->device_bytes[side_other(source)];
	const struct port *p;

	FOREACH_AWAKE_PORT (p, live)
		if (p->side != source && !p->is_provisioning)
			bytes += holding_bytes(p) - p->counted_bytes;
	return bytes;
}

static void each_source(struct live_link *live, enum side side, void (*step)(void *carrier))
{
	struct port *p;

	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->side == side && !p->is_provisioning && p->carrier) {
			live_link_wake_port(p);
			step(p->carrier);
		}
}

/* Who is not read is not silent. */
static void note_hearing(struct live_link *live, enum side source, bool is_read)
{
	const struct port *p = live_link_find_port(live, SOUTH, NULL, false);

	if (source == SOUTH)
		link_listen(live->link,
			    is_read && p->carrier && live->parts->port->is_up(p->carrier),
			    live->now_ms);
}

/* What is held of a direction, and what waits for its target, decide whether its source waits. */
static void press(struct live_link *live, enum side source)
{
	size_t bytes = live_link_held_bytes(live, source);

	switch (backpressure_step(&live->backpressure, source, bytes)) {
	case BACKPRESSURE_HOLD:
		log_event(LOG_WARNING, "source-held", "link=%s side=%s bytes=%zu", live->plan->name,
			  side_name(source), bytes);
		each_source(live, source, live->parts->port->hold);
		note_hearing(live, source, false);
		break;
	case BACKPRESSURE_RELEASE:
		log_event(LOG_INFO, "source-released", "link=%s side=%s bytes=%zu",
			  live->plan->name, side_name(source), bytes);
		each_source(live, source, live->parts->port->release);
		note_hearing(live, source, true);
		break;
	case BACKPRESSURE_SAME:
		break;
	}
}

void live_link_press(struct live_link *live, int64_t now_ms)
{
	struct port *p;

	for (int s = 0; s < SIDES; s++)
		press(live, (enum side)s);
	FOREACH_AWAKE_PORT (p, live)
		if (!p->is_provisioning) {
			live_link_pace_look(p, now_ms);
			live_link_visit(p, now_ms);
		}
}

/* With it all changes of state of this link are durable; UINT64_MAX: with one to come. */
static uint64_t changes_commit(const struct live_link *live)
{
	return link_has_changes(live->link) ? UINT64_MAX : state_live_commit(live->changes);
}

static uint64_t greater(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What was published waits for the decisions that it came of, and for all that this link remembers.  It does not wait
 * for the messages that it came of: until they are durable they are not acknowledged, and so come again. */
void live_link_flush(struct live_link *live, uint64_t commit, int64_t now_ms)
{
	uint64_t published;
	struct port *p;

	roster_work(live->turn, commit);
	live_link_flush_commands(live, commit);
	FOREACH_AWAKE_PORT (p, live) {
		if (p->turn)
			roster_work(p->turn, commit);
		if (!p->carrier)
			continue;
		published = live_link_publish(p, now_ms);
		published = greater(published, changes_commit(live));
		live->parts->port->flush(p->carrier, commit,
					 published < commit ? published : commit);
	}
}

void live_link_acknowledge(struct live_link *live, uint64_t commit)
{
	struct port *p;

	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->carrier)
			live->parts->port->flush(p->carrier, commit, commit);
}

void live_link_let_out(struct live_link *live, uint64_t durable)
{
	struct port *p;

	FOREACH_AWAKE_PORT (p, live)
		if (p->carrier)
			live->parts->port->let_out(p->carrier, durable);
	live_link_let_out_commands(live, durable);
	if (link_durable(live->link, durable))
		roster_wake(live->turn);
}

void live_link_hold_sources(struct live_link *live, bool is_held, int64_t now_ms)
{
	live->backpressure.is_closed = is_held;
	roster_wake(live->turn);
	live_link_press(live, now_ms);
}

void live_link_retract(struct live_link *live)
{
	roster_wake(live->turn);
	for (int s = 0; s < SIDES; s++)
		each_source(live, (enum side)s, live->parts->port->retract);
}

static void greet(struct live_link *live, int64_t now_ms)
{
	struct port *p;

	FOREACH_AWAKE_PORT (p, live) {
		if (p->is_to_greet)
			link_greet(live->link, p->device, p->login, now_ms);
		p->is_to_greet = false;
	}
}

static int64_t next_tick(const struct live_link *live)
{
	int64_t earliest = earlier(link_next_deadline(live->link), live_link_next_of_devices(live));
	const struct port *p;

	earliest = earlier(earliest, live_link_next_of_commands(live));
	FOREACH_AWAKE_PORT (p, live)
		earliest = earlier(earliest, port_tick(p));
	return earliest;
}

void live_link_tick(struct live_link *live, int64_t now_ms)
{
	struct port *p;
	bool is_due;

	live->now_ms = now_ms;
	roster_wake_due(live->awake, now_ms);
	is_due = live_link_has_too_much_parked(live) || next_tick(live) <= now_ms;
	live->was_at_disk = live->is_handing_on = false;
	if (!is_due)
		return;
	FOREACH_AWAKE_PORT (p, live) {
		if (!p->is_provisioning)
			live_link_expire(p, now_ms);
		live_link_look_drained(p, now_ms);
	}
	live_link_tick_commands(live, now_ms);
	if (link_next_deadline(live->link) <= now_ms)
		link_tick(live->link, now_ms);
	live_link_tick_waves(live, now_ms);
	FOREACH_AWAKE_PORT (p, live)
		live_link_renew_due(p);
	live_link_tick_devices(live, now_ms);
	greet(live, now_ms);
}

int64_t live_link_next_deadline(const struct live_link *live)
{
	int64_t earliest =
		earlier(earlier(link_next_deadline(live->link), live_link_next_of_devices(live)),
			roster_deadline(live->awake));
	const struct port *p;

	if (live->is_handing_on)
		return 0;
	earliest = earlier(earliest, live_link_next_of_commands(live));
	FOREACH_AWAKE_PORT (p, live)
		earliest = earlier(earliest, port_deadline(p));
	return earliest;
}

bool live_link_save(struct live_link *live, uint64_t commit, struct err *e)
{
	struct changes c = { 0 };

	link_take_changes(live->link, commit, &c);
	state_live_add(live->changes, &c);
	return state_live_write(live->changes, commit, e);
}

void live_link_durable(struct live_link *live, uint64_t commit)
{
	state_live_durable(live->changes, commit);
}

void live_link_undone(struct live_link *live)
{
	state_live_undone(live->changes);
	roster_wake(live->turn);
}

bool live_link_has_changes(const struct live_link *live)
{
	return state_live_has_news(live->changes);
}

uint64_t live_link_journal_bytes(const struct live_link *live)
{
	return journal_live_link_bytes(live->records, SOUTH) +
	       journal_live_link_bytes(live->records, NORTH);
}

/* One that was let go as soon as it is below its share would be held again with the next message. */
bool live_link_overfills(struct live_link *live, bool is_full, uint64_t share)
{
	live->overfills = is_full && (live->overfills || live_link_journal_bytes(live) >= share);
	return live->overfills;
}

void live_link_stop(struct live_link *live)
{
	live_link_stop_commands(live);
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(live->link, (enum flow)f);

		live->stop_at[f] = c->received + c->resumed;
	}
}

bool live_link_has_settled(const struct live_link *live)
{
	if (!TAILQ_EMPTY(&live->commands))
		return false;
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(live->link, (enum flow)f);

		if (c->delivered + c->filtered + c->dead < live->stop_at[f])
			return false;
	}
	return true;
}

bool live_link_is_drained(const struct live_link *live)
{
	const struct port *p;

	if (!TAILQ_EMPTY(&live->commands))
		return false;
	TAILQ_FOREACH (p, &live->ports, entry)
		if (!p->is_provisioning && p->carrier && live->parts->port->is_up(p->carrier) &&
		    live_link_waiting(p) + delivery_in_flight(p->delivery) > 0)
			return false;
	return true;
}
