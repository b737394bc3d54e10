/* Functions that need no jq: what they only pick, rename, wrap and put beside constants is copied as text.
 *
 * When a file is loaded, their bodies become steps, where nothing else in the source could be meant; and a
 * call is done only where jq would give the same.  Errors, a key that an object has twice, a number that a
 * double changes and all that jq does not simply hand on are left to jq, message by message: a function has one
 * meaning, jq's.  What may differ is the spelling of a number: jq makes 1 of 1.0, here it stays as it came. */
#include "jq/mapping_inside.h"

#include <stdlib.h>

#include "base/mem.h"
#include "jq/jq_lex.h"
#include "message/vars.h"

#define MAX_PATH   8
#define MAX_NESTED 16  /* of what a function itself builds */
#define MAX_DEPTH  200 /* of a value: with it less than JTEXT_MAX_DEPTH_TAKEN */
#define MAX_TRIES  32
#define SLOTS	   8192 /* as many as 13 bits say */
#define SPREAD	   0x9e3779b97f4a7c15

struct step {
	/* Text that comes out, a value of the input that does, or one that is only looked for, since jq fails if
	 * there is no way to it. */
	enum { STEP_TEXT, STEP_VALUE, STEP_LOOK } type;
	size_t from, len; /* TEXT */
	struct path {
		size_t n;	     /* 0: the input itself */
		size_t at[MAX_PATH]; /* of its names */
		int key;	     /* the first of them; MAPPING_KEYS: there is none such */
	} path;
};
struct mapping_simple {
	struct simple_function {
		struct step *steps;
		size_t n;      /* 0: jq has to do it */
		unsigned sees; /* a bit for each key that it looks at */
		bool is_known;
	} * functions;
	size_t n;
	struct buf texts, names; /* the names with a NUL behind each */
	uint64_t n_passed;
	uint64_t seen[SLOTS]; /* is_new_key() */
};

/* --- calls --------------------------------------------------------------------------------- */

struct passing {
	struct mapping_simple *s;
	const char *p, *end, *from; /* from there on it is still to be put out, as it stands */
	struct buf *out;
	uint64_t n_objects;
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
static bool is_new_key(struct passing *c, uint64_t object, const char *key)
{
	uint64_t hash = (object + 1) * SPREAD, now = c->s->n_passed & 0xffff, *slot;

	for (; key < c->p; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3;
	hash = ((hash ^ hash >> 32) * SPREAD & ~(uint64_t)0xffff) | now;
	for (size_t i = 0; i < MAX_TRIES; i++) {
		slot = &c->s->seen[((hash >> 51) + i) % SLOTS];
		if ((*slot & 0xffff) != now) {
			*slot = hash;
			return true;
		}
		if (*slot == hash)
			return false;
	}
	return false;
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
					      is_new_key(c, object, start) && take(c, ':')))
				return false;
			if (!pass_value(c, depth + 1))
				return false;
		} while (take(c, ','));
		return take(c, close);
	}
	start = c->p;
	while (c->p < c->end && !strchr(" \t\r\n,]}", *c->p))
		c->p++;
	return c->p > start &&
	       (strchr("tfn", *start) ||
		jtext_number_is_kept((struct jslice){ start, (size_t)(c->p - start) }));
}

/* Append a value (strict) as jq would, but for its numbers. */
static bool pass_text(struct mapping_simple *s, struct jslice text, struct buf *out)
{
	struct passing c = { s, text.text, text.text + text.len, text.text, out, 0 };
	bool ok = ++s->n_passed && pass_value(&c, 0) && !take(&c, ' ') && c.p == c.end;

	buf_append(out, c.from, (size_t)(c.p - c.from));
	return ok;
}

/* False: jq would fail, or it is not for here. */
static bool look(const struct mapping_simple *s, const struct path *path,
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
		return pass_text(s, f->json, out);
	if (f->type != FIELD_TEXT || strchr(f->text, 0x7f))
		return false;
	jtext_put_string(out, f->text, strlen(f->text));
	return jtext_is_utf8(f->text, strlen(f->text));
}

bool mapping_simple_call(struct mapping_simple *s, int fn, const struct mapping_input *in,
			 struct buf *out)
{
	const struct simple_function *f = &s->functions[fn];
	size_t before = out->len;
	struct mapping_field found;
	bool ok = f->n > 0;

	for (const struct step *step = f->steps; ok && step < f->steps + f->n; step++)
		if (step->type == STEP_TEXT)
			buf_append(out, s->texts.data + step->from, step->len);
		else
			ok = look(s, &step->path, in, &found) &&
			     (step->type == STEP_LOOK || put_value(s, &found, out));
	ok = ok && out->len - before <= MAPPING_MAX_OUTPUT_BYTES;
	if (!ok)
		buf_cut(out, before);
	return ok;
}

/* --- what a function does ------------------------------------------------------------------ */

struct reader {
	const struct jq_token *t; /* all end with a ; and nothing takes that */
	struct mapping_simple *s;
	struct simple_function *f;
	size_t depth;
};

static bool take_sign(struct reader *r, const char *sign)
{
	bool ok = jq_token_is(r->t, JQ_SIGN, sign);

	r->t += ok;
	return ok;
}

static struct step *add_step(struct reader *r, struct step step)
{
	r->f->steps = mem_grow(r->f->steps, r->f->n, sizeof step);
	r->f->steps[r->f->n] = step;
	return &r->f->steps[r->f->n++];
}

static void add_text(struct reader *r, const char *text, size_t len)
{
	struct step *step = r->f->n ? &r->f->steps[r->f->n - 1] : NULL;

	if (!step || step->type != STEP_TEXT)
		step = add_step(r, (struct step){ STEP_TEXT, .from = r->s->texts.len });
	buf_append(&r->s->texts, text, len);
	step->len += len;
}

static bool add_name(struct reader *r, struct path *path, struct jq_token name)
{
	if (path->n == MAX_PATH || memchr(name.text, '\\', name.len) ||
	    !jtext_is_utf8(name.text, name.len))
		return false;
	path->at[path->n++] = r->s->names.len;
	buf_append(&r->s->names, name.text, name.len);
	buf_append(&r->s->names, "", 1);
	for (int k = path->n == 1 ? path->key = 0 : MAPPING_KEYS; k < MAPPING_KEYS; k++)
		path->key += path->key == k && !jq_token_is(&name, name.type, mapping_key_names[k]);
	r->f->sees |= 1u << path->key;
	return true;
}

static bool add_value(struct reader *r, const struct path *path)
{
	if (path->n > 0)
		add_step(r, (struct step){ STEP_VALUE, .path = *path });
	return path->n > 0;
}

/* .  .a.b  .["a"]  each maybe with a ?, since where it matters jq is asked. */
static bool read_path(struct reader *r, struct path path)
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

static bool read_pipe(struct reader *r, struct path at);
static bool read_term(struct reader *r, struct path at);

/* Behind its {; and its } */
static bool read_fields(struct reader *r, struct path at)
{
	for (const char *before = "\""; *before == '"' || take_sign(r, ","); before = ",\"") {
		struct jq_token key = *r->t++;
		struct path path = at;

		if (*before == '"' && jq_token_is(&key, JQ_SIGN, "}"))
			return true;
		if ((key.type != JQ_KEY && key.type != JQ_STRING) || !add_name(r, &path, key))
			return false;
		add_text(r, before, strlen(before));
		add_text(r, key.text, key.len);
		add_text(r, "\":", 2);
		if (!(take_sign(r, ":") ? read_term(r, at) : add_value(r, &path)))
			return false;
	}
	return take_sign(r, "}");
}

/* Constants need not be JSON yet: read_function(). */
static bool read_term(struct reader *r, struct path at)
{
	struct jq_token t = *r->t;
	size_t quote = t.type == JQ_STRING;
	bool ok = quote || t.type == JQ_NUMBER || t.type == JQ_WORD;

	if (t.type == JQ_FIELD)
		return read_path(r, at);
	if (++r->depth > MAX_NESTED)
		return false;
	r->t++;
	if (jq_token_is(&t, JQ_SIGN, "(")) {
		ok = read_pipe(r, at) && take_sign(r, ")");
	} else if (t.type == JQ_SIGN && strchr("{[", *t.text)) {
		add_text(r, t.text, 1);
		ok = *t.text == '{' ? read_fields(r, at)
				    : take_sign(r, "]") || (read_pipe(r, at) && take_sign(r, "]"));
		add_text(r, *t.text == '{' ? "}" : "]", 1);
	} else {
		add_text(r, t.text - quote, t.len + 2 * quote);
	}
	r->depth--;
	return ok;
}

/* a | b: `b` sees what `a` is, a path. */
static bool read_pipe(struct reader *r, struct path at)
{
	size_t before = r->f->n;
	struct step *step;

	for (; read_term(r, at); before++) {
		if (!take_sign(r, "|"))
			return true;
		step = &r->f->steps[before];
		if (r->f->n != before + 1 || step->type != STEP_VALUE)
			return false;
		step->type = STEP_LOOK;
		at = step->path;
	}
	return false;
}

/* `def NAME: ... ;`  A name that stands there twice is none of ours.  What it builds must be JSON, with each key once. */
static void read_function(struct mapping_simple *s, int fn, const struct jq_token *name,
			  const struct jq_token *end)
{
	struct simple_function *f = &s->functions[fn];
	struct reader r = { .t = name + 2, .s = s, .f = f };
	struct buf given = { 0 }, passed = { 0 };

	if (f->is_known || !jq_token_is(name + 1, JQ_SIGN, ":") ||
	    !read_pipe(&r, (struct path){ 0 }) || r.t != end ||
	    !mapping_simple_call(s, fn, &(struct mapping_input){ 0 }, &given) ||
	    !jtext_read(given.data, given.len, false, &passed, NULL) ||
	    !pass_text(s, (struct jslice){ given.data, given.len }, &passed))
		f->n = 0;
	f->is_known = true;
	buf_fini(&given);
	buf_fini(&passed);
}

struct mapping_simple *mapping_simple_read(const char *text, size_t len,
					   const struct mapping_symbols *functions)
{
	struct mapping_simple *s = mem_zalloc(sizeof *s);
	const struct jq_token *name = NULL;
	struct jq_source source;
	size_t n_open = 0;
	bool is_clear = true;

	s->n = functions->n;
	s->functions = mem_zalloc((s->n + 1) * sizeof *s->functions);
	jq_source_read(&source, text, len);
	/* What is included is not seen here. */
	for (size_t at = 0; is_clear && at < source.n; at++) {
		const struct jq_token *t = &source.tokens[at];

		is_clear = !jq_token_is(t, JQ_WORD, "include");
		if (t->depth == 0 && jq_token_is(t, JQ_WORD, "def") && n_open++ == 0)
			name = t + 1;
		if (t->depth > 0 || !jq_token_is(t, JQ_SIGN, ";") || n_open == 0 || --n_open > 0)
			continue;
		for (size_t i = 0; i < s->n; i++)
			if (jq_token_is(name, JQ_WORD, functions->items[i].name))
				read_function(s, (int)i, name, t);
	}
	jq_source_fini(&source);
	return s;
}

void mapping_simple_free(struct mapping_simple *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->functions[i].steps);
	free(s->functions);
	buf_fini(&s->texts);
	buf_fini(&s->names);
	free(s);
}

bool mapping_simple_has(const struct mapping_simple *s, int fn)
{
	return s->functions[fn].n > 0;
}

bool mapping_simple_sees(const struct mapping_simple *s, int fn, enum mapping_key key)
{
	return s->functions[fn].sees & 1u << key;
}
