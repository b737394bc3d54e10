#include "play/drafts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

static bool write_all(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno != EINTR)
			return false;
		text += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
	return true;
}

bool drafts_put(const char *dir, const char *name, const char *text, size_t n, struct err *e)
{
	char *file = mem_printf("%s/%s.jq", dir, name);
	bool ok = false;
	int fd = -1;

	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		ok = write_all(fd, text, n);
	if (!ok)
		err_errno(e, "%s", file);
	if (fd >= 0)
		close(fd);
	free(file);
	return ok;
}

void drafts_clear(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}
