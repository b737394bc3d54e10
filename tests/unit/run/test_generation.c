/* Generations at work: who uses one, and how long. */
#include <criterion/criterion.h>
#include <sys/stat.h>

#include "base/refs.h"
#include "link/link.h"
#include "unit/run/small_bridge.h"

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
