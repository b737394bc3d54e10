/* What devices say is compared with what the north has acknowledged, while one of them is in mirror. */
#include <criterion/criterion.h>

#include "fleet/fleet.h"
#include "link/link_inside.h"
#include "live/live_link.h"
#include "message/outcome.h"
#include "state/change.h"
#include "fleet/compare.h"
#include "unit/live/one_link.h"

static void start(const char *keys, const char *south, const char *north)
{
	generation = bridge_generation_of("link", keys, NULL, south, north);
	start_link();
	buf_reset(&said);
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

TestSuite(live_link_compare, .init = set_up, .fini = tear_down);

static void restart(void)
{
	end_link();
	start_link();
	buf_reset(&said);
}

static void turn(void)
{
	live_link_tick(live, now_ms);
	generation_run(generation);
	bridge_hand_over();
	bridge_let_out();
}

/* It comes in, goes out and is acknowledged. */
static void says(const char *topic, const char *payload)
{
	sends("south", topic, payload);
	turn();
	takes("north");
	turn();
	buf_reset(&said);
}

/* The same, where nothing goes out. */
static void says_in_vain(const char *topic, const char *payload)
{
	sends("south", topic, payload);
	turn();
	turn();
	buf_reset(&said);
}

static void set_mode(const char *device, enum fleet_mode mode)
{
	struct changes c = { 0 };

	fleet_act_for(live->link->fleet, "ada", now_ms);
	fleet_set_mode(live->link->fleet, device, mode, &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
}

/* "a telemetry 2/3 mapping": of 3 that were read 2 are acknowledged. */
static void put_key(const struct compare_key *k, struct buf *out)
{
	buf_printf(out, "%s %s %d/%d%s%s\n", k->name,
		   k->kind == KIND_NONE ? "payload" : kind_name(k->kind), (int)k->acked,
		   (int)(k->acked + k->dropped), *k->why ? " " : "", k->why);
}

static void expect_keys_at(const char *device, const char *wanted, int line)
{
	const struct compare_device *d = compares_find(live_link_compares(live), device);
	struct buf text = { 0 };

	for (size_t i = 0; d && i < d->n_keys; i++)
		put_key(&d->keys[i], &text);
	expect_text(buf_str(&text), wanted, device, line);
	buf_fini(&text);
}
#define expect_keys(device, wanted) expect_keys_at(device, wanted, __LINE__)

#define SOUTH_VALUES                                                                               \
	SOUTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 's/{device}/t' },"                                   \
		 "{ kind: 'attributes', topic: 's/{device}/a' }",                                  \
		 "")
#define NORTH_VALUES                                                                               \
	NORTHERN("",                                                                               \
		 "{ kind: 'telemetry', topic: 'n/{device}/t' },"                                   \
		 "{ kind: 'attributes', topic: 'n/{device}/a' }",                                  \
		 "")

Test(live_link_compare, what_is_read_and_acknowledged_is_counted)
{
	const struct compare_device *d;

	start("mode = \"mirror\";", SOUTH_VALUES, NORTH_VALUES);
	says("s/d/t", "{'temp':21.5,'on':true}");
	says("s/d/t", "{'temp':22}");
	says("s/d/a", "{'fw':'1.2','token':'abc'}");
	expect_keys("d", "temp telemetry 2/2\non telemetry 1/1\nfw attributes 1/1\n"
			 "token attributes 1/1\n");
	d = compares_find(live_link_compares(live), "d");
	cr_expect_str_eq(buf_str(&d->keys[0].ack.text), "22");
	cr_expect_str_eq(buf_str(&d->keys[2].read.text), "\"1.2\"");
	cr_expect_eq(d->keys[3].read.text.len, 0, "a secret's value is not kept");
	cr_expect_neq(d->keys[3].read.hash, 0);
	sends("south", "s/d/t", "{'temp':23}");
	turn();
	expect_keys("d", "temp telemetry 2/2\non telemetry 1/1\nfw attributes 1/1\n"
			 "token attributes 1/1\n");
	takes("north");
	turn();
}

Test(live_link_compare, nothing_is_counted_while_no_device_is_in_mirror_and_then_of_all_that_pass)
{
	start("", SOUTH_VALUES, NORTH_VALUES);
	says("s/d/t", "{'a':1}");
	says("s/e/t", "{'a':1}");
	says("s/f/t", "{'a':1}");
	expect_keys("d", "");
	set_mode("d", FLEET_MIRROR);
	set_mode("f", FLEET_OFF);
	says("s/d/t", "{'a':2}");
	says("s/e/t", "{'a':2}");
	says_in_vain("s/f/t", "{'a':2}");
	expect_keys("d", "a telemetry 1/1\n");
	expect_keys("e", "a telemetry 1/1\n");
	expect_keys("f", "");
	set_mode("d", FLEET_LIVE);
	says("s/d/t", "{'a':3}");
	expect_keys("d", "a telemetry 1/1\n");
	now_ms += 1000;
	set_mode("d", FLEET_MIRROR); /* it begins anew */
	expect_keys("d", "");
}

Test(live_link_compare, what_is_forgotten_is_forgotten_with_what_it_said)
{
	struct changes c = { 0 };

	start("", SOUTH_VALUES, NORTH_VALUES);
	says("s/d/t", "{'a':1}");
	says("s/e/t", "{'a':1}");
	set_mode("d", FLEET_MIRROR);
	says("s/d/t", "{'a':2}");
	says("s/e/t", "{'a':2}");
	now_ms += COMPARE_WRITE_MS + 1000;
	turn();
	turn();
	fleet_forget(live->link->fleet, "e", &c);
	live_link_fleet_changed(live, &c);
	changes_fini(&c);
	turn();
	turn();
	expect_keys("d", "a telemetry 1/1\n");
	expect_keys("e", "");
	restart();
	expect_keys("d", "a telemetry 1/1\n");
	expect_keys("e", "");
}

Test(live_link_compare, what_a_mapping_drops_on_the_way_in_or_out_is_told)
{
	start("mode = \"mirror\";",
	      SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t', read: 'r' }",
		       "def r: {body: (.payload.v | del(.hum) | .far = .near | del(.near))};"),
	      NORTHERN("", "{ kind: 'telemetry', topic: 'n/{device}/t', write: 'w' }",
		       "def w: {t: .body.temp, values: (.body | del(.temp, .press))};"));
	says("s/d/t", "{'ver':'1.0','v':{'temp':21.5,'hum':40,'press':990,'near':7}}");
	expect_keys("d", "temp telemetry 1/1\npress telemetry 0/1 mapping\nfar telemetry 1/1\n"
			 "hum payload 0/1 mapping or through\n");
}

Test(live_link_compare, of_a_payload_with_thousands_of_fields_some_are_looked_at)
{
	const struct compare_device *d;
	struct buf payload = { 0 };

	start("mode = \"mirror\";",
	      SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t', read: 'r' }",
		       "def r: {body: {temp: .payload.temp}};"),
	      NORTH_VALUES);
	buf_puts(&payload, "{'temp':1");
	for (int i = 0; i < 5000; i++)
		buf_printf(&payload, ",'field%d':%d", i, 100000 + i);
	buf_putc(&payload, '}');
	says("s/d/t", buf_str(&payload));
	d = compares_find(live_link_compares(live), "d");
	cr_assert_not_null(d);
	cr_expect_str_eq(d->keys[0].name, "temp");
	cr_expect_eq(d->n_keys, COMPARE_KEYS_MAX);
	cr_expect(d->left_out > 0 && d->left_out < 256, "%d", (int)d->left_out);
	buf_fini(&payload);
}

Test(live_link_compare, a_message_of_which_nothing_is_made_is_told_by_its_fields)
{
	start("mode = \"mirror\";",
	      SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}/t', read: 'r' }",
		       "def r: select(.payload.temp) | {body: .payload};"),
	      NORTH_VALUES);
	says("s/d/t", "{'temp':1}");
	says_in_vain("s/d/t", "{'heat':2}");
	expect_keys("d", "temp telemetry 1/1\nheat payload 0/1 mapping or through\n");
}

Test(live_link_compare, what_is_too_large_is_told)
{
	start("mode = \"mirror\";", SOUTH_VALUES,
	      NORTHERN("limits: { payload_bytes: 20 },",
		       "{ kind: 'telemetry', topic: 'n/{device}/t' }", ""));
	says("s/d/t", "{'a':1}");
	says_in_vain("s/d/t", "{'a':'0123456789012345'}");
	cr_expect_eq(live_link_counters(live, FLOW_UP)->by[DEAD_TOO_LARGE], 1);
	expect_keys("d", "a telemetry 1/1\na payload 0/1 too-large\n");
}

Test(live_link_compare, a_restart_goes_on_with_what_was_written_and_counts_nothing_twice)
{
	start("mode = \"mirror\";", SOUTH_VALUES, NORTH_VALUES);
	says("s/d/t", "{'a':1}");
	now_ms += COMPARE_WRITE_MS + 1000;
	turn();
	turn();
	sends("south", "s/d/t", "{'a':2}"); /* not acknowledged by then */
	turn();
	restart();
	expect_keys("d", "a telemetry 1/1\n");
	turn();
	takes("north");
	turn();
	expect_keys("d", "a telemetry 2/2\n");
}

#define NORTH_ASKED                                                                                \
	NORTHERN("",                                                                               \
		 "{ kind: 'attributes', topic: 'n/{device}/a' },"                                  \
		 "{ kind: 'config', topic: 'n/{device}/c' },"                                      \
		 "{ kind: 'snapshot_request', topic: 'n/{device}/snap/{id}', id: 'integer' },"     \
		 "{ kind: 'attributes_request', topic: 'n/{device}/get/{id}', id: 'integer' },"    \
		 "{ kind: 'attributes_reply', topic: 'n/{device}/got/{id}', id: 'integer' }",      \
		 "")
#define SOUTH_SET                                                                                  \
	SOUTHERN("",                                                                               \
		 "{ kind: 'attributes', topic: 's/{device}/a' },"                                  \
		 "{ kind: 'config', topic: 's/{device}/c' }",                                      \
		 "")

Test(live_link_compare, attributes_are_read_back_from_the_platform)
{
	const struct compare_device *d;

	start("mode = \"mirror\";", SOUTH_SET, NORTH_ASKED);
	says("s/d/a", "{'fw':'1.2','rate':5,'unit':'C'}");
	cr_assert_null(live_link_read_back(live, "d"));
	turn();
	expect("north n/d/get/1 {\"client\":[\"fw\",\"rate\",\"unit\"]}\n");
	takes("north");
	sends("north", "n/d/got/1", "{'client':{'fw':'1.2','rate':6}}");
	turn();
	d = compares_find(live_link_compares(live), "d");
	cr_expect_neq(d->answered_ms, 0);
	cr_expect_eq(d->keys[0].there, COMPARE_SAME);
	cr_expect_eq(d->keys[1].there, COMPARE_DIFFERS);
	cr_expect_eq(d->keys[2].there, COMPARE_MISSING);
	expect("north acks 1\n");
	cr_expect_eq(live_link_counters(live, FLOW_DOWN)->dead, 0);
}

Test(live_link_compare, a_north_that_cannot_be_asked_is_not)
{
	start("mode = \"mirror\";", SOUTH_VALUES, NORTH_VALUES);
	says("s/d/a", "{'fw':'1.2'}");
	cr_expect_str_eq(live_link_read_back(live, "d"),
			 "the north cannot be asked for attributes on this link");
	turn();
	expect("");
}
