/* parked_bridge.h -- for tests: a link whose devices have a session of their own in the north, each with what waits for
 * it, around unit/live/one_link.h. */
#ifndef TESTS_PARKED_BRIDGE_H
#define TESTS_PARKED_BRIDGE_H

#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "live/live_link.h"
#include "state/change.h"
#include "unit/live/one_link.h"

#define KEPT 8 /* in memory */

static inline void start(const char *keys)
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

static inline void restart(void)
{
	end_link();
	buf_reset(&said);
	start_link();
}

static inline void set_up(void)
{
	world_init(&w);
}

static inline void tear_down(void)
{
	end_link();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

static inline void turn(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
}

static inline void turns(unsigned n)
{
	while (n-- > 0) {
		live_link_wake(live);
		turn();
	}
}

/* What has become durable is looked at a little later. */
static inline void settle_down(void)
{
	turns(2);
	now_ms += 200;
	turns(3);
}

/* {"a":FROM} to {"a":TO}, some at a time. */
static inline void report(const char *device, int from, int to)
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
static inline void know(const char *device)
{
	struct link *l = live->link;

	fleet_name(l->fleet, device, FLEET_IMPORT, &l->changes);
	fleet_set_var(l->fleet, device, NORTH, "token", "secret", true, &l->changes);
	live_link_renew_device(live, device);
}

static inline void set_mode(const char *device, enum fleet_mode mode)
{
	struct changes c = { 0 };

	fleet_act_for(live->link->fleet, "ada", loop_now_ms(parts.loop));
	fleet_name(live->link->fleet, device, FLEET_IMPORT, &c);
	fleet_set_mode(live->link->fleet, device, mode, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

static inline struct port *port(const char *device)
{
	return live_link_find_port(live, NORTH, device, false);
}

static inline const struct link_counters *up(void)
{
	return live_link_counters(live, FLOW_UP);
}

/* What leaves for the device is {"a":FROM} to {"a":TO} and maybe more, in this order, and is taken.  The next one is
 * returned. */
static inline int expect_all_at(const char *device, int from, int to, int line)
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

static inline void expect_nothing_left(void)
{
	turns(3);
	cr_expect_eq(live_link_journal_bytes(live), 0);
	cr_expect_eq(journal_live_messages(parts.journal), 0);
	cr_expect_eq(up()->pending, 0);
	cr_expect_eq(up()->received + up()->resumed, up()->delivered + up()->filtered + up()->dead);
}

#endif
