/* Devices that nobody named, and those that are off: where each has a session of its own, and behind a gateway. */
#include <criterion/criterion.h>

#include "base/log.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "live/live_link.h"
#include "state/change.h"
#include "unit/live/small_bridge.h"

static struct generation *generation;
static struct live_link *live;

static void start(const char *keys, const char *north)
{
	static const char south[] =
		SOUTHERN("",
			 "{ kind: 'telemetry', topic: 's/{device}/t' },"
			 "{ kind: 'config', topic: 's/{device}/c', write: 'c' },"
			 "{ kind: 'command', topic: 's/{device}/do/{id}', id: 'integer' },"
			 "{ kind: 'command_reply', topic: 's/{device}/did/{id}', id: 'integer' }",
			 "def c: .body.changed;");

	generation = bridge_generation_of("link", keys, NULL, south, north);
	bridge_make_parts();
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
}

/* As on ThingsBoard's gateway API: payloads name the device. */
#define GATEWAY                                                                                    \
	NORTHERN("device: 'payload',",                                                             \
		 "{ kind: 'telemetry', topic: 'gw/t', write: 'w' },"                               \
		 "{ kind: 'config', topic: 'gw/c', read: 'c' },"                                   \
		 "{ kind: 'command', topic: 'gw/do', id: 'integer', read: 'r' },"                  \
		 "{ kind: 'command_reply', topic: 'gw/did', id: 'integer', write: 'w' }",          \
		 "def w: {(.to.device): .body};"                                                   \
		 "def c: .payload | {device: .d, body: {changed: .v}};"                            \
		 "def r: .payload | {device: .d, id, body: {name: .n}};")
#define SESSIONS                                                                                   \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device' },",                               \
		 "{ kind: 'telemetry', topic: 'me/t' },"                                           \
		 "{ kind: 'command', topic: 'me/do/{id}' },"                                       \
		 "{ kind: 'command_reply', topic: 'me/did/{id}' }",                                \
		 "")

static void set_up(void)
{
	world_init(&w);
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

TestSuite(live_link_stranger, .init = set_up, .fini = tear_down);

static void turn_at(const char *wanted, int line)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

static void set_mode(const char *device, enum fleet_mode mode)
{
	struct changes c = { 0 };

	fleet_act_for(live->link->fleet, "ada", 0);
	fleet_name(live->link->fleet, device, FLEET_IMPORT, &c);
	fleet_set_mode(live->link->fleet, device, mode, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

static uint64_t count(enum flow flow, enum outcome reason)
{
	return live_link_counters(live, flow)->by[reason];
}

/* --- who is new ----------------------------------------------------------------------------- */

Test(live_link_stranger, one_becomes_no_device_by_a_message_where_each_has_its_session)
{
	start("", SESSIONS);
	sends("south", "s/x/t", "{'a':1}");
	sends("south", "s/x/t", "{'a':2}");
	turn("south acks 2\n");
	turn("");
	cr_expect_eq(count(FLOW_UP, FILTERED_OFF), 2);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->pending, 0, "nothing of it is parked");
	cr_expect_null(live_link_find_port(live, NORTH, "x", false));
	cr_assert(fleet_find(live->link->fleet, "x"), "it is there to be named");
	cr_expect_eq(fleet_find(live->link->fleet, "x")->mode, FLEET_OFF);
	set_mode("x", FLEET_LIVE);
	sends("south", "s/x/t", "{'a':3}");
	turn("south acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->pending, 1);
}

Test(live_link_stranger, who_is_named_is_no_stranger)
{
	struct changes c = { 0 };

	start("", SESSIONS);
	sends("south", "s/x/t", "{'a':1}");
	turn("south acks 1\n");
	fleet_name(live->link->fleet, "x", FLEET_IMPORT, &c);
	changes_fini(&c);
	cr_expect_eq(fleet_find(live->link->fleet, "x")->mode, FLEET_DEFAULT);
}

Test(live_link_stranger, nor_does_one_that_is_not_remembered_as_there_are_too_many)
{
	start("max_devices = 1; ", SESSIONS);
	set_mode("named", FLEET_DEFAULT);
	registry_note(live->link, "named");
	sends("south", "s/x/t", "{'a':1}");
	turn("south acks 1\n");
	turn("");
	cr_expect_null(fleet_find(live->link->fleet, "x"));
	cr_expect_eq(count(FLOW_UP, FILTERED_OFF), 1);
	cr_expect_eq(live->sessions.n, 1, "the one that is named");
}

Test(live_link_stranger, a_link_may_say_that_it_is_one_at_once)
{
	start("new = \"live\"; ", SESSIONS);
	sends("south", "s/x/t", "{'a':1}");
	turn("south acks 1\n");
	turn("");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->pending, 1, "it waits for its session");
	cr_expect_not_null(live_link_find_port(live, NORTH, "x", false));
}

Test(live_link_stranger, one_session_carries_strangers_too)
{
	start("", GATEWAY);
	sends("south", "s/x/t", "{'a':1}");
	turn("south acks 1\nnorth gw/t {\"x\":{\"a\":1}}\n");
	cr_expect_eq(fleet_find(live->link->fleet, "x")->mode, FLEET_DEFAULT);
}

/* --- who is forgotten ------------------------------------------------------------------------ */

static void forget(const char *device)
{
	struct changes c = { 0 };

	fleet_forget(live->link->fleet, device, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

Test(live_link_stranger, the_next_of_a_name_that_was_forgotten_is_told_all_anew)
{
	static const char config[] = "{'d':'x','v':{'rate':1}}";

	start("", NORTHERN("device: 'payload',", "{ kind: 'config', topic: 'gw/c', read: 'c' }",
			   "def c: .payload | {device: .d, body: {full: .v}};"));
	sends("north", "gw/c", config);
	turn("south s/x/c {\"rate\":1}\nnorth acks 1\n");
	takes("south");
	turn("");
	sends("north", "gw/c", config);
	turn("north acks 1\n");
	cr_expect_eq(count(FLOW_DOWN, FILTERED_NO_CHANGE), 1, "it has that");
	forget("x");
	turn("");
	sends("north", "gw/c", config);
	turn("south s/x/c {\"rate\":1}\nnorth acks 1\n");
}

/* --- modes behind a gateway ------------------------------------------------------------------ */

static void tells_all(const char *device)
{
	char *topic = mem_printf("s/%s/t", device);
	char *config = mem_printf("{'d':'%s','v':{'rate':1}}", device);
	char *command = mem_printf("{'d':'%s','id':7,'n':'go'}", device);

	sends("south", topic, "{'a':1}");
	sends("north", "gw/c", config);
	sends("north", "gw/do", command);
	free(topic);
	free(config);
	free(command);
}

Test(live_link_stranger, the_mode_of_each_counts_behind_a_gateway)
{
	start("", GATEWAY);
	set_mode("m", FLEET_MIRROR);
	set_mode("o", FLEET_OFF);
	set_mode("r", FLEET_RETIRED);
	tells_all("o");
	tells_all("r");
	turn("south acks 2\nnorth acks 4\n");
	cr_expect_eq(count(FLOW_UP, FILTERED_OFF), 1);
	cr_expect_eq(count(FLOW_DOWN, FILTERED_OFF), 2);
	cr_expect_eq(count(FLOW_UP, FILTERED_RETIRED), 1);
	cr_expect_eq(count(FLOW_DOWN, FILTERED_RETIRED), 2);
	tells_all("m");
	turn("south acks 1\nnorth acks 2\nnorth gw/t {\"m\":{\"a\":1}}\n");
	cr_expect_eq(count(FLOW_DOWN, FILTERED_MIRROR), 2, "the twin learns, nothing is written");
	tells_all("l");
	turn("south acks 1\nsouth s/l/c {\"rate\":1}\n"
	     "south s/l/do/1 {\"name\":\"go\"}\nnorth acks 2\nnorth gw/t {\"l\":{\"a\":1}}\n");
}

Test(live_link_stranger, who_is_new_behind_a_gateway_may_be_off_but_not_the_gateway)
{
	start("new = \"off\"; ", NORTHERN("device: 'payload', vars: {gateway: 'gate'},",
					  "{ kind: 'telemetry', topic: 'gw/t', write: 'w' }",
					  "def w: {(.to.device): .body};"));
	sends("south", "s/x/t", "{'a':1}");
	sends("south", "s/gate/t", "{'a':2}");
	turn("south acks 2\nnorth gw/t {\"gate\":{\"a\":2}}\n");
	cr_expect_eq(count(FLOW_UP, FILTERED_OFF), 1);
}

/* --- handshakes where all devices share a broker ---------------------------------------------- */

static void start_handshakes(void)
{
	generation = bridge_generation_of(
		"link", "", NULL,
		SOUTHERN("",
			 "{ kind: 'telemetry', topic: 's/{device}/t' },"
			 "{ kind: 'provision', topic: 'join' },"
			 "{ kind: 'provision_reply', topic: 'joined' }",
			 ""),
		NORTHERN("device: 'none', credentials: ['token'],"
			 "session: { username: '{token}', per: 'device',"
			 "           provisioning: { username: 'provision' } },",
			 "{ kind: 'telemetry', topic: 'me/t' },"
			 "{ kind: 'provision', topic: 'ask' },"
			 "{ kind: 'provision_reply', topic: 'told' }",
			 ""));
	bridge_make_parts();
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
}

Test(live_link_stranger, one_of_many_who_says_no_name_is_refused_with_a_word)
{
	start_handshakes();
	sends("south", "join", "{'provision_key':'k'}");
	turn("south acks 1\nsouth joined {\"status\":\"FAILURE\",\"message\":\"it says no "
	     "device_name, and this link has many devices, each with a session of its own\"}\n");
	cr_expect_eq(live->sessions.n, 0, "it is not the device that is called like the link");
	cr_expect_null(fleet_find(live->link->fleet, "link"));
}

Test(live_link_stranger, one_who_says_its_name_is_that_device_and_no_stranger)
{
	struct buf log = { 0 };

	log_levels("info,device=off");
	start_handshakes();
	sends("south", "s/d/t", "{'a':1}");
	turn("south acks 1\n"); /* it was a stranger */
	cr_expect_eq(fleet_find(live->link->fleet, "d")->mode, FLEET_OFF);
	sends("south", "join", "{'device_name':'d','token':'mine'}");
	turn("asks opens\nasks starts\nsouth acks 1\nasks ask "
	     "{\"device_name\":\"d\",\"token\":\"mine\"}\n");
	takes("asks");
	sends("asks", "told", "{'status':'SUCCESS','token':'mine'}");
	for (int i = 0; i < 4; i++, now_ms += 1000) {
		live_link_tick(live, now_ms);
		generation_run(generation);
		bridge_hand_over();
		bridge_let_out();
	}
	cr_expect(find("north/d")->is_up);
	cr_expect(strncmp(find("north/d")->login, "mine ", 5) == 0);
	cr_expect_eq(fleet_find(live->link->fleet, "d")->mode, FLEET_DEFAULT);
	buf_reset(&said);
	sends("south", "s/d/t", "{'a':2}");
	turn("south acks 1\nnorth/d me/t {\"a\":2}\n");
	log_put_tail(&log); /* a line for each second, and not for each device */
	cr_expect(strstr(buf_str(&log), " credentials-issued link=link side=north devices=1\n"));
	cr_expect_null(strstr(buf_str(&log), "device=d"));
	buf_fini(&log);
}

/* (Where the topic says who asks, nothing of a stranger passes but that.) */
Test(live_link_stranger, a_stranger_may_ask_and_who_is_off_by_somebodys_word_may_not)
{
	generation = bridge_generation_of(
		"link", "", NULL,
		SOUTHERN("",
			 "{ kind: 'provision', topic: 's/{device}/join' },"
			 "{ kind: 'provision_reply', topic: 's/{device}/joined' }",
			 ""),
		NORTHERN("device: 'none', credentials: ['token'],"
			 "session: { username: '{token}', per: 'device',"
			 "           provisioning: { username: 'provision' } },",
			 "{ kind: 'provision', topic: 'ask' },"
			 "{ kind: 'provision_reply', topic: 'told' }",
			 ""));
	bridge_make_parts();
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
	set_mode("o", FLEET_OFF);
	sends("south", "s/o/join", "{'token':'mine'}");
	turn("south acks 1\n");
	cr_expect_eq(count(FLOW_UP, FILTERED_OFF), 1);
	sends("south", "s/x/join", "{'token':'mine'}");
	turn("asks opens\nasks starts\nsouth acks 1\nasks ask {\"token\":\"mine\"}\n");
}
