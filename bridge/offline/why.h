/* why.h -- what each step makes of a message on its way through a link: a JSON object, for people and programs.
 *
 *   {"flow","from","to" (dialects),"topic","bytes",
 *    "rows":[{"row","kind","topic","result":"matches"|"differs"|"not-read"|"less-specific","text","captures"}],
 *    "read":[{"row","us","messages":[CANONICAL...],"refused","text"}],
 *    "through":[the same, after the through files],
 *    "writers":[{"row","kind","topic"}], "limits":{...} of the far side,
 *    "outputs":[{"row","kind","device","session","bytes","side","topic","qos",...}],
 *    "state":[{"part","key","value"}], "result","text","us"}
 *
 * Credentials are "***" in it, and so is the body of a handshake. */
#ifndef BRIDGE_WHY_H
#define BRIDGE_WHY_H

#include <stdbool.h>
#include <stdint.h>

#include "message/side.h"

struct buf;
struct changes;
struct executor;
struct message;
struct offline_step;
struct plan;

/* Begin the object: which rows there are, and which of them the message is for. */
void why_begin(struct buf *out, const struct plan *plan, enum flow flow, const struct message *m);
/* "KEY":[...]: what the rows that match read; of a plan without through files, before them.  Nothing of the link's
 * state is known to it: a reply is shown as it is read without its request.  The executor does the reading, and may
 * have no other jobs.  Returns the kinds of it, a bit for each. */
uint64_t why_readings(struct buf *out, const char *key, const struct plan *plan,
		      struct executor *executor, enum flow flow, const struct message *m,
		      int64_t at_ms);
/* ... and the end: the rows that write the kinds that were read (a bit for each), and what came of it after `us`
 * microseconds, with the changes of state. */
void why_end(struct buf *out, const struct plan *plan, enum flow flow, uint64_t kinds,
	     const struct offline_step *step, const struct changes *changes, int64_t us);

/* Would a message on this topic be read from the side where this flow begins? */
bool why_is_read(const struct plan *plan, enum flow flow, const char *topic);

#endif
