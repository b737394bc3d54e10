#include "delivery/rate_limit.h"

#define SECOND_US 1000000

void rate_limit_init(struct rate_limit *p, int64_t per_second)
{
	int64_t burst = per_second < 10 ? 1 : per_second / 10;
	int64_t refill = per_second - burst + 1; /* with the burst, not more than was asked for */

	*p = (struct rate_limit){ 0 };
	if (per_second <= 0)
		return;
	p->interval_us = (SECOND_US + refill - 1) / refill;
	p->depth_us = (burst - 1) * p->interval_us;
	p->full_us = INT64_MIN / 2;
}

int64_t rate_limit_ready_ms(const struct rate_limit *p)
{
	if (!p->interval_us || p->full_us < p->depth_us)
		return 0;
	return (p->full_us - p->depth_us + 999) / 1000;
}

bool rate_limit_is_ready(const struct rate_limit *p, int64_t now_ms)
{
	return rate_limit_ready_ms(p) <= now_ms;
}

void rate_limit_take(struct rate_limit *p, int64_t now_ms)
{
	int64_t now_us = now_ms * 1000;

	if (p->interval_us)
		p->full_us = (p->full_us > now_us ? p->full_us : now_us) + p->interval_us;
}
