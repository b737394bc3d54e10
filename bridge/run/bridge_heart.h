/* bridge_heart.h -- the heartbeat of a running bridge (disk/heartbeat.h): renewed by a thread of the pool, since
 * the volume may be far away, and looked at before anything is written when it has not been for long.
 *
 * If another has the state, the bridge ends, and nothing more is written. */
#ifndef BRIDGE_BRIDGE_HEART_H
#define BRIDGE_BRIDGE_HEART_H

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"

struct bridge;
struct heart_beat;

/* Embedded in the bridge; zero it. */
struct bridge_heart {
	struct heart_beat *beat; /* under way; NULL: none is */
	struct loop_timer timer;
	int64_t sure_ms; /* when it was last known that nobody else has the state */
};

/* Before the first turn.  False: the bridge has failed. */
bool bridge_heart_start(struct bridge *b, int64_t now_ms);
/* In each turn, before it writes: has nobody else the state?  False: the bridge has failed. */
bool bridge_heart_is_sure(struct bridge *b, int64_t now_ms);
/* Before the loop ends. */
void bridge_heart_end(struct bridge *b);

#endif
