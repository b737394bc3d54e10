/* pairing.h -- which reply belongs to which request.
 *
 * A request that crosses gets a far id of the type that the far dialect allows, unique per device
 * among all open pairings and, for integers, greater each time, across restarts too.  The pairing
 * keeps the near id (JSON text, in the type it had), the whole request and where the reply goes,
 * until a final reply or the deadline.  What is asked again because its caller's session broke is the same
 * pairing (pairings_repeated()).  Machine name "pairing".  Pure: no clock, no store. */
#ifndef BRIDGE_PAIRING_H
#define BRIDGE_PAIRING_H

#include <stdbool.h>
#include <stdint.h>

#include "dialect/dialect.h"
#include "message/canonical.h"
#include "message/kind.h"
#include "message/side.h"

struct changes;
struct err;
struct machine;
struct pairings;

struct pairing {
	struct canonical request; /* as it was read: near id (NULL: wants no reply), device, body */
	enum side caller;	  /* the side that asked; the reply goes there */
	char *far_id;		  /* JSON text */
	bool is_own;		  /* the bridge asks by itself, and the reply goes nowhere */
	char *reply_topic; /* where the answer goes instead of the usual topic; NULL: the usual */
	int64_t deadline_ms;
	/* What is not kept across restarts: */
	uint64_t login; /* over which it was last asked: pairings_asked(); 0: an earlier run's */
	unsigned n_underway;	  /* what it led to and has not arrived; */
	bool is_delivered;	  /* something has */
	const char *answer, *why; /* for the asker, in place of a time-out: pairings_end() */
};

struct pairings *pairings_new(void);
void pairings_free(struct pairings *t);

/* Open a pairing.  `request` and `reply_topic` (NULL allowed) are copied.  Never fails: two open
 * requests with the same near id are two pairings.  Result borrowed until the next call that changes
 * the table.  Integer far ids start at 1 per device (with ten thousand of these, all
 * others are counted together); a request for a chunk of firmware keeps its
 * own id, and asked again while it is open it is the same pairing. */
const struct pairing *pairings_open(struct pairings *t, const struct canonical *request,
				    enum side caller, enum id_type far_type,
				    const char *reply_topic, int64_t deadline_ms,
				    struct changes *out);

/* The open pairing that `request` repeats: caller, device, near id and body are the same, and it came over another
 * login than the last time, or its broker says that it may have been here (is_dup).  The oldest such; NULL: none, it
 * is another request. */
const struct pairing *pairings_repeated(const struct pairings *t, const struct canonical *request,
					enum side caller, uint64_t login, bool is_dup);
/* It was asked (again) over this login of its caller's session. */
void pairings_asked(struct pairings *t, const struct pairing *p, uint64_t login);
/* The bridge asks the north by itself: a pairing as above, but in memory only, for after a restart it asks
 * again.  What it asked before, of this kind and for this device, is forgotten. */
const struct pairing *pairings_ask(struct pairings *t, const struct canonical *request,
				   enum id_type far_type, int64_t deadline_ms, struct changes *out);

/* The open pairing of `device` whose request is of kind `request_kind`, was asked by `caller` and
 * carries `far_id` (JSON text).  7 and "7" are the same id.  NULL: nobody asked.
 * far_id NULL (the dialect has no ids): the oldest open one of that device and kind. */
const struct pairing *pairings_find(const struct pairings *t, const char *device,
				    enum kind request_kind, enum side caller, const char *far_id);

/* A reply that is not final came: give the next one as long again. */
void pairings_extend(struct pairings *t, const struct pairing *p, int64_t deadline_ms,
		     struct changes *out);
/* Something that it led to is on its way; that has arrived, or was lost. */
void pairings_leaves(struct pairings *t, const struct pairing *p);
void pairings_arrives(struct pairings *t, const struct pairing *p, bool is_delivered);
/* Nothing more will come for it: its deadline is now, and its asker gets `answer` (JSON text) then, or an error,
 * `why`.  Both are borrowed for as long as it lives.  That is not kept: after a crash it is open as before. */
void pairings_end(struct pairings *t, const struct pairing *p, const char *answer, const char *why);
/* The same of all that `caller` asked of this device. */
void pairings_end_of(struct pairings *t, const char *device, enum side caller, const char *why);
/* Close it; `p` is gone afterwards. */
void pairings_close(struct pairings *t, const struct pairing *p, struct changes *out);

/* The device is gone: close what it asked, or was asked, without a word.  Its integer ids start at 1 again. */
void pairings_forget(struct pairings *t, const char *device, struct changes *out);

/* Is a request open that the device has asked, or was asked? */
bool pairings_has_open(const struct pairings *t, const char *device);

/* A pairing whose deadline is at or before now, the earliest first; NULL: none.  Close it to get
 * the next. */
const struct pairing *pairings_expired(const struct pairings *t, int64_t now_ms);
/* The earliest deadline; INT64_MAX if nothing is open. */
int64_t pairings_next_deadline(const struct pairings *t);

/* Take back a row that an earlier run put out.  ERR_CORRUPT: not such a row, nothing changed. */
bool pairings_restore(struct pairings *t, const char *key, const char *value, struct err *e);

extern const struct machine pairing_machine; /* state/machine.h */

#endif
