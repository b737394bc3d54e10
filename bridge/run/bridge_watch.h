/* bridge_watch.h -- the files that the configuration at work was read from, looked at by a thread of the pool, and a
 * reload asked for once one has changed and is left alone.
 *
 * A file is known as it was right before it was read, whatever came of that: so none that changes meanwhile is
 * missed, and one that was refused is read again only when it changes once more. */
#ifndef BRIDGE_BRIDGE_WATCH_H
#define BRIDGE_BRIDGE_WATCH_H

#include "net/loop.h"

struct bridge;
struct bridge_look;
struct file_watch;
struct generation;

/* Embedded in the bridge; zero it. */
struct bridge_watch {
	struct file_watch *files; /* NULL: nobody wants to know */
	struct bridge_look *look; /* under way; NULL: none is */
	struct loop_timer timer;
};

/* These are its files from now on, if its configuration wants them watched; those that were watched before are known as
 * they were.  The first look is later. */
void bridge_watch_generation(struct bridge *b, const struct generation *g);
/* All that is watched will be read now. */
void bridge_watch_note(struct bridge *b);
/* Before the loop ends. */
void bridge_watch_end(struct bridge *b);

#endif
