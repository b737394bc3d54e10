#include "disk/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "disk/directory.h"

static bool is_there(int dir_fd)
{
	struct stat st;

	return fstatat(dir_fd, "reserve", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_size == RESERVE_BYTES && st.st_blocks * 512 >= RESERVE_BYTES;
}

/* A number of errno; nothing is left behind. */
static int make(int dir_fd)
{
	int fd = openat(dir_fd, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error;

	if (fd < 0)
		return errno;
	error = posix_fallocate(fd, 0, 2 * (off_t)RESERVE_BYTES);
	if (error == 0 && ftruncate(fd, RESERVE_BYTES) != 0)
		error = errno;
	close(fd);
	if (error)
		unlinkat(dir_fd, "reserve", 0);
	return error;
}

/* (Nobody can tell: there is.) */
static bool has_room(int dir_fd)
{
	struct statvfs fs;

	return fstatvfs(dir_fd, &fs) != 0 ||
	       fs.f_bavail >= 2 * (fsblkcnt_t)RESERVE_BYTES / fs.f_frsize;
}

bool reserve_make(const struct directory *dir, struct err *e)
{
	int error;

	if (is_there(dir->fd))
		return true;
	error = make(dir->fd);
	if (error == 0)
		return true;
	if (error == ELOOP) {
		err_set(e, ERR_IO, "%s/reserve is a symbolic link", dir->path);
	} else {
		errno = error;
		err_errno(e, "%s/reserve", dir->path);
	}
	if (e && (error == ENOSPC || error == EDQUOT || !has_room(dir->fd)))
		e->code = ERR_FULL;
	return false;
}

bool reserve_release(const struct directory *dir)
{
	return is_there(dir->fd) && unlinkat(dir->fd, "reserve", 0) == 0;
}
