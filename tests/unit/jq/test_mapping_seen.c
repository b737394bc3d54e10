/* What a function can see of its input, told from the source. */
#include <criterion/criterion.h>

#include "jq/mapping_inside.h"
#include "unit/dialects.h"

static struct world w;

static void set_up(void)
{
	world_init(&w);
	world_write(&w, "lib", "def some: del(.[] | nulls); def id(f): f;");
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(mapping_seen, .init = set_up, .fini = tear_down);

/* The keys that `f` can see, "*": all. */
static void expect_seen(const char *functions, const char *wanted)
{
	struct mapping *m;
	struct buf seen = { 0 };
	size_t n = 0;
	char *text = mem_printf("module { dialect: 'd', messages: [{ kind: 'telemetry', topic: "
				"'d/{device}', read: 'f' }] };\nimport 'lib' as lib;\n%s",
				functions);

	world_write(&w, "d", text);
	m = mapping_load(&w.path, "d", &w.report);
	cr_assert(m, "%s: %s", functions,
		  w.report.n_lines ? w.report.lines[w.report.n_lines - 1].text : "");
	for (int k = 0; k < MAPPING_KEYS; k++)
		if (mapping_sees(m, 0, (enum mapping_key)k)) {
			buf_printf(&seen, "%s%s", seen.len ? " " : "", mapping_key_names[k]);
			n++;
		}
	cr_expect_str_eq(n == MAPPING_KEYS ? "*" : buf_str(&seen), wanted, "%s", functions);
	buf_fini(&seen);
	mapping_free(m);
	free(text);
}

Test(mapping_seen, are_keys_that_are_read)
{
	static const struct {
		const char *functions, *wanted;
	} cases[] = {
		{ "def f: 1;", "" },
		{ "def f: .payload;", "payload" },
		{ "def f: .payload | . as $p | [$p, keys, .topic];", "payload" },
		{ "def f: {body: .payload, ts: .at};", "payload at" },
		{ "def f: {id, device, body: {a: .body.x.y, (.kind): 1, 'to': .ts}};",
		  "kind device id ts body" },
		{ "def f: {id, 'state', p: $__loc__};", "id state" },
		{ "def f: .body['to'] | .vars;", "body" },
		{ "def f: .['topic'];", "topic" },
		{ "def f: .body[.topic.n].x?;", "body topic" },
		{ "def f: .body[.at:.ts];", "ts body at" },
		{ "def f: [.at, .ts] | .[0];", "ts at" },
		{ "def f: 'a\\(.id) b\\(.to.x | . + 1)c';", "id to" },
		{ "def f: .id // .request.id;", "id request" },
		{ "def f: (.body | .kind) + .to.a and (.state.alarm or .vars.b);",
		  "body to state vars" },
		{ "def f: if .state.alarm then .body elif .at == 1 then .id else .to end;",
		  "id body at to state" },
		{ "def f: if . then .body | .to else 1 end;", "body" },
		{ "def f: select(.body.x != 1) | {payload: .body.y, topic: .to};", "body to" },
		{ "def f: select(.) | .at;", "at" },
		{ "def f: .ts as $ts | {$ts, id};", "id ts" },
		{ "def f: .state.alarm = .body.x | .state | .to;", "body state" },
		{ "def f: .body |= .kind | .body;", "body" },
		{ "def f: .state.n += .at | .state;", "at state" },
		{ "def f: del(.body.x) | .body;", "body" },
		{ "def f: if has('value') then .value else .payload end;", "payload value" },
		{ "def f: select(has('other')) | error('x\\(.id)');", "id" },
		{ "def f: .body, .at | .to;", "body at" },
		{ "def f: empty, true, (null | .);", "" },
		{ "def g: .state.alarm; def f: {a: g, b: .at};", "at state" },
		{ "def g(x; y): (x | .to) as $x | {$x, z: y} + .ts; def f: g(.body; .id);",
		  "id ts body" },
		{ "def g(x): .body | x; def f: g(.at);", "body" },
		{ "def h(x): x; def g(x): h(x); def f: g(.at);", "at" },
		{ "def f: .body | lib::some | lib::id(.at);", "body" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect_seen(cases[i].functions, cases[i].wanted);
}

Test(mapping_seen, are_all_when_the_input_goes_where_one_cannot_tell)
{
	static const char *const cases[] = {
		"def f: .;",
		"def f: .body, .;",
		"def f: {a: .};",
		"def f: {a: (.body, .)};",
		"def f: {(.): 1}?;",
		"def f: [.];",
		"def f: [.[]];",
		"def f: .[];",
		"def f: ..;",
		"def f: .['a','b'];",
		"def f: .[.id];",
		"def f: keys;",
		"def f: to_entries;",
		"def f: getpath(['body']);",
		"def f: . as $all | $all.body;",
		"def f: . as {body: $b} | $b;",
		"def f: .body as [$b] | .at;",
		"def f: . + {};",
		"def f: .body // .;",
		"def f: tojson;",
		"def f: @json;",
		"def f: @base64 'a\\(.)';",
		"def f: 'a\\(.)';",
		"def f: error;",
		"def f: error(.);",
		"def f: select(.body);",
		"def f: if .body then .at else . end;",
		"def f: if .body then . else .at end | keys;",
		"def f: .body = 1;",
		"def f: .body = .;",
		"def f: (.body, .at) = 1 | .to;",
		"def f: . |= .body | .to;",
		"def f: del(.body);",
		"def f: del(.);",
		"def f: with_entries(.);",
		"def f: reduce .body as $x (0; .);",
		"def f: foreach .body as $x (0; .);",
		"def f: try .body catch .;",
		"def f: label $out | .body;",
		"def f: def g: .at; g;",
		"def f: lib::some;",
		"def f: lib::id(.at);",
		"def f: first(.body, .at);",
		"def f: path(.body);",
		"def f: map(.x);",
		"def f: length;",
		"def g: .; def f: g | keys;",
		"def g: .; def f: g;",
		"def g(x): x; def f: g(.);",
		"def g($x): $x; def f: g(.at);",
		"def g: .at; def g: .to; def f: g;",
		"def g: .at; def g(x): .to; def f: g;",
		"def f: if .x then f else .y end;",
		"def select(x): .; def f: select(.at);",
		"def f: has('\\u0062ody');",
		"def f: {'\\u0062ody'};",
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect_seen(cases[i], "*");
}

static bool add_output(void *ctx, struct jslice output)
{
	buf_append(ctx, output.text, output.len);
	return true;
}

Test(mapping_seen, are_all_that_is_given)
{
	struct mapping_input in = { .fields = {
					    [SEEN_BODY] = { FIELD_JSON,
							    .json = { "{\"a\":1}", 7 } },
					    [SEEN_AT] = { FIELD_INTEGER, .integer = 5 },
					    /* Not even read. */
					    [SEEN_TO] = { FIELD_JSON, .json = { "{", 1 } },
				    } };
	struct buf out = { 0 };
	struct err e = { 0 };
	struct mapping *m;

	world_write(&w, "d",
		    "module { dialect: 'd', messages: [{ kind: 'telemetry', topic: "
		    "'d/{device}', read: 'f', write: 'g' }] };\n"
		    "def f: {a: .body.a, b: .at}; def g: .;");
	m = mapping_load(&w.path, "d", &w.report);
	cr_assert(m);
	cr_expect(mapping_call(m, 0, &in, add_output, &out, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&out), "{\"a\":1,\"b\":5}");
	cr_expect_not(mapping_call(m, 1, &in, add_output, &out, &e));
	buf_fini(&out);
	mapping_free(m);
}
