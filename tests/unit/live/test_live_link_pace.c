/* What becomes of messages when the far side misbehaves: a live link against one that acknowledges, ends the
 * connection and falls silent as a test says, for minutes that take a moment. */
#include <criterion/criterion.h>

#include "delivery/delivery.h"
#include "link/link.h"
#include "net/backoff.h"
#include "store/deadletter.h"
#include "unit/live/small_bridge.h"

#define STEP_MS 50

#define S_REPORTS SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t' }", "")
#define N_REPORTS NORTHERN("", "{ kind: 'telemetry', topic: 'n/{device}/t' }", "")

static struct generation *generation;
static struct live_link *live;

/* What it does about a message that it gets. */
enum answer { TAKES, ENDS, SAYS_NOTHING };

static struct far {
	enum answer (*answer)(int n); /* to the message {"a":N} */
	int64_t ack_ms;		      /* until an acknowledgement leaves */
	int64_t dies_ms;	      /* every so often; 0: never */
	unsigned cut_percent;	      /* of connections, at some time in their first seconds */
	int64_t up_ms, retry_ms, cut_ms;
	struct backoff backoff;
	bool has_pinged;
	struct {
		int n, mid;
		int64_t due_ms;
	} pending[DELIVERY_WINDOW];
	size_t n_pending;
	size_t n_connects, n_ended;
	bool has[2000]; /* acknowledged */
	unsigned n_has;
	int last;
	size_t n_seen; /* messages that it got, repeated ones, too */
} far;

static void start(const char *south, const char *north)
{
	generation = bridge_generation("link", NULL, south, north);
	bridge_make_parts();
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
	far.up_ms = now_ms;
	far.cut_ms = INT64_MAX;
}

static void set_up(void)
{
	world_init(&w);
	srand(7);
}

static void tear_down(void)
{
	parts.is_closing = true;
	live_link_free(live);
	bridge_free_parts();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link_pace, .init = set_up, .fini = tear_down);

static void turn(void)
{
	loop_set_now_ms(parts.loop, now_ms);
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
}

static void send_numbers(int from, int to)
{
	char text[40];

	for (int n = from; n < to; n++) {
		snprintf(text, sizeof text, "{'a':%d}", n);
		sends("south", "s/d/t", text);
	}
	turn();
}

static void far_end(enum session_end end)
{
	far.n_pending = 0;
	far.n_ended++;
	if (now_ms - far.up_ms >= 5000)
		backoff_reset(&far.backoff);
	far.retry_ms = now_ms + backoff_next(&far.backoff, BACKOFF_LOST, UINT32_MAX);
	ends("north", end);
}

static void far_come(void)
{
	if (now_ms < far.retry_ms)
		return;
	far.up_ms = now_ms;
	far.has_pinged = false;
	far.n_connects++;
	far.cut_ms = (unsigned)rand() % 100 < far.cut_percent ? now_ms + rand() % 8000 : INT64_MAX;
	comes("north");
}

static void far_acknowledge(void)
{
	struct carrier *c = find("north");
	size_t n = 0;

	while (n < far.n_pending && far.pending[n].due_ms <= now_ms) {
		int number = far.pending[n].n;

		backoff_ease(&far.backoff);
		far.n_has += !far.has[number];
		far.has[number] = true;
		far.last = number;
		c->events->acked(c->port, far.pending[n++].mid, 0, NULL);
	}
	far.n_pending -= n;
	memmove(far.pending, far.pending + n, far.n_pending * sizeof far.pending[0]);
}

/* What has left since the last time. */
static void far_read(void)
{
	char *line, *rest = mem_strdup(buf_str(&said));
	char *all = rest;
	int mid = find("north")->last_mid;

	buf_reset(&said);
	for (const char *at = all; (at = strstr(at, "north n/d/t ")) != NULL; at++)
		mid--;
	while ((line = strsep(&rest, "\n")) != NULL && find("north")->is_up) {
		int n;

		if (sscanf(line, "north n/d/t {\"a\":%d}", &n) != 1)
			continue;
		mid++;
		far.n_seen++;
		switch (far.answer ? far.answer(n) : TAKES) {
		case TAKES:
			cr_assert_lt(far.n_pending, (size_t)DELIVERY_WINDOW);
			far.pending[far.n_pending].n = n;
			far.pending[far.n_pending].mid = mid;
			far.pending[far.n_pending++].due_ms = now_ms + far.ack_ms;
			break;
		case ENDS:
			far_end(SESSION_END_CLOSED);
			break;
		case SAYS_NOTHING:
			break;
		}
	}
	free(all);
}

static void far_step(void)
{
	struct carrier *c = find("north");

	if (!c->is_up) {
		far_come();
		return;
	}
	if (c->is_probing && !far.has_pinged && now_ms - far.up_ms >= 5500) {
		far.has_pinged = true;
		c->events->answered(c->port);
	}
	far_acknowledge();
	far_read();
	if (c->is_up && (now_ms >= far.cut_ms || (far.dies_ms && now_ms % far.dies_ms < STEP_MS)))
		far_end(SESSION_END_CLOSED);
}

static void pass(int64_t ms)
{
	for (int64_t end_ms = now_ms + ms; now_ms < end_ms; now_ms += STEP_MS) {
		loop_set_now_ms(parts.loop, now_ms);
		far_step();
		turn();
	}
}

static uint64_t n_dead(void)
{
	return live_link_counters(live, FLOW_UP)->dead;
}

static void expect_all(unsigned n)
{
	cr_expect_eq(far.n_has, n, "%u got there", far.n_has);
	cr_expect_eq(n_dead(), 0, "%llu died", (unsigned long long)n_dead());
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, n);
}

/* --- messages that end the connection -------------------------------------------------------- */

static enum answer seventh_ends(int n)
{
	return n == 7 ? ENDS : TAKES;
}

static void expect_poison_out(int n)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = seventh_ends;
	far.ack_ms = 20;
	send_numbers(0, n);
	pass(60000);
	cr_expect_eq(n_dead(), 1);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_BROKER_REFUSED], 1);
	cr_expect_eq(far.n_has, (unsigned)n - 1, "%u got there", far.n_has);
	cr_expect_not(far.has[7]);
}

Test(live_link_pace, the_poison_is_out_within_a_minute_and_the_rest_through)
{
	expect_poison_out(300);
}

Test(live_link_pace, also_if_only_one_more_message_waits)
{
	expect_poison_out(9);
}

Test(live_link_pace, what_comes_meanwhile_follows_in_order)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = seventh_ends;
	send_numbers(7, 8);
	pass(20000);
	send_numbers(8, 40);
	pass(40000);
	cr_expect_eq(n_dead(), 1);
	cr_expect_eq(far.n_has, 32);
	cr_expect_eq(far.last, 39);
}

Test(live_link_pace, two_poisons_in_a_row_go_one_after_the_other)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = seventh_ends;
	send_numbers(7, 8);
	send_numbers(7, 9);
	pass(60000);
	send_numbers(9, 10);
	pass(60000);
	cr_expect_eq(n_dead(), 2);
	cr_expect_eq(far.n_has, 2);
}

Test(live_link_pace, one_that_nothing_can_be_compared_with_goes_after_ten_minutes)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = seventh_ends;
	send_numbers(7, 8);
	pass(10 * 60000);
	cr_expect_eq(n_dead(), 0);
	pass(2 * 60000);
	cr_expect_eq(n_dead(), 1);
}

/* --- outages that end connections: nothing ever dies of them -------------------------------- */

Test(live_link_pace, a_broker_that_is_killed_every_two_seconds_for_five_minutes)
{
	static const int64_t delays_ms[] = { 0, 100, 500, 1500 };

	start(S_REPORTS, N_REPORTS);
	for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
		far = (struct far){ .cut_ms = INT64_MAX,
				    .up_ms = now_ms,
				    .ack_ms = delays_ms[i],
				    .dies_ms = 2000 };
		for (int n = 0; n < 100; n++) {
			send_numbers(n * 5, n * 5 + 5);
			pass(3000);
		}
		far.dies_ms = 0;
		pass(240000);
		cr_expect_eq(far.n_has, 500, "delay %d: %u", (int)delays_ms[i], far.n_has);
		cr_expect_eq(n_dead(), 0, "delay %d", (int)delays_ms[i]);
	}
}

static int64_t opens_ms; /* until then every message ends the connection */

static enum answer limit_is_full(int n)
{
	(void)n;
	return now_ms < opens_ms ? ENDS : TAKES;
}

Test(live_link_pace, a_limit_window_of_a_minute)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = limit_is_full;
	for (int i = 0; i < 5; i++) {
		opens_ms = now_ms + 60000;
		send_numbers(i * 200, i * 200 + 200);
		pass(180000);
		expect_all((unsigned)i * 200 + 200);
	}
}

Test(live_link_pace, connections_of_which_a_third_is_cut)
{
	start(S_REPORTS, N_REPORTS);
	for (int seed = 0; seed < 6; seed++) {
		far = (struct far){
			.cut_ms = INT64_MAX, .up_ms = now_ms, .ack_ms = 300, .cut_percent = 30
		};
		srand((unsigned)seed);
		for (int n = 0; n < 100; n++) {
			send_numbers(n * 10, n * 10 + 10);
			pass(1500);
		}
		far.cut_percent = 0;
		pass(60000);
		cr_expect_eq(n_dead(), 0, "seed %d", seed);
		cr_expect_eq(far.n_has, 1000, "seed %d: %u", seed, far.n_has);
	}
}

/* --- what is never acknowledged -------------------------------------------------------------- */

static enum answer says_nothing(int n)
{
	(void)n;
	return SAYS_NOTHING;
}

static enum answer seventh_says_nothing(int n)
{
	return n == 7 ? SAYS_NOTHING : TAKES;
}

static bool is_late(void)
{
	struct live_link_port seen;

	live_link_look_at_port(live_link_next_port(live, live_link_next_port(live, NULL)), &seen);
	cr_assert_eq(seen.side, NORTH);
	return seen.is_late;
}

Test(live_link_pace, nothing_is_lost_to_a_far_side_that_acknowledges_nothing)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = says_nothing;
	send_numbers(0, 150);
	pass(29000);
	cr_expect_not(is_late());
	pass(3000);
	cr_expect(is_late());
	cr_expect_eq(far.n_seen, 100, "%zu", far.n_seen);
	pass(31000);
	cr_expect_eq(far.n_seen, 200, "%zu: it has connected anew, and all goes again", far.n_seen);
	pass(3 * 3600000);
	cr_expect_geq(far.n_seen, 1800, "every ten minutes");
	cr_expect_leq(far.n_seen, 2600);
	far.answer = NULL;
	pass(600000);
	cr_expect_not(is_late());
	expect_all(150);
}

Test(live_link_pace, one_that_is_passed_over_three_times_is_a_dead_letter)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = seventh_says_nothing;
	send_numbers(7, 8);
	pass(1000);
	for (int n = 8; n < 40; n++) { /* others come all the time, and are acknowledged */
		send_numbers(n, n + 1);
		pass(10000);
		cr_expect_eq(n_dead(), 0, "%d", n);
	}
	cr_expect(is_late());
	pass(110000);
	cr_expect_eq(n_dead(), 1);
	cr_expect_eq(far.n_has, 32);
	cr_expect_not(is_late());
}

Test(live_link_pace, a_large_message_over_a_slow_line_is_waited_for)
{
	struct carrier *c;

	start(S_REPORTS, N_REPORTS);
	far.answer = says_nothing;
	c = find("north");
	c->tells_taken = true;
	c->owed = 1000000;
	send_numbers(0, 1);
	for (int i = 0; i < 100; i++) {
		c->taken += 1000;
		pass(10000);
		cr_expect_not(is_late());
	}
	cr_expect_eq(far.n_seen, 1, "%zu", far.n_seen);
	pass(61000);
	cr_expect_eq(far.n_seen, 2, "%zu", far.n_seen);
}

/* --- too much at once ----------------------------------------------------------------------- */

#define PER_SECOND 20

static enum answer twenty_a_second(int n)
{
	static int64_t at_ms, level;

	(void)n;
	level += (now_ms - at_ms) * PER_SECOND;
	at_ms = now_ms;
	if (level > PER_SECOND * 1000)
		level = PER_SECOND * 1000;
	if (level < 1000)
		return ENDS;
	level -= 1000;
	return TAKES;
}

Test(live_link_pace, three_hundred_messages_pass_a_limit_of_twenty_a_second)
{
	start(S_REPORTS, N_REPORTS);
	far.answer = twenty_a_second;
	far.ack_ms = 100; /* what is cut off does not know that the last ones were taken */
	send_numbers(0, 300);
	pass(60000);
	expect_all(300);
	cr_expect_lt(far.n_ended, 10, "%zu ends", far.n_ended);
	send_numbers(300, 600);
	pass(60000);
	expect_all(600);
}
