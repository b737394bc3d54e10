/* journal_live_inside.h -- what the files of the journal in memory share: journal_live.c (records, batches,
 * commits) and journal_live_away.c (what is on the disk only).  Nobody else includes it. */
#ifndef BRIDGE_JOURNAL_LIVE_INSIDE_H
#define BRIDGE_JOURNAL_LIVE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/map.h"
#include "store/journal.h"
#include "store/journal_live.h"

/* The life of a batch: a row of the journal, or what will be one.
 *
 *   FRESH ──▶ HANDED ──▶ STORED ◀──▶ TOUCHED ◀──▶ MARKED ──▶ its end
 *     │                    ▲                        │
 *     └──▶ LOST ──▶ end    └────────────────────────┘
 *
 * A commit that is undone takes HANDED back to FRESH and MARKED back to TOUCHED.  Always true:
 *
 * - A batch takes messages only while it is FRESH and `open` of its link and side.
 * - What of it may be in the database is told by its state alone: nothing (FRESH, LOST), the row or nothing
 *   (HANDED), the row with at most n_told messages that are not settled (all others).
 * - Messages may be settled in any state.  While it is HANDED or MARKED that is only noted, and becomes due
 *   when the commit is durable: so a row has one write in flight at a time.
 * - A batch that is STORED, and of which nobody has a record, is not in memory at all: it is read back when a record of
 *   it is wanted (journal_live_away.c).
 * - A batch in which all is settled ends: at once if nothing of it is in the database, else when its
 *   removal (a MARKED with n_told 0) is durable. */
enum batch_state {
	FRESH,	 /* in memory; due to be written */
	HANDED,	 /* its row is in a commit in flight; kept whole, in case that is undone */
	STORED,	 /* its row is durable, and nothing of it is due */
	TOUCHED, /* messages of it were settled since: that is due to be written */
	MARKED,	 /* what was settled is in a commit in flight */
	LOST,	 /* given up: it will never be written, nor acknowledged */
	BATCH_STATES
};

/* The life of the outputs of a record, which are a row of their own once the record is decided.
 *
 *   NOTED ──▶ DUE ──▶ IN_FLIGHT ──▶ WRITTEN
 *
 * Undone, IN_FLIGHT goes back to DUE.  A record may be settled in any state; from IN_FLIGHT on its row must
 * be removed then, which is a write of its own in a later commit. */
enum outputs_state {
	NOTED,	   /* in memory; maybe never to be written */
	DUE,	   /* to be written: the record is decided */
	IN_FLIGHT, /* in a commit in flight; kept, in case that is undone */
	WRITTEN,   /* durable */
	OUTPUTS_STATES
};

#define JOURNAL_SPARE_BUFS 16

struct batch {
	TAILQ_ENTRY(batch) all;	       /* journal_live.batches */
	TAILQ_ENTRY(batch) state_link; /* of the list of its state, if that has one */
	TAILQ_ENTRY(batch) sparse;     /* journal_live.sparse, if is_sparse */
	struct journal_live_link *link;
	struct journal_row row; /* its seq is 0 until it is written */
	enum batch_state state;
	uint64_t commit;   /* HANDED, MARKED: the one in flight */
	unsigned n_left;   /* not settled */
	unsigned n_told;   /* not settled, as far as the database was told */
	unsigned n_stored; /* in the row, the settled ones included */
	unsigned n_away;   /* not settled, and without a record (record_leave()) */
	bool is_sparse;
	int64_t sparse_ms;
	/* While it is rewritten by a commit in flight: what was there before, should that be undone. */
	TAILQ_ENTRY(batch) rewritten; /* journal_live.rewritten, if is_rewritten */
	bool is_rewritten;
	uint64_t rewriting;
	size_t old_size;
	unsigned old_n_stored;
	struct journal_bits settled;
	struct buf plain; /* its messages; FRESH and HANDED */
};
TAILQ_HEAD(batches, batch);

struct journal_live_link {
	struct journal_live *all;
	const char *name;
	void *ctx;
	struct batch *open[SIDES]; /* that takes further messages */
	bool is_resumed;	   /* all that was in the journal has been handed out */
	size_t n_asleep;	   /* messages of batches of which nothing is in memory */
	uint64_t bytes[SIDES];
};

struct record {
	TAILQ_ENTRY(record) list; /* of its outputs' state, or spare */
	struct journal_live_link *link;
	int64_t since_ms;
	struct batch *batch;	  /* NULL: of none */
	unsigned index;		  /* in it */
	enum outputs_state state; /* of its outputs */
	uint64_t commit;	  /* IN_FLIGHT: this one */
	struct journal_row row;	  /* of its outputs */
	struct buf outputs;
};
TAILQ_HEAD(records, record);

/* The outputs of a message that is settled. */
struct removal {
	uint64_t seq, commit; /* in flight; 0: due */
};

struct journal_live {
	struct db *db;
	uint64_t last_seq, bytes;
	uint64_t orphan_bytes;	/* of these, of no link */
	struct map links;	/* by name */
	struct map left;	/* batches with n_away, by the number of their row */
	uint64_t opened;	/* the batch that was read back last (0: none) ... */
	struct buf content;	/* ... and what is in it */
	struct batches batches; /* all */
	struct batches fresh, touched, in_flight; /* by state; in_flight in the order of commits */
	struct batches sparse;
	struct batches rewritten; /* in the order of commits */
	struct records decided;	  /* outputs that are DUE, in the order decided */
	struct records handed;	  /* and IN_FLIGHT, in the order of commits */
	struct records spare;
	size_t n_spare;
	struct buf spare_bufs[JOURNAL_SPARE_BUFS];
	size_t n_spare_bufs;
	struct removal *removals;      /* those in flight first, in the order of commits */
	size_t n_removals, n_removing; /* in flight */
	int64_t settled_ms;	       /* when what is settled is to be written at the latest */
};

/* --- journal_live.c */

struct record *journal_live_new_record(struct journal_live_link *link, enum side from,
				       int64_t now_ms);
void journal_live_free_record(struct record *r);
struct batch *journal_live_new_batch(struct journal_live_link *link, enum side from);
void journal_live_free_batch(struct batch *b); /* nothing of it is left */
/* Messages may carry credentials. */
void journal_live_wipe(struct buf *b);

/* --- journal_live_away.c */

/* If nobody needs it in memory, it goes from there.  To be called where that may have come to be so; `b` may be
 * gone. */
void journal_live_rest(struct batch *b);

#endif
