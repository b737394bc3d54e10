#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "dialect/dialect.h"
#include "dialect/through.h"

/* `json` with ' for ". */
static struct dialect *read_dialect(const char *json, struct report *report)
{
	char *text = strdup(json);
	struct dialect *d;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	d = dialect_new("F", text, strlen(text), report);
	free(text);
	return d;
}

static bool has_line(const struct report *report, const char *line)
{
	for (size_t i = 0; i < report->n_lines; i++)
		if (strcmp(report->lines[i].text, line) == 0)
			return true;
	return false;
}

static struct dialect *read_good(const char *json)
{
	struct report report = { 0 };
	struct dialect *d = read_dialect(json, &report);

	for (size_t i = 0; i < report.n_lines; i++)
		cr_log_error("%s", report.lines[i].text);
	cr_assert_not_null(d);
	cr_expect_eq(report.n_lines, 0);
	report_fini(&report);
	return d;
}

/* `lines`: what must be reported, no more and no less; NULL ends them. */
static void expect_mistakes(const char *json, const char *const *lines)
{
	struct report report = { 0 };
	struct dialect *d = read_dialect(json, &report);
	size_t n = 0;

	cr_expect_null(d);
	for (; lines[n]; n++)
		cr_expect(has_line(&report, lines[n]), "missing: %s", lines[n]);
	for (size_t i = 0; i < report.n_lines && report.n_lines != n; i++)
		cr_log_error("reported: %s", report.lines[i].text);
	cr_expect_eq(report.n_lines, n);
	report_fini(&report);
}

static void expect_mistake(const char *json, const char *line)
{
	expect_mistakes(json, (const char *const[]){ line, NULL });
}

/* A mistake in a dialect of one row, whose keys behind kind and topic are `row`. */
static void expect_row_mistake(const char *kind, const char *row, const char *line)
{
	char json[1000];

	snprintf(json, sizeof json,
		 "{'dialect':'d','messages':[{'kind':'%s','topic':'a/{device}'%s}]}", kind, row);
	expect_mistake(json, line);
}

Test(dialect, has_defaults)
{
	struct dialect *d = read_good(
		"{'dialect':'factory','messages':[{'kind':'telemetry','topic':'f/{device}/t'}]}");
	const struct row *row = &d->rows[0];

	cr_expect_str_eq(d->name, "factory");
	cr_expect_null(d->about);
	cr_expect_null(d->version);
	cr_expect_eq(d->mqtt, 4);
	cr_expect_eq(d->device, DEVICE_IN_TOPIC);
	cr_expect_not(d->session_per_device);
	cr_expect_not(d->has_provisioning);
	cr_assert_eq(d->n_rows, 1);
	cr_expect_eq(row->kind, KIND_TELEMETRY);
	cr_expect_eq(row->topic.n_levels, 3);
	cr_expect(row->can_read && row->can_write);
	cr_expect_eq(row->format, FORMAT_JSON);
	cr_expect_eq(row->qos, 1);
	cr_expect_not(row->retain);
	cr_expect_eq(row->id, ID_STRING);
	cr_expect_eq(row->echoes, KIND_NONE);
	cr_expect_not(row->lenient);
	cr_expect(row->read_fn == -1 && row->write_fn == -1 && row->publish_fn == -1);
	dialect_free(d);
}

Test(dialect, reads_every_top_level_key)
{
	struct dialect *d = read_good(
		"{'dialect':'x','about':'An X','version':2,'mqtt':5,'device':'none',"
		"'session':{'username':'{device}','password':'{secret}','client_id':'c-{device}',"
		"'per':'device','provisioning':{'username':'provision','client_id':'p'}},"
		"'credentials':['secret','access_key'],"
		"'limits':{'payload_bytes':65536,'packet_bytes':65000,'in_flight':100,'messages_"
		"per_second':20},"
		"'messages':[{'kind':'event','topic':'e'}]}");

	cr_expect_str_eq(d->about, "An X");
	cr_expect_str_eq(d->version, "2");
	cr_expect_eq(d->mqtt, 5);
	cr_expect_eq(d->device, DEVICE_IN_SESSION);
	cr_expect_str_eq(d->session.username, "{device}");
	cr_expect_str_eq(d->session.password, "{secret}");
	cr_expect_str_eq(d->session.client_id, "c-{device}");
	cr_expect(d->session_per_device);
	cr_expect(d->has_provisioning);
	cr_expect_str_eq(d->provisioning.username, "provision");
	cr_expect_null(d->provisioning.password);
	cr_expect_str_eq(d->provisioning.client_id, "p");
	cr_expect(dialect_is_credential(d, "secret") && dialect_is_credential(d, "access_key"));
	cr_expect_not(dialect_is_credential(d, "device"));
	cr_expect_eq(d->limits.payload_bytes, 65536);
	cr_expect_eq(d->limits.packet_bytes, 65000);
	cr_expect_eq(d->limits.in_flight, 100);
	cr_expect_eq(d->limits.messages_per_second, 20);
	dialect_free(d);
}

Test(dialect, reads_every_row_key)
{
	struct dialect *d = read_good(
		"{'dialect':'x','version':'1.0','messages':["
		"{'kind':'command','topic':'c/{device}/"
		"{id}','read':'r','publish':'p','format':'text',"
		"'qos':0,'retain':true,'properties':{'key':'{secret}','n':'{device}'},"
		"'response_topic':'r/"
		"{device}','correlation':'{id}','id':'uuid','answered':{'a':[1,null]},"
		"'lenient':true,'also':['d/{device}/{id}',{'topic':'e/{id}','reply':'e/reply/"
		"{id}'}]},"
		"{'kind':'attributes','topic':'a','only':'read','read':'r','echoes':'config'},"
		"{'kind':'raw','topic':'raw/"
		"{stream...}','only':'write','format':'bytes','id':'integer'}]}");
	const struct row *row = &d->rows[0];

	cr_expect_str_eq(d->version, "1.0");
	cr_expect_str_eq(row->read, "r");
	cr_expect_null(row->write);
	cr_expect_str_eq(row->publish, "p");
	cr_expect_eq(row->format, FORMAT_TEXT);
	cr_expect_eq(row->qos, 0);
	cr_expect(row->retain);
	cr_expect_str_eq(vars_get(&row->properties, "key"), "{secret}");
	cr_expect_str_eq(row->response_topic, "r/{device}");
	cr_expect_str_eq(row->correlation, "{id}");
	cr_expect_eq(row->id, ID_UUID);
	cr_expect_str_eq(row->answered, "{\"a\":[1,null]}");
	cr_expect(row->lenient);
	cr_assert_eq(row->n_also, 2);
	cr_expect_null(row->also[0].reply);
	cr_expect_str_eq(row->also[1].reply, "e/reply/{id}");
	cr_expect_eq(row->also[1].topic.n_levels, 2);
	cr_expect(d->rows[1].can_read && !d->rows[1].can_write);
	cr_expect_eq(d->rows[1].echoes, KIND_CONFIG);
	cr_expect(!d->rows[2].can_read && d->rows[2].can_write);
	cr_expect_eq(d->rows[2].format, FORMAT_BYTES);
	cr_expect_eq(d->rows[2].id, ID_INTEGER);
	dialect_free(d);
}

Test(dialect, shares_keys_of_a_flow_with_its_rows)
{
	struct dialect *d =
		read_good("{'dialect':'x','up':{'properties':{'a':'1','b':'2'},'lenient':true,'qos'"
			  ":0,'write':'w'},"
			  "'down':{'response_topic':'r','answered':null,'read':'dr'},'messages':["
			  "{'kind':'telemetry','topic':'t','properties':{'b':'3','c':'4'},'qos':1},"
			  "{'kind':'event','topic':'e','publish':'p'},"
			  "{'kind':'alarm','topic':'al','only':'read'},"
			  "{'kind':'command','topic':'c'},{'kind':'firmware','topic':'f'}]}");

	cr_expect_str_eq(vars_get(&d->rows[0].properties, "a"), "1");
	cr_expect_str_eq(vars_get(&d->rows[0].properties, "b"), "3", "the row wins");
	cr_expect_str_eq(vars_get(&d->rows[0].properties, "c"), "4");
	cr_expect_eq(d->rows[0].qos, 1);
	cr_expect(d->rows[0].lenient);
	cr_expect_str_eq(d->rows[0].write, "w");
	cr_expect_null(d->rows[1].write, "the row's publish takes the place of the flow's write");
	cr_expect_str_eq(d->rows[1].publish, "p");
	cr_expect_eq(d->rows[1].qos, 0);
	cr_expect_null(d->rows[2].write);
	cr_expect_not(d->rows[3].lenient);
	cr_expect_str_eq(d->rows[3].response_topic, "r");
	cr_expect_str_eq(d->rows[3].answered, "null");
	cr_expect_str_eq(d->rows[3].read, "dr");
	cr_expect_null(d->rows[4].answered, "a firmware has no reply");
	dialect_free(d);
}

Test(dialect, reports_all_mistakes_at_once)
{
	static const char *const lines[] = {
		"F: unknown key \"colour\": one of dialect, about, version, mqtt, device, session, "
		"application, vars, choices, credentials, limits, request_timeout, offline_after, "
		"echoes_publishes, on_connect, up, "
		"down, messages",
		"F: unknown key \"limit\" (did you mean \"limits\"?)",
		"F: mqtt: must be from 4 to 5",
		"F: device: unknown word \"topics\" (did you mean \"topic\"?)",
		"F: session.username: must be a string",
		"F: messages[0]: \"topic\" is missing: the topic; {name} is a level, {name...} at "
		"the "
		"end is the rest",
		"F: messages[0]: unknown key \"topik\" (did you mean \"topic\"?)",
		"F: messages[1].qos: QoS 2 messages can be lost by the MQTT library in a crash; "
		"use 1",
		"F: messages[1].topic: must be a string, the topic",
		"F: messages[2]: must be an object, {kind, topic, ...}",
		NULL,
	};

	expect_mistakes("{'dialect':'d','colour':1,'limit':{},'mqtt':3,'device':'topics',"
			"'session':{'username':1},'messages':["
			"{'kind':'telemetry','topik':'a'},{'kind':'event','topic':7,'qos':2},17]}",
			lines);
}

Test(dialect, refuses_what_is_no_metadata)
{
	expect_mistake("[]", "F: the metadata must be an object");
	expect_mistake("null", "F: the metadata cannot be read: it is null");
	expect_mistakes(
		"{}", (const char *const[]){
			      "F: \"dialect\" is missing: the name of this file, without .jq",
			      "F: \"messages\" is missing: the rows, [{kind, topic, ...}]", NULL });
	expect_mistake("{'dialect':'d','messages':[]}", "F: messages: must have a row at least");
	expect_mistake("{'dialect':'d','messages':{}}", "F: messages: must be an array of rows");
	expect_mistake("{'dialect':'','messages':[{'kind':'raw','topic':'r'}]}",
		       "F: dialect: must not be empty");
}

Test(dialect, explains_mistakes_at_the_top)
{
	static const struct {
		const char *keys, *line;
	} cases[] = {
		{ "'about':1", "F: about: must be a string" },
		{ "'version':[]", "F: version: must be a string or a number" },
		{ "'mqtt':'5'", "F: mqtt: must be 4 (MQTT 3.1.1) or 5" },
		{ "'mqtt':4.5", "F: mqtt: must be 4 (MQTT 3.1.1) or 5" },
		{ "'device':'header'",
		  "F: device: unknown word \"header\": one of topic, payload, none" },
		{ "'session':[]", "F: session: must be an object" },
		{ "'session':{'user':'x'}",
		  "F: session: unknown key \"user\" (did you mean \"username\"?)" },
		{ "'session':{'per':'group'}",
		  "F: session.per: unknown word \"group\": one of device, link" },
		{ "'session':{'provisioning':1}", "F: session.provisioning: must be an object" },
		{ "'session':{'provisioning':{'usrname':'x'}}",
		  "F: session.provisioning: unknown key \"usrname\" (did you mean \"username\"?)" },
		{ "'credentials':'x'", "F: credentials: must be an array of names of variables" },
		{ "'credentials':['a',1]", "F: credentials[1]: must be the name of a variable" },
		{ "'limits':{'in_flight':0}", "F: limits.in_flight: must be 1 or more" },
		{ "'request_timeout':9223372036854775807",
		  "F: request_timeout: must be from 1 to 86400" },
		{ "'request_timeout':0", "F: request_timeout: must be from 1 to 86400" },
		{ "'limits':{'in_flight':'1'}", "F: limits.in_flight: must be an integer" },
		{ "'up':[]", "F: up: must be an object of row keys" },
		{ "'up':{'kind':'raw'}",
		  "F: up.kind: belongs to a row of its own, not to all rows of a flow" },
		{ "'up':{'qos':7}", "F: up.qos: must be 0 or 1" },
		{ "'down':{'qoss':1}", "F: down: unknown key \"qoss\" (did you mean \"qos\"?)" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char json[1000];

		snprintf(json, sizeof json,
			 "{'dialect':'d',%s,'messages':[{'kind':'raw','topic':'r'}]}",
			 cases[i].keys);
		expect_mistake(json, cases[i].line);
	}
}

Test(dialect, explains_mistakes_of_a_row)
{
	static const struct {
		const char *kind, *row, *line;
	} cases[] = {
		{ "comand", "",
		  "F: messages[0].kind: unknown kind \"comand\" (did you mean \"command\"?)" },
		{ "event", ",'read':1", "F: messages[0].read: must be the name of a function" },
		{ "event", ",'read':'a-b'",
		  "F: messages[0].read: \"a-b\" is no name of a function: letters, digits and _ "
		  "only" },
		{ "event", ",'read':'2a'",
		  "F: messages[0].read: \"2a\" is no name of a function: letters, digits and _ "
		  "only" },
		{ "event", ",'write':'a','publish':'b'",
		  "F: messages[0]: \"write\" and \"publish\" exclude each other: write gives the "
		  "payload, "
		  "publish also topic and properties" },
		{ "event", ",'only':'read','write':'a'",
		  "F: messages[0]: \"write\" has no use with only: \"read\"" },
		{ "event", ",'only':'read','publish':'a'",
		  "F: messages[0]: \"publish\" has no use with only: \"read\"" },
		{ "event", ",'only':'write','read':'a'",
		  "F: messages[0]: \"read\" has no use with only: \"write\"" },
		{ "event", ",'when':'k'", "F: messages[0].when: must be an object" },
		{ "event", ",'when':{}",
		  "F: messages[0].when: \"has\" is missing: the key that a payload has, an object "
		  "then; its value may be any" },
		{ "event", ",'when':{'has':'k','had':1}",
		  "F: messages[0].when: unknown key \"had\" (did you mean \"has\"?)" },
		{ "event", ",'when':{'has':1}", "F: messages[0].when.has: must be a string" },
		{ "event", ",'when':{'has':'k'},'only':'write'",
		  "F: messages[0]: \"when\" has no use with only: \"write\"" },
		{ "event", ",'when':{'has':'k'},'format':'text'",
		  "F: messages[0]: \"when\" has no use with this format: only payloads of JSON "
		  "have keys" },
		{ "event", ",'only':'both'",
		  "F: messages[0].only: unknown word \"both\": one of read, write" },
		{ "event", ",'only':true", "F: messages[0].only: must be \"read\" or \"write\"" },
		{ "event", ",'qos':3", "F: messages[0].qos: must be 0 or 1" },
		{ "event", ",'qos':'1'", "F: messages[0].qos: must be 0 or 1" },
		{ "event", ",'retain':1", "F: messages[0].retain: must be true or false" },
		{ "event", ",'lenient':null", "F: messages[0].lenient: must be true or false" },
		{ "event", ",'format':'xml'",
		  "F: messages[0].format: unknown word \"xml\": one of json, text, bytes" },
		{ "event", ",'id':'int'",
		  "F: messages[0].id: unknown word \"int\" (did you mean \"integer\"?)" },
		{ "event", ",'properties':[]",
		  "F: messages[0].properties: must be an object of strings" },
		{ "event", ",'properties':{'a':1}",
		  "F: messages[0].properties.a: must be a string" },
		{ "event", ",'response_topic':{}",
		  "F: messages[0].response_topic: must be a string" },
		{ "event", ",'echoes':true", "F: messages[0].echoes: must be the name of a kind" },
		{ "event", ",'answered':{}",
		  "F: messages[0]: \"answered\" has no use here: event has no reply" },
		{ "event", ",'also':'x'",
		  "F: messages[0].also: must be an array of topics or {topic, reply}" },
		{ "event", ",'also':[1]",
		  "F: messages[0].also[0]: must be a topic or {topic, reply}" },
		{ "command", ",'also':[{'reply':'x'}]",
		  "F: messages[0].also[0]: \"topic\" is missing: the further topic, as a "
		  "template" },
		{ "event", ",'also':['x',{'topic':'b','reply':'y'}]",
		  "F: messages[0]: \"reply\" in also[1] has no use: event has no reply" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect_row_mistake(cases[i].kind, cases[i].row, cases[i].line);
}

Test(dialect, lists_the_kinds_when_none_is_near)
{
	struct report report = { 0 };

	cr_expect_null(read_dialect(
		"{'dialect':'d','messages':[{'kind':'temperature','topic':'t'}]}", &report));
	cr_assert_eq(report.n_lines, 1);
	cr_expect(strstr(report.lines[0].text,
			 "F: messages[0].kind: unknown kind \"temperature\": one of "
			 "telemetry, attributes, event, "));
	report_fini(&report);
}

#define GREETERS                                                                                   \
	"'messages':[{'kind':'hello','topic':'h','only':'write'},"                                 \
	"{'kind':'presence','topic':'p','only':'read'}]}"

Test(dialect, says_what_follows_a_login)
{
	struct dialect *d = read_good("{'dialect':'d','on_connect':['hello']," GREETERS);

	cr_assert_eq(d->n_on_connect, 1);
	cr_expect_eq(d->on_connect[0], KIND_HELLO);
	cr_expect(dialect_greets(d, KIND_HELLO));
	cr_expect_not(dialect_greets(d, KIND_PRESENCE));
	dialect_free(d);
}

Test(dialect, only_kinds_that_greet_follow_a_login)
{
	for (int k = 0; k < KINDS; k++) {
		struct report report = { 0 };
		char json[300];
		struct dialect *d;

		snprintf(json, sizeof json,
			 "{'dialect':'d','on_connect':['%s'],"
			 "'messages':[{'kind':'%s','topic':'t'}]}",
			 kind_name((enum kind)k), kind_name((enum kind)k));
		d = read_dialect(json, &report);
		cr_expect_eq(d != NULL, kind_table[k].greets != GREETS_NOT, "%s",
			     kind_table[k].name);
		dialect_free(d);
		report_fini(&report);
	}
}

Test(dialect, explains_mistakes_in_what_follows_a_login)
{
	expect_mistake("{'dialect':'d','on_connect':['presence']," GREETERS,
		       "F: on_connect: no row writes \"presence\"");
	expect_mistake("{'dialect':'d','on_connect':['hello','hello']," GREETERS,
		       "F: on_connect[1]: \"hello\" is there twice");
	expect_mistake("{'dialect':'d','on_connect':['helo']," GREETERS,
		       "F: on_connect[0]: unknown word \"helo\" (did you mean \"hello\"?)");
	expect_mistake("{'dialect':'d','on_connect':[5]," GREETERS,
		       "F: on_connect[0]: must be the name of a kind");
	expect_mistake("{'dialect':'d','on_connect':'hello'," GREETERS,
		       "F: on_connect: must be an array of kinds");
}

Test(dialect, passes_on_what_is_wrong_with_a_topic)
{
	static const char *const topics[] = { "", "a/#", "a/+", "a/{x}b", "{a...}/b", "{a}/{a}" };

	for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
		struct report report = { 0 };
		char json[300];

		snprintf(json, sizeof json,
			 "{'dialect':'d','messages':[{'kind':'command','topic':'%s','also':['%s',"
			 "{'topic':'%s','reply':'%s'}]}]}",
			 topics[i], topics[i], topics[i], topics[i]);
		cr_expect_null(read_dialect(json, &report));
		cr_expect_eq(report.n_lines, 4, "%s", topics[i]);
		cr_expect_eq(strncmp(report.lines[0].text, "F: messages[0].topic: ", 22), 0);
		cr_expect_eq(strncmp(report.lines[1].text, "F: messages[0].also[0]: ", 24), 0);
		cr_expect_eq(strncmp(report.lines[2].text, "F: messages[0].also[1].topic: ", 30),
			     0);
		cr_expect_eq(strncmp(report.lines[3].text, "F: messages[0].also[1].reply: ", 30),
			     0);
		report_fini(&report);
	}
}

Test(dialect, refuses_templates_without_an_order)
{
	expect_mistake("{'dialect':'d','messages':[{'kind':'telemetry','topic':'a/{x}/c'},"
		       "{'kind':'command','topic':'a/b/{y}'}]}",
		       "F: messages[1].topic: overlaps with messages[0].topic, \"a/{x}/c\", and "
		       "neither is "
		       "more specific");
	expect_mistake(
		"{'dialect':'d','messages':[{'kind':'telemetry','topic':'z','also':['a/{x}/c']},"
		"{'kind':'event','topic':'y'},{'kind':'event','topic':'x','also':['a/b/{y}']}]}",
		"F: messages[2].also[0]: overlaps with messages[0].also[0], \"a/{x}/c\", and "
		"neither is more specific");
}

Test(dialect, refuses_subscriptions_that_overlap_in_part)
{
	/* MQTT 4.7.1.2: a/# matches a too, which the template does not */
	static const char line[] =
		"F: messages[1].topic: overlaps with messages[0].topic, \"a/{r...}\", "
		"in part only: the subscriptions \"+\" and \"a/#\" would both bring "
		"a message";
	struct dialect *d;

	expect_mistake("{'dialect':'d','messages':[{'kind':'telemetry','topic':'a/{r...}'},"
		       "{'kind':'event','topic':'{x}'}]}",
		       line);
	d = read_good("{'dialect':'d','messages':[{'kind':'telemetry','topic':'a/{r...}'},"
		      "{'kind':'command','topic':'{x}'}]}"); /* other flow, other session */
	dialect_free(d);
	d = read_good("{'dialect':'d','messages':[{'kind':'telemetry','topic':'a/{r...}'},"
		      "{'kind':'event','topic':'{x}','only':'write'}]}");
	dialect_free(d);
	/* Aliases are read where their row is. */
	expect_mistake("{'dialect':'d','messages':[{'kind':'command','topic':'a/{r...}'},"
		       "{'kind':'config','topic':'c','also':['{x}']}]}",
		       "F: messages[1].also[0]: overlaps with messages[0].topic, \"a/{r...}\", "
		       "in part only: the subscriptions \"+\" and \"a/#\" would both bring "
		       "a message");
}

Test(dialect, accepts_templates_with_an_order)
{
	struct dialect *d =
		read_good("{'dialect':'d','messages':[{'kind':'telemetry','topic':'a/{x}/c'},"
			  "{'kind':'event','topic':'a/{y}/c'},{'kind':'raw','topic':'a/{r...}'},"
			  "{'kind':'alarm','topic':'a/b/c'}]}");

	dialect_free(d);
}

Test(dialect, reads_the_table_of_a_through_file)
{
	static const char text[] = "{\"through\":\"celsius\",\"about\":\"x\",\"version\":1.5,"
				   "\"up\":\"to_celsius\"}";
	struct report report = { 0 };
	struct through *t = through_new("F", text, strlen(text), &report);

	cr_assert_not_null(t);
	cr_expect_str_eq(t->name, "celsius");
	cr_expect_str_eq(t->version, "1.5");
	cr_expect_str_eq(t->function[FLOW_UP], "to_celsius");
	cr_expect_null(t->function[FLOW_DOWN]);
	through_free(t);
	report_fini(&report);
}

Test(dialect, reports_all_mistakes_of_a_through_file)
{
	static const char text[] = "{\"through\":1,\"upp\":\"x\",\"down\":\"a b\"}";
	static const char none[] = "{\"through\":\"x\"}";
	struct report report = { 0 };

	cr_expect_null(through_new("F", text, strlen(text), &report));
	cr_expect(has_line(&report, "F: through: must be a string"));
	cr_expect(has_line(&report, "F: unknown key \"upp\" (did you mean \"up\"?)"));
	cr_expect(has_line(
		&report, "F: down: \"a b\" is no name of a function: letters, digits and _ only"));
	cr_expect_eq(report.n_lines, 3);
	cr_expect_null(through_new("F", none, strlen(none), &report));
	cr_expect(has_line(&report, "F: one of \"up\" and \"down\" must name a function"));
	report_fini(&report);
}

Test(dialect, values_of_its_own_variables_are_filled_into_its_topics)
{
	dialect_free(read_good("{'dialect':'d','vars':{'a':'x/y','b':'z'},'messages':["
			       "{'kind':'telemetry','topic':'{a...}'},"
			       "{'kind':'event','topic':'{b}/e'}]}"));
	expect_mistake("{'dialect':'d','vars':{'a':'x/+'},'messages':["
		       "{'kind':'telemetry','topic':'{a...}'}]}",
		       "F: messages[0].topic: with the value in vars: the value of {a} cannot be a "
		       "topic level");
}
