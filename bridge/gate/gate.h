/* gate.h -- calque's side of a front door (frontdoor/README.md): the layer between a port and its link.
 *
 * To the link, topics are the dialect's own, as on a broker that a device has for itself, with the device whose
 * session it is beside them; to the broker they are among the front door's.  One who provisions is no device yet:
 * what he asks has a response topic that says who he is, so that the answer finds him, also after a restart
 * ("@8//provision/response").
 *
 * And it says who may come in (gate/row.h), as rows of HMACs: all of them after a login, then what changes.  A link of
 * one device, and one of a gateway, which names its devices itself, has one row; else there is one for each device
 * that is in the table of the link.  No socket, no clock. */
#ifndef BRIDGE_GATE_H
#define BRIDGE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "gate/row.h"

struct conf_session;
struct map_pos;
struct message;
struct plan;

struct gate;

/* `plan` and `conf` (of its south) are borrowed while it lives.  `key`: the table's, which must stay the same, or
 * all devices have to log in anew.  Caller ends it with gate_free(). */
struct gate *gate_new(const struct plan *plan, const struct conf_session *conf,
		      const uint8_t key[CRYPTO_KEY_BYTES]);
void gate_free(struct gate *g); /* NULL is allowed */

/* Its one row is this device's; NULL: it has rows of many. */
const char *gate_only_device(const struct gate *g);

/* The filters to subscribe for those of the dialect: *n of them at `filters`, which are taken.  Caller frees. */
char **gate_filters(const struct gate *g, char **filters, size_t *n);

enum gate_word {
	GATE_MESSAGE, /* a device said it; gate_end_message() */
	GATE_ONLINE,
	GATE_OFFLINE,
	GATE_LISTED, /* who is not here now has gone: gate_next_missing() */
	GATE_NOTHING /* nothing of the link's */
};
/* What came in.  *out borrows from `m`; *device (of MESSAGE, ONLINE, OFFLINE; borrowed until the next call) is whose
 * session said it, NULL: of one who provisions, or of a gateway. */
enum gate_word gate_take(struct gate *g, const struct message *m, struct message *out,
			 const char **device);
void gate_end_message(struct message *out);
/* The next device (the first: *pos all 0) that the list has not; NULL: no more.  Borrowed. */
const char *gate_next_missing(const struct gate *g, struct map_pos *pos);
/* Is it here, as far as the front door has said? */
bool gate_is_here(const struct gate *g, const char *device);
/* The topic on which it goes to the broker, in place of what is in `topic`.  `device`: for whom. */
void gate_put_topic(const struct gate *g, const char *device, const char *topic, struct buf *out);

/* A connection is up: the whole table is to be sent, before all else. */
void gate_begin(struct gate *g, uint64_t serial);
/* By what this device is let in from now on; NULL: it is not.  If that is new, it is to be sent before anything
 * else. */
void gate_set(struct gate *g, const char *device, const struct gate_login *by);
/* The next message for the table; false: no more.  *out is overwritten; message_fini(). */
bool gate_next(struct gate *g, struct message *out);
/* It was handed over. */
void gate_sent(struct gate *g);

#endif
