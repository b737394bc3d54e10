/* canonical.h -- a message in the common tongue between two dialects: the canonical message of integration
 * patterns, called "plain message" in the guides for mappings, and `plain` where it is a field.
 *
 * As text it is the JSON object {kind, device, id, ts, body}.  The body and the id stay JSON text,
 * spelled as they came. */
#ifndef BRIDGE_CANONICAL_H
#define BRIDGE_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/jtext.h"
#include "message/kind.h"

struct buf;
struct err;

struct canonical {
	enum kind kind; /* KIND_NONE: not said */
	char *device;	/* NULL: not said */
	char *id;	/* JSON text of a string or number; NULL: none */
	char *ts;	/* JSON text of a number, epoch ms; NULL: none */
	char *body;	/* JSON text */
	size_t body_len;
};

/* Read {kind, device, id, ts, body} from strict JSON.  A null id, ts, device or kind is none.
 * ERR_INVALID: no object, an unknown key or kind, a wrong type, or no body; *p is untouched. */
bool canonical_parse(struct canonical *p, struct jslice text, struct err *e);
/* The first key that canonical_parse() does not know, with its quotes; false: there is none.  Who shows it has to
 * see to what it may quote. */
bool canonical_unknown_key(struct jslice text, struct jslice *key);
/* Append it as JSON text; keys that are none are left out. */
void canonical_put(struct buf *out, const struct canonical *p);
void canonical_copy(struct canonical *to,
		    const struct canonical *from); /* `to` is overwritten, not freed */
void canonical_fini(struct canonical *p);
struct jslice canonical_body(const struct canonical *p);
void canonical_set_body(struct canonical *p, const char *text, size_t len); /* copied */

/* Does the body have the shape that mappings/kinds.md demands of its kind (say, an object for telemetry)?
 * ERR_INVALID with what is wrong. */
bool canonical_check_body(const struct canonical *p, struct err *e);

#endif
