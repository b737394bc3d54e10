#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "state/change.h"
#include "state/twin.h"

#define NOW 5000

static struct twins *table;
static int64_t now_ms;
static struct changes changed; /* of all steps since the start */

/* Each rests between any two steps. */
static struct twins *new_table(void)
{
	struct twins *t = twins_new();

	twins_set_awake(t, 0);
	return t;
}

static void set_up(void)
{
	table = new_table();
	now_ms = NOW;
}

static void tear_down(void)
{
	twins_free(table);
	changes_fini(&changed);
}

TestSuite(twin, .init = set_up, .fini = tear_down);

static struct jslice text_of(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

static bool restore(const char *machine, const char *key, const char *value, struct err *e)
{
	struct changes out = { 0 };
	bool ok = strcmp(machine, "twin") == 0 ? twins_restore(table, key, value, &out, e)
					       : twins_restore_key(table, key, value, e);

	cr_expect(strcmp(machine, "twin") == 0 || strcmp(machine, "twin-key") == 0);
	changes_fini(&out);
	return ok;
}

static bool is_same_row(const struct change *a, const struct change *b)
{
	return strcmp(a->machine, b->machine) == 0 && strcmp(a->key, b->key) == 0;
}

/* What the row that begins with this change says in the end; NULL: none begins here.  A row keeps its place. */
static const struct change *last_of_row(size_t i)
{
	const struct change *first = &changed.items[i], *last = first;
	bool is_there = false;

	for (size_t k = 0; k < i; k++)
		if (is_same_row(&changed.items[k], first))
			is_there = changed.items[k].value;
	for (size_t k = i; k < changed.n && last->value; k++)
		if (is_same_row(&changed.items[k], first))
			last = &changed.items[k];
	return is_there || !last->value ? NULL : last;
}

static void restart(void)
{
	twins_free(table);
	table = twins_new();
	for (size_t i = 0; i < changed.n; i++) {
		const struct change *last = last_of_row(i);
		struct err e = { 0 };

		if (last)
			cr_assert(restore(last->machine, last->key, last->value, &e), "%s", e.text);
	}
	twins_set_awake(table, 0);
}

static enum twin_outcome say_of(const char *device, const char *body, bool waits, struct buf *text)
{
	struct twin_said said = { .body = text_of(body), .at_ms = now_ms, .waits = waits };
	enum twin_outcome outcome;
	struct err e = { 0 };

	cr_assert(twins_push(table, device, &said, &changed, &outcome, text, &e), "%s", e.text);
	return outcome;
}

/* What a push became: "config BODY", "reply BODY", "echo" or "" for nothing. */
static void expect_push_of(const char *device, const char *body, bool waits, const char *expected)
{
	static const char *const words[] = { "", "config ", "reply ", "echo" };
	struct buf text = { 0 }, got = { 0 };
	enum twin_outcome outcome = say_of(device, body, waits, &text);

	buf_printf(&got, "%s%s", words[outcome], buf_str(&text));
	cr_expect_eq(outcome == TWIN_CHANGES || outcome == TWIN_ANSWER, text.len > 0);
	cr_expect_str_eq(buf_str(&got), expected, "%s\n got %s\nwant %s", body, buf_str(&got),
			 expected);
	buf_fini(&text);
	buf_fini(&got);
}

static void expect_push(const char *body, const char *expected)
{
	expect_push_of("d", body, true, expected);
}

static void push(const char *body)
{
	struct buf text = { 0 };

	say_of("d", body, true, &text);
	buf_fini(&text);
}

/* `expected_reply` NULL: not confirmed. */
static void expect_echo(const char *attributes, const char *expected_rest,
			const char *expected_reply)
{
	struct buf rest = { 0 }, reply = { 0 };
	bool confirmed = true;

	twins_echo(table, "d", text_of(attributes), now_ms, &changed, &rest, &confirmed, &reply);
	cr_expect_str_eq(buf_str(&rest), expected_rest);
	cr_expect_eq(confirmed, expected_reply != NULL, "%s", attributes);
	cr_expect_str_eq(buf_str(&reply), expected_reply ? expected_reply : "");
	buf_fini(&rest);
	buf_fini(&reply);
}

static void expect_confirm(const char *body, const char *expected)
{
	struct buf reply = { 0 };
	struct err e = { 0 };

	cr_assert(twins_confirm(table, "d", text_of(body), now_ms, &changed, &reply, &e), "%s",
		  e.text);
	cr_expect_str_eq(buf_str(&reply), expected, "%s\n got %s\nwant %s", body, buf_str(&reply),
			 expected);
	buf_fini(&reply);
}

static void expect_document(const char *device, const char *expected)
{
	struct buf b = { 0 };

	twins_document(table, device, &b);
	cr_expect_str_eq(buf_str(&b), expected);
	buf_fini(&b);
}

/* Nothing is open if saying the document again is confirmed at once. */
static bool is_open(void)
{
	struct buf body = { 0 }, text = { 0 };
	struct changes none = { 0 };
	struct twin_said said = { .at_ms = now_ms, .waits = true };
	enum twin_outcome outcome;

	buf_puts(&body, "{\"full\":");
	twins_document(table, "d", &body);
	buf_puts(&body, "}");
	said.body = text_of(buf_str(&body));
	cr_assert(twins_push(table, "d", &said, &none, &outcome, &text, NULL));
	cr_expect_neq(outcome, TWIN_CHANGES);
	buf_fini(&body);
	buf_fini(&text);
	changes_fini(&none);
	return outcome != TWIN_ANSWER;
}

/* Merging */

Test(twin, diff_is_merged_and_goes_on_with_the_whole_document)
{
	expect_push("{\"changed\":{\"a\":1,\"b\":{\"x\":[1.50]}}}",
		    "config {\"changed\":{\"a\":1,\"b\":{\"x\":[1.50]}},\"deleted\":[],"
		    "\"full\":{\"a\":1,\"b\":{\"x\":[1.50]}},\"version\":1,\"updated\":5000}");
	expect_push("{\"changed\":{\"c\":null},\"deleted\":[\"a\",\"zz\"]}",
		    "config {\"changed\":{\"c\":null},\"deleted\":[\"a\",\"zz\"],"
		    "\"full\":{\"b\":{\"x\":[1.50]},\"c\":null},\"version\":2,\"updated\":5000}");
	expect_document("d", "{\"b\":{\"x\":[1.50]},\"c\":null}");
	expect_document("other", "{}");
}

Test(twin, what_is_said_goes_on_also_when_nothing_seems_changed)
{
	push("{\"changed\":{\"a\":1,\"b\":2}}");
	expect_push("{\"changed\":{\"a\":1,\"b\":3},\"deleted\":[]}",
		    "config {\"changed\":{\"a\":1,\"b\":3},\"deleted\":[],"
		    "\"full\":{\"a\":1,\"b\":3},\"version\":2,\"updated\":5000}");
}

Test(twin, whole_document_becomes_a_diff)
{
	push("{\"changed\":{\"a\":1,\"b\":2,\"c\":3}}");
	expect_push("{\"full\":{\"c\":3,\"b\":20,\"d\":4}}",
		    "config {\"changed\":{\"b\":20,\"d\":4},\"deleted\":[\"a\"],"
		    "\"full\":{\"b\":20,\"c\":3,\"d\":4},\"version\":2,\"updated\":5000}");
}

Test(twin, what_could_not_be_read_of_a_document_stays_as_it_was)
{
	push("{\"changed\":{\"a\":1,\"b\":2,\"c\":3}}");
	expect_push("{\"full\":{\"b\":20},\"unread\":[\"a\",\"x\"]}",
		    "config {\"changed\":{\"b\":20},\"deleted\":[\"c\"],"
		    "\"full\":{\"a\":1,\"b\":20},\"version\":2,\"updated\":5000}");
}

Test(twin, key_that_is_both_changed_and_deleted_is_changed)
{
	push("{\"changed\":{\"a\":1}}");
	expect_push("{\"changed\":{\"a\":2},\"deleted\":[\"a\"]}",
		    "config {\"changed\":{\"a\":2},\"deleted\":[],"
		    "\"full\":{\"a\":2},\"version\":2,\"updated\":5000}");
}

Test(twin, key_names_are_escaped)
{
	expect_push("{\"changed\":{\"a\\\"\\/\\u00e9\":1}}",
		    "config {\"changed\":{\"a\\\"/é\":1},\"deleted\":[],"
		    "\"full\":{\"a\\\"/é\":1},\"version\":1,\"updated\":5000}");
	expect_echo("{\"a\\u0022/é\":1}", "{}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"a\\\"/é\":1}}");
	expect_push("{\"deleted\":[\"a\\\"/é\"]}",
		    "config {\"changed\":{},\"deleted\":[\"a\\\"/é\"],"
		    "\"full\":{},\"version\":2,\"updated\":5000}");
}

Test(twin, equal_is_deep_and_numbers_are_equal_by_value)
{
	static const char *const same[] = {
		"{\"full\":{\"a\":10,\"o\":{\"y\":[1,{\"z\":null}],\"x\":\"s\"}}}",
		"{\"full\":{\"a\":10.0,\"o\":{\"y\":[1,{\"z\":null}],\"x\":\"s\"}}}",
		"{\"full\":{\"a\":1e1,\"o\":{\"y\":[1,{\"z\":null}],\"x\":\"s\"}}}",
		"{\"full\":{\"o\":{\"x\":\"s\",\"y\":[1,{\"z\":null}]},\"a\":10}}",
	};
	static const char *const others[] = {
		"{\"full\":{\"a\":\"10\"}}",
		"{\"full\":{\"a\":null}}",
		"{\"full\":{\"o\":{\"x\":\"s\",\"y\":[1,{\"z\":null}],\"w\":1}}}",
		"{\"full\":{\"o\":{\"x\":\"s\",\"y\":[1]}}}",
		"{\"full\":{\"o\":{\"x\":\"s\",\"y\":[1,{\"z\":false}]}}}",
	};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct buf text = { 0 };

		push(same[0]);
		for (size_t k = 0; k < sizeof same / sizeof same[0]; k++)
			expect_push_of("d", same[k], false, "");
		cr_expect_eq(say_of("d", others[i], false, &text), TWIN_CHANGES, "%s", others[i]);
		buf_fini(&text);
	}
}

Test(twin, devices_have_their_own)
{
	expect_push_of("a", "{\"changed\":{\"k\":1}}", true,
		       "config {\"changed\":{\"k\":1},\"deleted\":[],\"full\":{\"k\":1},"
		       "\"version\":1,\"updated\":5000}");
	expect_push_of("b", "{\"changed\":{\"k\":1}}", true,
		       "config {\"changed\":{\"k\":1},\"deleted\":[],\"full\":{\"k\":1},"
		       "\"version\":1,\"updated\":5000}");
}

Test(twin, bad_bodies_change_nothing)
{
	static const char *const bodies[] = {
		"7",
		"null",
		"[]",
		"{}",
		"{\"changed\":null,\"version\":3}",
		"{\"changed\":[]}",
		"{\"deleted\":{}}",
		"{\"deleted\":[1]}",
		"{\"changed\":{\"a\":2},\"deleted\":\"a\"}",
		"{\"full\":\"a\"}",
		"{\"full\":{},\"version\":{}}",
		"{\"full\":{},\"updated\":[]}",
		"{\"changed\":{\"a\":123456789012345678901234567890}}",
	};
	size_t before;

	push("{\"changed\":{\"a\":1}}");
	before = changed.n;
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		struct twin_said said = { .body = text_of(bodies[i]), .waits = true };
		enum twin_outcome outcome;
		struct buf text = { 0 };
		struct err e = { 0 };

		cr_expect_not(twins_push(table, "d", &said, &changed, &outcome, &text, &e), "%s",
			      bodies[i]);
		cr_expect_eq(e.code, ERR_INVALID, "%s", bodies[i]);
		cr_expect_eq(text.len, 0, "%s", bodies[i]);
		buf_fini(&text);
	}
	cr_expect_eq(changed.n, before);
	expect_document("d", "{\"a\":1}");
}

/* Versions */

Test(twin, version_follows_an_integer_of_the_sender_and_only_grows)
{
	static const struct {
		const char *body, *version;
	} steps[] = {
		{ "{\"full\":{\"a\":1},\"version\":7}", "\"version\":7," },
		{ "{\"full\":{\"a\":2},\"version\":7}", "\"version\":8," },
		{ "{\"full\":{\"a\":3},\"version\":\"20\"}", "\"version\":20," },
		{ "{\"full\":{\"a\":4},\"version\":\"v3\"}", "\"version\":21," },
		{ "{\"full\":{\"a\":5},\"version\":2.5}", "\"version\":22," },
		{ "{\"full\":{\"a\":6},\"version\":1}", "\"version\":23," },
		{ "{\"full\":{\"a\":7},\"version\":-5}", "\"version\":24," },
		{ "{\"full\":{\"a\":8},\"version\":9223372036854775807}", "\"version\":25," },
		{ "{\"full\":{\"a\":9}}", "\"version\":26," },
	};

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct buf text = { 0 };

		say_of("d", steps[i].body, false, &text);
		cr_expect_not_null(strstr(buf_str(&text), steps[i].version), "%s gives %s",
				   steps[i].body, buf_str(&text));
		buf_fini(&text);
		restart();
	}
}

static void expect_version(const char *body, int64_t version)
{
	struct buf text = { 0 };
	char wanted[40];

	snprintf(wanted, sizeof wanted, "\"version\":%lld,", (long long)version);
	cr_expect_eq(say_of("d", body, false, &text), TWIN_CHANGES);
	cr_expect_not_null(strstr(buf_str(&text), wanted), "%s: %s", wanted, buf_str(&text));
	buf_fini(&text);
	restart();
}

static void device_says(const char *body)
{
	struct buf reply = { 0 };

	cr_assert(twins_confirm(table, "d", text_of(body), now_ms, &changed, &reply, NULL));
	buf_fini(&reply);
	restart();
}

Test(twin, version_is_greater_than_what_the_device_said)
{
	device_says("{\"version\":37,\"values\":{\"a\":0}}"); /* of a former cloud */
	expect_version("{\"changed\":{\"a\":1}}", 38);
	device_says("{\"version\":\"50\"}");
	expect_version("{\"changed\":{\"a\":2}}", 51);
	device_says("{\"version\":40}");
	device_says("{\"version\":\"v9\"}");
	device_says("{\"version\":2147483646}"); /* what then? */
	expect_version("{\"changed\":{\"a\":3}}", 52);
	expect_version("{\"full\":{\"a\":4},\"version\":2147483646}", 53);
	expect_version("{\"full\":{\"a\":5},\"version\":60}", 60);
}

Test(twin, first_version_may_be_the_time)
{
	now_ms = INT64_C(1800000000123);
	twins_start_at_epoch(table);
	expect_version("{\"full\":{\"a\":1},\"version\":7}", 1800000000);
	now_ms += 60000;
	twins_start_at_epoch(table);
	expect_version("{\"full\":{\"a\":2},\"version\":8}", 1800000001);
	expect_version("{\"full\":{\"a\":3},\"version\":1900000000}", 1900000000);
	twins_free(table); /* the state is lost, and the clock with it */
	table = twins_new();
	changes_fini(&changed);
	twins_start_at_epoch(table);
	now_ms = INT64_C(2147483647000);
	expect_version("{\"changed\":{\"a\":1}}", 1);
}

Test(twin, time_of_the_sender_goes_on_as_it_came)
{
	expect_push("{\"full\":{\"a\":1},\"updated\":\"2024-01-02T03:04:05.678Z\"}",
		    "config {\"changed\":{\"a\":1},\"deleted\":[],\"full\":{\"a\":1},"
		    "\"version\":1,\"updated\":\"2024-01-02T03:04:05.678Z\"}");
	expect_push("{\"full\":{\"a\":2},\"updated\":17.0}",
		    "config {\"changed\":{\"a\":2},\"deleted\":[],\"full\":{\"a\":2},"
		    "\"version\":2,\"updated\":17.0}");
	expect_push("{\"full\":{\"a\":3}}",
		    "config {\"changed\":{\"a\":3},\"deleted\":[],\"full\":{\"a\":3},"
		    "\"version\":3,\"updated\":5000}");
}

/* Nothing differs */

Test(twin, nothing_new_is_confirmed_to_who_waits)
{
	push("{\"full\":{\"a\":1,\"b\":2}}");
	expect_confirm("{\"version\":1}",
		       "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
	expect_push_of("d", "{\"full\":{\"a\":1,\"b\":2}}", false, "");
	expect_push("{\"full\":{\"a\":1,\"b\":2},\"version\":\"4\",\"updated\":9}",
		    "reply {\"version\":\"4\",\"updated\":9,\"values\":{\"a\":1,\"b\":2}}");
	expect_push("{\"changed\":{}}", "reply {\"version\":1,\"updated\":5000,\"values\":{}}");
}

Test(twin, nothing_new_for_a_device_never_heard_of)
{
	expect_push("{\"full\":{}}", "reply {\"version\":0,\"updated\":5000,\"values\":{}}");
	cr_expect_eq(changed.n, 0);
}

Test(twin, document_that_is_on_its_way_is_not_sent_again)
{
	push("{\"full\":{\"a\":1}}");
	expect_push("{\"full\":{\"a\":1}}", "");
	expect_echo("{\"a\":1}", "{}", "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1}}");
	push("{\"full\":{}}");
	expect_push("{\"full\":{}}", ""); /* the deletion is open */
}

/* What the device has by itself */

Test(twin, push_takes_back_what_the_device_changed)
{
	push("{\"changed\":{\"rate\":10}}");
	expect_echo("{\"rate\":10}", "{}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"rate\":10}}");
	expect_echo("{\"rate\":11}", "{\"rate\":11}", NULL);
	expect_push("{\"changed\":{\"rate\":10}}",
		    "config {\"changed\":{\"rate\":10},\"deleted\":[],\"full\":{\"rate\":10},"
		    "\"version\":2,\"updated\":5000}");
	expect_echo("{\"rate\":10}", "{}",
		    "{\"version\":2,\"updated\":5000,\"values\":{\"rate\":10}}");
}

Test(twin, document_is_compared_with_what_the_device_reported)
{
	push("{\"full\":{\"rate\":10,\"unit\":\"C\"},\"version\":4}");
	expect_echo("{\"rate\":10,\"unit\":\"C\"}", "{}",
		    "{\"version\":4,\"updated\":5000,\"values\":{\"rate\":10,\"unit\":\"C\"}}");
	expect_echo("{\"rate\":11,\"temp\":3}", "{\"rate\":11,\"temp\":3}", NULL);
	restart();
	expect_push("{\"full\":{\"rate\":10,\"unit\":\"C\"},\"version\":5}",
		    "config {\"changed\":{\"rate\":10},\"deleted\":[],"
		    "\"full\":{\"rate\":10,\"unit\":\"C\"},\"version\":5,\"updated\":5000}");
	expect_echo("{\"rate\":10}", "{}",
		    "{\"version\":5,\"updated\":5000,\"values\":{\"rate\":10,\"unit\":\"C\"}}");
	expect_echo("{\"rate\":11}", "{\"rate\":11}", NULL);
	expect_echo("{\"rate\":10}", "{\"rate\":10}", NULL); /* turned back by itself */
	expect_push(
		"{\"full\":{\"rate\":10,\"unit\":\"C\"},\"version\":5}",
		"reply {\"version\":5,\"updated\":5000,\"values\":{\"rate\":10,\"unit\":\"C\"}}");
}

Test(twin, values_of_a_confirmation_are_what_the_device_has)
{
	push("{\"full\":{\"rate\":10},\"version\":4}");
	expect_confirm("{\"version\":4,\"values\":{\"rate\":9}}", /* as much as it can */
		       "{\"version\":4,\"values\":{\"rate\":9},\"updated\":5000}");
	restart();
	expect_push("{\"full\":{\"rate\":10},\"version\":4}",
		    "config {\"changed\":{\"rate\":10},\"deleted\":[],\"full\":{\"rate\":10},"
		    "\"version\":5,\"updated\":5000}");
}

/* What got there, and what failed */

/* `expected`: the confirmation. */
static void delivered(int64_t version, bool is_final, const char *expected)
{
	struct buf reply = { 0 };

	twins_delivered(table, "d", version, is_final, now_ms, &changed, &reply);
	cr_expect_str_eq(buf_str(&reply), expected);
	buf_fini(&reply);
	restart();
}

Test(twin, delivery_confirms_where_nothing_else_will)
{
	push("{\"full\":{\"a\":1,\"b\":2},\"version\":\"v7\",\"updated\":\"then\"}");
	delivered(1, true,
		  "{\"version\":\"v7\",\"updated\":\"then\",\"values\":{\"a\":1,\"b\":2}}");
	expect_confirm("{\"version\":1}", /* the device says it, too */
		       "{\"version\":\"v7\",\"updated\":\"then\",\"values\":{\"a\":1,\"b\":2}}");
	push("{\"full\":{\"a\":1},\"version\":\"v8\",\"updated\":\"now\"}");
	delivered(2, true, "{\"version\":\"v8\",\"updated\":\"now\",\"values\":{\"a\":1}}");
}

Test(twin, delivery_of_a_part_confirms_nothing_and_nobody_is_told_who_does_not_wait)
{
	push("{\"changed\":{\"a\":1}}");
	push("{\"changed\":{\"b\":2}}");
	delivered(2, true, "");
	delivered(1, true, "{\"version\":2,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
	expect_push_of("d", "{\"changed\":{\"a\":1}}", false,
		       "config {\"changed\":{\"a\":1},\"deleted\":[],\"full\":{\"a\":1,\"b\":2},"
		       "\"version\":3,\"updated\":5000}");
	delivered(3, true, "");
	expect_confirm("{\"version\":3}", "{\"version\":3,\"updated\":5000,\"values\":{\"a\":1}}");
}

static void expect_failed(const char *expected)
{
	struct buf config = { 0 };
	bool any = twins_send_failed(table, "d", now_ms, &changed, &config);

	cr_expect_str_eq(buf_str(&config), expected);
	cr_expect_eq(any, *expected != '\0');
	buf_fini(&config);
}

Test(twin, what_failed_is_said_as_it_holds_now)
{
	push("{\"changed\":{\"a\":1,\"b\":2,\"c\":3}}");
	twins_failed(table, "d", 1, true, now_ms, &changed);
	push("{\"changed\":{\"a\":10},\"deleted\":[\"c\"]}");
	delivered(2, false, ""); /* b alone has failed now */
	push("{\"changed\":{\"d\":4}}");
	twins_failed(table, "d", 3, false, now_ms, &changed); /* too large, say */
	restart();
	expect_failed("{\"changed\":{\"b\":2},\"deleted\":[],\"full\":{\"a\":10,\"b\":2,\"d\":4},"
		      "\"version\":4,\"updated\":5000}");
	expect_failed(""); /* it is on its way */
	twins_failed(table, "d", 4, true, now_ms, &changed);
	expect_echo("{\"b\":2}", "{}", NULL); /* the device has it */
	expect_failed("");
	push("{\"deleted\":[\"b\"]}");
	twins_failed(table, "d", 0, true, now_ms,
		     &changed); /* a restart does not know the version */
	expect_failed("{\"changed\":{},\"deleted\":[\"b\"],\"full\":{\"a\":10,\"d\":4},"
		      "\"version\":6,\"updated\":5000}");
}

Test(twin, document_says_again_what_failed)
{
	push("{\"full\":{\"a\":1,\"b\":2}}");
	expect_echo("{\"a\":1,\"b\":2}", "{}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
	push("{\"full\":{\"a\":5}}");
	twins_failed(table, "d", 2, false, now_ms, &changed);
	expect_push("{\"full\":{\"a\":5}}",
		    "config {\"changed\":{\"a\":5},\"deleted\":[\"b\"],\"full\":{\"a\":5},"
		    "\"version\":3,\"updated\":5000}");
}

Test(twin, one_of_several_messages_that_fails_is_a_failure)
{
	push("{\"changed\":{\"a\":1}}");
	delivered(1, false, "");
	twins_failed(table, "d", 1, true, now_ms, &changed);
	delivered(1, false, "");
	expect_failed("{\"changed\":{\"a\":1},\"deleted\":[],\"full\":{\"a\":1},"
		      "\"version\":2,\"updated\":5000}");
}

Test(twin, confirmation_of_what_failed_is_that_of_the_push)
{
	push("{\"full\":{\"a\":1},\"version\":\"v7\",\"updated\":\"then\"}");
	twins_failed(table, "d", 1, true, now_ms, &changed);
	expect_failed("{\"changed\":{\"a\":1},\"deleted\":[],\"full\":{\"a\":1},"
		      "\"version\":2,\"updated\":\"then\"}");
	expect_confirm("{\"version\":2}",
		       "{\"version\":\"v7\",\"updated\":\"then\",\"values\":{\"a\":1}}");
}

Test(twin, what_was_deleted_long_ago_is_forgotten)
{
	size_t n_deleted = 0;

	push("{\"changed\":{\"a\":1}}");
	push("{\"deleted\":[\"a\"]}");
	expect_confirm("{}", "{\"version\":2,\"updated\":5000,\"values\":{}}");
	now_ms += 32 * INT64_C(86400000);
	push("{\"changed\":{\"b\":1}}");
	for (size_t i = 0; i < changed.n; i++)
		n_deleted += !changed.items[i].value &&
			     strcmp(changed.items[i].key, "[\"d\",\"a\"]") == 0;
	cr_expect_eq(n_deleted, 1);
}

/* Our own word, come back */

Test(twin, confirmation_that_comes_back_is_an_echo_once)
{
	push("{\"changed\":{\"rate\":10,\"unit\":\"C\"}}");
	expect_echo("{\"rate\":10,\"unit\":\"C\"}", "{}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"rate\":10,\"unit\":\"C\"}}");
	now_ms += TWIN_ECHO_MS - 1;
	expect_push("{\"changed\":{\"unit\":\"C\",\"rate\":10.0}}", "echo");
	expect_push("{\"changed\":{\"unit\":\"C\",\"rate\":10}}",
		    "config {\"changed\":{\"unit\":\"C\",\"rate\":10},\"deleted\":[],"
		    "\"full\":{\"rate\":10,\"unit\":\"C\"},\"version\":2,\"updated\":14999}");
}

Test(twin, confirmation_comes_back_with_all_that_it_says)
{
	push("{\"changed\":{\"rate\":10}}");
	expect_confirm("{\"version\":1}",
		       "{\"version\":1,\"updated\":5000,\"values\":{\"rate\":10}}");
	expect_push("{\"changed\":{\"version\":1,\"updated\":5000,\"values\":{\"rate\":10}}}",
		    "echo");
}

Test(twin, what_is_not_just_the_confirmation_is_no_echo)
{
	static const struct {
		const char *body;
		int64_t after_ms;
	} cases[] = {
		{ "{\"changed\":{\"rate\":10}}", 0 },
		{ "{\"changed\":{\"rate\":10,\"unit\":\"F\"}}", 0 },
		{ "{\"changed\":{\"rate\":10,\"unit\":\"C\",\"zone\":1}}", 0 },
		{ "{\"changed\":{\"rate\":10,\"unit\":\"C\"},\"deleted\":[]}", 0 },
		{ "{\"changed\":{\"rate\":10,\"unit\":\"C\"}}", TWIN_ECHO_MS },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf text = { 0 };

		push("{\"changed\":{\"rate\":10,\"unit\":\"C\"}}");
		cr_assert(twins_confirm(table, "d", text_of("{}"), now_ms, &changed, &text, NULL));
		now_ms += cases[i].after_ms;
		buf_reset(&text);
		cr_expect_eq(say_of("d", cases[i].body, true, &text), TWIN_CHANGES, "%s",
			     cases[i].body);
		buf_fini(&text);
		twins_free(table);
		table = twins_new();
	}
}

Test(twin, same_document_again_renews_the_version_of_the_confirmation)
{
	push("{\"full\":{\"a\":1},\"version\":\"x1\",\"updated\":1}");
	expect_push("{\"full\":{\"a\":1},\"version\":\"x2\",\"updated\":2}", "");
	restart();
	expect_echo("{\"a\":1}", "{}", "{\"version\":\"x2\",\"updated\":2,\"values\":{\"a\":1}}");
}

/* Echoes */

Test(twin, echo_confirms_when_all_keys_have_come)
{
	push("{\"changed\":{\"a\":1,\"b\":{\"x\":2.0},\"c\":null}}");
	expect_echo("{\"a\":1,\"t\":20.50,\"b\":3}", "{\"t\":20.50,\"b\":3}", NULL);
	restart();
	expect_echo("{ \"b\" : {\"x\":2} }", "{}", NULL);
	expect_echo("{\"c\":null,\"u\":1}", "{\"u\":1}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1,\"b\":{\"x\":2.0},\"c\":"
		    "null}}");
	restart();
	expect_echo("{\"a\":1}", "{\"a\":1}", NULL);
	cr_expect_not(is_open());
}

Test(twin, key_confirmed_before_is_read_as_usual)
{
	push("{\"changed\":{\"a\":1,\"b\":2}}");
	expect_echo("{\"a\":1}", "{}", NULL);
	expect_echo("{\"a\":1}", "{\"a\":1}", NULL);
}

Test(twin, what_is_not_the_push_stays_as_it_came)
{
	expect_echo("{}", "{}", NULL);
	expect_echo("{\"a\":123456789012345678901234567890}",
		    "{\"a\":123456789012345678901234567890}", NULL);
	push("{\"changed\":{\"a\":1}}");
	expect_echo("{\"a\":123456789012345678901234567890,\"b\":1e400}",
		    "{\"a\":123456789012345678901234567890,\"b\":1e400}", NULL);
	cr_expect(is_open());
}

Test(twin, document_is_confirmed_as_a_whole)
{
	push("{\"full\":{\"a\":1,\"b\":2},\"version\":3,\"updated\":\"then\"}");
	expect_echo("{\"b\":2,\"a\":1}", "{}",
		    "{\"version\":3,\"updated\":\"then\",\"values\":{\"a\":1,\"b\":2}}");
	push("{\"full\":{\"a\":1,\"b\":3},\"version\":4,\"updated\":\"now\"}");
	expect_echo("{\"b\":3}", "{}",
		    "{\"version\":4,\"updated\":\"now\",\"values\":{\"a\":1,\"b\":3}}");
}

Test(twin, newer_push_takes_over_the_keys_of_an_older_open_one)
{
	push("{\"changed\":{\"a\":1,\"b\":2,\"c\":3}}");
	push("{\"changed\":{\"a\":10,\"d\":4},\"deleted\":[\"c\"]}");
	expect_echo("{\"a\":1,\"c\":3}", "{\"a\":1,\"c\":3}", NULL);
	expect_echo("{\"a\":10,\"d\":4}", "{}", NULL);
	expect_echo("{\"b\":2}", "{}",
		    "{\"version\":2,\"updated\":5000,\"values\":{\"a\":10,\"b\":2,\"d\":4}}");
}

Test(twin, push_that_only_deletes_is_closed_by_no_echo)
{
	push("{\"changed\":{\"a\":1,\"b\":2}}");
	expect_echo("{\"a\":1,\"b\":2}", "{}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
	push("{\"deleted\":[\"a\"]}");
	expect_echo("{\"b\":2}", "{\"b\":2}", NULL);
	cr_expect(is_open());
	restart();
	cr_expect(is_open());
	expect_confirm("{}", "{\"version\":2,\"updated\":5000,\"values\":{}}");
	cr_expect_not(is_open());
}

/* Confirmations */

Test(twin, confirmation_of_the_version_closes)
{
	static const struct {
		const char *version;
		bool closes;
	} cases[] = {
		{ "4", true },	   { "\"4\"", true }, { "4.0", true },	  { "null", true },
		{ "3", false },	   { "5", false },    { "\"x\"", false }, { "4.5", false },
		{ "\"\"", false }, { "true", false }, { "[]", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char body[64];
		struct buf reply = { 0 };

		twins_free(table);
		table = twins_new();
		push("{\"full\":{\"a\":1},\"version\":4}");
		snprintf(body, sizeof body, "{\"version\":%s}", cases[i].version);
		cr_expect(twins_confirm(table, "d", text_of(body), now_ms, &changed, &reply, NULL));
		cr_expect_eq(!is_open(), cases[i].closes, "%s", body);
		buf_fini(&reply);
	}
}

Test(twin, document_is_confirmed_under_the_senders_own_version)
{
	push("{\"full\":{\"a\":1},\"version\":\"v7\",\"updated\":\"then\"}");
	expect_confirm(
		"{\"updated\":9,\"version\":1,\"values\":{\"a\":1.0},\"more\":2}",
		"{\"updated\":\"then\",\"version\":\"v7\",\"values\":{\"a\":1.0},\"more\":2}");
	cr_expect_not(is_open());
}

Test(twin, sender_that_gave_no_time_gets_that_of_the_device)
{
	push("{\"full\":{\"a\":1},\"version\":\"v7\"}");
	expect_confirm("{\"version\":1,\"updated\":9}",
		       "{\"version\":\"v7\",\"updated\":9,\"values\":{\"a\":1}}");
}

Test(twin, diff_is_confirmed_as_it_came_with_its_own_keys_filled_in)
{
	push("{\"changed\":{\"a\":1}}");
	expect_confirm("{\"version\":1}", "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1}}");
	push("{\"changed\":{\"b\":2}}");
	expect_confirm("{\"version\":\"2\",\"updated\":\"t\"}",
		       "{\"version\":\"2\",\"updated\":\"t\",\"values\":{\"b\":2}}");
	push("{\"changed\":{\"c\":3}}");
	expect_confirm("{\"values\":null}",
		       "{\"values\":{\"c\":3},\"version\":3,\"updated\":5000}");
}

Test(twin, confirmation_of_an_older_version_goes_on_as_it_came)
{
	push("{\"full\":{\"a\":1},\"version\":\"v1\"}");
	push("{\"full\":{\"a\":2},\"version\":\"v2\"}");
	expect_confirm("{\"version\":1,\"updated\":8,\"values\":{\"a\":1}}",
		       "{\"version\":1,\"updated\":8,\"values\":{\"a\":1}}");
	cr_expect(is_open());
	expect_push("{\"full\":{\"a\":2},\"version\":\"v2\"}", "");
	expect_confirm("{\"version\":2,\"updated\":9,\"values\":{\"a\":2}}",
		       "{\"version\":\"v2\",\"updated\":9,\"values\":{\"a\":2}}");
}

Test(twin, change_that_the_device_reports_unasked_goes_on)
{
	expect_confirm("{\"values\":{\"a\":5}}", "{\"values\":{\"a\":5}}");
	push("{\"full\":{\"a\":1},\"version\":\"v1\"}");
	expect_confirm("{\"version\":1}",
		       "{\"version\":\"v1\",\"updated\":5000,\"values\":{\"a\":1}}");
	expect_confirm("{\"version\":9,\"values\":{\"a\":5}}",
		       "{\"version\":9,\"values\":{\"a\":5},\"updated\":5000}");
	expect_document("d", "{\"a\":1}");
}

Test(twin, confirmation_must_be_an_object)
{
	static const char *const bodies[] = { "7", "[]", "null" };

	for (size_t i = 0; i < 3; i++) {
		struct buf reply = { 0 };
		struct err e = { 0 };

		cr_expect_not(twins_confirm(table, "d", text_of(bodies[i]), now_ms, &changed,
					    &reply, &e));
		cr_expect_eq(e.code, ERR_INVALID);
		cr_expect_eq(reply.len, 0);
	}
}

Test(twin, unsendable_push_is_closed_and_confirmed)
{
	struct buf reply = { 0 };

	push("{\"changed\":{\"a\":1}}");
	expect_echo("{\"a\":1}", "{}", "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1}}");
	push("{\"deleted\":[\"a\"]}");
	twins_unsendable(table, "d", 2, now_ms, &changed, &reply);
	cr_expect_str_eq(buf_str(&reply), "{\"version\":2,\"updated\":5000,\"values\":{}}");
	cr_expect_not(is_open());
	restart();
	cr_expect_not(is_open());
	buf_fini(&reply);
}

Test(twin, unsendable_part_leaves_the_rest_of_a_push_open)
{
	struct buf reply = { 0 };

	push("{\"changed\":{\"a\":1,\"b\":2}}");
	push("{\"deleted\":[\"c\",\"b\"]}");
	twins_unsendable(table, "d", 2, now_ms, &changed, &reply);
	cr_expect_eq(reply.len, 0);
	cr_expect(is_open());
	restart();
	expect_echo("{\"a\":1,\"b\":2}", "{\"b\":2}",
		    "{\"version\":2,\"updated\":5000,\"values\":{\"a\":1}}");
	cr_expect_not(is_open());
	buf_fini(&reply);
}

Test(twin, a_document_that_says_what_the_device_says_sends_nothing)
{
	push("{\"full\":{\"a\":1,\"b\":2}}");
	expect_echo("{\"a\":1,\"b\":2}", "{}",
		    "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
	expect_echo("{\"a\":7}", "{\"a\":7}", NULL);
	restart();
	expect_push("{\"full\":{\"a\":7,\"b\":2}}",
		    "reply {\"version\":1,\"updated\":5000,\"values\":{\"a\":7,\"b\":2}}");
	restart();
	expect_document("d", "{\"a\":7,\"b\":2}");
	/* What it said while the push was underway may have been before it came. */
	push("{\"full\":{\"a\":8,\"b\":2}}");
	expect_echo("{\"a\":7}", "{\"a\":7}", NULL);
	expect_push("{\"full\":{\"a\":7,\"b\":2}}",
		    "config {\"changed\":{\"a\":7},\"deleted\":[],\"full\":{\"a\":7,\"b\":2},"
		    "\"version\":3,\"updated\":5000}");
}

Test(twin, a_key_that_is_set_anew_ends_the_echo_of_our_word)
{
	push("{\"changed\":{\"a\":1}}");
	expect_echo("{\"a\":1}", "{}", "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1}}");
	push("{\"changed\":{\"a\":2}}");
	push("{\"changed\":{\"a\":1}}");
	expect_push("{\"changed\":{\"a\":1}}",
		    "config {\"changed\":{\"a\":1},\"deleted\":[],\"full\":{\"a\":1},"
		    "\"version\":4,\"updated\":5000}");
}

Test(twin, what_is_not_said_ends_no_echo)
{
	struct buf reply = { 0 }, text = { 0 };

	push("{\"changed\":{\"a\":1}}");
	expect_echo("{\"a\":1}", "{}", "{\"version\":1,\"updated\":5000,\"values\":{\"a\":1}}");
	say_of("d", "{\"deleted\":[\"b\"]}", false, &text);
	buf_fini(&text);
	twins_unsendable(table, "d", 2, now_ms, &changed, &reply);
	cr_expect_eq(reply.len, 0);
	cr_expect_not(is_open());
	expect_push("{\"changed\":{\"a\":1}}", "echo");
	buf_fini(&reply);
}

Test(twin, a_version_that_was_only_answered_is_filled_in)
{
	struct buf reply = { 0 };

	expect_push("{\"full\":{},\"version\":\"19\"}",
		    "reply {\"version\":\"19\",\"updated\":5000,\"values\":{}}");
	cr_assert(twins_confirm(table, "d", text_of("{\"values\":{\"a\":1}}"), now_ms, &changed,
				&reply, NULL));
	cr_expect_str_eq(buf_str(&reply),
			 "{\"values\":{\"a\":1},\"version\":\"19\",\"updated\":5000}");
	buf_fini(&reply);
}

/* Restarts */

Test(twin, restart_keeps_document_version_and_open_push)
{
	push("{\"full\":{\"a\":1,\"b\":1e2,\"n\":null},\"version\":\"v1\",\"updated\":\"t1\"}");
	expect_echo("{\"a\":1}", "{}", NULL);
	restart();
	expect_document("d", "{\"a\":1,\"b\":1e2,\"n\":null}");
	expect_echo("{\"a\":1,\"b\":100,\"n\":null}", "{\"a\":1}",
		    "{\"version\":\"v1\",\"updated\":\"t1\",\"values\":{\"a\":1,\"b\":1e2,\"n\":"
		    "null}}");
	restart();
	expect_push("{\"full\":{\"a\":2},\"version\":\"v2\"}",
		    "config {\"changed\":{\"a\":2},\"deleted\":[\"b\",\"n\"],\"full\":{\"a\":2},"
		    "\"version\":2,\"updated\":5000}");
}

Test(twin, a_change_writes_what_it_changes)
{
	size_t before;

	push("{\"changed\":{\"a\":1,\"b\":2,\"c\":3}}");
	cr_expect_eq(changed.n, 4, "the head and three keys");
	before = changed.n;
	push("{\"changed\":{\"b\":5}}");
	cr_assert_eq(changed.n, before + 2, "the head and a key");
	cr_expect_str_eq(changed.items[before + 1].machine, "twin-key");
	cr_expect_str_eq(changed.items[before + 1].key, "[\"d\",\"b\"]");
	cr_expect_str_eq(changed.items[before + 1].value,
			 "{\"key\":[5000,2,0],\"value\":5,\"push\":\"open\"}");
}

Test(twin, restart_keeps_what_the_device_has_and_what_was_deleted)
{
	push("{\"changed\":{\"a\":1,\"b\":2}}");
	expect_echo("{\"a\":7}", "{\"a\":7}", NULL);
	push("{\"deleted\":[\"b\"]}");
	restart();
	expect_document("d", "{\"a\":1}");
	expect_push("{\"full\":{\"a\":1}}",
		    "config {\"changed\":{\"a\":1},\"deleted\":[],\"full\":{\"a\":1},"
		    "\"version\":3,\"updated\":5000}");
}

/* {"changed":{"PREFIX0":VALUE,…}} */
static char *many_keys(const char *prefix, int n, const char *value)
{
	struct buf b = { 0 };

	buf_puts(&b, "{\"changed\":{");
	for (int i = 0; i < n; i++)
		buf_printf(&b, "%s\"%s%d\":%s", i ? "," : "", prefix, i, value);
	buf_puts(&b, "}}");
	return buf_take(&b);
}

static void expect_too_large(const char *body, const char *why)
{
	struct twin_said said = { .body = text_of(body), .at_ms = now_ms };
	enum twin_outcome outcome;
	struct buf text = { 0 };
	struct err e = { 0 };
	size_t before = changed.n;

	cr_expect_not(twins_push(table, "d", &said, &changed, &outcome, &text, &e));
	cr_expect_eq(e.code, ERR_LIMIT);
	cr_expect_str_eq(e.text, why);
	cr_expect_eq(changed.n, before);
	cr_expect_eq(text.len, 0);
}

Test(twin, document_has_no_more_keys_than_a_document_may_have)
{
	char *most = many_keys("k", TWIN_MAX_KEYS, "1");

	push(most);
	expect_too_large("{\"changed\":{\"one\":1}}",
			 "the device's configuration would have 4097 keys, more than 4096");
	push("{\"changed\":{\"k7\":2}}");
	push("{\"changed\":{\"one\":1},\"deleted\":[\"k7\"]}");
	restart();
	expect_too_large("{\"changed\":{\"two\":1}}",
			 "the device's configuration would have 4097 keys, more than 4096");
	free(most);
}

Test(twin, document_has_no_more_bytes_than_a_document_may_have)
{
	struct buf long_value = { 0 };
	char *body;

	buf_putc(&long_value, '"');
	for (int i = 0; i < TWIN_MAX_BYTES / 4; i++)
		buf_putc(&long_value, 'x');
	buf_putc(&long_value, '"');
	body = many_keys("k", 4, buf_str(&long_value));
	expect_too_large(body,
			 "the device's configuration would have 1048592 bytes, more than 1048576");
	expect_document("d", "{}");
	free(body);
	body = many_keys("k", 3, buf_str(&long_value));
	push(body);
	restart();
	push(body);
	free(body);
	body = many_keys("other", 1, buf_str(&long_value));
	expect_too_large(body,
			 "the device's configuration would have 1048596 bytes, more than 1048576");
	push("{\"changed\":{\"k1\":1}}");
	push(body);
	free(body);
	buf_fini(&long_value);
}

Test(twin, of_names_that_are_gone_no_more_are_known_than_there_may_be_keys)
{
	char *two = many_keys("a", TWIN_MAX_KEYS, "1"), *three = many_keys("b", 2, "1");
	struct buf reply = { 0 };
	size_t n_deleted = 0;

	push(two);
	twins_delivered(table, "d", 0, true, now_ms, &changed, &reply);
	push("{\"full\":{\"z\":1}}");
	twins_delivered(table, "d", 0, true, now_ms, &changed, &reply);
	push(three);
	push("{\"full\":{\"y\":1}}");
	twins_delivered(table, "d", 0, true, now_ms, &changed, &reply);
	push("{\"changed\":{\"x\":1}}");
	for (size_t i = 0; i < changed.n; i++)
		n_deleted += !changed.items[i].value;
	cr_expect_geq(n_deleted, TWIN_MAX_KEYS);
	expect_document("d", "{\"y\":1,\"x\":1}");
	free(two);
	free(three);
	buf_fini(&reply);
}

/* As version 7 of the database has it: all in one row. */
Test(twin, row_of_before_there_were_rows_of_keys_is_taken_apart)
{
	static const char row[] =
		"{\"version\":3,\"updated_ms\":1,\"source_version\":null,\"source_updated\":null,"
		"\"doc\":{\"a\":1,\"b\":null},\"keys\":{\"a\":[1,3,0],\"b\":[1,2,2],"
		"\"z\":[1,1,3]},\"said_version\":0,\"reported\":{\"b\":4},"
		"\"push\":{\"version\":3,\"full\":false,\"waits\":true,\"keys\":{\"a\":true},"
		"\"deleted\":{\"z\":true}}}";
	static const char *const rows[][2] = {
		{ "d", "{\"version\":3,\"updated_ms\":1,\"source_version\":null,"
		       "\"source_updated\":null,\"said_version\":0,"
		       "\"push\":{\"version\":3,\"full\":false,\"waits\":true}}" },
		{ "[\"d\",\"a\"]", "{\"key\":[1,3,0],\"value\":1,\"push\":\"open\"}" },
		{ "[\"d\",\"b\"]", "{\"key\":[1,2,2],\"value\":null,\"reported\":4}" },
		{ "[\"d\",\"z\"]", "{\"key\":[1,1,3],\"push\":\"gone\"}" },
	};

	cr_assert(twins_restore(table, "d", row, &changed, NULL));
	cr_assert_eq(changed.n, 4);
	for (size_t i = 0; i < changed.n; i++) {
		cr_expect_str_eq(changed.items[i].key, rows[i][0]);
		cr_expect_str_eq(changed.items[i].value, rows[i][1]);
	}
	restart();
	expect_document("d", "{\"a\":1,\"b\":null}");
	expect_echo("{\"a\":1}", "{}", "{\"version\":3,\"updated\":1,\"values\":{\"a\":1}}");
}

Test(twin, bad_rows_of_keys_change_nothing)
{
	static const char *const rows[][2] = {
		{ "d", "{\"key\":[1,1,0]}" },
		{ "[\"d\"]", "{\"key\":[1,1,0]}" },
		{ "[\"d\",7]", "{\"key\":[1,1,0]}" },
		{ "[\"d\",\"a\",\"b\"]", "{\"key\":[1,1,0]}" },
		{ "[\"d\",\"a\"]", "7" },
		{ "[\"d\",\"a\"]", "{}" },
		{ "[\"d\",\"a\"]", "{\"key\":[1,1]}" },
		{ "[\"d\",\"a\"]", "{\"key\":[1,1,9]}" },
		{ "[\"d\",\"a\"]", "{\"key\":[1,1,0],\"push\":\"other\"}" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { 0 };

		cr_expect_not(twins_restore_key(table, rows[i][0], rows[i][1], &e), "%s",
			      rows[i][1]);
		cr_expect_eq(e.code, ERR_CORRUPT, "%s", rows[i][1]);
	}
	cr_expect_not(twins_holds(table, "d"));
}

/* The row that says how the push is was lost: what it is about is known all the same. */
Test(twin, keys_without_their_head_are_taken)
{
	cr_assert(twins_restore_key(table, "[\"d\",\"a\"]",
				    "{\"key\":[1,8,0],\"value\":1,\"push\":\"open\"}", NULL));
	expect_push("{\"changed\":{\"b\":2}}",
		    "config {\"changed\":{\"b\":2},\"deleted\":[],\"full\":{\"a\":1,\"b\":2},"
		    "\"version\":9,\"updated\":5000}");
	expect_echo("{\"a\":1,\"b\":2}", "{}",
		    "{\"version\":9,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
}

/* As version 5 of the database has it. */
Test(twin, row_that_says_nothing_of_keys_is_taken_as_confirmed_but_for_what_is_open)
{
	static const char row[] =
		"{\"version\":3,\"updated_ms\":1,\"source_version\":null,\"source_updated\":null,"
		"\"doc\":{\"a\":1,\"b\":2},\"push\":{\"version\":3,\"full\":true,"
		"\"keys\":{\"b\":true},\"deleted\":{}}}";

	cr_assert(restore("twin", "d", row, NULL));
	expect_push("{\"full\":{\"a\":1,\"b\":2}}",
		    "config {\"changed\":{\"b\":2},\"deleted\":[],\"full\":{\"a\":1,\"b\":2},"
		    "\"version\":4,\"updated\":5000}");
	expect_echo("{\"b\":2}", "{}",
		    "{\"version\":4,\"updated\":5000,\"values\":{\"a\":1,\"b\":2}}");
}

Test(twin, bad_rows_change_nothing)
{
#define ROW(version, doc, more)                                                                    \
	"{\"version\":" version                                                                    \
	",\"updated_ms\":1,\"source_version\":null,\"source_updated\":null,"                       \
	"\"doc\":" doc more "}"
#define PUSH(keys, deleted)                                                                        \
	",\"push\":{\"version\":1,\"full\":false,\"keys\":" keys ",\"deleted\":" deleted "}"
	static const char *const rows[] = {
		"",
		"7",
		"{",
		"{}",
		ROW("\"x\"", "{}", ""),
		ROW("-1", "{}", ""),
		ROW("1", "[]", ""),
		ROW("1", "null", ""),
		ROW("1", "{}", ",\"push\":null"),
		ROW("1", "{}", ",\"push\":{}"),
		ROW("1", "{}", PUSH("[]", "{}")),
		ROW("1", "{}", PUSH("{}", "[]")),
		ROW("1", "{}", PUSH("{\"a\":1}", "{}")),
		ROW("1", "{}", ",\"keys\":7"),
		ROW("1", "{}", ",\"keys\":{\"a\":1}"),
		ROW("1", "{}", ",\"keys\":{\"a\":[1,1]}"),
		ROW("1", "{}", ",\"keys\":{\"a\":[1,\"1\",0]}"),
		ROW("1", "{}", ",\"keys\":{\"a\":[1,1,99]}"),
		ROW("1", "{}", ",\"keys\":{\"a\":[1,1,-1]}"),
		ROW("1", "{}", ",\"reported\":[]"),
		"{\"version\":1,\"updated_ms\":1,\"source_version\":{},\"doc\":{}}",
	};

	push("{\"changed\":{\"a\":1}}");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = { 0 };

		cr_expect_not(restore("twin", "d", rows[i], &e), "%s", rows[i]);
		cr_expect_eq(e.code, ERR_CORRUPT, "%s", rows[i]);
	}
	expect_document("d", "{\"a\":1}");
	cr_expect(restore("twin", "d", ROW("1", "{\"z\":1}", PUSH("{\"z\":true}", "{}")), NULL));
	expect_document("d", "{\"z\":1}");
}

Test(twin, says_all_it_holds_to_one_who_asks)
{
	struct buf out = { 0 };

	cr_expect_not(twins_current(table, "d", &out));
	push("{\"changed\":{\"a\":1}}");
	push("{\"changed\":{\"b\":2}}");
	cr_assert(twins_current(table, "d", &out));
	cr_expect_str_eq(out.data,
			 "{\"changed\":{\"a\":1,\"b\":2},\"deleted\":[],\"full\":{\"a\":1,"
			 "\"b\":2},\"version\":2,\"updated\":5000}");
	buf_fini(&out);
}

Test(twin, forgets_a_device_that_is_gone)
{
	push("{\"changed\":{\"a\":1}}");
	twins_forget(table, "d", &changed);
	expect_document("d", "{}");
	cr_expect_null(changed.items[changed.n - 1].value);
	restart();
	expect_document("d", "{}");
	cr_expect_not(twins_holds(table, "d"));
	twins_forget(table, "d", &changed);
}
