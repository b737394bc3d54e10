/* ack_clock.h -- a far side that is there and does not acknowledge: when to say so, and when to connect anew.
 *
 * The clock runs from the last progress of what is in flight the longest: that it was sent, that what was before it
 * was acknowledged, or that the peer took bytes of what was published so far.  (Not from the publish: a large
 * message over a slow line takes its time.  Nor do bytes of later messages count, or pings.)
 *
 * A new connection sends all again, so they come in growing distances.  A plain value; times are handed in. */
#ifndef BRIDGE_ACK_CLOCK_H
#define BRIDGE_ACK_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define ACK_CLOCK_LATE_MS INT64_C(30000)
#define ACK_CLOCK_LOOK_MS 2000
#define ACK_CLOCK_MOST_MS 600000

struct ack_clock {
	int64_t timeout_ms;  /* the first one; then it doubles */
	int64_t progress_ms; /* 0: nothing is in flight */
	int64_t look_ms;     /* when to look at it; 0: not at all */
	uint64_t goal;	     /* bytes that count; 0: not known yet */
	uint64_t taken;	     /* of them */
	bool is_late;
	unsigned n_timeouts; /* since something was acknowledged */
};

enum ack_state {
	ACK_FINE,
	ACK_LATE, /* to be said, told once: after this, or half of a time-out that is shorter than twice this */
	ACK_OVER /* connect anew */
};

void ack_clock_init(struct ack_clock *c, int64_t timeout_ms);
/* There is a new connection, or none: nothing is in flight. */
void ack_clock_reset(struct ack_clock *c);
void ack_clock_sent(struct ack_clock *c, int64_t now_ms);
/* What was in flight the longest was acknowledged; is there more? */
void ack_clock_acked(struct ack_clock *c, bool is_more, int64_t now_ms);
/* The peer has taken `taken` bytes over this connection; all that was published so far ends at `owed`
 * (UINT64_MAX: not known yet). */
void ack_clock_taken(struct ack_clock *c, uint64_t taken, uint64_t owed, int64_t now_ms);
/* At look_ms or later. */
enum ack_state ack_clock_look(struct ack_clock *c, int64_t now_ms);

#endif
