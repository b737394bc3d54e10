/* plan_check.h -- are the variables of a link set that its messages need, and do they fit? */
#ifndef BRIDGE_PLAN_CHECK_H
#define BRIDGE_PLAN_CHECK_H

#include "message/side.h"

struct plan;
struct plan_spec;
struct report;
struct vars;

/* Of one side, once both are bound.  What is left to devices is added to its `owed`. */
void plan_check(struct plan *p, enum side side, const struct plan_spec *spec,
		struct report *report);
/* Variables that are known when topics are bound: the side's own, and the device where the link is about one.
 * Caller ends them with vars_fini(). */
void plan_known_vars(const struct plan *p, enum side side, struct vars *known);

#endif
