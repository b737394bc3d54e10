#include "offline/trace.h"

#include <string.h>

#include "base/buf.h"
#include "message/canonical.h"
#include "message/message.h"
#include "message/outcome.h"
#include "plan/plan.h"
#include "translate/executor.h"
#include "translate/translate.h"

static void put_row(struct buf *out, const struct dialect *d, const struct row *row)
{
	buf_printf(out, "messages[%zu] %s ", (size_t)(row - d->rows), kind_name(row->kind));
}

void trace_put_difference(struct buf *out, const char *wanted, const char *topic)
{
	for (size_t level = 1;; level++) {
		size_t w = strcspn(wanted, "/"), t = strcspn(topic, "/");
		bool is_fixed = !memchr(wanted, '{', w);

		if (is_fixed && (w != t || memcmp(wanted, topic, w) != 0)) {
			buf_printf(out, "level %zu is \"%.*s\"", level, (int)t, topic);
			return;
		}
		if (!wanted[w] || !topic[t])
			break;
		wanted += w + 1;
		topic += t + 1;
	}
	buf_puts(out, strchr(topic, '/') ? "the topic has more levels" : "the topic does not fit");
}

static bool is_among(const struct match *m, const struct reader *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->readers[i] == r)
			return true;
	return false;
}

static void put_reader(struct buf *out, const struct plan_side *side, enum flow flow,
		       const struct reader *r, const struct match *found, const char *topic)
{
	struct buf wanted = { 0 };

	topic_template_text(&r->topic, &wanted);
	buf_puts(out, "  ");
	put_row(out, side->dialect, r->row);
	buf_printf(out, "%s: ", buf_str(&wanted));
	if (is_among(found, r))
		buf_puts(out, "matches");
	else if (!topic_template_match(&r->topic, topic, NULL))
		trace_put_difference(out, buf_str(&wanted), topic);
	else if (!r->row->can_read || kind_table[r->row->kind].flow != flow)
		buf_puts(out, "not read from this side");
	else
		buf_puts(out, "a topic that says more comes first");
	buf_putc(out, '\n');
	buf_fini(&wanted);
}

/* With the values that the dialect itself has for its variables; those of a configuration may be secrets. */
static void put_topic(struct buf *out, const struct dialect *d, const struct row *row)
{
	struct topic_template bound;

	if (topic_template_bind(&bound, &row->topic, &d->defaults, NULL))
		topic_template_text(&bound, out);
	topic_template_fini(&bound);
}

static void put_writers(struct buf *out, const struct dialect *d, enum kind kind)
{
	size_t len = out->len;

	for (size_t i = 0; i < d->n_rows; i++) {
		const struct row *row = &d->rows[i];

		if (row->kind != kind || !row->can_write)
			continue;
		buf_puts(out, "      written by ");
		put_row(out, d, row);
		put_topic(out, d, row);
		buf_putc(out, '\n');
	}
	if (out->len == len)
		buf_printf(out, "      %s writes no %s\n", d->name, kind_name(kind));
}

static void put_item(struct buf *out, const struct plan *plan, const struct item *item)
{
	if (item->type == ITEM_REFUSED) {
		buf_printf(out, "    %s%s%s\n", outcome_word(item->reason), item->text ? ": " : "",
			   item->text ? item->text : "");
		return;
	}
	buf_puts(out, "    ");
	canonical_put(out, &item->plain);
	buf_putc(out, '\n');
	put_writers(out, plan->side[flow_target(kind_table[item->plain.kind].flow)].dialect,
		    item->plain.kind);
}

struct reading {
	struct job job; /* first */
	struct buf *out;
};

static void put_results(struct job *job, struct results *results)
{
	struct buf *out = ((struct reading *)job)->out;

	buf_puts(out, "  ");
	put_row(out, job->plan->side[job->side].dialect, job->readers[0]->row);
	buf_puts(out, results->n ? "reads\n" : "reads nothing\n");
	for (size_t i = 0; i < results->n; i++)
		put_item(out, job->plan, &results->items[i]);
}

/* One job for each row, so that one that fails does not hide what the others make of the message. */
static void put_readings(struct buf *out, const struct plan *plan, struct executor *executor,
			 const struct match *found, enum side from, const struct message *m,
			 int64_t at_ms)
{
	struct strand *strand = strand_new(executor, NULL, NULL);

	for (size_t i = 0; i < found->n; i++) {
		struct reading r = {
			.job = { .type = JOB_READ,
				 .plan = plan,
				 .side = from,
				 .readers = &found->readers[i],
				 .n_readers = 1,
				 .message = m,
				 .at_ms = at_ms,
				 .done = put_results },
			.out = out,
		};

		strand_submit(strand, &r.job);
		executor_run(executor);
	}
	strand_free(strand);
}

void trace_message(struct buf *out, const struct plan *plan, struct executor *executor,
		   enum flow flow, const struct message *m, int64_t at_ms)
{
	enum side from = flow_source(flow);
	const struct plan_side *side = &plan->side[from];
	struct match found;

	plan_match(plan, from, m->topic, &found);
	buf_printf(out, "%s %s, %zu bytes, to %s\n", flow_name(flow), m->topic, m->payload_len,
		   side->dialect->name);
	for (size_t i = 0; i < side->n_readers; i++)
		put_reader(out, side, flow, &side->readers[i], &found, m->topic);
	put_readings(out, plan, executor, &found, from, m, at_ms);
}
