/* presence.h -- what is known of each device: is it online, is an alarm active, and on which day it was last
 * heard of.
 *
 * Who is said to be offline is so after a delay only (presences_leave()), as it may be back at once; and who says
 * nothing for long enough has gone without a word (presences_hear()).  Both count only while the devices are heard
 * (presences_listen()): that the bridge has lost them says nothing of them.
 *
 * Machine name "presence".  Pure: no clock, no store. */
#ifndef BRIDGE_PRESENCE_H
#define BRIDGE_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct changes;
struct err;
struct machine;
struct map_pos;
struct presences;

/* A device that never says whether it is online is there for so long after it was last heard of: one that
 * reports once a day, or not at weekends, is to be reached, and one that is gone not for ever. */
#define PRESENCE_SEEN_MS (7 * INT64_C(86400000))

enum known { KNOWN_NOT, KNOWN_FALSE, KNOWN_TRUE };

struct presences *presences_new(void);
void presences_free(struct presences *t);

/* Silence for so long is a goodbye (0: it is none), and who said one is believed after so long.  To be told first. */
void presences_set_delays(struct presences *t, int64_t silence_ms, int64_t delay_ms);
/* Are devices heard from now on?  (So it is at first, from time 0.) */
void presences_listen(struct presences *t, bool is_heard, int64_t now_ms);

/* The device is online or offline, from now on.  True if that is news (the first word is). */
bool presences_set_online(struct presences *t, const char *device, bool online,
			  struct changes *out);
/* It was said to be offline.  True: it is not yet, but leaves, and presences_next_gone() will have it, unless it is set
 * online before.  False: nothing is put off (it was not online, or there is no delay). */
bool presences_leave(struct presences *t, const char *device, int64_t now_ms, struct changes *out);
/* The device said something, whatever.  Where silence is a goodbye, one that is not known to be here is: see
 * presences_next_back().  (Not so one that has said goodbye itself: it may have been on its way.) */
void presences_hear(struct presences *t, const char *device, int64_t at_ms);
/* A device that is to be set online, or is gone (presences_set_gone()), now; borrowed.  NULL: none. */
const char *presences_next_back(const struct presences *t);
const char *presences_next_gone(const struct presences *t, int64_t now_ms);
/* The one of presences_next_gone() is offline. */
void presences_set_gone(struct presences *t, const char *device, struct changes *out);
/* Was it said to be offline, or has been silent for too long, and nothing else since?  (Not while it leaves.) */
bool presences_is_away(const struct presences *t, const char *device);

/* An alarm was said to be active or cleared.  True if that is a change; for the first word: if it
 * is active. */
bool presences_set_alarm(struct presences *t, const char *device, bool active, struct changes *out);

/* Append {"online":…,"alarm":…} as mappings see it: online null while unknown, alarm false; nothing if
 * nothing is known of the device. */
void presences_put_state(const struct presences *t, const char *device, struct buf *out);

/* The device said something, at this time.  It is noted by the day, to keep rows from being written for each
 * message: what is new is handed out by presences_next_seen(). */
void presences_see(struct presences *t, const char *device, int64_t at_ms);
/* A device of which that is to be written; borrowed.  NULL: none. */
const char *presences_next_seen(const struct presences *t);
/* Put out its row. */
void presences_put_seen(struct presences *t, const char *device, struct changes *out);
/* Has anything ever been heard of the device?  (If it is told to presences_see(), or what else there is.) */
bool presences_is_known(const struct presences *t, const char *device);

/* Is the device there: said to be online, or never said to be or not to be, and heard of lately? */
bool presences_is_there(const struct presences *t, const char *device, int64_t now_ms);
/* The next device that is, from *pos on (first: zeroed), in no order; NULL: no more.  Borrowed until
 * the table changes. */
const char *presences_next_there(const struct presences *t, struct map_pos *pos, int64_t now_ms);

/* The device is gone. */
void presences_forget(struct presences *t, const char *device, struct changes *out);

bool presences_restore(struct presences *t, const char *key, const char *value, struct err *e);

extern const struct machine presence_machine; /* state/machine.h */

#endif
