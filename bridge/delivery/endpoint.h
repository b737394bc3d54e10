/* endpoint.h -- when the sessions of one endpoint may connect.
 *
 * As many in a second as it bears, those first for which something waits; the others stand in line.  When one of them finds
 * nobody there twice in a row, the endpoint is down: from then on one alone tries, as its own backoff has it, until it
 * gets an answer, and then the rest come in their order.  Pure: times are handed in. */
#ifndef BRIDGE_ENDPOINT_H
#define BRIDGE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct endpoint;

TAILQ_HEAD(seat_line, seat);
/* A session's; all 0 at first, and endpoint_leave() before it goes. */
struct seat {
	void *owner; /* the caller's */
	TAILQ_ENTRY(seat) entry;
	struct seat_line *line; /* in which it stands; NULL: in none */
	unsigned n_failed;	/* in a row */
};

struct endpoint *endpoint_new(int64_t per_second);
void endpoint_free(struct endpoint *ep); /* nobody stands in line */

/* It wants to connect.  True: now; else it stands in line, and endpoint_next() has it in its turn.  `is_urgent`: something
 * waits for it. */
bool endpoint_ask(struct endpoint *ep, struct seat *seat, bool is_urgent, int64_t now_ms);
/* Something waits for it now. */
void endpoint_hurry(struct endpoint *ep, struct seat *seat);
/* It does not want to any more. */
void endpoint_leave(struct endpoint *ep, struct seat *seat);
/* It got an answer, whichever. */
void endpoint_answered(struct endpoint *ep, struct seat *seat);
/* It found nobody. */
void endpoint_failed(struct endpoint *ep, struct seat *seat);

bool endpoint_is_down(const struct endpoint *ep);
/* The next that may connect now, which stands in line no more; NULL: none. */
struct seat *endpoint_next(struct endpoint *ep, int64_t now_ms);
/* When to ask for one; INT64_MAX: nobody stands in line, or one is trying. */
int64_t endpoint_due_ms(const struct endpoint *ep);

#endif
