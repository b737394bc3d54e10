/* offline.h -- a link without sessions: messages in, messages out, time moved by hand.  What
 * `translate` and `test` stand on.  Mappings run in a process of its own, under the limits of the bridge
 * (solo_worker.h). */
#ifndef BRIDGE_OFFLINE_H
#define BRIDGE_OFFLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "message/message.h"
#include "message/outcome.h"
#include "message/side.h"
#include "message/vars.h"

struct buf;
struct build;
struct conf_link;
struct offline;
struct report;
struct solo_worker;

struct offline_output {
	enum side side; /* where it goes */
	struct message message;
};

/* What the last step gave. */
struct offline_step {
	struct offline_output *outputs;
	size_t n;
	enum outcome reason; /* of a message: CARRIED if it was carried */
	char *text;	     /* why not, for people; may be NULL */
};

/* A link between two dialects, state in memory only.  `worker` is who runs its mappings, not started yet (borrowed); NULL:
 * one of its own, started.  Credentials are written as ***.  `vars` has
 * SIDES lists.  NULL: mistakes, reported; or no process can be had for the mappings, reported likewise. */
struct offline *offline_new(struct build *b, const char *south, const char *north,
			    const struct vars *vars, struct solo_worker *worker,
			    struct report *report);
/* The same between the sides of a configured link, with all that it says of messages: variables (but for those in
 * `vars`), `remap`, `through`, `mode`, limits. */
struct offline *offline_new_link(struct build *b, const struct conf_link *link,
				 const struct vars *vars, struct solo_worker *worker,
				 struct report *report);
void offline_free(struct offline *o);

/* The results are good until the next step. */
const struct offline_step *offline_message(struct offline *o, enum flow flow,
					   const struct message *m);
const struct offline_step *offline_after(struct offline *o, int64_t ms);
/* What the message would meet (trace_message()), appended as lines; nothing happens. */
void offline_trace(const struct offline *o, enum flow flow, const struct message *m,
		   struct buf *out);
/* From now on it is this time (epoch ms).  What the link says because of it is a part of the next step. */
void offline_set_clock(struct offline *o, int64_t now_ms);

#endif
