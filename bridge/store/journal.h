/* journal.h -- the messages that were accepted and are not settled, and what became of those that
 * changed the state.
 *
 * Nearly every message is here for a moment, so rows are *batches*: the messages of one link and side
 * that were accepted in a turn of the loop, sealed as one (AES-256-GCM, bound to link, side and number:
 * payloads of handshakes, properties of outputs and answers carry credentials, and which do is known
 * only to the mappings).  Which of a batch are settled is a row of bits in a small table beside it, so
 * that no batch is rewritten for it; when all are, both rows go.
 *
 * A message that has changed the state is *decided*: written in the same transaction as that change,
 * its outputs are a row, sealed as one.  They are what is sent again after a restart; a message that is
 * not decided is translated again.  What the bridge says by itself has such a row and no message.
 *
 * Numbers are given by the caller, each once and growing, also across restarts (journal_last).  A batch
 * of n takes n + 1: its messages the first n, its row the last.  The row of outputs has the number of
 * its message.  How often a message has ended the process is kept as long as it is not settled.
 *
 * Rows are written into the open transaction of the database; durable is what db_commit() has
 * returned true for.  After a false, the transaction is rolled back and the next commit is false. */
#ifndef BRIDGE_JOURNAL_H
#define BRIDGE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/kind.h"
#include "message/message.h"
#include "message/side.h"

struct buf;
struct db;
struct err;

#define JOURNAL_BATCH 512 /* messages */

/* The settled ones of a batch. */
struct journal_bits {
	uint64_t word[JOURNAL_BATCH / 64];
};
static inline void journal_set(struct journal_bits *b, unsigned i)
{
	b->word[i / 64] |= UINT64_C(1) << i % 64;
}
static inline bool journal_is_set(const struct journal_bits *b, unsigned i)
{
	return b->word[i / 64] >> i % 64 & 1;
}

struct journal_row {
	uint64_t seq;
	const char *link;
	enum side from;
	unsigned n;	     /* of messages in a batch; 0: a row of outputs */
	bool is_own;	     /* outputs of what the bridge says by itself */
	int64_t received_ms; /* of a batch: when its first message was put into it */
	size_t size;	     /* bytes of content; set by the journal */
};

/* What an accepted message became. */
struct journal_output {
	enum side to;
	enum lane lane;
	struct message message;
	char *device; /* whose it is; NULL: not noted */
	char *far_id; /* of a command whose sender waits, by which it is found; NULL: of none */
	int64_t expires_ms; /* not to be sent from then on; INT64_MAX: always to be sent; 0: not noted */
};
void journal_output_fini(struct journal_output *o);

struct journal_entry {
	uint64_t seq;
	uint64_t batch; /* 0: none, the bridge said it by itself: there is no message */
	unsigned index; /* in the batch */
	const char *link;
	enum side from;
	int64_t received_ms;
	int64_t since_ms; /* when it came into the journal: later, if it was a dead letter meanwhile */
	bool is_decided;
	size_t size;	    /* of the row of its outputs */
	unsigned n_crashes; /* journal_blame() */
	char *session;	    /* of which device it came on; NULL: of any */
	struct message message;
};

/* --- content, not sealed yet */

/* Append message number `index` of a batch; growing.  `session`: of which device it came on; NULL: of any. */
void journal_put_message(struct buf *batch, unsigned index, int64_t received_ms,
			 const char *session, const struct message *m);
void journal_put_output(struct buf *outputs, const struct journal_output *o);
/* Drop the settled messages out of a batch. */
void journal_drop(struct buf *batch, const struct journal_bits *settled);

/* --- writing */

/* A new row with this content, or an old one rewritten (then only its content may differ). */
bool journal_put(struct db *db, struct journal_row *row, const struct buf *content, struct err *e);
/* These of a batch of `n` are settled. */
bool journal_mark(struct db *db, uint64_t seq, const struct journal_bits *settled, unsigned n,
		  struct err *e);
/* The row goes, with its mark. */
bool journal_remove(struct db *db, uint64_t seq, struct err *e);
/* All of a link go. */
bool journal_remove_link(struct db *db, const char *link, struct err *e);
/* The message with this number has ended the process. */
bool journal_blame(struct db *db, uint64_t seq, struct err *e);

/* --- reading */

/* The highest number that was ever given (0: none). */
bool journal_last(struct db *db, uint64_t *seq, struct err *e);
/* How many messages are in it, and things that the bridge said by itself; walks them all. */
bool journal_count(struct db *db, uint64_t *n, struct err *e);
/* Append the content of a batch that was put. */
bool journal_get(struct db *db, const struct journal_row *row, struct buf *content, struct err *e);
/* What a row is, without its content, and what of it is settled; *row has no link.  False: ERR_IO, ERR_CORRUPT. */
bool journal_find(struct db *db, uint64_t seq, struct journal_row *row,
		  struct journal_bits *settled, struct err *e);
/* Message `index` of a batch: sets received_ms, session and message of *out, which the caller ends.  False: it is not
 * there, or cannot be read. */
bool journal_take_message(const struct buf *batch, unsigned index, struct journal_entry *out);
/* How many outputs there are; the caller ends them, and frees *out. */
size_t journal_take_outputs(const struct buf *content, struct journal_output **out);

struct journal_reader {
	/* A row is there (of a batch, with what is settled of it): false: leave it alone. */
	bool (*wants)(void *ctx, const struct journal_row *row, const struct journal_bits *settled);
	/* An entry that is not settled, with its outputs if it is decided; it may take the messages
	 * and texts (and leave them empty), but not write. */
	bool (*take)(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
		     size_t n, struct err *e);
	/* A row cannot be read: it is set aside (store/aside.h), and nothing of it was or will be
	 * given to take().  (Of a message whose outputs these were, take() is told as of one that is not
	 * decided; outputs whose message is lost are as those of what the bridge says by itself.) */
	void (*aside)(void *ctx, const struct journal_row *row, bool was_wanted, const char *why);
};
/* Read all, in the order of the numbers.  False: ERR_IO, or take() returned false. */
bool journal_load(struct db *db, const struct journal_reader *reader, void *ctx, struct err *e);

/* What the content of `row` is bound to.  Caller frees. */
char *journal_context(const struct journal_row *row);

#endif
