/* jq_lex.c -- whether a word is code depends on what it stands in: `open` is the stack of that, and its
 * height a token's depth.  In a string nothing is code until its \( , and in { } a name may be a key. */
#include "jq/jq_lex.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* What is open: ( [ {, `if` until its `end`, or the \( of a string until its ). */
enum opening {
	OPEN_PAREN = '(',
	OPEN_ARRAY = '[',
	OPEN_OBJECT = '{',
	OPEN_IF = 'i',
	OPEN_STRING = '"'
};

struct lexer {
	struct jq_source *out;
	const char *p, *end;
	unsigned line;
	struct buf open; /* one enum opening per byte */
	char prev;	 /* first byte of the token before; 0: none */
};

/* Longest first. */
static const char *const signs[] = { "?//=", "?//", "//=", "//", "==", "!=", "<=",
				     ">=",   "|=",  "+=",  "-=", "*=", "/=", "%=" };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(char c)
{
	return is_word_start(c) || is_digit(c);
}

/* The byte `n` further on, 0 behind the end. */
static char ahead(const struct lexer *lx, size_t n)
{
	return (size_t)(lx->end - lx->p) > n ? lx->p[n] : '\0';
}

static void skip(struct lexer *lx, size_t n)
{
	while (n-- && lx->p < lx->end)
		if (*lx->p++ == '\n')
			lx->line++;
}

static char top(const struct lexer *lx)
{
	return lx->open.len ? lx->open.data[lx->open.len - 1] : '\0';
}

static void pop(struct lexer *lx)
{
	if (lx->open.len)
		lx->open.len--;
}

/* A token of `len` bytes at `text`; it started on `line`. */
static void add(struct lexer *lx, enum jq_token_type type, const char *text, size_t len,
		unsigned line)
{
	struct jq_source *s = lx->out;

	s->tokens = mem_grow(s->tokens, s->n, sizeof *s->tokens);
	s->tokens[s->n++] = (struct jq_token){ type, text, len, line, lx->open.len };
}

/* A token of the next `len` bytes. */
static void take(struct lexer *lx, enum jq_token_type type, size_t len)
{
	add(lx, type, lx->p, len, lx->line);
	skip(lx, len);
}

static void lex_comment(struct lexer *lx)
{
	const char *end = memchr(lx->p, '\n', (size_t)(lx->end - lx->p));
	size_t len = (size_t)((end ? end : lx->end) - lx->p);
	struct jq_source *s = lx->out;

	s->comments = mem_grow(s->comments, s->n_comments, sizeof *s->comments);
	s->comments[s->n_comments++] = (struct jq_comment){ lx->p, len, lx->line };
	skip(lx, len);
}

/* From behind the opening quote, or behind the ) of an interpolation, to the closing quote or the
 * next \(. */
static void lex_string(struct lexer *lx, enum jq_token_type type)
{
	const char *start = lx->p;
	unsigned line = lx->line;

	while (lx->p < lx->end) {
		if (*lx->p == '"') {
			add(lx, type, start, (size_t)(lx->p - start), line);
			skip(lx, 1);
			lx->prev = '"';
			return;
		}
		if (*lx->p == '\\' && ahead(lx, 1) == '(') {
			add(lx, JQ_PIECE, start, (size_t)(lx->p - start), line);
			skip(lx, 1);
			take(lx, JQ_SIGN, 1);
			buf_putc(&lx->open, OPEN_STRING);
			lx->prev = '(';
			return;
		}
		skip(lx, *lx->p == '\\' ? 2 : 1);
	}
}

static void lex_number(struct lexer *lx)
{
	size_t n = 0;

	while (is_digit(ahead(lx, n)) || ahead(lx, n) == '.')
		n++;
	if (ahead(lx, n) == 'e' || ahead(lx, n) == 'E') {
		size_t sign = ahead(lx, n + 1) == '+' || ahead(lx, n + 1) == '-';

		if (is_digit(ahead(lx, n + 1 + sign)))
			n += 1 + sign;
		while (is_digit(ahead(lx, n)))
			n++;
	}
	take(lx, JQ_NUMBER, n);
	lx->prev = '0';
}

static size_t word_length(const struct lexer *lx, size_t from)
{
	size_t n = from;

	while (is_word(ahead(lx, n)) ||
	       (ahead(lx, n) == ':' && ahead(lx, n + 1) == ':' && is_word_start(ahead(lx, n + 2))))
		n += ahead(lx, n) == ':' ? 2 : 1;
	return n;
}

static bool next_is(const struct lexer *lx, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(lx->p, text, len) == 0;
}

/* `if a, b then` holds commas without being in brackets, so it counts as one: a name behind a comma
 * in {} is a key. */
static void lex_word(struct lexer *lx)
{
	bool is_key = top(lx) == OPEN_OBJECT && (lx->prev == '{' || lx->prev == ',');
	size_t len = word_length(lx, 0);

	if (lx->prev == '$') {
		take(lx, JQ_VARIABLE, len);
	} else if (is_key) {
		take(lx, JQ_KEY, len);
	} else if (next_is(lx, len, "if")) {
		take(lx, JQ_WORD, len);
		buf_putc(&lx->open, OPEN_IF);
	} else {
		if (next_is(lx, len, "end") && top(lx) == OPEN_IF)
			pop(lx);
		take(lx, JQ_WORD, len);
	}
	lx->prev = 'a';
}

static void lex_dot(struct lexer *lx)
{
	if (is_word_start(ahead(lx, 1)))
		take(lx, JQ_FIELD, word_length(lx, 1));
	else
		take(lx, JQ_FIELD, ahead(lx, 1) == '.' ? 2 : 1);
	lx->prev = '.';
}

static void lex_close(struct lexer *lx)
{
	bool is_string = *lx->p == ')' && top(lx) == OPEN_STRING;

	lx->prev = *lx->p;
	pop(lx);
	take(lx, JQ_SIGN, 1);
	if (is_string)
		lex_string(lx, JQ_PIECE);
}

static void lex_format(struct lexer *lx)
{
	size_t len = 1;

	while (is_word(ahead(lx, len)))
		len++;
	take(lx, JQ_FORMAT, len);
	lx->prev = '@';
}

static void lex_sign(struct lexer *lx)
{
	size_t left = (size_t)(lx->end - lx->p), len = 1;
	char c = *lx->p;

	for (size_t i = 0; len == 1 && i < sizeof signs / sizeof signs[0]; i++)
		if (strlen(signs[i]) <= left && memcmp(lx->p, signs[i], strlen(signs[i])) == 0)
			len = strlen(signs[i]);
	take(lx, JQ_SIGN, len);
	if (strchr("([{", c))
		buf_putc(&lx->open, c);
	lx->prev = c;
}

static void lex_token(struct lexer *lx)
{
	char c = *lx->p;

	if (strchr(" \t\r\n", c)) {
		skip(lx, 1);
	} else if (c == '#') {
		lex_comment(lx);
	} else if (c == '"') {
		skip(lx, 1);
		lex_string(lx, JQ_STRING);
	} else if (is_digit(c) || (c == '.' && is_digit(ahead(lx, 1)))) {
		lex_number(lx);
	} else if (c == '.') {
		lex_dot(lx);
	} else if (c == '@') {
		lex_format(lx);
	} else if (is_word_start(c)) {
		lex_word(lx);
	} else if (strchr(")]}", c)) {
		lex_close(lx);
	} else {
		lex_sign(lx);
	}
}

void jq_source_read(struct jq_source *s, const char *text, size_t len)
{
	struct lexer lx = { .out = s, .p = text, .end = text + len, .line = 1 };

	*s = (struct jq_source){ 0 };
	while (lx.p < lx.end)
		lex_token(&lx);
	buf_fini(&lx.open);
}

void jq_source_fini(struct jq_source *s)
{
	free(s->tokens);
	free(s->comments);
	*s = (struct jq_source){ 0 };
}

bool jq_token_is(const struct jq_token *t, enum jq_token_type type, const char *text)
{
	return t->type == type && strlen(text) == t->len && memcmp(t->text, text, t->len) == 0;
}
