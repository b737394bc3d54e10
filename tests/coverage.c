/* Linked into the coverage build alone (--wrap): processes write their counters of lines before they end,
 * as exit() has them do.  A worker ends with _exit(), or is killed as soon as its socket is closed, and may
 * open no file: here it is given a moment to end by itself, and may.  So a worker of this build is no safe
 * place for a mapping; nobody installs it. */
#include <errno.h>
#include <gcov.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* To write counters; who loops is killed after that. */
#define TERM_US 1000000
#define LOOK_US 1000

_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
int __real_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal);
int __real_seccomp_load(scmp_filter_ctx filter);
int __wrap_seccomp_load(scmp_filter_ctx filter);

_Noreturn void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}

/* Anything but a child of ours that goes on is gone. */
static bool goes_on(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

int __wrap_kill(pid_t pid, int signal)
{
	for (int us = 0; signal == SIGKILL && pid > 0 && us < TERM_US && goes_on(pid);
	     us += LOOK_US)
		usleep(LOOK_US);
	return __real_kill(pid, signal);
}

static bool is_worker(void)
{
	char name[16] = "";

	return prctl(PR_GET_NAME, name) == 0 && strcmp(name, "calque-worker") == 0;
}

int __wrap_seccomp_load(scmp_filter_ctx filter)
{
	static const int files[] = { SCMP_SYS(open),  SCMP_SYS(openat),	  SCMP_SYS(close),
				     SCMP_SYS(fcntl), SCMP_SYS(fstat),	  SCMP_SYS(newfstatat),
				     SCMP_SYS(lseek), SCMP_SYS(ftruncate) };
	int rc = 0;

	if (!is_worker())
		return __real_seccomp_load(filter);
	for (size_t i = 0; rc == 0 && i < sizeof files / sizeof files[0]; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, files[i], 0);
	return rc ? rc : __real_seccomp_load(filter);
}
