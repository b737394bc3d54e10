/* Workers that a compiler forks, with functions that are called often enough. */
#include "work/own_programs.h"

#include <criterion/criterion.h>

#include "net/loop.h"
#include "translate/executor.h"
#include "unit/dialects.h"
#include "work/compiler.h"
#include "work/nursery.h"
#include "work/worker.h"

#define GUARD_MS  50000
#define N_WORKERS 2
#define IN_HAND	  200

Test(own_programs, are_heard_of_once_in_their_order)
{
	struct own_programs_wanted a = { 0 }, b = { 0 };
	struct own_programs o = { 0 };
	struct own_program next;
	size_t n_a = 0, n_b = 0;

	own_programs_want(&a, (struct own_program){ 1, 2 });
	own_programs_want(&b, (struct own_program){ 1, 2 });
	own_programs_want(&b, (struct own_program){ 0, 2 });
	own_programs_hear(&o, &b, &n_b);
	own_programs_hear(&o, &a, &n_a);
	own_programs_hear(&o, &a, &n_a);
	cr_assert(own_programs_next(&o, &next));
	cr_expect(next.mapping == 1 && next.fn == 2);
	cr_expect_not(own_programs_are_begun(&o));
	cr_assert(own_programs_next(&o, &next));
	cr_expect(next.mapping == 0 && next.fn == 2);
	cr_expect(own_programs_are_begun(&o));
	cr_expect_not(own_programs_next(&o, &next));
}

Test(own_programs, are_bounded_whatever_a_worker_says)
{
	struct own_programs_wanted wanted = { 0 };
	struct own_programs o = { 0 };
	size_t n = 0;

	for (uint32_t i = 0; i < 100; i++)
		own_programs_want(&wanted, (struct own_program){ 0, i });
	own_programs_hear(&o, &wanted, &n);
	cr_expect_eq(o.n, OWN_PROGRAMS_MAX);
	cr_expect_eq(n, OWN_PROGRAMS_MAX);
	atomic_store(&wanted.n, 0xffffffff);
	n = 0;
	own_programs_hear(&o, &wanted, &n);
	cr_expect_eq(o.n, OWN_PROGRAMS_MAX);
}

static struct world w;
static struct compiler *c;
static struct loop *loop;
static struct workers *workers;
static struct executor *executor;
static struct strand *strand;
static struct loop_timer guard;
static struct match match;
static struct message message;
static struct job jobs[IN_HAND];
static size_t n_submitted, n_done, n_wanted;
static uint64_t wanted_renewed;

/* They come back in their order, each with what its function gives. */
static void on_done(struct job *job, struct results *results)
{
	cr_assert_eq(results->n, 1);
	cr_assert_eq(results->items[0].type, ITEM_MESSAGE);
	cr_assert_eq(job->at_ms, (int64_t)n_done);
	n_done++;
}

static void submit(void)
{
	struct job *job = &jobs[n_submitted % IN_HAND];

	*job = (struct job){ .type = JOB_READ,
			     .plan = w.plan,
			     .side = SOUTH,
			     .readers = match.readers,
			     .n_readers = match.n,
			     .message = &message,
			     .at_ms = (int64_t)n_submitted++,
			     .done = on_done };
	strand_submit(strand, job);
}

static bool may_submit(void)
{
	return n_submitted < n_wanted && n_submitted < n_done + IN_HAND;
}

static void before_sleep(void *ctx, int64_t now_ms)
{
	struct workers_counters n;

	(void)ctx;
	(void)now_ms;
	/* What is done makes room for more, which nothing would wake the loop for. */
	do {
		while (may_submit())
			submit();
		executor_run(executor);
	} while (may_submit());
	workers_flush(workers);
	workers_count(workers, &n);
	if (n_done == n_wanted && n.renewed >= wanted_renewed && n.processes == N_WORKERS)
		loop_stop(loop);
}

static void on_guard(void *ctx)
{
	struct workers_counters n;

	(void)ctx;
	workers_count(workers, &n);
	cr_assert_fail("late: %zu done, %zu own, %llu renewed", n_done, n.own_programs,
		       (unsigned long long)n.renewed);
}

static struct mapping *load(const char *name, const char *text)
{
	world_write(&w, name, text);
	return compiler_load(c, &w.path, name, &w.report);
}

/* (What only picks and wraps would need no program.) */
/* Of functions that take jq. */
static void make_plan(void)
{
	struct err e = { 0 };

	w.mapping[SOUTH] =
		load("s", SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'f' }",
				   "def f: {body: .payload} + {};"));
	w.mapping[NORTH] =
		load("n", NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}', write: 'g' }",
				   "def g: {v: .body} + {};"));
	for (int s = 0; s < SIDES; s++) {
		w.spec.mapping[s] = w.mapping[s];
		w.spec.vars[s] = &w.vars[s];
	}
	w.plan = plan_new(&w.spec, &w.report);
	cr_assert(w.plan);
	cr_assert(compiler_plan(c, w.plan, &w.spec, &e), "%s", e.text);
}

static void set_up(void)
{
	struct err e = { 0 };

	world_init(&w);
	cr_assert(nursery_start(NULL, &e), "%s", e.text);
	c = compiler_new(&e);
	cr_assert(c, "%s", e.text);
	make_plan();
	loop = loop_new(&e);
	loop_before_sleep(loop, before_sleep, NULL);
	loop_timer_set(loop, &guard, GUARD_MS, on_guard, NULL);
	workers = workers_new(loop, N_WORKERS, &e);
	workers_fork_from(workers, c, NULL, NULL);
	executor = executor_new(workers_pool(workers));
	strand = strand_new(executor, NULL, NULL);
	plan_match(w.plan, SOUTH, "s/d", &match);
	message.topic = mem_strdup("s/d");
	message_set_payload(&message, "{\"a\":1}", 7);
	cr_assert(workers_start(workers, &e), "%s", e.text);
}

static void tear_down(void)
{
	strand_free(strand);
	executor_free(executor);
	workers_free(workers);
	loop_timer_close(&guard, NULL);
	loop_free(loop);
	message_fini(&message);
	compiler_free(c);
	nursery_end();
	world_fini(&w);
}

TestSuite(workers, .init = set_up, .fini = tear_down, .timeout = 60);

static void run(size_t n, uint64_t renewed)
{
	n_wanted = n_submitted + n;
	wanted_renewed = renewed;
	loop_run(loop);
}

Test(workers, get_programs_of_what_is_called_often_and_lose_nothing)
{
	struct workers_counters n;

	run(MAPPING_BUSY_CALLS - 1, 0);
	workers_count(workers, &n);
	cr_expect_eq(n.own_programs, 0);
	run(N_WORKERS * MAPPING_BUSY_CALLS, N_WORKERS);
	workers_count(workers, &n);
	cr_expect_eq(n.own_programs, 2);
	cr_expect_eq(n.replaced, 0);
	run(2000, N_WORKERS);
	workers_count(workers, &n);
	cr_expect_eq(n.own_programs, 2);
	cr_expect_leq(n.renewed, 2 * N_WORKERS, "once for each batch at most");
}

/* Then all goes on as it was. */
Test(workers, get_no_program_of_a_file_that_has_changed)
{
	struct workers_counters n;

	world_write(&w, "s",
		    SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}', read: 'f' }",
			     "def f: {body: {other: 1}} + {};"));
	run(N_WORKERS * MAPPING_BUSY_CALLS, N_WORKERS);
	workers_count(workers, &n);
	cr_expect_eq(n.own_programs, 1, "of the other file");
	run(100, N_WORKERS);
}
