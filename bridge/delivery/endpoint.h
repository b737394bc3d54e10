/* endpoint.h -- when the sessions of devices may connect to one endpoint, and what they may send to it: all of them
 * together, of whichever links.
 *
 * As many connect in a second as it bears, those first for which something waits; the others stand in line.  When one
 * of them finds nobody there twice in a row, the endpoint is down: from then on one alone tries, as its own backoff
 * has it, until it gets an answer, and then the rest come in their order.
 *
 * Where it bears so many messages in a second only (a platform has limits for a customer beside those for a device),
 * devices send in turn, one each.  Pure: times are handed in. */
#ifndef BRIDGE_ENDPOINT_H
#define BRIDGE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct endpoint;
struct endpoints; /* all of a bridge */

TAILQ_HEAD(seat_line, seat);
/* A session's; all 0 at first, and endpoint_leave() before it goes. */
struct seat {
	void *owner; /* the caller's */
	TAILQ_ENTRY(seat) entry, sending;
	struct seat_line *line; /* in which it stands to connect; NULL: in none */
	unsigned n_failed;	/* in a row */
	bool is_in_turn;	/* it stands in line to send */
	bool may_send;		/* one message, and that is counted already */
};

/* A link whose sessions go there.  Of what several say, the least holds. */
struct endpoint_user {
	int64_t connects_per_second;
	int64_t messages_per_second; /* 0: any number */
	/* What endpoint_due_ms() says may be sooner now, for another user's reason. */
	void (*on_change)(void *ctx);
	void *ctx;
	LIST_ENTRY(endpoint_user) entry;
};

struct endpoints *endpoints_new(void);
void endpoints_free(struct endpoints *all); /* nobody has joined */

/* The endpoint of this address, which is there while it has users.  `user` is borrowed until endpoint_part(). */
struct endpoint *endpoint_join(struct endpoints *all, const char *host, int port,
			       struct endpoint_user *user);
void endpoint_part(struct endpoint *ep,
		   struct endpoint_user *user); /* none of its sessions is in line */

/* It wants to connect.  True: now; else it stands in line, and endpoint_next() has it in its turn.  `is_urgent`:
 * something waits for it. */
bool endpoint_ask(struct endpoint *ep, struct seat *seat, bool is_urgent, int64_t now_ms);
/* Something waits for it now. */
void endpoint_hurry(struct endpoint *ep, struct seat *seat);
/* It does not want to any more, nor to send. */
void endpoint_leave(struct endpoint *ep, struct seat *seat);
/* It got an answer, whichever. */
void endpoint_answered(struct endpoint *ep, struct seat *seat);
/* It found nobody. */
void endpoint_failed(struct endpoint *ep, struct seat *seat);

bool endpoint_is_down(const struct endpoint *ep);
/* The next that may connect now, which stands in line no more; NULL: none. */
struct seat *endpoint_next(struct endpoint *ep, int64_t now_ms);

/* It has something to send.  True: one message, now, with endpoint_sent(); else it stands in line, and
 * endpoint_next_to_send() has it in its turn. */
bool endpoint_may_send(struct endpoint *ep, struct seat *seat, int64_t now_ms);
void endpoint_sent(struct endpoint *ep, struct seat *seat, int64_t now_ms);
/* It has nothing to send after all. */
void endpoint_has_sent(struct endpoint *ep, struct seat *seat);
/* The next that may, which stands in that line no more; NULL: none. */
struct seat *endpoint_next_to_send(struct endpoint *ep, int64_t now_ms);

/* When to ask for one of either line; INT64_MAX: nobody stands there, or one is trying. */
int64_t endpoint_due_ms(const struct endpoint *ep);

#endif
