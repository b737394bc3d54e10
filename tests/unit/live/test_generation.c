/* Generations at work: who uses one, and how long. */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "base/refs.h"
#include "link/link.h"
#include "run/reload.h"
#include "unit/live/small_bridge.h"

#define SAME                                                                                       \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t', read: 'f' },"                        \
		 "{ kind: 'presence', topic: 's/{device}/p' }",                                    \
		 "def f: {body: .payload};"),                                                      \
		NORTHERN("",                                                                       \
			 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                           \
			 "{ kind: 'presence', topic: 'n/{device}/p' }",                            \
			 "")
/* The same topics, and another meaning. */
#define OTHER                                                                                      \
	SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t', read: 'f' }",                    \
		 "def f: {body: {other: .payload.a}};"),                                           \
		NORTHERN("", "{ kind: 'telemetry', topic: 'other/{device}' }", "")

static struct generation *g;

static void set_up(void)
{
	world_init(&w);
	bridge_make_parts();
}

static void tear_down(void)
{
	bridge_free_parts();
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(generation, .init = set_up, .fini = tear_down);

static void turn(void)
{
	bridge_hand_over();
	bridge_let_out();
}

static void start(void)
{
	g = bridge_generation("link", NULL, SAME);
	bridge_start_link(g);
	bridge_resume();
	buf_reset(&said);
}

static void end(void)
{
	parts.is_closing = true;
	for (size_t i = 0; i < storage.n_links; i++)
		live_link_free(lives[i]);
}

Test(generation, a_configuration_with_mistakes_is_none)
{
	char *file = mem_printf("%s/missing.conf", w.dir);

	cr_expect_null(generation_read(file, &w.path, NULL, &w.report));
	cr_expect_gt(w.report.n_errors, 0);
	free(file);
}

Test(generation, it_has_what_the_configuration_says)
{
	g = bridge_generation("link", "d", SAME);
	cr_expect_eq(generation_conf(g)->n_links, 1);
	cr_expect_str_eq(generation_plan(g, 0)->name, "link");
	cr_expect_str_eq(generation_plan(g, 0)->device, "d");
	cr_expect_eq(generation_users(g), 0);
	cr_expect(generation_is_idle(g));
	generation_free(g);
}

Test(generation, a_link_uses_it_until_it_is_freed)
{
	start();
	cr_expect_eq(generation_users(g), 1);
	end();
	cr_expect_eq(generation_users(g), 0);
	generation_free(g);
}

Test(generation, a_message_uses_it_until_it_is_settled)
{
	start();
	sends("south", "s/d/t", "{'a':1}");
	sends("south", "s/d/t", "{'a':2}");
	cr_expect_eq(generation_users(g), 3);
	cr_expect_not(generation_is_idle(g), "they are not translated yet");
	generation_run(g);
	cr_expect(generation_is_idle(g));
	turn();
	cr_expect_eq(generation_users(g), 3, "they are on their way");
	takes("north");
	cr_expect_eq(generation_users(g), 2);
	refuses("north", 0x87);
	cr_expect_eq(generation_users(g), 1, "the link");
	sends("south", "s/d/unknown", "1");
	cr_expect_eq(generation_users(g), 1, "a dead one is settled at once");
	end();
	generation_free(g);
}

Test(generation, what_is_dropped_at_the_end_uses_it_no_more)
{
	start();
	sends("south", "s/d/t", "{'a':1}");
	generation_run(g);
	sends("south", "s/d/p", "{'online':true}"); /* has a job */
	cr_expect_eq(generation_users(g), 3);
	end();
	cr_expect_eq(generation_users(g), 0);
	generation_free(g);
}

Test(generation, it_must_have_no_users_when_it_is_freed, .signal = SIGABRT)
{
	g = bridge_generation("link", NULL, SAME);
	refs_hold(generation_plan(g, 0)->users);
	generation_free(g);
}

/* One takes what comes while the other has something in hand: each message has its own meaning. */
Test(generation, two_are_at_work_side_by_side)
{
	struct generation *second;

	g = bridge_generation("link", NULL, SAME);
	bridge_start_link(g);
	second = bridge_generation("later", NULL, OTHER);
	bridge_start_link(second);
	bridge_resume();
	buf_reset(&said);
	sends("south", "s/d/t", "{'a':1}");
	sends("later:south", "s/d/t", "{'a':1}");
	cr_expect_eq(generation_users(g), 2);
	cr_expect_eq(generation_users(second), 2);
	generation_run(second);
	cr_expect_not(generation_is_idle(g), "each does its own jobs");
	cr_expect(generation_is_idle(second));
	generation_run(g);
	turn();
	expect("south acks 1\nnorth n/d/t {'a':1}\n"
	       "later:south acks 1\nlater:north other/d {'other':1}\n");
	takes("north");
	live_link_free(lives[0]); /* the first has nothing in hand any more */
	lives[0] = lives[--storage.n_links];
	cr_expect_eq(generation_users(g), 0);
	generation_free(g);
	sends("later:south", "s/d/t", "{'a':2}");
	generation_run(second);
	buf_reset(&said);
	turn();
	expect("later:south acks 1\nlater:north other/d {'other':2}\n");
	end();
	generation_free(second);
}

/* --- a secret that was not there at the start ----------------------------------------------- */

/* Of a link whose north has the credential `key` from a file that is not there yet. */
static void start_without_key(const char *north_keys, const char *north_rows)
{
	char *conf = mem_printf("%s/late.conf", w.dir);
	char *north =
		mem_printf(NORTHERN("credentials: ['key'], %s", "%s", ""), north_keys, north_rows);
	FILE *f = fopen(conf, "w");

	world_write(&w, "s", SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""));
	world_write(&w, "n", north);
	cr_assert_not_null(f);
	fprintf(f, "links = ( { name = \"l\"; south = { dialect = \"s\"; url = \"mqtt://s\"; };"
		   " north = { dialect = \"n\"; url = \"mqtt://n\";"
		   " vars = { key = \"file:late\"; }; }; } );\n");
	fclose(f);
	g = generation_read(conf, &w.path, NULL, &w.report);
	cr_assert(g, "%s", w.report.n_lines ? w.report.lines[0].text : "");
	cr_expect_eq(w.report.n_lacks, 1);
	report_fini(&w.report);
	free(north);
	free(conf);
}

static void put_key(void)
{
	char *path = mem_printf("%s/late", w.dir);
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fputs("k1", f);
	fclose(f);
	cr_assert_eq(chmod(path, 0600), 0);
	free(path);
}

Test(generation, a_credential_that_comes_later_is_taken)
{
	struct err e = { 0 };

	start_without_key("session: { password: '{key}' },",
			  "{ kind: 'telemetry', topic: 'n', properties: { key: '{key}' } }");
	cr_expect_not(generation_renew(g, 0, NORTH, &e));
	put_key();
	cr_expect(generation_renew(g, 0, NORTH, &e), "%s", e.text);
	cr_expect_str_eq(vars_get(&generation_plan(g, 0)->side[NORTH].vars, "key"), "k1");
	generation_free(g);
}

static void expect_too_late(const char *row)
{
	struct err e = { 0 };

	start_without_key("", row);
	put_key();
	for (int i = 0; i < 2; i++) {
		cr_expect_not(generation_renew(g, 0, NORTH, &e), "%s", row);
		cr_expect(strstr(e.text, "has to be started anew"), "%s", e.text);
	}
	generation_free(g);
}

Test(generation, what_was_made_of_a_missing_one_stays_down)
{
	expect_too_late("{ kind: 'telemetry', topic: 'n/{key}' }");
}

Test(generation, so_does_what_says_more_than_it)
{
	expect_too_late("{ kind: 'telemetry', topic: 'n', properties: { login: 'key {key}' } }");
}

/* --- one after the other ------------------------------------------------------------------- */

/* A configuration of these links, as text. */
static struct generation *read_conf(const char *bridge, const char *const *links, size_t n)
{
	char *file = mem_printf("%s/all.conf", w.dir);
	struct generation *read;
	struct err e = { 0 };
	FILE *f = fopen(file, "w");

	cr_assert(f);
	fprintf(f, "%s links = (", bridge);
	for (size_t i = 0; i < n; i++)
		fprintf(f,
			"%s{ %s south = { dialect = \"s\"; url = \"mqtt://s\"; };"
			" north = { dialect = \"n\"; url = \"mqtt://n\"; }; }",
			i ? ", " : "", links[i]);
	fprintf(f, ");\n");
	fclose(f);
	read = generation_read(file, &w.path, NULL, &w.report);
	cr_assert(read, "%s", w.report.n_lines ? w.report.lines[0].text : "");
	cr_assert(generation_make_executor(read, NULL, NULL, NULL, &e));
	report_fini(&w.report);
	free(file);
	return read;
}
#define READ(bridge, ...)                                                                          \
	read_conf(bridge, (const char *const[]){ __VA_ARGS__ },                                    \
		  sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void write_dialects(const char *south, const char *north)
{
	world_write(&w, "s", south);
	world_write(&w, "n", north);
}

static void start_all(void)
{
	for (size_t i = 0; i < generation_conf(g)->n_links; i++) {
		struct err e = { 0 };

		lives[i] = live_link_new(&parts, g, i, &e);
		cr_assert(lives[i] && live_link_open(lives[i]));
		live_link_start(lives[i]);
	}
	storage.n_links = generation_conf(g)->n_links;
	bridge_resume();
	buf_reset(&said);
}

static struct reload_plan plan_to(struct generation *next)
{
	struct reload_plan plan;
	struct err e = { 0 };

	cr_assert(reload_plan_make(&plan, lives, g, next, &e), "%s", e.text);
	return plan;
}

static void expect_step(const struct reload_plan *plan, size_t i, const char *link,
			enum reload_change change, const char *what)
{
	cr_assert_lt(i, plan->n);
	cr_expect_str_eq(plan->items[i].link, link);
	cr_expect_eq(plan->items[i].change, change, "%s", link);
	cr_expect_str_eq(plan->items[i].what ? plan->items[i].what : "", what);
}

Test(generation, a_plan_says_what_becomes_of_each_link_and_by_which_keys)
{
	struct reload_plan plan;
	struct generation *next;

	write_dialects(SAME);
	g = READ("journal = { max_age = 100; };", "name = \"a\";", "name = \"b\"; mode = \"live\";",
		 "name = \"c\";");
	start_all();
	sends("c:south", "s/d/t", "{'a':1}");
	next = READ("journal = { max_age = 101; };", "name = \"d\";",
		    "max_devices = 7; name = \"b\"; request_timeout = 5;", "name = \"a\";");
	plan = plan_to(next);
	cr_expect_str_eq(plan.bridge, "journal.max_age");
	expect_step(&plan, 0, "d", RELOAD_ADDED, "");
	expect_step(&plan, 1, "b", RELOAD_CHANGED, "request_timeout,max_devices");
	expect_step(&plan, 2, "a", RELOAD_SAME, "");
	expect_step(&plan, 3, "c", RELOAD_REMOVED, "");
	cr_expect_eq(plan.n, 4);
	cr_expect_eq(plan.items[3].waiting, 1);
	reload_plan_fini(&plan);
	end();
	generation_free(next);
	generation_free(g);
}

Test(generation, a_plan_says_which_mapping_changed_and_its_filters)
{
	static const char *const others[] = { OTHER };
	struct reload_plan plan;
	struct generation *next;

	write_dialects(SAME);
	g = READ("", "name = \"a\";");
	start_all();
	world_write(&w, "s", others[0]);
	next = READ("", "name = \"a\";");
	plan = plan_to(next);
	expect_step(&plan, 0, "a", RELOAD_CHANGED, "south.dialect(file)");
	cr_expect_str_eq(plan.items[0].filters, "south -s/+/p");
	reload_plan_fini(&plan);
	end();
	generation_free(next);
	generation_free(g);
}

Test(generation, what_takes_a_restart_is_refused_by_name)
{
	struct generation *next;
	struct reload_plan plan;
	struct err e = { 0 };

	write_dialects(SAME);
	g = READ("workers = 1;", "name = \"a\";");
	start_all();
	next = READ("workers = 2;", "name = \"a\";");
	cr_expect_not(reload_plan_make(&plan, lives, g, next, &e));
	cr_expect(strstr(e.text, "workers has changed"), "%s", e.text);
	reload_plan_fini(&plan);
	end();
	generation_free(next);
	generation_free(g);
}

/* What the bridge does: all is durable, the one takes over, new links begin. */
static void take_over(struct generation *next)
{
	struct live_link **links = mem_dup(lives, storage.n_links * sizeof *lives);
	struct reload_bridge b = { &parts, &storage, links, storage.n_links, 0 };
	struct reload_plan plan = plan_to(next);
	const struct journal_live_reader reader = { live_link_take_again, bridge_no_orphans,
						    bridge_none_aside };
	struct err e = { 0 };

	turn();
	turn();
	cr_assert(reload_apply(&b, &plan, g, next, false, &e), "%s", e.text);
	g = next;
	memcpy(lives, b.links, b.n_links * sizeof *lives);
	storage.links = lives;
	for (size_t i = 0; i < b.n_links; i++)
		if (!live_link_is_open(lives[i])) {
			cr_assert(live_link_open(lives[i]));
			live_link_start(lives[i]);
		}
	cr_assert(journal_live_resume(parts.journal, &reader, &e), "%s", e.text);
	free(b.links);
	reload_plan_fini(&plan);
}

Test(generation, what_is_the_same_goes_on_and_what_changed_begins_anew_with_what_it_had)
{
	write_dialects(SAME);
	g = READ("", "name = \"same\";", "name = \"link\";");
	start_all();
	sends("same:south", "s/d/t", "{'a':1}"); /* not translated yet */
	sends("south", "s/d/t", "{'a':2}");
	take_over(READ("", "name = \"link\"; max_devices = 7;", "name = \"same\";"));
	cr_expect_not(strstr(buf_str(&said), "same:south closes"), "%s", buf_str(&said));
	cr_expect(strstr(buf_str(&said), "\nsouth closes") ||
			  strncmp(buf_str(&said), "south closes", 12) == 0,
		  "%s", buf_str(&said));
	buf_reset(&said);
	generation_run(g);
	turn();
	cr_expect(strstr(buf_str(&said), "same:north n/d/t {\"a\":1}\n"), "%s", buf_str(&said));
	cr_expect(strstr(buf_str(&said), "\nnorth n/d/t {\"a\":2}\n") ||
			  strncmp(buf_str(&said), "north n/d/t {\"a\":2}", 19) == 0,
		  "%s", buf_str(&said));
	takes("same:north");
	takes("north");
	cr_expect_eq(generation_users(g), 2, "the links");
	/* Once more: what the first one had read is still there for the link that it came from. */
	take_over(READ("", "name = \"link\"; max_devices = 8;", "name = \"same\";"));
	buf_reset(&said);
	sends("same:south", "s/d/t", "{'a':3}");
	generation_run(g);
	turn();
	cr_expect(strstr(buf_str(&said), "same:north n/d/t {\"a\":3}\n"), "%s", buf_str(&said));
	end();
	generation_free(g);
}

/* What was not given to a worker goes by the new mappings; what was decided, as it was decided. */
Test(generation, what_waits_to_be_translated_is_by_the_new_one)
{
	static const char *const others[] = { OTHER };

	write_dialects(SAME);
	g = READ("", "name = \"link\";");
	start_all();
	sends("south", "s/d/t", "{'a':1}");
	generation_run(g);
	turn();
	sends("south", "s/d/t", "{'a':2}");
	turn();
	write_dialects(others[0], others[1]);
	take_over(READ("", "name = \"link\";"));
	buf_reset(&said);
	generation_run(g);
	turn();
	cr_expect(strstr(buf_str(&said), "north other/d {\"other\":2}\n"), "%s", buf_str(&said));
	end();
	generation_free(g);
}
