#include <criterion/criterion.h>

#include "frontdoor/bucket.h"

Test(bucket, a_burst_then_a_rate)
{
	struct bucket b = { 0 };

	for (int i = 0; i < 5; i++)
		cr_expect(bucket_take(&b, 2, 5, 1000));
	cr_expect_not(bucket_take(&b, 2, 5, 1000));
	cr_expect_not(bucket_take(&b, 2, 5, 1499));
	cr_expect(bucket_has(&b, 2, 5, 1500));
	cr_expect(bucket_take(&b, 2, 5, 1500));
	cr_expect_not(bucket_take(&b, 2, 5, 1500));
	cr_expect_not(bucket_is_full(&b, 2, 3000));
	cr_expect(bucket_is_full(&b, 2, 4000));
}

Test(bucket, it_never_has_more_than_a_burst)
{
	struct bucket b = { 0 };
	int n = 0;

	cr_expect(bucket_take(&b, 2, 5, 1));
	while (n < 100 && bucket_take(&b, 2, 5, 1000000))
		n++;
	cr_expect_eq(n, 5);
}

Test(bucket, no_rate_is_no_limit)
{
	struct bucket b = { 0 };

	for (int i = 0; i < 1000; i++)
		cr_expect(bucket_take(&b, 0, 0, 1));
}
