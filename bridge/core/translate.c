#include "core/translate.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "core/mapping.h"

bool translate_is_stateful(enum kind kind)
{
	static const bool stateful[KINDS] = {
		[KIND_ALARM] = true,
		[KIND_PRESENCE] = true,
		[KIND_COMMAND] = true,
		[KIND_COMMAND_REPLY] = true,
		[KIND_CONFIG] = true,
		[KIND_CONFIG_REPLY] = true,
		[KIND_ATTRIBUTES_REQUEST] = true,
		[KIND_ATTRIBUTES_REPLY] = true,
		[KIND_REQUEST] = true,
		[KIND_REQUEST_REPLY] = true,
		[KIND_PROVISION] = true,
		[KIND_PROVISION_REPLY] = true,
		[KIND_FIRMWARE_CHUNK_REQUEST] = true,
		[KIND_FIRMWARE_CHUNK] = true,
		[KIND_SNAPSHOT_REQUEST] = true,
	};
	return stateful[kind];
}

/* --- results ------------------------------------------------------------------------------- */

static struct item *add_item(struct results *r, enum item_type type)
{
	r->items = mem_grow(r->items, r->n, sizeof *r->items);
	r->items[r->n] = (struct item){ .type = type };
	return &r->items[r->n++];
}

static void __attribute__((format(printf, 3, 4)))
refuse(struct results *r, enum refusal reason, const char *fmt, ...)
{
	struct item *item = add_item(r, ITEM_REFUSED);
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	item->reason = reason;
	item->text = buf_take(&text);
}

static void item_fini(struct item *item)
{
	message_fini(&item->message);
	plain_fini(&item->plain);
	free(item->text);
}

void results_fini(struct results *r)
{
	for (size_t i = 0; i < r->n; i++)
		item_fini(&r->items[i]);
	free(r->items);
	*r = (struct results){ 0 };
}

/* Take back the items from `n` on: what a function put out before it failed counts for nothing. */
static void results_cut(struct results *r, size_t n)
{
	while (r->n > n)
		item_fini(&r->items[--r->n]);
}

/* --- JSON texts ---------------------------------------------------------------------------- */

static void put_string(struct buf *out, const char *s)
{
	jtext_put_string(out, s, strlen(s));
}

static struct jslice slice(const struct buf *b)
{
	return (struct jslice){ buf_str(b), b->len };
}

static void put_vars(struct buf *out, const struct vars *vars)
{
	bool first = true;

	buf_putc(out, '{');
	for (size_t i = 0; i < vars->n; i++) {
		if (vars->items[i].is_secret)
			continue;
		if (!first)
			buf_putc(out, ',');
		first = false;
		put_string(out, vars->items[i].name);
		buf_putc(out, ':');
		put_string(out, vars->items[i].value);
	}
	buf_putc(out, '}');
}

static void put_limits(struct buf *out, const struct dialect *d)
{
	buf_putc(out, '{');
	if (d->limits.payload_bytes)
		buf_printf(out, "\"payload_bytes\":%lld,", (long long)d->limits.payload_bytes);
	if (d->limits.in_flight)
		buf_printf(out, "\"in_flight\":%lld,", (long long)d->limits.in_flight);
	if (d->limits.messages_per_second)
		buf_printf(out, "\"messages_per_second\":%lld,",
			   (long long)d->limits.messages_per_second);
	if (out->data[out->len - 1] == ',')
		out->len--;
	buf_putc(out, '}');
}

static bool stop_at_first(void *ctx, struct jslice number)
{
	(void)ctx;
	(void)number;
	return false;
}

/* Would a function change an integer of this text by merely passing it on? */
static bool would_change(struct jslice text)
{
	return !mapping_keeps_numbers() && !jtext_each_wide_integer(text, stop_at_first, NULL);
}

/* --- reading ------------------------------------------------------------------------------- */

/* The payload as JSON text, by the row's format. */
static bool put_payload(struct buf *out, const struct row *row, const struct message *m,
			struct err *e)
{
	const char *p = m->payload ? m->payload : "";

	switch (row->format) {
	case FORMAT_JSON:
		if (m->payload_len == 0) {
			buf_puts(out, "null");
			return true;
		}
		return jtext_read(p, m->payload_len, row->lenient, out, e);
	case FORMAT_TEXT:
		if (!jtext_is_utf8(p, m->payload_len)) {
			err_set(e, ERR_INVALID, "the payload is no UTF-8 text");
			return false;
		}
		jtext_put_string(out, p, m->payload_len);
		return true;
	case FORMAT_BYTES:
		buf_putc(out, '"');
		crypto_base64_encode(out, p, m->payload_len);
		buf_putc(out, '"');
		return true;
	}
	return false;
}

/* What bytes mean: the JSON they hold, else the text, else nothing.  JSON with integers that jq would
 * change stays text. */
static bool put_value(struct buf *out, const struct message *m)
{
	const char *p = m->payload ? m->payload : "";
	size_t start = out->len;

	if (jtext_read(p, m->payload_len, false, out, NULL)) {
		if (!would_change((struct jslice){ out->data + start, out->len - start }))
			return true;
		out->len = start;
	}
	if (!jtext_is_utf8(p, m->payload_len))
		return false;
	jtext_put_string(out, p, m->payload_len);
	return true;
}

/* Variables of the row's topic: the captures, and those that the configuration filled in. */
static void topic_vars(const struct job *job, struct vars *out)
{
	const struct row *row = job->reader->row;
	const struct vars *known = &job->plan->side[job->side].vars;

	topic_template_match(&job->reader->topic, job->message.topic, out);
	for (size_t i = 0; i < row->topic.n_levels; i++) {
		const struct topic_level *level = &row->topic.levels[i];
		const char *value;

		if (level->type == LEVEL_LITERAL || vars_get(out, level->text))
			continue;
		value = vars_get(known, level->text);
		if (!value && strcmp(level->text, "device") == 0)
			value = plan_device_there(job->plan, job->side, job->plan->device);
		if (value)
			vars_set(out, level->text, value, false);
	}
}

static void put_properties(struct buf *out, const struct vars *properties)
{
	struct vars once = { 0 };

	/* Names may repeat in MQTT 5; the first one counts. */
	for (size_t i = 0; i < properties->n; i++)
		if (!vars_find(&once, properties->items[i].name))
			vars_add(&once, properties->items[i].name, properties->items[i].value);
	put_vars(out, &once);
	vars_fini(&once);
}

static void put_read_input(struct buf *in, const struct job *job, const struct vars *topic,
			   struct jslice payload)
{
	buf_puts(in, "{\"payload\":");
	buf_append(in, payload.text, payload.len);
	if (job->reader->row->format == FORMAT_BYTES) {
		buf_puts(in, ",\"value\":");
		if (!put_value(in, &job->message))
			buf_puts(in, "null");
	}
	buf_puts(in, ",\"topic\":");
	put_vars(in, topic);
	buf_puts(in, ",\"properties\":");
	put_properties(in, &job->message.properties);
	buf_printf(in, ",\"at\":%lld,\"limits\":", (long long)job->at_ms);
	put_limits(in, job->plan->side[side_other(job->side)].dialect);
	if (job->request) {
		buf_puts(in, ",\"request\":");
		plain_put(in, job->request);
	}
	buf_putc(in, '}');
}

const char *translate_topic_device(const struct plan *p, enum side from, const struct reader *r,
				   const char *topic, struct buf *keep)
{
	struct vars captures = { 0 };
	const char *native, *here = p->device;

	topic_template_match(&r->topic, topic, &captures);
	native = vars_get(&captures, "device");
	if (native) {
		here = plan_device_here(p, from, native);
		if (here == native) {
			buf_reset(keep);
			buf_puts(keep, native);
			here = keep->data;
		}
	}
	vars_fini(&captures);
	return here;
}

/* A captured id as JSON text of the row's type. */
char *translate_topic_id(const struct reader *r, const char *topic)
{
	struct vars captures = { 0 };
	struct buf id = { 0 };
	const char *text;

	topic_template_match(&r->topic, topic, &captures);
	text = vars_get(&captures, "id");
	if (text && r->row->id == ID_INTEGER)
		buf_puts(&id, text);
	else if (text)
		put_string(&id, text);
	vars_fini(&captures);
	return text ? buf_take(&id) : NULL;
}

/* State of one READ job. */
struct reading {
	const struct job *job;
	struct results *out;
	const char *device; /* the name here, by the topic */
	char *id;           /* by the topic, JSON text */
	struct err err;
	enum refusal reason;
};

static void give_plain(struct reading *rd, struct plain *p, size_t through);

static bool take_plain(struct reading *rd, struct jslice text, struct plain *p)
{
	if (plain_parse(p, text, &rd->err))
		return true;
	rd->reason = DEAD_MAPPING_ERROR;
	return false;
}

/* --- through files */

struct through_call {
	struct reading *rd;
	const struct plain *in;
	struct plain *outs;
	size_t n_outs;
};

/* The function may pass its whole input on, `vars` and all. */
static void without_vars(struct jslice text, struct buf *out)
{
	struct jfield f;
	size_t pos = 0;
	bool first = true;

	buf_putc(out, '{');
	while (jtext_next_field(text, &pos, &f)) {
		if (jtext_string_is(f.key, "vars"))
			continue;
		if (!first)
			buf_putc(out, ',');
		first = false;
		buf_append(out, f.key.text, f.key.len);
		buf_putc(out, ':');
		buf_append(out, f.value.text, f.value.len);
	}
	buf_putc(out, '}');
}

static bool on_through_output(void *ctx, struct jslice output)
{
	struct through_call *call = ctx;
	struct plain p = { .kind = KIND_NONE };
	struct buf text = { 0 };
	bool ok;

	if (jtext_type_of(output) == JTEXT_OBJECT)
		without_vars(output, &text);
	else
		buf_append(&text, output.text, output.len);
	ok = take_plain(call->rd, slice(&text), &p);
	buf_fini(&text);
	if (!ok)
		return false;
	if (p.kind == KIND_NONE)
		p.kind = call->in->kind;
	if (!p.device)
		p.device = mem_strdup(call->in->device);
	call->outs = mem_grow(call->outs, call->n_outs, sizeof *call->outs);
	call->outs[call->n_outs++] = p;
	return true;
}

static void call_through(struct reading *rd, struct plain *p, size_t through)
{
	const struct plan *plan = rd->job->plan;
	enum flow flow = kind_table[p->kind].flow;
	/* Listed from south to north, so a message that goes down meets the last one first. */
	const struct plan_through *t =
		&plan->through[flow == FLOW_UP ? through : plan->n_through - 1 - through];
	int fn = mapping_through_fn(t->mapping, flow);
	struct through_call call = { .rd = rd, .in = p };
	struct buf in = { 0 };
	bool ok;

	if (fn < 0) {
		give_plain(rd, p, through + 1);
		return;
	}
	plain_put(&in, p);
	in.len--; /* the brace */
	buf_puts(&in, ",\"vars\":");
	put_vars(&in, &t->vars);
	buf_putc(&in, '}');
	if (would_change(plain_body(p))) {
		refuse(rd->out, DEAD_WIDE_INTEGER,
		       "an integer beyond 2^53 would change in through file %s",
		       mapping_file(t->mapping));
		ok = false;
	} else {
		ok = mapping_call(t->mapping, fn, in.data, in.len, on_through_output, &call, &rd->err);
		if (!ok || rd->reason != REFUSED_NOT)
			refuse(rd->out, DEAD_MAPPING_ERROR, "%s: %s", mapping_file(t->mapping),
			       rd->err.text);
		ok = ok && rd->reason == REFUSED_NOT;
		rd->reason = REFUSED_NOT;
	}
	for (size_t i = 0; i < call.n_outs; i++) {
		if (ok)
			give_plain(rd, &call.outs[i], through + 1);
		else
			plain_fini(&call.outs[i]);
	}
	free(call.outs);
	buf_fini(&in);
	plain_fini(p);
}

/* --- the end of reading */

static void write_now(const struct reading *rd, struct plain *p)
{
	struct job write = {
		.type = JOB_WRITE,
		.plan = rd->job->plan,
		.side = flow_target(kind_table[p->kind].flow),
		.plain = *p,
		.state = rd->job->state,
	};

	translate(&write, rd->out);
}

static bool is_written_now(const struct reading *rd, const struct plain *p)
{
	return !translate_is_stateful(p->kind) &&
	       !(p->kind == KIND_ATTRIBUTES && rd->job->reader->row->echoes != KIND_NONE) &&
	       rd->device && strcmp(p->device, rd->device) == 0 &&
	       !(rd->job->plan->is_mirror && kind_table[p->kind].flow == FLOW_DOWN);
}

/* Take a plain message (and what it holds) on to the through file number `through`, or, after the
 * last, to where it goes. */
static void give_plain(struct reading *rd, struct plain *p, size_t through)
{
	const struct plan *plan = rd->job->plan;
	struct err e = { 0 };

	if (through < plan->n_through) {
		call_through(rd, p, through);
		return;
	}
	p->kind = plan->remap[p->kind];
	if (!plain_check_body(p, &e))
		refuse(rd->out, DEAD_WRONG_SHAPE, "%s", e.text);
	else if (is_written_now(rd, p))
		write_now(rd, p);
	else {
		struct item *item = add_item(rd->out, ITEM_PLAIN);

		item->plain = *p;
		*p = (struct plain){ 0 };
	}
	plain_fini(p);
}

/* Set what the row and the topic say where the function did not, and find the device. */
static bool complete_plain(struct reading *rd, struct plain *p)
{
	const struct plan *plan = rd->job->plan;
	const char *here;

	if (p->kind == KIND_NONE)
		p->kind = rd->job->reader->row->kind;
	if (!p->id && rd->id)
		p->id = mem_strdup(rd->id);
	if (!p->device) {
		p->device = mem_strdup(rd->device);
	} else {
		here = plan_device_here(plan, rd->job->side, p->device);
		if (!here) {
			err_set(&rd->err, ERR_INVALID, "the payload names another device");
			rd->reason = DEAD_OTHER_DEVICE;
			return false;
		}
		if (here != p->device) {
			free(p->device);
			p->device = mem_strdup(here);
		}
	}
	if (!topic_level_is_valid(p->device)) {
		err_set(&rd->err, ERR_INVALID, "the device's name has one of / + # in it");
		rd->reason = DEAD_BAD_TOPIC;
		return false;
	}
	return true;
}

/* A body of bytes also says what they hold. */
static void add_value(const struct reading *rd, struct plain *p)
{
	struct jslice body = plain_body(p), ignored;
	struct buf text = { 0 };
	size_t before;

	if (rd->job->reader->row->format != FORMAT_BYTES || jtext_type_of(body) != JTEXT_OBJECT ||
	    !jtext_field(body, "base64", &ignored) || jtext_field(body, "value", &ignored))
		return;
	buf_append(&text, body.text, body.len - 1);
	before = text.len;
	buf_puts(&text, ",\"value\":");
	if (!put_value(&text, &rd->job->message))
		text.len = before;
	buf_putc(&text, '}');
	plain_set_body(p, text.data, text.len);
	buf_fini(&text);
}

static bool on_read_output(void *ctx, struct jslice output)
{
	struct reading *rd = ctx;
	struct plain p = { .kind = KIND_NONE };

	if (!take_plain(rd, output, &p))
		return false;
	if (!complete_plain(rd, &p)) {
		plain_fini(&p);
		return false;
	}
	add_value(rd, &p);
	give_plain(rd, &p, 0);
	return true;
}

static void read_by_function(struct reading *rd, struct jslice payload)
{
	const struct row *row = rd->job->reader->row;
	struct mapping *m = rd->job->plan->side[rd->job->side].mapping;
	struct vars topic = { 0 };
	struct buf in = { 0 };
	size_t before = rd->out->n;

	topic_vars(rd->job, &topic);
	put_read_input(&in, rd->job, &topic, payload);
	if (!mapping_call(m, row->read_fn, in.data, in.len, on_read_output, rd, &rd->err) &&
	    rd->reason == REFUSED_NOT)
		rd->reason = DEAD_MAPPING_ERROR;
	if (rd->reason != REFUSED_NOT) {
		results_cut(rd->out, before);
		refuse(rd->out, rd->reason, "%s: %s: %s", mapping_file(m), row->read, rd->err.text);
	}
	vars_fini(&topic);
	buf_fini(&in);
}

static void read_as_it_is(struct reading *rd, struct jslice payload)
{
	struct plain p = { .kind = KIND_NONE };

	plain_set_body(&p, payload.text, payload.len);
	if (complete_plain(rd, &p)) {
		give_plain(rd, &p, 0);
		return;
	}
	plain_fini(&p);
	refuse(rd->out, rd->reason, "%s", rd->err.text);
}

static void translate_read(const struct job *job, struct results *out)
{
	const struct row *row = job->reader->row;
	struct reading rd = { .job = job, .out = out, .reason = REFUSED_NOT };
	struct buf payload = { 0 }, name = { 0 };
	struct err e = { 0 };

	rd.device = translate_topic_device(job->plan, job->side, job->reader, job->message.topic,
					   &name);
	rd.id = translate_topic_id(job->reader, job->message.topic);
	if (!rd.device)
		refuse(out, DEAD_OTHER_DEVICE, "the topic names another device");
	else if (!put_payload(&payload, row, &job->message, &e))
		refuse(out, DEAD_UNREADABLE, "%s", e.text);
	else if (row->read_fn >= 0 && would_change(slice(&payload)))
		refuse(out, DEAD_WIDE_INTEGER, "an integer beyond 2^53 would change in %s", row->read);
	else if (row->read_fn >= 0)
		read_by_function(&rd, slice(&payload));
	else
		read_as_it_is(&rd, slice(&payload));
	free(rd.id);
	buf_fini(&payload);
	buf_fini(&name);
}

/* --- writing ------------------------------------------------------------------------------- */

/* State of one row of a WRITE job. */
struct writing {
	const struct job *job;
	const struct row *row;
	struct results *out;
	struct vars said; /* topic variables of a `publish` output */
	struct buf id;    /* the message's id as text */
	enum refusal reason;
	struct err err;
};

static const char *lookup(void *ctx, const char *name)
{
	struct writing *w = ctx;
	const struct plan *plan = w->job->plan;
	const char *value = vars_get(&w->said, name);
	const struct var *found;

	if (value)
		return value;
	if (strcmp(name, "device") == 0)
		return plan_device_there(plan, w->job->side, w->job->plain.device);
	if (strcmp(name, "id") == 0)
		return w->job->plain.id ? buf_str(&w->id) : NULL;
	found = vars_find(&plan->side[w->job->side].vars, name);
	if (plan->hides_secrets &&
	    (found ? found->is_secret : dialect_is_credential(plan->side[w->job->side].dialect, name)))
		return "***";
	return found ? found->value : NULL;
}

/* An id as text: without the quotes if it is a string. */
static void put_id(struct buf *out, const char *id)
{
	struct jslice v = { id, id ? strlen(id) : 0 };

	if (id && !jtext_string_decode(v, out))
		buf_puts(out, id);
}

static bool fail(struct writing *w, enum refusal reason, const char *what)
{
	if (w->err.code == ERR_NOT_FOUND)
		err_set(&w->err, ERR_INVALID, "%s: {%s} is not set and the message does not say it "
			"(set %s.%s)", what, w->err.text, side_name(w->job->side), w->err.text);
	else
		err_prefix(&w->err, "%s", what);
	w->reason = reason;
	return false;
}

static bool set_text(struct writing *w, const char *text, const char *what, struct buf *out)
{
	return text_template_expand(text, lookup, w, out, &w->err) || fail(w, DEAD_BAD_TOPIC, what);
}

static bool set_topic(struct writing *w, struct message *m)
{
	struct buf topic = { 0 };
	struct topic_template alias;
	bool ok;

	if (w->job->reply_topic && topic_template_parse(&alias, w->job->reply_topic, &w->err)) {
		ok = topic_template_expand(&alias, lookup, w, &topic, &w->err);
		topic_template_fini(&alias);
	} else {
		ok = topic_template_expand(&w->row->topic, lookup, w, &topic, &w->err);
	}
	if (ok && !topic_name_is_valid(buf_str(&topic))) {
		err_set(&w->err, ERR_INVALID, "no valid topic name");
		ok = false;
	}
	if (ok)
		m->topic = buf_take(&topic);
	buf_fini(&topic);
	return ok || fail(w, DEAD_BAD_TOPIC, "topic");
}

static bool set_fields(struct writing *w, struct message *m)
{
	const struct row *row = w->row;
	struct buf text = { 0 };
	bool ok = true;

	m->qos = row->qos;
	m->retain = row->retain;
	for (size_t i = 0; ok && i < row->properties.n; i++) {
		buf_reset(&text);
		ok = set_text(w, row->properties.items[i].value, row->properties.items[i].name, &text);
		if (ok && !vars_find(&m->properties, row->properties.items[i].name))
			vars_add(&m->properties, row->properties.items[i].name, buf_str(&text));
	}
	buf_reset(&text);
	if (ok && row->response_topic) {
		ok = set_text(w, row->response_topic, "response_topic", &text);
		m->response_topic = buf_take(&text);
	}
	if (ok && row->correlation && (ok = set_text(w, row->correlation, "correlation", &text))) {
		m->correlation_len = text.len;
		m->correlation = buf_take(&text);
	}
	buf_fini(&text);
	return ok;
}

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

static bool is_small_enough(struct writing *w, const struct message *m)
{
	int64_t most = w->job->plan->side[w->job->side].dialect->limits.payload_bytes;

	if (!most || m->payload_len <= (size_t)most)
		return true;
	err_set(&w->err, ERR_LIMIT, "%zu bytes, and %s takes %lld", m->payload_len,
		w->job->plan->side[w->job->side].dialect->name, (long long)most);
	w->reason = DEAD_TOO_LARGE;
	return false;
}

static bool give_message(struct writing *w, struct message *m, struct jslice payload)
{
	struct item *item;

	if (!set_payload(w, m, payload) || !set_topic(w, m) || !set_fields(w, m) ||
	    !is_small_enough(w, m)) {
		message_fini(m);
		return false;
	}
	item = add_item(w->out, ITEM_MESSAGE);
	item->message = *m;
	plain_copy(&item->plain, &w->job->plain);
	return true;
}

static bool on_write_output(void *ctx, struct jslice output)
{
	struct message m = { 0 };

	return give_message(ctx, &m, output);
}

/* Add the fields of a JSON object of scalars as texts. */
static void take_texts(struct jslice object, struct vars *out)
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
	if (jtext_field(output, "topic", &texts))
		take_texts(texts, &w->said);
	if (jtext_field(output, "properties", &texts))
		take_texts(texts, &m.properties);
	return give_message(w, &m, payload);
}

static void put_to(struct buf *out, const struct job *job)
{
	const struct plan_side *ps = &job->plan->side[job->side];
	struct vars to;

	vars_copy(&to, &ps->vars);
	vars_set(&to, "device", plan_device_there(job->plan, job->side, job->plain.device), false);
	put_vars(out, &to);
	vars_fini(&to);
}

static void put_write_input(struct buf *in, const struct job *job)
{
	plain_put(in, &job->plain);
	in->len--; /* the brace */
	buf_puts(in, ",\"to\":");
	put_to(in, job);
	buf_printf(in, ",\"state\":%s", job->state);
	if (job->request) {
		buf_puts(in, ",\"request\":");
		plain_put(in, job->request);
	}
	buf_putc(in, '}');
}

static void write_by_function(struct writing *w)
{
	const struct row *row = w->row;
	struct mapping *m = w->job->plan->side[w->job->side].mapping;
	int fn = row->publish_fn >= 0 ? row->publish_fn : row->write_fn;
	size_t before = w->out->n;
	struct buf in = { 0 };

	put_write_input(&in, w->job);
	if (would_change(plain_body(&w->job->plain))) {
		err_set(&w->err, ERR_INVALID, "an integer beyond 2^53 would change");
		w->reason = DEAD_WIDE_INTEGER;
	} else if (!mapping_call(m, fn, in.data, in.len,
				 row->publish_fn >= 0 ? on_publish_output : on_write_output, w,
				 &w->err) &&
		   w->reason == REFUSED_NOT) {
		w->reason = DEAD_MAPPING_ERROR;
	}
	if (w->reason != REFUSED_NOT)
		results_cut(w->out, before);
	buf_fini(&in);
}

static void write_row(const struct job *job, const struct row *row, struct results *out)
{
	struct writing w = { .job = job, .row = row, .out = out, .reason = REFUSED_NOT };
	const char *fn = row->publish ? row->publish : row->write;

	put_id(&w.id, job->plain.id);
	if (fn) {
		write_by_function(&w);
	} else {
		struct message m = { 0 };

		give_message(&w, &m, plain_body(&job->plain));
	}
	if (w.reason != REFUSED_NOT)
		refuse(out, w.reason, "%s: %s%s%s", mapping_file(job->plan->side[job->side].mapping),
		       fn ? fn : "", fn ? ": " : "", w.err.text);
	vars_fini(&w.said);
	buf_fini(&w.id);
}

static void translate_write(const struct job *job, struct results *out)
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
		refuse(out, DEAD_NO_COUNTERPART, "%s has no %s", d->name, kind_name(job->plain.kind));
}

void translate(const struct job *job, struct results *out)
{
	if (job->type == JOB_READ)
		translate_read(job, out);
	else
		translate_write(job, out);
}

void job_fini(struct job *job)
{
	free(job->state);
	if (job->request)
		plain_fini(job->request);
	free(job->request);
	message_fini(&job->message);
	plain_fini(&job->plain);
	free(job->reply_topic);
}
