#include "state/subscription.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/err.h"
#include "state/change.h"

static struct changes out;

/* What was put is what comes back. */
static struct subscriptions *restored(void)
{
	struct subscriptions *t = subscriptions_new();
	struct err e = { 0 };

	for (size_t i = 0; i < out.n; i++)
		cr_assert(subscriptions_restore(t, out.items[i].key, out.items[i].value, &e), "%s",
			  e.text);
	changes_fini(&out);
	return t;
}

Test(subscription, filters_come_back_by_side)
{
	struct subscriptions *t = subscriptions_new();
	const char *first;

	subscriptions_add(t, SOUTH, "a/+", &out);
	subscriptions_add(t, NORTH, "a/+", &out);
	subscriptions_add(t, NORTH, "b/\"#", &out);
	subscriptions_add(t, NORTH, "b/\"#", &out);
	cr_expect_eq(out.n, 3, "what is known is no change");
	subscriptions_free(t);
	t = restored();
	cr_expect_str_eq(subscriptions_next(t, SOUTH, NULL), "a/+");
	cr_expect_null(subscriptions_next(t, SOUTH, "a/+"));
	first = subscriptions_next(t, NORTH, NULL);
	cr_expect_str_eq(first, "a/+");
	cr_expect_str_eq(subscriptions_next(t, NORTH, first), "b/\"#");
	subscriptions_free(t);
}

Test(subscription, one_that_is_given_up_is_forgotten)
{
	struct subscriptions *t = subscriptions_new();
	char *key;

	subscriptions_add(t, NORTH, "secret/x", &out);
	cr_expect(out.items[0].is_secret);
	cr_expect_null(strstr(out.items[0].key, "secret"), "a filter may hold a credential");
	key = strdup(out.items[0].key);
	changes_fini(&out);
	subscriptions_remove(t, SOUTH, "secret/x", &out);
	cr_expect_eq(out.n, 0);
	subscriptions_remove(t, NORTH, subscriptions_next(t, NORTH, NULL), &out);
	cr_assert_eq(out.n, 1);
	cr_expect_str_eq(out.items[0].key, key);
	cr_expect_null(out.items[0].value);
	cr_expect_null(subscriptions_next(t, NORTH, NULL));
	changes_fini(&out);
	free(key);
	subscriptions_free(t);
}
