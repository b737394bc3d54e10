/* job_codec.c -- put and get (or borrow) of each piece stand side by side, and go through it in the same
 * order.  A job is read where it arrived: its texts are borrowed from the buffer, and what has an address
 * on both sides (plan, readers) is that address.  Results are copied, and of them only what is
 * checked: what does jobs may have been taken over by what it was given to read. */
#include "translate/job_codec.h"
#include "translate/translate_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "message/kind.h"

#define TEXT_MAX 4095 /* bytes of what is said to people of a refusal */

/* --- pieces -------------------------------------------------------------------------------- */

uint64_t job_codec_plan(const struct plan *plan)
{
	return plan->there ? plan->there : (uint64_t)(uintptr_t)plan;
}

static const struct plan *get_plan(struct unpack *u)
{
	return (const struct plan *)(uintptr_t)unpack_u64(u);
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

static void put_capture(void *ctx, const char *name, const char *value, size_t len)
{
	struct buf *out = ctx;

	put_text(out, name);
	pack_u32(out, (uint32_t)len + 1);
	buf_append(out, value, len);
	pack_u8(out, 0);
}

static void put_captures(struct buf *out, const struct topic_template *t, const char *topic)
{
	size_t at = out->len, n;

	pack_u32(out, 0);
	n = topic_template_captures(t, topic, put_capture, out);
	pack_u32_at(out, at, (uint32_t)n);
}

/* What a job is told of a message: all else is not for functions. */
static void put_message(struct buf *out, const struct job *job)
{
	const struct message *m = job->message;

	put_captures(out, &job->readers[0]->topic, m->topic);
	put_bytes(out, m->payload, m->payload_len);
	put_vars(out, &m->properties);
}

/* All is borrowed but the arrays of variables, which the caller frees. */
static void borrow_message(struct unpack *u, struct message *m, struct vars *topic)
{
	borrow_vars(u, topic);
	m->payload = borrow_bytes(u, &m->payload_len);
	borrow_vars(u, &m->properties);
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
		pack_u32(out, (uint32_t)(job->readers[i] - job->plan->side[job->side].readers));
}

static void get_readers(struct unpack *u, struct job_codec *f)
{
	const struct plan_side *ps = &f->job.plan->side[f->job.side];

	f->job.n_readers = unpack_u8(u);
	if (f->job.n_readers == 0 || f->job.n_readers > MATCH_MAX) {
		u->is_bad = true;
		return;
	}
	for (size_t i = 0; i < f->job.n_readers; i++) {
		uint32_t number = unpack_u32(u);

		if (number >= ps->n_readers)
			u->is_bad = true;
		else
			f->readers[i] = &ps->readers[number];
	}
	f->job.readers = f->readers;
}

void job_codec_put_job(struct buf *out, const struct job *job)
{
	pack_u8(out, job->type);
	pack_u64(out, job_codec_plan(job->plan));
	pack_u8(out, job->side);
	put_text(out, job->state);
	put_text(out, job->own);
	pack_u8(out, job->request != NULL);
	if (job->request)
		put_canonical(out, job->request);
	if (job->type == JOB_READ) {
		put_readers(out, job);
		pack_u64(out, (uint64_t)job->at_ms);
		pack_u64(out, (uint64_t)job->stamp_ms);
		pack_u8(out, job->awaits_echo);
		pack_u8(out, job->is_compared);
		put_text(out, job->device);
		put_message(out, job);
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
	f->topic = (struct vars){ 0 };
	job->plan = get_plan(u);
	job->side = (enum side)unpack_u8(u);
	if (u->is_bad || !job->plan || job->side >= SIDES)
		return false;
	job->state = borrow_text(u);
	job->own = borrow_text(u);
	if (unpack_u8(u)) {
		borrow_canonical(u, &f->request);
		job->request = &f->request;
	}
	if (job->type == JOB_READ) {
		get_readers(u, f);
		job->at_ms = (int64_t)unpack_u64(u);
		job->stamp_ms = (int64_t)unpack_u64(u);
		job->awaits_echo = unpack_u8(u) != 0;
		job->is_compared = unpack_u8(u) != 0;
		job->device = borrow_text(u);
		borrow_message(u, &f->message, &f->topic);
		job->message = &f->message;
		job->topic = &f->topic;
	} else {
		borrow_canonical(u, &job->plain);
		job->reply_topic = borrow_text(u);
	}
	return !u->is_bad;
}

void job_codec_fini(struct job_codec *f)
{
	free(f->message.properties.items);
	free(f->topic.items);
}

/* --- results ------------------------------------------------------------------------------- */

/* Of most messages only the kind, the device and the time are asked for.  Attributes may be noted, and what goes
 * down beside pushes that come back; a device in mirror is compared.  By hand all may be shown (offline/trace.h). */
static bool canonical_matters(const struct job *job, const struct canonical *p)
{
	const struct plan *plan = job->plan;

	return plan->hides_secrets || job->is_compared || kind_table[p->kind].is_kept ||
	       (kind_table[p->kind].flow == FLOW_DOWN && plan_has_echoes(plan, SOUTH));
}

/* (Whose it is, is known there: the job's device.) */
static void put_item_message(struct buf *out, const struct job *job, const struct item *item)
{
	bool matters = canonical_matters(job, &item->plain);

	pack_u32(out, (uint32_t)item->writer);
	pack_u8(out, item->is_first);
	put_bytes(out, item->message.payload, item->message.payload_len);
	put_vars(out, &item->message.properties);
	put_vars(out, &item->said);
	pack_u8(out, item->plain.kind);
	put_text(out, item->plain.id);
	put_text(out, item->plain.ts);
	put_bytes(out, matters ? item->plain.body : NULL, matters ? item->plain.body_len : 0);
}

/* `plain` (NULL: none): what would have come. */
static void put_refusal(struct buf *out, enum outcome reason, const char *text,
			const struct canonical *plain)
{
	char begin[TEXT_MAX + 1];

	pack_u8(out, reason);
	snprintf(begin, sizeof begin, "%s", text ? text : "");
	put_text(out, jtext_is_utf8(begin, strlen(begin)) ? begin : "");
	pack_u8(out, plain && plain->kind != KIND_NONE);
	if (plain && plain->kind != KIND_NONE)
		put_canonical(out, plain);
}

static void put_item(struct buf *out, const struct job *job, const struct item *item)
{
	pack_u8(out, item->type);
	pack_u8(out, (unsigned)item->row);
	switch (item->type) {
	case ITEM_MESSAGE:
		put_item_message(out, job, item);
		break;
	case ITEM_PLAIN:
		put_canonical(out, &item->plain);
		break;
	case ITEM_REFUSED:
		put_refusal(out, item->reason, item->text, &item->plain);
		break;
	}
}

static size_t count_pieces(const struct results *r)
{
	size_t n = r->n;

	for (size_t i = 0; i < r->n; i++)
		n += r->items[i].message.properties.n + r->items[i].said.n;
	return n;
}

void job_codec_put_results(struct buf *out, const struct job *job, const struct results *r)
{
	size_t before = out->len, pieces = count_pieces(r);

	pack_u32(out, (uint32_t)r->n);
	for (size_t i = 0;
	     i < r->n && pieces <= JOB_CODEC_PIECES && out->len - before <= JOB_CODEC_ANSWER_BYTES;
	     i++)
		put_item(out, job, &r->items[i]);
	if (pieces <= JOB_CODEC_PIECES && out->len - before <= JOB_CODEC_ANSWER_BYTES)
		return;
	buf_cut(out, before);
	pack_u32(out, 1);
	pack_u8(out, ITEM_REFUSED);
	pack_u8(out, 0);
	put_refusal(out, DEAD_TOO_LARGE, "more comes of it than can be carried at once", NULL);
}

/* --- results that arrive ------------------------------------------------------------------- */

/* An answer on its way in. */
struct answer {
	struct unpack *u;
	const struct job *job;
	struct buf *scratch;
	struct results *r;
	size_t pieces;
	bool has_device; /* `device` is worked out */
	const char *device;
	char *native; /* as the topic calls it, if that was looked up here */
};

static bool bad(struct answer *a)
{
	a->u->is_bad = true;
	return false;
}

static bool count_piece(struct answer *a, size_t n)
{
	a->pieces += n;
	return a->pieces <= JOB_CODEC_PIECES || bad(a);
}

/* Copied; they count. */
static void get_vars(struct answer *a, struct vars *v)
{
	uint32_t n = unpack_u32(a->u);

	if (a->u->is_bad || n > JOB_CODEC_PIECES || !count_piece(a, n))
		a->u->is_bad = true;
	for (uint32_t i = 0; i < n && !a->u->is_bad; i++) {
		const char *name = borrow_text(a->u), *value = borrow_text(a->u);

		if (!name || !value || !jtext_is_utf8(name, strlen(name)) ||
		    !jtext_is_utf8(value, strlen(value)))
			bad(a);
		else
			vars_add(v, name, value);
	}
}

/* JSON that the bridge itself looks into: it is what was checked that is kept.  A caller frees; NULL is bad. */
static char *get_json(struct answer *a, const char *text, size_t len, size_t *out_len)
{
	buf_reset(a->scratch);
	if (!text || !jtext_take(text, len, false, a->scratch, NULL)) {
		bad(a);
		return NULL;
	}
	if (out_len)
		*out_len = a->scratch->len;
	return mem_dup(a->scratch->data, a->scratch->len);
}

/* An id or a time; NULL: there is none. */
static char *get_scalar(struct answer *a, bool may_be_text)
{
	const char *text = borrow_text(a->u);
	char *copy = text && !a->u->is_bad ? get_json(a, text, strlen(text), NULL) : NULL;
	enum jtext_type type =
		copy ? jtext_type_of((struct jslice){ copy, strlen(copy) }) : JTEXT_NUMBER;

	if (type != JTEXT_NUMBER && !(may_be_text && type == JTEXT_STRING))
		bad(a);
	return copy;
}

static enum kind get_kind(struct answer *a)
{
	unsigned kind = unpack_u8(a->u);

	if (kind < KINDS)
		return (enum kind)kind;
	bad(a);
	return KIND_NONE;
}

static void get_body(struct answer *a, struct canonical *p)
{
	size_t n;
	const char *text = borrow_bytes(a->u, &n);

	if (text && !a->u->is_bad)
		p->body = get_json(a, text, n, &p->body_len);
}

/* Whoever made the job may not have looked what its topic says. */
static void look_at_topic(struct answer *a)
{
	const struct job *job = a->job;

	if (!job->topic_device && topic_template_has(&job->readers[0]->topic, "device"))
		a->native = translate_topic_device(job->readers[0], job->message->topic);
	a->device = translate_device(job->plan, job->side, job->device,
				     job->topic_device ? job->topic_device : a->native);
}

/* The device of a job's messages: they were read, or are to be written, as its. */
static const char *device_of(struct answer *a)
{
	if (a->has_device)
		return a->device;
	a->has_device = true;
	if (a->job->type == JOB_WRITE)
		a->device = a->job->plain.device;
	else
		look_at_topic(a);
	return a->device;
}

/* It is this device's; NULL: the job's.  (Names may have changed since the job was given away.) */
static void set_device(struct answer *a, struct item *item, const char *device)
{
	if (!device)
		device = device_of(a);
	item->plain.device = mem_strdup(device);
	if (device)
		return;
	item->type = ITEM_REFUSED;
	item->reason = DEAD_OTHER_DEVICE;
	item->text = mem_strdup("the topic names another device");
}

/* Can the job have led to a message of this kind, by that row? */
static bool may_be_written(const struct job *job, const struct item *item)
{
	enum kind kind = item->plain.kind;
	enum side to = translate_target(job, kind);
	const struct dialect *d = job->plan->side[to].dialect;
	bool may_change = job->side == SOUTH && job->plan->n_through > 0 &&
			  kind_table[job->plain.kind].flow == FLOW_DOWN;

	if (item->writer >= d->n_rows || d->rows[item->writer].kind != kind ||
	    !d->rows[item->writer].can_write)
		return false;
	if (job->type == JOB_WRITE)
		return kind == job->plain.kind || may_change;
	return translate_is_direct(job, job->readers[item->row]->row, kind);
}

static void get_message(struct answer *a, struct item *item)
{
	const char *payload;
	size_t n;

	item->writer = unpack_u32(a->u);
	item->is_first = unpack_u8(a->u) != 0;
	payload = borrow_bytes(a->u, &n);
	if (!a->u->is_bad && n)
		message_set_payload(&item->message, payload, n);
	get_vars(a, &item->message.properties);
	get_vars(a, &item->said);
	item->plain.kind = get_kind(a);
	item->plain.id = get_scalar(a, true);
	item->plain.ts = get_scalar(a, false);
	get_body(a, &item->plain);
	if (!a->u->is_bad && may_be_written(a->job, item))
		set_device(a, item, NULL);
	else
		bad(a);
}

/* What was read: the device that it names, borrowed. */
static const char *get_said(struct answer *a, struct item *item)
{
	const char *device;

	item->plain.kind = get_kind(a);
	device = borrow_text(a->u);
	item->plain.id = get_scalar(a, true);
	item->plain.ts = get_scalar(a, false);
	get_body(a, &item->plain);
	if (a->job->type != JOB_READ || !device || !jtext_is_utf8(device, strlen(device)))
		bad(a);
	return device;
}

/* What the logic gets has all that it counts on. */
static void get_plain(struct answer *a, struct item *item)
{
	const char *device = get_said(a, item);

	if (!item->plain.body)
		bad(a);
	if (a->u->is_bad)
		return;
	set_device(a, item, translate_names_device(a->job, item->plain.kind) ? NULL : device);
	if (item->type == ITEM_PLAIN && !(canonical_check_body(&item->plain, NULL) &&
					  translate_can_be_named(a->job->plan, &item->plain)))
		bad(a);
}

/* What would have come. */
static void get_label(struct answer *a, struct item *item)
{
	const char *device = get_said(a, item);

	if (a->u->is_bad)
		return;
	if (translate_names_device(a->job, item->plain.kind))
		device = device_of(a);
	if (!device)
		item->plain.kind = KIND_NONE;
	item->plain.device = mem_strdup(device);
}

/* Of the reasons for which something is refused, those that translation has. */
static bool is_ours(unsigned reason)
{
	static const enum outcome ours[] = {
		DEAD_UNREADABLE,   DEAD_MAPPING_ERROR, DEAD_WRONG_SHAPE,  DEAD_NO_COUNTERPART,
		DEAD_OTHER_DEVICE, DEAD_BAD_TOPIC,     DEAD_WIDE_INTEGER, DEAD_TOO_LARGE,
	};

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (reason == ours[i])
			return true;
	return false;
}

static void get_refusal(struct answer *a, struct item *item)
{
	unsigned reason = unpack_u8(a->u);
	const char *text = borrow_text(a->u);

	if (!is_ours(reason) || !text || strlen(text) > TEXT_MAX ||
	    !jtext_is_utf8(text, strlen(text)))
		bad(a);
	if (a->u->is_bad)
		return;
	item->reason = (enum outcome)reason;
	item->text = mem_strdup(text);
	if (unpack_u8(a->u))
		get_label(a, item);
}

/* Rows come in order, and the bridge counts on that. */
static bool can_follow(const struct job *job, const struct results *r, unsigned row)
{
	size_t last = r->n > 0 ? r->items[r->n - 1].row : 0;

	return row >= last && (row == 0 || row < job->n_readers);
}

static void get_item(struct answer *a)
{
	unsigned type = unpack_u8(a->u), row = unpack_u8(a->u);
	struct item *item;

	if (a->u->is_bad || type > ITEM_REFUSED || !can_follow(a->job, a->r, row)) {
		bad(a);
		return;
	}
	item = results_add(a->r, (enum item_type)type);
	item->row = row;
	switch (item->type) {
	case ITEM_MESSAGE:
		get_message(a, item);
		break;
	case ITEM_PLAIN:
		get_plain(a, item);
		break;
	case ITEM_REFUSED:
		get_refusal(a, item);
		break;
	}
}

bool job_codec_get_results(struct unpack *u, const struct job *job, struct buf *scratch,
			   struct results *r)
{
	struct answer a = { .u = u, .job = job, .scratch = scratch, .r = r };
	uint32_t n = unpack_u32(u);

	if (u->is_bad || n > JOB_CODEC_PIECES || !count_piece(&a, n))
		u->is_bad = true;
	for (uint32_t i = 0; i < n && !u->is_bad; i++)
		get_item(&a);
	free(a.native);
	return !u->is_bad && (u->left == 0 || bad(&a));
}
