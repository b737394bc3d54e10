/* translate_address.c -- what a translation gave gets all that the table, the configuration and the job say of it:
 * topic, QoS, retain, properties, and the device.  Nothing of that comes from a worker but what a `publish` function
 * said, and that may name neither the device nor what the configuration has set. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "translate/translate_inside.h"

/* One message on its way. */
struct addressing {
	const struct job *job;
	enum side to;
	const struct row *row;
	struct item *item;
	struct buf *scratch;
	bool has_nul; /* a text for MQTT, which can carry none */
	enum outcome reason;
	struct err err;
};

/* Keep why it cannot be sent.  Where a variable is missing, err has its name. */
static bool fail(struct addressing *a, const char *what)
{
	const char *side = side_name(a->to);
	char name[sizeof a->err.text];

	if (a->err.code == ERR_NOT_FOUND) {
		memcpy(name, a->err.text, sizeof name);
		err_set(&a->err, ERR_INVALID,
			"%s: {%s} is not set and the message does not say it (set %s.vars.%s)",
			what, name, side, name);
	} else {
		err_prefix(&a->err, "%s", what);
	}
	a->reason = DEAD_BAD_TOPIC;
	return false;
}

/* --- variables ----------------------------------------------------------------------------- */

/* The id as text, in the scratch. */
static const char *id_text(struct addressing *a)
{
	if (!a->item->plain.id)
		return NULL;
	buf_reset(a->scratch);
	translate_put_id(a->scratch, a->item->plain.id);
	a->has_nul = a->has_nul || strlen(buf_str(a->scratch)) != a->scratch->len;
	return buf_str(a->scratch);
}

static const char *lookup(void *ctx, const char *name)
{
	struct addressing *a = ctx;
	const struct plan *plan = a->job->plan;
	const struct plan_side *ps = &plan->side[a->to];
	const char *said;
	const struct var *found;

	if (strcmp(name, "device") == 0)
		return plan_device_there(plan, a->to, a->item->plain.device);
	said = vars_get(&a->item->said, name);
	if (said)
		return said;
	if (strcmp(name, "id") == 0)
		return id_text(a);
	found = plan_var(plan, a->to, a->item->plain.device, name);
	if (plan->hides_secrets &&
	    (found ? found->is_secret : dialect_is_credential(ps->dialect, name)))
		return "***";
	return found ? found->value : NULL;
}

static bool set_text(struct addressing *a, const char *text, const char *what, struct buf *out)
{
	return text_template_expand(text, lookup, a, out, &a->err) || fail(a, what);
}

/* --- topic and fields ---------------------------------------------------------------------- */

/* A topic with a name from a payload in it (a stream called "command") must not be taken for another
 * message. */
static bool check_topic(struct addressing *a, const char *topic)
{
	const struct job *job = a->job;

	if (!topic_name_is_valid(topic))
		err_set(&a->err, ERR_INVALID, "no valid topic name");
	else if (a->row->publish && !job->reply_topic &&
		 !plan_is_topic_of(job->plan, a->to, a->row, topic))
		err_set(&a->err, ERR_INVALID, "it belongs to another message of the dialect");
	else
		return true;
	return false;
}

/* A function may say what its row leaves open; whose message it is, is the job's business. */
static bool is_ours(struct addressing *a)
{
	if (!vars_find(&a->item->said, "device"))
		return true;
	err_set(&a->err, ERR_INVALID, "the function says {device}");
	return false;
}

static bool set_topic(struct addressing *a)
{
	struct buf topic = { 0 };
	bool ok = true;

	if (a->job->reply_topic)
		buf_puts(&topic, a->job->reply_topic);
	else
		ok = is_ours(a) &&
		     topic_template_expand(&a->row->topic, lookup, a, &topic, &a->err);
	if (ok && check_topic(a, buf_str(&topic))) {
		a->item->message.topic = buf_take(&topic);
		return true;
	}
	buf_fini(&topic);
	return fail(a, "topic");
}

/* What a `publish` function said counts more than what the row says. */
static bool set_properties(struct addressing *a)
{
	const struct vars *properties = &a->row->properties;
	struct vars *set = &a->item->message.properties;
	struct buf text = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < properties->n; i++) {
		const struct var *p = &properties->items[i];

		if (vars_find(set, p->name))
			continue;
		buf_reset(&text);
		ok = plan_is_filled_later(a->job->plan, a->to, a->item->plain.device, p->value) ||
		     set_text(a, p->value, p->name, &text);
		if (ok)
			vars_add(set, p->name, buf_str(&text));
	}
	buf_fini(&text);
	return ok;
}

static bool set_response_topic(struct addressing *a)
{
	struct buf text = { 0 };

	if (!a->row->response_topic)
		return true;
	if (!set_text(a, a->row->response_topic, "response_topic", &text)) {
		buf_fini(&text);
		return false;
	}
	a->item->message.response_topic = buf_take(&text);
	return check_topic(a, a->item->message.response_topic) || fail(a, "response_topic");
}

static bool set_correlation(struct addressing *a)
{
	struct message *m = &a->item->message;
	struct buf text = { 0 };

	if (!a->row->correlation)
		return true;
	if (!set_text(a, a->row->correlation, "correlation", &text)) {
		buf_fini(&text);
		return false;
	}
	m->correlation_len = text.len;
	m->correlation = buf_take(&text);
	return true;
}

/* --- whether it can be sent ---------------------------------------------------------------- */

static bool is_within(struct addressing *a, size_t bytes, int64_t most, const char *what)
{
	if (!most || bytes <= (size_t)most)
		return true;
	err_set(&a->err, ERR_LIMIT, "%zu bytes%s, and %s takes %lld", bytes, what,
		a->job->plan->side[a->to].dialect->name, (long long)most);
	a->reason = DEAD_TOO_LARGE;
	return false;
}

/* Cut off at a NUL, a name would be another one. */
static bool has_whole_texts(struct addressing *a)
{
	if (!a->has_nul)
		return true;
	err_set(&a->err, ERR_INVALID, "a text for MQTT holds a NUL character");
	a->reason = DEAD_BAD_TOPIC;
	return false;
}

/* What no version of MQTT gets through is told here, where an asker can be.  What properties add is known
 * when it leaves (session_publish()). */
static bool is_small_enough(struct addressing *a)
{
	const struct message *m = &a->item->message;
	const struct limits *limits = &a->job->plan->limits[a->to];

	return is_within(a, m->payload_len, limits->payload_bytes, "") &&
	       is_within(a, message_packet_bytes(m, 4), limits->packet_bytes, " as a packet");
}

static bool address(struct addressing *a)
{
	a->item->message.qos = a->row->qos;
	a->item->message.retain = a->row->retain;
	return set_topic(a) && set_properties(a) && set_response_topic(a) && set_correlation(a) &&
	       has_whole_texts(a) && is_small_enough(a);
}

/* --- results ------------------------------------------------------------------------------- */

void translate_refuse_row(struct results *out, const struct mapping *m, const struct row *row,
			  enum outcome reason, const char *text)
{
	const char *fn = row->publish ? row->publish : row->write;

	results_refuse(out, reason, "%s: %s%s%s", mapping_file(m), fn ? fn : "", fn ? ": " : "",
		       text);
}

static bool is_message_of(const struct results *r, size_t i, size_t first)
{
	const struct item *item = &r->items[i];

	return item->type == ITEM_MESSAGE && (i == first || !item->is_first);
}

/* All that the row's function gave with the item `i` leaves together or not at all: a refusal stands in its place.
 * Returns where that is. */
static size_t refuse(struct results *r, size_t i, const struct addressing *a)
{
	struct results one = { 0 };
	size_t first = i, end;

	while (first > 0 && !r->items[first].is_first && r->items[first - 1].type == ITEM_MESSAGE)
		first--;
	for (end = first; end < r->n && is_message_of(r, end, first); end++)
		if (end > first)
			item_fini(&r->items[end]);
	translate_refuse_row(&one, a->job->plan->side[a->to].mapping, a->row, a->reason,
			     a->err.text);
	one.items[0].row = r->items[first].row;
	item_fini(&r->items[first]);
	r->items[first] = one.items[0];
	free(one.items);
	memmove(&r->items[first + 1], &r->items[end], (r->n - end) * sizeof *r->items);
	r->n -= end - first - 1;
	return first;
}

enum side translate_target(const struct job *job, enum kind kind)
{
	return job->type == JOB_WRITE ? job->side : flow_target(kind_table[kind].flow);
}

void translate_address(const struct job *job, struct results *r)
{
	struct buf scratch = { 0 };

	for (size_t i = 0; i < r->n; i++) {
		struct addressing a = { .job = job, .item = &r->items[i], .scratch = &scratch };

		if (a.item->type != ITEM_MESSAGE)
			continue;
		a.to = translate_target(job, a.item->plain.kind);
		a.row = &job->plan->side[a.to].dialect->rows[a.item->writer];
		if (!address(&a))
			i = refuse(r, i, &a);
	}
	buf_fini(&scratch);
}
