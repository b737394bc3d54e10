#include "message/topic.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "message/vars.h"

#define TOPIC_MAX_BYTES 65535 /* MQTT 4.7.3 */

/* One level of a topic, filter or value: a borrowed piece of the text. */
struct piece {
	const char *text;
	size_t len;
};

/* Step to the next level: start with *at = the text; false after the last. */
static bool next_piece(const char **at, struct piece *out)
{
	if (!*at)
		return false;
	out->text = *at;
	out->len = (size_t)(strchrnul(*at, '/') - *at);
	*at = out->text[out->len] ? out->text + out->len + 1 : NULL;
	return true;
}

static bool piece_is(struct piece p, char c)
{
	return p.len == 1 && p.text[0] == c;
}

static bool pieces_equal(struct piece a, struct piece b)
{
	return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

static bool is_utf8(const char *s)
{
	return jtext_is_utf8(s, strlen(s));
}

bool topic_level_is_valid(const char *level)
{
	return *level && !strpbrk(level, "/+#") && is_utf8(level);
}

bool topic_name_is_valid(const char *topic)
{
	return *topic && !strpbrk(topic, "+#") && strlen(topic) <= TOPIC_MAX_BYTES &&
	       is_utf8(topic);
}

/* One or more levels, none of them empty. */
static bool are_levels_valid(const char *value)
{
	const char *at = value;
	struct piece p;

	while (next_piece(&at, &p))
		if (p.len == 0)
			return false;
	return !strpbrk(value, "+#") && is_utf8(value);
}

static bool can_stand_for(enum level_type type, const char *value)
{
	return type == LEVEL_REST ? are_levels_valid(value) : topic_level_is_valid(value);
}

/* Bytes of the variable name at `s`, 0 if there is none. */
static size_t name_length(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	size_t n = strspn(s, letters);

	while (n > 0 && (strchr(letters, s[n]) || (s[n] >= '0' && s[n] <= '9')) && s[n])
		n++;
	return n;
}

/* Templates */

static void add_level(struct topic_template *t, enum level_type type, const char *text, size_t len)
{
	t->levels = mem_grow(t->levels, t->n_levels, sizeof *t->levels);
	t->levels[t->n_levels++] = (struct topic_level){ type, mem_strndup(text, len), len };
}

static bool has_variable(const struct topic_template *t, const char *name, size_t len)
{
	for (size_t i = 0; i < t->n_levels; i++)
		if (t->levels[i].type != LEVEL_LITERAL && strlen(t->levels[i].text) == len &&
		    memcmp(t->levels[i].text, name, len) == 0)
			return true;
	return false;
}

/* Read one level; the reason if it cannot be one. */
static const char *parse_level(struct topic_template *t, struct piece p)
{
	const char *name = p.text + 1;
	size_t len, tail;

	if (memchr(p.text, '+', p.len) || memchr(p.text, '#', p.len))
		return "a wildcard; write {name} or {name...}";
	if (!memchr(p.text, '{', p.len) && !memchr(p.text, '}', p.len)) {
		add_level(t, LEVEL_LITERAL, p.text, p.len);
		return NULL;
	}
	if (p.text[0] != '{' || p.text[p.len - 1] != '}' || memchr(name, '{', p.len - 1) ||
	    memchr(p.text, '}', p.len - 1))
		return "a variable must be the whole level";
	len = name_length(name);
	tail = p.len - 2 - len;
	if (len == 0 || (tail != 0 && (tail != 3 || memcmp(name + len, "...", 3) != 0)))
		return "not a name of a variable";
	if (has_variable(t, name, len))
		return "the same variable again";
	if (tail && name[len + 4])
		return "{name...} must be the last level";
	add_level(t, tail ? LEVEL_REST : LEVEL_VARIABLE, name, len);
	return NULL;
}

bool topic_template_parse(struct topic_template *t, const char *text, struct err *e)
{
	const char *at = text, *wrong;
	struct piece p;

	*t = (struct topic_template){ 0 };
	if (!*text || strlen(text) > TOPIC_MAX_BYTES || !is_utf8(text)) {
		err_set(e, ERR_INVALID, !*text ? "empty" : "not a topic that MQTT can carry");
		return false;
	}
	while (next_piece(&at, &p)) {
		wrong = parse_level(t, p);
		if (wrong) {
			err_set(e, ERR_INVALID, "level %zu: %s", t->n_levels + 1, wrong);
			topic_template_fini(t);
			return false;
		}
	}
	return true;
}

void topic_template_fini(struct topic_template *t)
{
	for (size_t i = 0; i < t->n_levels; i++)
		free(t->levels[i].text);
	free(t->levels);
	*t = (struct topic_template){ 0 };
}

static void add_literals(struct topic_template *t, const char *levels)
{
	struct piece p;

	while (next_piece(&levels, &p))
		add_level(t, LEVEL_LITERAL, p.text, p.len);
}

bool topic_template_bind(struct topic_template *out, const struct topic_template *t,
			 const struct vars *known, struct err *e)
{
	*out = (struct topic_template){ 0 };
	for (size_t i = 0; i < t->n_levels; i++) {
		const struct topic_level *l = &t->levels[i];
		const char *value = l->type == LEVEL_LITERAL ? NULL : vars_get(known, l->text);

		if (!value) {
			add_level(out, l->type, l->text, strlen(l->text));
		} else if (can_stand_for(l->type, value)) {
			add_literals(out, value);
		} else {
			err_set(e, ERR_INVALID, "the value of {%s} cannot be a topic level",
				l->text);
			topic_template_fini(out);
			return false;
		}
	}
	return true;
}

void topic_template_text(const struct topic_template *t, struct buf *out)
{
	for (size_t i = 0; i < t->n_levels; i++) {
		const struct topic_level *l = &t->levels[i];
		const char *slash = i ? "/" : "";

		if (l->type == LEVEL_LITERAL)
			buf_printf(out, "%s%s", slash, l->text);
		else
			buf_printf(out, "%s{%s%s}", slash, l->text,
				   l->type == LEVEL_REST ? "..." : "");
	}
}

void topic_template_filter(const struct topic_template *t, struct buf *out)
{
	for (size_t i = 0; i < t->n_levels; i++) {
		const struct topic_level *l = &t->levels[i];

		if (i)
			buf_putc(out, '/');
		buf_puts(out, l->type == LEVEL_LITERAL	  ? l->text
			      : l->type == LEVEL_VARIABLE ? "+"
							  : "#");
	}
}

static bool matches(const struct topic_template *t, const char *topic)
{
	const char *at = topic;
	struct piece p;

	if (t->n_levels && t->levels[0].type != LEVEL_LITERAL && topic[0] == '$')
		return false; /* MQTT 4.7.2 */
	for (size_t i = 0; i < t->n_levels; i++) {
		const struct topic_level *l = &t->levels[i];

		if (!next_piece(&at, &p))
			return false;
		if (l->type == LEVEL_REST)
			return true;
		if (l->type == LEVEL_LITERAL && !pieces_equal(p, (struct piece){ l->text, l->len }))
			return false;
	}
	return !at;
}

/* Of a topic that matches. */
static size_t capture(const struct topic_template *t, const char *topic,
		      void (*f)(void *ctx, const char *name, const char *value, size_t len),
		      void *ctx)
{
	const char *at = topic;
	struct piece p;
	size_t n = 0;

	for (size_t i = 0; i < t->n_levels && next_piece(&at, &p); i++) {
		const struct topic_level *l = &t->levels[i];

		if (l->type == LEVEL_LITERAL)
			continue;
		f(ctx, l->text, p.text, l->type == LEVEL_REST ? strlen(p.text) : p.len);
		n++;
	}
	return n;
}

size_t topic_template_captures(const struct topic_template *t, const char *topic,
			       void (*f)(void *ctx, const char *name, const char *value,
					 size_t len),
			       void *ctx)
{
	return matches(t, topic) ? capture(t, topic, f, ctx) : 0;
}

struct sought {
	const char *name;
	char *found;
};

static void find_capture(void *ctx, const char *name, const char *text, size_t len)
{
	struct sought *s = ctx;

	if (strcmp(name, s->name) == 0)
		s->found = mem_strndup(text, len);
}

char *topic_template_capture(const struct topic_template *t, const char *topic, const char *name)
{
	struct sought s = { .name = name };

	topic_template_captures(t, topic, find_capture, &s);
	return s.found;
}

static void add_capture(void *ctx, const char *name, const char *text, size_t len)
{
	char *value = mem_strndup(text, len);

	vars_add(ctx, name, value);
	free(value);
}

bool topic_template_match(const struct topic_template *t, const char *topic, struct vars *captures)
{
	if (!matches(t, topic))
		return false;
	if (captures)
		capture(t, topic, add_capture, captures);
	return true;
}

/* Cut a buffer back to what it held. */
static void restore(struct buf *out, size_t len)
{
	out->len = len;
	if (out->data)
		out->data[len] = '\0';
}

/* The text of one level; NULL sets *e. */
static const char *level_value(const struct topic_level *l, bool is_first, template_lookup *lookup,
			       void *ctx, struct err *e)
{
	const char *value;

	if (l->type == LEVEL_LITERAL)
		return l->text;
	value = lookup(ctx, l->text);
	if (!value) {
		err_set(e, ERR_NOT_FOUND, "%s", l->text);
		return NULL;
	}
	/* A $-topic would not come back on the template's own filter (MQTT 4.7.2). */
	if (can_stand_for(l->type, value) && !(is_first && value[0] == '$'))
		return value;
	err_set(e, ERR_INVALID, "the value of {%s} cannot be a topic level", l->text);
	return NULL;
}

bool topic_template_expand(const struct topic_template *t, template_lookup *lookup, void *ctx,
			   struct buf *out, struct err *e)
{
	size_t was = out->len;

	for (size_t i = 0; i < t->n_levels; i++) {
		const char *value = level_value(&t->levels[i], i == 0, lookup, ctx, e);

		if (!value)
			goto undo;
		if (i)
			buf_putc(out, '/');
		buf_puts(out, value);
	}
	if (out->len - was <= TOPIC_MAX_BYTES)
		return true;
	err_set(e, ERR_INVALID, "the topic is longer than %d bytes", TOPIC_MAX_BYTES);
undo:
	restore(out, was);
	return false;
}

static bool starts_with_dollar(const struct topic_level *l)
{
	return l->type == LEVEL_LITERAL && l->text[0] == '$';
}

bool topic_template_has(const struct topic_template *t, const char *name)
{
	for (size_t i = 0; i < t->n_levels; i++)
		if (t->levels[i].type != LEVEL_LITERAL && strcmp(t->levels[i].text, name) == 0)
			return true;
	return false;
}

bool topic_template_equal(const struct topic_template *a, const struct topic_template *b)
{
	if (a->n_levels != b->n_levels)
		return false;
	for (size_t i = 0; i < a->n_levels; i++)
		if (a->levels[i].type != b->levels[i].type ||
		    strcmp(a->levels[i].text, b->levels[i].text) != 0)
			return false;
	return true;
}

enum topic_relation topic_template_compare(const struct topic_template *a,
					   const struct topic_template *b)
{
	bool a_more = false, b_more = false;
	size_t i;

	for (i = 0; i < a->n_levels && i < b->n_levels; i++) {
		const struct topic_level *x = &a->levels[i], *y = &b->levels[i];

		if (x->type == LEVEL_LITERAL && y->type == LEVEL_LITERAL &&
		    strcmp(x->text, y->text) != 0)
			return TOPIC_DISJOINT;
		if (i == 0 && starts_with_dollar(x) != starts_with_dollar(y))
			return TOPIC_DISJOINT; /* MQTT 4.7.2 */
		a_more |= x->type < y->type;
		b_more |= x->type > y->type;
		if (x->type == LEVEL_REST || y->type == LEVEL_REST)
			goto out; /* it takes whatever is left of the other */
	}
	if (a->n_levels != b->n_levels)
		return TOPIC_DISJOINT;
out:
	if (a_more && b_more)
		return TOPIC_AMBIGUOUS;
	return a_more ? TOPIC_MORE_SPECIFIC : b_more ? TOPIC_LESS_SPECIFIC : TOPIC_SAME;
}

/* Filters */

static bool is_wildcard(struct piece p)
{
	return piece_is(p, '+') || piece_is(p, '#');
}

/* "#" and "+/#" match the same topics; with one spelling the comparisons need no special case. */
static const char *spelled_out(const char *filter)
{
	return strcmp(filter, "#") == 0 ? "+/#" : filter;
}

bool topic_filter_is_valid(const char *filter)
{
	const char *at = filter;
	struct piece p;

	while (next_piece(&at, &p))
		if ((piece_is(p, '#') && at) ||
		    (!is_wildcard(p) && (memchr(p.text, '+', p.len) || memchr(p.text, '#', p.len))))
			return false;
	return *filter;
}

bool topic_filter_covers(const char *a, const char *b)
{
	const char *at_a = spelled_out(a), *at_b = spelled_out(b);
	struct piece p, q;

	if (*b == '$' && (*a == '+' || *a == '#'))
		return false; /* MQTT 4.7.2 */
	while (next_piece(&at_a, &p)) {
		if (piece_is(p, '#'))
			return true; /* its parent too: MQTT 4.7.1.2 */
		if (!next_piece(&at_b, &q) || piece_is(q, '#'))
			return false;
		if (!piece_is(p, '+') && !pieces_equal(p, q))
			return false;
	}
	return !at_b;
}

bool topic_filter_overlaps(const char *a, const char *b)
{
	const char *at_a = spelled_out(a), *at_b = spelled_out(b);
	struct piece p, q;

	if ((*a == '$' && (*b == '+' || *b == '#')) || (*b == '$' && (*a == '+' || *a == '#')))
		return false; /* MQTT 4.7.2 */
	for (;;) {
		bool has_p = next_piece(&at_a, &p), has_q = next_piece(&at_b, &q);

		if ((has_p && piece_is(p, '#')) || (has_q && piece_is(q, '#')))
			return true;
		if (!has_p || !has_q)
			return has_p == has_q;
		if (!is_wildcard(p) && !is_wildcard(q) && !pieces_equal(p, q))
			return false;
	}
}

/* Text templates */

/* The first variable at or after `at`: its brace, and the length of its name. */
static const char *find_variable(const char *at, size_t *len)
{
	for (at = strchr(at, '{'); at; at = strchr(at + 1, '{')) {
		*len = name_length(at + 1);
		if (*len && at[1 + *len] == '}')
			return at;
	}
	return NULL;
}

bool text_template_next(const char *text, size_t *pos, struct buf *name)
{
	size_t len;
	const char *brace = find_variable(text + *pos, &len);

	if (!brace)
		return false;
	buf_append(name, brace + 1, len);
	*pos = (size_t)(brace - text) + len + 2;
	return true;
}

bool text_template_has(const char *text, const char *name)
{
	size_t len;

	for (const char *at = find_variable(text, &len); at; at = find_variable(at + 1, &len))
		if (strlen(name) == len && memcmp(at + 1, name, len) == 0)
			return true;
	return false;
}

bool text_template_expand(const char *text, template_lookup *lookup, void *ctx, struct buf *out,
			  struct err *e)
{
	struct buf name = { 0 };
	size_t was = out->len, pos = 0, from = 0;
	bool ok = false;

	while (text_template_next(text, &pos, &name)) {
		const char *value = lookup(ctx, name.data);

		if (!value) {
			err_set(e, ERR_NOT_FOUND, "%s", name.data);
			restore(out, was);
			goto out;
		}
		buf_append(out, text + from, pos - from - name.len - 2);
		buf_puts(out, value);
		from = pos;
		buf_reset(&name);
	}
	buf_puts(out, text + from);
	ok = true;
out:
	buf_fini(&name);
	return ok;
}
