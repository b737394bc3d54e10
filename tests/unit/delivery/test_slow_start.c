#include "delivery/slow_start.h"

#include <criterion/criterion.h>

#define START_MS 1700000000000
#define MOST	 100

static struct slow_start s;
static int64_t now_ms;

static void set_up(void)
{
	s = (struct slow_start){ 0 };
	now_ms = START_MS;
}

TestSuite(slow_start, .init = set_up);

static unsigned window(void)
{
	return slow_start_window(&s, MOST, now_ms);
}

/* It acknowledged so many in half a second, and ended. */
static bool life(int n_acked)
{
	slow_start_up(&s, now_ms);
	for (int i = 0; i < n_acked; i++)
		slow_start_acked(&s, now_ms + 500 * i / n_acked);
	now_ms += 500;
	return slow_start_ended(&s, true, now_ms);
}

Test(slow_start, all_goes_without_an_end)
{
	slow_start_up(&s, now_ms);
	slow_start_acked(&s, now_ms);
	cr_expect_eq(window(), MOST);
	cr_expect(rate_limit_is_ready(&s.pace, now_ms));
}

Test(slow_start, one_and_one_more_with_each_acknowledgement)
{
	cr_expect(life(0));
	cr_expect_eq(window(), 1);
	cr_expect_eq(s.per_second, 0, "nothing was acknowledged, which is no measure");
	slow_start_up(&s, now_ms);
	for (unsigned i = 1; i <= 150; i++) {
		slow_start_acked(&s, now_ms);
		cr_expect_eq(window(), i < MOST ? i + 1 : MOST);
	}
	cr_expect_not(life(0), "said once");
	cr_expect_eq(window(), 1);
}

Test(slow_start, no_faster_than_what_was_acknowledged_before_the_end)
{
	life(20);
	cr_expect_eq(s.per_second, 20);
	life(0);
	cr_expect_eq(s.per_second, 20, "an end without any says nothing of the pace");
	life(20);
	cr_expect_eq(s.per_second, 15, "kept to it, and too fast");
	life(3);
	cr_expect_eq(s.per_second, 3);
	for (int i = 0; i < 10; i++)
		life(1);
	cr_expect_eq(s.per_second, 1, "never nothing");
}

Test(slow_start, only_the_last_second_counts)
{
	slow_start_up(&s, now_ms);
	for (int i = 0; i < 50; i++)
		slow_start_acked(&s, now_ms);
	now_ms += 1100;
	for (int i = 0; i < 5; i++)
		slow_start_acked(&s, now_ms);
	now_ms += 1100;
	slow_start_acked(&s, now_ms);
	slow_start_ended(&s, true, now_ms);
	cr_expect_eq(s.per_second, 5);
}

Test(slow_start, full_speed_after_a_minute_without_an_end)
{
	life(4);
	slow_start_up(&s, now_ms);
	now_ms += 59999;
	cr_expect_eq(window(), 1);
	now_ms += 1;
	cr_expect_eq(window(), MOST);
	cr_expect_eq(s.per_second, 0);
	for (int i = 0; i < 100; i++)
		rate_limit_take(&s.pace, now_ms);
	cr_expect(rate_limit_is_ready(&s.pace, now_ms));
}

Test(slow_start, late_and_quiet_ends_change_nothing)
{
	slow_start_up(&s, now_ms);
	cr_expect_not(slow_start_ended(&s, false, now_ms));
	cr_expect_eq(window(), MOST);
	slow_start_up(&s, now_ms);
	now_ms += SLOW_START_SOON_MS;
	cr_expect_not(slow_start_ended(&s, true, now_ms));
	cr_expect_eq(window(), MOST);
}

Test(slow_start, one_at_a_time_until_a_second_passes_without_a_refusal)
{
	static const int64_t pauses_ms[] = { 100, 200, 400, 800, 1000, 1000 };

	for (size_t i = 0; i < sizeof pauses_ms / sizeof pauses_ms[0]; i++) {
		slow_start_refused(&s, now_ms);
		cr_expect_eq(slow_start_ready_ms(&s), now_ms + pauses_ms[i]);
		now_ms += pauses_ms[i];
	}
	slow_start_refused(&s, now_ms);
	slow_start_acked(&s, now_ms);
	cr_expect_leq(slow_start_ready_ms(&s), now_ms, "it takes some");
	now_ms += 999;
	cr_expect_eq(window(), 1);
	now_ms += 1;
	cr_expect_eq(window(), MOST);
	slow_start_refused(&s, now_ms);
	cr_expect_eq(slow_start_ready_ms(&s), now_ms + 100);
}
