/* live_link_device.c -- the ports of devices, where each has a session of its own in the north: when they are made, and
 * what they log in with.
 *
 * A port is made for each device for which something is said, and for each of which the state holds something, once
 * the link is started.  It has a carrier as soon as it is known what it logs in with; until then what is for the device
 * waits, and for no other. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/login.h"
#include "net/loop.h"
#include "plan/plan.h"
#include "run/generation.h"
#include "run/live_link_inside.h"
#include "run/port.h"

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

static uint64_t *counter(struct live_link *live, enum device_phase phase)
{
	switch (phase) {
	case DEVICE_LACKING:
		return &live->sessions.lacking;
	case DEVICE_UP:
		return &live->sessions.up;
	case DEVICE_REFUSED:
		return &live->sessions.refused;
	case DEVICE_DOWN:
		break;
	}
	return NULL;
}

void live_link_device_is(struct port *p, enum device_phase phase)
{
	struct live_link *live = p->live;
	uint64_t *was = counter(live, p->phase), *is = counter(live, phase);

	if (p->phase == phase)
		return;
	if (was)
		--*was;
	if (is)
		++*is;
	live->sessions.came += phase == DEVICE_UP;
	live->sessions.went += p->phase == DEVICE_UP;
	p->phase = phase;
	if (live->sessions_due_ms == INT64_MAX)
		live->sessions_due_ms = loop_now_ms(live->parts->loop) + TELL_MS;
}

static void tell(struct live_link *live)
{
	const struct live_link_sessions *s = &live->sessions;

	log_event(s->refused > live->told.refused ? LOG_WARNING : LOG_INFO, "sessions",
		  "link=%s side=north up=%llu of=%llu refused=%llu lacking=%llu came=%llu "
		  "went=%llu%s",
		  live->plan->name, (unsigned long long)s->up, (unsigned long long)s->n,
		  (unsigned long long)s->refused, (unsigned long long)s->lacking,
		  (unsigned long long)(s->came - live->told.came),
		  (unsigned long long)(s->went - live->told.went),
		  endpoint_is_down(live->endpoint) ? " reason=\"nobody answers\"" : "");
	live->told = *s;
}

void live_link_tick_devices(struct live_link *live, int64_t now_ms)
{
	struct seat *seat;

	while ((seat = endpoint_next(live->endpoint, now_ms)) != NULL) {
		struct port *p = seat->owner;

		live_link_wake_port(p);
		if (!p->carrier || !live->parts->port->go(p->carrier))
			endpoint_leave(live->endpoint, seat);
	}
	if (now_ms < live->sessions_due_ms)
		return;
	live->sessions_due_ms = INT64_MAX;
	tell(live);
}

int64_t live_link_next_of_devices(const struct live_link *live)
{
	int64_t due_ms = endpoint_due_ms(live->endpoint);

	return due_ms < live->sessions_due_ms ? due_ms : live->sessions_due_ms;
}

/* --- what they log in with ----------------------------------------------------------------- */

/* It is connected no more, and what is for it waits. */
static void leave(struct port *p)
{
	if (!p->carrier)
		return;
	p->live->parts->port->stop(p->carrier);
	endpoint_leave(p->live->endpoint, &p->seat);
	live_link_end_connection(p, SESSION_END_OURS);
}

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

void live_link_renew_due(struct port *p)
{
	struct live_link *live = p->live;
	struct session_login login;

	if (!p->is_to_renew)
		return;
	p->is_to_renew = false;
	live_link_make_login(p, &login);
	p->is_early = login.is_missing || !link_wants_session(live->link, p->device);
	live_link_device_is(p, p->is_early ? DEVICE_LACKING : DEVICE_DOWN);
	if (p->is_early) {
		leave(p);
		set_lack(p, login.is_missing ? "no credentials of this device are known"
					     : "nothing of this device passes (its mode)");
	} else if (!p->carrier) {
		open_port(p, &login);
	} else {
		live->parts->port->set_login(p->carrier, &login);
		live->parts->port->start(p->carrier);
	}
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
