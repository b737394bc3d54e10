/* backpressure.h -- when the source of a direction has to wait.
 *
 * What a link holds of one direction is what was accepted from its source and is not settled, and what
 * waits for its target.  At the high mark the source is held: nothing more is taken from it, until the
 * low mark.
 *
 * Both directions share the two sessions.  A side that is only left unread, or only disconnected,
 * could not be delivered to either: the other direction would fill up in turn, and two sides that wait
 * for each other wait for ever.  So a held side is *visited* (net/session.h): its connection is closed
 * without acknowledging what was not accepted, its session stays at the broker, and when something
 * waits for it, it is connected for as long as it takes to hand that over; what it brings meanwhile is
 * neither taken nor acknowledged.  From this follows, whatever the load, and the unit test shows it:
 *
 * - each direction decides by itself, and both sides may be held at once: deliveries go on to both, so
 *   with targets that live each falls below its low mark, and everything is delivered in the end;
 * - a direction never holds more than the high mark and what one turn of the loop brings.  (To hold
 *   one side at most could not promise that: the side that is not held brings in new messages for as
 *   long as it is read for its acknowledgements, and two fast sources with two slow targets would
 *   fill any memory.)
 *
 * A store that takes no more (a full disk) holds both sides in the same way: `is_closed`.
 *
 * Pure, a plain value. */
#ifndef BRIDGE_BACKPRESSURE_H
#define BRIDGE_BACKPRESSURE_H

#include <stdbool.h>
#include <stddef.h>

#include "message/side.h"

/* Enough for a turn of the loop at full speed on a slow disk (1000 messages of some KB), and small
 * enough for a hundred links in a container.  The gap keeps a session from coming and going. */
#define BACKPRESSURE_HIGH_BYTES (16u << 20)
#define BACKPRESSURE_LOW_BYTES	(BACKPRESSURE_HIGH_BYTES / 4)

struct backpressure {
	bool is_held[SIDES];
	bool is_closed; /* the caller's: nothing can be taken from either side */
};

enum backpressure_step { BACKPRESSURE_SAME, BACKPRESSURE_HOLD, BACKPRESSURE_RELEASE };

/* `pending` bytes are held of what `source` sends: what is to be done with it now? */
enum backpressure_step backpressure_step(struct backpressure *p, enum side source, size_t pending);

#endif
