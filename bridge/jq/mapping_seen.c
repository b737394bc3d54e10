/* mapping_seen.c -- which keys of its input a function can see, told from the source when the file is loaded.
 *
 * The body is walked along as far as the input itself comes: each walk_...() is about an expression whose `.` is the
 * input, and says whether that may come out of it again.  What stands behind a `|` of which it does not come out is of
 * no interest.  Where the input goes another way than those known here (into a value, a variable, a function that is
 * not of this file), and where the source is anything else than what is expected, the function sees all.  A key that
 * is named for nothing costs time; one that is missing would be a fault. */
#include "jq/mapping_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "jq/jq_lex.h"

#define MAX_WALKS  400 /* of one function */
#define MAX_PARAMS 4
#define ALL	   ((1u << MAPPING_KEYS) - 1)

_Static_assert(MAPPING_KEYS < 32, "a bit for each");

struct span {
	const struct jq_token *from, *to;
};

/* What the parameters of a function stand for. */
struct scope {
	struct jq_token names[MAX_PARAMS];
	struct span args[MAX_PARAMS];
	const struct scope *theirs; /* where these stand */
	size_t n;
};

struct walker {
	const struct jq_source *source;
	uint32_t seen;
	unsigned n_walks;
};

static bool walk(struct walker *w, struct span s, const struct scope *scope);

/* Always: it does not come out, since all is known already. */
static bool escape(struct walker *w)
{
	w->seen = ALL;
	return false;
}

/* A use that hands the input on. */
static void use(struct walker *w, bool is_input)
{
	if (is_input)
		escape(w);
}

static bool is_word(const struct jq_token *t, const char *text)
{
	return jq_token_is(t, JQ_WORD, text);
}

static bool is_sign(const struct jq_token *t, const char *text)
{
	return jq_token_is(t, JQ_SIGN, text);
}

static void see(struct walker *w, const char *name, size_t len)
{
	if (memchr(name, '\\', len))
		escape(w);
	for (int k = 0; k < MAPPING_KEYS; k++)
		if (strlen(mapping_key_names[k]) == len &&
		    memcmp(mapping_key_names[k], name, len) == 0)
			w->seen |= 1u << k;
}

/* The first of these in the span that stands as deep as `depth`; s.to: there is none. */
static const struct jq_token *find(struct span s, size_t depth,
				   bool (*is_it)(const struct jq_token *t))
{
	while (s.from < s.to && !(s.from->depth == depth && is_it(s.from)))
		s.from++;
	return s.from;
}

static bool is_pipe(const struct jq_token *t)
{
	return is_sign(t, "|");
}

static bool is_as(const struct jq_token *t)
{
	return is_word(t, "as");
}

static bool is_comma(const struct jq_token *t)
{
	return is_sign(t, ",");
}

static bool is_colon(const struct jq_token *t)
{
	return is_sign(t, ":");
}

static bool is_semicolon(const struct jq_token *t)
{
	return is_sign(t, ";");
}

static bool is_close(const struct jq_token *t)
{
	return t->type == JQ_SIGN && t->len == 1 && strchr(")]}", *t->text);
}

static bool is_branch(const struct jq_token *t)
{
	return is_word(t, "then") || is_word(t, "elif") || is_word(t, "else");
}

static bool is_assignment(const struct jq_token *t)
{
	static const char *const signs[] = { "=", "|=", "+=", "-=", "*=", "/=", "%=", "//=" };

	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (is_sign(t, signs[i]))
			return true;
	return false;
}

static bool is_operator(const struct jq_token *t)
{
	static const char *const signs[] = { "+",  "-", "*",  "/", "%",	 "==",
					     "!=", "<", "<=", ">", ">=", "//" };

	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (is_sign(t, signs[i]))
			return true;
	return is_word(t, "and") || is_word(t, "or");
}

/* What is inside of the bracket at s->from, which becomes the token behind its end.  False: it has none. */
static bool enter(struct span *s, struct span *inside)
{
	const struct jq_token *end =
		find((struct span){ s->from + 1, s->to }, s->from->depth, is_close);

	if (end == s->to)
		return false;
	*inside = (struct span){ s->from + 1, end };
	s->from = end + 1;
	return true;
}

/* The part of *s up to the next separator, behind which *s begins then.  False: there is none. */
static bool next_part(struct span *s, bool (*is_separator)(const struct jq_token *t),
		      struct span *part)
{
	const struct jq_token *end;

	if (s->from >= s->to)
		return false;
	end = find(*s, s->from->depth, is_separator);
	*part = (struct span){ s->from, end };
	s->from = end < s->to ? end + 1 : end;
	return true;
}

/* --- terms --------------------------------------------------------------------------------- */

/* A text with \( ) in it, s->from is its first piece. */
static void walk_pieces(struct walker *w, struct span *s, const struct scope *scope)
{
	struct span inside;

	for (s->from++; s->from < s->to && is_sign(s->from, "("); s->from++) {
		if (!enter(s, &inside) || s->from == s->to || s->from->type != JQ_PIECE) {
			escape(w);
			return;
		}
		use(w, walk(w, inside, scope));
	}
}

static void walk_key(struct walker *w, struct span key, const struct scope *scope)
{
	struct span inside;

	if (key.from == key.to)
		escape(w);
	else if (is_sign(key.from, "(") && enter(&key, &inside))
		use(w, walk(w, inside, scope));
	else if (key.from->type == JQ_KEY || key.from->type == JQ_STRING)
		key.from++;
	else if (is_sign(key.from, "$"))
		key.from += 2;
	if (key.from != key.to)
		escape(w);
}

static void walk_object(struct walker *w, struct span members, const struct scope *scope)
{
	struct span part;

	while (next_part(&members, is_comma, &part)) {
		const struct jq_token *t = part.from,
				      *colon = find(part, part.from->depth, is_colon);

		if (colon < part.to) {
			walk_key(w, (struct span){ part.from, colon }, scope);
			use(w, walk(w, (struct span){ colon + 1, part.to }, scope));
		} else if (t + 1 == part.to && (t->type == JQ_KEY || t->type == JQ_STRING)) {
			see(w, t->text, t->len);
		} else if (!(t + 2 == part.to && is_sign(t, "$"))) {
			escape(w);
		}
	}
}

/* s->from is `if`; then what is behind its `end`. */
static bool walk_if(struct walker *w, struct span *s, const struct scope *scope)
{
	size_t depth = s->from->depth;
	struct span left = { s->from + 1, s->from + 1 };
	bool comes_out = false, is_condition = true, has_else = false;

	while (left.to < s->to && !(left.to->depth == depth && is_word(left.to, "end")))
		left.to++;
	if (left.to == s->to)
		return escape(w);
	s->from = left.to + 1;
	while (left.from <= left.to) {
		const struct jq_token *end = find(left, depth + 1, is_branch);
		bool is_input = walk(w, (struct span){ left.from, end }, scope);

		comes_out = comes_out || (is_input && !is_condition);
		is_condition = end < left.to && is_word(end, "elif");
		has_else = has_else || (end < left.to && is_word(end, "else"));
		left.from = end + 1;
	}
	return comes_out || !has_else;
}

/* --- calls */

static bool is_param_of(const struct scope *scope, const struct jq_token *name, size_t *i)
{
	for (*i = 0; scope && *i < scope->n; ++*i)
		if (scope->names[*i].len == name->len &&
		    memcmp(scope->names[*i].text, name->text, name->len) == 0)
			return true;
	return false;
}

/* The function of the file by that name, behind its `def`; NULL: there is none.  Several, and one that comes later, are
 * more than is looked into: *is_clear is false. */
static const struct jq_token *find_function(const struct walker *w, const struct jq_token *name,
					    const struct jq_token *before, bool *is_clear)
{
	const struct jq_token *found = NULL, *end = w->source->tokens + w->source->n;

	*is_clear = true;
	for (const struct jq_token *t = w->source->tokens; t + 1 < end; t++) {
		if (!is_word(t, "def") || t[1].len != name->len ||
		    memcmp(t[1].text, name->text, name->len) != 0)
			continue;
		*is_clear = *is_clear && !found && t->depth == 0 && t < before;
		found = t + 1;
	}
	return found;
}

/* Behind the : of a function, up to its ; (which a function in it has, too). */
static struct span body_of(const struct walker *w, const struct jq_token *from)
{
	const struct jq_token *end = w->source->tokens + w->source->n, *t = from;

	for (size_t n_open = 1; t < end; t++) {
		n_open += is_word(t, "def");
		n_open -= t->depth == from->depth && is_semicolon(t);
		if (n_open == 0)
			break;
	}
	return (struct span){ from, t };
}

/* One that has parameters: their names.  False: they are not as expected.  *at is behind them then. */
static bool read_params(const struct jq_token **at, const struct jq_token *end, struct scope *inner)
{
	struct span s = { *at, end }, params, part;

	if (s.from == end || !is_sign(s.from, "("))
		return true;
	if (!enter(&s, &params))
		return false;
	while (next_part(&params, is_semicolon, &part)) {
		if (inner->n == MAX_PARAMS || part.to != part.from + 1 ||
		    part.from->type != JQ_WORD)
			return false;
		inner->names[inner->n++] = *part.from;
	}
	*at = s.from;
	return true;
}

/* `name` is behind a `def`. */
static bool walk_function(struct walker *w, const struct jq_token *name, struct span args,
			  const struct scope *scope)
{
	const struct jq_token *end = w->source->tokens + w->source->n, *t = name + 1;
	struct scope inner = { .theirs = scope };
	struct span part;
	size_t n = 0;

	if (!read_params(&t, end, &inner) || t == end || !is_sign(t, ":") || t + 1 == end)
		return escape(w);
	for (; n < inner.n && next_part(&args, is_semicolon, &part); n++)
		inner.args[n] = part;
	if (n < inner.n || args.from < args.to)
		return escape(w);
	return walk(w, body_of(w, t + 1), &inner);
}

/* Those of jq of which it is known what they see. */
static bool walk_builtin(struct walker *w, const struct jq_token *name, struct span args,
			 const struct scope *scope)
{
	bool has_args = args.from < args.to;

	if (!has_args)
		return !(is_word(name, "empty") || is_word(name, "true") ||
			 is_word(name, "false") || is_word(name, "null")) &&
		       escape(w);
	if (find(args, args.from->depth, is_semicolon) < args.to)
		return escape(w);
	if (is_word(name, "select")) {
		walk(w, args, scope);
		return true;
	}
	if (is_word(name, "has") && args.from + 1 == args.to && args.from->type == JQ_STRING) {
		see(w, args.from->text, args.from->len);
		return false;
	}
	if (!is_word(name, "error") && !is_word(name, "del"))
		return escape(w);
	use(w, walk(w, args, scope));
	return is_word(name, "del");
}

/* s->from is its name. */
static bool walk_call(struct walker *w, struct span *s, const struct scope *scope)
{
	static const char *const keywords[] = { "def",	 "reduce", "foreach", "label",	 "try",
						"catch", "import", "include", "__loc__", "as" };
	const struct jq_token *name = s->from++, *function;
	struct span args = { s->from, s->from };
	bool is_clear;
	size_t i;

	for (i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
		if (is_word(name, keywords[i]))
			return escape(w);
	if (s->from < s->to && is_sign(s->from, "(") && !enter(s, &args))
		return escape(w);
	if (is_param_of(scope, name, &i))
		return args.from < args.to ? escape(w) : walk(w, scope->args[i], scope->theirs);
	function = find_function(w, name, name, &is_clear);
	if (!is_clear)
		return escape(w);
	return function ? walk_function(w, function, args, scope)
			: walk_builtin(w, name, args, scope);
}

/* --- one term and what is behind it */

/* [ ] behind a value, which is the input or not. */
static bool walk_index(struct walker *w, struct span *s, bool is_input, const struct scope *scope)
{
	struct span inside, part;

	if (!enter(s, &inside))
		return escape(w);
	if (is_input) {
		if (inside.from + 1 != inside.to || inside.from->type != JQ_STRING)
			return escape(w);
		see(w, inside.from->text, inside.from->len);
		return false;
	}
	if (inside.from < inside.to && is_colon(inside.from))
		inside.from++;
	while (next_part(&inside, is_colon, &part))
		use(w, walk(w, part, scope));
	return false;
}

static bool walk_field(struct walker *w, struct span *s, bool is_input)
{
	const struct jq_token *t = s->from++;

	if (t->len > 1 && t->text[1] != '.') {
		if (is_input)
			see(w, t->text + 1, t->len - 1);
		return false;
	}
	return t->len == 1 ? is_input : escape(w);
}

static bool walk_start(struct walker *w, struct span *s, const struct scope *scope)
{
	const struct jq_token *t = s->from;
	struct span inside;

	if (t->type == JQ_FIELD)
		return walk_field(w, s, true);
	if (t->type == JQ_WORD)
		return is_word(t, "if") ? walk_if(w, s, scope) : walk_call(w, s, scope);
	if (t->type == JQ_PIECE) {
		walk_pieces(w, s, scope);
		return false;
	}
	if (is_sign(t, "$")) {
		s->from += s->from + 1 < s->to ? 2 : 1;
		return false;
	}
	if (t->type == JQ_NUMBER || t->type == JQ_STRING) {
		s->from++;
		return false;
	}
	if (t->type != JQ_SIGN || !strchr("([{", *t->text) || !enter(s, &inside))
		return escape(w);
	if (*t->text == '(')
		return walk(w, inside, scope);
	if (*t->text == '{')
		walk_object(w, inside, scope);
	else if (inside.from < inside.to)
		use(w, walk(w, inside, scope));
	return false;
}

static bool walk_term(struct walker *w, struct span s, const struct scope *scope)
{
	bool is_input;

	if (s.from >= s.to)
		return escape(w);
	is_input = walk_start(w, &s, scope);
	while (s.from < s.to && w->seen != ALL) {
		if (s.from->type == JQ_FIELD)
			is_input = walk_field(w, &s, is_input);
		else if (is_sign(s.from, "["))
			is_input = walk_index(w, &s, is_input, scope);
		else if (is_sign(s.from, "?"))
			s.from++;
		else
			return escape(w);
	}
	return is_input && w->seen != ALL;
}

/* --- expressions --------------------------------------------------------------------------- */

/* PATH = VALUE: the input, changed there. */
static bool walk_assignment(struct walker *w, struct span s, const struct jq_token *sign,
			    const struct scope *scope)
{
	struct span path = { s.from, sign }, value = { sign + 1, s.to };

	if (path.from == path.to || path.from->type != JQ_FIELD || path.from->len < 2 ||
	    find(value, s.from->depth, is_assignment) < value.to)
		return escape(w);
	use(w, walk_term(w, path, scope));
	if (!is_sign(sign, "|=")) /* there it sees what is at the path */
		use(w, walk(w, value, scope));
	return true;
}

static bool walk_operators(struct walker *w, struct span s, const struct scope *scope)
{
	const struct jq_token *sign = find(s, s.from->depth, is_assignment);
	struct span part;

	if (sign < s.to)
		return walk_assignment(w, s, sign, scope);
	if (find(s, s.from->depth, is_operator) == s.to)
		return walk_term(w, s, scope);
	while (next_part(&s, is_operator, &part))
		use(w, walk_term(w, part, scope));
	return false;
}

static bool walk_list(struct walker *w, struct span s, const struct scope *scope)
{
	bool comes_out = false;
	struct span part;

	if (s.from >= s.to)
		return escape(w);
	while (next_part(&s, is_comma, &part)) {
		bool is_input = part.from < part.to ? walk_operators(w, part, scope) : escape(w);

		comes_out = comes_out || is_input;
	}
	return comes_out;
}

/* `TERM as $name | ...` has the same input behind it. */
static bool walk(struct walker *w, struct span s, const struct scope *scope)
{
	while (s.from < s.to && ++w->n_walks < MAX_WALKS && w->seen != ALL) {
		struct span first = { s.from, find(s, s.from->depth, is_pipe) };
		const struct jq_token *as = find(first, s.from->depth, is_as);

		s.from = first.to + 1;
		if (as < first.to) {
			if (first.to - as != 3 || !is_sign(as + 1, "$"))
				return escape(w);
			use(w, walk_term(w, (struct span){ first.from, as }, scope));
		} else if (!walk_list(w, first, scope)) {
			return false;
		} else if (first.to == s.to) {
			return true;
		}
	}
	return escape(w);
}

/* --- functions ----------------------------------------------------------------------------- */

/* Nothing of the input is needed to hand on what comes out. */
static uint32_t seen_by(const struct jq_source *source, const char *name)
{
	struct jq_token wanted = { JQ_WORD, name, strlen(name), 0, 0 };
	struct walker w = { .source = source };
	bool is_clear;
	const struct jq_token *function =
		find_function(&w, &wanted, source->tokens + source->n, &is_clear);

	if (!function || !is_clear)
		return ALL;
	use(&w, walk_function(&w, function, (struct span){ function, function }, NULL));
	return w.seen;
}

static bool includes(const struct jq_source *source)
{
	for (size_t i = 0; i < source->n; i++)
		if (is_word(&source->tokens[i], "include"))
			return true;
	return false;
}

void mapping_seen_init(struct mapping *m)
{
	struct jq_source source = { 0 };
	struct buf text = { 0 };
	struct err e = { 0 };

	if (buf_append_file(&text, m->file, IMPORTS_MAX_BYTES, &e))
		jq_source_read(&source, buf_str(&text), text.len);
	for (size_t i = 0; i < m->functions.n; i++)
		m->own[i].seen = source.n == 0 || includes(&source)
					 ? ALL
					 : seen_by(&source, m->functions.items[i].name);
	jq_source_fini(&source);
	buf_fini(&text);
}

bool mapping_sees(const struct mapping *m, int fn, enum mapping_key key)
{
	return m->own[fn].seen & 1u << key;
}
