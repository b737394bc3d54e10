#include "store/state_live.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "store/db_inside.h"
#include "store/state.h"

static char top[] = "/tmp/calque-state-live-XXXXXX";
static struct db *db;
static struct state_live *live;

static void set_up(void)
{
	struct err e = { 0 };

	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(chdir(top), 0);
	db = db_open("dir", NULL, &e);
	cr_assert(db, "%s", e.text);
	live = state_live_new(db, "pump");
}

static void tear_down(void)
{
	char *rm = mem_printf("rm -rf %s", top);

	state_live_free(live);
	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(state_live, .init = set_up, .fini = tear_down);

static void add(const char *key, const char *value)
{
	struct changes c = { 0 };

	changes_put(&c, "m", key, value, false);
	state_live_add(live, &c);
	cr_expect_eq(c.n, 0, "taken");
}

static void write_as(uint64_t commit)
{
	struct err e = { 0 };

	cr_assert(state_live_write(live, commit, &e), "%s", e.text);
}

static bool note_row(void *ctx, const char *machine, const char *key, const char *value,
		     struct err *e)
{
	(void)machine;
	(void)e;
	buf_printf(ctx, "%s=%s ", key, value);
	return true;
}

static void none_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	(void)ctx;
	cr_expect(false, "%s %s: %s", machine, key, why);
}

static void expect_rows(const char *wanted)
{
	static const struct state_reader reader = { note_row, none_aside };
	struct buf rows = { 0 };
	struct err e = { 0 };

	cr_assert(db_commit(db, &e), "%s", e.text);
	cr_assert(state_load(db, "pump", &reader, &rows, &e), "%s", e.text);
	cr_expect_str_eq(buf_str(&rows), wanted);
	buf_fini(&rows);
}

static void roll_back(void)
{
	cr_expect_not(db_break(db));
	cr_expect_not(db_commit(db, NULL));
	state_live_undone(live);
}

Test(state_live, writes_each_change_once)
{
	cr_expect_not(state_live_has_news(live));
	add("a", "1");
	cr_expect(state_live_has_news(live));
	write_as(1);
	cr_expect_not(state_live_has_news(live));
	expect_rows("a=1 ");
	add("b", "1");
	write_as(2);
	state_live_durable(live, 1);
	state_live_durable(live, 2);
	cr_expect_not(state_live_has_news(live));
	expect_rows("a=1 b=1 ");
}

Test(state_live, tells_with_which_commit_all_is_durable)
{
	cr_expect_eq(state_live_commit(live), 0);
	add("a", "1");
	cr_expect_eq(state_live_commit(live), UINT64_MAX);
	write_as(1);
	cr_expect_eq(state_live_commit(live), 1);
	add("b", "1");
	write_as(2);
	state_live_durable(live, 1);
	cr_expect_eq(state_live_commit(live), 2);
	roll_back();
	cr_expect_eq(state_live_commit(live), UINT64_MAX);
	write_as(3);
	state_live_durable(live, 3);
	cr_expect_eq(state_live_commit(live), 0);
}

Test(state_live, writes_again_what_was_undone_in_its_order)
{
	add("a", "1");
	write_as(1);
	state_live_durable(live, 1);
	expect_rows("a=1 ");
	add("a", "2");
	write_as(2);
	add("a", "3");
	write_as(3);
	add("b", "1");
	roll_back();
	cr_expect(state_live_has_news(live));
	write_as(4);
	expect_rows("a=3 b=1 ");
	state_live_durable(live, 4);
	cr_expect_not(state_live_has_news(live));
}

Test(state_live, does_not_write_again_what_was_durable)
{
	add("a", "1");
	write_as(1);
	add("a", "2");
	write_as(2);
	expect_rows("a=2 ");
	state_live_durable(live, 1);
	state_live_undone(live);
	write_as(3);
	state_live_durable(live, 3);
	cr_expect_not(state_live_has_news(live));
	expect_rows("a=2 ");
}
