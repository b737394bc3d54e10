/* worker_begin.h -- from a fork to a worker. */
#ifndef BRIDGE_WORKER_BEGIN_H
#define BRIDGE_WORKER_BEGIN_H

#include <sys/types.h>

struct worker_progress;

/* The memory that both sides see, of a descriptor (memfd).  NULL: it cannot be had. */
struct worker_progress *worker_progress_map(int fd);
/* The beginning of a process that is a child of `bridge`: into the sandbox, then worker_child().  `fd` is its end of
 * the socket, on which it says why if that does not work. */
_Noreturn void worker_begin(int fd, struct worker_progress *progress, pid_t bridge);

#endif
