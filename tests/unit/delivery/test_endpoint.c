#include "delivery/endpoint.h"

#include <criterion/criterion.h>

static struct endpoint *ep;
static struct seat seats[20];

static void set_up(void)
{
	ep = endpoint_new(10); /* one at a time: a tenth of it */
}

static void tear_down(void)
{
	for (size_t i = 0; i < 20; i++)
		endpoint_leave(ep, &seats[i]);
	endpoint_free(ep);
}

TestSuite(endpoint, .init = set_up, .fini = tear_down);

static void expect_next_at(int n, int64_t now_ms, int line)
{
	const struct seat *got = endpoint_next(ep, now_ms);

	cr_expect_eq(got ? got - seats : -1, n, "line %d: %d", line, got ? (int)(got - seats) : -1);
}
#define expect_next(n, now_ms) expect_next_at(n, now_ms, __LINE__)

Test(endpoint, they_come_at_its_pace_and_in_their_order)
{
	cr_expect(endpoint_ask(ep, &seats[0], false, 0));
	cr_expect_not(endpoint_ask(ep, &seats[1], false, 0));
	cr_expect_not(endpoint_ask(ep, &seats[2], false, 0));
	expect_next(-1, 0);
	cr_expect_eq(endpoint_due_ms(ep), 100);
	expect_next(1, 100);
	expect_next(-1, 150);
	expect_next(2, 200);
	cr_expect_eq(endpoint_due_ms(ep), INT64_MAX);
	cr_expect_not(endpoint_ask(ep, &seats[3], false, 250));
	expect_next(3, 300);
}

Test(endpoint, within_a_second_no_more_than_it_bears)
{
	int n = endpoint_ask(ep, &seats[0], false, 0);

	for (int i = 1; i < 20; i++)
		endpoint_ask(ep, &seats[i], false, 0);
	for (int64_t ms = 0; ms < 1000; ms += 10)
		n += endpoint_next(ep, ms) != NULL;
	cr_expect_leq(n, 10);
	cr_expect_geq(n, 9);
}

Test(endpoint, those_for_which_something_waits_come_first)
{
	endpoint_ask(ep, &seats[0], false, 0);
	for (int i = 1; i <= 3; i++)
		endpoint_ask(ep, &seats[i], i == 2, 0);
	expect_next(2, 100);
	endpoint_hurry(ep, &seats[3]);
	expect_next(3, 200);
	expect_next(1, 300);
}

Test(endpoint, while_it_is_down_one_alone_tries_and_then_the_rest_come)
{
	endpoint_ask(ep, &seats[0], false, 0);
	endpoint_failed(ep, &seats[0]);
	cr_expect_not(endpoint_is_down(ep), "once may be the version");
	cr_expect(endpoint_ask(ep, &seats[0], false, 1000));
	cr_expect_not(endpoint_ask(ep, &seats[1], true, 1000));
	endpoint_failed(ep, &seats[0]);
	cr_expect(endpoint_is_down(ep));
	expect_next(-1, 100000);
	cr_expect_eq(endpoint_due_ms(ep), INT64_MAX);
	cr_expect_not(endpoint_ask(ep, &seats[2], false, 100000));
	cr_expect(endpoint_ask(ep, &seats[0], false, 100000), "as its own backoff has it");
	endpoint_answered(ep, &seats[0]);
	expect_next(1, 100100);
	expect_next(2, 100200);
}

Test(endpoint, who_tries_alone_and_never_gets_an_answer_is_not_alone_for_ever)
{
	endpoint_ask(ep, &seats[0], false, 0);
	for (int i = 0; i < 2; i++)
		endpoint_failed(ep, &seats[0]);
	cr_expect_not(endpoint_ask(ep, &seats[1], false, 1000));
	for (int i = 2; i < 5; i++) {
		expect_next(-1, i * 1000);
		cr_expect(endpoint_ask(ep, &seats[0], false, i * 1000));
		endpoint_failed(ep, &seats[0]);
	}
	expect_next(1, 6000);
	cr_expect_not(endpoint_ask(ep, &seats[0], false, 7000));
	endpoint_answered(ep, &seats[1]);
	expect_next(0, 8000);
}

Test(endpoint, who_leaves_holds_up_nobody)
{
	endpoint_ask(ep, &seats[0], false, 0);
	endpoint_failed(ep, &seats[0]);
	endpoint_failed(ep, &seats[0]);
	endpoint_ask(ep, &seats[1], false, 0);
	endpoint_ask(ep, &seats[2], false, 0);
	endpoint_leave(ep, &seats[0]);
	endpoint_leave(ep, &seats[1]);
	expect_next(2, 1000);
}
