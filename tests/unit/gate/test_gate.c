/* The layer between a port and its link, behind a front door. */
#include <criterion/criterion.h>

#include <string.h>

#include "conf/conf.h"
#include "gate/gate.h"
#include "message/message.h"
#include "unit/dialects.h"

#define ROWS                                                                                       \
	"{kind:'telemetry',topic:'t',lenient:true},{kind:'command',topic:'c/{id}'},"               \
	"{kind:'provision',topic:'/ask',also:[{topic:'ask',reply:'other'}]},"                      \
	"{kind:'provision_reply',topic:'/answer'}"

static struct world w;
static struct gate *gate;
static struct conf_session conf = { .username = "calque", .password = "p", .front_door = true };
static const uint8_t key[CRYPTO_KEY_BYTES] = { 1, 2, 3 };

static void set_up(void)
{
	world_init(&w);
	world_set(&w, SOUTH, "device", "lamp");
	world_set(&w, SOUTH, "token", "secret");
	world_plan(&w,
		   SOUTHERN("device:'none',credentials:['token'],session:{username:'{token}',"
			    "provisioning:{username:'p'}},limits:{packet_bytes:99},",
			    ROWS, ""),
		   NORTHERN("device:'none',session:{provisioning:{username:'p'}},", ROWS, ""));
	gate = gate_new(w.plan, &conf, key);
}

static void tear_down(void)
{
	gate_free(gate);
	world_fini(&w);
}

TestSuite(gate, .init = set_up, .fini = tear_down);

static enum gate_word take(const char *topic, const char *payload, struct message *out)
{
	static struct message m;
	static char t[200], p[200];

	snprintf(t, sizeof t, "%s", topic);
	snprintf(p, sizeof p, "%s", payload);
	m = (struct message){ .topic = t, .payload = p, .payload_len = strlen(p) };
	return gate_take(gate, &m, out);
}

Test(gate, filters_are_its_devices_and_what_it_must_hear)
{
	size_t n = 2;
	char **given = mem_zalloc(3 * sizeof *given), **made;
	struct buf all = { 0 };

	given[0] = mem_strdup("t");
	given[1] = mem_strdup("/ask");
	made = gate_filters(gate, given, &n);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&all, "%s ", made[i]);
		free(made[i]);
	}
	free(made);
	cr_expect_str_eq(buf_str(&all),
			 "$frontdoor/up/lamp/t $frontdoor/up/lamp//ask $frontdoor/up/+//ask "
			 "$frontdoor/state/lamp $frontdoor/state/@begin $frontdoor/state/@end $ ");
	buf_fini(&all);
}

Test(gate, topics_are_the_dialects_own)
{
	struct message m;
	struct buf topic = { 0 };

	cr_assert_eq(take("$frontdoor/up/lamp/c/7", "x", &m), GATE_MESSAGE);
	cr_expect_str_eq(m.topic, "c/7");
	cr_expect_null(m.response_topic);
	gate_end_message(&m);
	cr_expect_eq(take("$frontdoor/up/door/c/7", "x", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/up/lamp/", "x", &m), GATE_NOTHING);
	cr_expect_eq(take("c/7", "x", &m), GATE_NOTHING);
	gate_put_topic(gate, "c/7", &topic);
	cr_expect_str_eq(topic.data, "$frontdoor/down/lamp/c/7");
	buf_fini(&topic);
}

Test(gate, an_answer_finds_who_has_no_name_yet)
{
	struct message m;
	struct buf topic = { 0 };

	cr_assert_eq(take("$frontdoor/up/@8//ask", "x", &m), GATE_MESSAGE);
	cr_expect_str_eq(m.topic, "/ask");
	cr_expect_str_eq(m.response_topic, "@8//answer");
	gate_put_topic(gate, m.response_topic, &topic);
	cr_expect_str_eq(topic.data, "$frontdoor/down/@8//answer");
	gate_end_message(&m);
	cr_assert_eq(take("$frontdoor/up/@9/ask", "x", &m), GATE_MESSAGE);
	cr_expect_str_eq(m.response_topic, "@9/other");
	gate_end_message(&m);
	cr_expect_eq(take("$frontdoor/up/@8/t", "x", &m), GATE_NOTHING);
	buf_fini(&topic);
}

Test(gate, who_is_missing_from_the_list_is_gone)
{
	struct message m;

	cr_expect_eq(take("$frontdoor/state/lamp", "online", &m), GATE_ONLINE);
	cr_expect_eq(take("$frontdoor/state/lamp", "offline", &m), GATE_OFFLINE);
	cr_expect_eq(take("$frontdoor/state/@end", "", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/state/@begin", "", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/state/door", "online", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/state/@end", "", &m), GATE_OFFLINE);
	take("$frontdoor/state/@begin", "", &m);
	cr_expect_eq(take("$frontdoor/state/lamp", "online", &m), GATE_ONLINE);
	cr_expect_eq(take("$frontdoor/state/@end", "", &m), GATE_NOTHING);
}

/* The HMAC of "token\0secret\0\0" is Python's. */
#define ROW(mac) "token device " mac " lamp\n"
#define MAC	 "1515a0a4703f3efe074344d9029b2332de7a443b704d6004d5525b8f1f876f28"

static void expect_next(const char *topic, const char *payload)
{
	struct message m;

	cr_assert(gate_next(gate, &m), "%s", topic);
	cr_expect_str_eq(m.topic, topic);
	cr_expect_str_eq(m.payload ? m.payload : "", payload);
	message_fini(&m);
	gate_sent(gate);
}

Test(gate, the_table_goes_before_all_else)
{
	struct message m;

	cr_expect_not(gate_next(gate, &m));
	gate_begin(gate, 7);
	expect_next(
		"$frontdoor/table/begin",
		"serial 7\nkey 0102030000000000000000000000000000000000000000000000000000000000\n"
		"packet_bytes 99\njson lenient t\njson strict /ask\n"
		"provision /ask\njson strict ask\nprovision ask\n");
	expect_next("$frontdoor/table/set", ROW(MAC));
	expect_next("$frontdoor/table/end", "");
	cr_expect_not(gate_next(gate, &m));
}

Test(gate, what_a_handshake_brought_is_said_once)
{
	static const char body[] = "{\"token\":\"secret\"}", other[] = "{\"username\":\"fresh\"}";
	struct message m;

	gate_begin(gate, 7);
	while (gate_next(gate, &m)) {
		message_fini(&m);
		gate_sent(gate);
	}
	gate_set_issued(gate, (struct jslice){ 0 });
	cr_expect_not(gate_next(gate, &m));
	gate_set_issued(gate, (struct jslice){ body, sizeof body - 1 });
	cr_expect_not(gate_next(gate, &m), "it is the same");
	gate_set_issued(gate, (struct jslice){ other, sizeof other - 1 });
	cr_assert(gate_next(gate, &m));
	cr_expect_str_eq(m.topic, "$frontdoor/table/set");
	cr_expect(strncmp(m.payload, ROW(MAC), 40) != 0 && strstr(m.payload, " lamp"));
	message_fini(&m);
	gate_sent(gate);
	cr_expect_not(gate_next(gate, &m));
}
