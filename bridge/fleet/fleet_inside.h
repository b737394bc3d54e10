/* fleet_inside.h -- what the files of the table share. */
#ifndef BRIDGE_FLEET_INSIDE_H
#define BRIDGE_FLEET_INSIDE_H

#include "base/crypto.h"
#include "base/map.h"
#include "fleet/fleet.h"

#define FLEET_SEEN_MACHINE "fleet-seen"
#define FLEET_SALT_MACHINE "fleet-salt"

TAILQ_HEAD(fleet_due, fleet_device);
TAILQ_HEAD(fleet_draining, fleet_device);

struct fleet {
	struct map by_name; /* -> struct fleet_device, which it owns */
	struct fleet_due due;
	struct fleet_draining draining; /* that end first are first */
	const char *who;
	int64_t now_ms;
	char salt[CRYPTO_TOKEN_CHARS + 1]; /* "": none yet */
	enum fleet_mode link_mode;
	size_t n_mirror; /* rows of this mode */
};

/* It has this mode from now on. */
static inline void fleet_put_mode(struct fleet *t, struct fleet_device *d, enum fleet_mode mode)
{
	t->n_mirror -= d->mode == FLEET_MIRROR;
	t->n_mirror += mode == FLEET_MIRROR;
	d->mode = mode;
}

/* The row of a device, made if there is none. */
struct fleet_device *fleet_row(struct fleet *t, const char *device);
/* vars_fini() for what may hold secrets. */
void fleet_wipe_vars(struct vars *v);

void fleet_put_row(struct fleet_device *d, struct changes *out);
void fleet_put_seen(struct fleet_device *d, struct changes *out);

#endif
