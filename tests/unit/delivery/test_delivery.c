#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "delivery/delivery.h"

#define PLENTY (1u << 20)

static bool push(struct delivery *d, enum lane lane, const char *topic)
{
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };
	bool ok = delivery_push(d, lane, &m, (void *)topic);

	if (ok)
		cr_expect_null(m.topic, "%s was taken", topic);
	message_fini(&m);
	return ok;
}

static void expect_next(struct delivery *d, const char *topic)
{
	struct parcel *p = delivery_next(d);

	cr_assert_not_null(p, "%s was expected, nothing came", topic);
	cr_expect_str_eq(p->message.topic, topic);
}

static void send_next(struct delivery *d, const char *topic, int mid)
{
	expect_next(d, topic);
	delivery_sent(d, mid);
}

static void expect_acked(struct delivery *d, int mid, const char *topic)
{
	struct parcel p = { 0 };

	cr_assert(delivery_acked(d, mid, &p), "packet %d", mid);
	cr_expect_str_eq(p.message.topic, topic);
	cr_expect_str_eq((const char *)p.origin, topic);
	message_fini(&p.message);
}

Test(delivery, empty_has_nothing_to_give)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	cr_expect_null(delivery_next(d));
	cr_expect_not(delivery_pop(d, &p));
	cr_expect_not(delivery_acked(d, 1, &p));
	delivery_reset(d);
	cr_expect_eq(delivery_waiting(d), 0);
	delivery_free(d);
	delivery_free(NULL);
}

Test(delivery, exchanges_go_before_reports_and_each_lane_in_order)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push(d, LANE_REPORT, "r1");
	push(d, LANE_REPORT, "r2");
	push(d, LANE_EXCHANGE, "e1");
	push(d, LANE_EXCHANGE, "e2");
	send_next(d, "e1", 1);
	send_next(d, "e2", 2);
	send_next(d, "r1", 3);
	push(d, LANE_EXCHANGE, "e3");
	send_next(d, "e3", 4);
	send_next(d, "r2", 5);
	cr_expect_null(delivery_next(d));
	delivery_free(d);
}

Test(delivery, an_offered_parcel_stays_first_until_it_is_sent)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push(d, LANE_REPORT, "r1");
	push(d, LANE_REPORT, "r2");
	expect_next(d, "r1");
	push(d, LANE_EXCHANGE, "e1");
	expect_next(d, "r1");
	delivery_sent(d, 1);
	send_next(d, "e1", 2);
	expect_acked(d, 1, "r1");
	expect_acked(d, 2, "e1");
	delivery_free(d);
}

Test(delivery, pop_takes_the_one_that_was_offered)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	push(d, LANE_REPORT, "r1");
	expect_next(d, "r1");
	push(d, LANE_EXCHANGE, "e1");
	cr_assert(delivery_pop(d, &p));
	cr_expect_str_eq(p.message.topic, "r1");
	message_fini(&p.message);
	cr_assert(delivery_pop(d, &p));
	cr_expect_str_eq(p.message.topic, "e1");
	message_fini(&p.message);
	cr_expect_eq(delivery_waiting(d), 0);
	cr_expect_eq(delivery_bytes(d), 0);
	delivery_free(d);
}

Test(delivery, window_bounds_what_is_in_flight)
{
	struct delivery *d = delivery_new(2, PLENTY);

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	push(d, LANE_REPORT, "c");
	send_next(d, "a", 1);
	send_next(d, "b", 2);
	cr_expect_null(delivery_next(d));
	cr_expect_eq(delivery_in_flight(d), 2);
	cr_expect_eq(delivery_waiting(d), 1);
	expect_acked(d, 1, "a");
	send_next(d, "c", 3);
	delivery_free(d);
}

Test(delivery, acknowledgements_may_come_in_any_order_and_once)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	push(d, LANE_REPORT, "c");
	send_next(d, "a", 11);
	send_next(d, "b", 12);
	send_next(d, "c", 13);
	expect_acked(d, 12, "b");
	cr_expect_not(delivery_acked(d, 12, &p));
	cr_expect_not(delivery_acked(d, 99, &p));
	expect_acked(d, 13, "c");
	expect_acked(d, 11, "a");
	cr_expect_eq(delivery_in_flight(d), 0);
	cr_expect_eq(delivery_bytes(d), 0);
	delivery_free(d);
}

Test(delivery, reset_puts_what_was_in_flight_back_in_order)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push(d, LANE_REPORT, "r1");
	send_next(d, "r1", 1);
	push(d, LANE_EXCHANGE, "e1");
	push(d, LANE_REPORT, "r2");
	push(d, LANE_REPORT, "r3");
	send_next(d, "e1", 2);
	send_next(d, "r2", 3);
	push(d, LANE_EXCHANGE, "e2");
	expect_next(d, "e2");
	delivery_reset(d);
	cr_expect_eq(delivery_in_flight(d), 0);
	cr_expect_eq(delivery_waiting(d), 5);
	send_next(d, "e1", 1);
	send_next(d, "e2", 2);
	send_next(d, "r1", 3);
	send_next(d, "r2", 4);
	send_next(d, "r3", 5);
	expect_acked(d, 3, "r1"); /* the old packet 3 was r2 */
	delivery_free(d);
}

Test(delivery, greetings_end_with_their_connection)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p = { 0 };
	bool was_sent;

	push(d, LANE_EXCHANGE, "e1");
	push(d, LANE_EXCHANGE, "sent");
	push(d, LANE_EXCHANGE, "not sent");
	send_next(d, "e1", 1);
	delivery_next(d)->is_greeting = true;
	send_next(d, "sent", 2);
	delivery_next(d)->is_greeting = true;
	push(d, LANE_EXCHANGE, "e2");
	cr_assert(delivery_pop_greeting(d, &p, &was_sent) && was_sent);
	cr_expect_str_eq(p.message.topic, "sent");
	parcel_fini(&p);
	cr_assert(delivery_pop_greeting(d, &p, &was_sent) && !was_sent);
	cr_expect_str_eq(p.message.topic, "not sent");
	parcel_fini(&p);
	cr_expect_not(delivery_pop_greeting(d, &p, &was_sent));
	cr_expect_eq(delivery_in_flight(d), 1);
	delivery_reset(d);
	cr_expect_eq(delivery_waiting(d), 2);
	send_next(d, "e1", 3);
	send_next(d, "e2", 4);
	delivery_free(d);
}

Test(delivery, the_window_may_become_smaller)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push(d, LANE_REPORT, "r1");
	push(d, LANE_REPORT, "r2");
	push(d, LANE_REPORT, "r3");
	send_next(d, "r1", 1);
	send_next(d, "r2", 2);
	delivery_set_window(d, 1);
	expect_acked(d, 1, "r1");
	cr_expect_null(delivery_next(d));
	expect_acked(d, 2, "r2");
	send_next(d, "r3", 3);
	delivery_free(d);
}

Test(delivery, bytes_count_what_waits_and_what_is_in_flight)
{
	struct message m = { .topic = (char *)"a" };
	size_t one = message_size(&m);
	struct delivery *d = delivery_new(10, one);

	cr_expect(push(d, LANE_REPORT, "a"));
	send_next(d, "a", 1);
	cr_expect(push(d, LANE_REPORT, "b"));
	cr_expect_eq(delivery_bytes(d), 2 * one);
	expect_acked(d, 1, "a");
	cr_expect_eq(delivery_bytes(d), one);
	delivery_free(d);
}

static void push_until(struct delivery *d, const char *topic, int64_t expires_ms)
{
	struct message m = { .topic = mem_strdup(topic) };
	struct parcel *p = delivery_push(d, LANE_EXCHANGE, &m, NULL);

	cr_assert(p);
	delivery_expire_at(d, p, expires_ms);
}

static void expect_expired(struct delivery *d, int64_t now_ms, const char *topic)
{
	struct parcel p;

	cr_assert(delivery_expired(d, now_ms, &p));
	cr_expect_str_eq(p.message.topic, topic);
	message_fini(&p.message);
}

Test(delivery, what_has_waited_too_long_is_taken_out)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	cr_expect_eq(delivery_next_expiry(d), INT64_MAX);
	push(d, LANE_REPORT, "report");
	push_until(d, "late", 200);
	push_until(d, "early", 100);
	push(d, LANE_EXCHANGE, "reply");
	cr_expect_eq(delivery_next_expiry(d), 100);
	cr_expect_not(delivery_expired(d, 99, &p));
	expect_expired(d, 100, "early");
	cr_expect_not(delivery_expired(d, 100, &p));
	cr_expect_eq(delivery_next_expiry(d), 200);
	expect_expired(d, 900, "late");
	cr_expect_not(delivery_expired(d, 900, &p));
	cr_expect_eq(delivery_next_expiry(d), INT64_MAX);
	send_next(d, "reply", 1);
	send_next(d, "report", 2);
	delivery_free(d);
}

Test(delivery, what_is_in_flight_expires_only_if_it_has_to_wait_again)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	push_until(d, "order", 100);
	send_next(d, "order", 1);
	cr_expect_not(delivery_expired(d, 100, &p));
	cr_expect_eq(delivery_next_expiry(d), INT64_MAX);
	delivery_reset(d);
	cr_expect_eq(delivery_next_expiry(d), 100);
	expect_expired(d, 100, "order");
	delivery_free(d);
}

Test(delivery, refused_message_stays_the_callers)
{
	struct delivery *d = delivery_new(10, 1);
	struct message m = { .topic = mem_strdup("a") };

	cr_expect_not(delivery_push(d, LANE_REPORT, &m, NULL));
	cr_expect_str_eq(m.topic, "a");
	message_fini(&m);
	delivery_free(d);
}

Test(delivery, the_echo_number_is_kept)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	delivery_next(d)->echo = 42;
	delivery_sent(d, 1);
	delivery_reset(d);
	cr_expect_eq(delivery_next(d)->echo, 42);
	delivery_sent(d, 2);
	cr_expect_eq(delivery_next(d)->echo, 0);
	cr_assert(delivery_acked(d, 2, &p));
	cr_expect_eq(p.echo, 42);
	message_fini(&p.message);
	delivery_free(d);
}

Test(delivery, backlog_larger_than_the_spare_nodes_drains)
{
	enum { N = 5000 };
	struct delivery *d = delivery_new(100, SIZE_MAX);
	int sent = 0, acked = 0;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++)
			cr_assert(push(d, i % 3 ? LANE_REPORT : LANE_EXCHANGE, "t"));
		while (delivery_waiting(d) + delivery_in_flight(d) > 0) {
			while (delivery_next(d))
				delivery_sent(d, ++sent);
			expect_acked(d, ++acked, "t");
		}
	}
	cr_expect_eq(acked, 2 * N);
	cr_expect_eq(delivery_bytes(d), 0);
	delivery_free(d);
}

/* --- what waits for too long */

static void push_since(struct delivery *d, enum lane lane, const char *topic, int64_t since_ms)
{
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };

	delivery_push(d, lane, &m, (void *)topic)->since_ms = since_ms;
}

Test(delivery, what_waits_for_too_long_is_taken_out_oldest_first)
{
	struct delivery *d = delivery_new(10, PLENTY);
	static const char *const want[] = { "b", "a", "c" };
	struct parcel p;

	cr_expect_eq(delivery_oldest(d), INT64_MAX);
	push_since(d, LANE_REPORT, "sent", 5);
	send_next(d, "sent", 1);
	push_since(d, LANE_REPORT, "a", 20);
	push_since(d, LANE_EXCHANGE, "b", 10);
	push_since(d, LANE_EXCHANGE, "c", 30);
	push_since(d, LANE_REPORT, "d", 40);
	cr_expect_eq(delivery_oldest(d), 10);
	cr_expect_not(delivery_pop_old(d, 9, &p));
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		cr_assert(delivery_pop_old(d, 30, &p));
		cr_expect_str_eq(p.message.topic, want[i]);
		message_fini(&p.message);
	}
	cr_expect_not(delivery_pop_old(d, 30, &p));
	delivery_reset(d); /* was in flight: it waits again */
	cr_assert(delivery_pop_old(d, 30, &p));
	cr_expect_str_eq(p.message.topic, "sent");
	message_fini(&p.message);
	cr_expect_eq(delivery_waiting(d), 1);
	delivery_free(d);
}

Test(delivery, one_is_let_pass_and_all_keep_their_place)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel *first;
	uint64_t second;

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	push(d, LANE_REPORT, "c");
	first = delivery_next(d);
	second = delivery_other(d, first, 0)->number;
	cr_expect_lt(first->number, second);
	cr_expect_str_eq(delivery_other(d, first, 0)->message.topic, "b");
	cr_expect_str_eq(delivery_other(d, first, 1)->message.topic, "c");
	cr_expect_str_eq(delivery_other(d, first, 9)->message.topic, "c", "the last there is");
	cr_expect_eq(delivery_find(d, second)->number, second);
	cr_expect_null(delivery_find(d, second + 9));
	cr_expect_eq(delivery_first_in_flight(d), 0);
	delivery_offer(d, delivery_find(d, second));
	delivery_sent(d, 1);
	cr_expect_eq(delivery_first_in_flight(d), second);
	cr_expect_null(delivery_find(d, second), "it does not wait");
	delivery_reset(d);
	send_next(d, "a", 2);
	send_next(d, "b", 3);
	send_next(d, "c", 4);
	delivery_free(d);
}

Test(delivery, there_is_no_other_than_what_will_be_acknowledged)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct message m = { .topic = mem_strdup("qos 0") };

	push(d, LANE_REPORT, "a");
	delivery_push(d, LANE_REPORT, &m, NULL);
	cr_expect_null(delivery_other(d, delivery_next(d), 0));
	delivery_free(d);
}

Test(delivery, the_window_may_change)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	push(d, LANE_REPORT, "c");
	send_next(d, "a", 1);
	send_next(d, "b", 2);
	delivery_set_window(d, 1);
	cr_expect_null(delivery_next(d));
	expect_acked(d, 1, "a");
	cr_expect_null(delivery_next(d));
	delivery_set_window(d, 2);
	send_next(d, "c", 3);
	delivery_free(d);
}

static void note_order(void *ctx, struct parcel *p)
{
	*(unsigned *)ctx = *(unsigned *)ctx * 10 + p->order;
}

Test(delivery, all_that_waits_or_is_in_flight_can_be_looked_at)
{
	struct delivery *d = delivery_new(10, 1000);
	unsigned waiting = 0, in_flight = 0;

	for (unsigned i = 1; i <= 4; i++) {
		struct message m = { .topic = mem_strdup("t") };

		delivery_push(d, i == 4 ? LANE_EXCHANGE : LANE_REPORT, &m, NULL)->order = i;
		if (i <= 2)
			delivery_sent(d, (int)i);
	}
	delivery_each(d, true, note_order, &in_flight);
	delivery_each(d, false, note_order, &waiting);
	cr_expect_eq(in_flight, 12);
	cr_expect_eq(waiting, 43);
	delivery_free(d);
}

Test(delivery, what_is_passed_over_is_counted)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	push(d, LANE_REPORT, "c");
	push(d, LANE_REPORT, "d");
	cr_expect_not(delivery_is_skipped(d));
	for (int i = 1; i <= 3; i++) {
		send_next(d, "a", 1);
		send_next(d, i == 1 ? "b" : i == 2 ? "c" : "d", 2);
		cr_expect_not(delivery_is_skipped(d));
		expect_acked(d, 2, i == 1 ? "b" : i == 2 ? "c" : "d");
		cr_expect(delivery_is_skipped(d));
		cr_expect_not(delivery_pop_skipped(d, 3, &p));
		delivery_count_skipped(d);
		if (i < 3)
			delivery_reset(d);
	}
	cr_assert(delivery_pop_skipped(d, 3, &p));
	cr_expect_str_eq(p.message.topic, "a");
	message_fini(&p.message);
	cr_expect_eq(delivery_in_flight(d), 0);
	delivery_free(d);
}

Test(delivery, what_is_refused_waits_where_it_was)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	push(d, LANE_REPORT, "c");
	send_next(d, "a", 1);
	send_next(d, "b", 2);
	cr_expect(delivery_is_first(d, 1));
	cr_expect_not(delivery_is_first(d, 2));
	cr_expect_null(delivery_refused(d, 9, 0));
	cr_assert_not_null(delivery_refused(d, 2, 0));
	cr_assert_not_null(delivery_refused(d, 1, 0));
	cr_expect_eq(delivery_in_flight(d), 0);
	send_next(d, "a", 3);
	send_next(d, "b", 4);
	send_next(d, "c", 5);
	delivery_free(d);
}

Test(delivery, or_aside_while_others_pass)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p;

	push(d, LANE_REPORT, "a");
	push(d, LANE_REPORT, "b");
	cr_expect_eq(delivery_aside_ms(d), INT64_MAX);
	send_next(d, "a", 1);
	cr_assert_eq(delivery_refused(d, 1, 500)->n_refused, 1);
	cr_expect_eq(delivery_aside_ms(d), 500);
	cr_expect_eq(delivery_waiting(d), 2);
	delivery_take_up(d, 499);
	send_next(d, "b", 2);
	cr_expect_not(delivery_is_ready(d));
	push(d, LANE_REPORT, "c");
	cr_expect(delivery_is_ready(d));
	delivery_reset(d);
	delivery_take_up(d, 500);
	cr_expect_eq(delivery_aside_ms(d), INT64_MAX);
	cr_expect_eq(delivery_waiting(d), 3);
	send_next(d, "a", 3);
	send_next(d, "b", 4);
	delivery_refused(d, 4, 900);
	cr_assert(delivery_pop(d, &p));
	cr_expect_str_eq(p.message.topic, "c");
	message_fini(&p.message);
	cr_assert(delivery_pop(d, &p), "what is aside goes last");
	cr_expect_str_eq(p.message.topic, "b");
	message_fini(&p.message);
	cr_expect_not(delivery_pop(d, &p));
	delivery_free(d);
}

static struct parcel *push_for(struct delivery *d, enum kind kind, const char *device,
			       const char *topic)
{
	struct message m = { .topic = mem_strdup(topic), .qos = 1 };
	struct parcel *p = delivery_push(d, LANE_EXCHANGE, &m, (void *)topic);

	p->kind = kind;
	p->device = mem_strdup(device);
	return p;
}

Test(delivery, older_ones_of_the_same_kind_and_device_can_be_taken_out)
{
	struct delivery *d = delivery_new(10, PLENTY);
	struct parcel p, newer;

	push_for(d, KIND_CONFIG, "d", "1");
	push_for(d, KIND_CONFIG, "e", "2");
	push_for(d, KIND_PRESENCE, "d", "3");
	push_for(d, KIND_CONFIG, "d", "4");
	push_for(d, KIND_CONFIG, "d", "5");
	push_for(d, KIND_CONFIG, "d", "6");
	for (int mid = 1; mid <= 5; mid++)
		delivery_sent(d, mid);
	delivery_refused(d, 1, 500);
	delivery_refused(d, 2, 0);
	delivery_refused(d, 3, 0);
	delivery_refused(d, 4, 0);
	cr_assert(delivery_acked(d, 5, &newer));
	cr_assert(delivery_pop_older(d, &newer, &p));
	cr_expect_str_eq(p.message.topic, "1");
	parcel_fini(&p);
	cr_assert(delivery_pop_older(d, &newer, &p));
	cr_expect_str_eq(p.message.topic, "4");
	parcel_fini(&p);
	cr_expect_not(delivery_pop_older(d, &newer, &p));
	cr_expect_eq(delivery_waiting(d), 3);
	parcel_fini(&newer);
	delivery_free(d);
}

Test(delivery, a_newer_state_is_no_other)
{
	struct delivery *d = delivery_new(10, PLENTY);

	push_for(d, KIND_CONFIG, "d", "1")->is_state = true;
	push_for(d, KIND_CONFIG, "d", "2")->is_state = true;
	cr_expect_null(delivery_other(d, delivery_next(d), 0));
	push_for(d, KIND_CONFIG, "e", "3")->is_state = true;
	cr_expect_str_eq(delivery_other(d, delivery_next(d), 0)->message.topic, "3");
	delivery_free(d);
}

/* --- what waits elsewhere */

static enum delivery_sift but_b(void *ctx, const struct parcel *first, unsigned n, size_t bytes)
{
	struct buf *seen = ctx;

	cr_expect_gt(bytes, 0);
	buf_printf(seen, "%s%u ", first->message.topic, n);
	return *first->message.topic == 'b'   ? DELIVERY_KEEP
	       : *first->message.topic == 'e' ? DELIVERY_STOP
					      : DELIVERY_TAKE;
}

static void take_note(void *ctx, const struct parcel *p)
{
	buf_printf(ctx, "-%s ", p->message.topic);
}

Test(delivery, what_is_taken_out_comes_back_to_its_place_and_nothing_passes_it)
{
	struct delivery *d = delivery_new(10, 1000);
	struct buf seen = { 0 };
	const struct delivery_sifter s = { but_b, take_note, &seen };
	struct message m = { .topic = mem_strdup("c"), .qos = 1 };

	for (const char *t = "a\0b\0c\0d\0e\0f\0"; *t; t += 2)
		cr_assert(push(d, LANE_REPORT, t));
	cr_expect_not(delivery_sift(d, LANE_REPORT, 1, &s), "stopped");
	cr_expect_str_eq(seen.data, "b1 c1 -c d1 -d e1 ");
	delivery_bar(d, LANE_REPORT, 3); /* the number of c */
	cr_expect_eq(delivery_waiting(d), 4);
	cr_expect_eq(delivery_n_ready(d, 10), 2);
	cr_expect_eq(delivery_n_ready(d, 1), 1);
	send_next(d, "a", 1);
	send_next(d, "b", 2);
	cr_expect_null(delivery_next(d), "c comes before e");
	cr_expect_not(delivery_is_ready(d));
	delivery_put_back(d, delivery_push(d, LANE_REPORT, &m, NULL), 3);
	cr_expect_null(delivery_next(d));
	delivery_bar(d, LANE_REPORT, 4);
	send_next(d, "c", 3);
	cr_expect_null(delivery_next(d));
	delivery_bar(d, LANE_REPORT, UINT64_MAX);
	send_next(d, "e", 4);
	send_next(d, "f", 5);
	delivery_reset(d); /* what was sent stays */
	buf_reset(&seen);
	cr_expect(delivery_sift(d, LANE_REPORT, 0, &s));
	cr_expect_str_eq(buf_str(&seen), "");
	delivery_free(d);
	buf_fini(&seen);
}
