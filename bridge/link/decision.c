/* decision.c -- a message that changes the state, and what it leads to, are written together or not at all.
 *
 * While an intake that has changed the state has jobs on their way it is *deciding*: its changes and what comes
 * out of its sequences are held back, so that a crash finds it as if it had just come in, and nothing overtakes it.
 * The jobs of a sequence complete in order, so it is decided there before the next message is looked at; but a
 * tick may do something in the same sequence meanwhile, and the parts of a message of several devices are in
 * several.  All of these are one decision: it ends when the last job of any is done.
 *
 * What always holds:
 *	sequence.decision, while it is not NULL, has all changes that are made and all outputs that are made in that
 *	sequence, in their order
 *	intake.decision is set while the intake is DECIDING (n_working of the members) or WAITING
 *	l->changes may be written, but for those of the step in hand
 * An intake that changes the state and has no jobs left needs no decision: it is told as decided at once. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "link/link_inside.h"
#include "translate/executor.h"

struct held {
	struct intake *intake; /* with a reference for it */
	struct output output;
};

struct decision {
	struct intakes members; /* DECIDING or WAITING */
	unsigned n_working;	/* of these: DECIDING */
	struct sequences sequences;
	struct changes changes;
	struct held *held;
	size_t n_held;
};

/* Its changes and outputs are all there. */
static void decided(struct link *l, struct intake *in)
{
	intake_move(in, INTAKE_DECIDED);
	if (in->tag && !l->is_ending && l->ops.decided)
		l->ops.decided(l->ctx, in->tag);
}

static struct decision *decision_new(void)
{
	struct decision *d = mem_zalloc(sizeof *d);

	TAILQ_INIT(&d->members);
	TAILQ_INIT(&d->sequences);
	return d;
}

static void decision_free(struct decision *d)
{
	changes_fini(&d->changes);
	free(d->held);
	free(d);
}

/* `from` becomes a part of `d`, behind what is there. */
static void merge(struct decision *d, struct decision *from)
{
	struct sequence *q;
	struct intake *in;

	while ((in = TAILQ_FIRST(&from->members)) != NULL) {
		TAILQ_REMOVE(&from->members, in, member);
		TAILQ_INSERT_TAIL(&d->members, in, member);
		in->decision = d;
	}
	while ((q = TAILQ_FIRST(&from->sequences)) != NULL) {
		TAILQ_REMOVE(&from->sequences, q, of_decision);
		TAILQ_INSERT_TAIL(&d->sequences, q, of_decision);
		q->decision = d;
	}
	for (size_t i = 0; i < from->n_held; i++) {
		d->held = mem_grow(d->held, d->n_held, sizeof *d->held);
		d->held[d->n_held++] = from->held[i];
	}
	changes_move(&d->changes, &from->changes, from->changes.n);
	d->n_working += from->n_working;
	decision_free(from);
}

/* From now on, what is done in `q` is part of `d`. */
static void attach(struct sequence *q, struct decision *d)
{
	if (q->decision == d)
		return;
	if (q->decision) {
		merge(d, q->decision);
		return;
	}
	q->decision = d;
	TAILQ_INSERT_TAIL(&d->sequences, q, of_decision);
}

static void join(struct sequence *q, struct intake *in)
{
	struct decision *d = q->decision ? q->decision : decision_new();

	attach(q, d);
	in->decision = d;
	in->refs++;
	d->n_working++;
	TAILQ_INSERT_TAIL(&d->members, in, member);
	intake_move(in, INTAKE_DECIDING);
}

static void drop_output(struct link *l, struct intake *in, struct output *o)
{
	message_fini(&o->message);
	free(o->device);
	link_release(l, in);
}

/* What was held back may be written, and leaves. */
static void end(struct link *l, struct decision *d)
{
	struct sequence *q;
	struct intake *in;

	while ((q = TAILQ_FIRST(&d->sequences)) != NULL) {
		TAILQ_REMOVE(&d->sequences, q, of_decision);
		q->decision = NULL;
	}
	changes_move(&l->changes, &d->changes, d->changes.n);
	l->n_told = l->changes.n; /* all are told in the step that made them */
	for (size_t i = 0; i < d->n_held; i++)
		(l->is_ending ? drop_output : link_hand_out)(l, d->held[i].intake,
							     &d->held[i].output);
	while ((in = TAILQ_FIRST(&d->members)) != NULL) {
		TAILQ_REMOVE(&d->members, in, member);
		in->decision = NULL;
		decided(l, in);
		link_release(l, in);
	}
	decision_free(d);
}

/* The changes of the step to the end of `d`. */
static void take_changes(struct link *l, struct decision *d)
{
	struct changes *c = &d->changes;

	for (size_t i = l->n_step; i < l->changes.n; i++) {
		c->items = mem_grow(c->items, c->n, sizeof *c->items);
		c->items[c->n++] = l->changes.items[i];
	}
	l->n_told = l->changes.n = l->n_step;
}

void decision_end_step(struct link *l, struct sequence *q, struct intake *in, unsigned n_jobs)
{
	bool has_changes = l->changes.n > l->n_step;
	struct decision *d;

	if (in && in->stage == INTAKE_CHANGED &&
	    (n_jobs > 0 || (q->decision && !intake_is_own(in))))
		join(q, in);
	d = in && in->decision ? in->decision : q->decision;
	if (!d || !has_changes)
		return;
	attach(q, d);
	take_changes(l, d);
}

void decision_follow(struct link *l, struct intake *in)
{
	struct decision *d = in->decision;

	if (in->n_jobs > 0)
		return;
	if (in->stage == INTAKE_CHANGED) {
		decided(l, in);
	} else if (in->stage == INTAKE_DECIDING) {
		intake_move(in, INTAKE_WAITING);
		if (--d->n_working == 0)
			end(l, d);
	}
}

bool decision_hold(struct sequence *q, struct intake *in, const struct output *o)
{
	struct decision *d = in->decision ? in->decision : q->decision;

	if (!d)
		return false;
	attach(q, d);
	d->held = mem_grow(d->held, d->n_held, sizeof *d->held);
	d->held[d->n_held++] = (struct held){ in, *o };
	return true;
}
