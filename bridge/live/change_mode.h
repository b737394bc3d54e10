/* change_mode.h -- the mode of a device is changed: may it be, and what goes with it.  The one way of all who do so, on
 * a bridge that runs or on none; what passes no more is seen to when the changes are taken
 * (live_link_fleet_changed()). */
#ifndef BRIDGE_CHANGE_MODE_H
#define BRIDGE_CHANGE_MODE_H

#include <stdbool.h>

#include "base/buf.h"
#include "fleet/fleet.h"

struct changes;
struct live_link;

/* Of whom: borrowed. */
struct mode_table {
	struct live_link *live; /* NULL: no bridge runs, and nobody knows who is ready */
	struct fleet *fleet;
	enum fleet_mode link_mode; /* DEFAULT: not known */
};

struct mode_wish {
	enum fleet_mode to;
	bool provisions; /* who lacks credentials is registered; else it is left alone */
	bool pushes;	 /* who becomes live is sent what the north said and it does not have */
	bool is_dry;	 /* nothing is changed */
};

/* To be ended with mode_change_fini(). */
struct mode_change {
	char *left; /* why it is left as it is; NULL: it is not */
	bool parks; /* it is not ready yet: what is for it waits */
	struct buf
		differs; /* what the north said and it does not have, a JSON array; empty: nothing */
	bool is_pushed;	 /* that is sent */
};

/* Do it, or find out why not; a device that has a row. */
void mode_change(const struct mode_table *t, const char *device, const struct mode_wish *wish,
		 struct mode_change *end, struct changes *out);
void mode_change_fini(struct mode_change *end);
/* Why no device of this name may have this mode, whoever wants it: a file fixes another.  NULL: it may.  Caller
 * frees. */
char *mode_fixed(const struct fleet_device *d, enum fleet_mode to);

#endif
