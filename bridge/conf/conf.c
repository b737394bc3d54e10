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
#include "base/mem.h"
#include "conf/hostport.h"
#include "conf/keys.h"
#include "conf/setting.h"

#define TEN_YEARS_S (INT64_C(10) * 366 * 86400)

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

static void read_vars(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct vars *vars = at;

	if (!config_setting_is_group(s)) {
		setting_wrong_type(ld, s, "a group { }");
		return;
	}
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
		} else if (setting_is_integer(v)) {
			if (setting_integer(ld, v, &integer))
				text = mem_printf("%lld", (long long)integer);
		} else {
			text = setting_resolve(ld, v, &is_secret);
		}
		if (text)
			vars_set(vars, config_setting_name(v), text, is_secret);
		setting_free_secret(text);
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

static void read_url(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct conf_session *session = at;
	const char *url = setting_filled_text(ld, s), *wrong;
	int scheme;

	if (!url)
		return;
	scheme = (int)strcspn(url, ":/@ ");
	if (strncmp(url + scheme, "://", 3) != 0) {
		setting_mistake(ld, s,
				"no url: mqtt://HOST[:PORT] or mqtts://HOST[:PORT] is wanted");
		return;
	}
	session->is_tls = scheme == 5 && strncasecmp(url, "mqtts", 5) == 0;
	if (!session->is_tls && !(scheme == 4 && strncasecmp(url, "mqtt", 4) == 0)) {
		setting_mistake(ld, s, "unknown scheme \"%.*s\" (mqtt:// or mqtts://)",
				scheme > 16 ? 16 : scheme, url);
		return;
	}
	wrong = parse_url(url + scheme + 3, session);
	if (!wrong && session->port == 0)
		wrong = "port 0 cannot be connected to";
	if (wrong)
		setting_mistake(ld, s, "%s", wrong);
	else
		session->url = mem_strdup(url);
}

static void read_admin(struct setting_load *ld, const config_setting_t *s, void *at)
{
	const char *text = setting_text(ld, s), *wrong = NULL;
	char **admin = at, *host = NULL;
	int port = -1;

	if (!text)
		return;
	if (*text)
		wrong = hostport_split(text, &host, &port);
	if (*text && !wrong && port < 0)
		wrong = "HOST:PORT is wanted, or \"\" for off";
	free(host);
	if (wrong) {
		setting_mistake(ld, s, "%s", wrong);
		return;
	}
	free(*admin);
	*admin = mem_strdup(text);
}

/* ---- Sessions ---- */

static void check_tls_file(struct setting_load *ld, const config_setting_t *tls, const char *key,
			   const char *path, bool may_be_directory, bool must_be_private)
{
	const config_setting_t *s = config_setting_get_member(tls, key);
	struct stat st;

	if (!s || !path)
		return;
	if (stat(path, &st) != 0 || access(path, R_OK) != 0)
		setting_mistake(ld, s, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) && !(may_be_directory && S_ISDIR(st.st_mode)))
		setting_mistake(ld, s, "%s is no file", path);
	else if (must_be_private)
		setting_is_private(ld, s, "", path, &st);
}

static void check_tls(struct setting_load *ld, const config_setting_t *tls,
		      const struct conf_session *session)
{
	bool has_cert = config_setting_get_member(tls, "cert");
	bool has_key = config_setting_get_member(tls, "key");

	if (session->url && !session->is_tls)
		setting_mistake(ld, tls,
				"the url is mqtt://, which does not encrypt (mqtts:// does)");
	if (has_cert && !has_key)
		setting_mistake_in(ld, tls, "key", "is missing, there is a cert");
	if (has_key && !has_cert)
		setting_mistake_in(ld, tls, "cert", "is missing, there is a key");
	check_tls_file(ld, tls, "ca", session->tls.ca, true, false);
	check_tls_file(ld, tls, "cert", session->tls.cert, false, false);
	check_tls_file(ld, tls, "key", session->tls.key, false, true);
}

#define AT(member) .at = offsetof(struct conf_session, member)
static const struct key tls_keys[] = {
	{ "ca", KEY_PATH, AT(tls.ca) },
	{ "cert", KEY_PATH, AT(tls.cert) },
	{ "key", KEY_PATH, AT(tls.key) },
	{ "server_name", KEY_TEXT, AT(tls.server_name) },
	{ 0 },
};
static const struct key provision_keys[] = {
	{ "key", KEY_SECRET, AT(provision.key) },
	{ "secret", KEY_SECRET, AT(provision.secret) },
	{ "name", KEY_SECRET, AT(provision.name) },
	{ 0 },
};
static const struct key connections_keys[] = {
	{ "max", KEY_INT, AT(connections.max), KEY_RANGE(1, 1000000, 0) },
	{ "per_second", KEY_INT, AT(connections.per_second), KEY_RANGE(1, 100000, 0) },
	{ 0 },
};
static const struct key session_keys[] = {
	{ "dialect", KEY_NAME, AT(dialect), .is_required = true },
	{ "url", KEY_OWN, .read = read_url, .is_required = true },
	{ "vars", KEY_OWN, AT(vars), .read = read_vars },
	{ "username", KEY_SECRET, AT(username) },
	{ "password", KEY_SECRET, AT(password) },
	{ "client_id", KEY_SECRET, AT(client_id) },
	/* libmosquitto takes no keepalive below 5, and without one a dead peer is never noticed */
	{ "keepalive", KEY_INT, AT(keepalive_s), KEY_RANGE(5, 65535, 60) },
	{ "mqtt", KEY_INT, AT(mqtt), KEY_RANGE(4, 5, 0) },
	{ "front_door", KEY_BOOL, AT(front_door) },
	{ "tls", KEY_GROUP, .sub = tls_keys },
	{ "provision", KEY_GROUP, .sub = provision_keys },
	{ "connections", KEY_GROUP, .sub = connections_keys },
	{ 0 },
};
#undef AT

static void read_session(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct conf_session *session = at;
	const config_setting_t *id, *tls;

	session->line = config_setting_source_line(s);
	session->file = setting_file(ld, s);
	keys_read(ld, s, session_keys, session);
	if (!config_setting_is_group(s))
		return;
	tls = config_setting_get_member(s, "tls");
	if (tls && config_setting_is_group(tls))
		check_tls(ld, tls, session);
	id = config_setting_get_member(s, "client_id");
	if (id && session->client_id && !*session->client_id)
		setting_mistake(ld, id, "must not be empty (the broker could keep nothing for us)");
}

/* ---- Links ---- */

static const struct key through_keys[] = {
	{ "name", KEY_NAME, .at = offsetof(struct conf_through, name), .is_required = true },
	{ "vars", KEY_OWN, .at = offsetof(struct conf_through, vars), .read = read_vars },
	{ 0 },
};

static void read_through(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct conf_link *link = at;
	size_t n = 0;

	if (config_setting_is_list(s) || config_setting_is_array(s))
		n = (size_t)config_setting_length(s);
	else
		setting_wrong_type(ld, s, "a list ( )");
	link->through = mem_zalloc(n * sizeof *link->through);
	link->n_through = n;
	for (size_t i = 0; i < n; i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned)i);
		struct conf_through *through = &link->through[i];

		through->line = config_setting_source_line(one);
		through->file = setting_file(ld, one);
		if (config_setting_is_group(one))
			keys_read(ld, one, through_keys, through);
		else
			through->name = setting_name(ld, one);
	}
}

static enum kind known_kind(struct setting_load *ld, const config_setting_t *s, const char *name)
{
	enum kind kind = kind_of(name);
	struct guess guess = { .wrong = name };
	char *what;

	if (kind != KIND_NONE)
		return kind;
	for (int k = 0; k < KINDS; k++)
		guess_try(&guess, kind_table[k].name);
	what = mem_printf("unknown kind \"%s\"", name);
	setting_unknown(ld, s, what, &guess);
	free(what);
	return KIND_NONE;
}

static void read_remap(struct setting_load *ld, const config_setting_t *s, void *at)
{
	enum kind *remap = at;

	if (!config_setting_is_group(s)) {
		setting_wrong_type(ld, s, "a group { }");
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned)i);
		enum kind from = known_kind(ld, one, config_setting_name(one));
		const char *text = setting_text(ld, one);
		enum kind to = text ? known_kind(ld, one, text) : KIND_NONE;

		if (from == KIND_NONE || to == KIND_NONE)
			continue;
		if (kind_table[from].flow != kind_table[to].flow)
			setting_mistake(ld, one, "%s goes %s, %s goes %s", kind_name(from),
					flow_name(kind_table[from].flow), kind_name(to),
					flow_name(kind_table[to].flow));
		else
			remap[from] = to;
	}
}

#define AT(member) .at = offsetof(struct conf_link, member)
static const char *const mode_words[] = { "live", "mirror", NULL };
static const char *const unmatched_words[] = { "dead-letter", "drop", NULL };
static_assert(sizeof(enum conf_mode) == sizeof(int) && MODE_LIVE == 0 && MODE_MIRROR == 1,
	      "mode_words is in the order of the enum");
static const struct key link_keys[] = {
	{ "name", KEY_NAME, AT(name), .is_required = true },
	{ "south", KEY_OWN, AT(side[SOUTH]), .read = read_session, .is_required = true },
	{ "north", KEY_OWN, AT(side[NORTH]), .read = read_session, .is_required = true },
	{ "mode", KEY_CHOICE, AT(mode), .words = mode_words },
	{ "through", KEY_OWN, .read = read_through },
	{ "remap", KEY_OWN, AT(remap), .read = read_remap },
	{ "unmatched", KEY_SWITCH, AT(drop_unmatched), .words = unmatched_words },
	{ "command_max_age", KEY_INT, AT(command_max_age_s), KEY_RANGE(1, TEN_YEARS_S, 60) },
	{ "request_timeout", KEY_INT, AT(request_timeout_s), KEY_RANGE(1, 86400, 30) },
	{ 0 },
};
#undef AT

/* `before` are the links read so far, `link` stands right behind them. */
static void read_link(struct setting_load *ld, const config_setting_t *s,
		      const struct conf_link *before, struct conf_link *link)
{
	keys_set_defaults(link_keys, link);
	for (int side = 0; side < SIDES; side++)
		keys_set_defaults(session_keys, &link->side[side]);
	for (int k = 0; k < KINDS; k++)
		link->remap[k] = KIND_NONE;
	link->line = config_setting_source_line(s);
	keys_read(ld, s, link_keys, link);
	if (!link->name)
		return;
	for (const struct conf_link *l = before; l < link; l++)
		if (l->name && strcmp(l->name, link->name) == 0)
			setting_mistake(ld, config_setting_get_member(s, "name"),
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
static void check_client_ids(struct setting_load *ld, const config_setting_t *links,
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
		setting_mistake(ld, config_setting_get_member(side, "client_id"),
				"the session of line %u has the same at this broker",
				session_at(c, j)->line);
	}
}

static void read_links(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct conf *c = at;

	if (!config_setting_is_list(s)) {
		setting_wrong_type(ld, s, "a list of groups ( { }, { } )");
		return;
	}
	if (config_setting_length(s) == 0)
		setting_mistake(ld, s, "there is no link in it");
	c->links = mem_zalloc((size_t)config_setting_length(s) * sizeof *c->links);
	for (int i = 0; i < config_setting_length(s); i++)
		read_link(ld, config_setting_get_elem(s, (unsigned)i), c->links,
			  &c->links[c->n_links++]);
	check_client_ids(ld, s, c);
}

/* ---- The whole ---- */

static void read_mappings(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct mapping_path *mappings = at;

	if (!config_setting_is_list(s) && !config_setting_is_array(s)) {
		setting_wrong_type(ld, s, "an array of directories [ ]");
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *one = config_setting_get_elem(s, (unsigned)i);
		const char *text = setting_filled_text(ld, one);
		char *dir = text ? setting_path(ld, text) : NULL;
		struct stat st;

		if (dir) {
			if (stat(dir, &st) != 0)
				setting_warning(ld, one, "%s: %s", dir, strerror(errno));
			else if (!S_ISDIR(st.st_mode))
				setting_mistake(ld, one, "%s is no directory", dir);
			mapping_path_add(mappings, dir);
		}
		free(dir);
	}
}

#define AT(member) .at = offsetof(struct conf, member)
static const char *const sync_words[] = { "off", "full", NULL };
static const struct key journal_keys[] = {
	{ "max_bytes", KEY_INT64, AT(journal.max_bytes),
	  KEY_RANGE(1 << 16, 1LL << 50, CONF_DEFAULT_JOURNAL_BYTES) },
	{ "max_age", KEY_INT, AT(journal.max_age_s),
	  KEY_RANGE(1, TEN_YEARS_S, CONF_DEFAULT_JOURNAL_AGE_S) },
	{ "sync", KEY_SWITCH, AT(journal.is_sync), .words = sync_words, .value = true },
	{ 0 },
};
static const struct key conf_keys[] = {
	{ "state", KEY_PATH, AT(state), .text = "/var/lib/calque" },
	{ "state_key", KEY_PATH, AT(state_key) },
	{ "mappings", KEY_OWN, AT(mappings), .read = read_mappings },
	{ "admin", KEY_OWN, AT(admin), .read = read_admin, .text = "" },
	{ "journal", KEY_GROUP, .sub = journal_keys },
	{ "workers", KEY_INT, AT(workers), KEY_RANGE(0, 256, 0) },
	{ "devices", KEY_PATH, AT(devices) },
	{ "links", KEY_OWN, .read = read_links, .is_required = true },
	{ 0 },
};
#undef AT

static void unreadable(struct setting_load *ld, const config_t *config)
{
	char *file;
	int fd;

	if (config_error_type(config) != CONFIG_ERR_FILE_IO) {
		file = setting_file_named(ld, config_error_file(config));
		report_error(ld->report, "%s:%d: %s", file, config_error_line(config),
			     config_error_text(config));
		free(file);
		return;
	}
	fd = open(ld->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* libconfig does not say why */
	report_error(ld->report, "%s: %s", ld->path, fd < 0 ? strerror(errno) : "is no file");
	if (fd >= 0)
		close(fd);
}

static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(".");
	return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static struct conf *read_keys(const char *file, const struct key *keys, struct report *report)
{
	struct conf *c = mem_zalloc(sizeof *c);
	struct setting_load ld = { file, dir_of(file), report };
	config_t config;
	bool is_read;

	c->file = mem_strdup(file);
	keys_set_defaults(conf_keys, c);
	config_init(&config);
	if (strcmp(ld.dir, ".") != 0)
		config_set_include_dir(&config, ld.dir);
	is_read = config_read_file(&config, file);
	if (is_read)
		keys_read(&ld, config_root_setting(&config), keys, c);
	else
		unreadable(&ld, &config);
	config_destroy(&config);
	free(ld.dir);
	if (is_read)
		return c;
	conf_free(c);
	return NULL;
}

struct conf *conf_read(const char *file, struct report *report)
{
	return read_keys(file, conf_keys, report);
}

static void read_nothing(struct setting_load *ld, const config_setting_t *s, void *at)
{
	(void)ld;
	(void)s;
	(void)at;
}

static void read_link_names(struct setting_load *ld, const config_setting_t *s, void *at)
{
	struct conf *c = at;
	int n = config_setting_is_list(s) ? config_setting_length(s) : 0;

	c->links = mem_zalloc((size_t)n * sizeof *c->links);
	for (int i = 0; i < n; i++) {
		const config_setting_t *link = config_setting_get_elem(s, (unsigned)i);
		const config_setting_t *name = config_setting_get_member(link, "name");

		if (name)
			c->links[c->n_links++].name = setting_name(ld, name);
	}
}

struct conf *conf_read_state(const char *file, struct report *report)
{
	struct key keys[sizeof conf_keys / sizeof conf_keys[0]];
	struct conf *c;

	memcpy(keys, conf_keys, sizeof keys);
	for (struct key *k = keys; k->name; k++)
		if (k->read == read_links)
			k->read = read_link_names;
		else if (strcmp(k->name, "state") != 0 && strcmp(k->name, "state_key") != 0)
			*k = (struct key){ k->name, KEY_OWN, .read = read_nothing };
	c = read_keys(file, keys, report);
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
		setting_free_secret(secrets[i]);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	vars_fini(&s->vars);
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
	free(l->name);
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
	free(c->devices);
	free(c);
}
