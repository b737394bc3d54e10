/* bucket.h -- how often something may happen: a token bucket.
 *
 * A zeroed one is full.  Pure; times are milliseconds that never go back, greater than 0. */
#ifndef BRIDGE_BUCKET_H
#define BRIDGE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	int64_t at_ms;
	double missing; /* tokens that were taken and are not back yet */
};

/* Take one of `burst`, of which `rate` come back per second.  False: there is none.  A rate of 0: no limit. */
bool bucket_take(struct bucket *b, double rate, double burst, int64_t now_ms);
/* Is there one? */
bool bucket_has(struct bucket *b, double rate, double burst, int64_t now_ms);
/* Are all there? */
bool bucket_is_full(struct bucket *b, double rate, int64_t now_ms);

#endif
