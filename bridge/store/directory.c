/* directory.c -- the state directory and its lock. */
#include "store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

/* fcntl() locks keep other processes out, not this one; this list does. */
static struct directory *open_directories;

/* A new directory is an entry in its parent, which must be on disk too. */
static bool sync_parent(const char *dir, struct err *e)
{
	char *copy = mem_strdup(dir);
	const char *parent = dirname(copy);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (!ok)
		err_errno(e, "sync the directory %s", parent);
	if (fd >= 0)
		close(fd);
	free(copy);
	return ok;
}

static void no_parent(const char *dir, struct err *e)
{
	char *copy = mem_strdup(dir);

	err_set(e, ERR_IO, "state directory %s: create %s first", dir, dirname(copy));
	free(copy);
}

static bool make_dir(const char *dir, struct err *e)
{
	if (mkdir(dir, 0700) == 0)
		return sync_parent(dir, e);
	if (errno == EEXIST)
		return true;
	if (errno == ENOENT) {
		no_parent(dir, e);
	} else {
		err_errno(e, "create the state directory %s", dir);
	}
	return false;
}

static bool is_private(const char *dir, const struct stat *st, struct err *e)
{
	if (!(st->st_mode & (S_IRWXG | S_IRWXO)))
		return true;
	err_set(e, ERR_INVALID, "state directory %s is open to others (chmod 700 %s)", dir, dir);
	return false;
}

static bool has_parent(const char *dir, struct err *e)
{
	char *copy = mem_strdup(dir);
	bool ok = access(dirname(copy), F_OK) == 0;

	if (!ok)
		no_parent(dir, e);
	free(copy);
	return ok;
}

bool directory_check(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		if (errno == ENOENT)
			return has_parent(path, e);
		err_errno(e, "look at the state directory %s", path);
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		err_set(e, ERR_INVALID, "state directory %s is no directory", path);
		return false;
	}
	return is_private(path, &st, e);
}

static bool open_dir(struct directory *d, struct err *e)
{
	struct stat st;

	if (!make_dir(d->path, e))
		return false;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st) != 0) {
		err_errno(e, "open the state directory %s", d->path);
		return false;
	}
	if (!is_private(d->path, &st, e))
		return false;
	d->device = st.st_dev;
	d->inode = st.st_ino;
	return true;
}

static bool is_open_here(const struct directory *d)
{
	for (const struct directory *o = open_directories; o; o = o->next)
		if (o->device == d->device && o->inode == d->inode && o->pid == d->pid)
			return true;
	return false;
}

/* A fcntl() lock, since a child that outlives us must not hold it, and the kernel drops it however we
 * end.  is_open_here() comes before `lock` is opened: closing any descriptor of it would give up the
 * lock of a state that this process has open. */
static bool lock_dir(struct directory *d, struct err *e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (is_open_here(d)) {
		err_set(e, ERR_BUSY, "state directory %s: this process has it open", d->path);
		return false;
	}
	d->lock_fd = openat(d->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0) {
		err_errno(e, "open %s/lock", d->path);
		return false;
	}
	if (fcntl(d->lock_fd, F_SETLK, &lock) == 0)
		return true;
	if (errno != EAGAIN && errno != EACCES) {
		err_errno(e, "lock %s/lock", d->path);
		return false;
	}
	if (fcntl(d->lock_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
		err_set(e, ERR_BUSY, "state directory %s: another calque runs there (process %ld)",
			d->path, (long)lock.l_pid);
	else
		err_set(e, ERR_BUSY, "state directory %s: another calque runs there", d->path);
	return false;
}

bool directory_open(struct directory *d, const char *path, struct err *e)
{
	*d = (struct directory){
		.path = mem_strdup(path), .fd = -1, .lock_fd = -1, .pid = getpid()
	};
	if (!open_dir(d, e) || !lock_dir(d, e))
		return false;
	d->next = open_directories;
	open_directories = d;
	return true;
}

void directory_close(struct directory *d)
{
	for (struct directory **at = &open_directories; *at; at = &(*at)->next) {
		if (*at == d) {
			*at = d->next;
			break;
		}
	}
	if (d->lock_fd >= 0)
		close(d->lock_fd); /* now another process may have the directory */
	if (d->fd >= 0)
		close(d->fd);
	free(d->path);
}
