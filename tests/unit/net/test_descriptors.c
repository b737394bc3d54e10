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

	set_limit(100, 300);
	cr_expect_eq(descriptors_raise(), 300);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &r), 0);
	cr_expect_eq(r.rlim_cur, 300);
	cr_expect_eq(r.rlim_max, 300);
	cr_expect_eq(descriptors_raise(), 300);
}
