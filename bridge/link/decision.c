/* decision.c -- a message that changes the state, and what it leads to, are written together or not at all.
 *
 * While an intake that has changed the state has jobs on their way it is *deciding*: its changes and the
 * outputs of those jobs are held back, so that a crash finds it as if it had just come in.  The jobs of a
 * strand complete in order, so no other message decides meanwhile; only a tick decides several things at
 * once.  All that decide at one time are one decision: it ends when the last job of any is done.
 *
 * What always holds:
 *	l->changes, from the first:  [0, n_ready) may be written   [n_ready, n) are the decision's
 *	stage is NONE    no intake is DECIDING or WAITING, and all changes are ready
 *	         OPEN    n_working > 0 intakes are DECIDING; the other members are WAITING
 *	         ENDING  n_working is 0: the outputs of all members are being handed out, no intake joins
 * An intake that changes the state and has no jobs left needs no decision: it is told as decided at once. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "link/link_inside.h"
#include "translate/executor.h"

/* Its changes and outputs are all there. */
static void decided(struct link *l, struct intake *in)
{
	intake_move(in, INTAKE_DECIDED);
	if (in->tag && !l->is_ending && l->ops.decided)
		l->ops.decided(l->ctx, in->tag);
}

static void join(struct link *l, struct intake *in)
{
	struct decision *d = &l->decision;

	assert(d->stage != DECISION_ENDING);
	if (d->stage == DECISION_NONE)
		d->n_ready = l->n_step;
	d->stage = DECISION_OPEN;
	d->n_working++;
	in->refs++;
	TAILQ_INSERT_TAIL(&d->members, in, member);
	intake_move(in, INTAKE_DECIDING);
}

static void drop_output(struct link *l, struct intake *in, struct output *o)
{
	message_fini(&o->message);
	free(o->device);
	link_release(l, in);
}

static void hand_out_held(struct link *l, struct intake *in)
{
	for (size_t i = 0; i < in->n_held; i++)
		(l->is_ending ? drop_output : link_hand_out)(l, in, &in->held[i]);
	free(in->held);
	in->held = NULL;
	in->n_held = 0;
}

static void end(struct link *l)
{
	struct decision *d = &l->decision;
	struct intake *in;

	d->stage = DECISION_ENDING;
	while ((in = TAILQ_FIRST(&d->members)) != NULL) {
		TAILQ_REMOVE(&d->members, in, member);
		hand_out_held(l, in);
		decided(l, in);
		link_release(l, in);
	}
	d->stage = DECISION_NONE;
	if (d->awaits_tick)
		strand_rest(l->strand);
	d->awaits_tick = false;
}

void decision_follow(struct link *l, struct intake *in)
{
	if (in->stage == INTAKE_CHANGED && in->n_jobs > 0) {
		join(l, in);
	} else if (in->stage == INTAKE_CHANGED) {
		decided(l, in);
	} else if (in->stage == INTAKE_DECIDING && in->n_jobs == 0) {
		intake_move(in, INTAKE_WAITING);
		if (--l->decision.n_working == 0)
			end(l);
	}
}

bool decision_hold(struct intake *in, const struct output *o)
{
	if (in->stage != INTAKE_DECIDING)
		return false;
	in->held = mem_grow(in->held, in->n_held, sizeof *in->held);
	in->held[in->n_held++] = *o;
	return true;
}

bool link_is_deciding(const struct link *l)
{
	return l->decision.stage == DECISION_OPEN;
}

void link_await_tick(struct link *l)
{
	l->decision.awaits_tick = link_is_deciding(l);
}

void decision_take_changes(struct link *l, struct changes *out)
{
	struct decision *d = &l->decision;
	size_t n = link_is_deciding(l) ? d->n_ready : l->changes.n;

	changes_move(out, &l->changes, n);
	l->n_told = l->changes.n; /* all are told in the step that made them */
	l->n_step -= n < l->n_step ? n : l->n_step;
	d->n_ready = 0;
}
