/* What a worker process says: frames, each with the results of a job.  It runs jq, and may lie. */
#include "conf/build.h"
#include "fuzz.h"
#include "message/topic.h"
#include "message/vars.h"
#include "plan/plan.h"
#include "translate/job_codec.h"

static struct build build;
static struct plan *plan;
static struct match match;
static struct message message;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct vars vars[SIDES];
	struct mapping_path path = { 0 };
	struct report report = { 0 };
	struct plan_spec spec = { .name = "link",
				  .where = { "south", "north" },
				  .vars = { &vars[SOUTH], &vars[NORTH] },
				  .is_offline = true };

	(void)argc;
	(void)argv;
	build_init(&build, &path, NULL);
	vars_set(&vars[SOUTH], "device", "d", false);
	spec.mapping[SOUTH] = build_dialect(&build, "innoway", "south", &report);
	spec.mapping[NORTH] = build_dialect(&build, "thingsboard", "north", &report);
	plan = plan_new(&spec, &report);
	assert(plan);
	message.topic = mem_strdup("messages/d/event");
	message_set_payload(&message, "{}", 2);
	plan_match(plan, SOUTH, message.topic, &match);
	assert(match.n > 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct buf scratch;
	struct unpack u = { .p = (const char *)data, .left = n }, frame;
	struct job job = { .type = JOB_READ,
			   .plan = plan,
			   .side = SOUTH,
			   .readers = match.readers,
			   .n_readers = match.n,
			   .message = &message,
			   .plain = { .kind = KIND_EVENT, .device = (char[]){ "d" } } };

	if (!unpack_frame(&u, &frame))
		frame = (struct unpack){ .p = (const char *)data, .left = n };
	for (int type = JOB_READ; type <= JOB_WRITE; type++) {
		struct unpack results = frame;
		struct results r = { 0 };

		job.type = (enum job_type)type;
		job.side = type == JOB_READ ? SOUTH : NORTH;
		if (job_codec_get_results(&results, &job, &scratch, &r)) {
			translate_address(&job, &r);
			for (size_t i = 0; i < r.n; i++)
				assert(r.items[i].type != ITEM_MESSAGE ||
				       topic_name_is_valid(r.items[i].message.topic));
		}
		results_fini(&r);
	}
	return 0;
}
