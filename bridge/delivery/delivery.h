/* delivery.h -- the outgoing side of one session: what waits, and what is in flight.
 *
 * Two lanes, requests with replies before reports, in order within a lane.  At most `window`
 * messages in flight.  A lost connection puts what was in flight back at the head, in order.  What
 * waits may have a time after which it is not to be sent.  How much waits is bounded by who fills it
 * (link/backpressure.h).  Pure: the session does the sending. */
#ifndef BRIDGE_DELIVERY_H
#define BRIDGE_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/kind.h"
#include "message/message.h"

#define DELIVERY_WINDOW 100 /* PUBACK handling walks the window: larger costs more (measured) */

struct delivery;
struct reader;

/* How to say the time of its arrival in it (link_stamp()). */
struct stamp {
	const struct reader *reader; /* of its origin's; NULL: it cannot say one, or need not */
	unsigned nth;		     /* of what that gave it is */
	int64_t at_ms;		     /* when that arrived ... */
	int64_t age_ms,
		from_ms; /* the caller's: ... so long before this, by a clock that only grows */
	bool has_time;	 /* it says one */
	bool is_asked;	 /* the caller's: it is being written again */
};

struct parcel {
	struct message message;
	uint64_t number;    /* of its push: grows, and never comes again */
	uint64_t id;	    /* the caller's: of what it came from */
	enum kind kind;	    /* the caller's; KIND_NONE: not known */
	char *device;	    /* whose it is; NULL: not known */
	bool is_state;	    /* the caller's: of its kind and device only the last one counts */
	unsigned n_refused; /* how often it was put aside */
	enum lane lane;
	void *origin;	    /* the caller's: what is settled by it */
	void *record;	    /* the caller's: where it is kept; NULL: nowhere */
	uint64_t echo;	    /* the caller's: number in an echo memory; 0: none */
	unsigned order;	    /* the caller's: which order of the origin's it is; 0: none */
	unsigned n_skipped; /* how often what was sent after it was acknowledged, and it was not */
	int64_t expires_ms; /* delivery_expire_at(); INT64_MAX: never */
	bool is_greeting; /* the caller's: for this connection only, see delivery_pop_greeting() */
	int64_t since_ms; /* the caller's: since when it waits */
	/* The caller's: when the broker is to drop it; INT64_MAX: never, or it cannot be told. */
	int64_t deadline_ms;
	struct stamp stamp;
};

/* Free what a parcel holds. */
void parcel_fini(struct parcel *p);

/* `max_bytes`: of one message. */
struct delivery *delivery_new(unsigned window, size_t max_bytes);
/* It has few messages at most times, and is one of many: memory of what has left is not kept. */
void delivery_keep_little(struct delivery *d);
void delivery_free(struct delivery *d); /* drops what is in it; see delivery_pop() */

/* Add at the end of its lane; `m` is taken (and empty afterwards).  The result is borrowed, for the
 * caller to set `device` (which is taken), `echo` and `order`.  NULL: larger than a message may be, nothing was
 * taken. */
struct parcel *delivery_push(struct delivery *d, enum lane lane, struct message *m, void *origin);

/* --- what waits elsewhere: its driver has taken it out, and puts it back in its place */

/* The number of one that waits there from the start, as if it had been pushed; with `n` of them for what comes of
 * it. */
uint64_t delivery_take_numbers(struct delivery *d, unsigned n);
uint64_t delivery_last_number(const struct delivery *d);
/* Of the one of which delivery_oldest() tells; UINT64_MAX: none waits. */
uint64_t delivery_oldest_number(const struct delivery *d);
/* How many wait that could be sent, `most` at most. */
size_t delivery_n_ready(const struct delivery *d, size_t most);
/* Of a lane, nothing with this number or a greater one is sent now (UINT64_MAX: all may be). */
void delivery_bar(struct delivery *d, enum lane lane, uint64_t number);
/* What was just pushed has had this number before, and goes where it was. */
void delivery_put_back(struct delivery *d, struct parcel *p, uint64_t number);
/* Which parcels of a lane are to wait elsewhere?  Asked of those behind the first `n_kept` that were not sent yet;
 * of `n` that follow each other and have the same origin at once. */
enum delivery_sift { DELIVERY_KEEP, DELIVERY_TAKE, DELIVERY_STOP /* asking; it is kept */ };
struct delivery_sifter {
	enum delivery_sift (*each)(void *ctx, const struct parcel *first, unsigned n, size_t bytes);
	void (*take)(void *ctx, const struct parcel *p); /* each of them; it is freed then */
	void *ctx;
};
/* False: it was stopped. */
bool delivery_sift(struct delivery *d, enum lane lane, size_t n_kept,
		   const struct delivery_sifter *s);

/* After this time it is not to be sent, if it still waits then: see delivery_expired(). */
void delivery_expire_at(struct delivery *d, struct parcel *p, int64_t expires_ms);
/* Take out a parcel that has waited too long; false: none has.  Caller ends it with parcel_fini(). */
bool delivery_expired(struct delivery *d, int64_t now_ms, struct parcel *out);
/* When to ask for one (it may be too early); INT64_MAX: never. */
int64_t delivery_next_expiry(const struct delivery *d);

/* Call `each` for all parcels: those that wait, aside or not, or those that are in flight.  It changes what is the
 * caller's. */
void delivery_each(struct delivery *d, bool in_flight, void (*each)(void *ctx, struct parcel *p),
		   void *ctx);

/* Take out the first parcel of a lane, if it waits since `since_ms` or before; false: none does.  Caller
 * ends it with parcel_fini(). */
bool delivery_pop_old(struct delivery *d, int64_t since_ms, struct parcel *out);
/* Since when the first parcels of the lanes wait; INT64_MAX: none does. */
int64_t delivery_oldest(const struct delivery *d);

/* How many may be in flight from now on; what is stays. */
void delivery_set_window(struct delivery *d, unsigned window);
/* The parcel to send next, if the window has room; NULL: none.  It stays first until
 * delivery_sent() or delivery_pop(). Borrowed. */
struct parcel *delivery_next(struct delivery *d);
/* The parcel of this number, if it waits; NULL: it does not.  Borrowed. */
struct parcel *delivery_find(struct delivery *d, uint64_t number);
/* The one that comes after `n_skipped` others (or after as many as there are) of those that wait, may go before `one`
 * (which waits), and will be acknowledged (QoS 1); NULL: there is none.  Borrowed. */
struct parcel *delivery_other(struct delivery *d, const struct parcel *one, unsigned n_skipped);
/* Send this one next, which waits, whatever comes before it. */
void delivery_offer(struct delivery *d, struct parcel *p);
/* Call `each` for the first `n` of those that wait, in the order they will be sent, as long as it returns true. */
void delivery_walk(struct delivery *d, size_t n, bool (*each)(void *ctx, struct parcel *p),
		   void *ctx);
/* What waits has another payload (copied). */
void delivery_set_payload(struct delivery *d, struct parcel *p, const char *payload, size_t len);
/* It was handed to the session as packet `mid` (QoS 0 too: acknowledged when written). */
void delivery_sent(struct delivery *d, int mid);
/* Take the first waiting parcel out (it cannot be sent); false: none waits.  Caller ends it with
 * parcel_fini(). */
bool delivery_pop(struct delivery *d, struct parcel *out);
/* Packet `mid` was acknowledged: take its parcel out.  False: no such packet.  Caller ends it with
 * parcel_fini(). */
bool delivery_acked(struct delivery *d, int mid, struct parcel *out);
/* What was sent as packet `mid`; NULL: no such packet.  Borrowed. */
struct parcel *delivery_in_flight_as(struct delivery *d, int mid);
/* Packet `mid` was refused: it waits again where it was, or, with `due_ms`, aside until then, and
 * others pass.  Borrowed; NULL: no such packet. */
struct parcel *delivery_refused(struct delivery *d, int mid, int64_t due_ms);
/* What is aside and due waits in its place again. */
void delivery_take_up(struct delivery *d, int64_t now_ms);
/* When delivery_take_up() has something to do; INT64_MAX: nothing is aside. */
int64_t delivery_aside_ms(const struct delivery *d);
/* Does something wait that is not aside? */
bool delivery_is_ready(const struct delivery *d);
/* Take out a parcel of the same kind and device that is older than this one and waits, aside or not; false: there is
 * none.  Caller ends it with parcel_fini(). */
bool delivery_pop_older(struct delivery *d, const struct parcel *than, struct parcel *out);

/* What is in flight the longest; 0: nothing is. */
uint64_t delivery_first_in_flight(const struct delivery *d);
/* Is packet `mid` that? */
bool delivery_is_first(const struct delivery *d, int mid);
/* Was something acknowledged on this connection that was sent after that? */
bool delivery_is_skipped(const struct delivery *d);
/* Count it for all in flight of which that is so. */
void delivery_count_skipped(struct delivery *d);
/* Take out one in flight that was skipped `most` times; false: there is none.  Caller ends it with parcel_fini(). */
bool delivery_pop_skipped(struct delivery *d, unsigned most, struct parcel *out);
/* Take out a greeting, one that waits (aside or not) or is in flight (*was_sent); false: there is none.  Caller ends it
 * with parcel_fini(). */
bool delivery_pop_greeting(struct delivery *d, struct parcel *out, bool *was_sent);
/* Take out the first parcel that waits, aside or not, and is such a one; false: none is.  Caller ends it with
 * parcel_fini(). */
bool delivery_pop_such(struct delivery *d, bool (*is)(void *ctx, const struct parcel *p), void *ctx,
		       struct parcel *out);
/* The connection is gone: everything in flight waits again, in the order it was pushed. */
void delivery_reset(struct delivery *d);

size_t delivery_waiting(const struct delivery *d);
size_t delivery_in_flight(const struct delivery *d);
size_t delivery_bytes(const struct delivery *d);

#endif
