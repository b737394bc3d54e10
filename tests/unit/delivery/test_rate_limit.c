#include "delivery/rate_limit.h"

#include <criterion/criterion.h>

#define START_MS 1700000000000

/* Send as fast as is allowed, looking every `step_ms`; when was the n-th sent? */
static void run(int64_t per_second, int64_t step_ms, int64_t *sent_ms, int n)
{
	struct rate_limit p;
	int64_t now_ms = START_MS;

	rate_limit_init(&p, per_second);
	for (int i = 0; i < n; now_ms += step_ms)
		while (i < n && rate_limit_is_ready(&p, now_ms)) {
			rate_limit_take(&p, now_ms);
			sent_ms[i++] = now_ms;
		}
}

Test(rate_limit, no_second_sees_more_than_the_limit)
{
	static const int64_t limits[] = { 1, 2, 9, 10, 15, 20, 100, 999, 5000 };
	static const int64_t steps[] = { 1, 7, 90, 1500 };
	static int64_t sent_ms[20000];

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
			int n = (int)limits[i] * 4;

			run(limits[i], steps[k], sent_ms, n);
			for (int j = 0; j + limits[i] < n; j++)
				cr_assert_geq(sent_ms[j + limits[i]] - sent_ms[j], 1000,
					      "%lld per second, looking every %lld ms: message %d",
					      (long long)limits[i], (long long)steps[k], j);
		}
}

Test(rate_limit, the_limit_is_used)
{
	static const int64_t limits[] = { 1, 5, 10, 20, 100, 1000 };
	static int64_t sent_ms[10001];

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		int n = (int)limits[i] * 10;

		run(limits[i], 3, sent_ms, n + 1);
		cr_expect_leq(sent_ms[n] - START_MS, 12000,
			      "%lld per second: %lld ms for ten seconds'", (long long)limits[i],
			      (long long)(sent_ms[n] - START_MS));
	}
}

Test(rate_limit, it_says_when_the_next_may_go)
{
	struct rate_limit p;

	rate_limit_init(&p, 4);
	cr_expect(rate_limit_is_ready(&p, START_MS));
	rate_limit_take(&p, START_MS);
	cr_expect_not(rate_limit_is_ready(&p, START_MS + 249));
	cr_expect_eq(rate_limit_ready_ms(&p), START_MS + 250);
	cr_expect(rate_limit_is_ready(&p, START_MS + 250));
}

Test(rate_limit, without_a_limit_all_may_go)
{
	struct rate_limit p;

	rate_limit_init(&p, 0);
	for (int i = 0; i < 100000; i++) {
		cr_assert(rate_limit_is_ready(&p, START_MS));
		rate_limit_take(&p, START_MS);
	}
	cr_expect_eq(rate_limit_ready_ms(&p), 0);
}
