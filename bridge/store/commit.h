/* commit.h -- what the turns of the loop write, made durable one after the other.
 *
 * A turn writes into the open transaction of the database and hands that over: a *commit*, with a number that
 * grows.  What has become of it is told later, by commits_step(), in the order of the numbers; until then it
 * is *in flight*, and so may be others behind it.  While one is in flight, messages go on being read
 * and translated; what leaves the bridge (acknowledgements, publishes, answers to verbs) names the last
 * commit that was handed over before it, and leaves when that is durable.
 *
 *   in flight ──▶ durable
 *      │
 *      └────────▶ undone: rolled back, with all that were handed over behind it.  ERR_FULL: what they wrote
 *                 may be written again, as part of a later commit, and is durable with that one; the numbers
 *                 themselves come to be durable in the end.  Any other error is final: nothing that is in
 *                 flight or comes later is ever durable.
 *
 * Whoever hands over keeps what it wrote until it is durable (the *_live modules of this folder, which have
 * write, durable and undone each).  Nobody may rely on how soon an answer comes: with a thread the loop goes on
 * while the disk writes.  SQLite has one transaction at a time, so while the thread is at it nothing is written
 * (commits_is_busy); what further turns bring becomes one commit, the next.  Whoever wants the database
 * meanwhile, because a verb asks something of it, say, waits. */
#ifndef BRIDGE_COMMIT_H
#define BRIDGE_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

struct commits;
struct db;
struct err;
struct histogram;

struct commit_ops {
	/* This one is durable, and all before it. */
	void (*durable)(void *ctx, uint64_t commit);
	/* All that are in flight are undone, for this reason. */
	void (*undone)(void *ctx, const struct err *e);
};

/* `db` is borrowed.  `late_ms`: a transaction is committed, and its answer comes, so long after the first of
 * its commits was handed over; 0 but for tests of those who must bear it. */
struct commits *commits_new(struct db *db, int64_t late_ms);
/* Waits for the thread; what is in flight otherwise is lost.  NULL is allowed. */
void commits_free(struct commits *c);

/* From now on a thread waits for the disk.  (Without it, commits_step() does: where there is no loop.)  False sets
 * *e: ERR_IO. */
bool commits_start(struct commits *c, struct err *e);
/* Readable when commits_step() has an answer of the thread; -1: there is none. */
int commits_fd(const struct commits *c);
/* The thread has the database: nothing may be handed over before commits_step() has told what became of it. */
bool commits_is_busy(const struct commits *c);

/* The number that the next one will have: for those who write it. */
uint64_t commits_next(const struct commits *c);
/* All that was written since the last one is handed over.  Returns its number, also if that is nothing. */
uint64_t commits_hand_over(struct commits *c, int64_t now_ms);
/* A write failed, or the database was rolled back: forget what is in flight, and begin a new transaction.
 * Nothing is told of it before the next commits_hand_over(). */
void commits_undo(struct commits *c);

/* Tell what has become of those in flight.  `now_ms` INT64_MAX: wait for it.  Calls one of `ops` at most,
 * which may hand over again. */
void commits_step(struct commits *c, int64_t now_ms, const struct commit_ops *ops, void *ctx);
/* When commits_step() wants to be called; INT64_MAX: nothing is in flight, or commits_fd() will tell. */
int64_t commits_deadline(const struct commits *c);
/* All up to this one are durable; 0: none. */
uint64_t commits_durable(const struct commits *c);
/* How long transactions took to be durable. */
const struct histogram *commits_times(const struct commits *c);

#endif
