#include "delivery/endpoint.h"

#include <criterion/criterion.h>

static struct endpoints *all;
static struct endpoint *ep;
static struct seat seats[20];
static int n_changes; /* that a link was told of */

static void on_change(void *ctx)
{
	*(int *)ctx += 1;
}

/* (One at a time: a tenth of it.) */
static struct endpoint_user link_a = { 10, 0, on_change, &n_changes, { 0 } };

static void set_up(void)
{
	all = endpoints_new();
	ep = endpoint_join(all, "far", 1883, &link_a);
	n_changes = 0;
}

static void tear_down(void)
{
	for (size_t i = 0; i < 20; i++)
		endpoint_leave(ep, &seats[i]);
	endpoint_part(ep, &link_a);
	endpoints_free(all);
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

/* --- of several links */

Test(endpoint, links_to_one_address_share_it_and_the_least_of_what_they_say_holds)
{
	struct endpoint_user link_b = { 2, 0, on_change, &n_changes, { 0 } };
	struct endpoint_user other = { 1, 0, on_change, &n_changes, { 0 } };
	struct endpoint *elsewhere;

	cr_expect_eq(endpoint_join(all, "far", 1883, &link_b), ep);
	endpoint_ask(ep, &seats[0], false, 0);
	endpoint_ask(ep, &seats[1], false, 0);
	expect_next(-1, 499);
	expect_next(1, 500);
	endpoint_part(ep, &link_b);
	endpoint_ask(ep, &seats[2], false, 600);
	endpoint_ask(ep, &seats[3], false, 600);
	expect_next(3, 700);
	elsewhere = endpoint_join(all, "far", 8883, &other);
	cr_expect_neq(elsewhere, ep, "another port is another server");
	endpoint_part(elsewhere, &other);
	endpoint_part(endpoint_join(all, "elsewhere", 1883, &link_b), &link_b);
}

Test(endpoint, that_it_is_down_and_up_again_is_told_to_all_links)
{
	endpoint_ask(ep, &seats[0], false, 0);
	endpoint_failed(ep, &seats[0]);
	cr_expect_eq(n_changes, 0);
	endpoint_failed(ep, &seats[0]);
	cr_expect_eq(n_changes, 1);
	endpoint_failed(ep, &seats[0]);
	cr_expect_eq(n_changes, 1, "nothing is new");
	endpoint_answered(ep, &seats[0]);
	cr_expect_eq(n_changes, 2);
	endpoint_answered(ep, &seats[1]);
	cr_expect_eq(n_changes, 2);
}

/* --- what is sent there */

static void expect_next_to_send_at(int n, int64_t now_ms, int line)
{
	const struct seat *got = endpoint_next_to_send(ep, now_ms);

	cr_expect_eq(got ? got - seats : -1, n, "line %d: %d", line, got ? (int)(got - seats) : -1);
}
#define expect_next_to_send(n, now_ms) expect_next_to_send_at(n, now_ms, __LINE__)

static void send_two(struct seat *seat, int64_t now_ms)
{
	cr_expect(endpoint_may_send(ep, seat, now_ms));
	endpoint_sent(ep, seat, now_ms);
	cr_expect_not(endpoint_may_send(ep, seat, now_ms));
}

Test(endpoint, where_it_bears_any_number_of_messages_nobody_stands_in_line)
{
	for (int i = 0; i < 1000; i++) {
		cr_expect(endpoint_may_send(ep, &seats[0], 0));
		endpoint_sent(ep, &seats[0], 0);
	}
	cr_expect_eq(endpoint_due_ms(ep), INT64_MAX);
}

Test(endpoint, devices_send_in_turn_and_together_no_more_than_it_bears)
{
	struct endpoint_user paced = { 0, 10, on_change, &n_changes, { 0 } };
	int n = 0;

	endpoint_join(all, "far", 1883, &paced);
	send_two(&seats[0], 0);
	cr_expect_not(endpoint_may_send(ep, &seats[1], 0), "the first is there before");
	cr_expect_not(endpoint_may_send(ep, &seats[0], 0), "it stands in line once");
	cr_expect_eq(endpoint_due_ms(ep), 100);
	expect_next_to_send(-1, 99);
	expect_next_to_send(0, 100);
	send_two(&seats[0], 100);
	expect_next_to_send(1, 200);
	send_two(&seats[1], 250);
	endpoint_has_sent(ep, &seats[0]);
	expect_next_to_send(1, 300);
	expect_next_to_send(-1, 400);
	endpoint_leave(ep, &seats[1]);
	for (int64_t ms = 1000; ms < 2000; ms += 10) {
		if (endpoint_may_send(ep, &seats[2], ms)) {
			endpoint_sent(ep, &seats[2], ms);
			n++;
		}
		endpoint_next_to_send(ep, ms);
	}
	cr_expect_leq(n, 10);
	cr_expect_geq(n, 9);
	endpoint_part(ep, &paced);
}

Test(endpoint, when_the_pace_is_given_up_none_is_held)
{
	struct endpoint_user paced = { 0, 1, on_change, &n_changes, { 0 } };

	endpoint_join(all, "far", 1883, &paced);
	send_two(&seats[0], 0);
	endpoint_may_send(ep, &seats[1], 0);
	endpoint_part(ep, &paced);
	expect_next_to_send(0, 1);
	expect_next_to_send(1, 1);
	cr_expect(endpoint_may_send(ep, &seats[0], 1));
}
