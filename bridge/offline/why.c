#include "offline/why.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "message/canonical.h"
#include "message/message.h"
#include "message/outcome.h"
#include "message/redact.h"
#include "message/wire_json.h"
#include "offline/offline.h"
#include "offline/trace.h"
#include "plan/plan.h"
#include "state/change.h"
#include "translate/executor.h"
#include "translate/translate.h"

/* --- texts, without secrets ----------------------------------------------------------------- */

static void put_told(struct buf *out, const char *key, const struct plan *plan, const char *text)
{
	const struct vars *const secrets[] = { &plan->side[SOUTH].vars, &plan->side[NORTH].vars };
	char *told = redact_text(text, secrets, SIDES);

	if (out->data[out->len - 1] != '{')
		buf_putc(out, ',');
	buf_printf(out, "\"%s\":", key);
	if (told && jtext_is_utf8(told, strlen(told)))
		jtext_put_string(out, told, strlen(told));
	else
		buf_puts(out, told ? "\"?\"" : "null");
	free(told);
}

static void put_redacted(struct buf *out, const struct plan *plan, const struct buf *json)
{
	const struct vars *const secrets[] = { &plan->side[SOUTH].vars, &plan->side[NORTH].vars };

	redact_json(out, (struct jslice){ json->data, json->len }, secrets, SIDES);
}

static void put_row(struct buf *out, const struct dialect *d, const struct row *row)
{
	buf_printf(out, "{\"row\":%zu,\"kind\":\"%s\"", (size_t)(row - d->rows),
		   kind_name(row->kind));
}

/* --- which rows match ------------------------------------------------------------------------ */

static bool is_among(const struct match *m, const struct reader *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->readers[i] == r)
			return true;
	return false;
}

static void put_captures(struct buf *out, const struct plan *plan, const struct reader *r,
			 const char *topic)
{
	struct vars captures = { 0 };

	topic_template_match(&r->topic, topic, &captures);
	buf_puts(out, ",\"captures\":{");
	for (size_t i = 0; i < captures.n; i++)
		put_told(out, captures.items[i].name, plan, captures.items[i].value);
	buf_putc(out, '}');
	vars_fini(&captures);
}

static void put_reader(struct buf *out, const struct plan *plan, enum flow flow,
		       const struct reader *r, const struct match *found, const char *topic)
{
	const struct dialect *d = plan->side[flow_source(flow)].dialect;
	struct buf wanted = { 0 }, text = { 0 };
	const char *result;

	topic_template_text(&r->topic, &wanted);
	if (is_among(found, r)) {
		result = "matches";
	} else if (!topic_template_match(&r->topic, topic, NULL)) {
		result = "differs";
		trace_put_difference(&text, buf_str(&wanted), topic);
	} else if (!r->row->can_read || kind_table[r->row->kind].flow != flow) {
		result = "not-read";
		buf_puts(&text, "not read from this side");
	} else {
		result = "less-specific";
		buf_puts(&text, "a topic that says more comes first");
	}
	put_row(out, d, r->row);
	put_told(out, "topic", plan, buf_str(&wanted));
	buf_printf(out, ",\"result\":\"%s\"", result);
	if (text.len)
		put_told(out, "text", plan, text.data);
	if (is_among(found, r))
		put_captures(out, plan, r, topic);
	buf_putc(out, '}');
	buf_fini(&wanted);
	buf_fini(&text);
}

bool why_is_read(const struct plan *plan, enum flow flow, const char *topic)
{
	struct match found;

	plan_match(plan, flow_source(flow), topic, &found);
	return found.n > 0;
}

void why_begin(struct buf *out, const struct plan *plan, enum flow flow, const struct message *m)
{
	const struct plan_side *side = &plan->side[flow_source(flow)];
	struct match found;

	plan_match(plan, flow_source(flow), m->topic, &found);
	buf_printf(out, "{\"flow\":\"%s\",\"from\":\"%s\",\"to\":\"%s\"", flow_name(flow),
		   side->dialect->name, plan->side[flow_target(flow)].dialect->name);
	put_told(out, "topic", plan, m->topic);
	buf_printf(out, ",\"bytes\":%zu,\"rows\":[", m->payload_len);
	for (size_t i = 0; i < side->n_readers; i++) {
		buf_puts(out, i ? "," : "");
		put_reader(out, plan, flow, &side->readers[i], &found, m->topic);
	}
	buf_putc(out, ']');
}

/* --- what they read -------------------------------------------------------------------------- */

struct reading {
	struct job job; /* first */
	struct buf *out;
	int64_t began_us;
	uint64_t kinds; /* that were read, a bit for each */
};

static void put_canonical(struct buf *out, const struct plan *plan, const struct canonical *p)
{
	struct canonical copy;
	struct buf text = { 0 };

	canonical_copy(&copy, p);
	if (p->kind != KIND_NONE && kind_table[p->kind].has_secrets)
		canonical_set_body(&copy, "\"" REDACT_HIDDEN "\"", strlen(REDACT_HIDDEN) + 2);
	canonical_put(&text, &copy);
	put_redacted(out, plan, &text);
	canonical_fini(&copy);
	buf_fini(&text);
}

static void put_results(struct job *job, struct results *results)
{
	struct reading *r = (struct reading *)job;
	const struct item *refused = NULL;
	const char *before = "";

	put_row(r->out, job->plan->side[job->side].dialect, job->readers[0]->row);
	buf_printf(r->out, ",\"us\":%lld,\"messages\":[",
		   (long long)(clock_mono_us() - r->began_us));
	for (size_t i = 0; i < results->n; i++) {
		if (results->items[i].type == ITEM_REFUSED) {
			refused = &results->items[i];
			continue;
		}
		buf_puts(r->out, before);
		before = ",";
		r->kinds |= UINT64_C(1) << results->items[i].plain.kind;
		put_canonical(r->out, job->plan, &results->items[i].plain);
	}
	buf_putc(r->out, ']');
	if (refused) {
		buf_printf(r->out, ",\"refused\":\"%s\"", outcome_word(refused->reason));
		put_told(r->out, "text", job->plan, refused->text);
	}
	buf_putc(r->out, '}');
}

/* One job for each row, so that one that fails does not hide what the others make of the message. */
uint64_t why_readings(struct buf *out, const char *key, const struct plan *plan,
		      struct executor *executor, enum flow flow, const struct message *m,
		      int64_t at_ms)
{
	uint64_t kinds = 0;
	struct strand *strand = strand_new(executor, NULL, NULL);
	struct match found;

	plan_match(plan, flow_source(flow), m->topic, &found);
	buf_printf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < found.n; i++) {
		struct reading r = {
			.job = { .type = JOB_READ,
				 .plan = plan,
				 .side = flow_source(flow),
				 .readers = &found.readers[i],
				 .n_readers = 1,
				 .message = m,
				 .at_ms = at_ms,
				 .done = put_results },
			.out = out,
			.began_us = clock_mono_us(),
		};

		buf_puts(out, i ? "," : "");
		strand_submit(strand, &r.job);
		executor_run(executor);
		kinds |= r.kinds;
	}
	buf_putc(out, ']');
	strand_free(strand);
	return kinds;
}

/* --- what came of it ------------------------------------------------------------------------- */

/* The rows of the far side that write any of the kinds that were read, each with the topic that the dialect itself
 * gives: the values of a configuration may be secrets. */
static void put_writers(struct buf *out, const struct plan *plan, enum flow flow, uint64_t kinds)
{
	const struct dialect *d = plan->side[flow_target(flow)].dialect;
	const char *before = "";

	buf_puts(out, ",\"writers\":[");
	for (size_t i = 0; i < d->n_rows; i++) {
		const struct row *row = &d->rows[i];
		struct topic_template bound;
		struct buf text = { 0 };

		if (!row->can_write || !(kinds >> row->kind & 1))
			continue;
		if (topic_template_bind(&bound, &row->topic, &d->defaults, NULL))
			topic_template_text(&bound, &text);
		topic_template_fini(&bound);
		buf_puts(out, before);
		before = ",";
		put_row(out, d, row);
		put_told(out, "topic", plan, buf_str(&text));
		buf_putc(out, '}');
		buf_fini(&text);
	}
	buf_putc(out, ']');
}

static void put_limits(struct buf *out, const struct limits *l)
{
	const struct {
		const char *name;
		int64_t value;
	} all[] = { { "payload_bytes", l->payload_bytes },
		    { "packet_bytes", l->packet_bytes },
		    { "in_flight", l->in_flight },
		    { "messages_per_second", l->messages_per_second } };
	const char *before = "";

	buf_puts(out, ",\"limits\":{");
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (!all[i].value)
			continue;
		buf_printf(out, "%s\"%s\":%lld", before, all[i].name, (long long)all[i].value);
		before = ",";
	}
	buf_putc(out, '}');
}

static void put_output(struct buf *out, const struct plan *plan, const struct offline_output *o)
{
	const struct plan_side *side = &plan->side[o->side];
	const struct row *row = plan_writer_on(plan, o->side, o->kind, o->message.topic);
	const char *session = plan_session_of(plan, o->side, o->device);
	struct message shown;
	struct buf wire = { 0 }, told = { 0 };

	message_copy(&shown, &o->message);
	if (o->kind != KIND_NONE && kind_table[o->kind].has_secrets)
		message_set_payload(&shown, "\"" REDACT_HIDDEN "\"", strlen(REDACT_HIDDEN) + 2);
	wire_json_put(&wire, o->side, &shown);
	put_redacted(&told, plan, &wire);
	if (row)
		put_row(out, side->dialect, row);
	else
		buf_printf(out, "{\"kind\":\"%s\"", kind_name(o->kind));
	put_told(out, "device", plan, o->device);
	put_told(out, "session", plan,
		 session	      ? session
		 : o->is_provisioning ? "provisioning"
				      : "");
	buf_printf(out, ",\"bytes\":%zu,%s", message_packet_bytes(&o->message, 5), told.data + 1);
	message_fini(&shown);
	buf_fini(&wire);
	buf_fini(&told);
}

static void put_state(struct buf *out, const struct plan *plan, const struct change *changes,
		      size_t n)
{
	const char *before = "";

	buf_puts(out, ",\"state\":[");
	for (size_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		struct buf value = { 0 };

		buf_puts(out, before);
		before = ",";
		buf_printf(out, "{\"part\":\"%s\"", c->machine);
		put_told(out, "key", plan, c->key);
		buf_puts(out, ",\"value\":");
		if (c->value && !c->is_secret &&
		    jtext_read(c->value, strlen(c->value), false, &value, NULL))
			put_redacted(out, plan, &value);
		else
			buf_puts(out, c->value ? "\"" REDACT_HIDDEN "\"" : "null");
		buf_putc(out, '}');
		buf_fini(&value);
	}
	buf_putc(out, ']');
}

void why_end(struct buf *out, const struct plan *plan, enum flow flow, uint64_t kinds,
	     const struct offline_step *step, const struct changes *changes, int64_t us)
{
	put_writers(out, plan, flow, kinds);
	put_limits(out, &plan->limits[flow_target(flow)]);
	buf_puts(out, ",\"outputs\":[");
	for (size_t i = 0; i < step->n; i++) {
		buf_puts(out, i ? "," : "");
		put_output(out, plan, &step->outputs[i]);
	}
	buf_putc(out, ']');
	put_state(out, plan, changes->items, changes->n);
	buf_printf(out, ",\"result\":\"%s\"", outcome_word(step->reason));
	put_told(out, "text", plan, step->text);
	buf_printf(out, ",\"us\":%lld}", (long long)us);
}
