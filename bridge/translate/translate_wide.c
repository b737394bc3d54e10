/* translate_wide.c -- what a message says besides a number that jq would change.
 *
 * Only its function knows where in its plain messages a number comes out, and what else is made of it.  So it is
 * called with two others in its place, one smaller and one larger, and of what it puts out the same is taken: that
 * does not depend on the number.  (A comparison with anything that is no closer to it than these gives the same
 * for it, too.) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "message/kind.h"
#include "translate/translate_inside.h"

#define MAX_NUMBERS 200
#define MAX_CHARS   100
/* Integers on both sides of what is replaced, that a double holds and jq prints with all of their digits.  All are
 * different, of the lower ones all odd, of the higher ones all even. */
#define LOW	  9007199254740881.0
#define LOW_STEP  2.0
#define HIGH	  999999999999999868928.0
#define HIGH_STEP 131072.0

/* --- other numbers ------------------------------------------------------------------------- */

struct standing_in {
	const char *rest; /* of the text, from behind the last such number */
	bool is_high;
	size_t n;
	struct buf *out;
};

static bool is_between(struct jslice number)
{
	char text[MAX_CHARS + 1];
	double value;

	if (number.len > MAX_CHARS)
		return false;
	memcpy(text, number.text, number.len);
	text[number.len] = '\0';
	value = fabs(strtod(text, NULL));
	return value > LOW && value < HIGH - MAX_NUMBERS * HIGH_STEP;
}

static bool replace(void *ctx, struct jslice number)
{
	struct standing_in *s = ctx;
	double n = (double)s->n++;

	if (n >= MAX_NUMBERS || !is_between(number))
		return false;
	buf_append(s->out, s->rest, (size_t)(number.text - s->rest));
	buf_printf(s->out, "%s%.0f", number.text[0] == '-' ? "-" : "",
		   s->is_high ? HIGH - n * HIGH_STEP : LOW - n * LOW_STEP);
	s->rest = number.text + number.len;
	return true;
}

bool translate_stand_in(struct jslice text, bool is_high, struct buf *out)
{
	struct standing_in s = { .rest = text.text, .is_high = is_high, .out = out };

	if (!jtext_each_lost_number(text, replace, &s))
		return false;
	buf_append(out, s.rest, (size_t)(text.text + text.len - s.rest));
	return true;
}

/* --- what two have in common --------------------------------------------------------------- */

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(struct jslice a, struct jslice b)
{
	return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

/* By its key with quotes.  A function puts each out once, and spells it alike. */
static bool find(struct jslice object, struct jslice key, struct jslice *value)
{
	struct jfield f;
	size_t pos = 0;

	while (jtext_next_field(object, &pos, &f))
		if (is_same(f.key, key)) {
			*value = f.value;
			return true;
		}
	return false;
}

static void put_piece(struct buf *out, size_t start, struct jslice piece)
{
	buf_putc(out, out->len == start ? '{' : ',');
	buf_append(out, piece.text, piece.len);
}

static void put_field(struct buf *out, size_t start, const struct jfield *f)
{
	put_piece(out, start, f->key);
	buf_putc(out, ':');
	buf_append(out, f->value.text, f->value.len);
}

static void put_end(struct buf *out, size_t start)
{
	buf_puts(out, out->len == start ? "{}" : "}");
}

struct comparing {
	struct buf body;
	struct buf names; /* of keys that differ, each with its quotes and a comma */
	bool is_part;
};

static void leave_out(struct comparing *c, struct jslice name)
{
	c->is_part = true;
	buf_append(&c->names, name.text, name.len);
	buf_putc(&c->names, ',');
}

/* The fields that both objects have, alike. */
static void put_common(struct comparing *c, struct jslice a, struct jslice b)
{
	size_t start = c->body.len, pos = 0;
	struct jslice value;
	struct jfield f;

	while (jtext_next_field(a, &pos, &f)) {
		if (find(b, f.key, &value) && is_same(f.value, value))
			put_field(&c->body, start, &f);
		else
			leave_out(c, f.key);
	}
	put_end(&c->body, start);
	pos = 0;
	while (jtext_next_field(b, &pos, &f))
		if (!find(a, f.key, &value))
			leave_out(c, f.key);
}

static bool is_keyed(const struct kind_info *kind, struct jslice key)
{
	for (size_t i = 0; kind->keyed[i]; i++)
		if (jtext_string_is(key, kind->keyed[i]))
			return true;
	return false;
}

/* Of a configuration it is said what is missing, or that would have been deleted. */
static void put_unread(struct comparing *c)
{
	struct jslice all = { c->names.data, c->names.len - 1 };

	put_piece(&c->body, 0, (struct jslice){ "\"unread\":[", 10 });
	buf_append(&c->body, all.text, all.len);
	buf_putc(&c->body, ']');
}

/* False: something else in the bodies differs. */
static bool compare_parts(struct comparing *c, const struct kind_info *kind, struct jslice a,
			  struct jslice b)
{
	struct jslice other;
	struct jfield f;
	size_t pos = 0, n = 0, n_other = 0;

	while (jtext_next_field(b, &pos, &f))
		n_other++;
	pos = 0;
	while (jtext_next_field(a, &pos, &f)) {
		n++;
		if (!find(b, f.key, &other))
			return false;
		if (is_same(f.value, other)) {
			put_field(&c->body, 0, &f);
		} else if (is_keyed(kind, f.key) && jtext_type_of(f.value) == JTEXT_OBJECT &&
			   jtext_type_of(other) == JTEXT_OBJECT) {
			put_piece(&c->body, 0, f.key);
			buf_putc(&c->body, ':');
			put_common(c, f.value, other);
		} else {
			return false;
		}
	}
	if (c->is_part)
		put_unread(c);
	put_end(&c->body, 0);
	return n == n_other;
}

static bool compare_bodies(struct comparing *c, const struct kind_info *kind, struct jslice a,
			   struct jslice b)
{
	if (!kind->keyed[0] || jtext_type_of(a) != JTEXT_OBJECT || jtext_type_of(b) != JTEXT_OBJECT)
		return false;
	if (*kind->keyed[0])
		return compare_parts(c, kind, a, b);
	put_common(c, a, b);
	return c->body.len > 2;
}

enum common translate_common(struct canonical *a, const struct canonical *b)
{
	struct comparing c = { 0 };
	enum common common = COMMON_LABEL;

	if (a->kind != b->kind || !is_same_text(a->device, b->device) ||
	    !is_same_text(a->id, b->id) || !is_same_text(a->ts, b->ts))
		return COMMON_NOTHING;
	if (is_same(canonical_body(a), canonical_body(b)))
		return COMMON_ALL;
	if (compare_bodies(&c, &kind_table[a->kind], canonical_body(a), canonical_body(b))) {
		canonical_set_body(a, c.body.data, c.body.len);
		common = COMMON_PART;
	}
	buf_fini(&c.body);
	buf_fini(&c.names);
	return common;
}

bool translate_leave_out(struct canonical *p)
{
	struct canonical high = *p;
	struct buf a = { 0 }, b = { 0 };
	bool ok = translate_stand_in(canonical_body(p), false, &a) &&
		  translate_stand_in(canonical_body(p), true, &b);

	if (ok) {
		high.body = b.data;
		high.body_len = b.len;
		canonical_set_body(p, a.data, a.len);
		ok = translate_common(p, &high) == COMMON_PART;
	}
	buf_fini(&a);
	buf_fini(&b);
	return ok;
}
