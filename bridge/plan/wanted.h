/* wanted.h -- which rows need not be heard on a link: those whose messages could only become dead letters.
 *
 * Worked out from the two dialects alone, so it is the same for a link and for a pair of dialects. */
#ifndef BRIDGE_WANTED_H
#define BRIDGE_WANTED_H

#include <stdbool.h>

#include "message/kind.h"
#include "message/side.h"

struct dialect;
struct row;

/* The link; all borrowed. */
struct wanted {
	const struct dialect *side[SIDES];
	const enum kind *remap; /* KINDS of them, KIND_NONE is no change; NULL: none */
	bool is_open[FLOWS];	/* a through file may make any kind of what flows there */
};

/* Is it any use to hear what comes on this row, on the side from which its kind flows?  It is if the other
 * side has that kind, or another one that the row's function may give; if it asks for an answer, which the
 * bridge owes; if it answers what the other side, or the bridge itself, can ask; or if the bridge keeps what
 * it says, for answers and for functions. */
bool wanted_row(const struct wanted *w, const struct row *row);

#endif
