#include "control/device_table.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/conf.h"
#include "conf/device_file.h"
#include "control/control_request.h"
#include "fleet/compare.h"
#include "fleet/fleet_file.h"
#include "fleet/import.h"
#include "fleet/waves.h"
#include "live/live_link.h"
#include "state/devices.h"
#include "state/machine.h"
#include "handshake/provision.h"
#include "store/state.h"

static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	struct device_table *t = ctx;

	if (strcmp(machine, fleet_machine.name) == 0)
		return fleet_restore(t->fleet, key, value, e);
	if (strcmp(machine, fleet_seen_machine.name) == 0)
		return fleet_restore_seen(t->fleet, key, value, e);
	if (strcmp(machine, fleet_salt_machine.name) == 0)
		return fleet_restore_salt(t->fleet, key, value, e);
	if (strcmp(machine, devices_machine.name) == 0)
		return devices_restore(t->names, key, value, e);
	if (strcmp(machine, provision_machine.name) == 0)
		return provisions_restore(t->provisions, key, value, e);
	if (strcmp(machine, compare_machine.name) == 0)
		return compares_restore(t->own_compares, key, value, e);
	if (strcmp(machine, waves_machine.name) == 0)
		return waves_restore(t->waves, key, value, e);
	if (strcmp(machine, wave_device_machine.name) == 0)
		return waves_restore_device(t->waves, key, value, e);
	return true;
}

static void set_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	(void)ctx; /* the next start of the bridge would, and `calque status --aside` tells */
	(void)machine;
	(void)key;
	(void)why;
}

size_t device_table_count(const struct control_request_parts *parts)
{
	return parts->is_running ? parts->n_links : parts->conf->n_links;
}

const char *device_table_name(const struct control_request_parts *parts, size_t i)
{
	return parts->is_running ? live_link_name(parts->links[i]) : parts->conf->links[i].name;
}

static void end_table(struct device_table *t)
{
	changes_fini(&t->changes);
	if (t->live)
		return;
	fleet_free(t->fleet);
	devices_free(t->names);
	provisions_free(t->provisions);
	waves_free(t->waves);
	compares_free(t->own_compares);
}

bool device_table_open(const struct control_request_parts *parts, size_t i, const char *who,
		       struct device_table *t, struct err *e)
{
	static const struct state_reader reader = { .each = restore, .aside = set_aside };

	*t = (struct device_table){ .link = device_table_name(parts, i) };
	if (parts->is_running) {
		t->live = parts->links[i];
		t->fleet = live_link_fleet(t->live);
		t->names = live_link_names(t->live);
		t->waves = live_link_waves(t->live);
		t->compares = live_link_compares(t->live);
		t->link_mode = live_link_mode(t->live);
		fleet_act_for(t->fleet, who, clock_now_ms());
		return true;
	}
	t->fleet = fleet_new();
	t->names = devices_new();
	t->provisions = provisions_new();
	t->waves = waves_new();
	t->compares = t->own_compares = compares_new();
	fleet_act_for(t->fleet, who, clock_now_ms());
	if (state_load(parts->db, t->link, &reader, t, e))
		return true;
	end_table(t);
	return false;
}

bool device_table_fix_modes(const struct control_request_parts *parts, struct device_table *t,
			    struct err *e)
{
	const struct import_to to = { .fleet = t->fleet,
				      .link = t->link,
				      .takes_rest = parts->conf->n_links == 1,
				      .file = parts->conf->devices };
	struct report report = { 0 };
	struct fleet_file list;

	if (t->live || !to.file)
		return true;
	device_file_read_modes(to.file, &list, &report);
	if (report.n_errors)
		err_set(e, ERR_INVALID, "%s", report_first_mistake(&report));
	else
		import_fix(&to, &list);
	fleet_file_fini(&list);
	report_fini(&report);
	return e->code == ERR_NONE;
}

bool device_table_close(const struct control_request_parts *parts, struct device_table *t, bool ok,
			struct err *e)
{
	if (t->live) {
		fleet_act_for(t->fleet, NULL, 0);
		if (t->changes.n)
			live_link_fleet_changed(t->live, &t->changes);
	} else if (ok && t->changes.n) {
		ok = state_apply(parts->db, t->link, &t->changes, e);
	}
	end_table(t);
	return ok;
}
