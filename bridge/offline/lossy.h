/* lossy.h -- what of a plain message the other side does not take.
 *
 * It is found out by trying: an example of each kind is written, and written again with one field changed.  If the same
 * comes out, that side has no place for the field.  So a mapping that looks at a field only together with another may
 * be told wrong; what is never looked at is always told. */
#ifndef BRIDGE_LOSSY_H
#define BRIDGE_LOSSY_H

struct buf;
struct executor;
struct plan;

/* Append an array, an object for each kind that one side reads and the other one writes:
 *   {"kind","flow","to" (dialect),"drops":["ts","body.params.rpm"...]} or, if no example could be written, "refused"
 * instead of "drops".  The executor does the writing, and may have no other jobs. */
void lossy_put(struct buf *out, const struct plan *plan, struct executor *executor);

#endif
