#include "plan/plan.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "jq/mapping.h"
#include "plan/plan_devices.h"
#include "state/devices.h"

/* --- binding ------------------------------------------------------------------------------- */

/* A value that fits no topic fits none of many rows. */
static void report_once(struct report *report, const char *where, const char *text)
{
	char *line = mem_printf("%s.vars: %s", where, text);

	if (!report_has(report, line))
		report_error(report, "%s", line);
	free(line);
}

static void add_reader(struct plan_side *ps, const struct vars *known,
		       const struct topic_template *topic, const struct row *row, const char *reply,
		       const char *where, struct report *report)
{
	struct reader r = { .row = row, .reply = reply };
	struct err e = { 0 };

	if (!topic_template_bind(&r.topic, topic, known, &e)) {
		report_once(report, where, e.text);
		return;
	}
	while (r.first < ps->n_readers &&
	       topic_template_compare(&r.topic, &ps->readers[r.first].topic) != TOPIC_SAME)
		r.first++;
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

/* Rows that the same topic finds must fit into a struct match. */
static void check_crowd(const struct plan_side *ps, enum side side, const char *where,
			struct report *report)
{
	for (size_t i = 0; i < ps->n_readers; i++) {
		size_t n = 0;

		for (size_t k = 0; k < ps->n_readers; k++)
			n += row_is_read(ps->readers[k].row, side) && ps->readers[k].first == i;
		if (n > MATCH_MAX) {
			report_error(report,
				     "%s: %s has %zu rows with the same topic, at most %d can be",
				     where, ps->dialect->name, n, MATCH_MAX);
			return;
		}
	}
}

static void bind_side(struct plan *p, enum side side, const char *where, struct report *report)
{
	struct plan_side *ps = &p->side[side];
	struct vars known;

	known_vars(p, side, &known);
	for (size_t i = 0; i < ps->dialect->n_rows; i++) {
		const struct row *row = &ps->dialect->rows[i];

		add_reader(ps, &known, &row->topic, row, NULL, where, report);
		if (!row_is_read(row, side))
			continue; /* aliases are for reading */
		for (size_t k = 0; k < row->n_also; k++)
			add_reader(ps, &known, &row->also[k].topic, row, row->also[k].reply, where,
				   report);
	}
	check_crowd(ps, side, where, report);
	vars_fini(&known);
}

/* --- checks -------------------------------------------------------------------------------- */

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
	report_error(c->report, "%s.vars.%s: not set, and %s of messages[%zu] needs it", c->where,
		     name, what, row);
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

	known_vars(p, side, &known);
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

/* --- making and ending --------------------------------------------------------------------- */

static bool speaks_for_many(const struct plan *p, enum side side)
{
	const struct plan_side *ps = &p->side[side];

	return !p->is_single && ps->dialect->device == DEVICE_IN_PAYLOAD &&
	       !vars_get(&ps->vars, "device") && !(side == NORTH && p->has_device_sessions);
}

const char *plan_named_gateway(const struct plan *p, enum side side)
{
	return speaks_for_many(p, side) ? vars_get(&p->side[side].vars, "gateway") : NULL;
}

const char *plan_gateway(const struct plan *p, enum side side)
{
	const char *named = plan_named_gateway(p, side);

	return named || !speaks_for_many(p, side) ? named : p->device;
}

/* What names no device is about this one: the only one, else the gateway itself. */
static void choose_device(struct plan *p)
{
	const char *south = vars_get(&p->side[SOUTH].vars, "device");
	const char *north = vars_get(&p->side[NORTH].vars, "device");
	const char *names[] = { south, north, NULL, NULL, p->name };
	size_t i = 0;

	p->is_single = south ||
		       (p->side[SOUTH].dialect->device == DEVICE_IN_SESSION && !p->has_front_door);
	p->has_device_sessions =
		!p->is_single && !north && p->side[NORTH].dialect->session_per_device;
	names[2] = plan_named_gateway(p, SOUTH);
	names[3] = plan_named_gateway(p, NORTH);
	while (!names[i])
		i++;
	p->device = mem_strdup(names[i]);
}

static void set_side(struct plan *p, enum side side, const struct plan_spec *spec)
{
	struct plan_side *ps = &p->side[side];

	ps->mapping = spec->mapping[side];
	ps->dialect = mapping_dialect(spec->mapping[side]);
	vars_copy(&ps->vars, spec->vars[side]);
	for (size_t i = 0; i < ps->dialect->defaults.n; i++) {
		const struct var *v = &ps->dialect->defaults.items[i];

		if (!vars_find(&ps->vars, v->name))
			vars_set(&ps->vars, v->name, v->value, false);
	}
	for (size_t i = 0; i < ps->vars.n; i++)
		if (dialect_is_credential(ps->dialect, ps->vars.items[i].name))
			ps->vars.items[i].is_secret = true;
}

/* What a dialect says is how long its platform waits for a device.  Where it is spoken in the south,
 * devices do the waiting. */
static void set_timeouts(struct plan *p, int64_t configured_ms)
{
	int64_t said_ms = p->side[NORTH].dialect->request_timeout_s * INT64_C(1000);

	p->request_timeout_ms[SOUTH] = PLAN_DEFAULT_REQUEST_TIMEOUT_MS;
	p->request_timeout_ms[NORTH] = said_ms ? said_ms : PLAN_DEFAULT_REQUEST_TIMEOUT_MS;
	for (int s = 0; configured_ms && s < SIDES; s++)
		p->request_timeout_ms[s] = configured_ms;
}

static int64_t limit(int64_t set, int64_t said, enum side side)
{
	return set ? set : side == NORTH ? said : 0;
}

static void set_limits(struct plan *p, const struct limits set[SIDES])
{
	for (enum side s = SOUTH; s <= NORTH; s++) {
		const struct limits *mine = &set[s], *said = &p->side[s].dialect->limits;

		p->limits[s] = (struct limits){
			.payload_bytes = limit(mine->payload_bytes, said->payload_bytes, s),
			.packet_bytes = limit(mine->packet_bytes, said->packet_bytes, s),
			.in_flight = limit(mine->in_flight, said->in_flight, s),
			.messages_per_second =
				limit(mine->messages_per_second, said->messages_per_second, s),
		};
	}
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
	p->devices = devices_new();
	p->fleet = mem_zalloc(sizeof *p->fleet);
	p->pushes_first = spec->pushes_first;
	p->drop_unmatched = spec->drop_unmatched;
	p->hides_secrets = spec->is_offline;
	p->command_max_age_ms = spec->command_max_age_ms;
	p->has_epoch_versions = spec->has_epoch_versions;
	p->has_front_door = spec->has_front_door;
	for (int k = 0; k < KINDS; k++)
		p->remap[k] =
			spec->remap && spec->remap[k] != KIND_NONE ? spec->remap[k] : (enum kind)k;
	for (int s = 0; s < SIDES; s++)
		set_side(p, (enum side)s, spec);
	set_timeouts(p, spec->request_timeout_ms);
	set_limits(p, spec->limits);
	copy_through(p, spec);
	choose_device(p);
	plan_set_devices(p, spec);
	for (int s = 0; s < SIDES; s++) {
		bind_side(p, (enum side)s, spec->where[s], report);
		check_choices(&p->side[s], spec->where[s], report);
		if (!spec->is_offline)
			check_variables(p, (enum side)s, spec, report);
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
		vars_fini(&p->side[s].owed);
	}
	for (size_t i = 0; i < p->n_through; i++)
		vars_fini(&p->through[i].vars);
	free(p->through);
	devices_free(p->devices);
	free(p->fleet);
	free(p->name);
	free(p->device);
	free(p->provision_key);
	free(p->provision_secret);
	free(p->provision_name);
	vars_fini(&p->greet);
	free(p);
}

/* --- matching ------------------------------------------------------------------------------ */

/* An int64 as JSON spells it. */
static bool is_integer(const char *s)
{
	struct jslice number = { s, strlen(s) };
	size_t sign = *s == '-';
	int64_t value;

	if (!s[sign] || s[sign + strspn(s + sign, "0123456789")])
		return false;
	return (s[sign] != '0' || strcmp(s, "0") == 0) && jtext_integer(number, &value);
}

static bool is_uuid(const char *s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	for (size_t i = 0; i < sizeof form - 1; i++)
		if (form[i] == '-' ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	return s[sizeof form - 1] == '\0';
}

bool plan_is_id_typed(const struct reader *r)
{
	return r->row->id != ID_STRING && topic_template_has(&r->topic, "id");
}

/* A captured {id} that is not of the row's type does not match, and another row may. */
static bool id_converts(const struct reader *r, const char *topic)
{
	struct vars captures = { 0 };
	const char *id;
	bool ok = true;

	if (!plan_is_id_typed(r))
		return true;
	topic_template_match(&r->topic, topic, &captures);
	id = vars_get(&captures, "id");
	if (id)
		ok = r->row->id == ID_INTEGER ? is_integer(id) : is_uuid(id);
	vars_fini(&captures);
	return ok;
}

/* A row may stand there twice: where a variable that is known makes an alias the row's own topic. */
static void add_match(struct match *m, const struct reader *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->readers[i]->row == r->row)
			return;
	assert(m->n < MATCH_MAX); /* plan_new() saw to that */
	m->readers[m->n++] = r;
}

/* The first of the readers from `r` on that has the same template as `best`; NULL: none has. */
static const struct reader *next_reader(const struct plan_side *ps, const struct reader *best,
					const struct reader *r, const char *topic)
{
	for (; r < ps->readers + ps->n_readers; r++)
		if (r->first == best->first && id_converts(r, topic))
			return r;
	return NULL;
}

/* The first reader of the most specific template that matches; NULL: none does.  The others of that
 * template come after it. */
static const struct reader *best_reader(const struct plan_side *ps, const char *topic)
{
	const struct reader *best = NULL;

	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *r = &ps->readers[i];

		if (r->first != i || !topic_template_match(&r->topic, topic, NULL) ||
		    (best &&
		     topic_template_compare(&r->topic, &best->topic) != TOPIC_MORE_SPECIFIC))
			continue;
		r = next_reader(ps, r, r, topic);
		best = r ? r : best;
	}
	return best;
}

void plan_match(const struct plan *p, enum side from, const char *topic, struct match *m)
{
	const struct plan_side *ps = &p->side[from];
	const struct reader *best = best_reader(ps, topic);

	m->n = 0;
	m->is_known = best != NULL;
	for (const struct reader *r = best; r; r = next_reader(ps, best, r + 1, topic))
		if (row_is_read(r->row, from))
			add_match(m, r);
}

bool plan_reads_alike(const struct reader *a, const struct reader *b)
{
	return topic_template_equal(&a->topic, &b->topic) &&
	       topic_template_equal(&a->row->topic, &b->row->topic);
}

bool plan_is_topic_of(const struct plan *p, enum side side, const struct row *row,
		      const char *topic)
{
	const struct plan_side *ps = &p->side[side];
	const struct reader *best = best_reader(ps, topic), *r = best;

	while (r && r->row != row)
		r = next_reader(ps, best, r + 1, topic);
	return r != NULL;
}

const struct row *plan_writer_on(const struct plan *p, enum side side, enum kind kind,
				 const char *topic)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].kind == kind && d->rows[i].can_write &&
		    plan_is_topic_of(p, side, &d->rows[i], topic))
			return &d->rows[i];
	return NULL;
}

/* --- subscriptions ------------------------------------------------------------------------- */

bool plan_is_provisioning(const struct plan *p, enum side side, enum kind kind)
{
	return side == NORTH && p->side[side].dialect->has_provisioning && kind_is_handshake(kind);
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

struct wanted plan_wanted(const struct plan *p)
{
	struct wanted w = { .side = { p->side[SOUTH].dialect, p->side[NORTH].dialect },
			    .remap = p->remap };

	for (size_t i = 0; i < p->n_through; i++)
		for (int f = 0; f < FLOWS; f++)
			if (mapping_through_fn(p->through[i].mapping, (enum flow)f) >= 0)
				w.is_open[f] = true;
	return w;
}

const char *plan_session_of(const struct plan *p, enum side side, const char *device)
{
	return side == NORTH && p->has_device_sessions ? device : NULL;
}

/* What it hears on a session of the device that the side calls so, NULL: of any; caller ends it. */
static void own_topic(const struct reader *r, const char *native, struct topic_template *out)
{
	struct vars known = { 0 };

	if (native)
		vars_set(&known, "device", native, false);
	if (!topic_template_bind(out, &r->topic, &known, NULL)) /* no such name is in a topic */
		topic_template_bind(out, &r->topic, &(struct vars){ 0 }, NULL);
	vars_fini(&known);
}

char **plan_filters(const struct plan *p, enum side side, bool provisioning, const char *native,
		    size_t *n)
{
	const struct wanted wanted = plan_wanted(p);
	const struct reader *r = NULL;
	char **list = NULL;

	*n = 0;
	while ((r = plan_next_reader(p, side, r)))
		if (plan_is_provisioning(p, side, r->row->kind) == provisioning &&
		    wanted_row(&wanted, r->row)) {
			struct topic_template own;

			own_topic(r, native, &own);
			add_filter(&list, n, &own);
			topic_template_fini(&own);
		}
	return list;
}

/* Is there one with just these topics? */
static bool has_filter(char *const *list, size_t n, const struct topic_template *t)
{
	struct buf text = { 0 };
	bool has = false;

	topic_template_filter(t, &text);
	for (size_t i = 0; i < n; i++)
		has = has || strcmp(list[i], text.data) == 0;
	buf_fini(&text);
	return has;
}

char **plan_unwanted_filters(const struct plan *p, enum side side, size_t *n)
{
	const struct wanted wanted = plan_wanted(p);
	const struct reader *r = NULL;
	size_t n_heard;
	char **heard = plan_filters(p, side, false, NULL, &n_heard), **list = NULL;

	*n = 0;
	while ((r = plan_next_reader(p, side, r)))
		if (!plan_is_provisioning(p, side, r->row->kind) && !wanted_row(&wanted, r->row) &&
		    !has_filter(heard, n_heard, &r->topic))
			add_filter(&list, n, &r->topic);
	for (size_t i = 0; i < n_heard; i++)
		free(heard[i]);
	free(heard);
	return list;
}

char *plan_filter_kinds(const struct plan *p, enum side side, bool provisioning, const char *native,
			const char *filter)
{
	const struct wanted wanted = plan_wanted(p);
	bool is_told[KINDS] = { false };
	const struct reader *r = NULL;
	struct buf out = { 0 };

	while ((r = plan_next_reader(p, side, r))) {
		struct topic_template topic;
		struct buf own = { 0 };

		own_topic(r, native, &topic);
		topic_template_filter(&topic, &own);
		topic_template_fini(&topic);
		if (plan_is_provisioning(p, side, r->row->kind) == provisioning &&
		    !is_told[r->row->kind] && wanted_row(&wanted, r->row) &&
		    topic_filter_covers(filter, buf_str(&own))) {
			is_told[r->row->kind] = true;
			buf_printf(&out, "%s%s", out.len ? "," : "", kind_name(r->row->kind));
		}
		buf_fini(&own);
	}
	return buf_take(&out);
}

/* Can it be told what a snapshot is made of? */
static bool takes_snapshots(const struct dialect *south)
{
	static const enum kind parts[] = { KIND_CONFIG, KIND_FIRMWARE, KIND_LICENSE,
					   KIND_SPACE_INFO };

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (dialect_writer(south, parts[i]))
			return true;
	return dialect_reader(south, KIND_ATTRIBUTES_REQUEST);
}

bool plan_pair_greets(const struct dialect *south, const struct dialect *north, enum kind kind)
{
	return dialect_greets(north, kind) &&
	       (kind != KIND_SNAPSHOT_REQUEST || takes_snapshots(south));
}

bool plan_greets(const struct plan *p, enum kind kind)
{
	return !p->is_mirror &&
	       plan_pair_greets(p->side[SOUTH].dialect, p->side[NORTH].dialect, kind);
}

/* --- kinds and devices --------------------------------------------------------------------- */

const struct row *plan_writer(const struct plan *p, enum side side, enum kind kind)
{
	return dialect_writer(p->side[side].dialect, kind);
}

const struct row *plan_asker(const struct plan *p, enum side side, enum kind kind)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].kind == kind && d->rows[i].can_write && !d->rows[i].answered)
			return &d->rows[i];
	return NULL;
}

const struct row *plan_reader(const struct plan *p, enum side side, enum kind kind)
{
	return dialect_reader(p->side[side].dialect, kind);
}

const struct reader *plan_next_reader(const struct plan *p, enum side side,
				      const struct reader *after)
{
	const struct plan_side *ps = &p->side[side];

	for (const struct reader *r = after ? after + 1 : ps->readers;
	     r < ps->readers + ps->n_readers; r++)
		if (row_is_read(r->row, side))
			return r;
	return NULL;
}

const struct reader *plan_next_source(const struct plan *p, enum side side, enum kind kind,
				      const struct reader *after)
{
	do
		after = plan_next_reader(p, side, after);
	while (after && p->remap[after->row->kind] != kind);
	return after;
}

bool plan_has_echoes(const struct plan *p, enum side side)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].echoes != KIND_NONE)
			return true;
	return false;
}

const struct var *plan_var(const struct plan *p, enum side side, const char *device,
			   const char *name)
{
	const struct fleet_device *d = *p->fleet && device ? fleet_find(*p->fleet, device) : NULL;
	const struct var *own = d ? vars_find(&d->vars[side], name) : NULL;

	return own ? own : vars_find(&p->side[side].vars, name);
}

const char *plan_lacks(const struct plan *p, const char *device, enum side *side)
{
	for (*side = SOUTH; *side < SIDES; ++*side) {
		const struct vars *owed = &p->side[*side].owed;

		for (size_t i = 0; i < owed->n; i++)
			if (!plan_var(p, *side, device, owed->items[i].name))
				return owed->items[i].name;
	}
	return NULL;
}

/* The name of the credential that a template consists of; NULL: it is more, or none. */
static const char *sole_credential(const struct dialect *d, const char *template)
{
	for (size_t i = 0; i < d->n_credentials; i++) {
		const char *name = d->credentials[i];
		size_t n = strlen(name);

		if (template[0] == '{' && strncmp(template + 1, name, n) == 0 &&
		    strcmp(template + 1 + n, "}") == 0)
			return name;
	}
	return NULL;
}

bool plan_is_filled_later(const struct plan *p, enum side side, const char *device,
			  const char *template)
{
	const struct plan_side *ps = &p->side[side];
	const char *name;

	if (!p->has_device_sessions || side != NORTH || ps->owed.n == 0)
		return false;
	name = sole_credential(ps->dialect, template);
	return name && vars_find(&ps->owed, name) && !plan_var(p, side, device, name);
}

bool plan_renew_credentials(const struct plan *p, enum side side, const char *device,
			    const struct vars *from, struct vars *to)
{
	const struct dialect *d = p->side[side].dialect;
	bool is_changed = false;

	for (size_t i = 0; from->n && i < d->n_rows; i++) {
		const struct vars *wanted = &d->rows[i].properties;

		for (size_t k = 0; k < wanted->n; k++) {
			const char *name = sole_credential(d, wanted->items[k].value);
			const struct var *v = name ? plan_var(p, side, device, name) : NULL;
			const char *old = v ? vars_get(from, wanted->items[k].name) : NULL;

			if (!old || strcmp(old, v->value) == 0)
				continue;
			if (!is_changed)
				vars_copy(to, from);
			is_changed = true;
			vars_set(to, wanted->items[k].name, v->value, true);
		}
	}
	return is_changed;
}

static bool has_variable(const char *text, const char *variable)
{
	return text && text_template_has(text, variable);
}

/* The one place from which it is taken anew is plan_renew_credentials(). */
static bool is_made_of(const struct plan_side *ps, const struct row *row, const char *variable)
{
	bool is = topic_template_has(&row->topic, variable) ||
		  has_variable(row->response_topic, variable) ||
		  has_variable(row->correlation, variable);

	for (size_t i = 0; i < row->n_also; i++)
		is = is || topic_template_has(&row->also[i].topic, variable) ||
		     has_variable(row->also[i].reply, variable);
	for (size_t i = 0; i < row->properties.n; i++) {
		const char *value = row->properties.items[i].value;

		is = is || (has_variable(value, variable) && !sole_credential(ps->dialect, value));
	}
	return is;
}

bool plan_is_made_of(const struct plan *p, enum side side, const char *variable)
{
	const struct plan_side *ps = &p->side[side];

	for (size_t i = 0; i < ps->dialect->n_rows; i++)
		if (is_made_of(ps, &ps->dialect->rows[i], variable))
			return true;
	return false;
}

const char *plan_device_here(const struct plan *p, enum side side, const char *native)
{
	const char *own = vars_get(&p->side[side].vars, "device");
	const char *listed = devices_here(p->devices, side, native);
	const char *gateway = plan_gateway(p, side);

	if (listed)
		return listed;
	if (own)
		return strcmp(own, native) == 0 ? p->device : NULL;
	if (p->is_single)
		return strcmp(p->device, native) == 0 ? p->device : NULL;
	return gateway && strcmp(gateway, native) == 0 ? p->device : native;
}

const char *plan_device_there(const struct plan *p, enum side side, const char *device)
{
	const char *own = vars_get(&p->side[side].vars, "device");
	const char *listed = devices_there(p->devices, side, device);
	const char *gateway = plan_gateway(p, side);

	if (listed || own)
		return listed ? listed : own;
	return gateway && strcmp(device, p->device) == 0 ? gateway : device;
}
