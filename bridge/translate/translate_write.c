/* translate_write.c -- WRITE jobs: a plain message to all rows of the dialect that write its kind. */
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
	struct vars said; /* topic variables of a `publish` output */
	struct buf id;	  /* the message's id as text */
	bool has_nul;	  /* a text for MQTT, which can carry none */
	enum outcome reason;
	struct err err;
};

/* Keep why it cannot be written.  Where a variable is missing, err has its name. */
static bool fail(struct writing *w, enum outcome reason, const char *what)
{
	const char *side = side_name(w->job->side);
	char name[sizeof w->err.text];

	if (w->err.code == ERR_NOT_FOUND) {
		memcpy(name, w->err.text, sizeof name);
		err_set(&w->err, ERR_INVALID,
			"%s: {%s} is not set and the message does not say it (set %s.vars.%s)",
			what, name, side, name);
	} else {
		err_prefix(&w->err, "%s", what);
	}
	w->reason = reason;
	return false;
}

/* --- topic and fields ---------------------------------------------------------------------- */

static const char *lookup(void *ctx, const char *name)
{
	struct writing *w = ctx;
	const struct job *job = w->job;
	const struct plan_side *ps = &job->plan->side[job->side];
	const char *value = vars_get(&w->said, name);
	const struct var *found;

	if (value)
		return value;
	if (strcmp(name, "device") == 0)
		return plan_device_there(job->plan, job->side, job->plain.device);
	if (strcmp(name, "id") == 0) {
		w->has_nul = w->has_nul || strlen(buf_str(&w->id)) != w->id.len;
		return job->plain.id ? buf_str(&w->id) : NULL;
	}
	found = vars_find(&ps->vars, name);
	if (job->plan->hides_secrets &&
	    (found ? found->is_secret : dialect_is_credential(ps->dialect, name)))
		return "***";
	return found ? found->value : NULL;
}

static bool set_text(struct writing *w, const char *text, const char *what, struct buf *out)
{
	return text_template_expand(text, lookup, w, out, &w->err) || fail(w, DEAD_BAD_TOPIC, what);
}

/* A topic with a name from a payload in it (a stream called "command") must not be taken for another
 * message. */
static bool check_topic(struct writing *w, const char *topic)
{
	const struct job *job = w->job;

	if (!topic_name_is_valid(topic))
		err_set(&w->err, ERR_INVALID, "no valid topic name");
	else if (w->row->publish && !job->reply_topic &&
		 !plan_is_topic_of(job->plan, job->side, w->row, topic))
		err_set(&w->err, ERR_INVALID, "it belongs to another message of the dialect");
	else
		return true;
	return false;
}

static bool set_topic(struct writing *w, struct message *m)
{
	struct buf topic = { 0 };
	bool ok = true;

	if (w->job->reply_topic)
		buf_puts(&topic, w->job->reply_topic);
	else
		ok = topic_template_expand(&w->row->topic, lookup, w, &topic, &w->err);
	if (ok && check_topic(w, buf_str(&topic))) {
		m->topic = buf_take(&topic);
		return true;
	}
	buf_fini(&topic);
	return fail(w, DEAD_BAD_TOPIC, "topic");
}

/* What a `publish` function said counts more than what the row says. */
static bool set_properties(struct writing *w, struct message *m)
{
	const struct vars *properties = &w->row->properties;
	struct buf text = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < properties->n; i++) {
		const struct var *p = &properties->items[i];

		if (vars_find(&m->properties, p->name))
			continue;
		buf_reset(&text);
		ok = set_text(w, p->value, p->name, &text);
		if (ok)
			vars_add(&m->properties, p->name, buf_str(&text));
	}
	buf_fini(&text);
	return ok;
}

static bool set_response_topic(struct writing *w, struct message *m)
{
	struct buf text = { 0 };

	if (!w->row->response_topic)
		return true;
	if (!set_text(w, w->row->response_topic, "response_topic", &text)) {
		buf_fini(&text);
		return false;
	}
	m->response_topic = buf_take(&text);
	return check_topic(w, m->response_topic) || fail(w, DEAD_BAD_TOPIC, "response_topic");
}

static bool set_correlation(struct writing *w, struct message *m)
{
	struct buf text = { 0 };

	if (!w->row->correlation)
		return true;
	if (!set_text(w, w->row->correlation, "correlation", &text)) {
		buf_fini(&text);
		return false;
	}
	m->correlation_len = text.len;
	m->correlation = buf_take(&text);
	return true;
}

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

static bool is_within(struct writing *w, size_t bytes, int64_t most, const char *what)
{
	const struct plan *plan = w->job->plan;

	if (!most || bytes <= (size_t)most)
		return true;
	err_set(&w->err, ERR_LIMIT, "%zu bytes%s, and %s takes %lld", bytes, what,
		plan->side[w->job->side].dialect->name, (long long)most);
	w->reason = DEAD_TOO_LARGE;
	return false;
}

/* Cut off at a NUL, a name would be another one. */
static bool has_whole_texts(struct writing *w)
{
	if (!w->has_nul)
		return true;
	err_set(&w->err, ERR_INVALID, "a text for MQTT holds a NUL character");
	w->reason = DEAD_BAD_TOPIC;
	return false;
}

/* What no version of MQTT gets through is told here, where an asker can be.  What properties add is known
 * when it leaves (session_publish()). */
static bool is_small_enough(struct writing *w, const struct message *m)
{
	const struct limits *limits = &w->job->plan->limits[w->job->side];

	return is_within(w, m->payload_len, limits->payload_bytes, "") &&
	       is_within(w, message_packet_bytes(m, 4), limits->packet_bytes, " as a packet");
}

/* --- outputs ------------------------------------------------------------------------------- */

static bool give_message(struct writing *w, struct message *m, struct jslice payload)
{
	struct item *item;

	m->qos = w->row->qos;
	m->retain = w->row->retain;
	if (!set_payload(w, m, payload) || !set_topic(w, m) || !set_properties(w, m) ||
	    !set_response_topic(w, m) || !set_correlation(w, m) || !has_whole_texts(w) ||
	    !is_small_enough(w, m)) {
		message_fini(m);
		return false;
	}
	item = results_add(w->out, ITEM_MESSAGE);
	item->message = *m;
	return true;
}

static bool on_write_output(void *ctx, struct jslice output)
{
	struct message m = { 0 };

	return give_message(ctx, &m, output);
}

/* Add the fields of a JSON object of scalars as texts. */
static void take_texts(struct writing *w, struct jslice object, struct vars *out)
{
	struct buf key = { 0 }, value = { 0 };
	struct jfield f;
	size_t pos = 0;

	while (jtext_next_field(object, &pos, &f)) {
		buf_reset(&key);
		buf_reset(&value);
		jtext_string_decode(f.key, &key);
		if (!jtext_string_decode(f.value, &value))
			buf_append(&value, f.value.text, f.value.len);
		w->has_nul = w->has_nul || strlen(buf_str(&key)) != key.len ||
			     strlen(buf_str(&value)) != value.len;
		vars_add(out, buf_str(&key), buf_str(&value));
	}
	buf_fini(&key);
	buf_fini(&value);
}

static bool on_publish_output(void *ctx, struct jslice output)
{
	struct writing *w = ctx;
	struct jslice payload, texts;
	struct message m = { 0 };

	if (!jtext_field(output, "payload", &payload)) {
		err_set(&w->err, ERR_INVALID, "the output has no payload");
		w->reason = DEAD_MAPPING_ERROR;
		return false;
	}
	vars_fini(&w->said);
	w->has_nul = false;
	if (jtext_field(output, "topic", &texts))
		take_texts(w, texts, &w->said);
	if (jtext_field(output, "properties", &texts))
		take_texts(w, texts, &m.properties);
	return give_message(w, &m, payload);
}

/* --- rows ---------------------------------------------------------------------------------- */

/* The variables of the side written to, never a credential. */
static void put_to(struct buf *out, const struct job *job)
{
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

		if (v->is_secret || strcmp(v->name, "device") == 0)
			continue;
		buf_putc(out, ',');
		jtext_put_string(out, v->name, strlen(v->name));
		buf_putc(out, ':');
		jtext_put_string(out, v->value, strlen(v->value));
	}
	buf_putc(out, '}');
}

/* What the input of a function is made of, as long as it runs. */
struct parts {
	struct buf to, request;
};

static void see_job(struct mapping_input *in, const struct job *job, struct parts *parts)
{
	static const char unknown[] = "{\"online\":null,\"alarm\":false}";
	const char *state = job->state ? job->state : unknown;

	translate_see_canonical(in, &job->plain);
	put_to(&parts->to, job);
	in->fields[SEEN_TO] =
		(struct mapping_field){ FIELD_JSON, .json = translate_slice(&parts->to) };
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
	bool publishes = row->publish_fn >= 0, is_wide = would_change(w);
	size_t before = w->out->n;
	struct mapping_input in = { 0 };
	struct parts parts = { 0 };
	struct canonical rest = { .kind = KIND_NONE };

	see_job(&in, w->job, &parts);
	if (is_wide) {
		canonical_copy(&rest, &w->job->plain);
		is_wide = id_would_change(w) || !leave_out(&rest);
		in.fields[SEEN_BODY].json = canonical_body(&rest);
	}
	if (is_wide) {
		err_set(&w->err, ERR_INVALID, "a number would become another one");
		w->reason = DEAD_WIDE_INTEGER;
	} else if (!mapping_call(m, publishes ? row->publish_fn : row->write_fn, &in,
				 publishes ? on_publish_output : on_write_output, w, &w->err) &&
		   w->reason == CARRIED) {
		w->reason = translate_call_outcome(&w->err);
	}
	if (w->reason != CARRIED)
		results_cut(w->out, before);
	else if (rest.kind != KIND_NONE)
		results_refuse(w->out, DEAD_WIDE_INTEGER, TRANSLATE_LEFT_OUT,
			       publishes ? row->publish : row->write);
	canonical_fini(&rest);
	buf_fini(&parts.to);
	buf_fini(&parts.request);
}

static void write_row(const struct job *job, const struct row *row, struct results *out)
{
	struct writing w = { .job = job, .row = row, .out = out, .reason = CARRIED };
	const char *fn = row->publish ? row->publish : row->write;

	if (job->plain.id)
		translate_put_id(&w.id, job->plain.id);
	if (fn) {
		write_by_function(&w);
	} else {
		struct message m = { 0 };

		give_message(&w, &m, canonical_body(&job->plain));
	}
	if (w.reason != CARRIED)
		results_refuse(out, w.reason, "%s: %s%s%s",
			       mapping_file(job->plan->side[job->side].mapping), fn ? fn : "",
			       fn ? ": " : "", w.err.text);
	vars_fini(&w.said);
	buf_fini(&w.id);
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
	if (canonical_check_body(p, &e))
		translate_write_rows(&job, out);
	else
		results_refuse(out, DEAD_WRONG_SHAPE, "%s", e.text);
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
