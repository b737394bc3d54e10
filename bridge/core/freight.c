#include "core/freight.h"
#include "core/translate_inside.h"

#include <stdlib.h>

#include "base/mem.h"

/* --- pieces -------------------------------------------------------------------------------- */

static void put_address(struct buf *out, const void *p)
{
	pack_u64(out, (uint64_t)(uintptr_t)p);
}

static const void *get_address(struct unpack *u)
{
	return (const void *)(uintptr_t)unpack_u64(u);
}

static void put_vars(struct buf *out, const struct vars *v)
{
	pack_u32(out, (uint32_t)v->n);
	for (size_t i = 0; i < v->n; i++) {
		pack_text(out, v->items[i].name);
		pack_text(out, v->items[i].value);
	}
}

static void get_vars(struct unpack *u, struct vars *v)
{
	uint32_t n = unpack_u32(u);

	for (uint32_t i = 0; i < n && !u->is_bad; i++) {
		char *name = unpack_text(u), *value = unpack_text(u);

		if (name && value)
			vars_add(v, name, value);
		else
			u->is_bad = true;
		free(name);
		free(value);
	}
}

static char *get_bytes(struct unpack *u, size_t *n)
{
	const char *p = unpack_bytes(u, n);

	return mem_dup(p, *n);
}

static void put_message(struct buf *out, const struct message *m)
{
	pack_text(out, m->topic);
	pack_bytes(out, m->payload, m->payload_len);
	pack_u8(out, (unsigned)m->qos);
	pack_u8(out, m->retain);
	put_vars(out, &m->properties);
	pack_text(out, m->response_topic);
	pack_bytes(out, m->correlation, m->correlation_len);
}

static void get_message(struct unpack *u, struct message *m)
{
	m->topic = unpack_text(u);
	m->payload = get_bytes(u, &m->payload_len);
	m->qos = (int)unpack_u8(u);
	m->retain = unpack_u8(u) != 0;
	get_vars(u, &m->properties);
	m->response_topic = unpack_text(u);
	m->correlation = get_bytes(u, &m->correlation_len);
	if (!m->topic || m->qos > 1)
		u->is_bad = true;
}

static void put_plain(struct buf *out, const struct plain *p)
{
	pack_u8(out, p->kind);
	pack_text(out, p->device);
	pack_text(out, p->id);
	pack_text(out, p->ts);
	pack_u8(out, p->body != NULL);
	if (p->body)
		pack_bytes(out, p->body, p->body_len);
}

static void get_plain(struct unpack *u, struct plain *p)
{
	unsigned kind = unpack_u8(u);

	if (kind >= KINDS)
		u->is_bad = true;
	else
		p->kind = (enum kind)kind;
	p->device = unpack_text(u);
	p->id = unpack_text(u);
	p->ts = unpack_text(u);
	if (unpack_u8(u))
		p->body = get_bytes(u, &p->body_len);
}

/* --- jobs ---------------------------------------------------------------------------------- */

void freight_put_job(struct buf *out, const struct job *job)
{
	pack_u8(out, job->type);
	put_address(out, job->plan);
	pack_u8(out, job->side);
	pack_text(out, job->state);
	pack_u8(out, job->request != NULL);
	if (job->request)
		put_plain(out, job->request);
	if (job->type == JOB_READ) {
		put_address(out, job->reader);
		pack_u64(out, (uint64_t)job->at_ms);
		pack_u8(out, job->awaits_echo);
		put_message(out, job->message);
	} else {
		put_plain(out, &job->plain);
		pack_text(out, job->reply_topic);
	}
}

bool freight_get_job(struct unpack *u, struct job *job, struct message *m)
{
	*job = (struct job){ .type = (enum job_type)unpack_u8(u) };
	*m = (struct message){ 0 };
	job->plan = get_address(u);
	job->side = (enum side)unpack_u8(u);
	job->state = unpack_text(u);
	if (unpack_u8(u)) {
		job->request = mem_zalloc(sizeof *job->request);
		get_plain(u, job->request);
	}
	if (job->type == JOB_READ) {
		job->reader = get_address(u);
		job->at_ms = (int64_t)unpack_u64(u);
		job->awaits_echo = unpack_u8(u) != 0;
		get_message(u, m);
		job->message = m;
	} else {
		get_plain(u, &job->plain);
		job->reply_topic = unpack_text(u);
	}
	return !u->is_bad;
}

void freight_fini_job(struct job *job, struct message *m)
{
	job_fini(job);
	message_fini(m);
}

/* --- results ------------------------------------------------------------------------------- */

/* Attributes may be noted, and what goes down beside pushes that come back. */
static bool plain_matters(const struct plan *plan, const struct plain *p)
{
	return p->kind == KIND_ATTRIBUTES ||
	       (kind_table[p->kind].flow == FLOW_DOWN && plan_has_echoes(plan, SOUTH));
}

void freight_put_results(struct buf *out, const struct plan *plan, const struct results *r)
{
	pack_u32(out, (uint32_t)r->n);
	for (size_t i = 0; i < r->n; i++) {
		const struct item *item = &r->items[i];
		struct plain just_kind = { .kind = item->plain.kind };

		pack_u8(out, item->type);
		switch (item->type) {
		case ITEM_MESSAGE:
			put_message(out, &item->message);
			put_plain(out,
				  plain_matters(plan, &item->plain) ? &item->plain : &just_kind);
			break;
		case ITEM_PLAIN:
			put_plain(out, &item->plain);
			break;
		case ITEM_REFUSED:
			pack_u8(out, item->reason);
			pack_text(out, item->text);
			break;
		}
	}
}

static void get_item(struct unpack *u, struct results *r)
{
	unsigned type = unpack_u8(u), reason;
	struct item *item;

	if (u->is_bad || type > ITEM_REFUSED) {
		u->is_bad = true;
		return;
	}
	item = results_add(r, (enum item_type)type);
	switch (item->type) {
	case ITEM_MESSAGE:
		get_message(u, &item->message);
		get_plain(u, &item->plain);
		break;
	case ITEM_PLAIN:
		get_plain(u, &item->plain);
		if (!item->plain.device || !item->plain.body)
			u->is_bad = true;
		break;
	case ITEM_REFUSED:
		reason = unpack_u8(u);
		if (reason == REFUSED_NOT || reason >= REFUSALS)
			u->is_bad = true;
		else
			item->reason = (enum refusal)reason;
		item->text = unpack_text(u);
		break;
	}
}

bool freight_get_results(struct unpack *u, struct results *r)
{
	uint32_t n = unpack_u32(u);

	for (uint32_t i = 0; i < n && !u->is_bad; i++)
		get_item(u, r);
	return !u->is_bad;
}
