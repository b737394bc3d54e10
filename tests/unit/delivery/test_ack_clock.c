#include "delivery/ack_clock.h"

#include <criterion/criterion.h>

#define START_MS 1700000000000

static struct ack_clock c;
static int64_t now_ms;

static void set_up(void)
{
	ack_clock_init(&c, 60000);
	now_ms = START_MS;
}

TestSuite(ack_clock, .init = set_up);

/* Look every two seconds; what comes first, and when? */
static int64_t wait_for(enum ack_state wanted)
{
	int64_t from_ms = now_ms;

	while (now_ms - from_ms < 3600000) {
		now_ms = c.look_ms;
		if (ack_clock_look(&c, now_ms) == wanted)
			return now_ms - from_ms;
	}
	return -1;
}

Test(ack_clock, stands_while_nothing_is_in_flight)
{
	cr_expect_eq(c.look_ms, 0);
	ack_clock_sent(&c, now_ms);
	cr_expect_eq(c.look_ms, now_ms + 2000);
	ack_clock_acked(&c, false, now_ms);
	cr_expect_eq(c.look_ms, 0);
	ack_clock_sent(&c, now_ms);
	ack_clock_reset(&c);
	cr_expect_eq(c.look_ms, 0);
}

Test(ack_clock, says_so_after_half_a_minute_and_gives_up_after_one)
{
	ack_clock_sent(&c, now_ms);
	now_ms += 25000;
	ack_clock_sent(&c, now_ms); /* more is no progress */
	now_ms -= 25000;
	cr_expect_eq(wait_for(ACK_LATE), 30000);
	cr_expect(c.is_late);
	cr_expect_eq(wait_for(ACK_OVER), 30000);
}

Test(ack_clock, comes_again_in_growing_distances)
{
	static const int64_t wanted_s[] = { 60, 120, 240, 480, 600, 600 };

	for (size_t i = 0; i < sizeof wanted_s / sizeof wanted_s[0]; i++) {
		ack_clock_reset(&c);
		ack_clock_sent(&c, now_ms);
		cr_expect_eq(wait_for(ACK_OVER), wanted_s[i] * 1000);
		cr_expect(c.is_late, "said once, and still so");
	}
	ack_clock_acked(&c, true, now_ms);
	cr_expect_not(c.is_late);
	cr_expect_eq(wait_for(ACK_OVER), 60000);
}

Test(ack_clock, bytes_that_are_taken_are_progress)
{
	ack_clock_sent(&c, now_ms);
	for (uint64_t taken = 100; taken <= 6000; taken += 100) {
		now_ms += 2000;
		ack_clock_taken(&c, taken, taken < 4000 ? UINT64_MAX : 5000, now_ms);
		cr_expect_eq(ack_clock_look(&c, now_ms), taken <= 5000 + 1400 ? ACK_FINE : ACK_LATE,
			     "%d", (int)taken);
	}
	/* Of the last 1,000, which came later, none counted. */
	cr_expect_eq(wait_for(ACK_LATE), 10000);
}

Test(ack_clock, a_short_time_out_is_said_before)
{
	ack_clock_init(&c, 10000);
	ack_clock_sent(&c, now_ms);
	cr_expect_eq(wait_for(ACK_LATE), 6000);
	cr_expect_eq(wait_for(ACK_OVER), 4000);
}

Test(ack_clock, a_long_one_does_not_shrink)
{
	ack_clock_init(&c, 3000000);
	for (int i = 0; i < 3; i++) {
		ack_clock_reset(&c);
		ack_clock_sent(&c, now_ms);
		cr_expect_eq(wait_for(ACK_OVER), 3000000);
	}
}
