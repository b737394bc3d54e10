#include <criterion/criterion.h>
#include <sys/resource.h>

#include "net/descriptors.h"

/* Each test is a process of its own. */
static void set_limit(rlim_t soft, rlim_t hard)
{
	const struct rlimit r = { soft, hard };

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
}

Test(descriptors, the_soft_limit_is_raised_to_the_hard_one)
{
	struct rlimit r;
	size_t limit;

	set_limit(100, 300);
	cr_expect(descriptors_raise(300, &limit));
	cr_expect_eq(limit, 300);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &r), 0);
	cr_expect_eq(r.rlim_cur, 300);
	cr_expect_eq(r.rlim_max, 300);
}

Test(descriptors, what_is_not_enough_is_said)
{
	size_t limit;

	set_limit(100, 300);
	cr_expect_not(descriptors_raise(301, &limit));
	cr_expect_eq(limit, 300);
}
