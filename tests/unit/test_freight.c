#include <criterion/criterion.h>

#include "core/freight.h"
#include "core/translate_inside.h"
#include "dialects.h"

static struct world w;
static struct buf bytes;

static void set_up(void)
{
	world_init(&w);
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""));
}

static void tear_down(void)
{
	buf_fini(&bytes);
	world_fini(&w);
}

TestSuite(freight, .init = set_up, .fini = tear_down);

static struct unpack packed(size_t n)
{
	return (struct unpack){ .p = bytes.data, .left = n };
}

static void make_message(struct message *m)
{
	*m = (struct message){ .topic = mem_strdup("s/d"), .qos = 1, .retain = true };
	message_set_payload(m, "a\0b", 3);
	vars_add(&m->properties, "k", "v");
	vars_add(&m->properties, "k", "w");
}

static void pack_read(void)
{
	struct message m;
	struct match match;
	struct job job = { .type = JOB_READ, .plan = w.plan, .side = NORTH, .at_ms = 42 };
	struct plain request = { .kind = KIND_COMMAND, .device = (char[]){ "d" } };

	make_message(&m);
	plan_match(w.plan, SOUTH, m.topic, &match);
	job.reader = match.readers[0];
	job.message = &m;
	job.state = mem_strdup("{}");
	job.request = mem_zalloc(sizeof *job.request);
	plain_copy(job.request, &request);
	freight_put_job(&bytes, &job);
	freight_fini_job(&job, &m);
}

Test(freight, a_job_that_reads_arrives_as_it_was)
{
	struct match match;
	struct message m;
	struct unpack u;
	struct job job;

	pack_read();
	plan_match(w.plan, SOUTH, "s/d", &match);
	u = packed(bytes.len);
	cr_assert(freight_get_job(&u, &job, &m));
	cr_expect_eq(u.left, 0);
	cr_expect_eq(job.type, JOB_READ);
	cr_expect_eq(job.plan, w.plan);
	cr_expect_eq(job.side, NORTH);
	cr_expect_eq(job.reader, match.readers[0]);
	cr_expect_eq(job.at_ms, 42);
	cr_expect_str_eq(job.state, "{}");
	cr_expect_eq(job.request->kind, KIND_COMMAND);
	cr_expect_str_eq(job.request->device, "d");
	cr_expect_null(job.request->id);
	cr_expect_str_eq(m.topic, "s/d");
	cr_expect_eq(m.payload_len, 3);
	cr_expect_arr_eq(m.payload, "a\0b", 4, "with a NUL behind");
	cr_expect_eq(m.properties.n, 2);
	cr_expect_str_eq(m.properties.items[1].value, "w");
	freight_fini_job(&job, &m);
}

Test(freight, a_job_that_writes_arrives_as_it_was)
{
	struct job job = { .type = JOB_WRITE, .plan = w.plan, .side = SOUTH };
	struct message m;
	struct unpack u;

	job.plain = (struct plain){ .kind = KIND_CONFIG,
				    .device = mem_strdup("d"),
				    .id = mem_strdup("7"),
				    .ts = mem_strdup("1") };
	plain_set_body(&job.plain, "{}", 2);
	job.reply_topic = mem_strdup("r");
	freight_put_job(&bytes, &job);
	job_fini(&job);
	u = packed(bytes.len);
	cr_assert(freight_get_job(&u, &job, &m));
	cr_expect_eq(job.type, JOB_WRITE);
	cr_expect_eq(job.plain.kind, KIND_CONFIG);
	cr_expect_str_eq(job.plain.id, "7");
	cr_expect_str_eq(job.plain.ts, "1");
	cr_expect_str_eq(job.plain.body, "{}");
	cr_expect_str_eq(job.reply_topic, "r");
	cr_expect_null(job.state);
	cr_expect_null(job.request);
	freight_fini_job(&job, &m);
}

Test(freight, a_job_that_is_cut_short_is_none)
{
	pack_read();
	for (size_t n = 0; n < bytes.len; n++) {
		struct unpack u = packed(n);
		struct message m;
		struct job job;

		cr_expect_not(freight_get_job(&u, &job, &m), "%zu bytes", n);
		freight_fini_job(&job, &m);
	}
}

static void pack_results(enum kind kind)
{
	struct results r = { 0 };
	struct item *item = results_add(&r, ITEM_MESSAGE);

	make_message(&item->message);
	item->plain.kind = kind;
	item->plain.device = mem_strdup("d");
	plain_set_body(&item->plain, "{}", 2);
	item = results_add(&r, ITEM_PLAIN);
	item->plain.kind = KIND_ALARM;
	item->plain.device = mem_strdup("e");
	plain_set_body(&item->plain, "[]", 2);
	results_refuse(&r, DEAD_WRONG_SHAPE, "no object");
	freight_put_results(&bytes, w.plan, &r);
	results_fini(&r);
}

Test(freight, results_arrive_in_order)
{
	struct results r = { 0 };
	struct unpack u;

	pack_results(KIND_ATTRIBUTES);
	u = packed(bytes.len);
	cr_assert(freight_get_results(&u, &r));
	cr_expect_eq(u.left, 0);
	cr_assert_eq(r.n, 3);
	cr_expect_eq(r.items[0].type, ITEM_MESSAGE);
	cr_expect_str_eq(r.items[0].message.topic, "s/d");
	cr_expect(r.items[0].message.retain);
	cr_expect_str_eq(r.items[0].plain.body, "{}", "attributes are noted");
	cr_expect_eq(r.items[1].type, ITEM_PLAIN);
	cr_expect_eq(r.items[1].plain.kind, KIND_ALARM);
	cr_expect_str_eq(r.items[1].plain.body, "[]");
	cr_expect_eq(r.items[2].reason, DEAD_WRONG_SHAPE);
	cr_expect_str_eq(r.items[2].text, "no object");
	results_fini(&r);
}

Test(freight, what_nobody_looks_at_stays_there)
{
	struct results r = { 0 };
	struct unpack u;

	pack_results(KIND_TELEMETRY);
	u = packed(bytes.len);
	cr_assert(freight_get_results(&u, &r));
	cr_expect_eq(r.items[0].plain.kind, KIND_TELEMETRY);
	cr_expect_null(r.items[0].plain.body);
	results_fini(&r);
}

Test(freight, results_that_are_cut_short_or_wrong_are_none)
{
	pack_results(KIND_TELEMETRY);
	for (size_t n = 0; n < bytes.len; n++) {
		struct results r = { 0 };
		struct unpack u = packed(n);

		cr_expect_not(freight_get_results(&u, &r), "%zu bytes", n);
		results_fini(&r);
	}
	for (size_t i = 0; i < bytes.len;
	     i++) { /* whatever it says, nothing is read beyond its end */
		struct results r = { 0 };
		struct unpack u;

		bytes.data[i] ^= 0x55;
		u = packed(bytes.len);
		freight_get_results(&u, &r);
		results_fini(&r);
		bytes.data[i] ^= 0x55;
	}
}
