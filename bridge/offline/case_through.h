/* case_through.h -- the through files of a case: "through": ["NAME", {"name": "NAME", "vars": {"NAME": "VALUE"}},
 * ...]. */
#ifndef BRIDGE_CASE_THROUGH_H
#define BRIDGE_CASE_THROUGH_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

struct buf;
struct offline_through;

struct case_through {
	struct offline_through *items; /* names are the case's (borrowed) */
	size_t n;
};

/* Read those of the case `c`, which has to stay.  False: a line in `diff` says what is wrong.  Caller ends it with
 * case_through_fini() in any case. */
bool case_through_read(struct case_through *t, json_object *c, struct buf *diff);
void case_through_fini(struct case_through *t);

#endif
