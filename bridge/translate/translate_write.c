/* translate_write.c -- WRITE jobs: a plain message to all rows of the dialect that write its kind.  What a message
 * says is made here; to whom, by what the row, the configuration and the job say, translate_address.c. */
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "translate/translate_inside.h"

/* State of one row of a WRITE job. */
struct writing {
	const struct job *job;
	const struct row *row;
	struct results *out;
	size_t begin; /* of what the row gives */
	enum outcome reason;
	struct err err;
};

/* --- payload ------------------------------------------------------------------------------- */

/* The payload's bytes, by the row's format. */
static bool set_payload(struct writing *w, struct message *m, struct jslice v)
{
	struct buf text = { 0 }, bytes = { 0 };
	bool ok = true;

	switch (w->row->format) {
	case FORMAT_JSON:
		message_set_payload(m, v.text, v.len);
		break;
	case FORMAT_TEXT:
		if (jtext_string_decode(v, &text))
			message_set_payload(m, text.data, text.len);
		else
			message_set_payload(m, v.text, v.len);
		break;
	case FORMAT_BYTES:
		ok = jtext_string_decode(v, &text) &&
		     crypto_base64_decode(&bytes, buf_str(&text), text.len);
		if (ok)
			message_set_payload(m, bytes.data, bytes.len);
		else
			err_set(&w->err, ERR_INVALID, "the payload is no base64 string");
		break;
	}
	buf_fini(&text);
	buf_fini(&bytes);
	if (!ok)
		w->reason = DEAD_MAPPING_ERROR;
	return ok;
}

/* --- outputs ------------------------------------------------------------------------------- */

/* Another message of the row, with this payload; NULL: it is none. */
static struct item *give_message(struct writing *w, struct jslice payload)
{
	struct message m = { 0 };
	struct item *item;

	if (!set_payload(w, &m, payload))
		return NULL;
	item = results_add(w->out, ITEM_MESSAGE);
	item->message = m;
	item->writer = (size_t)(w->row - w->job->plan->side[w->job->side].dialect->rows);
	item->is_first = w->out->n - 1 == w->begin;
	return item;
}

static bool on_write_output(void *ctx, struct jslice output)
{
	return give_message(ctx, output) != NULL;
}

/* Add the fields of a JSON object of scalars as texts.  Cut off at a NUL, a name would be another one. */
static bool take_texts(struct writing *w, struct jslice object, struct vars *out)
{
	struct buf key = { 0 }, value = { 0 };
	struct jfield f;
	size_t pos = 0;
	bool ok = true;

	while (ok && jtext_next_field(object, &pos, &f)) {
		buf_reset(&key);
		buf_reset(&value);
		jtext_string_decode(f.key, &key);
		if (!jtext_string_decode(f.value, &value))
			buf_append(&value, f.value.text, f.value.len);
		ok = strlen(buf_str(&key)) == key.len && strlen(buf_str(&value)) == value.len;
		vars_add(out, buf_str(&key), buf_str(&value));
	}
	buf_fini(&key);
	buf_fini(&value);
	if (!ok) {
		err_set(&w->err, ERR_INVALID, "a text for MQTT holds a NUL character");
		w->reason = DEAD_BAD_TOPIC;
	}
	return ok;
}

static bool on_publish_output(void *ctx, struct jslice output)
{
	struct writing *w = ctx;
	struct jslice payload, texts;
	struct item *item;

	if (!jtext_field(output, "payload", &payload)) {
		err_set(&w->err, ERR_INVALID, "the output has no payload");
		w->reason = DEAD_MAPPING_ERROR;
		return false;
	}
	item = give_message(w, payload);
	return item &&
	       (!jtext_field(output, "topic", &texts) || take_texts(w, texts, &item->said)) &&
	       (!jtext_field(output, "properties", &texts) ||
		take_texts(w, texts, &item->message.properties));
}

/* --- rows ---------------------------------------------------------------------------------- */

static void put_own(struct buf *out, struct jslice own)
{
	struct jfield f;
	size_t pos = 0;

	while (jtext_next_field(own, &pos, &f)) {
		buf_putc(out, ',');
		buf_append(out, f.key.text, f.key.len);
		buf_putc(out, ':');
		buf_append(out, f.value.text, f.value.len);
	}
}

/* The variables of the side written to, never a credential. */
static void put_to(struct buf *out, const struct job *job)
{
	struct jslice own = { job->own ? job->own : "{}", job->own ? strlen(job->own) : 2 }, value;
	const struct vars *vars = &job->plan->side[job->side].vars;
	const char *device = plan_device_there(job->plan, job->side, job->plain.device);
	const char *gateway = plan_gateway(job->plan, job->side);

	buf_puts(out, "{\"device\":");
	jtext_put_string(out, device, strlen(device));
	if (gateway && !vars_find(vars, "gateway")) {
		buf_puts(out, ",\"gateway\":");
		jtext_put_string(out, gateway, strlen(gateway));
	}
	for (size_t i = 0; i < vars->n; i++) {
		const struct var *v = &vars->items[i];

		if (v->is_secret || strcmp(v->name, "device") == 0 ||
		    jtext_field(own, v->name, &value))
			continue;
		buf_putc(out, ',');
		jtext_put_string(out, v->name, strlen(v->name));
		buf_putc(out, ':');
		jtext_put_string(out, v->value, strlen(v->value));
	}
	put_own(out, own);
	buf_putc(out, '}');
}

/* What the input of a function is made of, as long as it runs. */
struct parts {
	struct buf to, request;
};

static void see_job(struct mapping_input *in, const struct job *job, bool sees_to,
		    struct parts *parts)
{
	static const char unknown[] = "{\"online\":null,\"alarm\":false}";
	const char *state = job->state ? job->state : unknown;

	translate_see_canonical(in, &job->plain);
	if (sees_to) {
		put_to(&parts->to, job);
		in->fields[SEEN_TO] =
			(struct mapping_field){ FIELD_JSON, .json = translate_slice(&parts->to) };
	}
	in->fields[SEEN_STATE] =
		(struct mapping_field){ FIELD_JSON, .json = { state, strlen(state) } };
	translate_see_request(in, job->request, &parts->request);
}

static bool id_would_change(const struct writing *w)
{
	const char *id = w->job->plain.id;

	return id && !topic_template_has(&w->row->topic, "id") &&
	       translate_would_change((struct jslice){ id, strlen(id) });
}

static bool would_change(const struct writing *w)
{
	return translate_would_change(canonical_body(&w->job->plain)) || id_would_change(w);
}

/* Reports come apart here, if they did not when they were read; what the state is about comes whole. */
static bool leave_out(struct canonical *p)
{
	return kind_table[p->kind].logic != LOGIC_ALWAYS && translate_leave_out(p);
}

static void write_by_function(struct writing *w)
{
	const struct row *row = w->row;
	struct mapping *m = w->job->plan->side[w->job->side].mapping;
	int fn = row->publish_fn >= 0 ? row->publish_fn : row->write_fn;
	bool publishes = row->publish_fn >= 0, is_wide = would_change(w);
	struct mapping_input in = { 0 };
	struct parts parts = { 0 };
	struct canonical rest = { .kind = KIND_NONE };

	see_job(&in, w->job, mapping_sees(m, fn, SEEN_TO), &parts);
	if (is_wide) {
		canonical_copy(&rest, &w->job->plain);
		is_wide = id_would_change(w) || !leave_out(&rest);
		in.fields[SEEN_BODY].json = canonical_body(&rest);
	}
	if (is_wide) {
		err_set(&w->err, ERR_INVALID, "a number would become another one");
		w->reason = DEAD_WIDE_INTEGER;
	} else if (!mapping_call(m, fn, &in, publishes ? on_publish_output : on_write_output, w,
				 &w->err) &&
		   w->reason == CARRIED) {
		w->reason = translate_call_outcome(w->out, &w->err);
	}
	if (w->reason != CARRIED)
		results_cut(w->out, w->begin);
	else if (rest.kind != KIND_NONE)
		results_refuse(w->out, DEAD_WIDE_INTEGER, TRANSLATE_LEFT_OUT,
			       publishes ? row->publish : row->write);
	canonical_fini(&rest);
	buf_fini(&parts.to);
	buf_fini(&parts.request);
}

static void write_row(const struct job *job, const struct row *row, struct results *out)
{
	struct writing w = {
		.job = job, .row = row, .out = out, .begin = out->n, .reason = CARRIED
	};

	if (row->publish || row->write)
		write_by_function(&w);
	else
		give_message(&w, canonical_body(&job->plain));
	if (w.reason != CARRIED)
		translate_refuse_row(out, job->plan->side[job->side].mapping, row, w.reason,
				     w.err.text);
}

void translate_write_rows(const struct job *job, struct results *out)
{
	const struct dialect *d = job->plan->side[job->side].dialect;
	bool has_row = false;

	for (size_t i = 0; i < d->n_rows; i++) {
		const struct row *row = &d->rows[i];

		if (row->kind != job->plain.kind || !row->can_write)
			continue;
		has_row = true;
		write_row(job, row, out);
	}
	if (!has_row)
		results_refuse(out, DEAD_NO_COUNTERPART, "%s has no %s", d->name,
			       kind_name(job->plain.kind));
}

struct passing_job {
	const struct job *job;
	struct results *out;
};

/* Write what has passed the through files (and takes it). */
static void write_passed(void *ctx, struct canonical *p)
{
	struct passing_job *passing = ctx;
	struct results *out = passing->out;
	struct job job = *passing->job;
	size_t before = out->n;
	struct err e = { 0 };

	job.plain = *p;
	if (strcmp(p->device, passing->job->plain.device) != 0)
		results_refuse(out, DEAD_OTHER_DEVICE, "a through file names another device");
	else if (!canonical_check_body(p, &e))
		results_refuse(out, DEAD_WRONG_SHAPE, "%s", e.text);
	else
		translate_write_rows(&job, out);
	for (size_t i = before; i < out->n; i++)
		if (out->items[i].type == ITEM_MESSAGE)
			canonical_copy(&out->items[i].plain, p);
	canonical_fini(p);
}

/* What the bridge itself says to the south is in the words of the north, as is what it knows. */
void translate_write(const struct job *job, struct results *out)
{
	struct passing_job passing = { job, out };
	struct canonical copy;

	canonical_copy(&copy, &job->plain);
	if (job->side == SOUTH && kind_table[copy.kind].flow == FLOW_DOWN)
		translate_through(job->plan, &copy, out, write_passed, &passing);
	else
		write_passed(&passing, &copy);
}
