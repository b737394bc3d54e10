#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "work/sandbox.h"

/* Runs `f` in a sandbox; its result is the exit status of a process. */
static int inside(int (*f)(void))
{
	int ends[2], status;
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	close(ends[0]); /* before anybody writes */
	pid = fork();
	if (pid == 0) {
		struct err e = { 0 };

		if (!sandbox_close_files(ends[1], &e) || !sandbox_enter(64u << 20, &e))
			_exit(100);
		_exit(f());
	}
	close(ends[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

#define EXPECT_DENIED(call)                                                                        \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((call) >= 0 || errno != EPERM)                                                 \
			return __LINE__ % 90 + 1;                                                  \
	} while (0)

static int try_files(void)
{
	EXPECT_DENIED(open("/etc/passwd", O_RDONLY));
	EXPECT_DENIED(open("/tmp/calque-sandbox-test", O_RDWR | O_CREAT, 0600));
	EXPECT_DENIED(unlink("/tmp/calque-sandbox-test"));
	EXPECT_DENIED(dup(SANDBOX_FD));
	return 0;
}

static int try_network(void)
{
	EXPECT_DENIED(socket(AF_INET, SOCK_STREAM, 0));
	EXPECT_DENIED(socket(AF_UNIX, SOCK_STREAM, 0));
	return 0;
}

static int try_processes(void)
{
	EXPECT_DENIED(fork());
	EXPECT_DENIED(execl("/bin/true", "true", NULL));
	EXPECT_DENIED(kill(getppid(), 0));
	EXPECT_DENIED(prctl(PR_SET_DUMPABLE, 1));
	return 0;
}

static int try_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED;
}

static int try_what_is_open(void)
{
	char c;

	if (write(SANDBOX_FD, "x", 1) != -1 || errno != EPIPE) /* the reader is gone */
		return 1;
	return read(0, &c, 1) != 0 || write(2, "x", 1) != 1;
}

static int try_memory(void)
{
	/* volatile: clang does without memory that nobody looks at */
	void *volatile little = malloc(1u << 20), *volatile much = malloc(1u << 30);

	return !little || much;
}

/* As a user who may not raise limits.  What it says, over `fd`. */
static _Noreturn void enter_with_little(int fd)
{
	const struct rlimit few = { 256u << 20, 256u << 20 };
	struct err e = { 0 };
	bool is_ready = (geteuid() != 0 || setresuid(65534, 65534, 65534) == 0) &&
			setrlimit(RLIMIT_AS, &few) == 0;

	if (is_ready && sandbox_enter(256u << 20, &e))
		_exit(1);
	dprintf(fd, "%s", e.text);
	_exit(0);
}

static void expect_little_is_told(void)
{
	char said[300] = "";
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	if (fork() == 0)
		enter_with_little(ends[1]);
	cr_expect_gt(read(ends[0], said, sizeof said - 1), 0);
	cr_expect_eq(strncmp(said,
			     "sandbox: the limit on address space (ulimit -v) is 262144 KiB, and "
			     "a process that translates needs ",
			     97),
		     0, "%s", said);
	cr_expect_gt(atol(strrchr(said, ' ')), 262144, "%s", said);
}

static void set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
}

TestSuite(sandbox, .init = set_up);

Test(sandbox, has_no_files)
{
	cr_expect_eq(inside(try_files), 0);
}

Test(sandbox, has_no_network)
{
	cr_expect_eq(inside(try_network), 0);
}

Test(sandbox, has_no_other_processes)
{
	cr_expect_eq(inside(try_processes), 0);
}

Test(sandbox, makes_no_code)
{
	cr_expect_eq(inside(try_code), 0);
}

Test(sandbox, keeps_what_it_was_given)
{
	cr_expect_eq(inside(try_what_is_open), 0);
}

#ifndef __SANITIZE_ADDRESS__
Test(sandbox, has_little_memory)
{
	cr_expect_eq(inside(try_memory), 0);
}

Test(sandbox, says_how_much_memory_it_needs)
{
	expect_little_is_told();
}
#else
Test(sandbox, has_little_memory, .disabled = true) /* reserves terabytes itself */
{
	(void)try_memory;
	(void)expect_little_is_told;
}
#endif
