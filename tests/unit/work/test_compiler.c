/* A compiler whose jq does what the test wants (mapping_load() is wrapped), or what it should. */
#include "work/compiler.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/dialects.h"
#include "work/nursery.h"

struct mapping *__real_mapping_load(const struct mapping_path *p, const char *name,
				    struct report *report);
struct mapping *__wrap_mapping_load(const struct mapping_path *p, const char *name,
				    struct report *report);

struct mapping *__wrap_mapping_load(const struct mapping_path *p, const char *name,
				    struct report *report)
{
	if (strcmp(name, "loops") == 0)
		for (;;)
			;
	if (strcmp(name, "aborts") == 0)
		abort();
	return __real_mapping_load(p, name, report);
}

static struct world w;
static struct compiler *c;

static void set_up(void)
{
	struct err e = { 0 };

	world_init(&w);
	cr_assert(nursery_start(NULL, &e), "%s", e.text);
	c = compiler_new(&e);
	cr_assert(c, "%s", e.text);
}

static void tear_down(void)
{
	compiler_free(c);
	nursery_end();
	world_fini(&w);
}

TestSuite(compiler, .init = set_up, .fini = tear_down, .timeout = 120);

static struct mapping *load(const char *name, const char *text)
{
	world_write(&w, name, text);
	return compiler_load(c, &w.path, name, &w.report);
}

Test(compiler, gives_the_table_of_a_mapping)
{
	struct mapping *m =
		load("s", SOUTHERN("about: 'x',",
				   "{ kind: 'telemetry', topic: 's/{device}', read: 'f' },"
				   "{ kind: 'event', topic: 'e/{device}', write: 'g' }",
				   "def f: {kind: 'alarm', body: .mine}; def g: .body;"));

	cr_assert(m);
	cr_expect_eq(w.report.n_lines, 0);
	cr_expect_str_eq(mapping_dialect(m)->name, "s");
	cr_expect_eq(mapping_dialect(m)->n_rows, 2);
	cr_expect_eq(mapping_dialect(m)->rows[0].read_fn, 0);
	cr_expect_eq(mapping_dialect(m)->rows[1].write_fn, 1);
	cr_expect(mapping_dialect(m)->also_gives & UINT64_C(1) << KIND_ALARM);
	cr_expect(mapping_may_use(m, "mine"));
	cr_expect_not(mapping_may_use(m, "yours"));
	mapping_free(m);
}

Test(compiler, reports_mistakes)
{
	cr_expect_null(load(
		"s", SOUTHERN("", "{ kind: 'telemetry', topic: 's', read: 'f' }", "def g: .;")));
	cr_assert_eq(w.report.n_errors, 1);
	cr_expect(strstr(w.report.lines[0].text, "s.jq: messages[0].read"), "%s",
		  w.report.lines[0].text);
}

/* And what comes after it is looked at all the same. */
static void expect_mistake(const char *name, const char *wanted)
{
	struct mapping *m;

	cr_expect_null(load(name, ""));
	cr_assert_eq(w.report.n_errors, 1);
	cr_expect(strstr(w.report.lines[0].text, wanted), "%s", w.report.lines[0].text);
	m = load("s", SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""));
	cr_expect(m);
	mapping_free(m);
}

Test(compiler, that_does_not_end_is_a_mistake)
{
	expect_mistake("loops", "/loops.jq: jq cannot compile it: it took more than");
}

Test(compiler, that_dies_is_a_mistake)
{
	expect_mistake("aborts", "/aborts.jq: jq cannot compile it: jq ended by signal 6 (ABRT)");
}

Test(compiler, makes_plans_and_is_told_who_is_who)
{
	struct mapping *s =
		load("s", SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""));
	struct mapping *n = load("n", NORTHERN("credentials: ['key'],",
					       "{ kind: 'telemetry', topic: 't/{device}' }", ""));
	struct vars vars[SIDES] = { 0 };
	struct err e = { 0 };
	struct plan *plan;

	vars_set(&vars[NORTH], "key", "secret", false);
	w.spec.mapping[SOUTH] = s;
	w.spec.mapping[NORTH] = n;
	w.spec.vars[SOUTH] = &vars[SOUTH];
	w.spec.vars[NORTH] = &vars[NORTH];
	plan = plan_new(&w.spec, &w.report);
	cr_assert(plan);
	cr_expect(compiler_plan(c, plan, &w.spec, &e), "%s", e.text);
	cr_expect_neq(plan->there, 0);
	compiler_tell(c, plan, "d", "{\"south\":\"x\",\"north\":null}");
	compiler_tell(c, plan, "d", NULL);
	cr_expect_not(compiler_is_lost(c));
	plan_free(plan);
	mapping_free(s);
	mapping_free(n);
	vars_fini(&vars[NORTH]);
}

Test(compiler, that_has_ended_is_missed)
{
	struct err e = { 0 };

	compiler_free(c);
	nursery_end();
	cr_assert(nursery_start(NULL, &e));
	c = compiler_new(&e);
	cr_assert(c, "%s", e.text);
	cr_expect_not(compiler_is_lost(c));
	cr_expect_eq(compiler_fork(c, 0, -1, &e), -1, "what it cannot understand ends it");
	cr_expect(compiler_is_lost(c));
	cr_expect_eq(compiler_fork(c, 0, 0, &e), -1);
	cr_expect(strstr(e.text, "has ended"), "%s", e.text);
}
