#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

Test(buf, a_text_is_never_null)
{
	struct buf b = { 0 };
	char *s;

	cr_expect_str_eq(buf_str(&b), "");
	s = buf_take(&b);
	cr_expect_str_eq(s, "");
	free(s);
	buf_reset(&b);
	buf_fini(&b);
}

Test(buf, what_is_reserved_is_an_empty_text)
{
	struct buf b = { 0 };

	buf_reserve(&b, 1000);
	cr_expect_str_eq(buf_str(&b), "");
	cr_expect_geq(b.cap, 1001);
	buf_fini(&b);
}

Test(buf, a_nul_is_always_behind_the_bytes)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < 1000; i++) {
		buf_putc(&b, 'x');
		cr_assert_eq(b.len, i + 1);
		cr_assert_eq(b.data[b.len], '\0');
		cr_assert_lt(b.len, b.cap);
	}
	buf_fini(&b);
}

Test(buf, it_holds_any_bytes)
{
	struct buf b = { 0 };

	buf_append(&b, "a\0b", 3);
	buf_append(&b, NULL, 0);
	buf_puts(&b, "c");
	cr_expect_eq(b.len, 4);
	cr_expect_eq(memcmp(b.data, "a\0bc", 5), 0);
	buf_fini(&b);
}

struct shown {
	char text[24], shown[40];
};

ParameterizedTestParameters(buf, a_terminal_has_nothing_to_obey)
{
	static struct shown cases[] = {
		{ "caf\u00e9 \u4e2d \U0001f600", "caf\u00e9 \u4e2d \U0001f600" },
		{ "\x1b[2J", "\\u001b[2J" },
		{ "a\x7f\xc2\x80\xc2\x9f\u00a0", "a\\u007f\\u0080\\u009f\u00a0" },
		{ "\u061c\u200d\u200e\u200f", "\\u061c\u200d\\u200e\\u200f" },
		{ "\u2029\u202a\u202e\u202f", "\u2029\\u202a\\u202e\u202f" },
		{ "\u2065\u2066\u2069\u206a", "\u2065\\u2066\\u2069\u206a" },
		{ "\x9b"
		  "1m",
		  "\\ufffd1m" },       /* no UTF-8 */
		{ "\xc2", "\\ufffd" }, /* the end is missing */
		{ "\xc0\x9b"
		  "m",
		  "\\ufffd\\ufffdm" }, /* longer than need be */
		{ "\xf8\x80\x80", "\\ufffd\\ufffd\\ufffd" },
		{ "a\nb\tc\r", "a\nb\tc\\u000d" },
	};
	return cr_make_param_array(struct shown, cases, sizeof cases / sizeof cases[0]);
}

ParameterizedTest(struct shown *c, buf, a_terminal_has_nothing_to_obey)
{
	struct buf b = { 0 };

	buf_put_shown(&b, c->text, strlen(c->text), true);
	cr_expect_str_eq(buf_str(&b), c->shown);
	buf_fini(&b);
}

Test(buf, a_line_is_one_line)
{
	struct buf b = { 0 };

	buf_put_shown(&b, "a\nb\0c\t", 6, false);
	cr_expect_str_eq(buf_str(&b), "a\\u000ab\\u0000c\\u0009");
	buf_fini(&b);
}

Test(buf, printing_appends_however_long)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s", "");
	buf_printf(&b, "%d-%300d", 7, 8);
	cr_expect_eq(b.len, 302);
	cr_expect_eq(strncmp(b.data, "7-  ", 4), 0);
	cr_expect_eq(b.data[301], '8');
	buf_fini(&b);
}

Test(buf, reset_keeps_the_memory_and_take_gives_it_away)
{
	struct buf b = { 0 };
	char *before, *taken;

	buf_puts(&b, "abc");
	before = b.data;
	buf_reset(&b);
	cr_expect_str_eq(buf_str(&b), "");
	buf_puts(&b, "de");
	cr_expect_eq(b.data, before);
	taken = buf_take(&b);
	cr_expect_str_eq(taken, "de");
	cr_expect_null(b.data);
	cr_expect_eq(b.len + b.cap, 0);
	free(taken);
}

Test(buf, drops_what_is_done_with_from_its_front)
{
	struct buf b = { 0 };

	buf_drop(&b, 0);
	buf_puts(&b, "abcde");
	buf_drop(&b, 2);
	cr_expect_str_eq(buf_str(&b), "cde");
	cr_expect_eq(b.len, 3);
	buf_drop(&b, 3);
	cr_expect_str_eq(buf_str(&b), "");
	buf_puts(&b, "f");
	cr_expect_str_eq(buf_str(&b), "f");
	buf_fini(&b);
}

Test(buf, gives_back_what_is_more_than_should_be_kept)
{
	struct buf b = { 0 };

	buf_puts(&b, "abc");
	buf_reset_above(&b, 100);
	cr_expect_eq(b.len, 0);
	cr_expect_neq(b.cap, 0);
	buf_reserve(&b, 1000);
	buf_reset_above(&b, 100);
	cr_expect_eq(b.len + b.cap, 0);
	buf_puts(&b, "d");
	cr_expect_str_eq(buf_str(&b), "d");
	buf_fini(&b);
}

Test(buf, a_new_file_is_whole_or_is_not_there)
{
	static char dir[] = "/tmp/calque-buf-XXXXXX";
	const struct rlimit small = { 10, RLIM_INFINITY };
	struct buf b = { 0 }, got = { 0 };
	struct err e = { 0 };
	struct stat st;

	cr_assert(mkdtemp(dir) && chdir(dir) == 0);
	buf_puts(&b, "some text");
	cr_assert(buf_write_new(&b, "a", 0600, &e), "%s", e.text);
	cr_assert(buf_append_file(&got, "a", 100, NULL) && stat("a", &st) == 0);
	cr_expect_str_eq(buf_str(&got), "some text");
	cr_expect_eq(st.st_mode & 0777, 0600);

	/* Nothing is written over, be it a link to nowhere. */
	cr_assert_eq(symlink("victim", "b"), 0);
	cr_expect_not(buf_write_new(&b, "a", 0600, &e));
	cr_expect_eq(e.code, ERR_BUSY);
	cr_expect_str_eq(e.text, "a is there already, and nothing is overwritten");
	cr_expect_not(buf_write_new(&b, "b", 0600, &e));
	cr_expect_eq(access("victim", F_OK), -1);

	/* A disk that is full leaves no half of it. */
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	buf_puts(&b, ", and more");
	cr_expect_not(buf_write_new(&b, "c", 0600, &e));
	cr_expect_eq(e.code, ERR_IO, "%s", e.text);
	cr_expect_eq(access("c", F_OK), -1);
	cr_expect_not(buf_write_new(&b, "no/such", 0600, &e));
	cr_expect_eq(e.code, ERR_IO);
	unlink("a");
	unlink("b");
	rmdir(dir);
	buf_fini(&b);
	buf_fini(&got);
}
