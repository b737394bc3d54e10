#include "translate/translate.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "translate/translate_inside.h"

/* --- results ------------------------------------------------------------------------------- */

struct item *results_add(struct results *r, enum item_type type)
{
	r->items = mem_grow(r->items, r->n, sizeof *r->items);
	r->items[r->n] = (struct item){ .type = type, .plain.kind = KIND_NONE };
	return &r->items[r->n++];
}

void results_refuse(struct results *r, enum outcome reason, const char *fmt, ...)
{
	struct item *item = results_add(r, ITEM_REFUSED);
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	item->reason = reason;
	item->text = buf_take(&text);
}

void item_fini(struct item *item)
{
	message_fini(&item->message);
	vars_fini(&item->said);
	canonical_fini(&item->plain);
	free(item->text);
}

void results_cut(struct results *r, size_t n)
{
	while (r->n > n)
		item_fini(&r->items[--r->n]);
}

void results_fini(struct results *r)
{
	results_cut(r, 0);
	free(r->items);
	*r = (struct results){ 0 };
}

/* --- what functions see -------------------------------------------------------------------- */

void translate_see_canonical(struct mapping_input *in, const struct canonical *p)
{
	struct mapping_field *f = in->fields;

	if (p->kind != KIND_NONE)
		f[SEEN_KIND] = (struct mapping_field){ FIELD_TEXT, .text = kind_name(p->kind) };
	if (p->device)
		f[SEEN_DEVICE] = (struct mapping_field){ FIELD_TEXT, .text = p->device };
	if (p->id)
		f[SEEN_ID] = (struct mapping_field){ FIELD_JSON, .json = { p->id, strlen(p->id) } };
	if (p->ts)
		f[SEEN_TS] = (struct mapping_field){ FIELD_JSON, .json = { p->ts, strlen(p->ts) } };
	if (p->body)
		f[SEEN_BODY] = (struct mapping_field){ FIELD_JSON, .json = canonical_body(p) };
}

void translate_see_request(struct mapping_input *in, const struct canonical *request,
			   struct buf *text)
{
	if (!request)
		return;
	canonical_put(text, request);
	in->fields[SEEN_REQUEST] =
		(struct mapping_field){ FIELD_JSON, .json = translate_slice(text) };
}

static bool stop_at_first(void *ctx, struct jslice number)
{
	(void)ctx;
	(void)number;
	return false;
}

void translate_name_key(const struct mapping *m, struct jslice made, struct err *e)
{
	struct buf told = { 0 };
	struct jslice key;

	if (canonical_unknown_key(made, &key)) {
		mapping_tell(m, key.text, key.len, &told);
		err_set(e, ERR_INVALID,
			"an unknown key, %s; kind, device, id, ts and body are known",
			buf_str(&told));
	}
	buf_fini(&told);
}

bool translate_would_change(struct jslice text)
{
	return !mapping_keeps_numbers() && !jtext_each_lost_number(text, stop_at_first, NULL);
}

enum outcome translate_call_outcome(struct results *out, const struct err *e)
{
	out->lacks_jq = out->lacks_jq || e->code == ERR_ELSEWHERE;
	return e->code == ERR_INEXACT ? DEAD_WIDE_INTEGER : DEAD_MAPPING_ERROR;
}

/* --- what a topic says --------------------------------------------------------------------- */

const char *translate_device(const struct plan *p, enum side from, const char *session,
			     const char *native)
{
	const char *here = p->device;

	if (native)
		here = plan_device_here(p, from, native);
	else if (session)
		here = session;
	return here && session && strcmp(here, session) != 0 ? NULL : here;
}

char *translate_captured_id(const struct reader *r, const char *text)
{
	struct buf id = { 0 };

	if (!text)
		return NULL;
	if (r->row->id == ID_INTEGER)
		buf_puts(&id, text);
	else
		jtext_put_string(&id, text, strlen(text));
	return buf_take(&id);
}

char *translate_topic_device(const struct reader *r, const char *topic)
{
	return topic_template_capture(&r->topic, topic, "device");
}

char *translate_topic_id(const struct reader *r, const char *topic)
{
	char *text = topic_template_capture(&r->topic, topic, "id");
	char *id = translate_captured_id(r, text);

	free(text);
	return id;
}

void translate_put_id(struct buf *out, const char *id)
{
	struct jslice v = { id, strlen(id) };

	if (!jtext_string_decode(v, out))
		buf_puts(out, id);
}

/* --- jobs ---------------------------------------------------------------------------------- */

void translate(const struct job *job, struct results *out)
{
	if (job->type == JOB_READ)
		translate_read(job, out);
	else
		translate_write(job, out);
}

/* Does it take no function to write this kind, or, where simple ones will do, none but such? */
static bool is_written_easily(const struct plan *p, enum side side, enum kind kind, bool simple)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++) {
		const struct row *row = &d->rows[i];
		int fn = row->publish_fn >= 0 ? row->publish_fn : row->write_fn;

		if (row->kind == kind && row->can_write && fn >= 0 &&
		    !(simple && mapping_is_simple(p->side[side].mapping, fn)))
			return false;
	}
	return true;
}

/* (A row that wants a key mostly does not find it.) */
static bool is_read_easily(const struct job *job, const struct row *row, bool simple)
{
	return row->read_fn < 0 ||
	       (simple && (row->when.has ||
			   mapping_is_simple(job->plan->side[job->side].mapping, row->read_fn)));
}

static bool is_easy(const struct job *job, bool simple)
{
	const struct plan *p = job->plan;
	bool ok = p->n_through == 0;

	if (job->type == JOB_WRITE)
		return ok && is_written_easily(p, job->side, job->plain.kind, simple);
	for (size_t i = 0; ok && i < job->n_readers; i++) {
		const struct row *row = job->readers[i]->row;
		enum kind kind = p->remap[row->kind];

		ok = is_read_easily(job, row, simple) &&
		     (row->when.has ||
		      is_written_easily(p, flow_target(kind_table[kind].flow), kind, simple));
	}
	return ok;
}

bool job_calls_nothing(const struct job *job)
{
	return is_easy(job, false);
}

bool job_is_simple(const struct job *job)
{
	return is_easy(job, true);
}

bool job_has_secrets(const struct job *job)
{
	bool has = job->type == JOB_WRITE && kind_table[job->plain.kind].has_secrets;

	for (size_t i = 0; job->type == JOB_READ && i < job->n_readers; i++) {
		enum kind kind = job->readers[i]->row->kind;

		has = has || kind_table[kind].has_secrets ||
		      kind_table[job->plan->remap[kind]].has_secrets;
	}
	return has || (job->request && kind_table[job->request->kind].has_secrets);
}

void job_fini(struct job *job)
{
	free(job->state);
	free(job->own);
	if (job->request)
		canonical_fini(job->request);
	free(job->request);
	canonical_fini(&job->plain);
	free(job->reply_topic);
}
