#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

Test(err, nobody_has_to_want_it)
{
	err_set(NULL, ERR_IO, "x");
	err_errno(NULL, "x");
	err_prefix(NULL, "x");
}

Test(err, each_layer_puts_its_context_in_front)
{
	struct err e = { 0 };

	err_set(&e, ERR_LIMIT, "%d bytes", 7);
	err_prefix(&e, "file %s", "a");
	err_prefix(&e, "load");
	cr_expect_eq(e.code, ERR_LIMIT);
	cr_expect_str_eq(e.text, "load: file a: 7 bytes");
}

Test(err, the_text_of_errno_is_behind)
{
	struct err e = { 0 };

	errno = ENOENT;
	err_errno(&e, "open %s", "f");
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_str_eq(e.text, "open f: No such file or directory");
}

Test(err, a_long_text_is_cut)
{
	char longest[2 * sizeof((struct err *)0)->text];
	struct err e = { 0 };

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	err_set(&e, ERR_IO, "%s", longest);
	cr_expect_eq(strlen(e.text), sizeof e.text - 1);
	err_prefix(&e, "ab");
	cr_expect_eq(strlen(e.text), sizeof e.text - 1);
	cr_expect_eq(strncmp(e.text, "ab: xx", 6), 0);
	err_prefix(&e, "%s", longest);
	cr_expect_eq(strlen(e.text), sizeof e.text - 1);
	errno = ENOENT;
	err_errno(&e, "%s", longest);
	cr_expect_eq(strlen(e.text), sizeof e.text - 1);
}

Test(err, a_report_counts_mistakes_and_keeps_warnings)
{
	struct report r = { 0 };

	report_warning(&r, "a.conf:1: %s", "w");
	cr_expect_null(report_first_mistake(&r));
	report_error(&r, "a.conf:2: %s", "e");
	for (int i = 0; i < 10; i++)
		report_error(&r, "more");
	cr_assert_eq(r.n_lines, 12);
	cr_expect_eq(r.n_errors, 11);
	cr_expect(r.lines[0].is_warning);
	cr_expect_str_eq(r.lines[0].text, "a.conf:1: w");
	cr_expect_not(r.lines[1].is_warning);
	cr_expect_str_eq(r.lines[1].text, "a.conf:2: e");
	cr_expect_str_eq(report_first_mistake(&r), "a.conf:2: e");
	report_fini(&r);
	cr_expect_eq(r.n_lines + r.n_errors, 0);
}
