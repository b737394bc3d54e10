/* linkcheck.h -- mistakes of whole links, found before anything runs: what is refused here would be lost
 * message by message, or never come to rest.
 *
 * plan_new() has checked each side by itself; this looks at what the two sides (and the links of one
 * configuration) do to each other.  Pure. */
#ifndef BRIDGE_LINKCHECK_H
#define BRIDGE_LINKCHECK_H

#include <stddef.h>

#include "base/buf.h"
#include "message/side.h"

struct plan;
struct report;
struct row;
struct topic_template;

/* A link and where its sides are; all borrowed. */
struct linkcheck {
	const struct plan *plan;
	const char *where[SIDES]; /* place of each side in messages: "plant.conf:7: south" */
	size_t broker[SIDES];	  /* a number of our own for each broker */
	bool is_private; /* the south is a view of a broker that one device has for itself */
	const char *username[SIDES],
		*password[SIDES]; /* that the configuration says; NULL: the dialect does */
};

/* Check all links of a configuration, each by itself and then together.
 * Errors: templates that the variables make ambiguous; a topic (or correlation, ...) that needs an {id}
 * which no message gives; ids that cannot be converted; messages that would come back to where they
 * were read (loops.h).
 * Warnings: rows that can never be read; rows that the variables put on one topic; ids that may not
 * convert; a south whose devices would hear themselves; two links that read the same topics of one device in
 * the south, or have the same login in the north. */
void linkcheck_all(const struct linkcheck *links, size_t n, struct report *report);

/* Texts for messages: one that was given lasts until four more are.  Zeroed at first; caller ends it with
 * names_fini(). */
struct names {
	struct buf ring[4];
	size_t turn;
};
/* thingsboard.jq: messages[3] */
const char *names_row(struct names *names, const struct plan *p, enum side side,
		      const struct row *row);
/* a/{b}/c */
const char *names_topic(struct names *names, const struct topic_template *t);
void names_fini(struct names *names);

#endif
