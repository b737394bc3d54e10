/* A link behind a front door, whose south brings many devices over one session. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "plan/plan.h"
#include "live/live_link.h"
#include "state/change.h"
#include "store/deadletter.h"
#include "unit/live/one_link.h"

static void start(const char *south, const char *north)
{
	south_keys = "front_door = true; username = \"calque\"; password = \"p\"; mqtt = 4;";
	generation = bridge_generation_of("link", "offline_delay = 0; ", NULL, south, north);
	start_link();
	buf_reset(&said);
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

TestSuite(live_link_gate, .init = set_up, .fini = tear_down);

/* As a verb or a list does it. */
static void know(const char *device, enum side side, const char *token)
{
	struct changes c = { 0 };

	fleet_name(live_link_fleet(live), device, FLEET_IMPORT, &c);
	fleet_set_var(live_link_fleet(live), device, side, "token", token, true, &c);
	live_link_fleet_changed(live, &c);
}

static void set_mode(const char *device, enum fleet_mode mode)
{
	struct changes c = { 0 };

	fleet_set_mode(live_link_fleet(live), device, mode, &c);
	live_link_fleet_changed(live, &c);
}

static void forget(const char *device)
{
	struct changes c = { 0 };

	fleet_forget(live_link_fleet(live), device, &c);
	live_link_fleet_changed(live, &c);
}

static void commit(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
}

/* What is said, HMACs, keys and serials as #. */
static void hide_numbers(void)
{
	struct buf text = { 0 };

	for (const char *p = buf_str(&said); *p;) {
		size_t n = strspn(p, "0123456789abcdef");

		if (n >= 13)
			buf_putc(&text, '#');
		else
			buf_append(&text, p, n ? n : 1);
		p += n ? n : 1;
	}
	buf_fini(&said);
	said = text;
}

static void turn_at(const char *wanted, int line)
{
	commit();
	bridge_let_out();
	hide_numbers();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

/* Until nothing more is said. */
static void rest(void)
{
	size_t before;

	do {
		before = said.len;
		commit();
		bridge_let_out();
	} while (said.len > before);
	buf_reset(&said);
}

#define SOUTH_OF_NAMELESS                                                                          \
	SOUTHERN("device: 'none', credentials: ['token'], session: { username: '{token}',"         \
		 "provisioning: { username: 'provision' } },",                                     \
		 "{ kind: 'telemetry', topic: 'me/t' },"                                           \
		 "{ kind: 'attributes', topic: 'me/a' },"                                          \
		 "{ kind: 'config', topic: 'me/a', only: 'write', answered: {} },"                 \
		 "{ kind: 'command', topic: 'me/do/{id}', id: 'integer' },"                        \
		 "{ kind: 'command_reply', topic: 'me/did/{id}', id: 'integer' },"                 \
		 "{ kind: 'provision', topic: 'ask' }, { kind: 'provision_reply', topic: "         \
		 "'answer' }",                                                                     \
		 "")
#define NORTH_OF_EACH                                                                              \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device',"                                  \
		 "provisioning: { username: 'provision' } },",                                     \
		 "{ kind: 'telemetry', topic: 'me/t' },"                                           \
		 "{ kind: 'attributes', topic: 'me/a' },"                                          \
		 "{ kind: 'presence', topic: 'me/p' },"                                            \
		 "{ kind: 'command', topic: 'me/do/{id}' },"                                       \
		 "{ kind: 'command_reply', topic: 'me/did/{id}' },"                                \
		 "{ kind: 'provision', topic: 'ask' }, { kind: 'provision_reply', topic: "         \
		 "'answer' }",                                                                     \
		 "")
#define NORTH_OF_ALL                                                                               \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 'n/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 'n/{device}/did/{id}' },"                        \
		 "{ kind: 'presence', topic: 'n/{device}/p' }",                                    \
		 "")

static void start_two(const char *north)
{
	start(SOUTH_OF_NAMELESS, north);
	know("a", SOUTH, "a-south");
	know("b", SOUTH, "b-south");
	know("a", NORTH, "a-north");
	know("b", NORTH, "b-north");
	rest();
}

Test(live_link_gate, the_table_is_told_whole_after_each_login_and_then_what_changes)
{
	start(SOUTH_OF_NAMELESS, NORTH_OF_ALL);
	know("a", SOUTH, "a-south");
	know("b", SOUTH, "b-south");
	cr_expect_str_eq(find("south")->shown, "$frontdoor/up/+/me/t $frontdoor/up/+/me/did/+ "
					       "$frontdoor/up/+/ask $frontdoor/state/+ $ ");
	commit();
	bridge_let_out();
	hide_numbers();
	cr_expect(strstr(buf_str(&said), "south $frontdoor/table/begin serial #\nkey #\n"), "%s",
		  buf_str(&said));
	cr_expect(strstr(buf_str(&said),
			 "south $frontdoor/table/set token device # a\ntoken device # b\n\n"
			 "south $frontdoor/table/end \n"),
		  "%s", buf_str(&said));
	buf_reset(&said);
	know("c", SOUTH, "c-south");
	set_mode("a", FLEET_RETIRED);
	forget("b");
	turn("south $frontdoor/table/set token device # c\n\n"
	     "south $frontdoor/table/remove a\nb\n\n");
	know("c", SOUTH, "c-south-2");
	turn("south $frontdoor/table/set token device # c\n\n");
	set_mode("c", FLEET_OFF);
	turn("");
	goes("south");
	comes("south");
	commit();
	bridge_let_out();
	hide_numbers();
	cr_expect(strstr(buf_str(&said), "south $frontdoor/table/set token device # c\n\n"
					 "south $frontdoor/table/end \n"),
		  "%s", buf_str(&said));
}

Test(live_link_gate, a_message_is_its_sessions_and_goes_by_the_devices_own_in_the_north)
{
	start_two(NORTH_OF_EACH);
	sends("south", "$frontdoor/up/a/me/t", "{'v':1}");
	sends("south", "$frontdoor/up/b/me/t", "{'v':2}");
	turn("south acks 2\nnorth/a me/t {\"v\":1}\nnorth/b me/t {\"v\":2}\n");
	takes("north/a");
	takes("north/b");
	sends("north/b", "me/do/1", "{'name':'set'}");
	turn("south $frontdoor/down/b/me/do/1 {\"name\":\"set\"}\nnorth/b acks 1\n");
	takes("south");
	sends("south", "$frontdoor/up/b/me/did/1", "{'status':'done'}");
	turn("south acks 1\nnorth/b me/did/1 {\"status\":\"done\"}\n");
}

/* Two devices may use one request id at a time. */
Test(live_link_gate, a_north_of_all_is_told_which)
{
	start_two(NORTH_OF_ALL);
	sends("south", "$frontdoor/up/a/me/t", "{'v':1}");
	turn("south acks 1\nnorth n/a/t {\"v\":1}\n");
	takes("north");
	sends("north", "n/a/do/7", "{'name':'x'}");
	sends("north", "n/b/do/7", "{'name':'y'}");
	turn("south $frontdoor/down/a/me/do/1 {\"name\":\"x\"}\n"
	     "south $frontdoor/down/b/me/do/1 {\"name\":\"y\"}\nnorth acks 2\n");
	takes("south");
	takes("south");
	sends("south", "$frontdoor/up/b/me/did/1", "{'status':'done','of':'b'}");
	sends("south", "$frontdoor/up/a/me/did/1", "{'status':'done','of':'a'}");
	turn("south acks 2\nnorth n/b/did/7 {\"status\":\"done\",\"of\":\"b\"}\n"
	     "north n/a/did/7 {\"status\":\"done\",\"of\":\"a\"}\n");
}

/* (On MQTT 3.1.1 what was said before might be taken for an echo.) */
Test(live_link_gate, what_a_device_says_is_never_an_echo)
{
	start_two(NORTH_OF_EACH);
	sends("north/a", "me/do/1", "{'name':'set'}");
	turn("south $frontdoor/down/a/me/do/1 {\"name\":\"set\"}\nnorth/a acks 1\n");
	sends("south", "$frontdoor/up/a/me/do/1", "{'name':'set'}");
	turn("south acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[FILTERED_ECHO], 0);
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[FILTERED_NOT_READ], 1);
}

Test(live_link_gate, a_topic_that_names_another_device_is_refused)
{
	uint64_t *ids;
	size_t n;
	struct deadletter l;
	struct err e = { 0 };

	start(SOUTHERN("credentials: ['token'], session: { password: '{token}' },",
		       "{ kind: 'telemetry', topic: 's/{device}/t', also: ['t'] }", ""),
	      NORTH_OF_ALL);
	know("a", SOUTH, "a-south");
	know("b", SOUTH, "b-south");
	rest();
	sends("south", "$frontdoor/up/a/s/b/t", "{'v':1}");
	sends("south", "$frontdoor/up/a/s/a/t", "{'v':2}");
	sends("south", "$frontdoor/up/b/t", "{'v':3}");
	turn("south acks 3\nnorth n/a/t {\"v\":2}\nnorth n/b/t {\"v\":3}\n");
	cr_assert(deadletters_find(deadletter_live_stored(parts.letters),
				   &(struct deadletter_filter){ .reason = "other-device" }, &ids,
				   &n, &e));
	cr_assert_eq(n, 1);
	cr_assert(deadletters_get(deadletter_live_stored(parts.letters), ids[0], true, &l, &e));
	cr_expect_str_eq(l.session, "a");
	cr_expect_str_eq(l.topic, "s/b/t");
	deadletter_fini(&l);
	free(ids);
}

/* The identity is the gateway's, and who its devices are it says itself. */
Test(live_link_gate, of_a_gateway_the_row_says_whose_it_is)
{
	start(SOUTHERN("device: 'payload', credentials: ['token'], session: { username: '{token}' "
		       "},"
		       "vars: { token: 't' },",
		       "{ kind: 'telemetry', topic: 'gw/t', read: 'r', only: 'read' },"
		       "{ kind: 'command', topic: 'gw/do', id: 'integer', write: 'w', only: "
		       "'write' }",
		       "def r: .payload | {device: .d, body: .v}; def w: {d: .to.device, id};"),
	      NORTH_OF_ALL);
	rest();
	sends("south", "$frontdoor/up/link/gw/t", "{'d':'x','v':{'v':1}}");
	turn("south acks 1\nnorth n/x/t {\"v\":1}\n");
	sends("north", "n/x/do/7", "{'name':'y'}");
	turn("south $frontdoor/down/link/gw/do {\"d\":\"x\",\"id\":1}\nnorth acks 1\n");
}

Test(live_link_gate, who_is_missing_is_offline)
{
	start_two(NORTH_OF_ALL);
	sends_bytes("south", "$frontdoor/state/a", "online", 6);
	turn("south acks 1\nnorth n/a/p {\"online\":true}\n");
	sends("south", "$frontdoor/state/@begin", "");
	sends_bytes("south", "$frontdoor/state/b", "online", 6);
	sends("south", "$frontdoor/state/@end", "");
	turn("south acks 3\nnorth n/b/p {\"online\":true}\nnorth n/a/p {\"online\":false}\n");
	sends_bytes("south", "$frontdoor/state/b", "offline", 7);
	turn("south acks 1\nnorth n/b/p {\"online\":false}\n");
}

Test(live_link_gate, one_that_is_off_is_told_of_when_it_is_live)
{
	start_two(NORTH_OF_ALL);
	set_mode("a", FLEET_OFF);
	rest();
	sends_bytes("south", "$frontdoor/state/a", "online", 6);
	turn("south acks 1\n");
	set_mode("a", FLEET_LIVE);
	turn("north n/a/p {\"online\":true}\n");
	set_mode("a", FLEET_MIRROR); /* which is no news of that */
	turn("");
}

/* Who is retired cannot be here: his session ends with his row, of which nobody hears then. */
Test(live_link_gate, what_the_north_thinks_of_a_device_does_not_touch_its_row)
{
	start_two(NORTH_OF_EACH);
	ends("north/a", SESSION_END_REFUSED);
	commit();
	bridge_let_out();
	hide_numbers();
	cr_expect_null(strstr(buf_str(&said), "table"), "%s", buf_str(&said));
	cr_expect_eq(fleet_find(live_link_fleet(live), "a")->state, FLEET_REFUSED);
	buf_reset(&said);
	know("a", NORTH, "a-north-2");
	commit();
	bridge_let_out();
	cr_expect_null(strstr(buf_str(&said), "table"), "%s", buf_str(&said));
}

Test(live_link_gate, the_row_of_a_device_precedes_the_answer_that_brings_its_token)
{
	start(SOUTH_OF_NAMELESS, NORTH_OF_EACH);
	rest();
	sends("south", "$frontdoor/up/@7/ask", "{'device_name':'new','device_key':'k'}");
	rest();
	sends("asks", "answer", "{'status':'SUCCESS','token':'fresh'}");
	commit();
	bridge_let_out();
	hide_numbers();
	cr_expect(strstr(buf_str(&said), "south $frontdoor/table/set token device # new\n\n"
					 "south $frontdoor/down/@7/answer {\"status\":\"SUCCESS\""),
		  "%s", buf_str(&said));
	rest();
	takes("south");
	sends("south", "$frontdoor/up/new/me/t", "{'v':1}");
	turn("south acks 1\nnorth/new me/t {\"v\":1}\n");
	end_link();
	buf_reset(&said);
	start_link();
	commit();
	bridge_let_out();
	hide_numbers();
	cr_expect(strstr(buf_str(&said), "$frontdoor/table/set token device # new\n"), "%s",
		  buf_str(&said));
}

/* Nobody but calque chose the topic of the answer, though others name a device. */
Test(live_link_gate, an_answer_finds_who_asked_where_topics_name_devices)
{
	start(SOUTHERN(
		      "credentials: ['token'], session: { username: '{device}', password: "
		      "'{token}', provisioning: { username: 'provision' } },",
		      "{ kind: 'telemetry', topic: 's/{device}/t' },"
		      "{ kind: 'provision', topic: 'ask', also: [{ topic: '/ask', reply: '/answer' "
		      "}] },"
		      "{ kind: 'provision_reply', topic: 'answer' }",
		      ""),
	      NORTH_OF_EACH);
	rest();
	sends("south", "$frontdoor/up/@8//ask", "{'device_name':'new','device_key':'k'}");
	rest();
	sends("asks", "answer", "{'status':'SUCCESS','token':'fresh'}");
	commit();
	bridge_let_out();
	hide_numbers();
	cr_expect(strstr(buf_str(&said),
			 "south $frontdoor/table/set password device # new\n\n"
			 "south $frontdoor/down/@8//answer {\"status\":\"SUCCESS\""),
		  "%s", buf_str(&said));
}

Test(live_link_gate, a_refused_piece_of_the_table_is_no_message)
{
	start(SOUTH_OF_NAMELESS, NORTH_OF_ALL);
	know("a", SOUTH, "a-south");
	commit();
	bridge_let_out();
	for (int i = 0; i < 3; i++) /* head, rows, end */
		refuses("south", 0x87);
	rest();
	sends("north", "n/a/do/7", "{'name':'x'}");
	turn("south $frontdoor/down/a/me/do/1 {\"name\":\"x\"}\nnorth acks 1\n");
	takes("south");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->dead, 0);
}
