/* letters.h -- the dead letters of a running bridge: those of a turn are collected, and written with
 * what else the turn brought, so that a message is always either in the journal or a dead letter. */
#ifndef BRIDGE_LETTERS_H
#define BRIDGE_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct deadletters;
struct err;
struct letters;
struct plan;
struct verdict;

/* `db` is borrowed.  NULL sets *e: ERR_IO, ERR_CORRUPT. */
struct letters *letters_new(struct db *db, struct err *e);
void letters_free(struct letters *all); /* NULL is allowed */

/* A message of the link of `plan` is dead (borrowed; copied). */
void letters_bury(struct letters *all, const struct plan *plan, const struct verdict *v,
		  int64_t now_ms);

/* A copy of a text without the credentials that this link knows (a dialect may have them in topics).
 * NULL gives "".  Caller frees. */
char *letters_tellable(const struct plan *plan, const char *text);

/* Write what was collected into the open transaction, and take out what is beyond the bounds.  False:
 * see deadletter.h. */
bool letters_write(struct letters *all, int64_t now_ms, struct err *e);
/* It was committed.  (What was not is written again.) */
void letters_committed(struct letters *all);

/* Is there something to write? */
bool letters_has_news(const struct letters *all);

/* Those that are written. */
struct deadletters *letters_stored(struct letters *all);
/* How many went because there were too many, since the start. */
uint64_t letters_evicted(struct letters *all);

#endif
