#include "store/commit.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/db_inside.h"
#include "store/state.h"

static char top[] = "/tmp/calque-commit-XXXXXX";
static struct db *db;
static struct commits *commits;

/* What was told. */
static uint64_t durable;
static int n_durable, n_undone;
static enum err_code why;

static void on_durable(void *ctx, uint64_t commit)
{
	cr_expect_eq(ctx, &durable);
	cr_expect_gt(commit, durable, "they grow");
	durable = commit;
	n_durable++;
}

static void on_undone(void *ctx, const struct err *e)
{
	cr_expect_eq(ctx, &durable);
	why = e->code;
	n_undone++;
}

static void set_up(void)
{
	struct err e = { 0 };

	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	commits_free(commits);
	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(commit, .init = set_up, .fini = tear_down);

static void put(const char *key)
{
	struct changes c = { 0 };
	struct err e = { 0 };

	changes_put(&c, "m", key, "1", false);
	cr_assert(state_apply(db, "pump", &c, &e), "%s", e.text);
	changes_fini(&c);
}

static void step(int64_t now_ms)
{
	static const struct commit_ops ops = { on_durable, on_undone };

	commits_step(commits, now_ms, &ops, &durable);
}

static bool count_row(void *ctx, const char *machine, const char *key, const char *value,
		      struct err *e)
{
	(void)machine;
	(void)key;
	(void)value;
	(void)e;
	++*(int *)ctx;
	return true;
}

static void none_aside(void *ctx, const char *machine, const char *key, const char *reason)
{
	(void)ctx;
	cr_expect(false, "%s %s: %s", machine, key, reason);
}

/* In the database after a crash. */
static int n_rows(void)
{
	static const struct state_reader reader = { count_row, none_aside };
	struct err e = { 0 };
	int n = 0;

	db_close(db); /* rolls back */
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	cr_assert(state_load(db, "pump", &reader, &n, &e));
	return n;
}

Test(commit, is_told_when_it_is_asked_and_not_before)
{
	commits = commits_new(db, 0);
	cr_expect_eq(commits_deadline(commits), INT64_MAX);
	put("a");
	cr_expect_eq(commits_next(commits), 1);
	cr_expect_eq(commits_hand_over(commits, 1000), 1);
	cr_expect_eq(commits_durable(commits), 0, "nobody may rely on an answer within the call");
	cr_expect_leq(commits_deadline(commits), 1000);
	step(1000);
	cr_expect_eq(durable, 1);
	cr_expect_eq(commits_durable(commits), 1);
	cr_expect_eq(commits_deadline(commits), INT64_MAX);
	cr_expect_eq(n_rows(), 1);
}

Test(commit, of_nothing_is_durable_at_once)
{
	commits = commits_new(db, 200);
	commits_hand_over(commits, 1000);
	step(1000);
	cr_expect_eq(durable, 1);
}

Test(commit, several_may_be_in_flight)
{
	commits = commits_new(db, 200);
	put("a");
	cr_expect_eq(commits_hand_over(commits, 1000), 1);
	put("b");
	cr_expect_eq(commits_hand_over(commits, 1100), 2);
	cr_expect_eq(commits_deadline(commits), 1200);
	step(1199);
	cr_expect_eq(n_durable, 0);
	step(1200);
	cr_expect_eq(durable, 2);
	put("c");
	cr_expect_eq(commits_hand_over(commits, 1300), 3);
	step(1499);
	cr_expect_eq(durable, 2, "the clock of each begins with the first behind the last answer");
	step(1500);
	cr_expect_eq(durable, 3);
	cr_expect_eq(n_rows(), 3);
}

Test(commit, that_is_late_is_not_in_the_database_before)
{
	commits = commits_new(db, 200);
	put("a");
	commits_hand_over(commits, 1000);
	step(1100);
	cr_expect_eq(n_rows(), 0);
}

Test(commit, can_be_waited_for)
{
	commits = commits_new(db, 200);
	put("a");
	commits_hand_over(commits, 1000);
	step(INT64_MAX);
	cr_expect_eq(durable, 1);
}

Test(commit, that_is_undone_is_durable_when_it_has_been_written_again)
{
	commits = commits_new(db, 200);
	put("a");
	commits_hand_over(commits, 1000);
	put("b");
	commits_hand_over(commits, 1010);
	commits_undo(commits);
	step(2000);
	cr_expect_eq(n_durable, 0, "nothing is told of what was not handed over again");
	put("a");
	cr_expect_eq(commits_hand_over(commits, 2000), 3);
	step(2200);
	cr_expect_eq(durable, 3, "with those that were undone");
	cr_expect_eq(n_undone, 0);
}

/* A file may grow no further: an I/O error, which is final. */
static void limit_files(rlim_t n)
{
	struct rlimit limit = { n, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(commit, that_fails_takes_those_in_flight_and_all_later_ones_with_it)
{
	char *large = mem_zalloc(200001);

	memset(large, '1', 200000);
	commits = commits_new(db, 200);
	put("a");
	commits_hand_over(commits, 1000);
	put(large);
	commits_hand_over(commits, 1010);
	limit_files(65536);
	step(2000);
	limit_files(RLIM_INFINITY);
	cr_expect_eq(n_undone, 1);
	cr_expect_eq(why, ERR_IO);
	commits_hand_over(commits, 9000);
	step(9000);
	cr_expect_eq(n_undone, 2, "nor is any that comes later");
	cr_expect_eq(n_durable, 0);
	cr_expect_eq(n_rows(), 0);
	free(large);
}

/* --- a thread ------------------------------------------------------------------------------ */

static int gate[2]; /* a COMMIT goes on for each byte */

static int wait_at_gate(void *ctx)
{
	char c;

	(void)ctx;
	return read(gate[0], &c, 1) != 1;
}

/* The COMMITs of its thread wait until they are let through. */
static void start(void)
{
	struct err e = { 0 };

	cr_assert_eq(pipe(gate), 0);
	sqlite3_commit_hook(db_sqlite(db), wait_at_gate, NULL);
	commits = commits_new(db, 0);
	cr_expect_eq(commits_fd(commits), -1);
	cr_assert(commits_start(commits, &e), "%s", e.text);
}

static void let_one_through(void)
{
	cr_assert_eq(write(gate[1], "", 1), 1);
}

static bool has_answer(int timeout_ms)
{
	struct pollfd p = { .fd = commits_fd(commits), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

#define SOON 10000 /* ms that a slow machine may take */

Test(commit, in_a_thread_is_heard_of_when_its_descriptor_says_so)
{
	start();
	put("a");
	cr_expect_not(commits_is_busy(commits));
	cr_expect_eq(commits_hand_over(commits, 1000), 1);
	cr_expect(commits_is_busy(commits));
	cr_expect_eq(commits_deadline(commits), INT64_MAX);
	step(9000);
	cr_expect_eq(n_durable, 0);
	cr_expect_not(has_answer(0));
	let_one_through();
	cr_assert(has_answer(SOON));
	cr_expect(commits_is_busy(commits), "until it was heard");
	step(9000);
	cr_expect_eq(durable, 1);
	cr_expect_not(commits_is_busy(commits));
	cr_expect_not(has_answer(0));
	put("b");
	let_one_through();
	cr_expect_eq(commits_hand_over(commits, 9000), 2);
	step(INT64_MAX);
	cr_expect_eq(durable, 2, "it can be waited for");
	cr_expect_not(has_answer(0));
	cr_expect_eq(n_rows(), 2);
}

Test(commit, of_nothing_needs_no_thread)
{
	start();
	commits_hand_over(commits, 1000);
	cr_expect_not(commits_is_busy(commits));
	step(1000);
	cr_expect_eq(durable, 1);
}

/* A verb asks something, say. */
Test(commit, in_a_thread_is_waited_for_by_whoever_wants_the_database)
{
	start();
	put("a");
	commits_hand_over(commits, 1000);
	let_one_through();
	put("b");
	cr_expect_eq(commits_deadline(commits), 0,
		     "its answer is there, and its descriptor silent");
	step(1000);
	cr_expect_eq(durable, 1);
	cr_expect(db_is_writing(db), "what was written since is of the next one");
	let_one_through();
	commits_hand_over(commits, 1000);
	step(INT64_MAX);
	cr_expect_eq(durable, 2);
	cr_expect_eq(n_rows(), 2);
}

Test(commit, in_a_thread_that_fails_is_final)
{
	char *large = mem_zalloc(200001);
	unsigned long rollbacks = db_rollbacks(db);

	memset(large, '1', 200000);
	start();
	put(large);
	limit_files(65536);
	let_one_through();
	commits_hand_over(commits, 1000);
	cr_assert(has_answer(SOON));
	limit_files(RLIM_INFINITY);
	step(1000);
	cr_expect_eq(n_undone, 1);
	cr_expect_eq(why, ERR_IO);
	cr_expect_gt(db_rollbacks(db), rollbacks);
	commits_hand_over(commits, 2000);
	step(2000);
	cr_expect_eq(n_undone, 2);
	cr_expect_eq(n_durable, 0);
	cr_expect_eq(n_rows(), 0);
	free(large);
}

/* What is written before that is heard must not pass for a beginning. */
Test(commit, in_a_thread_that_fails_takes_with_it_what_is_written_before_it_is_heard)
{
	char *large = mem_zalloc(200001);
	struct changes c = { 0 };

	memset(large, '1', 200000);
	start();
	put(large);
	limit_files(65536);
	let_one_through();
	commits_hand_over(commits, 1000);
	cr_assert(has_answer(SOON));
	limit_files(RLIM_INFINITY);
	changes_put(&c, "m", "b", "1", false);
	cr_expect_not(state_apply(db, "pump", &c, NULL));
	changes_fini(&c);
	step(1000);
	cr_expect_eq(n_undone, 1);
	cr_expect_eq(why, ERR_IO);
	cr_expect_eq(n_rows(), 0);
	free(large);
}

Test(commit, in_a_thread_is_waited_for_at_the_end)
{
	start();
	put("a");
	commits_hand_over(commits, 1000);
	let_one_through();
	commits_free(commits);
	commits = NULL;
	cr_expect_not(db_is_writing(db));
	cr_expect_eq(n_rows(), 1);
}
