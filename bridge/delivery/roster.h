/* roster.h -- who has something to do in this turn of the loop: those to whom something happened, those whose time
 * has come, and those of whom something is not durable yet.  All others cost a turn nothing.
 *
 * An entry is awake from roster_wake(), or its deadline, until a turn ends in which it was worked on, all of it is
 * durable and nothing happened to it since roster_work(). */
#ifndef BRIDGE_ROSTER_H
#define BRIDGE_ROSTER_H

#include <stdint.h>

struct roster;
struct roster_entry;

struct roster *roster_new(void);
/* After its entries. */
void roster_free(struct roster *r); /* NULL is allowed */

/* An entry of `owner` (borrowed), which is awake. */
struct roster_entry *roster_add(struct roster *r, void *owner);
void roster_remove(struct roster_entry *e);

/* Something happened to it. */
void roster_wake(struct roster_entry *e);
/* Wake up those whose deadline has come. */
void roster_wake_due(struct roster *r, int64_t now_ms);
/* The earliest deadline; INT64_MAX: none. */
int64_t roster_deadline(const struct roster *r);

/* The first that is awake, and the one after that; NULL: no more.  Who wakes up meanwhile comes, too. */
struct roster_entry *roster_first(const struct roster *r);
struct roster_entry *roster_next(const struct roster_entry *e);
void *roster_owner(const struct roster_entry *e);

/* It is worked on now, as part of this commit; what happens from now on is for the next turn. */
void roster_work(struct roster_entry *e, uint64_t commit);
/* The turn is over: who is done may sleep until `deadline_ms` (epoch; INT64_MAX: until it is woken). */
void roster_rest(struct roster_entry *e, uint64_t durable, int64_t deadline_ms);

#endif
