#include "work/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/pack.h"
#include "work/channel.h"
#include "work/compiler_child.h"

static pid_t pid_of_nursery; /* 0: none */
static int end_of_channel = -1;
static void (*also)(int in, int out); /* NULL: nothing */

void nursery_settle(const char *name, pid_t bridge)
{
	static const int reset[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGCHLD };
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < sizeof reset / sizeof reset[0]; i++)
		signal(reset[i], SIG_DFL);
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN); /* it ends with its channel */
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != bridge)
		_exit(1);
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	close(nothing);
}

pid_t nursery_fork_sibling(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

/* A compiler with one descriptor, the other thing with two. */
static pid_t fork_one(int own, const int fds[CHANNEL_FDS], pid_t bridge)
{
	pid_t pid = fds[1] < 0 || also ? nursery_fork_sibling() : -1;

	if (pid != 0)
		return pid;
	close(own);
	if (fds[1] < 0)
		compiler_child(fds[0], bridge);
	nursery_settle("calque-also", bridge);
	also(fds[0], fds[1]);
	_exit(0);
}

static _Noreturn void serve(int fd, pid_t bridge)
{
	struct channel_message m;
	struct buf answer = { 0 };

	while (channel_receive(fd, &m) && m.fds[0] >= 0) {
		pid_t pid = fork_one(fd, m.fds, bridge);

		buf_reset(&answer);
		pack_u64(&answer, pid > 0 ? (uint64_t)pid : 0);
		if (!channel_send(fd, &answer, NULL, 0))
			break;
		channel_message_fini(&m);
	}
	_exit(0);
}

bool nursery_start(void (*forget)(void), struct err *e)
{
	pid_t bridge = getpid();
	int ends[2];

	if (pid_of_nursery)
		return true;
	if (!channel_open(ends, e))
		return false;
	pid_of_nursery = fork();
	if (pid_of_nursery == 0) {
		close(ends[0]);
		nursery_settle("calque-nursery", bridge);
		if (forget)
			forget();
		serve(ends[1], bridge);
	}
	close(ends[1]);
	if (pid_of_nursery < 0) {
		pid_of_nursery = 0;
		close(ends[0]);
		err_errno(e, "fork");
		return false;
	}
	end_of_channel = ends[0];
	return true;
}

void nursery_end(void)
{
	if (!pid_of_nursery)
		return;
	close(end_of_channel);
	kill(pid_of_nursery, SIGKILL);
	while (waitpid(pid_of_nursery, NULL, 0) < 0 && errno == EINTR)
		;
	pid_of_nursery = 0;
	end_of_channel = -1;
}

void nursery_also(void (*f)(int in, int out))
{
	also = f;
}

static bool ask(const int *fds, size_t n_fds, pid_t *pid, struct err *e)
{
	struct buf nothing = { 0 };
	struct channel_message m;
	struct unpack u;
	bool ok;

	if (!nursery_start(NULL, e))
		return false;
	ok = channel_send(end_of_channel, &nothing, fds, n_fds) &&
	     channel_receive(end_of_channel, &m);
	if (!ok) {
		err_set(e, ERR_IO, "the process from which others come has ended");
		return false;
	}
	u = (struct unpack){ .p = m.bytes.data, .left = m.bytes.len };
	*pid = (pid_t)unpack_u64(&u);
	channel_message_fini(&m);
	if (*pid <= 0)
		err_set(e, ERR_IO, "fork: no process can be had");
	return *pid > 0;
}

bool nursery_fork(int fd, pid_t *pid, struct err *e)
{
	return ask(&fd, 1, pid, e);
}

bool nursery_fork_also(int in, int out, pid_t *pid, struct err *e)
{
	return ask((const int[]){ in, out }, 2, pid, e);
}

int nursery_fd(void)
{
	return end_of_channel;
}
