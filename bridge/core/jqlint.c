#include "core/jqlint.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum group { CLOCK, ZONE, ENVIRONMENT, OTHER_INPUT, WRITING, STOPPING, FILES };

static const char *const reasons[] = {
	[CLOCK] = "a translation must depend on its input alone; .at is when the message arrived",
	[ZONE] = "the time zone of this machine must not matter; use gmtime or strftime (UTC)",
	[ENVIRONMENT] =
		"the environment must not matter; give values as `vars` in the configuration",
	[OTHER_INPUT] = "a function gets one message, as its input `.`, and nothing else",
	[WRITING] = "a translation writes nothing; look at its outputs with `calque translate`",
	[STOPPING] = "a function must not stop the program; to refuse a message say error(\"why\")",
	[FILES] = "a translation must not look at files or search paths",
};

static const struct forbidden {
	const char *name;
	enum group group;
} forbidden[] = {
	{ "now", CLOCK },
	{ "localtime", ZONE },
	{ "strflocaltime", ZONE },
	{ "env", ENVIRONMENT },
	{ "$ENV", ENVIRONMENT },
	{ "$__prog_args", ENVIRONMENT },
	{ "input", OTHER_INPUT },
	{ "inputs", OTHER_INPUT },
	{ "_input", OTHER_INPUT }, /* what `input` is made of in jq 1.6 */
	{ "input_filename", OTHER_INPUT },
	{ "input_line_number", OTHER_INPUT },
	{ "debug", WRITING },
	{ "stderr", WRITING },
	{ "halt", STOPPING },
	{ "halt_error", STOPPING },
	{ "modulemeta", FILES },
	{ "get_search_list", FILES },
	{ "get_prog_origin", FILES },
	{ "get_jq_origin", FILES },
};

/* What is open: ( [ {, `if` until its `end`, or the \( of a string until its ). */
enum opening {
	OPEN_PAREN = '(',
	OPEN_ARRAY = '[',
	OPEN_OBJECT = '{',
	OPEN_IF = 'i',
	OPEN_STRING = '"'
};

struct lexer {
	const char *file;
	const char *p, *end;
	unsigned line;
	struct buf open; /* one enum opening per byte */
	char prev;	 /* first byte of the token before; 0: none */
	struct jqlint_imports *imports;
	struct report *report;
	bool ok;
};

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

static void mistake(struct lexer *lx, const char *text)
{
	report_error(lx->report, "%s:%u: %s", lx->file, lx->line, text);
	lx->ok = false;
}

/* Whether a comment goes on after a backslash, and ends at a carriage return, depends on the version
 * of jq (1.7.1 changed it), so what it hides does too. */
static void lex_comment(struct lexer *lx)
{
	const char *end = memchr(lx->p, '\n', (size_t)(lx->end - lx->p));
	const char *last = end ? end : lx->end;

	if (last[-1] == '\r')
		last--;
	if (last[-1] == '\\')
		mistake(lx, "a comment must not end in a backslash: versions of jq disagree on it");
	if (memchr(lx->p, '\r', (size_t)(last - lx->p)))
		mistake(lx, "a comment must not hold a carriage return");
	skip(lx, (size_t)((end ? end : lx->end) - lx->p));
}

/* From behind the opening quote, or behind the ) of an interpolation, to the closing quote or the
 * next \(. */
static void lex_string(struct lexer *lx)
{
	while (lx->p < lx->end) {
		if (*lx->p == '"') {
			skip(lx, 1);
			lx->prev = '"';
			return;
		}
		if (*lx->p == '\\' && ahead(lx, 1) == '(') {
			skip(lx, 2);
			buf_putc(&lx->open, OPEN_STRING);
			lx->prev = '(';
			return;
		}
		skip(lx, *lx->p == '\\' ? 2 : 1);
	}
}

static void lex_number(struct lexer *lx)
{
	while (is_digit(ahead(lx, 0)) || ahead(lx, 0) == '.')
		skip(lx, 1);
	if (ahead(lx, 0) == 'e' || ahead(lx, 0) == 'E') {
		size_t sign = ahead(lx, 1) == '+' || ahead(lx, 1) == '-';

		if (is_digit(ahead(lx, 1 + sign)))
			skip(lx, 1 + sign);
		while (is_digit(ahead(lx, 0)))
			skip(lx, 1);
	}
	lx->prev = '0';
}

static void add_import(struct lexer *lx)
{
	struct jqlint_imports *im = lx->imports;

	if (!im)
		return;
	im->lines = mem_grow(im->lines, im->n, sizeof *im->lines);
	im->lines[im->n++] = lx->line;
}

static void check_name(struct lexer *lx, const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
		const struct forbidden *f = &forbidden[i];

		if (strlen(f->name) != len || memcmp(f->name, name, len) != 0)
			continue;
		report_error(lx->report, "%s:%u: `%s` is not allowed in a mapping: %s", lx->file,
			     lx->line, f->name, reasons[f->group]);
		lx->ok = false;
	}
}

static bool is_text(const char *p, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(p, text, len) == 0;
}

/* `if a, b then` holds commas without being in brackets, so it counts as one for is_key. */
static void check_word(struct lexer *lx, const char *word, size_t len)
{
	bool is_key = top(lx) == OPEN_OBJECT && (lx->prev == '{' || lx->prev == ',');

	if (is_key)
		return;
	if (is_text(word, len, "if"))
		buf_putc(&lx->open, OPEN_IF);
	else if (is_text(word, len, "end") && top(lx) == OPEN_IF)
		pop(lx);
	else if (is_text(word, len, "import") || is_text(word, len, "include"))
		add_import(lx);
	else
		check_name(lx, word, len);
}

static size_t word_length(const struct lexer *lx, size_t from)
{
	size_t n = from;

	while (is_word(ahead(lx, n)) ||
	       (ahead(lx, n) == ':' && ahead(lx, n + 1) == ':' && is_word_start(ahead(lx, n + 2))))
		n += ahead(lx, n) == ':' ? 2 : 1;
	return n;
}

static void lex_word(struct lexer *lx)
{
	size_t len = word_length(lx, 0);

	if (lx->prev == '$') {
		char *name = mem_printf("$%.*s", (int)len, lx->p);

		check_name(lx, name, strlen(name));
		free(name);
	} else {
		check_word(lx, lx->p, len);
	}
	skip(lx, len);
	lx->prev = 'a';
}

static void lex_dot(struct lexer *lx)
{
	if (is_word_start(ahead(lx, 1)))
		skip(lx, word_length(lx, 1));
	else
		skip(lx, ahead(lx, 1) == '.' ? 2 : 1);
	lx->prev = '.';
}

static void lex_close(struct lexer *lx)
{
	bool is_string = *lx->p == ')' && top(lx) == OPEN_STRING;

	lx->prev = *lx->p;
	skip(lx, 1);
	pop(lx);
	if (is_string)
		lex_string(lx);
}

static void lex_format(struct lexer *lx)
{
	skip(lx, 1);
	while (is_word(ahead(lx, 0)))
		skip(lx, 1);
	lx->prev = '@';
}

static void lex_other(struct lexer *lx)
{
	lx->prev = *lx->p;
	if (strchr("([{", *lx->p))
		buf_putc(&lx->open, *lx->p);
	skip(lx, 1);
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
		lex_string(lx);
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
		lex_other(lx);
	}
}

bool jqlint_check(const char *file, const char *source, size_t len, struct jqlint_imports *imports,
		  struct report *report)
{
	struct lexer lx = { .file = file,
			    .p = source,
			    .end = source + len,
			    .line = 1,
			    .imports = imports,
			    .report = report,
			    .ok = true };

	if (imports)
		*imports = (struct jqlint_imports){ 0 };
	if (len && memchr(source, '\0', len)) {
		report_error(report, "%s: holds a NUL byte, so it is no jq source", file);
		return false;
	}
	while (lx.p < lx.end)
		lex_token(&lx);
	buf_fini(&lx.open);
	return lx.ok;
}

void jqlint_imports_fini(struct jqlint_imports *imports)
{
	free(imports->lines);
	*imports = (struct jqlint_imports){ 0 };
}
