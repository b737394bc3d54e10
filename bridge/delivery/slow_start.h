/* slow_start.h -- how much a far side is given that ended a connection over it: little at first, then more.
 *
 * A connection that the far side ended soon after it came up, with something in flight, may have got too much
 * at once.  The next ones begin with a window of one message, and one more with each acknowledgement,
 * at no more per second than it acknowledged in the last second before the end.  A minute without such an end, and
 * all is as ever.
 *
 * One that says that it was too much (MQTT 5), and stays, gets one at a time until a second has passed without that,
 * and a pause after each time.  A plain value; times are handed in. */
#ifndef BRIDGE_SLOW_START_H
#define BRIDGE_SLOW_START_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/rate_limit.h"

#define SLOW_START_SOON_MS 5000
#define SLOW_START_OVER_MS 60000

struct slow_start {
	unsigned window; /* 0: as large as it may be */
	int64_t until_ms;
	int64_t per_second; /* 0: not limited */
	struct rate_limit pace;
	int64_t refused_ms; /* the last time it said so ... */
	int64_t pause_ms;   /* ... and how long nothing goes then */
	int64_t up_ms;
	int64_t second_ms; /* when the second began in which n_acked were acknowledged ... */
	unsigned n_acked;
	unsigned n_before; /* ... and in the one before */
};

void slow_start_up(struct slow_start *s, int64_t now_ms);
void slow_start_acked(struct slow_start *s, int64_t now_ms);
/* The far side ended the connection.  True: the next ones are slow, and were not so before. */
bool slow_start_ended(struct slow_start *s, bool has_in_flight, int64_t now_ms);
/* Be careful from now on, at no pace: what ended connections was something else. */
void slow_start_begin(struct slow_start *s, int64_t now_ms);
/* It refused a message as too much. */
void slow_start_refused(struct slow_start *s, int64_t now_ms);
/* When the next may go. */
int64_t slow_start_ready_ms(const struct slow_start *s);
/* How many may be in flight, of `most`; ends it if its time is over. */
unsigned slow_start_window(struct slow_start *s, unsigned most, int64_t now_ms);
/* When that grows by itself; INT64_MAX: it does not. */
int64_t slow_start_widens_ms(const struct slow_start *s, int64_t now_ms);

#endif
