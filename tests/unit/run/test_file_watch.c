/* Which changes of files are seen, and when they are over. */
#include "run/file_watch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static char dir[] = "/tmp/test_file_watch.XXXXXX";
static char *a, *b, *link_path;
static struct file_watch *w;

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	cr_assert(f);
	fputs(text, f);
	fclose(f);
}

static void set_up(void)
{
	cr_assert(mkdtemp(dir));
	a = mem_printf("%s/a", dir);
	b = mem_printf("%s/b", dir);
	link_path = mem_printf("%s/link", dir);
	put(a, "1");
	put(b, "1");
	cr_assert(symlink("a", link_path) == 0);
	w = file_watch_new();
}

static void tear_down(void)
{
	file_watch_free(w);
	unlink(a);
	unlink(b);
	unlink(link_path);
	rmdir(dir);
	free(a);
	free(b);
	free(link_path);
}

TestSuite(file_watch, .init = set_up, .fini = tear_down);

static void expect_at(enum file_watch_verdict wanted, const char *path, size_t n, int line)
{
	const char *changed = NULL;
	size_t n_changed;

	file_watch_look(w);
	cr_assert_eq(file_watch_compare(w, &changed, &n_changed), wanted, "line %d", line);
	cr_assert_eq(n_changed, n, "line %d: %zu", line, n_changed);
	if (n)
		cr_assert_str_eq(changed, path, "line %d", line);
}
#define expect(verdict, path, n) expect_at(verdict, path, n, __LINE__)

Test(file_watch, a_change_counts_when_it_is_followed_by_none)
{
	file_watch_add(w, b);
	file_watch_add(w, a);
	file_watch_add(w, NULL);
	file_watch_add(w, a);
	file_watch_note(w);
	expect(FILES_SAME, NULL, 0);
	put(b, "22");
	expect(FILES_MOVING, b, 1);
	put(a, "22");
	expect(FILES_MOVING, a, 2);
	expect(FILES_QUIET, a, 2);
	expect(FILES_QUIET, a, 2);
	file_watch_note(w);
	expect(FILES_SAME, NULL, 0);
}

Test(file_watch, what_is_put_in_its_place_is_another_file)
{
	struct stat was, is;

	file_watch_add(w, a);
	cr_assert(stat(a, &was) == 0);
	file_watch_note(w);
	put(b, "1");
	cr_assert(utimensat(AT_FDCWD, b, (struct timespec[]){ was.st_atim, was.st_mtim }, 0) == 0);
	cr_assert(rename(b, a) == 0 && stat(a, &is) == 0);
	cr_assert(is.st_size == was.st_size && is.st_mtim.tv_nsec == was.st_mtim.tv_nsec);
	expect(FILES_MOVING, a, 1);
	expect(FILES_QUIET, a, 1);
}

Test(file_watch, a_link_on_the_way_may_point_elsewhere)
{
	file_watch_add(w, link_path);
	file_watch_note(w);
	cr_assert(unlink(link_path) == 0);
	expect(FILES_MOVING, link_path, 1);
	cr_assert(symlink("b", link_path) == 0);
	expect(FILES_MOVING, link_path, 1);
	expect(FILES_QUIET, link_path, 1);
}

Test(file_watch, rights_and_existence_are_of_it)
{
	file_watch_add(w, a);
	file_watch_add(w, b);
	cr_assert(chmod(a, 0644) == 0 && unlink(b) == 0);
	file_watch_note(w);
	expect(FILES_SAME, NULL, 0);
	cr_assert(chmod(a, 0600) == 0);
	expect(FILES_MOVING, a, 1);
	put(b, "1");
	expect(FILES_MOVING, a, 2);
	cr_assert(chmod(a, 0644) == 0 && unlink(b) == 0);
	expect(FILES_SAME, NULL, 0); /* as it was known */
}

Test(file_watch, what_changes_while_it_is_read_is_found_by_the_next_one)
{
	struct file_watch *from = file_watch_new();

	file_watch_add(from, a);
	file_watch_note(from);
	put(a, "22"); /* when it had been read */
	put(b, "22");
	file_watch_add(w, b);
	file_watch_add(w, a);
	file_watch_note(w);
	file_watch_adopt(w, from);
	file_watch_free(from);
	expect(FILES_MOVING, a, 1);
	expect(FILES_QUIET, a, 1);
}
