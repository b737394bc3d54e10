/* translate_through.c -- plain messages through the through files of a link. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "translate/translate_inside.h"

/* One function at work. */
struct through_call {
	const struct mapping *mapping;
	const struct canonical *in;
	struct canonical *outs;
	size_t n_outs;
	struct err err;
};

/* The way of a message. */
struct passing {
	const struct plan *plan;
	struct results *out;
	translate_passed *passed;
	void *ctx;
};

static void pass(const struct passing *way, struct canonical *p, size_t through);

/* Variables as JSON.  The configuration's numbers and booleans (factor = 10) are that again. */
static void put_settings(struct buf *out, const struct vars *vars)
{
	const char *before = "";

	buf_putc(out, '{');
	for (size_t i = 0; i < vars->n; i++) {
		const struct var *v = &vars->items[i];
		struct jslice value = { v->value, strlen(v->value) };
		struct buf json = { 0 };

		if (v->is_secret)
			continue;
		buf_puts(out, before);
		before = ",";
		jtext_put_string(out, v->name, strlen(v->name));
		buf_putc(out, ':');
		if (jtext_read(value.text, value.len, false, &json, NULL) &&
		    jtext_type_of(value) >= JTEXT_FALSE && jtext_type_of(value) <= JTEXT_NUMBER &&
		    !translate_would_change(value))
			buf_append(out, value.text, value.len);
		else
			jtext_put_string(out, value.text, value.len);
		buf_fini(&json);
	}
	buf_putc(out, '}');
}

/* The function may pass its whole input on, `vars` and all. */
static void without_vars(struct jslice text, struct buf *out)
{
	struct jfield f;
	size_t pos = 0;
	const char *before = "";

	buf_putc(out, '{');
	while (jtext_next_field(text, &pos, &f)) {
		if (jtext_string_is(f.key, "vars"))
			continue;
		buf_puts(out, before);
		before = ",";
		buf_append(out, f.key.text, f.key.len);
		buf_putc(out, ':');
		buf_append(out, f.value.text, f.value.len);
	}
	buf_putc(out, '}');
}

static bool on_through_output(void *ctx, struct jslice output)
{
	struct through_call *call = ctx;
	struct canonical p = { .kind = KIND_NONE };
	struct buf text = { 0 };
	bool ok;

	if (jtext_type_of(output) == JTEXT_OBJECT)
		without_vars(output, &text);
	else
		buf_append(&text, output.text, output.len);
	ok = canonical_parse(&p, translate_slice(&text), &call->err);
	if (!ok)
		translate_name_key(call->mapping, translate_slice(&text), &call->err);
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

static bool would_change(const struct canonical *p)
{
	return translate_would_change(canonical_body(p)) ||
	       (p->id && translate_would_change((struct jslice){ p->id, strlen(p->id) })) ||
	       (p->ts && translate_would_change((struct jslice){ p->ts, strlen(p->ts) }));
}

/* Run the function; false: its message is refused. */
static bool run(struct through_call *call, const struct plan_through *t, int fn,
		struct results *out)
{
	struct mapping_input in = { 0 };
	struct buf settings = { 0 };
	enum outcome reason = CARRIED;

	translate_see_canonical(&in, call->in);
	put_settings(&settings, &t->vars);
	in.fields[SEEN_VARS] =
		(struct mapping_field){ FIELD_JSON, .json = translate_slice(&settings) };
	if (would_change(call->in)) {
		err_set(&call->err, ERR_INVALID, "a number would become another one");
		reason = DEAD_WIDE_INTEGER;
	} else if (!mapping_call(t->mapping, fn, &in, on_through_output, call, &call->err) ||
		   call->err.code != ERR_NONE) {
		reason = translate_call_outcome(out, &call->err);
	}
	buf_fini(&settings);
	if (reason != CARRIED)
		results_refuse(out, reason, "%s: %s", mapping_file(t->mapping), call->err.text);
	return reason == CARRIED;
}

/* `p` is taken. */
static void call_through(const struct passing *way, struct canonical *p, size_t through)
{
	enum flow flow = kind_table[p->kind].flow;
	/* Listed from south to north, so a message that goes down meets the last one first. */
	const struct plan_through *t =
		&way->plan->through[flow == FLOW_UP ? through : way->plan->n_through - 1 - through];
	int fn = mapping_through_fn(t->mapping, flow);
	struct through_call call = { .mapping = t->mapping, .in = p };
	bool ok;

	if (fn < 0) {
		pass(way, p, through + 1);
		return;
	}
	ok = run(&call, t, fn, way->out);
	for (size_t i = 0; i < call.n_outs; i++) {
		if (ok)
			pass(way, &call.outs[i], through + 1);
		else
			canonical_fini(&call.outs[i]);
	}
	free(call.outs);
	canonical_fini(p);
}

/* On to the through file number `through`, or, after the last, to who wants it. */
static void pass(const struct passing *way, struct canonical *p, size_t through)
{
	if (through < way->plan->n_through)
		call_through(way, p, through);
	else
		way->passed(way->ctx, p);
}

void translate_through(const struct plan *plan, struct canonical *p, struct results *out,
		       translate_passed *passed, void *ctx)
{
	struct passing way = { plan, out, passed, ctx };

	pass(&way, p, 0);
}
