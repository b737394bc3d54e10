/* route.h -- how two dialects join: for each kind that one side has, its row and its counterpart. */
#ifndef BRIDGE_ROUTE_H
#define BRIDGE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "dialect/dialect.h"
#include "message/kind.h"
#include "plan/wanted.h"

struct route {
	enum kind kind;
	/* The row that is read, on the side that the kind's flow starts from; NULL: the bridge says it by
	 * itself after each login in the north. */
	const struct row *from;
	const struct row *to; /* the first row that writes it on the other side; NULL: none */
	bool is_heard;	      /* its topic is subscribed, for its own sake or another's */
};

/* All routes of a pair, in the order of kinds and files, first those with a counterpart, then those after
 * a login.  Caller frees the array. */
struct route *route_list(const struct wanted *w, size_t *n);

/* What becomes of a message without a counterpart, in words for people. */
const char *route_fate(const struct route *r);

#endif
