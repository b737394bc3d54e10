/* Calls of a mapping's functions: JSON text in, JSON text out. */
#include "core/mapping_inside.h"

#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/scrub.h"

void mapping_forget_message(void *ctx, jv msg)
{
	(void)ctx;
	jv_free(msg);
}

/* One JSON value.  jv_parse_sized() would do the same, but its errors quote the whole text, and
 * unpatched ones read beyond it (CVE-2026-39979). */
static jv parse(const char *text, size_t len)
{
	struct jv_parser *parser = jv_parser_new(0);
	jv value, more;

	jv_parser_set_buf(parser, text, (int)len, 0);
	value = jv_parser_next(parser);
	if (jv_is_valid(value)) {
		more = jv_parser_next(parser);
		if (jv_is_valid(more) || jv_invalid_has_msg(jv_copy(more))) {
			jv_free(value);
			value = jv_invalid();
		}
		jv_free(more);
	}
	jv_parser_free(parser);
	return value;
}

/* Does no value lie deeper than jq can print?  It puts "<stripped: ...>" there, bare. */
static bool is_depth_ok(const char *text, size_t len)
{
	bool is_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (is_string && c == '\\')
			i++;
		else if (c == '"')
			is_string = !is_string;
		else if (is_string)
			continue;
		else if ((c == '[' || c == '{') && ++depth > JTEXT_MAX_DEPTH)
			return false;
		else if (c == ']' || c == '}')
			depth--;
	}
	return true;
}

struct call {
	struct mapping *m;
	jv texts; /* the outputs, kept until the run has ended: their receiver may call again */
	size_t n_bytes;
};

/* Keep one output (taken). */
static bool keep(struct call *c, jv value, struct err *e)
{
	jv text = jv_dump_string(value, 0);
	struct jslice output = { jv_string_value(text),
				 (size_t)jv_string_length_bytes(jv_copy(text)) };
	bool ok = false;

	c->n_bytes += output.len;
	if (jv_array_length(jv_copy(c->texts)) >= MAPPING_MAX_OUTPUTS)
		err_set(e, ERR_LIMIT, "more than %d outputs", MAPPING_MAX_OUTPUTS);
	else if (c->n_bytes > MAPPING_MAX_OUTPUT_BYTES)
		err_set(e, ERR_LIMIT, "more than %u bytes of output", MAPPING_MAX_OUTPUT_BYTES);
	else if (!is_depth_ok(output.text, output.len))
		err_set(e, ERR_LIMIT, "an output nested deeper than %d", JTEXT_MAX_DEPTH);
	else
		ok = true;
	if (ok)
		c->texts = jv_array_append(c->texts, text);
	else
		jv_free(text);
	return ok;
}

/* Why it ended without a value: `last` is taken.  True if that was its end. */
static bool is_end(const struct call *c, jv last, struct err *e)
{
	struct buf shown = { 0 };
	bool ok = false;
	jv msg;

	if (jq_halted(c->m->jq)) {
		err_set(e, ERR_INVALID, "the function halted");
	} else if (!jv_invalid_has_msg(jv_copy(last))) {
		ok = true;
	} else {
		msg = jv_invalid_get_msg(jv_copy(last));
		if (jv_get_kind(msg) == JV_KIND_STRING)
			scrub_text(c->m->scrub, jv_string_value(msg),
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
		jv value = jq_next(c->m->jq);

		if (!jv_is_valid(value))
			return is_end(c, value, e);
		if (!keep(c, value, e))
			return false;
	}
}

static void hand_out(jv texts, bool (*on_output)(void *ctx, struct jslice output), void *ctx)
{
	int n = jv_array_length(jv_copy(texts));
	bool more = true;

	for (int i = 0; more && i < n; i++) {
		jv text = jv_array_get(jv_copy(texts), i);

		more = on_output(ctx,
				 (struct jslice){ jv_string_value(text),
						  (size_t)jv_string_length_bytes(jv_copy(text)) });
		jv_free(text);
	}
}

bool mapping_call(struct mapping *m, int fn, const char *input, size_t len,
		  bool (*on_output)(void *ctx, struct jslice output), void *ctx, struct err *e)
{
	struct call c = { .m = m };
	bool ok;
	jv value;

	if (len > INT_MAX) {
		err_set(e, ERR_LIMIT, "the input is too large");
		return false;
	}
	value = parse(input, len);
	if (!jv_is_valid(value)) {
		jv_free(value);
		err_set(e, ERR_INVALID, "jq cannot read the input");
		return false;
	}
	jq_start(m->jq, JV_ARRAY(jv_number(fn), value), 0);
	c.texts = jv_array();
	ok = run(&c, e);
	if (ok)
		hand_out(c.texts, on_output, ctx);
	else
		jq_start(m->jq, jv_null(), 0); /* let go of what the run still holds */
	jv_free(c.texts);
	return ok;
}

bool mapping_keeps_numbers(void)
{
	static const char wide[] = "9007199254740993"; /* 2^53 + 1 */
	static int known = -1;

	if (known < 0) {
		jq_state *jq = jq_init();
		jv text;

		jq_set_error_cb(jq, mapping_forget_message, NULL);
		jq_compile(jq, ".");
		jq_start(jq, parse(wide, strlen(wide)), 0);
		text = jv_dump_string(jq_next(jq), 0);
		known = strcmp(jv_string_value(text), wide) == 0;
		jv_free(text);
		jq_teardown(&jq);
	}
	return known;
}
