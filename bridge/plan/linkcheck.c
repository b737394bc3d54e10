#include "plan/linkcheck.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "plan/loops.h"
#include "plan/plan.h"
#include "plan/unreachable.h"

/* The check of one side of a link. */
struct check {
	const struct linkcheck *link;
	const struct plan *plan;
	enum side side;
	struct report *report;
};

void linkcheck_put_row(struct buf *out, const struct plan *p, enum side side, const struct row *row)
{
	const char *file = mapping_file(p->side[side].mapping), *slash = strrchr(file, '/');

	buf_printf(out, "%s: messages[%zu]", slash ? slash + 1 : file,
		   (size_t)(row - p->side[side].dialect->rows));
}

static bool is_read_on(const struct row *row, enum side side)
{
	return row->can_read && kind_table[row->kind].flow == flow_from(side);
}

/* --- topics -------------------------------------------------------------------------------- */

/* Is it the row's own topic, and not that of an alias? */
static bool is_own_topic(const struct plan_side *ps, const struct reader *r)
{
	return r == ps->readers || r[-1].row != r->row;
}

static void put_topic(struct buf *out, const struct check *c, const struct reader *r)
{
	buf_puts(out, "\"");
	topic_template_text(&r->topic, out);
	buf_puts(out, "\" (");
	linkcheck_put_row(out, c->plan, c->side, r->row);
	buf_puts(out, ")");
}

/* Are they one topic as the dialect has them, with its own values of variables? */
static bool is_one_topic(const struct dialect *d, const struct row *a, const struct row *b)
{
	struct topic_template x, y;
	bool has_x = topic_template_bind(&x, &a->topic, &d->defaults, NULL);
	bool has_y = topic_template_bind(&y, &b->topic, &d->defaults, NULL);
	bool is_one = has_x && has_y && topic_template_compare(&x, &y) == TOPIC_SAME;

	topic_template_fini(&x);
	topic_template_fini(&y);
	return is_one;
}

static void check_pair(const struct check *c, const struct reader *a, const struct reader *b)
{
	enum topic_relation relation = topic_template_compare(&a->topic, &b->topic);
	bool was_one = is_one_topic(c->plan->side[c->side].dialect, a->row, b->row);
	bool a_read = is_read_on(a->row, c->side), b_read = is_read_on(b->row, c->side);
	const char *where = c->link->where[c->side];
	struct buf text = { 0 };

	put_topic(&text, c, a);
	buf_puts(&text, " and ");
	put_topic(&text, c, b);
	if (relation == TOPIC_AMBIGUOUS)
		report_error(c->report,
			     "%s.vars: with these values %s overlap, and neither is more specific",
			     where, text.data);
	else if (relation == TOPIC_SAME && !was_one && (a_read || b_read))
		report_warning(c->report, "%s.vars: with these values %s are one topic", where,
			       text.data);
	else if (relation != TOPIC_SAME && was_one && a_read && b_read)
		report_warning(c->report, "%s.vars: with these values %s are no longer one topic",
			       where, text.data);
	buf_fini(&text);
}

/* What the dialect tells apart, the values of variables may bring together. */
static void check_pairs(const struct check *c)
{
	const struct plan_side *ps = &c->plan->side[c->side];

	for (size_t i = 0; i < ps->n_readers; i++)
		for (size_t k = i + 1; k < ps->n_readers; k++)
			if (is_own_topic(ps, &ps->readers[i]) && is_own_topic(ps, &ps->readers[k]))
				check_pair(c, &ps->readers[i], &ps->readers[k]);
}

static void check_shadows(const struct check *c)
{
	const struct plan_side *ps = &c->plan->side[c->side];
	struct buf topic = { 0 };

	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *r = &ps->readers[i];

		if (!is_read_on(r->row, c->side) || !unreachable_is_total(ps, r, NULL))
			continue;
		buf_reset(&topic);
		put_topic(&topic, c, r);
		report_warning(c->report,
			       "%s: %s can never be read: more specific rows take all its topics",
			       c->link->where[c->side], topic.data);
	}
	buf_fini(&topic);
}

/* --- ids ----------------------------------------------------------------------------------- */

/* Does the bridge itself make the id under which a side gets this request? */
static bool is_id_made(const struct plan *p, enum side side, enum kind kind)
{
	const struct row *first = plan_writer(p, side, kind);

	if (kind == KIND_SNAPSHOT_REQUEST) /* where it can only be a request for attributes */
		return plan_reader(p, side, KIND_ATTRIBUTES_REPLY);
	return kind_table[kind].asks == ASKS_BY_ID && !(first && first->answered);
}

/* The same, and none that the asker gave. */
static bool is_id_new(const struct plan *p, enum side side, enum kind kind)
{
	return is_id_made(p, side, kind) && !kind_table[kind].keeps_id;
}

static bool has_variable(const struct topic_template *t, const char *name)
{
	for (size_t i = 0; i < t->n_levels; i++)
		if (t->levels[i].type != LEVEL_LITERAL && strcmp(t->levels[i].text, name) == 0)
			return true;
	return false;
}

static bool names_id(const char *text)
{
	struct buf name = { 0 };
	size_t pos = 0;
	bool found = false;

	while (text && !found && text_template_next(text, &pos, &name)) {
		found = strcmp(name.data, "id") == 0;
		buf_reset(&name);
	}
	buf_fini(&name);
	return found;
}

/* What of the row needs the {id} of the message; NULL: nothing.  A `publish` function may say it. */
static const char *needs_id(const struct row *row)
{
	if (row->publish)
		return NULL;
	if (has_variable(&row->topic, "id"))
		return "topic";
	if (names_id(row->correlation))
		return "correlation";
	if (names_id(row->response_topic))
		return "response_topic";
	for (size_t i = 0; i < row->properties.n; i++)
		if (names_id(row->properties.items[i].value))
			return "a property";
	return NULL;
}

/* May what is read there have an id?  Functions may give one, those of through files too. */
static bool gives_id(const struct plan *p, const struct reader *r)
{
	enum flow flow = kind_table[r->row->kind].flow;

	for (size_t i = 0; i < p->n_through; i++)
		if (mapping_through_fn(p->through[i].mapping, flow) >= 0)
			return true;
	return r->row->read || has_variable(&r->topic, "id");
}

/* Messages of `row`, which is written on this side, have the ids of what kind, read on which side? */
static enum kind id_source(const struct check *c, const struct row *row, enum side *from)
{
	*from = kind_is_paired_reply(row->kind) ? c->side : side_other(c->side);
	return kind_is_paired_reply(row->kind) ? kind_table[row->kind].request : row->kind;
}

/* The next of the readers on `from` whose messages are (or pass as) `kind`; NULL: no more. */
static const struct reader *next_source(const struct plan *p, enum side from, enum kind kind,
					size_t *at)
{
	const struct plan_side *ps = &p->side[from];

	while (*at < ps->n_readers) {
		const struct reader *r = &ps->readers[(*at)++];

		if (is_read_on(r->row, from) && p->remap[r->row->kind] == kind)
			return r;
	}
	return NULL;
}

/* A row that needs an {id}, and nothing that it is written for gives one. */
static void check_lost_id(const struct check *c, const struct row *row)
{
	const char *what = needs_id(row);
	const struct reader *r, *first = NULL;
	struct buf text = { 0 };
	size_t at = 0;
	enum side from;
	enum kind kind = id_source(c, row, &from);

	if (!what || is_id_made(c->plan, c->side, row->kind) || kind_is_handshake(row->kind))
		return;
	while ((r = next_source(c->plan, from, kind, &at)) != NULL) {
		if (gives_id(c->plan, r))
			return;
		first = first ? first : r;
	}
	if (!first)
		return; /* nothing is ever written there */
	linkcheck_put_row(&text, c->plan, c->side, row);
	buf_printf(&text, " (%s) needs an {id}, and no %s read on the %s gives one (",
		   kind_name(row->kind), kind_name(first->row->kind), side_name(from));
	linkcheck_put_row(&text, c->plan, from, first->row);
	report_error(c->report, "%s: %s of %s)", c->link->where[c->side], what, text.data);
	buf_fini(&text);
}

/* The same for what is asked on an alias that has a topic of its own for answers. */
static void check_alias_id(const struct check *c, const struct reader *r)
{
	struct buf text = { 0 };

	if (!names_id(r->reply) || !is_read_on(r->row, c->side) || gives_id(c->plan, r))
		return;
	put_topic(&text, c, r);
	report_error(c->report, "%s: the answers to \"%s\" need an {id}, and %s gives none",
		     c->link->where[c->side], r->reply, text.data);
	buf_fini(&text);
}

static const char *const id_words[] = {
	[ID_STRING] = "string",
	[ID_INTEGER] = "integer",
	[ID_UUID] = "uuid",
};

static void put_ids(struct buf *out, const struct check *c, enum side side, const struct row *row)
{
	buf_printf(out, "%s ids (", id_words[row->id]);
	linkcheck_put_row(out, c->plan, side, row);
	buf_puts(out, ")");
}

/* Of kinds that are not paired the id crosses as it is.  A `publish` function may say another one. */
static void check_conversion(const struct check *c, const struct row *row)
{
	enum side from = side_other(c->side);
	const struct reader *r;
	struct buf text = { 0 };
	size_t at = 0;

	if (row->id == ID_STRING || row->publish || is_id_new(c->plan, c->side, row->kind) ||
	    kind_is_paired_reply(row->kind))
		return;
	while ((r = next_source(c->plan, from, row->kind, &at)) != NULL) {
		if (r->row->id == row->id || !gives_id(c->plan, r))
			continue;
		buf_reset(&text);
		put_ids(&text, c, c->side, row);
		buf_printf(&text, ", and the %s gives ", side_name(from));
		put_ids(&text, c, from, r->row);
		if (r->row->id == ID_STRING)
			report_warning(c->report, "%s: %s takes %s, which may not convert",
				       c->link->where[c->side], kind_name(row->kind), text.data);
		else
			report_error(c->report, "%s: %s takes %s, which never convert",
				     c->link->where[c->side], kind_name(row->kind), text.data);
	}
	buf_fini(&text);
}

/* Is an id that the bridge makes for a row of type `made` matched by one of type `read`?  For strings
 * it takes UUIDs. */
static bool is_matched(enum id_type made, enum id_type read)
{
	return read == ID_STRING || made == read || (made == ID_STRING && read == ID_UUID);
}

/* The replies to what is asked here come back under the id that it was asked with. */
static void check_reply_ids(const struct check *c, const struct row *row)
{
	const struct reader *r;
	struct buf text = { 0 };
	size_t at = 0, asked = 0;

	if (!is_id_new(c->plan, c->side, row->kind) ||
	    row != plan_writer(c->plan, c->side, row->kind) ||
	    !next_source(c->plan, side_other(c->side), row->kind, &asked))
		return;
	while ((r = next_source(c->plan, c->side, kind_table[row->kind].reply, &at)) != NULL) {
		if (!has_variable(&r->topic, "id") || is_matched(row->id, r->row->id))
			continue;
		buf_reset(&text);
		put_ids(&text, c, c->side, row);
		buf_puts(&text, ", and its replies are read with ");
		put_ids(&text, c, c->side, r->row);
		report_error(c->report, "%s: %s is asked with %s, so none is ever found",
			     c->link->where[c->side], kind_name(row->kind), text.data);
	}
	buf_fini(&text);
}

static void check_ids(const struct check *c)
{
	const struct plan_side *ps = &c->plan->side[c->side];

	if (c->plan->is_mirror && c->side == SOUTH)
		return; /* nothing is written there */
	for (size_t i = 0; i < ps->dialect->n_rows; i++) {
		const struct row *row = &ps->dialect->rows[i];

		if (!row->can_write || flow_target(kind_table[row->kind].flow) != c->side)
			continue;
		check_lost_id(c, row);
		check_conversion(c, row);
		check_reply_ids(c, row);
	}
	for (size_t i = 0; i < ps->n_readers; i++)
		check_alias_id(c, &ps->readers[i]);
}

/* --- all ----------------------------------------------------------------------------------- */

void linkcheck_all(const struct linkcheck *links, size_t n, struct report *report)
{
	for (size_t i = 0; i < n; i++)
		for (int s = 0; s < SIDES; s++) {
			struct check c = { .link = &links[i],
					   .plan = links[i].plan,
					   .side = (enum side)s,
					   .report = report };

			check_pairs(&c);
			check_shadows(&c);
			check_ids(&c);
		}
	loops_check(links, n, report);
}
