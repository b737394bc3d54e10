/* greeting.c -- what follows a login in the north: what the platform forgot is said again, what it may have to
 * tell is asked for, and its answers are looked at.
 *
 * It is said for that login only: the next one says it anew, and so does a restart, so nothing of it is kept.
 * Nobody waits for the answers, so a question stays open until the next login asks again. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "link/link_inside.h"
#include "state/presence.h"
#include "state/reported.h"
#include "state/twin.h"
#include "translate/executor.h"

#define ANSWER_MS 30000 /* what comes later is no answer to a snapshot request */
/* Where one session speaks for many devices, it is asked about so many of them at a time. */
#define ASKED_AT_ONCE 20
#define ASK_MS	      1000

/* --- saying and asking --------------------------------------------------------------------- */

struct greeting {
	struct link *link;
	enum kind kind;
	uint64_t login;
	bool is_in_turn; /* behind what waits */
};

static bool answers(enum kind reply, enum kind request)
{
	return kind_table[reply].request == request || kind_table[reply].also_answers == request;
}

/* Does the north give an answer that would be found by an id? */
static bool is_paired(const struct plan *p, enum kind request)
{
	for (int k = 0; k < KINDS; k++)
		if (answers((enum kind)k, request) && plan_reader(p, NORTH, (enum kind)k))
			return true;
	return false;
}

/* What was not asked is not waited for. */
static void after_asking(struct task *t, size_t n_sent, size_t n_refused)
{
	const struct canonical *asked = &t->job.plain;
	struct link *l = t->link;
	const struct pairing *p;

	(void)n_refused;
	p = n_sent || !asked->id
		    ? NULL
		    : pairings_find(l->pairings, asked->device, asked->kind, SOUTH, asked->id);
	if (p)
		pairings_close(l->pairings, p, &l->changes);
	if (n_sent == 0 && asked->kind == KIND_SNAPSHOT_REQUEST)
		twins_end_question(l->twins, asked->device);
}

static bool asks(const struct link *l, enum kind kind)
{
	enum kind_greets greets = kind_table[kind].greets;

	return (greets == GREETS_ASKING || greets == GREETS_ASKING_OF_DEVICE) &&
	       is_paired(l->plan, kind);
}

/* {"shared": [names]}: a platform whose payloads name the device may have to be asked by name. */
static void put_known_names(const struct link *l, const char *device, struct buf *out)
{
	struct buf held = { 0 };
	struct jfield f;
	size_t pos = 0;
	char before = '[';

	twins_document(l->twins, device, &held);
	buf_puts(out, "{\"shared\":");
	while (jtext_next_field((struct jslice){ held.data, held.len }, &pos, &f)) {
		buf_putc(out, before);
		buf_append(out, f.key.text, f.key.len);
		before = ',';
	}
	buf_puts(out, before == '[' ? "[]}" : "]}");
	buf_fini(&held);
}

static void greet_of(const struct greeting *g, const char *device, const char *body)
{
	struct link *l = g->link;
	struct canonical p = { .kind = g->kind,
			       .device = (char *)device,
			       .body = (char *)body,
			       .body_len = strlen(body) };
	bool waits = asks(l, g->kind);
	struct intake *in;

	link_begin_own(l, sequence_of_device(l, device), l->now_ms);
	in = link_own_intake(l, FLOW_UP);
	in->greets = g->login;
	in->is_in_turn = g->is_in_turn;
	if (g->kind == KIND_SNAPSHOT_REQUEST)
		twins_ask(l->twins, device, waits, l->now_ms, l->now_ms + ANSWER_MS);
	if (waits)
		p.id = pairings_ask(l->pairings, &p, plan_writer(l->plan, NORTH, g->kind)->id,
				    INT64_MAX, &l->changes)
			       ->far_id;
	link_write(l, in,
		   &(struct link_write){
			   .to = NORTH, .plain = &p, .after = waits ? after_asking : NULL });
	link_end_own(l, in);
}

static void greet_of_online(const struct greeting *g, const char *body)
{
	struct map_pos pos = { 0 };
	const char *device;

	while ((device = presences_next_there(g->link->presences, &pos, g->link->now_ms)) != NULL)
		greet_of(g, device, body);
}

static void ask_about(const struct greeting *g, const char *device)
{
	struct buf body = { 0 };

	put_known_names(g->link, device, &body);
	greet_of(g, device, buf_str(&body));
	buf_fini(&body);
}

void greeting_free(struct link *l)
{
	struct to_ask *q = &l->to_ask;

	for (size_t i = q->at; i < q->n; i++)
		free(q->devices[i]);
	free(q->devices);
	*q = (struct to_ask){ 0 };
}

int64_t greeting_next_deadline(const struct link *l)
{
	return l->to_ask.at < l->to_ask.n ? l->to_ask.due_ms : INT64_MAX;
}

void greeting_tick(struct link *l)
{
	struct to_ask *q = &l->to_ask;
	const struct greeting g = { l, KIND_SNAPSHOT_REQUEST, q->login, true };

	if (greeting_next_deadline(l) > l->now_ms)
		return;
	for (int i = 0; i < ASKED_AT_ONCE && q->at < q->n; i++) {
		char *device = q->devices[q->at++];

		ask_about(&g, device);
		free(device);
	}
	if (q->at == q->n)
		q->at = q->n = 0;
	q->due_ms = l->now_ms + ASK_MS;
}

/* About the gateway itself is asked otherwise. */
static void ask_later(struct link *l, const char *device)
{
	struct to_ask *q = &l->to_ask;

	if (strcmp(device, l->plan->device) == 0)
		return;
	q->devices = mem_grow(q->devices, q->n, sizeof *q->devices);
	q->devices[q->n++] = mem_strdup(device);
}

void greeting_came_online(struct link *l, const char *device)
{
	if (l->to_ask.login)
		ask_later(l, device);
}

/* Of each that this session speaks for, and of the gateway itself, if anybody here knows it. */
static void ask_about_all(const struct greeting *g)
{
	struct link *l = g->link;
	struct map_pos pos = { 0 };
	const char *device;

	greeting_free(l);
	l->to_ask.login = g->login;
	l->to_ask.due_ms = l->now_ms;
	while ((device = presences_next_there(l->presences, &pos, l->now_ms)) != NULL)
		ask_later(l, device);
	if (plan_named_gateway(l->plan, NORTH))
		greet_of(g, l->plan->device, "{}");
}

/* On a session of any devices: of each, or of the one that it belongs to itself? */
static bool names_device(const struct plan *p, enum kind kind)
{
	return !p->is_single && topic_template_has(&plan_writer(p, NORTH, kind)->topic, "device");
}

static void greet(const struct greeting *g, const char *device)
{
	static const char is_online[] = "{\"online\":true}";
	const struct link *l = g->link;
	enum kind_greets greets = kind_table[g->kind].greets;
	bool is_of_online = greets == GREETS_OF_ONLINE,
	     is_of_device = greets == GREETS_ASKING_OF_DEVICE;
	const char *body = is_of_online ? is_online : "{}";

	if (!device && is_of_device && plan_gateway(l->plan, NORTH))
		ask_about_all(g);
	else if (!device && (is_of_online || names_device(l->plan, g->kind)))
		greet_of_online(g, body);
	else if (is_of_device && l->plan->side[NORTH].dialect->device == DEVICE_IN_PAYLOAD)
		ask_about(g, device ? device : l->plan->device);
	else if (!is_of_online || presences_is_there(l->presences, device, l->now_ms))
		greet_of(g, device ? device : l->plan->device, body);
}

void link_greet(struct link *l, const char *device, uint64_t login, int64_t now_ms)
{
	const struct dialect *d = l->plan->side[NORTH].dialect;

	l->now_ms = now_ms;
	provisioning_greet(l, device, login);
	/* Each goes before all that waits in its sequence, so the last one is ordered first. */
	for (size_t i = d->n_on_connect; i-- > 0;)
		if (plan_greets(l->plan, d->on_connect[i]))
			greet(&(struct greeting){ .link = l,
						  .kind = d->on_connect[i],
						  .login = login },
			      device);
}

/* --- answers ------------------------------------------------------------------------------- */

/* A number of 1 or more; 0: there is none, or it is null. */
static int64_t limit_of(const struct canonical *p, const char *key)
{
	struct jslice v;
	int64_t limit;

	if (!jtext_field(canonical_body(p), key, &v) || !jtext_integer(v, &limit) || limit < 1)
		return 0;
	return limit;
}

static void take_limits(struct task *t, const struct canonical *p)
{
	const struct link *l = t->link;
	const struct limits limits = {
		.packet_bytes = limit_of(p, "packet_bytes"),
		.in_flight = limit_of(p, "in_flight"),
		.messages_per_second = limit_of(p, "messages_per_second"),
	};

	if (l->ops.limits)
		l->ops.limits(l->ctx, p->device, &limits);
	t->intake->is_well = true;
}

/* What the answer holds that the platform said while nobody listened. */
static void take_snapshot(struct task *t, const struct canonical *p)
{
	struct link *l = t->link;
	struct buf full = { 0 }, diff = { 0 };
	struct jslice part;
	struct err e = { 0 };

	registry_note(l, p->device);
	if (jtext_field(canonical_body(p), "client", &part) && l->keeps_reported)
		reporteds_merge(l->reporteds, p->device, part, &l->changes);
	if (plan_writer(l->plan, SOUTH, KIND_CONFIG) && logic_put_full(p, &full) &&
	    !twins_compare(l->twins, p->device, (struct jslice){ full.data, full.len },
			   l->plan->pushes_first, l->now_ms, &l->changes, &diff, &e))
		link_refuse(t->intake, logic_twin_reason(&e), e.text);
	twins_end_question(l->twins, p->device);
	if (diff.len)
		logic_push(t, p, (struct jslice){ diff.data, diff.len });
	else
		link_refuse(t->intake, FILTERED_NO_CHANGE, NULL);
	buf_fini(&full);
	buf_fini(&diff);
}

bool greeting_is_known(struct task *t, const struct canonical *p)
{
	struct link *l = t->link;
	struct buf diff = { 0 };
	struct jslice full;
	bool is_known;

	if (!twins_is_asked(l->twins, p->device, l->now_ms) ||
	    !jtext_field(canonical_body(p), "full", &full))
		return false;
	is_known = twins_takes_answer(l->twins, p->device) &&
		   twins_compare(l->twins, p->device, canonical_body(p), l->plan->pushes_first,
				 l->now_ms, &l->changes, &diff, NULL) &&
		   diff.len == 0 && !twins_is_as_said(l->twins, p->device);
	buf_fini(&diff);
	return is_known;
}

bool greeting_is_lost(const struct task *t, const struct canonical *p)
{
	const struct kind_info *kind = &kind_table[p->kind];
	const struct plan *plan = t->link->plan;

	return t->intake->origin == ORIGIN_AGAIN &&
	       (plan_greets(plan, kind->request) ||
		(kind->also_answers && plan_greets(plan, kind->also_answers)));
}

static void put_notice_name(struct buf *out, const struct canonical *p)
{
	struct jslice value;

	buf_puts(out, kind_name(p->kind));
	if (!jtext_field(canonical_body(p), kind_table[p->kind].notice, &value))
		return;
	buf_putc(out, '/');
	buf_append(out, value.text, value.len);
}

/* Where snapshots are replies, what comes otherwise was said by the platform itself. */
static bool may_answer(const struct task *t)
{
	return !plan_reader(t->link->plan, NORTH, KIND_ATTRIBUTES_REPLY) ||
	       t->reader->row->kind == KIND_ATTRIBUTES_REPLY;
}

void greeting_take_notice(struct task *t, struct canonical *p)
{
	struct link *l = t->link;
	struct buf name = { 0 };
	bool is_answer = may_answer(t) && twins_is_asked(l->twins, p->device, l->now_ms);
	bool is_news = true;

	put_notice_name(&name, p);
	if (plan_greets(l->plan, KIND_SNAPSHOT_REQUEST) && registry_admit(l, p->device))
		is_news =
			twins_take_notice(l->twins, p->device, buf_str(&name), canonical_body(p),
					  is_answer, l->plan->pushes_first, l->now_ms, &l->changes);
	buf_fini(&name);
	if (!is_news || (is_answer && !plan_writer(l->plan, SOUTH, p->kind)))
		link_refuse(t->intake, FILTERED_NO_CHANGE, NULL);
	else
		link_write_canonical(l, t->intake, SOUTH, p);
}

/* Answers of several kinds may come on one topic: another row reads it as what it is. */
bool greeting_take_answer(struct task *t, const struct canonical *p, enum kind request)
{
	if (p->kind == KIND_LIMITS) {
		take_limits(t, p);
	} else if (request == KIND_ATTRIBUTES_REQUEST) {
		link_compare_answer(t, p);
	} else if (request == KIND_SNAPSHOT_REQUEST) {
		take_snapshot(t, p);
	} else {
		link_refuse(t->intake, FILTERED_ONE_WAY, NULL);
		return false;
	}
	return true;
}

static void put_limit(struct buf *out, const char *key, int64_t limit)
{
	if (limit)
		buf_printf(out, "%s\"%s\":%lld", out->len > 1 ? "," : "", key, (long long)limit);
}

void greeting_answer_limits(struct link *l, struct intake *in, enum side caller,
			    const struct canonical *request, const char *reply_topic)
{
	const struct limits *limits = &l->plan->limits[side_other(caller)];
	struct canonical reply = { .kind = KIND_LIMITS,
				   .device = request->device,
				   .id = request->id };
	struct buf body = { 0 };

	buf_putc(&body, '{');
	put_limit(&body, "packet_bytes", limits->packet_bytes);
	put_limit(&body, "in_flight", limits->in_flight);
	put_limit(&body, "messages_per_second", limits->messages_per_second);
	buf_putc(&body, '}');
	reply.body = body.data;
	reply.body_len = body.len;
	if (plan_writer(l->plan, caller, KIND_LIMITS))
		link_write_reply(l, in, caller, &reply, request, reply_topic);
	buf_fini(&body);
}
