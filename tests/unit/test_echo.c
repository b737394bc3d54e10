#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "core/echo.h"

static uint64_t sent(struct echo *e, const char *topic, const char *payload)
{
	return echo_sent(e, topic, payload, strlen(payload));
}

static bool take(struct echo *e, const char *topic, const char *payload, int64_t now_ms)
{
	return echo_take(e, topic, payload, strlen(payload), now_ms);
}

Test(echo, only_what_was_sent_is_an_echo)
{
	static const struct {
		const char *topic, *payload;
	} others[] = { { "t", "other" }, { "u", "p" }, { "tp", "" }, { "", "tp" }, { "t", "p " } };
	struct echo *e = echo_new();

	sent(e, "t", "p");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		cr_expect_not(take(e, others[i].topic, others[i].payload, 0), "other %zu", i);
	cr_expect(take(e, "t", "p", 0));
	echo_free(e);
	echo_free(NULL);
}

Test(echo, empty_payload_may_be_null)
{
	struct echo *e = echo_new();

	echo_sent(e, "t", NULL, 0);
	cr_expect(echo_take(e, "t", NULL, 0, 0));
	echo_free(e);
}

Test(echo, entry_serves_once_and_as_often_as_it_was_sent)
{
	struct echo *e = echo_new();

	sent(e, "t", "p");
	sent(e, "t", "p");
	cr_expect(take(e, "t", "p", 0));
	cr_expect(take(e, "t", "p", 0));
	cr_expect_not(take(e, "t", "p", 0));
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
}

Test(echo, entry_ends_ten_seconds_after_its_puback)
{
	struct echo *e = echo_new();

	echo_acked(e, sent(e, "t", "1"), 5000);
	echo_acked(e, sent(e, "t", "2"), 5000);
	cr_expect(take(e, "t", "1", 14999));
	cr_expect_not(take(e, "t", "2", 15000));
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
}

Test(echo, entry_without_puback_does_not_end)
{
	struct echo *e = echo_new();

	sent(e, "t", "p");
	cr_expect(take(e, "t", "p", INT64_C(1) << 50));
	echo_free(e);
}

Test(echo, second_puback_does_not_prolong)
{
	struct echo *e = echo_new();
	uint64_t n = sent(e, "t", "p");

	echo_acked(e, n, 0);
	echo_acked(e, n, 9000);
	cr_expect_not(take(e, "t", "p", 10000));
	echo_free(e);
}

Test(echo, puback_of_what_is_gone_is_ignored)
{
	struct echo *e = echo_new();
	uint64_t n = sent(e, "t", "p");

	take(e, "t", "p", 0);
	echo_acked(e, n, 0);
	echo_acked(e, 0, 0);
	echo_acked(e, 12345, 0);
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
}

Test(echo, ended_entries_go_though_an_older_one_never_got_its_puback)
{
	struct echo *e = echo_new();

	sent(e, "t", "stuck");
	for (int i = 0; i < 10; i++)
		echo_acked(e, sent(e, "t", "p"), i);
	cr_expect_eq(echo_size(e), 11);
	cr_expect_not(take(e, "x", "", 10004));
	cr_expect_eq(echo_size(e), 6);
	cr_expect_not(take(e, "x", "", 20000));
	cr_expect_eq(echo_size(e), 1);
	cr_expect(take(e, "t", "stuck", 20000));
	echo_free(e);
}

Test(echo, beyond_the_maximum_the_oldest_is_forgotten)
{
	struct echo *e = echo_new();
	char payload[32];

	for (int i = 0; i < ECHO_MAX + 2; i++) {
		uint64_t n;

		snprintf(payload, sizeof payload, "%d", i);
		n = sent(e, "t", payload);
		if (i % 2 == 0)
			echo_acked(e, n, 0);
	}
	cr_expect_eq(echo_size(e), ECHO_MAX);
	cr_expect_not(take(e, "t", "0", 0));
	cr_expect_not(take(e, "t", "1", 0));
	cr_expect(take(e, "t", "2", 0));
	cr_expect(take(e, "t", "3", 0));
	echo_free(e);
}
