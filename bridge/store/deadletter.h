/* deadletter.h -- the messages that were accepted and could not be carried, each with its reason.
 *
 * A row per letter, numbered in the order of death.  The message is sealed (AES-256-GCM, bound to link
 * and number): payloads may hold credentials.  Topic and text are not: they are what the log tells of
 * a letter, and whoever adds one takes known credentials out of them.
 *
 * Bounded in number, bytes and age: what is too old goes, and of too many those of who has most (fair_share.h), many
 * at a time; they are counted.  How much there is is kept in memory, and counted anew after a roll-back.
 *
 * Rows are written into the open transaction of the database; durable is what db_commit() has returned
 * true for.  After a false, the transaction is rolled back and the next commit is false. */
#ifndef BRIDGE_DEADLETTER_H
#define BRIDGE_DEADLETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/message.h"
#include "message/side.h"

struct db;
struct deadletters;
struct err;

/* Enough to see what goes wrong with a mapping and to carry a night's messages after it was mended;
 * little beside the journal (1 GiB); and long enough for somebody to come back from a holiday. */
#define DEADLETTER_MAX_COUNT  10000
#define DEADLETTER_MAX_BYTES  (64LL << 20)
#define DEADLETTER_MAX_AGE_MS (30LL * 86400 * 1000)
/* Of a larger message only the letter is kept, lest a few drive out all others. */
#define DEADLETTER_MAX_MESSAGE (8u << 20)

struct deadletter {
	uint64_t id; /* never given twice */
	char *link;
	enum side from;
	char *kind;   /* of the row that read it: "telemetry"; "none" */
	char *reason; /* "mapping-error" */
	char *text;   /* for people; may be empty */
	char *topic;
	char *device;  /* whose, as its topic calls it; NULL: not known.  It is not read back */
	char *session; /* of which device it came on, by its name here; NULL: of any */
	int64_t received_ms, died_ms;
	size_t bytes;	  /* of the message as it is stored; 0: it is not kept */
	bool has_message; /* `message` is set */
	struct message message;
};
void deadletter_fini(struct deadletter *l);

/* Bounds are parameters for the tests. */
struct deadletter_bounds {
	size_t max_count;
	int64_t max_bytes, max_age_ms;
};
/* `db` is borrowed; `bounds` NULL: those above.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct deadletters *deadletters_new(struct db *db, const struct deadletter_bounds *bounds,
				    struct err *e);
void deadletters_free(struct deadletters *all); /* NULL is allowed */

/* The number of the next letter. */
uint64_t deadletters_next_id(struct deadletters *all);
/* Add a letter under a number that deadletters_next_id() gave (borrowed).  Without has_message, or if
 * it is larger than DEADLETTER_MAX_MESSAGE, the message is not kept. */
bool deadletters_add(struct deadletters *all, const struct deadletter *l, struct err *e);
/* Take one out.  ERR_NOT_FOUND: there is none (any more); the transaction is as before. */
bool deadletters_remove(struct deadletters *all, uint64_t id, struct err *e);
/* Take out what is beyond the bounds, once in a transaction; cheap if nothing is. */
bool deadletters_evict(struct deadletters *all, int64_t now_ms, struct err *e);

struct deadletter_totals {
	size_t count;
	int64_t bytes;
	uint64_t evicted; /* since deadletters_new(); not by what was rolled back */
};
/* ERR_IO. */
bool deadletters_totals(struct deadletters *all, struct deadletter_totals *out, struct err *e);

/* NULL: any. */
struct deadletter_filter {
	const char *link, *kind;
	const char *reason;	    /* several: comma-separated */
	int64_t since_ms, until_ms; /* died between these; until_ms 0: now */
};
/* The numbers of the letters that the filter lets through, in the order in which the messages were
 * received.  Caller frees *ids. */
bool deadletters_find(struct deadletters *all, const struct deadletter_filter *filter,
		      uint64_t **ids, size_t *n, struct err *e);
/* One letter, with its message if wanted (and kept).  Caller ends it with deadletter_fini().  False:
 * ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT; nothing to end then. */
bool deadletters_get(struct deadletters *all, uint64_t id, bool with_message,
		     struct deadletter *out, struct err *e);

#endif
