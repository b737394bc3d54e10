#include <criterion/criterion.h>

#include "base/err.h"
#include "state/change.h"
#include "state/devices.h"

Test(devices, what_is_not_in_the_table_is_not_said)
{
	struct devices *t = devices_new();

	cr_expect_null(devices_here(t, NORTH, "d"));
	cr_expect_null(devices_there(t, NORTH, "d"));
	devices_free(t);
}

Test(devices, a_side_may_have_a_name_of_its_own)
{
	struct devices *t = devices_new();
	struct changes c = { 0 };

	devices_set(t, NORTH, "pump", "pump-new", &c);
	cr_expect_str_eq(devices_there(t, NORTH, "pump"), "pump-new");
	cr_expect_str_eq(devices_here(t, NORTH, "pump-new"), "pump");
	cr_expect_null(devices_there(t, SOUTH, "pump"));
	cr_expect_null(devices_here(t, SOUTH, "pump-new"));
	cr_expect_eq(c.n, 1);
	devices_set(t, NORTH, "pump", "pump-newer", &c);
	cr_expect_null(devices_here(t, NORTH, "pump-new"), "the old name is free");
	cr_expect_eq(c.n, 2);
	devices_set(t, NORTH, "pump", "pump-newer", &c);
	cr_expect_eq(c.n, 2, "nothing changed");
	changes_fini(&c);
	devices_free(t);
}

Test(devices, a_name_belongs_to_one_device)
{
	struct devices *t = devices_new();
	struct changes c = { 0 };

	devices_set(t, NORTH, "a", "x", &c);
	devices_set(t, NORTH, "b", "x", &c);
	cr_expect_str_eq(devices_here(t, NORTH, "x"), "b");
	cr_expect_null(devices_there(t, NORTH, "a"));
	changes_fini(&c);
	devices_free(t);
}

Test(devices, comes_back_after_a_restart_and_can_be_forgotten)
{
	struct devices *t = devices_new(), *again = devices_new();
	struct changes c = { 0 };
	struct err e = { 0 };

	devices_set(t, NORTH, "a", "x", &c);
	cr_assert(devices_restore(again, c.items[0].key, c.items[0].value, &e));
	cr_expect_str_eq(devices_here(again, NORTH, "x"), "a");
	changes_fini(&c);
	devices_forget(again, "a", &c);
	cr_expect_null(devices_here(again, NORTH, "x"));
	cr_assert_eq(c.n, 1);
	cr_expect_null(c.items[0].value);
	devices_forget(again, "a", &c);
	cr_expect_eq(c.n, 1);
	cr_expect_not(devices_restore(again, "a", "[]", &e));
	cr_expect_eq(e.code, ERR_CORRUPT);
	changes_fini(&c);
	devices_free(t);
	devices_free(again);
}
