#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "jq/mapping.h"
#include "plan/plan_check.h"
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

	plan_known_vars(p, side, &known);
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
		plan_check(p, (enum side)s, spec, report);
	}
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

/* --- rows by kind -------------------------------------------------------------------------- */

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

/* --- names of devices ----------------------------------------------------------------------- */

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
