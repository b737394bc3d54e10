/* twin.h -- device twins: one merged configuration document per device, and what became of each key of it.
 *
 * Diff-style platforms say what changed and what was deleted, document-style platforms say it all;
 * here one becomes the other.  The document is what the platform last said.  Of each key the twin knows
 * whether it was sent, delivered or confirmed, or failed to be, and what the device reported of it since.
 * The version of a twin only grows, across restarts too, and beyond what the device says.  A document's own version
 * (any JSON scalar) is kept beside it and used in the confirmation.  A twin is a row of the machine "twin", and each
 * key of it one of the machine "twin-key", so that a change writes what it changes.  Pure: no clock, no store. */
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

/* For so long after a word of our own, the same that comes back as a push is its echo. */
#define TWIN_ECHO_MS 10000
/* A document has no more keys, and no more bytes (names, and values as text): what would make it larger is
 * refused as a whole, and the document stays as it was. */
#define TWIN_MAX_KEYS  4096
#define TWIN_MAX_BYTES (1 << 20)

/* The first version of a device is 1, or what its sender or the device itself has said. */
struct twins *twins_new(void);
/* From now on it is the time in seconds, if that is more: devices that have a version of a former cloud, or
 * from before the state was lost, take nothing older. */
void twins_start_at_epoch(struct twins *t);
/* The time of day, which configurations and first versions say, less the times that are handed in. */
void twins_set_ahead(struct twins *t, int64_t ahead_ms);
/* So many of those that were used last are kept as trees, all others as texts, which take a twentieth: at first, and
 * from now on. */
#define TWINS_AWAKE 512
void twins_set_awake(struct twins *t, size_t most);
void twins_free(struct twins *t);

/* A configuration that came down. */
struct twin_said {
	/* Of a `config`, with `changed` and `deleted` (either may be missing), or `full`; maybe `version`
	 * and `updated`.  `unread`, an array of names: they are in `full`, too, with values that could not be
	 * read; they are neither changed nor gone. */
	struct jslice body;
	int64_t at_ms; /* when it came */
	bool waits;    /* its sender expects a confirmation */
	bool is_again; /* it was a dead letter, which is tried again */
};

/* What it became. */
enum twin_outcome {
	TWIN_SAME,    /* nothing is to be said to anybody */
	TWIN_CHANGES, /* send the `config` on */
	TWIN_ANSWER, /* nothing is to be sent, and the sender waits for a word: the `config_reply` */
	TWIN_ECHO,   /* our own word, come back */
	TWIN_SUPERSEDED /* it came before, and something else was said since, or it has got there */
};

/* `said` is merged.  Changes are sent on as they were said, also such as seem to change nothing: the
 * device may have changed by itself.  A whole document is compared with what the device has, as far as is
 * known.  TWIN_CHANGES appends to `text` the complete body {changed, deleted, full, version, updated}:
 * version the twin's own integer, greater than all before, updated the sender's or at_ms; the push is then
 * open until confirmed, and takes over the keys of an older open one.  TWIN_ANSWER appends the body of
 * a config_reply.
 * What is said again sends what holds now of its keys: never an older value over a newer.
 * ERR_INVALID: the body has neither changed, deleted nor full, or a wrong type; ERR_LIMIT: it would grow too
 * large; nothing changed. */
bool twins_push(struct twins *t, const char *device, const struct twin_said *said,
		struct changes *out, enum twin_outcome *outcome, struct buf *text, struct err *e);

/* A configuration that was sent on with `version` (0: it is not known with which) was taken by who
 * carries it to the device.  `is_final`: no other confirmation will come, so this is one: if a sender waits, and
 * it was all of his push, that closes, and `reply` gets the body of its config_reply. */
void twins_delivered(struct twins *t, const char *device, int64_t version, bool is_final,
		     int64_t now_ms, struct changes *out, struct buf *reply);
/* It is known not to have got there.  `is_worth_a_try`: it is to be sent again when the device shows up. */
void twins_failed(struct twins *t, const char *device, int64_t version, bool is_worth_a_try,
		  int64_t now_ms, struct changes *out);
/* The device is there: it said something at this time.  What had failed before becomes due, at most once a
 * minute. */
void twins_show_up(struct twins *t, const char *device, int64_t now_ms);
/* When twins_next_due() has one; INT64_MAX: never. */
int64_t twins_next_deadline(const struct twins *t);
/* A device whose failed keys are to be sent now, once; borrowed.  NULL: there is none. */
const char *twins_next_due(struct twins *t, int64_t now_ms);
/* Append the body of a `config` with what has failed, as it holds now, and of which it is not known any
 * more that it has.  False: nothing. */
bool twins_send_failed(struct twins *t, const char *device, int64_t now_ms, struct changes *out,
		       struct buf *config);

/* May attributes of this device say something of its configuration? */
bool twins_watches(const struct twins *t, const char *device);
/* Attributes came up on a row that echoes config: `attributes` is a JSON object.  Keys of it that
 * equal (deeply) a key of the open push confirm that key and are left out of `rest`; the others are
 * appended to `rest` as one JSON object, spelled as they came ("{}" if none are left), and those that
 * are configuration are remembered as what the device has.  When all keys of the push are confirmed, it
 * closes, *confirmed is true and `reply` gets the body of its config_reply. */
void twins_echo(struct twins *t, const char *device, struct jslice attributes, int64_t now_ms,
		struct changes *out, struct buf *rest, bool *confirmed, struct buf *reply);

/* A config_reply {version, updated, values} came up in `body`.  It closes the open push if its
 * version is the push's (numbers compare as numbers, "4" equals 4) or it has none.  Its values are
 * remembered as what the device has.  `reply` gets the body to send on: the version and time under which
 * the sender knows that configuration, where it closed a push of a document with a version of its own;
 * else as it came; missing version, updated and values are filled in from the twin. */
bool twins_confirm(struct twins *t, const char *device, struct jslice body, int64_t now_ms,
		   struct changes *out, struct buf *reply, struct err *e);

/* The far dialect could not say any of what was to be sent on with `version` (0: it is not known with which): the
 * device cannot confirm it either, so it counts as done.  If nothing else of the push is open, that closes, and
 * `reply` gets the body of the config_reply to give to a sender that waits. */
void twins_unsendable(struct twins *t, const char *device, int64_t version, int64_t now_ms,
		      struct changes *out, struct buf *reply);

/* The bridge asks the platform by itself for all that it has to say of `device`: until then what comes may be
 * the answer.  `is_told`: the answer will be known as one; else a first one may be news just as well.
 * Known in memory only, for after a restart it asks again. */
void twins_ask(struct twins *t, const char *device, bool is_told, int64_t now_ms, int64_t until_ms);
bool twins_is_asked(const struct twins *t, const char *device, int64_t now_ms);
/* Has the answer to that not been taken yet? */
bool twins_takes_answer(const struct twins *t, const char *device);
/* Its answer, which is taken once (later ones change nothing): the body of a `config` with `full`.  It is
 * compared with what the platform last said, and `diff` gets the body of a `config` {changed, deleted} with
 * what it said otherwise since, or nothing.  What it said after the question stays.  Of a device of which
 * nothing was learnt before, what is new is learnt and not in `diff`, unless `pushes_first`.
 * ERR_INVALID: as twins_push(). */
bool twins_compare(struct twins *t, const char *device, struct jslice body, bool pushes_first,
		   int64_t now_ms, struct changes *out, struct buf *diff, struct err *e);
/* Does the device have all that the platform said, as far as is known? */
bool twins_is_as_said(const struct twins *t, const char *device);
/* Append the names of what the platform said of `device` and it does not have, as far as is known, as a JSON array;
 * false (and nothing): there are none. */
bool twins_put_differing(const struct twins *t, const char *device, struct buf *names);
/* Nothing is sent to it any more by itself: what has failed waits for twins_take_up(). */
void twins_hold(struct twins *t, const char *device, struct changes *out);
/* What differs (all of it) is to be sent with twins_send_failed().  False: nothing does. */
bool twins_take_up(struct twins *t, const char *device, struct changes *out);
/* Whatever else comes is no answer any more. */
void twins_end_question(struct twins *t, const char *device);
/* A thing beside the configuration came down, called `what` among those of the device.  It is remembered by its
 * hash.  Is it to be sent on?  Not if it may answer the bridge (`is_answer`), and is the same as the last one, or the
 * first one of all (unless `pushes_first`). */
bool twins_take_notice(struct twins *t, const char *device, const char *what, struct jslice body,
		       bool is_answer, bool pushes_first, int64_t now_ms, struct changes *out);

/* Append the merged document of `device`, "{}" if there is none. */
void twins_document(const struct twins *t, const char *device, struct buf *out);

/* Append the body of a `config` that says all that is held of `device`, for one who asks for it:
 * everything changed, nothing deleted.  False: nothing is held; `out` is as before. */
bool twins_current(const struct twins *t, const char *device, struct buf *out);
/* The device is gone. */
void twins_forget(struct twins *t, const char *device, struct changes *out);

/* Is something held of the device that somebody set or changed: a document, a push, failed keys? */
bool twins_holds(const struct twins *t, const char *device);

/* A row of the machine "twin".  One of before there were rows of keys says all; then they are put to `out`. */
bool twins_restore(struct twins *t, const char *key, const char *value, struct changes *out,
		   struct err *e);
/* A row of the machine "twin-key". */
bool twins_restore_key(struct twins *t, const char *key, const char *value, struct err *e);

extern const struct machine twin_machine, twin_key_machine; /* state/machine.h */

#endif
