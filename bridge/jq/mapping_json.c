/* JSON text to jq's values and back.  It does what jq's own parser and printer do, which cost more than
 * most functions of a mapping; numbers that are not short are left to these. */
#include "jq/mapping_inside.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

/* Short: with a double, any spelling of up to 15 digits comes back as it was (DBL_DIG). */
#define MAX_DIGITS 15
#define MAX_SHORT  1e15

static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8 };
#define MAX_FRACTION (sizeof powers / sizeof powers[0] - 1)

/* --- reading ------------------------------------------------------------------------------- */

struct json_reader {
	const char *p, *end;
	int depth;
};

/* What jq's parser says, for any text of one value.  jv_parse_sized() would do the same, but its
 * errors quote the whole text, and unpatched ones read beyond it (CVE-2026-39979). */
static jv parse(const char *text, size_t len)
{
	struct jv_parser *parser = jv_parser_new(0);
	jv value, more;

	jv_parser_set_buf(parser, text, (int)len, 0);
	value = jv_parser_next(parser);
	if (jv_is_valid(value)) {
		more = jv_parser_next(parser);
		if (jv_is_valid(more) || jv_invalid_has_msg(jv_copy(more))) {
			jv_free(value);
			value = jv_invalid();
		}
		jv_free(more);
	}
	jv_parser_free(parser);
	return value;
}

bool mapping_keeps_numbers(void)
{
	static const char wide[] = "9007199254740993"; /* 2^53 + 1 */
	static int known = -1;

	if (known < 0) {
		jv text = jv_dump_string(parse(wide, strlen(wide)), 0);

		known = strcmp(jv_string_value(text), wide) == 0;
		jv_free(text);
	}
	return known;
}

static jv read_value(struct json_reader *r);

static void skip_space(struct json_reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
		r->p++;
}

static bool take(struct json_reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/* The value of a short number without exponent: digits and a power of ten that a double holds exactly
 * give the nearest double.  False: it is not that short, or has a spelling that jq keeps. */
static bool short_number(const char *p, const char *end, double *out)
{
	bool is_negative = *p == '-', has_point = false;
	size_t n_digits = 0, n_fraction = 0;
	int64_t digits = 0;

	for (p += is_negative; p < end; p++) {
		if (*p == '.' && !has_point && !mapping_keeps_numbers()) {
			has_point = true;
			continue;
		}
		if (*p < '0' || *p > '9' || ++n_digits > MAX_DIGITS)
			return false;
		digits = digits * 10 + (*p - '0');
		n_fraction += has_point;
	}
	if (n_digits == 0 || n_fraction > MAX_FRACTION || (has_point && n_fraction == 0))
		return false;
	*out = (double)digits / powers[n_fraction];
	if (is_negative)
		*out = -*out;
	return true;
}

static jv read_number(struct json_reader *r)
{
	const char *from = r->p;
	double value;

	while (r->p < r->end && (strchr("+-.eE", *r->p) || (*r->p >= '0' && *r->p <= '9')))
		r->p++;
	if (r->p == from)
		return jv_invalid();
	return short_number(from, r->p, &value) ? jv_number(value)
						: parse(from, (size_t)(r->p - from));
}

static jv decode_string(struct jslice string)
{
	struct buf text = { 0 };
	jv value;

	jtext_string_decode(string, &text);
	value = jv_string_sized(buf_str(&text), (int)text.len);
	buf_fini(&text);
	return value;
}

static jv read_string(struct json_reader *r)
{
	const char *from = r->p++;
	bool has_escape = false;

	for (; r->p < r->end && *r->p != '"'; r->p++) {
		if (*r->p != '\\')
			continue;
		has_escape = true;
		if (++r->p == r->end)
			break;
	}
	if (r->p >= r->end)
		return jv_invalid();
	r->p++;
	return has_escape ? decode_string((struct jslice){ from, (size_t)(r->p - from) })
			  : jv_string_sized(from + 1, (int)(r->p - from) - 2);
}

static jv read_word(struct json_reader *r, const char *word, jv value)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return jv_invalid();
	r->p += n;
	return value;
}

/* Add the next member or element; `all` is taken.  Invalid: there is none. */
static jv read_member(struct json_reader *r, jv all)
{
	jv key, value;

	skip_space(r);
	key = r->p < r->end && *r->p == '"' ? read_string(r) : jv_invalid();
	value = jv_is_valid(key) && take(r, ':') ? read_value(r) : jv_invalid();
	if (jv_is_valid(value))
		return jv_object_set(all, key, value);
	jv_free(key);
	jv_free(value);
	jv_free(all);
	return jv_invalid();
}

static jv read_element(struct json_reader *r, jv all)
{
	jv value = read_value(r);

	if (jv_is_valid(value))
		return jv_array_append(all, value);
	jv_free(value);
	jv_free(all);
	return jv_invalid();
}

static jv read_container(struct json_reader *r, char close)
{
	bool is_object = close == '}';
	jv all = is_object ? jv_object() : jv_array();

	r->p++;
	if (++r->depth > JTEXT_MAX_DEPTH) {
		jv_free(all);
		return jv_invalid();
	}
	if (!take(r, close)) {
		do
			all = is_object ? read_member(r, all) : read_element(r, all);
		while (jv_is_valid(all) && take(r, ','));
		if (jv_is_valid(all) && !take(r, close)) {
			jv_free(all);
			all = jv_invalid();
		}
	}
	r->depth--;
	return all;
}

static jv read_value(struct json_reader *r)
{
	skip_space(r);
	switch (r->p < r->end ? *r->p : '\0') {
	case '{':
		return read_container(r, '}');
	case '[':
		return read_container(r, ']');
	case '"':
		return read_string(r);
	case 't':
		return read_word(r, "true", jv_true());
	case 'f':
		return read_word(r, "false", jv_false());
	case 'n':
		return read_word(r, "null", jv_null());
	default:
		return read_number(r);
	}
}

jv mapping_json_read(const char *text, size_t len)
{
	struct json_reader r = { .p = text, .end = text + len };
	jv value;

	if (len > INT_MAX)
		return jv_invalid();
	value = read_value(&r);
	skip_space(&r);
	if (r.p == r.end)
		return value;
	jv_free(value);
	return jv_invalid();
}

/* --- writing ------------------------------------------------------------------------------- */

static void put_as_jq(struct buf *out, jv value)
{
	jv text = jv_dump_string(jv_copy(value), 0);

	buf_append(out, jv_string_value(text), (size_t)jv_string_length_bytes(jv_copy(text)));
	jv_free(text);
}

/* The digits of a number, the last `fraction` of them behind a point. */
static void put_digits(struct buf *out, bool is_negative, uint64_t digits, size_t fraction)
{
	char text[2 * MAX_DIGITS], *p = text + sizeof text;

	for (size_t n = 0; digits || n <= fraction; n++) {
		if (n == fraction && n > 0)
			*--p = '.';
		*--p = (char)('0' + digits % 10);
		digits /= 10;
	}
	if (is_negative)
		*--p = '-';
	buf_append(out, p, (size_t)(text + sizeof text - p));
}

/* jq puts the shortest spelling that gives the number back.  If one of up to 15 digits does, it is that,
 * since no other of so few digits gives the same number. */
static bool put_short_number(struct buf *out, double value)
{
	double size = value < 0 ? -value : value;

	/* Beyond, and below with more zeros behind the point, jq puts an exponent. */
	if (!(size < MAX_SHORT) || (size < 1e-3 && size != 0) || (size == 0 && signbit(value)))
		return false;
	for (size_t n = 0; n <= MAX_FRACTION; n++) {
		double scaled = size * powers[n] + 0.5;
		uint64_t digits;

		if (scaled >= MAX_SHORT)
			return false;
		digits = (uint64_t)scaled;
		if ((double)digits / powers[n] == size) {
			put_digits(out, value < 0, digits, n);
			return true;
		}
	}
	return false;
}

/* Of one from MAX_SHORT on: beyond 2^53 all are. */
static bool is_integer(double value)
{
	return fabs(value) >= 9007199254740992.0 || (double)(int64_t)value == value;
}

/* From 1.7 on. */
int jv_number_has_literal(jv n) __attribute__((weak));

static bool put_number(struct buf *out, jv number, struct err *e)
{
	double value = jv_number_value(number);

	if (jv_number_has_literal && jv_number_has_literal(number)) {
		put_as_jq(out, number);
		return true;
	}
	if (isinf(value)) { /* jq puts the largest double for it */
		err_set(e, ERR_INEXACT, "an infinite number, as 1e400 becomes");
		return false;
	}
	/* jq puts 17 digits, and zeros or an exponent. */
	if (fabs(value) >= MAX_SHORT && fabs(value) < JTEXT_PLAIN_END && is_integer(value))
		buf_printf(out, "%.0f", value);
	else if (!put_short_number(out, value))
		put_as_jq(out, number);
	return true;
}

/* jq escapes what JSON demands, and DEL. */
static void put_string(struct buf *out, jv string)
{
	const char *s = jv_string_value(string);
	size_t n = (size_t)jv_string_length_bytes(jv_copy(string));

	if (memchr(s, 0x7f, n))
		put_as_jq(out, string);
	else
		jtext_put_string(out, s, n);
}

static bool put_value(struct buf *out, jv value, int depth, struct err *e);

static bool put_array(struct buf *out, jv array, int depth, struct err *e)
{
	int n = jv_array_length(jv_copy(array));
	bool ok = true;

	buf_putc(out, '[');
	for (int i = 0; ok && i < n; i++) {
		jv element = jv_array_get(jv_copy(array), i);

		if (i)
			buf_putc(out, ',');
		ok = put_value(out, element, depth, e);
		jv_free(element);
	}
	buf_putc(out, ']');
	return ok;
}

static bool put_object(struct buf *out, jv object, int depth, struct err *e)
{
	bool ok = true, is_first = true;

	buf_putc(out, '{');
	for (int i = jv_object_iter(object); ok && jv_object_iter_valid(object, i);
	     i = jv_object_iter_next(object, i)) {
		jv key = jv_object_iter_key(object, i), value = jv_object_iter_value(object, i);

		if (!is_first)
			buf_putc(out, ',');
		is_first = false;
		put_string(out, key);
		buf_putc(out, ':');
		ok = put_value(out, value, depth, e);
		jv_free(key);
		jv_free(value);
	}
	buf_putc(out, '}');
	return ok;
}

static bool put_value(struct buf *out, jv value, int depth, struct err *e)
{
	switch (jv_get_kind(value)) {
	case JV_KIND_ARRAY:
	case JV_KIND_OBJECT:
		if (depth == JTEXT_MAX_DEPTH_TAKEN) {
			err_set(e, ERR_LIMIT, "an output nested deeper than %d",
				JTEXT_MAX_DEPTH_TAKEN);
			return false;
		}
		return jv_get_kind(value) == JV_KIND_ARRAY ? put_array(out, value, depth + 1, e)
							   : put_object(out, value, depth + 1, e);
	case JV_KIND_STRING:
		put_string(out, value);
		break;
	case JV_KIND_NUMBER:
		return put_number(out, value, e);
	case JV_KIND_TRUE:
		buf_puts(out, "true");
		break;
	case JV_KIND_FALSE:
		buf_puts(out, "false");
		break;
	default:
		buf_puts(out, "null");
		break;
	}
	return true;
}

bool mapping_json_put(struct buf *out, jv value, struct err *e)
{
	return put_value(out, value, 0, e);
}
