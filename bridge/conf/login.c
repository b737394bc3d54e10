#include "conf/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "plan/plan.h"

#define CLIENT_ID_BYTES 23

struct login_values {
	const struct login_terms *terms;
	struct vars issued; /* by a handshake */
};

/* A session that brings many devices is none of them. */
static const char *native_device(const struct login_terms *terms)
{
	const char *device = terms->device	      ? terms->device
			     : terms->plan->is_single ? terms->plan->device
						      : NULL;

	return device ? plan_device_there(terms->plan, terms->side, device) : NULL;
}

static const char *lookup(void *ctx, const char *name)
{
	struct login_values *s = ctx;
	const struct login_terms *terms = s->terms;
	const char *value = terms->own ? vars_get(terms->own, name) : NULL;

	if (!value)
		value = vars_get(&terms->plan->side[terms->side].vars, name);
	if (!value)
		value = vars_get(&s->issued, name);
	if (!value && strcmp(name, "device") == 0)
		value = native_device(terms);
	return value;
}

static void take_issued(struct vars *issued, struct jslice credentials)
{
	static const char *const names[] = { "token", "username", "password", "client_id" };
	struct jslice v;
	struct buf text = { 0 };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		buf_reset(&text);
		if (credentials.len && jtext_field(credentials, names[i], &v) &&
		    jtext_string_decode(v, &text))
			vars_set(issued, names[i], buf_str(&text), true);
	}
	buf_fini(&text);
}

/* One field: the configuration's, else the device's or the handshake's own of that name, else the template. */
static char *field(struct session_login *l, struct login_values *s, const char *configured,
		   const char *name, const char *template)
{
	const struct vars *own = s->terms->is_provisioning ? NULL : s->terms->own;
	const char *issued = own ? vars_get(own, name) : NULL;
	struct buf text = { 0 };
	struct err e = { 0 };

	if (!issued)
		issued = vars_get(&s->issued, name);
	if (configured)
		return mem_strdup(configured);
	if (issued)
		return mem_strdup(issued);
	if (!template)
		return NULL;
	if (text_template_expand(template, lookup, s, &text, &e))
		return buf_take(&text);
	buf_fini(&text);
	if (!l->unset)
		l->unset = mem_strdup(e.text);
	if (dialect_is_credential(s->terms->plan->side[s->terms->side].dialect, e.text))
		l->is_missing = true;
	return NULL;
}

/* Does the configuration have a login of its own, which needs nothing of the dialect's?  A client
 * certificate is one, unless a handshake is to bring another: then it only lets us in. */
static bool is_own_login(const struct conf_session *conf)
{
	return conf->username || conf->password || (conf->tls.cert && !conf->provision.key);
}

/* At a broker sessions that wait have the name that the link had when they were made. */
static const char *link_name(const struct login_terms *terms)
{
	return terms->known_as ? terms->known_as : terms->plan->name;
}

/* Of a device, one that every server takes (MQTT 3.1.1, 3.1.3.1: 23 bytes, letters and digits), whatever the device is
 * called: a hash, where the name alone would do no harm but be too long. */
static char *device_client_id(const struct login_terms *terms, const char *what)
{
	const char *const parts[] = { link_name(terms), what, terms->device, terms->instance };
	struct crypto_piece pieces[sizeof parts / sizeof parts[0]];
	uint8_t hash[CRYPTO_HASH_BYTES];
	char id[CLIENT_ID_BYTES + 1] = "calque";

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		pieces[i] = (struct crypto_piece){ parts[i], strlen(parts[i]) };
	crypto_hash(pieces, sizeof parts / sizeof parts[0], hash);
	for (size_t i = 0, at = strlen(id); at + 2 <= CLIENT_ID_BYTES; i++, at += 2)
		snprintf(id + at, 3, "%02x", hash[i]);
	return mem_strdup(id);
}

/* What no dialect and no configuration asks for, but that no other session at that broker may have. */
static char *usual_client_id(const struct login_terms *terms, const char *what)
{
	if (terms->device)
		return device_client_id(terms, what);
	if (terms->handshakes)
		return mem_printf("calque-%s-%s%u-%s", link_name(terms), what,
				  terms->handshakes + 1, terms->instance);
	return mem_printf("calque-%s-%s-%s", link_name(terms), what, terms->instance);
}

static void make(struct session_login *l, const struct login_terms *terms, const char *what)
{
	const struct conf_session *conf = terms->conf;
	const struct dialect *d = terms->plan->side[terms->side].dialect;
	bool is_main = !terms->is_provisioning;
	const struct login_template *t = is_main ? dialect_login(d, terms->side) : &d->provisioning;
	struct login_values s = { .terms = terms };

	*l = (struct session_login){ 0 };
	if (is_main)
		take_issued(&s.issued, terms->credentials);
	l->username = field(l, &s, is_main ? conf->username : NULL, "username", t->username);
	l->password = field(l, &s, is_main ? conf->password : NULL, "password", t->password);
	l->client_id = field(l, &s, is_main ? conf->client_id : NULL, "client_id", t->client_id);
	if (!l->client_id)
		l->client_id = usual_client_id(terms, what);
	if (is_own_login(conf)) {
		l->is_missing = false;
		if (l->unset && dialect_is_credential(d, l->unset)) {
			free(l->unset); /* it is not needed */
			l->unset = NULL;
		}
	}
	vars_fini(&s.issued);
}

void login_make(struct session_login *l, const struct login_terms *terms)
{
	make(l, terms, terms->is_provisioning ? "provision" : side_name(terms->side));
}

void login_make_trial(struct session_login *l, const struct login_terms *terms)
{
	make(l, terms, "try"); /* unless the platform wants it otherwise */
}

static void free_secret(char *s)
{
	if (s)
		mem_free_secret(s, strlen(s));
}

void login_fini(struct session_login *l)
{
	free_secret(l->username);
	free_secret(l->password);
	free(l->client_id);
	free(l->unset);
	*l = (struct session_login){ 0 };
}
