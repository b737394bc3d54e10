/* conf_skeleton.h -- what `calque init` writes: a configuration of one link, with words about what else could be in
 * it. */
#ifndef BRIDGE_CONF_SKELETON_H
#define BRIDGE_CONF_SKELETON_H

#include "message/side.h"
#include "message/vars.h"

struct buf;
struct conf;
struct dialect;
struct report;

/* All borrowed.  The values of variables that its dialect logs in with and that are not in `vars` are made up: the
 * device is the link's name, others are CONF_SKELETON_CHANGE. */
struct conf_skeleton {
	const char *file; /* where it will be */
	const char *name;
	const char *mappings; /* a directory with more of them; NULL: none */
	struct {
		const struct dialect *dialect;
		const char *url;
		const struct vars *vars;
	} side[SIDES];
};

#define CONF_SKELETON_CHANGE "CHANGE-ME"

void conf_skeleton_put(const struct conf_skeleton *s, struct buf *out);

/* Warn of what nobody has changed yet. */
void conf_skeleton_check(const struct conf *conf, struct report *report);

#endif
