/* heartbeat.h -- who has the state directory, told to machines that do not see its lock.
 *
 * A volume of the network may not carry fcntl() locks from one machine to another.  So whoever has the directory
 * writes a line to the file `heartbeat` in it, and again every HEARTBEAT_MS while it runs: it moves.  Whoever finds
 * the line of another machine, or of another run of the kernel, looks whether it moves, HEARTBEAT_SILENT_MS at
 * most, and takes the directory if not.  And whoever runs finds, when it renews its own, if another's stands there.
 *
 * A file and no row: two machines that open one database break it, so this is asked before it is opened.  It is never
 * flushed: what others see of it is what counts, and after a power cut nobody runs. */
#ifndef BRIDGE_HEARTBEAT_H
#define BRIDGE_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/crypto.h"

struct err;

#define HEARTBEAT_MS	    10000
#define HEARTBEAT_SURE_MS   15000 /* so long after the last look nobody else can have taken it */
#define HEARTBEAT_SILENT_MS 20000

#define HEARTBEAT_HOST_CHARS 64

/* A plain value; its copies may be used in other threads, one after the other. */
struct heartbeat {
	int dir_fd; /* borrowed */
	char instance[CRYPTO_TOKEN_CHARS + 1], host[HEARTBEAT_HOST_CHARS + 1],
		boot[CLOCK_BOOT_CHARS + 1];
	long pid;
	int64_t since_ms; /* time of day */
	uint64_t beats;
	bool is_held;
};

/* Take the directory `dir_fd` (borrowed), called `shown`, whose lock is `lock_fd` and is held: within one machine
 * that is what counts.  Waits as said above, and logs that.  False sets *e, and nothing is changed: ERR_BUSY
 * another has it, ERR_IO. */
bool heartbeat_take(struct heartbeat *h, int dir_fd, int lock_fd, const char *shown, struct err *e);
/* Is it still held?  Renew it.  False sets *e: ERR_BUSY another has it now, and nothing may be written any more
 * (is_held is false); ERR_IO nobody knows. */
bool heartbeat_renew(struct heartbeat *h, struct err *e);
/* The next may take it at once.  Nothing if it is not held. */
void heartbeat_release(struct heartbeat *h);

#endif
