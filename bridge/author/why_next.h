/* why_next.h -- for `why`: the next message that arrives at a link of a running bridge, and what the bridge made of
 * it. */
#ifndef BRIDGE_WHY_NEXT_H
#define BRIDGE_WHY_NEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "message/message.h"
#include "message/side.h"

struct cli;

/* Zero it; why_next_fini() ends it. */
struct why_next {
	char *link;
	struct message message; /* without secrets */
	enum flow flow;
	struct buf
		state; /* an array of {machine, key, value} as it was when the message came; empty: nothing */
	struct buf steps; /* what was told of it (live/live_link_follow.c), by commas */
	int status;	  /* what it ended with, as an exit status */
	/* Inside: */
	const char *device; /* whose it is to be; NULL: anybody's */
	struct map
		arrivals; /* by id: their texts, of those of which it is not known yet whose they are */
	uint64_t id;	  /* the one; 0: none yet */
	bool is_over, is_timed_out;
};

/* Wait for the next message of --link, --topic and --device, as long as --timeout says, until it is settled or that is
 * over.  Returns the exit status; unless it is EXIT_DONE, why there is none was told on stderr. */
int why_next_ask(struct why_next *w, const struct cli *cli);
/* Put its steps before what the mappings make of it: as the first member of the object `why`, or (if not as JSON) into
 * `text` as lines. */
void why_next_put(const struct why_next *w, bool as_json, struct buf *why, struct buf *text);
void why_next_fini(struct why_next *w);

#endif
