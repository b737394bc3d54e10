/* sandbox.h -- what a process that runs mappings may do: compute, and talk over what is open.
 *
 * For a child right after fork(), for good: no files, no network, no processes (seccomp: EPERM), no
 * core dumps, and a limit on memory. */
#ifndef BRIDGE_SANDBOX_H
#define BRIDGE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Close all descriptors but `keep`, which becomes number 3; 0 to 2 are /dev/null. */
bool sandbox_close_files(int keep, struct err *e);
#define SANDBOX_FD 3

/* `memory`: bytes on top of what the process has now (with AddressSanitizer there is no limit: it
 * reserves terabytes).  Opens the time zone first, since mappings may ask for it.  False sets *e
 * (ERR_IO): the process must end. */
bool sandbox_enter(size_t memory, struct err *e);
/* The limit on memory alone, and until the process sets another one. */
bool sandbox_limit_memory(size_t memory, struct err *e);

#endif
