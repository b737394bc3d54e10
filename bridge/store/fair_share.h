/* fair_share.h -- which dead letters go when there are too many: of the link that has most of them, of its reason
 * that has most, of the device that has most there, the oldest.  So a flood pushes out what is of its own kind, and one
 * device's flood its own letters.
 *
 * How much a letter is: its bytes, and as much again for its number as the bounds give each on the average.  Devices
 * that have little each are alike, or the one with the longest payloads would go first: of these, the oldest letter
 * goes.
 *
 * A plain value machine: no database, no clock. */
#ifndef BRIDGE_FAIR_SHARE_H
#define BRIDGE_FAIR_SHARE_H

#include <stdbool.h>
#include <stdint.h>

struct fair_share;

struct fair_share_letter {
	uint64_t id; /* grows with the time */
	int64_t bytes;
};

/* `each_bytes`: what the bounds give a letter on the average, more than 0. */
struct fair_share *fair_share_new(int64_t each_bytes);
void fair_share_free(struct fair_share *f); /* NULL is allowed */
/* They come by link, by reason, by device (copied; "" if that is not known), by number. */
void fair_share_add(struct fair_share *f, const char *link, const char *reason, const char *device,
		    const struct fair_share_letter *letter);
/* The next that goes.  False: none is left. */
bool fair_share_take(struct fair_share *f, struct fair_share_letter *out);

#endif
