/* deadletter_live.h -- the dead letters of a running bridge: those of a turn are collected, and written with
 * what else the turn brought, so that a message is always either in the journal or a dead letter. */
#ifndef BRIDGE_DEADLETTER_LIVE_H
#define BRIDGE_DEADLETTER_LIVE_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct deadletter;
struct deadletters;
struct err;
struct deadletter_live;

/* `db` is borrowed.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct deadletter_live *deadletter_live_new(struct db *db, struct err *e);
void deadletter_live_free(struct deadletter_live *all); /* NULL is allowed */

/* A message is dead.  The letter is borrowed and copied, but for its number and the time of death; what
 * is larger than DEADLETTER_MAX_MESSAGE is not kept.  Beyond the bounds of deadletter.h the oldest that
 * are still to be written go, and are counted. */
void deadletter_live_bury(struct deadletter_live *all, const struct deadletter *l, int64_t now_ms);

/* Write what was collected into the open transaction, as part of `commit` (store/commit.h; greater than all
 * before), and take out what is beyond the bounds.  False: see deadletter.h; what was written counts as in
 * flight until deadletter_live_undone(). */
bool deadletter_live_write(struct deadletter_live *all, uint64_t commit, int64_t now_ms,
			   struct err *e);
/* What was written as part of this commit and those before it is durable. */
void deadletter_live_durable(struct deadletter_live *all, uint64_t commit);
/* What is not durable was rolled back: all of it is to be written again. */
void deadletter_live_undone(struct deadletter_live *all);

/* Is there something to write? */
bool deadletter_live_has_news(const struct deadletter_live *all);

/* Those that are written. */
struct deadletters *deadletter_live_stored(struct deadletter_live *all);
/* How many went because there were too many, since the start. */
uint64_t deadletter_live_evicted(struct deadletter_live *all);

#endif
