/* mistake.c -- jq 1.6 and 1.7 tell the line, not the word.  The word is the one that they name, where it stands in
 * that line; of several, the first that cannot stand where it does: a sign behind a sign, a value behind a value. */
#include "play/mistake.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jq/jq_lex.h"

void mistake_fini(struct mistake *m)
{
	free(m->file);
	free(m->text);
	*m = (struct mistake){ 0 };
}

void mistake_read(struct mistake *m, const char *line)
{
	const char *end = strstr(line, ".jq:"), *begin = end, *text = line;
	char *behind;

	*m = (struct mistake){ 0 };
	while (begin && begin > line && begin[-1] != '/' && begin[-1] != ' ')
		begin--;
	if (end && !memchr(line, ' ', (size_t)(begin - line))) { /* it begins with the place */
		m->file = mem_strndup(begin, (size_t)(end - begin));
		text = end + strlen(".jq:");
		m->line = (unsigned)strtoul(text, &behind, 10);
		if (behind != text && *behind == ':')
			text = behind + 1;
		text += strspn(text, " ");
	}
	m->text = mem_strdup(text);
}

/* --- the word of a line -------------------------------------------------------------------------- */

/* What is named: a word, or any of a type. */
struct wanted {
	const char *text;
	size_t len; /* 0: any */
	bool of_type[JQ_SIGN + 1];
	bool is_unexpected; /* where it stands is what is wrong */
};

/* How jq calls what it did not expect. */
static const struct {
	const char *name;
	enum jq_token_type types[2];
} unexpected[] = {
	{ "QQSTRING_START", { JQ_STRING, JQ_PIECE } },
	{ "QQSTRING_TEXT", { JQ_STRING, JQ_PIECE } },
	{ "IDENT", { JQ_WORD, JQ_KEY } },
	{ "FIELD", { JQ_FIELD, JQ_FIELD } },
	{ "LITERAL", { JQ_NUMBER, JQ_NUMBER } },
	{ "FORMAT", { JQ_FORMAT, JQ_FORMAT } },
	{ "BINDING", { JQ_VARIABLE, JQ_VARIABLE } },
	{ "INVALID_CHARACTER", { JQ_SIGN, JQ_SIGN } },
};

static void want(struct wanted *w, const char *text, size_t len)
{
	w->text = text;
	w->len = len;
	for (int t = 0; t <= JQ_SIGN; t++)
		w->of_type[t] = t != JQ_STRING && t != JQ_PIECE;
}

/* "unexpected '|', expecting ..." */
static bool want_unexpected(struct wanted *w, const char *text)
{
	const char *at = strstr(text, "unexpected ");
	size_t len;

	if (!at)
		return false;
	w->is_unexpected = true;
	at += strlen("unexpected ");
	len = strcspn(at, ", ;");
	if (*at == '\'' || *at == '"') {
		want(w, at + 1, strcspn(at + 1, "'\""));
		return true;
	}
	for (size_t i = 0; i < sizeof unexpected / sizeof unexpected[0]; i++)
		if (strlen(unexpected[i].name) == len && memcmp(unexpected[i].name, at, len) == 0) {
			w->of_type[unexpected[i].types[0]] = true;
			w->of_type[unexpected[i].types[1]] = true;
			return true;
		}
	want(w, at, len); /* a keyword */
	return true;
}

/* "name/0 is not defined", "$name is not defined", "`name` is not allowed". */
static bool want_name(struct wanted *w, const char *text)
{
	const char *at = strstr(text, " is not ");

	if (!at || memchr(text, ' ', (size_t)(at - text)))
		return false;
	text += strspn(text, "$`");
	want(w, text, strcspn(text, "/` "));
	return true;
}

/* "module "x" cannot be imported". */
static bool want_module(struct wanted *w, const char *text)
{
	static const char module[] = "module \"";

	if (strncmp(text, module, strlen(module)) != 0)
		return false;
	text += strlen(module);
	want(w, text, strcspn(text, "\""));
	w->of_type[JQ_STRING] = true;
	return true;
}

static bool is_wanted(const struct wanted *w, const struct jq_token *t)
{
	return w->of_type[t->type] &&
	       (w->len == 0 || (t->len == w->len && memcmp(t->text, w->text, w->len) == 0));
}

/* Does a value end here, behind which no other one begins?  Else one must begin. */
static bool ends_value(const struct jq_token *t)
{
	static const char *const words[] = { "def",    "if",	  "then",   "else",
					     "elif",   "and",	  "or",	    "as",
					     "reduce", "try",	  "catch",  "foreach",
					     "import", "include", "module", "label" };

	if (t->type == JQ_SIGN)
		return *t->text == ')' || *t->text == ']' || *t->text == '}' || *t->text == '?';
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (jq_token_is(t, JQ_WORD, words[i]))
			return false;
	return true;
}

static bool begins_value(const struct jq_token *t)
{
	return t->type != JQ_SIGN || *t->text == '(' || *t->text == '[' || *t->text == '{' ||
	       *t->text == '-';
}

static bool is_out_of_place(const struct jq_source *s, size_t i)
{
	return i == 0 || ends_value(&s->tokens[i - 1]) == begins_value(&s->tokens[i]);
}

/* NULL: no word of the line is meant. */
static const struct jq_token *find_word(const struct jq_source *s, const struct mistake *m)
{
	const struct jq_token *first = NULL;
	struct wanted w = { 0 };

	if (!want_module(&w, m->text) && !want_name(&w, m->text) && !want_unexpected(&w, m->text))
		return NULL;
	for (size_t i = 0; i < s->n; i++) {
		const struct jq_token *t = &s->tokens[i];

		if (t->line != m->line || !is_wanted(&w, t))
			continue;
		if (!w.is_unexpected || is_out_of_place(s, i))
			return t;
		first = first ? first : t;
	}
	return first;
}

/* --- a row of the table ---------------------------------------------------------------------------- */

static bool is_named(const struct jq_token *t, const char *name, size_t len)
{
	return (t->type == JQ_KEY || t->type == JQ_WORD || t->type == JQ_STRING) && t->len == len &&
	       memcmp(t->text, name, len) == 0;
}

/* The first brace of row `row` of `messages`; s->n: there is none. */
static size_t find_row(const struct jq_source *s, unsigned long row)
{
	size_t i = 0, depth;

	while (i < s->n && !is_named(&s->tokens[i], "messages", strlen("messages")))
		i++;
	while (i < s->n && !jq_token_is(&s->tokens[i], JQ_SIGN, "["))
		i++;
	depth = i < s->n ? s->tokens[i].depth + 1 : 0;
	for (i = i < s->n ? i + 1 : i; i < s->n && s->tokens[i].depth >= depth; i++)
		if (s->tokens[i].depth == depth && jq_token_is(&s->tokens[i], JQ_SIGN, "{") &&
		    row-- == 0)
			return i;
	return s->n;
}

/* "messages[5].kind: ..." or "messages[3]: unknown key "wrte" ...": the key in the row, or the row. */
static const struct jq_token *find_key(const struct jq_source *s, const char *text)
{
	static const char place[] = "messages[", unknown[] = "unknown key \"";
	const char *key, *at = strstr(text, unknown);
	size_t i, begin;
	char *end;

	if (strncmp(text, place, strlen(place)) != 0)
		return NULL;
	begin = find_row(s, strtoul(text + strlen(place), &end, 10));
	if (begin == s->n || *end != ']')
		return NULL;
	key = at ? at + strlen(unknown) : end[1] == '.' ? end + 2 : "";
	for (i = begin + 1; i < s->n && s->tokens[i].depth > s->tokens[begin].depth; i++)
		if (is_named(&s->tokens[i], key, strcspn(key, "\".[: ")))
			return &s->tokens[i];
	return &s->tokens[begin];
}

/* ------------------------------------------------------------------------------------------------------ */

static void put_place(struct mistake *m, const struct jq_token *t, const char *source)
{
	const char *begin = t->text;

	m->line = t->line;
	m->column = 1;
	while (begin > source && begin[-1] != '\n')
		m->column += ((unsigned char)*--begin & 0xc0) != 0x80; /* characters, not bytes */
	if (t->type == JQ_VARIABLE || t->type == JQ_STRING)
		m->column--; /* its sign, or quote, belongs to it */
}

void mistake_find(struct mistake *m, const char *source, size_t n)
{
	struct jq_source s = { 0 };
	const struct jq_token *t;

	jq_source_read(&s, source, n);
	t = m->line ? find_word(&s, m) : find_key(&s, m->text);
	if (t)
		put_place(m, t, source);
	jq_source_fini(&s);
}
