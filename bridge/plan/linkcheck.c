#include "plan/linkcheck.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "jq/mapping.h"
#include "message/kind.h"
#include "plan/loops.h"
#include "plan/plan.h"
#include "plan/unreachable.h"

/* The check of one side of a link. */
struct check {
	const struct plan *plan;
	const struct plan_side *ps;
	enum side side;
	const char *where;
	bool is_private;
	struct report *report;
	struct names *names;
};

static struct buf *next_text(struct names *names)
{
	struct buf *b = &names->ring[names->turn++ % 4];

	buf_reset(b);
	return b;
}

const char *names_row(struct names *names, const struct plan *p, enum side side,
		      const struct row *row)
{
	const char *file = mapping_file(p->side[side].mapping), *slash = strrchr(file, '/');
	struct buf *b = next_text(names);

	buf_printf(b, "%s: messages[%zu]", slash ? slash + 1 : file,
		   (size_t)(row - p->side[side].dialect->rows));
	return b->data;
}

const char *names_topic(struct names *names, const struct topic_template *t)
{
	struct buf *b = next_text(names);

	topic_template_text(t, b);
	return b->data;
}

void names_fini(struct names *names)
{
	for (size_t i = 0; i < 4; i++)
		buf_fini(&names->ring[i]);
}

static const char *row_name(const struct check *c, enum side side, const struct row *row)
{
	return names_row(c->names, c->plan, side, row);
}

static const char *topic_name(const struct check *c, const struct reader *r)
{
	return names_topic(c->names, &r->topic);
}

/* --- topics -------------------------------------------------------------------------------- */

/* Is it the row's own topic, and not that of an alias? */
static bool is_own_topic(const struct plan_side *ps, const struct reader *r)
{
	return r == ps->readers || r[-1].row != r->row;
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
	bool is_one = relation == TOPIC_SAME,
	     was_one = is_one_topic(c->ps->dialect, a->row, b->row);
	bool a_read = row_is_read(a->row, c->side), b_read = row_is_read(b->row, c->side);
	const char *what = relation == TOPIC_AMBIGUOUS ? "overlap, and neither is more specific"
			   : is_one && !was_one && (a_read || b_read) ? "are one topic"
			   : !is_one && was_one && a_read && b_read   ? "are no longer one topic"
								      : NULL;

	if (what)
		(relation == TOPIC_AMBIGUOUS ? report_error : report_warning)(
			c->report, "%s.vars: with these values \"%s\" (%s) and \"%s\" (%s) %s",
			c->where, topic_name(c, a), row_name(c, c->side, a->row), topic_name(c, b),
			row_name(c, c->side, b->row), what);
}

/* What the dialect tells apart, the values of variables may bring together. */
static void check_pairs(const struct check *c)
{
	const struct reader *end = c->ps->readers + c->ps->n_readers;

	for (const struct reader *a = c->ps->readers; a < end; a++)
		for (const struct reader *b = a + 1; b < end; b++)
			if (is_own_topic(c->ps, a) && is_own_topic(c->ps, b))
				check_pair(c, a, b);
}

static void check_unreachable(const struct check *c)
{
	const struct reader *r = NULL;

	while ((r = plan_next_reader(c->plan, c->side, r)))
		if (unreachable_is_total(c->ps, r, NULL))
			report_warning(c->report,
				       "%s: \"%s\" (%s) can never be read: more specific rows take "
				       "all its topics",
				       c->where, topic_name(c, r), row_name(c, c->side, r->row));
}

/* --- ids ----------------------------------------------------------------------------------- */

/* Does the bridge itself make the id under which a side gets this request? */
static bool is_id_made(const struct plan *p, enum side side, enum kind kind)
{
	bool is_never_answered = plan_writer(p, side, kind) && !plan_asker(p, side, kind);

	if (kind == KIND_SNAPSHOT_REQUEST) /* where it can only be a request for attributes */
		return plan_reader(p, side, KIND_ATTRIBUTES_REPLY);
	return kind_table[kind].asks == ASKS_BY_ID && !is_never_answered;
}

/* The same, and none that the asker gave. */
static bool is_id_new(const struct plan *p, enum side side, enum kind kind)
{
	return is_id_made(p, side, kind) && !kind_table[kind].keeps_id;
}

static bool names_id(const char *text)
{
	return text && text_template_has(text, "id");
}

/* What of the row needs the {id} of the message; NULL: nothing.  A `publish` function may say it. */
static const char *needs_id(const struct row *row)
{
	if (row->publish)
		return NULL;
	if (topic_template_has(&row->topic, "id"))
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
	return r->row->read || topic_template_has(&r->topic, "id");
}

/* A row that needs an {id}, and nothing that it is written for gives one: the far side's messages, or
 * for a reply the requests that came here. */
static void check_lost_id(const struct check *c, const struct row *row)
{
	bool is_reply = kind_is_paired_reply(row->kind);
	enum side from = is_reply ? c->side : side_other(c->side);
	enum kind kind = is_reply ? kind_table[row->kind].request : row->kind;
	const struct reader *first = plan_next_source(c->plan, from, kind, NULL), *r = first;
	const char *what = needs_id(row);

	if (!what || is_id_made(c->plan, c->side, row->kind) || kind_is_handshake(row->kind))
		return;
	while (r && !gives_id(c->plan, r))
		r = plan_next_source(c->plan, from, kind, r);
	if (!r && first) /* without a first nothing is ever written there */
		report_error(
			c->report,
			"%s: %s of %s (%s) needs an {id}, and no %s read on the %s gives one (%s)",
			c->where, what, row_name(c, c->side, row), kind_name(row->kind),
			kind_name(first->row->kind), side_name(from),
			row_name(c, from, first->row));
}

/* The same for what is asked on an alias that has a topic of its own for answers. */
static void check_alias_id(const struct check *c, const struct reader *r)
{
	if (names_id(r->reply) && !gives_id(c->plan, r))
		report_error(c->report,
			     "%s: the answers to \"%s\" need an {id}, and \"%s\" (%s) gives none",
			     c->where, r->reply, topic_name(c, r), row_name(c, c->side, r->row));
}

static const char *const id_words[] = {
	[ID_STRING] = "string",
	[ID_INTEGER] = "integer",
	[ID_UUID] = "uuid",
};

/* Of kinds that are not paired the id crosses as it is.  A `publish` function may say another one. */
static void check_conversion(const struct check *c, const struct row *row)
{
	enum side from = side_other(c->side);
	const struct reader *r = NULL;

	if (row->id == ID_STRING || row->publish || is_id_new(c->plan, c->side, row->kind) ||
	    kind_is_paired_reply(row->kind))
		return;
	while ((r = plan_next_source(c->plan, from, row->kind, r))) {
		bool may_convert = r->row->id == ID_STRING;

		if (r->row->id == row->id || !gives_id(c->plan, r))
			continue;
		(may_convert ? report_warning : report_error)(
			c->report,
			"%s: %s takes %s ids (%s), and the %s gives %s ids (%s), which %s",
			c->where, kind_name(row->kind), id_words[row->id],
			row_name(c, c->side, row), side_name(from), id_words[r->row->id],
			row_name(c, from, r->row),
			may_convert ? "may not convert" : "never convert");
	}
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
	enum kind reply = kind_table[row->kind].reply;
	const struct reader *r = NULL;

	if (!is_id_new(c->plan, c->side, row->kind) ||
	    row != plan_asker(c->plan, c->side, row->kind) ||
	    !plan_next_source(c->plan, side_other(c->side), row->kind, NULL))
		return;
	while ((r = plan_next_source(c->plan, c->side, reply, r)))
		if (topic_template_has(&r->topic, "id") && !is_matched(row->id, r->row->id))
			report_error(
				c->report,
				"%s: %s is asked with %s ids (%s), and its replies are read with "
				"%s ids (%s), so none is ever found",
				c->where, kind_name(row->kind), id_words[row->id],
				row_name(c, c->side, row), id_words[r->row->id],
				row_name(c, c->side, r->row));
}

static void check_ids(const struct check *c)
{
	const struct dialect *d = c->ps->dialect;
	const struct reader *r = NULL;

	if (c->plan->is_mirror && c->side == SOUTH)
		return; /* nothing is written there */
	for (const struct row *row = d->rows; row < d->rows + d->n_rows; row++) {
		if (!row_is_written(row, c->side))
			continue;
		check_lost_id(c, row);
		check_conversion(c, row);
		check_reply_ids(c, row);
	}
	while ((r = plan_next_reader(c->plan, c->side, r)))
		check_alias_id(c, r);
}

/* --- devices ------------------------------------------------------------------------------- */

/* A topic that devices say something on and are told something on, and that names none of them: on an
 * ordinary broker each hears itself and the others. */
static bool is_both_ways(const struct check *c, const struct reader *r)
{
	const struct plan_side *ps = c->ps;

	if (ps->dialect->device == DEVICE_IN_TOPIC || !row_is_read(r->row, c->side))
		return false;
	for (size_t i = 0; i < ps->n_readers; i++)
		if (row_is_written(ps->readers[i].row, c->side) &&
		    topic_template_equal(&ps->readers[i].topic, &r->topic))
			return true;
	return false;
}

static void check_own_voice(const struct check *c)
{
	const struct reader *r = c->ps->readers, *end = r + c->ps->n_readers;

	while (r < end && !is_both_ways(c, r))
		r++;
	if (c->side == SOUTH && !c->plan->is_mirror && !c->is_private && r < end)
		report_warning(c->report,
			       "%s: devices of %s speak and listen on one topic, \"%s\": on an "
			       "ordinary broker they hear themselves, and may answer",
			       c->where, c->ps->dialect->name, topic_name(c, r));
}

static const char *own_device(const struct plan *p, enum side side)
{
	const char *own = vars_get(&p->side[side].vars, "device");

	return own ? own : p->is_single ? p->device : NULL;
}

static bool is_one_name(const struct plan *p, const struct plan *q, enum side side)
{
	const char *x = own_device(p, side), *y = own_device(q, side);

	return x && y && strcmp(x, y) == 0;
}

/* Is there a topic, with the values of variables in it, that both read? */
static bool read_one_topic(const struct plan *p, const struct plan *q)
{
	const struct reader *a = NULL;

	while ((a = plan_next_reader(p, SOUTH, a))) {
		const struct reader *b = NULL;

		while ((b = plan_next_reader(q, SOUTH, b)))
			if (topic_template_compare(&a->topic, &b->topic) == TOPIC_SAME)
				return true;
	}
	return false;
}

struct login_check {
	const struct plan *plan;
	enum side side;
};

static const char *lookup_login(void *ctx, const char *name)
{
	const struct login_check *c = ctx;
	const char *value = vars_get(&c->plan->side[c->side].vars, name);

	return value || strcmp(name, "device") != 0 ? value : own_device(c->plan, c->side);
}

/* What it logs in with, as one text; empty: nothing is known of it. */
static void put_login(const struct linkcheck *l, enum side side, struct buf *out)
{
	const struct dialect *d = l->plan->side[side].dialect;
	const struct login_template *login = dialect_login(d, side);
	const char *const texts[][2] = { { l->username[side], login->username },
					 { l->password[side], login->password } };
	struct login_check c = { l->plan, side };

	for (size_t i = 0; i < 2; i++) {
		if (texts[i][0])
			buf_printf(out, "%zu=%s\n", i, texts[i][0]);
		else if (texts[i][1]) {
			size_t before = out->len;

			buf_printf(out, "%zu=", i);
			if (text_template_expand(texts[i][1], lookup_login, &c, out, NULL))
				buf_putc(out, '\n');
			else
				out->len = before;
		}
	}
	for (size_t i = 0; i < d->n_credentials; i++)
		if (lookup_login(&c, d->credentials[i]))
			buf_printf(out, "%s=%s\n", d->credentials[i],
				   lookup_login(&c, d->credentials[i]));
}

static bool is_one_login(const struct linkcheck *a, const struct linkcheck *b, enum side side)
{
	struct buf x = { 0 }, y = { 0 };
	bool is_one;

	put_login(a, side, &x);
	put_login(b, side, &y);
	is_one = x.len && strcmp(buf_str(&x), buf_str(&y)) == 0;
	mem_free_secret(x.data, x.len);
	mem_free_secret(y.data, y.len);
	return is_one;
}

/* In the south what both read counts, in the north the login; and the name, where not all of that is one
 * device's. */
static bool is_same_device(const struct linkcheck *a, const struct linkcheck *b, enum side side)
{
	const struct plan *p = a->plan, *q = b->plan;
	const struct dialect *d = p->side[side].dialect;

	if (side == SOUTH)
		return read_one_topic(p, q) &&
		       (d->device == DEVICE_IN_SESSION || is_one_name(p, q, side));
	return strcmp(d->name, q->side[side].dialect->name) == 0 &&
	       (d->device != DEVICE_IN_TOPIC || is_one_name(p, q, side)) &&
	       is_one_login(a, b, side);
}

/* A mirror stands beside another link, by intent. */
static void check_twice(const struct linkcheck *a, const struct linkcheck *b, struct report *report)
{
	if (a->plan->is_mirror || b->plan->is_mirror)
		return;
	for (enum side s = SOUTH; s <= NORTH; s++)
		if (a->broker[s] == b->broker[s] && is_same_device(a, b, s))
			report_warning(
				report, "%s: link \"%s\" has the same %s of %s there: %s",
				b->where[s], a->plan->name, s == SOUTH ? "device" : "credentials",
				b->plan->side[s].dialect->name,
				s == SOUTH ? "all that it says goes both ways"
					   : "the platform may end one session for the other");
}

/* --- all ----------------------------------------------------------------------------------- */

void linkcheck_all(const struct linkcheck *links, size_t n, struct report *report)
{
	struct names names = { 0 };

	for (size_t i = 0; i < n; i++)
		for (enum side s = SOUTH; s <= NORTH; s++) {
			struct check c = { .plan = links[i].plan,
					   .ps = &links[i].plan->side[s],
					   .side = s,
					   .where = links[i].where[s],
					   .is_private = links[i].is_private,
					   .report = report,
					   .names = &names };

			check_pairs(&c);
			check_unreachable(&c);
			check_ids(&c);
			check_own_voice(&c);
		}
	names_fini(&names);
	loops_check(links, n, report);
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			check_twice(&links[i], &links[k], report);
}
