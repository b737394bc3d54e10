#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pack.h"
#include "dialect/dialect.h"
#include "jq/mapping.h"
#include "message/vars.h"

/* A directory of mapping files, and what loading one of them said. */
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

	environ = none; /* as the program does: jq has `env`, and 1.6 loads ~/.jq */
	strcpy(dir, "/tmp/calque-mapping-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	mapping_path_add(&path, dir);
}

static void teardown(void)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	mapping_path_fini(&path);
	report_fini(&report);
}

TestSuite(mapping, .init = setup, .fini = teardown);

static void write_file(const char *name, const char *text)
{
	char file[200];
	FILE *f;

	snprintf(file, sizeof file, "%s/%s", dir, name);
	for (char *p = file + strlen(dir) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(file, 0700);
	}
	f = fopen(file, "w");
	cr_assert_not_null(f, "%s", file);
	fputs(text, f);
	fclose(f);
}

static struct mapping *load_good(const char *name)
{
	struct mapping *m = mapping_load(&path, name, &report);

	for (size_t i = 0; i < report.n_lines; i++)
		cr_log_error("%s", report.lines[i].text);
	cr_assert_not_null(m);
	return m;
}

/* Load `name`.jq; `lines` is what must be reported, no more and no less, with D for the directory. */
static void expect_mistakes(const char *name, const char *const *lines)
{
	size_t n = 0, before = report.n_lines;

	cr_expect_null(mapping_load(&path, name, &report));
	for (; lines[n]; n++) {
		bool found = false;

		for (size_t i = before; i < report.n_lines; i++) {
			const char *text = report.lines[i].text;

			if (strncmp(text, dir, strlen(dir)) == 0 && *lines[n] == 'D')
				found = found || strcmp(text + strlen(dir), lines[n] + 1) == 0;
			else
				found = found || strcmp(text, lines[n]) == 0;
		}
		cr_expect(found, "missing: %s", lines[n]);
	}
	for (size_t i = before; i < report.n_lines && report.n_lines - before != n; i++)
		cr_log_error("reported: %s", report.lines[i].text);
	cr_expect_eq(report.n_lines - before, n);
}

#define EXPECT_MISTAKES(name, ...) expect_mistakes(name, (const char *const[]){ __VA_ARGS__, NULL })

static bool add_output(void *ctx, struct jslice output)
{
	struct buf *all = ctx;

	buf_append(all, output.text, output.len);
	buf_putc(all, '\n');
	return true;
}

static struct mapping_input see_body(const char *body, size_t len)
{
	struct mapping_input in = { 0 };

	in.fields[SEEN_BODY] = (struct mapping_field){ FIELD_JSON, .json = { body, len } };
	return in;
}

static bool call(struct mapping *m, int fn, const char *body, struct buf *all, struct err *e)
{
	struct mapping_input in = see_body(body, strlen(body));

	return mapping_call(m, fn, &in, add_output, all, e);
}

static void expect_outputs(struct mapping *m, int fn, const char *body, const char *outputs)
{
	struct buf all = { 0 };
	struct err e = { 0 };

	cr_expect(call(m, fn, body, &all, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&all), outputs);
	buf_fini(&all);
}

static void expect_failure(struct mapping *m, int fn, const char *body, enum err_code code,
			   const char *text)
{
	struct buf all = { 0 };
	struct err e = { 0 };

	cr_expect_not(call(m, fn, body, &all, &e));
	cr_expect_eq(e.code, code);
	cr_expect_str_eq(e.text, text);
	buf_fini(&all);
}

/* A dialect "d" of one row whose `read` (number 0) is f, defined by `source`, on the body; its `write`
 * (number 1) puts out all that it sees. */
static struct mapping *load_function(const char *source)
{
	struct buf text = { 0 };
	struct mapping *m;

	buf_printf(&text,
		   "module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\", read: "
		   "\"on_body\", "
		   "write: \"whole\"}]};\n"
		   "%s\ndef on_body: .body | f;\ndef whole: .;\n",
		   source);
	write_file("d.jq", buf_str(&text));
	buf_fini(&text);
	m = load_good("d");
	cr_assert_eq(mapping_dialect(m)->rows[0].read_fn, 0);
	return m;
}

static const char factory[] =
	"# The old factory line.\n"
	"module {\n"
	"  dialect: \"factory\",\n"
	"  about: \"Factory line controllers, 2009\",\n"
	"  device: \"topic\",\n"
	"  messages: [\n"
	"    { kind: \"telemetry\", topic: \"factory/{device}/temp\", read: \"temp\" },\n"
	"    { kind: \"command\",   topic: \"factory/{device}/do\",   write: \"do\", format: "
	"\"text\" },\n"
	"    { kind: \"event\",     topic: \"factory/{device}/ev\",   read: \"temp\", publish: "
	"\"ev\" }\n"
	"  ]\n"
	"};\n"
	"def temp: { ts: (.body.at * 1000), body: { temperature: .body.v } };\n"
	"def do:   .body.name;\n"
	"def ev:   {payload: .body}, {payload: 2};\n";

Test(mapping, loads_a_dialect_and_calls_its_functions)
{
	struct mapping *m;
	const struct dialect *d;
	char file[100];

	write_file("factory.jq", factory);
	m = load_good("factory");
	d = mapping_dialect(m);
	snprintf(file, sizeof file, "%s/factory.jq", dir);
	cr_expect_str_eq(mapping_file(m), file);
	cr_expect_str_eq(d->name, "factory");
	cr_assert_eq(d->n_rows, 3);
	cr_expect_eq(d->rows[0].write_fn, -1);
	cr_expect_eq(d->rows[2].read_fn, d->rows[0].read_fn, "a function has one number");
	cr_expect_eq(mapping_through_fn(m, FLOW_UP), -1);
	expect_outputs(m, d->rows[0].read_fn, "{\"v\":21.5,\"at\":1700000000}",
		       "{\"ts\":1700000000000,\"body\":{\"temperature\":21.5}}\n");
	expect_outputs(m, d->rows[1].write_fn, "{\"name\":\"st\\u00f6p \\\"now\\\"\"}",
		       "\"st\xc3\xb6p \\\"now\\\"\"\n");
	expect_outputs(m, d->rows[2].publish_fn, "1", "{\"payload\":1}\n{\"payload\":2}\n");
	cr_expect_eq(report.n_lines, 0);
	mapping_free(m);
}

Test(mapping, dispatches_among_many_functions)
{
	struct buf text = { 0 };
	struct mapping *m;
	char input[40];

	buf_puts(&text, "module {dialect: \"many\", messages: [");
	for (int i = 0; i < 37; i++)
		buf_printf(&text, "%s{kind: \"raw\", topic: \"t/%d\", read: \"f%d\"}", i ? "," : "",
			   i, i);
	buf_puts(&text, "]};\n");
	for (int i = 0; i < 37; i++)
		buf_printf(&text, "def f%d: [%d, .body.x];\n", i, i);
	write_file("many.jq", buf_str(&text));
	m = load_good("many");
	for (int i = 0; i < 37; i++) {
		buf_reset(&text);
		buf_printf(&text, "[%d,%d]\n", i, i * 7);
		snprintf(input, sizeof input, "{\"x\":%d}", i * 7);
		expect_outputs(m, mapping_dialect(m)->rows[i].read_fn, input, buf_str(&text));
	}
	buf_fini(&text);
	mapping_free(m);
}

Test(mapping, loads_a_dialect_without_functions)
{
	write_file("plain.jq",
		   "module {dialect: \"plain\", messages: [{kind: \"event\", topic: \"e\"}]};\n");
	mapping_free(load_good("plain"));
}

Test(mapping, loads_a_through_file)
{
	struct mapping *m;

	write_file("celsius.jq",
		   "module {through: \"celsius\", up: \"to_celsius\", about: \"x\"};\n"
		   "def to_celsius: .body.t |= (. - 32) / 1.8;\n");
	m = load_good("celsius");
	cr_expect_null(mapping_dialect(m));
	cr_expect_eq(mapping_through_fn(m, FLOW_DOWN), -1);
	expect_outputs(m, mapping_through_fn(m, FLOW_UP), "{\"t\":212}",
		       "{\"body\":{\"t\":100}}\n");
	mapping_free(m);
}

Test(mapping, finds_files_in_the_first_directory_that_has_them)
{
	char second[100], *file;

	write_file("two/factory.jq", factory);
	snprintf(second, sizeof second, "%s/nowhere", dir);
	mapping_path_add(&path, second);
	snprintf(second, sizeof second, "%s/two", dir);
	mapping_path_add(&path, second);
	file = mapping_path_find(&path, "factory");
	cr_assert_not_null(file);
	cr_expect_str_eq(file + strlen(dir), "/two/factory.jq");
	free(file);
	mapping_free(load_good("factory"));
	write_file("factory.jq", factory);
	file = mapping_path_find(&path, "factory");
	cr_expect_str_eq(file + strlen(dir), "/factory.jq");
	free(file);
	cr_expect_null(mapping_path_find(&path, "two/factory"));
	cr_expect_null(mapping_path_find(&path, "../factory"));
	cr_expect_null(mapping_path_find(&path, "two"));
	cr_expect_null(mapping_path_find(&path, ""));
}

Test(mapping, reports_a_missing_file)
{
	cr_expect_null(mapping_load(&path, "nope", &report));
	cr_expect_null(mapping_load(&path, "a/b", &report));
	cr_assert_eq(report.n_lines, 2);
	cr_expect_eq(
		strncmp(report.lines[0].text, "there is no mapping \"nope\" (nope.jq in /tmp/", 44),
		0);
	cr_expect_str_eq(report.lines[1].text, "there is no mapping \"a/b\", and none can be "
					       "called so: a name has letters, digits "
					       "and - _ . in it");
}

Test(mapping, reports_all_mistakes_in_one_run)
{
	write_file("bad.jq",
		   "module {\n"
		   "  dialect: \"bed\", colour: 1, up: {read: \"gone\"},\n"
		   "  messages: [\n"
		   "    { kind: \"telemetry\", topik: \"a\", read: \"temp\" },\n"
		   "    { kind: \"command\", topic: \"b\", write: \"nope\" },\n"
		   "    { kind: \"event\", topic: \"c\", read: \"nope\", publish: \"arg\" }]\n"
		   "};\n"
		   "def temp: now | undefined_one;\n"
		   "def arg(f): f | undefined_two;\n");
	EXPECT_MISTAKES(
		"bad",
		"D/bad.jq:8: `now` is not allowed in a mapping: a translation must depend "
		"on its input "
		"alone; .at is when the message arrived",
		"D/bad.jq: dialect: \"bed\" is not the name of the file; write \"bad\"",
		"D/bad.jq: unknown key \"colour\": one of dialect, about, version, mqtt, device, "
		"session, application, vars, choices, credentials, limits, request_timeout, "
		"offline_after, "
		"echoes_publishes, on_connect, up, down, "
		"messages",
		"D/bad.jq: messages[0]: unknown key \"topik\" (did you mean \"topic\"?)",
		"D/bad.jq: messages[0]: \"topic\" is missing: the topic; {name} is a level, "
		"{name...} at the end is the rest",
		"D/bad.jq: up.read: there is no function \"gone\" in this file; write one: "
		"def gone: {body: .payload};",
		"D/bad.jq: messages[1].write: there is no function \"nope\" in this file; write "
		"one: "
		"def nope: .body;",
		"D/bad.jq: messages[2].read: there is no function \"nope\" in this file; write "
		"one: "
		"def nope: {body: .payload};",
		"D/bad.jq: messages[2].publish: the function \"arg\" takes 1 parameter; one that "
		"is "
		"named here takes none",
		"D/bad.jq:8: undefined_one/0 is not defined; write def NAME: ...; before its use, "
		"or "
		"see whether jq 1.6 has it");
}

Test(mapping, reports_what_jq_cannot_parse)
{
	write_file("syntax.jq",
		   "module {dialect: \"syntax\", messages: []};\ndef a: 1;\ndef b: ;\n");
	cr_expect_null(mapping_load(&path, "syntax", &report));
	cr_assert_eq(report.n_lines, 1);
	cr_expect(strstr(report.lines[0].text, "/syntax.jq:3: syntax error, unexpected "), "%s",
		  report.lines[0].text);
	cr_expect_not(strstr(report.lines[0].text, "shell"));
	write_file("main.jq", "module {dialect: \"main\", messages: []};\ndef a: 1; .\n");
	EXPECT_MISTAKES("main",
			"D/main.jq: library should only have function definitions, not a main "
			"expression; write module {...}; and then only def NAME: ...;");
	write_file("computed.jq", "module {dialect: env.X};\ndef a: 1;\n");
	EXPECT_MISTAKES(
		"computed",
		"D/computed.jq:1: `env` is not allowed in a mapping: the environment must not "
		"matter; give values as `vars` in the configuration",
		"D/computed.jq:1: Module metadata must be constant; plain values only, no "
		"functions and no operators");
}

Test(mapping, refuses_files_that_are_neither_or_both)
{
	write_file("wire.jq", "def x: 1;\n");
	EXPECT_MISTAKES("wire",
			"D/wire.jq: neither a dialect nor a through file; a dialect starts with "
			"module {dialect: \"NAME\", messages: [...]};");
	write_file("both.jq", "module {dialect: \"both\", through: \"both\"};\n");
	EXPECT_MISTAKES("both", "D/both.jq: a file is a dialect or a through file, not both");
	write_file("other.jq", "module {through: \"another\", up: \"f\", left: 1};\ndef f: .;\n");
	EXPECT_MISTAKES(
		"other",
		"D/other.jq: through: \"another\" is not the name of the file; write \"other\"",
		"D/other.jq: unknown key \"left\": one of through, about, version, up, down");
}

Test(mapping, imports_modules_of_the_path)
{
	struct mapping *m;

	write_file("wire.jq", "include \"deep/er\";\ndef x: y + 1;\n");
	write_file("deep/er.jq", "import \"deep/near\" as n;\ndef y: n::z;\n");
	write_file("deep/near.jq", "module {note: \"a library\"};\ndef z: 41;\n");
	write_file("pack/pack.jq", "def p: \"packed\";\n");
	m = load_function("include \"pack\"; import \"wire\" as w; import \"wire\" as again;\n"
			  "def f: w::x, p, again::x;");
	expect_outputs(m, 0, "null", "42\n\"packed\"\n42\n");
	mapping_free(m);
}

static void expect_sources(const struct mapping *m)
{
	static const char *const names[] = { "d.jq", "wire.jq", "deep/er.jq" };
	size_t n = 0;

	for (const char *source; (source = mapping_source(m, n)); n++) {
		cr_assert_lt(n, 3);
		cr_assert_eq(strncmp(source, dir, strlen(dir)), 0, "%s", source);
		cr_assert_str_eq(source + strlen(dir) + 1, names[n]);
	}
	cr_assert_eq(n, 3);
}

Test(mapping, knows_its_files_in_another_process_too)
{
	struct buf packed = { 0 };
	struct unpack u;
	struct mapping *m, *there;

	write_file("wire.jq", "include \"deep/er\";\ndef x: y + 1;\n");
	write_file("deep/er.jq", "def y: 41;\n");
	m = load_function("import \"wire\" as w; import \"wire\" as again;\ndef f: w::x;");
	expect_sources(m);
	mapping_put(&packed, m);
	u = (struct unpack){ packed.data, packed.len, false };
	there = mapping_get(&u);
	cr_assert_not_null(there);
	cr_assert(!u.is_bad && u.left == 0);
	expect_sources(there);
	mapping_free(there);
	mapping_free(m);
	buf_fini(&packed);
}

/* libjq aborts on it since its security updates of 2026 (jq #3597). */
Test(mapping, calls_what_only_imported_modules_import)
{
	struct mapping *m;

	write_file("low.jq", "def one: 1;\ndef more(f; $n): f + $n;\n");
	write_file("sub/middle.jq", "import \"low\" as low;\ndef two: low::more(low::one; 1);\n");
	write_file("high.jq", "include \"sub/middle\";\ndef three: two + 1;\n");
	m = load_function("import \"high\" as high;\ndef f: high::three;");
	expect_outputs(m, 0, "null", "3\n");
	mapping_free(m);
}

Test(mapping, looks_into_imported_modules_once)
{
	write_file("a.jq", "import \"b\" as b; import \"c\" as c; def a: now;\n");
	write_file("b.jq", "import \"c\" as c;\ndef b: inputs;\n");
	write_file("c.jq", "def c: $ENV.HOME | missing;\n");
	write_file(
		"d.jq",
		"module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\", read: \"f\"}]};\n"
		"import \"a\" as a; import \"c\" as c;\ndef f: a::a | c::c;\n");
	EXPECT_MISTAKES("d",
			"D/a.jq:1: `now` is not allowed in a mapping: a translation must depend on "
			"its input "
			"alone; .at is when the message arrived",
			"D/b.jq:2: `inputs` is not allowed in a mapping: a function gets one "
			"message, as its input "
			"`.`, and nothing else",
			"D/c.jq:1: `$ENV` is not allowed in a mapping: the environment must not "
			"matter; give values "
			"as `vars` in the configuration",
			"D/c.jq:1: missing/0 is not defined; write def NAME: ...; before its use, "
			"or see whether "
			"jq 1.6 has it");
}

Test(mapping, refuses_imports_from_elsewhere)
{
	write_file("here.jq", "def h: 1;\n");
	write_file("data.json", "[1]\n");
	write_file("d.jq", "module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\"}]};\n"
			   "include \"here\" {search: null};\n"
			   "import \"nowhere\" as a;\n"
			   "import \"data\" as $data;\n"
			   "import \"here\" as h {search: \"/etc\"};\n"
			   "import \"../here\" as b;\n"
			   "import \"/etc/here\" as c;\n"
			   "import \"\" as e;\n");
	EXPECT_MISTAKES(
		"d", "D/d.jq:3: module \"nowhere\" is not in the mapping path",
		"D/d.jq:4: data cannot be imported, only functions; write it into the mapping",
		"D/d.jq:5: `search` is not allowed in an import: modules come from the mapping "
		"path alone",
		"D/d.jq:2: `search` is not allowed in an import: modules come from the mapping "
		"path alone",
		"D/d.jq:6: module \"../here\" cannot be imported: only modules of the mapping path "
		"can, by "
		"a relative path without \"..\"",
		"D/d.jq:7: module \"/etc/here\" cannot be imported: only modules of the mapping "
		"path can, "
		"by a relative path without \"..\"",
		"D/d.jq:8: module \"\" cannot be imported: only modules of the mapping path can, "
		"by a "
		"relative path without \"..\"");
}

Test(mapping, refuses_an_include_that_jq_1_6_would_lose)
{
	write_file("a.jq", "def a: 1;\n");
	write_file("b.jq", "def b: 1;\n");
	write_file("d.jq", "module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\"}]};\n"
			   "import \"a\" as a;\ninclude \"b\";\n");
	EXPECT_MISTAKES("d",
			"D/d.jq:3: `include` must come before all `import`: jq 1.6 loses what it "
			"includes otherwise");
}

Test(mapping, refuses_search_in_the_metadata_of_a_library)
{
	write_file("lib.jq", "module {search: \"/etc\"};\ndef l: 1;\n");
	write_file("d.jq", "module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\"}]};\n"
			   "import \"lib\" as l;\n");
	EXPECT_MISTAKES("d", "D/lib.jq: `search` is not allowed in the metadata of a module");
}

Test(mapping, refuses_circles_of_imports)
{
	write_file("a.jq", "import \"b\" as b;\ndef a: 1;\n");
	write_file("b.jq", "\nimport \"a\" as a;\ndef b: 1;\n");
	write_file("d.jq", "module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\"}]};\n"
			   "import \"a\" as a;\nimport \"d\" as me;\n");
	EXPECT_MISTAKES("d",
			"D/b.jq:2: module \"a\" imports this one, so this one cannot import it",
			"D/d.jq:3: module \"d\" imports this one, so this one cannot import it");
}

Test(mapping, is_not_fooled_by_the_current_directory)
{
	char here[100];

	write_file("wire.jq", "def x: 5;\n");
	write_file(
		"d.jq",
		"module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\", read: \"f\"}]};\n"
		"import \"wire\" as w;\ndef f: w::x;\n");
	write_file("here/d.jq", "def f: 6;\n");
	snprintf(here, sizeof here, "%s/here", dir);
	cr_assert_eq(chdir(here), 0);
	struct mapping *m = load_good("d");

	expect_outputs(m, 0, "1", "5\n");
	mapping_free(m);
	write_file("here/wire.jq", "def x: now;\n");
	EXPECT_MISTAKES(
		"d", "D/d.jq:2: module \"wire\" is also in the current directory, where jq looks "
		     "first; start calque in another directory, or rename one");
	report_fini(&report);
	cr_assert_eq(chdir(dir), 0);
	mapping_free(load_good("d"));
	cr_assert_eq(chdir("/"), 0);
}

Test(mapping, works_with_a_relative_path)
{
	write_file("wire.jq", "def x: 5;\n");
	write_file(
		"d.jq",
		"module {dialect: \"d\", messages: [{kind: \"raw\", topic: \"r\", read: \"f\"}]};\n"
		"import \"wire\" as w;\ndef f: w::x;\n");
	mapping_path_fini(&path);
	cr_assert_eq(chdir(dir), 0);
	mapping_path_add(&path, ".");
	mapping_free(load_good("d"));
	cr_assert_eq(chdir("/"), 0);
}

Test(mapping, gives_strict_json_however_odd_the_output)
{
	struct mapping *m = load_function("def f: nan, -1, \"\\u0000\\u001f\", [], {}, null;");

	expect_outputs(m, 0, "1", "null\n-1\n\"\\u0000\\u001f\"\n[]\n{}\nnull\n");
	mapping_free(m);
}

Test(mapping, bounds_the_number_of_outputs)
{
	struct mapping *m = load_function("def f: range(.);");
	struct buf all = { 0 };
	struct err e = { 0 };
	char text[40];

	snprintf(text, sizeof text, "%d", MAPPING_MAX_OUTPUTS);
	cr_expect(call(m, 0, text, &all, &e));
	buf_fini(&all);
	snprintf(text, sizeof text, "%d", MAPPING_MAX_OUTPUTS + 1);
	expect_failure(m, 0, text, ERR_LIMIT, "more than 10000 outputs");
	expect_outputs(m, 0, "2", "0\n1\n");
	mapping_free(m);
}

Test(mapping, bounds_the_bytes_of_all_outputs)
{
	struct mapping *m = load_function("def f: (\"x\" * 1000000) as $x | range(.) | $x;");

	expect_failure(m, 0, "17", ERR_LIMIT, "more than 16777216 bytes of output");
	mapping_free(m);
}

Test(mapping, refuses_outputs_that_rows_could_not_hold)
{
	struct mapping *m =
		load_function("def f: . as $n | \"[{\" | reduce range($n) as $i (.; [.]);");
	struct buf all = { 0 };
	struct err e = { 0 };

	cr_expect(call(m, 0, "240", &all, &e), "%s", e.text);
	cr_expect_eq(all.len, 2 * 240 + strlen("\"[{\"\n"));
	buf_fini(&all);
	expect_failure(m, 0, "241", ERR_LIMIT, "an output nested deeper than 240");
	expect_failure(m, 0, "300", ERR_LIMIT, "an output nested deeper than 240");
	mapping_free(m);
}

static bool take_one(void *ctx, struct jslice output)
{
	(void)output;
	return ++*(int *)ctx < 2;
}

Test(mapping, stops_handing_out_when_told)
{
	struct mapping *m = load_function("def f: range(10);");
	struct mapping_input in = see_body("1", 1);
	struct err e = { 0 };
	int n = 0;

	cr_expect(mapping_call(m, 0, &in, take_one, &n, &e), "%s", e.text);
	cr_expect_eq(n, 2);
	n = 0;
	cr_expect(mapping_call(m, 0, &in, take_one, &n, &e), "and can be called again");
	cr_expect_eq(n, 2);
	mapping_free(m);
}

struct nested {
	struct mapping *m;
	struct buf all;
};

static bool call_again(void *ctx, struct jslice output)
{
	struct nested *nested = ctx;
	struct err e = { 0 };

	buf_puts(&nested->all, "outer ");
	cr_expect(call(nested->m, 0, "3", &nested->all, &e), "%s", e.text);
	buf_append(&nested->all, output.text, output.len);
	buf_putc(&nested->all, '\n');
	return true;
}

Test(mapping, can_be_called_from_its_outputs)
{
	struct nested nested = { .m = load_function("def f: ., . + 1;") };
	struct mapping_input in = see_body("1", 1);
	struct err e = { 0 };

	cr_expect(mapping_call(nested.m, 0, &in, call_again, &nested, &e));
	cr_expect_str_eq(buf_str(&nested.all), "outer 3\n4\n1\nouter 3\n4\n2\n");
	buf_fini(&nested.all);
	mapping_free(nested.m);
}

Test(mapping, hands_out_nothing_of_a_call_that_fails)
{
	struct mapping *m = load_function("def f: 1, 2, error(\"no\");");
	struct buf all = { 0 };
	struct err e = { 0 };

	cr_expect_not(call(m, 0, "1", &all, &e));
	cr_expect_eq(all.len, 0);
	buf_fini(&all);
	mapping_free(m);
}

Test(mapping, passes_errors_on_without_payload)
{
	static const struct {
		const char *function, *text;
	} cases[] = {
		{ ".a + 1", "string (...) and number (...) cannot be added" },
		{ ".a[]", "Cannot iterate over string (...)" },
		{ ".a | keys", "string (...) has no keys" },
		{ "{} | has(.temperature)", "Cannot check whether object has a null key" },
		{ "error(\"no such unit: \\(.a)\")", "no such unit: ... ..." },
		{ "error(.a)", "... ..." },
		{ "error({a})", "the function failed with an error that is no text" },
		{ ".a | error", "... ..." },
		{ "empty, error(\"plain\")", "plain" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char source[200];
		struct mapping *m;

		snprintf(source, sizeof source, "def f: %s;", cases[i].function);
		m = load_function(source);
		expect_failure(m, 0, "{\"a\":\"canary hunter2\",\"n\":4711}", ERR_INVALID,
			       cases[i].text);
		expect_failure(m, 0, "{\"a\":\"canary hunter2\",\"n\":4711}", ERR_INVALID,
			       cases[i].text);
		mapping_free(m);
	}
}

Test(mapping, never_quotes_the_payload)
{
	static const char *const functions[] = {
		".a|fromjson",
		".a|tonumber",
		".a|test(\"(\")",
		"\"x\"|test(.a+\"(\")",
		".a|strptime(\"%Y\")",
		"{(.n|[.]):1}",
		".|@csv",
		"[{a}]|@csv",
		".a|format(.)",
		".a|.[0]",
		".a-.n",
		".a/.n",
		"{}|setpath([.a];1)|.[0]",
		"path(.a|tostring)",
		"[.a]|implode",
		"del(.a.b)",
		".a|has(1)",
		".a|join(1)",
		"[.a,.n]|add",
		".a|splits(1)",
		".a.b=1",
		"error([.a])",
		".a|todate",
		".a|fromdate",
		".n|ascii_downcase",
		"input_of(.a)",
		".a|label $x|break $x",
		"tojson|fromjson|error(tojson)",
		".a|sub(\"(?<x>c)\";.x|tonumber)",
		"@sh \"\\(.)\"",
		".a|@base64d|fromjson",
		"[.a]|from_entries",
		"{a:.a}|to_entries|map(.value|tonumber)",
		".a|getpath([\"x\"])",
		".a|limit(-1;.)|error",
		"[.n]|min_by(.x)",
		".a|group_by(.x)",
	};
	static const char input[] = "{\"a\":\"Canary7 hunter2\",\"n\":47114711}";

	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		struct buf text = { 0 }, all = { 0 };
		struct err e = { 0 };
		struct mapping *m;

		buf_printf(&text, "def input_of(f): f | error; def f: %s;", functions[i]);
		m = load_function(buf_str(&text));
		if (!call(m, 0, input, &all, &e))
			cr_expect_not(strstr(e.text, "Canary") || strstr(e.text, "hunter") ||
					      strstr(e.text, "4711"),
				      "%s: %s", functions[i], e.text);
		mapping_free(m);
		buf_fini(&text);
		buf_fini(&all);
	}
}

Test(mapping, refuses_an_input_that_jq_cannot_read)
{
	struct mapping *m = load_function("def f: .;");

	expect_failure(m, 0, "{\"canary\"", ERR_INVALID, "jq cannot read the input");
	expect_failure(m, 0, "1 2", ERR_INVALID, "jq cannot read the input");
	expect_failure(m, 0, "", ERR_INVALID, "jq cannot read the input");
	expect_outputs(m, 0, " [1] ", "[1]\n");
	mapping_free(m);
}

Test(mapping, reads_no_byte_beyond_its_input)
{
	struct mapping *m = load_function("def f: .;");
	struct buf all = { 0 };
	struct err e = { 0 };
	char *exact = malloc(3);
	struct mapping_input in = see_body(exact, 3);

	memcpy(exact, "123", 3);
	cr_expect(mapping_call(m, 0, &in, add_output, &all, &e));
	cr_expect_str_eq(buf_str(&all), "123\n");
	memcpy(exact, "[1,", 3);
	cr_expect_not(mapping_call(m, 0, &in, add_output, &all, &e));
	free(exact);
	buf_fini(&all);
	mapping_free(m);
}

Test(mapping, knows_whether_numbers_keep_their_spelling)
{
	struct mapping *m = load_function("def f: .;");

	struct mapping_input in = see_body("9007199254740993", 16);
	struct buf all = { 0 };
	struct err e = { 0 };

	cr_expect_eq(mapping_call(m, 0, &in, add_output, &all, &e), mapping_keeps_numbers());
	cr_expect_str_eq(buf_str(&all), mapping_keeps_numbers() ? "9007199254740993\n" : "");
	cr_expect_eq(e.code, mapping_keeps_numbers() ? ERR_NONE : ERR_INEXACT);
	buf_fini(&all);
	cr_expect_eq(mapping_keeps_numbers(), mapping_keeps_numbers());
	mapping_free(m);
}

Test(mapping, functions_see_what_there_is_in_a_fixed_order)
{
	struct mapping *m = load_function("def f: .;");
	struct var items[] = { { (char[]){ "a" }, (char[]){ "1" }, false },
			       { (char[]){ "key" }, (char[]){ "hidden" }, true },
			       { (char[]){ "a" }, (char[]){ "2" }, false } };
	struct vars vars = { items, 3 };
	struct mapping_input in = see_body("{}", 2);
	struct buf all = { 0 };
	struct err e = { 0 };

	in.fields[SEEN_AT] = (struct mapping_field){ FIELD_INTEGER, .integer = 1700000000000 };
	in.fields[SEEN_TOPIC] = (struct mapping_field){ FIELD_VARS, .vars = &vars };
	in.fields[SEEN_KIND] = (struct mapping_field){ FIELD_TEXT, .text = "raw \"x\"" };
	cr_expect(mapping_call(m, 1, &in, add_output, &all, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&all), "{\"kind\":\"raw \\\"x\\\"\",\"body\":{},\"topic\":{\"a\":"
					"\"1\"},\"at\":1700000000000}\n");
	buf_fini(&all);
	mapping_free(m);
}

Test(mapping, values_that_were_the_same_may_change)
{
	struct mapping *m = load_function("def f: .;");
	static const char *const states[] = { "{\"online\":true}", "{\"online\":true}", "{}", "[",
					      "{}" };
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
		struct mapping_input in = { 0 };
		struct buf all = { 0 };
		char expected[64];

		in.fields[SEEN_STATE] =
			(struct mapping_field){ FIELD_JSON,
						.json = { states[i], strlen(states[i]) } };
		snprintf(expected, sizeof expected, "{\"state\":%s}\n", states[i]);
		if (mapping_call(m, 1, &in, add_output, &all, &e))
			cr_expect_str_eq(buf_str(&all), expected);
		else
			cr_expect_str_eq(states[i], "[");
		buf_fini(&all);
	}
	mapping_free(m);
}

/* --- programs of single functions */

static void expect_same(struct mapping *m, int fn, const char *body)
{
	struct buf among_all = { 0 }, alone = { 0 };
	struct err e[2] = { 0 };
	bool ok[2];

	ok[0] = call(m, fn, body, &among_all, &e[0]);
	cr_assert(mapping_compile_own(m, fn));
	ok[1] = call(m, fn, body, &alone, &e[1]);
	cr_expect_eq(ok[0], ok[1]);
	cr_expect_str_eq(buf_str(&alone), buf_str(&among_all));
	cr_expect_eq(e[0].code, e[1].code);
	cr_expect_str_eq(e[1].text, e[0].text);
	cr_expect_not(mapping_compile_own(m, fn), "it has one");
	buf_fini(&among_all);
	buf_fini(&alone);
}

Test(mapping, a_program_of_its_own_does_the_same)
{
	struct mapping *m;

	write_file("lib.jq", "def twice: ., .; def unused(f): error(\"x\" + f);");
	write_file("d.jq", "module {dialect: \"d\", device: \"topic\", messages: ["
			   "{kind: \"telemetry\", topic: \"a/{device}\", read: \"a\"},"
			   "{kind: \"telemetry\", topic: \"b/{device}\", read: \"b\"},"
			   "{kind: \"telemetry\", topic: \"c/{device}\", read: \"c\"},"
			   "{kind: \"telemetry\", topic: \"d/{device}\", read: \"d\"},"
			   "{kind: \"telemetry\", topic: \"e/{device}\", read: \"e\"}]};\n"
			   "import \"lib\" as lib;\n"
			   "def local: {local: .body};\n"
			   "def a: local | lib::twice;\n"
			   "def b: error(\"no \\(.body)\");\n"
			   "def c: {place: $__loc__, all: .};\n"
			   "def d: 1, empty, 2, (.body + {});\n"
			   "def e: empty;\n");
	m = load_good("d");
	for (int fn = 0; fn < 5; fn++)
		expect_same(m, fn, "7");
	mapping_free(m);
}

Test(mapping, tells_once_what_is_called_often)
{
	struct buf all = { 0 };
	struct err e = { 0 };
	struct mapping *m;

	write_file("d.jq", "module {dialect: \"d\", device: \"topic\", messages: ["
			   "{kind: \"telemetry\", topic: \"a/{device}\", read: \"a\"},"
			   "{kind: \"telemetry\", topic: \"b/{device}\", read: \"b\"}]};"
			   "def a: .; def b: .;");
	m = load_good("d");
	for (int i = 0; i < MAPPING_BUSY_CALLS - 1; i++)
		call(m, 1, "1", &all, &e);
	cr_expect_eq(mapping_next_busy(m), -1);
	call(m, 1, "1", &all, &e);
	call(m, 0, "1", &all, &e);
	cr_expect_eq(mapping_next_busy(m), 1);
	cr_expect_eq(mapping_next_busy(m), -1);
	buf_fini(&all);
	mapping_free(m);
}

Test(mapping, compiles_nothing_of_other_files_than_it_was_loaded_from)
{
	struct mapping *m;

	write_file("lib.jq", "def one: 1;");
	write_file("d.jq", "module {dialect: \"d\", device: \"topic\", messages: ["
			   "{kind: \"telemetry\", topic: \"a/{device}\", read: \"a\"},"
			   "{kind: \"telemetry\", topic: \"b/{device}\", read: \"b\"}]};"
			   "import \"lib\" as lib; def a: lib::one; def b: .;");
	m = load_good("d");
	cr_expect_not(mapping_compile_own(m, 2), "there is no such function");
	cr_expect_not(mapping_compile_own(m, -1));
	cr_expect(mapping_compile_own(m, 1));
	write_file("lib.jq", "def one: 2;");
	cr_expect_not(mapping_compile_own(m, 0));
	mapping_free(m);
}
