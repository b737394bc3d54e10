/* Functions that are done without jq give what jq gives: programs, shipped mappings, and inputs by chance. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pack.h"
#include "dialect/dialect.h"
#include "jq/mapping_inside.h"
#include "message/vars.h"

#define RANDOM_INPUTS 2000

static char dir[64];
static struct mapping_path path;
static struct report report;

static int remove_entry(const char *file, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(file);
}

static void setup(void)
{
	static char *none[] = { NULL };

	environ = none;
	strcpy(dir, "/tmp/calque-simple-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	mapping_path_add(&path, dir);
	mapping_path_add(&path, TEST_SOURCE_DIR "/mappings");
}

static void teardown(void)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	mapping_path_fini(&path);
	report_fini(&report);
}

TestSuite(mapping_simple, .init = setup, .fini = teardown, .timeout = 300);

/* --- a mapping, and the same by jq alone --------------------------------------------------- */

struct both {
	struct mapping *m, *jq;
	struct mapping *there; /* as another process has it, without the program */
};

static struct mapping *load(const char *name)
{
	struct mapping *m = mapping_load(&path, name, &report);

	for (size_t i = 0; i < report.n_lines; i++)
		cr_log_error("%s", report.lines[i].text);
	cr_assert_not_null(m);
	return m;
}

static struct both load_both(const char *name)
{
	struct both b = { load(name), load(name), NULL };
	struct buf packed = { 0 };
	struct unpack u;

	mapping_only_jq(b.jq);
	mapping_put(&packed, b.m);
	u = (struct unpack){ .p = packed.data, .left = packed.len };
	b.there = mapping_get(&u);
	cr_assert_not_null(b.there);
	buf_fini(&packed);
	return b;
}

static void free_both(struct both *b)
{
	mapping_free(b->m);
	mapping_free(b->jq);
	mapping_free(b->there);
}

/* A mapping of these definitions; its function number 0 is called f. */
static struct both define(const char *source)
{
	char file[100];
	FILE *out;

	snprintf(file, sizeof file, "%s/d.jq", dir);
	out = fopen(file, "w");
	cr_assert_not_null(out);
	fprintf(out,
		"module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\", read: "
		"\"f\"}]};\n%s\n",
		source);
	fclose(out);
	return load_both("d");
}

/* Is function number `fn` done without jq, on this input? */
static bool is_done(const struct both *b, int fn, const struct mapping_input *in)
{
	struct buf out = { 0 };
	bool ok = mapping_simple_call(b->m->simple, fn, in, &out);

	cr_expect(ok || out.len == 0);
	buf_fini(&out);
	return ok;
}

/* --- alike, but for the spelling of numbers ------------------------------------------------ */

static const char *number_end(const char *p)
{
	while (*p && strchr("+-.eE0123456789", *p))
		p++;
	return p;
}

static bool is_alike(const char *a, const char *b)
{
	bool in_string = false;

	while (*a && *b) {
		if (!in_string && strchr("-0123456789", *a) && strchr("-0123456789", *b)) {
			double x = strtod(a, NULL), y = strtod(b, NULL);

			if (x != y || signbit(x) != signbit(y))
				return false;
			a = number_end(a);
			b = number_end(b);
			continue;
		}
		if (*a != *b)
			return false;
		if (in_string && *a == '\\') {
			a++, b++;
			if (*a != *b)
				return false;
		} else if (*a == '"') {
			in_string = !in_string;
		}
		a++, b++;
	}
	return *a == *b;
}

Test(mapping_simple, what_is_alike)
{
	cr_expect(is_alike("{\"a\":[1.0,\"1\"]}", "{\"a\":[1,\"1\"]}"));
	cr_expect(is_alike("1e2", "100"));
	cr_expect_not(is_alike("\"1.0\"", "\"1\""));
	cr_expect_not(is_alike("-0", "0"));
	cr_expect_not(is_alike("0.1", "0.10000000000000002"));
	cr_expect_not(is_alike("[1]", "[1"));
	cr_expect_not(is_alike("\"\\\"1\"", "\"\\\"1.0\""));
}

static bool add_output(void *ctx, struct jslice output)
{
	struct buf *all = ctx;

	buf_append(all, output.text, output.len);
	buf_putc(all, '\n');
	return true;
}

/* jq 1.6 leaks where it fails (in a nested function, mostly). */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static bool call_jq(const struct both *b, int fn, const struct mapping_input *in, struct buf *out,
		    struct err *e)
{
	bool ok;

	if (__lsan_disable)
		__lsan_disable();
	ok = mapping_call(b->jq, fn, in, add_output, out, e);
	if (__lsan_enable)
		__lsan_enable();
	return ok;
}

/* Where the program is not, it comes out the same, or not at all. */
static void compare_there(const struct both *b, int fn, const struct mapping_input *in,
			  bool is_simple, const struct buf *expected, const struct err *expected_e)
{
	struct buf given = { 0 };
	struct err e = { 0 };

	mapping_call(b->there, fn, in, add_output, &given, &e);
	cr_expect_eq(e.code, is_simple ? expected_e->code : ERR_ELSEWHERE, "%s", e.text);
	cr_expect_str_eq(buf_str(&given), is_simple ? buf_str(expected) : "");
	cr_expect(mapping_is_simple(b->there, fn) || !is_simple);
	buf_fini(&given);
}

/* Call all; true if it was done without jq. */
static bool compare(const struct both *b, int fn, const struct mapping_input *in, const char *what)
{
	struct buf given = { 0 }, expected = { 0 };
	struct err e = { 0 }, expected_e = { 0 };
	bool ok = is_done(b, fn, in) ? mapping_call(b->m, fn, in, add_output, &given, &e)
				     : call_jq(b, fn, in, &given, &e);
	bool expected_ok = call_jq(b, fn, in, &expected, &expected_e);
	bool is_simple = is_done(b, fn, in);

	cr_expect_eq(ok, expected_ok, "%s: %s / %s", what, e.text, expected_e.text);
	cr_expect_eq(e.code, expected_e.code, "%s", what);
	cr_expect_str_eq(e.text, expected_e.text, "%s", what);
	cr_expect(is_alike(buf_str(&given), buf_str(&expected)), "%s of %.*s\n%s\n%s", what,
		  in->fields[SEEN_BODY].type == FIELD_JSON ? (int)in->fields[SEEN_BODY].json.len
							   : 0,
		  in->fields[SEEN_BODY].json.text, buf_str(&given), buf_str(&expected));
	compare_there(b, fn, in, is_simple, &given, &e);
	buf_fini(&given);
	buf_fini(&expected);
	return is_simple;
}

static struct mapping_input see(const char *body)
{
	struct mapping_input in = { 0 };

	in.fields[SEEN_BODY] = (struct mapping_field){ FIELD_JSON, .json = { body, strlen(body) } };
	in.fields[SEEN_PAYLOAD] = in.fields[SEEN_BODY];
	return in;
}

/* --- programs ------------------------------------------------------------------------------ */

static const char *const simple[] = {
	"def f: .body;",
	"def f: {telemetries: .body, status: \"online\"};",
	"def f: .payload | {id, body: {name: .method, params}};",
	"def f: .body.a.b;",
	"def f: .body.a?.b?;",
	"def f: .body[\"a\"];",
	"def f: .body | .[\"a\"].b;",
	"def f: .[\"body\"] | .a | .b;",
	"def f: [.body.a];",
	"def f: [ .body | {a, \"b\": [.a], \"c\"} ];",
	"def f: .body | .a | {x: 1};",
	"def f: .body | {x: (.a | .b), y: {z: {}, w: []}};",
	"def f: {a: 1, b: 1.50, c: true, d: false, e: null, g: \"x y\", h: \"\", i: 1e3};",
	"def f: \"\";",
	"def f: {};",
	"def f: .nothing;",
	"def f: .nothing.of.all;",
	"def f: {device, id, kind, ts, v: .topic.stream, w: .properties.none};",
	"def f: .topic | {stream};",
	"def f: (.body | .a);",
	"def f: # what it is\n  { \"a\": .body };",
	"def f: .body[\"a\"][\"b\"].a | .[\"c\"];",
	"def f: { \"d\xc3\xa9j\xc3\xa0\": .body.a, \"c\": .body[\"d\xc3\xa9\"] };",
	"def g: def f: 1; f; def f: .body; def h(f): f;",
	"def f: {if: .body.if, then: 1};",
	"def f: .body | {a: {b: .a}, b: {b: .b}, c: [[.c]]};",
	"def g: .body; def f: g;",
	"def f(x): x; def f: .body;",
	"def g(x): x; def g: .body; def f: {a: g};",
	"def g: {id}; def h: .body | {a: g, b: .c}; def f: {g: h, h: g};",
	"def f: if .body then 1 else 2 end;",
	"def f: {a: (if .body.a then \"x\" else .body end), b: 1};",
	"def f: .body | {a: (if .a then if .b then .c else {} end else [.] end), b: .b};",
	"def f: if .body.a then .body + {} else .id end;",
	"def f: if .nothing then keys else .body end;",
	("def f: {a: (if .body.a then (if .id then error else if . then 1 else 2 end end) else 1 "
	 "end), b: 2};"),
	"def g: if .a then \"y\" else \"n\" end; def f: .body | {a: g, b: [g]};",
};
/* With what makes flat. */
static const char *const flat[] = {
	"import \"wire\" as wire; def f: .body | wire::flat;",
	"import \"wire\" as wire; def f: {a: 1, b: (.body | wire::flat | select(. != {}))};",
	"import \"wire\" as wire; def f: [.body | wire::flat];",
	"import \"wire\" as wire; def f: if .body.a then .body else {b: (.body | wire::flat)} end;",
	"import \"wire\" as wire; def g: .body | wire::flat | select(. != {}); def f: {g: g};",
};
/* These are jq's. */
static const char *const others[] = {
	"def f: .;",
	"def f: .body[];",
	"def f: .body[0];",
	"def f: .body, .id;",
	"def f: .body // 1;",
	"def f: .body | length;",
	"def f: .body as $x | {$x};",
	"def f: .body + {a: 1};",
	"def f: -1;",
	"def f: {a: 1, a: .body};",
	"def f: {a: 1, \"a\": 2};",
	"def f: {(.body.a): 1}?;",
	"def f: {a: .body | .a};",
	"def f: [.body, .id];",
	"def f: \"\\(.id)\";",
	"def f: \"\\u0041\";",
	"def f: \"a\tb\";",
	"def f: @json;",
	"def f: @json \"x\";",
	"def f: empty;",
	"def f: nan;",
	"def f: ..;",
	"def f: .body | not;",
	"def f: if .body | not then 1 else 2 end;",
	"def f: if .body == 1 then 1 else 2 end;",
	"def f: if .body then 1 elif .id then 2 else 3 end;",
	"def f: if .body then keys else length end;",
	"def f: if .body then 1 else 2 end | {a: .};",
	"def f: if (if .body then 1 else 2 end) then 1 else 2 end;",
	"def f: add; def add: 1;",
	"def g(x): x; def f: g(.body);",
	"def g: 1; def g(x): x; def f: g(.body);",
	"def g: 1; def g: 2; def f: {a: g};",
	"def f: def g: 1; g;",
	"import \"wire\" as wire; def f: .body | wire::some;",
	"import \"wire\" as wire; def f: .body | wire::flat | {a: .};",
	"import \"wire\" as wire; def f: .body | wire::flat | select(. != {a: 1});",
	"import \"wire\" as wire; def f: wire::flat;",
	"import \"wire\" as wire; def f: [.body | wire::flat | select(. != {})];",
	"import \"wire\" as wire; def select(x): .; def f: .body | wire::flat | select(. != {});",
	"def f: 9007199254740993;",
	"def f: 1e1000;",
	"def f: .5;",
	"def f: {} | .a;",
	"def f: {a: .body} | .a;",
	"def f: ({a: .body}).a;",
	"def f: .body, 1 | {a: .};",
	"def f: .body | ., 1;",
	"def f: .a = 1;",
	"def f: [.body][0];",
	"def f: .body.\"a\";",
	"def f: 1; def f: .body;",
	"def f: {\"a\\n\": .body};",
	"def f: .body[\"\\u0061\"];",
	"def f: [[[[[[[[[[[[[[[[[[.body]]]]]]]]]]]]]]]]]];",
	"def f: .body.a.b.c.d.e.f.g.h.i;",
};

Test(mapping_simple, is_found_in_the_source)
{
	for (size_t i = 0; i < sizeof flat / sizeof *flat; i++) {
		struct both b = define(flat[i]);
		struct mapping_input in = see("{\"b\":1}");

		cr_expect(compare(&b, 0, &in, flat[i]), "%s", flat[i]);
		free_both(&b);
	}
	for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
		struct both b = define(simple[i]);
		struct mapping_input in = { 0 };

		cr_expect(compare(&b, 0, &in, simple[i]), "%s", simple[i]);
		free_both(&b);
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct both b = define(others[i]);
		struct mapping_input in = { 0 };

		cr_expect_not(compare(&b, 0, &in, others[i]), "%s", others[i]);
		free_both(&b);
	}
}

/* --- inputs -------------------------------------------------------------------------------- */

Test(mapping_simple, leaves_to_jq_what_it_does_not_hand_on)
{
	static const struct {
		const char *body;
		bool is_done;
		const char *output; /* NULL: an error, or it does not matter */
	} inputs[] = {
		{ "{\"a\":1,\"b\":[1,2,{\"c\":null}]}", true,
		  "{\"a\":1,\"b\":[1,2,{\"c\":null}]}\n" },
		{ " { \"a\" :\t[ 1 ,\r\n2 ] } ", true, "{\"a\":[1,2]}\n" },
		{ "{\"b\":1.0,\"a\":1e2,\"z\":-0.0}", true, "{\"b\":1.0,\"a\":1e2,\"z\":-0.0}\n" },
		{ "\"a \\\" \\\\ \\n\\t\\r\\b\\f \xc3\xa9\"", true,
		  "\"a \\\" \\\\ \\n\\t\\r\\b\\f \xc3\xa9\"\n" },
		{ "{\"a\":{\"a\":1},\"b\":{\"a\":1}}", true,
		  "{\"a\":{\"a\":1},\"b\":{\"a\":1}}\n" },
		{ "[]", true, "[]\n" },
		{ "[ { } ]", true, "[{}]\n" },
		{ "null", true, "null\n" },
		/* jq's: */
		{ "{\"a\":1,\"b\":2,\"a\":3}", false, "{\"a\":3,\"b\":2}\n" },
		{ "{\"x\":{\"a\":1,\"\\u0061\":3}}", false, "{\"x\":{\"a\":3}}\n" },
		{ "\"\\u00e9\\/\"", false, "\"\xc3\xa9/\"\n" },
		{ "\"\x7f\"", false, NULL },
		{ "9007199254740993", false, NULL },
		{ "1e400", false, NULL },
		{ "{\"a\":1e-400}", false, NULL },
		{ "\"\xff\"", false, NULL },
	};
	struct both b = define("def f: .body;");

	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		struct mapping_input in = see(inputs[i].body);
		struct buf out = { 0 };

		cr_expect_eq(compare(&b, 0, &in, "input"), inputs[i].is_done, "%s", inputs[i].body);
		if (inputs[i].output) {
			cr_expect(mapping_call(b.m, 0, &in, add_output, &out, NULL));
			cr_expect_str_eq(buf_str(&out), inputs[i].output);
		}
		buf_fini(&out);
	}
	free_both(&b);
}

Test(mapping_simple, makes_flat_what_wire_makes_flat)
{
	static const struct {
		const char *body;
		bool is_done;
		const char *output; /* NULL: it does not matter */
	} inputs[] = {
		{ "{\"b\":1,\"a\":true}", true, "{\"b\":1,\"a\":true}\n" },
		{ "{\"a\":null,\"b\":1.50,\"c\":\"x\"}", true, "{\"b\":1.50,\"c\":\"x\"}\n" },
		{ " { \"a\" : { \"b\" : { \"c\" : 1 } , \"d\" : null } , \"e\" : 2 } ", true,
		  "{\"a.b.c\":1,\"e\":2}\n" },
		{ "{\"a\":[1,\"x\",{\"b\":null}, [ ]]}", true,
		  "{\"a\":\"[1,\\\"x\\\",{\\\"b\\\":null},[]]\"}\n" },
		{ "{\"a\":[\"\\n\\\"\"]}", true, "{\"a\":\"[\\\"\\\\n\\\\\\\"\\\"]\"}\n" },
		{ "{\"k\\\"\\\\\":{\"\\n\":1,\"\":2}}", true,
		  "{\"k\\\"\\\\.\\n\":1,\"k\\\"\\\\.\":2}\n" },
		{ "{\"a\":[123456789012345,-12,0]}", true,
		  "{\"a\":\"[123456789012345,-12,0]\"}\n" },
		{ "{}", true, "\n" },
		{ "{\"a\":{},\"b\":{\"c\":null}}", true, "\n" },
		{ "{\"a\":[]}", true, "{\"a\":\"[]\"}\n" },
		{ "{\"a.b\":1,\"a\":{\"c\":2},\"b\":{\"c\":3}}", true,
		  "{\"a.b\":1,\"a.c\":2,\"b.c\":3}\n" },
		/* jq's: */
		{ "{\"a.b\":1,\"a\":{\"b\":2}}", false, NULL },
		{ "{\"a\":{\"b.c\":1,\"b\":{\"c\":2}}}", false, NULL },
		{ "{\"a\":1,\"a\":null}", false, "\n" },
		{ "{\"a\":{\"b\":1},\"a\":{\"c\":1}}", false, "{\"a.c\":1}\n" },
		{ "{\"a\":{\"b\":1,\"\\u0062\":2}}", false, "{\"a.b\":2}\n" },
		{ "{\"a\":[0.1]}", false, NULL },
		{ "{\"a\":[1e2]}", false, NULL }, /* "[100]", from 1.7 on "[1E+2]" */
		{ "{\"a\":[-0]}", false, NULL },
		{ "{\"a\":[1234567890123456]}", false, "{\"a\":\"[1234567890123456]\"}\n" },
		{ "{\"a\":9007199254740993}", false, NULL },
		{ "{\"a\":\"\\u00e9\"}", false, "{\"a\":\"\xc3\xa9\"}\n" },
		{ "[1,{\"a\":2}]", false, NULL },
		{ "[]", false, NULL },
		{ "null", false, NULL },
		{ "\"x\"", false, NULL },
	};
	struct both b =
		define("import \"wire\" as wire; def f: .body | wire::flat | select(. != {});");

	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		struct mapping_input in = see(inputs[i].body);
		struct buf out = { 0 };

		cr_expect_eq(compare(&b, 0, &in, "input"), inputs[i].is_done, "%s", inputs[i].body);
		if (inputs[i].output) {
			cr_expect(mapping_call(b.m, 0, &in, add_output, &out, NULL));
			cr_expect_str_eq(buf_str(&out),
					 inputs[i].output[0] == '\n' ? "" : inputs[i].output);
		}
		buf_fini(&out);
	}
	free_both(&b);
}

/* Where `wire` is another one, it is jq's. */
Test(mapping_simple, makes_flat_by_the_library_that_it_knows)
{
	static const char source[] = "import \"wire\" as wire; def f: .body | wire::flat;";
	struct mapping_input in = see("{\"a\":{\"b\":1}}");
	struct buf text = { 0 };
	struct both b = define(source);
	char file[100];
	FILE *out;

	cr_expect(compare(&b, 0, &in, source));
	free_both(&b);
	cr_assert(buf_append_file(&text, TEST_SOURCE_DIR "/mappings/wire.jq", 1 << 20, NULL));
	cr_expect(mapping_simple_knows_flat(text.data, text.len));
	buf_puts(&text, "\ndef keys_unsorted: keys;\n");
	cr_expect_not(mapping_simple_knows_flat(text.data, text.len));
	buf_fini(&text);
	snprintf(file, sizeof file, "%s/wire.jq", dir);
	out = fopen(file, "w");
	cr_assert_not_null(out);
	fputs("def flat: {x: 1};\n", out);
	fclose(out);
	b = define(source);
	cr_expect_not(compare(&b, 0, &in, "another library"));
	free_both(&b);
}

Test(mapping_simple, deep_flat)
{
	struct both b = define("import \"wire\" as wire; def f: .body | wire::flat;");
	static const size_t depths[] = { 1, 50, 99, 100, 101 };
	struct buf text = { 0 };

	for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
		struct mapping_input in;

		buf_reset(&text);
		for (size_t k = 0; k < 2 * depths[i]; k++)
			buf_puts(&text, "{\"k\":");
		buf_puts(&text, "[1]");
		for (size_t k = 0; k < 2 * depths[i]; k++)
			buf_putc(&text, '}');
		in = see(buf_str(&text));
		cr_expect_eq(compare(&b, 0, &in, "deep"), depths[i] <= 100, "%zu", depths[i]);
	}
	buf_fini(&text);
	free_both(&b);
}

Test(mapping_simple, errors_are_those_of_jq)
{
	static const char *const programs[] = { "def f: .body.a;", "def f: .body.a?;",
						"def f: .body.a | {x: 1};",
						"def f: {b: .body.a.b}; " };
	static const char *const bodies[] = { "1",	   "\"x\"",	 "[1]",	       "true",
					      "{\"a\":1}", "{\"a\":[]}", "{\"a\":{}}", "null" };

	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		struct both b = define(programs[i]);

		for (size_t k = 0; k < sizeof bodies / sizeof *bodies; k++) {
			struct mapping_input in = see(bodies[k]);

			compare(&b, 0, &in, programs[i]);
		}
		free_both(&b);
	}
}

/* Of a number that jq would change somewhere else in the input, too. */
Test(mapping_simple, numbers_that_a_double_changes_stay_an_error)
{
	struct both b = define("def f: {a: .body.a, b: .payload.b};");
	struct mapping_input in = see("{\"a\":9007199254740992}");
	struct buf out = { 0 };
	struct err e = { 0 };

	in.fields[SEEN_PAYLOAD].json = (struct jslice){ "{\"c\":9007199254740993}", 22 };
	compare(&b, 0, &in, "wide");
	cr_expect_not(mapping_call(b.m, 0, &in, add_output, &out, &e));
	cr_expect_eq(e.code, ERR_INEXACT);
	buf_fini(&out);
	free_both(&b);
}

Test(mapping_simple, variables_and_texts)
{
	struct both b =
		define("def f: {device, stream: .topic.stream, key: .topic.key, no: .topic.no};");
	struct vars topic = { 0 };
	struct mapping_input in = { 0 };
	struct buf out = { 0 };

	vars_set(&topic, "stream", "a \"b\"\n", false);
	vars_set(&topic, "no", "n", false);
	vars_add(&topic, "no", "second");
	in.fields[SEEN_DEVICE] = (struct mapping_field){ FIELD_TEXT, .text = "D1" };
	in.fields[SEEN_TOPIC] = (struct mapping_field){ FIELD_VARS, .vars = &topic };
	cr_expect_not(compare(&b, 0, &in, "a name that is not there"));
	vars_set(&topic, "key", "secret", true);
	cr_expect_not(compare(&b, 0, &in, "a secret"));
	cr_expect(mapping_call(b.m, 0, &in, add_output, &out, NULL));
	cr_expect_null(strstr(buf_str(&out), "secret"));
	vars_set(&topic, "key", "k", false);
	cr_expect(compare(&b, 0, &in, "all there"));
	in.fields[SEEN_DEVICE].text = "\xff";
	cr_expect_not(compare(&b, 0, &in, "no UTF-8"));
	in.fields[SEEN_DEVICE].text = "\x7f";
	cr_expect_not(compare(&b, 0, &in, "DEL"));
	buf_fini(&out);
	vars_fini(&topic);
	free_both(&b);
}

static void nest(struct buf *out, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		buf_puts(out, i % 2 ? "[" : "{\"a\":");
	buf_puts(out, "1");
	for (size_t i = depth; i-- > 0;)
		buf_puts(out, i % 2 ? "]" : "}");
}

Test(mapping_simple, deep_and_large)
{
	struct both b = define("def f: [[.body]];");
	static const size_t depths[] = { 199, 200, 201, 236, 238, 239, 240 };
	struct buf text = { 0 };

	for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
		struct mapping_input in;

		buf_reset(&text);
		nest(&text, depths[i]);
		in = see(buf_str(&text));
		cr_expect_eq(compare(&b, 0, &in, "deep"), depths[i] <= 200);
	}
	for (size_t n = 1; n < 20000;
	     n += n / 2 + 1) { /* keys, at last more than there is room for */
		struct mapping_input in;

		buf_reset(&text);
		for (size_t i = 0; i < n; i++)
			buf_printf(&text, "%s\"sensor%zu\":%zu", i ? "," : "{", i, i);
		buf_putc(&text, '}');
		in = see(buf_str(&text));
		cr_expect(compare(&b, 0, &in, "large") || n > 4096, "%zu keys", n);
	}
	buf_fini(&text);
	free_both(&b);
}

/* What was passed before takes no room, however often; its numbers begin anew after 65,536. */
Test(mapping_simple, goes_on)
{
	struct both b = define("def f: .body;");
	struct mapping_input in = see("{\"a\":1,\"b\":{\"a\":2,\"b\":3}}");
	struct mapping_input twice = see("{\"a\":1,\"b\":{\"a\":2,\"a\":3}}");
	size_t n_done = 0;

	for (size_t i = 0; i < 70000; i++) {
		n_done += is_done(&b, 0, &in);
		cr_assert_not(is_done(&b, 0, &twice));
	}
	cr_expect_geq(n_done, 69900);
	free_both(&b);
}

/* --- by chance ----------------------------------------------------------------------------- */

static uint64_t seed;

static size_t chance(size_t n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (size_t)(seed >> 33) % n;
}

static void put_space(struct buf *out)
{
	static const char *const spaces[] = { "", "", "", "", "", "", " ", "\n\t", "\r\n" };

	buf_puts(out, spaces[chance(9)]);
}

static void put_random_string(struct buf *out)
{
	static const char *const pieces[] = { "a",
					      "b",
					      "c",
					      "id",
					      "",
					      "\xc3\xa9",
					      "\\n",
					      "\\u0061",
					      "\\/",
					      "\\\"",
					      "\\\\",
					      "\x7f",
					      "\\u007f",
					      " ",
					      "\xf0\x9f\x98\x80",
					      "\\ud83d\\ude00",
					      "\\u0000",
					      "9007199254740993" };
	/* Mostly short names, so that they meet. */
	size_t n = chance(4) ? 1 : chance(5), of = chance(3) ? 4 : sizeof pieces / sizeof *pieces;

	buf_putc(out, '"');
	while (n--)
		buf_puts(out, pieces[chance(of)]);
	buf_putc(out, '"');
}

static void put_random_number(struct buf *out)
{
	static const char *const numbers[] = { "0",
					       "-0",
					       "1",
					       "1.0",
					       "-12.50",
					       "1e2",
					       "1E-2",
					       "1e400",
					       "1e-400",
					       "0.1",
					       "123456789012345678",
					       "9007199254740992",
					       "9007199254740993",
					       "1e21",
					       "1e22",
					       "3.141592653589793238",
					       "1234567.1234567",
					       "1e15",
					       "-1e17",
					       "5e-324",
					       "1.7976931348623157e308",
					       "0.30000000000000004" };

	if (chance(2))
		buf_printf(out, "%zu", chance(100000));
	else
		buf_puts(out, numbers[chance(chance(4) ? 6 : sizeof numbers / sizeof *numbers)]);
}

static void put_random(struct buf *out, size_t depth)
{
	static const char *const words[] = { "null", "true", "false" };
	size_t what = chance(depth ? 6 : 3), n = chance(5);
	bool is_object = what > 3;

	put_space(out);
	if (what == 0)
		buf_puts(out, words[chance(3)]);
	else if (what == 1)
		put_random_number(out);
	else if (what == 2)
		put_random_string(out);
	else {
		buf_putc(out, is_object ? '{' : '[');
		for (size_t i = 0; i < n; i++) {
			if (i)
				buf_putc(out, ',');
			put_space(out);
			if (is_object) {
				put_random_string(out);
				put_space(out);
				buf_putc(out, ':');
			}
			put_random(out, depth - 1);
		}
		put_space(out);
		buf_putc(out, is_object ? '}' : ']');
	}
	put_space(out);
}

/* As messages come: checked and without space around. */
static struct jslice random_json(struct buf *out)
{
	struct buf text = { 0 };
	struct err e = { 0 };

	put_random(&text, 4);
	buf_reset(out);
	cr_assert(jtext_take(buf_str(&text), text.len, false, out, &e), "%s: %s", e.text,
		  buf_str(&text));
	buf_fini(&text);
	return (struct jslice){ out->data, out->len };
}

/* How many of the random inputs the program does without jq. */
static size_t try_by_chance(const char *program, size_t begin)
{
	struct buf body = { 0 }, payload = { 0 };
	struct both b = define(program);
	struct vars topic = { 0 };
	size_t n_done = 0;

	vars_set(&topic, "stream", "temperature", false);
	seed = begin;
	for (size_t k = 0; k < RANDOM_INPUTS; k++) {
		struct mapping_input in = { 0 };

		in.fields[SEEN_BODY] =
			(struct mapping_field){ FIELD_JSON, .json = random_json(&body) };
		in.fields[SEEN_PAYLOAD] =
			(struct mapping_field){ FIELD_JSON, .json = random_json(&payload) };
		in.fields[SEEN_ID] = in.fields[SEEN_PAYLOAD];
		in.fields[SEEN_DEVICE] = (struct mapping_field){ FIELD_TEXT, .text = "D" };
		in.fields[SEEN_TOPIC] = (struct mapping_field){ FIELD_VARS, .vars = &topic };
		n_done += compare(&b, 0, &in, program);
	}
	free_both(&b);
	vars_fini(&topic);
	buf_fini(&body);
	buf_fini(&payload);
	return n_done;
}

Test(mapping_simple, random_inputs)
{
	for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
		cr_expect_gt(try_by_chance(simple[i], i + 1), RANDOM_INPUTS / 20, "%s", simple[i]);
	for (size_t i = 0; i < sizeof flat / sizeof *flat; i++)
		cr_expect_gt(try_by_chance(flat[i], i + 1), RANDOM_INPUTS / 50, "%s", flat[i]);
}

/* --- shipped mappings ---------------------------------------------------------------------- */

/* Each object and array within `all`, and some of the rest, as body and payload. */
static size_t compare_all(const struct both *b, int fn, json_object *all)
{
	struct buf text = { 0 };
	struct mapping_input in;
	size_t n;

	if (!json_object_is_type(all, json_type_array) &&
	    !json_object_is_type(all, json_type_object) && chance(20))
		return 0;
	jtext_tree_put(&text, all);
	in = see(buf_str(&text));
	in.fields[SEEN_ID] = (struct mapping_field){ FIELD_JSON, .json = { "\"7\"", 3 } };
	in.fields[SEEN_REQUEST] = in.fields[SEEN_BODY];
	n = compare(b, fn, &in, mapping_file(b->m));
	buf_fini(&text);
	if (json_object_is_type(all, json_type_array))
		for (size_t i = 0; i < json_object_array_length(all); i++)
			n += compare_all(b, fn, json_object_array_get_idx(all, i));
	if (json_object_is_type(all, json_type_object)) {
		json_object_object_foreach (all, key, value) {
			(void)key;
			n += compare_all(b, fn, value);
		}
	}
	return n;
}

Test(mapping_simple, shipped_functions_over_all_cases)
{
	static const char *const names[] = {
		"device-events",       "eztcloud", "innoway", "thingsboard",
		"thingsboard-gateway", "pairs"
	};
	size_t n = sizeof names / sizeof *names, n_simple = 0, n_done = 0;
	json_object *cases[sizeof names / sizeof *names];

	for (size_t i = 0; i < n; i++) {
		char file[200];
		struct buf text = { 0 };

		snprintf(file, sizeof file, "%s/mappings/%s.cases.json", TEST_SOURCE_DIR, names[i]);
		cr_assert(buf_append_file(&text, file, 1 << 20, NULL));
		cases[i] = jtext_tree(text.data, text.len, NULL);
		cr_assert_not_null(cases[i]);
		buf_fini(&text);
	}
	for (size_t i = 0; i + 1 < n; i++) {
		struct both b = load_both(names[i]);

		for (size_t fn = 0; fn < b.m->functions.n; fn++) {
			if (!mapping_is_simple(b.m, (int)fn))
				continue; /* jq does it in both */
			n_simple++;
			for (size_t k = 0; k < n; k++)
				n_done += compare_all(&b, (int)fn, cases[k]);
		}
		free_both(&b);
	}
	for (size_t i = 0; i < n; i++)
		json_object_put(cases[i]);
	cr_log_info("%zu functions, %zu calls without jq", n_simple, n_done);
	cr_expect_geq(n_simple, 17);
	cr_expect_gt(n_done, 1000);
}

/* What most messages between the two take. */
Test(mapping_simple, shipped_reports_take_no_jq)
{
	static const struct {
		const char *name, *function;
	} shipped[] = { { "eztcloud", "read_attributes" }, { "device-events", "write_telemetry" } };

	for (size_t i = 0; i < sizeof shipped / sizeof *shipped; i++) {
		struct mapping *m = load(shipped[i].name);
		int fn = mapping_symbols_number(&m->functions, shipped[i].function);

		cr_assert_geq(fn, 0);
		cr_expect(mapping_is_simple(m, fn), "%s", shipped[i].function);
		mapping_free(m);
	}
}
