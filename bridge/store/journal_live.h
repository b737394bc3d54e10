/* journal_live.h -- the messages that were accepted and are not settled, as the running bridge sees them:
 * what of each is in the journal, and what of it is still to be written there.
 *
 * A record is the `tag` of a message in its link.  What happens to records in a turn of the loop is
 * collected, and written in one go by journal_live_write(), with the changes of state of the same turn, as
 * part of a commit (store/commit.h).  It is kept until that is durable, so that it can be written again if
 * the commit is undone.  A message that is settled in the turn in which it came is never written.
 *
 * Outputs come before record_decided(); until it is written, or settled, they are kept here, too.
 *
 * That messages are settled does not wake the disk: it is written with the next commit of something
 * new, at the latest after SETTLED_MS (journal_live_deadline) or at the end.  A crash in between brings
 * duplicates and loses nothing. */
#ifndef BRIDGE_JOURNAL_LIVE_H
#define BRIDGE_JOURNAL_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/kind.h"
#include "message/side.h"

struct db;
struct err;
struct journal_entry;
struct journal_output;
struct message;
struct record;
struct journal_live;
struct journal_live_link;

/* `db` is borrowed.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct journal_live *journal_live_new(struct db *db, struct err *e);
void journal_live_free(struct journal_live *all); /* NULL is allowed; records must be gone */

/* The records of the link `name`; borrowed, as are name and `ctx`.  Once per name. */
struct journal_live_link *journal_live_link(struct journal_live *all, const char *name, void *ctx);

/* Its link has been freed, and nothing is in flight: what the journal holds of it stays there, for
 * journal_live_resume(). */
void journal_live_unlink(struct journal_live_link *link);

/* Hand what an earlier run left to `take`, with the ctx of its link, in the order it came; the entry
 * is as in struct journal_reader.  What is of no link is left alone, and told by `orphans` for each
 * such link.  False: ERR_IO.  It may be called again for links that came later: once for each. */
struct journal_live_reader {
	void (*take)(void *link_ctx, struct record *r, struct journal_entry *entry,
		     struct journal_output *outputs, size_t n);
	void (*orphans)(const char *link, size_t n);
	/* The row `seq` of a link could not be read, and is set aside. */
	void (*aside)(const char *link, uint64_t seq, const char *why);
};
bool journal_live_resume(struct journal_live *all, const struct journal_live_reader *reader,
			 struct err *e);

/* A message was accepted (copied until it is written), on the session of this device (NULL: of any); it may have been
 * received before (a dead letter that is tried again). */
struct record *journal_live_accept(struct journal_live_link *link, enum side from,
				   const char *session, const struct message *m,
				   int64_t received_ms, int64_t now_ms);
/* The bridge says something by itself: written once record_decided() is called. */
struct record *journal_live_own(struct journal_live_link *link, enum side from, int64_t now_ms);
/* Is it durable, or will it never be (the disk was full)? */
bool record_is_stored(const struct record *r);
/* The commit with which what was decided of it is durable, so that its outputs may leave; UINT64_MAX: one that is not
 * written yet; 0: it is, or nothing was decided of what came in. */
uint64_t record_commit(const struct record *r);
/* Its number (journal.h); 0: it has none yet, or will have none. */
uint64_t record_seq(const struct record *r);
/* When it was accepted. */
int64_t record_since_ms(const struct record *r);

/* It became this message, too (copied). */
void record_output(struct record *r, const struct journal_output *o);
/* It has changed the state: its outputs are to be written. */
void record_decided(struct record *r);
/* All is done: out of the journal. */
void record_settled(struct record *r);
/* Only the memory of it goes: after a restart it is sent again. */
void record_forget(struct record *r);

/* What is durable, and waits for long, need not be in memory: its record leaves, and what comes back of it is as it
 * would be after a restart.  The database is read for that, so it is to be done while no commit is in flight. */
struct journal_place {
	uint64_t row; /* of its batch; is_own: of its outputs */
	int64_t since_ms;
	uint16_t index;	 /* in the batch */
	bool is_own;	 /* it is what the bridge says by itself: there is no batch */
	bool is_decided; /* its outputs are there */
};
/* Is it durable as it is, and nothing of it due? */
bool record_may_leave(const struct record *r);
/* Then: nothing is left of it but its place. */
void record_leave(struct record *r, struct journal_place *out);
/* A record again, to be settled, or read.  NULL sets *e: ERR_IO, ERR_CORRUPT: it is where it was, for the next
 * start. */
struct record *journal_live_recall(struct journal_live_link *link, enum side from,
				   const struct journal_place *at, struct err *e);
/* What it is, as in struct journal_reader; the caller ends message, session and outputs, also after a false. */
bool record_read(struct record *r, struct journal_entry *entry, struct journal_output **outputs,
		 size_t *n, struct err *e);

/* Write what is due at `now_ms` (INT64_MAX: all) into the open transaction, as part of `commit` (greater
 * than all before).  False: see journal.h; what was written counts as in flight until
 * journal_live_undone(). */
bool journal_live_write(struct journal_live *all, uint64_t commit, int64_t now_ms, struct err *e);
/* What was written as part of this commit and those before it is durable. */
void journal_live_durable(struct journal_live *all, uint64_t commit);
/* What is not durable was rolled back: all of it is due again. */
void journal_live_undone(struct journal_live *all);
/* None is in flight, and there is no room for messages that are due: they will not be written, and so must never be
 * acknowledged.  They are carried all the same; what they change in the state is written as usual. */
void journal_live_give_up(struct journal_live *all);
/* Is something due that must be durable before anything leaves? */
bool journal_live_has_news(const struct journal_live *all);
/* When journal_live_write() wants to be called; INT64_MAX: never. */
int64_t journal_live_deadline(const struct journal_live *all);

/* Bytes in the journal, with those in flight: in all, and of messages of a link that came from a side. */
uint64_t journal_live_bytes(const struct journal_live *all);
/* How many messages these are. */
uint64_t journal_live_messages(const struct journal_live *all);
uint64_t journal_live_link_bytes(const struct journal_live_link *link, enum side from);

#endif
