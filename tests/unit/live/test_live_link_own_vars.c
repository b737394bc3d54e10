/* Variables that devices have of their own, as functions of mappings see them. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "live/live_link.h"
#include "unit/live/small_bridge.h"

static struct generation *generation;
static struct live_link *live;

static void set_var(const char *device, enum side side, const char *name, const char *value,
		    bool is_secret)
{
	struct changes c = { 0 };

	fleet_name(live->link->fleet, device, FLEET_IMPORT, &c);
	fleet_set_var(live->link->fleet, device, side, name, value, is_secret, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

static void start(const char *south, const char *north)
{
	generation = bridge_generation("link", NULL, south, north);
	bridge_make_parts();
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
	buf_reset(&said);
}

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	parts.is_closing = true;
	live_link_free(live);
	bridge_free_parts();
	generation_free(generation);
	buf_fini(&said);
	world_fini(&w);
}

TestSuite(live_link_own_vars, .init = set_up, .fini = tear_down);

static void turn_at(const char *wanted, int line)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
	expect_said_at(wanted, line);
}
#define turn(wanted) turn_at(wanted, __LINE__)

#define SOUTH_OF_MANY                                                                              \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'alarm', topic: 's/{device}/l' }",                                       \
		 "")
#define NORTH_WITH_SITES                                                                           \
	NORTHERN("vars: {site: 'none'}, credentials: ['pin'],",                                    \
		 "{ kind: 'telemetry', topic: 'n/{device}/t', write: 'w' },"                       \
		 "{ kind: 'alarm', topic: 'n/{device}/l', write: 'w' }",                           \
		 "def w: [.to.site, .to.pin, .to.floor];")

Test(live_link_own_vars, a_function_sees_what_the_device_has_before_what_its_side_has)
{
	start(SOUTH_OF_MANY, NORTH_WITH_SITES);
	set_var("d", NORTH, "site", "\"hall\"", false);
	set_var("e", NORTH, "floor", "3", false);
	sends("south", "s/d/t", "{}");
	sends("south", "s/e/t", "{}");
	sends("south", "s/f/t", "{}");
	sends("south", "s/d/l", "{'active':true}"); /* written by a job of its own */
	turn("south acks 4\nnorth n/d/t [\"\\\"hall\\\"\",null,null]\n"
	     "north n/d/l [\"\\\"hall\\\"\",null,null]\nnorth n/e/t [\"none\",null,\"3\"]\n"
	     "north n/f/t [\"none\",null,null]\n");
	set_var("d", NORTH, "site", "", false);
	sends("south", "s/d/t", "{}");
	turn("south acks 1\nnorth n/d/t [\"none\",null,null]\n");
}

Test(live_link_own_vars, no_function_sees_a_credential_of_a_device_nor_what_the_other_side_calls_it)
{
	start(SOUTH_OF_MANY, NORTH_WITH_SITES);
	set_var("d", NORTH, "pin", "1234", true);
	set_var("d", SOUTH, "site", "south", false);
	sends("south", "s/d/t", "{}");
	turn("south acks 1\nnorth n/d/t [\"none\",null,null]\n");
}

/* Whose it is only its payload says; what names no device is about the one that is called like the link. */
Test(live_link_own_vars, it_is_the_device_that_the_payload_names)
{
	start(SOUTHERN("device: 'payload',", "{ kind: 'telemetry', topic: 's/t', read: 'r' }",
		       "def r: .payload[] | {device: ., body: {}};"),
	      NORTH_WITH_SITES);
	set_var("link", NORTH, "site", "gateway", false);
	set_var("d", NORTH, "site", "hall", false);
	sends("south", "s/t", "['d','link']");
	turn("south acks 1\nnorth n/link/t [\"gateway\",null,null]\nnorth n/d/t "
	     "[\"hall\",null,null]\n");
}
