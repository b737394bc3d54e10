#include "delivery/suspect.h"

#include <criterion/criterion.h>

#define START_MS 1700000000000
#define M	 7 /* the suspect */

static struct suspect s;
static int64_t now_ms;

static void set_up(void)
{
	s = (struct suspect){ 0 };
	now_ms = START_MS;
}

TestSuite(suspect, .init = set_up);

static void come(void)
{
	suspect_up(&s, false, now_ms);
}

/* It is sent at once, and the far side ends it. */
static enum suspect_verdict short_life(uint64_t number)
{
	come();
	suspect_sent(&s, number, now_ms);
	now_ms += 100;
	return suspect_ended(&s, true, number, now_ms);
}

static void suspect_it(void)
{
	cr_assert_eq(short_life(M), SUSPECT_OPEN);
	cr_assert_eq(short_life(M), SUSPECT_OPEN);
	cr_assert_eq(short_life(M), SUSPECT_BEGINS);
	cr_assert_eq(s.number, M);
	cr_assert(suspect_wants_ping(&s));
}

/* A connection that holds. */
static void hold_out(void)
{
	come();
	now_ms += 5000;
	suspect_answered(&s);
}

static enum suspect_verdict try_it(enum suspect_turn wanted, uint64_t number)
{
	hold_out();
	if (s.not_before_ms > now_ms)
		now_ms = s.not_before_ms;
	cr_assert_eq(suspect_turn(&s, now_ms), wanted);
	suspect_sent(&s, number, now_ms);
	now_ms += 100;
	return suspect_ended(&s, true, number, now_ms);
}

Test(suspect, nothing_is_held_up_without_one)
{
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ALL);
	come();
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ALL);
	cr_expect_eq(suspect_due_ms(&s, now_ms), INT64_MAX);
	cr_expect_not(suspect_wants_ping(&s));
}

Test(suspect, three_short_ends_with_the_same_oldest_message_make_one)
{
	suspect_it();
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_WAIT);
}

Test(suspect, another_oldest_message_begins_anew)
{
	short_life(M);
	short_life(M);
	cr_expect_eq(short_life(M + 1), SUSPECT_OPEN);
	cr_expect_eq(short_life(M), SUSPECT_OPEN);
	cr_expect_eq(short_life(M), SUSPECT_OPEN);
	cr_expect_eq(short_life(M), SUSPECT_BEGINS);
}

Test(suspect, other_ends_do_not_count)
{
	short_life(M);
	short_life(M);
	come();
	suspect_sent(&s, M, now_ms);
	cr_expect_eq(suspect_ended(&s, false, M, now_ms), SUSPECT_OPEN, "the network");
	come();
	cr_expect_eq(suspect_ended(&s, true, 0, now_ms), SUSPECT_OPEN, "nothing was in flight");
	come();
	suspect_sent(&s, M, now_ms);
	now_ms += SUSPECT_IDLE_MS;
	cr_expect_eq(suspect_ended(&s, true, M, now_ms), SUSPECT_OPEN, "it was quiet");
	come();
	now_ms += SUSPECT_SHORT_MS;
	suspect_sent(&s, M, now_ms);
	cr_expect_eq(suspect_ended(&s, true, M, now_ms), SUSPECT_OPEN, "it had lived long");
	cr_expect_eq(suspect_ended(&s, true, M, now_ms), SUSPECT_OPEN, "there was no connection");
	cr_expect_eq(short_life(M), SUSPECT_BEGINS, "and nothing is forgotten");
}

Test(suspect, it_is_tried_when_the_connection_has_shown_that_it_holds)
{
	suspect_it();
	come();
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_WAIT);
	suspect_answered(&s);
	cr_expect_eq(suspect_turn(&s, now_ms + 4999), SUSPECT_TURN_WAIT, "too young");
	cr_expect_eq(suspect_due_ms(&s, now_ms), now_ms + 5000);
	cr_expect_eq(suspect_turn(&s, now_ms + 5000), SUSPECT_TURN_ONE);
	suspect_sent(&s, M, now_ms + 5000);
	cr_expect_eq(suspect_turn(&s, now_ms + 5001), SUSPECT_TURN_WAIT, "alone");
	cr_expect_eq(suspect_due_ms(&s, now_ms + 5001), INT64_MAX);
}

Test(suspect, age_without_an_answered_ping_is_not_enough)
{
	suspect_it();
	come();
	cr_expect_eq(suspect_turn(&s, now_ms + 60000), SUSPECT_TURN_WAIT);
}

Test(suspect, a_visit_cannot_wait)
{
	suspect_it();
	suspect_up(&s, true, now_ms);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ONE);
}

Test(suspect, what_is_acknowledged_is_innocent)
{
	suspect_it();
	hold_out();
	suspect_sent(&s, M, now_ms);
	cr_expect_eq(suspect_acked(&s, M), SUSPECT_ACQUITTED);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ALL);
	cr_expect_eq(short_life(M + 1), SUSPECT_OPEN);
}

Test(suspect, one_that_ends_it_twice_is_guilty_if_the_next_one_is_taken)
{
	suspect_it();
	cr_expect_eq(try_it(SUSPECT_TURN_ONE, M), SUSPECT_OPEN);
	cr_expect_eq(try_it(SUSPECT_TURN_ONE, M), SUSPECT_OPEN);
	hold_out();
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_OTHER);
	cr_expect_eq(suspect_n_skipped(&s), 0);
	suspect_sent(&s, M + 1, now_ms);
	cr_expect_eq(suspect_acked(&s, M + 1), SUSPECT_OPEN);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ONE,
		     "over the connection that took that");
	suspect_sent(&s, M, now_ms);
	cr_expect_eq(suspect_ended(&s, true, M, now_ms), SUSPECT_GUILTY);
	cr_expect_eq(s.number, M);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ALL);
}

Test(suspect, what_ended_before_the_control_is_no_proof)
{
	suspect_it();
	try_it(SUSPECT_TURN_ONE, M);
	try_it(SUSPECT_TURN_ONE, M);
	hold_out();
	suspect_sent(&s, M + 1, now_ms);
	suspect_acked(&s, M + 1);
	suspect_sent(&s, M, now_ms);
	cr_expect_eq(suspect_acked(&s, M), SUSPECT_ACQUITTED);
}

Test(suspect, a_connection_that_ends_before_the_last_try_decides_nothing)
{
	suspect_it();
	try_it(SUSPECT_TURN_ONE, M);
	try_it(SUSPECT_TURN_ONE, M);
	hold_out();
	suspect_sent(&s, M + 1, now_ms);
	suspect_acked(&s, M + 1);
	cr_expect_eq(suspect_ended(&s, true, 0, now_ms), SUSPECT_OPEN);
	cr_expect_eq(try_it(SUSPECT_TURN_ONE, M), SUSPECT_OPEN);
}

Test(suspect, if_the_control_ends_it_too_neither_is_to_blame)
{
	int64_t pause_ms = 1000;

	suspect_it();
	for (unsigned i = 0; i < 3; i++) {
		try_it(SUSPECT_TURN_ONE, M);
		try_it(SUSPECT_TURN_ONE, M);
		cr_expect_eq(suspect_n_skipped(&s), i, "another each time");
		cr_expect_eq(try_it(SUSPECT_TURN_OTHER, M + 1 + i), SUSPECT_BOTH);
		cr_expect_eq(s.not_before_ms, now_ms + pause_ms);
		pause_ms *= 2;
	}
	hold_out();
	suspect_sent(&s, M, now_ms);
	cr_expect_eq(suspect_acked(&s, M), SUSPECT_ACQUITTED, "whatever it was is over");
}

static void expect_last_tries(void)
{
	for (int i = 1; i < SUSPECT_TRIES; i++) {
		int64_t before_ms = now_ms;

		cr_expect_eq(try_it(SUSPECT_TURN_ONE, M), SUSPECT_OPEN, "try %d", i);
		cr_expect_geq(now_ms - before_ms, SUSPECT_TRY_MS);
	}
	cr_expect_eq(try_it(SUSPECT_TURN_ONE, M), SUSPECT_GUILTY);
	cr_expect_eq(s.number, M);
}

Test(suspect, five_that_all_end_it_leave_one_try_a_minute)
{
	suspect_it();
	for (unsigned i = 0; i < 4; i++) {
		try_it(SUSPECT_TURN_ONE, M);
		try_it(SUSPECT_TURN_ONE, M);
		cr_expect_eq(try_it(SUSPECT_TURN_OTHER, M + 1 + i), SUSPECT_BOTH);
	}
	cr_expect_not(suspect_other(&s), "no more controls");
	expect_last_tries();
}

Test(suspect, so_does_nothing_else_to_send)
{
	suspect_it();
	try_it(SUSPECT_TURN_ONE, M);
	try_it(SUSPECT_TURN_ONE, M);
	hold_out();
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_OTHER);
	suspect_no_other(&s, now_ms);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_WAIT);
	cr_expect_eq(suspect_due_ms(&s, now_ms), now_ms + SUSPECT_TRY_MS);
	expect_last_tries();
}

Test(suspect, something_else_to_send_is_the_control_at_once)
{
	suspect_it();
	try_it(SUSPECT_TURN_ONE, M);
	try_it(SUSPECT_TURN_ONE, M);
	hold_out();
	suspect_no_other(&s, now_ms);
	cr_expect(suspect_other(&s));
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_OTHER);
}

Test(suspect, a_quiet_end_says_that_it_was_not_the_message)
{
	suspect_it();
	try_it(SUSPECT_TURN_ONE, M);
	hold_out();
	cr_expect_eq(suspect_ended(&s, true, 0, now_ms), SUSPECT_OPEN);
	try_it(SUSPECT_TURN_ONE, M);
	cr_expect_eq(try_it(SUSPECT_TURN_ONE, M), SUSPECT_OPEN, "it counts from the start");
	for (int i = 1; i < SUSPECT_QUIET; i++) {
		come();
		cr_expect_eq(suspect_ended(&s, true, 0, now_ms), SUSPECT_OPEN);
	}
	come();
	cr_expect_eq(suspect_ended(&s, true, 0, now_ms), SUSPECT_ACQUITTED);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ALL);
}

Test(suspect, an_end_by_the_network_is_none_of_a_trial)
{
	suspect_it();
	for (int i = 0; i < 10; i++) {
		hold_out();
		suspect_sent(&s, M, now_ms);
		cr_expect_eq(suspect_ended(&s, false, M, now_ms), SUSPECT_OPEN);
		cr_expect_eq(s.stage, SUSPECT_ALONE);
	}
}

Test(suspect, one_that_got_too_old_is_forgotten)
{
	suspect_it();
	suspect_gone(&s, M + 1);
	cr_expect_eq(s.stage, SUSPECT_ALONE);
	suspect_gone(&s, M);
	cr_expect_eq(suspect_turn(&s, now_ms), SUSPECT_TURN_ALL);
}
