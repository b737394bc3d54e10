/* storage.h -- the commit of each turn, and what happens when the disk or the journal is full.
 *
 * Nothing leaves that is not durable, and nothing is dropped.  When the disk is full:
 *
 * - The reserve (store/reserve.h) is given up, and the same transaction tried again.  With that room,
 *   what was read this turn is still stored and acknowledged.  Then all sources are held
 *   (live_link_hold_sources): disconnected, their sessions kept at the brokers.  Deliveries go on, and
 *   what is settled gives its space back.
 * - If it does not fit even so, sources are held at once, with what they sent unacknowledged.  It is
 *   forgotten for the journal only: carried like the rest, counted once, and, as the broker sends it
 *   again later, maybe carried twice, as after any lost connection.  What is left of the transaction
 *   is small: what is settled, and changes of state with the outputs they belong to.
 * - If those do not fit, they stay due, in memory.  What is settled can wait while deliveries go on
 *   (a crash would bring duplicates).  With changes of state nothing leaves until a later turn writes
 *   them; what they came from is in the journal and undecided there, so a crash decides it again.
 *
 * (The short-lived session of a handshake is not a source: its broker keeps nothing, and the state asks
 * again until it has the answer.)
 *
 * Once a second it is tried to make the reserve again; with it, the sources are released.  Any other
 * failure of the disk is final: the caller stops.
 *
 * When the journal holds `max_bytes`, the links that hold more than their share of it wait in the same
 * way until it is at three quarters. */
#ifndef BRIDGE_STORAGE_H
#define BRIDGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct err;
struct deadletter_live;
struct live_link;
struct journal_live;

struct storage {
	struct db *db;
	struct journal_live *journal;
	struct deadletter_live *letters;
	struct live_link **links;
	size_t n_links;
	uint64_t max_bytes;

	/* storage.c's own */
	bool is_full, is_over, is_waiting;
	bool has_changes; /* of state, in the transaction that failed */
	bool is_last;	  /* nothing may wait for a later commit */
	int64_t probe_ms;
};

/* Before anything is taken in. */
void storage_start(struct storage *s, int64_t now_ms);

/* Write what this turn brought; `is_last`: also what is settled and could wait. */
enum storage_result {
	STORAGE_DONE,  /* what may leave, may leave */
	STORAGE_WAITS, /* nothing may leave in this turn */
	STORAGE_FAILED /* nothing may ever leave; *e is set */
};
enum storage_result storage_commit(struct storage *s, int64_t now_ms, bool is_last, struct err *e);
/* At the end of the turn: hold or release sources. */
void storage_step(struct storage *s, int64_t now_ms);
/* When the next turn must be at the latest; INT64_MAX: never. */
int64_t storage_deadline(const struct storage *s);

#endif
