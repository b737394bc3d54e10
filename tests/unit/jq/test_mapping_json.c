#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "jq/mapping_inside.h"

/* Integers that jq puts with an exponent or with 17 digits have all of theirs. */
static void expect_all_digits(double d)
{
	char text[64];
	struct buf ours = { 0 };

	snprintf(text, sizeof text, "%.0f", d);
	cr_expect(mapping_json_put(&ours, jv_number(d), NULL));
	cr_expect_str_eq(buf_str(&ours), text);
	buf_fini(&ours);
}

static void expect_as_jq_puts(jv value) /* taken */
{
	jv text = jv_dump_string(jv_copy(value), 0);
	struct buf ours = { 0 };

	cr_expect(mapping_json_put(&ours, value, NULL));
	cr_expect_str_eq(buf_str(&ours), jv_string_value(text));
	buf_fini(&ours);
	jv_free(text);
	jv_free(value);
}

static void expect_as_jq_reads(const char *text)
{
	jv ours = mapping_json_read(text, strlen(text)), jqs = jv_parse(text);
	jv our_text, jqs_text;

	cr_assert(jv_is_valid(ours), "%s", text);
	our_text = jv_dump_string(jv_copy(ours), 0);
	jqs_text = jv_dump_string(jv_copy(jqs), 0);
	cr_expect_str_eq(jv_string_value(our_text), jv_string_value(jqs_text), "%s", text);
	cr_expect(jv_equal(ours, jqs), "%s", text);
	jv_free(our_text);
	jv_free(jqs_text);
}

static void expect_put(double d)
{
	if (fabs(d) >= 1e15 && fabs(d) < JTEXT_PLAIN_END &&
	    (fabs(d) >= 9e15 || (double)(int64_t)d == d))
		expect_all_digits(d);
	else
		expect_as_jq_puts(jv_number(d));
}

static void expect_both_ways(double d)
{
	char text[64];

	expect_put(d);
	expect_put(-d);
	for (int digits = 1; digits <= 17; digits += 4) {
		snprintf(text, sizeof text, "%.*g", digits, d);
		expect_as_jq_reads(text);
		snprintf(text, sizeof text, "[-%.*e]", digits, d);
		expect_as_jq_reads(text);
	}
}

Test(mapping_json, spells_numbers_as_jq_does)
{
	static const double odd[] = { 0,
				      0.1,
				      0.3,
				      1e-3,
				      9.99e-4,
				      1e-4,
				      1e-5,
				      123e-7,
				      0.0625,
				      1e15,
				      1e16,
				      1e17,
				      1e22,
				      1e300,
				      1e-300,
				      5e-324,
				      1e14,
				      1e15 - 1,
				      1e15 + 1,
				      999999999999999.9,
				      9007199254740991.0,
				      9007199254740993.0,
				      0.1 + 0.2,
				      1.0 / 3,
				      4503599627370497.5,
				      99999999.999999,
				      123456.7890125,
				      1.7976931348623157e308 };

	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
		expect_both_ways(odd[i]);
	expect_as_jq_puts(jv_number((double)NAN));
}

Test(mapping_json, integers_have_all_of_their_digits)
{
	static const char *const texts[] = {
		"288230376151711744",	"675127116845989888",	"9223372036854775808",
		"-9223372036854775808", "18446744073709551616", "1000000000000000000",
		"1700000000123456768",	"9007199254740994",	"100000000000000000000",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct buf out = { 0 };
		jv value = mapping_json_read(texts[i], strlen(texts[i])), sum;

		cr_expect(mapping_json_put(&out, value, NULL));
		cr_expect_str_eq(buf_str(&out), texts[i]);
		buf_reset(&out);
		sum = jv_number(jv_number_value(value)); /* computed */
		cr_expect(mapping_json_put(&out, sum, NULL));
		cr_expect_str_eq(buf_str(&out), texts[i]);
		jv_free(value);
		buf_fini(&out);
	}
}

Test(mapping_json, an_infinite_number_is_not_put)
{
	static const double sides[] = { (double)INFINITY, (double)-INFINITY };

	for (size_t i = 0; i < 2; i++) {
		struct buf out = { 0 };
		struct err e = { 0 };
		jv value = JV_ARRAY(jv_number(sides[i]));

		cr_expect_not(mapping_json_put(&out, value, &e));
		cr_expect_eq(e.code, ERR_INEXACT);
		jv_free(value);
		buf_fini(&out);
	}
}

static double power_of_ten(int n)
{
	char text[16];

	snprintf(text, sizeof text, "1e%d", n);
	return strtod(text, NULL);
}

Test(mapping_json, spells_all_short_numbers_as_jq_does)
{
	uint64_t seed = 88172645463325252;

	for (int i = 0; i < 20000; i++) {
		double scale = power_of_ten(i % 19 - 9);

		seed ^= seed << 13; /* xorshift64 */
		seed ^= seed >> 7;
		seed ^= seed << 17;
		expect_put((double)(seed % 100000) * scale);
		expect_as_jq_puts(jv_number((double)(seed % 100000) / power_of_ten(i % 12)));
		expect_put((double)seed * scale);
		if (i % 50 == 0)
			expect_both_ways((double)(seed >> 11) * scale);
	}
}

Test(mapping_json, reads_as_jq_does)
{
	static const char *const texts[] = {
		"null",
		"true",
		"false",
		"0",
		"-0",
		"1.0",
		"1.000",
		"0.10",
		"1e3",
		"1E+2",
		"-1.5e-7",
		"123456789012345",
		"1234567890123456",
		"9007199254740993",
		"0.123456789012345678",
		"12345678.12345678",
		"100000000000000000001",
		"1e1000",
		"\"\"",
		"\"a\"",
		"\"\\u0000\\ud83d\\ude00\\\\\\\"\\/\\b\\f\\n\\r\\t\"",
		"\"Küche 🔥\"",
		"\"\x7f\"",
		"[]",
		"{}",
		"[[],[[]],{}]",
		" [ 1 , 2 ] ",
		"{ \"a\" : 1 , \"b\" : { } }",
		"{\"b\":1,\"a\":2,\"b\":{\"a\":3}}",
		"{\"\\u0061\":1}",
		"{\"\":null}",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		expect_as_jq_reads(texts[i]);
}

Test(mapping_json, puts_strings_and_nesting_as_jq_does)
{
	struct buf text = { 0 };
	jv object = jv_object();

	for (int c = 0; c < 0x800; c++)
		expect_as_jq_puts(jv_string_append_codepoint(jv_string("x"), (uint32_t)c));
	expect_as_jq_puts(jv_string_sized("bad \xff utf-8", 11));
	for (int i = 0; i < 40; i++) {
		buf_reset(&text);
		buf_printf(&text, "key \"%d\"", i);
		object = jv_object_set(object, jv_string(buf_str(&text)),
				       JV_ARRAY(jv_number(i), jv_object(), jv_copy(object)));
		if (i % 3 == 0)
			object = jv_object_delete(object, jv_string("key \"0\""));
		if (i == 4)
			break;
	}
	expect_as_jq_puts(object);
	buf_fini(&text);
}

static jv nested(int depth)
{
	struct buf text = { 0 };
	jv value;

	for (int i = 0; i < depth; i++)
		buf_putc(&text, '[');
	for (int i = 0; i < depth; i++)
		buf_putc(&text, ']');
	value = mapping_json_read(buf_str(&text), text.len);
	buf_fini(&text);
	return value;
}

Test(mapping_json, bounds_the_nesting_of_both_ways)
{
	struct buf text = { 0 };
	jv deepest = nested(JTEXT_MAX_DEPTH_TAKEN), deeper;

	cr_assert(jv_is_valid(deepest));
	expect_as_jq_puts(jv_copy(deepest));
	deeper = JV_ARRAY(deepest);
	cr_expect_not(mapping_json_put(&text, deeper, NULL));
	buf_fini(&text);
	jv_free(deeper);
	deeper = nested(JTEXT_MAX_DEPTH);
	cr_expect(jv_is_valid(deeper));
	jv_free(deeper);
	deeper = nested(JTEXT_MAX_DEPTH + 1);
	cr_expect_not(jv_is_valid(deeper));
	jv_free(deeper);
}

Test(mapping_json, refuses_what_is_not_one_value)
{
	static const char *const texts[] = {
		"",	  " ",	     "{",	 "[",	     "[1",	  "[1,", "[1 2]",
		"{\"a\"", "{\"a\":", "{\"a\":1", "{1:2}",    "{\"a\" 1}", "\"a", "\"\\",
		"\"\\\"", "tru",     "nil",	 "-",	     "1-",	  ".",	 "1 2",
		"[1]]",	  "{}{}",    "[1}",	 "{\"a\":1]"
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		jv value = mapping_json_read(texts[i], strlen(texts[i]));

		cr_expect_not(jv_is_valid(value), "%s", texts[i]);
		jv_free(value);
	}
}
