#include "delivery/delivery.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"

#define FEW_SPARE 4
#define MAX_SPARE 1024 /* nodes kept for use again; a backlog's others are freed */

struct node {
	TAILQ_ENTRY(node) link;
	struct parcel parcel;
	size_t size;
	int64_t due_ms; /* aside until then */
	uint64_t sent;	/* its place among all that was sent */
	int mid;
};
TAILQ_HEAD(nodes, node);

struct delivery {
	struct nodes waiting[LANES];
	struct nodes in_flight; /* in the order sent */
	struct nodes
		aside; /* they were refused, and wait for their time, which is the same for all */
	struct nodes spare;
	struct node *offered; /* what delivery_next() gave: first, whatever is pushed meanwhile */
	uint64_t bar[LANES];  /* of a lane: what has such a number does not leave */
	size_t n_waiting, n_in_flight, n_spare, most_spare;
	size_t n_aside; /* of those that wait */
	size_t bytes, max_bytes;
	size_t window;
	uint64_t last_number, last_sent;
	uint64_t
		acked_sent; /* the latest sent that was acknowledged, on this connection; 0: none */
	int64_t earliest_ms; /* no parcel that waits expires before */
};

void parcel_fini(struct parcel *p)
{
	message_fini(&p->message);
	free(p->device);
}

struct delivery *delivery_new(unsigned window, size_t max_bytes)
{
	struct delivery *d = mem_zalloc(sizeof *d);

	for (int i = 0; i < LANES; i++) {
		TAILQ_INIT(&d->waiting[i]);
		d->bar[i] = UINT64_MAX;
	}
	d->most_spare = MAX_SPARE;
	TAILQ_INIT(&d->in_flight);
	TAILQ_INIT(&d->aside);
	TAILQ_INIT(&d->spare);
	d->window = window;
	d->max_bytes = max_bytes;
	d->earliest_ms = INT64_MAX;
	return d;
}

void delivery_keep_little(struct delivery *d)
{
	d->most_spare = FEW_SPARE;
}

static void free_nodes(struct nodes *list)
{
	struct node *n;

	while ((n = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, n, link);
		parcel_fini(&n->parcel);
		free(n);
	}
}

void delivery_free(struct delivery *d)
{
	if (!d)
		return;
	for (int i = 0; i < LANES; i++)
		free_nodes(&d->waiting[i]);
	free_nodes(&d->in_flight);
	free_nodes(&d->aside);
	free_nodes(&d->spare);
	free(d);
}

static struct node *new_node(struct delivery *d)
{
	struct node *n = TAILQ_FIRST(&d->spare);

	if (!n)
		return mem_alloc(sizeof *n);
	TAILQ_REMOVE(&d->spare, n, link);
	d->n_spare--;
	return n;
}

/* The parcel goes to the caller, the node is done with.  It is in no list any more. */
static void hand_out(struct delivery *d, struct node *n, struct parcel *out)
{
	*out = n->parcel;
	d->bytes -= n->size;
	if (d->n_spare >= d->most_spare) {
		free(n);
		return;
	}
	n->parcel = (struct parcel){ 0 };
	TAILQ_INSERT_HEAD(&d->spare, n, link);
	d->n_spare++;
}

struct parcel *delivery_push(struct delivery *d, enum lane lane, struct message *m, void *origin)
{
	size_t size = message_size(m);
	struct node *n;

	if (size > d->max_bytes)
		return NULL;
	n = new_node(d);
	n->parcel = (struct parcel){ .message = *m,
				     .number = ++d->last_number,
				     .lane = lane,
				     .origin = origin,
				     .expires_ms = INT64_MAX,
				     .deadline_ms = INT64_MAX };
	n->size = size;
	n->mid = 0;
	n->sent = 0;
	*m = (struct message){ 0 };
	TAILQ_INSERT_TAIL(&d->waiting[lane], n, link);
	d->n_waiting++;
	d->bytes += size;
	return &n->parcel;
}

static struct node *first_waiting(const struct delivery *d)
{
	struct node *n = d->offered;

	for (int i = 0; i < LANES && !n; i++)
		n = TAILQ_FIRST(&d->waiting[i]);
	return n;
}

static struct node *first_ready(const struct delivery *d)
{
	for (int i = 0; i < LANES; i++) {
		struct node *n = TAILQ_FIRST(&d->waiting[i]);

		if (n && n->parcel.number < d->bar[i])
			return n;
	}
	return NULL;
}

struct parcel *delivery_next(struct delivery *d)
{
	if (d->n_in_flight >= d->window)
		return NULL;
	if (!d->offered)
		d->offered = first_ready(d);
	return d->offered ? &d->offered->parcel : NULL;
}

void delivery_walk(struct delivery *d, size_t n, bool (*each)(void *ctx, struct parcel *p),
		   void *ctx)
{
	struct node *node;

	for (int i = 0; i < LANES; i++)
		TAILQ_FOREACH (node, &d->waiting[i], link)
			if (n-- == 0 || !each(ctx, &node->parcel))
				return;
}

void delivery_set_payload(struct delivery *d, struct parcel *p, const char *payload, size_t len)
{
	struct node *n = (struct node *)((char *)p - offsetof(struct node, parcel));

	d->bytes -= n->size;
	message_set_payload(&p->message, payload, len);
	n->size = message_size(&p->message);
	d->bytes += n->size;
}

void delivery_set_window(struct delivery *d, unsigned window)
{
	d->window = window;
}

struct parcel *delivery_find(struct delivery *d, uint64_t number)
{
	struct node *n;

	for (int i = 0; i < LANES; i++)
		TAILQ_FOREACH (n, &d->waiting[i], link)
			if (n->parcel.number == number)
				return &n->parcel;
	return NULL;
}

static bool is_of_same(const struct parcel *a, const struct parcel *b)
{
	return a->kind == b->kind && a->device && b->device && strcmp(a->device, b->device) == 0;
}

struct parcel *delivery_other(struct delivery *d, const struct parcel *one, unsigned n_skipped)
{
	struct node *n, *found = NULL;

	for (int i = 0; i < LANES; i++)
		TAILQ_FOREACH (n, &d->waiting[i], link) {
			if (&n->parcel == one || n->parcel.message.qos == 0 ||
			    n->parcel.number >= d->bar[i] ||
			    (n->parcel.is_state && is_of_same(&n->parcel, one)))
				continue;
			found = n;
			if (n_skipped-- == 0)
				return &found->parcel;
		}
	return found ? &found->parcel : NULL;
}

void delivery_offer(struct delivery *d, struct parcel *p)
{
	d->offered = (struct node *)((char *)p - offsetof(struct node, parcel));
}

static void leave_lane(struct delivery *d, struct node *n)
{
	TAILQ_REMOVE(&d->waiting[n->parcel.lane], n, link);
	d->n_waiting--;
	d->offered = NULL;
}

void delivery_sent(struct delivery *d, int mid)
{
	struct node *n = first_waiting(d);

	assert(n);
	leave_lane(d, n);
	n->mid = mid;
	n->sent = ++d->last_sent;
	TAILQ_INSERT_TAIL(&d->in_flight, n, link);
	d->n_in_flight++;
}

static void leave_aside(struct delivery *d, struct node *n)
{
	TAILQ_REMOVE(&d->aside, n, link);
	d->n_waiting--;
	d->n_aside--;
}

bool delivery_pop(struct delivery *d, struct parcel *out)
{
	struct node *n = first_waiting(d);

	if (n) {
		leave_lane(d, n);
	} else {
		n = TAILQ_FIRST(&d->aside);
		if (!n)
			return false;
		leave_aside(d, n);
	}
	hand_out(d, n, out);
	return true;
}

void delivery_expire_at(struct delivery *d, struct parcel *p, int64_t expires_ms)
{
	p->expires_ms = expires_ms;
	if (expires_ms < d->earliest_ms)
		d->earliest_ms = expires_ms;
}

/* The oldest come first: the next one is found at once.  Only when there is none, all that waits is
 * looked at, to know when to look again. */
static struct node *find_expired(struct delivery *d, int64_t now_ms)
{
	int64_t earliest_ms = INT64_MAX;
	struct node *n;

	for (int i = 0; i < LANES; i++)
		TAILQ_FOREACH (n, &d->waiting[i], link) {
			if (n->parcel.expires_ms <= now_ms)
				return n;
			if (n->parcel.expires_ms < earliest_ms)
				earliest_ms = n->parcel.expires_ms;
		}
	d->earliest_ms = earliest_ms;
	return NULL;
}

bool delivery_expired(struct delivery *d, int64_t now_ms, struct parcel *out)
{
	struct node *n = now_ms < d->earliest_ms ? NULL : find_expired(d, now_ms);

	if (!n)
		return false;
	leave_lane(d, n);
	hand_out(d, n, out);
	return true;
}

int64_t delivery_next_expiry(const struct delivery *d)
{
	return d->earliest_ms;
}

static struct node *oldest(const struct delivery *d)
{
	struct node *found = NULL;

	for (int i = 0; i < LANES; i++) {
		struct node *n = TAILQ_FIRST(&d->waiting[i]);

		if (n && (!found || n->parcel.since_ms < found->parcel.since_ms))
			found = n;
	}
	return found;
}

int64_t delivery_oldest(const struct delivery *d)
{
	const struct node *n = oldest(d);

	return n ? n->parcel.since_ms : INT64_MAX;
}

bool delivery_pop_old(struct delivery *d, int64_t since_ms, struct parcel *out)
{
	struct node *n = oldest(d);

	if (!n || n->parcel.since_ms > since_ms)
		return false;
	leave_lane(d, n);
	hand_out(d, n, out);
	return true;
}

static void leave_flight(struct delivery *d, struct node *n, struct parcel *out)
{
	TAILQ_REMOVE(&d->in_flight, n, link);
	d->n_in_flight--;
	hand_out(d, n, out);
}

static struct node *find_in_flight(struct delivery *d, int mid)
{
	struct node *n;

	/* Brokers acknowledge in order, so this is the first nearly always. */
	TAILQ_FOREACH (n, &d->in_flight, link)
		if (n->mid == mid)
			break;
	return n;
}

bool delivery_acked(struct delivery *d, int mid, struct parcel *out)
{
	struct node *n = find_in_flight(d, mid);

	if (!n)
		return false;
	if (n->sent > d->acked_sent)
		d->acked_sent = n->sent;
	leave_flight(d, n, out);
	return true;
}

bool delivery_is_first(const struct delivery *d, int mid)
{
	const struct node *n = TAILQ_FIRST(&d->in_flight);

	return n && n->mid == mid;
}

bool delivery_is_skipped(const struct delivery *d)
{
	const struct node *n = TAILQ_FIRST(&d->in_flight);

	return n && n->sent < d->acked_sent;
}

void delivery_count_skipped(struct delivery *d)
{
	struct node *n;

	TAILQ_FOREACH (n, &d->in_flight, link)
		n->parcel.n_skipped += n->sent < d->acked_sent;
}

bool delivery_pop_skipped(struct delivery *d, unsigned most, struct parcel *out)
{
	struct node *n;

	TAILQ_FOREACH (n, &d->in_flight, link)
		if (n->parcel.n_skipped >= most) {
			leave_flight(d, n, out);
			return true;
		}
	return false;
}

static struct node *find_greeting(const struct nodes *list)
{
	struct node *n;

	TAILQ_FOREACH (n, list, link)
		if (n->parcel.is_greeting)
			break;
	return n;
}

/* They are not many, and near the head of their lane. */
bool delivery_pop_greeting(struct delivery *d, struct parcel *out, bool *was_sent)
{
	struct node *n = find_greeting(&d->in_flight);

	*was_sent = n;
	if (n) {
		leave_flight(d, n, out);
		return true;
	}
	if ((n = find_greeting(&d->aside)))
		leave_aside(d, n);
	else if ((n = find_greeting(&d->waiting[LANE_EXCHANGE])))
		leave_lane(d, n);
	else
		return false;
	hand_out(d, n, out);
	return true;
}

uint64_t delivery_first_in_flight(const struct delivery *d)
{
	const struct node *n = TAILQ_FIRST(&d->in_flight);

	return n ? n->parcel.number : 0;
}

/* Into its lane, where it was: lanes are in the order of numbers. */
static void wait_again(struct delivery *d, struct node *n)
{
	struct nodes *lane = &d->waiting[n->parcel.lane];
	struct node *next = TAILQ_FIRST(lane);

	while (next && next->parcel.number < n->parcel.number)
		next = TAILQ_NEXT(next, link);
	if (next)
		TAILQ_INSERT_BEFORE(next, n, link);
	else
		TAILQ_INSERT_TAIL(lane, n, link);
	if (n->parcel.expires_ms < d->earliest_ms)
		d->earliest_ms = n->parcel.expires_ms;
}

struct parcel *delivery_in_flight_as(struct delivery *d, int mid)
{
	struct node *n = find_in_flight(d, mid);

	return n ? &n->parcel : NULL;
}

struct parcel *delivery_refused(struct delivery *d, int mid, int64_t due_ms)
{
	struct node *n = find_in_flight(d, mid);

	if (!n)
		return NULL;
	TAILQ_REMOVE(&d->in_flight, n, link);
	d->n_in_flight--;
	d->n_waiting++;
	d->offered = NULL;
	n->parcel.n_refused += due_ms > 0;
	n->due_ms = due_ms;
	if (due_ms) {
		TAILQ_INSERT_TAIL(&d->aside, n, link);
		d->n_aside++;
	} else {
		wait_again(d, n);
	}
	return &n->parcel;
}

void delivery_take_up(struct delivery *d, int64_t now_ms)
{
	struct node *n;

	while ((n = TAILQ_FIRST(&d->aside)) && n->due_ms <= now_ms) {
		leave_aside(d, n);
		d->n_waiting++;
		wait_again(d, n);
	}
}

int64_t delivery_aside_ms(const struct delivery *d)
{
	const struct node *n = TAILQ_FIRST(&d->aside);

	return n ? n->due_ms : INT64_MAX;
}

bool delivery_is_ready(const struct delivery *d)
{
	return d->n_waiting > d->n_aside && first_ready(d);
}

static struct node *older(struct nodes *list, bool is_in_order, const struct parcel *than)
{
	struct node *n;

	TAILQ_FOREACH (n, list, link) {
		const struct parcel *p = &n->parcel;

		if (is_in_order && p->number > than->number)
			break;
		if (p->number < than->number && is_of_same(p, than))
			return n;
	}
	return NULL;
}

bool delivery_pop_older(struct delivery *d, const struct parcel *than, struct parcel *out)
{
	struct node *n;

	if (!than->device)
		return false;
	if ((n = older(&d->aside, false, than))) {
		leave_aside(d, n);
	} else {
		n = older(&d->waiting[than->lane], true, than);
		if (!n)
			return false;
		leave_lane(d, n);
	}
	hand_out(d, n, out);
	return true;
}

static struct node *such(struct nodes *list, bool (*is)(void *ctx, const struct parcel *p),
			 void *ctx)
{
	struct node *n;

	TAILQ_FOREACH (n, list, link)
		if (is(ctx, &n->parcel))
			return n;
	return NULL;
}

bool delivery_pop_such(struct delivery *d, bool (*is)(void *ctx, const struct parcel *p), void *ctx,
		       struct parcel *out)
{
	struct node *n = such(&d->aside, is, ctx);

	if (n)
		leave_aside(d, n);
	for (int i = 0; !n && i < LANES; i++) {
		n = such(&d->waiting[i], is, ctx);
		if (n)
			leave_lane(d, n);
	}
	if (n)
		hand_out(d, n, out);
	return n;
}

void delivery_reset(struct delivery *d)
{
	struct node *n;

	/* What was sent is older than what waits, but for one that was let pass (delivery_other()):
	 * so from the last one on, each goes to the head, or next to it. */
	while ((n = TAILQ_LAST(&d->in_flight, nodes))) {
		TAILQ_REMOVE(&d->in_flight, n, link);
		wait_again(d, n);
	}
	d->n_waiting += d->n_in_flight;
	d->n_in_flight = 0;
	d->acked_sent = 0;
	d->offered = NULL;
}

static void each_of(struct nodes *list, void (*each)(void *ctx, struct parcel *p), void *ctx)
{
	struct node *n;

	TAILQ_FOREACH (n, list, link)
		each(ctx, &n->parcel);
}

void delivery_each(struct delivery *d, bool in_flight, void (*each)(void *ctx, struct parcel *p),
		   void *ctx)
{
	if (in_flight) {
		each_of(&d->in_flight, each, ctx);
		return;
	}
	for (int i = 0; i < LANES; i++)
		each_of(&d->waiting[i], each, ctx);
	each_of(&d->aside, each, ctx);
}

size_t delivery_waiting(const struct delivery *d)
{
	return d->n_waiting;
}

size_t delivery_in_flight(const struct delivery *d)
{
	return d->n_in_flight;
}

size_t delivery_bytes(const struct delivery *d)
{
	return d->bytes;
}

/* --- what waits elsewhere ------------------------------------------------------------------ */

uint64_t delivery_take_numbers(struct delivery *d, unsigned n)
{
	d->last_number += n;
	return d->last_number - n + 1;
}

uint64_t delivery_last_number(const struct delivery *d)
{
	return d->last_number;
}

uint64_t delivery_oldest_number(const struct delivery *d)
{
	const struct node *n = oldest(d);

	return n ? n->parcel.number : UINT64_MAX;
}

size_t delivery_n_ready(const struct delivery *d, size_t most)
{
	const struct node *node;
	size_t n = 0;

	for (int i = 0; i < LANES; i++)
		TAILQ_FOREACH (node, &d->waiting[i], link) {
			if (n == most || node->parcel.number >= d->bar[i])
				break;
			n++;
		}
	return n;
}

void delivery_bar(struct delivery *d, enum lane lane, uint64_t number)
{
	d->bar[lane] = number;
	d->offered = NULL;
}

void delivery_put_back(struct delivery *d, struct parcel *p, uint64_t number)
{
	struct node *n = (struct node *)((char *)p - offsetof(struct node, parcel));

	TAILQ_REMOVE(&d->waiting[p->lane], n, link);
	p->number = number;
	wait_again(d, n);
}

/* The one behind those of the same origin, of which there are *n, of so many bytes. */
static struct node *behind(struct node *first, unsigned *n, size_t *bytes, bool *was_sent)
{
	struct node *at = first;

	*n = 0;
	*bytes = 0;
	*was_sent = false;
	while (at && at->parcel.origin == first->parcel.origin) {
		++*n;
		*bytes += at->size;
		*was_sent = *was_sent || at->sent;
		at = TAILQ_NEXT(at, link);
	}
	return at;
}

static void take_away(struct delivery *d, struct node *n, const struct delivery_sifter *s)
{
	struct parcel parcel;

	leave_lane(d, n);
	hand_out(d, n, &parcel);
	s->take(s->ctx, &parcel);
	parcel_fini(&parcel);
}

bool delivery_sift(struct delivery *d, enum lane lane, size_t n_kept,
		   const struct delivery_sifter *s)
{
	struct node *first = TAILQ_FIRST(&d->waiting[lane]), *next;
	enum delivery_sift what;
	bool was_sent;
	size_t bytes;
	unsigned n;

	for (; first && n_kept > 0; n_kept--)
		first = TAILQ_NEXT(first, link);
	for (; first; first = next) {
		next = behind(first, &n, &bytes, &was_sent);
		what = was_sent ? DELIVERY_KEEP : s->each(s->ctx, &first->parcel, n, bytes);
		if (what == DELIVERY_STOP)
			return false;
		while (what == DELIVERY_TAKE && first != next) {
			struct node *after = TAILQ_NEXT(first, link);

			take_away(d, first, s);
			first = after;
		}
	}
	return true;
}
