#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"
#include "work/subprocess.h"

static struct loop *loop;
static struct {
	int n;
	enum subprocess_how how;
	int status;
	char *out, *complaint;
} got;

static void set_up(void)
{
	struct err e = { 0 };

	loop = loop_new(&e);
	cr_assert(loop, "%s", e.text);
}

/* All that was made for a program goes with the loop. */
static void tear_down(void)
{
	loop_free(loop);
	free(got.out);
	free(got.complaint);
}

TestSuite(subprocess, .init = set_up, .fini = tear_down);

static void on_end(void *ctx, const struct subprocess_end *end)
{
	cr_expect_eq(ctx, &got);
	got.n++;
	got.how = end->how;
	got.status = end->status;
	free(got.out);
	free(got.complaint);
	got.out = mem_strndup(end->out.text, end->out.len);
	got.complaint = mem_strdup(end->complaint);
	loop_stop(loop);
}

static struct subprocess *start(const char *const *argv, const char *input, unsigned timeout_ms)
{
	struct err e = { 0 };
	struct subprocess *s =
		subprocess_start(loop,
				 &(struct subprocess_spec){ .argv = argv,
							    .input = input,
							    .input_len = strlen(input),
							    .timeout_ms = timeout_ms,
							    .on_end = on_end,
							    .ctx = &got },
				 &e);

	cr_assert(s, "%s", e.text);
	return s;
}

static void run(const char *script, const char *input)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };

	start(argv, input, 30000);
	loop_run(loop);
	cr_assert_eq(got.n, 1);
}

static void expect_end(enum subprocess_how how, int status, const char *out, const char *complaint)
{
	cr_expect_eq(got.how, how, "how %d", (int)got.how);
	cr_expect_eq(got.status, status, "status %d", got.status);
	cr_expect_str_eq(got.out, out);
	cr_expect_str_eq(got.complaint, complaint);
}

Test(subprocess, it_gets_its_question_and_gives_its_answer)
{
	run("cat; echo one >&2; echo two >&2", "{\"device\":\"d\"}");
	expect_end(SUBPROCESS_EXITED, 0, "{\"device\":\"d\"}", "one");
}

Test(subprocess, its_exit_status_is_told)
{
	run("echo no >&2; exit 75", "");
	expect_end(SUBPROCESS_EXITED, 75, "", "no");
}

Test(subprocess, it_need_not_read_its_question)
{
	char *much = mem_zalloc((1 << 20) + 1);

	memset(much, 'x', 1 << 20);
	run("exec <&-; echo done", much);
	expect_end(SUBPROCESS_EXITED, 0, "done\n", "");
	free(much);
}

Test(subprocess, it_may_open_what_it_has_once_more)
{
	run("cat /dev/stdin > /dev/stdout; echo e > /dev/stderr", "in");
	expect_end(SUBPROCESS_EXITED, 0, "in", "e");
}

Test(subprocess, arguments_are_no_words_of_a_shell)
{
	const char *const argv[] = { "/bin/echo", "$HOME; exit 3", "*", NULL };

	start(argv, "", 30000);
	loop_run(loop);
	expect_end(SUBPROCESS_EXITED, 0, "$HOME; exit 3 *\n", "");
}

Test(subprocess, it_has_no_variable_but_path)
{
	const char *const argv[] = { "/usr/bin/env", NULL };

	setenv("CALQUE_SECRET", "s3cret", 1);
	start(argv, "", 30000);
	loop_run(loop);
	expect_end(SUBPROCESS_EXITED, 0, SUBPROCESS_PATH "\n", "");
}

Test(subprocess, it_has_three_descriptors_whatever_was_left_open)
{
	int forgotten = open("/dev/null", O_RDONLY);
	int far = fcntl(forgotten, F_DUPFD, 700);

	cr_assert_geq(far, 700);
	cr_assert_not(fcntl(far, F_GETFD) & FD_CLOEXEC);
	run("i=0; while [ $i -lt 1000 ]; do [ ! -e /proc/$$/fd/$i ] || echo $i; i=$((i + 1)); done",
	    "");
	cr_expect_str_eq(got.out, "0\n1\n2\n");
	close(forgotten);
	close(far);
}

Test(subprocess, it_leads_a_group_of_its_own_and_works_in_the_root)
{
	char *wanted;
	int pid, group;

	run("pwd; read -r pid comm state ppid pgrp rest < /proc/$$/stat; echo $$ $pgrp", "");
	cr_assert_eq(sscanf(got.out, "/\n%d %d", &pid, &group), 2, "%s", got.out);
	wanted = mem_printf("/\n%d %d\n", pid, pid);
	cr_expect_str_eq(got.out, wanted);
	cr_expect_neq(group, (int)getpgrp());
	free(wanted);
}

static bool is_there(int pid)
{
	char *path = mem_printf("/proc/%d/stat", pid), text[300] = "";
	FILE *f = fopen(path, "r");
	char state = 'X';

	free(path);
	if (!f)
		return false;
	if (fgets(text, sizeof text, f) && strrchr(text, ')'))
		state = strrchr(text, ')')[2];
	fclose(f);
	return state != 'Z' && state != 'X'; /* nobody may be there to wait for it */
}

static void expect_gone(int pid)
{
	for (int i = 0; is_there(pid) && i < 3000; i++)
		usleep(10000);
	cr_expect_not(is_there(pid));
}

Test(subprocess, one_that_hangs_is_killed_with_all_its_children)
{
	const char *const argv[] = { "/bin/sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait",
				     NULL };

	start(argv, "", 300);
	loop_run(loop);
	cr_expect_eq(got.how, SUBPROCESS_TOO_LATE);
	/* On a busy machine it may not have got as far as its child. */
	if (atoi(got.out) > 0)
		expect_gone(atoi(got.out));
}

Test(subprocess, whom_it_leaves_behind_is_killed_and_keeps_nobody_waiting)
{
	run("sleep 1000 & echo $!", "");
	cr_expect_eq(got.how, SUBPROCESS_EXITED);
	cr_assert_gt(atoi(got.out), 0);
	expect_gone(atoi(got.out));
}

Test(subprocess, one_that_left_its_group_keeps_nobody_waiting)
{
	run("setsid sleep 5 & echo left", "");
	expect_end(SUBPROCESS_EXITED, 0, "left\n", "");
}

Test(subprocess, what_says_too_much_is_killed)
{
	run("while :; do echo 0123456789012345678901234567890123456789; done", "");
	cr_expect_eq(got.how, SUBPROCESS_TOO_MUCH);
	cr_expect_leq(strlen(got.out), (size_t)SUBPROCESS_MOST);
}

Test(subprocess, as_much_as_is_allowed_is_taken)
{
	run("head -c 65536 /dev/zero | tr '\\0' x", "");
	cr_expect_eq(got.how, SUBPROCESS_EXITED);
	cr_expect_eq(strlen(got.out), (size_t)SUBPROCESS_MOST);
}

Test(subprocess, of_complaints_the_first_line_counts)
{
	run("head -c 300000 /dev/zero | tr '\\0' y >&2; echo last >&2; exit 1", "");
	cr_expect_eq(got.how, SUBPROCESS_EXITED);
	cr_expect_eq(got.status, 1);
	cr_expect_eq(strlen(got.complaint), (size_t)SUBPROCESS_COMPLAIN);
}

Test(subprocess, who_is_killed_by_somebody_else_says_so)
{
	run("kill -9 $$", "");
	cr_expect_eq(got.how, SUBPROCESS_KILLED);
	cr_expect_eq(got.status, SIGKILL);
}

Test(subprocess, what_cannot_be_executed_is_an_error_at_once)
{
	static const char *const paths[] = { "/nowhere/at/all", "/etc/passwd" };

	for (size_t i = 0; i < 2; i++) {
		const char *const argv[] = { paths[i], NULL };
		struct err e = { 0 };

		cr_expect_null(subprocess_start(
			loop,
			&(struct subprocess_spec){
				.argv = argv, .input = "", .on_end = on_end, .ctx = &got },
			&e));
		cr_expect_eq(e.code, ERR_IO);
		cr_expect(strstr(e.text, paths[i]), "%s", e.text);
	}
	cr_expect_eq(got.n, 0);
}

Test(subprocess, one_that_is_given_up_is_killed_and_tells_nobody)
{
	const char *const argv[] = { "/bin/sleep", "1000", NULL };
	struct subprocess *given_up = start(argv, "", 30000);

	subprocess_kill(given_up);
	run("echo other", "");
	expect_end(SUBPROCESS_EXITED, 0, "other\n", "");
}

Test(subprocess, several_run_at_once)
{
	const char *const first[] = { "/bin/sh", "-c", "read a; echo first $a", NULL };
	const char *const second[] = { "/bin/sh", "-c", "read a; echo second $a", NULL };

	start(first, "1\n", 30000);
	start(second, "2\n", 30000);
	for (int i = 1; i <= 2; i++) {
		while (got.n < i)
			loop_run(loop);
		cr_expect(strcmp(got.out, "first 1\n") == 0 || strcmp(got.out, "second 2\n") == 0,
			  "%s", got.out);
	}
}
