#include "work/worker_begin.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "work/nursery.h"
#include "work/sandbox.h"
#include "work/worker.h"
#include "work/worker_child.h"

struct worker_progress *worker_progress_map(int fd)
{
	struct worker_progress *p =
		mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

_Noreturn void worker_begin(int fd, struct worker_progress *progress, pid_t bridge)
{
	struct err e = { 0 };

	nursery_settle("calque-worker", bridge);
	if (!progress)
		err_set(&e, ERR_IO, "no memory to share");
	else if (sandbox_close_files(fd, &e) && sandbox_enter(WORKER_MEMORY_BYTES, &e))
		worker_child(progress);
	/* How far it came decides which of the two it is. */
	if (write(SANDBOX_FD, e.text, strlen(e.text)) < 0)
		write(fd, e.text, strlen(e.text));
	_exit(1);
}
