/* jqmessage.h -- what jq says of a source that it cannot compile: "jq: error: TEXT at PATH, line N:" and
 * the line behind. */
#ifndef BRIDGE_JQMESSAGE_H
#define BRIDGE_JQMESSAGE_H

#include <stdbool.h>

struct jqmessage {
	char *text;
	char *file; /* PATH, NULL: none; jq calls the program itself "<top-level>" */
	unsigned line;
};

/* Take it apart.  False: it says nothing ("jq: 2 compile errors").  Caller ends `m` with
 * jqmessage_fini(). */
bool jqmessage_read(struct jqmessage *m, const char *said);
void jqmessage_fini(struct jqmessage *m);

/* What to write instead, in a few words; NULL: no idea. */
const char *jqmessage_advice(const char *text);

#endif
