/* backoff.h -- how long to wait before the next try: exponential, jittered, capped.  A plain value. */
#ifndef BRIDGE_BACKOFF_H
#define BRIDGE_BACKOFF_H

#include <stdint.h>

/* A lost or unreachable peer is tried again after 1 s at first and 60 s at most; one that refused
 * the login after 30 s at first and 5 min at most (hammering a cloud with bad credentials gets an
 * account locked). */
enum backoff_class { BACKOFF_LOST, BACKOFF_REFUSED };

struct backoff {
	unsigned failures[2]; /* in a row, by class */
};

/* The next wait in ms: between half and all of the doubled step.  `random` any 32 random bits. */
int64_t backoff_next(struct backoff *b, enum backoff_class c, uint32_t random);
/* It worked for a moment, and something came of it: no longer than the second wait. */
void backoff_ease(struct backoff *b);
void backoff_reset(struct backoff *b); /* it worked */

#endif
