#include <criterion/criterion.h>

#include "conf/conf.h"
#include "conf/login.h"
#include "unit/dialects.h"

static struct world w;
static struct conf_session conf;
static const struct jslice none;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(login, .init = set_up, .fini = tear_down);

/* "USERNAME PASSWORD CLIENT_ID", - for none; ! where a credential is missing, ?NAME for what is unset */
static void expect_login_at(enum side side, bool is_provisioning, struct jslice credentials,
			    const char *wanted, int line)
{
	struct session_login l;
	struct buf got = { 0 };

	login_make(&l, &(struct login_terms){ .plan = w.plan,
					      .conf = &conf,
					      .side = side,
					      .is_provisioning = is_provisioning,
					      .credentials = credentials,
					      .instance = "i1" });
	buf_printf(&got, "%s %s %s%s", l.username ? l.username : "-", l.password ? l.password : "-",
		   l.client_id, l.is_missing ? " !" : "");
	if (l.unset)
		buf_printf(&got, " ?%s", l.unset);
	expect_text(buf_str(&got), wanted, "login", line);
	buf_fini(&got);
	login_fini(&l);
	cr_expect_null(l.client_id);
}
#define expect_login(side, credentials, wanted)                                                    \
	expect_login_at(side, false, credentials, wanted, __LINE__)

static struct jslice text_of(const char *s)
{
	return (struct jslice){ s, strlen(s) };
}

#define PLAIN_SOUTH SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", "")
#define NORTH_ROW   "{ kind: 'telemetry', topic: 't/{device}' }"
#define TOKEN_NORTH                                                                                \
	NORTHERN("credentials: ['token'], session: { username: '{token}',"                         \
		 "  provisioning: { username: 'p-{device}' } },",                                  \
		 NORTH_ROW, "")

static void plan(const char *south, const char *north)
{
	w.spec.is_offline = true; /* several have no device */
	world_plan(&w, south, north);
}

Test(login, without_templates_only_the_client_id_is_set)
{
	plan(PLAIN_SOUTH, NORTHERN("", NORTH_ROW, ""));
	expect_login(SOUTH, none, "- - calque-link-south-i1");
	expect_login(NORTH, none, "- - calque-link-north-i1");
	expect_login_at(NORTH, true, none, "- - calque-link-provision-i1", __LINE__);
}

Test(login, templates_are_filled_from_the_variables)
{
	world_set(&w, NORTH, "key", "k1");
	world_set(&w, SOUTH, "device", "d1");
	plan(PLAIN_SOUTH, NORTHERN("credentials: ['key'],"
				   "session: { username: 'u-{device}', password: '{key}', "
				   "client_id: '{device}' },",
				   NORTH_ROW, ""));
	expect_login(NORTH, none, "u-d1 k1 d1");
}

Test(login, the_configuration_comes_first)
{
	conf.username = "me";
	conf.client_id = "mine";
	plan(PLAIN_SOUTH, TOKEN_NORTH);
	expect_login(NORTH, none, "me - mine");
}

Test(login, a_credential_that_is_not_known_is_missing)
{
	plan(PLAIN_SOUTH, TOKEN_NORTH);
	expect_login(NORTH, none, "- - calque-link-north-i1 ! ?token");
}

Test(login, before_devices_it_is_that_of_an_application)
{
	plan(SOUTHERN("session: { username: 'u', password: 'p', client_id: 'device' },"
		      "application: { username: 'a' },",
		      "{ kind: 'telemetry', topic: 's/{device}' }", ""),
	     NORTHERN("session: { username: 'u', password: 'p', client_id: 'device' },"
		      "application: {},",
		      NORTH_ROW, ""));
	expect_login(SOUTH, none, "a - calque-link-south-i1");
	expect_login(NORTH, none, "u p device");
}

Test(login, a_client_certificate_is_a_login)
{
	conf.tls.cert = "cert.pem";
	plan(PLAIN_SOUTH, TOKEN_NORTH);
	expect_login(NORTH, none, "- - calque-link-north-i1");
	conf.provision.key = "k"; /* it only lets in who is to ask for a token */
	expect_login(NORTH, none, "- - calque-link-north-i1 ! ?token");
}

Test(login, another_variable_that_is_unset_is_left_out)
{
	world_set(&w, NORTH, "key", "k1");
	plan(PLAIN_SOUTH, NORTHERN("credentials: ['key'],"
				   "session: { username: '{project}', password: '{key}' },",
				   NORTH_ROW, ""));
	expect_login(NORTH, none, "- k1 calque-link-north-i1 ?project");
}

Test(login, a_session_of_many_devices_is_none_of_them)
{
	plan(SOUTHERN("session: { username: '{device}', client_id: '{device}' },",
		      "{ kind: 'telemetry', topic: 's/{device}' }", ""),
	     NORTHERN("", NORTH_ROW, ""));
	expect_login(SOUTH, none, "- - calque-link-south-i1 ?device");
}

Test(login, what_a_handshake_issued_fills_the_gaps)
{
	plan(PLAIN_SOUTH, TOKEN_NORTH);
	expect_login(NORTH, text_of("{\"status\":\"SUCCESS\",\"token\":\"T1\"}"),
		     "T1 - calque-link-north-i1");
	expect_login(NORTH, text_of("{\"username\":\"u\",\"password\":\"p\",\"client_id\":\"c\"}"),
		     "u p c");
	expect_login(NORTH, text_of("{\"username\":null,\"token\":\"T2\"}"),
		     "T2 - calque-link-north-i1");
}

Test(login, a_credential_in_the_configuration_wins)
{
	world_set(&w, NORTH, "token", "T0");
	plan(PLAIN_SOUTH, TOKEN_NORTH);
	expect_login(NORTH, text_of("{\"token\":\"T1\"}"), "T0 - calque-link-north-i1");
}

Test(login, a_handshake_has_a_login_of_its_own)
{
	conf.username = "me";
	conf.password = "secret";
	world_set(&w, SOUTH, "device", "d1");
	plan(PLAIN_SOUTH, TOKEN_NORTH);
	expect_login_at(NORTH, true, text_of("{\"token\":\"T1\"}"),
			"p-d1 - calque-link-provision-i1", __LINE__);
}

/* "USERNAME PASSWORD CLIENT_ID" of a device's session. */
static char *login_of(const char *device, const struct vars *own)
{
	struct session_login l;
	char *got;

	login_make(&l, &(struct login_terms){ .plan = w.plan,
					      .conf = &conf,
					      .side = NORTH,
					      .device = device,
					      .own = own,
					      .instance = "i1" });
	got = mem_printf("%s %s %s", l.username ? l.username : "-", l.password ? l.password : "-",
			 l.client_id);
	login_fini(&l);
	return got;
}

Test(login, what_is_a_devices_own_comes_before_what_is_its_sides)
{
	struct vars own = { 0 };
	char *got;

	world_set(&w, NORTH, "key", "all");
	plan(PLAIN_SOUTH, NORTHERN("credentials: ['key'], session: { username: '{device}',"
				   "password: '{key}', client_id: 'c-{device}', per: 'device' },",
				   NORTH_ROW, ""));
	got = login_of("d1", &own);
	cr_expect_str_eq(got, "d1 all c-d1");
	free(got);
	vars_set(&own, "key", "mine", true);
	got = login_of("d2", &own);
	cr_expect_str_eq(got, "d2 mine c-d2");
	free(got);
	vars_fini(&own);
}

Test(login, fields_that_are_a_devices_own_need_no_template)
{
	struct vars own = { 0 };
	char *got;

	plan(PLAIN_SOUTH, NORTHERN("credentials: ['key'], session: { username: '{key}',"
				   "client_id: 'c-{device}', per: 'device' },",
				   NORTH_ROW, ""));
	vars_set(&own, "username", "u1", true);
	vars_set(&own, "password", "p1", true);
	got = login_of("d1", &own);
	cr_expect_str_eq(got, "u1 p1 c-d1");
	free(got);
	vars_fini(&own);
}

/* Any server takes it (MQTT 3.1.1, 3.1.3.1), whatever the device is called. */
Test(login, a_devices_client_id_is_short_its_own_and_the_same_each_time)
{
	char *a, *again, *b;

	plan(PLAIN_SOUTH, NORTHERN("session: { per: 'device' },", NORTH_ROW, ""));
	a = login_of("a/very long näme that no client id has", NULL);
	again = login_of("a/very long näme that no client id has", NULL);
	b = login_of("b", NULL);
	cr_expect_str_eq(a, again);
	cr_expect_str_neq(a, b);
	cr_expect_leq(strlen(a + 4), 23);
	cr_expect_eq(strspn(a + 4, "abcdefghijklmnopqrstuvwxyz0123456789"), strlen(a + 4));
	free(a);
	free(again);
	free(b);
}
