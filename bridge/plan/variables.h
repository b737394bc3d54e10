/* variables.h -- variables that a configuration sets and nobody uses: mostly a word that was misspelt. */
#ifndef BRIDGE_VARIABLES_H
#define BRIDGE_VARIABLES_H

#include "message/side.h"

struct mapping;
struct plan;
struct report;
struct vars;

/* Warn of each of the two sides, with the one that may have been meant.  `where`: the place of each side,
 * "plant.conf:7: south".  A function uses what its file, or one that it imports, has a word for
 * (mapping_may_use()). */
void variables_check(const struct plan *plan, char *const where[SIDES], struct report *report);
/* The same of the through file called `name`. */
void variables_check_through(const struct mapping *m, const struct vars *set, const char *where,
			     const char *name, struct report *report);

#endif
