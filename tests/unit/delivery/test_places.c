#include <criterion/criterion.h>

#include "delivery/places.h"

static struct places *ps;
static struct place a, b, c;

static void begin(size_t max)
{
	ps = places_new(max, 300000);
	a = b = c = (struct place){ 0 };
}

static void end(void)
{
	places_leave(ps, &a);
	places_leave(ps, &b);
	places_leave(ps, &c);
	places_free(ps);
}

TestSuite(places, .fini = end);

Test(places, without_a_bound_all_have_one_until_they_were_idle_for_long)
{
	begin(0);
	cr_expect(places_take(ps, &a));
	cr_expect(places_take(ps, &b));
	cr_expect_eq(places_due_ms(ps), INT64_MAX);
	places_rest(ps, &a, 1000);
	places_rest(ps, &b, 2000);
	places_rest(ps, &a, 3000); /* it is already */
	cr_expect_eq(places_due_ms(ps), 301000);
	cr_expect_null(places_due(ps, 300999));
	cr_expect_eq(places_due(ps, 301000), &a);
	places_use(ps, &a);
	cr_expect_null(places_due(ps, 301000));
	cr_expect_eq(places_due(ps, 302000), &b);
}

Test(places, the_longest_idle_gives_its_place_to_who_wants_it)
{
	begin(2);
	cr_expect(places_take(ps, &a));
	cr_expect(places_take(ps, &b));
	cr_expect_not(places_take(ps, &c));
	cr_expect(places_is_waiting(ps, &c));
	cr_expect_eq(places_due_ms(ps), INT64_MAX, "nobody is idle");
	cr_expect_null(places_next(ps));
	places_rest(ps, &b, 1000);
	places_rest(ps, &a, 1500);
	cr_expect_null(places_due(ps, 1999));
	cr_expect_eq(places_due(ps, 2000), &b);
	places_leave(ps, &b);
	cr_expect_null(places_due(ps, 2500), "there is room");
	cr_expect_eq(places_due_ms(ps), 0);
	cr_expect_not(places_take(ps, &b), "another was there before");
	cr_expect_eq(places_next(ps), &c);
	cr_expect(c.is_held);
	cr_expect_null(places_next(ps));
}

Test(places, one_that_is_to_be_left_alone_goes_later)
{
	begin(2);
	places_take(ps, &a);
	places_take(ps, &b);
	places_rest(ps, &a, 60000);
	places_rest(ps, &b, 2000);
	places_take(ps, &c);
	cr_expect_eq(places_due(ps, 3000), &b);
	places_leave(ps, &c);
	cr_expect_null(places_due(ps, 3000), "nobody wants it any more");
}
