/* Workers whose processes do what the test wants (worker_child() is wrapped), or what they should. */
#include "work/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <sched.h>

#include "base/clock.h"
#include "jq/mapping_inside.h"
#include "net/loop.h"
#include "translate/executor.h"
#include "translate/job_codec.h"
#include "translate/translate_inside.h"
#include "unit/dialects.h"
#include "work/sandbox.h"
#include "work/worker_child.h"

#define GUARD_MS 30000
#define N_JOBS	 3

_Noreturn void __real_worker_child(struct worker_progress *progress);
_Noreturn void __wrap_worker_child(struct worker_progress *progress);

enum behaviour {
	WORKS,
	DIES,	      /* at once */
	DIES_READING, /* when the first bytes of a job are there */
	DIES_BETWEEN, /* when it has done a job, of which nothing came back */
	SAYS_NOTHING,
	/* And when a job is there: */
	SAYS_A_HUGE_FRAME,
	SAYS_MORE_THAN_WAS_ASKED,
	SAYS_NONSENSE,
	ACCUSES_ANOTHER, /* dies of job 0, and says that it was the one behind */
	BEGINS_ON_AND_ON
};

/* Seen by all processes. */
static struct {
	enum behaviour behaviour;
	int n_bad; /* the first so many processes behave so; the rest work */
	int n_processes;
	pid_t last;
} * shared;

static char job_bytes[4096]; /* of the process that has read them */
static size_t n_job_bytes;

static void say(const struct buf *b)
{
	for (size_t sent = 0; sent < b->len;) {
		ssize_t n = write(SANDBOX_FD, b->data + sent, b->len - sent);

		if (n <= 0)
			_exit(0); /* nobody listens */
		sent += (size_t)n;
	}
}

/* A refusal, as the answer to a job. */
static void put_answer(struct buf *b)
{
	struct results r = { 0 };
	size_t begin = pack_frame_begin(b);

	results_refuse(&r, DEAD_WRONG_SHAPE, "x");
	job_codec_put_results(b, NULL, &r);
	pack_frame_end(b, begin);
	results_fini(&r);
}

/* Jobs come alone but in the first process. */
static _Noreturn void accuse(struct worker_progress *progress)
{
	struct buf b = { 0 };
	uint64_t n = atomic_load(&progress->started);

	while (!memmem(job_bytes, n_job_bytes, "{\"a\":1}", 7)) {
		put_answer(&b);
		atomic_store(&progress->started, ++n);
		atomic_store(&progress->done, n);
		say(&b);
		buf_reset(&b);
		n_job_bytes = (size_t)read(SANDBOX_FD, job_bytes, sizeof job_bytes);
	}
	atomic_store(&progress->started, n + 2);
	atomic_store(&progress->done, n + 1);
	abort();
}

static _Noreturn void lie(enum behaviour behaviour, struct worker_progress *progress)
{
	static char zeros[1 << 20];
	struct buf b = { 0 };

	switch (behaviour) {
	case SAYS_A_HUGE_FRAME:
		pack_u32(&b, 0xfffffff0);
		for (int i = 0; i < 200; i++) {
			buf_append(&b, zeros, sizeof zeros);
			say(&b);
			buf_reset(&b);
		}
		break;
	case SAYS_MORE_THAN_WAS_ASKED:
		for (int i = 0; i < 10; i++)
			put_answer(&b);
		break;
	case SAYS_NONSENSE:
		pack_bytes(&b, "nonsense", 8);
		break;
	case ACCUSES_ANOTHER:
		accuse(progress);
	default:
		for (;;)
			atomic_fetch_add(&progress->started, 1);
	}
	say(&b);
	for (;;)
		pause();
}

_Noreturn void __wrap_worker_child(struct worker_progress *progress)
{
	static const char ready[] = { WORKER_READY };
	char byte;

	shared->last = getpid();
	if (shared->n_processes++ >= shared->n_bad)
		__real_worker_child(progress);
	if (shared->behaviour == SAYS_NOTHING)
		while (read(SANDBOX_FD, &byte, 1) != 0)
			;
	if (write(SANDBOX_FD, ready, 1) != 1 || shared->behaviour == DIES)
		abort();
	n_job_bytes = (size_t)read(SANDBOX_FD, job_bytes, sizeof job_bytes);
	if (n_job_bytes > 0) {
		if (shared->behaviour > SAYS_NOTHING)
			lie(shared->behaviour, progress);
		atomic_store(&progress->started, 1);
	}
	if (shared->behaviour == DIES_BETWEEN)
		atomic_store(&progress->done, 1);
	abort();
}

static struct world w;
static struct loop *loop;
static struct workers *workers;
static struct executor *executor;
static struct strand *strand;
static struct loop_timer guard, tick;
static struct match match;
static struct message messages[N_JOBS];
static struct job jobs[N_JOBS];
static int n_done, n_ticks, wanted_done, wanted_processes, wanted_ticks;
static enum outcome outcomes[N_JOBS];
static int64_t last_tick_ms, longest_ms;

static void on_guard(void *ctx)
{
	(void)ctx;
	cr_assert_fail("late: %d done, %d processes", n_done, shared->n_processes);
}

static void on_tick(void *ctx)
{
	int64_t now_ms = clock_mono_ms();

	(void)ctx;
	n_ticks++;
	if (last_tick_ms && now_ms - last_tick_ms > longest_ms)
		longest_ms = now_ms - last_tick_ms;
	last_tick_ms = now_ms;
	loop_timer_set(loop, &tick, 10, on_tick, NULL);
}

static void before_sleep(void *ctx, int64_t now_ms)
{
	(void)ctx;
	(void)now_ms;
	executor_run(executor);
	workers_flush(workers);
	if (n_done >= wanted_done && shared->n_processes >= wanted_processes &&
	    n_ticks >= wanted_ticks)
		loop_stop(loop);
}

static void set_up(void)
{
	struct err e = { 0 };

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	world_init(&w);
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}' },"
			    "{ kind: 'attributes', topic: 'e/{device}' },"
			    "{ kind: 'event', topic: 'p/{device}' },"
			    "{ kind: 'claim', topic: 'c/{device}' }",
			    ""),
		   NORTHERN("",
			    "{ kind: 'telemetry', topic: 't/{device}', write: 'w' },"
			    "{ kind: 'attributes', topic: 'e/{device}' },"
			    "{ kind: 'event', topic: 'p/{device}', write: 'simple' },"
			    "{ kind: 'claim', topic: 'claim/{device}', write: 'simple' }",
			    "def w: .body + {}; def simple: .body;"));
	loop = loop_new(&e);
	loop_before_sleep(loop, before_sleep, NULL);
	loop_timer_set(loop, &guard, GUARD_MS, on_guard, NULL);
	on_tick(NULL);
	workers = workers_new(loop, 1, &e);
	executor = executor_new(workers_pool(workers));
	strand = strand_new(executor, NULL, NULL);
	plan_match(w.plan, SOUTH, "s/d", &match);
}

static void start(enum behaviour behaviour, int n_bad)
{
	struct err e = { 0 };

	shared->behaviour = behaviour;
	shared->n_bad = n_bad;
	cr_assert(workers_start(workers, &e), "%s", e.text);
}

static void on_done(struct job *job, struct results *results)
{
	cr_assert_eq(results->n, 1);
	outcomes[job - jobs] =
		results->items[0].type == ITEM_REFUSED ? results->items[0].reason : CARRIED;
	n_done++;
}

static void submit(int i, const char *payload, size_t n)
{
	if (!messages[i].topic)
		messages[i].topic = mem_strdup("s/d");
	message_set_payload(&messages[i], payload, n);
	jobs[i] = (struct job){ .type = JOB_READ,
				.plan = w.plan,
				.side = SOUTH,
				.readers = match.readers,
				.n_readers = match.n,
				.message = &messages[i],
				.done = on_done };
	strand_submit(strand, &jobs[i]);
}

static void run_until(int done, int processes, int ticks)
{
	wanted_done = done;
	wanted_processes = processes;
	wanted_ticks = ticks;
	loop_run(loop);
}

static void tear_down(void)
{
	strand_free(strand);
	executor_free(executor);
	workers_free(workers);
	loop_timer_close(&guard, NULL);
	loop_timer_close(&tick, NULL);
	loop_free(loop);
	for (int i = 0; i < N_JOBS; i++)
		message_fini(&messages[i]);
	world_fini(&w);
}

TestSuite(worker, .init = set_up, .fini = tear_down, .timeout = 60);

/* The bridge keeps one core busy itself. */
Test(workers, are_one_for_each_core_but_one)
{
	cpu_set_t all, few;
	unsigned n = 0;

	cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
	cr_expect_eq(workers_wanted(0), CPU_COUNT(&all) > 1 ? (unsigned)CPU_COUNT(&all) - 1 : 1);
	CPU_ZERO(&few);
	for (size_t i = 0; i < CPU_SETSIZE && n < 2; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_SET(i, &few);
		n++;
		cr_assert_eq(sched_setaffinity(0, sizeof few, &few), 0);
		cr_expect_eq(workers_wanted(0), 1, "of %u", n);
	}
	cr_expect_eq(workers_wanted(7), 7);
}

Test(worker, does_jobs)
{
	start(WORKS, 0);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{", 1);
	run_until(2, 1, 0);
	cr_expect_eq(outcomes[0], CARRIED);
	cr_expect_eq(outcomes[1], DEAD_UNREADABLE);
}

Test(worker, is_not_needed_for_what_calls_no_function)
{
	char *large = mem_alloc(5000);

	memset(large, ' ', 5000);
	memcpy(large, "{\"a\":1}", 7);
	plan_match(w.plan, SOUTH, "e/d", &match);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{", 1);
	cr_expect(executor_run(executor));
	cr_expect_eq(n_done, 2, "before there is one");
	cr_expect_eq(outcomes[0], CARRIED);
	cr_expect_eq(outcomes[1], DEAD_UNREADABLE);
	submit(2, large, 5000);
	cr_expect_not(executor_run(executor), "it would hold up the loop");
	start(WORKS, 0);
	run_until(3, 1, 0);
	cr_expect_eq(outcomes[2], CARRIED);
	free(large);
}

/* Where it is found out late that it takes jq, a worker does all of it.  (The bridge has no programs.) */
Test(worker, is_not_needed_for_functions_that_take_no_jq)
{
	struct mapping *m = w.plan->side[NORTH].mapping;
	jq_state *jq = m->jq;

	plan_match(w.plan, SOUTH, "p/d", &match);
	submit(0, "{\"name\":\"a\"}", 12);
	cr_expect(executor_run(executor));
	cr_expect_eq(n_done, 1, "before there is one");
	start(WORKS, 0);
	m->jq = NULL;
	submit(1, "{\"name\":\"\\u0061\"}", 17);
	cr_expect_not(executor_run(executor), "jq spells it otherwise");
	submit(2, "{\"name\":\"b\"}", 12);
	cr_expect_not(executor_run(executor), "in order");
	run_until(3, 1, 0);
	m->jq = jq;
	for (int i = 0; i < 3; i++)
		cr_expect_eq(outcomes[i], CARRIED, "%d", i);
}

Test(worker, is_not_given_what_it_has_no_memory_for)
{
	size_t n = WORKER_JOB_BYTES;
	char *large = mem_alloc(n);

	memset(large, '1', n);
	start(DIES_READING, 1); /* whatever it is given */
	submit(0, large, n);
	run_until(1, 1, 0);
	cr_expect_eq(outcomes[0], DEAD_TOO_LARGE);
	cr_expect_eq(shared->n_processes, 1);
	free(large);
}

Test(worker, that_dies_of_what_it_reads_costs_that_job_alone)
{
	start(DIES_READING, 2);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{\"a\":2}", 7);
	submit(2, "{\"a\":3}", 7);
	run_until(3, 3, 0);
	cr_expect_eq(outcomes[0], DEAD_MAPPING_OVERRUN);
	cr_expect_eq(outcomes[1], CARRIED);
	cr_expect_eq(outcomes[2], CARRIED);
}

Test(worker, that_dies_between_jobs_costs_none)
{
	start(DIES_BETWEEN, 4);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{\"a\":2}", 7);
	run_until(2, 5, 0);
	cr_expect_eq(outcomes[0], CARRIED);
	cr_expect_eq(outcomes[1], CARRIED);
}

Test(worker, pauses_when_its_processes_die_in_vain)
{
	int64_t since_ms = clock_mono_ms();

	start(DIES, 100);
	run_until(0, 6, 0);
	cr_expect_geq(clock_mono_ms() - since_ms, 100 + 200 + 400 + 800);
	cr_expect_lt(longest_ms, 1000, "nobody waits for that");
}

Test(worker, that_starts_keeps_nobody_waiting)
{
	start(WORKS, 0);
	shared->behaviour = SAYS_NOTHING;
	shared->n_bad = 2;
	kill(shared->last, SIGKILL);
	submit(0, "{\"a\":1}", 7);
	run_until(0, 2, 50);
	cr_expect_eq(n_done, 0);
	cr_expect_lt(longest_ms, 1000);
	kill(shared->last, SIGKILL);
	run_until(1, 3, 0);
	cr_expect_eq(outcomes[0], CARRIED);
}

static void expect_lies(uint64_t n)
{
	struct workers_counters c;

	workers_count(workers, &c);
	cr_expect_eq(c.lied, n, "%llu", (unsigned long long)c.lied);
}

static size_t memory_kb(void)
{
	unsigned long total = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	cr_assert_eq(fscanf(f, "%lu %lu", &total, &resident), 2);
	fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

/* The fault may be another's: it gets a second attempt, and so do those behind it. */
static void expect_one_lie(enum behaviour behaviour)
{
	start(behaviour, 1);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{\"a\":2}", 7);
	run_until(2, 2, 0);
	cr_expect_eq(outcomes[0], CARRIED);
	cr_expect_eq(outcomes[1], CARRIED);
	expect_lies(1);
}

Test(worker, that_says_how_long_a_frame_is_does_not_decide_about_memory)
{
	size_t before_kb = memory_kb();

	expect_one_lie(SAYS_A_HUGE_FRAME);
	cr_expect_lt(memory_kb() - before_kb, 64u << 10);
}

Test(worker, that_answers_nonsense_is_replaced)
{
	expect_one_lie(SAYS_NONSENSE);
}

Test(worker, that_answers_nonsense_again_and_again_costs_the_job_it_had)
{
	start(SAYS_NONSENSE, 2);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{\"a\":2}", 7);
	run_until(2, 3, 0);
	cr_expect_eq(outcomes[0], DEAD_MAPPING_OVERRUN);
	cr_expect_eq(outcomes[1], CARRIED);
	expect_lies(2);
}

Test(worker, that_answers_what_nobody_asked_is_replaced)
{
	start(SAYS_MORE_THAN_WAS_ASKED, 1);
	submit(0, "{\"a\":1}", 7);
	run_until(1, 2, 0);
	cr_expect_eq(outcomes[0], DEAD_WRONG_SHAPE);
	expect_lies(1);
}

Test(worker, that_says_that_it_begins_job_after_job_is_found_out)
{
	expect_one_lie(BEGINS_ON_AND_ON);
}

/* It may say that it is the next one's fault as often as it likes. */
Test(worker, that_accuses_another_job_costs_its_own)
{
	start(ACCUSES_ANOTHER, 3);
	submit(0, "{\"a\":1}", 7);
	submit(1, "{\"a\":2}", 7);
	submit(2, "{\"a\":3}", 7);
	run_until(3, 4, 0);
	cr_expect_eq(outcomes[0], DEAD_MAPPING_OVERRUN);
	cr_expect_eq(outcomes[1], DEAD_WRONG_SHAPE, "as the process answered");
	cr_expect_eq(outcomes[2], CARRIED);
}

Test(worker, that_saw_a_credential_ends_with_its_job)
{
	pid_t usual;

	start(WORKS, 0);
	submit(0, "{\"a\":1}", 7);
	run_until(1, 1, 0);
	usual = shared->last;
	messages[1].topic = mem_strdup("c/d");
	plan_match(w.plan, SOUTH, "c/d", &match);
	submit(1, "{\"key\":1}", 9);
	run_until(2, 2, 0);
	cr_expect_eq(outcomes[1], CARRIED);
	cr_expect_neq(shared->last, usual);
	cr_expect_neq(kill(shared->last, 0), 0, "it has ended");
	cr_expect_eq(kill(usual, 0), 0);
	plan_match(w.plan, SOUTH, "s/d", &match);
	submit(2, "{\"a\":2}", 7);
	run_until(3, 2, 0);
	cr_expect_eq(outcomes[2], CARRIED);
	cr_expect_eq(shared->n_processes, 2);
}
