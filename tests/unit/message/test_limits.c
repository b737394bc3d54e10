#include "message/limits.h"

#include <criterion/criterion.h>

Test(limits, the_narrower_one_counts_and_none_is_wider_than_any)
{
	const struct limits a = { .packet_bytes = 100, .in_flight = 5, .messages_per_second = 0 };
	const struct limits b = { .packet_bytes = 90, .in_flight = 0, .messages_per_second = 20 };
	const struct limits both[] = { limits_narrow(&a, &b), limits_narrow(&b, &a) };

	for (int i = 0; i < 2; i++) {
		cr_expect_eq(both[i].packet_bytes, 90);
		cr_expect_eq(both[i].in_flight, 5);
		cr_expect_eq(both[i].messages_per_second, 20);
		cr_expect_eq(both[i].payload_bytes, 0);
	}
}
