#include "jq/jq_hazard.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "jq/jq_lex.h"

struct finder {
	const char *file;
	const struct jq_source *s;
	struct report *report;
};

/* Tokens number `from` to `to`, less the last. */
struct range {
	size_t from, to;
};

#define MAX_ARGS 4
struct args {
	struct range at[MAX_ARGS];
	size_t n;
};

static bool is_sign(const struct jq_token *t, const char *text)
{
	return jq_token_is(t, JQ_SIGN, text);
}

static bool is_word_of(const struct jq_token *t, const char *const *words)
{
	for (; *words; words++)
		if (jq_token_is(t, JQ_WORD, *words))
			return true;
	return false;
}

static bool is_checked(const struct jq_source *s, unsigned line)
{
	static const char mark[] = "calque: checked";

	for (size_t i = 0; i < s->n_comments; i++) {
		const struct jq_comment *c = &s->comments[i];
		size_t blanks = 1;

		if (c->line != line)
			continue;
		while (blanks < c->len && c->text[blanks] == ' ')
			blanks++;
		if (c->len - blanks >= strlen(mark) &&
		    memcmp(c->text + blanks, mark, strlen(mark)) == 0)
			return true;
	}
	return false;
}

static void hint(const struct finder *f, const struct jq_token *t, const char *text)
{
	if (!is_checked(f->s, t->line))
		report_hint(f->report, "%s:%u: `%.*s`: %s", f->file, t->line, (int)t->len, t->text,
			    text);
}

/* Arguments */

/* Of the call whose name is token `i`. */
static void find_args(const struct jq_source *s, size_t i, struct args *args)
{
	size_t depth, from = i + 2;

	*args = (struct args){ 0 };
	if (i + 1 >= s->n || !is_sign(&s->tokens[i + 1], "("))
		return;
	depth = s->tokens[i + 1].depth;
	for (size_t j = from; j < s->n && args->n < MAX_ARGS; j++) {
		bool is_end = s->tokens[j].depth == depth;

		if (!is_end && !(s->tokens[j].depth == depth + 1 && is_sign(&s->tokens[j], ";")))
			continue;
		args->at[args->n++] = (struct range){ from, j };
		from = j + 1;
		if (is_end)
			return;
	}
}

/* ["regex", "flags"] counts as two. */
static void unpack(const struct jq_source *s, struct args *args)
{
	size_t from = args->at[0].from;

	if (args->n != 1 || args->at[0].to - from != 5 || !is_sign(&s->tokens[from], "[") ||
	    !is_sign(&s->tokens[from + 2], ","))
		return;
	args->at[0] = (struct range){ from + 1, from + 2 };
	args->at[args->n++] = (struct range){ from + 3, from + 4 };
}

static void put_unescaped(const struct jq_token *t, struct buf *out)
{
	static const char letters[] = "ntrbf", meant[] = "\n\t\r\b\f";

	for (size_t i = 0; i < t->len; i++) {
		const char *letter;

		if (t->text[i] != '\\' || ++i == t->len) {
			buf_append(out, &t->text[i < t->len ? i : t->len - 1], 1);
			continue;
		}
		letter = strchr(letters, t->text[i]);
		buf_putc(out, letter ? meant[letter - letters] : t->text[i]);
	}
}

/* Append the text of an argument that is one literal string. */
static bool put_literal(const struct jq_source *s, const struct args *args, size_t n,
			struct buf *out)
{
	const struct jq_token *t;

	if (n >= args->n || args->at[n].to - args->at[n].from != 1)
		return false;
	t = &s->tokens[args->at[n].from];
	if (t->type != JQ_STRING)
		return false;
	put_unescaped(t, out);
	return true;
}

/* Matches of nothing */

static const struct regex_call {
	const char *name;
	size_t min_args;
	size_t flags_at;
	bool is_global; /* without the flag "g" too */
} regex_calls[] = {
	/* `test` stops at the first match, whatever its flags. */
	{ "gsub", 2, 2, true },	 { "scan", 1, 1, true },   { "splits", 1, 1, true },
	{ "split", 2, 1, true }, { "match", 1, 1, false }, { "capture", 1, 1, false },
	{ "sub", 2, 2, false },
};

static void check_regex(const struct finder *f, size_t i)
{
	const struct jq_token *t = &f->s->tokens[i];
	const struct regex_call *call = NULL;
	struct buf regex = { 0 }, flags = { 0 };
	struct args args;
	bool is_known;

	for (size_t k = 0; k < sizeof regex_calls / sizeof regex_calls[0]; k++)
		if (jq_token_is(t, JQ_WORD, regex_calls[k].name))
			call = &regex_calls[k];
	if (!call)
		return;
	find_args(f->s, i, &args);
	if (args.n < call->min_args)
		return;
	unpack(f->s, &args);
	is_known = put_literal(f->s, &args, 0, &regex);
	put_literal(f->s, &args, call->flags_at, &flags);
	if (strchr(buf_str(&flags), 'n') || !(call->is_global || strchr(buf_str(&flags), 'g')))
		;
	else if (is_known && jq_matches_empty(buf_str(&regex)))
		hint(f, t,
		     "its regular expression can match nothing, and then jq 1.6 hangs or crashes "
		     "on some texts; write + instead of *, or add the flag \"n\" (no empty "
		     "matches)");
	else if (!is_known && strchr(buf_str(&flags), 'g'))
		hint(f, t,
		     "if this regular expression matches nothing, jq 1.6 hangs or crashes on some "
		     "texts; add the flag \"n\" (no empty matches)");
	buf_fini(&regex);
	buf_fini(&flags);
}

static void check_search(const struct finder *f, size_t i)
{
	static const char *const names[] = { "index", "rindex", "indices", NULL };
	const struct jq_token *t = &f->s->tokens[i];
	struct buf text = { 0 };
	struct args args;

	if (!is_word_of(t, names))
		return;
	find_args(f->s, i, &args);
	if (put_literal(f->s, &args, 0, &text) && text.len == 0)
		hint(f, t, "jq 1.6 looks for \"\" for ever; say what to look for, or write 0");
	buf_fini(&text);
}

/* Times */

static void check_time(const struct finder *f, size_t i)
{
	static const char *const names[] = { "todate", "todateiso8601", "strftime", NULL };
	static const char *const safe[] = { "gmtime",	"strptime",	   "mktime",
					    "fromdate", "fromdateiso8601", NULL };
	const struct jq_token *t = f->s->tokens;
	size_t j = i - 2; /* the last of what comes before the | */

	if (!is_word_of(&t[i], names))
		return;
	if (i >= 2 && is_sign(&t[i - 1], "|")) {
		if (is_sign(&t[j], ")"))
			while (j > 0 && (t[j].depth > t[i].depth || t[j].type == JQ_SIGN))
				j--;
		if (is_word_of(&t[j], safe))
			return;
	}
	hint(f, &t[i],
	     "jq 1.6 aborts here on numbers like 1e18 and nan; write wire::iso (of milliseconds), "
	     "or `gmtime` before it, or check the number and say so: # calque: checked");
}

static void check_zone(const struct finder *f, size_t i)
{
	const struct jq_token *t = &f->s->tokens[i];
	struct buf format = { 0 };
	struct args args;

	if (!jq_token_is(t, JQ_WORD, "strptime"))
		return;
	find_args(f->s, i, &args);
	if (put_literal(f->s, &args, 0, &format) && strstr(buf_str(&format), "%z"))
		hint(f, t,
		     "reads the offset of %z and forgets it, so that `mktime` takes the time for "
		     "one of UTC; write wire::ms");
	buf_fini(&format);
}

/* Bytes */

static void check_bytes(const struct finder *f, size_t i)
{
	if (jq_token_is(&f->s->tokens[i], JQ_FORMAT, "@base64d"))
		hint(f, &f->s->tokens[i],
		     "gives texts only: bytes that are no UTF-8 become U+FFFD; write wire::bytes, "
		     "or "
		     "say that it is a text: # calque: checked");
}

/* The operator // */

static bool ends_operand(const struct jq_token *t)
{
	static const char *const signs[] = {
		"|", ",", "//", ";", ":", "=", "|=", "+=", "//=", NULL
	};
	static const char *const words[] = { "as",  "then",  "else",   "elif",	  "def",
					     "try", "catch", "reduce", "foreach", NULL };

	for (size_t i = 0; t->type == JQ_SIGN && signs[i]; i++)
		if (is_sign(t, signs[i]))
			return true;
	return is_word_of(t, words);
}

static struct range left_of(const struct jq_source *s, size_t i)
{
	size_t depth = s->tokens[i].depth, from = i;

	while (from > 0 && s->tokens[from - 1].depth >= depth &&
	       !(s->tokens[from - 1].depth == depth && ends_operand(&s->tokens[from - 1])))
		from--;
	return (struct range){ from, i };
}

static bool has_comparison(const struct jq_source *s, struct range r, size_t depth)
{
	static const char *const signs[] = { "==", "!=", "<", ">", "<=", ">=", NULL };
	static const char *const words[] = { "and", "or", NULL };

	for (size_t i = r.from; i < r.to; i++) {
		const struct jq_token *t = &s->tokens[i];

		if (t->depth != depth)
			continue;
		for (size_t k = 0; t->type == JQ_SIGN && signs[k]; k++)
			if (is_sign(t, signs[k]))
				return true;
		if (is_word_of(t, words))
			return true;
	}
	return false;
}

/* Is it one call, NAME or NAME(...), of a function that says true or false? */
static bool is_question(const struct jq_source *s, struct range r)
{
	static const char *const names[] = { "has",    "test",	   "any",	 "all",
					     "not",    "contains", "startswith", "endswith",
					     "inside", "isnan",	   NULL };
	size_t depth = s->tokens[r.from].depth, n_alike = 0;

	for (size_t i = r.from; i < r.to; i++)
		n_alike += s->tokens[i].depth == depth;
	return is_word_of(&s->tokens[r.from], names) &&
	       (n_alike == 1 || (n_alike == 3 && is_sign(&s->tokens[r.from + 1], "(")));
}

static bool is_boolean(const struct jq_source *s, struct range r)
{
	while (r.from < r.to) {
		size_t depth = s->tokens[r.from].depth, last = r.from;
		bool is_enclosed = is_sign(&s->tokens[r.from], "(");

		if (has_comparison(s, r, depth) || is_question(s, r))
			return true;
		for (size_t i = r.from + 1; i + 1 < r.to; i++)
			is_enclosed = is_enclosed && s->tokens[i].depth > depth;
		if (!is_enclosed)
			return false;
		r = (struct range){ r.from + 1, r.to - 1 };
		for (size_t i = r.from; i < r.to; i++) /* its last stage */
			if (s->tokens[i].depth == depth + 1 && is_sign(&s->tokens[i], "|"))
				last = i;
		if (last > r.from)
			r.from = last + 1;
	}
	return false;
}

static void check_alternative(const struct finder *f, size_t i)
{
	static const char *const harmless[] = { "false", "empty", "error", NULL };
	const struct jq_token *t = &f->s->tokens[i], *next = i + 1 < f->s->n ? t + 1 : NULL;

	if (!next || (!is_sign(t, "//") && !is_sign(t, "//=")))
		return;
	if (jq_token_is(next, JQ_WORD, "true"))
		hint(f, t,
		     "replaces false as well as null, so this is true for false too; write "
		     "`if . == null then true else . end`");
	else if (!is_word_of(next, harmless) && is_sign(t, "//") &&
		 is_boolean(f->s, left_of(f->s, i)))
		hint(f, t,
		     "its left side is true or false, and false is replaced too; write "
		     "`if ... then ... else ... end`, or put what is meant in parentheses");
}

/* Numbers */

static void check_number(const struct finder *f, size_t i)
{
	static const char most[] = "9007199254740992"; /* 2^53 */
	const struct jq_token *t = &f->s->tokens[i];
	const char *digits = t->text;
	size_t len = t->len;

	if (t->type != JQ_NUMBER)
		return;
	for (; len && *digits == '0'; len--)
		digits++;
	for (size_t k = 0; k < len; k++)
		if (digits[k] < '0' || digits[k] > '9')
			return;
	if (len > strlen(most) || (len == strlen(most) && memcmp(digits, most, len) > 0))
		hint(f, t,
		     "beyond 2^53, so jq 1.6 makes another number of it, and arithmetic does on "
		     "every version; write it as a string");
}

void jq_hazard_check(const char *file, const struct jq_source *s, struct report *report)
{
	const struct finder f = { file, s, report };

	for (size_t i = 0; i < s->n; i++) {
		check_number(&f, i);
		check_alternative(&f, i);
		check_bytes(&f, i);
		if (i > 0 && jq_token_is(&s->tokens[i - 1], JQ_WORD, "def"))
			continue;
		check_regex(&f, i);
		check_search(&f, i);
		check_time(&f, i);
		check_zone(&f, i);
	}
}
