/* history.h -- what was done with devices: when, by whom, what, and what came of it (changes_note() in state/change.h).
 *
 * The newest of each device are kept, also when the device is forgotten, and so many in all.  What repeats the entry
 * before it is counted there. */
#ifndef BRIDGE_HISTORY_H
#define BRIDGE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct err;

#define HISTORY_OF_DEVICE 100
#define HISTORY_IN_ALL	  1000000

struct history_entry {
	int64_t id, first_ms, last_ms;
	int64_t n;	  /* how often */
	const char *note; /* JSON: {"who": TEXT or null, "what", "answer"} */
};

/* Write a note of a device of a link into the open transaction (one is begun if there is none), with the time; what is
 * too much goes.  False (ERR_IO, ERR_FULL, ERR_CORRUPT): the transaction is to be rolled back (db_break()). */
bool history_add(struct db *db, const char *link, const char *device, const char *note,
		 struct err *e);
/* The oldest go until `most` are left in all.  As history_add(). */
bool history_evict(struct db *db, int64_t most, struct err *e);
/* Call `each` for every entry of a device, the oldest first; what it is given is borrowed for the call.  ERR_IO. */
bool history_each(struct db *db, const char *link, const char *device,
		  void (*each)(void *ctx, const struct history_entry *entry), void *ctx,
		  struct err *e);

#endif
