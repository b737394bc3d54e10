/* offline.h -- a link without sessions: messages in, messages out, time moved by hand.  What
 * `translate` and `test` stand on.  Mappings run in a process of its own, under the limits of the bridge
 * (solo_worker.h). */
#ifndef BRIDGE_OFFLINE_H
#define BRIDGE_OFFLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/jtext.h"
#include "message/kind.h"
#include "message/message.h"
#include "message/outcome.h"
#include "message/side.h"
#include "message/vars.h"

struct buf;
struct build;
struct conf_link;
struct err;
struct offline;
struct report;
struct solo_worker;

struct offline_output {
	enum side side; /* where it goes */
	enum kind kind;
	char *device; /* by its name here; may be NULL */
	bool is_provisioning;
	struct message message;
};

/* What the last step gave. */
struct offline_step {
	struct offline_output *outputs;
	size_t n;
	enum outcome reason; /* of a message: CARRIED if it was carried */
	char *text;	     /* why not, for people; may be NULL */
};

/* A link between two dialects, state in memory only.  `worker` is who runs its mappings, not started yet (borrowed);
 * NULL: one of its own, started.  Credentials are written as ***.  `vars` has
 * SIDES lists.  NULL: mistakes, reported; or no process can be had for the mappings, reported likewise. */
struct offline *offline_new(struct build *b, const char *south, const char *north,
			    const struct vars *vars, struct solo_worker *worker,
			    struct report *report);
/* The same with through files between them. */
struct offline_through {
	const char *name;
	struct vars vars;
};
struct offline *offline_new_through(struct build *b, const char *const names[SIDES],
				    const struct offline_through *through, size_t n_through,
				    const struct vars *vars, struct solo_worker *worker,
				    struct report *report);
/* The same between the sides of a configured link, with all that it says of messages: variables (but for those in
 * `vars`), `remap`, `through`, `mode`, limits. */
struct offline *offline_new_link(struct build *b, const struct conf_link *link,
				 const struct vars *vars, struct solo_worker *worker,
				 struct report *report);
void offline_free(struct offline *o);

/* What comes from now on comes on the session of this device, by its name here; NULL, as at first: on one that brings
 * any device's. */
void offline_set_session(struct offline *o, const char *device);
/* The results are good until the next step. */
const struct offline_step *offline_message(struct offline *o, enum flow flow,
					   const struct message *m);
const struct offline_step *offline_after(struct offline *o, int64_t ms);
/* What the message would meet (trace_message()), appended as lines; nothing happens. */
void offline_trace(const struct offline *o, enum flow flow, const struct message *m,
		   struct buf *out);
/* The same as offline_message(), with what each step makes of it, a JSON object (offline/why.h), appended.  `bare`
 * (may be NULL): the same link without its through files, for what there is before them. */
const struct offline_step *offline_why(struct offline *o, const struct offline *bare,
				       enum flow flow, const struct message *m, struct buf *out);
/* Take back the state of a link, an array of {machine, key, value}: what is known from now on.  False sets *e
 * (ERR_CORRUPT): a row was none; those before it are known. */
bool offline_restore(struct offline *o, struct jslice rows, struct err *e);
/* Would the side where this flow begins read a message on this topic? */
bool offline_reads(const struct offline *o, enum flow flow, const char *topic);
/* What of each kind the other side does not take (lossy_put()), appended; nothing happens. */
void offline_lossy(const struct offline *o, struct buf *out);
/* From now on it is this time (epoch ms).  What the link says because of it is a part of the next step. */
void offline_set_clock(struct offline *o, int64_t now_ms);

#endif
