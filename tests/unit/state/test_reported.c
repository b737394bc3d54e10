#include <criterion/criterion.h>

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "state/change.h"
#include "state/reported.h"

static struct jslice text(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

static void expect(const struct reporteds *t, const char *device, const char *object)
{
	struct buf out = { 0 };

	reporteds_put(t, device, &out);
	cr_expect_str_eq(buf_str(&out), object);
	buf_fini(&out);
}

Test(reported, merges_key_by_key_and_keeps_spelling)
{
	struct reporteds *t = reporteds_new();
	struct changes c = { 0 };

	expect(t, "d", "{}");
	reporteds_merge(t, "d", text("{\"a\":1.000,\"b\":\"x\"}"), &c);
	reporteds_merge(t, "d", text("{\"b\":null,\"c\":[9007199254740993]}"), &c);
	expect(t, "d", "{\"a\":1.000,\"b\":null,\"c\":[9007199254740993]}");
	expect(t, "other", "{}");
	cr_expect_eq(c.n, 2);
	changes_fini(&c);
	reporteds_free(t);
}

Test(reported, the_last_of_a_repeated_key_counts)
{
	struct reporteds *t = reporteds_new();
	struct changes c = { 0 };

	reporteds_merge(t, "d", text("{\"a\":1,\"a\":2}"), &c);
	expect(t, "d", "{\"a\":2}");
	reporteds_merge(t, "d", text("{\"a\":3,\"a\":4}"), &c);
	expect(t, "d", "{\"a\":4}");
	changes_fini(&c);
	reporteds_free(t);
}

Test(reported, what_does_not_change_is_not_written_again)
{
	struct reporteds *t = reporteds_new();
	struct changes c = { 0 };

	reporteds_merge(t, "d", text("{\"a\":1}"), &c);
	changes_fini(&c);
	reporteds_merge(t, "d", text("{\"a\":1}"), &c);
	reporteds_merge(t, "d", text("{}"), &c);
	cr_expect_eq(c.n, 0);
	reporteds_free(t);
}

Test(reported, comes_back_after_a_restart_and_can_be_forgotten)
{
	struct reporteds *t = reporteds_new(), *again = reporteds_new();
	struct changes c = { 0 };
	struct err e = { 0 };

	reporteds_merge(t, "d", text("{\"a\":{\"b\":false}}"), &c);
	cr_assert(reporteds_restore(again, c.items[0].key, c.items[0].value, &e));
	changes_fini(&c);
	expect(again, "d", "{\"a\":{\"b\":false}}");
	reporteds_forget(again, "d", &c);
	cr_assert_eq(c.n, 1);
	cr_expect_null(c.items[0].value);
	expect(again, "d", "{}");
	cr_expect_not(reporteds_restore(again, "d", "[1]", &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	changes_fini(&c);
	reporteds_free(t);
	reporteds_free(again);
}

Test(reported, selects_the_names_that_were_asked_for)
{
	static const struct {
		const char *names, *expected;
	} cases[] = {
		{ "", "{\"a\":1,\"b\":{},\"c\":null}" },
		{ "[]", "{}" },
		{ "[\"b\"]", "{\"b\":{}}" },
		{ "[\"c\",\"x\",\"a\"]", "{\"c\":null,\"a\":1}" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf out = { 0 };

		reported_select(text("{\"a\":1,\"b\":{},\"c\":null}"), text(cases[i].names), &out);
		cr_expect_str_eq(buf_str(&out), cases[i].expected);
		buf_fini(&out);
	}
}
