/* login.h -- what a session logs in with: field by field the configuration, else the field of that
 * name that a handshake brought, else the dialect's template.  A template's variables are those of the
 * configuration, else those of the handshake. */
#ifndef BRIDGE_LOGIN_H
#define BRIDGE_LOGIN_H

#include <stdbool.h>

#include "base/jtext.h"
#include "message/side.h"

struct conf_session;
struct plan;

struct session_login {
	char *username, *password, *client_id; /* NULL: not sent; client_id is always set */
	bool is_missing; /* a credential of the dialect's login is not known */
	char *unset;	 /* the first variable that is not set, for a warning; NULL: all are */
};

/* The login of a side's main session, or of its provisioning session.  `credentials`: the body of a
 * provision_reply, or len 0.  `instance`: see state.h.  Caller ends it with login_fini(). */
void login_make(struct session_login *l, const struct plan *plan, const struct conf_session *conf,
		enum side side, bool is_provisioning, struct jslice credentials,
		const char *instance);
/* A login of the north's that only tries whether these credentials are good, beside its main session. */
void login_make_trial(struct session_login *l, const struct plan *plan,
		      const struct conf_session *conf, struct jslice credentials,
		      const char *instance);
void login_fini(struct session_login *l);

#endif
