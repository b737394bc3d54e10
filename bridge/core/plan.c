#include "core/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/mapping.h"

/* --- binding ------------------------------------------------------------------------------- */

/* Is a row read on this side (and not only known)? */
static bool is_read_on(const struct row *row, enum side side)
{
	return row->can_read && kind_table[row->kind].flow == flow_from(side);
}

static void add_reader(struct plan_side *ps, const struct vars *known,
		       const struct topic_template *topic, const struct row *row, const char *reply,
		       const char *where, struct report *report)
{
	struct reader r = { .row = row, .reply = reply };
	struct err e = { 0 };

	if (!topic_template_bind(&r.topic, topic, known, &e)) {
		report_error(report, "%s.vars: %s", where, e.text);
		return;
	}
	ps->readers = mem_grow(ps->readers, ps->n_readers, sizeof *ps->readers);
	ps->readers[ps->n_readers++] = r;
}

/* Variables that are known when topics are bound: the side's own, and the device where the link is
 * about one. */
static void known_vars(const struct plan *p, enum side side, struct vars *known)
{
	vars_copy(known, &p->side[side].vars);
	if (side == NORTH && p->is_single && !vars_get(known, "device"))
		vars_set(known, "device", p->device, false);
}

static void bind_side(struct plan *p, enum side side, const char *where, struct report *report)
{
	struct plan_side *ps = &p->side[side];
	struct vars known;

	known_vars(p, side, &known);
	for (size_t i = 0; i < ps->dialect->n_rows; i++) {
		const struct row *row = &ps->dialect->rows[i];

		add_reader(ps, &known, &row->topic, row, NULL, where, report);
		if (side == NORTH)
			continue; /* aliases are what devices use */
		for (size_t k = 0; k < row->n_also; k++)
			add_reader(ps, &known, &row->also[k].topic, row, row->also[k].reply, where,
				   report);
	}
	vars_fini(&known);
}

/* --- checks -------------------------------------------------------------------------------- */

static const char *lookup_known(void *ctx, const char *name)
{
	const struct vars *known = ctx;
	const char *value = vars_get(known, name);

	/* The message itself brings these two. */
	if (!value && (strcmp(name, "device") == 0 || strcmp(name, "id") == 0))
		return "x";
	return value;
}

static void check_text(const char *text, const struct vars *known, const char *where,
		       size_t row, const char *key, struct report *report)
{
	struct buf out = { 0 };
	struct err e = { 0 };

	if (text && !text_template_expand(text, lookup_known, (void *)known, &out, &e))
		report_error(report, "%s.vars.%s: not set, and %s of messages[%zu] needs it", where,
			     e.text, key, row);
	buf_fini(&out);
}

/* A row that will be written needs each variable from the configuration or from the message. */
static void check_row(const struct row *row, size_t i, const struct vars *known, const char *where,
		      struct report *report)
{
	struct buf out = { 0 };
	struct err e = { 0 };

	if (!row->publish && !topic_template_expand(&row->topic, lookup_known, (void *)known, &out, &e))
		report_error(report, "%s.vars.%s: not set, and topic of messages[%zu] needs it",
			     where, e.text, i);
	for (size_t k = 0; k < row->properties.n; k++)
		check_text(row->properties.items[k].value, known, where, i, "a property", report);
	check_text(row->response_topic, known, where, i, "response_topic", report);
	check_text(row->correlation, known, where, i, "correlation", report);
	buf_fini(&out);
}

static bool has_reader(const struct plan *p, enum side side, enum kind kind)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].can_read && d->rows[i].kind == kind)
			return true;
	return false;
}

static void check_variables(const struct plan *p, enum side side, const char *where,
			    struct report *report)
{
	const struct plan_side *ps = &p->side[side];
	struct vars known;

	known_vars(p, side, &known);
	for (size_t i = 0; i < ps->dialect->n_rows; i++) {
		const struct row *row = &ps->dialect->rows[i];
		enum side source = flow_source(kind_table[row->kind].flow);

		if (row->can_write && source != side && has_reader(p, source, row->kind))
			check_row(row, i, &known, where, report);
	}
	vars_fini(&known);
}

static bool is_one_devices(const struct plan_side *ps)
{
	return ps->dialect->device == DEVICE_IN_SESSION || ps->dialect->session_per_device ||
	       vars_get(&ps->vars, "device");
}

static void check_devices(const struct plan *p, const struct plan_spec *spec,
			  struct report *report)
{
	if (p->is_single || !is_one_devices(&p->side[NORTH]))
		return;
	report_error(report,
		     "%s.vars.device: not set, so the south may bring many devices, but a session of "
		     "%s is one device's: set it to the name of the device",
		     spec->where[SOUTH], p->side[NORTH].dialect->name);
}

/* --- making and ending --------------------------------------------------------------------- */

static void choose_device(struct plan *p)
{
	const char *south = vars_get(&p->side[SOUTH].vars, "device");
	const char *north = vars_get(&p->side[NORTH].vars, "device");

	p->device = mem_strdup(south ? south : north ? north : p->name);
	p->is_single = south || p->side[SOUTH].dialect->device == DEVICE_IN_SESSION;
}

static void set_side(struct plan *p, enum side side, const struct plan_spec *spec)
{
	struct plan_side *ps = &p->side[side];

	ps->mapping = spec->mapping[side];
	ps->dialect = mapping_dialect(spec->mapping[side]);
	vars_copy(&ps->vars, spec->vars[side]);
	for (size_t i = 0; i < ps->vars.n; i++)
		if (dialect_is_credential(ps->dialect, ps->vars.items[i].name))
			ps->vars.items[i].is_secret = true;
}

static void copy_through(struct plan *p, const struct plan_spec *spec)
{
	p->n_through = spec->n_through;
	p->through = mem_zalloc((spec->n_through + 1) * sizeof *p->through);
	for (size_t i = 0; i < spec->n_through; i++) {
		p->through[i].mapping = spec->through[i].mapping;
		vars_copy(&p->through[i].vars, spec->through[i].vars);
	}
}

struct plan *plan_new(const struct plan_spec *spec, struct report *report)
{
	struct plan *p = mem_zalloc(sizeof *p);
	size_t errors = report->n_errors;

	p->name = mem_strdup(spec->name);
	p->is_mirror = spec->is_mirror;
	p->drop_unmatched = spec->drop_unmatched;
	p->hides_secrets = spec->is_offline;
	p->request_timeout_ms = spec->request_timeout_ms;
	p->command_max_age_ms = spec->command_max_age_ms;
	p->provision_key = mem_strdup(spec->provision_key);
	p->provision_secret = mem_strdup(spec->provision_secret);
	p->provision_name = mem_strdup(spec->provision_name);
	for (int k = 0; k < KINDS; k++)
		p->remap[k] = spec->remap && spec->remap[k] != KIND_NONE ? spec->remap[k]
									 : (enum kind)k;
	for (int s = 0; s < SIDES; s++)
		set_side(p, (enum side)s, spec);
	copy_through(p, spec);
	choose_device(p);
	for (int s = 0; s < SIDES; s++) {
		bind_side(p, (enum side)s, spec->where[s], report);
		if (!spec->is_offline)
			check_variables(p, (enum side)s, spec->where[s], report);
	}
	if (!spec->is_offline)
		check_devices(p, spec, report);
	if (report->n_errors > errors) {
		plan_free(p);
		return NULL;
	}
	return p;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (int s = 0; s < SIDES; s++) {
		for (size_t i = 0; i < p->side[s].n_readers; i++)
			topic_template_fini(&p->side[s].readers[i].topic);
		free(p->side[s].readers);
		vars_fini(&p->side[s].vars);
	}
	for (size_t i = 0; i < p->n_through; i++)
		vars_fini(&p->through[i].vars);
	free(p->through);
	free(p->name);
	free(p->device);
	free(p->provision_key);
	free(p->provision_secret);
	free(p->provision_name);
	free(p);
}

/* --- matching ------------------------------------------------------------------------------ */

/* A captured {id} that is not of the row's type does not match (design, section 2). */
static bool id_converts(const struct reader *r, const char *topic)
{
	struct vars captures = { 0 };
	const char *id;
	bool ok = true;

	if (r->row->id != ID_INTEGER)
		return true;
	topic_template_match(&r->topic, topic, &captures);
	id = vars_get(&captures, "id");
	if (id)
		ok = *id && strspn(id, "0123456789") == strlen(id) && strlen(id) < 19;
	vars_fini(&captures);
	return ok;
}

void plan_match(const struct plan *p, enum side from, const char *topic, struct match *m)
{
	const struct plan_side *ps = &p->side[from];
	const struct reader *best = NULL;

	m->n = 0;
	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *r = &ps->readers[i];

		if (!topic_template_match(&r->topic, topic, NULL) || !id_converts(r, topic))
			continue;
		if (!best || topic_template_compare(&r->topic, &best->topic) == TOPIC_MORE_SPECIFIC) {
			best = r;
			m->n = 0;
		} else if (topic_template_compare(&r->topic, &best->topic) != TOPIC_SAME) {
			continue;
		}
		if (is_read_on(r->row, from) && m->n < MATCH_MAX)
			m->readers[m->n++] = r;
	}
	m->is_known = best != NULL;
}

/* --- subscriptions ------------------------------------------------------------------------- */

bool plan_is_provisioning(const struct plan *p, enum side side, enum kind kind)
{
	return side == NORTH && p->side[side].dialect->has_provisioning &&
	       (kind == KIND_PROVISION || kind == KIND_PROVISION_REPLY);
}

static void add_filter(char ***list, size_t *n, const struct topic_template *t)
{
	struct buf text = { 0 };

	topic_template_filter(t, &text);
	for (size_t i = 0; i < *n; i++) {
		if (topic_filter_covers((*list)[i], text.data)) {
			buf_fini(&text);
			return;
		}
	}
	for (size_t i = 0; i < *n;) {
		if (topic_filter_covers(text.data, (*list)[i])) {
			free((*list)[i]);
			(*list)[i] = (*list)[--*n];
		} else {
			i++;
		}
	}
	*list = mem_realloc(*list, (*n + 1) * sizeof **list);
	(*list)[(*n)++] = buf_take(&text);
}

/* Is anything done with this kind when it comes from this side? */
static bool is_wanted(const struct plan *p, enum side from, enum kind kind)
{
	return !(p->is_mirror && from == NORTH) && kind_table[kind].flow == flow_from(from);
}

char **plan_filters(const struct plan *p, enum side side, bool provisioning, size_t *n)
{
	const struct plan_side *ps = &p->side[side];
	char **list = NULL;

	*n = 0;
	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *r = &ps->readers[i];

		if (is_read_on(r->row, side) && is_wanted(p, side, r->row->kind) &&
		    plan_is_provisioning(p, side, r->row->kind) == provisioning)
			add_filter(&list, n, &r->topic);
	}
	return list;
}

/* --- kinds and devices --------------------------------------------------------------------- */

const struct row *plan_writer(const struct plan *p, enum side side, enum kind kind)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].can_write && d->rows[i].kind == kind)
			return &d->rows[i];
	return NULL;
}

const char *plan_device_here(const struct plan *p, enum side side, const char *native)
{
	const char *own = vars_get(&p->side[side].vars, "device");

	if (own)
		return strcmp(own, native) == 0 ? p->device : NULL;
	if (p->is_single)
		return strcmp(p->device, native) == 0 ? p->device : NULL;
	return native;
}

const char *plan_device_there(const struct plan *p, enum side side, const char *device)
{
	const char *own = vars_get(&p->side[side].vars, "device");

	return own ? own : device;
}
