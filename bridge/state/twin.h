/* twin.h -- device twins: one merged configuration document per device, and the pushes of it that
 * no device has confirmed yet.
 *
 * Diff-style platforms say what changed and what was deleted, document-style platforms say it all;
 * here one becomes the other.  The version of a twin only grows, across restarts too.  A document's
 * own version (any JSON scalar) is kept beside it and used in the confirmation.  Machine name
 * "twin".  Pure: no clock, no store. */
#ifndef BRIDGE_TWIN_H
#define BRIDGE_TWIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/jtext.h"

struct buf;
struct changes;
struct err;
struct machine;
struct twins;

struct twins *twins_new(void);
void twins_free(struct twins *t);

/* What a push became.  The texts are appended to buffers of the caller. */
struct twin_push {
	bool is_change;	   /* something differs from what is held: send `config` on */
	bool is_confirmed; /* nothing differs, and the sender waits for a word: send `reply` back */
};

/* A configuration came down for `device`: `body` is the body of a `config` message with `changed`
 * and `deleted` (either may be missing), or `full`; maybe `version` and `updated`.  It is merged (or
 * compared) and, where something differs, `config` gets the complete body {changed, deleted, full,
 * version, updated}: version the twin's own integer, grown by one; updated the sender's or now_ms.
 * The push is then open until confirmed; a newer push takes over the keys of an older open one.
 * `waits`: the sender expects a confirmation (its dialect reads config_reply the other way): then,
 * where nothing differs and no push is open for it, `reply` gets the body of a config_reply.
 * ERR_INVALID: the body has neither changed, deleted nor full, or a wrong type; nothing changed. */
bool twins_push(struct twins *t, const char *device, struct jslice body, bool waits, int64_t now_ms,
		struct changes *out, struct twin_push *result, struct buf *config,
		struct buf *reply, struct err *e);

/* Is a push open for this device, so that an echo may confirm it? */
bool twins_has_push(const struct twins *t, const char *device);
/* Attributes came up on a row that echoes config: `attributes` is a JSON object.  Keys of it that
 * equal (deeply) a key of the open push confirm that key and are left out of `rest`; the others are
 * appended to `rest` as one JSON object, spelled as they came ("{}" if none are left).  When all
 * keys of the push are confirmed, it closes, *confirmed is true and `reply` gets the body of its
 * config_reply. */
void twins_echo(struct twins *t, const char *device, struct jslice attributes, struct changes *out,
		struct buf *rest, bool *confirmed, struct buf *reply);

/* A config_reply {version, updated, values} came up in `body`.  It closes the open push if its
 * version is the push's (numbers compare as numbers, "4" equals 4) or it has none.  `reply` gets the
 * body to send on: the version and time under which the sender knows that configuration, where it
 * closed a push of a document with a version of its own; else as it came; missing version, updated
 * and values are filled in from the twin. */
bool twins_confirm(struct twins *t, const char *device, struct jslice body, struct changes *out,
		   struct buf *reply, struct err *e);

/* The far dialect could not say any of this push (no output): it cannot be confirmed by the device
 * either.  Closes it; `reply` gets the body of the config_reply to give to a sender that waits. */
void twins_unsendable(struct twins *t, const char *device, struct changes *out, struct buf *reply);

/* Append the merged document of `device`, "{}" if there is none. */
void twins_document(const struct twins *t, const char *device, struct buf *out);

/* Append the body of a `config` that says all that is held of `device`, for one who asks for it:
 * everything changed, nothing deleted.  False: nothing is held; `out` is as before. */
bool twins_current(const struct twins *t, const char *device, struct buf *out);
/* The device is gone. */
void twins_forget(struct twins *t, const char *device, struct changes *out);

bool twins_restore(struct twins *t, const char *key, const char *value, struct err *e);

extern const struct machine twin_machine; /* state/machine.h */

#endif
