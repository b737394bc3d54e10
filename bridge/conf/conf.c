#include "conf/conf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guess.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf_environment.h"
#include "conf/conf_schema.h"
#include "conf/conf_value.h"
#include "conf/device_file.h"
#include "conf/environment.h"
#include "conf/hostport.h"

#define MQTT_MOST_BYTES 268435455 /* of a packet's remaining length: MQTT 2.2.3 */
#define TEN_YEARS_S	(INT64_C(10) * 366 * 86400)

/* ---- Variables ---- */

/* 15 digits give back what somebody wrote (0.1), 17 give back every double. */
static void put_fraction(double v, char *out, size_t size)
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, size, "%.*g", digits, v);
		if (strtod(out, NULL) >= v && strtod(out, NULL) <= v)
			return;
	}
}

static bool read_vars(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct vars *vars = at;

	if (!config_setting_is_group(s))
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *v = config_setting_get_elem(s, (unsigned)i);
		bool is_secret = false;
		char *text = NULL, number[64];
		int64_t integer;

		if (config_setting_type(v) == CONFIG_TYPE_BOOL) {
			text = mem_strdup(config_setting_get_bool(v) ? "true" : "false");
		} else if (config_setting_type(v) == CONFIG_TYPE_FLOAT) {
			put_fraction(config_setting_get_float(v), number, sizeof number);
			text = mem_strdup(number);
		} else if (conf_value_is_integer(v)) {
			if (conf_value_integer(r, v, &integer))
				text = mem_printf("%lld", (long long)integer);
		} else {
			text = conf_value_resolve(
				r, v, &(struct conf_target){ .variable = config_setting_name(v) },
				&is_secret);
			if (!text && is_secret)
				text = mem_strdup(CONF_LACKING);
		}
		if (text)
			vars_set(vars, config_setting_name(v), text, is_secret);
		conf_value_free_secret(text);
	}
	return true;
}

static void put_text(struct buf *out, const char *text)
{
	buf_printf(out, "%zu:%s,", text ? strlen(text) : 0, text ? text : "");
}

static void put_vars(const void *at, struct buf *out)
{
	const struct vars *vars = at;

	for (size_t i = 0; i < vars->n; i++) {
		put_text(out, vars->items[i].name);
		put_text(out, vars->items[i].value);
	}
}

/* ---- Urls ---- */

static const char *parse_url(const char *rest, struct conf_session *session)
{
	if (rest[strcspn(rest, "@")])
		return "put the user name into username, the password into password";
	if (rest[strcspn(rest, "/?#")])
		return "only a port may follow the host, MQTT has no paths";
	session->port = session->is_tls ? 8883 : 1883;
	return hostport_split(rest, &session->host, &session->port);
}

static bool read_url(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct conf_session *session = at;
	const char *url = conf_value_filled_text(r, s), *wrong;
	int scheme;

	if (!url)
		return true;
	scheme = (int)strcspn(url, ":/@ ");
	if (strncmp(url + scheme, "://", 3) != 0) {
		conf_value_mistake(r, s,
				   "no url: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] is wanted");
		return true;
	}
	session->is_tls = scheme == 5 && strncasecmp(url, "mqtts", 5) == 0;
	if (!session->is_tls && !(scheme == 4 && strncasecmp(url, "mqtt", 4) == 0)) {
		conf_value_mistake(r, s, "unknown scheme \"%.*s\" (mqtt:// or mqtts://)",
				   scheme > 16 ? 16 : scheme, url);
		return true;
	}
	wrong = parse_url(url + scheme + 3, session);
	if (!wrong && session->port == 0)
		wrong = "port 0 cannot be connected to";
	if (wrong)
		conf_value_mistake(r, s, "%s", wrong);
	else
		session->url = mem_strdup(url);
	return true;
}

static bool read_log_levels(struct conf_reader *r, void *at, const config_setting_t *s)
{
	const char *text = conf_value_text(r, s);
	char **levels = at;

	if (!text)
		return true;
	if (!log_are_levels(text)) {
		conf_value_mistake(r, s,
				   "no levels: \"LEVEL,AREA=LEVEL\", of error, warning, info, "
				   "debug, off, with the "
				   "beginning of an event's word as AREA");
		return true;
	}
	free(*levels);
	*levels = mem_strdup(text);
	return true;
}

static void put_url(const void *at, struct buf *out)
{
	put_text(out, ((const struct conf_session *)at)->url);
}

static void put_own_text(const void *at, struct buf *out)
{
	put_text(out, *(char *const *)at);
}

static bool read_admin(struct conf_reader *r, void *at, const config_setting_t *s)
{
	const char *text = conf_value_text(r, s), *wrong = NULL;
	struct conf *c = (struct conf *)(void *)((char *)at - offsetof(struct conf, admin));
	char *place, *host = NULL;
	int port = -1;

	if (!text)
		return true;
	place = mem_printf("%s%s", *text == ':' ? "127.0.0.1" : "", text);
	if (*text)
		wrong = hostport_split(place, &host, &port);
	if (*text && !wrong && port < 0)
		wrong = "HOST:PORT is wanted, or \"\" for off";
	if (wrong) {
		conf_value_mistake(r, s, "%s", wrong);
		free(host);
		free(place);
		return true;
	}
	free(c->admin);
	free(c->admin_host);
	c->admin = place;
	c->admin_host = host;
	c->admin_port = port;
	return true;
}

/* Somebody could guess a shorter one. */
#define ADMIN_TOKEN_MIN 16

static bool read_admin_token(struct conf_reader *r, void *at, const config_setting_t *s)
{
	char **token = at;
	bool is_secret = false;

	if (config_setting_type(s) != CONFIG_TYPE_STRING)
		return false;
	conf_value_free_secret(*token);
	*token = conf_value_resolve(
		r, s, &(struct conf_target){ .field = token, .is_secret = true }, &is_secret);
	if (!*token)
		return true;
	if (!is_secret && !r->is_environment)
		conf_value_warning(r, s,
				   "stands in the text of the configuration: file:PATH is better");
	if (strlen(*token) < ADMIN_TOKEN_MIN) {
		conf_value_mistake(r, s, "%d bytes at least are wanted", ADMIN_TOKEN_MIN);
		conf_value_free_secret(*token);
		*token = NULL;
	}
	return true;
}

static void add_host(struct conf *c, const char *name, size_t n)
{
	if (n == 0)
		return;
	c->admin_hosts.items = mem_realloc(c->admin_hosts.items,
					   (c->admin_hosts.n + 1) * sizeof *c->admin_hosts.items);
	c->admin_hosts.items[c->admin_hosts.n++] = mem_strndup(name, n);
}

/* A list of names, or one text of them, as a variable of the environment has it. */
static bool read_admin_hosts(struct conf_reader *r, void *at, const config_setting_t *s)
{
	static const char between[] = ", ";
	struct conf *c = at;
	const char *text;

	if (config_setting_type(s) == CONFIG_TYPE_STRING) {
		for (text = conf_value_text(r, s); text && *text; text += strcspn(text, between)) {
			text += strspn(text, between);
			if (*text)
				add_host(c, text, strcspn(text, between));
		}
		return true;
	}
	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		text = conf_value_filled_text(r, config_setting_get_elem(s, (unsigned)i));
		if (text)
			add_host(c, text, strlen(text));
	}
	return true;
}

static void put_admin_hosts(const void *at, struct buf *out)
{
	const struct conf *c = at;

	for (size_t i = 0; i < c->admin_hosts.n; i++)
		put_text(out, c->admin_hosts.items[i]);
}

/* ---- Sessions ---- */

static void check_tls_file(struct conf_reader *r, const config_setting_t *tls, const char *key,
			   const char *path, bool may_be_directory, bool must_be_private)
{
	const config_setting_t *s = config_setting_get_member(tls, key);
	struct err e = { 0 };
	struct stat st;

	if (!s || !path)
		return;
	if (stat(path, &st) != 0 || access(path, R_OK) != 0)
		conf_value_lack(r, s, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) && !(may_be_directory && S_ISDIR(st.st_mode)))
		conf_value_lack(r, s, "%s is no file", path);
	else if (must_be_private && !secret_is_private(path, st.st_mode, &e))
		conf_value_lack(r, s, "%s", e.text);
}

static void check_tls(struct conf_reader *r, const config_setting_t *tls,
		      struct conf_session *session)
{
	size_t n_lacks = r->report->n_lacks;
	bool has_cert = config_setting_get_member(tls, "cert");
	bool has_key = config_setting_get_member(tls, "key");

	if (session->url && !session->is_tls)
		conf_value_mistake(r, tls,
				   "the url is mqtt://, which does not encrypt (mqtts:// does)");
	if (has_cert && !has_key)
		conf_value_mistake_in(r, tls, "key", "is missing, there is a cert");
	if (has_key && !has_cert)
		conf_value_mistake_in(r, tls, "cert", "is missing, there is a key");
	check_tls_file(r, tls, "ca", session->tls.ca, true, false);
	check_tls_file(r, tls, "cert", session->tls.cert, false, false);
	check_tls_file(r, tls, "key", session->tls.key, false, true);
	session->lacks_tls_file = r->report->n_lacks > n_lacks;
}

#define AT(member) .offset = offsetof(struct conf_session, member)
static const struct schema_key tls_keys[] = {
	{ "ca", SCHEMA_PATH, AT(tls.ca),
	  .about = "PEM file or directory of who may have signed the certificate of the server "
		   "(default: the system's)" },
	{ "cert", SCHEMA_PATH, AT(tls.cert),
	  .about = "PEM file of the certificate to log in with" },
	{ "key", SCHEMA_PATH, AT(tls.key),
	  .about = "PEM file of its key, not readable by everyone" },
	{ "server_name", SCHEMA_TEXT, AT(tls.server_name),
	  .about = "in the server's certificate, if not the host" },
};
static const struct schema tls_schema = SCHEMA_OF(tls_keys);
static const struct schema_key provision_keys[] = {
	{ "key", SCHEMA_SECRET, AT(provision.key), .is_secret = true,
	  .about = "of the device profile (default: what the device says)" },
	{ "secret", SCHEMA_SECRET, AT(provision.secret), .is_secret = true, .about = "the same" },
	{ "name", SCHEMA_SECRET, AT(provision.name),
	  .about = "whose link it is; with sessions of devices, how each is called there" },
	{ "auto", SCHEMA_BOOLEAN, AT(provision.is_auto),
	  .about = "is a device registered when it is seen first?" },
	{ "per_second", SCHEMA_INTEGER, AT(provision.per_second), CONF_RANGE(1, 10000, 0),
	  .about = "so many are registered in a second" },
	{ "greet", SCHEMA_OWN, AT(provision.greet), .set.conf = read_vars, .put = put_vars,
	  .is_map = true, .about = "attributes that each device sends once, KEY = VALUE" },
	{ "command", SCHEMA_OWN, AT(provision.command), .like = SCHEMA_TEXT, .is_list = true,
	  .what = "a list ( )", .set.conf = conf_command_read, .put = conf_command_put,
	  .about = "a program that registers a device: (\"/PATH\", \"ARGUMENT\")" },
	{ "idempotent", SCHEMA_BOOLEAN, AT(provision.is_idempotent),
	  .about = "may it be run again for a device whose answer was lost?" },
	{ "sessions", SCHEMA_INTEGER, AT(provision.sessions), CONF_RANGE(1, 64, 4),
	  .about = "so many of them, or handshakes by MQTT, go on at once" },
};
static const struct schema provision_schema = SCHEMA_OF(provision_keys);
static const struct schema_key connections_keys[] = {
	{ "max", SCHEMA_INTEGER, AT(connections.max), CONF_RANGE(1, 1000000, 0),
	  .about = "so many are open at once at most (default: any number)" },
	{ "per_second", SCHEMA_INTEGER, AT(connections.per_second), CONF_RANGE(1, 100000, 100),
	  .about = "so many connect in a second" },
	{ "idle", SCHEMA_INTEGER, AT(connections.idle_s), CONF_RANGE(2, TEN_YEARS_S, 300),
	  .about = "s without a message, then one that is open on demand is closed" },
	{ "messages_per_second", SCHEMA_INTEGER, AT(connections.messages_per_second),
	  CONF_RANGE(1, 1000000, 0),
	  .about =
		  "so many messages go over all of them together, a device's in its turn (default: "
		  "any number)" },
};
static const struct schema connections_schema = SCHEMA_OF(connections_keys);
static const struct schema_key limits_keys[] = {
	{ "packet_bytes", SCHEMA_INT64, AT(limits.packet_bytes),
	  CONF_RANGE(128, MQTT_MOST_BYTES, 0),
	  .about = "the largest packet that goes there (remaining length)" },
	{ "in_flight", SCHEMA_INT64, AT(limits.in_flight), CONF_RANGE(1, 65535, 0),
	  .about = "how many go unacknowledged" },
	{ "messages_per_second", SCHEMA_INT64, AT(limits.messages_per_second),
	  CONF_RANGE(1, 1000000, 0), .about = "how fast" },
	{ "ask", SCHEMA_BOOLEAN, AT(asks_limits), .preset = true,
	  .about = "does what the platform says of its limits count?" },
};
static const struct schema limits_schema = SCHEMA_OF(limits_keys);
static const struct schema_word config_versions[] = { { "epoch", false },
						      { "counter", true },
						      { 0 } };
static const struct schema_key session_keys[] = {
	{ "dialect", SCHEMA_NAME, AT(dialect), .is_required = true,
	  .about = "the name of its mapping" },
	{ "url", SCHEMA_OWN, .what = "a string", .set.conf = read_url, .put = put_url,
	  .is_required = true, .about = "mqtt://HOST[:PORT] or mqtts://HOST[:PORT]" },
	{ "vars", SCHEMA_OWN, AT(vars), .set.conf = read_vars, .put = put_vars, .is_map = true,
	  .about = "variables of the dialect, NAME = VALUE" },
	{ "username", SCHEMA_SECRET, AT(username), .about = "instead of what the dialect says" },
	{ "password", SCHEMA_SECRET, AT(password), .is_secret = true,
	  .about = "instead of what the dialect says" },
	{ "client_id", SCHEMA_SECRET, AT(client_id), .about = "instead of what the dialect says" },
	/* libmosquitto takes no keepalive below 5, and without one a dead peer is never noticed */
	{ "keepalive", SCHEMA_INTEGER, AT(keepalive_s), CONF_RANGE(5, 65535, 60),
	  .about = "s between pings" },
	{ "ack_timeout", SCHEMA_INTEGER, AT(ack_timeout_s), CONF_RANGE(5, 86400, 60),
	  .about = "s without any acknowledgement, then it connects anew" },
	{ "mqtt", SCHEMA_INTEGER, AT(mqtt), CONF_RANGE(4, 5, 0),
	  .about = "4 (3.1.1) or 5 (default: 5 where it works)" },
	/* MQTT has none that is longer */
	{ "max_packet", SCHEMA_INTEGER, AT(max_packet), CONF_RANGE(1024, 268435455, 16 << 20),
	  .about = "bytes of a packet that comes in" },
	{ "front_door", SCHEMA_BOOLEAN, AT(front_door),
	  .about = "its broker has the front door (bridge/frontdoor/)" },
	{ "config_version", SCHEMA_SWITCH, AT(counts_versions), .words = config_versions,
	  .about = "of configurations for devices, in the south" },
	{ "tls", SCHEMA_GROUP, .group = &tls_schema, .about = "of mqtts://" },
	{ "provision", SCHEMA_GROUP, .group = &provision_schema, .about = "for handshakes" },
	{ "connections", SCHEMA_GROUP, .group = &connections_schema,
	  .about = "where each device has a session of its own" },
	{ "limits", SCHEMA_GROUP, .group = &limits_schema,
	  .about = "of what goes there, before those of the dialect" },
};
static const struct schema session_schema = SCHEMA_OF(session_keys);
#undef AT

static bool read_session(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct conf_session *session = at;
	const config_setting_t *id, *tls;
	bool is_group;

	session->line = config_setting_source_line(s);
	session->file = conf_value_file(r, s);
	r->secrets = &session->secrets;
	is_group = conf_schema_read(r, &session_schema, session, s);
	r->secrets = NULL;
	if (!is_group)
		return false;
	tls = config_setting_get_member(s, "tls");
	if (tls && config_setting_is_group(tls))
		check_tls(r, tls, session);
	id = config_setting_get_member(s, "client_id");
	if (id && session->client_id && !*session->client_id)
		conf_value_mistake(r, id,
				   "must not be empty (the broker could keep nothing for us)");
	return true;
}

/* ---- Links ---- */

static const struct schema_key through_keys[] = {
	{ "name", SCHEMA_NAME, .offset = offsetof(struct conf_through, name), .is_required = true,
	  .about = "of a through file" },
	{ "vars", SCHEMA_OWN, .offset = offsetof(struct conf_through, vars), .set.conf = read_vars,
	  .put = put_vars, .about = "variables of it, NAME = VALUE" },
};
static const struct schema through_schema = SCHEMA_OF(through_keys);

static bool read_through(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct conf_link *link = at;
	size_t n = (size_t)config_setting_length(s);

	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		return false;
	link->through = mem_zalloc(n * sizeof *link->through);
	link->n_through = n;
	for (size_t i = 0; i < n; i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned)i);
		struct conf_through *through = &link->through[i];

		through->line = config_setting_source_line(one);
		through->file = conf_value_file(r, one);
		r->secrets = &link->secrets;
		if (!conf_schema_read(r, &through_schema, through, one))
			through->name = conf_value_name(r, one);
	}
	r->secrets = NULL;
	return true;
}

static void put_through(const void *at, struct buf *out)
{
	const struct conf_link *link = at;

	for (size_t i = 0; i < link->n_through; i++) {
		put_text(out, link->through[i].name);
		put_vars(&link->through[i].vars, out);
		buf_putc(out, ';');
	}
}

static enum kind known_kind(struct conf_reader *r, const config_setting_t *s, const char *name)
{
	enum kind kind = kind_of(name);
	struct guess guess = { .wrong = name };
	char *what;

	if (kind != KIND_NONE)
		return kind;
	for (int k = 0; k < KINDS; k++)
		guess_try(&guess, kind_table[k].name);
	what = mem_printf("unknown kind \"%s\"", name);
	conf_value_unknown(r, s, what, &guess);
	free(what);
	return KIND_NONE;
}

static bool read_remap(struct conf_reader *r, void *at, const config_setting_t *s)
{
	enum kind *remap = at;

	if (!config_setting_is_group(s))
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned)i);
		enum kind from = known_kind(r, one, config_setting_name(one));
		const char *text = conf_value_text(r, one);
		enum kind to = text ? known_kind(r, one, text) : KIND_NONE;

		if (from == KIND_NONE || to == KIND_NONE)
			continue;
		if (kind_table[from].flow != kind_table[to].flow)
			conf_value_mistake(r, one, "%s goes %s, %s goes %s", kind_name(from),
					   flow_name(kind_table[from].flow), kind_name(to),
					   flow_name(kind_table[to].flow));
		else
			remap[from] = to;
	}
	return true;
}

static void put_remap(const void *at, struct buf *out)
{
	for (int k = 0; k < KINDS; k++)
		buf_printf(out, "%d,", (int)((const enum kind *)at)[k]);
}

#define AT(member) .offset = offsetof(struct conf_link, member)
static const struct schema_word log_formats[] = { { "text", LOG_TEXT },
						  { "json", LOG_JSON },
						  { NULL, 0 } };
static const struct schema_word modes[] = { { "live", FLEET_LIVE },
					    { "mirror", FLEET_MIRROR },
					    { "off", FLEET_OFF },
					    { "retired", FLEET_RETIRED },
					    { 0 } };
static const struct schema_word new_modes[] = {
	{ "off", FLEET_OFF }, { "mirror", FLEET_MIRROR }, { "live", FLEET_LIVE }, { 0 }
};
static const struct schema_word unmatched[] = { { "dead-letter", false }, { "drop", true }, { 0 } };
static const struct schema_word session_times[] = { { "always", false },
						    { "on-demand", true },
						    { 0 } };
static const struct schema_word presences[] = { { "message", false }, { "session", true }, { 0 } };
static const struct schema_word first_snapshots[] = { { "learn", false }, { "push", true }, { 0 } };
static const struct schema_key waiting_keys[] = {
	{ "messages", SCHEMA_INTEGER, AT(waiting.messages), CONF_RANGE(1, 1000000, 1000),
	  .about = "so many" },
	{ "bytes", SCHEMA_INT64, AT(waiting.bytes), CONF_RANGE(1024, 1 << 30, 1 << 20),
	  .about = "of so many bytes" },
	{ "age", SCHEMA_INTEGER, AT(waiting.age_s), CONF_RANGE(1, TEN_YEARS_S, INT64_C(7) * 86400),
	  .about = "s" },
};
static const struct schema waiting_schema = SCHEMA_OF(waiting_keys);
static const struct schema_key link_keys[] = {
	{ "name", SCHEMA_NAME, AT(name), .is_required = true, .about = "letters, digits, . _ -" },
	{ "rename", SCHEMA_NAME, AT(rename),
	  .about = "what it was called before: its state and messages are this one's" },
	{ "south", SCHEMA_OWN, AT(side[SOUTH]), .group = &session_schema, .set.conf = read_session,
	  .is_required = true, .about = "the devices' side" },
	{ "north", SCHEMA_OWN, AT(side[NORTH]), .group = &session_schema, .is_as_before = true,
	  .set.conf = read_session, .is_required = true, .about = "the other side: the same keys" },
	{ "mode", SCHEMA_WORD, AT(mode), .words = modes, .preset = FLEET_LIVE,
	  .about = "what passes for its devices; mirror: nothing is written in the south" },
	{ "new", SCHEMA_WORD, AT(new_mode), .words = new_modes,
	  .about = "the mode of a device that is seen for the first time (default: the link's, or "
		   "off)" },
	{ "through", SCHEMA_OWN, .group = &through_schema, .what = "a list ( )", .is_list = true,
	  .set.conf = read_through, .put = put_through,
	  .about = "names of through files, or groups" },
	{ "remap", SCHEMA_OWN, AT(remap), .set.conf = read_remap, .put = put_remap, .is_map = true,
	  .about = "KIND = \"KIND\" that it passes as" },
	{ "unmatched", SCHEMA_SWITCH, AT(drop_unmatched), .words = unmatched,
	  .about = "what becomes of messages without counterpart" },
	{ "first_snapshot", SCHEMA_SWITCH, AT(pushes_first_snapshot), .words = first_snapshots,
	  .about = "is the first answer after a login sent on?" },
	{ "command_max_age", SCHEMA_INTEGER, AT(command_max_age_s), CONF_RANGE(1, TEN_YEARS_S, 60),
	  .about = "s after which a command is not obeyed" },
	{ "request_timeout", SCHEMA_INTEGER, AT(request_timeout_s), CONF_RANGE(1, 86400, 0),
	  .about = "s for an answer (default: the dialect's, or 30)" },
	{ "drain", SCHEMA_INTEGER, AT(drain_s), CONF_RANGE(0, 86400, 60),
	  .about = "s in which what waits of a device that is cut back is sent yet" },
	{ "sessions", SCHEMA_SWITCH, AT(is_on_demand), .words = session_times,
	  .about = "of devices in the north: are they open though nothing is to be sent?" },
	{ "presence", SCHEMA_SWITCH, AT(has_session_presence), .words = presences,
	  .about = "of devices in the north: the dialect's message, or their sessions" },
	{ "offline_after", SCHEMA_INTEGER, AT(offline_after_s), CONF_RANGE(0, TEN_YEARS_S, -1),
	  .about = "s without any message, then a device is offline; 0: never" },
	{ "offline_delay", SCHEMA_INTEGER, AT(offline_delay_s), CONF_RANGE(0, 86400, 30),
	  .about = "s after which a device that was said to be offline is" },
	{ "waiting", SCHEMA_GROUP, .group = &waiting_schema,
	  .about = "what waits for a device whose own session does not come up" },
	{ "max_devices", SCHEMA_INTEGER, AT(max_devices), CONF_RANGE(1, 10000000, 10000),
	  .about = "of so many devices something is remembered" },
};
static const struct schema link_schema = SCHEMA_OF(link_keys);
#undef AT

/* `before` are the links read so far, `link` stands right behind them. */
static void read_link(struct conf_reader *r, const config_setting_t *s,
		      const struct conf_link *before, struct conf_link *link)
{
	conf_schema_preset(&link_schema, link);
	for (int side = 0; side < SIDES; side++)
		conf_schema_preset(&session_schema, &link->side[side]);
	for (int k = 0; k < KINDS; k++)
		link->remap[k] = KIND_NONE;
	link->line = config_setting_source_line(s);
	if (!conf_schema_read(r, &link_schema, link, s))
		conf_value_wrong_type(r, s, "a group { }");
	if (!link->name)
		return;
	for (const struct conf_link *l = before; l < link; l++)
		if (l->name && strcmp(l->name, link->name) == 0)
			conf_value_mistake(r, config_setting_get_member(s, "name"),
					   "the link of line %u is called \"%s\" too", l->line,
					   l->name);
}

static const struct conf_session *session_at(const struct conf *c, size_t i)
{
	return &c->links[i / SIDES].side[i % SIDES];
}

static bool is_same_client(const struct conf_session *a, const struct conf_session *b)
{
	return b->client_id && b->host && strcmp(a->client_id, b->client_id) == 0 &&
	       strcasecmp(a->host, b->host) == 0 && a->port == b->port;
}

/* Two sessions with one client id throw each other out of the broker for ever. */
static void check_client_ids(struct conf_reader *r, const config_setting_t *links,
			     const struct conf *c)
{
	for (size_t i = 0; i < SIDES * c->n_links; i++) {
		const struct conf_session *s = session_at(c, i);
		const config_setting_t *link, *side;
		size_t j = 0;

		while (s->client_id && s->host && j < i && !is_same_client(s, session_at(c, j)))
			j++;
		if (!s->client_id || !s->host || j == i)
			continue;
		link = config_setting_get_elem(links, (unsigned)(i / SIDES));
		side = config_setting_get_member(link, side_name((enum side)(i % SIDES)));
		conf_value_mistake(r, config_setting_get_member(side, "client_id"),
				   "the session of line %u has the same at this broker",
				   session_at(c, j)->line);
	}
}

/* What one link was called before, no other is called or was. */
static void check_renames(struct conf_reader *r, const config_setting_t *links,
			  const struct conf *c)
{
	for (size_t i = 0; i < c->n_links; i++) {
		const char *rename = c->links[i].rename;
		size_t j = 0;

		while (rename && j < c->n_links &&
		       !(c->links[j].name && strcmp(c->links[j].name, rename) == 0) &&
		       !(j < i && c->links[j].rename && strcmp(c->links[j].rename, rename) == 0))
			j++;
		if (rename && j < c->n_links)
			conf_value_mistake(
				r,
				config_setting_get_member(
					config_setting_get_elem(links, (unsigned)i), "rename"),
				"the link of line %u is, or was, called \"%s\"", c->links[j].line,
				rename);
	}
}

static bool read_links(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct conf *c = at;

	if (!config_setting_is_list(s))
		return false;
	if (config_setting_length(s) == 0)
		conf_value_mistake(r, s, "there is no link in it");
	c->links = mem_zalloc((size_t)config_setting_length(s) * sizeof *c->links);
	for (int i = 0; i < config_setting_length(s); i++)
		read_link(r, config_setting_get_elem(s, (unsigned)i), c->links,
			  &c->links[c->n_links++]);
	check_client_ids(r, s, c);
	check_renames(r, s, c);
	return true;
}

/* ---- The whole ---- */

static bool read_mappings(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct mapping_path *mappings = at;

	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned)i);
		const char *text = conf_value_filled_text(r, one);
		char *dir = text ? conf_value_path(r, text) : NULL;
		struct stat st;

		if (dir) {
			if (stat(dir, &st) != 0)
				conf_value_warning(r, one, "%s: %s", dir, strerror(errno));
			else if (!S_ISDIR(st.st_mode))
				conf_value_mistake(r, one, "%s is no directory", dir);
			mapping_path_add(mappings, dir);
		}
		free(dir);
	}
	return true;
}

static void put_mappings(const void *at, struct buf *out)
{
	const struct mapping_path *mappings = at;

	for (size_t i = 0; i < mappings->n; i++)
		put_text(out, mappings->dirs[i]);
}

#define AT(member) .offset = offsetof(struct conf, member)
static const struct schema_word syncs[] = { { "off", false }, { "full", true }, { 0 } };
static const struct schema_key journal_keys[] = {
	{ "max_bytes", SCHEMA_INT64, AT(journal.max_bytes),
	  CONF_RANGE(1 << 16, 1LL << 50, CONF_DEFAULT_JOURNAL_BYTES),
	  .about = "at this size sources wait" },
	{ "max_age", SCHEMA_INTEGER, AT(journal.max_age_s),
	  CONF_RANGE(1, TEN_YEARS_S, CONF_DEFAULT_JOURNAL_AGE_S),
	  .about = "s after which what waits is a dead letter" },
	{ "sync", SCHEMA_SWITCH, AT(journal.is_sync), .words = syncs, .preset = true,
	  .about = "off: a power cut may lose the last" },
};
static const struct schema journal_schema = SCHEMA_OF(journal_keys);
static const struct schema_key conf_keys[] = {
	{ "state", SCHEMA_PATH, AT(state), .preset_text = CONF_DEFAULT_STATE,
	  .about = "the directory with all that is remembered" },
	{ "state_key", SCHEMA_PATH, AT(state_key),
	  .about = "file with the key that encrypts it (default: STATE/key)" },
	{ "mappings", SCHEMA_OWN, AT(mappings), .what = "an array of directories [ ]",
	  .set.conf = read_mappings, .put = put_mappings,
	  .about = "directories with mappings, before the shipped ones" },
	{ "admin", SCHEMA_OWN, AT(admin), .what = "a string", .set.conf = read_admin,
	  .put = put_own_text, .preset_text = "",
	  .about = "HOST:PORT of the admin interface (:PORT: this machine only)" },
	{ "admin_token", SCHEMA_OWN, AT(admin_token), .what = "a string",
	  .set.conf = read_admin_token, .put = put_own_text,
	  .about = "lets in who may see messages and change things (file:PATH)" },
	{ "admin_hosts", SCHEMA_OWN, .what = "an array of names [ ]", .set.conf = read_admin_hosts,
	  .put = put_admin_hosts,
	  .about = "names of this machine that browsers may use, besides localhost" },
	{ "admin_bench", SCHEMA_BOOLEAN, AT(admin_bench),
	  .about = "mappings may be edited and tried on the admin page" },
	{ "log_format", SCHEMA_WORD, AT(log_format), .words = log_formats, .preset = LOG_TEXT,
	  .about = "how a line of the log is written" },
	{ "log_levels", SCHEMA_OWN, AT(log_levels), .what = "a string", .set.conf = read_log_levels,
	  .put = put_own_text, .preset_text = "info",
	  .about = "LEVEL (error, warning, info, debug, off) of all events, AREA=LEVEL of some: "
		   "\"warning,session=info\"" },
	{ "journal", SCHEMA_GROUP, .group = &journal_schema,
	  .about = "of what was taken in and is not delivered" },
	{ "workers", SCHEMA_INTEGER, AT(workers), CONF_RANGE(0, 256, 0),
	  .about = "processes that run mappings (0: the cores but one)" },
	{ "devices", SCHEMA_PATH, AT(devices),
	  .about = "file with the list of devices (CSV, or JSON lines) that is to be so at the "
		   "start" },
	{ "watch", SCHEMA_BOOLEAN, AT(watches),
	  .about = "is all read again when one of these files changes?" },
	{ "links", SCHEMA_OWN, .group = &link_schema, .is_list = true,
	  .what = "a list of groups ( { }, { } )", .set.conf = read_links, .is_required = true,
	  .about = "one group each" },
};
static const struct schema conf_schema = SCHEMA_OF(conf_keys);
#undef AT

static struct conf *read_file(const char *file, const struct schema *schema, struct report *report)
{
	struct conf *c = mem_zalloc(sizeof *c);
	struct conf_reader r = { .path = file,
				 .dir = conf_value_dir(file),
				 .report = report,
				 .is_environment = file == conf_environment };
	config_t config;
	bool is_read;

	c->file = mem_strdup(file);
	conf_schema_preset(&conf_schema, c);
	c->line = r.is_environment ? 0 : 1;
	config_init(&config);
	is_read = r.is_environment || conf_value_read(&r, &config);
	if (r.is_environment) {
		conf_environment_put(&conf_schema, &link_schema, config_root_setting(&config),
				     report);
		environment_keep(); /* there may be secrets in it */
	}
	if (is_read) {
		conf_value_note_files(&r, config_root_setting(&config), &c->included);
		conf_schema_read(&r, schema, c, config_root_setting(&config));
	}
	config_destroy(&config);
	free(r.dir);
	if (is_read)
		return c;
	conf_free(c);
	return NULL;
}

static bool has_link(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_links; i++)
		if (c->links[i].name && strcmp(c->links[i].name, name) == 0)
			return true;
	return false;
}

/* Which variables of the sides a row has a value for. */
static void note_columns(struct conf *c, const struct fleet_file_row *row)
{
	for (size_t i = 0; i < c->n_links; i++) {
		struct conf_link *l = &c->links[i];

		if (row->link && (!l->name || strcmp(l->name, row->link) != 0))
			continue;
		for (size_t k = 0; k < row->n; k++)
			for (int s = 0; s < SIDES; s++) {
				const char *side = side_name((enum side)s);
				const char *column = row->cells[k].column;
				size_t n = strlen(side);

				if (row->cells[k].value && strncmp(column, side, n) == 0 &&
				    column[n] == '.')
					vars_set(&l->listed[s], column + n + 1, "", false);
			}
	}
}

static void read_devices(struct conf *c, struct report *report)
{
	device_file_read(c->devices, &c->fleet, report);
	for (size_t i = 0; i < c->fleet.n; i++) {
		const struct fleet_file_row *row = &c->fleet.rows[i];

		if (row->link ? !has_link(c, row->link) : c->n_links != 1)
			report_error(report, "%s:%u: link: %s", c->devices, row->line,
				     row->link ? "there is none of this name"
					       : "is missing, and there are several");
		note_columns(c, row);
	}
}

struct conf *conf_read(const char *file, struct report *report)
{
	struct conf *c = read_file(file, &conf_schema, report);

	if (c && c->devices)
		read_devices(c, report);
	return c;
}

const char conf_environment[] = "environment";

const char *conf_choose(const char *file, struct err *e)
{
	const char *found = file ? file : CONF_DEFAULT_PATH;
	char *variable = NULL;

	if (!file && access(found, F_OK) != 0 && errno == ENOENT)
		return conf_environment_is_set() ? conf_environment : found;
	variable = conf_environment_first(&conf_schema, &link_schema);
	if (!variable)
		return found;
	err_set(e, ERR_INVALID,
		"there is %s, and %s is set: a configuration is a file, or the environment, and "
		"not "
		"both",
		found, variable);
	free(variable);
	return NULL;
}

char *conf_place(const char *file, unsigned line, const char *key)
{
	return line ? mem_printf("%s:%u: %s", file, line, key) : mem_printf("%s: %s", file, key);
}

void conf_put_keys(struct buf *out)
{
	conf_schema_put_keys(&conf_schema, "", out);
}

void conf_put_values(const struct conf *c, struct buf *out)
{
	conf_schema_put_values(&conf_schema, "", c, out);
}

void conf_link_put_values(const struct conf_link *l, struct buf *out)
{
	conf_schema_put_values(&link_schema, "", l, out);
}

static bool read_nothing(struct conf_reader *r, void *at, const config_setting_t *s)
{
	(void)r;
	(void)s;
	(void)at;
	return true;
}

static bool read_link_names(struct conf_reader *r, void *at, const config_setting_t *s)
{
	struct conf *c = at;
	int n = config_setting_is_list(s) ? config_setting_length(s) : 0;

	c->links = mem_zalloc((size_t)n * sizeof *c->links);
	for (int i = 0; i < n; i++) {
		const config_setting_t *link = config_setting_get_elem(s, (unsigned)i);
		const config_setting_t *name = config_setting_get_member(link, "name");

		if (name)
			c->links[c->n_links++].name = conf_value_name(r, name);
	}
	return true;
}

struct conf *conf_read_state(const char *file, struct report *report)
{
	struct schema_key keys[SCHEMA_COUNT_OF(conf_keys)];
	const struct schema schema = SCHEMA_OF(keys);
	struct conf *c;

	memcpy(keys, conf_keys, sizeof keys);
	for (struct schema_key *k = keys; k < keys + schema.n_keys; k++)
		if (k->set.conf == read_links)
			k->set.conf = read_link_names;
		else if (k->type != SCHEMA_PATH) /* state, state_key, devices */
			*k = (struct schema_key){ k->name, SCHEMA_OWN, .set.conf = read_nothing };
	c = read_file(file, &schema, report);
	if (c && report->n_errors == 0)
		return c;
	conf_free(c);
	return NULL;
}

static void session_fini(struct conf_session *s)
{
	char *secrets[] = { s->username,      s->password,	   s->client_id,
			    s->provision.key, s->provision.secret, s->provision.name };
	char *texts[] = { s->dialect, s->url,	   s->host,    s->file,
			  s->tls.ca,  s->tls.cert, s->tls.key, s->tls.server_name };

	for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
		conf_value_free_secret(secrets[i]);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	vars_fini(&s->vars);
	vars_fini(&s->provision.greet);
	conf_command_fini(&s->provision.command);
	secrets_fini(&s->secrets);
}

static void link_fini(struct conf_link *l)
{
	for (int side = 0; side < SIDES; side++)
		session_fini(&l->side[side]);
	for (size_t i = 0; i < l->n_through; i++) {
		free(l->through[i].name);
		free(l->through[i].file);
		vars_fini(&l->through[i].vars);
	}
	free(l->through);
	secrets_fini(&l->secrets);
	for (int side = 0; side < SIDES; side++)
		vars_fini(&l->listed[side]);
	free(l->name);
	free(l->rename);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_links; i++)
		link_fini(&c->links[i]);
	free(c->links);
	mapping_path_fini(&c->mappings);
	free(c->file);
	free(c->state);
	free(c->state_key);
	free(c->admin);
	free(c->admin_host);
	conf_value_free_secret(c->admin_token);
	for (size_t n = 0; n < c->admin_hosts.n; n++)
		free(c->admin_hosts.items[n]);
	free(c->admin_hosts.items);
	free(c->log_levels);
	free(c->devices);
	fleet_file_fini(&c->fleet);
	vars_fini(&c->included);
	free(c);
}
