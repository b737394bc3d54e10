/* link_order.c -- commands on their way whose sender waits for a reply: from the output of a command to the pairing by
 * which its sender is found, and what the end of that way means for him.
 *
 * An order is on its way from link_note_order() to link_ended(), which is called once for each. */
#include "base/mem.h"
#include "link/link_inside.h"

static const struct order *get(const struct intake *in, unsigned order)
{
	return order ? &in->orders[order - 1] : NULL;
}

static const struct pairing *find(const struct link *l, const struct order *o)
{
	return o ? pairings_find(l->pairings, o->device, KIND_COMMAND, NORTH, o->far_id) : NULL;
}

const struct pairing *link_order_pairing(const struct link *l, const struct intake *in,
					 unsigned order)
{
	return find(l, get(in, order));
}

void link_note_order(struct link *l, struct intake *in, struct output *out, const char *device,
		     const char *far_id, const char *answered)
{
	const struct pairing *p;
	struct order *o;

	in->orders = mem_grow(in->orders, in->n_orders, sizeof *in->orders);
	o = &in->orders[in->n_orders++];
	*o = (struct order){ mem_strdup(device), mem_strdup(far_id), answered };
	out->order = in->n_orders;
	out->far_id = o->far_id;
	p = find(l, o);
	if (p)
		pairings_leaves(l->pairings, p);
}

void link_ended(struct link *l, const struct intake *origin, unsigned order, enum outcome reason)
{
	const struct order *o = get(origin, order);
	const struct pairing *p = find(l, o);

	if (!p)
		return;
	pairings_arrives(l->pairings, p, reason == CARRIED);
	if (reason == CARRIED && o->answered)
		pairings_end(l->pairings, p, o->answered, NULL);
	else if (p->n_underway == 0 && !p->is_delivered)
		pairings_end(l->pairings, p, NULL, outcome_word(reason));
}
