#include <criterion/criterion.h>

#include "state/change.h"

Test(change, puts_and_deletes_are_copied_in_order)
{
	struct changes c = { 0 };
	char key[] = "k", value[] = "v";

	changes_put(&c, "m", key, value, true);
	changes_delete(&c, "n", key);
	key[0] = value[0] = 'x';
	cr_assert_eq(c.n, 2);
	cr_expect_str_eq(c.items[0].machine, "m");
	cr_expect_str_eq(c.items[0].key, "k");
	cr_expect_str_eq(c.items[0].value, "v");
	cr_expect(c.items[0].is_secret);
	cr_expect_str_eq(c.items[1].machine, "n");
	cr_expect_null(c.items[1].value);
	cr_expect_not(c.items[1].is_secret);
	changes_fini(&c);
}

Test(change, finished_list_can_be_used_again)
{
	struct changes c = { 0 };

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20; i++)
			changes_put(&c, "m", "k", "v", i % 2);
		cr_expect_eq(c.n, 20);
		changes_fini(&c);
		cr_expect_eq(c.n, 0);
	}
}
