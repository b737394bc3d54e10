/* reload.h -- another configuration takes over in a running bridge: what that changes, and doing it.
 *
 * It happens between two turns of the loop, and blocks it meanwhile.  A link of which nothing has changed goes on as it
 * is, with its sessions and all that is on its way.  One that has is ended as at a stop of the bridge, and begins anew
 * with its state and with what the journal has of it, as after a start: what was decided goes as it was decided, what
 * was not is translated by the new mappings, and all in the order in which it came.  What waits for a link that there
 * is no more stays in the journal, unless it is to be dropped. */
#ifndef BRIDGE_RELOAD_H
#define BRIDGE_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct db;
struct err;
struct generation;
struct live_link;
struct live_link_parts;
struct storage;

enum reload_change { RELOAD_SAME, RELOAD_CHANGED, RELOAD_ADDED, RELOAD_REMOVED };

/* What becomes of one link. */
struct reload_step {
	enum reload_change change;
	const char *link; /* borrowed from one of the generations */
	char *what;	  /* CHANGED: the keys, a comma between each two ... */
	char *filters;	  /* ... and "+FILTER -FILTER", a side before each; "": they are the same */
	size_t from, to;  /* its numbers there and here, if it has them */
	uint64_t waiting; /* REMOVED: so many messages of it are not settled */
};
struct reload_plan {
	struct reload_step *
		items; /* in the order of the new configuration, those that are removed at the end */
	size_t n;
	char *bridge; /* keys that concern no single link, which have changed, too */
	size_t count[RELOAD_REMOVED + 1];
};

/* The bridge, as far as it changes. */
struct reload_bridge {
	const struct live_link_parts *parts;
	struct storage *storage;
	struct live_link **links; /* an array of the heap, replaced by another one */
	size_t n_links;
	int64_t ahead_ms;
};

const char *reload_change_name(enum reload_change change);

/* What would change; `links` are those of `from`.  Caller ends it with reload_plan_fini().  False sets *e
 * (ERR_BUSY): a key that takes a restart has changed. */
bool reload_plan_make(struct reload_plan *plan, struct live_link *const *links,
		      const struct generation *from, const struct generation *to, struct err *e);
void reload_plan_fini(struct reload_plan *plan);

/* What the state has of links by the names that they had before (`rename`) is theirs from now on, in the open
 * transaction; what cannot be, as there are rows of both, is told.  False sets *e: the state cannot be written. */
bool reload_take_names(struct db *db, const struct conf *c, struct err *e);

/* Do it: `to`, whose workers are started, takes over and `from` is freed.  All must be durable, and nothing in flight
 * of a commit.  Links that are new or have changed are made, and neither open nor started: that, and
 * what the journal has of them, is what comes next.  `drops`: so are messages of removed links, from the journal.
 * False sets *e (ERR_IO, ERR_CORRUPT): the state cannot be read, and the bridge has to end; `b` has the links that
 * there are. */
bool reload_apply(struct reload_bridge *b, const struct reload_plan *plan, struct generation *from,
		  struct generation *to, bool drops, struct err *e);

#endif
