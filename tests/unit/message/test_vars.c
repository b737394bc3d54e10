#include <criterion/criterion.h>

#include "message/vars.h"

Test(vars, what_is_not_there_is_null)
{
	struct vars v = { 0 };

	cr_expect_null(vars_get(&v, "a"));
	cr_expect_null(vars_find(&v, "a"));
	vars_fini(&v);
}

Test(vars, setting_replaces_and_keeps_the_place)
{
	struct vars v = { 0 };

	vars_set(&v, "a", "1", false);
	vars_set(&v, "b", "2", true);
	vars_set(&v, "a", "3", true);
	vars_set(&v, "b", "4", false);
	cr_assert_eq(v.n, 2);
	cr_expect_str_eq(v.items[0].value, "3");
	cr_expect(v.items[0].is_secret);
	cr_expect_str_eq(v.items[1].value, "4");
	cr_expect_not(v.items[1].is_secret);
	vars_fini(&v);
	cr_expect_eq(v.n, 0);
}

Test(vars, a_value_may_be_set_to_itself)
{
	struct vars v = { 0 };

	vars_set(&v, "a", "secret", true);
	vars_set(&v, "a", vars_get(&v, "a"), true);
	cr_expect_str_eq(vars_get(&v, "a"), "secret");
	vars_fini(&v);
}

Test(vars, added_names_repeat_and_the_first_counts)
{
	struct vars v = { 0 };

	for (int i = 0; i < 9; i++)
		vars_add(&v, "a", i ? "later" : "first");
	cr_expect_eq(v.n, 9);
	cr_expect_str_eq(vars_get(&v, "a"), "first");
	vars_fini(&v);
}

Test(vars, a_copy_is_independent_and_as_secret)
{
	struct vars v = { 0 }, copy;

	vars_set(&v, "a", "1", true);
	vars_add(&v, "b", "2");
	vars_add(&v, "b", "3");
	vars_copy(&copy, &v);
	vars_fini(&v);
	cr_assert_eq(copy.n, 3);
	cr_expect(copy.items[0].is_secret);
	cr_expect_not(copy.items[1].is_secret);
	cr_expect_str_eq(copy.items[2].value, "3");
	vars_fini(&copy);
}
