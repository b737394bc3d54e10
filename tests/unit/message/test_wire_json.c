#include <criterion/criterion.h>

#include "message/wire_json.h"
#include "unit/dialects.h"

static void expect_put(const struct message *m, enum side side, const char *wanted)
{
	struct buf got = { 0 };

	wire_json_put(&got, side, m);
	expect_text(buf_str(&got), wanted, "wire", 0);
	buf_fini(&got);
}

static void expect_payload(const void *payload, size_t len, const char *wanted)
{
	struct message m = { .topic = mem_strdup("t"), .qos = 1 };
	char *whole = mem_printf("{'side':'north','topic':'t','qos':1,'retain':false,%s}", wanted);

	message_set_payload(&m, payload, len);
	expect_put(&m, NORTH, whole);
	message_fini(&m);
	free(whole);
}

Test(wire_json, a_payload_is_json_or_text_or_base64)
{
	expect_payload("{\"a\": 1.50}", 11, "'payload':{'a': 1.50}");
	expect_payload("7", 1, "'payload':7");
	expect_payload("{a}", 3, "'payload_text':'{a}'");
	expect_payload("", 0, "'payload_text':''");
	expect_payload("a\0b", 3, "'payload_text':'a\\u0000b'");
	expect_payload("\xff\xfe", 2, "'payload_base64':'//4='");
}

Test(wire_json, a_message_is_one_line)
{
	expect_payload("{\r\n \"a\": [1,\n 2]\n}\n", 19, "'payload':{ 'a': [1, 2]}");
	expect_payload("not\njson", 8, "'payload_text':'not\\njson'");
}

Test(wire_json, all_fields_are_shown)
{
	struct message m = { .topic = mem_strdup("a\"b"), .qos = 0, .retain = true };

	vars_add(&m.properties, "p", "1");
	vars_add(&m.properties, "q", "\"");
	m.response_topic = mem_strdup("r");
	m.correlation = mem_dup("c7", 2);
	m.correlation_len = 2;
	expect_put(&m, SOUTH,
		   "{'side':'south','topic':'a\\'b','qos':0,'retain':true,'payload_text':'',"
		   "'properties':{'p':'1','q':'\\''},'response_topic':'r','correlation':'c7'}");
	m.correlation[0] = '\xff';
	m.properties.n = 0;
	expect_put(&m, SOUTH,
		   "{'side':'south','topic':'a\\'b','qos':0,'retain':true,'payload_text':'',"
		   "'response_topic':'r','correlation_base64':'/zc='}");
	m.properties.n = 2;
	message_fini(&m);
}

/* Read an object and put the message again. */
static void expect_taken(const char *object, const char *wanted)
{
	char *q = quoted(object);
	struct message m;
	struct err e = { 0 };

	cr_assert(wire_json_take((struct jslice){ q, strlen(q) }, &m, &e), "%s: %s", q, e.text);
	expect_put(&m, NORTH, wanted);
	message_fini(&m);
	free(q);
}

Test(wire_json, what_is_put_can_be_taken)
{
	static const char *const objects[] = {
		"{'side':'north','topic':'t','qos':1,'retain':false,'payload':{ 'b': "
		"1.50,'a':1e2}}",
		"{'side':'north','topic':'t','qos':1,'retain':true,'payload_text':'a\\nb'}",
		"{'side':'north','topic':'t','qos':1,'retain':false,'payload_base64':'//4='}",
		"{'side':'north','topic':'t','qos':1,'retain':false,'payload':null,"
		"'properties':{'p':'1'},'response_topic':'r','correlation':'c'}",
		"{'side':'north','topic':'t','qos':1,'retain':false,'payload_text':'',"
		"'correlation_base64':'/w=='}",
	};

	for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
		expect_taken(objects[i], objects[i]);
}

Test(wire_json, what_is_missing_or_null_is_not_there)
{
	expect_taken("{'topic':'t','properties':null,'response_topic':null,'correlation':null,"
		     "'retain':null,'payload_text':null,'else':7}",
		     "{'side':'north','topic':'t','qos':1,'retain':false,'payload_text':''}");
	expect_taken("{'topic':'t','properties':{'n':1,'b':true}}",
		     "{'side':'north','topic':'t','qos':1,'retain':false,'payload_text':'',"
		     "'properties':{'n':'1','b':'true'}}");
}

Test(wire_json, retain_may_be_a_number)
{
	expect_taken("{'topic':'t','retain':1}",
		     "{'side':'north','topic':'t','qos':1,'retain':true,'payload_text':''}");
	expect_taken("{'topic':'t','retain':0}",
		     "{'side':'north','topic':'t','qos':1,'retain':false,'payload_text':''}");
}

Test(wire_json, wrong_types_are_refused)
{
	static const struct {
		const char *object, *text;
	} cases[] = {
		{ "7", "no object" },
		{ "{}", "topic: no string" },
		{ "{'topic':null}", "topic: no string" },
		{ "{'topic':7}", "topic: no string" },
		{ "{'topic':'a\\u0000b'}", "topic: has a NUL character" },
		{ "{'topic':'t','payload_text':7}", "payload_text: no string" },
		{ "{'topic':'t','payload_base64':'?'}", "payload_base64: no base64" },
		{ "{'topic':'t','properties':[]}", "properties: no object" },
		{ "{'topic':'t','response_topic':1}", "response_topic: no string" },
		{ "{'topic':'t','response_topic':'\\u0000'}",
		  "response_topic: has a NUL character" },
		{ "{'topic':'t','correlation':[]}", "correlation: no string" },
		{ "{'topic':'t','correlation_base64':'x'}", "correlation_base64: no base64" },
		{ "{'topic':'t','retain':2}", "retain: neither true nor false" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *q = quoted(cases[i].object);
		struct message m;
		struct err e = { 0 };

		cr_expect_not(wire_json_take((struct jslice){ q, strlen(q) }, &m, &e), "%s", q);
		cr_expect_eq(e.code, ERR_INVALID);
		cr_expect_str_eq(e.text, cases[i].text);
		cr_expect_null(m.topic);
		free(q);
	}
}

Test(wire_json, a_flow_is_up_or_down)
{
	const struct jslice up = { "{\"flow\":\"up\"}", 13 }, down = { "{\"flow\":\"down\"}", 15 },
			    other = { "{\"flow\":\"left\"}", 15 }, none = { "{}", 2 };
	struct err e = { 0 };
	enum flow flow;

	cr_expect(wire_json_flow(up, &flow, &e));
	cr_expect_eq(flow, FLOW_UP);
	cr_expect(wire_json_flow(down, &flow, &e));
	cr_expect_eq(flow, FLOW_DOWN);
	cr_expect_not(wire_json_flow(other, &flow, &e));
	cr_expect_not(wire_json_flow(none, &flow, &e));
	cr_expect_str_eq(e.text, "flow: \"up\" or \"down\" was expected");
}
