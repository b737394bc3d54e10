/* histogram.h -- how long something takes: how often it was how long.  A plain value, all 0 at first. */
#ifndef BRIDGE_HISTOGRAM_H
#define BRIDGE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS 16
/* The bounds of its buckets; what is longer than the last is in one more. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

struct histogram {
	uint64_t n[HISTOGRAM_BOUNDS + 1]; /* each for itself, not summed up */
	uint64_t sum_us;
};

/* It took so long once more; less than 0 (a clock) is 0. */
void histogram_add(struct histogram *h, int64_t us);
uint64_t histogram_count(const struct histogram *h);

#endif
