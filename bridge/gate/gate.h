/* gate.h -- calque's side of a front door (frontdoor/README.md): the layer between a port and its link.
 *
 * To the link, topics are the dialect's own, as on a broker that the device has for itself; to the broker they are
 * among the front door's.  One who provisions is no device yet: what he asks has a response topic that says who he is,
 * so that the answer finds him, also after a restart ("@8//provision/response").
 *
 * And it says who may come in: the device of the link, by what its dialect logs in with (token, password), as rows of
 * HMACs.  No socket, no clock. */
#ifndef BRIDGE_GATE_H
#define BRIDGE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/jtext.h"

struct conf_session;
struct message;
struct plan;

struct gate;

/* `plan` and `conf` (of its south) are borrowed while it lives.  `key`: the table's, which must stay the same, or
 * all devices have to log in anew.  Caller ends it with gate_free(). */
struct gate *gate_new(const struct plan *plan, const struct conf_session *conf,
		      const uint8_t key[CRYPTO_KEY_BYTES]);
void gate_free(struct gate *g); /* NULL is allowed */

/* The filters to subscribe for those of the dialect: *n of them at `filters`, which are taken.  Caller frees. */
char **gate_filters(const struct gate *g, char **filters, size_t *n);

enum gate_word {
	GATE_MESSAGE, /* *out is what the device said; gate_end_message() */
	GATE_ONLINE,
	GATE_OFFLINE,
	GATE_NOTHING /* nothing of the link's */
};
/* What came in.  *out borrows from `m`. */
enum gate_word gate_take(struct gate *g, const struct message *m, struct message *out);
void gate_end_message(struct message *out);
/* The topic on which it goes to the broker, in place of what is in `topic`. */
void gate_put_topic(const struct gate *g, const char *topic, struct buf *out);

/* A connection is up: the table is to be sent, before all else. */
void gate_begin(struct gate *g, uint64_t serial);
/* What a handshake brought (the body of a provision_reply; len 0: nothing): the device's row, if it changed by that, is
 * to be sent before anything else. */
void gate_set_issued(struct gate *g, struct jslice issued);
/* The next message for the table; false: no more.  *out is overwritten; message_fini(). */
bool gate_next(struct gate *g, struct message *out);
/* It was handed over. */
void gate_sent(struct gate *g);

#endif
