/* plain.h -- a plain message: the common tongue between two dialects (design, section 1).
 *
 * As text it is the JSON object {kind, device, id, ts, body}.  The body and the id stay JSON text,
 * spelled as they came. */
#ifndef BRIDGE_PLAIN_H
#define BRIDGE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/jtext.h"
#include "message/kind.h"

struct buf;
struct err;

struct plain {
	enum kind kind; /* KIND_NONE: not said */
	char *device;	/* NULL: not said */
	char *id;	/* JSON text of a string or number; NULL: none */
	char *ts;	/* JSON text of a number, epoch ms; NULL: none */
	char *body;	/* JSON text */
	size_t body_len;
};

/* Read {kind, device, id, ts, body} from strict JSON.  A null id, ts, device or kind is none.
 * ERR_INVALID: no object, an unknown key or kind, a wrong type, or no body; *p is untouched. */
bool plain_parse(struct plain *p, struct jslice text, struct err *e);
/* Append it as JSON text; keys that are none are left out. */
void plain_put(struct buf *out, const struct plain *p);
void plain_copy(struct plain *to, const struct plain *from); /* `to` is overwritten, not freed */
void plain_fini(struct plain *p);
struct jslice plain_body(const struct plain *p);
void plain_set_body(struct plain *p, const char *text, size_t len); /* copied */

/* Does the body have the shape that kinds.md demands of its kind (say, an object for telemetry)?
 * ERR_INVALID with what is wrong. */
bool plain_check_body(const struct plain *p, struct err *e);

#endif
