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
#include "unit/live/small_bridge.h"

#define KEPT 8 /* in memory */

static struct generation *generation;
static struct live_link *live;

static void start_link(void)
{
	bridge_make_parts();
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
}

static void start(const char *keys)
{
	char *all = mem_printf("new = \"live\"; %s", keys);

	generation = bridge_generation_of(
		"link", all, NULL,
		SOUTHERN("",
			 "{ kind: 'telemetry', topic: 's/{device}/t' },"
			 "{ kind: 'attributes', topic: 's/{device}/a' },"
			 "{ kind: 'attributes_request', topic: 's/{device}/ask/{id}' },"
			 "{ kind: 'attributes_reply', topic: 's/{device}/told/{id}' }",
			 ""),
		NORTHERN("device: 'none', credentials: ['token'],"
			 "session: { username: '{token}', per: 'device' },",
			 "{ kind: 'telemetry', topic: 'me/t' },"
			 "{ kind: 'attributes', topic: 'me/a' }",
			 ""));
	free(all);
	start_link();
}

static void end_link(void)
{
	parts.is_closing = true;
	live_link_free(live);
	bridge_free_parts();
}

static void restart(void)
{
	end_link();
	buf_reset(&said);
	start_link();
}

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link_parked, .init = set_up, .fini = tear_down);

static void turn(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
}

static void turns(unsigned n)
{
	while (n-- > 0) {
		live_link_wake(live);
		turn();
	}
}

/* What has become durable is looked at a little later. */
static void settle_down(void)
{
	turns(2);
	now_ms += 200;
	turns(3);
}

/* {"a":FROM} to {"a":TO}, some at a time. */
static void report(const char *device, int from, int to)
{
	char *topic = mem_printf("s/%s/t", device);

	for (int i = from; i <= to; i++) {
		char *payload = mem_printf("{'a':%d}", i);

		sends("south", topic, payload);
		free(payload);
		if (i % 7 == 0)
			turn();
	}
	settle_down();
	free(topic);
}

/* Its credentials are known now. */
static void know(const char *device)
{
	struct link *l = live->link;

	fleet_name(l->fleet, device, FLEET_IMPORT, &l->changes);
	fleet_set_var(l->fleet, device, NORTH, "token", "secret", true, &l->changes);
	live_link_renew_device(live, device);
}

static void set_mode(const char *device, enum fleet_mode mode)
{
	struct changes c = { 0 };

	fleet_act_for(live->link->fleet, "ada", loop_now_ms(parts.loop));
	fleet_name(live->link->fleet, device, FLEET_IMPORT, &c);
	fleet_set_mode(live->link->fleet, device, mode, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

static struct port *port(const char *device)
{
	return live_link_find_port(live, NORTH, device, false);
}

static const struct link_counters *up(void)
{
	return live_link_counters(live, FLOW_UP);
}

/* What leaves for the device is {"a":FROM} to {"a":TO} and maybe more, in this order, and is taken.  The next one is
 * returned. */
static int expect_all_at(const char *device, int from, int to, int line)
{
	char *start = mem_printf("north/%s me/t {\"a\":", device);
	char *name = mem_printf("north/%s", device);
	const char *at;

	for (int i = 0; i < 400 && from <= to; i++) {
		turn();
		for (at = buf_str(&said); (at = strstr(at, start)) != NULL; at++) {
			cr_assert_eq(atoi(at + strlen(start)), from, "line %d: %.40s, not %d", line,
				     at, from);
			from++;
			takes_at(name, 0, line);
		}
		buf_reset(&said);
	}
	cr_expect_gt(from, to, "line %d: the next would be %d", line, from);
	free(start);
	free(name);
	return from;
}
#define expect_all(device, from, to) expect_all_at(device, from, to, __LINE__)

static void expect_nothing_left(void)
{
	turns(3);
	cr_expect_eq(live_link_journal_bytes(live), 0);
	cr_expect_eq(journal_live_messages(parts.journal), 0);
	cr_expect_eq(up()->pending, 0);
	cr_expect_eq(up()->received + up()->resumed, up()->delivered + up()->filtered + up()->dead);
}

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
