/* door.c -- the plugin as mosquitto sees it: its options, and its events. */
#include "frontdoor/door.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto_plugin.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define EVT_CLIENT_OFFLINE                                                                         \
	28 /* of mosquitto 2.1: instead of a disconnect, for a session that stays */
#define WRITE_MS 1000
#define TELL_MS	 60000

#define EXPORT __attribute__((visibility("default")))

/* Options */

static bool set_text(char **to, const char *value)
{
	free(*to);
	*to = mem_strdup(value);
	return *value != '\0';
}

static bool set_choice(bool *to, const char *value, const char *no, const char *yes)
{
	*to = strcmp(value, yes) == 0;
	return *to || strcmp(value, no) == 0;
}

static bool set_number(double *to, const char *value, double most)
{
	char *end;

	*to = strtod(value, &end);
	return *value && !*end && *to >= 0 && *to <= most;
}

static bool set_count(size_t *to, const char *value)
{
	double number;

	if (!set_number(&number, value, 1e6))
		return false;
	*to = (size_t)number;
	return true;
}

static bool set_option(struct door_options *o, const char *key, const char *value)
{
	if (strcmp(key, "table") == 0)
		return set_text(&o->table, value);
	if (strcmp(key, "bridge") == 0)
		return set_text(&o->bridge, value);
	if (strcmp(key, "others") == 0)
		return set_choice(&o->allows_others, value, "deny", "allow");
	if (strcmp(key, "invalid") == 0)
		return set_choice(&o->closes_on_invalid, value, "puback", "close");
	if (strcmp(key, "when_away") == 0)
		return set_choice(&o->closes_when_away, value, "queue", "close");
	if (strcmp(key, "rate") == 0)
		return set_number(&o->rate, value, 1e6);
	if (strcmp(key, "login_rate") == 0)
		return set_number(&o->login_rate, value, 1e6);
	if (strcmp(key, "provision_max") == 0)
		return set_count(&o->provision_max, value);
	if (strcmp(key, "provision_per_address") == 0)
		return set_count(&o->provision_per_address, value);
	return false;
}

static bool read_options(struct door_options *o, const struct mosquitto_opt *options, int n)
{
	*o = (struct door_options){ .rate = 50,
				    .login_rate = 5,
				    .provision_max = 100,
				    .provision_per_address = 5,
				    .provision_idle_ms = 60000,
				    .provision_answered_ms = 10000 };
	for (int i = 0; i < n; i++) {
		const char *value = options[i].value ? options[i].value : "";

		if (!set_option(o, options[i].key, value)) {
			mosquitto_log_printf(MOSQ_LOG_ERR,
					     "frontdoor: plugin_opt_%s: no such option, "
					     "or not a value of it",
					     options[i].key);
			return false;
		}
	}
	/* What a device has kept while it was away comes at once. */
	o->burst = o->rate < 10 ? 100 : o->rate * 10;
	o->login_burst = o->login_rate < 10 ? 50 : o->login_rate * 5;
	if (!o->table || !o->bridge)
		mosquitto_log_printf(
			MOSQ_LOG_ERR,
			"frontdoor: plugin_opt_table and plugin_opt_bridge must be set");
	return o->table && o->bridge;
}

/* Events */

static void look_at_clock(struct door *d)
{
	d->now_ms = clock_mono_ms() + 1;
}

static int on_login(int event, void *data, void *door)
{
	(void)event;
	look_at_clock(door);
	return door_on_login(door, data);
}

static int on_acl(int event, void *data, void *door)
{
	(void)event;
	return door_on_acl(door, data);
}

static int on_message(int event, void *data, void *door)
{
	(void)event;
	look_at_clock(door);
	return door_on_message(door, data);
}

static void has_gone(struct door *d, const struct mosquitto *client)
{
	struct door_session *s = sessions_of(&d->sessions, client);

	if (s)
		door_end_session(d, s);
}

static int on_disconnect(int event, void *data, void *door)
{
	const struct mosquitto_evt_disconnect *ev = data;

	(void)event;
	has_gone(door, ev->client);
	return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void *data, void *door)
{
	struct door *d = door;
	struct err e = { 0 };

	(void)event;
	(void)data;
	d->is_reloading = true; /* until the turn is over: all sessions are asked about now */
	if (!bridges_read(&d->bridges, d->options.bridge, &e))
		mosquitto_log_printf(MOSQ_LOG_ERR, "frontdoor: %s", e.text);
	return MOSQ_ERR_SUCCESS;
}

static void end_provisioners(struct door *d)
{
	struct map_pos pos = { 0 };
	struct buf names = { 0 };

	if (d->sessions.n[WHO_PROVISIONER] == 0)
		return;
	for (const struct door_session *s; (s = map_next(&d->sessions.by_name, &pos));)
		if (s->who == WHO_PROVISIONER && s->end_ms <= d->now_ms)
			buf_append(&names, s->name, strlen(s->name) + 1);
	for (size_t at = 0; at < names.len; at += strlen(names.data + at) + 1)
		door_kick(d, sessions_named(&d->sessions, names.data + at), "its time is up");
	buf_fini(&names);
}

static void tell_counts(struct door *d)
{
	const struct door_counts *c = &d->counts;

	if (c->refused || c->throttled || c->over_rate || c->invalid || c->away)
		mosquitto_log_printf(MOSQ_LOG_WARNING,
				     "frontdoor: refused=%" PRIu64 " throttled=%" PRIu64
				     " over_rate=%" PRIu64 " invalid=%" PRIu64 " away=%" PRIu64,
				     c->refused, c->throttled, c->over_rate, c->invalid, c->away);
	d->counts = (struct door_counts){ 0 };
	d->told_ms = d->now_ms;
}

static int on_tick(int event, void *data, void *door)
{
	struct door *d = door;

	(void)event;
	(void)data;
	look_at_clock(d);
	d->connecting = NULL;
	d->is_reloading = false;
	end_provisioners(d);
	door_list(d);
	if (d->is_dirty && d->now_ms - d->written_ms >= WRITE_MS)
		door_write_tables(d);
	if (d->now_ms - d->told_ms >= TELL_MS) {
		tell_counts(d);
		door_sweep_addresses(d);
	}
	return MOSQ_ERR_SUCCESS;
}

static const struct {
	int event;
	MOSQ_FUNC_generic_callback f;
	bool is_optional;
} events[] = {
	{ MOSQ_EVT_RELOAD, on_reload, false },	     { MOSQ_EVT_ACL_CHECK, on_acl, false },
	{ MOSQ_EVT_BASIC_AUTH, on_login, false },    { MOSQ_EVT_MESSAGE, on_message, false },
	{ MOSQ_EVT_TICK, on_tick, false },	     { MOSQ_EVT_DISCONNECT, on_disconnect, false },
	{ EVT_CLIENT_OFFLINE, on_disconnect, true }, /* its data begins likewise */
};

#define N_EVENTS (sizeof events / sizeof events[0])

static mosquitto_plugin_id_t *plugin;

static void free_door(struct door *d)
{
	sessions_fini(&d->sessions);
	for (size_t i = 0; i < d->n_tables; i++)
		table_free(d->tables[i]);
	free(d->tables);
	bridges_fini(&d->bridges);
	map_fini(&d->addresses, free);
	buf_fini(&d->topic);
	buf_fini(&d->name);
	buf_fini(&d->scratch);
	free(d->options.table);
	free(d->options.bridge);
	free(d);
}

EXPORT int mosquitto_plugin_version(int n, const int *versions)
{
	for (int i = 0; i < n; i++)
		if (versions[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata,
				 struct mosquitto_opt *options, int n)
{
	struct door *d = mem_zalloc(sizeof *d);
	struct err e = { 0 };

	look_at_clock(d);
	d->told_ms = d->now_ms;
	d->next_provisioner =
		(uint64_t)clock_wall_ms(); /* an answer of before a restart is nobody's */
	if (!read_options(&d->options, options, n))
		goto bad;
	if (!bridges_read(&d->bridges, d->options.bridge, &e) || !door_read_tables(d, &e)) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "frontdoor: %s", e.text);
		goto bad;
	}
	for (size_t i = 0; i < N_EVENTS; i++)
		if (mosquitto_callback_register(id, events[i].event, events[i].f, NULL, d) != 0 &&
		    !events[i].is_optional)
			goto bad;
	plugin = id;
	*userdata = d;
	return MOSQ_ERR_SUCCESS;
bad:
	free_door(d);
	return MOSQ_ERR_INVAL;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int n)
{
	struct door *d = userdata;

	(void)options;
	(void)n;
	for (size_t i = 0; i < N_EVENTS; i++)
		mosquitto_callback_unregister(plugin, events[i].event, events[i].f, NULL);
	if (d && d->is_dirty)
		door_write_tables(d);
	if (d)
		free_door(d);
	return MOSQ_ERR_SUCCESS;
}
