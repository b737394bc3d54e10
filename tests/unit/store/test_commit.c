#include "store/commit.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/db.h"
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
