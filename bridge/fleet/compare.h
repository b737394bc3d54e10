/* compare.h -- what a device said and what the north has acknowledged of it, key by key: whether a device that is moved
 * can be trusted to say over there what it says here.
 *
 * A message counts when it is settled, so at rest what was read is what was acknowledged and what was dropped, also
 * after a restart; it counts in memory, and the row of a device is written once a minute: a kill loses as much.  Keys
 * are those of plain messages behind `through` and `remap`; a field of a payload that no plain message took has one,
 * too, of KIND_NONE.  At most COMPARE_KEYS_MAX of a device are kept.
 *
 * Of a value at most COMPARE_VALUE_MAX bytes are kept, else its hash.  What the platform has said itself of attributes
 * (compare_answer()) is in memory only.
 *
 * Pure: no clock, no store.  Machine name "compare". */
#ifndef BRIDGE_COMPARE_H
#define BRIDGE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/jtext.h"
#include "message/kind.h"

#define COMPARE_KEYS_MAX  64
#define COMPARE_VALUE_MAX 64
#define COMPARE_WHY_CHARS 24
#define COMPARE_WRITE_MS  60000

struct changes;
struct compares;
struct err;
struct machine;
struct map_pos;

/* `text` is empty, and the hash counts, if it is too long or secret.  has: there is one. */
struct compare_value {
	bool has;
	struct buf text; /* JSON */
	uint64_t hash;
};

/* What the platform answered, when it was asked. */
enum compare_there { COMPARE_NOT_ASKED, COMPARE_SAME, COMPARE_DIFFERS, COMPARE_MISSING };

struct compare_key {
	char *name; /* decoded */
	enum kind kind;
	uint64_t acked, dropped;			   /* together: what was read */
	int64_t acked_ms, dropped_ms, lag_ms, most_lag_ms; /* the last; 0: none was */
	char why[COMPARE_WHY_CHARS];			   /* the last was dropped */
	struct compare_value read, ack;			   /* the last */
	enum compare_there there;
};

/* To be read; changed by the functions below. */
struct compare_device {
	char *name;
	int64_t since_ms, last_ms;   /* when the first and the last message was settled */
	uint64_t messages, left_out; /* and values of keys beyond COMPARE_KEYS_MAX */
	struct compare_key *keys;
	size_t n_keys;
	int64_t asked_ms, answered_ms; /* of the platform; 0: it was not */

	/* compare's own */
	size_t at; /* where the next key is likely to be */
	bool is_due;
	int64_t due_ms;
	TAILQ_ENTRY(compare_device) due;
};

/* A value of a message that is settled; all borrowed. */
struct compare_seen {
	enum kind kind;
	struct jslice name;  /* decoded */
	struct jslice value; /* JSON; text NULL: it is not known */
	bool is_secret;
	int64_t received_ms;
	const char *why; /* dropped, in a word or two; NULL: it was acknowledged */
};

struct compares *compares_new(void);
void compares_free(struct compares *t);

/* A message of this device was settled; its values follow.  Borrowed until the device is forgotten. */
struct compare_device *compares_settle(struct compares *t, const char *device, int64_t now_ms);
void compare_see(struct compare_device *d, const struct compare_seen *s, int64_t now_ms);

/* NULL: nothing was counted.  Borrowed likewise. */
const struct compare_device *compares_find(const struct compares *t, const char *device);
/* The next of them (the first: *pos all 0), in no order that matters; NULL: no more. */
const struct compare_device *compares_next(const struct compares *t, struct map_pos *pos);
/* Of a value that there is: two that are the same have the same. */
uint64_t compare_hash(const struct compare_value *v);

/* Append the names of the attributes that the north has acknowledged as a JSON array; how many they are. */
size_t compare_put_attributes(const struct compare_device *d, struct buf *out);
/* The platform is asked for them. */
void compares_ask(struct compares *t, const char *device, int64_t now_ms);
/* It has answered this object. */
void compares_answer(struct compares *t, const char *device, struct jslice object, int64_t now_ms);

/* A device whose row is to be written now by compares_put_due(); NULL: none. */
const char *compares_next_due(const struct compares *t, int64_t now_ms);
void compares_put_due(struct compares *t, const char *device, struct changes *out);
int64_t compares_next_deadline(const struct compares *t);

void compares_forget(struct compares *t, const char *device, struct changes *out);
bool compares_restore(struct compares *t, const char *key, const char *value, struct err *e);

extern const struct machine compare_machine; /* state/machine.h */

#endif
