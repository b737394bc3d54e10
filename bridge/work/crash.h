/* crash.h -- what a run leaves behind that ends by its own fault, for the next one: which signal it was, and which
 * message was being worked on.
 *
 * "Own fault" is SIGSEGV, SIGABRT, SIGBUS and SIGILL, less an abort for want of memory.  Nothing is written before
 * such an end, so that a clean one, SIGKILL and a power cut leave nothing behind.  One per process. */
#ifndef BRIDGE_CRASH_H
#define BRIDGE_CRASH_H

#include <stdbool.h>
#include <stdint.h>

struct err;

struct crash {
	int signum;
	uint64_t seq; /* of the message (store/journal.h); 0: none was marked */
};

/* From now on, a file tells of such an end in the directory `dir`.  False sets *e (ERR_IO). */
bool crash_watch(const char *dir, struct err *e);
void crash_unwatch(void); /* allowed at any time */
/* This message is being worked on; 0: none.  Returns what was before. */
uint64_t crash_mark(uint64_t seq);

/* Did the last run in this directory end so?  False: it did not, or nobody can tell. */
bool crash_find(const char *dir, struct crash *out);
/* It is taken note of: the file goes. */
void crash_forget(const char *dir);

#endif
