/* registry.c -- of which devices the state holds something, so that strangers cannot make it grow without end.
 *
 * Anybody may publish under any name.  At the bound a new name takes the place of one that nobody would miss:
 * first of those that were seen once, then of the others, and always the youngest, for a flood is young.  Whose
 * configuration is held, who was issued credentials or another name, who waits or is waited for, and what is in
 * hand, is never forgotten for another.  When nobody is left, a new name passes and nothing is remembered. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "plan/plan.h"
#include "state/devices.h"
#include "state/pairing.h"
#include "handshake/provision.h"
#include "state/twin.h"
#include "translate/executor.h"

#define ONCE_MS	 60000 /* all that a device says within this is one visit */
#define AGAIN_MS 1000  /* nobody could be forgotten: look once more */

struct registered {
	char *device;
	int64_t first_ms;
	bool is_familiar;	    /* seen more than once, or by an earlier run */
	struct registered_list *at; /* the list that it is in */
	TAILQ_ENTRY(registered) entry;
};

static void list_add(struct registered *r, struct registered_list *list)
{
	r->at = list;
	TAILQ_INSERT_TAIL(list, r, entry);
}

static void list_remove(struct registered *r)
{
	TAILQ_REMOVE(r->at, r, entry);
}

void registry_new(struct link *l)
{
	TAILQ_INIT(&l->registry.strangers);
	TAILQ_INIT(&l->registry.familiars);
	TAILQ_INIT(&l->registry.kept);
}

static void registered_free(void *value)
{
	struct registered *r = value;

	free(r->device);
	free(r);
}

void registry_free(struct link *l)
{
	map_fini(&l->registry.of_device, registered_free);
}

static struct registered *add(struct link *l, const char *device)
{
	struct registered *r = mem_zalloc(sizeof *r);

	r->device = mem_strdup(device);
	r->first_ms = l->now_ms;
	map_set_str(&l->registry.of_device, device, r);
	return r;
}

void registry_note(struct link *l, const char *device)
{
	if (!map_get_str(&l->registry.of_device, device))
		list_add(add(l, device), &l->registry.strangers);
}

void registry_restored(struct link *l, const char *device)
{
	struct registered *r;

	if (map_get_str(&l->registry.of_device, device))
		return;
	r = add(l, device);
	r->is_familiar = true;
	list_add(r, &l->registry.familiars);
}

void registry_see(struct link *l, const char *device, int64_t now_ms)
{
	struct registered *r = map_get_str(&l->registry.of_device, device);

	if (!r || r->is_familiar || now_ms < r->first_ms + ONCE_MS)
		return;
	r->is_familiar = true;
	if (r->at == &l->registry.kept)
		return;
	list_remove(r);
	list_add(r, &l->registry.familiars);
}

void registry_gone(struct link *l, const char *device)
{
	struct registered *r = map_remove_str(&l->registry.of_device, device);

	if (!r)
		return;
	list_remove(r);
	registered_free(r);
}

/* --- making room */

bool link_is_busy_with(const struct link *l, const char *device)
{
	const struct sequence *q = map_get_str(&l->of_device, device);

	return pairings_has_open(l->pairings, device) ||
	       (q && (q->decision || !strand_is_idle(q->strand)));
}

/* In the midst of a step, maybe. */
static bool is_in_hand(const struct link *l, const char *device)
{
	const struct sequence *q = map_get_str(&l->of_device, device);

	return (q && q == l->at) || link_is_busy_with(l, device);
}

static bool is_named(const struct link *l, const char *device)
{
	return strcmp(device, l->plan->device) == 0 || devices_there(l->devices, SOUTH, device) ||
	       devices_there(l->devices, NORTH, device);
}

static bool is_missed(const struct link *l, const char *device)
{
	return twins_holds(l->twins, device) || is_named(l, device) ||
	       fleet_is_kept(l->fleet, device) || provisions_is_issued(l->provisions, device) ||
	       is_in_hand(l, device);
}

static struct registered *youngest(struct link *l, struct registered_list *list)
{
	struct registered *r;

	while ((r = TAILQ_LAST(list, registered_list)) != NULL && is_missed(l, r->device)) {
		list_remove(r);
		list_add(r, &l->registry.kept);
	}
	return r;
}

static struct registered *least_missed(struct link *l)
{
	struct registered *r = youngest(l, &l->registry.strangers);

	return r ? r : youngest(l, &l->registry.familiars);
}

/* What was in use when it was looked at may not be any more. */
static void reconsider(struct link *l)
{
	struct registered *r;

	while ((r = TAILQ_FIRST(&l->registry.kept)) != NULL) {
		list_remove(r);
		list_add(r, r->is_familiar ? &l->registry.familiars : &l->registry.strangers);
	}
	l->registry.again_ms = l->latest_ms + AGAIN_MS;
}

/* It is nothing that the event in hand does: what is deleted counts as done before it. */
static void forget(struct link *l, struct registered *r)
{
	struct changes rest = { 0 }, *c = &l->changes;
	size_t n = c->n - l->n_step;

	if (n) {
		rest.items = mem_dup(c->items + l->n_step, n * sizeof *rest.items);
		rest.n = n;
		c->n = l->n_step;
	}
	l->registry.n_forgotten++;
	machines_device_gone(l, r->device);
	l->n_step = c->n;
	changes_move(c, &rest, rest.n);
}

static bool make_room(struct link *l)
{
	struct registered *r = least_missed(l);

	if (!r && l->latest_ms >= l->registry.again_ms) {
		reconsider(l);
		r = least_missed(l);
	}
	if (r)
		forget(l, r);
	return r;
}

static bool is_full(const struct link *l)
{
	return l->registry.of_device.n >= l->plan->max_devices;
}

bool registry_admit(struct link *l, const char *device)
{
	bool was_full = is_full(l), has_room;

	if (map_get_str(&l->registry.of_device, device))
		return true;
	has_room = !was_full || make_room(l);
	if (has_room)
		registry_note(l, device);
	else
		l->registry.n_unremembered++;
	if (was_full && l->ops.crowded)
		l->ops.crowded(l->ctx, device, has_room);
	return has_room;
}

void registry_prune(struct link *l)
{
	uint64_t before = l->registry.n_forgotten;

	l->n_step = l->changes.n;
	while (l->registry.of_device.n > l->plan->max_devices && make_room(l))
		continue;
	if (l->registry.n_forgotten > before && l->ops.crowded)
		l->ops.crowded(l->ctx, "", true);
}

void link_devices(const struct link *l, struct link_devices *out)
{
	*out = (struct link_devices){ .n = l->registry.of_device.n,
				      .most = l->plan->max_devices,
				      .forgotten = l->registry.n_forgotten,
				      .unremembered = l->registry.n_unremembered };
}

const char *link_next_device(const struct link *l, struct map_pos *pos)
{
	const struct registered *r = map_next(&l->registry.of_device, pos);

	return r ? r->device : NULL;
}
