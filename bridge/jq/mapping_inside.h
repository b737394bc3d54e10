/* mapping_inside.h -- what a mapping is made of: for mapping.c, which loads it, mapping_call.c, which
 * runs it, and mapping_json.c, which reads and writes its values.  They alone see jq.h. */
#ifndef BRIDGE_MAPPING_INSIDE_H
#define BRIDGE_MAPPING_INSIDE_H

#include <jq.h>

#include "base/buf.h"
#include "jq/mapping.h"
#include "jq/mapping_symbols.h"

struct scrub;
struct through;

struct mapping {
	char *file;
	struct dialect *dialect; /* NULL: a through file */
	struct through *through;
	struct mapping_symbols functions;
	struct scrub *scrub; /* knows the words of the file and of what it imports */
	jq_state *jq;
	/* What inputs are made of: */
	jv keys[MAPPING_KEYS];
	struct steady {
		struct buf text;
		jv value;
	} steady[MAPPING_KEYS]; /* the last value of a key that is mostly the same */
	jv empty;		/* {} */
};

/* --- mapping_call.c */

void mapping_input_init(struct mapping *m);
void mapping_input_fini(struct mapping *m);
/* A callback for jq's errors that drops them. */
void mapping_forget_message(void *ctx, jv msg);

/* --- mapping_json.c */

/* The value of a strict JSON text.  Invalid: it is none, too long, or nested deeper than
 * JTEXT_MAX_DEPTH. */
jv mapping_json_read(const char *text, size_t len);
/* Append a value (not taken), spelled as jq spells it.  False: it is nested deeper than
 * JTEXT_MAX_DEPTH (jq puts "<stripped: ...>" there, bare); *out then holds a part of it. */
bool mapping_json_put(struct buf *out, jv value);

#endif
