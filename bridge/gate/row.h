/* row.h -- what the table of a front door says of one device: the HMACs of what it logs in with.
 *
 * What a device has of its own in the south counts before what a handshake brought, and that before what the
 * configuration says (conf/login.h): `certificate` (the SHA-256 of its DER), which is a credential besides; user name
 * and password together, or with a client id; else what the dialect's sessions log in with, a token as user name or as
 * password. */
#ifndef BRIDGE_GATE_ROW_H
#define BRIDGE_GATE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/jtext.h"

struct buf;
struct conf_session;
struct plan;
struct vars;

struct gate_login {
	const struct vars *own; /* the device's own variables of the south; NULL: none */
	struct jslice issued;	/* the body of a provision_reply, len 0: none */
	bool is_gateway;
};

/* Append its lines (frontdoor/table.h), none if nothing is known by which it logs in.  `name`: its level. */
void gate_put_rows(const struct plan *plan, const struct conf_session *conf,
		   const uint8_t key[CRYPTO_KEY_BYTES], const char *device, const char *name,
		   const struct gate_login *by, struct buf *out);

/* The device's name as a level of a topic, in which some characters are written %XX; and back, false: it is none. */
void gate_put_name(const char *device, struct buf *out);
bool gate_read_name(const char *name, size_t n, struct buf *out);

#endif
