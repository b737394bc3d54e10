#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "disk/reserve.h"
#include "store/db.h"

static char top[] = "/tmp/calque-reserve-XXXXXX";
static struct db *db;

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

TestSuite(reserve, .init = set_up, .fini = tear_down);

static void expect_there(void)
{
	struct stat st;

	cr_assert_eq(stat("dir/reserve", &st), 0);
	cr_expect_eq(st.st_size, RESERVE_BYTES);
	cr_expect_geq(st.st_blocks * 512, RESERVE_BYTES);
	cr_expect_eq(st.st_mode & 07777, 0600);
}

Test(reserve, it_takes_up_space)
{
	struct err e = { 0 };

	cr_expect(reserve_make(db_directory(db), &e), "%s", e.text);
	expect_there();
	cr_expect(reserve_make(db_directory(db), &e), "%s", e.text);
	expect_there();
}

Test(reserve, it_can_be_given_up_once_and_made_again)
{
	struct err e = { 0 };

	cr_expect_not(reserve_release(db_directory(db)));
	cr_expect(reserve_make(db_directory(db), &e), "%s", e.text);
	cr_expect(reserve_release(db_directory(db)));
	cr_expect_eq(access("dir/reserve", F_OK), -1);
	cr_expect_not(reserve_release(db_directory(db)));
	cr_expect(reserve_make(db_directory(db), &e), "%s", e.text);
	expect_there();
}

/* A full disk is another thing. */
Test(reserve, what_stands_in_its_place_is_named_and_left_alone)
{
	struct err e = { 0 };
	struct stat st;

	cr_assert_eq(symlink("elsewhere", "dir/reserve"), 0);
	cr_expect_not(reserve_make(db_directory(db), &e));
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_str_eq(e.text, "dir/reserve is a symbolic link");
	cr_expect_eq(lstat("dir/reserve", &st), 0);
	cr_expect_neq(access("elsewhere", F_OK), 0);
	cr_expect_not(reserve_release(db_directory(db)));
	cr_assert_eq(unlink("dir/reserve"), 0);

	cr_assert_eq(mkdir("dir/reserve", 0700), 0);
	cr_expect_not(reserve_make(db_directory(db), &e));
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_str_eq(e.text, "dir/reserve: Is a directory");
}

Test(reserve, a_process_that_may_open_no_more_files_is_told_so)
{
	struct rlimit r, none = { 0 };
	struct err e = { 0 };

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &r), 0);
	none.rlim_max = r.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_expect_not(reserve_make(db_directory(db), &e));
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_str_eq(e.text, "dir/reserve: Too many open files");
	cr_expect(reserve_make(db_directory(db), &e));
}

Test(reserve, a_limit_on_the_size_of_files_is_no_full_disk)
{
	struct rlimit r, small = { RESERVE_BYTES, 0 };
	struct err e = { 0 };

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &r), 0);
	small.rlim_max = r.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	cr_expect_not(reserve_make(db_directory(db), &e));
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_str_eq(e.text, "dir/reserve: File too large");
	cr_expect_neq(access("dir/reserve", F_OK), 0);
}

Test(reserve, a_file_without_space_behind_it_is_none)
{
	struct err e = { 0 };

	cr_assert(reserve_make(db_directory(db), &e));
	cr_assert(truncate("dir/reserve", 0) == 0 && truncate("dir/reserve", RESERVE_BYTES) == 0);
	cr_expect_not(reserve_release(db_directory(db)));
	cr_expect(reserve_make(db_directory(db), &e), "%s", e.text);
	expect_there();
}
