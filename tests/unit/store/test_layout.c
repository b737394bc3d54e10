/* Versions of a database.  The older ones are made of the one that calque writes, by giving it a number
 * and tables of our own. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/db_inside.h"
#include "store/layout.h"

static char top[] = "/tmp/calque-layout-XXXXXX";
static struct db *db;
static bool is_refusing; /* the step that converts */

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

	db_close(db);
	cr_expect_eq(system(rm), 0);
	free(rm);
}

TestSuite(layout, .init = set_up, .fini = tear_down);

/* Version 7 was {red}, 8 is {red, blue}, 9 says it in upper case. */
static bool shout(struct db *d, struct err *e)
{
	if (!is_refusing)
		return db_exec(d, "UPDATE color SET red = upper(red)", "shout", e);
	err_set(e, ERR_CORRUPT, "a row that nobody can read");
	return false;
}
static const struct layout_step steps[] = {
	{ "ALTER TABLE color ADD COLUMN blue TEXT DEFAULT 'blue'", NULL, NULL },
	{ "CREATE TABLE left (a)", shout, "DROP TABLE left" },
};
static const struct layout nine = { 9, "CREATE TABLE color (red TEXT, blue TEXT)", steps, 2 };

static void sql(const char *text)
{
	struct err e = { 0 };

	cr_assert(db_exec(db, text, "test", &e), "%s", e.text);
}

static int version(void)
{
	static const struct layout any = { 1000, "", NULL, 1000 };
	struct err e = { 0 };
	int found;

	cr_assert(layout_read(db, &any, &found, &e), "%s", e.text);
	return found;
}

/* `text` is an expression over the rows of color. */
static void expect_true(const char *text)
{
	char *check = mem_printf("CREATE TEMP TABLE t (n CHECK (n));"
				 "INSERT INTO t SELECT %s FROM color; DROP TABLE t",
				 text);

	sql(check);
	free(check);
}

static void expect_refused(int n, const char *part)
{
	struct err e = { 0 };
	int found;

	cr_expect_not(layout_read(db, &nine, &found, &e));
	cr_expect_eq(e.code, ERR_INVALID);
	cr_expect(strstr(e.text, part), "version %d: '%s' has no '%s'", n, e.text, part);
}

Test(layout, what_calque_writes_is_what_it_reads)
{
	struct err e = { 0 };
	int found;

	cr_assert(layout_read(db, &layout_calque, &found, &e), "%s", e.text);
	cr_expect_eq(found, layout_calque.version);
}

/* tests/fixtures/ has one of these. */
Test(layout, version_4_is_taken_over)
{
	cr_expect_leq(layout_calque.version - layout_calque.n_steps, 4);
}

Test(layout, a_state_of_version_5_is_as_it_was_but_for_the_number)
{
	struct err e = { 0 };
	int found;

	sql("ALTER TABLE mark ADD COLUMN starts INTEGER; DROP TABLE suspect;" /* as it was */
	    "DROP TABLE history; DROP TABLE history_count;"
	    "ALTER TABLE deadletter DROP COLUMN device; ALTER TABLE deadletter DROP COLUMN session;"
	    "ALTER TABLE state DROP COLUMN sum;"
	    "ALTER TABLE pending DROP COLUMN sum; ALTER TABLE mark DROP COLUMN sum;"
	    "INSERT INTO state (link, machine, key, value, is_secret)"
	    " VALUES ('l', 'twin', 'd', '{}', 0); PRAGMA user_version = 5");
	cr_assert(layout_bring_up(db, &layout_calque, 5, &e), "%s", e.text);
	cr_assert(layout_read(db, &layout_calque, &found, &e), "%s", e.text);
	cr_expect_eq(found, layout_calque.version);
	cr_expect_gt(found, 5, "a calque of version 5 must not take it");
	sql("CREATE TEMP TABLE t (n CHECK (n));"
	    "INSERT INTO t SELECT count(*) = 1 FROM state WHERE key = 'd' AND value = '{}'");
}

Test(layout, new_tables_are_of_the_newest_version)
{
	struct err e = { 0 };

	cr_assert(layout_make(db, &nine, &e), "%s", e.text);
	cr_assert(db_commit(db, &e), "%s", e.text);
	cr_expect_eq(version(), 9);
	sql("INSERT INTO color VALUES ('red', 'blue')");
}

Test(layout, the_oldest_takes_all_steps)
{
	struct err e = { 0 };
	int found = 0;

	sql("CREATE TABLE color (red TEXT); INSERT INTO color VALUES ('red');"
	    "PRAGMA user_version = 7");
	cr_assert(layout_read(db, &nine, &found, &e), "%s", e.text);
	cr_expect_eq(found, 7);
	cr_assert(layout_bring_up(db, &nine, found, &e), "%s", e.text);
	cr_expect_eq(version(), 9);
	expect_true("red = 'RED' AND blue = 'blue'");
	cr_expect_not(db_is_writing(db));
}

Test(layout, one_in_between_takes_the_steps_that_are_left)
{
	struct err e = { 0 };

	sql("CREATE TABLE color (red TEXT, blue TEXT); INSERT INTO color VALUES ('red', 'navy');"
	    "PRAGMA user_version = 8");
	cr_assert(layout_bring_up(db, &nine, 8, &e), "%s", e.text);
	cr_expect_eq(version(), 9);
	expect_true("red = 'RED' AND blue = 'navy'");
}

Test(layout, the_newest_is_left_alone)
{
	struct err e = { 0 };

	is_refusing = true;
	sql("PRAGMA user_version = 9");
	cr_expect(layout_bring_up(db, &nine, 9, &e), "%s", e.text);
}

Test(layout, a_step_that_cannot_be_taken_leaves_it_as_it_was)
{
	struct err e = { 0 };

	sql("CREATE TABLE color (red TEXT); INSERT INTO color VALUES ('red');"
	    "PRAGMA user_version = 7");
	is_refusing = true;
	cr_expect_not(layout_bring_up(db, &nine, 7, &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_str_eq(e.text, "a row that nobody can read");
	cr_expect_eq(version(), 7);
	expect_true("red = 'red'");
	cr_expect_not(db_exec(db, "SELECT blue FROM color", "test", NULL));
}

Test(layout, one_that_has_tables_says_which)
{
	struct err e = { 0 };
	int found = -1;

	sql("PRAGMA user_version = 0");
	cr_expect_not(layout_read(db, &nine, &found, &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect(strstr(e.text, "is damaged (version: none, and there are tables)"), "%s", e.text);
}

Test(layout, older_and_newer_ones_are_refused)
{
	sql("PRAGMA user_version = 6");
	expect_refused(6,
		       "dir/calque.db was written by an older calque (version 6, this one takes "
		       "over 7 and newer): start one in between with it first, or move dir away");
	sql("PRAGMA user_version = 10");
	expect_refused(
		10, "dir/calque.db was written by a newer calque (version 10, this one knows 9)");
	sql("PRAGMA user_version = -1");
	expect_refused(-1, "version -1");
}

/* The bytes of a file of the directory. */
static struct buf file_bytes(const char *path)
{
	struct buf b = { 0 };
	FILE *f = fopen(path, "re");
	char block[4096];
	size_t n;

	while (f && (n = fread(block, 1, sizeof block, f)) > 0)
		buf_append(&b, block, n);
	if (f)
		fclose(f);
	return b;
}

static void expect_untouched(int n)
{
	static const char *const files[] = { "dir/calque.db", "dir/calque.db-wal", "dir/key" };
	struct buf before[3], after;
	struct err e = { 0 };
	int status;

	/* A calque that was killed leaves its write-ahead log, and in it what is newest. */
	if (fork() == 0) {
		char *set = mem_printf("PRAGMA user_version = %d", n);
		struct db *d = db_open("dir", NULL, NULL);

		_exit(d && db_exec(d, set, "test", NULL) ? 0 : 1);
	}
	cr_assert(wait(&status) > 0 && status == 0);
	for (int i = 0; i < 3; i++)
		before[i] = file_bytes(files[i]);
	cr_expect_gt(before[1].len, 0);
	cr_expect_null(db_open("dir", NULL, &e));
	cr_expect_eq(e.code, ERR_INVALID, "%s", e.text);
	for (int i = 0; i < 3; i++) {
		after = file_bytes(files[i]);
		cr_expect(after.len == before[i].len &&
				  memcmp(buf_str(&after), buf_str(&before[i]), after.len) == 0,
			  "version %d: %s", n, files[i]);
		buf_fini(&after);
		buf_fini(&before[i]);
	}
}

Test(layout, what_is_refused_is_not_touched)
{
	db_close(db);
	db = NULL;
	expect_untouched(layout_calque.version + 1);
}

Test(layout, what_is_too_old_is_not_touched)
{
	db_close(db);
	db = NULL;
	expect_untouched(1);
}
