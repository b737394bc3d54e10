#include "conf/login.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "plan/plan.h"

struct login_values {
	const struct plan *plan;
	enum side side;
	struct vars issued; /* by a handshake */
};

static const char *lookup(void *ctx, const char *name)
{
	struct login_values *s = ctx;
	const char *value = vars_get(&s->plan->side[s->side].vars, name);

	if (!value)
		value = vars_get(&s->issued, name);
	/* A session that brings many devices is none of them. */
	if (!value && strcmp(name, "device") == 0 && s->plan->is_single)
		value = plan_device_there(s->plan, s->side, s->plan->device);
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

/* One field: the configuration's, else the handshake's own of that name, else the template. */
static char *field(struct session_login *l, struct login_values *s, const char *configured,
		   const char *name, const char *template)
{
	const char *issued = vars_get(&s->issued, name);
	struct buf text = { 0 };
	struct err e = { 0 };

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
	if (dialect_is_credential(s->plan->side[s->side].dialect, e.text))
		l->is_missing = true;
	return NULL;
}

/* Does the configuration have a login of its own, which needs nothing of the dialect's?  A client
 * certificate is one, unless a handshake is to bring another: then it only lets us in. */
static bool is_own_login(const struct conf_session *conf)
{
	return conf->username || conf->password || (conf->tls.cert && !conf->provision.key);
}

void login_make(struct session_login *l, const struct plan *plan, const struct conf_session *conf,
		enum side side, bool is_provisioning, struct jslice credentials,
		const char *instance)
{
	const struct dialect *d = plan->side[side].dialect;
	const struct login_template *t =
		is_provisioning ? &d->provisioning : dialect_login(d, side);
	struct login_values s = { .plan = plan, .side = side };

	*l = (struct session_login){ 0 };
	if (!is_provisioning)
		take_issued(&s.issued, credentials);
	l->username =
		field(l, &s, is_provisioning ? NULL : conf->username, "username", t->username);
	l->password =
		field(l, &s, is_provisioning ? NULL : conf->password, "password", t->password);
	l->client_id =
		field(l, &s, is_provisioning ? NULL : conf->client_id, "client_id", t->client_id);
	if (!l->client_id)
		l->client_id =
			mem_printf("calque-%s-%s-%s", plan->name,
				   is_provisioning ? "provision" : side_name(side), instance);
	if (is_own_login(conf)) {
		l->is_missing = false;
		if (l->unset && dialect_is_credential(d, l->unset)) {
			free(l->unset); /* it is not needed */
			l->unset = NULL;
		}
	}
	vars_fini(&s.issued);
}

void login_make_trial(struct session_login *l, const struct plan *plan,
		      const struct conf_session *conf, struct jslice credentials,
		      const char *instance)
{
	char *usual = mem_printf("calque-%s-%s-%s", plan->name, side_name(NORTH), instance);

	login_make(l, plan, conf, NORTH, false, credentials, instance);
	if (strcmp(l->client_id, usual) == 0) { /* else the platform wants it so */
		free(l->client_id);
		l->client_id = mem_printf("calque-%s-try-%s", plan->name, instance);
	}
	free(usual);
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
