/* devices.h -- the device table of a link: who is who.
 *
 * A device has one name here and may have another on each side; what is not in the table has the same
 * name everywhere.  Machine name "device".  Pure: no clock, no store. */
#ifndef BRIDGE_DEVICES_H
#define BRIDGE_DEVICES_H

#include <stdbool.h>

#include "message/side.h"

struct changes;
struct devices;
struct err;
struct machine;

struct devices *devices_new(void);
void devices_free(struct devices *t);

/* The name here of what a side calls `native`; NULL: the table does not say.  Borrowed until the
 * table changes. */
const char *devices_here(const struct devices *t, enum side side, const char *native);
/* What a side calls the device named `name` here; NULL: the table does not say.  Borrowed likewise. */
const char *devices_there(const struct devices *t, enum side side, const char *name);

/* A side now calls `native` what is `name` here.  If that was another device's name there, that one
 * has its own name again. */
void devices_set(struct devices *t, enum side side, const char *name, const char *native,
		 struct changes *out);
/* The device is gone. */
void devices_forget(struct devices *t, const char *name, struct changes *out);

/* The whole table, as rows. */
void devices_put_rows(const struct devices *t, struct changes *out);
bool devices_restore(struct devices *t, const char *key, const char *value, struct err *e);

extern const struct machine devices_machine; /* state/machine.h */

#endif
