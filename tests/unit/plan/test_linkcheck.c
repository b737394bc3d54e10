#include <criterion/criterion.h>

#include "plan/linkcheck.h"
#include "unit/dialects.h"

#define LINKS 3

/* Links of one configuration; each has mappings of its own. */
static struct world w[LINKS];
static struct linkcheck links[LINKS];
static size_t n_links;
static struct report report;
static const char *south_keys = "";

static void set_up(void)
{
	for (int i = 0; i < LINKS; i++)
		world_init(&w[i]);
}

static void tear_down(void)
{
	for (int i = 0; i < LINKS; i++)
		world_fini(&w[i]);
	report_fini(&report);
}

TestSuite(linkcheck, .init = set_up, .fini = tear_down);

/* Add a link whose sides are on these brokers, between a dialect of these south and one of these north
 * rows. */
static void add_link_with(size_t south_broker, size_t north_broker, const char *north_keys,
			  const char *south, const char *north, const char *functions)
{
	static const char *const names[LINKS] = { "one", "two", "three" };
	struct world *world = &w[n_links];
	char *s = mem_printf(SOUTHERN("%s", "%s", "%s"), south_keys, south, functions);
	char *n = mem_printf("module { dialect: 'n', %s messages: [%s] };\n%s", north_keys, north,
			     functions);

	world->spec.name = names[n_links];
	links[n_links] = (struct linkcheck){ .plan = world_plan(world, s, n),
					     .where = { "south", "north" },
					     .broker = { south_broker, north_broker } };
	n_links++;
	free(s);
	free(n);
}

static void add_link(size_t south_broker, size_t north_broker, const char *south, const char *north)
{
	add_link_with(south_broker, north_broker, "", south, north, "def f: .;");
}

/* The report must have these lines, those of warnings with "? " in front. */
static void expect_report_at(const char *wanted, int line)
{
	struct buf got = { 0 };

	report_fini(&report);
	linkcheck_all(links, n_links, &report);
	for (size_t i = 0; i < report.n_lines; i++)
		buf_printf(&got, "%s%s\n", report.lines[i].is_warning ? "? " : "",
			   report.lines[i].text);
	expect_text(buf_str(&got), wanted, "report", line);
	buf_fini(&got);
}
#define expect_report(wanted) expect_report_at(wanted, __LINE__)

/* So many lines, and of the first one only how it begins. */
static void expect_mistakes_at(size_t n, const char *wanted, int line)
{
	char *start = quoted(wanted);

	report_fini(&report);
	linkcheck_all(links, n_links, &report);
	cr_assert_eq(report.n_lines, n, "line %d: %zu lines", line, report.n_lines);
	cr_expect_eq(strncmp(report.lines[0].text, start, strlen(start)), 0, "line %d: %s", line,
		     report.lines[0].text);
	free(start);
}
#define expect_mistake(wanted) expect_mistakes_at(1, wanted, __LINE__)

/* --- loops */

Test(linkcheck, an_ordinary_link_has_no_mistakes)
{
	add_link(1, 2, "{ kind: 'telemetry', topic: 't' }", "{ kind: 'telemetry', topic: 't' }");
	expect_report("");
}

Test(linkcheck, a_side_must_not_read_what_the_other_one_writes)
{
	add_link(1, 1, "{ kind: 'telemetry', topic: 't/{device}' }",
		 "{ kind: 'telemetry', topic: 't/{device}' }");
	expect_report(
		"south: loop: telemetry read here (s.jq: messages[0]) would come back: link one "
		"writes 't/{device}' on its north (n.jq: messages[0]), and link one reads it on "
		"its south again\n");
}

Test(linkcheck, links_back_to_back_are_a_loop_each_way)
{
	add_link(1, 2,
		 "{ kind: 'telemetry', topic: 's/t' }, { kind: 'event', topic: 's/e' },"
		 "{ kind: 'config', topic: 's/c' }",
		 "{ kind: 'telemetry', topic: 'n/t' }, { kind: 'event', topic: 'n/e' },"
		 "{ kind: 'config', topic: 'n/c' }");
	add_link(2, 1,
		 "{ kind: 'attributes', topic: 'n/t' }, { kind: 'event', topic: 'n/e' },"
		 "{ kind: 'config', topic: 'n/c' }",
		 "{ kind: 'attributes', topic: 's/t' }, { kind: 'event', topic: 's/e' },"
		 "{ kind: 'config', topic: 's/c' }");
	expect_report("south: loop: telemetry read here (s.jq: messages[0]) would come back: "
		      "link one writes 'n/t' on its north (n.jq: messages[0]), and link two reads "
		      "it on its "
		      "south as attributes (s.jq: messages[0]); "
		      "link two writes 's/t' on its north (n.jq: messages[0]), and link one reads "
		      "it on its "
		      "south again; likewise event\n"
		      "north: loop: config read here (n.jq: messages[2]) would come back: "
		      "link one writes 's/c' on its south (s.jq: messages[2]), and link two reads "
		      "it on its "
		      "north as config (n.jq: messages[2]); "
		      "link two writes 'n/c' on its south (s.jq: messages[2]), and link one reads "
		      "it on its "
		      "north again\n");
}

Test(linkcheck, other_brokers_and_other_topics_are_no_loop)
{
	add_link(1, 2, "{ kind: 'event', topic: 'a' }", "{ kind: 'event', topic: 'b' }");
	add_link(2, 3, "{ kind: 'event', topic: 'b' }", "{ kind: 'event', topic: 'a' }");
	add_link(2, 1, "{ kind: 'event', topic: 'b' }", "{ kind: 'event', topic: 'c' }");
	expect_report("");
}

Test(linkcheck, three_links_can_be_a_ring)
{
	add_link(1, 2, "{ kind: 'event', topic: 'a' }", "{ kind: 'event', topic: 'b' }");
	add_link(2, 3, "{ kind: 'event', topic: '{x}' }", "{ kind: 'raw', topic: 'c' }");
	add_link(3, 1, "{ kind: 'raw', topic: '{x...}' }", "{ kind: 'raw', topic: 'a' }");
	expect_report(""); /* the second link has no route */
	report_fini(&w[1].report);
	w[1].plan->remap[KIND_EVENT] = KIND_RAW;
	expect_mistake(
		"south: loop: event read here (s.jq: messages[0]) would come back: link one "
		"writes 'b' on its north (n.jq: messages[0]), and link two reads it on its south "
		"as event (s.jq: messages[0]); link two writes 'c'");
}

Test(linkcheck, devices_of_different_names_have_topics_of_their_own)
{
	static const char rows[] = "{ kind: 'telemetry', topic: 't/{device}' }";

	world_set(&w[0], SOUTH, "device", "d1");
	world_set(&w[0], NORTH, "device", "d2");
	world_set(&w[1], SOUTH, "device", "d3");
	add_link(1, 1, rows, rows); /* from d1 to d2 */
	add_link(1, 1, rows, rows); /* from d3 to d3 */
	expect_mistake(
		"south: loop: telemetry read here (s.jq: messages[0]) would come back: link two "
		"writes 't/d3'");
}

Test(linkcheck, what_a_session_gets_back_is_an_echo_and_no_loop)
{
	static const char rows[] =
		"{ kind: 'attributes', topic: 'a' }, { kind: 'config', topic: 'a' }";

	add_link(1, 2, rows, rows);
	expect_report("");
}

/* What goes down to one device comes up from the other. */
static void add_twins(const char *north_keys, const char *second)
{
	static const char rows[] =
		"{ kind: 'attributes', topic: 'a' }, { kind: 'config', topic: 'a' }";

	for (int i = 0; i < 2; i++) {
		world_set(&w[i], SOUTH, "device", i ? second : "d");
		add_link_with(1, 2, north_keys, rows, rows, "");
	}
}

Test(linkcheck, two_sessions_of_one_broker_hear_each_other)
{
	add_twins("", "d");
	/* Up through the first link and down through the second, and the other way round. */
	expect_mistakes_at(3, "south: loop: attributes read here", __LINE__);
}

Test(linkcheck, a_platform_that_tells_devices_by_session_keeps_them_apart)
{
	add_twins("device: 'none',", "e");
	expect_report("");
}

Test(linkcheck, a_payload_may_name_the_device)
{
	add_twins("device: 'payload',", "e");
	expect_report("");
	vars_set(&w[1].plan->side[NORTH].vars, "device", "d", false);
	expect_mistakes_at(2, "south: loop: attributes read here", __LINE__);
}

Test(linkcheck, a_more_specific_row_takes_the_topic)
{
	/* The command that the first link writes is no news for the second one. */
	add_link(1, 2, "{ kind: 'command', topic: 'm/do' }", "{ kind: 'command', topic: 'c' }");
	add_link(1, 2, "{ kind: 'raw', topic: 'm/{s...}' }, { kind: 'command', topic: 'm/do' }",
		 "{ kind: 'raw', topic: 'c' }");
	expect_report("");
}

Test(linkcheck, without_a_more_specific_row_it_is_a_loop)
{
	add_link(1, 2, "{ kind: 'command', topic: 'm/do' }", "{ kind: 'command', topic: 'c' }");
	add_link(1, 2, "{ kind: 'raw', topic: 'm/{s...}' }, { kind: 'command', topic: 'm/done' }",
		 "{ kind: 'raw', topic: 'c' }");
	expect_mistake("north: loop: command read here (n.jq: messages[0]) would come back");
}

Test(linkcheck, replies_alone_are_no_loop)
{
	add_link(1, 1, "{ kind: 'command_reply', topic: 'r' }",
		 "{ kind: 'command_reply', topic: 'r' }");
	expect_report("");
}

Test(linkcheck, answers_of_the_bridge_itself_count)
{
	/* Nobody takes the request; the error goes to where the next link reads a request. */
	static const char a[] =
		"{ kind: 'request', topic: 'a' }, { kind: 'request_reply', topic: 'b' }";
	static const char b[] =
		"{ kind: 'request', topic: 'x', also: [{ topic: 'b', reply: 'a' }] },"
		"{ kind: 'request_reply', topic: 'y' }";

	add_link(1, 2, a, "{ kind: 'event', topic: 'e' }");
	add_link(1, 2, b, "{ kind: 'event', topic: 'e' }");
	expect_report(
		"south: loop: request read here (s.jq: messages[0]) would come back: link one "
		"writes 'b' on its south (s.jq: messages[1]), and link two reads it on its south "
		"as "
		"request (s.jq: messages[0]); link two writes 'a' on its south (s.jq: "
		"messages[0]), "
		"and link one reads it on its south again\n");
}

Test(linkcheck, a_mirror_carries_reports_up_only)
{
	static const char rows[] =
		"{ kind: 'command', topic: 'c' }, { kind: 'request', topic: 'r' }";

	w[0].spec.mode = w[1].spec.mode = FLEET_MIRROR;
	add_link(1, 1, rows, rows);
	expect_report("");
	add_link(1, 1, "{ kind: 'event', topic: 'e' }", "{ kind: 'event', topic: 'e' }");
	expect_mistake("south: loop: event read here");
}

Test(linkcheck, a_loop_of_handshakes_is_a_warning)
{
	add_link(1, 1, "{ kind: 'provision', topic: 'p' }", "{ kind: 'provision', topic: 'p' }");
	expect_mistake("south: loop: provision read here");
	cr_expect(report.lines[0].is_warning);
}

/* --- rows */

Test(linkcheck, values_may_make_topics_ambiguous)
{
	world_set(&w[0], SOUTH, "x", "1");
	add_link(1, 2, "{ kind: 'event', topic: '{x}/{p}' }, { kind: 'raw', topic: '{q}/{x}' }",
		 "{ kind: 'event', topic: 'e' }, { kind: 'raw', topic: 'r' }");
	expect_report(
		"south.vars: with these values '1/{p}' (s.jq: messages[0]) and '{q}/1' (s.jq: "
		"messages[1]) overlap, and neither is more specific\n");
}

Test(linkcheck, values_may_bring_rows_together_or_apart)
{
	world_set(&w[0], SOUTH, "x", "b");
	add_link(1, 2,
		 "{ kind: 'event', topic: 'a/{x}' }, { kind: 'raw', topic: 'a/b' },"
		 "{ kind: 'alarm', topic: 'c/{x}' }, { kind: 'claim', topic: 'c/{y}' }",
		 "{ kind: 'command', topic: 'o/{x}' }");
	expect_report(
		"? south.vars: with these values 'a/b' (s.jq: messages[0]) and 'a/b' (s.jq: "
		"messages[1]) are one topic\n"
		"? south.vars: with these values 'c/b' (s.jq: messages[2]) and 'c/{y}' (s.jq: "
		"messages[3]) are no longer one topic\n");
}

Test(linkcheck, a_row_that_leaves_no_topic_to_another_is_told)
{
	add_link(1, 2,
		 "{ kind: 'event', topic: 'a/{x...}' }, { kind: 'raw', topic: 'a/{x}' },"
		 "{ kind: 'command', topic: 'a/{x}/{y...}' }",
		 "{ kind: 'event', topic: 'e' }");
	expect_report(
		"? south: 'a/{x...}' (s.jq: messages[0]) can never be read: more specific rows "
		"take all its topics\n");
}

Test(linkcheck, a_row_with_ids_of_a_type_leaves_the_others)
{
	add_link(1, 2,
		 "{ kind: 'raw', topic: 'a/{x...}' }, { kind: 'command_reply', topic: 'a/{id}',"
		 "  id: 'integer' }, { kind: 'event', topic: 'a/{x}/{y...}' }",
		 "{ kind: 'event', topic: 'e' }");
	expect_report("");
}

/* --- ids */

#define LICENSE(more)	 "{ kind: 'license', topic: 'l' " more " }"
#define LICENSE_ID(more) "{ kind: 'license', topic: 'l/{id}' " more " }"

Test(linkcheck, an_id_that_no_message_gives_is_told)
{
	add_link(1, 2, LICENSE_ID(""), LICENSE(""));
	expect_report(
		"south: topic of s.jq: messages[0] (license) needs an {id}, and no license read on "
		"the north gives one (n.jq: messages[0])\n");
}

Test(linkcheck, correlation_and_properties_need_ids_too)
{
	add_link(1, 2, LICENSE(", correlation: 'x-{id}'"), LICENSE(""));
	expect_mistake("south: correlation of s.jq: messages[0] (license) needs");
	add_link(1, 2, LICENSE(", properties: { p: '{id}' }"), LICENSE(""));
	n_links = 1;
	links[0] = links[1];
	expect_mistake("south: a property of s.jq: messages[0] (license) needs");
}

Test(linkcheck, ids_come_from_topics_and_functions)
{
	add_link(1, 2, LICENSE_ID(""), LICENSE_ID(""));
	add_link(1, 2, LICENSE_ID(""), LICENSE(", read: 'f'"));
	/* One that gives none is not all. */
	add_link(1, 2, LICENSE_ID(""), LICENSE("") "," LICENSE_ID(""));
	expect_report("");
}

Test(linkcheck, a_function_may_say_the_topic)
{
	add_link(1, 2, LICENSE_ID(", publish: 'f'"), LICENSE(""));
	add_link(1, 2, LICENSE_ID(", publish: 'f', id: 'integer'"), LICENSE(", read: 'f'"));
	expect_report("");
}

Test(linkcheck, a_through_file_may_give_an_id)
{
	world_through(&w[0], "t", "module { through: 't', down: 'f' };\ndef f: .;");
	add_link(1, 2, LICENSE_ID(""), LICENSE(""));
	expect_report("");
	world_through(&w[1], "t", "module { through: 't', up: 'f' };\ndef f: .;");
	add_link(1, 2, LICENSE_ID(""), LICENSE(""));
	expect_mistake("south: topic of s.jq: messages[0] (license) needs an {id}");
}

Test(linkcheck, a_variable_called_id_is_no_id)
{
	world_set(&w[0], NORTH, "id", "7");
	add_link(1, 2, LICENSE_ID(""), LICENSE_ID(""));
	expect_mistake("south: topic of s.jq: messages[0] (license) needs an {id}");
}

#define COMMAND_ID(topic, type) "{ kind: 'command', topic: '" topic "', id: '" type "' }"
#define REPLY_ID(topic, type)	"{ kind: 'command_reply', topic: '" topic "', id: '" type "' }"

Test(linkcheck, the_bridge_gives_ids_to_what_it_pairs)
{
	add_link(1, 2, COMMAND_ID("c/{id}", "integer") "," REPLY_ID("r/{id}", "integer"),
		 COMMAND_ID("c/{id}", "uuid") "," REPLY_ID("r/{id}", "uuid"));
	add_link(1, 2, COMMAND_ID("c/{id}", "uuid") "," REPLY_ID("r", "string"),
		 "{ kind: 'command', topic: 'c', read: 'f' }," REPLY_ID("r/{id}", "string"));
	expect_report("");
}

Test(linkcheck, a_reply_has_the_id_that_was_asked_with)
{
	add_link(1, 2, COMMAND_ID("c/{id}", "string") "," REPLY_ID("r/{id}", "string"),
		 COMMAND_ID("c", "string") "," REPLY_ID("r/{id}", "string"));
	expect_report(
		"north: topic of n.jq: messages[1] (command_reply) needs an {id}, and no command "
		"read on the north gives one (n.jq: messages[0])\n");
}

Test(linkcheck, a_request_that_the_mapping_answers_keeps_its_id)
{
	static const char asks[] = "{ kind: 'request', topic: 'q' }";

	add_link(1, 2, asks, "{ kind: 'request', topic: 'q/{id}' }");
	expect_report("");
	add_link(1, 2, asks, "{ kind: 'request', topic: 'q/{id}', answered: {} }");
	expect_mistake(
		"north: topic of n.jq: messages[0] (request) needs an {id}, and no request read "
		"on the south gives one");
}

Test(linkcheck, a_snapshot_asked_for_as_attributes_gets_an_id)
{
	add_link(1, 2, "{ kind: 'snapshot_request', topic: 'q' }",
		 "{ kind: 'snapshot_request', topic: 'q/{id}' }");
	expect_mistake("north: topic of n.jq: messages[0] (snapshot_request) needs an {id}");
	world_fini(&w[0]);
	world_init(&w[0]);
	n_links = 0;
	add_link(1, 2, "{ kind: 'snapshot_request', topic: 'q' }",
		 "{ kind: 'snapshot_request', topic: 'q/{id}' },"
		 "{ kind: 'attributes_reply', topic: 'r/{id}' }");
	expect_report("");
}

Test(linkcheck, answers_to_an_alias_may_need_an_id)
{
	static const char rows[] =
		"{ kind: 'request', topic: 'q/{id}', also: [{ topic: 'a/{id}', reply: 'b/{id}' },"
		"                                          { topic: 'c', reply: 'd/{id}' }] },"
		"{ kind: 'request_reply', topic: 'r/{id}' }";

	add_link(1, 2, rows, "{ kind: 'event', topic: 'e' }");
	expect_report(
		"south: the answers to 'd/{id}' need an {id}, and 'c' (s.jq: messages[0]) gives "
		"none\n");
}

Test(linkcheck, ids_that_cross_as_they_are_must_convert)
{
	static const struct {
		const char *south, *north, *wanted;
	} cases[] = {
		{ "integer", "uuid",
		  "south: license takes integer ids (s.jq: messages[0]), and the north gives uuid "
		  "ids "
		  "(n.jq: messages[0]), which never convert\n" },
		{ "uuid", "integer",
		  "south: license takes uuid ids (s.jq: messages[0]), and the north gives integer "
		  "ids "
		  "(n.jq: messages[0]), which never convert\n" },
		{ "integer", "string",
		  "? south: license takes integer ids (s.jq: messages[0]), and the north gives "
		  "string "
		  "ids (n.jq: messages[0]), which may not convert\n" },
		{ "string", "uuid", "" },
		{ "uuid", "uuid", "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *south = mem_printf(LICENSE(", id: '%s'"), cases[i].south);
		char *north = mem_printf(LICENSE(", id: '%s', read: 'f'"), cases[i].north);

		n_links = 0;
		world_fini(&w[0]);
		world_init(&w[0]);
		add_link(1, 2, south, north);
		expect_report(cases[i].wanted);
		free(south);
		free(north);
	}
}

Test(linkcheck, replies_must_match_the_ids_of_their_requests)
{
	static const struct {
		const char *asked, *answered;
		bool ok;
	} cases[] = {
		{ "integer", "integer", true }, { "integer", "string", true },
		{ "string", "uuid", true },	{ "integer", "uuid", false },
		{ "uuid", "integer", false },	{ "string", "integer", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *south = mem_printf(COMMAND_ID("c/{id}", "%s") "," REPLY_ID("r/{id}", "%s"),
					 cases[i].asked, cases[i].answered);

		n_links = 0;
		world_fini(&w[0]);
		world_init(&w[0]);
		add_link(1, 2, south, COMMAND_ID("c/{id}", "string"));
		if (cases[i].ok)
			expect_report("");
		else
			expect_mistake("south: command is asked with ");
		free(south);
	}
}

Test(linkcheck, a_chunk_of_firmware_keeps_its_id)
{
	add_link(1, 2, "{ kind: 'firmware_chunk_request', topic: 'q/{id}', id: 'uuid' }",
		 "{ kind: 'firmware_chunk_request', topic: 'q/{id}', id: 'integer' }");
	expect_mistake("north: firmware_chunk_request takes integer ids (n.jq: messages[0]), and "
		       "the south "
		       "gives uuid ids");
}

/* --- devices */

Test(linkcheck, devices_that_listen_where_they_speak_hear_themselves)
{
	static const char rows[] =
		"{ kind: 'telemetry', topic: 't' },"
		"{ kind: 'attributes', topic: 'a' }, { kind: 'config', topic: 'a' }";

	south_keys = "device: 'none',";
	add_link(1, 2, rows, rows);
	expect_report(
		"? south: devices of s speak and listen on one topic, 'a': on an ordinary broker "
		"they hear themselves, and may answer\n");
	south_keys = ""; /* here a topic is a device's, though it is not seen in it */
	add_link(3, 4, rows, rows);
	n_links = 1;
	links[0] = links[1];
	expect_report("");
}

Test(linkcheck, two_links_with_one_device)
{
	static const char *const devices[LINKS] = { "d", "e", "d" };

	for (int i = 0; i < LINKS; i++) {
		world_set(&w[i], SOUTH, "device", devices[i]);
		add_link(1, (size_t)i + 2, "{ kind: 'telemetry', topic: 's/{device}' }",
			 "{ kind: 'telemetry', topic: 'n' }");
	}
	expect_report(
		"? south: link 'one' has the same device of s there: all that it says goes both "
		"ways\n");
	links[2].broker[SOUTH] = 9;
	expect_report("");
}

Test(linkcheck, two_links_with_one_login)
{
	static const char *const tokens[LINKS] = { "x", "y", "x" };

	for (int i = 0; i < LINKS; i++) {
		world_set(&w[i], SOUTH, "device", i == 0 ? "d" : i == 1 ? "e" : "f");
		world_set(&w[i], NORTH, "token", tokens[i]);
		add_link_with(1, 2, "device: 'none', credentials: ['token'],",
			      "{ kind: 'telemetry', topic: 's/{device}' }",
			      "{ kind: 'telemetry', topic: 'n' }", "");
	}
	expect_report(
		"? north: link 'one' has the same credentials of n there: the platform may end "
		"one session for the other\n");
}

Test(linkcheck, a_login_is_what_the_configuration_says_of_it_and_what_templates_make)
{
	static const char *const projects[LINKS] = { "p", "q", "q" };

	for (int i = 0; i < LINKS; i++) {
		world_set(&w[i], NORTH, "project", projects[i]);
		world_set(&w[i], NORTH, "secret", "s"); /* one for all projects is no one login */
		add_link_with((size_t)i + 1, 9,
			      "device: 'payload', credentials: ['secret'],"
			      " session: { username: '{project}', password: '{secret}' },",
			      "{ kind: 'telemetry', topic: 's/{device}' }",
			      "{ kind: 'telemetry', topic: 'n' }", "");
	}
	expect_report(
		"? north: link 'two' has the same credentials of n there: the platform may end "
		"one session for the other\n");
	links[2].username[NORTH] = "other";
	expect_report("");
	links[0].username[NORTH] = "other";
	expect_report(
		"? north: link 'one' has the same credentials of n there: the platform may end "
		"one session for the other\n");
	links[0].password[NORTH] = "other";
	expect_report("");
}

Test(linkcheck, what_two_links_read_is_one_devices_if_its_topics_are_the_same)
{
	static const char *const projects[LINKS] = { "p", "q", "p" };

	for (int i = 0; i < LINKS; i++) {
		world_set(&w[i], SOUTH, "device", "d");
		world_set(&w[i], SOUTH, "project", projects[i]);
		add_link(9, (size_t)i + 1, "{ kind: 'telemetry', topic: '{project}/{device}' }",
			 "{ kind: 'telemetry', topic: 'n' }");
	}
	expect_report(
		"? south: link 'one' has the same device of s there: all that it says goes both "
		"ways\n");
}

Test(linkcheck, a_trial_run_may_stand_beside_another_link)
{
	for (int i = 0; i < 2; i++) {
		world_set(&w[i], SOUTH, "device", "d");
		w[i].spec.mode = i == 1 ? FLEET_MIRROR : FLEET_LIVE;
		add_link(1, (size_t)i + 2, "{ kind: 'telemetry', topic: 's/{device}' }",
			 "{ kind: 'telemetry', topic: 'n' }");
	}
	expect_report("");
}
