#include <criterion/criterion.h>

#include "translate/job_codec.h"
#include "translate/translate_inside.h"
#include "unit/dialects.h"

static struct world w;
static struct buf bytes, scratch;
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
	buf_fini(&scratch);
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
	struct job job = { .type = JOB_READ, .plan = w.plan, .side = SOUTH, .at_ms = 42 };
	struct canonical request = { .kind = KIND_COMMAND, .device = (char[]){ "d" } };

	make_message(&m);
	plan_match(w.plan, SOUTH, m.topic, &match);
	job.readers = match.readers;
	job.n_readers = match.n;
	job.message = &m;
	job.device = "d";
	job.state = mem_strdup("{}");
	job.own = mem_strdup("{\"a\":\"b\"}");
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
	cr_expect_eq(f.job.side, SOUTH);
	cr_assert_eq(f.job.n_readers, 2);
	cr_expect_eq(f.job.readers[0], match.readers[0]);
	cr_expect_eq(f.job.readers[1], match.readers[1]);
	cr_expect_eq(f.job.at_ms, 42);
	cr_expect_str_eq(f.job.device, "d");
	cr_expect_str_eq(f.job.state, "{}");
	cr_expect_str_eq(f.job.own, "{\"a\":\"b\"}");
	cr_expect_eq(f.job.request->kind, KIND_COMMAND);
	cr_expect_str_eq(f.job.request->device, "d");
	cr_expect_null(f.job.request->id);
	cr_expect_null(f.message.topic);
	cr_assert_eq(f.topic.n, 1);
	cr_expect_str_eq(f.topic.items[0].name, "device");
	cr_expect_str_eq(f.topic.items[0].value, "d");
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

/* A message of the north's only row, a plain one, a refusal. */
static void pack_results(void)
{
	struct results r = { 0 };
	struct item *item = results_add(&r, ITEM_MESSAGE);

	message_set_payload(&item->message, "a\0b", 3);
	vars_add(&item->message.properties, "k", "v");
	vars_add(&item->said, "x", "y");
	item->is_first = true;
	item->plain.kind = KIND_TELEMETRY;
	item->plain.id = mem_strdup("7");
	item->plain.ts = mem_strdup("8");
	canonical_set_body(&item->plain, "{}", 2);
	item = results_add(&r, ITEM_PLAIN);
	item->row = 1;
	item->plain.kind = KIND_ALARM;
	item->plain.device = mem_strdup("d");
	canonical_set_body(&item->plain, "{\"active\":true}", 15);
	results_refuse(&r, DEAD_WRONG_SHAPE, "no object");
	r.items[2].row = 1;
	job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, &r);
	results_fini(&r);
}

/* Of a message on s/d, by both rows. */
static bool take(size_t n, struct results *r)
{
	struct job job = { .type = JOB_READ, .plan = w.plan, .topic_device = "d" };
	struct unpack u = packed(n);

	plan_match(w.plan, SOUTH, "s/d", &match);
	job.readers = match.readers;
	job.n_readers = match.n;
	*r = (struct results){ 0 };
	return job_codec_get_results(&u, &job, &scratch, r);
}

static bool is_taken(size_t n)
{
	struct results r;
	bool ok = take(n, &r);

	results_fini(&r);
	return ok;
}

Test(job_codec, results_arrive_in_order)
{
	struct results r;

	pack_results();
	cr_assert(take(bytes.len, &r));
	cr_assert_eq(r.n, 3);
	cr_expect_eq(r.items[0].type, ITEM_MESSAGE);
	cr_expect_null(r.items[0].message.topic, "that is not the worker's to say");
	cr_expect_eq(r.items[0].message.payload_len, 3);
	cr_expect_str_eq(r.items[0].message.properties.items[0].value, "v");
	cr_expect_str_eq(r.items[0].said.items[0].value, "y");
	cr_expect(r.items[0].is_first);
	cr_expect_str_eq(r.items[0].plain.device, "d", "the job's");
	cr_expect_str_eq(r.items[0].plain.id, "7");
	cr_expect_str_eq(r.items[0].plain.ts, "8");
	cr_expect_null(r.items[0].plain.body, "nobody looks at it");
	cr_expect_eq(r.items[0].row, 0);
	cr_expect_eq(r.items[1].type, ITEM_PLAIN);
	cr_expect_eq(r.items[1].row, 1);
	cr_expect_eq(r.items[1].plain.kind, KIND_ALARM);
	cr_expect_str_eq(r.items[1].plain.body, "{\"active\":true}");
	cr_expect_eq(r.items[2].reason, DEAD_WRONG_SHAPE);
	cr_expect_str_eq(r.items[2].text, "no object");
	results_fini(&r);
}

Test(job_codec, results_that_are_cut_short_or_wrong_are_none)
{
	pack_results();
	for (size_t n = 0; n < bytes.len; n++)
		cr_expect_not(is_taken(n), "%zu bytes", n);
	for (size_t i = 0; i < bytes.len;
	     i++) { /* whatever it says, nothing is read beyond its end */
		bytes.data[i] ^= 0x55;
		is_taken(bytes.len);
		bytes.data[i] ^= 0x55;
	}
	pack_u8(&bytes, 0);
	cr_expect_not(is_taken(bytes.len), "there is more than results");
}

Test(job_codec, results_of_rows_that_nobody_asked_or_in_disorder_are_none)
{
	static const size_t wrong[][2] = { { 0, 2 }, { 1, 0 } };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct results sent = { 0 };

		for (size_t k = 0; k < 2; k++) {
			results_refuse(&sent, DEAD_WRONG_SHAPE, "no object");
			sent.items[k].row = wrong[i][k];
		}
		buf_reset(&bytes);
		job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, &sent);
		cr_expect_not(is_taken(bytes.len), "%zu", i);
		results_fini(&sent);
	}
}

/* One item; the test makes it wrong in one point. */
static struct results one(enum item_type type, enum kind kind)
{
	struct results r = { 0 };
	struct item *item = results_add(&r, type);

	item->plain.kind = kind;
	item->plain.device = mem_strdup("d");
	canonical_set_body(&item->plain, "{}", 2);
	return r;
}

static bool is_believed(struct results *r)
{
	buf_reset(&bytes);
	job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, r);
	results_fini(r);
	return is_taken(bytes.len);
}

Test(job_codec, a_message_that_the_job_cannot_have_led_to_is_none)
{
	struct results r = one(ITEM_MESSAGE, KIND_TELEMETRY);

	cr_expect(is_believed(&r));
	r = one(ITEM_MESSAGE, KIND_TELEMETRY);
	r.items[0].writer = 1;
	cr_expect_not(is_believed(&r), "the north has one row");
	r = one(ITEM_MESSAGE, KIND_EVENT);
	cr_expect_not(is_believed(&r), "which is none of events");
	r = one(ITEM_MESSAGE, KIND_COMMAND);
	cr_expect_not(is_believed(&r), "the logic has a say in that");
	r = one(ITEM_PLAIN, KIND_COMMAND);
	cr_expect_not(is_believed(&r), "a command has a name");
	r = one(ITEM_PLAIN, KIND_ATTRIBUTES);
	cr_expect(is_believed(&r));
	r = one(ITEM_PLAIN, KIND_ATTRIBUTES);
	canonical_set_body(&r.items[0].plain, "{\"a\":", 5);
	cr_expect_not(is_believed(&r), "no JSON");
	r = one(ITEM_PLAIN, KIND_ATTRIBUTES);
	r.items[0].plain.id = mem_strdup("{}");
	cr_expect_not(is_believed(&r), "no id");
	r = (struct results){ 0 };
	results_refuse(&r, DEAD_CRASH, "x");
	cr_expect_not(is_believed(&r), "not for a worker to say");
}

Test(job_codec, a_plain_message_is_the_jobs_devices_whatever_it_says)
{
	struct results sent = one(ITEM_PLAIN, KIND_ATTRIBUTES), r;

	free(sent.items[0].plain.device);
	sent.items[0].plain.device = mem_strdup("another");
	job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, &sent);
	cr_assert(take(bytes.len, &r));
	cr_expect_str_eq(r.items[0].plain.device, "d");
	results_fini(&sent);
	results_fini(&r);
}

static struct results many(size_t n)
{
	struct results r = { 0 };

	for (size_t i = 0; i < n; i++)
		results_refuse(&r, DEAD_WRONG_SHAPE, "x");
	return r;
}

Test(job_codec, what_is_too_much_goes_as_a_refusal)
{
	struct results sent = many(JOB_CODEC_PIECES), r;

	job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, &sent);
	results_fini(&sent);
	cr_assert(take(bytes.len, &r));
	cr_expect_eq(r.n, JOB_CODEC_PIECES);
	results_fini(&r);

	buf_reset(&bytes);
	sent = many(JOB_CODEC_PIECES + 1);
	job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, &sent);
	results_fini(&sent);
	cr_assert(take(bytes.len, &r));
	cr_assert_eq(r.n, 1);
	cr_expect_eq(r.items[0].reason, DEAD_TOO_LARGE);
	results_fini(&r);

	buf_reset(&bytes);
	sent = one(ITEM_MESSAGE, KIND_TELEMETRY);
	sent.items[0].message.payload = mem_zalloc(JOB_CODEC_ANSWER_BYTES);
	sent.items[0].message.payload_len = JOB_CODEC_ANSWER_BYTES;
	job_codec_put_results(&bytes, &(const struct job){ .plan = w.plan }, &sent);
	results_fini(&sent);
	cr_assert(take(bytes.len, &r));
	cr_expect_eq(r.items[0].reason, DEAD_TOO_LARGE);
	results_fini(&r);
}

Test(job_codec, who_says_more_is_not_heard_to_the_end)
{
	struct results r;

	pack_u32(&bytes, 3000000);
	for (size_t i = 0; i < 3000000; i++)
		buf_append(&bytes, "\2\0\3\0\0\0\0", 7);
	cr_expect_not(take(bytes.len, &r));
	cr_expect_eq(r.n, 0);
	results_fini(&r);
}
