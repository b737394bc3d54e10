#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "state/change.h"
#include "unit/dialects.h"

static struct world w;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(plan, .init = set_up, .fini = tear_down);

#define EMPTY_NORTH NORTHERN("", "{ kind: 'telemetry', topic: 'up/{device}' }", "")

/* What the topic finds: "0 2" for rows 0 and 2, "-" for a topic that is known and not read, "" for an
 * unknown one. */
static void expect_match_at(enum side side, const char *topic, const char *wanted, int line)
{
	struct buf got = { 0 };
	struct match m;

	plan_match(w.plan, side, topic, &m);
	for (size_t i = 0; i < m.n; i++)
		buf_printf(&got, "%s%zu", i ? " " : "",
			   (size_t)(m.readers[i]->row - w.plan->side[side].dialect->rows));
	if (m.n == 0 && m.is_known)
		buf_puts(&got, "-");
	expect_text(buf_str(&got), wanted, topic, line);
	buf_fini(&got);
}
#define expect_match(side, topic, wanted) expect_match_at(side, topic, wanted, __LINE__)

Test(plan, the_most_specific_template_wins)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'raw', topic: 'm/{device}/{stream...}' },"
			    "{ kind: 'event', topic: 'm/{device}/{name}' },"
			    "{ kind: 'alarm', topic: 'm/{device}/alarm' }",
			    ""),
		   EMPTY_NORTH);
	expect_match(SOUTH, "m/d/alarm", "2");
	expect_match(SOUTH, "m/d/door", "1");
	expect_match(SOUTH, "m/d/a/b", "0");
	expect_match(SOUTH, "m/d", "");
	expect_match(SOUTH, "x/d/alarm", "");
}

Test(plan, all_rows_of_a_template_are_read_in_file_order)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'presence', topic: 'm/{device}' },"
			    "{ kind: 'event', topic: 'm/{device}/x' },"
			    "{ kind: 'telemetry', topic: 'm/{who}' },"
			    "{ kind: 'alarm', topic: 'm/{device}' }",
			    ""),
		   EMPTY_NORTH);
	expect_match(SOUTH, "m/d", "0 2 3");
}

Test(plan, rows_of_the_other_direction_are_not_read)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'command', topic: 'm/{device}/do' },"
			    "{ kind: 'config', topic: 'm/{device}/both' },"
			    "{ kind: 'attributes', topic: 'm/{device}/both' },"
			    "{ kind: 'raw', topic: 'm/{device}/{stream...}' }",
			    ""),
		   NORTHERN("",
			    "{ kind: 'command', topic: 'm/{device}/do' },"
			    "{ kind: 'telemetry', topic: 'm/{device}/t' }",
			    ""));
	expect_match(SOUTH, "m/d/do", "-"); /* though the raw row would match */
	expect_match(SOUTH, "m/d/both", "2");
	expect_match(NORTH, "m/d/do", "0");
	expect_match(NORTH, "m/d/t", "-");
}

Test(plan, rows_that_only_write_are_not_read)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'event', topic: 'm/{device}', only: 'write' },"
			    "{ kind: 'telemetry', topic: 'm/{device}', only: 'read' },"
			    "{ kind: 'alarm', topic: 'w/{device}', only: 'write' }",
			    ""),
		   EMPTY_NORTH);
	expect_match(SOUTH, "m/d", "1");
	expect_match(SOUTH, "w/d", "-");
}

Test(plan, aliases_are_read_where_their_row_is)
{
	static const char rows[] =
		"{ kind: 'request', topic: 'm/{device}/ask',"
		"  also: ['ask', { topic: 'short/{id}', reply: 'short/re/{id}' }] },"
		"{ kind: 'command', topic: 'm/{device}/do', also: ['do'] }";
	char *south = mem_printf(SOUTHERN("", "%s", ""), rows);
	char *north = mem_printf(NORTHERN("", "%s", ""), rows);
	struct match m;

	world_plan(&w, south, north);
	expect_match(SOUTH, "ask", "0");
	expect_match(NORTH, "ask", "");
	expect_match(NORTH, "do", "1");
	expect_match(SOUTH, "do", "");
	plan_match(w.plan, SOUTH, "short/7", &m);
	cr_assert_eq(m.n, 1);
	cr_expect_str_eq(m.readers[0]->reply, "short/re/{id}");
	plan_match(w.plan, SOUTH, "m/d/ask", &m);
	cr_expect_null(m.readers[0]->reply);
	free(south);
	free(north);
}

Test(plan, a_row_is_read_once_where_its_alias_is_its_own_topic)
{
	world_set(&w, SOUTH, "project", "P");
	world_plan(&w,
		   SOUTHERN("", "{ kind: 'telemetry', topic: '{project}/t', also: ['P/t'] }", ""),
		   EMPTY_NORTH);
	expect_match(SOUTH, "P/t", "0");
}

Test(plan, known_variables_are_part_of_the_topic)
{
	world_set(&w, SOUTH, "project", "P");
	world_set(&w, SOUTH, "device", "d1");
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 'o/{project}/{device}/{x}' }", ""),
		   EMPTY_NORTH);
	expect_match(SOUTH, "o/P/d1/t", "0");
	expect_match(SOUTH, "o/Q/d1/t", "");
	expect_match(SOUTH, "o/P/d2/t", "");
}

Test(plan, an_id_that_does_not_convert_does_not_match)
{
	static const struct {
		const char *topic, *wanted;
	} cases[] = {
		{ "i/7", "0" },
		{ "i/0", "0" },
		{ "i/-7", "0" },
		{ "i/9223372036854775807", "0" },
		{ "i/9223372036854775808", "" },
		{ "i/007", "" }, /* it would come back as 7 */
		{ "i/-0", "" },
		{ "i/7a", "" },
		{ "i/1.5", "" },
		{ "i/", "" },
		{ "u/9b2cFFFF-0000-4000-8000-000000000000", "1" },
		{ "u/9b2c0000-0000-4000-8000-00000000000", "" },
		{ "u/9b2c0000-0000-4000-8000-0000000000000", "" },
		{ "u/9b2c0000x0000-4000-8000-000000000000", "" },
		{ "s/anything 7", "2" },
	};

	world_plan(&w,
		   SOUTHERN("device: 'none',",
			    "{ kind: 'request', topic: 'i/{id}', id: 'integer' },"
			    "{ kind: 'request', topic: 'u/{id}', id: 'uuid' },"
			    "{ kind: 'request', topic: 's/{id}', id: 'string' }",
			    ""),
		   EMPTY_NORTH);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect_match(SOUTH, cases[i].topic, cases[i].wanted);
}

static void expect_filters_at(enum side side, bool provisioning, const char *wanted, int line)
{
	struct buf got = { 0 };
	size_t n;
	char **filters = plan_filters(w.plan, side, provisioning, NULL, &n);

	for (size_t i = 0; i < n; i++) {
		buf_printf(&got, "%s%s", i ? " " : "", filters[i]);
		free(filters[i]);
	}
	free(filters);
	expect_text(buf_str(&got), wanted, "filters", line);
	buf_fini(&got);
}
#define expect_filters(side, provisioning, wanted)                                                 \
	expect_filters_at(side, provisioning, wanted, __LINE__)

Test(plan, a_filter_that_another_covers_is_not_subscribed)
{
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'event', topic: 'm/{device}/event' },"
			    "{ kind: 'raw', topic: 'm/{device}/{stream...}' },"
			    "{ kind: 'alarm', topic: 'm/{device}/alarm' },"
			    "{ kind: 'telemetry', topic: 'bare', also: ['alias'] },"
			    "{ kind: 'presence', topic: 'w/{device}', only: 'write' },"
			    "{ kind: 'config', topic: 'c/{device}' }",
			    ""),
		   NORTHERN("",
			    "{ kind: 'telemetry', topic: 'up/{device}' },"
			    "{ kind: 'event', topic: 'up/{device}/e' },"
			    "{ kind: 'raw', topic: 'up/{device}/r' }",
			    ""));
	expect_filters(SOUTH, false, "m/+/# bare alias");
	expect_filters(NORTH, false, "");
}

#define BARE_SOUTH SOUTHERN("device: 'none',", "{ kind: 'telemetry', topic: 't' }", "")

Test(plan, what_the_other_side_does_not_have_is_not_subscribed)
{
	char *kinds;

	world_plan(&w, BARE_SOUTH,
		   NORTHERN("device: 'none',",
			    "{ kind: 'config', topic: 'config', read: 'as_it_is' },"
			    "{ kind: 'license', topic: 'license' },"
			    "{ kind: 'firmware_chunk_request', topic: 'ask' },"
			    "{ kind: 'firmware_chunk', topic: 'chunk/{chunk}' },"
			    "{ kind: 'attributes_reply', topic: 'reply' },"
			    "{ kind: 'device_change', topic: 'gone' },"
			    "{ kind: 'command', topic: 'do' },"
			    "{ kind: 'command_reply', topic: 'done' }",
			    "def as_it_is: { body: .payload };"));
	/* Who gives a command is told that there is no such thing; the device table is the bridge's own. */
	expect_filters(NORTH, false, "gone do");
	kinds = plan_filter_kinds(w.plan, NORTH, false, NULL, "#");
	cr_expect_str_eq(kinds, "device_change,command");
	free(kinds);
}

Test(plan, replies_are_subscribed_where_somebody_asks)
{
	world_plan(
		&w,
		SOUTHERN("device: 'none',",
			 "{ kind: 'firmware_chunk_request', topic: 'ask' },"
			 "{ kind: 'command_reply', topic: 'done' },"
			 "{ kind: 'license_reply', topic: 'license/done' }",
			 ""),
		NORTHERN("device: 'none',",
			 "{ kind: 'command', topic: 'do' }, { kind: 'license', topic: 'license' },"
			 "{ kind: 'firmware_chunk', topic: 'chunk' },"
			 "{ kind: 'request_reply', topic: 'reply' }",
			 ""));
	expect_filters(SOUTH, false, "ask done");
	expect_filters(NORTH, false, "do chunk");
}

Test(plan, what_the_bridge_itself_makes_use_of_is_subscribed)
{
	/* The state of a device, for functions; attributes, for who asks for them; a snapshot, for whom
	 * the bridge asks. */
	world_plan(
		&w,
		SOUTHERN("device: 'none',",
			 "{ kind: 'presence', topic: 'online' }, { kind: 'alarm', topic: 'alarm' },"
			 "{ kind: 'attributes', topic: 'attr' },"
			 "{ kind: 'attributes_request', topic: 'ask' },"
			 "{ kind: 'attributes_reply', topic: 'reply' },"
			 "{ kind: 'config', topic: 'config' },"
			 "{ kind: 'event', topic: 'event' }",
			 ""),
		NORTHERN("device: 'none',",
			 "{ kind: 'snapshot_request', topic: 'ask', only: 'write' },"
			 "{ kind: 'attributes_reply', topic: 'reply', only: 'read' }",
			 ""));
	expect_filters(SOUTH, false, "online alarm attr ask");
	expect_filters(NORTH, false, "reply");
}

Test(plan, a_function_may_give_another_kind_than_its_row)
{
	world_plan(&w,
		   SOUTHERN("device: 'none',",
			    "{ kind: 'telemetry', topic: 't' }, { kind: 'firmware', topic: 'fw' }",
			    ""),
		   NORTHERN("device: 'none',",
			    "{ kind: 'config', topic: 'both', read: 'both' },"
			    "{ kind: 'license', topic: 'plain' }",
			    "def both: { kind: 'firmware', body: .payload };"));
	expect_filters(NORTH, false, "both");
}

Test(plan, before_a_through_file_all_is_subscribed)
{
	world_through(&w, "t", "module { through: 't', down: 'down' }; def down: .;");
	world_plan(&w, BARE_SOUTH,
		   NORTHERN("device: 'none',", "{ kind: 'config', topic: 'config' }", ""));
	expect_filters(NORTH, false, "config");
}

Test(plan, a_handshake_is_subscribed_on_its_own_session)
{
	world_plan(&w, SOUTHERN("device: 'none',", "{ kind: 'provision', topic: 'p/ask' }", ""),
		   NORTHERN("session: { provisioning: { username: 'p' } },",
			    "{ kind: 'command', topic: 'do/{device}' },"
			    "{ kind: 'provision', topic: 'p/ask' },"
			    "{ kind: 'provision_reply', topic: 'p/reply' }",
			    ""));
	expect_filters(SOUTH, false, "p/ask");
	expect_filters(NORTH, false, "do/link");
	expect_filters(NORTH, true, "p/reply");
	cr_expect(plan_is_provisioning(w.plan, NORTH, KIND_PROVISION));
	cr_expect_not(plan_is_provisioning(w.plan, NORTH, KIND_COMMAND));
	cr_expect_not(plan_is_provisioning(w.plan, SOUTH, KIND_PROVISION));
}

Test(plan, a_mirror_hears_what_the_north_says)
{
	w.spec.mode = FLEET_MIRROR;
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		   NORTHERN("",
			    "{ kind: 'telemetry', topic: 't/{device}' },"
			    "{ kind: 'command', topic: 'do/{device}' }",
			    ""));
	expect_filters(SOUTH, false, "t/+");
	expect_filters(NORTH, false, "do/+");
}

/* Exactly these mistakes, NULL at the end. */
static void expect_mistakes(const char *const *wanted)
{
	size_t n = 0;

	cr_expect_null(w.plan);
	for (; wanted[n]; n++)
		if (n < w.report.n_lines)
			cr_expect_str_eq(w.report.lines[n].text, wanted[n], "%s",
					 w.report.lines[n].text);
	cr_expect_eq(w.report.n_lines, n, "%zu mistakes, the last: %s", w.report.n_lines,
		     w.report.n_lines ? w.report.lines[w.report.n_lines - 1].text : "");
}

#define PROJECT_ROWS                                                                               \
	"{ kind: 'telemetry', topic: 'o/{project}/{device}/t' },"                                  \
	"{ kind: 'attributes', topic: 'o/{project}/{device}/a' },"                                 \
	"{ kind: 'raw', topic: 'o/{project}/{device}/{stream}', publish: 'p' },"                   \
	"{ kind: 'event', topic: 'o/{zone}/{device}/e/{id}' }"

Test(plan, a_variable_that_is_not_set_is_told_once)
{
	world_try(&w,
		  SOUTHERN("",
			   "{ kind: 'telemetry', topic: 't/{device}' },"
			   "{ kind: 'raw', topic: 'r/{device}/{stream}' },"
			   "{ kind: 'attributes', topic: 'a/{device}/{x}' },"
			   "{ kind: 'event', topic: 'e/{device}' }",
			   ""),
		  NORTHERN("", PROJECT_ROWS, "def p: .;"));
	expect_mistakes((const char *[]){ "t.conf:2: north.vars.project: not set (nor a column of "
					  "the list of devices), and topic of messages[0] needs it",
					  "t.conf:2: north.vars.zone: not set (nor a column of the "
					  "list of devices), and topic of messages[3] needs it",
					  NULL });
}

Test(plan, a_variable_of_a_row_that_is_never_written_may_be_unset)
{
	world_plan(&w, SOUTHERN("", "{ kind: 'presence', topic: 't/{device}' }", ""),
		   NORTHERN("", PROJECT_ROWS, "def p: .;"));
}

Test(plan, an_unset_variable_is_no_mistake_offline)
{
	w.spec.is_offline = true;
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		   NORTHERN("", PROJECT_ROWS, "def p: .;"));
}

Test(plan, fields_that_are_written_need_their_variables_too)
{
	world_try(&w,
		  SOUTHERN("",
			   "{ kind: 'telemetry', topic: 't/{device}' },"
			   "{ kind: 'raw', topic: 'r/{device}/{stream}' }",
			   ""),
		  NORTHERN("credentials: ['key'],",
			   "{ kind: 'telemetry', topic: 't/{device}', properties: { k: '{key}' },"
			   "  response_topic: 'a/{b}', correlation: '{c}' },"
			   "{ kind: 'raw', topic: 'r/{stream}', publish: 'p',"
			   "  properties: { s: '{stream}', x: '{x}' } }", /* it may say all */
			   "def p: .;"));
	expect_mistakes(
		(const char *[]){ "t.conf:2: north.vars.key: not set (nor a column of the list of "
				  "devices), and a property of messages[0] needs it",
				  "t.conf:2: north.vars.b: not set (nor a column of the list of "
				  "devices), and response_topic of messages[0] needs it",
				  "t.conf:2: north.vars.c: not set (nor a column of the list of "
				  "devices), and correlation of messages[0] needs it",
				  NULL });
}

/* Of what the list of devices has for some, and of the credentials of sessions of their own. */
Test(plan, what_each_device_has_of_its_own_need_not_be_set_for_all)
{
	struct vars listed = { 0 };
	struct changes c = { 0 };
	struct fleet *fleet = fleet_new();
	enum side side;

	vars_set(&listed, "site", "", false);
	w.spec.listed[NORTH] = &listed;
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		   NORTHERN("credentials: ['key'], session: { username: '{key}', per: 'device' },",
			    "{ kind: 'telemetry', topic: '{site}/{device}/t',"
			    "  properties: { k: '{key}' } }",
			    ""));
	cr_expect_str_eq(plan_lacks(w.plan, "d", &side), "site");
	cr_expect_eq(side, NORTH);
	*w.plan->fleet = fleet;
	fleet_name(fleet, "d", FLEET_IMPORT, &c);
	fleet_set_var(fleet, "d", NORTH, "site", "attic", false, &c);
	cr_expect_str_eq(plan_lacks(w.plan, "d", &side), "key");
	cr_expect(plan_is_filled_later(w.plan, NORTH, "d", "{key}"));
	cr_expect_not(plan_is_filled_later(w.plan, NORTH, "d", "x{key}"));
	fleet_set_var(fleet, "d", NORTH, "key", "secret", true, &c);
	cr_expect_null(plan_lacks(w.plan, "d", &side));
	cr_expect_not(plan_is_filled_later(w.plan, NORTH, "d", "{key}"));
	cr_expect_str_eq(plan_var(w.plan, NORTH, "d", "site")->value, "attic");
	cr_expect_null(plan_var(w.plan, NORTH, "e", "site"));
	*w.plan->fleet = NULL;
	changes_fini(&c);
	fleet_free(fleet);
	vars_fini(&listed);
}

Test(plan, the_answers_of_the_bridge_itself_need_their_variables_too)
{
	world_try(&w,
		  SOUTHERN("",
			   "{ kind: 'request', topic: 'ask/{device}',"
			   "  also: [{ topic: 'a/{z}', reply: 'r/{z}/{y}' }] },"
			   "{ kind: 'request_reply', topic: 'answer/{region}/{device}' }",
			   ""),
		  EMPTY_NORTH);
	expect_mistakes(
		(const char *[]){ "t.conf:1: south.vars.y: not set (nor a column of the list of "
				  "devices), and reply of an alias of messages[0] needs it",
				  "t.conf:1: south.vars.region: not set (nor a column of the list "
				  "of devices), and topic of messages[1] needs it",
				  NULL });
}

Test(plan, so_do_answers_on_an_alias_in_the_north)
{
	world_try(&w, SOUTHERN("", "{ kind: 'command', topic: 'do/{device}' }", ""),
		  NORTHERN("",
			   "{ kind: 'command', topic: 'do/{device}',"
			   "  also: [{ topic: 'a/{z}', reply: 'r/{z}/{y}' }] }",
			   ""));
	expect_mistakes(
		(const char *[]){ "t.conf:2: north.vars.y: not set (nor a column of the list of "
				  "devices), and reply of an alias of messages[0] needs it",
				  NULL });
}

Test(plan, a_variable_may_have_some_values_only)
{
	world_set(&w, NORTH, "form", "lnog");
	world_try(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		  NORTHERN("vars: { form: 'short', other: 'x' }, choices: { form: ['short', "
			   "'long'] },",
			   "{ kind: 'telemetry', topic: 'n/{device}' }", ""));
	expect_mistakes((const char *[]){
		"t.conf:2: north.vars.form: \"lnog\" is none of short, long", NULL });
}

#define MANY_SOUTH SOUTHERN("device: 'payload',", "{ kind: 'telemetry', topic: 't' }", "")
#define MANY_NORTH NORTHERN("device: 'payload',", "{ kind: 'telemetry', topic: 't' }", "")

Test(plan, a_gateway_has_a_name_of_its_own_on_each_side)
{
	world_set(&w, SOUTH, "gateway", "box");
	world_set(&w, NORTH, "gateway", "Gateway 7");
	world_plan(&w, MANY_SOUTH, MANY_NORTH);
	cr_expect_str_eq(w.plan->device, "box");
	cr_expect_str_eq(plan_device_here(w.plan, SOUTH, "box"), "box");
	cr_expect_str_eq(plan_device_here(w.plan, NORTH, "Gateway 7"), "box");
	cr_expect_str_eq(plan_device_there(w.plan, NORTH, "box"), "Gateway 7");
	cr_expect_str_eq(plan_device_there(w.plan, SOUTH, "box"), "box");
	cr_expect_str_eq(plan_device_here(w.plan, NORTH, "d"), "d");
	cr_expect_str_eq(plan_device_there(w.plan, NORTH, "d"), "d");
}

Test(plan, without_it_the_link_is_called_so)
{
	world_plan(&w, MANY_SOUTH, MANY_NORTH);
	cr_expect_str_eq(w.plan->device, "link");
	cr_expect_str_eq(plan_gateway(w.plan, NORTH), "link");
	cr_expect_null(vars_get(&w.plan->side[NORTH].vars, "gateway"), "a topic may capture it");
}

Test(plan, a_link_of_one_device_has_no_gateway)
{
	world_set(&w, SOUTH, "device", "d");
	world_set(&w, NORTH, "gateway", "g");
	world_plan(&w, MANY_SOUTH, MANY_NORTH);
	cr_expect_str_eq(w.plan->device, "d");
	cr_expect_str_eq(plan_device_there(w.plan, NORTH, "d"), "d");
	cr_expect_null(plan_gateway(w.plan, SOUTH));
}

Test(plan, a_side_that_is_one_device_is_no_gateway)
{
	world_set(&w, NORTH, "device", "d");
	w.spec.is_offline = true;
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""), MANY_NORTH);
	cr_expect_str_eq(plan_device_there(w.plan, NORTH, "x"), "d");
	cr_expect_null(plan_gateway(w.plan, NORTH));
}

Test(plan, a_remapped_kind_is_written_as_the_other)
{
	enum kind remap[KINDS];

	for (int k = 0; k < KINDS; k++)
		remap[k] = KIND_NONE;
	remap[KIND_EVENT] = KIND_TELEMETRY;
	w.spec.remap = remap;
	world_try(&w, SOUTHERN("", "{ kind: 'event', topic: 't/{device}' }", ""),
		  NORTHERN("", PROJECT_ROWS, "def p: .;"));
	expect_mistakes((const char *[]){ "t.conf:2: north.vars.project: not set (nor a column of "
					  "the list of devices), and topic of messages[0] needs it",
					  NULL });
}

Test(plan, a_value_that_is_no_topic_level_is_told_once)
{
	world_set(&w, NORTH, "project", "a/b");
	world_try(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		  NORTHERN("",
			   "{ kind: 'telemetry', topic: '{project}/t' },"
			   "{ kind: 'event', topic: '{project}/e' }",
			   ""));
	expect_mistakes((const char *[]){
		"t.conf:2: north.vars: the value of {project} cannot be a topic level", NULL });
}

Test(plan, more_rows_of_one_topic_than_can_be_read_are_refused)
{
	struct buf rows = { 0 };
	char *south;

	for (int i = 0; i <= MATCH_MAX; i++)
		buf_printf(&rows, "%s{ kind: 'telemetry', topic: 't/{device}' }", i ? "," : "");
	south = mem_printf(SOUTHERN("", "%s", ""), buf_str(&rows));
	world_try(&w, south, EMPTY_NORTH);
	expect_mistakes((const char *[]){
		"t.conf:1: south: s has 33 rows with the same topic, at most 32 can be", NULL });
	buf_fini(&rows);
	free(south);
}

Test(plan, many_devices_do_not_fit_a_session_of_one)
{
	world_try(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		  NORTHERN("device: 'none',", "{ kind: 'telemetry', topic: 't' }", ""));
	expect_mistakes((const char *[]){
		"t.conf:1: south.vars.device: not set, so the south may bring many devices, but a "
		"session of n is one device's: set it to the name of the device",
		NULL });
}

#define T_PER_DEVICE                                                                               \
	NORTHERN("session: { per: 'device' },",                                                    \
		 "{ kind: 'telemetry', topic: 't/{device}' },"                                     \
		 "{ kind: 'command', topic: 'do/{device}/{id}' }",                                 \
		 "")

Test(plan, many_devices_have_a_session_each_where_the_dialect_says_so)
{
	char **filters;
	size_t n;

	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		   T_PER_DEVICE);
	cr_expect(w.plan->has_device_sessions);
	cr_expect_not(w.plan->is_single);
	cr_expect_str_eq(plan_session_of(w.plan, NORTH, "d"), "d");
	cr_expect_null(plan_session_of(w.plan, SOUTH, "d"));
	expect_filters(NORTH, false, "do/+/+");
	filters = plan_filters(w.plan, NORTH, false, "d", &n);
	cr_assert_eq(n, 1);
	cr_expect_str_eq(filters[0], "do/d/+", "of its own");
	free(filters[0]);
	free(filters);
}

Test(plan, one_device_has_one_session_whatever_the_dialect_says)
{
	vars_set(&w.vars[SOUTH], "device", "d", false);
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		   T_PER_DEVICE);
	cr_expect_not(w.plan->has_device_sessions);
	cr_expect_null(plan_session_of(w.plan, NORTH, "d"));
}

Test(plan, many_devices_do_not_fit_a_session_that_is_one_by_its_variable)
{
	vars_set(&w.vars[NORTH], "device", "d", false);
	world_try(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""), T_PER_DEVICE);
	expect_mistakes((const char *[]){
		"t.conf:1: south.vars.device: not set, so the south may bring many devices, but a "
		"session of n is one device's: set it to the name of the device",
		NULL });
}

/* --- which device: plan_device_here() */

static void expect_device_at(enum side side, const char *native, const char *here, int line)
{
	const char *got = plan_device_here(w.plan, side, native);

	expect_text(got ? got : "none", here, native, line);
}
#define expect_device(side, native, here) expect_device_at(side, native, here, __LINE__)

#define T_SOUTH SOUTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", "")

Test(plan, a_captured_name_is_the_name_here)
{
	world_plan(&w, T_SOUTH, EMPTY_NORTH);
	cr_expect_not(w.plan->is_single);
	expect_device(SOUTH, "d1", "d1");
	expect_device(NORTH, "d1", "d1");
	cr_expect_str_eq(plan_device_there(w.plan, NORTH, "d1"), "d1");
}

Test(plan, the_souths_name_is_the_name_here_and_the_north_may_have_another)
{
	world_set(&w, SOUTH, "device", "d1");
	world_set(&w, NORTH, "device", "D-1");
	world_plan(&w, T_SOUTH, EMPTY_NORTH);
	cr_expect(w.plan->is_single);
	cr_expect_str_eq(w.plan->device, "d1");
	expect_device(SOUTH, "d1", "d1");
	expect_device(SOUTH, "d2", "none");
	expect_device(NORTH, "D-1", "d1");
	expect_device(NORTH, "d1", "none");
	cr_expect_str_eq(plan_device_there(w.plan, NORTH, "d1"), "D-1");
	cr_expect_str_eq(plan_device_there(w.plan, SOUTH, "d1"), "d1");
}

Test(plan, without_any_name_it_is_the_norths_or_the_links)
{
	world_set(&w, NORTH, "device", "D-1");
	world_plan(&w, SOUTHERN("device: 'none',", "{ kind: 'telemetry', topic: 't' }", ""),
		   EMPTY_NORTH);
	cr_expect_str_eq(w.plan->device, "D-1");
	expect_match(NORTH, "up/D-1", "-");
}

Test(plan, a_session_without_a_name_is_called_like_the_link)
{
	world_plan(&w, SOUTHERN("device: 'none',", "{ kind: 'telemetry', topic: 't' }", ""),
		   EMPTY_NORTH);
	cr_expect_str_eq(w.plan->device, "link");
	expect_match(NORTH, "up/link", "-");
	expect_match(NORTH, "up/other", "");
}

Test(plan, credentials_are_secret)
{
	world_set(&w, SOUTH, "key", "k");
	world_set(&w, SOUTH, "project", "p");
	world_plan(
		&w,
		SOUTHERN("credentials: ['key'],", "{ kind: 'telemetry', topic: 't/{device}' }", ""),
		EMPTY_NORTH);
	cr_expect(vars_find(&w.plan->side[SOUTH].vars, "key")->is_secret);
	cr_expect_not(vars_find(&w.plan->side[SOUTH].vars, "project")->is_secret);
}

Test(plan, the_writer_of_a_kind_is_the_first_row_that_can)
{
	world_plan(&w, T_SOUTH,
		   NORTHERN("",
			    "{ kind: 'event', topic: 'a/{device}', only: 'read' },"
			    "{ kind: 'event', topic: 'b/{device}' },"
			    "{ kind: 'event', topic: 'c/{device}' }",
			    ""));
	cr_expect_eq(plan_writer(w.plan, NORTH, KIND_EVENT), &w.plan->side[NORTH].dialect->rows[1]);
	cr_expect_null(plan_writer(w.plan, NORTH, KIND_TELEMETRY));
}

#define RENAMED "{ kind: 'telemetry', topic: '{topic...}' }"

Test(plan, a_dialects_own_values_hold_until_the_configuration_sets_others)
{
	world_plan(&w, SOUTHERN("vars: { topic: 'a/b' },", RENAMED, ""), EMPTY_NORTH);
	expect_match(SOUTH, "a/b", "0");
	expect_match(SOUTH, "c", "");
	world_fini(&w);
	world_init(&w);
	vars_set(&w.vars[SOUTH], "topic", "c", false);
	world_plan(&w, SOUTHERN("vars: { topic: 'a/b' },", RENAMED, ""), EMPTY_NORTH);
	expect_match(SOUTH, "a/b", "");
	expect_match(SOUTH, "c", "0");
}
