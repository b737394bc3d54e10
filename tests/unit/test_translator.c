#include <criterion/criterion.h>

#include "core/translator.h"
#include "dialects.h"

static struct world w;
static struct translator *translator;
static struct buf said; /* what happened, as text */

static void set_up(void)
{
	world_init(&w);
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""));
	translator = translator_new();
}

static void tear_down(void)
{
	translator_free(translator);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(translator, .init = set_up, .fini = tear_down);

/* A job that is called by a letter, and may lead to others. */
struct letter {
	struct job job;
	const char *name, *leads_to; /* each letter of it is a job */
};

static void submit(const char *name, const char *leads_to);

static void on_start(struct job *job)
{
	buf_printf(&said, "(%s", ((struct letter *)job)->name);
}

static void on_done(struct job *job, struct results *results)
{
	static const char *const singles[] = { "u", "v", "w", "x", "y", "z" };
	struct letter *l = (struct letter *)job;

	cr_expect_eq(results->n, 1);
	cr_expect_eq(results->items[0].type, ITEM_MESSAGE);
	buf_puts(&said, ")");
	for (const char *p = l->leads_to; *p; p++)
		submit(singles[*p - 'u'], *p == 'w' ? "xy" : "");
	job_fini(job);
	free(l);
}

static void submit(const char *name, const char *leads_to)
{
	struct letter *l = mem_zalloc(sizeof *l);

	l->name = name;
	l->leads_to = leads_to;
	l->job = (struct job){
		.type = JOB_WRITE, .plan = w.plan, .side = NORTH, .start = on_start, .done = on_done
	};
	l->job.plain = (struct plain){ .kind = KIND_TELEMETRY, .device = mem_strdup("d") };
	plain_set_body(&l->job.plain, "{}", 2);
	translator_submit(translator, &l->job);
}

Test(translator, jobs_are_done_in_the_order_they_were_submitted)
{
	submit("a", "");
	submit("b", "");
	submit("c", "");
	cr_expect_eq(said.len, 0, "nothing is done before the run");
	cr_expect(translator_run(translator));
	cr_expect_str_eq(buf_str(&said), "(a)(b)(c)");
	cr_expect_not(translator_run(translator));
}

Test(translator, what_a_job_leads_to_comes_before_all_that_waits)
{
	submit("a", "uv");
	submit("b", "w");
	submit("c", "");
	translator_run(translator);
	cr_expect_str_eq(buf_str(&said), "(a)(u)(v)(b)(w)(x)(y)(c)");
}

Test(translator, the_last_job_may_lead_to_others)
{
	submit("a", "w");
	translator_run(translator);
	submit("b", "");
	submit("c", "z");
	translator_run(translator);
	cr_expect_str_eq(buf_str(&said), "(a)(w)(x)(y)(b)(c)(z)");
}

Test(translator, jobs_that_wait_at_the_end_are_not_done)
{
	struct job job = { .done = on_done };

	translator_submit(translator, &job);
	translator_free(translator);
	translator = NULL;
	cr_expect_eq(said.len, 0);
}
