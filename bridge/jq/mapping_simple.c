/* Functions that need no jq: what they only pick, rename, wrap and put beside constants is copied as text.
 *
 * When a file is loaded, their bodies become steps (mapping_simple_read.c), where nothing else in the source could be
 * meant; and a call is done only where jq would give the same.  Errors, a key that an object has twice, a number that a
 * double changes and all that jq does not simply hand on are left to jq, message by message: a function has one
 * meaning, jq's.  What may differ is the spelling of a number: jq makes 1 of 1.0, here it stays as it came. */
#include "jq/mapping_inside.h"

#include <stdlib.h>

#include "message/vars.h"

#define MAX_DEPTH 200 /* of a value: with it less than JTEXT_MAX_DEPTH_TAKEN */
#define MAX_TRIES 32
#define SPREAD	  0x9e3779b97f4a7c15
#define DOTTED	  (UINT64_MAX / 2) /* in the place of an object: the keys of what is made flat */

/* --- calls --------------------------------------------------------------------------------- */

struct passing {
	struct mapping_simple *s;
	const char *p, *end, *from; /* from there on it is still to be put out, as it stands */
	struct buf *out;
	uint64_t n_objects;
	bool is_told; /* it comes out in a text, where jq has its own spelling of numbers */
};

/* Less the space before it. */
static bool take(struct passing *c, char sign)
{
	if (c->p < c->end && (unsigned char)*c->p <= ' ') {
		buf_append(c->out, c->from, (size_t)(c->p - c->from));
		while (c->p < c->end && (unsigned char)*c->p <= ' ')
			c->p++;
		c->from = c->p;
	}
	return c->p < c->end && *c->p == sign && c->p++;
}

/* Behind its first quote.  False: jq may spell it otherwise. */
static bool pass_string(struct passing *c)
{
	const char *start = c->p;
	bool is_ascii = true;

	for (; c->p < c->end && *c->p != '"'; c->p++) {
		is_ascii = is_ascii && (unsigned char)*c->p < 0x7f;
		if (*c->p == 0x7f ||
		    (*c->p == '\\' && (++c->p == c->end || !strchr("\"\\bfnrt", *c->p))))
			return false;
	}
	return c->p < c->end && (is_ascii || jtext_is_utf8(start, (size_t)(c->p - start))) &&
	       c->p++;
}

/* Each key with its object, by a hash, which ends in the number of what is passed: of other numbers is what
 * was passed before, and free.  What looks the same is not new, so a clash costs time alone. */
static bool is_new_key(struct passing *c, uint64_t object, const char *key, const char *end)
{
	uint64_t hash = (object + 1) * SPREAD, now = c->s->n_passed & 0xffff, *slot;

	for (; key < end; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3;
	hash = ((hash ^ hash >> 32) * SPREAD & ~(uint64_t)0xffff) | now;
	for (size_t i = 0; i < MAX_TRIES; i++) {
		slot = &c->s->seen[((hash >> 51) + i) % SIMPLE_SLOTS];
		if ((*slot & 0xffff) != now) {
			*slot = hash;
			return true;
		}
		if (*slot == hash)
			return false;
	}
	return false;
}

/* Spelled by all as it stands: an integer of up to 15 digits. */
static bool is_plain(const char *p, const char *end)
{
	bool ok = end - p <= 15 && !(*p == '-' && end - p == 2 && p[1] == '0');

	for (p += *p == '-'; ok && p < end; p++)
		ok = *p >= '0' && *p <= '9';
	return ok;
}

static bool pass_number(const struct passing *c, const char *start)
{
	struct jslice number = { start, (size_t)(c->p - start) };

	return c->is_told ? is_plain(start, c->p) : jtext_number_is_kept(number);
}

static bool pass_value(struct passing *c, size_t depth)
{
	uint64_t object = c->n_objects++;
	const char *start;

	if (take(c, '"'))
		return pass_string(c);
	if (take(c, '{') || take(c, '[')) {
		char close = (char)(c->p[-1] + 2);

		if (depth == MAX_DEPTH || take(c, close))
			return depth < MAX_DEPTH;
		do {
			if (close == '}' && !(take(c, '"') && (start = c->p, pass_string(c)) &&
					      is_new_key(c, object, start, c->p) && take(c, ':')))
				return false;
			if (!pass_value(c, depth + 1))
				return false;
		} while (take(c, ','));
		return take(c, close);
	}
	start = c->p;
	while (c->p < c->end && !strchr(" \t\r\n,]}", *c->p))
		c->p++;
	return c->p > start && (strchr("tfn", *start) || pass_number(c, start));
}

bool mapping_simple_pass(struct mapping_simple *s, struct jslice text, struct buf *out)
{
	struct passing c = { s, text.text, text.text + text.len, text.text, out, 0, false };
	bool ok = ++s->n_passed && pass_value(&c, 0) && !take(&c, ' ') && c.p == c.end;

	buf_append(out, c.from, (size_t)(c.p - c.from));
	return ok;
}

/* --- wire::flat ---------------------------------------------------------------------------- */

/* Nothing of what is passed here comes out by itself. */
static bool skip(struct passing *c, char sign)
{
	bool ok = take(c, sign);

	c->from = c->p;
	return ok;
}

static bool put_passed(struct passing *c, size_t depth)
{
	bool ok = pass_value(c, depth);

	buf_append(c->out, c->from, (size_t)(c->p - c->from));
	c->from = c->p;
	return ok;
}

/* Behind the names of what it stands in.  False: there may be such a one; only one with a dot can have another way to
 * it. */
static bool put_key(struct passing *c, struct jslice key)
{
	struct buf *out = c->out;
	size_t start;

	if (out->data[out->len - 1] != '{')
		buf_putc(out, ',');
	buf_putc(out, '"');
	start = out->len;
	buf_append(out, c->s->prefix.data, c->s->prefix.len);
	buf_append(out, key.text, key.len);
	if (out->len > MAPPING_MAX_OUTPUT_BYTES ||
	    (memchr(out->data + start, '.', out->len - start) &&
	     !is_new_key(c, DOTTED, out->data + start, out->data + out->len)))
		return false;
	buf_puts(out, "\":");
	return true;
}

static bool put_told(struct passing *c, size_t depth)
{
	struct buf *out = c->out, *told = &c->s->told;
	bool ok;

	buf_reset(told);
	c->out = told;
	c->is_told = true;
	ok = put_passed(c, depth);
	c->is_told = false;
	c->out = out;
	jtext_put_string(out, buf_str(told), told->len);
	return ok;
}

static bool flat_fields(struct passing *c, size_t depth);

static bool flat_value(struct passing *c, struct jslice key, size_t depth)
{
	struct buf *prefix = &c->s->prefix;
	size_t before = prefix->len;
	bool ok;

	if (skip(c, '{')) {
		buf_append(prefix, key.text, key.len);
		buf_putc(prefix, '.');
		ok = flat_fields(c, depth + 1);
		buf_cut(prefix, before);
		return ok;
	}
	if (c->p < c->end && *c->p == 'n') {
		c->from = c->p += strlen("null");
		return true;
	}
	return put_key(c, key) &&
	       (c->p < c->end && *c->p == '[' ? put_told(c, depth) : put_passed(c, depth));
}

/* Behind its { */
static bool flat_fields(struct passing *c, size_t depth)
{
	uint64_t object = c->n_objects++;

	if (depth == MAX_DEPTH || skip(c, '}'))
		return depth < MAX_DEPTH;
	do {
		const char *start;
		struct jslice key;

		if (!skip(c, '"'))
			return false;
		start = c->p;
		if (!pass_string(c) || !is_new_key(c, object, start, c->p))
			return false;
		key = (struct jslice){ start, (size_t)(c->p - start) - 1 };
		c->from = c->p;
		if (!skip(c, ':') || !flat_value(c, key, depth))
			return false;
	} while (skip(c, ','));
	return skip(c, '}');
}

/* Nested objects to dotted keys, arrays to JSON text, nulls left out: as wire.jq has it.  An object only. */
static bool put_flat(struct mapping_simple *s, const struct mapping_field *f, struct buf *out)
{
	const char *text = f->json.text;
	struct passing c = { s, text, text + f->json.len, text, out, 0, false };
	bool ok;

	if (f->type != FIELD_JSON || jtext_type_of(f->json) != JTEXT_OBJECT)
		return false;
	s->n_passed++;
	buf_reset(&s->prefix);
	buf_putc(out, '{');
	ok = skip(&c, '{') && flat_fields(&c, 0) && !take(&c, ' ') && c.p == c.end;
	buf_putc(out, '}');
	return ok;
}

/* --- steps --------------------------------------------------------------------------------- */

/* False: jq would fail, or it is not for here. */
static bool look(const struct mapping_simple *s, const struct simple_path *path,
		 const struct mapping_input *in, struct mapping_field *found)
{
	static const struct mapping_field null = { FIELD_JSON, .json = { "null", 4 } };
	size_t i = 1;

	*found = path->key < MAPPING_KEYS ? in->fields[path->key] : null;
	if (found->type == FIELD_NONE)
		*found = null;
	if (found->type == FIELD_VARS && path->n > 1) {
		const struct var *v = vars_find(found->vars, s->names.data + path->at[i++]);

		if (!v || v->is_secret)
			return false;
		*found = (struct mapping_field){ FIELD_TEXT, .text = v->value };
	}
	for (; i < path->n; i++) {
		enum jtext_type type =
			found->type == FIELD_JSON ? jtext_type_of(found->json) : JTEXT_TRUE;

		if (type != JTEXT_OBJECT && type != JTEXT_NULL)
			return false;
		if (!jtext_field(found->json, s->names.data + path->at[i], &found->json))
			*found = null;
	}
	return true;
}

static bool put_value(struct mapping_simple *s, const struct mapping_field *f, struct buf *out)
{
	if (f->type == FIELD_JSON)
		return mapping_simple_pass(s, f->json, out);
	if (f->type != FIELD_TEXT || strchr(f->text, 0x7f))
		return false;
	jtext_put_string(out, f->text, strlen(f->text));
	return jtext_is_utf8(f->text, strlen(f->text));
}

static bool is_true(const struct mapping_field *f)
{
	return f->type != FIELD_JSON || jtext_type_of(f->json) > JTEXT_FALSE;
}

/* What a function has in hand. */
struct doing {
	struct mapping_simple *s;
	const struct mapping_input *in;
	struct buf *out;
	bool gives_nothing;
};

/* The next step is the one behind *step.  False: jq has to do it. */
static bool do_step(struct doing *d, const struct simple_step **step)
{
	const struct simple_step *now = *step;
	struct mapping_field found = { FIELD_NONE, .text = NULL };
	size_t before = d->out->len;

	if (now->path.n > 0 && !look(d->s, &now->path, d->in, &found))
		return false;
	switch (now->type) {
	case SIMPLE_TEXT:
		buf_append(d->out, d->s->texts.data + now->from, now->len);
		return true;
	case SIMPLE_VALUE:
		return put_value(d->s, &found, d->out);
	case SIMPLE_FLAT:
		if (!put_flat(d->s, &found, d->out))
			return false;
		if (now->needs_some && d->out->len - before == strlen("{}"))
			d->gives_nothing = true;
		return true;
	case SIMPLE_LOOK:
		return true;
	case SIMPLE_IF:
		if (is_true(&found))
			return true;
		*step += now->n_skipped;
		return true;
	case SIMPLE_SKIP:
		*step += now->n_skipped;
		return true;
	case SIMPLE_JQ:
		break;
	}
	return false;
}

bool mapping_simple_call(struct mapping_simple *s, int fn, const struct mapping_input *in,
			 struct buf *out)
{
	const struct simple_function *f = &s->functions[fn];
	struct doing d = { s, in, out, false };
	size_t before = out->len;
	bool ok = f->n > 0;

	for (const struct simple_step *step = f->steps; ok && step < f->steps + f->n; step++)
		ok = do_step(&d, &step);
	ok = ok && out->len - before <= MAPPING_MAX_OUTPUT_BYTES;
	if (!ok || d.gives_nothing)
		buf_cut(out, before);
	return ok;
}

bool mapping_simple_has(const struct mapping_simple *s, int fn)
{
	return s->functions[fn].n > 0;
}
