/* login.h -- what a session logs in with: field by field the configuration, else the variable of that name that the
 * device has, else the field that a handshake brought, else the dialect's template.  A template's variables are those of the device
 * whose session it is, else those of the configuration, else those of the handshake. */
#ifndef BRIDGE_LOGIN_H
#define BRIDGE_LOGIN_H

#include <stdbool.h>

#include "base/jtext.h"
#include "message/side.h"

struct conf_session;
struct plan;
struct vars;

struct session_login {
	char *username, *password, *client_id; /* NULL: not sent; client_id is always set */
	bool is_missing; /* a credential of the dialect's login is not known */
	char *unset;	 /* the first variable that is not set, for a warning; NULL: all are */
};

/* Whose it is, and what is known for it; all borrowed. */
struct login_terms {
	const struct plan *plan;
	const struct conf_session *conf;
	enum side side;
	bool is_provisioning; /* of its provisioning session; else of its main one, or a device's */
	unsigned handshakes;  /* of which of these; each has a client id of its own */
	const char *device;   /* whose session it is, by its name here; NULL: any device's */
	const struct vars *own;	   /* variables of that device; NULL: none */
	struct jslice credentials; /* the body of a provision_reply, or len 0 */
	const char *instance;	   /* see store/db.h */
	const char *known_as;	   /* the link's name in client ids; NULL: the one that it has */
};

/* Caller ends it with login_fini(). */
void login_make(struct session_login *l, const struct login_terms *terms);
/* A login of the north's that only tries whether these credentials are good, beside its main session. */
void login_make_trial(struct session_login *l, const struct login_terms *terms);
void login_fini(struct session_login *l);

#endif
