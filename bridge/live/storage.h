/* storage.h -- the commits of a running bridge (store/commit.h), and what happens when the disk or the journal
 * is full.
 *
 * Once per turn what it brought is written and handed over (storage_hand_over), and what has become of this
 * and earlier commits is heard (storage_hear).  Acknowledgements wait for the commit of their turn, and
 * publishes for what they came of that was decided, and for what their link has changed.  While
 * the thread that commits is at work, nothing can be written: what further turns bring is kept, and is one commit
 * as soon as that is heard of, so the slower the disk, the larger are its commits.
 *
 * Nothing is acknowledged that is not durable, no change of state is told that is not, and nothing is dropped.
 * When a commit is undone because the disk is full, all that is in flight is written again, as one commit, and
 * these are the stages:
 *
 *   WELL ──▶ SPARING ──▶ GIVEN_UP ──▶ WAITING ──(next turn)──▶ WELL       (durable, in any of them: ──▶ WELL)
 *
 * - SPARING: the reserve (disk/reserve.h) is given up.  With that room, what was read is still stored and
 *   acknowledged.  From now on all sources are held (live_link_hold_sources): disconnected, their sessions
 *   kept at the brokers.  Deliveries go on, and what is settled gives its space back.
 * - GIVEN_UP: sources are held at once, with what they sent unacknowledged, also where that waits in a
 *   session for its commit (live_link_retract).  It is forgotten for the journal only: carried like the rest,
 *   counted once, and, as the broker sends it again later, maybe carried twice, as after any lost connection.
 *   What is left of the commit is small: what is settled, and changes of state with the outputs they belong to.
 * - If only what is settled is left, that can wait in memory while deliveries go on (a crash would bring
 *   duplicates), so nothing waits for it.
 * - WAITING: there are changes of state, and nothing leaves until a later turn has written them; what
 *   they came from is in the journal and undecided there, so a crash decides it again.
 *
 * (The short-lived session of a handshake is not a source: its broker keeps nothing, and the state asks
 * again until it has the answer.)
 *
 * Once a second it is tried to make the reserve again; with it, the sources are released.  If it cannot be made
 * though there is room (a link stands in its place, say), it goes without, which is said.  Any other
 * failure of the disk is final: nothing leaves any more, and the caller stops.
 *
 * When the journal holds `max_bytes`, the links that hold their share of it, or come to, wait in the
 * same way until it is at three quarters. */
#ifndef BRIDGE_STORAGE_H
#define BRIDGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct commits;
struct db;
struct deadletter_live;
struct live_link;
struct live_link_parts;
struct journal_live;

enum storage_stage { STORAGE_WELL, STORAGE_SPARING, STORAGE_GIVEN_UP, STORAGE_WAITING };

struct storage {
	struct db *db;
	struct commits *commits;
	struct journal_live *journal;
	struct deadletter_live *letters;
	const struct live_link_parts *parts; /* of the links: those that are awake are written */
	struct live_link **links;
	size_t n_links;
	uint64_t max_bytes;

	/* storage.c's own */
	enum storage_stage stage;
	bool is_full, is_over;
	bool is_told;		 /* that it waits */
	bool is_last;		 /* nothing may wait for a later commit */
	bool is_ending;		 /* the time is noted in any case */
	bool is_handed_again;	 /* since it was last asked what has become of it */
	unsigned long rollbacks; /* of the database, that are known here */
	int64_t now_ms, probe_ms;
	int64_t reserve_ms; /* when to try again to make the reserve; INT64_MAX: it is there, or the disk full */
	struct err failure; /* for good */
};

/* Before anything is taken in. */
void storage_start(struct storage *s, int64_t now_ms);

/* Write what this turn brought, and hand it over, now or, if the thread is at work, in a later turn (`is_last`: it is
 * waited for); `is_last`: also what is settled and could wait.  Returns the
 * number of the commit that what leaves from now on waits for. */
uint64_t storage_hand_over(struct storage *s, int64_t now_ms, bool is_last);
/* What has become of what was handed over?  `is_waiting`: wait until that is known.  False: nothing may ever
 * leave; *e is set. */
bool storage_hear(struct storage *s, int64_t now_ms, bool is_waiting, struct err *e);
/* The end, after a hand-over with `is_last` that gave `commit`: wait until all is durable, and what was settled as
 * well.  False: as above, and ERR_FULL: the last changes are not written. */
bool storage_finish(struct storage *s, int64_t now_ms, uint64_t commit, struct err *e);
/* Is there room? */
bool storage_is_well(const struct storage *s);
/* What waits for this commit or one before it may leave. */
uint64_t storage_durable(const struct storage *s);
/* At the end of the turn: hold or release sources. */
void storage_step(struct storage *s, int64_t now_ms);
/* When the next turn must be at the latest; INT64_MAX: never. */
int64_t storage_deadline(const struct storage *s);

#endif
