/* jtext_number.c -- which numbers a double keeps.
 *
 * jq computes with doubles.  An integer, however it is spelled, must come out as it went in; of a fraction,
 * the nearest double will do (everybody rounds these), as long as there is room for a fraction at all. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jtext_inside.h"

#define MAX_LEN	    400 /* the largest double has 309 digits */
#define MAX_EXP	    100000
#define FRACTIONS   9007199254740992.0 /* 2^53: doubles beyond are integers */
#define SURE_DIGITS 15		       /* DBL_DIG */

/* A number without its sign: digits * 10^exponent, no zeros on either end; 0 has no digits. */
struct decimal {
	char digits[MAX_LEN];
	size_t n;
	long exponent;
	double value; /* the nearest double */
};

static long read_exponent(const char *p, const char *end)
{
	bool is_negative = *p == '-';
	long n = 0;

	for (p += *p == '-' || *p == '+'; p < end && n < MAX_EXP; p++)
		n = n * 10 + (*p - '0');
	return is_negative ? -n : n;
}

/* False: it is too long to be looked at. */
static bool decimal_read(struct decimal *d, struct jslice number)
{
	const char *p = number.text, *end = p + number.len;
	bool has_point = false;
	char spelled[MAX_LEN];

	*d = (struct decimal){ 0 };
	if (number.len >= MAX_LEN)
		return false;
	p += *p == '-';
	for (; p < end && (*p | 0x20) != 'e'; p++) {
		if (*p == '.') {
			has_point = true;
			continue;
		}
		if (d->n || *p != '0')
			d->digits[d->n++] = *p;
		d->exponent -= has_point;
	}
	if (p + 1 < end)
		d->exponent += read_exponent(p + 1, end);
	for (; d->n && d->digits[d->n - 1] == '0'; d->n--)
		d->exponent++;
	if (d->n == 0)
		d->exponent = 0;
	memcpy(spelled, number.text, number.len);
	spelled[number.len] = '\0';
	d->value = fabs(strtod(spelled, NULL));
	return true;
}

static bool decimal_equal(const struct decimal *a, const struct decimal *b)
{
	return a->n == b->n && a->exponent == b->exponent &&
	       memcmp(a->digits, b->digits, a->n) == 0;
}

/* As mapping_json.c spells it. */
static void decimal_of(struct decimal *d, double value)
{
	char text[MAX_LEN];
	int n = 0;

	if (value < JTEXT_PLAIN_END) {
		n = snprintf(text, sizeof text, "%.0f", value);
	} else {
		for (int digits = DBL_DIG; digits <= 17; digits++) {
			n = snprintf(text, sizeof text, "%.*e", digits - 1, value);
			if (strtod(text, NULL) == value)
				break;
		}
	}
	decimal_read(d, (struct jslice){ text, (size_t)n });
}

static bool is_kept(const struct decimal *d)
{
	struct decimal held;

	if (d->n == 0)
		return true;
	if (isinf(d->value) || d->value < DBL_MIN)
		return false;
	if (d->exponent < 0)
		return d->value < FRACTIONS;
	decimal_of(&held, d->value);
	return decimal_equal(d, &held);
}

/* Most numbers: no look at its digits is needed. */
static bool is_short(struct jslice number)
{
	return number.len <= SURE_DIGITS && !memchr(number.text, 'e', number.len) &&
	       !memchr(number.text, 'E', number.len);
}

bool jtext_number_is_kept(struct jslice number)
{
	struct decimal d;

	return is_short(number) || (decimal_read(&d, number) && is_kept(&d));
}

/* --- texts without a number that needs a look ------------------------------------------------ */

static bool may_be_of_number(char c)
{
	return is_digit(c) || c == '.' || c == '-' || c == '+' || (c | 0x20) == 'e';
}

/* No run of such characters is longer than SURE_DIGITS.  One that is covers one of the places that are looked at. */
static bool runs_are_short(struct jslice text)
{
	const char *begin = text.text, *end = begin + text.len;
	const size_t step = SURE_DIGITS + 1;

	for (size_t at = SURE_DIGITS; at < text.len; at += step) {
		const char *from = begin + at, *to = from;

		if (!may_be_of_number(*from))
			continue;
		while (from > begin && may_be_of_number(from[-1]))
			from--;
		while (to < end && may_be_of_number(*to) && (size_t)(to - from) < step)
			to++;
		if ((size_t)(to - from) >= step)
			return false;
	}
	return true;
}

static bool has_exponent(struct jslice text, char e)
{
	const char *p = text.text, *end = p + text.len;

	while (p < end && (p = memchr(p, e, (size_t)(end - p)))) {
		if (p > text.text && (is_digit(p[-1]) || p[-1] == '.'))
			return true;
		p++;
	}
	return false;
}

bool jtext_numbers_are_short(struct jslice text)
{
	return runs_are_short(text) && !has_exponent(text, 'e') && !has_exponent(text, 'E');
}

/* --- numbers anywhere, in strings too --------------------------------------------------------- */

static bool is_word(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

/* Where what jq's tonumber takes ends; `p` is at a digit. */
static const char *loose_end(const char *p, const char *end)
{
	p = digits_end(p, end);
	if (p < end && *p == '.')
		p = digits_end(p + 1, end);
	if (p < end && (*p | 0x20) == 'e') {
		const char *exponent = p + 1 + (p + 1 < end && (p[1] == '+' || p[1] == '-'));

		if (digits_end(exponent, end) > exponent)
			p = digits_end(exponent, end);
	}
	return p;
}

static const char *escape_end(const char *p, const char *end)
{
	size_t n = p + 1 < end && p[1] == 'u' ? 6 : 2;

	return (size_t)(end - p) < n ? end : p + n;
}

static const char *word_end(const char *p, const char *end)
{
	while (p < end && is_word(*p))
		p++;
	return p;
}

/* The next number in *text, without its sign and no part of a word (an escape in a string is none); *text is left
 * behind it. */
static bool next_number(struct jslice *text, struct jslice *number)
{
	const char *p = text->text, *end = p + text->len;

	while (p < end) {
		const char *to = is_digit(*p) ? loose_end(p, end) : p;

		if (to > p && (to == end || !is_word(*to))) {
			while (p + 1 < to && p[0] == '0' && is_digit(p[1]))
				p++;
			*number = (struct jslice){ p, (size_t)(to - p) };
			*text = (struct jslice){ to, (size_t)(end - to) };
			return true;
		}
		if (*p == '\\')
			p = escape_end(p, end);
		else
			p = is_word(*p) ? word_end(p, end) : p + 1;
	}
	return false;
}

static bool has_number(struct jslice text, const struct decimal *d)
{
	struct jslice number;
	struct decimal other;

	while (next_number(&text, &number))
		if (decimal_read(&other, number) && decimal_equal(d, &other))
			return true;
	return false;
}

/* Is there another number in `out` that is the same as a double, and that was not in `in`? */
static bool has_changed(const struct decimal *d, struct jslice in, struct jslice out)
{
	struct jslice number;
	struct decimal other;

	while (next_number(&out, &number))
		if (decimal_read(&other, number) && other.value == d->value &&
		    !decimal_equal(d, &other) && !has_number(in, &other))
			return true;
	return false;
}

/* Of words with hyphens, as UUIDs are (…-125e-4123-…), nobody makes a number. */
static bool is_in_a_name(struct jslice text, struct jslice number)
{
	const char *p = number.text, *end = p + number.len;

	while (p > text.text && is_digit(p[-1]))
		p--;
	return (end < text.text + text.len && *end == '-') ||
	       (p - text.text >= 2 && p[-1] == '-' && is_word(p[-2]));
}

bool jtext_keeps_numbers(struct jslice in, struct jslice out)
{
	struct jslice rest = in, number;
	struct decimal d;

	if (jtext_numbers_are_short(in))
		return true;
	while (next_number(&rest, &number)) {
		if (is_short(number) || !decimal_read(&d, number) || d.n == 0 || isinf(d.value) ||
		    (d.exponent < 0 && is_kept(&d)) || (d.n <= SURE_DIGITS && d.value >= DBL_MIN))
			continue;
		/* A zero is found everywhere. */
		if (d.value < DBL_MIN && is_in_a_name(in, number))
			continue;
		if (has_changed(&d, in, out))
			return false;
	}
	return true;
}
