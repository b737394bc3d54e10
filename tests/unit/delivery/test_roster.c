#include <criterion/criterion.h>

#include "delivery/roster.h"

#define MANY 200

static struct roster *roster;
static int owners[MANY];
static struct roster_entry *entries[MANY];

static void set_up(void)
{
	roster = roster_new();
	for (int i = 0; i < MANY; i++)
		entries[i] = roster_add(roster, &owners[i]);
}

static void tear_down(void)
{
	for (int i = 0; i < MANY; i++)
		if (entries[i])
			roster_remove(entries[i]);
	roster_free(roster);
}

TestSuite(roster, .init = set_up, .fini = tear_down);

static int count_awake(void)
{
	int n = 0;

	for (struct roster_entry *e = roster_first(roster); e; e = roster_next(e))
		n++;
	return n;
}

static void put_all_to_sleep(int64_t deadline_ms)
{
	for (int i = 0; i < MANY; i++) {
		roster_work(entries[i], 1);
		roster_rest(entries[i], 1, deadline_ms);
	}
	cr_assert_eq(count_awake(), 0);
}

Test(roster, only_what_was_woken_is_awake)
{
	cr_expect_eq(count_awake(), MANY, "new ones are");
	put_all_to_sleep(INT64_MAX);
	roster_wake(entries[7]);
	roster_wake(entries[3]);
	roster_wake(entries[7]);
	cr_assert_eq(count_awake(), 2);
	cr_expect_eq(roster_owner(roster_first(roster)), &owners[7], "in the order of waking");
	cr_expect_eq(roster_owner(roster_next(roster_first(roster))), &owners[3]);
	cr_expect_eq(roster_deadline(roster), INT64_MAX);
}

Test(roster, nobody_sleeps_before_its_commit_is_durable)
{
	put_all_to_sleep(INT64_MAX);
	roster_wake(entries[0]);
	roster_work(entries[0], 5);
	roster_rest(entries[0], 4, INT64_MAX);
	cr_expect_eq(count_awake(), 1);
	roster_work(entries[0], 6);
	roster_rest(entries[0], 6, INT64_MAX);
	cr_expect_eq(count_awake(), 0);
}

Test(roster, what_happens_after_the_work_is_for_the_next_turn)
{
	put_all_to_sleep(INT64_MAX);
	roster_wake(entries[0]);
	roster_work(entries[0], 5);
	roster_wake(entries[0]);
	roster_rest(entries[0], 5, INT64_MAX);
	cr_expect_eq(count_awake(), 1);
}

Test(roster, one_wakes_up_in_the_order_of_deadlines)
{
	unsigned random = 1;
	int64_t last = 0;

	put_all_to_sleep(INT64_MAX);
	for (int round = 0; round < 3; round++) /* set, set again, and a few taken back */
		for (int i = 0; i < MANY; i++) {
			random = random * 1103515245 + 12345;
			roster_rest(entries[i], 1,
				    random >> 16 & 7 ? 1 + (random >> 8) % 5000 : INT64_MAX);
		}
	roster_remove(entries[11]);
	entries[11] = NULL;
	while (roster_deadline(roster) < INT64_MAX) {
		int64_t due = roster_deadline(roster);
		int before = count_awake();

		cr_assert_geq(due, last);
		roster_wake_due(roster, due - 1);
		cr_assert_eq(count_awake(), before, "not before its time");
		roster_wake_due(roster, due);
		cr_assert_gt(count_awake(), before);
		last = due;
	}
	cr_expect_gt(count_awake(), MANY / 2);
	cr_expect_lt(count_awake(), MANY);
}
