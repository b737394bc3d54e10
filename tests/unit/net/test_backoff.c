#include <criterion/criterion.h>

#include "net/backoff.h"

struct bounds {
	enum backoff_class class;
	int failures; /* before */
	int64_t low, high;
};

Test(backoff, wait_lies_between_half_and_all_of_a_doubling_step)
{
	static const struct bounds cases[] = {
		{ BACKOFF_LOST, 0, 500, 1000 },
		{ BACKOFF_LOST, 1, 1000, 2000 },
		{ BACKOFF_LOST, 5, 16000, 32000 },
		{ BACKOFF_LOST, 6, 30000, 60000 },
		{ BACKOFF_LOST, 1000, 30000, 60000 },
		{ BACKOFF_REFUSED, 0, 15000, 30000 },
		{ BACKOFF_REFUSED, 3, 120000, 240000 },
		{ BACKOFF_REFUSED, 4, 150000, 300000 },
		{ BACKOFF_REFUSED, 1000, 150000, 300000 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct bounds *c = &cases[i];
		struct backoff low = { { 0, 0 } }, high = { { 0, 0 } };

		for (int n = 0; n < c->failures; n++) {
			backoff_next(&low, c->class, 12345);
			backoff_next(&high, c->class, 12345);
		}
		cr_expect_eq(backoff_next(&low, c->class, 0), c->low, "case %zu", i);
		cr_expect_eq(backoff_next(&high, c->class, UINT32_MAX), c->high, "case %zu", i);
	}
}

Test(backoff, what_worked_for_a_moment_is_tried_again_soon)
{
	struct backoff b = { { 0, 0 } };

	backoff_ease(&b);
	cr_expect_eq(backoff_next(&b, BACKOFF_LOST, UINT32_MAX), 1000,
		     "the first is short already");
	for (int i = 0; i < 5; i++)
		backoff_next(&b, BACKOFF_LOST, 0);
	backoff_ease(&b);
	cr_expect_eq(backoff_next(&b, BACKOFF_LOST, UINT32_MAX), 2000);
}

Test(backoff, random_bits_spread_the_wait)
{
	struct backoff b = { { 0, 0 } };

	cr_expect_eq(backoff_next(&b, BACKOFF_LOST, UINT32_MAX / 2), 749);
}

Test(backoff, classes_count_apart)
{
	struct backoff b = { { 0, 0 } };

	backoff_next(&b, BACKOFF_LOST, 0);
	backoff_next(&b, BACKOFF_LOST, 0);
	cr_expect_eq(backoff_next(&b, BACKOFF_REFUSED, 0), 15000);
	cr_expect_eq(backoff_next(&b, BACKOFF_LOST, 0), 2000);
}

Test(backoff, success_starts_over)
{
	struct backoff b = { { 0, 0 } };

	backoff_next(&b, BACKOFF_LOST, 0);
	backoff_next(&b, BACKOFF_REFUSED, 0);
	backoff_reset(&b);
	cr_expect_eq(backoff_next(&b, BACKOFF_LOST, 0), 500);
	cr_expect_eq(backoff_next(&b, BACKOFF_REFUSED, 0), 15000);
}
