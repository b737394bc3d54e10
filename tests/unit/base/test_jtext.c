#include "base/jtext.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/err.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct jslice slice(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

static void read_gives(const char *text, size_t len, bool lenient, const char *want)
{
	struct buf out = { 0 };
	struct err e = { 0 };
	bool ok;

	buf_puts(&out, "before ");
	ok = jtext_read(text, len, lenient, &out, &e);
	cr_expect(ok, "'%s': %s", text, e.text);
	cr_expect_str_eq(buf_str(&out) + 7, ok ? want : "", "'%s'", text);
	buf_fini(&out);
}

static void read_fails(const char *text, size_t len, bool lenient, const char *want)
{
	struct buf out = { 0 };
	struct err e = { 0 };

	buf_puts(&out, "before");
	cr_expect_not(jtext_read(text, len, lenient, &out, &e), "'%s' gave %s", text,
		      buf_str(&out));
	cr_expect_eq(e.code, ERR_INVALID);
	if (want)
		cr_expect_str_eq(e.text, want, "'%s'", text);
	cr_expect_str_eq(buf_str(&out), "before");
	cr_expect_not(jtext_read(text, len, lenient, &out, NULL));
	buf_fini(&out);
}

Test(jtext, strict_input_is_copied_byte_for_byte)
{
	static const char *const texts[] = {
		"null",
		"true",
		"false",
		"0",
		"-0",
		"-0.0e-00",
		"1E400",
		"9007199254740993",
		"3.1415926535897932384626433832795",
		"\"\"",
		"[]",
		"{}",
		"[ ]",
		"{ }",
		"{\"b\" : 1,\n\t\"a\":[1 , 2.50, {}]}",
		"{\"a\":1,\"a\":2}",
		"{\"\":0}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\uD83D\\ude00\"",
		"\"it's / \x7f\"",
		"\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf\"",
		"\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"",
		"\"// no comment # here\"",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		read_gives(texts[i], strlen(texts[i]), false, texts[i]);
		read_gives(texts[i], strlen(texts[i]), true, texts[i]);
	}
}

Test(jtext, white_space_around_the_value_is_dropped)
{
	read_gives(" \t\r\n[1, 2]\n ", 12, false, "[1, 2]");
	read_gives("\n 7", 3, false, "7");
}

Test(jtext, an_empty_text_may_be_null)
{
	struct buf out = { 0 };
	struct err e = { 0 };

	cr_expect_not(jtext_read(NULL, 0, true, &out, &e));
	cr_expect_str_eq(e.text, "byte 1: a value was expected");
	cr_expect(jtext_is_utf8(NULL, 0));
}

Test(jtext, only_len_bytes_are_read)
{
	read_gives("12345", 2, false, "12");
	read_gives("truetrue", 4, false, "true");
	read_fails("[1]", 2, false, "byte 3: ',' or ']' was expected");
	read_fails("\"ab\"", 3, false, "byte 4: the end of the string was expected");
}

Test(jtext, mistakes_are_told_by_position_and_never_quoted)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "byte 1: a value was expected" },
		{ "  ", "byte 3: a value was expected" },
		{ "secret", "byte 1: a value was expected" },
		{ "{secret:1}", "byte 2: a string was expected" },
		{ "{\"a\" 1}", "byte 6: ':' was expected" },
		{ "{\"a\":1 \"b\":2}", "byte 8: ',' or '}' was expected" },
		{ "{\"a\":1,}", "byte 8: a string was expected" },
		{ "{,}", "byte 2: a string was expected" },
		{ "{\"a\"", "byte 5: ':' was expected" },
		{ "{", "byte 2: a string was expected" },
		{ "[1,]", "byte 4: a value was expected" },
		{ "[,1]", "byte 2: a value was expected" },
		{ "[1 2]", "byte 4: ',' or ']' was expected" },
		{ "[1}", "byte 3: ',' or ']' was expected" },
		{ "1 2", "byte 3: the end of the text was expected" },
		{ "{}//", "byte 3: the end of the text was expected" },
		{ "'a'", "byte 1: a value was expected" },
		{ "nan", "byte 1: a value was expected" },
		{ "NaN", "byte 1: a value was expected" },
		{ "Infinity", "byte 1: a value was expected" },
		{ "-Infinity", "byte 1: not a JSON number" },
		{ "True", "byte 1: a value was expected" },
		{ "nul", "byte 1: a value was expected" },
		{ "truefalse", "byte 5: the end of the text was expected" },
		{ "01", "byte 2: the end of the text was expected" },
		{ "-", "byte 1: not a JSON number" },
		{ "+1", "byte 1: a value was expected" },
		{ ".5", "byte 1: a value was expected" },
		{ "1.", "byte 1: not a JSON number" },
		{ "1.e5", "byte 1: not a JSON number" },
		{ "1e", "byte 1: not a JSON number" },
		{ "1e+", "byte 1: not a JSON number" },
		{ "0x10", "byte 2: the end of the text was expected" },
		{ "\"a", "byte 3: the end of the string was expected" },
		{ "\"\\", "byte 2: an escape that JSON does not have" },
		{ "\"\\x41\"", "byte 2: an escape that JSON does not have" },
		{ "\"\\'\"", "byte 2: an escape that JSON does not have" },
		{ "\"\\u12\"", "byte 2: not four hexadecimal digits after \\u" },
		{ "\"\\u12g4\"", "byte 2: not four hexadecimal digits after \\u" },
		{ "\"\\ud800\"", "byte 2: half a surrogate pair" },
		{ "\"\\ud800\\u0041\"", "byte 2: half a surrogate pair" },
		{ "\"\\udc00\"", "byte 2: half a surrogate pair" },
		{ "\"\\ud83d\\\"", "byte 2: half a surrogate pair" },
		{ "\"a\nb\"", "byte 3: a control character must be escaped" },
		{ "\"a\x1f\"", "byte 3: a control character must be escaped" },
		{ "\xef\xbb\xbf{}", "byte 1: a value was expected" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		read_fails(cases[i].text, strlen(cases[i].text), false, cases[i].want);
}

Test(jtext, a_nul_byte_is_no_json)
{
	read_fails("\"a\0b\"", 5, false, "byte 3: a control character must be escaped");
	read_fails("1\0", 2, false, "byte 2: the end of the text was expected");
	read_fails("\0", 1, false, NULL);
}

Test(jtext, invalid_utf8_is_refused_in_both_modes)
{
	static const char *const texts[] = {
		"\"\x80\"",
		"\"\xc0\xaf\"",
		"\"\xc1\xbf\"",
		"\"\xe0\x9f\xbf\"",
		"\"\xed\xa0\x80\"",
		"\"\xf0\x8f\xbf\xbf\"",
		"\"\xf4\x90\x80\x80\"",
		"\"\xf5\x80\x80\x80\"",
		"\"\xff\"",
		"\"\xc3\"",
		"\"\xe2\x82\"",
		"\"\xf0\x9f\x98\"",
		"\"\xe2\x28\xa1\"",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		size_t len = strlen(texts[i]);

		read_fails(texts[i], len, false, "byte 2: not valid UTF-8");
		read_fails(texts[i], len, true, "byte 2: not valid UTF-8");
		cr_expect_not(jtext_is_utf8(texts[i], len));
	}
	read_fails("{a: b\xff}", 7, true, "byte 6: not valid UTF-8");
	read_fails("{\xff: b}", 6, true, "byte 2: not valid UTF-8");
	cr_expect(jtext_is_utf8("", 0));
	cr_expect(jtext_is_utf8("a\0\xe2\x82\xac", 5));
	cr_expect_not(jtext_is_utf8("\xe2\x82\xac", 2));
}

Test(jtext, depth_is_bounded)
{
	struct buf text = { 0 };

	for (int i = 0; i < JTEXT_MAX_DEPTH; i++)
		buf_puts(&text, i % 2 ? "{\"a\":" : "[");
	buf_puts(&text, "1");
	for (int i = JTEXT_MAX_DEPTH; i-- > 0;)
		buf_puts(&text, i % 2 ? "}" : "]");
	read_gives(text.data, text.len, false, text.data);
	buf_reset(&text);
	for (int i = 0; i < 100000; i++)
		buf_putc(&text, '[');
	read_fails(text.data, text.len, false, "byte 257: nested too deep");
	read_fails(text.data, text.len, true, "byte 257: nested too deep");
	buf_fini(&text);
}

Test(jtext, lenient_mode_mends)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		/* as shells leave it, and as samples in manuals of platforms are written */
		{ "{attribute1: value1, attribute2: true}",
		  "{\"attribute1\":\"value1\",\"attribute2\":true}" },
		{ "{\"a\": 1, // the first\n \"b\": 2 // the last\n}", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":1,}", "{\"a\":1}" },
		{ "{ version: \"v1\", last_updated: 1700000000 }",
		  "{\"version\":\"v1\",\"last_updated\":1700000000}" },
		{ "[1,]", "[1]" },
		{ "[1,\n]", "[1]" },
		{ "[,]", "[null]" },
		{ "[1,,2]", "[1,null,2]" },
		{ "{a=1;b=>2}", "{\"a\":1,\"b\":2}" },
		{ "[1;2;]", "[1,2]" },
		{ "# head\n/* a * b **/{a /*x*/ : /*y*/ 1 # tail\r}", "{\"a\":1}" },
		{ "{\"a\":1}//", "{\"a\":1}" },
		{ "{'a': 'it\\'s \"x\"'}", "{\"a\":\"it's \\\"x\\\"\"}" },
		{ "'a\\\"b\\u00e9'", "\"a\\\"b\\u00e9\"" },
		{ "[\"it\\'s\"]", "[\"it's\"]" },
		{ "{\"a\":\"x\ty\nz\",}", "{\"a\":\"x\\u0009y\\u000az\"}" },
		{ "'a\\\nb'", "\"a\\nb\"" },
		{ "hello", "\"hello\"" },
		{ "[1.50,-0,1e5,007,+1,.5,1.,0x1F,NaN,-Infinity,1_000]",
		  "[1.50,-0,1e5,\"007\",\"+1\",\".5\",\"1.\",\"0x1F\",\"NaN\",\"-Infinity\",\"1_"
		  "000\"]" },
		{ "[9007199254740993,12345678901234567890123]",
		  "[9007199254740993,12345678901234567890123]" },
		{ "{a:True,b:FALSE,c:None,d:NULL,}",
		  "{\"a\":true,\"b\":false,\"c\":\"None\",\"d\":null}" },
		{ "{true:1,null:2,3:4}", "{\"true\":1,\"null\":2,\"3\":4}" },
		{ "{a:b\"c}", "{\"a\":\"b\\\"c\"}" },
		{ "{na\xc3\xafve:\xe6\xb8\xa9}", "{\"na\xc3\xafve\":\"\xe6\xb8\xa9\"}" },
		{ "\xef\xbb\xbf{\"a\": 1}", "{\"a\": 1}" },
		{ "\xef\xbb\xbf{a:1}", "{\"a\":1}" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		read_gives(cases[i].text, strlen(cases[i].text), true, cases[i].want);
}

Test(jtext, what_lenient_mode_writes_is_strict)
{
	static const char *const texts[] = {
		"{a:\x01\x02,}", "['\x01\\'\"',]", "{'\t':\"\\'\"}", "[a\"b'c]", "{a:'/\\/'}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct buf once = { 0 };

		cr_assert(jtext_read(texts[i], strlen(texts[i]), true, &once, NULL), "%s",
			  texts[i]);
		read_gives(once.data, once.len, false, once.data);
		buf_fini(&once);
	}
}

Test(jtext, lenient_mode_does_not_take_everything)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "byte 1: a value was expected" },
		{ "// nothing", "byte 11: a value was expected" },
		{ "{a:1} {b:2}", "byte 7: the end of the text was expected" },
		{ "{a b}", "byte 4: ':' was expected" },
		{ "{a: hello world}", "byte 11: ',' or '}' was expected" },
		{ "{,}", "byte 2: a string was expected" },
		{ "{a:}", "byte 4: a value was expected" },
		{ "{:1}", "byte 2: a string was expected" },
		{ "{a:http://x}", "byte 8: ',' or '}' was expected" },
		{ "{a:1 /* ", "byte 6: the comment has no end" },
		{ "{a:1 /*/", "byte 6: the comment has no end" },
		{ "{a:'b}", "byte 7: the end of the string was expected" },
		{ "{a:1", "byte 5: ',' or '}' was expected" },
		{ "[1}", "byte 3: ',' or ']' was expected" },
		{ "['\\ud800']", "byte 3: half a surrogate pair" },
		{ "['\\q']", "byte 3: an escape that JSON does not have" },
		{ "{\"a\":/}", "byte 6: a value was expected" },
		{ "\xef\xbb\xbf", "byte 4: a value was expected" },
		{ "\xef\xbb\xbf\xef\xbb\xbf{}", "byte 7: the end of the text was expected" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		read_fails(cases[i].text, strlen(cases[i].text), true, cases[i].want);
}

Test(jtext, curly_quotes_are_called_so) /* word processors and manuals make them */
{
	static const char *const quotes[] = { "\xe2\x80\x9c", "\xe2\x80\x98", "\xe3\x80\x8c",
					      "\xef\xbc\x82" };
	static const char want[] = "byte %d: a straight quote was expected, not a curly one";
	char text[40], why[80];

	for (size_t i = 0; i < COUNT(quotes); i++)
		for (int lenient = 0; lenient < 2; lenient++) {
			snprintf(text, sizeof text, "{%sa%s: 1}", quotes[i], quotes[i]);
			snprintf(why, sizeof why, want, 2);
			read_fails(text, strlen(text), lenient, why);
			snprintf(text, sizeof text, "{\"a\": %sb%s}", quotes[i], quotes[i]);
			snprintf(why, sizeof why, want, 7);
			read_fails(text, strlen(text), lenient, why);
		}
	read_gives("{a: it\xe2\x80\x99s}", 11, true, "{\"a\":\"it\xe2\x80\x99s\"}");
}

Test(jtext, types_are_told_by_the_first_character)
{
	static const struct {
		const char *text;
		enum jtext_type type;
	} cases[] = {
		{ "null", JTEXT_NULL }, { " true", JTEXT_TRUE }, { "false", JTEXT_FALSE },
		{ "-1", JTEXT_NUMBER }, { "0", JTEXT_NUMBER },	 { "\n\"x\"", JTEXT_STRING },
		{ "[1]", JTEXT_ARRAY }, { "{}", JTEXT_OBJECT },	 { "", JTEXT_NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(jtext_type_of(slice(cases[i].text)), cases[i].type, "%s",
			     cases[i].text);
}

static void put_slice(struct buf *out, struct jslice v)
{
	buf_putc(out, '<');
	buf_append(out, v.text, v.len);
	buf_putc(out, '>');
}

Test(jtext, fields_come_in_order_with_their_spelling)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ " { \"a\" : 1.50 , \"b\\u0041\":\n{\"c\" : [1, {\"}\":\"]\\\"\"}] } "
		  ",\"\":\"x,y\"} ",
		  "<\"a\"><1.50><\"b\\u0041\"><{\"c\" : [1, {\"}\":\"]\\\"\"}] }><\"\"><\"x,y\">" },
		{ "{\"a\":[],\"b\":{},\"a\":null}", "<\"a\"><[]><\"b\"><{}><\"a\"><null>" },
		{ "{}", "" },
		{ " { } ", "" },
		{ "[1,2]", "" },
		{ "\"{\"", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf got = { 0 };
		struct jfield f;
		size_t pos = 0;

		while (jtext_next_field(slice(cases[i].text), &pos, &f)) {
			put_slice(&got, f.key);
			put_slice(&got, f.value);
		}
		cr_expect_not(jtext_next_field(slice(cases[i].text), &pos, &f));
		cr_expect_str_eq(buf_str(&got), cases[i].want, "%s", cases[i].text);
		buf_fini(&got);
	}
}

/* Wherever its escapes and its end are. */
Test(jtext, long_strings_end_where_they_do)
{
	static const char *const pieces[] = { "\\\"", "\\\\", "\\n", "]", "\\u0022" };

	for (size_t i = 0; i < 100 * COUNT(pieces); i++) {
		const char *piece = pieces[i % COUNT(pieces)];
		struct buf text = { 0 };
		struct jslice v;
		size_t pos = 0, len = i / COUNT(pieces);

		buf_puts(&text, "[\"");
		for (size_t k = 0; k < len; k++)
			buf_putc(&text, 'x');
		buf_puts(&text, piece);
		for (size_t k = 0; k < len % 7; k++)
			buf_puts(&text, piece);
		buf_puts(&text, "\",\"y\"]");
		cr_assert(jtext_next_element((struct jslice){ text.data, text.len }, &pos, &v));
		cr_expect_eq(v.len, text.len - strlen("[,\"y\"]"), "%s", text.data);
		cr_assert(jtext_next_element((struct jslice){ text.data, text.len }, &pos, &v));
		cr_expect(jtext_string_is(v, "y"));
		buf_fini(&text);
	}
}

Test(jtext, elements_come_in_order)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ " [ 1 ,\"a]\", [2,[3]],{\"x\":[]}, null ] ",
		  "<1><\"a]\"><[2,[3]]><{\"x\":[]}><null>" },
		{ "[]", "" },
		{ "[ ]", "" },
		{ "{\"a\":1}", "" },
		{ "7", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf got = { 0 };
		struct jslice v;
		size_t pos = 0;

		while (jtext_next_element(slice(cases[i].text), &pos, &v))
			put_slice(&got, v);
		cr_expect_str_eq(buf_str(&got), cases[i].want, "%s", cases[i].text);
		buf_fini(&got);
	}
}

Test(jtext, the_last_of_several_fields_wins) /* as the platforms' own readers do */
{
	struct jslice v = { 0 };

	cr_assert(jtext_field(slice("{\"a\":1,\"b\":{\"a\":5},\"\\u0061\":2}"), "a", &v));
	cr_expect(v.len == 1 && *v.text == '2');
	cr_expect_not(jtext_field(slice("{\"ab\":1}"), "a", &v));
	cr_expect_not(jtext_field(slice("[\"a\",1]"), "a", &v));
	cr_expect(jtext_is_true(slice("{\"a\":false,\"a\": true }"), "a"));
	cr_expect_not(jtext_is_true(slice("{\"a\":\"true\",\"b\":1}"), "a"));
	cr_expect_not(jtext_is_true(slice("{\"a\":false}"), "a"));
	cr_expect_not(jtext_is_true(slice("true"), "a"));
}

Test(jtext, strings_compare_by_what_they_mean)
{
	cr_expect(jtext_string_is(slice(" \"a/b\" "), "a/b"));
	cr_expect(jtext_string_is(slice("\"a\\/b\""), "a/b"));
	cr_expect(jtext_string_is(slice("\"\""), ""));
	cr_expect(jtext_string_is(slice("\"\\u00e9\""), "\xc3\xa9"));
	cr_expect_not(jtext_string_is(slice("\"a\\u0000\""), "a"));
	cr_expect_not(jtext_string_is(slice("\"ab\""), "a"));
	cr_expect_not(jtext_string_is(slice("\"a\""), "ab"));
	cr_expect_not(jtext_string_is(slice("\"\\n\""), "nn"));
	cr_expect_not(jtext_string_is(slice("1"), "1"));
	cr_expect_not(jtext_string_is(slice(""), ""));
}

Test(jtext, strings_are_decoded)
{
	static const char want[] = "\"\\/\b\f\n\r\t\0\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	struct buf out = { 0 };

	cr_assert(jtext_string_decode(
		slice("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\x7f\\u00E9\\u20ac\\ud83d\\uDE00z\""),
		&out));
	cr_expect(out.len == sizeof want - 1 && memcmp(out.data, want, out.len) == 0);
	buf_fini(&out);
	cr_assert(jtext_string_decode(slice("\"\""), &out));
	cr_expect(out.len == 0 && out.data && out.data[0] == '\0');
	cr_expect_not(jtext_string_decode(slice("[\"a\"]"), &out));
	buf_fini(&out);
}

Test(jtext, any_text_becomes_a_json_string_and_back)
{
	char all[0x80];
	struct buf json = { 0 }, back = { 0 };

	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)i;
	jtext_put_string(&json, all, sizeof all);
	read_gives(json.data, json.len, false, json.data);
	cr_assert(jtext_string_decode((struct jslice){ json.data, json.len }, &back));
	cr_expect(back.len == sizeof all && memcmp(back.data, all, back.len) == 0);
	buf_reset(&json);
	jtext_put_string(&json, "\xe2\x82\xac\"\n\x01", 6);
	cr_expect_str_eq(json.data, "\"\xe2\x82\xac\\\"\\n\\u0001\"");
	buf_fini(&json);
	buf_fini(&back);
}

Test(jtext, integers_are_numbers_or_strings_of_digits)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t want;
	} cases[] = {
		{ "0", true, 0 },
		{ " 42 ", true, 42 },
		{ "\"42\"", true, 42 },
		{ "-0", true, 0 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "\"-9223372036854775808\"", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "1.0", false, 0 },
		{ "1e3", false, 0 },
		{ "\"\"", false, 0 },
		{ "\"-\"", false, 0 },
		{ "\"007\"", false, 0 }, /* another id than 7 */
		{ "\" 7\"", false, 0 },
		{ "\"7a\"", false, 0 },
		{ "null", false, 0 },
		{ "[1]", false, 0 },
		{ "", false, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t got = 0;

		cr_expect_eq(jtext_integer(slice(cases[i].text), &got), cases[i].ok, "%s",
			     cases[i].text);
		cr_expect_eq(got, cases[i].want, "%s", cases[i].text);
	}
}

static bool list_number(void *ctx, struct jslice number)
{
	put_slice(ctx, number);
	return true;
}

static bool refuse_number(void *ctx, struct jslice number)
{
	list_number(ctx, number);
	return false;
}

Test(jtext, numbers_that_are_not_kept_are_those_a_double_changes)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "9007199254740993", "<9007199254740993>" },
		{ "-9007199254740993", "<-9007199254740993>" },
		{ "9007199254740992", "" },
		{ "9007199254740994", "" },
		{ "100000000000000000000", "" },
		{ "100000000000000000001", "<100000000000000000001>" },
		{ "18446744073709551616", "" },
		{ "18446744073709551615", "<18446744073709551615>" },
		{ "9007199254740993.5", "<9007199254740993.5>" }, /* no room for halves */
		{ "9007199254740993e0", "<9007199254740993e0>" },
		{ "9007199254740993.0", "<9007199254740993.0>" },
		{ "900719925474099.3e1", "<900719925474099.3e1>" },
		{ "9007199254740992.00", "" },
		{ "[288230376151711744,675127116845989888,9223372036854775808]", "" },
		{ "[288230376151711740]", "<288230376151711740>" },
		{ "[1e400,-1e400,1E-999,-0.1e-400]", "<1e400><-1e400><1E-999><-0.1e-400>" },
		{ "[0,-0.0,0e999,0E-999,1.0,1e3,1e23,6.02214076e+23,1.7976931348623157e308,1e-300]",
		  "" },
		{ "[0.1,21.299999237060547,0.30000000000000004,0.123456789012345678,1e-7]", "" },
		{ "[1.23456789012345e18,1e18]", "<1.23456789012345e18>" },
		{ "\"9007199254740993\"", "" },
		{ "{\"9007199254740993\":[1,{\"x\":9007199254740995}],\"\\\"\":9007199254740997 }",
		  "<9007199254740995><9007199254740997>" },
		{ "{}", "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf got = { 0 };

		cr_expect(jtext_each_lost_number(slice(cases[i].text), list_number, &got));
		cr_expect_str_eq(buf_str(&got), cases[i].want, "%s", cases[i].text);
		buf_fini(&got);
	}
}

Test(jtext, the_walk_over_them_can_be_stopped)
{
	struct buf got = { 0 };

	cr_expect_not(jtext_each_lost_number(slice("[9007199254740993,9007199254740995]"),
					     refuse_number, &got));
	cr_expect_str_eq(buf_str(&got), "<9007199254740993>");
	buf_fini(&got);
}

Test(jtext, numbers_that_became_what_a_double_makes_of_them_are_found)
{
	static const struct {
		const char *in, *out;
		bool is_kept;
	} cases[] = {
		{ "{\"n\":\"9007199254740993\"}", "{\"n\":9007199254740992}", false },
		{ "{\"n\":\"9007199254740993\"}", "{\"n\":\"9007199254740992\"}", false },
		{ "{\"n\":\"9007199254740993\"}", "{\"n\":9007199254740993}", true },
		{ "{\"n\":\"9007199254740993\"}", "{\"n\":\"no-9007199254740993\"}", true },
		{ "{\"n\":\"9007199254740993\"}", "{\"t\":21}", true },
		{ "{\"n\":\"-9007199254740993\"}", "[-9007199254740992]", false },
		{ "{\"n\":\"009007199254740993\"}", "[9007199254740992]", false },
		{ "{\"n\":\"9007199254740993.0\"}", "[9007199254740992]", false },
		{ "\"1;9007199254740993;x\\n2;3\"", "[1,9007199254740992,2]", false },
		{ "\"x\\n9007199254740993\"", "[9007199254740992]", false },
		{ "\"\\u00e99007199254740993\"", "[9007199254740992]", false },
		{ "\"{\\\"n\\\":9007199254740993}\"", "{\"n\":9007199254740992}", false },
		{ "\"a9007199254740993\"", "[9007199254740992]", true },
		{ "[\"9007199254740993\",9007199254740992]", "[9007199254740992]", true },
		{ "[288230376151711744]", "[\"288230376151711740\"]", false }, /* tostring */
		{ "[288230376151711744]", "[288230376151711744]", true },
		{ "\"1E-999\"", "[0]", false },
		{ "\"1E-999\"", "[1]", true },
		{ "\"0.123456789012345678\"", "[0.12345678901234568]", true },
		{ "\"550e8400-e29b-41d4-a716-446655440000\"", "[0,1]", true },
		{ "\"0123456e-4123-4123-8123-446655440000\"", "[0,1]", true },
		{ "\"550e8400-125e-4123-a716-446655440000\"", "[0,1]", true },
		{ "\"550e8400-e29b-4d12-812e-446655440000\"", "[0,1]", true },
		{ "\"-1e-4123\"", "[0,1]", false },
		{ "\"1,-1e-4123\"", "[1,0]", false },
		{ "\"1e400\"", "[0,1]", true },
		{ "\"1.0\"", "[1]", true },
		{ "", "", true },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(jtext_keeps_numbers(slice(cases[i].in), slice(cases[i].out)),
			     cases[i].is_kept, "%s to %s", cases[i].in, cases[i].out);
}

/* Texts without a long number are passed over by looking at some of their places only. */
Test(jtext, a_number_that_a_double_loses_is_found_wherever_it_stands)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "9007199254740993", "9007199254740992" },
		{ "1.2345678901234567e18", "1234567890123456800" },
		{ "288230376151711744", "288230376151711740" },
		{ "1E-999", "0" },
	};

	for (int at = 0; at < 40; at++)
		for (size_t i = 0; i < COUNT(cases); i++) {
			struct buf in = { 0 }, got = { 0 };

			buf_printf(&in, "[%*s%s%*s]", at, "", cases[i].in, 40 - at, "");
			cr_expect_not(jtext_keeps_numbers((struct jslice){ in.data, in.len },
							  slice(cases[i].out)),
				      "%s at %d", cases[i].in, at);
			cr_expect_eq(jtext_each_lost_number((struct jslice){ in.data, in.len },
							    refuse_number, &got),
				     i == 2, "%s at %d", cases[i].in, at); /* as 2^58 is kept */
			buf_fini(&in);
			buf_fini(&got);
		}
}

Test(jtext, an_endless_integer_is_not_kept)
{
	struct buf text = { 0 }, got = { 0 };

	buf_putc(&text, '1');
	for (int i = 0; i < 5000; i++)
		buf_putc(&text, '0');
	cr_expect_not(jtext_each_lost_number((struct jslice){ text.data, text.len }, refuse_number,
					     &got));
	buf_fini(&text);
	buf_fini(&got);
}

Test(jtext, trees_keep_spelling)
{
	static const char *const texts[] = {
		"{\"b\":1.50,\"a\":[1e400,-0.0,true,null],\"c\":\"x/y\\u0000z\"}",
		"18446744073709551615",
		"-9223372036854775808",
		"7",
		"1E5",
		"0.1e-7",
		"false",
		"\"\"",
		"{}",
		"{\"\":{}}",
		"[\"\xe2\x82\xac\"]",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct err e = { 0 };
		struct buf out = { 0 };
		json_object *tree = jtext_tree(texts[i], strlen(texts[i]), &e);

		cr_assert(tree, "%s: %s", texts[i], e.text);
		jtext_tree_put(&out, tree);
		cr_expect_str_eq(buf_str(&out), texts[i]);
		json_object_put(tree);
		buf_fini(&out);
	}
}

Test(jtext, trees_hold_wide_integers_that_a_double_keeps)
{
	static const char text[] =
		"{\"a\":[100000000000000000000,18446744073709551615],\"b\":-9223372036854775808,"
		"\"c\":-36893488147419103232}";
	struct err e = { 0 };
	struct buf out = { 0 };
	json_object *tree = jtext_tree(text, strlen(text), &e);

	cr_assert(tree, "%s", e.text);
	jtext_tree_put(&out, tree);
	cr_expect_str_eq(buf_str(&out),
			 "{\"a\":[100000000000000000000.0,18446744073709551615],"
			 "\"b\":-9223372036854775808,\"c\":-36893488147419103232.0}");
	json_object_put(tree);
	buf_fini(&out);
}

Test(jtext, a_null_tree_is_json_null)
{
	struct err e = { 0 };
	struct buf out = { 0 };

	cr_expect_null(jtext_tree(" null ", 6, &e));
	cr_expect_eq(e.code, ERR_NONE);
	jtext_tree_put(&out, NULL);
	cr_expect_str_eq(buf_str(&out), "null");
	buf_fini(&out);
}

Test(jtext, no_tree_of_what_json_c_would_change)
{
	static const char *const texts[] = {
		"18446744073709551617",
		"[-9223372036854775809]",
		"{\"a\":100000000000000000001}",
		"{\"a\\u0000b\":1}",
		"[{\"\\u0000\" : 1}]",
		"{\"a\":1,}",
		"",
		"{\"a\":nan}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct err e = { 0 };

		cr_expect_null(jtext_tree(texts[i], strlen(texts[i]), &e), "%s", texts[i]);
		cr_expect_eq(e.code, ERR_INVALID, "%s", texts[i]);
	}
}

Test(jtext, a_tree_may_be_as_deep_as_a_text)
{
	struct buf text = { 0 };
	json_object *tree;

	for (int i = 0; i < JTEXT_MAX_DEPTH; i++)
		buf_putc(&text, '[');
	for (int i = 0; i < JTEXT_MAX_DEPTH; i++)
		buf_putc(&text, ']');
	tree = jtext_tree(text.data, text.len, NULL);
	cr_expect(tree);
	json_object_put(tree);
	buf_fini(&text);
}
