#include "bench/bench_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#define TERM_MS	      10000
#define LOOK_US	      5000
#define MAX_PROCESSES 256
#define EXIT_NO_EXEC  127

static void run(const char *const *argv, const char *log, pid_t parent)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (fd >= 0 && getppid() == parent && dup2(fd, STDOUT_FILENO) >= 0 &&
	    dup2(fd, STDERR_FILENO) >= 0)
		execvp(argv[0], (char *const *)argv);
	_exit(EXIT_NO_EXEC);
}

bool process_start(struct process *p, const char *const *argv, const char *log, struct err *e)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0) {
		err_errno(e, "fork");
		return false;
	}
	if (pid == 0)
		run(argv, log, parent);
	setpgid(pid, pid); /* whoever comes first */
	p->pid = pid;
	return true;
}

bool process_is_alive(struct process *p)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

void process_stop(struct process *p)
{
	int64_t deadline = clock_mono_ms() + TERM_MS;

	if (p->pid <= 0)
		return;
	kill(-p->pid, SIGTERM);
	while (process_is_alive(p) && clock_mono_ms() < deadline)
		usleep(LOOK_US);
	kill(-p->pid, SIGKILL); /* the group is ours until its leader is reaped */
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
}

/* ---- what it uses ---- */

/* As much of a file as fits, as text; "" if it is gone. */
static void read_file(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
}

static void read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	read_file(path, text, size);
}

static int64_t ticks_us(unsigned long long ticks)
{
	return (int64_t)ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

/* Its own processor time.  Its clock and not proc(5), which counts in hundredths of a second: on a busy
 * machine less may be all that it got. */
static int64_t own_us(pid_t pid)
{
	clockid_t clock;
	struct timespec t;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* proc(5): user and system time of the children that it has waited for. */
static int64_t children_us(pid_t pid)
{
	char text[1024];
	const char *at;
	unsigned long long user = 0, system = 0;

	read_proc(pid, "stat", text, sizeof text);
	at = strrchr(text, ')'); /* the name before it may hold anything */
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu %llu",
			  &user, &system) != 2)
		return 0;
	return ticks_us(user + system);
}

static int64_t kib_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? atoll(at + strlen(key)) : 0;
}

static int add_children(pid_t pid, pid_t *list, int n)
{
	char name[64], text[4096], *at, *end;

	snprintf(name, sizeof name, "task/%d/children", (int)pid);
	read_proc(pid, name, text, sizeof text);
	for (at = text; n < MAX_PROCESSES; at = end) {
		long child = strtol(at, &end, 10);

		if (end == at)
			break;
		list[n++] = (pid_t)child;
	}
	return n;
}

/* What it has used by itself. */
static void add_usage(struct usage *u, pid_t pid)
{
	char text[2048];

	read_proc(pid, "smaps_rollup", text, sizeof text);
	u->cpu_us += own_us(pid);
	u->rss_kib += kib_of(text, "\nRss:");
	u->pss_kib += kib_of(text, "\nPss:");
}

struct usage process_usage(const struct process *p)
{
	pid_t list[MAX_PROCESSES] = { p->pid };
	struct usage u = { .processes = 1 };

	for (int i = 0; i < u.processes; i++) {
		u.processes = add_children(list[i], list, u.processes);
		add_usage(&u, list[i]);
		u.cpu_us += children_us(list[i]);
	}
	return u;
}

struct usage process_own_usage(const struct process *p)
{
	struct usage u = { .processes = 1 };

	add_usage(&u, p->pid);
	return u;
}

size_t process_descriptors(const struct process *p)
{
	char path[64];
	DIR *dir;
	size_t n = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)p->pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 2 ? n - 2 : 0; /* less "." and ".." */
}

/* proc(5): user, nice, system, idle, iowait, irq, softirq, steal */
int64_t process_machine_us(void)
{
	unsigned long long user = 0, nice = 0, system = 0, steal = 0;
	char text[256];

	read_file("/proc/stat", text, sizeof text);
	sscanf(text, "cpu %llu %llu %llu %*u %*u %*u %*u %llu", &user, &nice, &system, &steal);
	return ticks_us(user + nice + system + steal);
}
