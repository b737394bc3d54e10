#include "offline/lossy.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "message/canonical.h"
#include "message/kind.h"
#include "message/outcome.h"
#include "plan/plan.h"
#include "translate/executor.h"
#include "translate/translate.h"

#define TS	 "1700000000000"
#define OTHER_TS "1700000001000"

/* Bodies with all the fields that mappings/kinds.md has for their kinds. */
static const struct {
	enum kind kind;
	const char *body;
} examples[] = {
	{ KIND_TELEMETRY, "{\"temp\":21.5}" },
	{ KIND_ATTRIBUTES, "{\"model\":\"A1\"}" },
	{ KIND_EVENT, "{\"name\":\"door\",\"params\":{\"open\":true}}" },
	{ KIND_ALARM, "{\"active\":true,\"code\":7,\"name\":\"smoke\"}" },
	{ KIND_PRESENCE, "{\"online\":true}" },
	{ KIND_RAW, "{\"stream\":\"tty0\",\"base64\":\"AQP/\"}" },
	{ KIND_COMMAND, "{\"name\":\"set_fan\",\"params\":{\"rpm\":900}}" },
	{ KIND_COMMAND_REPLY,
	  "{\"status\":\"done\",\"message\":\"well\",\"result\":{\"rpm\":900}}" },
	{ KIND_CONFIG, "{\"full\":{\"rate\":5},\"version\":4,\"updated\":1700000000000}" },
	{ KIND_CONFIG, "{\"changed\":{\"rate\":5},\"version\":4,\"updated\":1700000000000}" },
	{ KIND_CONFIG_REPLY, "{\"version\":4,\"updated\":1700000000000,\"values\":{\"rate\":5}}" },
	{ KIND_ATTRIBUTES_REQUEST, "{\"shared\":[\"rate\"],\"client\":[\"model\"]}" },
	{ KIND_ATTRIBUTES_REPLY, "{\"client\":{\"model\":\"A1\"},\"shared\":{\"rate\":5}}" },
	{ KIND_REQUEST, "{\"name\":\"help\",\"params\":{\"where\":\"here\"}}" },
	{ KIND_REQUEST_REPLY, "{\"answer\":42}" },
	{ KIND_FIRMWARE, "{\"title\":\"F\",\"version\":\"2.0\",\"url\":\"https://host/f\"}" },
	{ KIND_FIRMWARE_CHUNK_REQUEST,
	  "{\"package\":\"fw\",\"request\":1,\"chunk\":0,\"size\":3}" },
	{ KIND_FIRMWARE_CHUNK,
	  "{\"package\":\"fw\",\"request\":1,\"chunk\":0,\"base64\":\"AQP/\"}" },
	{ KIND_FIRMWARE_STATE, "{\"state\":\"UPDATED\",\"title\":\"F\",\"version\":\"2.0\"}" },
	{ KIND_LICENSE,
	  "{\"id\":\"L1\",\"data\":\"D\",\"signature\":\"S\",\"operation\":\"add\"}" },
	{ KIND_LICENSE_REPLY, "{\"id\":\"L1\",\"state\":\"inuse\"}" },
	{ KIND_SPACE_INFO, "{\"name\":\"Hall\"}" },
	{ KIND_DEVICE_INFO, "{\"name\":\"d7\",\"firmware_version\":\"1.2\"}" },
	{ KIND_SETTING, "{\"property\":\"name\",\"value\":\"d7\"}" },
	{ KIND_LIMITS, "{\"packet_bytes\":65536,\"in_flight\":100,\"messages_per_second\":20}" },
};
#define N_EXAMPLES (sizeof examples / sizeof examples[0])

static const char *example_of(enum kind kind)
{
	for (size_t i = 0; i < N_EXAMPLES; i++)
		if (examples[i].kind == kind)
			return examples[i].body;
	return "{}";
}

struct trial {
	const struct plan *plan;
	struct strand *strand;
	struct executor *executor;
	enum kind kind;
	enum side to;
};

/* --- writing --------------------------------------------------------------------------------- */

struct writing {
	struct job job; /* first */
	struct buf text;
	enum outcome refused; /* CARRIED: not */
};

/* All that came out of it, as one text. */
static void take_results(struct job *job, struct results *r)
{
	struct writing *w = (struct writing *)job;

	for (size_t i = 0; i < r->n; i++) {
		const struct item *item = &r->items[i];

		if (item->type == ITEM_REFUSED) {
			w->refused = item->reason;
			continue;
		}
		buf_printf(&w->text, "%zu ", item->writer);
		buf_append(&w->text, item->message.payload, item->message.payload_len);
		for (size_t v = 0; v < item->said.n; v++)
			buf_printf(&w->text, " %s=%s", item->said.items[v].name,
				   item->said.items[v].value);
		for (size_t v = 0; v < item->message.properties.n; v++)
			buf_printf(&w->text, " %s:%s", item->message.properties.items[v].name,
				   item->message.properties.items[v].value);
		buf_putc(&w->text, '\n');
	}
}

/* What the side makes of such a body; caller frees.  NULL: it is refused, for *reason. */
static char *write_example(const struct trial *t, const char *body, const char *ts,
			   enum outcome *reason)
{
	enum kind asked = kind_table[t->kind].request;
	struct canonical request = { .kind = asked, .id = mem_strdup("1") };
	struct writing w = { .job = { .type = JOB_WRITE,
				      .plan = t->plan,
				      .side = t->to,
				      .at_ms = 1700000000000,
				      .done = take_results } };

	w.job.plain = (struct canonical){ .kind = t->kind,
					  .device = mem_strdup(t->plan->device),
					  .id = mem_strdup("1"),
					  .ts = mem_strdup(ts) };
	canonical_set_body(&w.job.plain, body, strlen(body));
	if (asked != KIND_NONE) {
		request.device = mem_strdup(t->plan->device);
		canonical_set_body(&request, example_of(asked), strlen(example_of(asked)));
		w.job.request = &request;
	}
	strand_submit(t->strand, &w.job);
	executor_run(t->executor);
	canonical_fini(&w.job.plain);
	canonical_fini(&request);
	*reason = w.refused;
	if (w.refused == CARRIED)
		return w.text.data ? buf_take(&w.text) : mem_strdup("");
	buf_fini(&w.text);
	return NULL;
}

/* --- changing -------------------------------------------------------------------------------- */

static json_object *other_value(json_object *v)
{
	struct buf text = { 0 };
	json_object *other;

	switch (json_object_get_type(v)) {
	case json_type_string:
		buf_printf(&text, "%sx", json_object_get_string(v));
		other = json_object_new_string(text.data);
		buf_fini(&text);
		return other;
	case json_type_boolean:
		return json_object_new_boolean(!json_object_get_boolean(v));
	case json_type_array:
		other = json_object_new_array();
		json_object_array_add(other, json_object_new_string("x"));
		return other;
	default:
		return json_object_new_double(json_object_get_double(v) + 1.25);
	}
}

struct search {
	const struct trial *t;
	json_object *body; /* of which one leaf is another */
	const char *usual; /* what is written without that */
	json_object *drops;
};

static void note(struct search *s, const char *place)
{
	size_t n = json_object_array_length(s->drops);

	for (size_t i = 0; i < n; i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(s->drops, i)), place) ==
		    0)
			return;
	json_object_array_add(s->drops, json_object_new_string(place));
}

static void look(struct search *s, const char *place, const char *ts)
{
	struct buf text = { 0 };
	enum outcome reason;
	char *got;

	jtext_tree_put(&text, s->body);
	got = write_example(s->t, text.data, ts, &reason);
	if (got && strcmp(got, s->usual) == 0)
		note(s, place);
	free(got);
	buf_fini(&text);
}

/* Each leaf below `object`, which stands at `place`. */
static void look_below(struct search *s, const char *place, json_object *object)
{
	json_object *keys = json_object_new_array();

	json_object_object_foreach (object, name, unused) {
		(void)unused;
		json_object_array_add(keys, json_object_new_string(name));
	}
	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		const char *key = json_object_get_string(json_object_array_get_idx(keys, i));
		char *here = mem_printf("%s.%s", place, key);
		json_object *value = json_object_object_get(object, key);

		if (json_object_is_type(value, json_type_object)) {
			look_below(s, here, value);
		} else {
			json_object_get(value);
			json_object_object_add(object, key, other_value(value));
			look(s, here, TS);
			json_object_object_add(object, key, value);
		}
		free(here);
	}
	json_object_put(keys);
}

static void try_example(const struct trial *t, const char *body, json_object *drops,
			enum outcome *reason, bool *is_written)
{
	char *usual = write_example(t, body, TS, reason);
	struct search s = { .t = t, .usual = usual, .drops = drops };

	if (!usual || !*usual) { /* one that it does not write: another example has what it does */
		free(usual);
		return;
	}
	*is_written = true;
	s.body = jtext_tree(body, strlen(body), NULL);
	look(&s, "ts", OTHER_TS);
	look_below(&s, "body", s.body);
	json_object_put(s.body);
	free(usual);
}

static void put_kind(struct buf *out, const struct trial *t)
{
	json_object *drops = json_object_new_array();
	bool is_written = false;
	enum outcome reason = CARRIED;

	for (size_t i = 0; i < N_EXAMPLES; i++)
		if (examples[i].kind == t->kind)
			try_example(t, examples[i].body, drops, &reason, &is_written);
	buf_printf(out, "{\"kind\":\"%s\",\"flow\":\"%s\",\"to\":\"%s\"", kind_name(t->kind),
		   flow_name(kind_table[t->kind].flow), t->plan->side[t->to].dialect->name);
	if (is_written) {
		buf_puts(out, ",\"drops\":");
		jtext_tree_put(out, drops);
	} else if (reason == CARRIED) {
		buf_puts(out, ",\"drops\":[\"body\"]");
	} else {
		buf_printf(out, ",\"refused\":\"%s\"", outcome_word(reason));
	}
	buf_putc(out, '}');
	json_object_put(drops);
}

void lossy_put(struct buf *out, const struct plan *plan, struct executor *executor)
{
	struct trial t = { .plan = plan,
			   .executor = executor,
			   .strand = strand_new(executor, NULL, NULL) };
	enum kind last = KIND_NONE;
	const char *before = "";

	buf_putc(out, '[');
	for (size_t i = 0; i < N_EXAMPLES; i++) {
		t.kind = examples[i].kind;
		t.to = flow_target(kind_table[t.kind].flow);
		if (t.kind == last || !plan_reader(plan, side_other(t.to), t.kind) ||
		    !plan_writer(plan, t.to, t.kind))
			continue;
		last = t.kind;
		buf_puts(out, before);
		before = ",";
		put_kind(out, &t);
	}
	buf_putc(out, ']');
	strand_free(t.strand);
}
