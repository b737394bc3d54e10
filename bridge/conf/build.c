#include "conf/build.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/check_presence.h"
#include "conf/conf.h"
#include "conf/conf_skeleton.h"
#include "conf/environment.h"
#include "conf/hostport.h"
#include "conf/login.h"
#include "dialect/dialect.h"
#include "fleet/fleet.h"
#include "fleet/fleet_file.h"
#include "fleet/import.h"
#include "jq/mapping.h"
#include "message/side.h"
#include "plan/linkcheck.h"
#include "plan/loader.h"
#include "plan/plan.h"
#include "plan/variables.h"

extern char **environ;

/* --- mappings --------------------------------------------------------------------------------- */

/* Those that came with this program: it stands beside them where it is installed, wherever that is, and not where it
 * was built.  Caller frees. */
static char *shipped_mappings(void)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	char *slash, *dir = NULL, *real;

	exe[n > 0 ? n : 0] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		dir = mem_printf("%.*s" CALQUE_BIN_TO_MAPPINGS, (int)(slash - exe + 1), exe);
	real = dir ? realpath(dir, NULL) : NULL; /* people read it */
	free(dir);
	if (real)
		return real;
	return mem_strdup(CALQUE_SOURCE_MAPPINGS);
}

static void add_list(struct mapping_path *path, const char *colon_separated)
{
	char *list = mem_strdup(colon_separated), *rest = list, *dir;

	while (list && (dir = strsep(&rest, ":")) != NULL)
		if (*dir)
			mapping_path_add(path, dir);
	free(list);
}

void build_init(struct build *b, const struct mapping_path *first, const struct conf *conf)
{
	char *shipped = shipped_mappings();

	*b = (struct build){ 0 };
	for (size_t i = 0; first && i < first->n; i++)
		mapping_path_add(&b->path, first->dirs[i]);
	for (size_t i = 0; conf && i < conf->mappings.n; i++)
		mapping_path_add(&b->path, conf->mappings.dirs[i]);
	add_list(&b->path, environment_get("CALQUE_MAPPINGS"));
	mapping_path_add(&b->path, shipped);
	free(shipped);
}

void build_forget(struct build *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->items[i].name);
		mapping_free(b->items[i].mapping);
	}
	if (b->n && b->loader)
		b->loader->forget(b->loader->compiler);
	free(b->items);
	b->items = NULL;
	b->n = 0;
}

void build_fini(struct build *b)
{
	b->loader = NULL; /* it may have ended */
	build_forget(b);
	mapping_path_fini(&b->path);
	*b = (struct build){ 0 };
}

static void report_no_mapping(const struct build *b, const char *name, const char *where,
			      struct report *report)
{
	char *said = mapping_path_miss(&b->path, name);

	report_error(report, "%s: %s", where, said);
	free(said);
}

struct mapping *build_mapping(struct build *b, const char *name, const char *where,
			      struct report *report)
{
	static char *nothing[] = { NULL };
	struct loaded *item;
	char *file;

	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->items[i].name, name) == 0)
			return b->items[i].mapping;
	/* clearenv() would leave NULL there, on which jq's `env` crashes (1.6 to 1.8.2). */
	environ = nothing;
	b->items = mem_grow(b->items, b->n, sizeof *b->items);
	item = &b->items[b->n++];
	*item = (struct loaded){ .name = mem_strdup(name) };
	file = mapping_path_find(&b->path, name);
	if (file && b->loader)
		item->mapping = b->loader->load(b->loader->compiler, &b->path, name, report);
	else if (file)
		item->mapping = mapping_load(&b->path, name, report);
	else
		report_no_mapping(b, name, where, report);
	free(file);
	return item->mapping;
}

struct mapping *build_dialect(struct build *b, const char *name, const char *where,
			      struct report *report)
{
	struct mapping *m = build_mapping(b, name, where, report);

	if (m && !mapping_dialect(m)) {
		report_error(report, "%s: %s is a through file, not a dialect", where,
			     mapping_file(m));
		return NULL;
	}
	return m;
}

/* --- one link --------------------------------------------------------------------------------- */

static bool take_through(struct build *b, const struct conf_link *link, struct plan_spec *spec,
			 struct report *report)
{
	bool ok = true;

	spec->n_through = link->n_through;
	spec->through = mem_zalloc((link->n_through + 1) * sizeof *spec->through);
	for (size_t i = 0; i < link->n_through; i++) {
		char *where = conf_place(link->through[i].file, link->through[i].line, "through");
		struct mapping *m = NULL;

		if (link->through[i].name)
			m = build_mapping(b, link->through[i].name, where, report);
		if (m && mapping_dialect(m)) {
			report_error(report, "%s: %s is a dialect, not a through file", where,
				     mapping_file(m));
			m = NULL;
		}
		if (m)
			variables_check_through(m, &link->through[i].vars, where,
						link->through[i].name, report);
		spec->through[i].mapping = m;
		spec->through[i].vars = &link->through[i].vars;
		ok = ok && m;
		free(where);
	}
	return ok;
}

/* What the file alone cannot tell: does the session fit the dialect? */
/* What comes through it has no properties, and none of it comes in the north, where calque is the device. */
static void check_front_door(const struct conf_session *c, enum side side, const struct dialect *d,
			     const char *where, struct report *report)
{
	if (side == NORTH)
		report_error(report, "%s.front_door: it is for devices, in the south", where);
	else if (d && d->mqtt == 5)
		report_error(
			report,
			"%s.front_door: %s needs properties of MQTT 5, which it does not carry",
			where, d->name);
	if (!c->username)
		report_error(report,
			     "%s.front_door: set username (and password), calque's own login there",
			     where);
}

/* With one for all of them nobody could say which device has come. */
static void check_credential_of_many(const struct conf_link *link, const struct plan *plan,
				     const char *where, struct report *report)
{
	const struct plan_side *south = &plan->side[SOUTH];

	if (!link->side[SOUTH].front_door || plan->is_single ||
	    south->dialect->device == DEVICE_IN_PAYLOAD)
		return;
	for (size_t i = 0; i < south->vars.n; i++)
		if (dialect_is_credential(south->dialect, south->vars.items[i].name))
			report_error(report,
				     "%s.vars.%s: is what one device logs in with, and behind "
				     "this front door are many: put it into the list of devices "
				     "(south.%s), or set vars.device, if there is one device only",
				     where, south->vars.items[i].name, south->vars.items[i].name);
}

static void check_session(const struct conf_session *c, enum side side, const struct mapping *m,
			  const char *where, struct report *report)
{
	const struct dialect *d = m ? mapping_dialect(m) : NULL;

	if (d && c->mqtt && c->mqtt < d->mqtt)
		report_error(report, "%s.mqtt: %s needs MQTT 5", where, d->name);
	if (c->counts_versions && side == NORTH)
		report_warning(report, "%s.config_version: it is for devices, in the south", where);
	if (c->front_door)
		check_front_door(c, side, d, where, report);
}

/* Can a device of this link bring the credentials by which it logs in? */
static bool may_provision(const struct plan *plan)
{
	return plan_reader(plan, SOUTH, KIND_PROVISION) &&
	       plan_is_provisioning(plan, NORTH, KIND_PROVISION) &&
	       plan_writer(plan, NORTH, KIND_PROVISION);
}

/* The bridge asks for those of each device by itself. */
static bool brings_its_own(const struct plan *plan)
{
	return plan->has_device_sessions &&
	       (plan->registers_by_command ||
		(plan->provision_key && plan_is_provisioning(plan, NORTH, KIND_PROVISION)));
}

static void check_command(const struct conf_link *link, const struct plan *plan,
			  char *const where[SIDES], struct report *report)
{
	if (link->side[SOUTH].provision.command.argv)
		report_error(report, "%s.provision.command: devices are registered in the north",
			     where[SOUTH]);
	if (!link->side[NORTH].provision.command.argv)
		return;
	if (!plan->has_device_sessions)
		report_error(report,
			     "%s.provision.command: only where the south brings many devices and "
			     "each has a session of its own in the north",
			     where[NORTH]);
	if (plan->provision_key)
		report_error(report, "%s.provision.key: it is the command that registers devices",
			     where[NORTH]);
}

/* As it is for any device. */
static void make_main(struct session_login *l, const struct conf_link *link,
		      const struct plan *plan, enum side side)
{
	login_make(l, &(struct login_terms){ .plan = plan,
					     .conf = &link->side[side],
					     .side = side,
					     .device = plan_session_of(plan, side, plan->device),
					     .instance = "" });
}

/* Anybody at the south's broker may ask for a device to be made: with the operator's key, or to be the one
 * by which the link logs in. */
static void check_handshakes(const struct conf_link *link, const struct plan *plan,
			     const char *where, struct report *report)
{
	const struct conf_session *north = &link->side[NORTH];
	struct session_login login;

	if (!plan->is_single || plan->provision_name || !may_provision(plan))
		return;
	make_main(&login, link, plan, NORTH);
	if (login.is_missing || north->provision.key)
		report_warning(
			report,
			"%s.provision.name: not set: the link is that device's which first gets "
			"credentials by a handshake and logs in with them, whichever that is",
			where);
	login_fini(&login);
}

/* Does the list of devices say it of each session of the north?  (check_listed() tells of whom it does not.) */
static bool is_listed(const struct conf_link *link, const struct plan *plan, enum side side,
		      const char *name)
{
	return side == NORTH && plan->has_device_sessions && vars_find(&link->listed[side], name);
}

/* Without it a platform lets nobody in.  In the south there may be an ordinary broker, which asks for none. */
static void check_credentials(const struct conf_link *link, const struct plan *plan,
			      char *const where[SIDES], struct report *report)
{
	for (int s = 0; s < SIDES; s++) {
		struct session_login login;

		make_main(&login, link, plan, (enum side)s);
		if (login.is_missing &&
		    !(s == NORTH && (may_provision(plan) || brings_its_own(plan))) &&
		    !is_listed(link, plan, (enum side)s, login.unset))
			report_warning(report,
				       "%s.vars.%s: not set, and %s logs in with it; no handshake "
				       "brings it%s",
				       where[s], login.unset, plan->side[s].dialect->name,
				       s == NORTH && plan->has_device_sessions
					       ? ": each device has a session of its own, and "
						 "waits until its own is known"
				       : s == SOUTH ? ": set it, or username and password (of a "
						      "broker that wants none: username = \"\")"
						    : "");
		login_fini(&login);
	}
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Whatever the device is called?  (A broker that wants no login has none for all.) */
static bool is_one_login(const struct conf_link *link, const struct plan *plan)
{
	static const char *const devices[] = { "a", "b" };
	struct session_login logins[2];
	bool is;

	for (size_t i = 0; i < 2; i++)
		login_make(&logins[i], &(struct login_terms){ .plan = plan,
							      .conf = &link->side[NORTH],
							      .side = NORTH,
							      .device = devices[i],
							      .instance = "" });
	is = !logins[0].is_missing && logins[0].username && *logins[0].username &&
	     is_same_text(logins[0].username, logins[1].username) &&
	     is_same_text(logins[0].password, logins[1].password);
	login_fini(&logins[0]);
	login_fini(&logins[1]);
	return is;
}

/* What one device logs in with; NULL: nothing that is set for all is that. */
static char *find_shared_login(const struct conf_link *link, const struct plan *plan)
{
	const struct plan_side *north = &plan->side[NORTH];

	if (!is_one_login(link, plan))
		return NULL; /* each is its own device there, by its name */
	for (size_t i = 0; i < north->vars.n; i++)
		if (dialect_is_credential(north->dialect, north->vars.items[i].name))
			return mem_printf("vars.%s", north->vars.items[i].name);
	return mem_strdup("username");
}

/* With one login for all of them, each would write into the same device there; and servers let one client of a name in,
 * so that each would end another's session. */
static void check_device_sessions(const struct conf_link *link, const struct plan *plan,
				  char *const where[SIDES], struct report *report)
{
	char *shared;

	if (!plan->has_device_sessions && link->is_on_demand)
		report_warning(report,
			       "%s: sessions = \"on-demand\" is for links whose devices have a "
			       "session of their own each, which this one's have not",
			       where[NORTH]);
	if (!plan->has_device_sessions)
		return;
	shared = find_shared_login(link, plan);
	if (shared)
		report_error(report,
			     "%s.%s: is what one device logs in with, and each device has a "
			     "session of its own: leave it out, so that each logs in with its "
			     "own; or set south.vars.device, if there is one device only",
			     where[NORTH], shared);
	free(shared);
	if (link->side[NORTH].client_id)
		report_error(
			report,
			"%s.client_id: is one, and each device has a session of its own: leave "
			"it out",
			where[NORTH]);
}

static bool lacks_device(const struct session_login *login)
{
	return login->unset && strcmp(login->unset, "device") == 0;
}

/* MQTT 3.1.1 has no password without a user name, and brokers end such a connection. */
static void check_passwords(const struct conf_link *link, const struct plan *plan,
			    char *const where[SIDES], struct report *report)
{
	for (int s = 0; s < SIDES; s++) {
		const struct conf_session *c = &link->side[s];
		struct session_login login;

		make_main(&login, link, plan, (enum side)s);
		if (login.password && !login.username && !login.is_missing && c->mqtt != 5 &&
		    plan->side[s].dialect->mqtt != 5)
			report_warning(report,
				       "%s.%s: not set, and MQTT 3.1.1 has no password without a "
				       "user name: set it, or mqtt = 5",
				       where[s], lacks_device(&login) ? "vars.device" : "username");
		login_fini(&login);
	}
}

/* A broker is told whole seconds, rounded down: of one second none is left when the command leaves. */
static void check_second(const struct conf_link *link, const char *where, struct report *report)
{
	bool may_be_5 = link->side[SOUTH].mqtt != 4;
	const char *key = link->command_max_age_s == 1	 ? "command_max_age"
			  : link->request_timeout_s == 1 ? "request_timeout"
							 : NULL;

	if (key && may_be_5)
		report_error(
			report,
			"%s: with %s = 1 no command passes by MQTT 5, which counts whole seconds: "
			"at least 2, or mqtt = 4",
			where, key);
}

/* What is sent on, or learnt, is an answer: where nothing is asked, none comes. */
static void check_first_snapshot(const struct plan *plan, const char *where, struct report *report)
{
	if (plan->pushes_first && !plan_greets(plan, KIND_SNAPSHOT_REQUEST))
		report_warning(report,
			       "%s: first_snapshot = \"push\" does nothing: %s is asked for no "
			       "snapshot after a login%s",
			       where, plan->side[NORTH].dialect->name,
			       plan->is_mirror ? " of a mirror" : "");
}

bool build_plan_there(struct build *b, struct plan *plan, const struct plan_spec *spec,
		      struct report *report)
{
	const struct mapping_loader *l = b->loader;
	struct err e = { 0 };

	/* With a mistake nothing runs, and who loads may have begun anew since. */
	if (!l || report->n_errors || l->plan(l->compiler, plan, spec, &e))
		return true;
	report_error(report, "%s: %s", spec->where[SOUTH], e.text);
	return false;
}

/* `vars` has SIDES lists. */
static struct plan *make_plan(struct build *b, const struct conf_link *link,
			      const struct vars *const vars[SIDES], bool is_offline, bool is_whole,
			      struct report *report)
{
	struct plan_spec spec = {
		.name = link->name,
		.vars = { vars[SOUTH], vars[NORTH] },
		.listed = { &link->listed[SOUTH], &link->listed[NORTH] },
		.remap = link->remap,
		.mode = link->mode,
		.new_mode = link->new_mode,
		.is_offline = is_offline,
		.pushes_first = link->pushes_first_snapshot,
		.drop_unmatched = link->drop_unmatched,
		.request_timeout_ms = link->request_timeout_s * INT64_C(1000),
		.command_max_age_ms = link->command_max_age_s * INT64_C(1000),
		.max_devices = (size_t)link->max_devices,
		.has_epoch_versions = !link->side[SOUTH].counts_versions,
		.has_front_door = link->side[SOUTH].front_door,
		.provision_key = link->side[NORTH].provision.key,
		.provision_secret = link->side[NORTH].provision.secret,
		.provision_name = link->side[NORTH].provision.name,
		.provisions_new = link->side[NORTH].provision.is_auto,
		.provision_per_second = link->side[NORTH].provision.per_second,
		.registers_by_command = link->side[NORTH].provision.command.argv,
		.is_idempotent = link->side[NORTH].provision.is_idempotent,
		.provision_sessions = link->side[NORTH].provision.sessions,
		.greet = &link->side[NORTH].provision.greet,
		.has_session_presence = link->has_session_presence,
		.offline_after_ms = link->offline_after_s == 0 ? -1
				    : link->offline_after_s < 0
					    ? 0
					    : link->offline_after_s * INT64_C(1000),
		.offline_delay_ms = is_offline ? 0 : link->offline_delay_s * INT64_C(1000),
	};
	char *where[SIDES];
	struct plan *plan = NULL;
	bool ok;

	for (int s = 0; s < SIDES; s++) {
		where[s] =
			conf_place(link->side[s].file, link->side[s].line, side_name((enum side)s));
		spec.where[s] = where[s];
		spec.limits[s] = link->side[s].limits;
		if (link->side[s].dialect)
			spec.mapping[s] = build_dialect(b, link->side[s].dialect, where[s], report);
		check_session(&link->side[s], (enum side)s, spec.mapping[s], where[s], report);
	}
	ok = take_through(b, link, &spec, report);
	if (ok && is_whole && spec.mapping[SOUTH] && spec.mapping[NORTH])
		plan = plan_new(&spec, report);
	if (plan)
		build_plan_there(b, plan, &spec, report);
	if (plan && !is_offline) {
		check_first_snapshot(plan, where[NORTH], report);
		check_handshakes(link, plan, where[NORTH], report);
		check_command(link, plan, where, report);
		check_passwords(link, plan, where, report);
		check_device_sessions(link, plan, where, report);
		check_presence(link, plan, where[NORTH], report);
		check_credential_of_many(link, plan, where[SOUTH], report);
		check_credentials(link, plan, where, report);
		variables_check(plan, where, report);
	}
	if (plan)
		check_second(link, where[SOUTH], report);
	free(where[SOUTH]);
	free(where[NORTH]);
	free(spec.through);
	return plan;
}

struct plan *build_plan(struct build *b, const struct conf_link *link, bool is_whole,
			struct report *report)
{
	const struct vars *const vars[SIDES] = { &link->side[SOUTH].vars, &link->side[NORTH].vars };

	return make_plan(b, link, vars, false, is_whole, report);
}

struct plan *build_offline_plan(struct build *b, const struct conf_link *link,
				const struct vars *vars, struct report *report)
{
	struct vars merged[SIDES] = { 0 };
	struct plan *plan;

	for (int s = 0; s < SIDES; s++) {
		vars_copy(&merged[s], &link->side[s].vars);
		for (size_t i = 0; i < vars[s].n; i++)
			vars_set(&merged[s], vars[s].items[i].name, vars[s].items[i].value, false);
	}
	plan = make_plan(b, link, (const struct vars *const[]){ &merged[SOUTH], &merged[NORTH] },
			 true, true, report);
	vars_fini(&merged[SOUTH]);
	vars_fini(&merged[NORTH]);
	return plan;
}

/* Settings that are read, for later versions, and not acted on are said aloud where they are set. */
static void warn_ahead(struct report *report, bool is_set, const char *file, unsigned line,
		       const char *key)
{
	char *place;

	if (!is_set)
		return;
	place = conf_place(file, line, key);
	report_warning(report, "%s: this version does not act on it yet", place);
	free(place);
}

static const char *cell_of(const struct fleet_file_row *row, const char *column)
{
	for (size_t i = 0; i < row->n; i++)
		if (strcmp(row->cells[i].column, column) == 0)
			return row->cells[i].value;
	return NULL;
}

struct listed_sessions build_listed_sessions(const struct conf *conf, const struct conf_link *link)
{
	const struct import_to to = { .link = link->name, .takes_rest = conf->n_links == 1 };
	struct listed_sessions n = { 0 };

	for (size_t i = 0; i < conf->fleet.n; i++) {
		const struct fleet_file_row *row = &conf->fleet.rows[i];
		const char *sessions = cell_of(row, "sessions"), *word = cell_of(row, "mode");
		int mode = word ? fleet_word(fleet_mode_names, FLEET_MODES, word) : (int)link->mode;
		bool is_always =
			sessions ? strcmp(sessions, FLEET_ALWAYS) == 0 : !link->is_on_demand;

		if (!import_is_for(&to, row) || mode == FLEET_OFF || mode == FLEET_RETIRED)
			continue;
		n.always += is_always;
		n.on_demand += !is_always;
	}
	return n;
}

/* Those beyond the bound would wait for ever. */
static void check_connections(const struct conf *conf, const struct conf_link *link,
			      struct report *report)
{
	const struct conf_session *north = &link->side[NORTH];
	size_t n = build_listed_sessions(conf, link).always;
	char *place;

	if (!north->connections.max || n <= (size_t)north->connections.max)
		return;
	place = conf_place(north->file, north->line, "north.connections.max");
	report_error(
		report,
		"%s: %d, and %zu devices of the list want a session that is always open: "
		"sessions = \"on-demand\", for the link or in that column of the list, or more",
		place, north->connections.max, n);
	free(place);
}

/* Whoever is on the way sees what goes over it. */
static void check_admin(const struct conf *conf, struct report *report)
{
	char *place;

	if (conf->admin_bench && !(conf->admin_host && conf->admin_token)) {
		place = conf_place(conf->file, conf->line, "admin_bench");
		report_warning(report, "%s: nobody can use it without admin and admin_token",
			       place);
		free(place);
	}
	if (!conf->admin_host || hostport_is_loopback(conf->admin_host))
		return;
	place = conf_place(conf->file, conf->line, "admin");
	report_warning(
		report,
		"%s: others reach it, and there is no TLS: a proxy in front of it has that "
		"(examples/monitoring)%s",
		place,
		conf->admin_token ? "" : "; without admin_token only health and metrics are shown");
	free(place);
}

static void check_settings(const struct conf *conf, struct report *report)
{
	check_admin(conf, report);
	conf_skeleton_check(conf, report);
	for (size_t i = 0; i < conf->n_links; i++) {
		const struct conf_session *south = &conf->links[i].side[SOUTH];

		warn_ahead(report, south->connections.max, south->file, south->line,
			   "south.connections.max");
		check_connections(conf, &conf->links[i], report);
	}
}

/* --- all links -------------------------------------------------------------------------------- */

static const char *host_of(const struct conf_session *s)
{
	bool is_here = strcmp(s->host, "127.0.0.1") == 0 || strcmp(s->host, "::1") == 0;

	return is_here ? "localhost" : s->host;
}

static bool is_same_broker(const struct conf_session *a, const struct conf_session *b)
{
	return a->port == b->port && strcasecmp(host_of(a), host_of(b)) == 0;
}

/* The number of the first session of all that has the same broker. */
static size_t broker_number(const struct conf *conf, const struct conf_session *of)
{
	for (size_t i = 0; i < conf->n_links; i++)
		for (int s = 0; s < SIDES; s++)
			if (is_same_broker(&conf->links[i].side[s], of))
				return SIDES * i + (size_t)s;
	return SIDES * conf->n_links;
}

static void check_together(const struct conf *conf, struct plan *const *plans,
			   struct report *report)
{
	struct linkcheck *links = mem_zalloc((conf->n_links + 1) * sizeof *links);
	size_t n = 0;

	for (size_t i = 0; i < conf->n_links; i++) {
		struct linkcheck *l = &links[n];

		if (!plans[i])
			continue;
		n++;
		l->plan = plans[i];
		for (int s = 0; s < SIDES; s++) {
			const struct conf_session *c = &conf->links[i].side[s];

			l->where[s] = conf_place(c->file, c->line, side_name((enum side)s));
			/* Behind a front door each device has one for itself. */
			l->broker[s] = c->front_door ? SIDES * (conf->n_links + 1 + i)
						     : broker_number(conf, c);
			l->is_private = l->is_private || (s == SOUTH && c->front_door);
			l->username[s] = c->username;
			l->password[s] = c->password;
		}
	}
	linkcheck_all(links, n, report);
	for (size_t i = 0; i < n; i++)
		for (int s = 0; s < SIDES; s++)
			free((char *)links[i].where[s]);
	free(links);
}

static const struct open_value *open_secret(const struct conf_session *c, const struct dialect *d)
{
	for (size_t i = 0; i < c->secrets.n_open; i++)
		if (!c->secrets.open[i].variable ||
		    dialect_is_credential(d, c->secrets.open[i].variable))
			return &c->secrets.open[i];
	return NULL;
}

/* Once for all that stand in one file, or a fleet would be told of each link. */
static void check_open_secrets(const struct conf *conf, struct plan *const *plans,
			       struct report *report)
{
	const char *told = NULL;

	for (size_t i = 0; i < conf->n_links; i++)
		for (int s = 0; s < SIDES && plans[i]; s++) {
			const struct open_value *o =
				open_secret(&conf->links[i].side[s], plans[i]->side[s].dialect);

			if (!o || (told && strcmp(o->file, told) == 0))
				continue;
			told = o->file;
			report_warning(report,
				       "%s: is a secret, and everyone may read %s (chmod 640 %s, "
				       "or env:NAME, or file:PATH)",
				       o->place, o->file, o->file);
		}
}

/* Of which the list says a variable for some only. */
static void check_listed(const struct conf *conf, const struct conf_link *link,
			 const struct plan *plan, enum side side, struct report *report)
{
	const struct import_to to = { .link = link->name, .takes_rest = conf->n_links == 1 };
	const struct vars *owed = &plan->side[side].owed;

	for (size_t i = 0; i < owed->n; i++) {
		char *column = mem_printf("%s.%s", side_name(side), owed->items[i].name);
		bool is_brought =
			side == NORTH && plan->registers_by_command &&
			dialect_is_credential(plan->side[NORTH].dialect, owed->items[i].name);
		size_t n = 0;

		for (size_t k = 0; k < conf->fleet.n; k++)
			n += import_is_for(&to, &conf->fleet.rows[k]) &&
			     !cell_of(&conf->fleet.rows[k], column);
		if (n && !is_brought)
			report_warning(
				report,
				"%s: devices of link %s without %s, which is not set for all "
				"either, and who cannot be served before it is known: %zu",
				conf->devices, link->name, column, n);
		free(column);
	}
}

struct plan **build_plans(struct build *b, const struct conf *conf, bool is_whole,
			  struct report *report)
{
	struct plan **plans = mem_zalloc((conf->n_links + 1) * sizeof(struct plan *));

	check_settings(conf, report);
	for (size_t i = 0; i < conf->n_links; i++)
		plans[i] = build_plan(b, &conf->links[i], is_whole, report);
	for (size_t i = 0; i < conf->n_links; i++)
		for (int s = 0; plans[i] && s < SIDES; s++)
			check_listed(conf, &conf->links[i], plans[i], (enum side)s, report);
	check_together(conf, plans, report);
	check_open_secrets(conf, plans, report);
	return plans;
}

void build_plans_free(struct plan **plans, size_t n)
{
	for (size_t i = 0; plans && i < n; i++)
		plan_free(plans[i]);
	free(plans);
}
