/* sandbox.c -- what is forbidden fails with EPERM rather than killing the process: a library that asks for
 * something that it can do without goes on.  glibc opens the file of the time zone when it is first
 * needed, so that is done before the filter is in place; after that no file is ever opened.
 *
 * The limit of memory is on address space, the only one that a process can set for itself, and counts from
 * what a fork of the bridge has already.  libjq aborts when it is reached, which is what is wanted. */
#include "work/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

#ifdef __SANITIZE_ADDRESS__
#define LIMITS_MEMORY false
#else
#define LIMITS_MEMORY true
#endif

static bool failed(const char *what, int code, struct err *e)
{
	err_set(e, ERR_IO, "sandbox: %s: %s", what, strerror(code));
	return false;
}

bool sandbox_close_files(int keep, struct err *e)
{
	int nothing;

	if (keep != SANDBOX_FD && dup2(keep, SANDBOX_FD) < 0)
		return failed("dup2", errno, e);
	if (close_range(SANDBOX_FD + 1, ~0u, 0) < 0)
		return failed("close_range", errno, e);
	for (int fd = 0; fd < SANDBOX_FD; fd++)
		close(fd);
	nothing = open("/dev/null", O_RDWR); /* the lowest free number: 0 */
	if (nothing != 0 || dup2(nothing, 1) < 0 || dup2(nothing, 2) < 0)
		return failed("/dev/null", errno, e);
	return true;
}

static size_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static bool limit(__rlimit_resource_t resource, rlim_t most, struct err *e)
{
	struct rlimit r = { most, most };

	return setrlimit(resource, &r) == 0 || failed("setrlimit", errno, e);
}

/* A process that may have less than it needs would end with its first large message. */
static bool limit_memory(size_t wanted, struct err *e)
{
	struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

	getrlimit(RLIMIT_AS, &r);
	if (r.rlim_max == RLIM_INFINITY || r.rlim_max >= wanted || geteuid() == 0)
		return limit(RLIMIT_AS, wanted, e);
	err_set(e, ERR_IO,
		"sandbox: the limit on address space (ulimit -v) is %llu KiB, and a process that "
		"translates needs %zu",
		(unsigned long long)r.rlim_max >> 10, wanted >> 10);
	return false;
}

bool sandbox_limit_memory(size_t memory, struct err *e)
{
	struct rlimit r;

	if (!LIMITS_MEMORY)
		return true;
	if (getrlimit(RLIMIT_AS, &r) == 0)
		r.rlim_cur = address_space() + memory < r.rlim_max ? address_space() + memory
								   : r.rlim_max;
	return setrlimit(RLIMIT_AS, &r) == 0 || failed("setrlimit", errno, e);
}

/* Calls that compute needs: memory, time, signals within the process, and what is open. */
static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(sched_yield),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(restart_syscall),
};

static int add_rules(scmp_filter_ctx filter)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* Memory, but no code. */
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* abort() sends itself a signal. */
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return rc;
}

static bool load_filter(struct err *e)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = filter ? add_rules(filter) : -ENOMEM;

	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc == 0 || failed("seccomp", -rc, e);
}

bool sandbox_enter(size_t memory, struct err *e)
{
	tzset();
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return failed("prctl", errno, e);
	return limit(RLIMIT_CORE, 0, e) &&
	       (!LIMITS_MEMORY || limit_memory(address_space() + memory, e)) && load_filter(e);
}
