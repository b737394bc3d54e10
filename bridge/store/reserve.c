#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "store/db_inside.h"

static bool is_there(int dir_fd)
{
	struct stat st;

	return fstatat(dir_fd, "reserve", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_size == RESERVE_BYTES && st.st_blocks * 512 >= RESERVE_BYTES;
}

/* A number of errno. */
static int make(int dir_fd)
{
	int fd = openat(dir_fd, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = fd < 0 ? errno : posix_fallocate(fd, 0, 2 * (off_t)RESERVE_BYTES);

	if (error == 0 && ftruncate(fd, RESERVE_BYTES) != 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	return error;
}

bool reserve_make(struct db *db, struct err *e)
{
	int dir_fd = db_dir_fd(db);

	if (is_there(dir_fd))
		return true;
	errno = make(dir_fd);
	if (errno == 0)
		return true;
	err_errno(e, "%s/reserve", db_dir(db));
	if (e && errno == ENOSPC)
		e->code = ERR_FULL;
	unlinkat(dir_fd, "reserve", 0);
	return false;
}

bool reserve_release(struct db *db)
{
	return is_there(db_dir_fd(db)) && unlinkat(db_dir_fd(db), "reserve", 0) == 0;
}
