#include "jq/jq_empty_match.h"

#include <string.h>

#define MAX_DEPTH 100

struct reader {
	const char *p, *end;
	int depth;
};

static bool at(const struct reader *r, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(r->end - r->p) >= n && memcmp(r->p, text, n) == 0;
}

static bool take(struct reader *r, const char *text)
{
	bool is_there = at(r, text);

	if (is_there)
		r->p += strlen(text);
	return is_there;
}

static bool alternatives(struct reader *r);

static void skip_to(struct reader *r, char c)
{
	while (r->p < r->end && *r->p != c)
		r->p++;
	if (r->p < r->end)
		r->p++;
}

/* From behind the [ to behind its ].  The first character may be a ]; inside is also [:alpha:]. */
static void skip_class(struct reader *r)
{
	take(r, "^");
	take(r, "]");
	while (r->p < r->end && *r->p != ']') {
		if (take(r, "[:"))
			skip_to(r, ']');
		else
			r->p += *r->p == '\\' && r->end - r->p > 1 ? 2 : 1;
	}
	take(r, "]");
}

/* From behind the ( to behind its ).  A look around takes no text. */
static bool group(struct reader *r)
{
	bool is_empty = false;

	if (take(r, "?#")) {
		skip_to(r, ')');
		return true;
	}
	if (take(r, "?=") || take(r, "?!") || take(r, "?<=") || take(r, "?<!")) {
		is_empty = true;
	} else if (take(r, "?<") || take(r, "?'")) {
		skip_to(r, r->p[-1] == '<' ? '>' : '\'');
	} else if (take(r, "?") && !take(r, ":") && !take(r, ">")) {
		r->p += strspn(r->p, "imx-"); /* (?i) or (?i:...) */
		take(r, ":");
	}
	is_empty = alternatives(r) || is_empty;
	take(r, ")");
	return is_empty;
}

/* Behind a backslash: only anchors take no text. */
static bool escape(struct reader *r)
{
	return r->p < r->end && strchr("bBAzZG", *r->p++);
}

static bool atom(struct reader *r)
{
	if (take(r, "("))
		return group(r);
	if (take(r, "\\"))
		return escape(r);
	if (take(r, "^") || take(r, "$"))
		return true;
	if (take(r, "["))
		skip_class(r);
	else
		r->p++;
	return false;
}

/* A quantifier, if there is one: does it allow none? */
static bool allows_none(struct reader *r)
{
	bool is_none = take(r, "*") || take(r, "?");

	if (!is_none && !take(r, "+") && at(r, "{") && r->end - r->p > 1 && r->p[1] >= '0' &&
	    r->p[1] <= '9') {
		const char *number = r->p + 1;

		skip_to(r, '}');
		is_none = number[strspn(number, "0")] == ',' || number[strspn(number, "0")] == '}';
	}
	while (take(r, "?") || take(r, "+")) /* lazy, possessive */
		;
	return is_none;
}

static bool sequence(struct reader *r)
{
	bool is_empty = true;

	while (r->p < r->end && *r->p != '|' && *r->p != ')') {
		bool is_empty_atom = atom(r);

		is_empty = (allows_none(r) || is_empty_atom) && is_empty;
	}
	return is_empty;
}

static bool alternatives(struct reader *r)
{
	bool is_empty = false;

	if (++r->depth > MAX_DEPTH) {
		r->p = r->end;
		return false;
	}
	do {
		is_empty = sequence(r) || is_empty;
	} while (take(r, "|"));
	r->depth--;
	return is_empty;
}

bool jq_matches_empty(const char *regex)
{
	struct reader r = { .p = regex, .end = regex + strlen(regex) };
	bool is_empty = alternatives(&r);

	return is_empty && r.p == r.end;
}
