/* live_link_cutover.c -- devices whose mode was changed: what waits for them when something passes no more.
 *
 * That is sent for `drain` yet.  Where a device has a session of its own in the north, it stays for as long, or until
 * nothing of the device is in hand any more; what is not sent by then is a dead letter. */
#include <string.h>

#include "base/buf.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "delivery/delivery.h"
#include "delivery/roster.h"
#include "fleet/fleet.h"
#include "net/loop.h"
#include "plan/plan.h"
#include "live/live_link_inside.h"

#define LOOK_MS 1000 /* what is being translated has so long to come */

static bool is_of_device(void *ctx, const struct parcel *parcel)
{
	return parcel->device && strcmp(parcel->device, ctx) == 0;
}

/* Who waits for its reply is told that it is cut back, so it must not be done any more. */
static bool is_awaited(void *ctx, const struct parcel *parcel)
{
	return is_of_device(ctx, parcel) && parcel->kind == KIND_COMMAND &&
	       link_is_awaited(parcel->origin, parcel->order);
}

static void give_up(struct port *p, const char *device,
		    bool (*is)(void *ctx, const struct parcel *p))
{
	struct parcel parcel;

	while (delivery_pop_such(p->delivery, is, (void *)device, &parcel))
		live_link_end_parcel(p, &parcel, DEAD_CUT_BACK, LIVE_LINK_CUT_BACK);
}

unsigned live_link_vars_set(const struct live_link *live, const char *device)
{
	const struct fleet_device *d = device ? fleet_find(link_fleet(live->link), device) : NULL;

	return d ? d->n_vars_set : 0;
}

/* A session that is up as it should be stays so, and one that is only to be ended is not opened for that. */
static void renew(struct live_link *live, const char *device, struct port *p)
{
	const struct fleet_device *d = fleet_find(link_fleet(live->link), device);

	if (p ? p->phase != DEVICE_UP || p->n_vars_set != live_link_vars_set(live, device) ||
			    !link_wants_session(live->link, device)
	      : d && fleet_passes(fleet_mode_of(d, live->plan->mode)))
		live_link_renew_device(live, device);
}

static void look_soon(struct port *p, unsigned leaves, int64_t now_ms)
{
	p->drain_look_ms = leaves & FLEET_PASSES(FLOW_UP) ? now_ms + LOOK_MS : INT64_MAX;
	live_link_wake_port(p);
}

void live_link_cut_over(struct live_link *live, const char *device)
{
	int64_t now_ms = loop_now_ms(live->parts->loop);
	unsigned leaves =
		link_cut_over(live->link, device, now_ms, (int64_t)live->conf->drain_s * 1000);
	struct port *p = live_link_find_port(live, SOUTH, device, false);

	if (p && (leaves & FLEET_PASSES(FLOW_DOWN)))
		give_up(p, device, is_awaited);
	p = map_get_str(&live->of_device[NORTH], device);
	if (p)
		look_soon(p, leaves, now_ms);
	renew(live, device, p);
}

void live_link_cut_over_all(struct live_link *live)
{
	size_t n;
	char **devices = fleet_names(link_fleet(live->link), &n);

	for (size_t i = 0; i < n; i++) {
		if (fleet_find(link_fleet(live->link), devices[i])->leaves)
			live_link_cut_over(live, devices[i]);
		free(devices[i]);
	}
	free(devices);
}

void live_link_cut_back(void *ctx, const char *device, enum flow flow)
{
	struct live_link *live = ctx;
	enum side to = flow_target(flow);
	struct port *own = map_get_str(&live->of_device[to], device),
		    *p = own ? own : live_link_find_port(live, to, device, false);

	if (own)
		live_link_close_port(own, DEAD_CUT_BACK, LIVE_LINK_CUT_BACK);
	else if (p)
		give_up(p, device, is_of_device);
	if (!own)
		return;
	live_link_cut_parked(own);
	own->drain_look_ms = INT64_MAX;
	live_link_renew_port(own);
}

const char *live_link_lacks(struct live_link *live, const char *device, bool *comes)
{
	const struct fleet_device *d = fleet_find(link_fleet(live->link), device);
	struct port p = { .live = live, .side = NORTH, .device = (char *)device };
	struct session_login login;
	enum side side;
	bool is_missing;

	*comes = false;
	if (!live->plan->has_device_sessions || !d || d->state == FLEET_READY)
		return NULL;
	if (d->state == FLEET_REFUSED)
		return "the north refuses it: see `calque devices show`";
	if (d->state == FLEET_LOST)
		return "its credentials are lost: import them";
	live_link_make_login(&p, &login);
	is_missing = login.is_missing;
	login_fini(&login);
	if (!is_missing && plan_lacks(live->plan, device, &side))
		return "a variable of its own is not known (see `calque devices show`): import it";
	*comes = !is_missing || d->state == FLEET_ASKING;
	return *comes ? "it has not logged in yet"
		      : "it has no credentials in the north: import them";
}

const struct compares *live_link_compares(const struct live_link *live)
{
	return link_compares(live->link);
}

const char *live_link_read_back(struct live_link *live, const char *device)
{
	struct port *p = live_link_find_port(live, NORTH, device, false);

	if (!link_can_read_back(live->link))
		return "the north cannot be asked for attributes on this link";
	if (!p || !p->login)
		return "its session in the north is not up";
	link_read_back(live->link, device, p->login, loop_now_ms(live->parts->loop));
	roster_wake(live->turn);
	return NULL;
}

bool live_link_put_differing(const struct live_link *live, const char *device, struct buf *names)
{
	return link_put_differing(live->link, device, names);
}

void live_link_push_differing(struct live_link *live, const char *device)
{
	link_push_differing(live->link, device, loop_now_ms(live->parts->loop));
	live_link_wake(live);
}

int64_t live_link_drain_look(const struct port *p)
{
	return live_link_waiting(p) + delivery_in_flight(p->delivery) ? INT64_MAX
								      : p->drain_look_ms;
}

void live_link_look_drained(struct port *p, int64_t now_ms)
{
	struct live_link *live = p->live;

	if (live_link_drain_look(p) > now_ms)
		return;
	p->drain_look_ms = INT64_MAX;
	if (!link_is_idle(live->link, p->device))
		p->drain_look_ms = now_ms + LOOK_MS;
	else if (fleet_find(link_fleet(live->link), p->device))
		fleet_drain(link_fleet(live->link), p->device, now_ms);
}
