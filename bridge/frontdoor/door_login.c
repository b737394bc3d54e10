/* door_login.c -- who is it?
 *
 * Each session gets a client id that nobody else can have: d/DEVICE/ID, p/NUMBER, b/USER/ID.  The user name becomes the
 * device's, since the broker logs it and writes it into its database, where no token belongs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "frontdoor/client_id.h"
#include "frontdoor/door.h"
#include "frontdoor/topics.h"

#define MAX_ADDRESSES 10000

struct login {
	struct mosquitto *client;
	const char *id, *username, *password; /* never NULL */
	char certificate[65];		      /* SHA-256 of it; "": none */
};

static const char *address_of(const struct mosquitto *client)
{
	const char *address = mosquitto_client_address(client);

	return address ? address : "";
}

/* The bucket of an address; NULL: it has not failed, or there are too many. */
static struct bucket *failures(struct door *d, const char *address, bool makes)
{
	struct bucket *b = map_get_str(&d->addresses, address);

	if (!b && makes && d->addresses.n < MAX_ADDRESSES) {
		b = mem_zalloc(sizeof *b);
		map_set_str(&d->addresses, address, b);
	}
	return b;
}

void door_sweep_addresses(struct door *d)
{
	struct map_pos pos = { 0 };

	/* A map does not tell its keys: all go when all are full again. */
	for (struct bucket *b; (b = map_next(&d->addresses, &pos));)
		if (!bucket_is_full(b, d->options.login_rate, d->now_ms))
			return;
	map_fini(&d->addresses, free);
}

static int refuse(struct door *d, const struct login *l)
{
	struct bucket *b = failures(d, address_of(l->client), true);

	d->counts.refused++;
	if (b)
		bucket_take(b, d->options.login_rate, d->options.login_burst, d->now_ms);
	return MOSQ_ERR_AUTH;
}

void door_end_session(struct door *d, struct door_session *s)
{
	char *name = s->who == WHO_DEVICE ? mem_strdup(s->name) : NULL;

	sessions_remove(&d->sessions, s);
	if (name && !sessions_named(&d->sessions, name))
		door_tell_presence(d, name, false);
	free(name);
}

void door_kick(struct door *d, struct door_session *s, const char *why)
{
	char *id = mem_strdup(s->id);

	mosquitto_log_printf(MOSQ_LOG_NOTICE, "frontdoor: %s is disconnected: %s", id, why);
	door_end_session(d, s);
	mosquitto_kick_client_by_clientid(id, false);
	free(id);
}

/* Let in, under a client id of its own.  NULL: this broker cannot do that. */
static struct door_session *admit(struct door *d, const struct login *l, enum who who,
				  const char *id, const char *name)
{
	bool is_first = who == WHO_DEVICE && !sessions_named(&d->sessions, name);
	struct door_session *old, *s;

	if (strcmp(id, l->id) != 0 && !client_id_set(l->client, id)) {
		mosquitto_log_printf(
			MOSQ_LOG_ERR,
			"frontdoor: this broker does not let client ids be set; nobody is let in");
		return NULL;
	}
	old = sessions_with_id(&d->sessions, id);
	s = sessions_add(&d->sessions, l->client, who, id, name);
	/* Now, not when the broker tells: until then its will would be asked for. */
	if (old && old != s)
		door_end_session(d, old);
	if (is_first)
		door_tell_presence(d, name, true);
	d->connecting = l->client;
	return s;
}

/* "d/DEVICE/ID"; one that was told its id comes back with it. */
static char *final_id(char who, const char *name, const char *id)
{
	char *prefix = mem_printf("%c/%s/", who, name);
	char *made = strncmp(id, prefix, strlen(prefix)) == 0 ? mem_strdup(id)
							      : mem_printf("%s%s", prefix, id);

	free(prefix);
	return made;
}

static int admit_bridge(struct door *d, const struct login *l)
{
	struct door_session *s = NULL;
	char *id;

	if (!topics_name_is_valid(l->username) ||
	    !bridges_check(&d->bridges, l->username, l->password))
		return refuse(d, l);
	id = final_id('b', l->username, l->id);
	s = admit(d, l, WHO_BRIDGE, id, NULL);
	free(id);
	if (!s)
		return MOSQ_ERR_AUTH;
	door_begin_list(d, s);
	return MOSQ_ERR_SUCCESS;
}

static int admit_provisioner(struct door *d, const struct login *l)
{
	const char *address = address_of(l->client);
	struct map_pos pos = { 0 };
	struct door_session *s;
	size_t n = 0;
	char *id, *name;

	for (const struct door_session *o; (o = map_next(&d->sessions.by_name, &pos));)
		if (o->who == WHO_PROVISIONER && strcmp(o->address, address) == 0)
			n++;
	if (!door_tables_let_provision(d, NULL) || n >= d->options.provision_per_address ||
	    d->sessions.n[WHO_PROVISIONER] >= d->options.provision_max) {
		d->counts.throttled++;
		return MOSQ_ERR_AUTH;
	}
	name = mem_printf("@%" PRIu64, ++d->next_provisioner);
	id = mem_printf("p/%s", name + 1);
	s = admit(d, l, WHO_PROVISIONER, id, name);
	free(id);
	free(name);
	if (!s)
		return MOSQ_ERR_AUTH;
	s->address = mem_strdup(address);
	s->end_ms = d->now_ms + d->options.provision_idle_ms;
	mosquitto_set_username(l->client, "provision");
	return MOSQ_ERR_SUCCESS;
}

/* The row of any of these that the login has; *mac is then its. */
static const struct row *look_up(const struct table *t, const struct login *l,
				 uint8_t mac[TABLE_MAC_BYTES])
{
	const char *id = l->id, *user = l->username, *password = l->password;
	const struct {
		enum form form;
		const char *a, *b, *c;
	} tries[] = {
		{ FORM_CERTIFICATE, l->certificate, "", "" },
		{ FORM_TOKEN, user, "", "" },
		{ FORM_PASSWORD, password, "", "" },
		{ FORM_BASIC, id, user, password },
		{ FORM_BASIC, "", user, password },
		{ FORM_BASIC, id, user, "" },
		{ FORM_BASIC, "", user, "" },
		{ FORM_BASIC, id, "", "" },
	};

	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		const struct row *row;

		if (!*tries[i].a && !*tries[i].b && !*tries[i].c)
			continue;
		table_mac(t, tries[i].form, tries[i].a, tries[i].b, tries[i].c, mac);
		row = table_find(t, mac);
		if (row && row->form == tries[i].form)
			return row;
	}
	return NULL;
}

static int admit_device(struct door *d, const struct login *l)
{
	for (size_t i = 0; i < d->n_tables; i++) {
		uint8_t mac[TABLE_MAC_BYTES];
		const struct row *row = look_up(d->tables[i], l, mac);
		struct door_session *s;
		char *id;

		if (!row)
			continue;
		id = final_id('d', row->name, l->id);
		s = admit(d, l, WHO_DEVICE, id, row->name);
		free(id);
		if (!s)
			return MOSQ_ERR_AUTH;
		s->owner = mem_strdup(d->tables[i]->owner);
		memcpy(s->mac, mac, sizeof mac);
		mosquitto_set_username(l->client, row->name);
		return MOSQ_ERR_SUCCESS;
	}
	return MOSQ_ERR_PLUGIN_DEFER;
}

static void read_certificate(struct login *l)
{
	X509 *certificate = mosquitto_client_certificate(l->client);
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (!certificate)
		return;
	if (X509_digest(certificate, EVP_sha256(), hash, &n))
		for (size_t i = 0; i < n && 2 * i + 2 < sizeof l->certificate; i++)
			snprintf(l->certificate + 2 * i, 3, "%02x", hash[i]);
	X509_free(certificate);
}

/* A reload of the broker's configuration asks for each session once more, with what it has of its login: its user
 * name is the device's by then. */
static int answer_again(struct door *d, const struct mosquitto_evt_basic_auth *ev)
{
	const struct door_session *s = sessions_of(&d->sessions, ev->client);
	const char *id = mosquitto_client_id(ev->client), *end;
	bool may = false;

	if (s && s->who == WHO_OTHER)
		return MOSQ_ERR_PLUGIN_DEFER;
	if (s && s->who == WHO_PROVISIONER)
		return MOSQ_ERR_SUCCESS;
	if (!id || id[0] == '\0' || id[1] != '/' || !(end = strchr(id + 2, '/')))
		return d->options.allows_others ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_AUTH;
	buf_reset(&d->name);
	buf_append(&d->name, id + 2, (size_t)(end - id) - 2);
	if (id[0] == 'd')
		may = door_tables_have(d, d->name.data);
	else if (id[0] == 'b')
		may = bridges_has(&d->bridges, d->name.data);
	return may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

static bool is_reserved(const char *id)
{
	return id[0] && strchr("bdp", id[0]) && id[1] == '/';
}

static int let_other_in(struct door *d, const struct login *l)
{
	if (!d->options.allows_others || is_reserved(l->id))
		return refuse(d, l);
	sessions_add(&d->sessions, l->client, WHO_OTHER, l->id, NULL);
	return MOSQ_ERR_PLUGIN_DEFER;
}

int door_on_login(struct door *d, struct mosquitto_evt_basic_auth *ev)
{
	const char *id = mosquitto_client_id(ev->client);
	struct login l = { ev->client, id ? id : "", ev->username ? ev->username : "",
			   ev->password ? ev->password : "", "" };
	struct bucket *b = failures(d, address_of(ev->client), false);
	int rc;

	if (d->is_reloading)
		return answer_again(d, ev);
	if (b && !bucket_has(b, d->options.login_rate, d->options.login_burst, d->now_ms)) {
		d->counts.throttled++;
		return MOSQ_ERR_AUTH;
	}
	if (bridges_has(&d->bridges, l.username))
		return admit_bridge(d, &l);
	if (strcmp(l.username, "provision") == 0 || strcmp(l.id, "provision") == 0)
		return admit_provisioner(d, &l);
	read_certificate(&l);
	rc = admit_device(d, &l);
	return rc == MOSQ_ERR_PLUGIN_DEFER ? let_other_in(d, &l) : rc;
}
