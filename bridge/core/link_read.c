/* link_read.c -- what comes in: is it for us, may it pass, which rows read it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/echo.h"
#include "core/link_inside.h"
#include "core/translator.h"

/* --- reading ------------------------------------------------------------------------------- */

/* Replies are read with their request.  Where the id is in the payload, the request is known only
 * after a first reading: read again. */
static bool read_again(struct task *t, const struct results *results)
{
	if (t->job.request || t->job.reader->row->read_fn < 0)
		return false;
	for (size_t i = 0; i < results->n; i++) {
		const struct plain *p = &results->items[i].plain;
		const struct pairing *pairing;

		if (results->items[i].type != ITEM_PLAIN || !logic_is_reply(p->kind))
			continue;
		pairing = logic_pairing(t, p);
		if (pairing) {
			t->job.request = link_copy_plain(&pairing->request);
			return true;
		}
	}
	return false;
}

static void on_read(struct job *job, struct results *results)
{
	struct task *t = (struct task *)job; /* the job is its first member */

	if (read_again(t, results)) {
		translator_submit(t->link->translator, job);
		return;
	}
	for (size_t i = 0; i < results->n; i++) {
		struct item *item = &results->items[i];

		if (item->type == ITEM_MESSAGE)
			link_send(t->link, t->intake, item,
				  flow_target(kind_table[item->plain.kind].flow));
		else if (item->type == ITEM_PLAIN)
			logic_take(t, &item->plain);
		else
			link_refuse(t->intake, item->reason, item->text);
	}
	link_task_free(t);
}

static void find_request(struct task *t)
{
	const struct reader *r = t->job.reader;
	struct plain p = { .kind = r->row->kind };
	const struct pairing *pairing;
	struct buf device = { 0 };

	if (!logic_is_reply(p.kind))
		return;
	p.id = translate_topic_id(r, t->job.message.topic);
	p.device = (char *)translate_topic_device(t->link->plan, t->job.side, r, t->job.message.topic,
						  &device);
	pairing = p.id && p.device ? logic_pairing(t, &p) : NULL;
	if (pairing)
		t->job.request = link_copy_plain(&pairing->request);
	free(p.id);
	buf_fini(&device);
}

static void submit_read(struct link *l, struct intake *in, enum side from, const struct match *match,
			size_t i, const struct message *m)
{
	const struct reader *r = match->readers[i];
	struct task *t = link_task(l, in, JOB_READ, from);
	struct buf name = { 0 };
	const char *device;

	t->job.reader = r;
	message_copy(&t->job.message, m);
	t->job.at_ms = l->now_ms;
	t->job.done = on_read;
	t->is_mixed = match->n > 1;
	t->waits = m->response_topic || r->row->response_topic;
	t->response_topic = mem_strdup(m->response_topic ? m->response_topic : r->reply);
	device = translate_topic_device(l->plan, from, r, m->topic, &name);
	link_set_state(t, device ? device : l->plan->device);
	find_request(t);
	translator_submit(l->translator, &t->job);
	buf_fini(&name);
}

/* --- identity ------------------------------------------------------------------------------ */

struct expected {
	const struct link *link;
	enum side side;
	const char *device;
	bool has_credential;
};

static const char *lookup_expected(void *ctx, const char *name)
{
	struct expected *x = ctx;
	const struct plan_side *ps = &x->link->plan->side[x->side];

	if (dialect_is_credential(ps->dialect, name))
		x->has_credential = true;
	if (strcmp(name, "device") == 0)
		return plan_device_there(x->link->plan, x->side, x->device);
	return vars_get(&ps->vars, name);
}

static void drop_property(struct vars *properties, const char *name)
{
	struct vars rest = { 0 };

	for (size_t i = 0; i < properties->n; i++)
		if (strcmp(properties->items[i].name, name) != 0)
			vars_add(&rest, properties->items[i].name, properties->items[i].value);
	vars_fini(properties);
	*properties = rest;
}

/* Properties that a row would write name the device or carry its credential: what came must agree,
 * and credentials go no further. */
static enum refusal check_identity(const struct link *l, enum side from, const struct reader *r,
				   const char *device, struct vars *properties)
{
	enum refusal reason = REFUSED_NOT;

	for (size_t i = 0; i < r->row->properties.n; i++) {
		const struct var *want = &r->row->properties.items[i];
		const char *got = vars_get(properties, want->name);
		struct expected x = { .link = l, .side = from, .device = device };
		struct buf text = { 0 };
		bool is_known = text_template_expand(want->value, lookup_expected, &x, &text, NULL);

		if (got && is_known && !crypto_text_equal(got, buf_str(&text)))
			reason = x.has_credential ? DEAD_CREDENTIAL : DEAD_OTHER_DEVICE;
		if (got && x.has_credential)
			drop_property(properties, want->name);
		buf_fini(&text);
	}
	return reason;
}

static enum refusal admit(const struct link *l, enum side from, const struct match *match,
			  struct message *m)
{
	const struct reader *r = match->readers[0];
	struct buf name = { 0 };
	const char *device = translate_topic_device(l->plan, from, r, m->topic, &name);
	enum refusal reason = DEAD_OTHER_DEVICE;

	if (device)
		reason = check_identity(l, from, r, device, &m->properties);
	for (size_t i = 0; m->retain && i < match->n; i++)
		if (match->readers[i]->row->kind == KIND_COMMAND ||
		    match->readers[i]->row->kind == KIND_PROVISION)
			reason = DEAD_RETAINED;
	buf_fini(&name);
	return reason;
}

/* What can be said of a message before its payload is looked at. */
static enum refusal sort_out(struct link *l, enum side from, const struct message *m,
			     struct match *match)
{
	if (m->retain && m->payload_len == 0)
		return FILTERED_EMPTY_RETAIN;
	if (l->echo[from] && echo_take(l->echo[from], m->topic, m->payload, m->payload_len, l->now_ms))
		return FILTERED_ECHO;
	if (l->plan->is_mirror && from == NORTH)
		return FILTERED_MIRROR;
	plan_match(l->plan, from, m->topic, match);
	if (!match->is_known)
		return l->plan->drop_unmatched ? FILTERED_UNMATCHED : DEAD_UNKNOWN_TOPIC;
	return match->n ? REFUSED_NOT : FILTERED_NOT_READ;
}

void link_receive(struct link *l, enum side from, const struct message *m, int64_t now_ms,
		  void *tag)
{
	struct intake *in = link_intake(l, flow_from(from), tag, false);
	struct match match;
	struct message copy;
	enum refusal reason;

	l->now_ms = now_ms;
	reason = sort_out(l, from, m, &match);
	if (reason == REFUSED_NOT) {
		message_copy(&copy, m);
		reason = admit(l, from, &match, &copy);
		for (size_t i = 0; reason == REFUSED_NOT && i < match.n; i++)
			submit_read(l, in, from, &match, i, &copy);
		message_fini(&copy);
	}
	if (reason != REFUSED_NOT)
		link_refuse(in, reason, m->topic);
	link_release(l, in);
}

