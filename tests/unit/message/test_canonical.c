#include "message/canonical.h"

#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/err.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct jslice slice(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

Test(canonical, is_written_as_it_was_read_in_one_order_of_keys)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{\"body\": {\"t\" : "
		  "1.50},\"ts\":1700000000000,\"id\":\"a\\u0041\",\"device\":\"l1\","
		  "\"kind\":\"telemetry\"}",
		  "{\"kind\":\"telemetry\",\"device\":\"l1\",\"id\":\"a\\u0041\",\"ts\":"
		  "1700000000000,"
		  "\"body\":{\"t\" : 1.50}}" },
		{ " { \"body\" : null } ", "{\"body\":null}" },
		{ "{\"body\":1,\"id\":null,\"ts\":null,\"device\":null,\"kind\":null}",
		  "{\"body\":1}" },
		{ "{\"id\":7,\"body\":[]}", "{\"id\":7,\"body\":[]}" },
		{ "{\"id\":\"\",\"body\":\"\"}", "{\"id\":\"\",\"body\":\"\"}" },
		{ "{\"device\":\"a\\/\\\"b\",\"body\":0}", "{\"device\":\"a/\\\"b\",\"body\":0}" },
		{ "{\"ts\":1.7e12,\"body\":0}", "{\"ts\":1.7e12,\"body\":0}" },
		{ "{\"id\":1,\"id\":2,\"body\":1,\"body\":2}", "{\"id\":2,\"body\":2}" },
		{ "{\"\\u0062ody\":1}", "{\"body\":1}" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = { 0 };
		struct err e = { 0 };
		struct canonical p;

		cr_assert(canonical_parse(&p, slice(cases[i].text), &e), "%s: %s", cases[i].text,
			  e.text);
		canonical_put(&out, &p);
		cr_expect_str_eq(buf_str(&out), cases[i].want);
		canonical_fini(&p);
		buf_fini(&out);
	}
}

Test(canonical, wrong_messages_are_refused_and_leave_the_result_alone)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "[1]", "a plain message must be an object" },
		{ "null", "a plain message must be an object" },
		{ "", "a plain message must be an object" },
		{ "{}", "there is no body" },
		{ "{\"kind\":\"telemetry\"}", "there is no body" },
		{ "{\"body\":1,\"payload\":2}",
		  "an unknown key; kind, device, id, ts and body are known" },
		{ "{\"body\":1,\"Body\":2}",
		  "an unknown key; kind, device, id, ts and body are known" },
		{ "{\"body\":1,\"kind\":\"telemetri\"}", "an unknown kind" },
		{ "{\"body\":1,\"kind\":\"none\"}", "an unknown kind" },
		{ "{\"body\":1,\"kind\":3}", "kind is no string" },
		{ "{\"body\":1,\"device\":3}", "device is no string" },
		{ "{\"body\":1,\"device\":\"\"}", "device is empty" },
		{ "{\"body\":1,\"device\":\"a\\u0000b\"}", "device holds a NUL character" },
		{ "{\"body\":1,\"device\":\"a\",\"id\":[1]}", "id is no string or number" },
		{ "{\"body\":1,\"id\":true}", "id is no string or number" },
		{ "{\"body\":1,\"id\":\"x\",\"ts\":\"1700000000000\"}", "ts is no number" },
		{ "{\"body\":1,\"ts\":{}}", "ts is no number" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct canonical p = { .kind = KIND_ALARM };
		struct err e = { 0 };

		cr_expect_not(canonical_parse(&p, slice(cases[i].text), &e), "%s", cases[i].text);
		cr_expect_eq(e.code, ERR_INVALID);
		cr_expect_str_eq(e.text, cases[i].want, "%s", cases[i].text);
		cr_expect(p.kind == KIND_ALARM && !p.device && !p.id && !p.ts && !p.body);
		cr_expect_not(canonical_parse(&p, slice(cases[i].text), NULL));
	}
}

Test(canonical, every_kind_is_known_by_name)
{
	for (int k = 0; k < KINDS; k++) {
		struct buf text = { 0 };
		struct canonical p;

		buf_printf(&text, "{\"kind\":\"%s\",\"body\":{}}", kind_name((enum kind)k));
		cr_assert(canonical_parse(&p, (struct jslice){ text.data, text.len }, NULL));
		cr_expect_eq((int)p.kind, k);
		canonical_fini(&p);
		buf_fini(&text);
	}
}

Test(canonical, a_copy_stands_alone)
{
	struct canonical p, copy, none = { .kind = KIND_NONE };
	struct buf out = { 0 };

	cr_assert(canonical_parse(
		&p, slice("{\"kind\":\"event\",\"device\":\"d\",\"id\":1,\"ts\":2,\"body\":{}}"),
		NULL));
	canonical_copy(&copy, &p);
	canonical_fini(&p);
	cr_expect(p.kind == KIND_NONE && !p.device && !p.body && p.body_len == 0);
	canonical_put(&out, &copy);
	cr_expect_str_eq(out.data,
			 "{\"kind\":\"event\",\"device\":\"d\",\"id\":1,\"ts\":2,\"body\":{}}");
	canonical_fini(&copy);
	canonical_copy(&copy, &none);
	cr_expect(copy.kind == KIND_NONE && !copy.device && !copy.id && !copy.ts && !copy.body);
	buf_fini(&out);
}

Test(canonical, the_body_can_be_replaced_by_a_piece_of_itself)
{
	struct canonical p;
	struct jslice inner;

	cr_assert(canonical_parse(&p, slice("{\"body\":{\"a\":[1,2]}}"), NULL));
	cr_assert(jtext_field(canonical_body(&p), "a", &inner));
	canonical_set_body(&p, inner.text, inner.len);
	cr_expect_str_eq(p.body, "[1,2]");
	cr_expect_eq(canonical_body(&p).len, 5);
	canonical_fini(&p);
}

Test(canonical, bodies_have_the_shape_of_their_kind)
{
	static const struct {
		enum kind kind;
		const char *body, *want; /* NULL: good */
	} cases[] = {
		{ KIND_TELEMETRY, "{}", NULL },
		{ KIND_TELEMETRY, "[]", "telemetry: the body is no object" },
		{ KIND_ATTRIBUTES, "null", "attributes: the body is no object" },
		{ KIND_EVENT, "{\"name\":\"x\"}", NULL },
		{ KIND_EVENT, "{\"name\":\"\",\"params\":[1]}", NULL },
		{ KIND_EVENT, "{}", "event: body.name is no string" },
		{ KIND_EVENT, "{\"name\":null}", "event: body.name is no string" },
		{ KIND_EVENT, "\"x\"", "event: the body is no object" },
		{ KIND_ALARM, "{\"active\":false,\"level\":3}", NULL },
		{ KIND_ALARM, "{\"active\":1}", "alarm: body.active is no boolean" },
		{ KIND_PRESENCE, "{\"online\":true}", NULL },
		{ KIND_PRESENCE, "{\"online\":\"true\"}", "presence: body.online is no boolean" },
		{ KIND_RAW, "{\"stream\":\"s\",\"base64\":\"\",\"value\":null}", NULL },
		{ KIND_RAW, "{\"stream\":\"s\"}", "raw: body.base64 is no string" },
		{ KIND_RAW, "{\"base64\":\"\"}", "raw: body.stream is no string" },
		{ KIND_COMMAND, "{\"name\":\"do\"}", NULL },
		{ KIND_COMMAND, "{\"name\":{}}", "command: body.name is no string" },
		{ KIND_COMMAND_REPLY, "{\"status\":\"in_progress\"}", NULL },
		{ KIND_COMMAND_REPLY, "{\"status\":\"done\"}", NULL },
		{ KIND_COMMAND_REPLY, "{\"status\":\"error\",\"message\":\"x\"}", NULL },
		{ KIND_COMMAND_REPLY, "{\"status\":\"failed\"}",
		  "command_reply: body.status is none of in_progress, done, error" },
		{ KIND_COMMAND_REPLY, "{\"status\":\"\"}",
		  "command_reply: body.status is none of in_progress, done, error" },
		{ KIND_COMMAND_REPLY, "{}", "command_reply: body.status is no string" },
		{ KIND_CONFIG, "{\"changed\":{}}", NULL },
		{ KIND_CONFIG, "{\"full\":{},\"version\":\"3\"}", NULL },
		{ KIND_CONFIG, "{\"deleted\":[]}", NULL },
		{ KIND_CONFIG, "{\"changed\":{},\"deleted\":[\"a\",\"b\"]}", NULL },
		{ KIND_CONFIG, "{\"version\":3}",
		  "config: the body has none of changed, deleted, full" },
		{ KIND_CONFIG, "{\"changed\":[]}", "config: body.changed is no object" },
		{ KIND_CONFIG, "{\"full\":null}", "config: body.full is no object" },
		{ KIND_CONFIG, "{\"changed\":{},\"deleted\":[1]}",
		  "config: body.deleted is no array of strings" },
		{ KIND_CONFIG, "{\"changed\":{},\"deleted\":true}",
		  "config: body.deleted is no array of strings" },
		{ KIND_CONFIG_REPLY, "{}", NULL },
		{ KIND_CONFIG_REPLY, "3", "config_reply: the body is no object" },
		{ KIND_ATTRIBUTES_REQUEST, "{}", NULL },
		{ KIND_ATTRIBUTES_REPLY, "[]", "attributes_reply: the body is no object" },
		{ KIND_REQUEST, "{\"name\":\"getTime\"}", NULL },
		{ KIND_REQUEST, "{\"params\":1}", "request: body.name is no string" },
		{ KIND_REQUEST_REPLY, "null", NULL },
		{ KIND_REQUEST_REPLY, "[1]", NULL },
		{ KIND_CLAIM, "{}", NULL },
		{ KIND_PROVISION, "{}", NULL },
		{ KIND_PROVISION, "1", "provision: the body is no object" },
		{ KIND_PROVISION_REPLY, "{\"status\":\"NOT_FOUND\"}", NULL },
		{ KIND_PROVISION_REPLY, "{\"status\":\"success\"}",
		  "provision_reply: body.status is none of SUCCESS, NOT_FOUND, FAILURE" },
		{ KIND_FIRMWARE_CHUNK, "{}", NULL },
		{ KIND_DEVICE_CHANGE, "\"\"", "device_change: the body is no object" },
		{ KIND_NONE, "1", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct canonical p = { .kind = cases[i].kind };
		struct err e = { 0 };
		bool ok;

		canonical_set_body(&p, cases[i].body, strlen(cases[i].body));
		ok = canonical_check_body(&p, &e);
		cr_expect_eq(ok, !cases[i].want, "%s %s", kind_name(p.kind), p.body);
		cr_expect_str_eq(e.text, cases[i].want ? cases[i].want : "");
		cr_expect_eq(e.code, cases[i].want ? ERR_INVALID : ERR_NONE);
		canonical_fini(&p);
	}
}
