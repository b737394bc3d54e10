/* sessions.h -- who is connected, by the broker's pointer, by client id and by device.
 *
 * Only live sessions are here: from their login until they are disconnected or another one takes their client id.
 * Pointers of the broker are keys and are never looked into; one that comes again is another client's.
 * The broker's thread only. */
#ifndef BRIDGE_SESSIONS_H
#define BRIDGE_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "frontdoor/bucket.h"
#include "frontdoor/table.h"

enum who {
	WHO_DEVICE,
	WHO_PROVISIONER, /* has no credential yet, and is called @NUMBER */
	WHO_BRIDGE,
	WHO_OTHER /* left to the broker's own files */
};

struct noted_filter {
	struct noted_filter *next;
	uint8_t qos;
	char filter[];
};

struct door_session {
	const void *client;
	enum who who;
	char *id;		   /* at the broker, as it is now */
	char *name;		   /* of the device or the provisioner; NULL: it is neither */
	struct door_session *next; /* of the same name */

	/* Of a device: the row that let it in. */
	char *owner;
	uint8_t mac[TABLE_MAC_BYTES];
	struct noted_filter *filters; /* that it has subscribed, first one first */
	struct bucket bucket;

	/* Of a provisioner. */
	char *address;
	int64_t end_ms;

	/* Of a bridge: the names that it is still to be told (door_presence.c). */
	struct buf list;
	size_t listed; /* bytes of it */
	bool is_listing;
};

struct sessions {
	struct map by_client, by_id, by_name;
	size_t n[WHO_OTHER + 1];
};

/* A session of `client`, whose earlier one, if there is one, is over. `name` may be NULL.  Copied.
 * (The one that has this id is not touched: sessions_with_id().) */
struct door_session *sessions_add(struct sessions *s, const void *client, enum who who,
				  const char *id, const char *name);
struct door_session *sessions_of(const struct sessions *s, const void *client); /* NULL: none */
struct door_session *sessions_with_id(const struct sessions *s, const char *id);
/* The first of those of this device; then ->next. */
struct door_session *sessions_named(const struct sessions *s, const char *name);
void sessions_remove(struct sessions *s, struct door_session *one);
void sessions_fini(struct sessions *s);

void session_note_filter(struct door_session *s, const char *filter, int qos);
void session_forget_filter(struct door_session *s, const char *filter);
/* QoS of the first of its filters that matches; 1: none does. */
int session_qos(const struct door_session *s, const char *topic);

#endif
