/* reported.h -- the attributes that each device last reported, for those who ask the bridge.
 *
 * Kept only where a dialect can ask for them (the caller decides).  Values stay spelled as they came.
 * Machine name "reported".  Pure: no clock, no store. */
#ifndef BRIDGE_REPORTED_H
#define BRIDGE_REPORTED_H

#include <stdbool.h>

#include "base/jtext.h"

struct buf;
struct changes;
struct err;
struct machine;
struct reporteds;

struct reporteds *reporteds_new(void);
void reporteds_free(struct reporteds *t);

/* The device reported these attributes (a JSON object): the new values take the place of the old. */
void reporteds_merge(struct reporteds *t, const char *device, struct jslice attributes,
		     struct changes *out);
/* Append all that is known of the device as a JSON object, "{}" if nothing is. */
void reporteds_put(const struct reporteds *t, const char *device, struct buf *out);
/* The device is gone. */
void reporteds_forget(struct reporteds *t, const char *device, struct changes *out);

/* Append the fields of `object` that the array of strings `names` has, as a JSON object; without
 * names (len 0) all of them. */
void reported_select(struct jslice object, struct jslice names, struct buf *out);

bool reporteds_restore(struct reporteds *t, const char *key, const char *value, struct err *e);

extern const struct machine reported_machine; /* state/machine.h */

#endif
