/* choice.h -- which devices of a table are meant: those that a list names, those that filters leave, or both. */
#ifndef BRIDGE_CHOICE_H
#define BRIDGE_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/jtext.h"
#include "fleet/fleet.h"

struct buf;
struct changes;

/* A line of a list. */
struct choice_name {
	char *link; /* NULL: of any */
	char *name;
	bool is_known; /* choice_take() found it */
};

/* Owned texts, of which NULL lets any device pass.  Ended with choice_fini(). */
struct choice {
	char *pattern, *state, *mode, *reason, *group;
	char *percent; /* of all, as a number from 0 to 100 */
	bool is_orphan, is_all;
	bool has_list; /* nobody but those of ... */
	struct choice_name *list;
	size_t n;
};

/* Read the fields "name" (a pattern), "state", "mode", "reason", "group", "percent", "orphan", "all" and "list" (of
 * names, or objects {"link", "name"}) of an object; *c is overwritten.  False: one of them is of another type. */
bool choice_get(struct choice *c, struct jslice from);
/* Append them as choice_get() reads them, each with a comma before it. */
void choice_put(const struct choice *c, struct buf *out);
void choice_add(struct choice *c, const char *link, const char *name); /* to the list; copied */
void choice_fini(struct choice *c);
/* Does it say anything at all? */
bool choice_is_made(const struct choice *c);
/* The names of the devices of this link that are meant, in the order of the list, else sorted; caller frees each and
 * the array.  `out`: fleet_is_among(). */
char **choice_take(const struct choice *c, struct fleet *t, const char *link,
		   enum fleet_mode link_mode, size_t *n, struct changes *out);

#endif
