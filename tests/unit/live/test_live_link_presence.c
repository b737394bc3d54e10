/* Who is here, where each device has a session of its own in the north, and where one speaks for all. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "live/live_link.h"
#include "state/presence.h"
#include "unit/live/one_link.h"

#define DELAY_MS   30000
#define SILENCE_MS 120000

static bool takes_at_once; /* the far side, all that it gets */

static void know(const char *device)
{
	fleet_name(live->link->fleet, device, FLEET_IMPORT, &live->link->changes);
	fleet_set_var(live->link->fleet, device, NORTH, "token", device, true,
		      &live->link->changes);
}

static void start(const char *keys, const char *south, const char *north)
{
	generation = bridge_generation_of("link", keys, NULL, south, north);
	start_link();
	know("d");
	know("e");
	buf_reset(&said);
}

static void set_up(void)
{
	world_init(&w);
	takes_at_once = true;
}

static void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link_presence, .init = set_up, .fini = tear_down);

/* The far side takes all that it got. */
static void take_all(void)
{
	for (size_t i = 0; i < CARRIERS; i++)
		while (*carriers[i].name && carriers[i].acked_mid < carriers[i].last_mid)
			takes(carriers[i].name);
}

static void turn_at(const char *wanted, int line)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
	expect_said_at(wanted, line);
	if (takes_at_once)
		take_all();
}
#define turn(wanted) turn_at(wanted, __LINE__)

static void turns(void)
{
	for (int i = 0; i < 3; i++) {
		live_link_tick(live, now_ms);
		generation_run(generation);
		bridge_hand_over();
		bridge_let_out();
		take_all();
	}
	buf_reset(&said);
}

static void restart(void)
{
	int64_t later_ms = now_ms;

	end_link();
	start_link();
	now_ms = later_ms > now_ms ? later_ms : now_ms;
	turns();
}

/* When the next thing is due, of those that time brings. */
static int64_t due_in_ms(void)
{
	return link_next_deadline(live->link) - now_ms;
}

#define SOUTH_OF_MANY                                                                              \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'presence', topic: 's/{device}/p' },"                                    \
		 "{ kind: 'command', topic: 's/{device}/do/{id}', id: 'integer' },"                \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}', id: 'integer' }",         \
		 "")
/* A device that never says goodbye. */
#define SOUTH_OF_SILENT                                                                            \
	SOUTHERN("offline_after: 120,", "{ kind: 'telemetry', topic: 's/{device}/t' }", "")
#define NORTH_OF_ALL                                                                               \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'presence', topic: 'n/{device}/p' }",                                    \
		 "")
#define NORTH_OF_EACH                                                                              \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device' },",                               \
		 "{ kind: 'telemetry', topic: 'me/t' },"                                           \
		 "{ kind: 'presence', topic: 'me/p' },"                                            \
		 "{ kind: 'command', topic: 'me/do/{id}' },"                                       \
		 "{ kind: 'command_reply', topic: 'me/did/{id}' }",                                \
		 "")

/* --- as a message --------------------------------------------------------------------------- */

Test(live_link_presence, one_is_up_at_once_and_down_after_a_delay)
{
	start("", SOUTH_OF_MANY, NORTH_OF_ALL);
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\nnorth n/d/p {\"online\":true}\n");
	sends("south", "s/d/p", "{'online':false}");
	turn("south acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[CARRIED], 2, "it is kept in the state");
	now_ms += DELAY_MS - 1;
	turn("");
	now_ms++;
	turn("north n/d/p {\"online\":false}\n");
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\nnorth n/d/p {\"online\":true}\n");
}

Test(live_link_presence, one_that_is_back_within_the_delay_was_never_gone)
{
	start("", SOUTH_OF_MANY, NORTH_OF_ALL);
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\nnorth n/d/p {\"online\":true}\n");
	sends("south", "s/d/p", "{'online':false}");
	sends("south", "s/d/p", "{'online':false}");
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 3\n");
	now_ms += 10 * DELAY_MS;
	turn("");
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[FILTERED_NO_CHANGE], 2,
		     "it was leaving, and it was there");
}

Test(live_link_presence, one_that_leaves_is_gone_after_a_restart_and_is_told_once)
{
	start("", SOUTH_OF_MANY, NORTH_OF_ALL);
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\nnorth n/d/p {\"online\":true}\n");
	sends("south", "s/d/p", "{'online':false}");
	turn("south acks 1\n");
	restart();
	cr_expect_eq(due_in_ms(), DELAY_MS, "it may have come back while nobody listened");
	now_ms += DELAY_MS;
	turn("north n/d/p {\"online\":false}\n");
	turn("");
	restart();
	now_ms += DELAY_MS;
	turn("");
}

/* --- silence -------------------------------------------------------------------------------- */

Test(live_link_presence, one_that_says_anything_is_there_and_one_that_is_silent_has_gone)
{
	start("", SOUTH_OF_SILENT, NORTH_OF_ALL);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	turn("south acks 2\nnorth n/d/t {\"a\":1}\nnorth n/e/t {\"a\":1}\n");
	turn("north n/d/p {\"online\":true}\nnorth n/e/p {\"online\":true}\n");
	cr_expect_eq(due_in_ms(), SILENCE_MS);
	now_ms += SILENCE_MS - 1;
	turn("");
	presences_hear(live->link->presences, "d", now_ms); /* (the loop's own time stands) */
	now_ms++;
	turn("north n/e/p {\"online\":false}\n");
	sends("south", "s/e/t", "{'a':2}");
	turn("south acks 1\nnorth n/e/t {\"a\":2}\n");
	turn("north n/e/p {\"online\":true}\n");
}

Test(live_link_presence, a_lost_session_of_the_bridge_is_no_silence_of_a_device)
{
	start("", SOUTH_OF_SILENT, NORTH_OF_ALL);
	sends("south", "s/d/t", "{'a':1}");
	turns();
	goes("south");
	cr_expect_eq(link_next_deadline(live->link), INT64_MAX);
	now_ms += INT64_C(100) * SILENCE_MS;
	turn("");
	link_listen(live->link, true, now_ms); /* as its login does, in the loop's time */
	cr_expect_eq(due_in_ms(), SILENCE_MS);
	now_ms += SILENCE_MS;
	turn("north n/d/p {\"online\":false}\n");
}

Test(live_link_presence, nor_is_its_restart_and_who_is_silent_since_has_gone)
{
	start("", SOUTH_OF_SILENT, NORTH_OF_ALL);
	sends("south", "s/d/t", "{'a':1}");
	turns();
	restart();
	cr_expect_eq(due_in_ms(), SILENCE_MS);
	now_ms += SILENCE_MS;
	turn("north n/d/p {\"online\":false}\n");
	turn("");
	restart(); /* that it was silence is known */
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 1\nnorth n/d/t {\"a\":2}\n");
	turn("north n/d/p {\"online\":true}\n");
}

Test(live_link_presence, a_link_may_say_another_time_or_that_nobody_counts)
{
	start("offline_after = 10; ", SOUTH_OF_SILENT, NORTH_OF_ALL);
	sends("south", "s/d/t", "{'a':1}");
	turns();
	cr_expect_eq(due_in_ms(), 10000);
	end_link();
	generation_free(generation);
	start("offline_after = 0; ", SOUTH_OF_SILENT, NORTH_OF_ALL);
	sends("south", "s/e/t", "{'a':1}");
	turn("south acks 1\nnorth n/e/t {\"a\":1}\n");
	turn("");
	cr_expect_eq(link_next_deadline(live->link), INT64_MAX);
}

Test(live_link_presence, the_deadline_is_that_of_the_first_of_many)
{
	char topic[40];

	start("", SOUTH_OF_SILENT, NORTH_OF_ALL);
	for (int i = 0; i < 2000; i++) {
		snprintf(topic, sizeof topic, "many-%d", i);
		registry_admit(live->link, topic);
		presences_hear(live->link->presences, topic, now_ms + i);
		presences_set_online(live->link->presences, topic, true, &live->link->changes);
	}
	cr_expect_eq(due_in_ms(), SILENCE_MS);
	for (int i = 0; i < 1999; i++) {
		snprintf(topic, sizeof topic, "many-%d", i);
		presences_hear(live->link->presences, topic, now_ms + 5000);
	}
	cr_expect_eq(due_in_ms(), SILENCE_MS + 1999);
	now_ms += SILENCE_MS + 2000;
	turn("north n/many-1999/p {\"online\":false}\n");
}

Test(live_link_presence, what_is_off_is_told_of_to_nobody)
{
	struct changes c = { 0 };

	start("", SOUTH_OF_SILENT, NORTH_OF_ALL);
	sends("south", "s/d/t", "{'a':1}");
	turns();
	fleet_act_for(live->link->fleet, NULL, now_ms);
	fleet_set_mode(live->link->fleet, "d", FLEET_OFF, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	turns();
	now_ms += SILENCE_MS;
	turn("");
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	turn("");
}

/* --- as sessions ---------------------------------------------------------------------------- */

#define BY_SESSION "presence = \"session\"; "

static void start_by_session(const char *more)
{
	char *keys = mem_printf(BY_SESSION "%s", more);

	start(keys, SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/p", "{'online':true}");
	sends("south", "s/e/p", "{'online':true}");
	turns();
	cr_assert(find("north/d")->is_up && find("north/e")->is_up);
	free(keys);
}

static bool is_open(const char *name)
{
	for (size_t i = 0; i < CARRIERS; i++)
		if (strcmp(carriers[i].name, name) == 0)
			return true;
	return false;
}

Test(live_link_presence, the_session_of_one_that_is_gone_is_closed_and_nothing_is_said)
{
	start_by_session("");
	sends("south", "s/d/p", "{'online':false}");
	turn("south acks 1\n");
	now_ms += DELAY_MS;
	turn("north/d stops\nnorth/d closes\n");
	cr_expect(is_open("north/e"));
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\n");
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[CARRIED], 4);
}

Test(live_link_presence, what_waits_for_it_is_parked_and_goes_when_it_is_back)
{
	struct live_link_port seen;

	start_by_session("offline_delay = 0; ");
	sends("south", "s/d/p", "{'online':false}");
	turns();
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	turn("");
	cr_expect_not(is_open("north/d"));
	live_link_look_at_port(live_link_find_port(live, NORTH, "d", false), &seen);
	cr_expect_eq(seen.waiting, 1);
	cr_expect(seen.is_parked);
	cr_expect_str_eq(seen.carrier.phase, "asleep");
	cr_expect_str_eq(seen.carrier.why, "reason=\"its device is offline\"");
	sends("south", "s/d/p", "{'online':true}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":1}\n");
}

Test(live_link_presence, it_stays_closed_after_a_restart)
{
	start_by_session("offline_delay = 0; ");
	sends("south", "s/d/p", "{'online':false}");
	turns();
	restart();
	cr_expect_not(is_open("north/d"));
	cr_expect(find("north/e")->is_up);
}

/* As those on demand. */
Test(live_link_presence, one_with_an_open_command_or_a_message_on_its_way_stays_until_that_is_done)
{
	start_by_session("offline_delay = 0; ");
	takes_at_once = false;
	sends("south", "s/e/t", "{'a':1}");
	sends("north/d", "me/do/1", "{'name':'a'}");
	turn("south acks 1\nsouth s/d/do/1 {\"name\":\"a\"}\nnorth/d acks 1\n"
	     "north/e me/t {\"a\":1}\n");
	takes("south");
	sends("south", "s/d/p", "{'online':false}");
	sends("south", "s/e/p", "{'online':false}");
	turn("south acks 2\n");
	turn("");
	take_all();
	turn("north/e stops\nnorth/e closes\n");
	sends("south", "s/d/did/1", "{'status':'done'}");
	turn("south acks 1\nnorth/d me/did/1 {\"status\":\"done\"}\n");
	take_all();
	turn("north/d stops\nnorth/d closes\n");
}

Test(live_link_presence, one_of_which_nothing_was_said_has_its_session)
{
	start(BY_SESSION, SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":1}\n");
}
