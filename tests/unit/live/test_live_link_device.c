/* A link whose south brings many devices, each of which has a session of its own in the north. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "plan/plan.h"
#include "live/live_link.h"
#include "live/suspects.h"
#include "state/change.h"
#include "store/deadletter.h"
#include "unit/live/one_link.h"

/* The device table: what it logs in with is known now. */
static void know(const char *device, const char *token)
{
	struct link *l = live->link;

	fleet_name(l->fleet, device, FLEET_IMPORT, &l->changes);
	fleet_set_var(l->fleet, device, NORTH, "token", token, true, &l->changes);
}

static void know_some(void)
{
	char device[] = "a", *token;

	for (; *device <= 'k'; ++*device) {
		token = mem_printf("%s-token", device);
		know(device, token);
		free(token);
	}
}

static void start(const char *south, const char *north)
{
	generation = bridge_generation_of("link", "new = \"live\"; ", NULL, south, north);
	start_link();
	expect("south opens\nsouth starts\n");
	know_some();
}

/* (What comes in comes at the loop's time, which stands.) */
static void set_mode_at(const char *device, enum fleet_mode mode, int64_t at_ms)
{
	struct changes c = { 0 };

	fleet_act_for(live->link->fleet, "ada", at_ms);
	fleet_set_mode(live->link->fleet, device, mode, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

static void set_mode(const char *device, enum fleet_mode mode)
{
	set_mode_at(device, mode, loop_now_ms(parts.loop));
}

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link_device, .init = set_up, .fini = tear_down);

static void restart(void)
{
	end_link();
	buf_reset(&said);
	start_link();
}

static void commit(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
}

static void turn_at(const char *wanted, int line)
{
	commit();
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

/* What is said for new devices opens them, and leaves with the turn after that. */
static void open_and_send(void)
{
	for (int i = 0; i < 2; i++) {
		commit();
		bridge_let_out();
	}
}

static bool is_open(const char *name)
{
	for (size_t i = 0; i < CARRIERS; i++)
		if (strcmp(carriers[i].name, name) == 0)
			return true;
	return false;
}

#define SOUTH_OF_MANY                                                                              \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'attributes', topic: 's/{device}/a' },"                                  \
		 "{ kind: 'presence', topic: 's/{device}/p' },"                                    \
		 "{ kind: 'command', topic: 's/{device}/do/{id}', id: 'integer' },"                \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}', id: 'integer' }",         \
		 "")
/* As on ThingsBoard: nothing names the device. */
#define NORTH_OF_EACH                                                                              \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device' },",                               \
		 "{ kind: 'telemetry', topic: 'me/t' },"                                           \
		 "{ kind: 'attributes', topic: 'me/a' },"                                          \
		 "{ kind: 'presence', topic: 'me/p' },"                                            \
		 "{ kind: 'config', topic: 'me/a', read: 'conf' },"                                \
		 "{ kind: 'command', topic: 'me/do/{id}' },"                                       \
		 "{ kind: 'command_reply', topic: 'me/did/{id}' }",                                \
		 "def conf: empty;")

Test(live_link_device, each_is_opened_when_it_is_first_heard_of_and_logs_in_as_itself)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':2}");
	sends("south", "s/d/t", "{'a':3}");
	turn("south acks 3\n");
	turn("north/d opens\nnorth/d starts\nnorth/e opens\nnorth/e starts\n"
	     "north/d me/t {\"a\":1}\nnorth/d me/t {\"a\":3}\nnorth/e me/t {\"a\":2}\n");
	cr_expect(strncmp(find("north/d")->login, "d-token - calque", 16) == 0, "%s",
		  find("north/d")->login);
	cr_expect_eq(strlen(find("north/d")->login), strlen("d-token - ") + 22);
	cr_expect_str_neq(find("north/d")->login + 10, find("north/e")->login + 10);
	takes("north/d");
	takes("north/e");
	takes("north/d");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 3);
	turn("");
	cr_expect_eq(live_link_journal_bytes(live), 0);
}

Test(live_link_device,
     a_command_goes_down_to_the_device_of_its_session_and_its_reply_up_by_the_same)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	buf_reset(&said);
	takes("north/d");
	takes("north/e");
	sends("north/d", "me/do/1", "{'name':'a'}");
	sends("north/e", "me/do/1", "{'name':'b'}");
	turn("south s/d/do/1 {\"name\":\"a\"}\nsouth s/e/do/1 {\"name\":\"b\"}\n"
	     "north/d acks 1\nnorth/e acks 1\n");
	takes("south");
	takes("south");
	sends("south", "s/e/did/1", "{'status':'done','v':2}");
	sends("south", "s/d/did/1", "{'status':'done','v':1}");
	turn("south acks 2\nnorth/e me/did/1 {\"status\":\"done\",\"v\":2}\nnorth/d me/did/1 "
	     "{\"status\":\"done\",\"v\":1}\n");
	takes("north/e");
	takes("north/d");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->delivered, 2);
}

/* On MQTT 3.1.1 both would get their own back, and neither the other's. */
Test(live_link_device, what_another_device_said_is_no_echo)
{
	start(SOUTH_OF_MANY,
	      NORTHERN(
		      "device: 'none', credentials: ['token'],"
		      "session: { username: '{token}', per: 'device' },",
		      "{ kind: 'attributes', topic: 'me/a' }, { kind: 'telemetry', topic: 'me/t' },"
		      "{ kind: 'command', topic: 'me/a', id: 'string', read: 'r', only: 'read' }",
		      "def r: .payload | {id: .id, body: {name: \"m\"}};"));
	sends("south", "s/d/a", "{'id':'1'}");
	sends("south", "s/e/t", "{}");
	open_and_send();
	buf_reset(&said);
	sends("north/e", "me/a", "{\"id\":\"1\"}");
	turn("south s/e/do/1 {\"name\":\"m\"}\nnorth/e acks 1\n");
	sends("north/d", "me/a", "{\"id\":\"1\"}");
	turn("north/d acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[FILTERED_ECHO], 1);
}

Test(live_link_device, one_without_credentials_waits_and_holds_nobody)
{
	struct live_link_port seen;

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/x/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 2\n");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":2}\n");
	cr_expect_not(is_open("north/x"));
	live_link_look_at_port(live_link_find_port(live, NORTH, "x", false), &seen);
	cr_expect_str_eq(seen.carrier.phase, "lacking");
	cr_expect_str_eq(seen.device, "x");
	cr_expect_eq(seen.waiting, 1);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->pending, 2);
}

Test(live_link_device, credentials_that_come_later_open_it_and_new_ones_connect_it_anew)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":1}\n");
	takes("north/d");
	know("d", "d-token-2");
	live_link_renew_device(live, "d");
	live_link_renew_device(live, "e"); /* nothing was said of it yet */
	turn("north/d login d-token-2\nnorth/d starts\nnorth/e opens\nnorth/e starts\n");
}

Test(live_link_device, only_the_one_whose_connection_is_lost_waits)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	buf_reset(&said);
	takes("north/e");
	goes("north/d");
	sends("south", "s/e/t", "{'a':2}");
	turn("south acks 1\nnorth/e me/t {\"a\":2}\n");
	comes("north/d");
	turn("north/d me/t {\"a\":1}\n");
	takes("north/d");
	takes("north/e");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 3);
}

/* Whose a message is that came on a session that says nothing of it. */
Test(live_link_device, a_message_is_its_sessions_after_a_restart_and_as_a_letter)
{
	uint64_t *ids;
	size_t n;
	struct deadletter l;
	struct err e = { 0 };

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/e/p",
	      "{'online':true}"); /* the state holds something: it is opened at the start */
	open_and_send();
	buf_reset(&said);
	takes("north/e");
	goes("south");
	sends("north/e", "me/do/7", "{'name':'a'}");
	sends("north/e", "me/nowhere", "{}");
	turn("north/e acks 2\n");
	restart();
	commit();
	bridge_let_out();
	cr_expect(strstr(buf_str(&said), "south s/e/do/1 {\"name\":\"a\"}\n"), "%s",
		  buf_str(&said));
	cr_expect(is_open("north/e"));
	buf_reset(&said);
	takes("south");
	turn("");
	cr_assert(deadletters_find(deadletter_live_stored(parts.letters),
				   &(struct deadletter_filter){ .reason = "unknown-topic" }, &ids,
				   &n, &e));
	cr_assert_eq(n, 1);
	cr_assert(deadletters_get(deadletter_live_stored(parts.letters), ids[0], true, &l, &e));
	cr_expect_str_eq(l.session, "e");
	deadletter_fini(&l);
	free(ids);
}

Test(live_link_device, a_letter_that_is_retried_is_its_sessions)
{
	struct message m = { .topic = (char *)"me/do/7", .qos = 1 };

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	message_set_payload(&m, "{\"name\":\"a\"}", 12);
	live_link_retry(live, NORTH, "e", &m, now_ms);
	turn("south s/e/do/1 {\"name\":\"a\"}\n");
	free(m.payload);
}

Test(live_link_device, what_another_device_is_told_is_refused)
{
	start(SOUTH_OF_MANY, NORTHERN("session: { per: 'device' },",
				      "{ kind: 'telemetry', topic: 'n/{device}/t' },"
				      "{ kind: 'command', topic: 'n/{device}/do/{id}' }",
				      ""));
	sends("south", "s/d/t", "{}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\nnorth/d n/d/t {}\n");
	cr_expect_str_eq(find("north/d")->shown, "n/d/do/+ ");
	sends("north/d", "n/e/do/1", "{'name':'a'}");
	sends("north/d", "n/d/do/1", "{'name':'a'}");
	turn("south s/d/do/1 {\"name\":\"a\"}\nnorth/d acks 2\n");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->by[DEAD_OTHER_DEVICE], 1);
}

Test(live_link_device, all_are_held_and_those_that_sleep_too)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	takes("north/e");
	buf_reset(&said);
	turn("");
	live_link_hold_sources(live, true, now_ms);
	expect("south hold\nnorth/d hold\nnorth/e hold\n");
	goes("north/d");
	live_link_hold_sources(live, false, now_ms);
	expect("south release\nnorth/d release\nnorth/e release\n");
}

/* What waits for those that sleep counts as well. */
Test(live_link_device, what_waits_is_counted_whoever_sleeps)
{
	size_t bytes;

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	takes("north/e");
	buf_reset(&said);
	bytes = live_link_held_bytes(live, SOUTH);
	cr_expect_eq(bytes, 0);
	goes("north/d");
	goes("north/e");
	sends("south", "s/d/t", "{'a':2}");
	sends("south", "s/e/t", "{'a':2}");
	turn("south acks 2\n");
	bytes = live_link_held_bytes(live, SOUTH);
	turn("");
	turn("");
	cr_expect_eq(live_link_held_bytes(live, SOUTH), bytes);
	comes("north/d");
	turn("north/d me/t {\"a\":2}\n");
	takes("north/d");
	turn("");
	cr_expect_eq(live_link_held_bytes(live, SOUTH) * 2, bytes);
}

/* --- when they connect */

/* 100 in a second, a tenth of them at once. */
Test(live_link_device, as_many_connect_as_the_endpoint_bears_and_the_rest_in_their_turn)
{
	char topic[] = "s/?/t";
	int n = 0;

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	for (topic[2] = 'a'; topic[2] <= 'k'; topic[2]++)
		sends("south", topic, "{}");
	open_and_send();
	for (char name[] = "north/?", *d = name + 6, c = 'a'; c <= 'k'; c++) {
		*d = c;
		n += find(name)->is_up;
	}
	cr_expect_eq(n, 10);
	buf_reset(&said);
	turn("");
	now_ms += 20;
	turn("north/b goes\nnorth/b me/t {}\n"); /* as jobs were done */
}

Test(live_link_device, while_nobody_answers_one_alone_tries)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	for (int i = 0; i < 2; i++)
		ends("north/d", SESSION_END_UNMADE);
	sends("south", "s/e/t", "{'a':2}");
	buf_reset(&said);
	turn("south acks 1\n");
	turn("north/e opens\nnorth/e stands in line\n");
	now_ms += 5000;
	turn("");
	comes("north/d");
	turn("north/e goes\nnorth/d me/t {\"a\":1}\nnorth/e me/t {\"a\":2}\n");
}

Test(live_link_device, one_that_is_refused_is_told_and_holds_nobody)
{
	struct live_link_sessions s;

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	sends("south", "s/x/t", "{'a':1}");
	open_and_send();
	takes("north/e");
	for (int i = 0; i < 3; i++)
		ends("north/d", SESSION_END_REFUSED);
	cr_assert(live_link_sessions(live, &s));
	cr_expect_eq(s.n, 3);
	cr_expect_eq(s.up, 1);
	cr_expect_eq(s.refused, 1);
	cr_expect_eq(s.lacking, 1);
	cr_expect_eq(fleet_find(live->link->fleet, "d")->state, FLEET_REFUSED);
	cr_expect_eq(fleet_find(live->link->fleet, "e")->state, FLEET_READY);
	buf_reset(&said);
	sends("south", "s/d/t", "{'a':2}");
	sends("south", "s/e/t", "{'a':2}");
	sends("south", "s/f/t", "{'a':2}");
	turn("south acks 3\nnorth/e me/t {\"a\":2}\n");
	turn("north/f opens\nnorth/f starts\nnorth/f me/t {\"a\":2}\n");
	comes("north/d");
	cr_assert(live_link_sessions(live, &s));
	cr_expect_eq(s.up, 3);
	cr_expect_eq(s.refused, 0);
	turn("north/d me/t {\"a\":1}\nnorth/d me/t {\"a\":2}\n");
}

Test(live_link_device, one_of_which_nothing_passes_has_no_session)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	set_mode("d", FLEET_OFF);
	set_mode("e", FLEET_RETIRED);
	buf_reset(&said);
	turn("");
	now_ms += 1000;
	turn("north/d closes\n");
	cr_expect_not(is_open("north/e"));
	set_mode("d", FLEET_MIRROR);
	turn("north/d opens\nnorth/d starts\n");
}

/* --- cut over, and back */

static uint64_t dead(enum flow flow, enum outcome reason)
{
	return live_link_counters(live, flow)->by[reason];
}

Test(live_link_device, what_waits_of_one_that_is_cut_back_is_sent_for_a_minute_and_then_a_letter)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	set_mode("d", FLEET_OFF);
	sends("south", "s/d/t", "{'a':2}");
	buf_reset(&said);
	turn("south acks 1\n");
	cr_expect_eq(dead(FLOW_UP, FILTERED_OFF), 1);
	now_ms += 59000;
	turn("");
	cr_expect_eq(dead(FLOW_UP, DEAD_CUT_BACK), 0);
	now_ms += 1000;
	turn("north/d closes\n");
	cr_expect_eq(dead(FLOW_UP, DEAD_CUT_BACK), 1);
	cr_expect_eq(fleet_find(live->link->fleet, "d")->leaves, 0);
	set_mode("d", FLEET_LIVE);
	turn("north/d opens\nnorth/d starts\n");
	sends("south", "s/d/t", "{'a':3}");
	turn("south acks 1\nnorth/d me/t {\"a\":3}\n");
}

Test(live_link_device, who_comes_back_to_live_in_time_has_lost_nothing)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	buf_reset(&said);
	set_mode("d", FLEET_RETIRED);
	turn("");
	set_mode("d", FLEET_LIVE);
	takes("north/d");
	now_ms += 60000;
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 1);
}

Test(live_link_device, a_message_follows_the_mode_that_held_when_it_was_accepted)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	set_mode_at("d", FLEET_OFF, now_ms + 1); /* the message is older, and not read yet */
	open_and_send();
	cr_expect_eq(dead(FLOW_UP, FILTERED_OFF), 0);
	expect("south acks 1\nnorth/d opens\nnorth/d starts\nnorth/d me/t {\"a\":1}\n");
}

Test(live_link_device, an_open_command_is_answered_when_its_device_is_cut_back)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	sends("north/d", "me/do/1", "{'name':'a'}");
	open_and_send();
	takes("south");
	goes("south");
	sends("north/d", "me/do/2", "{'name':'b'}");
	open_and_send();
	buf_reset(&said);
	set_mode("d", FLEET_MIRROR);
	commit();
	turn("north/d me/did/2 {\"status\":\"error\",\"message\":\"cut back\"}\n"
	     "north/d me/did/1 {\"status\":\"error\",\"message\":\"cut back\"}\n");
	takes("north/d");
	takes("north/d");
	comes("south");
	turn(""); /* who was told so does not want it done */
	sends("south", "s/d/did/1", "{'status':'done'}");
	sends("north/d", "me/do/3", "{'name':'c'}");
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 2\nnorth/d acks 1\nnorth/d me/t {\"a\":2}\n");
	takes("north/d");
	cr_expect_eq(dead(FLOW_UP, FILTERED_MIRROR), 1);
	cr_expect_eq(dead(FLOW_DOWN, FILTERED_MIRROR), 1);
	now_ms += 60000;
	turn("");
	cr_expect(is_open("north/d"), "what it says goes on");
}

Test(live_link_device, a_restart_goes_on_with_a_device_that_is_cut_back)
{
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	set_mode_at("d", FLEET_OFF, loop_now_ms(parts.loop) + 1);
	open_and_send();
	restart();
	open_and_send();
	cr_expect(is_open("north/d"));
	now_ms += 59000;
	open_and_send();
	cr_expect_eq(dead(FLOW_UP, DEAD_CUT_BACK), 0);
	now_ms += 2000; /* (a restart begins anew, by its own clock) */
	open_and_send();
	cr_expect_not(is_open("north/d"));
	cr_expect_eq(dead(FLOW_UP, DEAD_CUT_BACK), 1);
	restart();
	open_and_send();
	cr_expect_not(is_open("north/d"));
}

/* --- what waits for one of them */

static void start_with(const char *keys)
{
	char *all = mem_printf("new = \"live\"; %s", keys);

	generation = bridge_generation_of("link", all, NULL, SOUTH_OF_MANY, NORTH_OF_EACH);
	free(all);
	start_link();
	expect("south opens\nsouth starts\n");
	know_some();
}

Test(live_link_device, of_what_waits_for_a_device_without_credentials_the_oldest_falls_out)
{
	uint64_t *ids;
	size_t n;
	struct deadletter l;
	struct err e = { 0 };

	start_with("waiting = { messages = 3; };");
	for (char payload[] = "{'a':0}"; payload[5] <= '7'; payload[5]++)
		sends("south", "s/x/t", payload);
	open_and_send();
	open_and_send();
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_PARKED_FULL], 5);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->pending, 3);
	sends("south", "s/x/t", "{'a':8}");
	open_and_send();
	open_and_send();
	cr_expect_eq(live_link_counters(live, FLOW_UP)->dead, 6);
	cr_assert(deadletters_find(deadletter_live_stored(parts.letters),
				   &(struct deadletter_filter){ .reason = "parked-full" }, &ids, &n,
				   &e));
	cr_assert_eq(n, 1, "one for many, and the next in an hour: %zu", n);
	cr_assert(deadletters_get(deadletter_live_stored(parts.letters), ids[0], true, &l, &e));
	cr_expect(strncmp(l.text, "5 messages fell out", 19) == 0, "%s", l.text);
	cr_expect_not(l.has_message);
	deadletter_fini(&l);
	free(ids);
	buf_reset(&said);
	know("x", "x-token");
	live_link_renew_device(live, "x");
	turn("north/x opens\nnorth/x starts\nnorth/x me/t {\"a\":6}\nnorth/x me/t {\"a\":7}\n"
	     "north/x me/t {\"a\":8}\n");
}

Test(live_link_device, what_is_parked_holds_no_source_but_an_endpoint_that_is_away_does)
{
	start_with("");
	sends("south", "s/x/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	open_and_send();
	cr_expect_eq(live_link_held_bytes(live, SOUTH), link_pending_bytes(live->link, FLOW_UP));
	for (int i = 0; i < 2; i++)
		ends("north/d", SESSION_END_UNMADE);
	for (int i = 0; i < 2000; i++)
		sends("south", "s/d/t", "{'a':2}");
	open_and_send();
	open_and_send();
	cr_expect_gt(live_link_held_bytes(live, SOUTH), link_pending_bytes(live->link, FLOW_UP));
	cr_expect_eq(live_link_counters(live, FLOW_UP)->dead, 0, "an outage loses nothing");
}

/* As many turns as it takes until nothing more is to be done now. */
static void turn_to_sleep(void)
{
	for (int i = 0; i < 4; i++)
		open_and_send();
	buf_reset(&said);
}

/* One that is let in shows that somebody is there: then it is the device's own reason. */
Test(live_link_device, one_that_connects_for_long_is_parked_if_others_are_let_in)
{
	size_t bytes;

	start_with("");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	takes("north/e");
	refuses_to_start = true;
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	refuses_to_start = false;
	cr_expect_not(live_link_is_parked(live_link_find_port(live, NORTH, "d", false)));
	bytes = live_link_held_bytes(live, SOUTH);
	now_ms += 1000; /* how many are how is told then */
	turn_to_sleep();
	cr_expect_eq(live_link_next_deadline(live), now_ms + 4000);
	now_ms += 4000;
	turn_to_sleep();
	cr_expect(live_link_is_parked(live_link_find_port(live, NORTH, "d", false)));
	cr_expect_lt(live_link_held_bytes(live, SOUTH), bytes);
	for (int i = 0; i < 2; i++)
		ends("north/d", SESSION_END_UNMADE);
	turn_to_sleep();
	cr_expect_not(live_link_is_parked(live_link_find_port(live, NORTH, "d", false)),
		      "now nobody is there");
	cr_expect_eq(live_link_held_bytes(live, SOUTH), bytes);
}

Test(live_link_device, one_that_connects_for_long_where_nobody_is_let_in_holds_the_source)
{
	start_with("waiting = { messages = 3; };");
	refuses_to_start = true;
	for (char payload[] = "{'a':0}"; payload[5] <= '7'; payload[5]++)
		sends("south", "s/d/t", payload);
	open_and_send();
	refuses_to_start = false;
	now_ms += 60000;
	open_and_send();
	cr_expect_not(live_link_is_parked(live_link_find_port(live, NORTH, "d", false)));
	cr_expect_eq(live_link_counters(live, FLOW_UP)->dead, 0);
}

Test(live_link_device, of_all_that_is_parked_the_device_with_the_most_gives_its_oldest)
{
	start_with("");
	for (char payload[] = "{'a':0}"; payload[5] <= '7'; payload[5]++)
		sends("south", "s/x/t", payload);
	sends("south", "s/y/t", "{'a':0}");
	open_and_send();
	turn_to_sleep();
	parts.most_parked_bytes = live->parked_bytes / 2;
	open_and_send();
	turn_to_sleep();
	cr_expect_leq(live->parked_bytes, parts.most_parked_bytes);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_PARKED_FULL], 5);
	buf_reset(&said);
	know("y", "y-token");
	know("x", "x-token");
	live_link_renew_device(live, "y");
	live_link_renew_device(live, "x");
	turn("north/y opens\nnorth/y starts\nnorth/x opens\nnorth/x starts\n"
	     "north/y me/t {\"a\":0}\nnorth/x me/t {\"a\":5}\nnorth/x me/t {\"a\":6}\n"
	     "north/x me/t {\"a\":7}\n");
}

Test(live_link_device, what_is_parked_for_too_long_is_a_letter)
{
	start_with("waiting = { age = 60; };");
	sends("south", "s/x/t", "{'a':1}");
	open_and_send();
	turn_to_sleep();
	cr_expect_eq(live_link_next_deadline(live), now_ms + 60000);
	now_ms += 60000;
	open_and_send();
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_EXPIRED], 1);
}

/* --- those that are open on demand */

#define ON_DEMAND "sessions = \"on-demand\"; "

/* As start_with(), with so many sessions at most. */
static void start_with_max(const char *keys, int max)
{
	char *all = mem_printf("new = \"live\"; %s", keys);

	generation = bridge_generation_of("link", all, NULL, SOUTH_OF_MANY, NORTH_OF_EACH);
	free(all);
	((struct conf_link *)generation_conf(generation)->links)->side[NORTH].connections.max = max;
	start_link();
	expect("south opens\nsouth starts\n");
	know_some();
}

static void pass_ms(int64_t ms)
{
	now_ms += ms;
	for (int i = 0; i < 2; i++)
		open_and_send();
}

Test(live_link_device, on_demand_it_is_opened_for_a_message_and_closed_when_it_is_idle)
{
	struct live_link_sessions s;

	start_with(ON_DEMAND);
	live_link_renew_device(live, "d");
	turn("");
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":1}\n");
	pass_ms(50000);
	expect("");
	takes("north/d"); /* only now */
	pass_ms(0);
	pass_ms(299000);
	expect("");
	cr_assert(live_link_sessions(live, &s));
	cr_expect_eq(s.up, 1);
	pass_ms(1000);
	expect("north/d stops\nnorth/d closes\n");
	cr_assert(live_link_sessions(live, &s));
	cr_expect_eq(s.up, 0);
	cr_expect_eq(s.asleep, 1);
	cr_expect_eq(link_pending_bytes(live->link, FLOW_UP), 0);
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 1\n");
	turn("north/d opens\nnorth/d starts\nnorth/d me/t {\"a\":2}\n");
	takes("north/d");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 2);
}

Test(live_link_device, on_demand_one_with_an_open_command_stays)
{
	start_with(ON_DEMAND "command_max_age = 3600; request_timeout = 3600;");
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	sends("north/d", "me/do/1", "{'name':'a'}");
	pass_ms(0);
	takes("south");
	buf_reset(&said);
	pass_ms(400000);
	expect("");
	sends("south", "s/d/did/1", "{'status':'done','v':1}");
	pass_ms(0);
	takes("north/d");
	pass_ms(0);
	buf_reset(&said);
	pass_ms(299000);
	expect("");
	pass_ms(1000);
	expect("north/d stops\nnorth/d closes\n");
}

Test(live_link_device, beyond_the_bound_the_longest_idle_is_closed_for_another)
{
	start_with_max(ON_DEMAND, 2);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	takes("north/e");
	pass_ms(0);
	takes("north/d");
	pass_ms(10);
	sends("south", "s/f/t", "{'a':1}");
	pass_ms(0);
	buf_reset(&said);
	pass_ms(500);
	expect("");
	pass_ms(500);
	expect("north/e stops\nnorth/e closes\nnorth/f opens\nnorth/f starts\nnorth/f me/t "
	       "{\"a\":1}\n");
	sends("south", "s/e/t", "{'a':2}");
	pass_ms(5000);
	expect("south acks 1\nnorth/d stops\nnorth/d closes\nnorth/e opens\nnorth/e starts\n"
	       "north/e me/t {\"a\":2}\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->dead, 0);
}

Test(live_link_device, one_of_many_may_be_always_open_or_on_demand)
{
	struct link *l;

	start_with(ON_DEMAND);
	l = live->link;
	fleet_set_sessions(l->fleet, "d", FLEET_ALWAYS, &l->changes);
	live_link_renew_device(live, "d");
	turn("north/d opens\nnorth/d starts\n");
	pass_ms(400000);
	expect("");
	fleet_set_sessions(l->fleet, "d", NULL, &l->changes);
	live_link_renew_device(live, "d");
	pass_ms(0);
	buf_reset(&said);
	pass_ms(300000);
	expect("north/d stops\nnorth/d closes\n");
}

/* --- variables of their own ---------------------------------------------------------------- */

/* As on Xyte: each repeats its key in the properties of all it says. */
#define NORTH_WITH_KEYS                                                                            \
	NORTHERN("mqtt: 5, credentials: ['token', 'key'],"                                         \
		 "session: { username: '{token}', per: 'device' },"                                \
		 "up: { properties: { id: '{device}', key: '{key}' } },",                          \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' }", "")

static void set_own(const char *device, enum side side, const char *name, const char *value)
{
	struct changes c = { 0 };

	fleet_name(live->link->fleet, device, FLEET_IMPORT, &c);
	fleet_set_var(live->link->fleet, device, side, name, value, true, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

#define expect_properties(port, wanted)                                                            \
	cr_expect_str_eq(find(port)->properties, wanted, "%s", find(port)->properties)

Test(live_link_device, each_sends_its_own_key)
{
	start(SOUTH_OF_MANY, NORTH_WITH_KEYS);
	set_own("d", NORTH, "key", "d-key");
	set_own("e", NORTH, "key", "e-key");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':2}");
	open_and_send();
	expect_properties("north/d", "id=d key=d-key");
	expect_properties("north/e", "id=e key=e-key");
}

Test(live_link_device, a_key_that_is_imported_holds_for_what_is_sent_afterwards)
{
	start(SOUTH_OF_MANY, NORTH_WITH_KEYS);
	set_own("d", NORTH, "key", "d-key");
	set_own("e", NORTH, "key", "e-key");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	takes("north/d");
	takes("north/e");
	goes("north/d");
	sends("south", "s/d/t", "{'a':2}");
	open_and_send();
	set_own("d", NORTH, "key", "d-key-2");
	sends("south", "s/e/t", "{'a':2}");
	open_and_send();
	comes("north/d");
	open_and_send();
	expect_properties("north/d", "id=d key=d-key-2");
	expect_properties("north/e", "id=e key=e-key");
}

Test(live_link_device, one_without_what_its_messages_need_is_not_ready_and_waits)
{
	const struct fleet_device *d;

	start(SOUTH_OF_MANY, NORTH_WITH_KEYS);
	set_own("e", NORTH, "key", "e-key");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':2}");
	open_and_send();
	expect_properties("north/e", "id=e key=e-key");
	cr_expect_not(is_open("north/d"));
	d = fleet_find(live->link->fleet, "d");
	cr_expect_eq(d->state, FLEET_KNOWN);
	cr_expect_str_eq(d->reason, "north.key is set neither for this device nor for all");
	set_own("d", NORTH, "key", "d-key");
	open_and_send();
	cr_expect(is_open("north/d"));
	expect_properties("north/d", "id=d key=d-key");
	comes("north/d");
	cr_expect_eq(d->state, FLEET_READY);
	cr_expect_null(d->reason);
}

/* What is the device's own counts more than what holds for all. */
Test(live_link_device, a_topic_has_the_variables_of_its_device)
{
	south_keys = "vars = { site = \"hall\"; };";
	start(SOUTHERN("",
		       "{ kind: 'telemetry', topic: 's/{device}/t' },"
		       "{ kind: 'command', topic: '{site}/{device}/do/{id}', id: 'integer' },"
		       "{ kind: 'command_reply', topic: 's/{device}/did/{id}', id: 'integer' }",
		       ""),
	      NORTH_OF_EACH);
	set_own("d", SOUTH, "site", "attic");
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	buf_reset(&said);
	sends("north/d", "me/do/1", "{'name':'a'}");
	sends("north/e", "me/do/1", "{'name':'b'}");
	turn("south attic/d/do/1 {\"name\":\"a\"}\nsouth hall/e/do/1 {\"name\":\"b\"}\n"
	     "north/d acks 1\nnorth/e acks 1\n");
	south_keys = "";
}

/* --- an endpoint that is shared */

Test(live_link_device, devices_send_in_turn_where_their_platform_bears_so_much_of_all_of_them)
{
	more_of_north = "connections = { messages_per_second = 2; };";
	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	for (char payload[] = "{'a':1}"; payload[5] <= '3'; payload[5]++)
		sends("south", "s/d/t", payload);
	sends("south", "s/e/t", "{'a':1}");
	open_and_send();
	buf_reset(&said);
	cr_expect_eq(live_link_next_deadline(live), now_ms + 500);
	now_ms += 499;
	turn("");
	now_ms += 1;
	turn("north/d me/t {\"a\":2}\n");
	now_ms += 500;
	turn("north/e me/t {\"a\":1}\n");
	now_ms += 500;
	turn("north/d me/t {\"a\":3}\n");
	now_ms += 5000;
	turn("");
	for (int i = 0; i < 3; i++)
		takes("north/d");
	takes("north/e");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 4);
}

/* Both links that there are; none is looked at that sleeps. */
static void turn_both_at(struct generation *second, const char *wanted, int line)
{
	struct live_link *one;

	roster_wake_due(parts.roster, now_ms);
	FOREACH_AWAKE (one, &parts)
		live_link_tick(one, now_ms);
	generation_run(second);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn_both(wanted) turn_both_at(second, wanted, __LINE__)

Test(live_link_device, links_to_one_endpoint_know_together_that_nobody_is_there)
{
	struct generation *second;

	start(SOUTH_OF_MANY, NORTH_OF_EACH);
	second = bridge_generation("other", NULL, SOUTH_OF_MANY, NORTH_OF_EACH);
	bridge_start_link(second);
	live_link_resume(lives[1]);
	live = lives[1];
	know("e", "e-token");
	live = lives[0];
	sends("south", "s/d/t", "{'a':1}");
	open_and_send();
	for (int i = 0; i < 2; i++)
		ends("north/d", SESSION_END_UNMADE);
	sends("other:south", "s/e/t", "{'a':2}");
	buf_reset(&said);
	turn_both("other:south acks 1\n");
	turn_both("other:north/e opens\nother:north/e stands in line\n");
	for (int i = 0; i < 5; i++) {
		now_ms += 5000;
		turn_both("");
	}
	cr_expect_null(live_link_first_awake(&parts), "nothing is to be done");
	comes("north/d");
	turn_both("other:north/e goes\nnorth/d me/t {\"a\":1}\n");
	cr_expect_leq(live_link_next_deadline(lives[1]), now_ms);
	turn_both("other:north/e me/t {\"a\":2}\n");
	live_link_free(lives[1]);
	generation_free(second);
}
