/* The layer between a port and its link, behind a front door. */
#include <criterion/criterion.h>

#include <stdarg.h>
#include <string.h>

#include "base/map.h"
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
	gate_set(gate, "lamp", &(struct gate_login){ 0 });
}

static const char *device; /* of what was taken last */

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
	return gate_take(gate, &m, out, &device);
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
	cr_expect_str_eq(device, "lamp");
	cr_expect_null(m.response_topic);
	gate_end_message(&m);
	cr_expect_eq(take("$frontdoor/up/door/c/7", "x", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/up/lamp/", "x", &m), GATE_NOTHING);
	cr_expect_eq(take("c/7", "x", &m), GATE_NOTHING);
	gate_put_topic(gate, "lamp", "c/7", &topic);
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
	gate_put_topic(gate, "lamp", m.response_topic, &topic);
	cr_expect_str_eq(topic.data, "$frontdoor/down/@8//answer");
	gate_end_message(&m);
	cr_assert_eq(take("$frontdoor/up/@9/ask", "x", &m), GATE_MESSAGE);
	cr_expect_str_eq(m.response_topic, "@9/other");
	gate_end_message(&m);
	cr_expect_eq(take("$frontdoor/up/@8/t", "x", &m), GATE_NOTHING);
	buf_fini(&topic);
}

static const char *missing(void)
{
	struct map_pos pos = { 0 };

	return gate_next_missing(gate, &pos);
}

Test(gate, who_is_missing_from_the_list_is_gone)
{
	struct message m;

	cr_expect_eq(take("$frontdoor/state/lamp", "online", &m), GATE_ONLINE);
	cr_expect(gate_is_here(gate, "lamp"));
	cr_expect_eq(take("$frontdoor/state/lamp", "offline", &m), GATE_OFFLINE);
	cr_expect_not(gate_is_here(gate, "lamp"));
	cr_expect_eq(take("$frontdoor/state/@end", "", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/state/@begin", "", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/state/door", "online", &m), GATE_NOTHING);
	cr_expect_eq(take("$frontdoor/state/@end", "", &m), GATE_LISTED);
	cr_expect_str_eq(missing(), "lamp");
	take("$frontdoor/state/@begin", "", &m);
	cr_expect_eq(take("$frontdoor/state/lamp", "online", &m), GATE_ONLINE);
	cr_expect_eq(take("$frontdoor/state/@end", "", &m), GATE_LISTED);
	cr_expect_null(missing());
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

static void send_all(void)
{
	struct message m;

	while (gate_next(gate, &m)) {
		message_fini(&m);
		gate_sent(gate);
	}
}

static void set_issued(const char *body)
{
	gate_set(gate, "lamp", &(struct gate_login){ .issued = { body, strlen(body) } });
}

Test(gate, what_a_handshake_brought_is_said_once)
{
	struct message m;

	gate_begin(gate, 7);
	send_all();
	set_issued("");
	cr_expect_not(gate_next(gate, &m));
	set_issued("{\"token\":\"secret\"}");
	cr_expect_not(gate_next(gate, &m), "it is the same");
	set_issued("{\"username\":\"fresh\"}");
	cr_assert(gate_next(gate, &m));
	cr_expect_str_eq(m.topic, "$frontdoor/table/set");
	cr_expect(strncmp(m.payload, ROW(MAC), 40) != 0 && strstr(m.payload, " lamp"));
	message_fini(&m);
	gate_sent(gate);
	cr_expect_not(gate_next(gate, &m));
	gate_set(gate, "lamp", NULL);
	expect_next("$frontdoor/table/remove", "lamp\n");
	cr_expect_eq(take("$frontdoor/up/lamp/t", "x", &m), GATE_MESSAGE, "it has its PUBACK");
}

/* --- of many devices ----------------------------------------------------------------------- */

static void set_up_many(void)
{
	world_init(&w);
	w.spec.has_front_door = true;
	world_plan(&w,
		   SOUTHERN("device:'none',credentials:['token'],session:{username:'{token}',"
			    "provisioning:{username:'p'}},",
			    ROWS, ""),
		   NORTHERN("device:'none',session:{per:'device',provisioning:{username:'p'}},",
			    ROWS, ""));
	gate = gate_new(w.plan, &conf, key);
}

TestSuite(gate_of_many, .init = set_up_many, .fini = tear_down);

static void set_own(const char *name, const char *of, ...)
{
	struct vars own = { 0 };
	va_list ap;

	va_start(ap, of);
	for (const char *var = of; var; var = va_arg(ap, const char *))
		vars_set(&own, var, va_arg(ap, const char *), true);
	va_end(ap);
	gate_set(gate, name, &(struct gate_login){ .own = &own });
	vars_fini(&own);
}

/* What the next message of the table says, each HMAC as "#". */
static void expect_rows(const char *topic, const char *rows)
{
	struct message m;
	struct buf text = { 0 };

	cr_assert(gate_next(gate, &m));
	cr_expect_str_eq(m.topic, topic);
	for (const char *p = m.payload ? m.payload : ""; *p;) {
		size_t n = strspn(p, "0123456789abcdef");

		if (n == 64)
			buf_putc(&text, '#');
		else
			buf_append(&text, p, n ? n : 1);
		p += n ? n : 1;
	}
	cr_expect_str_eq(buf_str(&text), rows);
	message_fini(&m);
	buf_fini(&text);
	gate_sent(gate);
}

static void begin(void)
{
	struct message m;

	gate_begin(gate, 7);
	cr_assert(gate_next(gate, &m));
	message_fini(&m);
	gate_sent(gate);
}

Test(gate_of_many, hears_all_of_them)
{
	size_t n = 1;
	char **given = mem_zalloc(2 * sizeof *given), **made;
	struct buf all = { 0 };

	given[0] = mem_strdup("t");
	made = gate_filters(gate, given, &n);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&all, "%s ", made[i]);
		free(made[i]);
	}
	free(made);
	cr_expect_str_eq(buf_str(&all), "$frontdoor/up/+/t $frontdoor/state/+ $ ");
	buf_fini(&all);
}

Test(gate_of_many, its_session_says_whose_it_is)
{
	struct message m;
	struct buf topic = { 0 };

	set_own("a/b%", "token", "t1", NULL);
	cr_assert_eq(take("$frontdoor/up/a%2Fb%25/c/7", "x", &m), GATE_MESSAGE);
	cr_expect_str_eq(m.topic, "c/7");
	cr_expect_str_eq(device, "a/b%");
	cr_assert_eq(take("$frontdoor/up/gone/c/7", "x", &m), GATE_MESSAGE);
	cr_expect_str_eq(device, "gone");
	cr_assert_eq(take("$frontdoor/up/@7//ask", "x", &m), GATE_MESSAGE);
	cr_expect_null(device);
	gate_end_message(&m);
	cr_expect_eq(take("$frontdoor/up/a%2/c/7", "x", &m), GATE_NOTHING);
	gate_put_topic(gate, "@a/b%", "c/7", &topic);
	cr_expect_str_eq(topic.data, "$frontdoor/down/%40a%2Fb%25/c/7");
	buf_fini(&topic);
}

Test(gate_of_many, rows_are_told_once_and_go)
{
	struct message m;

	set_own("a", "token", "t1", NULL);
	set_own("b", "token", "t2", NULL);
	begin();
	expect_rows("$frontdoor/table/set", "token device # a\ntoken device # b\n");
	expect_rows("$frontdoor/table/end", "");
	set_own("a", "token", "t1", NULL);
	cr_expect_not(gate_next(gate, &m), "nothing is new");
	set_own("a", "token", "t3", NULL);
	gate_set(gate, "b", NULL);
	gate_set(gate, "unheard-of", NULL);
	expect_rows("$frontdoor/table/set", "token device # a\n");
	expect_rows("$frontdoor/table/remove", "b\n");
	cr_expect_not(gate_next(gate, &m));
	begin();
	expect_rows("$frontdoor/table/set", "token device # a\n");
	expect_rows("$frontdoor/table/end", "");
}

Test(gate_of_many, what_goes_during_a_snapshot_is_told_in_it)
{
	set_own("a", "token", "t1", NULL);
	set_own("b", "token", "t2", NULL);
	gate_begin(gate, 7);
	gate_set(gate, "a", NULL);
	begin();
	expect_rows("$frontdoor/table/set", "token device # b\n");
	gate_set(gate, "b", NULL);
	expect_rows("$frontdoor/table/remove", "b\n");
	expect_rows("$frontdoor/table/end", "");
}

Test(gate_of_many, many_rows_are_several_messages)
{
	struct message m;
	int n = 0;

	for (int i = 0; i < 1000; i++) {
		char *name = mem_printf("d%d", i);

		set_own(name, "token", name, NULL);
		free(name);
	}
	for (begin(); gate_next(gate, &m); n++) {
		cr_expect_lt(m.payload_len, 40000);
		message_fini(&m);
		gate_sent(gate);
	}
	cr_expect_eq(n, 5, "four of rows and the end, not %d", n);
}

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

Test(gate_of_many, credentials_are_of_all_forms)
{
	set_own("a", "username", "u", "password", "p", NULL);
	set_own("b", "client_id", "id", "username", "u", NULL);
	set_own("c", "client_id", "id", NULL);
	set_own("d", "certificate", HASH, NULL);
	set_own("e", "certificate", "no hash", "token", "t", NULL);
	set_own("f", "certificate", HASH, "token", "t", NULL);
	set_own("g", "group", "x", NULL);
	begin();
	expect_rows("$frontdoor/table/set", "basic device # a\nbasic device # b\nbasic device # c\n"
					    "certificate device # d\ntoken device # e\n"
					    "certificate device # f\ntoken device # f\n");
}

#define CERTIFICATE_ROWS                                                                           \
	"certificate device d4b94f0a0386a2943d1c37f4712a80f0f77e7c03265a206efe5f87282005ed85 a\n"  \
	"basic device 6cf3e098ad0796a1d5b9cc37e3a48c56739112cc389087933a1901d61701c498 b\n"        \
	"basic device b86486e2c62481ecc209f9c299acd6937bd209ae1e959952853a86d934053aa7 c\n"

/* HMACs of "certificate\0HASH\0\0", "basic\0id\0u\0p" and "basic\0\0u\0p", by Python. */
Test(gate_of_many, a_hash_is_written_as_tools_do)
{
	set_own("a", "certificate",
		"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
		"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
		NULL);
	set_own("b", "client_id", "id", "username", "u", "password", "p", NULL);
	set_own("c", "username", "u", "password", "p", NULL);
	begin();
	expect_next("$frontdoor/table/set", CERTIFICATE_ROWS);
}

Test(gate_of_many, a_gateway_has_its_kind)
{
	gate_set(gate, "g",
		 &(struct gate_login){ .is_gateway = true, .issued = { "{\"token\":\"t\"}", 13 } });
	begin();
	expect_rows("$frontdoor/table/set", "token gateway # g\n");
}
