/* case_match.h -- is what came out what a case expects?  Values with placeholders ("{{name}}", whole or a part of
 * a text), which take what they meet first and stand for it from then on. */
#ifndef BRIDGE_CASE_MATCH_H
#define BRIDGE_CASE_MATCH_H

#include <stdbool.h>

#include <json-c/json.h>

#include "base/buf.h"

/* Zero it, set `bound` to an object of the caller's own. */
struct case_match {
	json_object *bound; /* the values of placeholders so far */
	bool is_part;	    /* objects may have more keys than was wanted */
	struct buf place;   /* of the values at hand: "payload.temp" */
	struct buf *diff;   /* gets a line for each difference; NULL: it is not told */
};

void case_match_fini(struct case_match *m); /* not of what it borrows */

/* A copy of `v` with known placeholders filled in; caller puts it. */
json_object *case_match_fill(struct case_match *m, json_object *v);
/* Is `got` what was wanted?  All differences are told, keys in the order of `want`.  Placeholders are bound even
 * if it is not. */
bool case_match(struct case_match *m, json_object *want, json_object *got);

#endif
