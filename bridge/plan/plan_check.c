#include "plan/plan_check.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "plan/plan.h"

void plan_known_vars(const struct plan *p, enum side side, struct vars *known)
{
	vars_copy(known, &p->side[side].vars);
	if (side == NORTH && p->is_single && !vars_get(known, "device"))
		vars_set(known, "device", p->device, false);
}

/* The check of one side: each variable that is missing is told once. */
struct vars_check {
	const struct vars *known;
	const char *where;
	struct vars told;
	struct vars *owed;	   /* what is left to devices ... */
	const struct vars *listed; /* ... of these names, */
	const struct dialect
		*credentials; /* and the credentials of this dialect; both may be NULL */
	struct report *report;
};

static bool is_devices_own(const struct vars_check *c, const char *name)
{
	return (c->listed && vars_find(c->listed, name)) ||
	       (c->credentials && dialect_is_credential(c->credentials, name));
}

static void check_variable(struct vars_check *c, const char *name, size_t row, const char *what)
{
	if (strcmp(name, "device") == 0 || strcmp(name, "id") == 0 || /* the message says these */
	    vars_find(c->known, name) || vars_find(&c->told, name))
		return;
	vars_add(&c->told, name, "");
	if (is_devices_own(c, name)) {
		vars_add(c->owed, name, "");
		return;
	}
	report_error(c->report,
		     "%s.vars.%s: not set (nor a column of the list of devices), and %s of "
		     "messages[%zu] needs it",
		     c->where, name, what, row);
}

static void check_topic(struct vars_check *c, const struct topic_template *t, size_t row)
{
	for (size_t i = 0; i < t->n_levels; i++)
		if (t->levels[i].type != LEVEL_LITERAL)
			check_variable(c, t->levels[i].text, row, "topic");
}

/* `captured`: a topic whose variables are known by then; NULL: none. */
static void check_text(struct vars_check *c, const char *text,
		       const struct topic_template *captured, size_t row, const char *what)
{
	struct buf name = { 0 };
	size_t pos = 0;

	while (text && text_template_next(text, &pos, &name)) {
		if (!captured || !topic_template_has(captured, name.data))
			check_variable(c, name.data, row, what);
		buf_reset(&name);
	}
	buf_fini(&name);
}

/* A row that will be written needs each variable from the configuration or from the message; a
 * `publish` function can say any. */
static void check_row(struct vars_check *c, const struct row *row, size_t i)
{
	if (row->publish)
		return;
	check_topic(c, &row->topic, i);
	for (size_t k = 0; k < row->properties.n; k++)
		check_text(c, row->properties.items[k].value, NULL, i, "a property");
	check_text(c, row->response_topic, NULL, i, "response_topic");
	check_text(c, row->correlation, NULL, i, "correlation");
}

/* What is asked on an alias is answered with the variables of its topic. */
static void check_aliases(struct vars_check *c, const struct row *row, size_t i)
{
	for (size_t k = 0; k < row->n_also; k++)
		check_text(c, row->also[k].reply, &row->also[k].topic, i, "reply of an alias");
}

/* Does `side` read messages that go on as `kind`? */
static bool brings(const struct plan *p, enum side side, enum kind kind)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (row_is_read(&d->rows[i], side) && p->remap[d->rows[i].kind] == kind)
			return true;
	return false;
}

/* The bridge itself answers, too: with an error, with what the mapping says, after a time; and greets. */
static bool is_written_on(const struct plan *p, enum side side, enum kind kind)
{
	enum kind request = kind_table[kind].request;

	return flow_target(kind_table[kind].flow) == side &&
	       (brings(p, side_other(side), kind) ||
		(request != KIND_NONE && brings(p, side, request)) ||
		(side == NORTH && plan_greets(p, kind)));
}

/* Where the south brings many devices, a variable may be each one's own. */
static void check_variables(struct plan *p, enum side side, const struct plan_spec *spec,
			    struct report *report)
{
	const char *where = spec->where[side];
	const struct dialect *d = p->side[side].dialect;
	struct vars known;
	struct vars_check c = {
		.known = &known,
		.where = where,
		.owed = &p->side[side].owed,
		.listed = p->is_single ? NULL : spec->listed[side],
		.credentials = side == NORTH && p->has_device_sessions ? d : NULL,
		.report = report,
	};

	plan_known_vars(p, side, &known);
	for (size_t i = 0; i < d->n_rows; i++) {
		if (d->rows[i].can_write && is_written_on(p, side, d->rows[i].kind))
			check_row(&c, &d->rows[i], i);
		if (row_is_read(&d->rows[i], side))
			check_aliases(&c, &d->rows[i], i);
	}
	vars_fini(&known);
	vars_fini(&c.told);
}

static void put_choices(const struct dialect *d, const char *name, struct buf *out)
{
	for (size_t i = 0; i < d->choices.n; i++)
		if (strcmp(d->choices.items[i].name, name) == 0)
			buf_printf(out, "%s%s", out->len ? ", " : "", d->choices.items[i].value);
}

static bool is_choice(const struct dialect *d, const struct var *v)
{
	bool is_free = true;

	for (size_t i = 0; i < d->choices.n; i++) {
		const struct var *c = &d->choices.items[i];

		if (strcmp(c->name, v->name) != 0)
			continue;
		if (strcmp(c->value, v->value) == 0)
			return true;
		is_free = false;
	}
	return is_free;
}

/* A value that no function knows would be found out message by message. */
static void check_choices(const struct plan_side *ps, const char *where, struct report *report)
{
	for (size_t i = 0; i < ps->vars.n; i++) {
		const struct var *v = &ps->vars.items[i];
		struct buf list = { 0 };

		if (is_choice(ps->dialect, v))
			continue;
		put_choices(ps->dialect, v->name, &list);
		report_error(report, "%s.vars.%s: \"%s\" is none of %s", where, v->name,
			     v->is_secret ? "***" : v->value, buf_str(&list));
		buf_fini(&list);
	}
}

static bool is_one_devices(const struct plan_side *ps)
{
	return ps->dialect->device == DEVICE_IN_SESSION || ps->dialect->session_per_device ||
	       vars_get(&ps->vars, "device");
}

static void check_devices(const struct plan *p, const struct plan_spec *spec, struct report *report)
{
	if (p->is_single || p->has_device_sessions || !is_one_devices(&p->side[NORTH]))
		return;
	report_error(
		report,
		"%s.vars.device: not set, so the south may bring many devices, but a session of "
		"%s is one device's: set it to the name of the device",
		spec->where[SOUTH], p->side[NORTH].dialect->name);
}

void plan_check(struct plan *p, enum side side, const struct plan_spec *spec, struct report *report)
{
	check_choices(&p->side[side], spec->where[side], report);
	if (spec->is_offline)
		return;
	check_variables(p, side, spec, report);
	if (side == NORTH)
		check_devices(p, spec, report);
}
