/* A live link with a real store, between ports in memory. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "delivery/delivery.h"
#include "link/link.h"
#include "live/suspects.h"
#include "store/deadletter.h"
#include "unit/live/small_bridge.h"

static struct generation *generation;
static struct live_link *live;

static void start_link(void)
{
	bridge_make_parts();
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
}

static void start(const char *south, const char *north)
{
	generation = bridge_generation_of("link", "offline_delay = 0; ", NULL, south, north);
	start_link();
	expect("south opens\nnorth opens\nsouth starts\nnorth starts\n");
}

static void set_up(void)
{
	world_init(&w);
}

static void end_link(void)
{
	parts.is_closing = true;
	suspects_free(parts.suspects);
	live_link_free(live);
	bridge_free_parts();
}

static void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link, .init = set_up, .fini = tear_down);

/* A crash: nothing is told to anybody. */
static void restart(void)
{
	end_link();
	buf_reset(&said);
	start_link();
	buf_reset(&said);
}

/* The first half of a turn of the loop: what came in is handed over. */
static void commit(void)
{
	live_link_tick(live, now_ms);
	suspects_run_jobs(parts.suspects, generation, now_ms);
	bridge_hand_over();
}

static void turn_at(const char *wanted, int line)
{
	commit();
	expect_said_at("", line); /* nothing leaves before it is durable */
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

static void expect_letters_at(uint64_t n, int line)
{
	struct deadletter_totals totals;
	struct err e = { 0 };

	commit(); /* they are stored with the next turn */
	bridge_let_out();
	cr_assert(deadletters_totals(deadletter_live_stored(parts.letters), &totals, &e));
	cr_expect_eq(totals.count, n, "line %d: %llu", line, (unsigned long long)totals.count);
}
#define expect_letters(n) expect_letters_at(n, __LINE__)

static void add_port(enum side side, const char *device)
{
	struct session_login login = { 0 };
	struct port *p = live_link_add_port(live, side, device, false);
	struct err e = { 0 };

	cr_assert(live_link_open_port(p, &login, &e), "%s", e.text);
	memory_start(p->carrier);
	buf_reset(&said);
}

/* --- messages that report and such that ask ------------------------------------------------- */

#define S_REPORTS                                                                                  \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'space_info', topic: 's/{device}/space' }",                              \
		 "")
/* A payload may say whose it is. */
#define N_REPORTS                                                                                  \
	NORTHERN("device: 'payload',",                                                             \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'space_info', topic: 'space', read: 'f' }",                              \
		 "def f: {device: .payload.who, body: {}};")
#define S_ASKS                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'command', topic: 's/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}' }",                        \
		 "")
#define N_ASKS                                                                                     \
	NORTHERN("",                                                                               \
		 "{ kind: 'command', topic: 'n/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 'n/{device}/did/{id}' }",                        \
		 "")

Test(live_link, what_comes_in_leaves_and_is_acknowledged_when_it_is_durable)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
	cr_expect_gt(live_link_journal_bytes(live), 0);
	turn("");
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 1);
	turn("");
	cr_expect_eq(live_link_journal_bytes(live), 0);
}

/* What leaves before what was handed over is durable. */
static void expect_leaves_early_at(const char *wanted, int line)
{
	live_link_let_out(live, storage_durable(&storage));
	expect_said_at(wanted, line);
}
#define expect_leaves_early(wanted) expect_leaves_early_at(wanted, __LINE__)

#define S_ALL                                                                                      \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 's/{device}/do', answered: { status: 'done' } }",      \
		 "")
#define N_ALL                                                                                      \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 'n/{device}/do/{id}' }",                               \
		 "")

/* If it is lost with the process, its source brings it again. */
Test(live_link, what_changes_no_state_leaves_before_it_is_durable_and_is_acknowledged_then)
{
	start(S_ALL, N_ALL);
	turn(""); /* what it remembers of its start */
	sends("south", "s/d/t", "{'a':1}");
	commit();
	expect_leaves_early("north n/d/t {\"a\":1}\n");
	bridge_let_out();
	expect("south acks 1\n");
}

Test(live_link, what_changes_the_state_leaves_when_that_is_durable_and_so_does_what_comes_after_it)
{
	start(S_ALL, N_ALL);
	turn(""); /* what it remembers of its start */
	sends("north", "n/d/do/7", "{'name':'x'}");
	sends("south", "s/d/t", "{'a':1}");
	commit();
	expect_leaves_early("");
	bridge_let_out();
	expect("south acks 1\nsouth s/d/do {\"name\":\"x\"}\n"
	       "north acks 1\nnorth n/d/t {\"a\":1}\n");
	sends("south", "s/d/t", "{'a':2}");
	commit();
	expect_leaves_early("north n/d/t {\"a\":2}\n");
	bridge_let_out();
	expect("south acks 1\n");
}

Test(live_link, what_was_not_acknowledged_goes_again_over_the_next_connection)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 2\nnorth n/d/t {\"a\":1}\nnorth n/d/t {\"a\":2}\n");
	takes("north");
	goes("north");
	turn("");
	comes("north");
	turn("north n/d/t {\"a\":2}\n");
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 2);
}

Test(live_link, what_was_not_acknowledged_goes_again_after_a_restart)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
	restart();
	turn("north n/d/t {\"a\":1}\n");
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->resumed, 1);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 1);
	turn("");
	restart();
	turn("");
}

/* What changes the state was decided, and all else is translated again: neither overtakes the other. */
#define S_TELLS                                                                                    \
	SOUTHERN("",                                                                               \
		 "{ kind: 'attributes', topic: 's/{device}/a' },"                                  \
		 "{ kind: 'presence', topic: 's/{device}/p' },"                                    \
		 "{ kind: 'event', topic: 's/{device}/e' },"                                       \
		 "{ kind: 'alarm', topic: 's/{device}/l' }",                                       \
		 "")
#define N_TELLS                                                                                    \
	NORTHERN("",                                                                               \
		 "{ kind: 'attributes', topic: 'n/{device}/a' },"                                  \
		 "{ kind: 'presence', topic: 'n/{device}/p' },"                                    \
		 "{ kind: 'event', topic: 'n/{device}/e' },"                                       \
		 "{ kind: 'alarm', topic: 'n/{device}/l' }",                                       \
		 "")

Test(live_link, the_order_of_a_device_outlives_restarts)
{
	static const char wanted[] = "north n/d/a {'v':1}\nnorth n/d/p {'online':true}\n"
				     "north n/d/e {'name':'e'}\nnorth n/d/l {'active':true}\n"
				     "north n/d/a {'v':3}\nnorth n/d/p {'online':false}\n";

	start(S_TELLS, N_TELLS);
	goes("north");
	sends("south", "s/d/a", "{'v':1}");
	sends("south", "s/d/p", "{'online':true}");
	sends("south", "s/d/e", "{'name':'e'}");
	sends("south", "s/d/l", "{'active':true}");
	sends("south", "s/d/a", "{'v':3}");
	sends("south", "s/d/p", "{'online':false}");
	turn("south acks 6\n");
	for (int i = 0; i < 3; i++) {
		restart();
		turn(wanted);
	}
	sends("south", "s/d/a", "{'v':4}");
	turn("south acks 1\nnorth n/d/a {'v':4}\n");
	for (int i = 0; i < 7; i++)
		takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->resumed, 6);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 7);
}

/* --- history */

#define S_HISTORY                                                                                  \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t', read: 'f' },"                        \
		 "{ kind: 'presence', topic: 's/{device}/p' }",                                    \
		 "def f: .payload | if .at then {ts: .at, body: del(.at)} else {body: .} end;")
#define N_HISTORY                                                                                  \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t', write: 'f' },"                       \
		 "{ kind: 'presence', topic: 'n/{device}/p', write: 'f' }",                        \
		 "def f: .body + (if .ts then {ts} else {} end);")

/* One line of what leaves: n/DEVICE/t with the value, and its time, `after_ms` after the beginning. */
static int64_t began_ms;
static struct buf history;

static void says(const char *device, int v, int64_t after_ms)
{
	buf_printf(&history, "north n/%s/t {\"v\":%d,\"ts\":%lld}\n", device, v,
		   (long long)(began_ms + after_ms));
}

/* What is asked for in a turn leaves in the next one. */
static void expect_history_at(int line)
{
	commit();
	bridge_let_out();
	commit();
	bridge_let_out();
	expect_said_at(buf_str(&history), line);
	buf_fini(&history);
}
#define expect_history() expect_history_at(__LINE__)

static void start_history(void)
{
	start(S_HISTORY, N_HISTORY);
	began_ms = now_ms += 60000; /* the clock is later than the build for sure */
}

static void sends_value(const char *device, int v, int64_t after_ms)
{
	char *topic = mem_printf("s/%s/t", device), *payload = mem_printf("{\"v\":%d}", v);
	struct carrier *c = find("south");
	struct message m = { .topic = topic, .qos = 1 };

	now_ms = began_ms + after_ms;
	message_set_payload(&m, payload, strlen(payload));
	live_link_receive(live,
			  &(struct arrival){ .from = SOUTH,
					     .message = &m,
					     .at_ms = now_ms,
					     .tag = journal_live_accept(live->records, SOUTH, NULL,
									&m, now_ms, now_ms) });
	cr_expect(c->is_up);
	message_fini(&m);
	free(payload);
	commit();
	bridge_let_out();
	buf_reset(&said);
}

Test(live_link, what_could_not_leave_within_ten_seconds_says_when_it_came)
{
	start_history();
	goes("north");
	sends_value("d", 1, 0);
	sends_value("d", 2, 8000);
	sends_value("e", 3, 8000);
	now_ms = began_ms + 12000;
	comes("north");
	says("d", 1, 0);
	says("d", 2, 8000); /* as all of a device, once one was stamped */
	buf_puts(&history, "north n/e/t {\"v\":3}\n");
	expect_history();
	sends("south", "s/d/t", "{'v':4}");
	turn("south acks 1\nnorth n/d/t {\"v\":4}\n"); /* nothing waited */
}

Test(live_link, what_was_handed_over_once_keeps_its_bytes)
{
	start_history();
	goes("north");
	sends_value("d", 1, 0);
	now_ms = began_ms + 9950;
	comes("north");
	turn("north n/d/t {\"v\":1}\n");
	goes("north");
	now_ms = began_ms + 30000;
	comes("north");
	turn("north n/d/t {\"v\":1}\n");
}

#define N_HISTORY_BY_ONE                                                                           \
	NORTHERN("limits: { in_flight: 1 },",                                                      \
		 "{ kind: 'telemetry', topic: 'n/{device}/t', write: 'f' }",                       \
		 "def f: .body + (if .ts then {ts} else {} end);")

Test(live_link, history_begins_where_the_present_ended)
{
	start(S_HISTORY, N_HISTORY_BY_ONE);
	began_ms = now_ms += 60000;
	goes("north");
	sends_value("d", 1, 0);
	sends_value("d", 2, 100);
	now_ms = began_ms + 9950;
	comes("north");
	turn("north n/d/t {\"v\":1}\n"); /* the target says that it is of now */
	now_ms = began_ms + 20000;
	takes("north");
	says("d", 2, 9950);
	expect_history();
}

Test(live_link, what_says_a_time_itself_keeps_it_and_what_changes_the_state_gets_none)
{
	start_history();
	goes("north");
	sends("south", "s/d/t", "{'v':1,'at':1700000000000}");
	sends("south", "s/d/p", "{'online':true}");
	commit();
	bridge_let_out();
	buf_reset(&said);
	now_ms += 20000;
	comes("north");
	buf_puts(&history, "north n/d/t {\"v\":1,\"ts\":1700000000000}\n"
			   "north n/d/p {\"online\":true}\n");
	expect_history();
}

Test(live_link, what_waited_across_a_restart_says_when_it_came)
{
	start_history();
	goes("north");
	sends_value("d", 1, -71000); /* eleven seconds before the loop began */
	restart();
	says("d", 1, -71000);
	expect_history();
}

/* --- another boot, of which nobody knows how long ago the last one was */

Test(live_link, a_command_of_before_is_not_obeyed_then_and_what_was_reported_is_told)
{
	start(S_ASKS, N_ASKS);
	goes("south");
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("north acks 1\n");
	end_link();
	buf_reset(&said);
	bridge_make_parts();
	bridge_start_link(generation);
	live = lives[0];
	live_link_void_commands(live);
	bridge_resume();
	buf_reset(&said);
	turn("");
	turn("north n/d/did/7 {\"status\":\"error\",\"message\":\"expired\"}\n");
	sends("north", "n/d/do/8", "{'name':'x'}");
	commit();
	bridge_let_out();
	cr_expect(strstr(buf_str(&said), "{\"name\":\"x\"}"), "a new one is: %s", buf_str(&said));
}

/* --- after a crash */

/* The run ends by a fault, with message `seq` in hand (0: none was marked); the next one is careful. */
static void crash(unsigned seq)
{
	char *state = mem_printf("%s/state", w.dir), *note = mem_printf("%s/crash", state);
	struct err e = { 0 };
	FILE *f;

	end_link();
	f = fopen(note, "w");
	fprintf(f, "11 %u\n", seq);
	fclose(f);
	bridge_make_parts();
	parts.suspects = suspects_new(parts.db, state, now_ms, &e);
	cr_assert(parts.suspects, "%s", e.text);
	cr_expect_neq(access(note, F_OK), 0);
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
	free(state);
	free(note);
}

Test(live_link, what_ends_the_process_three_times_is_a_dead_letter)
{
	start(S_TELLS, N_TELLS);
	goes("north");
	sends("south", "s/d/a", "{'v':1}");
	sends("south", "s/d/p", "{'online':true}");
	sends("south", "s/d/a", "{'v':3}");
	turn("south acks 3\n");
	crash(0);
	for (int i = 0; i < 2; i++) {
		crash(2);
		turn("north n/d/a {'v':1}\nnorth n/d/p {'online':true}\nnorth n/d/a {'v':3}\n");
	}
	crash(2);
	turn("north n/d/a {'v':1}\nnorth n/d/a {'v':3}\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_CRASH], 1);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->resumed, 3);
	expect_letters(1);
	restart(); /* a clean end: nobody is careful, and nothing is dead */
	turn("north n/d/a {'v':1}\nnorth n/d/a {'v':3}\n");
	expect_letters(1);
}

Test(live_link, after_a_crash_a_message_is_stored_before_it_is_looked_at)
{
	start(S_TELLS, N_TELLS);
	crash(0);
	sends("south", "s/d/a", "{'v':1}");
	sends("south", "s/d/a", "{'v':2}");
	turn("south acks 2\n");
	cr_expect(suspects_is_due(parts.suspects, generation));
	turn("north n/d/a {'v':1}\nnorth n/d/a {'v':2}\n");
	takes("north");
	takes("north");
	now_ms += CAREFUL_MS;
	turn("");
	cr_expect_not(suspects_is_careful(parts.suspects));
	sends("south", "s/d/a", "{'v':3}");
	turn("south acks 1\nnorth n/d/a {'v':3}\n");
}

Test(live_link, what_the_far_end_refuses_is_a_dead_letter)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
	refuses("north", 0x87);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_BROKER_REFUSED], 1);
	find("north")->max_bytes = 4;
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_TOO_LARGE], 1);
	expect_letters(2);
	cr_expect_eq(live_link_journal_bytes(live), 0);
}

static void pass(int64_t ms)
{
	now_ms += ms;
	loop_set_now_ms(parts.loop, now_ms);
}

Test(live_link, what_is_too_much_goes_again_first_and_one_at_a_time)
{
	static const int codes[] = { 0x97, 0x96, 0x91 };

	start(S_REPORTS, N_REPORTS);
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		sends("south", "s/d/t", "{'a':1}");
		sends("south", "s/d/t", "{'a':2}");
		turn("south acks 2\nnorth n/d/t {'a':1}\nnorth n/d/t {'a':2}\n");
		refuses("north", codes[i]);
		refuses("north", codes[i]);
		sends("south", "s/d/t", "{'a':3}");
		turn("south acks 1\n");
		cr_expect_leq(live_link_next_deadline(live), now_ms + 200);
		pass(200);
		turn("north n/d/t {'a':1}\n");
		takes("north");
		turn("north n/d/t {'a':2}\n");
		pass(1000);
		turn("north n/d/t {'a':3}\n");
		takes("north");
		takes("north");
		pass(1000);
	}
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 9);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->dead, 0);
}

Test(live_link, what_the_platform_says_of_its_limits_narrows_what_is_known)
{
	struct limits told = { .in_flight = 1, .packet_bytes = 20, .messages_per_second = 100 };
	struct port *p;

	start(S_REPORTS, NORTHERN("limits: { in_flight: 2 },",
				  "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	p = find("north")->port;
	live_link_pace_told(p, &told);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	sends("south", "s/d/t", "{'a':3}");
	turn("south acks 3\nnorth n/d/t {'a':1}\n");
	told = (struct limits){ .in_flight = 50 }; /* the dialect's holds */
	live_link_pace_told(p, &told);
	turn("north n/d/t {'a':2}\n");
	takes("north");
	takes("north");
	turn("north n/d/t {'a':3}\n");
	takes("north");
	told.packet_bytes = 20;
	live_link_pace_told(p, &told);
	sends("south", "s/d/t", "{'a':123456}");
	turn("south acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_TOO_LARGE], 1);
}

Test(live_link, what_fails_over_there_is_tried_five_times_and_holds_up_nothing)
{
	static const int codes[] = { 0x80, 0x83 };

	start(S_REPORTS, N_REPORTS);
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		sends("south", "s/d/t", "{'a':1}");
		turn("south acks 1\nnorth n/d/t {'a':1}\n");
		for (int n = 1; n < 5; n++) {
			refuses("north", codes[i]);
			sends("south", "s/d/t", "{'a':2}");
			turn("south acks 1\nnorth n/d/t {'a':2}\n");
			takes("north");
			cr_expect_leq(live_link_next_deadline(live), now_ms + 15000);
			pass(15000);
			turn("north n/d/t {'a':1}\n");
			cr_expect_eq(live_link_counters(live, FLOW_UP)->dead, i);
		}
		refuses("north", codes[i]);
		cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_BROKER_REFUSED], i + 1);
	}
}

Test(live_link, what_was_put_aside_waits_for_its_session_like_all_else)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {'a':1}\n");
	refuses("north", 0x80);
	goes("north");
	turn("");
	pass(20000);
	turn("");
	cr_expect_gt(live_link_next_deadline(live), now_ms, "the loop sleeps");
	comes("north");
	turn("north n/d/t {'a':1}\n");
	refuses("north", 0x80);
	goes("north");
	pass(parts.max_age_ms + 1000);
	turn("");
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_EXPIRED], 1);
}

#define S_STATES SOUTHERN("", "{ kind: 'presence', topic: 's/{device}/p' }", "")
#define N_STATES NORTHERN("", "{ kind: 'presence', topic: 'n/{device}/p' }", "")

Test(live_link, what_is_older_than_one_that_was_taken_does_not_follow_it)
{
	start(S_STATES, N_STATES);
	sends("south", "s/d/p", "{'online':true}");
	sends("south", "s/e/p", "{'online':true}");
	sends("south", "s/d/p", "{'online':false}");
	turn("south acks 3\nnorth n/d/p {'online':true}\nnorth n/d/p {'online':false}\n"
	     "north n/e/p {'online':true}\n");
	refuses("north", 0x97);
	takes("north");
	refuses("north", 0x97);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_BROKER_REFUSED], 1);
	pass(200);
	turn("north n/e/p {'online':true}\n");
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 2);
}

Test(live_link, a_source_is_held_while_its_target_takes_nothing)
{
	size_t n = 1 << 20, n_sent = 0;
	char *large = mem_zalloc(n);

	memset(large, ' ', n);
	memcpy(large, "{\"a\":1", 6);
	large[n - 1] = '}';
	start(S_REPORTS, N_REPORTS);
	goes("north");
	for (; n_sent < 8; n_sent++)
		sends_bytes("south", "s/d/t", large, n);
	turn("south acks 8\nsouth hold\n"); /* 8 MB that came, and 8 that wait */
	sends("north", "space", "{'who':'d'}");
	turn("south s/d/space {}\nnorth acks 1\n");
	find("south")->is_up = false;
	sends("north", "space", "{'who':'e'}");
	turn("north acks 1\nsouth visit\n");
	comes("north");
	commit();
	bridge_let_out();
	buf_reset(&said);
	while (n_sent-- > 0)
		takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 8);
	comes("south");
	turn("south s/e/space {}\nsouth release\n");
	free(large);
}

Test(live_link, what_is_too_much_for_the_platforms_pace_goes_later)
{
	start(S_REPORTS, NORTHERN("limits: { messages_per_second: 5 },",
				  "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 2\nnorth n/d/t {'a':1}\n");
	cr_expect_leq(live_link_next_deadline(live), now_ms + 250);
	now_ms += 250;
	turn("north n/d/t {'a':2}\n");
	cr_expect_gt(live_link_next_deadline(live), now_ms + 1000, "nothing waits");
}

Test(live_link, all_sources_are_held_when_nothing_can_be_stored)
{
	start(S_REPORTS, N_REPORTS);
	live_link_hold_sources(live, true, now_ms);
	expect("south hold\nnorth hold\n");
	live_link_hold_sources(live, true, now_ms);
	expect("");
	live_link_hold_sources(live, false, now_ms);
	expect("south release\nnorth release\n");
}

Test(live_link, a_command_that_waits_too_long_is_answered)
{
	start(S_ASKS, N_ASKS);
	goes("south");
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("north acks 1\n");
	cr_expect_lt(live_link_next_deadline(live), now_ms + 60000);
	now_ms += 20000;
	turn("");
	now_ms += 10000;
	turn("north n/d/did/7 {\"status\":\"error\",\"message\":\"timeout\"}\n");
	comes("south");
	turn(""); /* it is not obeyed late */
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->delivered, 1);
}

Test(live_link, a_command_that_nobody_replies_to_is_done_when_the_broker_has_it)
{
	start(SOUTHERN("",
		       "{ kind: 'command', topic: 's/{device}/do', answered: { status: 'done' } },"
		       "{ kind: 'command_reply', topic: 's/{device}/did' }",
		       ""),
	      N_ASKS);
	goes("south");
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("north acks 1\n");
	now_ms += 5000;
	comes("south");
	turn("south s/d/do {'name':'x'}\n");
	takes("south");
	turn("north n/d/did/7 {'status':'done'}\n");
	goes("south");
	sends("north", "n/d/do/8", "{'name':'x'}");
	turn("north acks 1\n");
	now_ms += 30000;
	turn("north n/d/did/8 {'status':'error','message':'timeout'}\n");
	comes("south");
	turn("");
}

Test(live_link, a_command_whose_sender_was_told_of_a_time_out_is_not_sent_after_a_restart_either)
{
	start(S_ASKS, N_ASKS);
	goes("south");
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("north acks 1\n");
	restart();
	goes("south");
	now_ms += 29000;
	turn("");
	now_ms += 1000;
	turn("north n/d/did/7 {\"status\":\"error\",\"message\":\"timeout\"}\n");
	comes("south");
	turn("");
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->delivered, 1);
}

#define S_ASKS_3 S_ASKS_BY("")
#define S_ASKS_5 S_ASKS_BY("mqtt: 5,")
#define S_ASKS_BY(keys)                                                                            \
	SOUTHERN(keys,                                                                             \
		 "{ kind: 'command', topic: 's/{device}/do/{id}', id: 'integer' },"                \
		 "{ kind: 'config', topic: 's/{device}/c' },"                                      \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}' }",                        \
		 "")

Test(live_link, a_dead_command_that_is_tried_again_is_sent)
{
	struct message m = { .topic = mem_strdup("n/d/do/7"), .qos = 1 };

	message_set_payload(&m, "{\"name\":\"x\"}", 12);
	start(S_ASKS_3, N_ASKS);
	live_link_retry(live, NORTH, NULL, &m, now_ms - 3600000);
	turn("south s/d/do/1 {'name':'x'}\n");
	restart();
	turn("south s/d/do/1 {'name':'x'}\n"); /* that it was tried again is not forgotten */
	message_fini(&m);
}

Test(live_link, a_command_that_comes_again_after_a_lost_connection_keeps_its_id)
{
	start(S_ASKS_3, N_ASKS);
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("south s/d/do/1 {'name':'x'}\nnorth acks 1\n");
	sends("north", "n/d/do/8", "{'name':'x'}");
	turn("south s/d/do/2 {'name':'x'}\nnorth acks 1\n");
	takes("south");
	goes("north");
	comes("north");
	sends("north", "n/d/do/7", "{'name':'x'}");
	sends("north", "n/d/do/8", "{'name':'x'}");
	turn("south s/d/do/1 {'name':'x'}\nnorth acks 2\n"); /* the second is on its way still */
	takes("south");
	restart();
	sends("north", "n/d/do/7", "{'name':'x'}");
	sends("north", "n/d/do/8", "{'name':'y'}");
	turn("south s/d/do/2 {'name':'x'}\nsouth s/d/do/1 {'name':'x'}\n"
	     "south s/d/do/3 {'name':'y'}\nnorth acks 2\n");
}

Test(live_link, what_an_earlier_run_decided_does_not_follow_what_is_newer_either)
{
	start(S_ASKS_3, N_ASKS);
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("south s/d/do/1 {'name':'x'}\nnorth acks 1\n");
	restart();
	turn("south s/d/do/1 {'name':'x'}\n");
	sends("north", "n/d/do/8", "{'name':'y'}");
	turn("south s/d/do/2 {'name':'y'}\nnorth acks 1\n");
	refuses("south", 0x97);
	takes("south");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[DEAD_BROKER_REFUSED], 1);
	pass(2000);
	commit();
	bridge_let_out();
	cr_expect_null(strstr(buf_str(&said), "s/d/do/1"));
}

Test(live_link, a_command_that_comes_again_after_a_crash_keeps_its_id)
{
	start(S_ASKS_3, N_ASKS);
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("south s/d/do/1 {'name':'x'}\nnorth acks 1\n");
	takes("south");
	turn("");
	crash(0);
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("north acks 1\n");
	turn("south s/d/do/1 {'name':'x'}\n");
	sends("north", "n/d/do/7", "{'name':'x'}"); /* asked twice over one connection */
	turn("north acks 1\n");
	turn("south s/d/do/2 {'name':'x'}\n");
}

/* What the sender is told of a time-out must not wait in a broker for the device to come back. */
Test(live_link, a_broker_is_told_how_long_a_command_is_good)
{
	start(S_ASKS_5, N_ASKS);
	goes("south");
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("north acks 1\n");
	now_ms += 7500; /* 22.5 s are left */
	comes("south");
	turn("south s/d/do/1 {\"name\":\"x\"} for 22 s\n");
	goes("south"); /* which has not acknowledged it */
	now_ms += 21500;
	comes("south");
	turn("south s/d/do/1 {\"name\":\"x\"} for 1 s\n");
	goes("south");
	now_ms += 1; /* 999 ms are left, and 0 seconds would be for ever */
	comes("south");
	turn("north n/d/did/7 {\"status\":\"error\",\"message\":\"timeout\"}\n");
}

Test(live_link, a_broker_of_mqtt_3_is_told_nothing)
{
	start(S_ASKS_3, N_ASKS);
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn("south s/d/do/1 {\"name\":\"x\"}\nnorth acks 1\n");
	goes("south");
	now_ms += 29500;
	comes("south");
	turn("south s/d/do/1 {\"name\":\"x\"}\n");
}

/* Its own command, that is, is nothing that a device says, however often it was published. */
Test(live_link, what_was_published_twice_is_given_back_twice)
{
	start(SOUTHERN("",
		       "{ kind: 'command', topic: 's/{device}/do', only: 'write' },"
		       "{ kind: 'event', topic: 's/{device}/do', only: 'read' }",
		       ""),
	      NORTHERN("",
		       "{ kind: 'command', topic: 'n/{device}/do' },"
		       "{ kind: 'event', topic: 'n/{device}/e' }",
		       ""));
	sends("north", "n/d/do", "{'name':'x'}");
	turn("south s/d/do {'name':'x'}\nnorth acks 1\n");
	goes("south");
	comes("south");
	turn("south s/d/do {'name':'x'}\n");
	sends("south", "s/d/do", "{'name':'x'}");
	turn("south acks 1\n");
	turn("");  /* that this one came is written when its acknowledgement has left */
	restart(); /* which publishes it once more */
	turn("south s/d/do {'name':'x'}\n");
	sends("south", "s/d/do", "{'name':'x'}");
	sends("south", "s/d/do", "{'name':'x'}");
	turn("south acks 2\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[FILTERED_ECHO], 2);
	sends("south", "s/d/do", "{'name':'x'}");
	turn("south acks 1\nnorth n/d/e {'name':'x'}\n");
}

#define S_CONFIGURED                                                                               \
	SOUTHERN("mqtt: 5,",                                                                       \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'config', topic: 's/{device}/c', write: 'w' }",                          \
		 "def w: .body.changed;")
#define N_CONFIGURES                                                                               \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'config', topic: 'n/{device}/c', read: 'r' }",                           \
		 "def r: {body: {changed: .payload}};")

/* MQTT 5 says when nobody has subscribed. */
Test(live_link, what_nobody_listens_to_is_sent_when_the_device_shows_up)
{
	start(S_CONFIGURED, N_CONFIGURES);
	sends("north", "n/d/c", "{'rate':10}");
	turn("south s/d/c {\"rate\":10}\nnorth acks 1\n");
	refuses("south", 0x10);
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->delivered, 1);
	expect_letters(0);
	restart();
	now_ms += 10;
	sends("south", "s/d/t", "{'v':1}");
	turn("south acks 1\nnorth n/d/t {\"v\":1}\n");
	turn("south s/d/c {\"rate\":10}\n");
}

/* What a device has from before, of another cloud or of a state that was lost, is older. */
Test(live_link, the_first_version_of_a_configuration_is_the_time)
{
	char *wanted;

	start(SOUTHERN("", "{ kind: 'config', topic: 's/{device}/c', write: 'w' }",
		       "def w: .body.version;"),
	      N_CONFIGURES);
	wanted = mem_printf("south s/d/c %lld\nnorth acks 1\n", (long long)(now_ms / 1000));
	sends("north", "n/d/c", "{'rate':10}");
	turn(wanted);
	free(wanted);
}

/* The letter says what was wanted when it was written, the state what is wanted now. */
Test(live_link, a_letter_of_a_configuration_that_was_said_otherwise_since_is_superseded)
{
	struct message letter = { .topic = (char *)"n/d/c", .qos = 1 };
	int64_t came_ms;

	message_set_payload(&letter, "{\"rate\":10}", 11);
	start(S_CONFIGURED, N_CONFIGURES);
	came_ms = now_ms;
	sends("north", "n/d/c", "{'rate':10}");
	turn("south s/d/c {\"rate\":10}\nnorth acks 1\n");
	refuses("south", 0x87);
	expect_letters(1);
	live_link_retry(live, NORTH, NULL, &letter, came_ms);
	turn("south s/d/c {\"rate\":10}\n");
	refuses("south", 0x87);
	turn("");
	now_ms += 1000;
	sends("north", "n/d/c", "{'rate':11}");
	turn("south s/d/c {\"rate\":11}\nnorth acks 1\n");
	takes("south");
	turn("");
	live_link_retry(live, NORTH, NULL, &letter, came_ms - 1);
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[FILTERED_SUPERSEDED], 1);
	free(letter.payload);
}

/* It is to be MQTT 5, and comes to be 3.1.1 after all. */
Test(live_link, whether_something_is_given_back_follows_the_version_of_the_login)
{
	struct carrier *north;

	start(SOUTHERN("",
		       "{ kind: 'attributes', topic: 's/{device}/a' },"
		       "{ kind: 'config', topic: 's/{device}/c', write: 'w' }",
		       "def w: .body.changed;"),
	      NORTHERN("mqtt: 5,",
		       "{ kind: 'attributes', topic: 'n/{device}/a', only: 'write' },"
		       "{ kind: 'config', topic: 'n/{device}/a', only: 'read', read: 'c' }",
		       "def c: {body: {changed: .payload}};"));
	goes("north");
	sends("south", "s/d/a", "{'a':1}");
	turn("south acks 1\n");
	north = find("north");
	north->mqtt = 4;
	comes("north");
	north->events->up(north->port);
	turn("north n/d/a {'a':1}\n");
	sends("north", "n/d/a", "{'a':1}");
	turn("north acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[FILTERED_ECHO], 1);
	north->mqtt = 5;
	north->events->up(north->port);
	sends("south", "s/d/a", "{'a':2}");
	turn("south acks 1\nnorth n/d/a {'a':2}\n");
	sends("north", "n/d/a", "{'a':2}");
	turn("south s/d/c {'a':2}\nnorth acks 1\n");
}

Test(live_link, what_waits_longer_than_the_journal_keeps_is_a_dead_letter)
{
	start(S_REPORTS, N_REPORTS);
	goes("north");
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	now_ms += parts.max_age_ms;
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_EXPIRED], 1);
	expect_letters(1);
}

/* --- handshakes */

#define S_JOIN                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'provision', topic: 'join' },"                                           \
		 "{ kind: 'provision_reply', topic: 'joined' }",                                   \
		 "")
#define N_JOIN_WITH(keys, rows)                                                                    \
	NORTHERN(keys                                                                              \
		 "credentials: ['token'],"                                                         \
		 "session: { username: '{token}', provisioning: { username: 'provision' } },",     \
		 rows "{ kind: 'provision', topic: 'P/ask' },"                                     \
		      "{ kind: 'provision_reply', topic: 'P/reply' },"                             \
		      "{ kind: 'telemetry', topic: 'T/{device}' }",                                \
		 "")
#define N_JOIN N_JOIN_WITH("", "")

static void start_join_at(const char *north)
{
	generation = bridge_generation("link", "d1", S_JOIN, north);
	start_link();
	expect("south opens\nnorth opens\nsouth starts\n"); /* it has nothing to log in with */
}

static void start_join(void)
{
	start_join_at(N_JOIN);
}

Test(live_link, the_port_of_a_handshake_is_there_as_long_as_it_takes)
{
	start_join();
	sends("south", "join", "{'device_name':'D'}");
	commit();
	bridge_let_out();
	expect("asks opens\nasks starts\nsouth acks 1\nasks P/ask "
	       "{\"device_name\":\"D\",<token>}\n");
	sends("asks", "P/reply", "{'status':'SUCCESS','token':'T1'}");
	generation_run(generation);
	expect("north login T1\nnorth starts\nasks closes\n");
	turn("south joined {\"status\":\"SUCCESS\",\"token\":\"T1\",\"device_id\":\"d1\","
	     "\"credentials_type\":\"ACCESS_TOKEN\"}\n");
	restart();
	cr_expect(find("north")->is_up, "it logs in with what was issued");
	buf_reset(&said);
	find("north")->events->down(find("north")->port,
				    SESSION_END_REFUSED); /* they are refused */
	sends("south", "join", "{'device_name':'D'}");
	generation_run(generation);
	expect("asks opens\nasks starts\n");
}

static void expect_owner(const char *name, bool is_proved)
{
	bool proved;
	const char *owner = live_link_owner(live, &proved);

	cr_expect_str_eq(owner ? owner : "-", name);
	cr_expect_eq(proved, is_proved);
}

Test(live_link, it_belongs_to_who_logs_in_until_that_is_forgotten)
{
	start_join();
	sends("south", "join", "{'device_name':'D'}");
	commit();
	bridge_let_out();
	expect("asks opens\nasks starts\nsouth acks 1\nasks P/ask "
	       "{\"device_name\":\"D\",<token>}\n");
	sends("asks", "P/reply", "{'status':'SUCCESS','token':'T1'}");
	generation_run(generation);
	expect_owner("D", true);
	commit();
	bridge_let_out();
	takes("south");
	restart();
	expect_owner("D", true);
	buf_reset(&said);
	turn("south joined {\"status\":\"SUCCESS\",\"token\":\"T1\",\"device_id\":\"d1\","
	     "\"credentials_type\":\"ACCESS_TOKEN\"}\n");
	sends("south", "join", "{'device_name':'evil'}");
	turn("south acks 1\n"
	     "south joined {\"status\":\"FAILURE\",\"message\":\"another device has this "
	     "link\"}\n");
	cr_expect_not(live_link_forget(live, "evil"));
	cr_expect(live_link_forget(live, "D"));
	expect("north stops\n");
	expect_owner("-", false);
	sends("south", "join", "{'device_name':'E'}");
	commit();
	bridge_let_out();
	expect("asks opens\nasks starts\nsouth acks 1\nasks P/ask "
	       "{\"device_name\":\"E\",<token>}\n");
	sends("asks", "P/reply", "{'status':'SUCCESS','token':'T2'}");
	refuses_to_start = true;
	generation_run(generation);
	expect("north login T2\nnorth starts\nasks closes\n");
	expect_owner("E", false);
}

Test(live_link, a_login_shows_whether_a_device_was_made_whose_answer_was_lost)
{
	start_join();
	sends("south", "join", "{'device_name':'D'}");
	commit();
	bridge_let_out();
	expect("asks opens\nasks starts\nsouth acks 1\nasks P/ask "
	       "{\"device_name\":\"D\",<token>}\n");
	goes("asks"); /* and took the answer along */
	comes("asks");
	turn("asks P/ask {\"device_name\":\"D\",<token>}\n");
	sends("asks", "P/reply", "{'status':'FAILURE'}");
	generation_run(generation);
	expect("asks closes\nasks opens\nasks starts\n");
	live_link_tick(live, now_ms);
	generation_run(generation);
	expect("north login <token>\nnorth starts\nasks closes\n");
	turn("south joined {\"status\":\"SUCCESS\",<token>,\"device_id\":\"d1\"}\n");
}

Test(live_link, a_login_that_is_refused_leaves_the_name_to_another)
{
	start_join();
	sends("south", "join", "{'device_name':'D'}");
	commit();
	bridge_let_out();
	goes("asks");
	comes("asks");
	commit();
	bridge_let_out();
	sends("asks", "P/reply", "{'status':'FAILURE'}");
	refuses_to_start = true;
	generation_run(generation);
	buf_reset(&said);
	find("asks")->events->down(find("asks")->port,
				   SESSION_END_UNMADE); /* the network tells nothing */
	live_link_tick(live, now_ms);
	expect("");
	find("asks")->events->down(find("asks")->port, SESSION_END_REFUSED);
	live_link_tick(live, now_ms);
	generation_run(generation);
	expect("asks closes\n");
	turn("south joined {\"status\":\"FAILURE\"}\n");
}

Test(live_link, handshakes_share_the_port)
{
	start_join();
	sends("south", "join", "{'device_name':'D'}");
	sends("south", "join", "{'device_name':'E'}");
	commit();
	bridge_let_out();
	expect("asks opens\nasks starts\nsouth acks 2\nasks P/ask {'device_name':'D',<token>}\n");
	takes("asks");
	sends("asks", "P/reply", "{'status':'FAILURE'}");
	turn("south joined {'status':'FAILURE'}\nasks acks 1\nasks P/ask "
	     "{'device_name':'E',<token>}\n");
}

Test(live_link, a_handshake_is_given_up_with_its_port)
{
	start_join();
	sends("south", "join", "{'device_name':'D'}");
	commit();
	bridge_let_out();
	buf_reset(&said);
	now_ms += 30000;
	live_link_tick(live, now_ms);
	generation_run(generation);
	expect("asks closes\n");
	turn("south joined {\"status\":\"FAILURE\",\"message\":\"timeout\"}\n");
}

Test(live_link, a_handshake_whose_port_cannot_be_had_is_given_up_in_its_time)
{
	start_join();
	refuses_to_open = true;
	sends("south", "join", "{'device_name':'D'}");
	turn("south acks 1\n");
	now_ms += 30000;
	turn("south joined {\"status\":\"FAILURE\",\"message\":\"timeout\"}\n");
}

/* --- what a log may have */

Test(live_link, a_credential_in_a_filter_is_not_told)
{
	start(SOUTHERN("credentials: ['key'], vars: {key: 'k-4711'},",
		       "{ kind: 'telemetry', topic: 's/{key}/{device}/t' }", ""),
	      NORTHERN("", "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	cr_expect_str_eq(find("south")->shown, "s/***/+/t ");
	sends("south", "s/k-4711/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
}

Test(live_link, a_credential_in_what_a_server_says_is_not_told)
{
	const struct carrier *c;
	char *told;

	start(SOUTHERN("credentials: ['key'], vars: {key: 'k-4711'},",
		       "{ kind: 'telemetry', topic: 's/{key}/{device}/t' }", ""),
	      NORTHERN("", "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	c = find("north");
	told = c->events->tellable(c->port, "no s/k-4711/d/t here");
	cr_expect_str_eq(told, "no s/***/d/t here");
	free(told);
}

/* --- what follows a login */

#define S_THERE                                                                                    \
	SOUTHERN("",                                                                               \
		 "{ kind: 'presence', topic: 's/{device}/there' },"                                \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 's/{device}/do/{id}', id: 'integer' },"                \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}', id: 'integer' }",         \
		 "")
#define N_GREETED(greetings)                                                                       \
	NORTHERN("on_connect: [" greetings "],",                                                   \
		 "{ kind: 'hello', topic: 'n/{device}/hello', format: 'text', write: 'none' },"    \
		 "{ kind: 'presence', topic: 'n/{device}/there' },"                                \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'limits_request', topic: 'ask/{id}', id: 'integer' },"                   \
		 "{ kind: 'limits', topic: 'told/{id}', id: 'integer' }",                          \
		 "def none: \"\";")

Test(live_link, who_is_online_is_said_again_after_each_login)
{
	start(S_THERE, N_GREETED("'presence'"));
	turn(""); /* nobody is */
	sends("south", "s/d/there", "{'online':true}");
	sends("south", "s/e/there", "{'online':true}");
	sends("south", "s/e/there", "{'online':false}");
	turn("south acks 3\nnorth n/d/there {\"online\":true}\nnorth n/e/there {\"online\":true}\n"
	     "north n/e/there {\"online\":false}\n");
	takes("north");
	takes("north");
	takes("north");
	goes("north");
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	comes("north");
	turn("north n/d/there {\"online\":true}\nnorth n/d/t {\"a\":1}\n"); /* what waits may need it */
	goes("north");
	comes("north");
	turn("north n/d/there {\"online\":true}\nnorth n/d/t {\"a\":1}\n"); /* and only once */
	restart();
	turn("north n/d/there {\"online\":true}\nnorth n/d/t {\"a\":1}\n");
	takes("north");
	takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 1);
	turn("");
	restart();
	turn("north n/d/there {\"online\":true}\n");
}

Test(live_link, who_never_says_that_it_is_online_is_said_to_be_if_heard_of_lately)
{
	start(S_THERE, N_GREETED("'presence'"));
	turn("");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	sends("south", "s/e/there", "{'online':false}");
	turn("south acks 3\nnorth n/d/t {\"a\":1}\nnorth n/e/t {\"a\":1}\n"
	     "north n/e/there {\"online\":false}\n");
	takes("north");
	takes("north");
	takes("north");
	turn(""); /* what was heard of is written now */
	goes("north");
	comes("north");
	turn("north n/d/there {\"online\":true}\n");
	takes("north");
	restart();
	turn("north n/d/there {\"online\":true}\n");
	takes("north");
	pass(8 * 86400000);
	goes("north");
	buf_reset(&said);
	comes("north");
	turn("");
	sends("south", "s/d/there", "{'online':true}"); /* is news all the same */
	turn("south acks 1\nnorth n/d/there {\"online\":true}\n");
}

Test(live_link, a_session_is_greeted_about_its_own_device)
{
	start(S_THERE, N_GREETED("'presence', 'hello'"));
	turn(""); /* of any devices, of which none is known */
	sends("south", "s/d/there", "{'online':true}");
	sends("south", "s/e/there", "{'online':true}");
	add_port(NORTH, "e");
	turn("south acks 2\nnorth n/d/there {\"online\":true}\n"
	     "north/e n/e/hello \nnorth/e n/e/there {\"online\":true}\n");
	takes("north/e");
	takes("north/e");
	goes("north/e");
	comes("north/e");
	turn("north/e n/e/there {\"online\":true}\nnorth/e n/e/hello \n");
	takes("north");
	goes("north");
	comes("north");
	turn("north n/d/there {\"online\":true}\nnorth n/d/hello \n");
}

Test(live_link, the_limits_that_the_north_tells_hold_until_the_next_login)
{
	start(S_THERE, N_GREETED("'limits_request'"));
	turn("north ask/1 {}\n");
	takes("north");
	sends("north", "told/1", "{'messages_per_second':5,'in_flight':null}");
	turn("north acks 1\n");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 2\nnorth n/d/t {\"a\":1}\n");
	now_ms += 250;
	turn("north n/d/t {\"a\":2}\n");
	takes("north");
	takes("north");
	goes("north");
	comes("north");
	now_ms += 250;
	turn("north ask/2 {}\n");
	takes("north");
	sends("north", "told/1", "{'in_flight':1}"); /* of the login before */
	turn("north acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[DEAD_UNKNOWN_ID], 1);
	sends("north", "told/2", "{'in_flight':1}");
	turn("north acks 1\n");
	sends("south", "s/d/t", "{'a':3}");
	sends("south", "s/d/t", "{'a':4}");
	turn("south acks 2\nnorth n/d/t {\"a\":3}\n");
	takes("north");
	turn("north n/d/t {\"a\":4}\n");
}

Test(live_link, a_session_that_is_held_is_not_greeted)
{
	start(S_THERE, N_GREETED("'limits_request'"));
	turn("north ask/1 {}\n");
	live_link_hold_sources(live, true, now_ms);
	goes("north");
	buf_reset(&said);
	comes("north"); /* for a visit */
	turn("");
	goes("north");
	live_link_hold_sources(live, false, now_ms);
	buf_reset(&said);
	comes("north");
	turn("north ask/2 {}\n");
}

Test(live_link, a_greeting_that_fails_is_no_letter)
{
	start(S_THERE, NORTHERN("on_connect: ['hello', 'presence'],",
				"{ kind: 'hello', topic: 'hello', write: 'f' },"
				"{ kind: 'presence', topic: 'p' }",
				"def f: error(\"no\");"));
	turn("");
	find("north")->max_bytes = 4;
	sends("south", "s/d/there", "{'online':true}");
	turn("south acks 1\n");
	expect_letters(1);
	goes("north");
	comes("north");
	turn("");
	expect_letters(1);
}

/* Else no message would ever get there. */
Test(live_link, a_greeting_that_ends_the_connection_each_time_is_given_up_for_a_while)
{
	start(S_THERE, N_GREETED("'limits_request'"));
	turn("north ask/1 {}\n");
	for (int i = 2; i <= 3; i++) {
		char *wanted = mem_printf("north ask/%d {}\n", i);

		ends("north", SESSION_END_CLOSED);
		comes("north");
		turn(wanted);
		free(wanted);
	}
	ends("north", SESSION_END_CLOSED);
	for (int i = 0; i < 2; i++) {
		comes("north");
		sends("south", "s/d/t", "{'a':1}");
		turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
		takes("north");
		goes("north");
	}
}

Test(live_link, a_greeting_that_was_given_up_is_tried_again_after_an_hour)
{
	start(S_THERE, N_GREETED("'limits_request'"));
	turn("north ask/1 {}\n");
	for (int i = 2; i <= 3; i++) {
		ends("north", SESSION_END_CLOSED);
		comes("north");
		commit();
		bridge_let_out();
	}
	ends("north", SESSION_END_CLOSED);
	buf_reset(&said);
	comes("north");
	now_ms += 3600 * 1000 - 1;
	goes("north");
	comes("north");
	turn("");
	now_ms++;
	turn(""); /* with a login only */
	goes("north");
	comes("north");
	turn("north ask/4 {}\n");
	takes("north");
	sends("north", "told/4", "{'in_flight':1}");
	turn("north acks 1\n");
	expect_letters(0);
}

Test(live_link, a_greeting_that_was_put_aside_ends_with_its_connection)
{
	start(S_THERE, N_GREETED("'limits_request'"));
	turn("north ask/1 {}\n");
	refuses("north", 0x80);
	goes("north");
	comes("north");
	turn("north ask/2 {}\n");
	takes("north");
	pass(15000);
	turn("");
}

/* The port is stopped, not told of an end. */
Test(live_link, a_greeting_ends_with_a_login_that_is_forgotten)
{
	start_join_at(N_JOIN_WITH("on_connect: ['limits_request'],",
				  "{ kind: 'limits_request', topic: 'ask/{id}', id: 'integer' },"
				  "{ kind: 'limits', topic: 'told/{id}', id: 'integer' },"));
	sends("south", "join", "{'device_name':'D'}");
	commit();
	sends("asks", "P/reply", "{'status':'SUCCESS','token':'T1'}");
	generation_run(generation);
	cr_expect(live_link_forget(live, "D"));
	commit();
	bridge_let_out();
	buf_reset(&said);
	cr_expect_eq(delivery_waiting(live_link_find_port(live, NORTH, NULL, false)->delivery), 0);
}

Test(live_link, a_mirror_greets_nobody)
{
	generation = bridge_generation_of("link", "mode = \"mirror\";", NULL, S_THERE,
					  N_GREETED("'hello', 'presence', 'limits_request'"));
	start_link();
	expect("south opens\nnorth opens\nsouth starts\nnorth starts\n");
	turn("");
}

/* --- what a platform said while nobody listened */

#define S_SETS                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'config', topic: 's/{device}/c', write: 'w' },"                          \
		 "{ kind: 'config_reply', topic: 's/{device}/set' },"                              \
		 "{ kind: 'firmware', topic: 's/{device}/fw' }",                                   \
		 "def w: .body | {changed, deleted};")
#define N_ANSWERS                                                                                  \
	NORTHERN("on_connect: ['snapshot_request'],",                                              \
		 "{ kind: 'snapshot_request', topic: 'n/{device}/get/{id}', id: 'integer' },"      \
		 "{ kind: 'attributes_reply', topic: 'n/{device}/all/{id}', id: 'integer',"        \
		 "  read: 'r' },"                                                                  \
		 "{ kind: 'config_reply', topic: 'n/{device}/set', write: 'none' },"               \
		 "{ kind: 'firmware', topic: 'n/{device}/fw' },"                                   \
		 "{ kind: 'config', topic: 'n/{device}/c' }",                                      \
		 "def none: empty;"                                                                \
		 "def r: (select(.payload.fw) | {kind: 'firmware', body: .payload.fw}),"           \
		 "  {body: {shared: .payload.c}};")
/* Each on a topic of its own, as if it had been said anew. */
#define N_REPEATS                                                                                  \
	NORTHERN("on_connect: ['snapshot_request'],",                                              \
		 "{ kind: 'snapshot_request', topic: 'n/{device}/get' },"                          \
		 "{ kind: 'firmware', topic: 'n/{device}/fw' },"                                   \
		 "{ kind: 'config_reply', topic: 'n/{device}/set', write: 'none' },"               \
		 "{ kind: 'config', topic: 'n/{device}/c' }",                                      \
		 "def none: empty;")

static void start_of_one(const char *keys, const char *north)
{
	generation = bridge_generation_of("link", keys, "d", S_SETS, north);
	start_link();
	expect("south opens\nnorth opens\nsouth starts\nnorth starts\n");
}

/* The north logs in again, and gets this. */
static void log_in_at(const char *question, int line)
{
	goes("north");
	comes("north");
	turn_at(question, line);
	takes("north");
}
#define log_in(question) log_in_at(question, __LINE__)

Test(live_link, of_a_snapshot_only_what_was_said_since_is_sent)
{
	start_of_one("", N_ANSWERS);
	turn("north n/d/get/1 {}\n");
	takes("north");
	sends("north", "n/d/all/1", "{'c':{'rate':5,'unit':'C'},'fw':{'version':'1'}}");
	turn("north acks 1\n"); /* the first is learnt */
	now_ms += 1000;
	sends("north", "n/d/c", "{'changed':{'rate':6}}");
	turn("south s/d/c {'changed':{'rate':6},'deleted':[]}\nnorth acks 1\n");
	takes("south");
	sends("south", "s/d/set", "{'values':{'rate':11}}"); /* somebody turned the knob */
	turn("south acks 1\n");
	log_in("north n/d/get/2 {}\n");
	sends("north", "n/d/all/2", "{'c':{'rate':6,'unit':'C'},'fw':{'version':'1'}}");
	turn("north acks 1\n");
	log_in("north n/d/get/3 {}\n");
	sends("north", "n/d/all/3", "{'c':{'rate':7,'mode':'x'},'fw':{'version':'2'}}");
	turn("south s/d/c {'changed':{'rate':7,'mode':'x'},'deleted':['unit']}\n"
	     "south s/d/fw {'version':'2'}\nnorth acks 1\n");
	takes("south");
	takes("south");
	expect_letters(0);
}

#define S_MANY                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'presence', topic: 's/{device}/there' },"                                \
		 "{ kind: 'config', topic: 's/{device}/c', write: 'w' }",                          \
		 "def w: .body | {changed, deleted};")
#define N_GATEWAY(vars)                                                                            \
	NORTHERN("device: 'payload', " vars " on_connect: ['presence', 'snapshot_request'],",      \
		 "{ kind: 'presence', topic: 'n/there', write: 'p' },"                             \
		 "{ kind: 'snapshot_request', topic: 'n/get', id: 'integer', write: 'g' },"        \
		 "{ kind: 'snapshot_request', topic: 'n/own/{id}', id: 'integer', write: 'o' },"   \
		 "{ kind: 'attributes_reply', topic: 'n/all', id: 'integer', read: 'a' },"         \
		 "{ kind: 'attributes_reply', topic: 'n/all/{id}', id: 'integer', read: 'r' },"    \
		 "{ kind: 'config', topic: 'n/set', read: 's' }",                                  \
		 "def own: .to.device == .to.gateway;"                                             \
		 "def p: [.to.device, .body.online];"                                              \
		 "def g: select((own | not) and .body.shared != [])"                               \
		 "  | [.to.device, .id, .body.shared];"                                            \
		 "def o: select(own) | .body; def r: {body: {shared: .payload}};"                  \
		 "def a: .payload | {id: .id, device: .d, body: {shared: .v}};"                    \
		 "def s: .payload | {device: .d, body: {changed: .v}};")

Test(live_link, a_gateway_asks_for_itself_and_for_what_it_knows_of_each_device)
{
	start(S_MANY, N_GATEWAY("vars: {gateway: 'gate'},"));
	turn("north n/own/1 {}\n");
	takes("north");
	sends("north", "n/all/1", "{'old':1}");
	sends("south", "s/d/there", "{'online':true}");
	turn("south acks 1\nnorth acks 1\nnorth n/there [\"d\",true]\n");
	takes("north");
	turn(""); /* of d nothing is known that could be asked for */
	goes("north");
	comes("north");
	turn("north n/own/2 {}\nnorth n/there [\"d\",true]\n");
	takes("north");
	takes("north");
	turn("");
	sends("north", "n/set", "{'d':'d','v':{'rate':5,'unit':'C'}}");
	turn("south s/d/c {\"changed\":{\"rate\":5,\"unit\":\"C\"},\"deleted\":[]}\nnorth acks "
	     "1\n");
	takes("south");
	now_ms += 1000;
	goes("north");
	comes("north");
	turn("north n/own/3 {}\nnorth n/there [\"d\",true]\n");
	turn("north n/get [\"d\",3,[\"rate\",\"unit\"]]\n");
	takes("north");
	takes("north");
	takes("north");
	sends("north", "n/all/3", "{'old':2}");
	sends("north", "n/all", "{'id':3,'d':'d','v':{'rate':6}}");
	turn("south s/gate/c {\"changed\":{\"old\":2},\"deleted\":[]}\n"
	     "south s/d/c {\"changed\":{\"rate\":6},\"deleted\":[\"unit\"]}\nnorth acks 2\n");
	/* What was away by itself missed as much. */
	sends("south", "s/d/there", "{'online':false}");
	sends("south", "s/d/there", "{'online':true}");
	turn("south acks 2\nnorth n/there [\"d\",false]\nnorth n/there [\"d\",true]\n");
	now_ms += 1000;
	turn("north n/get [\"d\",4,[\"rate\"]]\n");
	expect_letters(0);
}

Test(live_link, a_gateway_that_nobody_knows_asks_for_its_devices_some_at_a_time)
{
	start(S_MANY, N_GATEWAY(""));
	turn("");
	for (int i = 0; i < 45; i++) {
		char *topic = mem_printf("s/d%d/there", i),
		     *set = mem_printf("{'d':'d%d','v':{'a':1}}", i);

		sends("south", topic, "{'online':true}");
		sends("north", "n/set", set);
		free(topic);
		free(set);
	}
	commit();
	bridge_let_out();
	for (int i = 0; i < 45; i++) {
		takes("north");
		takes("south");
	}
	goes("north");
	comes("north");
	commit();
	bridge_let_out();
	for (int i = 0; i < 45; i++)
		takes("north");
	for (int left = 45; left > 0; left -= 20) {
		size_t n = 0;

		buf_reset(&said);
		commit();
		bridge_let_out();
		for (const char *p = buf_str(&said); (p = strstr(p, "n/get")) != NULL; p++)
			n++;
		cr_expect_eq(n, left < 20 ? (size_t)left : 20, "%zu", n);
		while (n-- > 0)
			takes("north");
		buf_reset(&said);
		turn("");
		now_ms += 1000;
	}
	turn("");
}

Test(live_link, what_is_said_after_the_question_counts_more_than_its_answer)
{
	start_of_one("", N_ANSWERS);
	turn("north n/d/get/1 {}\n");
	takes("north");
	sends("north", "n/d/all/1", "{'c':{'rate':5,'unit':'C'}}");
	turn("north acks 1\n");
	log_in("north n/d/get/2 {}\n");
	sends("north", "n/d/c", "{'changed':{'rate':6}}");
	turn("south s/d/c {'changed':{'rate':6},'deleted':[]}\nnorth acks 1\n");
	sends("north", "n/d/all/2", "{'c':{'rate':5,'unit':'F'}}");
	turn("south s/d/c {'changed':{'unit':'F'},'deleted':[]}\nnorth acks 1\n");
}

Test(live_link, a_notice_is_no_answer_where_answers_are_replies)
{
	start_of_one("", N_ANSWERS);
	turn("north n/d/get/1 {}\n");
	takes("north");
	for (int i = 0; i < 2; i++) { /* also the first of all, and the same again */
		sends("north", "n/d/fw", "{'version':'1'}");
		turn("south s/d/fw {'version':'1'}\nnorth acks 1\n");
		takes("south");
	}
	sends("north", "n/d/all/1", "{'c':{},'fw':{'version':'1'}}");
	turn("north acks 1\n");
}

Test(live_link, what_was_learnt_is_known_after_a_restart)
{
	start_of_one("", N_ANSWERS);
	turn("north n/d/get/1 {}\n");
	takes("north");
	sends("north", "n/d/all/1", "{'c':{'rate':5},'fw':{'version':'1'}}");
	turn("north acks 1\n");
	turn("");
	restart();
	turn("north n/d/get/1 {}\n");
	takes("north");
	sends("north", "n/d/all/1", "{'c':{'rate':5,'unit':'C'},'fw':{'version':'1'}}");
	turn("south s/d/c {'changed':{'unit':'C'},'deleted':[]}\nnorth acks 1\n");
}

Test(live_link, a_first_snapshot_is_sent_where_that_is_wanted)
{
	start_of_one("first_snapshot = \"push\";", N_ANSWERS);
	turn("north n/d/get/1 {}\n");
	takes("north");
	sends("north", "n/d/all/1", "{'c':{'rate':5},'fw':{'version':'1'}}");
	turn("south s/d/c {'changed':{'rate':5},'deleted':[]}\nsouth s/d/fw {'version':'1'}\n"
	     "north acks 1\n");
}

/* What was decided before a crash is not; the question of then is forgotten, and asked again. */
Test(live_link, the_answer_of_an_earlier_run_is_no_letter)
{
	start_of_one("", N_ANSWERS);
	turn("north n/d/get/1 {}\n");
	takes("north");
	sends("north", "n/d/all/1", "{'c':{'rate':5}}");
	bridge_hand_over(); /* it is stored, and not read yet */
	bridge_let_out();
	restart();
	turn("north n/d/get/1 {}\n");
	expect_letters(0);
}

Test(live_link, what_is_said_anew_after_a_login_is_sent_once)
{
	start_of_one("", N_REPEATS);
	turn("north n/d/get {}\n");
	takes("north");
	sends("north", "n/d/fw", "{'version':'1'}");
	sends("north", "n/d/c", "{'full':{'rate':5}}"); /* it may have been said just now */
	turn("south s/d/c {'changed':{'rate':5},'deleted':[]}\nsouth s/d/fw {'version':'1'}\n"
	     "north acks 2\n");
	takes("south");
	takes("south");
	sends("south", "s/d/set", "{'values':{'rate':11}}"); /* somebody turned the knob */
	turn("south acks 1\n");
	log_in("north n/d/get {}\n");
	sends("north", "n/d/fw", "{'version':'1'}");
	sends("north", "n/d/c", "{'full':{'rate':5}}");
	turn("north acks 2\n");
	sends("north", "n/d/c", "{'full':{'rate':6}}"); /* somebody has just changed it */
	turn("south s/d/c {'changed':{'rate':6},'deleted':[]}\nnorth acks 1\n");
	log_in("north n/d/get {}\n");
	sends("north", "n/d/fw", "{'version':'2'}");
	turn("south s/d/fw {'version':'2'}\nnorth acks 1\n");
}

/* --- opening */

Test(live_link, it_waits_for_what_the_machine_lacks_and_goes_on_from_there)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
	end_link();
	buf_reset(&said);
	bridge_make_parts();
	refuses_to_open = true;
	storage.n_links = 0;
	lives[storage.n_links++] = live = live_link_new(&parts, generation, 0, NULL);
	cr_assert_not(live_link_open(live));
	cr_expect_not(live_link_is_open(live));
	bridge_resume();
	turn("");
	live_link_hold_sources(live, true, now_ms);
	turn("");
	refuses_to_open = false;
	cr_assert(live_link_open(live));
	live_link_start(live);
	expect("south opens\nnorth opens\nsouth hold\nsouth starts\nnorth hold\nnorth starts\n");
	turn("north n/d/t {\"a\":1}\n");
}

/* How often the line is in the log of what `do_it` does. */
static size_t count_logged(const char *line, void (*do_it)(void))
{
	char name[] = "/tmp/calque-log-XXXXXX", text[4096];
	int to = mkstemp(name), before = dup(STDERR_FILENO);
	size_t n = 0;
	ssize_t len;

	cr_assert(to >= 0 && before >= 0 && dup2(to, STDERR_FILENO) >= 0);
	do_it();
	cr_assert(dup2(before, STDERR_FILENO) >= 0);
	len = pread(to, text, sizeof text - 1, 0);
	cr_assert_geq(len, 0);
	text[len] = '\0';
	for (const char *p = text; (p = strstr(p, line)) != NULL; p++)
		n++;
	close(to);
	close(before);
	unlink(name);
	return n;
}

static void open_in_vain(void)
{
	for (int i = 0; i < 3; i++)
		cr_assert_not(live_link_open(live));
}

Test(live_link, what_a_login_lacks_is_said_once_however_often_it_is_opened)
{
	start_join();
	end_link();
	bridge_make_parts();
	refuses_to_open = true;
	storage.n_links = 0;
	lives[storage.n_links++] = live = live_link_new(&parts, generation, 0, NULL);
	cr_expect_eq(
		count_logged("info session-waits link=link side=north unset=token", open_in_vain),
		1);
	cr_expect_eq(count_logged("session-waits", open_in_vain), 0);
	buf_reset(&said);
}

/* --- stopping */

Test(live_link, it_is_drained_when_all_that_waits_for_an_open_port_is_taken)
{
	start(S_REPORTS, N_REPORTS);
	sends("south", "s/d/t", "{'a':1}");
	live_link_stop(live);
	cr_expect_not(live_link_has_settled(live));
	turn("south acks 1\nnorth n/d/t {\"a\":1}\n");
	sends("south", "s/d/t", "{'a':2}"); /* after it was told to stop */
	cr_expect_not(live_link_is_drained(live));
	takes("north");
	cr_expect(live_link_has_settled(live));
	turn("south acks 1\nnorth n/d/t {\"a\":2}\n");
	cr_expect_not(live_link_is_drained(live));
	goes("north");
	cr_expect(live_link_is_drained(live), "nobody can tell when it comes again");
}

/* --- a side with several ports */

Test(live_link, a_message_goes_to_the_port_of_its_device)
{
	start(S_REPORTS, N_REPORTS);
	add_port(NORTH, "e");
	add_port(NORTH, "f");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':2}");
	sends("south", "s/f/t", "{'a':3}");
	turn("south acks 3\nnorth n/d/t {\"a\":1}\nnorth/e n/e/t {\"a\":2}\n"
	     "north/f n/f/t {\"a\":3}\n");
	takes("north/e");
	takes("north/f");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 2);
	goes("north/e");
	sends("south", "s/e/t", "{'a':4}"); /* waits, and nobody else does */
	sends("south", "s/f/t", "{'a':5}");
	turn("south acks 2\nnorth/f n/f/t {\"a\":5}\n");
	comes("north/e");
	turn("north/e n/e/t {\"a\":4}\n");
}

Test(live_link, what_comes_on_a_devices_port_is_that_devices)
{
	start(S_REPORTS, N_REPORTS);
	add_port(NORTH, "e");
	sends("north/e", "space", "{}");
	turn("south s/e/space {}\nnorth/e acks 1\n");
	sends("north/e", "space", "{'who':'d'}");
	turn("north/e acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[DEAD_OTHER_DEVICE], 1);
	sends("north", "space", "{'who':'d'}");
	turn("south s/d/space {}\nnorth acks 1\n");
}

Test(live_link, all_ports_of_a_side_are_held_and_looked_at)
{
	static const enum side sides[] = { SOUTH, NORTH, NORTH, NORTH };
	const struct port *p = NULL;
	struct live_link_port seen;
	size_t n = 0;

	start(S_REPORTS, N_REPORTS);
	add_port(NORTH, "e");
	live_link_hold_sources(live, true, now_ms);
	expect("south hold\nnorth hold\nnorth/e hold\n");
	for (; (p = live_link_next_port(live, p)) != NULL; n++) {
		live_link_look_at_port(p, &seen);
		cr_expect_eq(seen.side, sides[n]);
		cr_expect_eq(seen.is_provisioning, n == 2);
		cr_expect_eq(seen.carrier.phase == NULL, n == 2, "it is not open");
	}
	cr_expect_eq(n, 4);
}
