/* records.h -- the messages that were accepted and are not settled, as the running bridge sees them:
 * what of each is in the journal, and what of it is still to be written there.
 *
 * A record is the `tag` of a message in its link.  What happens to records in a turn of the loop is
 * collected, and written in one go by records_write(), with the changes of state of the same turn.  A
 * message that is settled in the turn in which it came is never written.  Outputs of a message come
 * before it is decided. */
#ifndef BRIDGE_RECORDS_H
#define BRIDGE_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/delivery.h"
#include "core/kind.h"

struct db;
struct err;
struct journal_entry;
struct message;
struct record;
struct records;

/* `db` is borrowed.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct records *records_new(struct db *db, struct err *e);
void records_free(struct records *all); /* NULL is allowed; records must be gone */

/* `link` is borrowed, the message is copied until it is written. */
struct record *records_accept(struct records *all, const char *link, enum side from,
			      const struct message *m, int64_t now_ms);
/* The bridge says something by itself: written once record_decided() is called. */
struct record *records_own(struct records *all, const char *link, enum side from, int64_t now_ms);
/* One that was found in the journal. */
struct record *records_resumed(struct records *all, const char *link,
			       const struct journal_entry *entry);

/* It became this message, too (copied, if it is to be written). */
void record_output(struct record *r, enum side to, enum lane lane, const struct message *m);
/* It has changed the state: its outputs are to be written. */
void record_decided(struct record *r);
/* All is done: out of the journal, with the next records_write(). */
void record_settled(struct record *r);
/* Only the memory of it goes: after a restart it is sent again. */
void record_forget(struct record *r);

/* Write what is due into the open transaction.  False: see journal.h. */
bool records_write(struct records *all, struct err *e);

#endif
