/* journal.h -- the messages that were accepted and are not settled, and what became of those that
 * changed the state.
 *
 * A row per accepted message (QoS 1), in the order they came, with the message as it came.  One that
 * has changed the state is *decided*: written in the same transaction as that change and with its
 * outputs, which are what is sent again after a restart.  One that is not decided is translated again.
 * What the bridge says by itself is a decided row without a message.  The `attempts` of a row count
 * the starts that found it; nothing depends on them yet.
 *
 * Every message is sealed (AES-256-GCM, bound to link and number): payloads of handshakes, properties
 * of outputs and answers carry credentials, and which do is known only to the mappings.
 *
 * Rows are written into the open transaction of the database; durable is what db_commit() has
 * returned true for.  After a false, the transaction is rolled back and the next commit is false. */
#ifndef BRIDGE_JOURNAL_H
#define BRIDGE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/delivery.h"
#include "core/kind.h"
#include "core/message.h"

struct db;
struct err;

/* What an accepted message became. */
struct journal_output {
	enum side to;
	enum lane lane;
	struct message message;
};

struct journal_entry {
	uint64_t seq; /* never given twice */
	enum side from;
	int64_t received_ms;
	bool is_own; /* the bridge said it by itself: there is no message */
	bool is_decided;
	struct message message;
};

/* The highest number that was ever given (0: none). */
bool journal_last(struct db *db, uint64_t *seq, struct err *e);

/* How many messages are in it; walks them all. */
bool journal_count(struct db *db, uint64_t *n, struct err *e);

bool journal_add(struct db *db, const char *link, const struct journal_entry *entry, struct err *e);
/* It has changed the state now. */
bool journal_decide(struct db *db, uint64_t seq, struct err *e);
/* Its `n`th output; any order, but each n once. */
bool journal_add_output(struct db *db, const char *link, uint64_t seq, unsigned n,
			const struct journal_output *output, struct err *e);
/* It is settled: it and its outputs go. */
bool journal_remove(struct db *db, uint64_t seq, struct err *e);

/* Count a start for all that is there. */
bool journal_count_start(struct db *db, struct err *e);
/* Call `each` for every row of `link`, oldest first, with its outputs; it may take the messages (and
 * leave them empty), but not write.  False: ERR_IO, ERR_CORRUPT, or `each` returned false. */
bool journal_load(struct db *db, const char *link,
		  bool (*each)(void *ctx, struct journal_entry *entry,
			       struct journal_output *outputs, size_t n, struct err *e),
		  void *ctx, struct err *e);

#endif
