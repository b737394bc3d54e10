/* job_codec.c -- put and get (or borrow) of each piece stand side by side, and go through it in the same
 * order.  A job is read where it arrived: its texts are borrowed from the buffer, and what has an address
 * on both sides (plan, readers) is that address.  Results are copied. */
#include "translate/job_codec.h"
#include "translate/translate_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "message/kind.h"

/* --- pieces -------------------------------------------------------------------------------- */

static void put_address(struct buf *out, const void *p)
{
	pack_u64(out, (uint64_t)(uintptr_t)p);
}

static const void *get_address(struct unpack *u)
{
	return (const void *)(uintptr_t)unpack_u64(u);
}

/* Bytes and texts travel with a NUL behind, so that they can be borrowed as they are. */
static void put_bytes(struct buf *out, const char *p, size_t n)
{
	pack_bytes(out, p, n);
	pack_u8(out, 0);
}

static char *borrow_bytes(struct unpack *u, size_t *n)
{
	const char *p = unpack_bytes(u, n);

	if (unpack_u8(u) != 0)
		u->is_bad = true;
	return (char *)p;
}

/* NULL is another thing than "". */
static void put_text(struct buf *out, const char *s)
{
	pack_bytes(out, s, s ? strlen(s) + 1 : 0);
}

static char *borrow_text(struct unpack *u)
{
	size_t n;
	const char *p = unpack_bytes(u, &n);

	if (p && memchr(p, '\0', n) != p + n - 1) {
		u->is_bad = true;
		return NULL;
	}
	return (char *)p;
}

static void put_vars(struct buf *out, const struct vars *v)
{
	pack_u32(out, (uint32_t)v->n);
	for (size_t i = 0; i < v->n; i++) {
		put_text(out, v->items[i].name);
		put_text(out, v->items[i].value);
	}
}

static void borrow_vars(struct unpack *u, struct vars *v)
{
	uint32_t n = unpack_u32(u);

	for (uint32_t i = 0; i < n && !u->is_bad; i++) {
		struct var var = { .name = borrow_text(u), .value = borrow_text(u) };

		if (!var.name || !var.value)
			u->is_bad = true;
		v->items = mem_grow(v->items, v->n, sizeof *v->items);
		v->items[v->n++] = var;
	}
}

static void put_message(struct buf *out, const struct message *m)
{
	put_text(out, m->topic);
	put_bytes(out, m->payload, m->payload_len);
	pack_u8(out, (unsigned)m->qos);
	pack_u8(out, m->retain);
	put_vars(out, &m->properties);
	put_text(out, m->response_topic);
	put_bytes(out, m->correlation, m->correlation_len);
}

/* All is borrowed but the array of properties, which the caller frees. */
static void borrow_message(struct unpack *u, struct message *m)
{
	m->topic = borrow_text(u);
	m->payload = borrow_bytes(u, &m->payload_len);
	m->qos = (int)unpack_u8(u);
	m->retain = unpack_u8(u) != 0;
	borrow_vars(u, &m->properties);
	m->response_topic = borrow_text(u);
	m->correlation = borrow_bytes(u, &m->correlation_len);
	if (!m->topic || m->qos > 1)
		u->is_bad = true;
}

static void put_canonical(struct buf *out, const struct canonical *p)
{
	pack_u8(out, p->kind);
	put_text(out, p->device);
	put_text(out, p->id);
	put_text(out, p->ts);
	put_bytes(out, p->body, p->body_len);
}

static void borrow_canonical(struct unpack *u, struct canonical *p)
{
	unsigned kind = unpack_u8(u);

	if (kind >= KINDS)
		u->is_bad = true;
	else
		p->kind = (enum kind)kind;
	p->device = borrow_text(u);
	p->id = borrow_text(u);
	p->ts = borrow_text(u);
	p->body = borrow_bytes(u, &p->body_len);
}

/* --- jobs ---------------------------------------------------------------------------------- */

static void put_readers(struct buf *out, const struct job *job)
{
	pack_u8(out, (unsigned)job->n_readers);
	for (size_t i = 0; i < job->n_readers; i++)
		put_address(out, job->readers[i]);
}

static void get_readers(struct unpack *u, struct job_codec *f)
{
	f->job.n_readers = unpack_u8(u);
	if (f->job.n_readers == 0 || f->job.n_readers > MATCH_MAX) {
		u->is_bad = true;
		return;
	}
	for (size_t i = 0; i < f->job.n_readers; i++)
		f->readers[i] = get_address(u);
	f->job.readers = f->readers;
}

void job_codec_put_job(struct buf *out, const struct job *job)
{
	pack_u8(out, job->type);
	put_address(out, job->plan);
	pack_u8(out, job->side);
	put_text(out, job->state);
	pack_u8(out, job->request != NULL);
	if (job->request)
		put_canonical(out, job->request);
	if (job->type == JOB_READ) {
		put_readers(out, job);
		pack_u64(out, (uint64_t)job->at_ms);
		pack_u64(out, (uint64_t)job->stamp_ms);
		pack_u8(out, job->awaits_echo);
		put_text(out, job->device);
		put_message(out, job->message);
	} else {
		put_canonical(out, &job->plain);
		put_text(out, job->reply_topic);
	}
}

bool job_codec_get_job(struct unpack *u, struct job_codec *f)
{
	struct job *job = &f->job;

	*job = (struct job){ .type = (enum job_type)unpack_u8(u) };
	f->message = (struct message){ 0 };
	f->request = (struct canonical){ .kind = KIND_NONE };
	job->plan = get_address(u);
	job->side = (enum side)unpack_u8(u);
	job->state = borrow_text(u);
	if (unpack_u8(u)) {
		borrow_canonical(u, &f->request);
		job->request = &f->request;
	}
	if (job->type == JOB_READ) {
		get_readers(u, f);
		job->at_ms = (int64_t)unpack_u64(u);
		job->stamp_ms = (int64_t)unpack_u64(u);
		job->awaits_echo = unpack_u8(u) != 0;
		job->device = borrow_text(u);
		borrow_message(u, &f->message);
		job->message = &f->message;
	} else {
		borrow_canonical(u, &job->plain);
		job->reply_topic = borrow_text(u);
	}
	return !u->is_bad;
}

void job_codec_fini(struct job_codec *f)
{
	free(f->message.properties.items);
}

/* --- results ------------------------------------------------------------------------------- */

/* Of most messages only the kind, the device and the time are asked for.  Attributes may be noted, and what goes
 * down beside pushes that come back.  By hand all may be shown (offline/trace.h). */
static bool canonical_matters(const struct plan *plan, const struct canonical *p)
{
	return plan->hides_secrets || kind_table[p->kind].is_kept ||
	       (kind_table[p->kind].flow == FLOW_DOWN && plan_has_echoes(plan, SOUTH));
}

void job_codec_put_results(struct buf *out, const struct plan *plan, const struct results *r)
{
	pack_u32(out, (uint32_t)r->n);
	for (size_t i = 0; i < r->n; i++) {
		const struct item *item = &r->items[i];
		struct canonical label = { .kind = item->plain.kind,
					   .device = item->plain.device,
					   .ts = item->plain.ts };

		pack_u8(out, item->type);
		pack_u8(out, (unsigned)item->row);
		switch (item->type) {
		case ITEM_MESSAGE:
			put_message(out, &item->message);
			put_canonical(out, canonical_matters(plan, &item->plain) ? &item->plain
										 : &label);
			break;
		case ITEM_PLAIN:
			put_canonical(out, &item->plain);
			break;
		case ITEM_REFUSED:
			pack_u8(out, item->reason);
			put_text(out, item->text);
			pack_u8(out, item->plain.kind != KIND_NONE);
			if (item->plain.kind != KIND_NONE)
				put_canonical(out, &item->plain);
			break;
		}
	}
}

static void get_message(struct unpack *u, struct message *m)
{
	struct message borrowed = { 0 };

	borrow_message(u, &borrowed);
	if (!u->is_bad)
		message_copy(m, &borrowed);
	free(borrowed.properties.items);
}

static void get_canonical(struct unpack *u, struct canonical *p)
{
	struct canonical borrowed = { .kind = KIND_NONE };

	borrow_canonical(u, &borrowed);
	if (!u->is_bad)
		canonical_copy(p, &borrowed);
}

/* Rows come in order, and the bridge counts on that. */
static bool can_follow(const struct job *job, const struct results *r, unsigned row)
{
	size_t last = r->n > 0 ? r->items[r->n - 1].row : 0;

	return row >= last && (row == 0 || row < job->n_readers);
}

static void get_item(struct unpack *u, const struct job *job, struct results *r)
{
	unsigned type = unpack_u8(u), row = unpack_u8(u), reason;
	struct item *item;

	if (u->is_bad || type > ITEM_REFUSED || !can_follow(job, r, row)) {
		u->is_bad = true;
		return;
	}
	item = results_add(r, (enum item_type)type);
	item->row = row;
	switch (item->type) {
	case ITEM_MESSAGE:
		get_message(u, &item->message);
		get_canonical(u, &item->plain);
		break;
	case ITEM_PLAIN:
		get_canonical(u, &item->plain);
		if (!item->plain.device || !item->plain.body)
			u->is_bad = true;
		break;
	case ITEM_REFUSED:
		reason = unpack_u8(u);
		if (reason == CARRIED || reason >= OUTCOMES)
			u->is_bad = true;
		else
			item->reason = (enum outcome)reason;
		item->text = mem_strdup(borrow_text(u));
		if (unpack_u8(u))
			get_canonical(u, &item->plain);
		break;
	}
}

bool job_codec_get_results(struct unpack *u, const struct job *job, struct results *r)
{
	uint32_t n = unpack_u32(u);

	for (uint32_t i = 0; i < n && !u->is_bad; i++)
		get_item(u, job, r);
	return !u->is_bad;
}
