/* link_order.c -- commands and configurations on their way: from the output of a command to the pairing by which its
 * sender is found, and what the end of that way means for him; what it means for the twin of the device.
 *
 * An order is on its way from link_note_order() to link_ended(), which is called once for each.  What changes the
 * state then does so in the next tick, since a decision may be open. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "link/link_inside.h"
#include "state/twin.h"

static const struct order *get(const struct intake *in, unsigned order)
{
	return order ? &in->orders[order - 1] : NULL;
}

static const struct pairing *find(const struct link *l, const struct order *o)
{
	return o && o->far_id
		       ? pairings_find(l->pairings, o->device, KIND_COMMAND, NORTH, o->far_id)
		       : NULL;
}

const struct pairing *link_order_pairing(const struct link *l, const struct intake *in,
					 unsigned order)
{
	return find(l, get(in, order));
}

bool link_order_is_awaited(const struct intake *in, unsigned order)
{
	const struct order *o = get(in, order);

	return o && o->far_id;
}

int64_t link_config_version(const struct canonical *config)
{
	struct jslice v;
	int64_t version;

	return config->kind == KIND_CONFIG && jtext_field(canonical_body(config), "version", &v) &&
			       jtext_integer(v, &version)
		       ? version
		       : 0;
}

void link_note_order(struct link *l, struct intake *in, struct output *out,
		     const struct order *order)
{
	const struct pairing *p;
	struct order *o;

	in->orders = mem_grow(in->orders, in->n_orders, sizeof *in->orders);
	o = &in->orders[in->n_orders++];
	*o = *order;
	o->device = mem_strdup(order->device);
	o->far_id = mem_strdup(order->far_id);
	out->order = in->n_orders;
	out->far_id = o->far_id;
	p = find(l, o);
	if (p)
		pairings_leaves(l->pairings, p);
}

/* Nobody listened: for who waits that is an answer, and he gets it. */
static enum outcome end_command(struct link *l, const struct order *o, enum outcome reason)
{
	const struct pairing *p = find(l, o);

	if (p) {
		pairings_arrives(l->pairings, p, reason == CARRIED);
		if (reason == CARRIED && o->answered)
			pairings_end(l->pairings, p, o->answered, NULL);
		else if (p->n_underway == 0 && !p->is_delivered)
			pairings_end(l->pairings, p, NULL,
				     reason == DEAD_NO_LISTENER ? "no device listens"
				     : reason == DEAD_CUT_BACK	? LINK_CUT_BACK
								: outcome_word(reason));
	}
	return (reason == DEAD_NO_LISTENER || reason == DEAD_CUT_BACK) && o->far_id ? CARRIED
										    : reason;
}

/* What has not got there is kept in the state, to be sent when the device shows up.  A message that the far side
 * refused is a letter all the same, for people to look at; not what the bridge sent again by itself. */
static enum outcome end_config(struct link *l, const struct intake *in, const struct order *o,
			       enum outcome reason)
{
	if (reason == DEAD_STOPPING) /* a restart sends it again */
		return reason;
	l->ended = mem_grow(l->ended, l->n_ended, sizeof *l->ended);
	l->ended[l->n_ended++] = (struct ended_config){ mem_strdup(o->device), o->version, reason };
	return intake_is_own(in) || reason == DEAD_NO_LISTENER ? CARRIED : reason;
}

enum outcome link_ended(struct link *l, const struct intake *origin, unsigned order,
			enum outcome reason)
{
	const struct order *o = get(origin, order);

	if (!o) /* whoever reads it comes later */
		return reason == DEAD_NO_LISTENER ? CARRIED : reason;
	return o->kind == KIND_COMMAND ? end_command(l, o, reason)
				       : end_config(l, origin, o, reason);
}

/* No time of day makes these smaller, or gives them a topic; and what was cut back waits for somebody to say so. */
static bool is_worth_a_try(enum outcome reason)
{
	return reason != DEAD_TOO_LARGE && reason != DEAD_BAD_TOPIC && reason != DEAD_CUT_BACK;
}

void link_note_ended(struct link *l, const struct ended_config *c)
{
	struct intake *in = NULL;
	struct buf reply = { 0 };

	link_begin_own(l, sequence_of_device(l, c->device), l->now_ms);
	if (c->reason == CARRIED)
		twins_delivered(l->twins, c->device, c->version, l->delivery_confirms, l->now_ms,
				&l->changes, &reply);
	else
		twins_failed(l->twins, c->device, c->version, is_worth_a_try(c->reason), l->now_ms,
			     &l->changes);
	if (reply.len) { /* the bridge confirms by itself */
		in = link_own_intake(l, FLOW_UP);
		logic_confirm(l, in, c->device, NULL, &reply);
	}
	link_end_own(l, in);
	buf_fini(&reply);
}

void link_drop_ended(struct link *l)
{
	for (size_t i = 0; i < l->n_ended; i++)
		free(l->ended[i].device);
	free(l->ended);
	l->ended = NULL;
	l->n_ended = 0;
}
