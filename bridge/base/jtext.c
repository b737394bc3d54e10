/* jtext.c -- strict text: walks over it, takes its strings and integers apart, writes strings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/jtext_inside.h"

/* Walking strict text: jtext_read.c has checked it, so only the bounds are minded here. */

/* Most strings are short; a long one is better searched than walked over. */
#define SHORT_STRING 32

const char *jtext_string_end(const char *p, const char *end)
{
	const char *walked = end - p > SHORT_STRING ? p + SHORT_STRING : end;
	const char *quote = NULL, *escape;

	for (p++; p < walked; p++) {
		if (*p == '"')
			return p + 1;
		p += *p == '\\';
	}
	while (p < end) {
		if (!quote || quote < p) /* looked for once, however many escapes are before it */
			quote = memchr(p, '"', (size_t)(end - p));
		escape = quote ? memchr(p, '\\', (size_t)(quote - p)) : NULL;
		if (!escape)
			return quote ? quote + 1 : end;
		p = escape + 2;
	}
	return end;
}

static const char *scalar_end(const char *p, const char *end)
{
	while (p < end && !is_space(*p) && *p != ',' && *p != ']' && *p != '}')
		p++;
	return p;
}

static const char *value_end(const char *p, const char *end)
{
	int depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = jtext_string_end(p, end);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (depth == 0) {
			return scalar_end(p, end);
		} else {
			p++;
		}
		if (depth <= 0)
			break;
	}
	return p;
}

enum jtext_type jtext_type_of(struct jslice v)
{
	const char *p = space_end(v.text, v.text + v.len);

	if (p == v.text + v.len)
		return JTEXT_NULL;
	switch (*p) {
	case '{':
		return JTEXT_OBJECT;
	case '[':
		return JTEXT_ARRAY;
	case '"':
		return JTEXT_STRING;
	case 't':
		return JTEXT_TRUE;
	case 'f':
		return JTEXT_FALSE;
	case 'n':
		return JTEXT_NULL;
	default:
		return JTEXT_NUMBER;
	}
}

/* Where the next item of the container starts; NULL at its end, or if it is no such container. */
static const char *next_item(struct jslice v, size_t pos, char open)
{
	const char *end = v.text + v.len;
	const char *p = space_end(v.text + pos, end);

	if (p == end || (pos == 0 && *p != open))
		return NULL;
	if (*p == (pos == 0 ? open : ','))
		p = space_end(p + 1, end);
	return p < end && *p != ']' && *p != '}' ? p : NULL;
}

bool jtext_next_field(struct jslice object, size_t *pos, struct jfield *out)
{
	const char *end = object.text + object.len;
	const char *key = next_item(object, *pos, '{');
	const char *p;

	if (!key)
		return false;
	p = jtext_string_end(key, end);
	out->key = (struct jslice){ key, (size_t)(p - key) };
	p = space_end(p, end);
	if (p < end && *p == ':')
		p++;
	p = space_end(p, end);
	out->value.text = p;
	p = value_end(p, end);
	out->value.len = (size_t)(p - out->value.text);
	*pos = (size_t)(p - object.text);
	return true;
}

bool jtext_next_element(struct jslice array, size_t *pos, struct jslice *out)
{
	const char *p = next_item(array, *pos, '[');
	const char *end;

	if (!p)
		return false;
	end = value_end(p, array.text + array.len);
	*out = (struct jslice){ p, (size_t)(end - p) };
	*pos = (size_t)(end - array.text);
	return true;
}

bool jtext_field(struct jslice object, const char *key, struct jslice *out)
{
	struct jfield f;
	size_t pos = 0;
	bool found = false;

	while (jtext_next_field(object, &pos, &f)) {
		if (!jtext_string_is(f.key, key))
			continue;
		*out = f.value;
		found = true;
	}
	return found;
}

/* Strings */

void jtext_put_string(struct buf *out, const char *s, size_t n)
{
	static const char shorts[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	const char *end = s + n, *run = s;

	buf_reserve(out, n + 2);
	buf_putc(out, '"');
	for (; s < end; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_append(out, run, (size_t)(s - run));
		if (c >= 0x20)
			buf_printf(out, "\\%c", c);
		else if (shorts[c])
			buf_printf(out, "\\%c", shorts[c]);
		else
			buf_printf(out, "\\u%04x", c);
		run = s + 1;
	}
	buf_append(out, run, (size_t)(s - run));
	buf_putc(out, '"');
}

/* The string without the white space around it and its quotes; false if it is none. */
static bool string_inside(struct jslice v, struct jslice *out)
{
	const char *end = v.text + v.len;
	const char *p = space_end(v.text, end);

	if (p == end || *p != '"')
		return false;
	end = jtext_string_end(p, end);
	if (end - p < 2)
		return false;
	*out = (struct jslice){ p + 1, (size_t)(end - p) - 2 };
	return true;
}

bool jtext_is_true(struct jslice object, const char *key)
{
	struct jslice v;

	return jtext_field(object, key, &v) && jtext_type_of(v) == JTEXT_TRUE;
}

bool jtext_string_is(struct jslice string, const char *s)
{
	struct buf plain = { 0 };
	struct jslice inside;
	size_t n = strlen(s);
	bool same;

	if (!string_inside(string, &inside))
		return false;
	if (!memchr(inside.text, '\\', inside.len))
		return inside.len == n && memcmp(inside.text, s, n) == 0;
	if (inside.len < n)
		return false;
	jtext_string_decode(string, &plain);
	same = plain.len == n && memcmp(buf_str(&plain), s, n) == 0;
	buf_fini(&plain);
	return same;
}

static void put_utf8(struct buf *out, unsigned c)
{
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	char text[4];

	for (size_t i = n; i-- > 1; c >>= 6)
		text[i] = (char)(0x80 | (c & 0x3f));
	text[0] = (char)(lead[n] | c);
	buf_append(out, text, n);
}

/* Decode the escape at `p`; where it ends. */
static const char *decode_escape(const char *p, const char *end, struct buf *out)
{
	static const char letters[] = "bfnrt", means[] = "\b\f\n\r\t";
	const char *letter;
	int c, low;

	if (p + 1 >= end)
		return end;
	if (p[1] != 'u') {
		letter = strchr(letters, p[1]);
		buf_putc(out, letter && *letter ? means[letter - letters] : p[1]);
		return p + 2;
	}
	c = jtext_hex4(p + 2, end);
	if (c < 0)
		return end;
	p += 6;
	if (c >= 0xd800 && c <= 0xdbff && end - p >= 6) {
		low = jtext_hex4(p + 2, end);
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	put_utf8(out, (unsigned)c);
	return p;
}

bool jtext_string_decode(struct jslice string, struct buf *out)
{
	struct jslice inside;
	const char *p, *end, *run;

	if (!string_inside(string, &inside))
		return false;
	end = inside.text + inside.len;
	buf_reserve(out, inside.len);
	for (p = inside.text; p < end;) {
		run = p;
		p = memchr(p, '\\', (size_t)(end - p));
		if (!p)
			p = end;
		buf_append(out, run, (size_t)(p - run));
		if (p < end)
			p = decode_escape(p, end, out);
	}
	buf_append(out, "", 0); /* an empty string is text too */
	return true;
}

/* Integers */

static bool is_integer(struct jslice v)
{
	const char *end = v.text + v.len;

	return jtext_number_end(v.text, end) == end &&
	       digits_end(v.text + (*v.text == '-'), end) == end;
}

bool jtext_integer(struct jslice v, int64_t *out)
{
	const char *end = v.text + v.len, *p = space_end(v.text, end);
	struct jslice digits = { p, (size_t)(scalar_end(p, end) - p) };
	uint64_t n = 0, max = INT64_MAX;
	bool is_negative;

	string_inside(v, &digits);
	if (digits.len == 0 || !is_integer(digits))
		return false;
	is_negative = digits.text[0] == '-';
	max += is_negative;
	for (size_t i = is_negative; i < digits.len; i++) {
		unsigned d = (unsigned)(digits.text[i] - '0');

		if (n > (max - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*out = is_negative ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

struct walk {
	bool (*f)(void *ctx, struct jslice number);
	void *ctx;
	bool (*is_passed_over)(struct jslice number);
};

static bool each_number(struct jslice v, const struct walk *w)
{
	const char *p = v.text, *end = p + v.len;

	while (p < end) {
		if (*p == '"') {
			p = jtext_string_end(p, end);
		} else if (*p == '-' || is_digit(*p)) {
			struct jslice number = { p, (size_t)(scalar_end(p, end) - p) };

			if (!w->is_passed_over(number) && !w->f(w->ctx, number))
				return false;
			p += number.len;
		} else {
			p++;
		}
	}
	return true;
}

static bool is_no_integer(struct jslice number)
{
	return !is_integer(number);
}

bool jtext_each_integer(struct jslice v, bool (*f)(void *ctx, struct jslice number), void *ctx)
{
	return each_number(v, &(struct walk){ f, ctx, is_no_integer });
}

bool jtext_each_lost_number(struct jslice v, bool (*f)(void *ctx, struct jslice number), void *ctx)
{
	return jtext_numbers_are_short(v) ||
	       each_number(v, &(struct walk){ f, ctx, jtext_number_is_kept });
}
