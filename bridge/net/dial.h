/* dial.h -- the other end of control.h: ask a running bridge, line by line.  Blocks. */
#ifndef BRIDGE_DIAL_H
#define BRIDGE_DIAL_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct dial;
struct err;

/* Connect to the bridge whose state is in `dir`.  NULL sets *e: ERR_NOT_FOUND none is running there;
 * ERR_IO. */
struct dial *dial_open(const char *dir, struct err *e);
void dial_close(struct dial *d); /* NULL is allowed */

/* Send one request, a line without its end. */
bool dial_send(struct dial *d, const char *line, size_t n, struct err *e);
/* The next line of the answer, without its end, is put into `line` (what was there goes).  False sets
 * *e: ERR_IO the bridge ended, or said nothing for 30 s. */
bool dial_receive(struct dial *d, struct buf *line, struct err *e);

#endif
