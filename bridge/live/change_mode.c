#include "live/change_mode.h"

#include <stdlib.h>

#include "base/mem.h"
#include "live/live_link.h"

char *mode_fixed(const struct fleet_device *d, enum fleet_mode to)
{
	return d->fixed_by && d->fixed_mode != to
		       ? mem_printf("its mode is fixed by %s", d->fixed_by)
		       : NULL;
}

/* It lacks what it logs in with, and the bridge asks for that.  What it lacks then: as live_link_lacks(). */
static const char *ask_for(const struct mode_table *t, const char *device,
			   const struct mode_wish *wish, bool *comes, struct changes *out)
{
	const char *why = live_link_may_provision(t->live);

	if (!why && wish->is_dry)
		return NULL;
	if (!why)
		why = live_link_provision(t->live, device, false, out);
	return why ? why : live_link_lacks(t->live, device, comes);
}

/* Why nothing could pass for it; NULL: it can, or will be able to (*comes). */
static const char *find_lack(const struct mode_table *t, const struct fleet_device *d,
			     const struct mode_wish *wish, bool *comes, struct changes *out)
{
	const char *lack;

	if (!t->live)
		return d->state == FLEET_LOST ? "its credentials are lost: import them" : NULL;
	lack = live_link_lacks(t->live, d->name, comes);
	if (lack && !*comes && wish->provisions && d->state == FLEET_KNOWN)
		lack = ask_for(t, d->name, wish, comes, out);
	return lack && !*comes ? lack : NULL;
}

/* What passes then: MODE, or what the link says. */
static enum fleet_mode then(const struct mode_table *t, enum fleet_mode mode)
{
	return fleet_mode_of(&(struct fleet_device){ .mode = mode }, t->link_mode);
}

/* What the platform said and the device does not have, when it comes to live or leaves it. */
static void find_difference(const struct mode_table *t, const struct fleet_device *d,
			    enum fleet_mode was, const struct mode_wish *wish,
			    struct mode_change *end)
{
	enum fleet_mode will = then(t, wish->to);

	if (!t->live || (was == FLEET_LIVE) == (will == FLEET_LIVE))
		return;
	if (live_link_put_differing(t->live, d->name, &end->differs))
		end->is_pushed = will == FLEET_LIVE && wish->pushes;
	else
		buf_reset(&end->differs);
}

void mode_change(const struct mode_table *t, const char *device, const struct mode_wish *wish,
		 struct mode_change *end, struct changes *out)
{
	const struct fleet_device *d = fleet_find(t->fleet, device);
	enum fleet_mode was = fleet_mode_of(d, t->link_mode);
	const char *lack = NULL;
	bool comes = false;

	*end = (struct mode_change){ .left = mode_fixed(d, wish->to) };
	if (end->left)
		return;
	if (wish->to != FLEET_DEFAULT && fleet_passes(wish->to) &&
	    (d->mode != wish->to || wish->provisions))
		lack = find_lack(t, d, wish, &comes, out);
	if (lack) {
		end->left = mem_printf("left as it is: %s", lack);
		return;
	}
	if (!wish->is_dry)
		fleet_set_mode(t->fleet, device, wish->to, out);
	end->parks = t->live && fleet_passes(then(t, wish->to)) &&
		     live_link_lacks(t->live, device, &comes);
	find_difference(t, d, was, wish, end);
	if (end->is_pushed && !wish->is_dry)
		live_link_push_differing(t->live, device);
}

void mode_change_fini(struct mode_change *end)
{
	free(end->left);
	buf_fini(&end->differs);
	*end = (struct mode_change){ 0 };
}
