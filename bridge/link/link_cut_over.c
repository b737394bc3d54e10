/* link_cut_over.c -- a device whose mode was changed: what it leaves, and what it comes to. */
#include "base/buf.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "state/twin.h"
#include "translate/executor.h"

/* The next device of this name begins with nothing: what this one was told, it was not.  (While something of it is
 * in hand that stays, as does what others need room for.) */
static void forget_rest(struct link *l, const char *device, int64_t now_ms)
{
	if (link_is_busy_with(l, device))
		return;
	link_begin_own(l, sequence_of_device(l, device), now_ms);
	machines_device_gone(l, device);
	link_end_own(l, NULL);
}

unsigned link_cut_over(struct link *l, const char *device, int64_t now_ms, int64_t drain_ms)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);
	unsigned leaves = d ? d->leaves : 0;

	link_compare_begin(l, device);
	if (!d)
		forget_rest(l, device, now_ms);
	if (!leaves)
		return 0;
	fleet_drain(l->fleet, device, now_ms + drain_ms);
	if (leaves & FLEET_PASSES(FLOW_DOWN)) {
		pairings_end_of(l->pairings, device, NORTH, LINK_CUT_BACK);
		link_begin_own(l, sequence_of_device(l, device), now_ms);
		twins_hold(l->twins, device, &l->changes);
		link_end_own(l, NULL);
	}
	return leaves;
}

bool link_is_idle(const struct link *l, const char *device)
{
	const struct sequence *q = map_get_str(&l->of_device, device);

	return !q || (strand_is_idle(q->strand) && !q->decision);
}

bool link_is_awaited(const struct intake *origin, unsigned order)
{
	return link_order_is_awaited(origin, order);
}

bool link_put_differing(const struct link *l, const char *device, struct buf *names)
{
	return twins_put_differing(l->twins, device, names);
}

void link_push_differing(struct link *l, const char *device, int64_t now_ms)
{
	struct intake *in;

	link_begin_own(l, sequence_of_device(l, device), now_ms);
	in = link_own_intake(l, FLOW_DOWN);
	if (twins_take_up(l->twins, device, &l->changes))
		logic_send_failed(l, in, device);
	link_end_own(l, in);
}
