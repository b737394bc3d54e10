/* rate_limit.h -- how fast a platform takes messages: a token bucket.  A plain value; times are handed in. */
#ifndef BRIDGE_RATE_LIMIT_H
#define BRIDGE_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
	int64_t interval_us; /* of the tokens; 0: no limit */
	int64_t depth_us;    /* of the bucket: a tenth of a second, since a loop is never on time */
	int64_t full_us;     /* when the bucket is full again */
};

/* At most `per_second` in any second, wherever it begins; 0: no limit. */
void rate_limit_init(struct rate_limit *p, int64_t per_second);
/* May one go now? */
bool rate_limit_is_ready(const struct rate_limit *p, int64_t now_ms);
/* One goes. */
void rate_limit_take(struct rate_limit *p, int64_t now_ms);
/* When the next may go. */
int64_t rate_limit_ready_ms(const struct rate_limit *p);

#endif
