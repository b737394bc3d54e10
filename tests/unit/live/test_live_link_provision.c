/* A link whose bridge asks the north for the credentials of each device by itself. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "handshake/provision.h"
#include "live/live_link.h"
#include "state/change.h"
#include "unit/live/one_link.h"

#define SOUTH_OF_MANY SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t' }", "")
#define NORTH_OF_EACH                                                                              \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device',"                                  \
		 "provisioning: { username: 'provision' } },",                                     \
		 "{ kind: 'provision', topic: 'P/ask' },"                                          \
		 "{ kind: 'provision_reply', topic: 'P/reply' },"                                  \
		 "{ kind: 'telemetry', topic: 'me/t' }",                                           \
		 "")
/* As Innoway: what it is asked has no token of the asker's in it. */
#define NORTH_THAT_CHOOSES                                                                         \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device',"                                  \
		 "provisioning: { username: 'provision' } },",                                     \
		 "{ kind: 'provision', topic: 'P/ask', write: 'ask' },"                            \
		 "{ kind: 'provision_reply', topic: 'P/reply' },"                                  \
		 "{ kind: 'telemetry', topic: 'me/t' }",                                           \
		 "def ask: .body | {device_name};")

static void start(const char *north, const char *keys)
{
	char *provision = mem_printf("provision = { key = \"k\"; %s };", keys);

	more_of_north = provision;
	generation = bridge_generation("link", NULL, SOUTH_OF_MANY, north);
	more_of_north = "";
	free(provision);
	start_link();
	expect("south opens\nsouth starts\n");
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

TestSuite(live_link_provision, .init = set_up, .fini = tear_down);

static void commit(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
}

/* Until nothing more happens at this time. */
static void turns(void)
{
	for (int i = 0; i < 3; i++) {
		commit();
		bridge_let_out();
	}
}

static void expect_turns_at(const char *wanted, int line)
{
	turns();
	expect_said_at(wanted, line);
}
#define expect_turns(wanted) expect_turns_at(wanted, __LINE__)

static const struct fleet_device *row(const char *device)
{
	const struct fleet_device *d = fleet_find(live_link_fleet(live), device);

	cr_assert(d, "no row of %s", device);
	return d;
}

static const char *provision_so(const char *device, bool retries_lost)
{
	struct changes c = { 0 };
	const char *why;

	fleet_name(live_link_fleet(live), device, FLEET_IMPORT, &c);
	why = live_link_provision(live, device, retries_lost, &c);
	if (c.n)
		live_link_fleet_changed(live, &c);
	changes_fini(&c);
	return why;
}

static void provision(const char *device)
{
	const char *why = provision_so(device, false);

	cr_assert_null(why, "%s", why);
}

static void expect_state(const char *device, enum fleet_state state, const char *reason)
{
	cr_expect_str_eq(fleet_state_names[row(device)->state], fleet_state_names[state], "%s: %s",
			 device, fleet_state_names[row(device)->state]);
	cr_expect_str_eq(row(device)->reason ? row(device)->reason : "", reason);
}

static void answers(const char *body)
{
	sends("asks", "P/reply", body);
	buf_reset(&said);
}

#define ASKS(device) "asks P/ask {\"device_name\":\"" device "\",\"provision_key\":\"k\",<token>}\n"
#define OPENS	     "asks opens\nasks starts\n"

Test(live_link_provision, not_more_are_asked_for_in_a_second_than_the_run_wants)
{
	start(NORTH_OF_EACH, "");
	live_link_provision_run(live, 2, 0);
	provision("a");
	provision("b");
	turns();
	cr_expect(strstr(buf_str(&said), "\"a\""), "%s", buf_str(&said));
	cr_expect_null(strstr(buf_str(&said), "\"b\""));
	buf_reset(&said);
	answers("{'status':'SUCCESS','token':'a-token'}");
	turns();
	cr_expect_null(strstr(buf_str(&said), "\"b\""));
	buf_reset(&said);
	now_ms += 499;
	expect_turns("");
	now_ms += 1;
	turns();
	cr_expect(strstr(buf_str(&said), "\"b\""), "%s", buf_str(&said));
}

Test(live_link_provision, too_many_refusals_stop_the_run_and_it_goes_on_when_asked)
{
	start(NORTH_OF_EACH, "");
	live_link_provision_run(live, 0, 2);
	for (char device[] = "a"; *device <= 'j'; ++*device)
		provision(device);
	for (int i = 0; i < 4; i++) {
		turns();
		answers("{'status':'FAILURE'}");
	}
	turns();
	expect_state("a", FLEET_REFUSED, "name-taken");
	expect_state("b", FLEET_REFUSED, "name-taken");
	cr_expect(strstr(live_link_provision_stopped(live), "--max-failures"));
	expect_state("j", FLEET_ASKING, "");
	live_link_provision_run(live, 0, 0);
	cr_expect_null(live_link_provision_stopped(live));
	for (turns(); row("j")->state == FLEET_ASKING; turns())
		answers("{'status':'FAILURE'}");
	expect_state("j", FLEET_REFUSED, "name-taken");
}

/* The platform chooses, its answer is lost with the time, and nobody knows the token. */
static void lose(const char *device)
{
	provision(device);
	turns();
	turns();
	now_ms += 60000;
	turns();
	buf_reset(&said);
	expect_state(device, FLEET_LOST, "the answer was lost");
}

Test(live_link_provision, a_lost_token_that_the_platform_chose_is_imported)
{
	struct changes c = { 0 };

	start(NORTH_THAT_CHOOSES, "");
	lose("d");
	cr_expect(strstr(provision_so("d", false), "--retry-lost"));
	expect_turns("");
	fleet_set_var(live_link_fleet(live), "d", NORTH, "token", "of the console", true, &c);
	fleet_set_state(live_link_fleet(live), "d", FLEET_READY, NULL, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	expect_turns("north/d opens\nnorth/d starts\n");
	cr_expect(strncmp(find("north/d")->login, "of the console - ", 17) == 0);
	cr_expect_null(provision_so("d", false));
	expect_turns(""); /* it has what it needs */
}

Test(live_link_provision, or_asked_for_once_more_by_who_takes_the_risk)
{
	start(NORTH_THAT_CHOOSES, "");
	lose("d");
	end_link();
	buf_reset(&said);
	start_link();
	expect_turns("south opens\nsouth starts\n"); /* it stays lost */
	cr_expect_null(provision_so("d", true));
	turns();
	cr_expect(strstr(buf_str(&said), "asks P/ask {\"device_name\":\"d\"}"), "%s",
		  buf_str(&said));
	answers("{'status':'SUCCESS','token':'second'}");
	turns();
	expect_state("d", FLEET_READY, "");
	cr_expect(strncmp(find("north/d")->login, "second - ", 9) == 0);
}

Test(live_link_provision, with_auto_who_is_seen_first_is_asked_for_and_what_it_said_goes_on)
{
	start(NORTH_OF_EACH, "auto = true;");
	sends("south", "s/d/t", "{'a':1}");
	turns();
	cr_expect(strstr(buf_str(&said), "asks P/ask {\"device_name\":\"d\""), "%s",
		  buf_str(&said));
	answers("{'status':'SUCCESS','token':'d-token'}");
	turns();
	cr_expect(strstr(buf_str(&said), "north/d me/t {\"a\":1}"), "%s", buf_str(&said));
	expect_state("d", FLEET_READY, "");
}

Test(live_link_provision, without_auto_who_is_seen_first_is_not)
{
	start(NORTH_OF_EACH, "");
	sends("south", "s/d/t", "{'a':1}");
	turns();
	cr_expect_null(strstr(buf_str(&said), "asks"), "%s", buf_str(&said));
	expect_state("d", FLEET_KNOWN, "");
}

/* --- a platform that makes a device of each name once, under the token that it is asked for */

#define MADE 50
static struct {
	char name[8], token[33];
} made[MADE];
static size_t n_made, n_tried, most_open;

/* What it was asked, and has not answered. */
static struct question {
	char port[16], name[8], answer[100];
	bool is_new;
} open_questions[PROVISION_SESSIONS];
static size_t n_open;

static size_t find_made(const char *name)
{
	size_t i = 0;

	while (i < n_made && strcmp(made[i].name, name) != 0)
		i++;
	return i;
}

static void make(struct question *q)
{
	size_t i = find_made(q->name);

	takes(q->port);
	q->is_new = i == n_made;
	if (!q->is_new) {
		snprintf(q->answer, sizeof q->answer, "{'status':'FAILURE'}");
		return;
	}
	cr_assert_lt(n_made, MADE);
	snprintf(made[i].name, sizeof made[i].name, "%s", q->name);
	snprintf(made[i].token, sizeof made[i].token, "%s", find(q->port)->token);
	snprintf(q->answer, sizeof q->answer, "{'status':'SUCCESS','token':'%s'}", made[i].token);
	n_made++;
}

/* It reads what left, and makes what it is asked for. */
static void platform_reads(void)
{
	for (const char *line = buf_str(&said); *line; line = strchr(line, '\n') + 1) {
		struct question *q = &open_questions[n_open];

		if (sscanf(line, "%15s P/ask {\"device_name\":\"%7[^\"]", q->port, q->name) != 2)
			continue;
		make(q);
		n_open++;
	}
	most_open = n_open > most_open ? n_open : most_open;
	buf_reset(&said);
}

/* The name was taken: does what was chosen for it let in who asks? */
static void expect_trial(const struct question *q)
{
	generation_run(generation);
	cr_expect(strncmp(find(q->port)->login, made[find_made(q->name)].token, 32) == 0,
		  "%s logs in as %s", q->name, find(q->port)->login);
	n_tried++;
}

/* It answers one of the questions. */
static void platform_answers(size_t i)
{
	struct question q = open_questions[i];

	open_questions[i] = open_questions[--n_open];
	sends(q.port, "P/reply", q.answer);
	if (!q.is_new)
		expect_trial(&q);
}

static size_t count(enum fleet_state state)
{
	size_t n, found = 0;
	char **names = fleet_names(live_link_fleet(live), &n);

	for (size_t i = 0; i < n; i++) {
		found += row(names[i])->state == state;
		free(names[i]);
	}
	free(names);
	return found;
}

static void expect_own_tokens(void)
{
	cr_expect_eq(count(FLEET_READY), (size_t)MADE);
	cr_expect_eq(n_made, (size_t)MADE);
	for (size_t i = 0; i < n_made; i++) {
		struct jslice token, issued = link_credentials(live->link, made[i].name);

		cr_assert(jtext_field(issued, "token", &token), "%s", made[i].name);
		cr_expect(jtext_string_is(token, made[i].token), "%s", made[i].name);
	}
}

/* Nothing passes, so that no sessions of devices are opened. */
static void start_fifty_at(const char *north)
{
	char name[8];

	more_of_north = "provision = { key = \"k\"; };";
	generation = bridge_generation_of("link", "mode = \"off\"; ", NULL, SOUTH_OF_MANY, north);
	start_link();
	buf_reset(&said);
	for (int i = 0; i < MADE; i++) {
		snprintf(name, sizeof name, "d%02d", i);
		provision(name);
	}
}

static void start_fifty(void)
{
	start_fifty_at(NORTH_OF_EACH);
}

static void turn_and_read(void)
{
	turns();
	platform_reads();
}

/* One is answered at a time. */
static void go_on_to_the_end(void)
{
	for (int i = 0; i < 20 * MADE && count(FLEET_ASKING) > 0; i++) {
		turn_and_read();
		if (n_open)
			platform_answers((size_t)i % n_open);
	}
}

Test(live_link_provision, four_are_open_at_once_and_answered_in_any_order)
{
	start_fifty();
	/* The first three, until it has shown whose its answers are. */
	for (int i = 0; i < 3; i++) {
		turn_and_read();
		cr_assert_eq(n_open, 1, "%zu", n_open);
		cr_expect_str_eq(open_questions[0].port, i == 1 ? "asks-2" : "asks");
		platform_answers(0);
	}
	turn_and_read();
	cr_expect_eq(n_open, 4);
	for (size_t i = 0; i < n_open; i++) /* none is anybody's but the first's on its session */
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(open_questions[i].port, open_questions[k].port);
	while (n_open) {
		platform_answers(n_open - 1);
		if (n_made < MADE)
			turn_and_read();
	}
	turns();
	cr_expect_eq(most_open, 4);
	expect_own_tokens();
}

/* It gives each answer to all who listen. */
static void broker_answers(size_t i)
{
	struct question q = open_questions[i];

	open_questions[i] = open_questions[--n_open];
	for (size_t k = 0; k < CARRIERS; k++)
		if (strncmp(carriers[k].name, "asks", 4) == 0)
			sends(carriers[k].name, "P/reply", q.answer);
}

Test(live_link_provision, where_all_hear_all_answers_one_is_open_at_a_time)
{
	start_fifty();
	for (int i = 0; i < 20 * MADE && count(FLEET_ASKING) > 0; i++) {
		turn_and_read();
		cr_assert_leq(n_open, 1);
		if (n_open)
			broker_answers(0);
	}
	expect_own_tokens();
}

/* The broker before it is another one since: the questions that are open are asked again, when all is said. */
Test(live_link_provision, where_all_hear_all_answers_at_last_nobody_is_given_what_is_anothers)
{
	start_fifty();
	for (int i = 0; i < 10; i++) {
		turn_and_read();
		platform_answers(0);
	}
	turn_and_read();
	cr_assert_eq(n_open, 4);
	broker_answers(2);
	n_open = 0; /* they are answered, and nobody hears it */
	turns();
	cr_expect_null(strstr(buf_str(&said), "P/ask"), "%s", buf_str(&said));
	cr_expect(strstr(buf_str(&said), "asks-4 closes"), "%s", buf_str(&said));
	buf_reset(&said);
	now_ms += 30000;
	turns();
	now_ms -= 30000; /* messages come at the time of the loop, which has not moved */
	most_open = 0;
	go_on_to_the_end();
	cr_expect_eq(most_open, 1);
	cr_expect_geq(n_tried, (size_t)3, "%zu", n_tried);
	expect_own_tokens();
}

/* As NORTH_OF_EACH, but that its answers take a worker. */
#define NORTH_TO_WORK_ON                                                                           \
	NORTHERN("device: 'none', credentials: ['token'],"                                         \
		 "session: { username: '{token}', per: 'device',"                                  \
		 "provisioning: { username: 'provision' } },",                                     \
		 "{ kind: 'provision', topic: 'P/ask' },"                                          \
		 "{ kind: 'provision_reply', topic: 'P/reply', read: 'said' },"                    \
		 "{ kind: 'telemetry', topic: 'me/t' }",                                           \
		 "def said: { body: (.payload | with_entries(.)) };")

Test(live_link_provision, killed_with_four_open_no_device_is_made_twice)
{
	start_fifty_at(NORTH_TO_WORK_ON);
	for (int i = 0; i < 10; i++) {
		turn_and_read();
		platform_answers(0);
	}
	turn_and_read();
	cr_assert_eq(n_open, 4);
	/* Two answers are there, and nobody has looked at them. */
	sends(open_questions[3].port, "P/reply", open_questions[3].answer);
	sends(open_questions[1].port, "P/reply", open_questions[1].answer);
	bridge_hand_over();
	bridge_let_out();
	cr_expect_eq(count(FLEET_READY), (size_t)10);
	n_open = 0;
	end_link();
	buf_reset(&said);
	start_link();
	most_open = 0;
	go_on_to_the_end();
	cr_expect_eq(most_open, 4);
	cr_expect_eq(n_tried, (size_t)2, "%zu", n_tried);
	expect_own_tokens();
}

Test(live_link_provision, killed_ten_times_no_device_is_made_twice)
{
	start_fifty();
	for (int kill = 0; kill < 10; kill++) {
		for (int i = 0; i < 2 + kill % 3; i++) {
			turn_and_read();
			if (n_open)
				platform_answers(0);
		}
		/* In turn: it is killed before the questions leave, before their answers come, and when one has
		 * come and is not written. */
		if (kill % 3 > 0)
			turns();
		platform_reads();
		if (kill % 3 == 2 && n_open)
			platform_answers(0);
		n_open = 0;
		end_link();
		buf_reset(&said);
		start_link();
	}
	cr_expect_lt(n_made, (size_t)MADE, "it was killed too late");
	go_on_to_the_end();
	cr_expect_gt(n_tried, (size_t)3, "%zu", n_tried);
	expect_own_tokens();
}

/* What was answered and not acknowledged goes with its connection: asked again, it would be answered twice. */
Test(live_link_provision, a_session_that_is_lost_asks_only_what_is_open)
{
	start(NORTH_OF_EACH, "");
	provision("a");
	provision("b");
	turns();
	answers("{'status':'SUCCESS','token':'a-token'}");
	turns();
	cr_expect(strstr(buf_str(&said), "asks P/ask {\"device_name\":\"b\""), "%s",
		  buf_str(&said));
	buf_reset(&said);
	goes("asks");
	comes("asks");
	turns();
	cr_expect(strstr(buf_str(&said), "\"b\"") && !strstr(buf_str(&said), "\"a\""), "%s",
		  buf_str(&said));
	answers("{'status':'SUCCESS','token':'b-token'}");
	turns();
	expect_state("a", FLEET_READY, "");
	expect_state("b", FLEET_READY, "");
}
