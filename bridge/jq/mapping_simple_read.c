/* What functions that need no jq are made of: their sources, read into steps (mapping_simple.c).
 *
 * Paths, pipes of them, objects, arrays of one, constants; `if` a path; calls of functions of the file, read where they
 * are called; and wire::flat.  What is anything else is jq's: the function, or that branch of an `if`. */
#include "jq/mapping_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jq/jq_lex.h"

#define MAX_NESTED 16 /* of what a function itself builds, and calls */
#define MAX_KEYS   64 /* of one object that it builds */
/* What wire.jq says of `flat`, as mapping_simple.c does it. */
#define FLAT_SUM 0xe9ade322432e0b45

/* Of a definition that stands in no other: from its name to the ; behind it. */
struct definition {
	const struct jq_token *name, *end;
};
struct definitions {
	struct definition *items;
	size_t n;
};

struct reader {
	const struct jq_token *t; /* all end with a ; and nothing takes that */
	const struct definitions *all;
	bool has_flat; /* `wire::flat` is what mapping_simple.c does */
	struct mapping_simple *s;
	struct simple_function *f;
	size_t label; /* steps before this one may not be the last of all that come here */
	size_t depth, n_arrays; /* that it is in */
};

static bool take_sign(struct reader *r, const char *sign)
{
	bool ok = jq_token_is(r->t, JQ_SIGN, sign);

	r->t += ok;
	return ok;
}

static bool take_word(struct reader *r, const char *word)
{
	bool ok = jq_token_is(r->t, JQ_WORD, word);

	r->t += ok;
	return ok;
}

/* --- steps --------------------------------------------------------------------------------- */

static struct simple_step *add_step(struct reader *r, struct simple_step step)
{
	r->f->steps = mem_grow(r->f->steps, r->f->n, sizeof step);
	r->f->steps[r->f->n] = step;
	return &r->f->steps[r->f->n++];
}

static void add_text(struct reader *r, const char *text, size_t len)
{
	struct simple_step *step = r->f->n > r->label ? &r->f->steps[r->f->n - 1] : NULL;

	if (!step || step->type != SIMPLE_TEXT)
		step = add_step(r, (struct simple_step){ SIMPLE_TEXT, .from = r->s->texts.len });
	buf_append(&r->s->texts, text, len);
	step->len += len;
}

/* A constant, or what quotes make one of.  False: it is not JSON, or jq would spell it otherwise. */
static bool add_constant(struct reader *r, const char *quote, struct jq_token t)
{
	struct buf given = { 0 }, passed = { 0 };
	bool ok;

	buf_puts(&given, quote);
	buf_append(&given, t.text, t.len);
	buf_puts(&given, quote);
	ok = jtext_read(given.data, given.len, false, &passed, NULL);
	buf_reset(&passed);
	ok = ok && mapping_simple_pass(r->s, (struct jslice){ given.data, given.len }, &passed);
	if (ok)
		add_text(r, given.data, given.len);
	buf_fini(&given);
	buf_fini(&passed);
	return ok;
}

static bool add_name(struct reader *r, struct simple_path *path, struct jq_token name)
{
	if (path->n == SIMPLE_MAX_PATH || memchr(name.text, '\\', name.len) ||
	    !jtext_is_utf8(name.text, name.len))
		return false;
	path->at[path->n++] = r->s->names.len;
	buf_append(&r->s->names, name.text, name.len);
	buf_append(&r->s->names, "", 1);
	for (int k = path->n == 1 ? path->key = 0 : MAPPING_KEYS; k < MAPPING_KEYS; k++)
		path->key += path->key == k && !jq_token_is(&name, name.type, mapping_key_names[k]);
	return true;
}

static bool add_value(struct reader *r, const struct simple_path *path)
{
	if (path->n > 0)
		add_step(r, (struct simple_step){ SIMPLE_VALUE, .path = *path });
	return path->n > 0;
}

/* --- expressions --------------------------------------------------------------------------- */

/* .  .a.b  .["a"]  each maybe with a ?, since where it matters jq is asked. */
static bool read_path(struct reader *r, struct simple_path path)
{
	const struct jq_token *start = r->t;

	while (r->t->type == JQ_FIELD || (r->t > start && jq_token_is(r->t, JQ_SIGN, "["))) {
		struct jq_token name = *r->t++;

		if (jq_token_is(&name, JQ_FIELD, "."))
			continue;
		if (name.type == JQ_FIELD)
			name.text++, name.len--;
		else if ((name = *r->t++).type != JQ_STRING || !take_sign(r, "]"))
			return false;
		if (*name.text == '.' || !add_name(r, &path, name))
			return false;
		take_sign(r, "?");
	}
	return add_value(r, &path);
}

static bool read_pipe(struct reader *r, struct simple_path at);
static bool read_term(struct reader *r, struct simple_path at);

/* Is there a key twice?  All are spelled in the one way that there is. */
static bool is_new_key(const struct jq_token *keys, size_t n, const struct jq_token *key)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].len == key->len && memcmp(keys[i].text, key->text, key->len) == 0)
			return false;
	return n < MAX_KEYS;
}

/* Behind its {; and its } */
static bool read_fields(struct reader *r, struct simple_path at)
{
	struct jq_token keys[MAX_KEYS];
	size_t n = 0;

	do {
		struct jq_token key = *r->t++;
		struct simple_path path = at;

		if (n == 0 && jq_token_is(&key, JQ_SIGN, "}"))
			return true;
		if ((key.type != JQ_KEY && key.type != JQ_STRING) || !add_name(r, &path, key) ||
		    !is_new_key(keys, n, &key))
			return false;
		keys[n++] = key;
		add_text(r, ",", n > 1);
		if (!add_constant(r, "\"", key))
			return false;
		add_text(r, ":", 1);
		if (!(take_sign(r, ":") ? read_term(r, at) : add_value(r, &path)))
			return false;
	} while (take_sign(r, ","));
	return take_sign(r, "}");
}

/* To the word, behind it: `else` of an `if` that is read, or its `end`.  False: there are more branches. */
static bool skip_branch(struct reader *r, const char *word)
{
	size_t depth = r->t->depth - (strcmp(word, "end") == 0);

	while (!(r->t->depth == depth && jq_token_is(r->t, JQ_WORD, word))) {
		if ((r->t->depth == depth && jq_token_is(r->t, JQ_WORD, "elif")) ||
		    (r->t->depth == 0 && jq_token_is(r->t, JQ_SIGN, ";")))
			return false;
		r->t++;
	}
	r->t++;
	return true;
}

/* False: it is jq's. */
static bool read_branch(struct reader *r, struct simple_path at, const char *word)
{
	const struct jq_token *start = r->t;
	size_t before = r->f->n;

	r->label = before;
	if (read_pipe(r, at) && take_word(r, word))
		return true;
	r->f->n = before;
	r->t = start;
	add_step(r, (struct simple_step){ .type = SIMPLE_JQ });
	return false;
}

/* Behind `if`; and its `end` */
static bool read_if(struct reader *r, struct simple_path at)
{
	size_t condition = r->f->n, leap;
	bool ok, other_ok;

	if (!read_path(r, at) || !take_word(r, "then"))
		return false;
	r->f->steps[condition].type = SIMPLE_IF;
	ok = read_branch(r, at, "else");
	if (!ok && !skip_branch(r, "else"))
		return false;
	leap = r->f->n;
	add_step(r, (struct simple_step){ .type = SIMPLE_SKIP });
	r->f->steps[condition].n_skipped = leap - condition;
	other_ok = read_branch(r, at, "end");
	if (!other_ok && !skip_branch(r, "end"))
		return false;
	r->f->steps[leap].n_skipped = r->f->n - leap - 1;
	r->label = r->f->n;
	return ok || other_ok;
}

/* Of this name, and without arguments: the one that there is; NULL: there is none, or another one. */
static const struct definition *find(const struct definitions *all, const char *name, size_t len)
{
	const struct definition *found = NULL;

	for (size_t i = 0; i < all->n; i++) {
		const struct definition *d = &all->items[i];

		if (d->name->len != len || memcmp(d->name->text, name, len) != 0 ||
		    !jq_token_is(d->name + 1, JQ_SIGN, ":"))
			continue;
		if (found)
			return NULL;
		found = d;
	}
	return found;
}

/* Its body stands where its name does. */
static bool read_call(struct reader *r, const struct definition *d, struct simple_path at)
{
	const struct jq_token *behind = r->t + 1;
	bool ok;

	r->t = d->name + 2;
	ok = read_pipe(r, at) && r->t == d->end;
	r->t = behind;
	return ok;
}

static bool read_flat(struct reader *r, struct simple_path at)
{
	r->t++;
	if (at.n > 0)
		add_step(r, (struct simple_step){ SIMPLE_FLAT, .path = at });
	return at.n > 0;
}

static bool read_word(struct reader *r, struct simple_path at)
{
	struct jq_token t = *r->t;
	const struct definition *called;

	if (r->has_flat && jq_token_is(&t, JQ_WORD, "wire::flat"))
		return read_flat(r, at);
	if (take_word(r, "if"))
		return read_if(r, at);
	if (add_constant(r, "", t)) {
		r->t++;
		return true;
	}
	called = find(r->all, t.text, t.len);
	/* One that stands behind it is not meant. */
	return called && called->end < r->t && read_call(r, called, at);
}

static bool read_array(struct reader *r, struct simple_path at)
{
	bool ok;

	r->n_arrays++;
	add_text(r, "[", 1);
	ok = take_sign(r, "]") || (read_pipe(r, at) && take_sign(r, "]"));
	add_text(r, "]", 1);
	r->n_arrays--;
	return ok;
}

static bool read_object(struct reader *r, struct simple_path at)
{
	bool ok;

	add_text(r, "{", 1);
	ok = read_fields(r, at);
	add_text(r, "}", 1);
	return ok;
}

static bool read_nested(struct reader *r, struct simple_path at)
{
	struct jq_token t = *r->t;

	if (t.type == JQ_WORD)
		return read_word(r, at);
	r->t++;
	if (t.type == JQ_STRING || t.type == JQ_NUMBER)
		return add_constant(r, t.type == JQ_STRING ? "\"" : "", t);
	if (jq_token_is(&t, JQ_SIGN, "("))
		return read_pipe(r, at) && take_sign(r, ")");
	if (jq_token_is(&t, JQ_SIGN, "["))
		return read_array(r, at);
	return jq_token_is(&t, JQ_SIGN, "{") && read_object(r, at);
}

static bool read_term(struct reader *r, struct simple_path at)
{
	bool ok;

	if (r->t->type == JQ_FIELD)
		return read_path(r, at);
	ok = ++r->depth <= MAX_NESTED && read_nested(r, at);
	r->depth--;
	return ok;
}

/* select(. != {})  behind what is flat; but where it yields nothing, an array is empty */
static bool read_some(struct reader *r, struct simple_step *flat)
{
	const struct jq_token select = { .type = JQ_WORD, .text = "select", .len = 6 };

	for (size_t i = 0; i < r->all->n; i++)
		if (jq_token_is(r->all->items[i].name, JQ_WORD, select.text))
			return false;
	flat->needs_some = true;
	return r->n_arrays == 0 && take_word(r, select.text) && take_sign(r, "(") &&
	       jq_token_is(r->t++, JQ_FIELD, ".") && take_sign(r, "!=") && take_sign(r, "{") &&
	       take_sign(r, "}") && take_sign(r, ")");
}

/* a | b: `b` sees what `a` is, a path. */
static bool read_pipe(struct reader *r, struct simple_path at)
{
	size_t before = r->f->n;
	struct simple_step *step;

	for (; read_term(r, at); before++) {
		if (!take_sign(r, "|"))
			return true;
		step = &r->f->steps[before];
		if (r->f->n != before + 1)
			return false;
		if (step->type == SIMPLE_FLAT)
			return read_some(r, step);
		if (step->type != SIMPLE_VALUE)
			return false;
		step->type = SIMPLE_LOOK;
		at = step->path;
	}
	return false;
}

/* --- files --------------------------------------------------------------------------------- */

/* The definitions that stand in no other; all of them, also those with arguments. */
static struct definitions find_definitions(const struct jq_source *source)
{
	struct definitions all = { 0 };
	const struct jq_token *name = NULL;
	size_t n_open = 0;

	for (size_t at = 0; at < source->n; at++) {
		const struct jq_token *t = &source->tokens[at];

		if (t->depth == 0 && jq_token_is(t, JQ_WORD, "def") && n_open++ == 0)
			name = t + 1;
		if (t->depth > 0 || !jq_token_is(t, JQ_SIGN, ";") || n_open == 0 || --n_open > 0)
			continue;
		all.items = mem_grow(all.items, all.n, sizeof *all.items);
		all.items[all.n++] = (struct definition){ name, t };
	}
	return all;
}

/* What is included is not seen here. */
static bool is_whole(const struct jq_source *source)
{
	for (size_t at = 0; at < source->n; at++)
		if (jq_token_is(&source->tokens[at], JQ_WORD, "include"))
			return false;
	return true;
}

/* import "wire" as wire;  and nothing else of that name */
static bool imports_wire(const struct jq_source *source)
{
	size_t n = 0;
	bool ok = false;

	for (size_t at = 0; at + 4 < source->n; at++) {
		const struct jq_token *t = &source->tokens[at];

		if (!jq_token_is(t, JQ_WORD, "import") || !jq_token_is(t + 2, JQ_WORD, "as") ||
		    !jq_token_is(t + 3, JQ_WORD, "wire"))
			continue;
		n++;
		ok = jq_token_is(t + 1, JQ_STRING, "wire") && jq_token_is(t + 4, JQ_SIGN, ";");
	}
	return ok && n == 1;
}

static void read_function(struct reader r, const char *name)
{
	const struct definition *found = find(r.all, name, strlen(name));

	if (!found)
		return;
	r.t = found->name + 2;
	if (!read_pipe(&r, (struct simple_path){ 0 }) || r.t != found->end)
		r.f->n = 0;
}

struct mapping_simple *mapping_simple_read(const char *text, size_t len,
					   const struct mapping_symbols *functions, bool knows_flat)
{
	struct mapping_simple *s = mem_zalloc(sizeof *s);
	struct definitions all;
	struct jq_source source;

	s->n = functions->n;
	s->functions = mem_zalloc((s->n + 1) * sizeof *s->functions);
	jq_source_read(&source, text, len);
	all = find_definitions(&source);
	for (size_t i = 0; i < s->n && is_whole(&source); i++)
		read_function((struct reader){ .all = &all,
					       .has_flat = knows_flat && imports_wire(&source),
					       .s = s,
					       .f = &s->functions[i] },
			      functions->items[i].name);
	free(all.items);
	jq_source_fini(&source);
	return s;
}

/* May one of its words mean another function of this file? */
static bool is_of_builtins(const struct definition *d, const struct definitions *all)
{
	for (const struct jq_token *t = d->name + 1; t <= d->end; t++)
		for (size_t i = 0; i < all->n; i++)
			if (t->type == JQ_WORD && all->items[i].name->len == t->len &&
			    memcmp(all->items[i].name->text, t->text, t->len) == 0)
				return false;
	return true;
}

/* FNV-1a of its words. */
static uint64_t sum_of(const struct definition *d)
{
	uint64_t sum = 0xcbf29ce484222325;

	for (const struct jq_token *t = d->name; t <= d->end; t++)
		for (size_t i = 0; i <= t->len; i++)
			sum = (sum ^ (i < t->len ? (unsigned char)t->text[i] : t->type)) *
			      0x100000001b3;
	return sum;
}

bool mapping_simple_knows_flat(const char *text, size_t len)
{
	struct jq_source source;
	struct definitions all;
	size_t n = 0;
	bool ok = false;

	jq_source_read(&source, text, len);
	all = find_definitions(&source);
	for (size_t i = 0; i < all.n; i++)
		if (jq_token_is(all.items[i].name, JQ_WORD, "flat")) {
			n++;
			ok = sum_of(&all.items[i]) == FLAT_SUM &&
			     is_of_builtins(&all.items[i], &all);
		}
	ok = ok && n == 1 && is_whole(&source);
	free(all.items);
	jq_source_fini(&source);
	return ok;
}

void mapping_simple_free(struct mapping_simple *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->functions[i].steps);
	free(s->functions);
	buf_fini(&s->texts);
	buf_fini(&s->names);
	buf_fini(&s->prefix);
	buf_fini(&s->told);
	free(s);
}
