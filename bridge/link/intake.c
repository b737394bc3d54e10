/* intake.c -- a message that came in (or that the bridge says by itself), from then until all that it became is
 * settled: its stages, its references, and its one verdict. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/refs.h"
#include "link/link_inside.h"

#define TO(stage) (1u << (stage))

/* The arrows between the stages.  There is no way back: what was decided stays so. */
static const unsigned arrows[INTAKE_STAGES] = {
	[INTAKE_READING] = TO(INTAKE_OPEN) | TO(INTAKE_SETTLED),
	[INTAKE_OPEN] = TO(INTAKE_CHANGED) | TO(INTAKE_SETTLED),
	/* Settled at once: what the bridge does by itself may lead to nothing. */
	[INTAKE_CHANGED] = TO(INTAKE_DECIDING) | TO(INTAKE_DECIDED) | TO(INTAKE_SETTLED),
	[INTAKE_DECIDING] = TO(INTAKE_WAITING),
	[INTAKE_WAITING] = TO(INTAKE_DECIDED),
	[INTAKE_DECIDED] = TO(INTAKE_SETTLED),
	[INTAKE_SETTLED] = 0,
};

bool intake_may_move(enum intake_stage from, enum intake_stage to)
{
	return arrows[from] & TO(to);
}

void intake_move(struct intake *in, enum intake_stage to)
{
	assert(intake_may_move(in->stage, to));
	in->stage = to;
}

void intake_open(struct intake *in)
{
	if (in->stage == INTAKE_READING)
		intake_move(in, INTAKE_OPEN);
}

bool intake_is_own(const struct intake *in)
{
	return in->origin == ORIGIN_OWN || in->origin == ORIGIN_OWN_RESUMED;
}

static enum intake_stage first_stage(enum intake_origin origin)
{
	static const enum intake_stage first[] = {
		[ORIGIN_RECEIVED] = INTAKE_READING,    [ORIGIN_AGAIN] = INTAKE_READING,
		[ORIGIN_DECIDED] = INTAKE_DECIDED,     [ORIGIN_OWN] = INTAKE_CHANGED,
		[ORIGIN_OWN_RESUMED] = INTAKE_DECIDED,
	};
	return first[origin];
}

struct intake *link_intake(struct link *l, enum flow flow, const struct message *raw, void *tag,
			   enum intake_origin origin)
{
	struct intake *in = mem_zalloc(sizeof *in);
	struct link_counters *c = &l->counters[flow];

	*in = (struct intake){
		.id = ++l->n_intakes,
		.flow = flow,
		.origin = origin,
		.plan = l->plan,
		.stage = first_stage(origin),
		.tag = tag,
		.raw = raw,
		.kind = KIND_NONE,
		.at_ms = l->now_ms,
		.since_ms = l->now_ms,
		.refs = 1,
	};
	refs_hold(in->plan->users);
	in->n_bytes = raw ? message_size(raw) : 0;
	l->pending_bytes[flow] += in->n_bytes;
	if (!intake_is_own(in)) {
		++*(origin == ORIGIN_RECEIVED ? &c->received : &c->resumed);
		c->pending++;
	}
	if (origin == ORIGIN_RECEIVED)
		c->last_ms = l->now_ms;
	return in;
}

struct intake *link_own_intake(struct link *l, enum flow flow)
{
	struct intake *in = link_intake(l, flow, NULL, NULL, ORIGIN_OWN);

	in->is_well = true;
	return in;
}

void link_set_tag(struct intake *origin, void *tag)
{
	origin->tag = tag;
}

void *link_tag(const struct intake *origin)
{
	return origin->tag;
}

void link_follow(struct link *l, bool is_followed)
{
	l->is_followed = is_followed;
}

void intake_tell(struct link *l, const struct intake *in, struct link_step step)
{
	step.id = in->id;
	if (l->ops.followed)
		l->ops.followed(l->ctx, &step);
}

/* --- the verdict --------------------------------------------------------------------------- */

/* One dead output makes it dead; else one that is well makes it carried. */
static enum outcome verdict(const struct intake *in)
{
	if (in->dead != CARRIED)
		return in->dead;
	if (in->is_well)
		return CARRIED;
	return in->filtered != CARRIED ? in->filtered : FILTERED_BY_MAPPING;
}

void link_refuse(struct intake *in, enum outcome reason, const char *text)
{
	enum outcome *slot = outcome_is_dead(reason) ? &in->dead : &in->filtered;

	if (*slot != CARRIED)
		return; /* the first reason is the one to tell */
	*slot = reason;
	if (text && outcome_is_dead(reason)) {
		free(in->text);
		in->text = mem_strdup(text);
	}
}

void link_done(struct link *l, struct intake *origin, enum outcome reason, const char *text)
{
	origin->n_ended++;
	if (reason == CARRIED && origin->welcomes)
		provisioning_greeted(l, origin->welcomes);
	if (reason == CARRIED)
		origin->is_well = true;
	else
		link_refuse(origin, reason, text);
	link_release(l, origin);
}

void intake_count(struct link_counters *c, enum kind kind, enum outcome reason)
{
	c->pending--;
	c->by[reason]++;
	if (!c->of[kind])
		c->of[kind] = mem_zalloc(OUTCOMES * sizeof *c->of[kind]);
	c->of[kind][reason]++;
	if (reason == CARRIED)
		c->delivered++;
	else if (outcome_is_dead(reason))
		c->dead++;
	else
		c->filtered++;
}

void intake_free(struct intake *in)
{
	for (unsigned i = 0; i < in->n_orders; i++) {
		free(in->orders[i].device);
		free(in->orders[i].far_id);
	}
	free(in->orders);
	free(in->readers);
	message_fini(&in->message);
	free(in->device);
	free(in->welcomes);
	free(in->topic_device);
	free(in->text);
	free(in->hops);
	refs_drop(in->plan->users);
	free(in);
}

void link_answer_heard(struct link *l, struct intake *in)
{
	if (in->is_answer_again)
		l->n_answers_again--;
	in->is_answer_again = false;
}

void link_release(struct link *l, struct intake *in)
{
	struct verdict v = {
		.id = in->id,
		.flow = in->flow,
		.text = in->text,
		.tag = in->tag,
		.is_own = intake_is_own(in),
		.is_greeting = in->greets,
		.message = in->raw,
		.session = in->device,
		.kind = in->kind,
		.received_ms = in->at_ms,
	};

	if (--in->refs > 0)
		return;
	for (unsigned i = 0; i < in->n_orders && !v.far_id; i++)
		v.far_id = in->orders[i].far_id;
	link_answer_heard(l, in);
	intake_move(in, INTAKE_SETTLED);
	v.reason = verdict(in);
	if (in->is_compared)
		link_compare_settled(l, in, v.reason);
	if (!v.is_own)
		intake_count(&l->counters[in->flow], v.kind, v.reason);
	if (!v.is_own)
		link_end_watch(l, in, v.reason);
	l->pending_bytes[in->flow] -= in->n_bytes;
	l->ops.settled(l->ctx, &v);
	intake_free(in);
}

/* Which of its properties are credentials only the rows know that nobody looks for. */
void link_bury(struct link *l, const struct arrival *a, bool is_own, enum outcome reason,
	       const char *text)
{
	struct intake *in;

	l->now_ms = a->at_ms;
	in = link_intake(l, flow_from(a->from), is_own ? NULL : a->message, a->tag,
			 is_own ? ORIGIN_OWN_RESUMED : ORIGIN_AGAIN);
	in->device = mem_strdup(a->device);
	if (!is_own) {
		message_copy(&in->message, in->raw);
		vars_fini(&in->message.properties);
		in->raw = &in->message;
	}
	link_refuse(in, reason, text);
	link_release(l, in);
}
