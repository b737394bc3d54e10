/* link_provisioning.c -- the bridge asks the north for the credentials of devices by itself, and what handshakes (its own, and
 * those of devices) leave in the table of devices.
 *
 * The queue is in the table: who waits is `asking`, and how far each one got is its step, which is part of the commit
 * without which nothing leaves.  So a run that ends anywhere is gone on with by the next one.  What a question without
 * an answer may have made, the machine of handshakes knows (handshake/provision.h): it asks under the same token again.
 *
 * Some are handed to that machine at a time, so that its sessions stay open from one to the next. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/mem.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "message/state_json.h"
#include "message/topic.h"
#include "plan/plan.h"
#include "state/devices.h"
#include "handshake/provision.h"

#define AHEAD	  3    /* of those that may be open at once */
#define WRONG_KEY 3    /* so many in a row, and it is the key's fault */
#define AGAIN_MS  1000 /* after an answer that was no device's fault */

static const char wrong_key[] =
	"the platform does not know the key: three in a row got NOT_FOUND (provision.key, .secret)";
static const char too_many[] = "too many were refused (--max-failures)";

/* --- the queue ------------------------------------------------------------------------------- */

static void enqueue(struct provisioning *q, const char *device)
{
	q->devices = mem_grow(q->devices, q->n, sizeof *q->devices);
	q->devices[q->n++] = mem_strdup(device);
}

static bool is_queued(const struct provisioning *q, const char *device)
{
	for (size_t i = q->at; i < q->n; i++)
		if (strcmp(q->devices[i], device) == 0)
			return true;
	return false;
}

void provisioning_enqueue(struct link *l, const char *device)
{
	if (!is_queued(&l->provisioning, device))
		enqueue(&l->provisioning, device);
}

void provisioning_free(struct link *l)
{
	struct provisioning *q = &l->provisioning;

	registration_free(l);
	for (size_t i = q->at; i < q->n; i++)
		free(q->devices[i]);
	free(q->devices);
	*q = (struct provisioning){ 0 };
}

/* With `provision.auto` those that nobody named wait as well, unless nothing of them passes. */
static bool is_new(const struct link *l, const struct fleet_device *d)
{
	return l->plan->provisions_new && d->state == FLEET_KNOWN && d->origin == FLEET_SEEN &&
	       d->step == FLEET_NONE && link_wants_session(l, d->name) && !link_may_provision(l);
}

static bool waits(const struct link *l, const struct fleet_device *d)
{
	return d && (d->state == FLEET_ASKING || is_new(l, d)) && !registration_has_login(l, d) &&
	       !provisions_has_own(l->provisions, d->name) && !registration_is_on(l, d->name);
}

void provisioning_came(struct link *l, const char *device)
{
	if (waits(l, fleet_find(l->fleet, device)))
		enqueue(&l->provisioning, device);
}

void provisioning_resume(struct link *l)
{
	size_t n;
	char **names = fleet_names(l->fleet, &n);

	for (size_t i = 0; i < n; i++) {
		const struct fleet_device *d = fleet_find(l->fleet, names[i]);

		if (waits(l, d) && (!l->plan->registers_by_command || registration_resume(l, d)))
			enqueue(&l->provisioning, names[i]);
		free(names[i]);
	}
	free(names);
}

const char *link_may_provision(const struct link *l)
{
	const struct plan *p = l->plan;

	if (p->has_device_sessions && p->registers_by_command)
		return l->ops.run_command ? NULL : "nothing is run here";
	if (!p->has_device_sessions || !plan_writer(p, NORTH, KIND_PROVISION) ||
	    !plan_is_provisioning(p, NORTH, KIND_PROVISION))
		return "the north of this link has no session for each device, or does not "
		       "register "
		       "devices by MQTT: import their credentials, or set north.provision.command";
	return p->provision_key ? NULL : "north.provision.key is not set";
}

const char *link_provision(struct link *l, const char *device, bool retries_lost,
			   struct changes *out)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	if (registration_has_login(l, d) || link_credentials(l, device).len)
		return d->state == FLEET_REFUSED ? "it has credentials, which the platform refuses"
						 : NULL;
	if (d->state == FLEET_LOST && !retries_lost && !l->plan->is_idempotent)
		return "an answer was lost, and the platform may have made it: import its "
		       "credentials, or --retry-lost";
	fleet_set_state(l->fleet, device, FLEET_ASKING, NULL, out);
	if (registration_is_on(l, device))
		return NULL;
	if (l->plan->registers_by_command) /* it has not begun, in this turn of its life */
		fleet_set_step(l->fleet, device, FLEET_NONE, out);
	if (!provisions_has_own(l->provisions, device))
		provisioning_enqueue(l, device);
	return NULL;
}

void link_provision_run(struct link *l, int64_t per_second, int64_t max_failures)
{
	struct provisioning *q = &l->provisioning;

	q->per_second = per_second;
	q->max_failures = max_failures;
	q->n_failures = 0;
	q->n_wrong_key = 0;
	q->n_faults = 0;
	q->stopped = NULL;
}

void link_provision_halt(struct link *l)
{
	l->provisioning.is_halted = true;
}

const char *link_provision_stopped(const struct link *l)
{
	return l->provisioning.stopped;
}

void provisioning_stop(struct link *l, const char *why)
{
	if (l->provisioning.stopped)
		return;
	l->provisioning.stopped = why;
	log_event(LOG_ERROR, "provisioning-stopped", "link=%s reason=%s", l->plan->name,
		  log_value(why));
}

void provisioning_distrusted(const struct link *l)
{
	log_event(LOG_WARNING, "provisioning-one-by-one", "link=%s reason=%s", l->plan->name,
		  log_value("an answer was heard by a session that had not asked: a broker there "
			    "gives answers to all who listen, so devices are registered over one "
			    "session from now on"));
}

/* --- one of them ----------------------------------------------------------------------------- */

struct named {
	const struct link *link;
	const struct fleet_device *device;
};

/* `provision.name` may have what the device has, and what the side has. */
static const char *lookup(void *ctx, const char *name)
{
	const struct named *n = ctx;
	const char *value = NULL;

	if (strcmp(name, "device") == 0) {
		value = devices_there(n->link->devices, NORTH, n->device->name);
		return value ? value : n->device->name;
	}
	value = fleet_var(n->device, NORTH, name);
	return value ? value : vars_get(&n->link->plan->side[NORTH].vars, name);
}

/* Under which name the north is to make it; false: a variable is missing. */
static bool put_name(const struct link *l, const struct fleet_device *d, struct buf *out)
{
	struct named n = { l, d };
	const char *template = l->plan->provision_name;

	return text_template_expand(template ? template : "{device}", lookup, &n, out, NULL);
}

static void ask(struct link *l, const struct fleet_device *d)
{
	struct canonical request = { .kind = KIND_PROVISION, .device = d->name };
	struct provision_terms terms = link_provision_terms(l);
	struct provision_actions acts = { 0 };
	struct buf name = { 0 }, body = { 0 };
	struct intake *in = NULL;

	link_begin_own(l, l->handshakes, l->now_ms);
	if (!put_name(l, d, &name)) {
		fleet_set_state(l->fleet, d->name, FLEET_REFUSED, "no-name", &l->changes);
	} else if (l->plan->registers_by_command) {
		registration_start(l, d, buf_str(&name));
	} else {
		buf_puts(&body, "{\"device_name\":");
		state_json_put_text(&body, buf_str(&name));
		buf_putc(&body, '}');
		request.body = body.data;
		request.body_len = body.len;
		provisions_request(l->provisions, &terms,
				   &(struct provision_question){ .request = &request,
								 .is_named = true,
								 .is_own = true,
								 .asker = d->name },
				   &l->changes, &acts);
	}
	if (acts.n) {
		in = link_own_intake(l, FLOW_UP);
		logic_provision(l, in, &acts);
	}
	link_end_own(l, in);
	buf_fini(&name);
	buf_fini(&body);
}

static bool has_place(const struct link *l)
{
	return l->plan->registers_by_command ? registration_has_place(l)
					     : provisions_count_own(l->provisions) <
						       plan_handshake_sessions(l->plan) + AHEAD;
}

int64_t provisioning_next_deadline(const struct link *l)
{
	const struct provisioning *q = &l->provisioning;
	int64_t again_ms = registration_next_deadline(l);

	if (q->stopped || q->is_halted)
		return INT64_MAX;
	return q->at < q->n && has_place(l) && q->due_ms < again_ms ? q->due_ms : again_ms;
}

/* The next one of the queue. */
static void take_next(struct link *l)
{
	struct provisioning *q = &l->provisioning;
	int64_t per_second = q->per_second ? q->per_second : l->plan->provision_per_second;
	char *device = q->devices[q->at++];
	const struct fleet_device *d = fleet_find(l->fleet, device);

	if (q->at == q->n)
		q->at = q->n = 0;
	if (waits(l, d)) {
		ask(l, d);
		if (per_second)
			q->due_ms = l->now_ms + 1000 / per_second;
	}
	free(device);
}

void provisioning_tick(struct link *l)
{
	while (provisioning_next_deadline(l) <= l->now_ms) {
		registration_enqueue_due(l);
		if (has_place(l) && l->provisioning.due_ms <= l->now_ms)
			take_next(l);
	}
}

/* --- what becomes of them -------------------------------------------------------------------- */

void provisioning_asked(struct link *l, const char *device)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	if (!d)
		return;
	fleet_set_state(l->fleet, device, FLEET_ASKING, NULL, &l->changes);
	fleet_set_step(l->fleet, device, FLEET_OFFERED, &l->changes);
}

/* The platform has let it in, so it is no stranger, though it may have been one. */
static void take_success(struct link *l, const char *device)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);
	bool is_stranger = !d || (d->origin == FLEET_SEEN && d->mode_ms == 0);

	l->provisioning.n_wrong_key = 0;
	if (is_stranger) {
		fleet_name(l->fleet, device, FLEET_HANDSHAKE, &l->changes);
		fleet_set_mode(l->fleet, device, l->plan->issued_mode, &l->changes);
	}
	if (fleet_find(l->fleet, device)->step < FLEET_ISSUED)
		fleet_set_step(l->fleet, device, FLEET_ISSUED, &l->changes);
	fleet_set_state(l->fleet, device, FLEET_READY, NULL, &l->changes);
}

/* Nothing is known against the device: it is asked for once more, behind the others. */
static void take_again(struct link *l, const char *device)
{
	struct provisioning *q = &l->provisioning;

	if (!is_queued(q, device))
		enqueue(q, device);
	q->due_ms = l->now_ms + AGAIN_MS;
}

void provisioning_refused(struct link *l)
{
	struct provisioning *q = &l->provisioning;

	if (q->max_failures && ++q->n_failures >= q->max_failures)
		provisioning_stop(l, too_many);
}

static void take_refusal(struct link *l, const char *device, const char *why)
{
	fleet_set_state(l->fleet, device, FLEET_REFUSED, why, &l->changes);
	provisioning_refused(l);
}

static bool says(const struct provision_action *a, const char *field, const char *text)
{
	struct jslice v;

	return jtext_field(canonical_body(&a->message), field, &v) && jtext_string_is(v, text);
}

static void take_own_failure(struct link *l, const struct provision_action *a)
{
	struct provisioning *q = &l->provisioning;
	const char *device = a->request.device;

	if (a->is_lost) {
		fleet_set_state(l->fleet, device, FLEET_LOST, "the answer was lost", &l->changes);
	} else if (says(a, "status", "NOT_FOUND")) {
		if (++q->n_wrong_key >= WRONG_KEY)
			provisioning_stop(l, wrong_key);
		take_again(l, device);
	} else if (says(a, "message", "timeout")) {
		take_again(l, device);
	} else {
		take_refusal(l, device, "name-taken");
	}
}

void provisioning_ended(struct link *l, const struct provision_action *a)
{
	const char *device = a->request.device;

	if (l->plan->is_single)
		return;
	if (says(a, "status", "SUCCESS"))
		take_success(l, device);
	else if (!fleet_find(l->fleet, device))
		return; /* a stranger, who is told */
	else if (a->is_own)
		take_own_failure(l, a);
	else if (fleet_find(l->fleet, device)->state == FLEET_ASKING)
		fleet_set_state(l->fleet, device, FLEET_KNOWN, NULL, &l->changes);
}

/* --- what it says once ----------------------------------------------------------------------- */

/* What the platform wants once, of the device before that of the link; empty: nothing. */
static void put_greeting(const struct link *l, const struct fleet_device *d, struct buf *out)
{
	const struct vars *sets[] = { &d->greet, &l->plan->greet };

	for (size_t k = 0; k < sizeof sets / sizeof sets[0]; k++)
		for (size_t i = 0; i < sets[k]->n; i++) {
			const struct var *v = &sets[k]->items[i];

			if (k && vars_get(&d->greet, v->name))
				continue;
			buf_putc(out, out->len ? ',' : '{');
			state_json_put_text(out, v->name);
			buf_putc(out, ':');
			state_json_put_text(out, v->value);
		}
	if (out->len)
		buf_putc(out, '}');
}

void provisioning_greet(struct link *l, const char *device, uint64_t login)
{
	const struct fleet_device *d = device ? fleet_find(l->fleet, device) : NULL;
	struct canonical p = { .kind = KIND_ATTRIBUTES, .device = (char *)device };
	struct buf body = { 0 };
	struct intake *in;

	if (!d || d->step == FLEET_GREETED || !plan_writer(l->plan, NORTH, KIND_ATTRIBUTES))
		return;
	put_greeting(l, d, &body);
	if (body.len) {
		p.body = body.data;
		p.body_len = body.len;
		link_begin_own(l, sequence_of_device(l, device), l->now_ms);
		in = link_own_intake(l, FLOW_UP);
		in->greets = login;
		in->welcomes = mem_strdup(device);
		link_write_canonical(l, in, NORTH, &p);
		link_end_own(l, in);
	}
	buf_fini(&body);
}

void provisioning_greeted(struct link *l, const char *device)
{
	if (fleet_find(l->fleet, device))
		fleet_set_step(l->fleet, device, FLEET_GREETED, &l->changes);
}

void provisioning_let_in(struct link *l, const char *device)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	if (d->step == FLEET_ISSUED)
		fleet_set_step(l->fleet, device, FLEET_LOGGED_IN, &l->changes);
}
