/* What is told to who listens to a live link, between ports in memory. */
#include <criterion/criterion.h>

#include "live/suspects.h"
#include "unit/live/small_bridge.h"

static struct generation *generation;
static struct live_link *live;
static struct buf heard;

static void set_up(void)
{
	world_init(&w);
}

static void start(const char *south, const char *north)
{
	generation = bridge_generation("link", NULL, south, north);
	bridge_make_parts();
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
}

static void tear_down(void)
{
	parts.is_closing = true;
	if (live)
		live_link_free(live);
	bridge_free_parts();
	generation_free(generation);
	buf_fini(&said);
	buf_fini(&heard);
	world_fini(&w);
}

TestSuite(live_link_follow, .init = set_up, .fini = tear_down);

static void turn(void)
{
	live_link_tick(live, now_ms);
	suspects_run_jobs(parts.suspects, generation, now_ms);
	bridge_hand_over();
	bridge_let_out();
}

Test(live_link_follow, what_it_is_made_of_is_told_for_cases)
{
	struct buf setup = { 0 };

	world_write(&w, "half", "module { through: 'half', up: 'f' }; def f: .;");
	generation = bridge_generation_of(
		"link",
		"through = ( \"half\", { name = \"half\"; "
		"vars = { by = 2; token = \"sesame\"; }; } );",
		"d1", SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t' }", ""),
		NORTHERN("", "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	bridge_make_parts();
	bridge_start_link(generation);
	live = lives[0];
	live_link_put_setup(live, &setup);
	cr_expect_str_eq(buf_str(&setup),
			 "{\"south\":\"s\",\"north\":\"n\",\"through\":[{\"name\":\"half\","
			 "\"vars\":{}},{\"name\":\"half\",\"vars\":{\"by\":\"2\"}}],"
			 "\"vars\":{\"south.device\":\"d1\"}}");
	buf_fini(&setup);
}

/* Times are left out: ,"us":N and ,"at_ms":N */
static void drop_number(char *text, const char *key)
{
	char *at, *end;

	while ((at = strstr(text, key)) != NULL) {
		end = at + strlen(key);
		end += strspn(end, "0123456789");
		memmove(at, end, strlen(end) + 1);
	}
}

/* The lines since the last time, with ' for ". */
static const char *hear(struct tap *t)
{
	buf_reset(&heard);
	tap_take(t, &heard, SIZE_MAX);
	buf_putc(&heard, '\0');
	drop_number(heard.data, ",\"us\":");
	drop_number(heard.data, ",\"at_ms\":");
	for (char *c = heard.data; *c; c++)
		*c = *c == '"' ? '\'' : *c;
	return heard.data;
}

#define S_ASKS                                                                                     \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 's/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 's/{device}/did/{id}' }",                        \
		 "")
#define N_ASKS                                                                                     \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'command', topic: 'n/{device}/do/{id}' },"                               \
		 "{ kind: 'command_reply', topic: 'n/{device}/did/{id}' }",                        \
		 "")

Test(live_link_follow, a_message_is_told_from_its_arrival_to_its_acknowledgement)
{
	const struct tap_terms any = { 0 };
	struct tap *t;

	start(S_ASKS, N_ASKS);
	sends("south", "s/d/t", "{'a':0}"); /* nobody listens yet */
	t = live_link_listen(live, &any);
	sends("south", "s/d/t", "{'a':1}");
	turn();
	cr_expect_str_eq(
		hear(t),
		"{'item':{'step':'arrived','id':2,'device':'d','side':'south','topic':'s/d/t',"
		"'qos':1,'retain':false,'payload':{'a':1}}}\n"
		"{'item':{'step':'read','id':2,'kind':'telemetry','device':'d'}}\n"
		"{'item':{'step':'made','id':2,'kind':'telemetry','device':'d','side':'north',"
		"'topic':'n/d/t','qos':1,'retain':false,'payload':{'a':1}}}\n");
	takes("north");
	takes("north");
	cr_expect_str_eq(hear(t), "{'item':{'step':'ended','id':2,'side':'north','result':"
				  "'delivered','topic':'n/d/t'}}\n"
				  "{'item':{'step':'settled','id':2,'kind':'telemetry','result':"
				  "'delivered','is_dead':false}}\n");
	live_link_listen_end(t);
	sends("south", "s/d/t", "{'a':2}");
	turn();
	takes("north");
}

Test(live_link_follow, the_id_that_a_command_goes_under_is_told_and_what_the_bridge_says_itself)
{
	const struct tap_terms any = { 0 };
	struct tap *t;

	start(S_ASKS, N_ASKS);
	t = live_link_listen(live, &any);
	sends("north", "n/d/do/7", "{'name':'x'}");
	turn();
	hear(t);
	cr_expect(strstr(heard.data, "'step':'paired','id':1,'kind':'command','device':'d',"
				     "'far_id':'"),
		  "%s", heard.data);
	cr_expect(strstr(heard.data, "'step':'made','id':1,'kind':'command'"), "%s", heard.data);
	takes("south");
	now_ms += 60000;
	turn();
	turn();
	hear(t);
	cr_expect(strstr(heard.data, "'step':'made','id':2,'kind':'command_reply','device':'d',"
				     "'is_own':true,'side':'north','topic':'n/d/did/7'"),
		  "%s", heard.data);
	live_link_listen_end(t);
}

Test(live_link_follow, dead_letters_are_told_with_their_reason)
{
	const struct tap_terms any = { 0 };
	struct tap *t;

	start(S_ASKS, N_ASKS);
	t = live_link_listen(live, &any);
	sends("south", "s/d/nothing", "{}");
	turn();
	cr_expect(strstr(hear(t), "'step':'settled','id':1,'result':'unknown-topic','is_dead':true,"
				  "'text':'s/d/nothing'"),
		  "%s", heard.data);
	live_link_listen_end(t);
}

Test(live_link_follow, only_what_was_asked_for_is_told)
{
	const struct tap_terms by_topic = { .topic = "s/+/t" }, by_device = { .device = "e" };
	struct tap *topic, *device;

	start(S_ASKS, N_ASKS);
	topic = live_link_listen(live, &by_topic);
	device = live_link_listen(live, &by_device);
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/e/did/1", "{}");
	turn();
	cr_expect(strstr(hear(topic), "'id':1") && !strstr(heard.data, "'id':2"), "%s", heard.data);
	cr_expect(strstr(hear(device), "'id':2") && !strstr(heard.data, "'id':1"), "%s",
		  heard.data);
	live_link_listen_end(topic);
	live_link_listen_end(device);
}

Test(live_link_follow, who_is_slow_loses_lines_and_nobody_waits)
{
	const struct tap_terms little = { .most_bytes = 300 };
	struct tap *t;

	start(S_ASKS, N_ASKS);
	t = live_link_listen(live, &little);
	for (int i = 0; i < 20; i++)
		sends("south", "s/d/t", "{'a':1}");
	turn();
	for (int i = 0; i < 20; i++)
		takes("north");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->delivered, 20);
	cr_expect_leq(strlen(hear(t)), 300);
	cr_expect(strncmp(heard.data, "{'item':{'step':'arrived','id':1,", 33) == 0);
	/* 20 messages have 5 lines each, of which two were heard. */
	cr_expect_eq(tap_dropped(t), 98, "%d", (int)tap_dropped(t));
	live_link_listen_end(t);
}

Test(live_link_follow, secrets_are_not_told)
{
	const struct tap_terms any = { 0 };
	struct tap *t;

	start(SOUTHERN("credentials: ['key'], vars: {key: 'k-4711'},",
		       "{ kind: 'telemetry', topic: 's/{device}/{key}/t' }", ""),
	      N_ASKS);
	t = live_link_listen(live, &any);
	sends("south", "s/d/k-4711/t", "{'a':'k-4711','password':'swordfish','d':[{'apikey':7}]}");
	turn();
	hear(t);
	cr_expect(strstr(heard.data,
			 "'topic':'s/d/***/t','qos':1,'retain':false,"
			 "'payload':{'a':'***','password':'***','d':[{'apikey':'***'}]}"),
		  "%s", heard.data);
	cr_expect(strstr(heard.data, "'step':'made'"), "%s", heard.data);
	cr_expect_not(strstr(heard.data, "swordfish") || strstr(heard.data, "4711"), "%s",
		      heard.data);
	sends_bytes("south", "s/d/k-4711/t", "\xff k-4711", 8);
	turn();
	cr_expect(strstr(hear(t), "'payload':'***'"), "%s", heard.data);
	live_link_listen_end(t);
}

Test(live_link_follow, a_link_that_ends_ends_it)
{
	const struct tap_terms any = { 0 };
	struct tap *t;

	start(S_ASKS, N_ASKS);
	t = live_link_listen(live, &any);
	cr_expect_not(tap_is_over(t));
	parts.is_closing = true;
	live_link_free(live);
	live = NULL;
	cr_expect(tap_is_over(t));
	live_link_listen_end(t);
}
