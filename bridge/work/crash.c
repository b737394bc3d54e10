/* crash.c -- the file is written by the handler of the signal, with what such a handler may do: no locks, no
 * memory, nothing of stdio.  It has a stack of its own, since the process's may be what is at its end. */
#include "work/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define FILE_NAME   "crash"
#define STACK_BYTES (64u << 10)
#define TEXT_BYTES  64 /* "SIGNUM SEQ\n" */

static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS, SIGILL };
#define SIGNALS (sizeof signals / sizeof signals[0])

static int dir_fd = -1;
static volatile uint64_t marked;
static void *stack;

static char *put_number(char *end, uint64_t n)
{
	do
		*--end = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return end;
}

static void leave_note(int signum)
{
	char text[TEXT_BYTES], *begin = text + sizeof text;
	int fd = openat(dir_fd, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			0600);

	if (fd < 0)
		return;
	*--begin = '\n';
	begin = put_number(begin, marked);
	*--begin = ' ';
	begin = put_number(begin, (uint64_t)signum);
	/* Cut short it is no note. */
	if (write(fd, begin, (size_t)(text + sizeof text - begin)) < 0)
		unlinkat(dir_fd, FILE_NAME, 0);
	close(fd);
}

/* The handler is gone by now (SA_RESETHAND), so that the signal ends the process as if it had not been. */
static void on_fault(int signum)
{
	if (!mem_is_exhausted())
		leave_note(signum);
	raise(signum);
}

bool crash_watch(const char *dir, struct err *e)
{
	struct sigaction act = { .sa_handler = on_fault,
				 .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK) };
	stack_t on = { .ss_size = STACK_BYTES };

	crash_unwatch();
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		err_set(e, ERR_IO, "open %s: %s", dir, strerror(errno));
		return false;
	}
	on.ss_sp = stack = mem_alloc(STACK_BYTES);
	sigaltstack(&on, NULL);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &act, NULL);
	return true;
}

void crash_unwatch(void)
{
	stack_t off = { .ss_flags = SS_DISABLE };

	if (dir_fd < 0)
		return;
	for (size_t i = 0; i < SIGNALS; i++)
		signal(signals[i], SIG_DFL);
	sigaltstack(&off, NULL);
	free(stack);
	stack = NULL;
	close(dir_fd);
	dir_fd = -1;
	marked = 0;
}

uint64_t crash_mark(uint64_t seq)
{
	uint64_t before = marked;

	marked = seq;
	return before;
}

bool crash_find(const char *dir, struct crash *out)
{
	char *path = mem_printf("%s/" FILE_NAME, dir), text[TEXT_BYTES + 1] = "";
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_BYTES);
	char *end = text;
	bool is_one;

	if (fd >= 0)
		close(fd);
	free(path);
	*out = (struct crash){ 0 };
	if (n <= 0 || text[n - 1] != '\n')
		return false;
	out->signum = (int)strtol(text, &end, 10);
	is_one = *end == ' ';
	out->seq = strtoull(end, &end, 10);
	return is_one && *end == '\n';
}

void crash_forget(const char *dir)
{
	char *path = mem_printf("%s/" FILE_NAME, dir);

	unlink(path);
	free(path);
}
