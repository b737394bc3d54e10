/* recorder.c -- LD_PRELOAD: what a process does to one directory and what it says on its sockets, in order.
 *
 * CALQUE_RECORD_DIR (absolute, no symbolic links) is watched, CALQUE_RECORD_LOG (elsewhere) is appended to.
 * A record is made after its call has succeeded, by one write.  What changes the directory holds a lock on the
 * log from its call to its record: the order of those records is the order of the calls, and whoever takes the
 * lock (flock) before he kills the process finds no change without its record.  Calls go straight to the kernel: under
 * AddressSanitizer, which must be preloaded first, its own wrappers end here.  powerloss.py reads the log, and finds
 * what was missed by comparing its picture of the directory with the real one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS	4096
#define LOG_FD	4000 /* out of the way of the process */
#define IS_FILE 1
#define IS_SOCK 2

/* On the log, in host order; then `len` bytes. */
struct head {
	uint32_t kind;
	int32_t pid;
	int32_t fd;
	uint32_t len;
	int64_t at; /* O: the flags, W: the offset, T: the length, N: the port */
};

static int log_fd = -1;
static char watched[PATH_MAX];
static unsigned char kinds[FDS];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* the lock on the log is the process's */

/* A child that was forked has a part of the work, but none of the directory and of the sessions. */
static void leave(void)
{
	log_fd = -1;
	watched[0] = '\0';
	memset(kinds, 0, sizeof kinds);
}

__attribute__((constructor)) static void start(void)
{
	const char *dir = getenv("CALQUE_RECORD_DIR"), *log = getenv("CALQUE_RECORD_LOG");
	int fd;

	if (!dir || !log)
		return;
	snprintf(watched, sizeof watched, "%s", dir);
	fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			  0600);
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
	if (log_fd < 0 || pthread_atfork(NULL, NULL, leave) != 0)
		abort();
	syscall(SYS_close, fd);
}

static void record(char kind, int fd, int64_t at, const void *data, size_t len)
{
	struct head head = { (uint32_t)kind, getpid(), fd, (uint32_t)len, at };
	struct iovec parts[] = { { &head, sizeof head }, { (void *)(uintptr_t)data, len } };
	int saved = errno;

	if (log_fd >= 0 && syscall(SYS_writev, log_fd, parts, 2) != (long)(sizeof head + len))
		abort();
	errno = saved;
}

/* Around a change of the directory and its record. */
static void begin(void)
{
	if (log_fd < 0)
		return;
	pthread_mutex_lock(&turn);
	while (syscall(SYS_flock, log_fd, LOCK_EX) != 0)
		if (errno != EINTR)
			abort();
}

static void end(void)
{
	int saved = errno;

	if (log_fd < 0)
		return;
	syscall(SYS_flock, log_fd, LOCK_UN);
	pthread_mutex_unlock(&turn);
	errno = saved;
}

static int kind_of(int fd)
{
	return fd >= 0 && fd < FDS ? kinds[fd] : 0;
}

/* --- names --------------------------------------------------------------------------------- */

/* The name of `path` in the watched directory ("." for itself), NULL if it is elsewhere. */
static const char *inside(const char *path)
{
	size_t n = strlen(watched);

	if (n == 0 || strncmp(path, watched, n) != 0)
		return NULL;
	if (path[n] == '\0')
		return ".";
	return path[n] == '/' ? path + n + 1 : NULL;
}

static const char *inside_at(int dir_fd, const char *path, char buf[PATH_MAX])
{
	char link[64];
	ssize_t n;

	if (path[0] == '/')
		return inside(path);
	if (dir_fd == AT_FDCWD)
		snprintf(link, sizeof link, "/proc/self/cwd");
	else
		snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
	n = readlink(link, buf, PATH_MAX - 1);
	if (n < 0)
		return NULL;
	snprintf(buf + n, PATH_MAX - (size_t)n, "/%s", path);
	return inside(buf);
}

/* --- files --------------------------------------------------------------------------------- */

static int open_any(int dir_fd, const char *path, int flags, mode_t mode)
{
	char buf[PATH_MAX];
	const char *name = inside_at(dir_fd, path, buf);
	int fd;

	if (!name)
		return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
	begin();
	fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode);
	if (fd >= 0 && fd < FDS) {
		kinds[fd] = IS_FILE;
		record('O', fd, flags, name, strlen(name));
	}
	end();
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

#define OPEN(NAME)                                                                                 \
	int NAME(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		return open_any(AT_FDCWD, path, flags, mode);                                      \
	}
#define OPENAT(NAME)                                                                               \
	int NAME(int dir_fd, const char *path, int flags, ...)                                     \
	{                                                                                          \
		va_list ap;                                                                        \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		return open_any(dir_fd, path, flags, mode);                                        \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
	if (kind_of(fd))
		record('C', fd, 0, NULL, 0);
	if (fd >= 0 && fd < FDS)
		kinds[fd] = 0;
	return fd >= 0 && fd == log_fd ? 0 : (int)syscall(SYS_close, fd);
}

static ssize_t pwrite_any(int fd, const void *data, size_t n, off_t at)
{
	ssize_t put;

	if (kind_of(fd) != IS_FILE)
		return syscall(SYS_pwrite64, fd, data, n, at);
	begin();
	put = syscall(SYS_pwrite64, fd, data, n, at);
	if (put > 0)
		record('W', fd, at, data, (size_t)put);
	end();
	return put;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite_any(fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return pwrite_any(fd, data, n, at);
}

static int truncate_any(int fd, off_t size)
{
	int rc;

	if (!kind_of(fd))
		return (int)syscall(SYS_ftruncate, fd, size);
	begin();
	rc = (int)syscall(SYS_ftruncate, fd, size);
	if (rc == 0)
		record('T', fd, size, NULL, 0);
	end();
	return rc;
}

int ftruncate(int fd, off_t size)
{
	return truncate_any(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return truncate_any(fd, size);
}

static int sync_any(long call, int fd)
{
	int rc = (int)syscall(call, fd);

	if (rc == 0 && kind_of(fd))
		record('S', fd, 0, NULL, 0);
	return rc;
}

int fsync(int fd)
{
	return sync_any(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_any(SYS_fdatasync, fd);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
	char buf[PATH_MAX];
	const char *name = inside_at(dir_fd, path, buf);
	int rc;

	begin();
	rc = (int)syscall(SYS_unlinkat, dir_fd, path, flags);
	if (rc == 0 && name)
		record('U', -1, 0, name, strlen(name));
	end();
	return rc;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int renameat(int old_dir, const char *old, int new_dir, const char *new)
{
	char a[PATH_MAX], b[PATH_MAX], both[2 * PATH_MAX];
	const char *from = inside_at(old_dir, old, a), *to = inside_at(new_dir, new, b);
	int rc;

	begin();
	rc = (int)syscall(SYS_renameat2, old_dir, old, new_dir, new, 0);
	if (rc == 0 && from && to) /* between them a NUL */
		record('R', -1, 0, both, (size_t)sprintf(both, "%s%c%s", from, 0, to));
	end();
	return rc;
}

int rename(const char *old, const char *new)
{
	return renameat(AT_FDCWD, old, AT_FDCWD, new);
}

/* --- sockets, and files that are written without an offset ------------------------------------ */

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	int rc = (int)syscall(SYS_connect, fd, to, len), saved = errno;

	if ((rc == 0 || errno == EINPROGRESS) && fd < FDS && to->sa_family == AF_INET) {
		kinds[fd] = IS_SOCK;
		record('N', fd, ntohs(((const struct sockaddr_in *)(const void *)to)->sin_port),
		       NULL, 0);
	}
	errno = saved;
	return rc;
}

static ssize_t left(int fd, const void *data, ssize_t n)
{
	if (n > 0 && kind_of(fd) == IS_SOCK)
		record('E', fd, 0, data, (size_t)n);
	return n;
}

ssize_t write(int fd, const void *data, size_t n)
{
	ssize_t put;

	if (kind_of(fd) != IS_FILE)
		return left(fd, data, syscall(SYS_write, fd, data, n));
	begin();
	put = syscall(SYS_write, fd, data, n);
	if (put > 0)
		record('W', fd, syscall(SYS_lseek, fd, 0, SEEK_CUR) - put, data, (size_t)put);
	end();
	return put;
}

ssize_t send(int fd, const void *data, size_t n, int flags)
{
	return left(fd, data, syscall(SYS_sendto, fd, data, n, flags, NULL, 0));
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	ssize_t put = syscall(SYS_writev, fd, parts, n), rest = put;

	for (int i = 0; i < n && rest > 0; i++) {
		ssize_t len = rest < (ssize_t)parts[i].iov_len ? rest : (ssize_t)parts[i].iov_len;

		rest -= len;
		if (kind_of(fd) == IS_FILE)
			abort(); /* nobody does; the offset would have to be counted */
		left(fd, parts[i].iov_base, len);
	}
	return put;
}

static ssize_t came(int fd, const void *data, ssize_t n)
{
	if (n > 0 && kind_of(fd) == IS_SOCK)
		record('I', fd, 0, data, (size_t)n);
	return n;
}

ssize_t read(int fd, void *data, size_t n)
{
	return came(fd, data, syscall(SYS_read, fd, data, n));
}

ssize_t recv(int fd, void *data, size_t n, int flags)
{
	ssize_t got = syscall(SYS_recvfrom, fd, data, n, flags, NULL, NULL);

	return flags & MSG_PEEK ? got : came(fd, data, got);
}
