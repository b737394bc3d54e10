/* retained.h -- topics on which a retained message came, and on whose session, as many as a link cares to remember.
 *
 * An empty message on one of them clears it there; who had subscribed before is told so without the flag.
 * By hash: two topics may be taken for one, which at worst filters an empty message that no row can read. */
#ifndef BRIDGE_RETAINED_H
#define BRIDGE_RETAINED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETAINED_MAX 1024

struct retained {
	uint64_t hashes[RETAINED_MAX]; /* a ring: the oldest goes first */
	size_t n, next;
};

/* `session`: the device whose it is; NULL: it brings any device's. */
void retained_note(struct retained *r, const char *session, const char *topic);
bool retained_has(const struct retained *r, const char *session, const char *topic);

#endif
