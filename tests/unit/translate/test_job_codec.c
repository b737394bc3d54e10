#include <criterion/criterion.h>

#include "translate/job_codec.h"
#include "translate/translate_inside.h"
#include "unit/dialects.h"

static struct world w;
static struct buf bytes;
static struct match match; /* of the packed message */

static void set_up(void)
{
	world_init(&w);
	world_plan(&w,
		   SOUTHERN("",
			    "{ kind: 'telemetry', topic: 's/{device}' },"
			    " { kind: 'event', topic: 's/{device}' }",
			    ""),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}' }", ""));
}

static void tear_down(void)
{
	buf_fini(&bytes);
	world_fini(&w);
}

TestSuite(job_codec, .init = set_up, .fini = tear_down);

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
	struct job job = { .type = JOB_READ, .plan = w.plan, .side = NORTH, .at_ms = 42 };
	struct canonical request = { .kind = KIND_COMMAND, .device = (char[]){ "d" } };

	make_message(&m);
	plan_match(w.plan, SOUTH, m.topic, &match);
	job.readers = match.readers;
	job.n_readers = match.n;
	job.message = &m;
	job.device = "d";
	job.state = mem_strdup("{}");
	job.request = mem_zalloc(sizeof *job.request);
	canonical_copy(job.request, &request);
	job_codec_put_job(&bytes, &job);
	job_fini(&job);
	message_fini(&m);
}

Test(job_codec, a_job_that_reads_arrives_as_it_was)
{
	struct job_codec f;
	struct unpack u;

	pack_read();
	u = packed(bytes.len);
	cr_assert(job_codec_get_job(&u, &f));
	cr_expect_eq(u.left, 0);
	cr_expect_eq(f.job.type, JOB_READ);
	cr_expect_eq(f.job.plan, w.plan);
	cr_expect_eq(f.job.side, NORTH);
	cr_assert_eq(f.job.n_readers, 2);
	cr_expect_eq(f.job.readers[0], match.readers[0]);
	cr_expect_eq(f.job.readers[1], match.readers[1]);
	cr_expect_eq(f.job.at_ms, 42);
	cr_expect_str_eq(f.job.device, "d");
	cr_expect_str_eq(f.job.state, "{}");
	cr_expect_eq(f.job.request->kind, KIND_COMMAND);
	cr_expect_str_eq(f.job.request->device, "d");
	cr_expect_null(f.job.request->id);
	cr_expect_str_eq(f.message.topic, "s/d");
	cr_expect_eq(f.message.payload_len, 3);
	cr_expect_arr_eq(f.message.payload, "a\0b", 4, "with a NUL behind");
	cr_expect_eq(f.message.properties.n, 2);
	cr_expect_str_eq(f.message.properties.items[1].value, "w");
	job_codec_fini(&f);
}

Test(job_codec, a_job_that_writes_arrives_as_it_was)
{
	struct job job = { .type = JOB_WRITE, .plan = w.plan, .side = SOUTH };
	struct job_codec f;
	struct unpack u;

	job.plain = (struct canonical){ .kind = KIND_CONFIG,
					.device = mem_strdup("d"),
					.id = mem_strdup("7"),
					.ts = mem_strdup("1") };
	canonical_set_body(&job.plain, "{}", 2);
	job.reply_topic = mem_strdup("r");
	job_codec_put_job(&bytes, &job);
	job_fini(&job);
	u = packed(bytes.len);
	cr_assert(job_codec_get_job(&u, &f));
	cr_expect_eq(f.job.type, JOB_WRITE);
	cr_expect_eq(f.job.plain.kind, KIND_CONFIG);
	cr_expect_str_eq(f.job.plain.id, "7");
	cr_expect_str_eq(f.job.plain.ts, "1");
	cr_expect_str_eq(f.job.plain.body, "{}");
	cr_expect_str_eq(f.job.reply_topic, "r");
	cr_expect_null(f.job.state);
	cr_expect_null(f.job.request);
	job_codec_fini(&f);
}

Test(job_codec, a_job_that_is_cut_short_is_none)
{
	pack_read();
	for (size_t n = 0; n < bytes.len; n++) {
		struct unpack u = packed(n);
		struct job_codec f;

		cr_expect_not(job_codec_get_job(&u, &f), "%zu bytes", n);
		job_codec_fini(&f);
	}
}

static void pack_results(enum kind kind)
{
	struct results r = { 0 };
	struct item *item = results_add(&r, ITEM_MESSAGE);

	make_message(&item->message);
	item->plain.kind = kind;
	item->plain.device = mem_strdup("d");
	canonical_set_body(&item->plain, "{}", 2);
	item = results_add(&r, ITEM_PLAIN);
	item->row = 1;
	item->plain.kind = KIND_ALARM;
	item->plain.device = mem_strdup("e");
	canonical_set_body(&item->plain, "[]", 2);
	results_refuse(&r, DEAD_WRONG_SHAPE, "no object");
	r.items[2].row = 1;
	job_codec_put_results(&bytes, w.plan, &r);
	results_fini(&r);
}

static const struct job two_rows = { .type = JOB_READ, .n_readers = 2 };

Test(job_codec, results_arrive_in_order)
{
	struct results r = { 0 };
	struct unpack u;

	pack_results(KIND_ATTRIBUTES);
	u = packed(bytes.len);
	cr_assert(job_codec_get_results(&u, &two_rows, &r));
	cr_expect_eq(u.left, 0);
	cr_assert_eq(r.n, 3);
	cr_expect_eq(r.items[0].type, ITEM_MESSAGE);
	cr_expect_str_eq(r.items[0].message.topic, "s/d");
	cr_expect(r.items[0].message.retain);
	cr_expect_str_eq(r.items[0].plain.body, "{}", "attributes are noted");
	cr_expect_eq(r.items[0].row, 0);
	cr_expect_eq(r.items[1].type, ITEM_PLAIN);
	cr_expect_eq(r.items[1].row, 1);
	cr_expect_eq(r.items[1].plain.kind, KIND_ALARM);
	cr_expect_str_eq(r.items[1].plain.body, "[]");
	cr_expect_eq(r.items[2].reason, DEAD_WRONG_SHAPE);
	cr_expect_str_eq(r.items[2].text, "no object");
	results_fini(&r);
}

Test(job_codec, what_nobody_looks_at_stays_there)
{
	struct results r = { 0 };
	struct unpack u;

	pack_results(KIND_TELEMETRY);
	u = packed(bytes.len);
	cr_assert(job_codec_get_results(&u, &two_rows, &r));
	cr_expect_eq(r.items[0].plain.kind, KIND_TELEMETRY);
	cr_expect_str_eq(r.items[0].plain.device, "d", "it goes to the device's port");
	cr_expect_null(r.items[0].plain.body);
	results_fini(&r);
}

Test(job_codec, results_that_are_cut_short_or_wrong_are_none)
{
	pack_results(KIND_TELEMETRY);
	for (size_t n = 0; n < bytes.len; n++) {
		struct results r = { 0 };
		struct unpack u = packed(n);

		cr_expect_not(job_codec_get_results(&u, &two_rows, &r), "%zu bytes", n);
		results_fini(&r);
	}
	for (size_t i = 0; i < bytes.len;
	     i++) { /* whatever it says, nothing is read beyond its end */
		struct results r = { 0 };
		struct unpack u;

		bytes.data[i] ^= 0x55;
		u = packed(bytes.len);
		job_codec_get_results(&u, &two_rows, &r);
		results_fini(&r);
		bytes.data[i] ^= 0x55;
	}
}

Test(job_codec, results_of_rows_that_nobody_asked_or_in_disorder_are_none)
{
	static const size_t wrong[][2] = { { 0, 2 }, { 1, 0 } };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct results sent = { 0 }, r = { 0 };
		struct unpack u;

		for (size_t k = 0; k < 2; k++) {
			results_refuse(&sent, DEAD_WRONG_SHAPE, "no object");
			sent.items[k].row = wrong[i][k];
		}
		buf_reset(&bytes);
		job_codec_put_results(&bytes, w.plan, &sent);
		u = packed(bytes.len);
		cr_expect_not(job_codec_get_results(&u, &two_rows, &r), "%zu", i);
		results_fini(&sent);
		results_fini(&r);
	}
}
