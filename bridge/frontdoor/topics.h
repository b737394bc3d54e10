/* topics.h -- how a device's topics stand on the bridge's side of the broker.
 *
 * What a device publishes as T arrives at bridges as $frontdoor/up/DEVICE/T; what a bridge publishes as
 * $frontdoor/down/DEVICE/T, the device gets as T, byte for byte.  So a topic is split behind the device only: T may
 * begin with a slash.  Topics that begin with $ match no device's # or +.  Pure. */
#ifndef BRIDGE_TOPICS_H
#define BRIDGE_TOPICS_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

#define DOOR_UP	   "$frontdoor/up/"
#define DOOR_DOWN  "$frontdoor/down/"
#define DOOR_STATE "$frontdoor/state/"
#define DOOR_TABLE "$frontdoor/table/"
/* What was handed over goes on under this topic, which bridges subscribe to and nobody may read: then its sender
 * hears of success, and nobody gets it twice.  The other is subscribed by nobody: "no matching subscribers". */
#define DOOR_TAKEN  "$"
#define DOOR_NOBODY "$0"
#define DOOR_MAX_TOPIC                                                                             \
	1024 /* of a device; with a longer one the prefix could make more of it than MQTT takes */
#define DOOR_MAX_NAME 256

/* A device's name that can stand as a level: no / + # or control character, UTF-8, neither empty nor too long, and
 * no @ in front, which marks those that have no name yet. */
bool topics_name_is_valid(const char *name);

/* PREFIX DEVICE / TOPIC, in place of what is in `out`. */
void topics_join(struct buf *out, const char *prefix, const char *device, const char *topic);
/* The reverse.  False: `topic` does not begin so, or has no device.  The device goes to `device`; *rest is borrowed
 * from `topic`, NULL: nothing follows. */
bool topics_split(const char *topic, const char *prefix, struct buf *device, const char **rest);

/* Does the filter match the topic (MQTT 4.7)? */
bool topics_match(const char *filter, const char *topic);
/* Is the filter, or what a shared subscription ($share/GROUP/FILTER) has in it, one of the front door's own? */
bool topics_is_ours(const char *filter);

#endif
