/* link_presence.c -- who is here: what devices and front doors say of it, what silence says, and what the north is
 * told.
 *
 * A device that comes is here at once.  One that says goodbye, or falls silent, is gone after a while
 * (state/presence.h), when nobody says anything: so the bridge does.  Where a device's session in the north is its
 * presence there, that is opened and closed, and nothing is sent. */
#include <string.h>

#include "base/jtext.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "plan/plan.h"
#include "state/presence.h"
#include "translate/executor.h"

void presence_new(struct link *l)
{
	presences_set_delays(l->presences, l->plan->offline_after_ms, l->plan->offline_delay_ms);
}

void link_listen(struct link *l, bool is_heard, int64_t now_ms)
{
	presences_listen(l->presences, is_heard, now_ms);
}

bool link_is_away(const struct link *l, const char *device)
{
	return l->plan->has_session_presence && presences_is_away(l->presences, device);
}

void presence_hear(struct link *l, const char *device, int64_t at_ms)
{
	if (l->plan->offline_after_ms && registry_admit(l, device))
		presences_hear(l->presences, device, at_ms);
}

/* --- telling the north --------------------------------------------------------------------- */

/* By the mode of the device. */
static bool passes(const struct link *l, const char *device)
{
	return fleet_passes(link_mode(l, device)) & FLEET_PASSES(FLOW_UP);
}

/* It has come or gone, by the message `said`. */
static void tell(struct link *l, struct intake *in, const struct canonical *said, bool is_online)
{
	if (!l->plan->has_session_presence)
		link_write_canonical(l, in, NORTH, said);
	else
		in->is_well = true; /* it is kept in the state */
	if (l->plan->has_session_presence && l->ops.came)
		l->ops.came(l->ctx, said->device);
	if (is_online)
		greeting_came_online(l, said->device);
}

/* The same, in an own step, which it ends; what does not pass for the device is not told. */
static void tell_own(struct link *l, const char *device, bool is_online)
{
	const char *body = is_online ? "{\"online\":true}" : "{\"online\":false}";
	struct canonical p = { .kind = KIND_PRESENCE,
			       .device = (char *)device,
			       .body = (char *)body,
			       .body_len = strlen(body) };
	bool is_told =
		(l->plan->has_session_presence || plan_writer(l->plan, NORTH, KIND_PRESENCE)) &&
		passes(l, device);
	struct intake *in = is_told ? link_own_intake(l, FLOW_UP) : NULL;

	if (in)
		tell(l, in, &p, is_online);
	link_end_own(l, in);
}

/* --- what is said -------------------------------------------------------------------------- */

void logic_presence(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	bool is_online = jtext_is_true(canonical_body(p), "online");
	bool is_remembered = registry_admit(l, p->device);
	size_t n = l->changes.n;

	/* Of one that is not remembered it is always news. */
	if (!is_remembered)
		link_write_canonical(l, t->intake, NORTH, p);
	else if ((is_online || !presences_leave(l->presences, p->device, l->now_ms, &l->changes)) &&
		 presences_set_online(l->presences, p->device, is_online, &l->changes))
		tell(l, t->intake, p, is_online);
	else if (l->changes.n > n)
		t->intake->is_well = true; /* that it leaves, or stays, is kept in the state */
	else
		link_refuse(t->intake, FILTERED_NO_CHANGE, NULL);
}

/* Nobody hears of a device that is off, though it may be let in: it comes when its mode is another one. */
static bool takes_word(struct link *l, const char *device, bool is_online)
{
	if (!is_online && presences_leave(l->presences, device, l->now_ms, &l->changes))
		return false;
	if (is_online && !passes(l, device))
		return false;
	if (is_online)
		presences_hear(l->presences, device, l->now_ms);
	return presences_set_online(l->presences, device, is_online, &l->changes);
}

void link_presence(struct link *l, const char *device, bool is_online, int64_t now_ms)
{
	link_begin_own(l, sequence_of_device(l, device), now_ms);
	if (!registry_admit(l, device) || takes_word(l, device, is_online))
		tell_own(l, device, is_online);
	else
		link_end_own(l, NULL);
}

/* --- what time brings ---------------------------------------------------------------------- */

static void come_back(struct link *l, const char *device)
{
	link_begin_own(l, sequence_of_device(l, device), l->now_ms);
	presences_set_online(l->presences, device, true, &l->changes);
	tell_own(l, device, true);
}

static void go(struct link *l, const char *device)
{
	link_begin_own(l, sequence_of_device(l, device), l->now_ms);
	presences_set_gone(l->presences, device, &l->changes);
	tell_own(l, device, false);
}

/* A message itself does not change the state by that: it is what it would have been without. */
static void note_seen(struct link *l, const char *device)
{
	link_begin_own(l, sequence_of_device(l, device), l->now_ms);
	presences_put_seen(l->presences, device, &l->changes);
	link_end_own(l, NULL);
}

void presence_tick(struct link *l)
{
	const char *device;

	while ((device = presences_next_back(l->presences)) != NULL)
		come_back(l, device);
	while ((device = presences_next_gone(l->presences, l->now_ms)) != NULL)
		go(l, device);
	while ((device = presences_next_seen(l->presences)) != NULL)
		note_seen(l, device);
}
