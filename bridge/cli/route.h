/* route.h -- how two dialects join: for each kind that one side has, its row and its counterpart. */
#ifndef BRIDGE_ROUTE_H
#define BRIDGE_ROUTE_H

#include <stddef.h>

#include "dialect/dialect.h"
#include "message/kind.h"

struct route {
	enum kind kind;
	const struct row
		*from; /* the row that is read, on the side that the kind's flow starts from */
	const struct row *to; /* the first row that writes it on the other side; NULL: none */
};

/* All routes of a pair, in the order of kinds and files, first those with a counterpart.  `remap`
 * may be NULL.  Caller frees the array. */
struct route *route_list(const struct dialect *south, const struct dialect *north,
			 const enum kind *remap, size_t *n);

/* What becomes of a message of a kind without a counterpart, in words for people. */
const char *route_fate(enum kind kind);

#endif
