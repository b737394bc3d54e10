/* Calls of a mapping's functions: fields in, JSON text out. */
#include "jq/mapping_inside.h"

#include <string.h>

#include "base/err.h"
#include "jq/scrub.h"
#include "message/vars.h"

void mapping_forget_message(void *ctx, jv msg)
{
	(void)ctx;
	jv_free(msg);
}

/* --- inputs -------------------------------------------------------------------------------- */

const char *const mapping_key_names[MAPPING_KEYS] = {
	[SEEN_KIND] = "kind",	[SEEN_DEVICE] = "device",   [SEEN_ID] = "id",
	[SEEN_TS] = "ts",	[SEEN_BODY] = "body",	    [SEEN_PAYLOAD] = "payload",
	[SEEN_VALUE] = "value", [SEEN_TOPIC] = "topic",	    [SEEN_PROPERTIES] = "properties",
	[SEEN_AT] = "at",	[SEEN_LIMITS] = "limits",   [SEEN_TO] = "to",
	[SEEN_STATE] = "state", [SEEN_REQUEST] = "request", [SEEN_VARS] = "vars",
};
#define MAX_SHOWN 1000 /* bytes of an error that may quote a payload */
/* Mostly the same as in the call before: settings, and the payload where several rows read a topic. */
#define STEADY_MAX_BYTES 4096
static const bool is_steady[MAPPING_KEYS] = {
	[SEEN_PAYLOAD] = true, [SEEN_LIMITS] = true, [SEEN_TO] = true,
	[SEEN_STATE] = true,   [SEEN_VARS] = true,
};

void mapping_input_init(struct mapping *m)
{
	m->empty = jv_object();
	for (int k = 0; k < MAPPING_KEYS; k++) {
		m->keys[k] = jv_string(mapping_key_names[k]);
		m->steady[k].value = jv_null();
	}
}

void mapping_input_fini(struct mapping *m)
{
	jv_free(m->empty);
	for (int k = 0; k < MAPPING_KEYS; k++) {
		jv_free(m->keys[k]);
		jv_free(m->steady[k].value);
		buf_fini(&m->steady[k].text);
	}
}

static jv read_steady(struct steady *last, struct jslice json)
{
	if (last->text.len != json.len || memcmp(buf_str(&last->text), json.text, json.len) != 0) {
		buf_reset(&last->text);
		buf_append(&last->text, json.text, json.len);
		jv_free(last->value);
		last->value = mapping_json_read(json.text, json.len);
	}
	return jv_copy(last->value);
}

static jv read_vars(const struct mapping *m, const struct vars *vars)
{
	jv object = jv_copy(m->empty);

	for (size_t i = 0; i < vars->n; i++)
		if (!vars->items[i].is_secret &&
		    vars_find(vars, vars->items[i].name) == &vars->items[i])
			object = jv_object_set(object, jv_string(vars->items[i].name),
					       jv_string(vars->items[i].value));
	return object;
}

static jv read_field(struct mapping *m, int key, const struct mapping_field *f)
{
	switch (f->type) {
	case FIELD_JSON:
		return is_steady[key] && f->json.len <= STEADY_MAX_BYTES
			       ? read_steady(&m->steady[key], f->json)
			       : mapping_json_read(f->json.text, f->json.len);
	case FIELD_TEXT:
		return jv_string(f->text);
	case FIELD_INTEGER:
		return jv_number((double)f->integer);
	case FIELD_VARS:
		return read_vars(m, f->vars);
	case FIELD_NONE:
		break;
	}
	return jv_invalid();
}

/* What the function can see of it.  Invalid: jq cannot read it. */
static jv read_input(struct mapping *m, int fn, const struct mapping_input *in)
{
	jv input = jv_object();

	for (int k = 0; k < MAPPING_KEYS; k++) {
		jv value;

		if (in->fields[k].type == FIELD_NONE || !mapping_sees(m, fn, (enum mapping_key)k))
			continue;
		value = read_field(m, k, &in->fields[k]);
		if (!jv_is_valid(value)) {
			jv_free(input);
			return value;
		}
		input = jv_object_set(input, jv_copy(m->keys[k]), value);
	}
	return input;
}

/* --- outputs ------------------------------------------------------------------------------- */

struct call {
	struct mapping *m;
	jq_state *jq;
	struct buf texts; /* the outputs, a line each, kept until the run has ended: their receiver
			   * may call again */
	size_t n_outputs;
};

/* Keep one output (taken). */
static bool keep(struct call *c, jv value, struct err *e)
{
	bool ok = mapping_json_put(&c->texts, value, e);

	jv_free(value);
	if (!ok)
		return false;
	if (++c->n_outputs > MAPPING_MAX_OUTPUTS)
		err_set(e, ERR_LIMIT, "more than %d outputs", MAPPING_MAX_OUTPUTS);
	else if (c->texts.len > MAPPING_MAX_OUTPUT_BYTES + c->n_outputs - 1)
		err_set(e, ERR_LIMIT, "more than %u bytes of output", MAPPING_MAX_OUTPUT_BYTES);
	else {
		buf_putc(&c->texts, '\n');
		return true;
	}
	return false;
}

void mapping_show_payloads(struct mapping *m)
{
	m->shows_payloads = true;
}

void mapping_tell(const struct mapping *m, const char *text, size_t len, struct buf *out)
{
	size_t n = len < MAX_SHOWN ? len : MAX_SHOWN;
	bool is_obeyed;

	if (!m->shows_payloads) {
		scrub_text(m->scrub, text, len, out);
		return;
	}
	for (size_t i = 0, bytes; i < n; i += bytes) { /* it may go to a terminal */
		bytes = buf_character(text + i, n - i, &is_obeyed);
		if (is_obeyed)
			buf_putc(out, '?');
		else
			buf_append(out, text + i, bytes);
	}
	if (n < len)
		buf_puts(out, "...");
}

/* Why it ended without a value: `last` is taken.  True if that was its end. */
static bool is_end(const struct call *c, jv last, struct err *e)
{
	struct buf shown = { 0 };
	bool ok = false;
	jv msg;

	if (jq_halted(c->jq)) {
		err_set(e, ERR_INVALID, "the function halted");
	} else if (!jv_invalid_has_msg(jv_copy(last))) {
		ok = true;
	} else {
		msg = jv_invalid_get_msg(jv_copy(last));
		if (jv_get_kind(msg) == JV_KIND_STRING)
			mapping_tell(c->m, jv_string_value(msg),
				     (size_t)jv_string_length_bytes(jv_copy(msg)), &shown);
		else
			buf_puts(&shown, "the function failed with an error that is no text");
		err_set(e, ERR_INVALID, "%s", buf_str(&shown));
		buf_fini(&shown);
		jv_free(msg);
	}
	jv_free(last);
	return ok;
}

static bool run(struct call *c, struct err *e)
{
	for (;;) {
		jv value = jq_next(c->jq);

		if (!jv_is_valid(value))
			return is_end(c, value, e);
		if (!keep(c, value, e))
			return false;
	}
}

static void hand_out(const struct buf *texts, bool (*on_output)(void *ctx, struct jslice output),
		     void *ctx)
{
	const char *text = buf_str(texts), *end = text + texts->len, *newline;
	bool more = true;

	for (; more && text < end; text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text));
		more = on_output(ctx, (struct jslice){ text, (size_t)(newline - text) });
	}
}

static bool keeps_field(const struct mapping_field *f, struct jslice out)
{
	bool ok = true;

	switch (f->type) {
	case FIELD_JSON:
		return jtext_keeps_numbers(f->json, out);
	case FIELD_TEXT:
		return jtext_keeps_numbers((struct jslice){ f->text, strlen(f->text) }, out);
	case FIELD_VARS:
		for (size_t i = 0; ok && i < f->vars->n; i++) {
			const char *value = f->vars->items[i].value;

			ok = jtext_keeps_numbers((struct jslice){ value, strlen(value) }, out);
		}
		return ok;
	case FIELD_INTEGER:
	case FIELD_NONE:
		break;
	}
	return true;
}

/* A function may make a number of a text, or a text of a number. */
static bool keeps_numbers(const struct mapping *m, int fn, const struct mapping_input *in,
			  const struct buf *texts, struct err *e)
{
	for (int k = 0; texts->len && k < MAPPING_KEYS; k++)
		if (mapping_sees(m, fn, (enum mapping_key)k) &&
		    !keeps_field(&in->fields[k], (struct jslice){ texts->data, texts->len })) {
			err_set(e, ERR_INEXACT, "a number would become another one");
			return false;
		}
	return true;
}

/* The outputs of a run that did not fail. */
static bool end_call(struct call *c, int fn, const struct mapping_input *in,
		     bool (*on_output)(void *ctx, struct jslice output), void *ctx, struct err *e)
{
	bool ok = keeps_numbers(c->m, fn, in, &c->texts, e);

	if (ok)
		hand_out(&c->texts, on_output, ctx);
	buf_fini(&c->texts);
	return ok;
}

bool mapping_is_simple(const struct mapping *m, int fn)
{
	return m->simple && mapping_simple_has(m->simple, fn);
}

bool mapping_call(struct mapping *m, int fn, const struct mapping_input *in,
		  bool (*on_output)(void *ctx, struct jslice output), void *ctx, struct err *e)
{
	struct call c = { .m = m };
	jv value;

	if (m->simple && mapping_simple_call(m->simple, fn, in, &c.texts)) {
		if (c.texts.len > 0)
			buf_putc(&c.texts, '\n');
		return end_call(&c, fn, in, on_output, ctx, e);
	}
	buf_fini(&c.texts);
	if (!m->jq) {
		err_set(e, ERR_ELSEWHERE, "it takes jq");
		return false;
	}
	value = read_input(m, fn, in);
	if (!jv_is_valid(value)) {
		jv_free(value);
		err_set(e, ERR_INVALID, "jq cannot read the input");
		return false;
	}
	c.jq = mapping_own_program(m, fn);
	if (c.jq) {
		jq_start(c.jq, value, 0);
	} else {
		c.jq = m->jq;
		jq_start(c.jq, JV_ARRAY(jv_number(fn), value), 0);
	}
	if (run(&c, e))
		return end_call(&c, fn, in, on_output, ctx, e);
	jq_start(c.jq, jv_null(), 0); /* let go of what the run still holds */
	buf_fini(&c.texts);
	return false;
}
