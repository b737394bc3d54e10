/* mapping_inside.h -- what a mapping is made of: for mapping.c, which loads it, and mapping_call.c,
 * which runs it.  They alone see jq.h. */
#ifndef BRIDGE_MAPPING_INSIDE_H
#define BRIDGE_MAPPING_INSIDE_H

#include <jq.h>

#include "core/function.h"
#include "core/mapping.h"

struct scrub;
struct through;

struct mapping {
	char *file;
	struct dialect *dialect; /* NULL: a through file */
	struct through *through;
	struct functions functions;
	struct scrub *scrub; /* knows the words of the file and of what it imports */
	jq_state *jq;
};

/* A callback for jq's errors that drops them. */
void mapping_forget_message(void *ctx, jv msg);

#endif
