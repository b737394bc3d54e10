/* scratch.h -- a file of a verb's own, for what reads files. */
#ifndef BRIDGE_SCRATCH_H
#define BRIDGE_SCRATCH_H

struct buf;
struct err;

/* Write it with this text, 0600, in $TMPDIR or /tmp.  Its name, to be unlinked and freed by the caller; NULL sets
 * *e. */
char *scratch_write(const struct buf *text, struct err *e);

#endif
