/* jq_diagnostic.h -- what jq says of a source that it cannot compile: "jq: error: TEXT at PATH, line N:" and
 * the line behind. */
#ifndef BRIDGE_JQ_DIAGNOSTIC_H
#define BRIDGE_JQ_DIAGNOSTIC_H

#include <stdbool.h>

struct jq_diagnostic {
	char *text;
	char *file; /* PATH, NULL: none; jq calls the program itself "<top-level>" */
	unsigned line;
};

/* Take it apart.  False: it says nothing ("jq: 2 compile errors").  Caller ends `m` with
 * jq_diagnostic_fini(). */
bool jq_diagnostic_read(struct jq_diagnostic *m, const char *said);
void jq_diagnostic_fini(struct jq_diagnostic *m);

/* What to write instead, in a few words; NULL: no idea. */
const char *jq_diagnostic_advice(const char *text);

#endif
