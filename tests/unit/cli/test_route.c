#include <criterion/criterion.h>

#include "cli/route.h"
#include "unit/dialects.h"

static struct world w;

static void set_up(void)
{
	world_init(&w);
}

static void tear_down(void)
{
	world_fini(&w);
}

TestSuite(route, .init = set_up, .fini = tear_down);

static void put_topic(struct buf *out, const struct row *row)
{
	if (row)
		topic_template_text(&row->topic, out);
	else
		buf_putc(out, '-');
}

static void expect_routes(const enum kind *remap, const char *wanted)
{
	struct buf got = { 0 };
	size_t n;
	struct route *list =
		route_list(&(struct wanted){ .side = { mapping_dialect(w.mapping[SOUTH]),
						       mapping_dialect(w.mapping[NORTH]) },
					     .remap = remap },
			   &n);

	for (size_t i = 0; i < n; i++) {
		buf_printf(&got, "%s ", kind_name(list[i].kind));
		put_topic(&got, list[i].from);
		buf_putc(&got, ' ');
		put_topic(&got, list[i].to);
		buf_putc(&got, '\n');
	}
	free(list);
	expect_text(buf_str(&got), wanted, "routes", 0);
	buf_fini(&got);
}

static void load(void)
{
	w.mapping[SOUTH] = world_load(&w, "s",
				      SOUTHERN("",
					       "{ kind: 'alarm', topic: 'alarm' },"
					       "{ kind: 'event', topic: 'e1' },"
					       "{ kind: 'event', topic: 'e2' },"
					       "{ kind: 'telemetry', topic: 't', only: 'write' },"
					       "{ kind: 'command', topic: 'do' },"
					       "{ kind: 'claim', topic: 'claim' }",
					       ""));
	w.mapping[NORTH] = world_load(&w, "n",
				      NORTHERN("",
					       "{ kind: 'event', topic: 'E', only: 'read' },"
					       "{ kind: 'event', topic: 'F' },"
					       "{ kind: 'command', topic: 'DO' },"
					       "{ kind: 'telemetry', topic: 'T' },"
					       "{ kind: 'config', topic: 'C' }",
					       ""));
}

Test(route, rows_that_are_read_join_the_first_that_writes)
{
	load();
	expect_routes(NULL, "event e1 F\nevent e2 F\ncommand DO do\n"
			    "alarm alarm -\nconfig C -\nclaim claim -\n");
}

Test(route, a_remapped_kind_joins_the_row_of_the_other)
{
	enum kind remap[KINDS];

	for (int k = 0; k < KINDS; k++)
		remap[k] = KIND_NONE;
	remap[KIND_ALARM] = KIND_TELEMETRY;
	load();
	expect_routes(remap, "event e1 F\nevent e2 F\nalarm alarm T\ncommand DO do\n"
			     "config C -\nclaim claim -\n");
}

Test(route, what_follows_a_login_comes_from_nobody)
{
	w.mapping[SOUTH] = world_load(&w, "s", SOUTHERN("", "{ kind: 'event', topic: 'e' }", ""));
	w.mapping[NORTH] = world_load(
		&w, "n",
		NORTHERN("on_connect: ['snapshot_request', 'hello'],",
			 "{ kind: 'hello', topic: 'H' },"
			 "{ kind: 'snapshot_request', topic: 'S' }", /* of what nobody takes */
			 ""));
	expect_routes(NULL, "hello - H\nevent e -\n");
}

static const char *fate(enum kind kind, bool is_heard)
{
	return route_fate(&(struct route){ .kind = kind, .is_heard = is_heard });
}

Test(route, only_who_asks_is_told)
{
	cr_expect_str_eq(fate(KIND_LIMITS, true), "taken by the bridge itself");
	cr_expect_str_eq(fate(KIND_TELEMETRY, true), "dead letter");
	cr_expect_str_eq(fate(KIND_LICENSE, true), "dead letter");
	cr_expect_str_eq(fate(KIND_CONFIG, true), "dead letter");
	/* An attributes_reply cannot say that it is none. */
	cr_expect_str_eq(fate(KIND_ATTRIBUTES_REQUEST, true),
			 "answered from the bridge's own state");
	cr_expect_str_eq(fate(KIND_COMMAND, true), "dead letter, and an error reply to the asker");
	cr_expect_str_eq(fate(KIND_PROVISION, true),
			 "dead letter, and an error reply to the asker");
	cr_expect_str_eq(fate(KIND_FIRMWARE_CHUNK, false), "not subscribed");
}
