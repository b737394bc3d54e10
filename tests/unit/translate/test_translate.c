#include <criterion/criterion.h>

#include "translate/translate.h"
#include "unit/dialects.h"

static struct world w;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(translate, .init = set_up, .fini = tear_down);

/* --- what comes out, as lines: "TOPIC PAYLOAD", "+{a plain message}" or "!reason" */

static void put_payload(struct buf *out, const struct message *m)
{
	if (m->payload)
		buf_append(out, m->payload, m->payload_len);
	if (m->qos != 1 || m->retain)
		buf_printf(out, " qos=%d retain=%d", m->qos, m->retain);
	for (size_t i = 0; i < m->properties.n; i++)
		buf_printf(out, " %s=%s", m->properties.items[i].name,
			   m->properties.items[i].value);
	if (m->response_topic)
		buf_printf(out, " response=%s", m->response_topic);
	if (m->correlation)
		buf_printf(out, " correlation=%s", m->correlation);
}

static void put_results(struct buf *out, const struct results *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct item *item = &r->items[i];

		if (item->type == ITEM_MESSAGE) {
			buf_printf(out, "%s ", item->message.topic);
			put_payload(out, &item->message);
		} else if (item->type == ITEM_PLAIN) {
			buf_putc(out, '+');
			canonical_put(out, &item->plain);
		} else {
			buf_printf(out, "!%s", outcome_word(item->reason));
		}
		buf_putc(out, '\n');
	}
}

/* What went wrong last, for people. */
static char last_text[500];

static void expect_results(struct results *r, const char *wanted, int line)
{
	struct buf got = { 0 };

	put_results(&got, r);
	last_text[0] = '\0';
	for (size_t i = 0; i < r->n; i++)
		if (r->items[i].type == ITEM_REFUSED)
			snprintf(last_text, sizeof last_text, "%s", r->items[i].text);
	expect_text(buf_str(&got), wanted, last_text, line);
	buf_fini(&got);
	results_fini(r);
}

static bool awaits_echo;

/* Read a message by all rows that it finds. */
static void read_message(enum side from, const struct message *m, struct results *r)
{
	struct job job = { .type = JOB_READ,
			   .plan = w.plan,
			   .side = from,
			   .message = m,
			   .awaits_echo = awaits_echo,
			   .at_ms = 1700000000000 };
	struct match match;

	plan_match(w.plan, from, m->topic, &match);
	cr_assert(match.n > 0, "%s is not read", m->topic);
	job.readers = match.readers;
	job.n_readers = match.n;
	translate(&job, r);
	translate_address(&job, r);
	job_fini(&job);
}

static void expect_read_at(enum side from, const char *topic, const void *payload, size_t len,
			   const char *wanted, int line)
{
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };
	struct results r = { 0 };

	message_set_payload(&m, payload, len);
	read_message(from, &m, &r);
	expect_results(&r, wanted, line);
	message_fini(&m);
}

static void expect_at(enum side from, const char *topic, const char *payload, const char *wanted,
		      int line)
{
	char *q = quoted(payload);

	expect_read_at(from, topic, q, strlen(q), wanted, line);
	free(q);
}
#define expect(from, topic, payload, wanted) expect_at(from, topic, payload, wanted, __LINE__)

/* Write a plain message, given as text. */
static void expect_written_at(enum side to, const char *plain, const char *reply_topic,
			      const char *request, const char *wanted, int line)
{
	struct job job = { .type = JOB_WRITE,
			   .plan = w.plan,
			   .side = to,
			   .reply_topic = mem_strdup(reply_topic) };
	struct results r = { 0 };
	char *q = quoted(plain);
	struct err e = { 0 };

	cr_assert(canonical_parse(&job.plain, (struct jslice){ q, strlen(q) }, &e), "%s", e.text);
	free(q);
	if (request) {
		q = quoted(request);
		job.request = mem_zalloc(sizeof *job.request);
		cr_assert(canonical_parse(job.request, (struct jslice){ q, strlen(q) }, &e));
		free(q);
	}
	translate(&job, &r);
	translate_address(&job, &r);
	expect_results(&r, wanted, line);
	job_fini(&job);
}
#define expect_written(to, plain, wanted) expect_written_at(to, plain, NULL, NULL, wanted, __LINE__)

/* A north that takes everything as it is. */
#define N_ALL                                                                                      \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 't/{device}' },"                                     \
		 "{ kind: 'attributes', topic: 'a/{device}' },"                                    \
		 "{ kind: 'event', topic: 'e/{device}' },"                                         \
		 "{ kind: 'raw', topic: 'r/{device}' },"                                           \
		 "{ kind: 'space_info', topic: 'space/{device}' },"                                \
		 "{ kind: 'command', topic: 'do/{device}' }",                                      \
		 "")
/* A function that shows what it sees. */
#define SHOW "def show: {body: .};"

/* --- rows without functions */

Test(translate, a_row_without_functions_passes_every_byte)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""), N_ALL);
	expect(SOUTH, "s/d", "{'b': 1.50,  'a':12345678901234567890, 'e':1E+2,'u':'\\u00e9'}",
	       "t/d {'b': 1.50,  'a':12345678901234567890, 'e':1E+2,'u':'\\u00e9'}\n");
}

Test(translate, functions_keep_the_spelling_of_what_they_do_not_touch)
{
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'f' }",
			    "def f: {body: .payload};"),
		   N_ALL);
	expect(SOUTH, "s/d", "{'b':{'z':2,'y':0.5},'a':[1,2,3]}",
	       "t/d {'b':{'z':2,'y':0.5},'a':[1,2,3]}\n");
}

/* The function would fail if it were called. */
Test(translate, a_row_reads_what_it_has_a_guard_for_and_nothing_else)
{
	world_plan(
		&w,
		SOUTHERN("",
			 "{ kind: 'telemetry', topic: 's/{device}' },"
			 "{ kind: 'event', topic: 's/{device}', when: { has: 'a b' }, read: 'f' }",
			 "def f: {body: {name: .payload['a b'], params: {}}};"),
		NORTHERN("",
			 "{ kind: 'telemetry', topic: 't/{device}' },"
			 "{ kind: 'event', topic: 'e/{device}' }",
			 ""));
	expect(SOUTH, "s/d", "{'a':1}", "t/d {'a':1}\n");
	expect(SOUTH, "s/d", "{'x':{'a b':1}}", "t/d {'x':{'a b':1}}\n");
	expect(SOUTH, "s/d", "{'x':1,'a\\u0020b':'n'}",
	       "t/d {'x':1,'a\\u0020b':'n'}\ne/d {'name':'n','params':{}}\n");
	expect(SOUTH, "s/d", "{'a b':null}", "t/d {'a b':null}\n!wrong-shape\n");
	expect(SOUTH, "s/d", "{'n':12345678901234567890}", "t/d {'n':12345678901234567890}\n");
	expect(SOUTH, "s/d", "{", "!unreadable-payload\n!unreadable-payload\n");
}

Test(translate, a_guard_holds_for_rows_without_functions)
{
	world_plan(
		&w,
		SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', when: { has: 'k' } }", ""),
		N_ALL);
	expect(SOUTH, "s/d", "{'k':1}", "t/d {'k':1}\n");
	expect(SOUTH, "s/d", "{'l':1}", "");
	expect(SOUTH, "s/d", "['k']", "");
	expect(SOUTH, "s/d", "'k'", "");
}

Test(translate, without_a_payload_json_is_null)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}', read: 'show' }", SHOW),
		   NORTHERN("", "{ kind: 'event', topic: 'e', write: 'f' }",
			    "def f: [.body.payload, .body | keys];"));
	expect(SOUTH, "s/d", "", "!wrong-shape\n"); /* an event has a name */
	cr_expect_str_eq(last_text, "event: body.name is no string");
}

/* --- formats */

#define FORMATS(format)                                                                            \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}', format: '" format "',"                 \
		 " read: 'f' }",                                                                   \
		 "def f: {body: {got: .payload}};")

Test(translate, empty_json_is_null)
{
	world_plan(&w, FORMATS("json"), N_ALL);
	expect(SOUTH, "s/d", "", "t/d {'got':null}\n");
	expect(SOUTH, "s/d", "{}", "t/d {'got':{}}\n");
	expect(SOUTH, "s/d", "{oops}", "!unreadable-payload\n");
	cr_expect_null(strstr(last_text, "oops"), "%s", last_text);
}

Test(translate, text_is_a_string)
{
	world_plan(&w, FORMATS("text"), N_ALL);
	expect(SOUTH, "s/d", "", "t/d {'got':''}\n");
	expect(SOUTH, "s/d", "21.50", "t/d {'got':'21.50'}\n");
	expect_read_at(SOUTH, "s/d", "a\"b\n\0c", 6, "t/d {'got':'a\\'b\\n\\u0000c'}\n", __LINE__);
	expect_read_at(SOUTH, "s/d", "\xff", 1, "!unreadable-payload\n", __LINE__);
}

Test(translate, bytes_are_base64)
{
	world_plan(&w, FORMATS("bytes"), N_ALL);
	expect(SOUTH, "s/d", "", "t/d {'got':''}\n");
	expect_read_at(SOUTH, "s/d", "\xff\0\x01", 3, "t/d {'got':'/wAB'}\n", __LINE__);
}

Test(translate, formats_are_written_likewise)
{
	world_plan(
		&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		NORTHERN("",
			 "{ kind: 'event', topic: 'text/{device}', format: 'text', write: 'v' },"
			 "{ kind: 'event', topic: 'json/{device}', write: 'v' },"
			 "{ kind: 'event', topic: 'bytes/{device}', format: 'bytes', write: 'v' }",
			 "def v: .body.params;"));
	expect(SOUTH, "s/d", "{'name':'x','params':'YWJj'}",
	       "text/d YWJj\njson/d 'YWJj'\nbytes/d abc\n");
	expect(SOUTH, "s/d", "{'name':'x','params':{'a':1}}",
	       "text/d {'a':1}\njson/d {'a':1}\n!mapping-error\n");
	expect(SOUTH, "s/d", "{'name':'x','params':'no base64!'}",
	       "text/d no base64!\njson/d 'no base64!'\n!mapping-error\n");
	expect(SOUTH, "s/d", "{'name':'x','params':''}", "text/d \njson/d ''\nbytes/d \n");
}

Test(translate, sloppy_json_is_read_where_the_row_is_lenient)
{
	world_plan(&w,
		   SOUTHERN("up: { lenient: true },",
			    "{ kind: 'telemetry', topic: 's/{device}' },"
			    "{ kind: 'attributes', topic: 'a/{device}', lenient: false }",
			    ""),
		   N_ALL);
	expect(SOUTH, "s/d", "{a: 1, // one\n b: two,}", "t/d {'a':1,'b':'two'}\n");
	expect(SOUTH, "a/d", "{a: 1}", "!unreadable-payload\n");
}

#define RAW_ROW "{ kind: 'raw', topic: 's/{device}', format: 'bytes', read: 'f' }"

Test(translate, bytes_say_what_they_hold)
{
	world_plan(&w, SOUTHERN("", RAW_ROW, "def f: {body: {stream: 'x', base64: .payload}};"),
		   N_ALL);
	expect(SOUTH, "s/d", "{'a': 1.0}",
	       "r/d {'stream':'x','base64':'eyJhIjogMS4wfQ==','value':{'a': 1.0}}\n");
	expect(SOUTH, "s/d", "<a/>", "r/d {'stream':'x','base64':'PGEvPg==','value':'<a/>'}\n");
	expect(SOUTH, "s/d", "", "r/d {'stream':'x','base64':'','value':''}\n");
	expect_read_at(SOUTH, "s/d", "\xff", 1, "r/d {'stream':'x','base64':'/w=='}\n", __LINE__);
}

Test(translate, the_value_is_that_of_the_bytes_in_the_body)
{
	world_plan(&w, SOUTHERN("", RAW_ROW, "def f: {body: {stream: 'x', base64: 'YWJj'}};"),
		   N_ALL);
	expect(SOUTH, "s/d", "other", "r/d {'stream':'x','base64':'YWJj','value':'abc'}\n");
}

Test(translate, functions_of_bytes_see_the_value_if_there_is_one)
{
	world_plan(
		&w,
		SOUTHERN("",
			 "{ kind: 'telemetry', topic: 's/{device}', format: 'bytes', read: 'f' }",
			 "def f: {body: {has: has('value'), value}};"),
		N_ALL);
	expect(SOUTH, "s/d", "7", "t/d {'has':true,'value':7}\n");
	expect(SOUTH, "s/d", "null", "t/d {'has':true,'value':null}\n");
	expect_read_at(SOUTH, "s/d", "\xfe", 1, "t/d {'has':false,'value':null}\n", __LINE__);
}

/* --- wide integers: jq 1.6 makes doubles of them */

#define WIDE "9007199254740993"

Test(translate, a_wide_integer_is_never_a_wrong_number)
{
	bool keeps = mapping_keeps_numbers();

	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}', read: 'f' },"
			    "{ kind: 'event', topic: 'text/{device}', format: 'text', read: 'g' },"
			    "{ kind: 'attributes', topic: 'plain/{device}' }",
			    "def f: {body: .payload};"
			    "def g: {body: {name: 'x', params: ((.payload | fromjson)?)}},"
			    "  {body: {name: 'y', params: ((.payload | fromjson | tostring)?)}};"),
		   N_ALL);
	expect(SOUTH, "s/d", "{'a':" WIDE "}", keeps ? "t/d {'a':" WIDE "}\n" : "!wide-integer\n");
	expect(SOUTH, "s/d", "{'a':'" WIDE "'}", "t/d {'a':'" WIDE "'}\n");
	expect(SOUTH, "plain/d", "{'a':" WIDE "}", "a/d {'a':" WIDE "}\n");
	if (!keeps) /* a function that parses a text */
		expect(SOUTH, "text/d", WIDE, "!wide-integer\n");
}

#define PUSHES                                                                                     \
	NORTHERN("device: 'payload',",                                                             \
		 "{ kind: 'config', topic: 'd/{who}', read: 'd' },"                                \
		 "{ kind: 'config', topic: 'f', read: 'f' },"                                      \
		 "{ kind: 'space_info', topic: 'f', read: 's' },"                                  \
		 "{ kind: 'license', topic: 'f', only: 'read', read: 'l' }",                       \
		 "def d: {device: 'd', body: {changed: .payload, version: 4}};"                    \
		 "def f: {device: 'd', body: {full: .payload}};"                                   \
		 "def s: select(.payload.name) | {device: 'd', body: {name: .payload.name}};"      \
		 "def l: .payload.l // empty | {device: 'd', body: .};")

Test(translate, a_wide_integer_costs_its_key_and_what_is_made_of_it)
{
	if (mapping_keeps_numbers())
		return;
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}', read: 'f' },"
			    "{ kind: 'config', topic: 'c/{device}' },"
			    "{ kind: 'space_info', topic: 'i/{device}' }",
			    "def f: .payload | {body: (. + {last: (.a % 10), is: (.a > 7), up: (.a "
			    "> 1e17)})};"),
		   PUSHES);
	expect(NORTH, "d/x",
	       "{'rate':10,'big':" WIDE ",'in':{'x':[" WIDE "],'y':1},'t':'" WIDE "'}",
	       "+{'kind':'config','device':'d','body':{'changed':{'rate':10,'t':'" WIDE "'},"
	       "'version':4,'unread':['big','in']}}\n!wide-integer\n");
	expect(NORTH, "d/x", "{'big':-" WIDE "}",
	       "+{'kind':'config','device':'d','body':{'changed':{},'version':4,'unread':['big']}}"
	       "\n"
	       "!wide-integer\n");
	/* A row that has no use for it does not mind; nor does one for which it is no number. */
	expect(NORTH, "f", "{'rate':10,'l':" WIDE ",'name':'n'}",
	       "+{'kind':'config','device':'d','body':{'full':{'rate':10,'name':'n'},'unread':['l']"
	       "}}\n"
	       "!wide-integer\n+{'kind':'space_info','device':'d','body':{'name':'n'}}\n"
	       "!wide-integer\n");
	/* No number of which a double has no idea. */
	expect(NORTH, "d/x", "{'rate':10,'big':1e400}", "!wide-integer\n");
}

Test(translate, what_is_computed_of_a_wide_integer_is_not_said)
{
	if (mapping_keeps_numbers())
		return;
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'f' }",
			    "def f: .payload | {body: (. + {last: (.a % 10), is: (.a > 7), up: (.a "
			    "> 1e17)})};"),
		   N_ALL);
	expect(SOUTH, "s/d", "{'a':" WIDE ",'b':2}", "t/d {'b':2,'is':true}\n!wide-integer\n");
	expect(SOUTH, "s/d", "{'a':12,'b':2}",
	       "t/d {'a':12,'b':2,'last':2,'is':true,'up':false}\n");
}

Test(translate, a_wide_integer_that_no_function_reads_costs_its_key_where_one_writes)
{
	if (mapping_keeps_numbers())
		return;
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}' },"
			    "{ kind: 'event', topic: 'e/{device}' },"
			    "{ kind: 'config', topic: 'c/{device}', write: 'f' }",
			    "def f: .body.changed;"),
		   NORTHERN("",
			    "{ kind: 'telemetry', topic: 't/{device}', write: 'f' },"
			    "{ kind: 'event', topic: 'v/{device}', write: 'f' },"
			    "{ kind: 'config', topic: 'c/{device}' }",
			    "def f: .body;"));
	expect(SOUTH, "s/d", "{'a':" WIDE ",'b':1}", "t/d {'b':1}\n!wide-integer\n");
	expect(SOUTH, "s/d", "{'a':" WIDE "}", "!wide-integer\n");
	expect(SOUTH, "e/d", "{'name':'e','params':{'a':" WIDE ",'b':1}}", "!wide-integer\n");
	expect(NORTH, "c/d", "{'full':{'a':" WIDE ",'b':1}}",
	       "+{'kind':'config','device':'d','body':{'full':{'b':1},'unread':['a']}}\n"
	       "!wide-integer\n");
}

Test(translate, a_wide_integer_in_a_batch_costs_its_devices_part)
{
	if (mapping_keeps_numbers())
		return;
	world_plan(&w,
		   SOUTHERN("device: 'payload',",
			    "{ kind: 'telemetry', topic: 's', read: 't' },"
			    "{ kind: 'event', topic: 'e', read: 'e' }",
			    "def t: .payload | to_entries[] | {device: .key, body: .value};"
			    "def e: .payload | to_entries[]"
			    "  | {device: .key, body: {name: 'e', params: .value}};"),
		   N_ALL);
	expect(SOUTH, "s", "{'d':{'a':" WIDE ",'b':1},'e':{'a':" WIDE "},'f':{'b':2}}",
	       "+{'kind':'telemetry','device':'d','body':{'b':1}}\n!wide-integer\n!wide-integer\n"
	       "+{'kind':'telemetry','device':'f','body':{'b':2}}\n");
	expect(SOUTH, "e", "{'d':{'a':" WIDE ",'b':1},'f':{'b':2}}",
	       "!wide-integer\n+{'kind':'event','device':'f','body':{'name':'e','params':{'b':2}}}"
	       "\n");
}

Test(translate, a_number_in_a_text_is_never_a_wrong_number)
{
	bool keeps = mapping_keeps_numbers();

	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}', read: 'f' },"
			    "{ kind: 'telemetry', topic: 'csv/{device}/{n}', format: 'text', read: "
			    "'g' },"
			    "{ kind: 'telemetry', topic: 'u/{device}', read: 'h' }",
			    "def f: {body: {n: (.payload.n | tonumber), t: (.payload | tostring | "
			    "fromjson).t}};"
			    "def g: {body: {v: (.payload | split(';') | .[1] | tonumber), n: "
			    ".topic.n}};"
			    "def h: {body: {t: .payload.t}};"),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}', write: 'f' }",
			    "def f: .body | if .t == 'parse' then .n |= tonumber else . end;"));
	expect(SOUTH, "s/d", "{'n':'9007199254740993'}",
	       keeps ? "t/d {'n':9007199254740993,'t':null}\n" : "!wide-integer\n");
	expect(SOUTH, "s/d", "{'n':'9007199254740992'}", "t/d {'n':9007199254740992,'t':null}\n");
	expect(SOUTH, "s/d", "{'n':'288230376151711744'}",
	       "t/d {'n':288230376151711744,'t':null}\n");
	expect(SOUTH, "u/d", "{'t':288230376151711744,'n':'9007199254740993'}",
	       "t/d {'t':288230376151711744}\n");
	expect(SOUTH, "u/d", "{'t':9223372036854775808}", "t/d {'t':9223372036854775808}\n");
	if (keeps)
		return;
	expect(SOUTH, "s/d", "{'n':'1e400'}", "!wide-integer\n");
	expect(SOUTH, "s/d", "{'n':'1E-999'}", "!wide-integer\n");
	expect(SOUTH, "u/d", "{'t':1e400}", "!wide-integer\n");
	expect(SOUTH, "u/d", "{'t':1E-999}", "!wide-integer\n");
	expect(SOUTH, "u/d", "{'t':9007199254740993.0}", "!wide-integer\n");
	expect(SOUTH, "csv/d/1", "7;9007199254740993;8", "!wide-integer\n");
	expect(SOUTH, "csv/d/9007199254740993", "7;8", "t/d {'v':8,'n':'9007199254740993'}\n");
	expect_written(
		NORTH,
		"{'kind':'telemetry','device':'d','body':{'t':'parse','n':'9007199254740993'}}",
		"!wide-integer\n");
}

Test(translate, a_text_that_stays_one_may_look_like_a_wide_integer)
{
	world_plan(&w, FORMATS("text"), N_ALL);
	expect(SOUTH, "s/d", WIDE, "t/d {'got':'" WIDE "'}\n");
	expect(SOUTH, "s/d", "[" WIDE "]", "t/d {'got':'[" WIDE "]'}\n");
}

Test(translate, wide_integers_do_not_get_into_functions_that_write)
{
	bool keeps = mapping_keeps_numbers();

	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		   NORTHERN("",
			    "{ kind: 'telemetry', topic: 't/{device}', write: 'f' },"
			    "{ kind: 'command_reply', topic: 'in/{device}', write: 'f' },"
			    "{ kind: 'request', topic: 'q/{id}', write: 'g' }",
			    "def f: [.id, .body]; def g: .body;"));
	expect(SOUTH, "s/d", "{'a':" WIDE "}",
	       keeps ? "t/d [null,{'a':" WIDE "}]\n" : "!wide-integer\n");
	expect_written(NORTH,
		       "{'kind':'command_reply','device':'d','id':" WIDE
		       ",'body':{'status':'done'}}",
		       keeps ? "in/d [" WIDE ",{'status':'done'}]\n" : "!wide-integer\n");
	/* An id in the topic does not pass the function. */
	expect_written(NORTH, "{'kind':'request','device':'d','id':" WIDE ",'body':{'name':'x'}}",
		       "q/" WIDE " {'name':'x'}\n");
}

/* --- what functions see, and what they may not put out */

Test(translate, a_function_that_reads_sees_the_message_and_what_is_around_it)
{
	struct message m = { .topic = mem_strdup("s/P/d/x/y"), .qos = 1 };
	struct results r = { 0 };

	world_set(&w, SOUTH, "project", "P");
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{project}/{device}/{rest...}',"
			    " read: 'show' }",
			    SHOW),
		   NORTHERN("limits: { payload_bytes: 1000, messages_per_second: 5 },",
			    "{ kind: 'telemetry', topic: 't/{device}' }", ""));
	message_set_payload(&m, "1", 1);
	vars_add(&m.properties, "a", "one");
	vars_add(&m.properties, "a", "two");
	read_message(SOUTH, &m, &r);
	expect_results(&r,
		       "t/d {'payload':1,'topic':{'device':'d','rest':'x/y','project':'P'},"
		       "'properties':{'a':'one'},'at':1700000000000,"
		       "'limits':{'payload_bytes':1000,'messages_per_second':5}}\n",
		       __LINE__);
	message_fini(&m);
}

Test(translate, a_function_that_reads_a_reply_sees_its_request)
{
	struct canonical request = {
		.kind = KIND_REQUEST, .device = "d", .body = "{\"name\":\"q\"}", .body_len = 12
	};
	struct message m = { .topic = (char[]){ "a/d/7" } };
	struct job job = { .type = JOB_READ, .side = NORTH, .message = &m };
	struct match match;
	struct results r = { 0 };

	world_plan(&w, SOUTHERN("", "{ kind: 'request', topic: 's/{device}' }", ""),
		   NORTHERN("",
			    "{ kind: 'request_reply', topic: 'a/{device}/{id}', id: 'integer',"
			    " read: 'f' }",
			    "def f: {body: .request};"));
	plan_match(w.plan, NORTH, "a/d/7", &match);
	job.plan = w.plan;
	job.readers = match.readers;
	job.n_readers = match.n;
	job.request = mem_zalloc(sizeof *job.request);
	canonical_copy(job.request, &request);
	translate(&job, &r);
	translate_address(&job, &r);
	expect_results(&r,
		       "+{'kind':'request_reply','device':'d','id':7,"
		       "'body':{'kind':'request','device':'d','body':{'name':'q'}}}\n",
		       __LINE__);
	job_fini(&job);
}

Test(translate, a_function_that_writes_sees_the_plain_message_and_where_it_goes)
{
	world_set(&w, NORTH, "device", "D");
	world_set(&w, NORTH, "key", "secret");
	world_set(&w, NORTH, "zone", "Z");
	world_set(&w, SOUTH, "device", "d");
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'f' }",
			    "def f: {ts: 5, body: .payload};"),
		   NORTHERN("credentials: ['key'],",
			    "{ kind: 'telemetry', topic: 't/{device}', write: 'show' }",
			    "def show: .;"));
	expect(SOUTH, "s/d", "{'a':1}",
	       "t/D {'kind':'telemetry','device':'d','ts':5,'body':{'a':1},"
	       "'to':{'device':'D','zone':'Z'},'state':{'online':null,'alarm':false}}\n");
}

Test(translate, a_function_that_writes_a_reply_sees_its_request)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'command_reply', topic: 'r/{device}', write: 'f' }",
			    "def f: .request.body.name;"));
	expect_written_at(NORTH, "{'kind':'command_reply','device':'d','body':{'status':'done'}}",
			  NULL, "{'kind':'command','device':'d','body':{'name':'go'}}",
			  "r/d 'go'\n", __LINE__);
}

Test(translate, no_credential_gets_into_jq)
{
	world_set(&w, SOUTH, "key", "secret");
	world_plan(&w,
		   SOUTHERN("credentials: ['key', 'other'],",
			    "{ kind: 'telemetry', topic: 's/{key}/{device}', read: 'f' },"
			    "{ kind: 'telemetry', topic: 'o/{other}/{device}', read: 'f' }",
			    "def f: {body: .topic};"),
		   N_ALL);
	expect(SOUTH, "s/secret/d", "1", "t/d {'device':'d'}\n");
	expect(SOUTH, "o/secret/d", "1", "t/d {'device':'d'}\n");
}

Test(translate, defaults_come_from_row_and_topic)
{
	world_plan(
		&w,
		SOUTHERN("",
			 "{ kind: 'request', topic: 's/{device}/{id}', id: 'integer', read: 'f' },"
			 "{ kind: 'request', topic: 'x/{device}/{id}', read: 'g' },"
			 "{ kind: 'request', topic: 'y/{device}/{id}' }",
			 "def f: {body: {name: 'q'}};"
			 "def g: {kind: 'event', id: 9, device: 'd', ts: 1, body: {name: 'e'}};"),
		NORTHERN("", "{ kind: 'event', topic: 'e/{device}', write: 'show' }",
			 "def show: .;"));
	expect(SOUTH, "s/d/7", "1",
	       "+{'kind':'request','device':'d','id':7,'body':{'name':'q'}}\n");
	expect(SOUTH, "y/d/7", "{'name':'q'}",
	       "+{'kind':'request','device':'d','id':'7','body':{'name':'q'}}\n");
	expect(SOUTH, "x/d/7", "1",
	       "e/d {'kind':'event','device':'d','id':9,'ts':1,'body':{'name':'e'},"
	       "'to':{'device':'d'},'state':{'online':null,'alarm':false}}\n");
}

Test(translate, several_outputs_are_several_messages_in_order)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}', read: 'f' },"
			    "{ kind: 'event', topic: 's/{device}', read: 'g' }",
			    "def f: .payload[] | {body: {a: .}};"
			    "def g: select(.payload | length > 1) | {body: {name: 'many'}};"),
		   N_ALL);
	expect(SOUTH, "s/d", "[3,2,1]",
	       "t/d {'a':3}\nt/d {'a':2}\nt/d {'a':1}\ne/d {'name':'many'}\n");
	expect(SOUTH, "s/d", "[3]", "t/d {'a':3}\n");
	expect(SOUTH, "s/d", "[]", ""); /* filtered */
}

Test(translate, what_is_no_plain_message_is_an_error)
{
	static const struct {
		const char *output, *text;
	} cases[] = {
		{ "{bdy: {}}", "an unknown key" },
		{ "{kind: 'telemetry'}", "there is no body" },
		{ "{kind: 'oops', body: {}}", "an unknown kind" },
		{ "{device: 7, body: {}}", "device is no string" },
		{ "{device: '', body: {}}", "device is empty" },
		{ "{id: {}, body: {}}", "id is no string or number" },
		{ "{ts: '5', body: {}}", "ts is no number" },
		{ "[]", "must be an object" },
		{ "error('out of order')", "out of order" },
		{ "({body: {a: 1}}, {bdy: 1})",
		  "an unknown key" }, /* the first counts for nothing */
		{ "({body: {a: 1}}, error('order'))", "order" },
	};
	struct buf rows = { 0 }, functions = { 0 };
	char *south;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		buf_printf(&rows, "%s{ kind: 'telemetry', topic: 's%zu', read: 'f%zu' }",
			   i ? "," : "", i, i);
		buf_printf(&functions, "def f%zu: %s;", i, cases[i].output);
	}
	south = mem_printf(SOUTHERN("", "%s", "%s"), buf_str(&rows), buf_str(&functions));
	world_plan(&w, south, N_ALL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char topic[8];

		snprintf(topic, sizeof topic, "s%zu", i);
		expect(SOUTH, topic, "1", "!mapping-error\n");
		cr_expect(strstr(last_text, cases[i].text), "%s: %s", cases[i].output, last_text);
		cr_expect(strstr(last_text, "/s.jq: f"), "%s", last_text);
	}
	free(south);
	buf_fini(&rows);
	buf_fini(&functions);
}

Test(translate, a_body_has_the_shape_of_its_kind)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""), N_ALL);
	expect(SOUTH, "s/d", "[1]", "!wrong-shape\n");
	cr_expect_str_eq(last_text, "telemetry: the body is no object");
}

/* --- which device */

Test(translate, the_topic_may_name_another_device)
{
	world_set(&w, SOUTH, "device", "d1");
	world_plan(&w,
		   SOUTHERN("device: 'payload',", "{ kind: 'telemetry', topic: 's', read: 'f' }",
			    "def f: {device: .payload.who, body: {}};"),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""));
	expect(SOUTH, "s", "{'who':'d1'}", "t/d1 {}\n");
	expect(SOUTH, "s", "{'who':'d2'}", "!other-device\n");
	expect(SOUTH, "s", "{'who':null}", "t/d1 {}\n");
}

Test(translate, topic_and_payload_name_the_same_device)
{
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'f' }",
			    "def f: {device: .payload, body: {}};"),
		   N_ALL);
	expect(SOUTH, "s/d1", "'d1'", "t/d1 {}\n");
	expect(SOUTH, "s/d1", "'d2'", "!other-device\n");
}

Test(translate, a_payload_may_name_any_device_where_it_is_the_place_to)
{
	world_plan(&w,
		   SOUTHERN("device: 'payload',",
			    "{ kind: 'telemetry', topic: 's/{gateway}', read: 'f' }",
			    "def f: .payload[] | {device: ., body: {}};"),
		   N_ALL);
	expect(SOUTH, "s/g", "['d1','d2']",
	       "+{'kind':'telemetry','device':'d1','body':{}}\n"
	       "+{'kind':'telemetry','device':'d2','body':{}}\n");
}

Test(translate, a_name_that_fits_no_topic_is_no_device)
{
	static const char *const names[] = { "a/b", "+", "a#", "x+" };

	world_plan(&w,
		   SOUTHERN("device: 'payload',", "{ kind: 'telemetry', topic: 's', read: 'f' }",
			    "def f: {device: .payload, body: {}};"),
		   N_ALL);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *payload = mem_printf("'%s'", names[i]);

		expect(SOUTH, "s", payload, "!bad-topic\n");
		free(payload);
	}
	expect(SOUTH, "s", "'a\\u0000b'", "!mapping-error\n");
}

/* --- through files */

Test(translate, through_files_change_plain_messages_on_their_way)
{
	vars_set(&w.through_vars[0], "factor", "10", false);
	vars_set(&w.through_vars[0], "name", "7 up", false);
	vars_set(&w.through_vars[0], "on", "true", false);
	vars_set(&w.through_vars[0], "key", "k", true);
	world_through(&w, "first",
		      "module { through: 'first', up: 'u', down: 'd' };"
		      "def u: .body = {vars: .vars, a: (.body.a * .vars.factor)};"
		      "def d: .body += {first: (.body.second | not)};");
	world_through(&w, "second",
		      "module { through: 'second', up: 'u', down: 'd' };"
		      "def u: .body.a += 1;"
		      "def d: .body += {second: (.body.first | not)};");
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}' },"
			    "{ kind: 'space_info', topic: 'i/{device}' }",
			    ""),
		   N_ALL);
	expect(SOUTH, "s/d", "{'a':2}",
	       "t/d {'vars':{'factor':10,'name':'7 up','on':true},'a':21}\n");
	expect_written(SOUTH, "{'kind':'space_info','device':'d','body':{}}",
		       "i/d {'second':true,'first':false}\n");
}

Test(translate, a_through_file_may_drop_split_and_rename)
{
	world_through(&w, "t",
		      "module { through: 't', up: 'u' };"
		      "def u: if .body.n == 0 then empty"
		      " elif .body.n == 1 then {body: .body}"
		      " elif .body.n == 2 then (.kind = 'event' | .body = {name: 'x'}), ."
		      " elif .body.n == 3 then {bdy: 1}"
		      " elif .body.n == 4 then error('four')"
		      " else .device = 'a/b' end;");
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}' },"
			    "{ kind: 'space_info', topic: 'i/{device}' }",
			    ""),
		   N_ALL);
	expect(SOUTH, "s/d", "{'n':0}", "");
	expect(SOUTH, "s/d", "{'n':1}", "t/d {'n':1}\n");
	expect(SOUTH, "s/d", "{'n':2}", "e/d {'name':'x'}\nt/d {'n':2}\n");
	expect(SOUTH, "s/d", "{'n':3}", "!mapping-error\n");
	expect(SOUTH, "s/d", "{'n':4}", "!mapping-error\n");
	cr_expect(strstr(last_text, "/t.jq: "), "%s", last_text);
	expect(SOUTH, "s/d", "{'n':5}", "!bad-topic\n");
	if (!mapping_keeps_numbers())
		expect(SOUTH, "s/d", "{'n':" WIDE "}", "!wide-integer\n");
	/* It has no function for what goes down. */
	expect_written(SOUTH, "{'kind':'space_info','device':'d','body':{'n': " WIDE "}}",
		       "i/d {'n': " WIDE "}\n");
}

/* --- where it goes */

Test(translate, one_kind_passes_as_another)
{
	enum kind remap[KINDS];

	for (int k = 0; k < KINDS; k++)
		remap[k] = KIND_NONE;
	remap[KIND_ATTRIBUTES] = KIND_TELEMETRY;
	remap[KIND_TELEMETRY] = KIND_EVENT;
	w.spec.remap = remap;
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'attributes', topic: 'a/{device}' },"
			    "{ kind: 'telemetry', topic: 't/{device}' }",
			    ""),
		   N_ALL);
	expect(SOUTH, "a/d", "{'a':1}", "t/d {'a':1}\n"); /* once only */
	expect(SOUTH, "t/d", "{'a':1}", "!wrong-shape\n");
	expect(SOUTH, "t/d", "{'name':'x'}", "e/d {'name':'x'}\n");
}

Test(translate, what_needs_logic_or_goes_back_is_not_written_at_once)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'presence', topic: 'p/{device}' },"
			    "{ kind: 'attributes', topic: 'a/{device}', echoes: 'config' },"
			    "{ kind: 'event', topic: 'e/{device}', read: 'f' }",
			    "def f: {kind: 'space_info', body: {}};"),
		   N_ALL);
	expect(SOUTH, "p/d", "{'online':true}",
	       "+{'kind':'presence','device':'d','body':{'online':true}}\n");
	expect(SOUTH, "a/d", "{}", "a/d {}\n");
	awaits_echo = true;
	expect(SOUTH, "a/d", "{}", "+{'kind':'attributes','device':'d','body':{}}\n");
	expect(SOUTH, "e/d", "1", "+{'kind':'space_info','device':'d','body':{}}\n");
}

Test(translate, all_rows_that_write_a_kind_may_take_it)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("",
			    "{ kind: 'event', topic: 'a/{device}', write: 'a' },"
			    "{ kind: 'event', topic: 'r/{device}', only: 'read' },"
			    "{ kind: 'event', topic: 'b/{device}', write: 'b' }",
			    "def a: select(.body.name != 'b') | 1, 2; def b: select(.body.name != "
			    "'a') | 3;"));
	expect(SOUTH, "s/d", "{'name':'a'}", "a/d 1\na/d 2\n");
	expect(SOUTH, "s/d", "{'name':'b'}", "b/d 3\n");
	expect(SOUTH, "s/d", "{'name':'c'}", "a/d 1\na/d 2\nb/d 3\n");
}

Test(translate, a_kind_without_a_row_has_no_counterpart)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'claim', topic: 's/{device}' }", ""), N_ALL);
	expect(SOUTH, "s/d", "{}", "!no-counterpart\n");
	cr_expect_str_eq(last_text, "n has no claim");
}

Test(translate, a_row_sets_the_fields_of_its_message)
{
	world_set(&w, NORTH, "key", "k1");
	world_plan(
		&w,
		SOUTHERN("", "{ kind: 'event', topic: 's/{device}', read: 'f' }",
			 "def f: {id: .payload, body: {name: 'x'}};"),
		NORTHERN("credentials: ['key'], up: { properties: { who: '{device}', key: '{key}' "
			 "} },",
			 "{ kind: 'event', topic: 't/{device}', qos: 0, retain: true,"
			 "  response_topic: 'r/{device}/{id}', correlation: '<{id}>', write: 'f' }",
			 "def f: 1;"));
	expect(SOUTH, "s/d", "7",
	       "t/d 1 qos=0 retain=1 who=d key=k1 response=r/d/7 correlation=<7>\n");
	expect(SOUTH, "s/d", "'a b'",
	       "t/d 1 qos=0 retain=1 who=d key=k1 response=r/d/a b correlation=<a b>\n");
	expect(SOUTH, "s/d", "'#'", "!bad-topic\n");
	expect(SOUTH, "s/d", "null", "!bad-topic\n");
	cr_expect(strstr(last_text,
			 "response_topic: {id} is not set and the message does not say it "
			 "(set north.vars.id)"),
		  "%s", last_text);
}

Test(translate, a_publish_function_says_more_than_a_payload)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("",
			    "{ kind: 'event', topic: 't/{device}/{what...}', publish: 'f',"
			    "  properties: { a: 'row', b: '{n}' } }",
			    "def f: .body.params | ., select(.two) + {topic: {what: 'second'}};"));
	expect(SOUTH, "s/d",
	       "{'name':'x','params':{'payload':{'p':1},'topic':{'what':'x/y','n':7},"
	       "'properties':{'a':'said','c':true}}}",
	       "t/d/x/y {'p':1} a=said c=true b=7\n");
	expect(SOUTH, "s/d",
	       "{'name':'x','params':{'payload':1,'topic':{'what':'a','n':1},'two':1}}",
	       "!bad-topic\n"); /* the second says no n: what was said before does not stay */
	expect(SOUTH, "s/d", "{'name':'x','params':{'topic':{'what':'x'}}}", "!mapping-error\n");
	expect(SOUTH, "s/d", "{'name':'x','params':{'payload':1,'topic':{'what':'a/#','n':1}}}",
	       "!bad-topic\n");
}

/* A command that is cut off at a NUL is another command. */
Test(translate, a_nul_is_in_no_text_for_mqtt)
{
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'event', topic: 's/{device}', read: 'r' }",
			    "def r: .payload | {body, id};"),
		   NORTHERN("",
			    "{ kind: 'event', topic: 't/{device}/{what}', publish: 'f',"
			    "  correlation: '{id}' }",
			    "def f: {payload: .body, topic: {what: .body.name},"
			    " properties: {who: (.body.who // 1)}};"));
	expect(SOUTH, "s/d", "{'id':'7','body':{'name':'stop'}}",
	       "t/d/stop {'name':'stop'} who=1 correlation=7\n");
	expect(SOUTH, "s/d", "{'id':'7','body':{'name':'stop\\u0000not'}}", "!bad-topic\n");
	cr_expect(strstr(last_text, "holds a NUL character"), "%s", last_text);
	expect(SOUTH, "s/d", "{'id':'7\\u0000','body':{'name':'stop'}}", "!bad-topic\n");
	expect(SOUTH, "s/d", "{'id':'7','body':{'name':'stop','who':'a\\u0000'}}", "!bad-topic\n");
}

/* What a session says is in no topic. */
Test(translate, a_name_with_a_slash_goes_where_topics_name_no_device)
{
	world_set(&w, SOUTH, "device", "a/b");
	world_plan(&w,
		   SOUTHERN("device: 'payload',", "{ kind: 'event', topic: 's', read: 'r' }",
			    "def r: {device: 'a/b', body: .payload};"),
		   NORTHERN("device: 'none',", "{ kind: 'event', topic: 't' }", ""));
	expect(SOUTH, "s", "{'name':'x'}", "t {'name':'x'}\n");
}

Test(translate, a_reply_goes_to_the_topic_that_was_asked_for)
{
	world_set(&w, SOUTH, "key", "secret");
	world_plan(&w,
		   SOUTHERN("credentials: ['key'],",
			    "{ kind: 'request_reply', topic: 'r/{device}/{id}', qos: 0 }", ""),
		   N_ALL);
	expect_written_at(SOUTH, "{'kind':'request_reply','device':'d','id':7,'body':1}",
			  "my/{key}", NULL, "my/{key} 1 qos=0 retain=0\n",
			  __LINE__); /* a name, no template */
	expect_written_at(SOUTH, "{'kind':'request_reply','device':'d','id':7,'body':1}", "my/#",
			  NULL, "!bad-topic\n", __LINE__);
	expect_written(SOUTH, "{'kind':'request_reply','device':'d','id':7,'body':1}",
		       "r/d/7 1 qos=0 retain=0\n");
}

Test(translate, what_the_platform_does_not_bear_is_too_large)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("limits: { payload_bytes: 12 },",
			    "{ kind: 'event', topic: 't/{device}' }", ""));
	expect(SOUTH, "s/d", "{'name':'x'}", "t/d {'name':'x'}\n");
	expect(SOUTH, "s/d", "{'name':'xy'}", "!too-large\n");
	cr_expect(strstr(last_text, "13 bytes, and n takes 12"), "%s", last_text);
}

Test(translate, what_is_no_packet_of_the_platform_is_too_large)
{
	/* 2 + 3 for the topic, 2 for the number. */
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("limits: { payload_bytes: 100, packet_bytes: 19 },",
			    "{ kind: 'event', topic: 't/{device}' }", ""));
	expect(SOUTH, "s/d", "{'name':'x'}", "t/d {'name':'x'}\n");
	expect(SOUTH, "s/d", "{'name':'xy'}", "!too-large\n");
	cr_expect(strstr(last_text, "20 bytes as a packet, and n takes 19"), "%s", last_text);
}

#define NARROW_SOUTH                                                                               \
	SOUTHERN("limits: { payload_bytes: 5, packet_bytes: 5 },",                                 \
		 "{ kind: 'space_info', topic: 's/{device}' }", "")
#define SPACE(body) "{'kind':'space_info','device':'d','body':" body "}"
#define SPACE_NORTH NORTHERN("", "{ kind: 'space_info', topic: 't/{device}' }", "")

Test(translate, before_devices_it_is_calque_that_is_the_platform)
{
	world_plan(&w, NARROW_SOUTH, SPACE_NORTH);
	expect_written(SOUTH, SPACE("{'space':1}"), "s/d {'space':1}\n");
}

Test(translate, the_configuration_limits_any_session)
{
	w.spec.limits[SOUTH].packet_bytes = 17;
	world_plan(&w, NARROW_SOUTH, SPACE_NORTH);
	expect_written(SOUTH, SPACE("{'space':1}"), "!too-large\n");
	expect_written(SOUTH, SPACE("{'spac':1}"), "s/d {'spac':1}\n");
}

Test(translate, a_variable_that_is_missing_is_named)
{
	w.spec.is_offline = true;
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'event', topic: 't/{project}/{device}' }", ""));
	expect(SOUTH, "s/d", "{'name':'x'}", "!bad-topic\n");
	cr_expect(strstr(last_text, "topic: {project} is not set and the message does not say it "
				    "(set north.vars.project)"),
		  "%s", last_text);
}

Test(translate, offline_no_credential_is_shown)
{
	w.spec.is_offline = true;
	world_set(&w, NORTH, "key", "k1");
	world_set(&w, NORTH, "zone", "Z");
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("credentials: ['key', 'pin'],",
			    "{ kind: 'event', topic: '{zone}/{key}/{device}',"
			    "  properties: { key: 'k={key}', pin: '{pin}' } }",
			    ""));
	expect(SOUTH, "s/d", "{'name':'x'}", "Z/***/d {'name':'x'} key=k=*** pin=***\n");
}

Test(translate, a_function_does_not_say_whose_a_message_is)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'event', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'event', topic: 't/{device}/{what}', publish: 'f' }",
			    "def f: {payload: 1, topic: {what: 'x', device: 'another'}};"));
	expect(SOUTH, "s/d", "{'name':'e'}", "!bad-topic\n");
	cr_expect(strstr(last_text, "the function says {device}"), "%s", last_text);
}

Test(translate, a_through_file_does_not_give_a_command_to_another)
{
	world_through(&w, "t",
		      "module { through: 't', down: 'f' };"
		      "def f: .device = 'another';");
	world_plan(&w, SOUTHERN("", "{ kind: 'command', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'command', topic: 'c/{device}' }", ""));
	expect_written(SOUTH, "{'kind':'command','device':'d','id':1,'body':{'name':'n'}}",
		       "!other-device\n");
}
