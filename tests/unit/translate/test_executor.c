#include <criterion/criterion.h>

#include "translate/executor.h"
#include "unit/dialects.h"

static struct world w;
static struct executor *executor;
static struct strand *strand;
static struct buf said;	 /* what happened, as text */
static bool has_changed; /* what jobs were told */
static bool overruns;	 /* what is done */
static struct job *taken[8];
static size_t n_taken, most_taken;

static void set_up(void)
{
	world_init(&w);
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""));
	executor = executor_new(NULL);
	strand = strand_new(executor, NULL, NULL);
	most_taken = 8;
}

static void tear_down(void)
{
	strand_free(strand);
	executor_free(executor);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(executor, .init = set_up, .fini = tear_down);

/* A job that is called by a letter, and may lead to others. */
struct letter {
	struct job job;
	const char *name, *leads_to; /* each letter of it is a job */
};

static void submit(const char *name, const char *leads_to);

static void on_drop(struct job *job)
{
	buf_puts(&said, "dropped");
	job_fini(job);
	free(job);
}

static bool on_start(struct job *job)
{
	bool changed = has_changed;

	buf_printf(&said, "(%s", ((struct letter *)job)->name);
	has_changed = false;
	return changed;
}

static void on_done(struct job *job, struct results *results)
{
	static const char *const singles[] = { "u", "v", "w", "x", "y", "z" };
	struct letter *l = (struct letter *)job;

	cr_expect_eq(results->n, 1);
	cr_expect_eq(results->items[0].type, overruns ? ITEM_REFUSED : ITEM_MESSAGE);
	buf_printf(&said, "%s)", n_taken > 0 ? l->name : "");
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
	l->job.plain = (struct canonical){ .kind = KIND_TELEMETRY, .device = mem_strdup("d") };
	canonical_set_body(&l->job.plain, "{}", 2);
	l->job.drop = on_drop;
	strand_submit(strand, &l->job);
}

Test(executor, jobs_are_done_in_the_order_they_were_submitted)
{
	submit("a", "");
	submit("b", "");
	submit("c", "");
	cr_expect_eq(said.len, 0, "nothing is done before the run");
	cr_expect(executor_run(executor));
	cr_expect_str_eq(buf_str(&said), "(a)(b)(c)");
	cr_expect_not(executor_run(executor));
}

Test(executor, what_a_job_leads_to_comes_before_all_that_waits)
{
	submit("a", "uv");
	submit("b", "w");
	submit("c", "");
	executor_run(executor);
	cr_expect_str_eq(buf_str(&said), "(a)(u)(v)(b)(w)(x)(y)(c)");
}

Test(executor, the_last_job_may_lead_to_others)
{
	submit("a", "w");
	executor_run(executor);
	submit("b", "");
	submit("c", "z");
	executor_run(executor);
	cr_expect_str_eq(buf_str(&said), "(a)(w)(x)(y)(b)(c)(z)");
}

Test(executor, jobs_that_wait_at_the_end_are_dropped)
{
	submit("a", "");
	strand_free(strand);
	strand = NULL;
	cr_expect_str_eq(buf_str(&said), "dropped");
	cr_expect(executor_is_idle(executor));
}

Test(executor, a_step_of_the_callers_comes_before_all_that_waits)
{
	submit("a", "");
	strand_begin(strand);
	submit("b", "");
	submit("c", "");
	strand_end(strand);
	submit("d", "");
	executor_run(executor);
	cr_expect_str_eq(buf_str(&said), "(b)(c)(a)(d)");
}

/* --- with a hand --------------------------------------------------------------------------- */

static bool take(void *ctx, struct job *job)
{
	(void)ctx;
	if (n_taken == most_taken)
		return false;
	taken[n_taken++] = job;
	return true;
}

static void tell(void *ctx, const struct plan *plan, const char *key, const char *value)
{
	(void)ctx;
	cr_expect_eq(plan, w.plan);
	buf_printf(&said, "%s=%s", key, value);
}

static void with_a_hand(void)
{
	static const struct worker_pool pool = { take, tell, NULL };

	strand_free(strand);
	executor_free(executor);
	executor = executor_new(&pool);
	strand = strand_new(executor, NULL, NULL);
}

/* The hand has done the job that was taken as number `i`. */
static void back(size_t i)
{
	struct results r = { 0 };

	translate(taken[i], &r);
	executor_back(taken[i], &r);
}

Test(executor, jobs_that_come_back_in_another_order_complete_in_theirs)
{
	with_a_hand();
	submit("a", "");
	submit("b", "");
	cr_expect_not(executor_run(executor));
	back(1);
	cr_expect_not(executor_run(executor));
	cr_expect_str_eq(buf_str(&said), "(a(b", "the first is not back");
	back(0);
	buf_reset(&said);
	cr_expect(executor_run(executor));
	cr_expect_str_eq(buf_str(&said), "(aa)(bb)");
}

Test(executor, what_a_job_leads_to_comes_before_what_is_back_already)
{
	with_a_hand();
	submit("a", "u");
	submit("b", "");
	executor_run(executor);
	back(0);
	back(1);
	executor_run(executor);
	cr_expect_eq(n_taken, 3);
	back(2);
	buf_reset(&said);
	executor_run(executor);
	cr_expect_str_eq(buf_str(&said), "(uu)(bb)");
}

Test(executor, a_job_whose_state_has_changed_is_done_again)
{
	with_a_hand();
	submit("a", "");
	executor_run(executor);
	back(0);
	has_changed = true;
	cr_expect_not(executor_run(executor));
	cr_assert_eq(n_taken, 2, "it is taken again");
	back(1);
	cr_expect(executor_run(executor));
}

Test(executor, a_hand_may_be_full)
{
	with_a_hand();
	most_taken = 1;
	submit("a", "");
	submit("b", "");
	executor_run(executor);
	cr_expect_eq(n_taken, 1);
	back(0);
	most_taken = 2;
	executor_run(executor);
	cr_assert_eq(n_taken, 2);
	back(1);
	cr_expect(executor_run(executor));
	cr_expect(executor_is_idle(executor));
}

Test(executor, strands_do_not_wait_for_each_other)
{
	struct strand *other, *first;

	with_a_hand();
	first = strand;
	submit("a", "");
	other = strand_new(executor, NULL, NULL);
	strand = other;
	submit("b", "");
	executor_run(executor);
	back(1);
	buf_reset(&said);
	cr_expect(executor_run(executor));
	cr_expect_str_eq(buf_str(&said), "(bb)");
	strand_free(other);
	strand = first;
}

/* Of what takes too long, the hand has one at a time: others of its strand would be in the way of all. */
Test(executor, a_strand_that_overruns_does_not_fill_the_hand)
{
	struct results r = { 0 };

	with_a_hand();
	most_taken = 8;
	submit("a", "");
	submit("b", "");
	submit("c", "");
	submit("d", "");
	executor_run(executor);
	cr_assert_eq(n_taken, 4);
	results_refuse(&r, DEAD_MAPPING_OVERRUN, "too long");
	overruns = true;
	executor_back(taken[0], &r);
	submit("e", "");
	submit("f", "");
	executor_run(executor);
	cr_expect_eq(n_taken, 4, "three of it are out");
	for (size_t i = 1; i < 4; i++) {
		results_refuse(&r, DEAD_MAPPING_OVERRUN, "too long");
		executor_back(taken[i], &r);
	}
	executor_run(executor);
	cr_expect_eq(n_taken, 5);
	overruns = false;
	back(4);
	executor_run(executor);
	cr_expect_eq(n_taken, 6);
	back(5);
	executor_run(executor);
	cr_expect(executor_is_idle(executor));
}

Test(executor, a_hand_is_told_of_devices)
{
	with_a_hand();
	strand_tell(strand, w.plan, "d", "{}");
	cr_expect_str_eq(buf_str(&said), "d={}");
}

Test(executor, what_came_to_the_head_goes_first_when_a_full_hand_has_room)
{
	with_a_hand();
	most_taken = 2;
	submit("a", "uv");
	submit("b", "");
	submit("c", "");
	executor_run(executor);
	back(0);
	executor_run(executor); /* u and v are at the head, b is taken, c waits */
	cr_expect_eq(n_taken, 2);
	most_taken = 5;
	buf_reset(&said);
	executor_run(executor);
	cr_expect_eq(n_taken, 5);
	cr_expect_str_eq(buf_str(&said), "(u(v(c");
	back(4);
	back(1);
	back(3);
	executor_run(executor);
	cr_expect_not(executor_is_idle(executor));
	back(2);
	executor_run(executor);
	cr_expect(executor_is_idle(executor));
}
