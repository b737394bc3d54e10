/* Calls of a mapping's functions: JSON text in, JSON text out. */
#include "core/mapping_inside.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/scrub.h"

void mapping_forget_message(void *ctx, jv msg)
{
	(void)ctx;
	jv_free(msg);
}

struct call {
	struct mapping *m;
	struct buf texts; /* the outputs, a line each, kept until the run has ended: their receiver
			   * may call again */
	size_t n_outputs;
};

/* Keep one output (taken). */
static bool keep(struct call *c, jv value, struct err *e)
{
	bool is_deep = !mapping_json_put(&c->texts, value);

	jv_free(value);
	if (++c->n_outputs > MAPPING_MAX_OUTPUTS)
		err_set(e, ERR_LIMIT, "more than %d outputs", MAPPING_MAX_OUTPUTS);
	else if (c->texts.len > MAPPING_MAX_OUTPUT_BYTES + c->n_outputs - 1)
		err_set(e, ERR_LIMIT, "more than %u bytes of output", MAPPING_MAX_OUTPUT_BYTES);
	else if (is_deep)
		err_set(e, ERR_LIMIT, "an output nested deeper than %d", JTEXT_MAX_DEPTH);
	else {
		buf_putc(&c->texts, '\n');
		return true;
	}
	return false;
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

bool mapping_call(struct mapping *m, int fn, const char *input, size_t len,
		  bool (*on_output)(void *ctx, struct jslice output), void *ctx, struct err *e)
{
	struct call c = { .m = m };
	jv value = mapping_json_read(input, len);
	bool ok;

	if (!jv_is_valid(value)) {
		jv_free(value);
		err_set(e, ERR_INVALID, "jq cannot read the input");
		return false;
	}
	jq_start(m->jq, JV_ARRAY(jv_number(fn), value), 0);
	ok = run(&c, e);
	if (ok)
		hand_out(&c.texts, on_output, ctx);
	else
		jq_start(m->jq, jv_null(), 0); /* let go of what the run still holds */
	buf_fini(&c.texts);
	return ok;
}
