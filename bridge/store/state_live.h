/* state_live.h -- the changes of state of a link of the running bridge, from the turn that brought them until
 * they are durable. */
#ifndef BRIDGE_STATE_LIVE_H
#define BRIDGE_STATE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

struct changes;
struct db;
struct err;
struct state_live;

/* Of the link `name`; both are borrowed. */
struct state_live *state_live_new(struct db *db, const char *name);
void state_live_free(struct state_live *s); /* NULL is allowed */

/* These are due; taken, `c` is empty then. */
void state_live_add(struct state_live *s, struct changes *c);
/* Is something to be written? */
bool state_live_has_news(const struct state_live *s);
/* The commit with which all of it is durable; UINT64_MAX: one that is not written yet; 0: it is. */
uint64_t state_live_commit(const struct state_live *s);

/* Write what is due into the open transaction, as part of `commit` (store/commit.h; greater than all
 * before).  False: see state.h; what was written counts as in flight until state_live_undone(). */
bool state_live_write(struct state_live *s, uint64_t commit, struct err *e);
/* What was written as part of this commit and those before it is durable. */
void state_live_durable(struct state_live *s, uint64_t commit);
/* What is not durable was rolled back: all of it is due again. */
void state_live_undone(struct state_live *s);

#endif
