/* bridge.h -- the running bridge: links, their sessions and the state, on one loop.
 *
 * The only module that knows the whole way of a message.  Once per turn of the loop, in this order:
 * translate what came in, commit what was accepted with the changes of state, then let acknowledgements
 * and messages out.  If that commit fails, nothing is acknowledged and bridge_run() ends.  What is not settled at
 * the end, however it comes, stays in the journal for the next start. */
#ifndef BRIDGE_BRIDGE_H
#define BRIDGE_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge;
struct buf;
struct control_request_parts;
struct err;
struct generation;
struct mapping_path;
struct loop;

/* Another way to ask, beside the control socket, and called in each turn where that is (net/control_server.h). */
struct bridge_door {
	/* `parts` are borrowed, and what is in them may change between turns.  NULL: there is none, or *e is set. */
	void *(*open)(struct loop *loop, const struct control_request_parts *parts, struct err *e);
	void (*step)(void *door);
	void (*hold)(void *door, uint64_t commit);
	void (*revoke)(void *door, uint64_t durable, const char *line, size_t n);
	void (*break_off)(void *door, const char *line, size_t n);
	void (*flush)(void *door, uint64_t durable);
	void (*close)(void *door);
};

/* Open the state and set up the links of a generation, which is taken, also on failure, and `door` (borrowed).
 * `mappings` (borrowed, while it lives) come first when it is read again.  Nothing is sent yet.  Links that cannot be
 * opened (live_link_open()) are tried again each minute.  NULL sets *e: the state cannot be opened (see db_open()),
 * the workers cannot be had, no link can be opened (ERR_INVALID), the door cannot. */
struct bridge *bridge_new(struct generation *g, const struct mapping_path *mappings,
			  const struct bridge_door *door, struct err *e);
enum bridge_end {
	BRIDGE_DONE,
	BRIDGE_STATE_FAILED,   /* it can no longer be written */
	BRIDGE_WITHOUT_WORKERS /* the last has ended, and there is nothing to fork another one from */
};
/* Connect and carry messages until SIGTERM or SIGINT, or what ends it before. */
enum bridge_end bridge_run(struct bridge *b);
void bridge_free(struct bridge *b);

#endif
