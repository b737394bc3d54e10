/* live_link_device.c -- the ports of devices, where each has a session of its own in the north: when they are made, and
 * what they log in with.
 *
 * A port is made for each device for which something is said, and for each of which the state holds something, once
 * the link is started.  It has a carrier as soon as it is known what it logs in with; until then what is for the device
 * waits, and for no other. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "delivery/delivery.h"
#include "net/loop.h"
#include "plan/plan.h"
#include "live/generation.h"
#include "live/live_link_inside.h"
#include "port/port.h"
#include "store/deadletter.h"
#include "store/deadletter_live.h"

static void set_lack(struct port *p, const char *reason)
{
	free(p->lack);
	p->lack = reason ? mem_printf("reason=%s", log_value(reason)) : NULL;
}

/* One line for the link, and not for each of its devices. */
static void tell_lack(struct port *p, const struct err *e)
{
	const struct live_link *live = p->live;

	set_lack(p, e->text);
	log_limited(LOG_ERROR, loop_now_ms(live->parts->loop), live->plan->name, "session-failed",
		    "%s %s", p->name, p->lack);
}

/* --- how it is with them ------------------------------------------------------------------- */

#define TELL_MS 1000

/* One more of these, or one less. */
static void count(struct live_link *live, enum device_phase phase, int by)
{
	switch (phase) {
	case DEVICE_LACKING:
		live->sessions.lacking += (uint64_t)by;
		break;
	case DEVICE_ASLEEP:
		live->sessions.asleep += (uint64_t)by;
		break;
	case DEVICE_UP:
		live->sessions.up += (uint64_t)by;
		break;
	case DEVICE_REFUSED:
		live->sessions.refused += (uint64_t)by;
		break;
	case DEVICE_DOWN:
		break;
	}
}

void live_link_device_is(struct port *p, enum device_phase phase)
{
	struct live_link *live = p->live;

	if (p->phase == phase)
		return;
	count(live, p->phase, -1);
	count(live, phase, 1);
	live->sessions.came += phase == DEVICE_UP;
	live->sessions.went += p->phase == DEVICE_UP;
	p->phase = phase;
	p->connects_ms = 0;
	if (live->sessions_due_ms == INT64_MAX)
		live->sessions_due_ms = loop_now_ms(live->parts->loop) + TELL_MS;
}

/* --- what waits for one of them ------------------------------------------------------------ */

#define COMES_UP_MS  5000 /* longer than that a connect takes only if something is wrong */
#define FALLEN_MS    INT64_C(3600000)
#define DISK_BUSY_MS 20

/* Where nobody is there, that has yet to be found out: it is no reason of a device's. */
static bool others_are_let_in(const struct port *p)
{
	const struct live_link *live = p->live;

	return !endpoint_is_down(live->endpoint) &&
	       (live->sessions.up > 0 || live->answered_ms >= p->connects_ms);
}

bool live_link_is_parked(const struct port *p)
{
	const struct live_link *live = p->live;

	if (!p->device || p->phase == DEVICE_UP)
		return false;
	if (p->is_to_renew || !live->is_started)
		return false; /* it is not known yet how it is */
	return p->phase != DEVICE_DOWN ||
	       (live_link_parks_ms(p) <= live->now_ms && others_are_let_in(p));
}

int64_t live_link_parks_ms(const struct port *p)
{
	return p->connects_ms ? p->connects_ms + COMES_UP_MS : INT64_MAX;
}

void live_link_device_connects(struct port *p, int64_t now_ms)
{
	if (!p->connects_ms && !endpoint_is_down(p->live->endpoint))
		p->connects_ms = now_ms;
}

bool live_link_overflows(const struct port *p)
{
	const struct conf_link *conf = p->live->conf;

	return (live_link_waiting(p) > (size_t)conf->waiting.messages ||
		live_link_bytes(p) > (size_t)conf->waiting.bytes) &&
	       live_link_is_parked(p);
}

/* One letter for many: 500 devices that are refused would drive out all others. */
static void tell_fallen(struct port *p, int64_t now_ms)
{
	struct live_link *live = p->live;
	char *text = mem_printf("%llu messages fell out of what waits for this device, and cannot "
				"be retried: the first came %lld s ago, the last %lld s",
				(unsigned long long)p->n_fallen,
				(long long)(now_ms - p->fallen_ms[0]) / 1000,
				(long long)(now_ms - p->fallen_ms[1]) / 1000);

	deadletter_live_bury(live->parts->letters,
			     &(struct deadletter){ .link = live->plan->name,
						   .from = side_other(p->side),
						   .kind = (char *)kind_name(KIND_NONE),
						   .reason = (char *)outcome_word(DEAD_PARKED_FULL),
						   .text = text,
						   .topic = (char *)"",
						   .device = p->device,
						   .received_ms = p->fallen_ms[0] },
			     now_ms);
	log_limited(LOG_WARNING, now_ms, live->plan->name, "parked-full", "%s messages=%llu",
		    p->name, (unsigned long long)p->n_fallen);
	p->n_fallen = 0;
	p->tells_fallen_ms = now_ms + FALLEN_MS;
	free(text);
}

static bool drop_oldest(struct port *p)
{
	struct parcel parcel;
	int64_t since_ms;

	if (live_link_is_oldest_parked(p)) {
		if (!live_link_drop_parked(p, &since_ms))
			return false;
	} else {
		if (!delivery_pop_old(p->delivery, INT64_MAX, &parcel))
			return false;
		since_ms = parcel.since_ms;
		live_link_end_parcel(p, &parcel, DEAD_PARKED_FULL, NULL);
	}
	if (p->n_fallen++ == 0)
		p->fallen_ms[0] = since_ms;
	p->fallen_ms[1] = since_ms;
	return true;
}

void live_link_let_fall(struct port *p, int64_t now_ms)
{
	while (live_link_overflows(p) && drop_oldest(p))
		;
	if (p->n_fallen && now_ms >= p->tells_fallen_ms)
		tell_fallen(p, now_ms);
}

/* The one for which the most is parked; NULL: nothing is. */
static struct port *fullest(const struct live_link *live)
{
	struct port *p, *most = NULL;

	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->counted_parked > (most ? most->counted_parked : 0))
			most = p;
	return most;
}

bool live_link_has_too_much_parked(const struct live_link *live)
{
	uint64_t most = live->parts->most_parked_bytes;

	return most && live->parked_bytes > most;
}

/* To look for the fullest costs a walk over all, so it gives a little more than one. */
static bool shed(struct live_link *live, struct port *p)
{
	size_t before = live_link_bytes(p), gone = 0;

	live_link_wake_port(p);
	while (gone <= before / 16 && live_link_has_too_much_parked(live) && drop_oldest(p)) {
		gone = before - live_link_bytes(p);
		live->parked_bytes -= p->counted_parked;
		p->counted_parked = before - gone;
		live->parked_bytes += p->counted_parked;
	}
	return gone > 0;
}

void live_link_shed(struct live_link *live)
{
	struct port *p;

	while (live_link_has_too_much_parked(live) && (p = fullest(live)) != NULL && shed(live, p))
		;
}

/* Nobody is there, or somebody is again: what waits is for another reason now, and counts elsewhere. */
static void look_at_endpoint(struct live_link *live)
{
	struct port *p;

	if (endpoint_is_down(live->endpoint) == live->was_down)
		return;
	live->was_down = !live->was_down;
	TAILQ_FOREACH (p, &live->ports, entry) {
		if (!p->device || p->phase != DEVICE_DOWN)
			continue;
		p->connects_ms = 0;
		live_link_wake_port(p);
	}
}

/* --- which of them are open ---------------------------------------------------------------- */

#define REFUSED_MS 60000 /* one that is refused tries for so long, though others want its place */

static bool is_on_demand(const struct port *p)
{
	return link_is_on_demand(p->live->link, p->device, p->live->conf->is_on_demand);
}

/* It is connected no more, and what is for it waits. */
static void leave(struct port *p)
{
	places_leave(p->live->places, &p->place);
	if (!p->carrier)
		return;
	p->live->parts->port->stop(p->carrier);
	endpoint_leave(p->live->endpoint, &p->seat);
	live_link_end_connection(p, SESSION_END_OURS);
}

/* It needs no connection now, and says nothing of that to anybody. */
static void sleep_now(struct port *p)
{
	leave(p);
	if (p->carrier)
		p->live->parts->port->close(p->carrier);
	p->carrier = NULL;
	if (p->phase != DEVICE_REFUSED)
		live_link_device_is(p, DEVICE_ASLEEP);
}

static void tell_full(const struct port *p)
{
	log_limited(LOG_WARNING, p->live->now_ms, p->live->plan->name, "sessions-full",
		    "%s max=%d reason=\"as many sessions are open as may be (connections.max)\"",
		    p->name, p->live->conf->side[NORTH].connections.max);
}

/* May it be open?  Else it waits for its place, or for something to be sent. */
static bool may_be_open(struct port *p)
{
	if (p->place.is_held)
		return true;
	if (is_on_demand(p) && live_link_waiting(p) == 0)
		return false;
	if (places_take(p->live->places, &p->place))
		return true;
	if (!is_on_demand(p))
		tell_full(p);
	return false;
}

void live_link_want_device(struct port *p)
{
	p->is_used = true;
	if (p->live->plan->has_device_sessions && p->device && !p->place.is_held &&
	    p->phase != DEVICE_LACKING && !places_is_waiting(p->live->places, &p->place))
		live_link_renew_port(p);
}

bool live_link_watch_device(struct port *p)
{
	struct live_link *live = p->live;
	size_t n = live_link_waiting(p) + delivery_in_flight(p->delivery);

	if (p->place.is_held && link_is_away(live->link, p->device))
		return true;
	if (!p->place.is_held || !is_on_demand(p))
		return false;
	if (p->is_used)
		places_use(live->places, &p->place);
	p->is_used = false;
	if (p->phase == DEVICE_REFUSED)
		places_rest(live->places, &p->place, live->now_ms + REFUSED_MS);
	else if (p->phase == DEVICE_UP && n == 0 && !link_is_busy_with(live->link, p->device))
		places_rest(live->places, &p->place, live->now_ms);
	else
		places_use(live->places, &p->place);
	return p->phase == DEVICE_UP && !p->place.list;
}

static void give_places(struct live_link *live, int64_t now_ms)
{
	struct place *place;

	while ((place = places_due(live->places, now_ms)) != NULL) {
		struct port *p = place->owner;

		live_link_wake_port(p);
		sleep_now(p);
		if (live_link_waiting(p))
			live_link_want_device(p);
	}
	while ((place = places_next(live->places)) != NULL)
		live_link_renew_port(place->owner);
}

/* --- what they share with those of other links ---------------------------------------------- */

static void on_endpoint_change(void *ctx)
{
	live_link_wake(ctx);
}

void live_link_join_endpoint(struct live_link *live)
{
	const struct conf_session *north = &live->conf->side[NORTH];
	bool has_sessions = live->plan->has_device_sessions; /* else it has no say in it */

	live->shares = (struct endpoint_user){
		.connects_per_second = has_sessions ? north->connections.per_second : 0,
		.messages_per_second = has_sessions ? north->connections.messages_per_second : 0,
		.on_change = on_endpoint_change,
		.ctx = live
	};
	live->endpoint =
		endpoint_join(live->parts->endpoints, north->host, north->port, &live->shares);
}

/* Those whose turn it is, of whichever link. */
static void let_connect(struct endpoint *ep, int64_t now_ms)
{
	struct seat *seat;

	while ((seat = endpoint_next(ep, now_ms)) != NULL) {
		struct port *p = seat->owner;

		live_link_wake_port(p);
		live_link_device_connects(p, now_ms);
		if (!p->carrier || !p->live->parts->port->go(p->carrier))
			endpoint_leave(ep, seat);
	}
}

static void let_send(struct endpoint *ep, int64_t now_ms)
{
	struct seat *seat;

	while ((seat = endpoint_next_to_send(ep, now_ms)) != NULL)
		live_link_wake_port(seat->owner);
}

/* --- whose device is offline --------------------------------------------------------------- */

bool live_link_is_to_close(const struct port *p)
{
	const struct live_link *live = p->live;

	if (!p->device || !p->place.is_held || !link_is_away(live->link, p->device))
		return false;
	return p->phase != DEVICE_UP ||
	       (live_link_waiting(p) + delivery_in_flight(p->delivery) == 0 &&
		!link_is_busy_with(live->link, p->device));
}

/* As it was up when its device went, it has to see to the end what is open. */
static bool stays(const struct port *p)
{
	return p->place.is_held && p->phase == DEVICE_UP && !live_link_is_to_close(p);
}

void live_link_came(void *ctx, const char *device)
{
	struct live_link *live = ctx;

	if (map_get_str(&live->of_device[NORTH], device) || !link_is_away(live->link, device))
		live_link_renew_device(live, device);
}

/* --- what is told of them ------------------------------------------------------------------ */

static const char *const device_events[DEVICE_EVENTS] = {
	[DEVICE_ISSUED] = "credentials-issued",
	[DEVICE_TRIED] = "login-tried",
	[DEVICE_LIMITS_TOLD] = "limits-told",
	[DEVICE_RENEWED] = "secrets-renewed",
};

void live_link_device_event(struct port *p, enum device_event event, const char *details)
{
	struct live_link *live = p->live;
	bool is_counted = live->plan->has_device_sessions && p->side == NORTH;

	log_event(is_counted ? LOG_DEBUG : LOG_INFO, device_events[event], "%s%s%s", p->name,
		  *details ? " " : "", details);
	if (!is_counted)
		return;
	live->n_events[event]++;
	if (live->sessions_due_ms == INT64_MAX)
		live->sessions_due_ms = loop_now_ms(live->parts->loop) + TELL_MS;
}

const char *live_link_subject(const struct port *p, const char *event)
{
	static struct buf subject;

	buf_reset(&subject);
	buf_printf(&subject, "%s %s", p->device ? p->live->plan->name : p->name, event);
	return buf_str(&subject);
}

static void tell_events(struct live_link *live)
{
	for (int i = 0; i < DEVICE_EVENTS; i++) {
		if (live->n_events[i])
			log_event(LOG_INFO, device_events[i], "link=%s side=north devices=%u",
				  live->plan->name, live->n_events[i]);
		live->n_events[i] = 0;
	}
}

static void tell(struct live_link *live)
{
	const struct live_link_sessions *s = &live->sessions;

	log_event(s->refused > live->told.refused ? LOG_WARNING : LOG_INFO, "sessions",
		  "link=%s side=north up=%llu of=%llu refused=%llu lacking=%llu asleep=%llu "
		  "came=%llu "
		  "went=%llu%s",
		  live->plan->name, (unsigned long long)s->up, (unsigned long long)s->n,
		  (unsigned long long)s->refused, (unsigned long long)s->lacking,
		  (unsigned long long)s->asleep, (unsigned long long)(s->came - live->told.came),
		  (unsigned long long)(s->went - live->told.went),
		  endpoint_is_down(live->endpoint) ? " reason=\"nobody answers\"" : "");
	live->told = *s;
}

static bool is_news(const struct live_link *live)
{
	return memcmp(&live->told, &live->sessions, sizeof live->told) != 0;
}

void live_link_tick_devices(struct live_link *live, int64_t now_ms)
{
	look_at_endpoint(live);
	live_link_shed(live);
	give_places(live, now_ms);
	let_connect(live->endpoint, now_ms);
	let_send(live->endpoint, now_ms);
	if (now_ms < live->sessions_due_ms)
		return;
	live->sessions_due_ms = INT64_MAX;
	tell_events(live);
	if (is_news(live))
		tell(live);
}

int64_t live_link_next_of_devices(const struct live_link *live)
{
	int64_t due_ms = endpoint_due_ms(live->endpoint);
	int64_t places_ms = places_due_ms(live->places);

	if (endpoint_is_down(live->endpoint) != live->was_down)
		return 0;
	if (live_link_has_too_much_parked(live)) /* between commits */
		return live->was_at_disk ? 0 : live->now_ms + DISK_BUSY_MS;
	if (places_ms < due_ms)
		due_ms = places_ms;
	return due_ms < live->sessions_due_ms ? due_ms : live->sessions_due_ms;
}

/* --- what they log in with ----------------------------------------------------------------- */

static void open_port(struct port *p, const struct session_login *login)
{
	struct err e = { 0 };

	set_lack(p, NULL);
	if (live_link_open_port(p, login, &e))
		live_link_start_port(p);
	else
		tell_lack(p, &e);
}

void live_link_renew_port(struct port *p)
{
	p->is_to_renew = p->live->is_started;
	live_link_wake_port(p);
}

char *live_link_why_unset(const struct live_link *live, const char *device)
{
	enum side side;
	const char *name = plan_lacks(live->plan, device, &side);

	return name ? mem_printf("%s.%s is set neither for this device nor for all",
				 side_name(side), name)
		    : NULL;
}

/* Why it is not to be opened; NULL: it may be. */
static char *why_early(const struct port *p, const struct session_login *login)
{
	char *why;

	if (login->is_missing)
		return mem_strdup("no credentials of this device are known");
	if (!link_wants_session(p->live->link, p->device))
		return mem_strdup("nothing of this device passes (its mode)");
	why = live_link_why_unset(p->live, p->device);
	if (why)
		link_device_lacks(p->live->link, p->device, why);
	return why;
}

void live_link_renew_due(struct port *p)
{
	struct live_link *live = p->live;
	struct session_login login;
	char *reason;

	if (!p->is_to_renew && !live_link_is_to_close(p))
		return;
	p->is_to_renew = false;
	live_link_make_login(p, &login);
	reason = why_early(p, &login);
	p->is_early = reason != NULL;
	if (reason) {
		live_link_device_is(p, DEVICE_LACKING);
		leave(p);
		set_lack(p, reason);
	} else if (link_is_away(live->link, p->device)) {
		if (!stays(p)) {
			sleep_now(p);
			set_lack(p, "its device is offline");
		}
	} else if (!may_be_open(p)) {
		set_lack(p, NULL);
		live_link_device_is(p, p->phase == DEVICE_REFUSED ? p->phase : DEVICE_ASLEEP);
	} else if (!p->carrier) {
		live_link_device_is(p, DEVICE_DOWN);
		open_port(p, &login);
	} else {
		live_link_device_is(p, DEVICE_DOWN);
		live->parts->port->set_login(p->carrier, &login);
		live->parts->port->start(p->carrier);
	}
	free(reason);
	login_fini(&login);
}

struct port *live_link_device_port(struct live_link *live, const char *device)
{
	struct port *p = map_get_str(&live->of_device[NORTH], device);

	if (p || live->of_device[NORTH].n >= live->plan->max_devices)
		return p;
	p = live_link_add_port(live, NORTH, device, false);
	live->sessions.n++;
	live->sessions.lacking++;
	live_link_renew_port(p);
	return p;
}

void live_link_start_devices(struct live_link *live)
{
	struct map_pos pos = { 0 };
	const char *device;
	struct port *p;

	if (!live->plan->has_device_sessions)
		return;
	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->device && !p->carrier)
			live_link_renew_port(p);
	while ((device = link_next_device(live->link, &pos)) != NULL)
		if (link_wants_session(live->link, device))
			live_link_device_port(live, device);
}

void live_link_renew_device(struct live_link *live, const char *device)
{
	struct port *p = map_get_str(&live->of_device[NORTH], device);

	if (!live->plan->has_device_sessions)
		return;
	if (p)
		live_link_renew_port(p);
	else if (link_wants_session(live->link, device))
		live_link_device_port(live, device);
}
