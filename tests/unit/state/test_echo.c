#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "state/change.h"
#include "state/echo.h"

static uint64_t sent(struct echo *e, const char *topic, const char *payload)
{
	return echo_sent(e, &(struct echo_message){ NULL, topic, payload, strlen(payload) }, false);
}

static bool take(struct echo *e, const char *topic, const char *payload, int64_t now_ms)
{
	return echo_take(e, &(struct echo_message){ NULL, topic, payload, strlen(payload) },
			 now_ms);
}

Test(echo, only_what_was_sent_is_an_echo)
{
	static const struct {
		const char *topic, *payload;
	} others[] = { { "t", "other" }, { "u", "p" }, { "tp", "" }, { "", "tp" }, { "t", "p " } };
	struct echo *e = echo_new(NULL);

	sent(e, "t", "p");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		cr_expect_not(take(e, others[i].topic, others[i].payload, 0), "other %zu", i);
	cr_expect(take(e, "t", "p", 0));
	echo_free(e);
	echo_free(NULL);
}

Test(echo, empty_payload_may_be_null)
{
	struct echo *e = echo_new(NULL);

	echo_sent(e, &(struct echo_message){ .topic = "t" }, false);
	cr_expect(echo_take(e, &(struct echo_message){ .topic = "t" }, 0));
	echo_free(e);
}

/* Two devices say the same on the same topic, each over a session of its own. */
Test(echo, what_another_session_says_is_no_echo)
{
	const struct echo_message a = { "a", "t", "1", 1 }, b = { "b", "t", "1", 1 };
	struct echo *e = echo_new(NULL);

	echo_sent(e, &a, false);
	cr_expect_not(echo_take(e, &b, 0));
	cr_expect_not(take(e, "t", "1", 0));
	cr_expect(echo_take(e, &a, 0));
	cr_expect_not(echo_take(e, &a, 0));
	echo_free(e);
}

Test(echo, entry_serves_once_and_as_often_as_it_was_sent)
{
	struct echo *e = echo_new(NULL);

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
	struct echo *e = echo_new(NULL);

	echo_acked(e, sent(e, "t", "1"), 5000);
	echo_acked(e, sent(e, "t", "2"), 5000);
	cr_expect(take(e, "t", "1", 14999));
	cr_expect_not(take(e, "t", "2", 15000));
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
}

Test(echo, entry_without_puback_does_not_end)
{
	struct echo *e = echo_new(NULL);

	sent(e, "t", "p");
	cr_expect(take(e, "t", "p", INT64_C(1) << 50));
	echo_free(e);
}

Test(echo, second_puback_does_not_prolong)
{
	struct echo *e = echo_new(NULL);
	uint64_t n = sent(e, "t", "p");

	echo_acked(e, n, 0);
	echo_acked(e, n, 9000);
	cr_expect_not(take(e, "t", "p", 10000));
	echo_free(e);
}

Test(echo, puback_of_what_is_gone_is_ignored)
{
	struct echo *e = echo_new(NULL);
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
	struct echo *e = echo_new(NULL);

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
	struct echo *e = echo_new(NULL);
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

/* --- across restarts ----------------------------------------------------------------------- */

static uint64_t commit;

static void write_rows(struct echo *e, struct changes *rows)
{
	struct changes c = { 0 };

	echo_take_changes(e, ++commit, &c);
	for (size_t i = 0; i < c.n; i++)
		changes_put(rows, "echo", c.items[i].key, c.items[i].value, false);
	changes_fini(&c);
	echo_durable(e, commit);
}

/* End the memory, and make it again of what it wanted written; *rows is all that was. */
static struct echo *restart(struct echo *e, struct changes *rows)
{
	struct echo *again = echo_new("north");
	struct err err = { 0 };

	write_rows(e, rows);
	write_rows(e, rows);
	echo_free(e);
	for (size_t i = 0; i < rows->n; i++) {
		bool is_last = rows->items[i].value;

		for (size_t k = i + 1; k < rows->n; k++)
			is_last = is_last && strcmp(rows->items[k].key, rows->items[i].key) != 0;
		if (is_last)
			cr_assert(
				echo_restore(again, rows->items[i].key, rows->items[i].value, &err),
				"%s", err.text);
	}
	return again;
}

Test(echo, a_memory_outlives_a_restart)
{
	struct echo *e = echo_new("north");
	struct changes rows = { 0 };

	sent(e, "t", "1");
	sent(e, "t", "2");
	echo_acked(e, sent(e, "t", "3"), 1000);
	cr_expect(take(e, "t", "2", 1000));
	e = restart(e, &rows);
	cr_expect_eq(echo_size(e), 2);
	cr_expect(take(e, "t", "1", 60000), "its time begins with the first message");
	cr_expect_not(take(e, "t", "2", 60000), "that was used up");
	cr_expect(take(e, "t", "3", 69999));
	e = restart(e, &rows);
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
	changes_fini(&rows);
}

Test(echo, what_was_restored_ends_too)
{
	struct echo *e = echo_new("north");
	struct changes rows = { 0 };
	uint64_t first = sent(e, "t", "1");

	e = restart(e, &rows);
	cr_expect_not(take(e, "t", "x", 60000));
	cr_expect_not(take(e, "t", "1", 70000));
	cr_expect_gt(sent(e, "t", "2"), first, "numbers are not given twice");
	e = restart(e, &rows);
	cr_expect_eq(echo_size(e), 1);
	echo_free(e);
	changes_fini(&rows);
}

static uint64_t sent_again(struct echo *e, uint64_t number, const char *payload)
{
	return echo_sent_again(e, number,
			       &(struct echo_message){ NULL, "t", payload, strlen(payload) });
}

Test(echo, what_was_published_twice_may_come_twice)
{
	struct echo *e = echo_new("north");
	struct changes rows = { 0 };
	uint64_t a = sent(e, "t", "1"), b = sent(e, "t", "2");

	cr_expect(take(e, "t", "2", 0), "before its PUBACK was lost");
	cr_expect_eq(sent_again(e, a, "1"), a);
	cr_expect_neq(sent_again(e, b, "2"), b, "that one has gone");
	e = restart(e, &rows);
	cr_expect(take(e, "t", "1", 0));
	cr_expect(take(e, "t", "2", 0));
	cr_expect_not(take(e, "t", "2", 0));
	e = restart(e, &rows);
	cr_expect(take(e, "t", "1", 0));
	cr_expect_not(take(e, "t", "1", 0));
	e = restart(e, &rows);
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
	changes_fini(&rows);
}

Test(echo, with_no_local_nothing_is_remembered_and_what_was_ends)
{
	struct echo *e = echo_new("north");

	sent(e, "t", "1");
	echo_set_mode(e, ECHO_OFF);
	cr_expect_eq(sent(e, "t", "2"), 0);
	cr_expect_eq(sent_again(e, 0, "2"), 0);
	cr_expect(take(e, "t", "1", 0), "the broker may have it from before");
	cr_expect_not(take(e, "t", "2", 0));
	echo_free(e);
}

static struct echo *watching(void)
{
	struct echo *e = echo_new("north");

	echo_set_mode(e, ECHO_WATCH);
	return e;
}

Test(echo, a_platform_that_gives_nothing_back_is_believed)
{
	struct echo *e = watching();
	struct changes rows = { 0 };

	for (int64_t at = 0; at < 10; at++) { /* three never come within ten seconds */
		echo_acked(e, sent(e, "t", "1"), at * 5001);
		cr_expect_not(take(e, "t", "1", at * 5001));
	}
	cr_expect_not(echo_was_found(e));
	cr_expect_eq(echo_mode(e), ECHO_WATCH);
	write_rows(e, &rows);
	cr_expect_eq(rows.n, 0);
	echo_free(e);
}

Test(echo, what_stands_in_for_such_a_platform_is_found_out_by_the_third)
{
	struct echo *e = watching();
	struct changes rows = { 0 };

	sent(e, "t", "1");
	sent(e, "t", "2");
	sent(e, "t", "3");
	sent(e, "t", "4");
	cr_expect_not(take(e, "t", "1", 0));
	cr_expect_not(take(e, "t", "2", 5000));
	cr_expect_not(echo_was_found(e));
	cr_expect(take(e, "t", "3", 10000));
	cr_expect(echo_was_found(e));
	cr_expect_not(echo_was_found(e), "it is said once");
	e = restart(e, &rows);
	cr_expect(take(e, "t", "4", 0), "from then on rows are kept");
	echo_free(e);
	changes_fini(&rows);
}

Test(echo, what_stands_in_for_such_a_platform_is_found_out_by_what_nobody_else_says)
{
	struct echo *e = watching();

	echo_sent(e, &(struct echo_message){ NULL, "t", "1", 1 }, true);
	cr_expect(take(e, "t", "1", 0));
	cr_expect(echo_was_found(e));
	echo_set_mode(e, ECHO_WATCH); /* as at each login */
	sent(e, "t", "2");
	cr_expect(take(e, "t", "2", 0));
	echo_free(e);
}

Test(echo, what_was_sent_to_such_a_platform_is_no_echo_after_a_login_with_no_local_either)
{
	struct echo *e = watching();
	struct changes rows = { 0 };

	sent(e, "t", "1");
	echo_acked(e, sent(e, "t", "2"), 0);
	echo_set_mode(e, ECHO_OFF);
	cr_expect_not(take(e, "t", "1", 0));
	cr_expect_not(take(e, "t", "2", 0));
	cr_expect_eq(echo_size(e), 0);
	write_rows(e, &rows);
	cr_expect_eq(rows.n, 0);
	echo_free(e);
}

Test(echo, a_row_of_another_side_is_left_alone)
{
	struct echo *e = echo_new("north");
	struct err err = { 0 };

	cr_expect(echo_restore(e, "south/1", "no hash", &err));
	cr_expect_not(echo_restore(e, "north/1", "\"no hash\"", &err));
	cr_expect_eq(err.code, ERR_CORRUPT);
	cr_expect_eq(echo_size(e), 0);
	echo_free(e);
}

/* The changes that go with the next commit: how many, and how many of these are removals. */
static size_t take_rows(struct echo *e, size_t *n_removed)
{
	struct changes c = { 0 };
	size_t n;

	echo_take_changes(e, ++commit, &c);
	n = c.n;
	*n_removed = 0;
	for (size_t i = 0; i < c.n; i++)
		*n_removed += !c.items[i].value;
	changes_fini(&c);
	return n;
}

Test(echo, without_a_name_nothing_is_written)
{
	struct echo *e = echo_new(NULL);
	size_t n_removed;

	sent(e, "t", "1");
	cr_expect_eq(take_rows(e, &n_removed), 0);
	echo_free(e);
}

/* Until then the acknowledgement of what came back may not have left, and it may come again. */
Test(echo, the_row_of_one_that_served_goes_when_the_commit_after_it_is_durable)
{
	struct echo *e = echo_new("north");
	size_t n_removed;

	sent(e, "t", "1");
	sent(e, "t", "2");
	cr_expect_eq(take_rows(e, &n_removed), 2);
	cr_expect(take(e, "t", "1", 0));
	cr_expect_eq(take_rows(e, &n_removed), 0, "it goes with the acknowledgement");
	cr_expect(take(e, "t", "2", 0));
	cr_expect_eq(take_rows(e, &n_removed), 0, "and so does this one, with the next");
	echo_durable(e, commit - 2);
	cr_expect_eq(take_rows(e, &n_removed), 0);
	echo_durable(e, commit - 2);
	cr_expect_eq(take_rows(e, &n_removed), 1);
	cr_expect_eq(n_removed, 1, "the first; the second came after it was handed over");
	echo_durable(e, commit);
	cr_expect_eq(take_rows(e, &n_removed), 1);
	cr_expect_eq(n_removed, 1);
	echo_free(e);
}

Test(echo, each_side_takes_its_own_rows_and_those_of_a_side_without_memory_go)
{
	static const char hash[] = "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"";
	struct echoes *all = echoes_new((enum echo_mode[SIDES]){ [NORTH] = ECHO_ON });
	struct changes out = { 0 };
	struct err err = { 0 };

	cr_expect_eq(echo_mode(all->side[SOUTH]), ECHO_OFF);
	cr_expect(echoes_restore(all, "north/8", hash, &out, &err));
	cr_expect_eq(echo_size(all->side[NORTH]), 1);
	cr_expect_eq(out.n, 0);
	cr_expect(echoes_restore(all, "south/7", hash, &out, &err));
	cr_assert_eq(out.n, 1);
	cr_expect_str_eq(out.items[0].machine, "echo");
	cr_expect_str_eq(out.items[0].key, "south/7");
	cr_expect_null(out.items[0].value);
	cr_expect_not(echoes_restore(all, "north/9", "\"no hash\"", &out, &err));
	cr_expect_eq(err.code, ERR_CORRUPT);
	changes_fini(&out);
	echoes_free(all);
	echoes_free(NULL);
}
