/* jtext_read.c -- checks a text, strict or lenient: the only way in. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext_inside.h"

/* UTF-8 (RFC 3629) */

/* Bytes of the character at `p`, 0 if it is no valid UTF-8. */
static size_t utf8_size(const char *p, const char *end)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t left = (size_t)(end - p);
	unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
	size_t n;

	if (left == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (u[0] == 0xe0)
		low = 0xa0; /* else overlong */
	if (u[0] == 0xed)
		high = 0x9f; /* else a surrogate */
	if (u[0] == 0xf0)
		low = 0x90; /* else overlong */
	if (u[0] == 0xf4)
		high = 0x8f; /* else beyond U+10FFFF */
	if (left < n || u[1] < low || u[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool jtext_is_utf8(const void *p, size_t len)
{
	const char *at = p, *end = at + len;

	while (at < end) {
		size_t n = (unsigned char)*at < 0x80 ? 1 : utf8_size(at, end);

		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

/* Pieces */

/* Needs no second look inside a string: ASCII but control, quotes and backslash. */
static bool is_plain(char c)
{
	static const bool plain[256] = {
		[0x20 ... '"' - 1] = true,
		['"' + 1 ... '\'' - 1] = true,
		['\'' + 1 ... '\\' - 1] = true,
		['\\' + 1 ... 0x7f] = true,
	};

	return plain[(unsigned char)c];
}

static const char *canonical_end(const char *p, const char *end)
{
	while (p < end && is_plain(*p))
		p++;
	return p;
}

/* The value of four hexadecimal digits at `p`, -1 if they are none. */
int jtext_hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (is_digit(c))
			v = v * 16 + c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (c | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return v;
}

/* Where the JSON number at `p` ends; NULL if there is none. */
const char *jtext_number_end(const char *p, const char *end)
{
	const char *from;

	if (p < end && *p == '-')
		p++;
	from = p;
	p = p < end && *p == '0' ? p + 1 : digits_end(p, end);
	if (p == from)
		return NULL;
	if (p < end && *p == '.') {
		from = p + 1;
		p = digits_end(from, end);
		if (p == from)
			return NULL;
	}
	if (p < end && (*p | 0x20) == 'e') {
		from = p + 1;
		if (from < end && (*from == '+' || *from == '-'))
			from++;
		p = digits_end(from, end);
		if (p == from)
			return NULL;
	}
	return p;
}

/* The scanner: recursive descent over the whole text, strict or lenient.  Strict, it only checks and
 * the caller copies the text; lenient, it writes what it understood to `out`. */

struct scan {
	const char *start, *p, *end;
	bool lenient;
	int depth, max_depth;
	struct buf *out; /* NULL: only check */
	struct err *e;
};

static bool scan_value(struct scan *s);

static bool fail(const struct scan *s, const char *what)
{
	err_set(s->e, ERR_INVALID, "byte %zu: %s", (size_t)(s->p - s->start) + 1, what);
	return false;
}

/* Quotes that word processors make of straight ones, and those of Chinese and Japanese texts. */
static bool is_at_curly_quote(const struct scan *s)
{
	const unsigned char *u = (const unsigned char *)s->p;

	if (s->end - s->p < 3)
		return false;
	return (u[0] == 0xe2 && u[1] == 0x80 && u[2] >= 0x98 && u[2] <= 0x9f) || /* U+2018..201F */
	       (u[0] == 0xe3 && u[1] == 0x80 && u[2] >= 0x8c && u[2] <= 0x8f) || /* U+300C..300F */
	       (u[0] == 0xef && u[1] == 0xbc && (u[2] == 0x82 || u[2] == 0x87)); /* U+FF02, FF07 */
}

static bool expected(const struct scan *s, const char *what)
{
	if (is_at_curly_quote(s))
		return fail(s, "a straight quote was expected, not a curly one");
	err_set(s->e, ERR_INVALID, "byte %zu: %s was expected", (size_t)(s->p - s->start) + 1,
		what);
	return false;
}

static void emit(const struct scan *s, const char *p, size_t n)
{
	if (s->out)
		buf_append(s->out, p, n);
}

/* Is the next character `c`?  Then step over it. */
static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool skip_comment(struct scan *s)
{
	bool is_block = s->p[0] == '/' && s->p + 1 < s->end && s->p[1] == '*';
	const char *close;

	if (!is_block) {
		while (s->p < s->end && *s->p != '\n' && *s->p != '\r')
			s->p++;
		return true;
	}
	close = memmem(s->p + 2, (size_t)(s->end - s->p) - 2, "*/", 2);
	if (!close)
		return fail(s, "the comment has no end");
	s->p = close + 2;
	return true;
}

static bool is_at_comment(const struct scan *s)
{
	if (s->p == s->end)
		return false;
	return *s->p == '#' ||
	       (*s->p == '/' && s->p + 1 < s->end && (s->p[1] == '/' || s->p[1] == '*'));
}

/* White space, and comments where they are allowed.  False: a comment without end. */
static bool skip_space(struct scan *s)
{
	if (!s->lenient) {
		s->p = space_end(s->p, s->end);
		return true;
	}
	for (;;) {
		s->p = space_end(s->p, s->end);
		if (!is_at_comment(s))
			return true;
		if (!skip_comment(s))
			return false;
	}
}

/* Write what stands from *run up to here and `text` instead of the next `n` bytes. */
static void mend(struct scan *s, const char **run, const char *text, size_t n)
{
	emit(s, *run, (size_t)(s->p - *run));
	emit(s, text, strlen(text));
	s->p += n;
	*run = s->p;
}

static bool scan_unicode_escape(struct scan *s)
{
	int c = jtext_hex4(s->p + 2, s->end);

	if (c < 0)
		return fail(s, "not four hexadecimal digits after \\u");
	if (c >= 0xd800 && c <= 0xdfff) {
		const char *second = s->p + 6;
		int d = s->end - second >= 6 && second[0] == '\\' && second[1] == 'u'
				? jtext_hex4(second + 2, s->end)
				: -1;

		if (c > 0xdbff || d < 0xdc00 || d > 0xdfff)
			return fail(s, "half a surrogate pair");
		s->p = second;
	}
	s->p += 6;
	return true;
}

static bool scan_escape(struct scan *s, const char **run)
{
	char c = s->p + 1 < s->end ? s->p[1] : '\0';

	if (c == 'u')
		return scan_unicode_escape(s);
	if (c && strchr("\"\\/bfnrt", c)) {
		s->p += 2;
		return true;
	}
	if (s->lenient && c == '\'') {
		mend(s, run, "'", 2);
		return true;
	}
	if (s->lenient && c == '\n') {
		mend(s, run, "\\n", 2);
		return true;
	}
	return fail(s, "an escape that JSON does not have");
}

/* A character that ends a run of plain ones, and is not the closing quote. */
static bool scan_special(struct scan *s, const char **run)
{
	char c = *s->p, text[8];
	size_t n;

	if (c == '\\')
		return scan_escape(s, run);
	if (c == '"') {
		mend(s, run, "\\\"", 1);
		return true;
	}
	if ((unsigned char)c < 0x20) {
		if (!s->lenient)
			return fail(s, "a control character must be escaped");
		snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
		mend(s, run, text, 1);
		return true;
	}
	n = utf8_size(s->p, s->end); /* 1 for an apostrophe */
	if (n == 0)
		return fail(s, "not valid UTF-8");
	s->p += n;
	return true;
}

static bool scan_string(struct scan *s)
{
	char quote = *s->p++;
	const char *run = s->p;

	emit(s, "\"", 1);
	for (;;) {
		s->p = canonical_end(s->p, s->end);
		if (s->p == s->end)
			return expected(s, "the end of the string");
		if (*s->p == quote)
			break;
		if (!scan_special(s, &run))
			return false;
	}
	emit(s, run, (size_t)(s->p - run));
	emit(s, "\"", 1);
	s->p++;
	return true;
}

/* Gson's unquoted text: up to white space or any of / \ ; # = { } [ ] : , */
static bool word_length(struct scan *s, size_t *len)
{
	const char *p = s->p;

	while (p < s->end && *p != '\f' && !is_space(*p) &&
	       (*p == '\0' || !strchr("/\\;#={}[]:,", *p))) {
		size_t n = utf8_size(p, s->end);

		if (n == 0) {
			s->p = p;
			return fail(s, "not valid UTF-8");
		}
		p += n;
	}
	*len = (size_t)(p - s->p);
	return true;
}

static const char *const keywords[] = { "true", "false", "null" };

/* The keyword that the word is, in any case as Gson takes it; NULL if it is none. */
static const char *keyword_of(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
		if (len == strlen(keywords[i]) && strncasecmp(word, keywords[i], len) == 0)
			return keywords[i];
	return NULL;
}

static bool scan_word(struct scan *s, bool is_key, const char *what)
{
	const char *keyword;
	size_t len;

	if (is_at_curly_quote(s))
		return expected(s, what);
	if (!word_length(s, &len))
		return false;
	if (len == 0)
		return expected(s, what);
	keyword = keyword_of(s->p, len);
	if (!is_key && keyword)
		emit(s, keyword, len);
	else if (!is_key && jtext_number_end(s->p, s->p + len) == s->p + len)
		emit(s, s->p, len);
	else if (s->out)
		jtext_put_string(s->out, s->p, len);
	s->p += len;
	return true;
}

static bool scan_number(struct scan *s)
{
	const char *end = jtext_number_end(s->p, s->end);

	if (!end)
		return fail(s, "not a JSON number");
	s->p = end;
	return true;
}

static bool scan_keyword(struct scan *s)
{
	for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
		size_t len = strlen(keywords[i]);

		if ((size_t)(s->end - s->p) >= len && memcmp(s->p, keywords[i], len) == 0) {
			s->p += len;
			return true;
		}
	}
	return expected(s, "a value");
}

static bool scan_key(struct scan *s)
{
	const char *what = "a string";

	if (s->p < s->end && (*s->p == '"' || (s->lenient && *s->p == '\'')))
		return scan_string(s);
	return s->lenient ? scan_word(s, true, what) : expected(s, what);
}

static bool scan_member(struct scan *s)
{
	if (!scan_key(s) || !skip_space(s))
		return false;
	if (s->lenient && take(s, '='))
		take(s, '>');
	else if (!take(s, ':'))
		return expected(s, "':'");
	emit(s, ":", 1);
	return skip_space(s) && scan_value(s);
}

static bool scan_element(struct scan *s)
{
	if (s->lenient && s->p < s->end && (*s->p == ',' || *s->p == ';')) {
		emit(s, "null", 4); /* nothing between two commas: so Gson */
		return true;
	}
	return scan_value(s);
}

static bool scan_container(struct scan *s, char open, char close)
{
	bool is_object = open == '{';

	if (++s->depth > s->max_depth)
		return fail(s, "nested too deep");
	s->p++;
	emit(s, &open, 1);
	for (bool is_first = true;; is_first = false) {
		if (!skip_space(s))
			return false;
		if ((is_first || s->lenient) && take(s, close))
			break;
		if (!is_first)
			emit(s, ",", 1);
		if (!(is_object ? scan_member(s) : scan_element(s)) || !skip_space(s))
			return false;
		if (take(s, close))
			break;
		if (!take(s, ',') && !(s->lenient && take(s, ';')))
			return expected(s, is_object ? "',' or '}'" : "',' or ']'");
	}
	emit(s, &close, 1);
	s->depth--;
	return true;
}

static bool scan_value(struct scan *s)
{
	if (s->p == s->end)
		return expected(s, "a value");
	if (*s->p == '{')
		return scan_container(s, '{', '}');
	if (*s->p == '[')
		return scan_container(s, '[', ']');
	if (*s->p == '"' || (s->lenient && *s->p == '\''))
		return scan_string(s);
	if (s->lenient)
		return scan_word(s, false, "a value");
	if (*s->p == '-' || is_digit(*s->p))
		return scan_number(s);
	return scan_keyword(s);
}

/* The whole text is one value; store where it stands. */
static bool scan_text(struct scan *s, struct jslice *value)
{
	const char *from;

	if (!skip_space(s))
		return false;
	from = s->p;
	if (!scan_value(s))
		return false;
	*value = (struct jslice){ from, (size_t)(s->p - from) };
	return skip_space(s) && (s->p == s->end || expected(s, "the end of the text"));
}

bool jtext_check(const char *text, size_t len, struct jslice *value, struct err *e)
{
	struct scan s = {
		.start = text, .p = text, .end = text + len, .max_depth = JTEXT_MAX_DEPTH, .e = e
	};

	return scan_text(&s, value);
}

static bool read_within(int max_depth, const char *text, size_t len, bool lenient, struct buf *out,
			struct err *e)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct scan strict = {
		.start = text, .p = text, .end = text + len, .max_depth = max_depth
	};
	struct scan mending;
	struct jslice value;
	size_t was = out->len;

	if (lenient && len >= 3 && memcmp(text, bom, 3) == 0)
		strict.p += 3;
	mending = strict;
	strict.e = lenient ? NULL : e;
	if (scan_text(&strict, &value)) { /* most is strict: keep it as it is */
		buf_append(out, value.text, value.len);
		return true;
	}
	if (!lenient)
		return false;
	mending.lenient = true;
	mending.out = out;
	mending.e = e;
	if (scan_text(&mending, &value))
		return true;
	out->len = was;
	if (out->data)
		out->data[was] = '\0';
	return false;
}

bool jtext_read(const char *text, size_t len, bool lenient, struct buf *out, struct err *e)
{
	return read_within(JTEXT_MAX_DEPTH, text, len, lenient, out, e);
}

bool jtext_take(const char *text, size_t len, bool lenient, struct buf *out, struct err *e)
{
	return read_within(JTEXT_MAX_DEPTH_TAKEN, text, len, lenient, out, e);
}
