#include "metric/histogram.h"

#include <stddef.h>

const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = { 100,	  250,	   500,	    1000,
							 2500,	  5000,	   10000,   25000,
							 50000,	  100000,  250000,  500000,
							 1000000, 2500000, 5000000, 10000000 };

void histogram_add(struct histogram *h, int64_t us)
{
	uint64_t n = us > 0 ? (uint64_t)us : 0;
	size_t i = 0;

	while (i < HISTOGRAM_BOUNDS && n > histogram_bounds_us[i])
		i++;
	h->n[i]++;
	h->sum_us += n;
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		n += h->n[i];
	return n;
}
