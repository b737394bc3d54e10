/* pace.h -- how fast a platform takes messages: a token bucket.  A plain value; times are handed in. */
#ifndef BRIDGE_PACE_H
#define BRIDGE_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	int64_t interval_us; /* of the tokens; 0: no limit */
	int64_t depth_us;    /* of the bucket: a tenth of a second, since a loop is never on time */
	int64_t full_us;     /* when the bucket is full again */
};

/* At most `per_second` in any second, wherever it begins; 0: no limit. */
void pace_init(struct pace *p, int64_t per_second);
/* May one go now? */
bool pace_is_ready(const struct pace *p, int64_t now_ms);
/* One goes. */
void pace_take(struct pace *p, int64_t now_ms);
/* When the next may go. */
int64_t pace_ready_ms(const struct pace *p);

#endif
