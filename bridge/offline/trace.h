/* trace.h -- for authors: what a message meets on its way through a link, told before it goes. */
#ifndef BRIDGE_TRACE_H
#define BRIDGE_TRACE_H

#include <stdint.h>

#include "message/side.h"

struct buf;
struct executor;
struct message;
struct plan;

/* Append lines: each row of the side it comes from, and why it does not read the message; what those that do make
 * of it; and which rows write that on the other side.  Nothing of the link's state is known to it: a reply is shown
 * as it is read without its request.  The executor does the reading, and may have no other jobs. */
void trace_message(struct buf *out, const struct plan *plan, struct executor *executor,
		   enum flow flow, const struct message *m, int64_t at_ms);

/* Append the first level in which a topic is not what a template wants: 'level 2 is "x"'. */
void trace_put_difference(struct buf *out, const char *wanted, const char *topic);

#endif
