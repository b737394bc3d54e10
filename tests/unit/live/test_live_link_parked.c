/* Devices with a session of their own in the north that cannot be reached: what waits for them is on the disk. */
#include <criterion/criterion.h>

#include "delivery/delivery.h"
#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "plan/plan.h"
#include "live/live_link.h"
#include "live/suspects.h"
#include "state/change.h"
#include "store/deadletter.h"
#include "store/journal.h"
#include "unit/live/parked_bridge.h"

TestSuite(live_link_parked, .init = set_up, .fini = tear_down);

Test(live_link_parked, it_is_on_the_disk_and_comes_back_in_order_before_anything_newer)
{
	int next;

	start("");
	report("x", 1, 300);
	cr_expect_eq(live_link_on_disk(port("x")), 300 - KEPT);
	cr_expect_eq(delivery_waiting(port("x")->delivery), KEPT);
	cr_expect_lt(link_pending_bytes(live->link, FLOW_UP), 200 * KEPT);
	cr_expect_eq(journal_live_messages(parts.journal), 300);
	cr_expect_eq(up()->pending, 300);
	cr_expect_eq(up()->received, 300);
	know("x");
	next = expect_all("x", 1, 60);
	cr_expect_gt(live_link_on_disk(port("x")), 100);
	cr_expect_leq(delivery_waiting(port("x")->delivery) +
			      delivery_in_flight(port("x")->delivery),
		      2 * 64, "in pieces");
	report("x", 301, 400);
	buf_reset(&said);
	ends("north/x", SESSION_END_LOST); /* what was sent goes again */
	comes("north/x");
	expect_all("x", next, 400);
	cr_expect_eq(up()->resumed, 0);
	cr_expect_eq(up()->received, 400);
	cr_expect_eq(up()->delivered, 400);
	cr_expect_eq(live_link_disk_due_ms(port("x"), now_ms), INT64_MAX);
	expect_nothing_left();
}

Test(live_link_parked, each_device_has_its_own)
{
	start("");
	for (int i = 0; i < 40; i++) {
		report("x", i, i);
		report("y", i, i);
	}
	cr_expect_eq(live_link_on_disk(port("x")), 40 - KEPT);
	know("y");
	expect_all("y", 0, 39);
	cr_expect_eq(up()->pending, 40);
	know("x");
	expect_all("x", 0, 39);
	expect_nothing_left();
}

Test(live_link_parked, a_restart_leaves_it_there)
{
	int next;

	start("");
	report("x", 1, 100);
	restart();
	cr_expect_eq(live_link_on_disk(port("x")), 100, "all of it");
	cr_expect_eq(link_pending_bytes(live->link, FLOW_UP), 0);
	cr_expect_eq(up()->resumed, 100);
	cr_expect_eq(up()->pending, 100);
	cr_expect_eq(journal_live_messages(parts.journal), 100);
	report("x", 101, 120);
	know("x");
	next = expect_all("x", 1, 50);
	turns(2);
	restart(); /* in the midst of it */
	cr_expect_gt(live_link_on_disk(port("x")), 10);
	expect_all("x", next, 120);
	expect_nothing_left();
}

Test(live_link_parked, the_oldest_falls_out_wherever_it_is)
{
	start("waiting = { messages = 20; };");
	report("x", 1, 50);
	cr_expect_eq(up()->by[DEAD_PARKED_FULL], 30);
	cr_expect_eq(up()->pending, 20);
	cr_expect_eq(live_link_waiting(port("x")), 20);
	turns(3);
	cr_expect_eq(journal_live_messages(parts.journal), 20);
	know("x");
	expect_all("x", 31, 50);
	expect_nothing_left();
}

Test(live_link_parked, what_has_fallen_out_does_not_come_back_with_a_restart)
{
	start("waiting = { messages = 20; };");
	report("x", 1, 50);
	restart();
	cr_expect_eq(up()->resumed, 20);
	know("x");
	expect_all("x", 31, 50);
	expect_nothing_left();
}

/* There, it is counted of what it said that it was not sent. */
Test(live_link_parked, in_mirror_what_falls_out_is_read_once_more)
{
	start("waiting = { messages = 20; };");
	set_mode("x", FLEET_MIRROR);
	report("x", 1, 50);
	turns(3);
	cr_expect_eq(up()->by[DEAD_PARKED_FULL], 30);
	cr_expect_eq(up()->pending, 20);
	cr_expect_eq(up()->received, 50);
	know("x");
	expect_all("x", 31, 50);
	expect_nothing_left();
}

Test(live_link_parked, of_all_of_them_the_device_with_the_most_gives_its_oldest)
{
	start("");
	report("y", 1, 15);
	report("x", 1, 60);
	parts.most_parked_bytes = live->parked_bytes / 2;
	turns(4);
	cr_expect_leq(live->parked_bytes, parts.most_parked_bytes);
	cr_expect_gt(live->parked_bytes, parts.most_parked_bytes / 2);
	cr_expect_gt(up()->by[DEAD_PARKED_FULL], 30);
	know("x");
	expect_all("x", 1 + (int)up()->by[DEAD_PARKED_FULL], 60);
	know("y");
	expect_all("y", 1, 15);
	expect_nothing_left();
}

static size_t letters(const char *reason)
{
	struct err e = { 0 };
	uint64_t *ids;
	size_t n;

	cr_assert(deadletters_find(deadletter_live_stored(parts.letters),
				   &(struct deadletter_filter){ .reason = reason }, &ids, &n, &e));
	free(ids);
	return n;
}

Test(live_link_parked, what_gets_too_old_there_is_a_letter)
{
	start("waiting = { age = 60; };");
	report("x", 1, 100);
	cr_expect_leq(live_link_next_deadline(live), now_ms + 60000);
	now_ms += 60001;
	turns(12);
	cr_expect_eq(up()->by[DEAD_EXPIRED], 100);
	cr_expect_eq(letters("expired"), 100);
	expect_nothing_left();
}

Test(live_link_parked, what_is_cut_back_is_a_letter)
{
	start("drain = 60; ");
	report("x", 1, 100);
	set_mode("x", FLEET_OFF);
	turns(3);
	cr_expect_eq(up()->pending, 100);
	now_ms = loop_now_ms(parts.loop) + 61000;
	turns(12);
	cr_expect_eq(up()->by[DEAD_CUT_BACK], 100);
	cr_expect_eq(letters("cut-back"), 100);
	set_mode("x", FLEET_LIVE);
	know("x");
	report("x", 101, 120);
	cr_expect_null(strstr(buf_str(&said), "{\"a\":100}"));
	cr_expect(strstr(buf_str(&said), "{\"a\":101}"));
}

/* What is decided is not decided again. */
Test(live_link_parked, what_has_changed_the_state_comes_back_as_it_was_decided)
{
	const char *at;
	int n = 1;

	start("");
	for (int i = 1; i <= 30; i++) {
		char *payload = mem_printf("{'a':%d}", i);

		sends("south", i % 2 ? "s/x/a" : "s/x/t", payload);
		turns(2);
		free(payload);
	}
	settle_down();
	cr_expect_eq(live_link_on_disk(port("x")), 30 - KEPT);
	restart();
	cr_expect_eq(live_link_on_disk(port("x")), 30);
	know("x");
	turns(8);
	for (at = buf_str(&said); (at = strstr(at, "north/x me/")) != NULL; at++, n++)
		cr_expect_eq(atoi(at + strlen("north/x me/t {\"a\":")), n, "%d: %.30s", n, at);
	cr_expect_eq(n, 31);
	while (find("north/x")->acked_mid < find("north/x")->last_mid)
		takes("north/x");
	cr_expect_eq(up()->delivered, 30);
	expect_nothing_left();
}

/* It has no record in the journal until then. */
Test(live_link_parked, what_came_with_qos_0_is_there_too)
{
	struct carrier *c;
	char payload[20];

	start("");
	for (int i = 1; i <= 50; i++) {
		struct message m = { .topic = mem_strdup("s/x/t"), .qos = 0 };

		snprintf(payload, sizeof payload, "{\"a\":%d}", i);
		message_set_payload(&m, payload, strlen(payload));
		c = find("south");
		c->events->message(c->port, &m);
		message_fini(&m);
	}
	settle_down();
	cr_expect_eq(live_link_on_disk(port("x")), 50 - KEPT);
	cr_expect_eq(journal_live_messages(parts.journal), 50 - KEPT);
	know("x");
	expect_all("x", 1, 50);
	expect_nothing_left();
}

Test(live_link_parked, after_a_crash_nothing_comes_back_before_all_is_through)
{
	struct err e = { 0 };
	struct suspects *s;

	start("");
	report("x", 1, 30);
	parts.suspects = s = suspects_new(parts.db, w.dir, now_ms, &e);
	cr_assert(s, "%s", e.text);
	cr_expect_not(suspects_is_careful(s));
	know("x");
	expect_all("x", 1, 30);
	expect_nothing_left();
	parts.suspects = NULL;
	suspects_free(s);
}

/* Killed when they were durable, and nothing of the device was read yet. */
Test(live_link_parked, what_was_not_read_before_a_crash_is_kept_and_its_device_is_known)
{
	int n = 1;

	start("");
	sends("south", "s/x/a", "{'a':1}");
	for (int i = 2; i <= 30; i++) {
		char *payload = mem_printf("{'a':%d}", i);

		sends("south", "s/x/t", payload);
		free(payload);
	}
	bridge_hand_over();
	bridge_let_out();
	restart();
	cr_expect_eq(live_link_on_disk(port("x")), 30);
	cr_expect(fleet_find(live->link->fleet, "x"), "it is heard of");
	settle_down();
	know("x");
	turns(8);
	for (const char *at = buf_str(&said); (at = strstr(at, "north/x me/")) != NULL; at++, n++)
		cr_expect_eq(atoi(at + strlen("north/x me/t {\"a\":")), n, "%d: %.30s", n, at);
	cr_expect_eq(n, 31);
}

Test(live_link_parked, what_waits_for_a_device_that_is_forgotten_waits_on)
{
	struct changes c = { 0 };

	start("");
	know("x");
	turns(3);
	ends("north/x", SESSION_END_LOST);
	now_ms += 6000;
	report("x", 1, 50);
	fleet_forget(live->link->fleet, "x", &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	turns(10);
	know("x");
	turns(3);
	if (!find("north/x")->is_up)
		comes("north/x");
	expect_all("x", 1, 50);
	expect_nothing_left();
}
