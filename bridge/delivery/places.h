/* places.h -- which of the sessions of one side may be open, where not all may be at once, or not all are needed.
 *
 * At most `max` have a place; more stand in line.  One that is idle gives its place away when that has lasted for
 * `idle`, or as soon as others want it, the longest idle first.  Who is idle the caller says: what is never said to be
 * keeps its place.  Pure: times are handed in. */
#ifndef BRIDGE_PLACES_H
#define BRIDGE_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define PLACES_REST_MS                                                                             \
	1000 /* idle for less than that it is not yet: its last words may be on their way */

struct places;

TAILQ_HEAD(place_list, place);
/* A session's; all 0 at first, and places_leave() before it goes. */
struct place {
	void *owner; /* the caller's */
	TAILQ_ENTRY(place) entry;
	struct place_list *list; /* in which it is; NULL: in none */
	bool is_held;
	int64_t idle_ms; /* since when, if it is */
};

/* `max`: 0: any number. */
struct places *places_new(size_t max, int64_t idle_ms);
void places_free(struct places *ps); /* all have left */

/* It wants one.  True: it has; else it stands in line, and places_next() has it in its turn. */
bool places_take(struct places *ps, struct place *p);
/* It needs none any more, and does not want one. */
void places_leave(struct places *ps, struct place *p);
bool places_is_waiting(const struct places *ps, const struct place *p);

/* Of one that has a place: it is idle since (or, to be left alone until then, from) `since_ms`, unless it is
 * already. */
void places_rest(struct places *ps, struct place *p, int64_t since_ms);
/* It is not. */
void places_use(struct places *ps, struct place *p);

/* One that has to give its place away now: places_leave() follows.  NULL: none has. */
struct place *places_due(const struct places *ps, int64_t now_ms);
/* The next in line, if there is room: it has a place now.  NULL: none. */
struct place *places_next(struct places *ps);
/* When to ask for those; INT64_MAX: not by itself. */
int64_t places_due_ms(const struct places *ps);

#endif
