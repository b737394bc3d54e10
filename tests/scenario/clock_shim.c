/* clock_shim.c -- preloaded: the time of day is so many seconds more as the file CLOCK_SHIM says, at any moment.  All
 * other clocks are as they are.  (It is mapped before a sandbox forbids to open it.) */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *more_s;

__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("CLOCK_SHIM");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *more_s, PROT_READ, MAP_SHARED, fd, 0);

	more_s = p == MAP_FAILED ? NULL : p;
	if (fd >= 0)
		close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && id == CLOCK_REALTIME && more_s)
		t->tv_sec += *more_s;
	return rc;
}
