#include "core/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "core/devices.h"
#include "core/echo.h"
#include "core/link_inside.h"
#include "core/presence.h"
#include "core/provision.h"
#include "core/reported.h"
#include "core/translator.h"
#include "core/twin.h"

/* --- intakes ------------------------------------------------------------------------------- */

struct intake *link_intake(struct link *l, enum flow flow, void *tag, enum intake_origin origin)
{
	struct intake *in = mem_zalloc(sizeof *in);
	struct link_counters *c = &l->counters[flow];

	*in = (struct intake){
		.flow = flow,
		.tag = tag,
		.refs = 1,
		.is_own = origin == INTAKE_OWN || origin == INTAKE_OWN_RESUMED,
		.is_resumed = origin == INTAKE_RESUMED || origin == INTAKE_OWN_RESUMED,
	};
	if (!in->is_own) {
		++*(in->is_resumed ? &c->resumed : &c->received);
		c->pending++;
	}
	return in;
}

void link_note_changes(struct link *l, struct intake *in, size_t n_before)
{
	if (l->changes.n == n_before || in->is_decided || in->is_own)
		return;
	in->is_decided = true;
	if (l->ops.decided)
		l->ops.decided(l->ctx, in->tag);
}

void link_set_tag(struct intake *origin, void *tag)
{
	origin->tag = tag;
}

static enum refusal intake_verdict(const struct intake *in)
{
	if (in->dead != REFUSED_NOT)
		return in->dead;
	if (in->is_settled_well)
		return REFUSED_NOT;
	return in->filtered != REFUSED_NOT ? in->filtered : FILTERED_BY_MAPPING;
}

void link_release(struct link *l, struct intake *in)
{
	struct link_counters *c = &l->counters[in->flow];
	struct verdict v = {
		.flow = in->flow, .text = in->text, .tag = in->tag, .is_own = in->is_own
	};

	if (--in->refs > 0)
		return;
	v.reason = intake_verdict(in);
	if (!in->is_own) {
		c->pending--;
		c->by[v.reason]++;
		if (v.reason == REFUSED_NOT)
			c->delivered++;
		else if (refusal_is_dead(v.reason))
			c->dead++;
		else
			c->filtered++;
	}
	l->ops.settled(l->ctx, &v);
	free(in->text);
	free(in);
}

void link_refuse(struct intake *in, enum refusal reason, const char *text)
{
	enum refusal *slot = refusal_is_dead(reason) ? &in->dead : &in->filtered;

	if (*slot != REFUSED_NOT)
		return; /* the first reason is the one to tell */
	*slot = reason;
	if (text && refusal_is_dead(reason)) {
		free(in->text);
		in->text = mem_strdup(text);
	}
}

void link_done(struct link *l, struct intake *origin, enum refusal reason, const char *text)
{
	if (reason == REFUSED_NOT)
		origin->is_settled_well = true;
	else
		link_refuse(origin, reason, text);
	link_release(l, origin);
}

/* --- sending ------------------------------------------------------------------------------- */

static bool is_exchange(enum kind kind)
{
	return kind_table[kind].reply != KIND_NONE || kind_table[kind].request != KIND_NONE;
}

/* A message that comes back on a topic that we read would be taken for news. */
static uint64_t remember(struct link *l, enum side to, const struct message *m)
{
	struct match match;

	if (!l->echo[to])
		return 0;
	plan_match(l->plan, to, m->topic, &match);
	return match.n ? echo_sent(l->echo[to], m->topic, m->payload, m->payload_len) : 0;
}

static void send_output(struct link *l, struct intake *in, struct output *o)
{
	o->origin = in;
	o->tag = in->tag;
	o->is_own = in->is_own;
	o->echo = o->is_provisioning ? 0 : remember(l, o->to, &o->message);
	in->refs++;
	if (in->is_own && !in->is_resumed)
		l->counters[in->flow].own++;
	l->ops.send(l->ctx, o);
}

void link_send(struct link *l, struct intake *in, struct item *item, enum side to)
{
	struct output o = {
		.to = to,
		.lane = is_exchange(item->plain.kind) ? LANE_EXCHANGE : LANE_REPORT,
		.is_provisioning = plan_is_provisioning(l->plan, to, item->plain.kind),
		.message = item->message,
	};

	if (to == SOUTH)
		logic_note_carried(l, item);
	item->message = (struct message){ 0 };
	send_output(l, in, &o);
}

void link_resend(struct link *l, enum side from, bool is_own, struct output *outputs, size_t n,
		 void *tag)
{
	struct intake *in =
		link_intake(l, flow_from(from), tag, is_own ? INTAKE_OWN_RESUMED : INTAKE_RESUMED);

	in->is_decided = true;
	in->is_settled_well = n == 0; /* its effect is in the state */
	for (size_t i = 0; i < n; i++)
		send_output(l, in, &outputs[i]);
	link_release(l, in);
}

/* --- jobs ---------------------------------------------------------------------------------- */

static void drop(struct job *job)
{
	link_task_free((struct task *)job); /* the job is its first member */
}

struct task *link_task(struct link *l, struct intake *in, enum job_type type, enum side side)
{
	struct task *t = mem_zalloc(sizeof *t);

	t->job.type = type;
	t->job.plan = l->plan;
	t->job.side = side;
	t->job.drop = drop;
	t->link = l;
	t->intake = in;
	in->refs++;
	return t;
}

void link_task_free(struct task *t)
{
	link_release(t->link, t->intake);
	job_fini(&t->job);
	free(t->response_topic);
	free(t->answer_topic);
	free(t);
}

void link_set_state(struct task *t, const char *device)
{
	struct buf state = { 0 };

	presences_put_state(t->link->presences, device, &state);
	free(t->job.state);
	t->job.state = buf_take(&state);
}

struct plain *link_copy_plain(const struct plain *p)
{
	struct plain *copy = NULL;

	if (p) {
		copy = mem_zalloc(sizeof *copy);
		plain_copy(copy, p);
	}
	return copy;
}

static void before_write(struct job *job)
{
	link_set_state((struct task *)job, job->plain.device);
}

static void on_written(struct job *job, struct results *results)
{
	struct task *t = (struct task *)job; /* the job is its first member */
	size_t n_sent = 0, n_refused = 0, n_changes = t->link->changes.n;

	for (size_t i = 0; i < results->n; i++) {
		struct item *item = &results->items[i];

		if (item->type == ITEM_MESSAGE) {
			link_send(t->link, t->intake, item, job->side);
			n_sent++;
		} else {
			link_refuse(t->intake, item->reason, item->text);
			n_refused++;
		}
	}
	if (t->after)
		t->after(t, n_sent, n_refused);
	link_note_changes(t->link, t->intake, n_changes);
	link_task_free(t);
}

void link_write(struct link *l, struct intake *in, const struct link_write *w)
{
	struct task *t = link_task(l, in, JOB_WRITE, w->to);

	plain_copy(&t->job.plain, w->plain);
	t->job.request = link_copy_plain(w->request);
	t->job.reply_topic = mem_strdup(w->reply_topic);
	t->job.start = before_write;
	t->job.done = on_written;
	t->after = w->after;
	t->caller = w->caller;
	t->answer_topic = mem_strdup(w->answer_topic);
	t->waits = w->waits;
	translator_submit(l->translator, &t->job);
}

void link_write_plain(struct link *l, struct intake *in, enum side to, const struct plain *p)
{
	link_write(l, in, &(struct link_write){ .to = to, .plain = p });
}

void link_write_reply(struct link *l, struct intake *in, enum side caller,
		      const struct plain *reply, const struct plain *request,
		      const char *reply_topic)
{
	link_write(l, in,
		   &(struct link_write){ .to = caller,
					 .plain = reply,
					 .request = request,
					 .reply_topic = reply_topic });
}

/* --- time ---------------------------------------------------------------------------------- */

static void expire_pairings(struct link *l)
{
	const struct pairing *p;

	while ((p = pairings_expired(l->pairings, l->now_ms)) != NULL) {
		struct intake *in =
			link_intake(l, flow_from(side_other(p->caller)), NULL, INTAKE_OWN);

		in->is_settled_well = true;
		logic_send_error(l, in, p->caller, &p->request, p->reply_topic, "timeout");
		pairings_close(l->pairings, p, &l->changes);
		link_release(l, in);
	}
}

static void with_own_intake(struct link *l, struct provision_actions *acts)
{
	struct intake *in;

	if (acts->n == 0)
		return;
	in = link_intake(l, FLOW_UP, NULL, INTAKE_OWN);
	in->is_settled_well = true;
	logic_provision(l, in, acts);
	link_release(l, in);
}

void link_tick(struct link *l, int64_t now_ms)
{
	struct provision_actions acts = { 0 };

	l->now_ms = now_ms;
	expire_pairings(l);
	provisions_expire(l->provisions, now_ms, &l->changes, &acts);
	with_own_intake(l, &acts);
}

int64_t link_next_deadline(const struct link *l)
{
	int64_t a = pairings_next_deadline(l->pairings);
	int64_t b = provisions_next_deadline(l->provisions);

	return a < b ? a : b;
}

void link_resume(struct link *l, int64_t now_ms)
{
	struct provision_actions acts = { 0 };

	l->now_ms = now_ms;
	provisions_resume(l->provisions, now_ms + l->plan->request_timeout_ms, &acts);
	with_own_intake(l, &acts);
}

/* --- the rest ------------------------------------------------------------------------------ */

struct link *link_new(const struct plan *plan, struct translator *translator,
		      const struct link_ops *ops, void *ctx, const bool echoes[SIDES])
{
	struct link *l = mem_zalloc(sizeof *l);

	l->plan = plan;
	l->translator = translator;
	l->ops = *ops;
	l->ctx = ctx;
	l->pairings = pairings_new();
	l->twins = twins_new();
	l->presences = presences_new();
	l->provisions = provisions_new();
	l->reporteds = reporteds_new();
	if (plan_has_echoes(plan, SOUTH))
		l->carried = echo_new();
	l->keeps_reported = plan_reader(plan, SOUTH, KIND_ATTRIBUTES_REQUEST);
	for (int s = 0; s < SIDES; s++)
		l->echo[s] = echoes[s] ? echo_new() : NULL;
	return l;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	pairings_free(l->pairings);
	twins_free(l->twins);
	presences_free(l->presences);
	provisions_free(l->provisions);
	reporteds_free(l->reporteds);
	if (l->carried)
		echo_free(l->carried);
	for (int s = 0; s < SIDES; s++)
		if (l->echo[s])
			echo_free(l->echo[s]);
	changes_fini(&l->changes);
	free(l);
}

bool link_restore(struct link *l, const char *machine, const char *key, const char *value,
		  struct err *e)
{
	if (strcmp(machine, "pairing") == 0)
		return pairings_restore(l->pairings, key, value, e);
	if (strcmp(machine, "twin") == 0)
		return twins_restore(l->twins, key, value, e);
	if (strcmp(machine, "presence") == 0)
		return presences_restore(l->presences, key, value, e);
	if (strcmp(machine, "provision") == 0)
		return provisions_restore(l->provisions, key, value, e);
	if (strcmp(machine, "reported") == 0)
		return reporteds_restore(l->reporteds, key, value, e);
	if (strcmp(machine, "device") == 0)
		return devices_restore(l->plan->devices, key, value, e);
	err_set(e, ERR_CORRUPT, "no machine is called %s", machine);
	return false;
}

void link_acked(struct link *l, enum side to, uint64_t echo, int64_t now_ms)
{
	if (echo && l->echo[to])
		echo_acked(l->echo[to], echo, now_ms);
}

struct changes *link_changes(struct link *l)
{
	return &l->changes;
}

const struct link_counters *link_counters(const struct link *l, enum flow flow)
{
	return &l->counters[flow];
}

struct jslice link_credentials(const struct link *l)
{
	return provisions_credentials(l->provisions, l->plan->device);
}

void link_login_refused(struct link *l)
{
	provisions_refused(l->provisions, l->plan->device, &l->changes);
}
