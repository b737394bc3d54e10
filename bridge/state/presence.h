/* presence.h -- what is known of each device: is it online, is an alarm active.
 *
 * Machine name "presence".  Pure: no clock, no store. */
#ifndef BRIDGE_PRESENCE_H
#define BRIDGE_PRESENCE_H

#include <stdbool.h>

struct buf;
struct changes;
struct err;
struct machine;
struct map_pos;
struct presences;

enum known { KNOWN_NOT, KNOWN_FALSE, KNOWN_TRUE };

struct presences *presences_new(void);
void presences_free(struct presences *t);

/* The device was said to be online or offline.  True if that is news (the first word is). */
bool presences_set_online(struct presences *t, const char *device, bool online,
			  struct changes *out);
/* An alarm was said to be active or cleared.  True if that is a change; for the first word: if it
 * is active. */
bool presences_set_alarm(struct presences *t, const char *device, bool active, struct changes *out);

/* Append {"online":…,"alarm":…} as mappings see it: online null while unknown, alarm false; nothing if
 * nothing is known of the device. */
void presences_put_state(const struct presences *t, const char *device, struct buf *out);

bool presences_is_online(const struct presences *t, const char *device);
/* The next device that is online, from *pos on (first: zeroed), in no order; NULL: no more.  Borrowed until
 * the table changes. */
const char *presences_next_online(const struct presences *t, struct map_pos *pos);

/* The device is gone. */
void presences_forget(struct presences *t, const char *device, struct changes *out);

bool presences_restore(struct presences *t, const char *key, const char *value, struct err *e);

extern const struct machine presence_machine; /* state/machine.h */

#endif
