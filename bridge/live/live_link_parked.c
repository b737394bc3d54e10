/* live_link_parked.c -- what waits for a device that cannot be reached is on the disk: but for a few at the head of its
 * delivery, messages leave the memory, and come back in pieces when they can be sent.
 *
 * What is always so, of a device:
 * - What is parked is in the journal, durable, and pending.  Of it there is only its place there, and its number in the
 *   delivery.
 * - They are in the order of these numbers, and greater than all that was parked before.  Of what has the number of the
 *   first of them or a greater one, nothing is sent (delivery_bar()): so whatever comes meanwhile stays behind.
 * - What comes back goes the way that it would go after a restart, and to its old place.  The next piece is read
 *   when all of the last has been sent or settled (link_mark()).
 * - The database is read only between commits (live_link_use_disk()). */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "fleet/fleet.h"
#include "delivery/delivery.h"
#include "delivery/roster.h"
#include "net/loop.h"
#include "plan/plan.h"
#include "live/live_link_inside.h"
#include "live/suspects.h"
#include "store/journal.h"
#include "store/journal_live.h"

#define KEPT		8   /* of each lane, in memory, while the device cannot be reached */
#define FEW		32  /* so few are left in memory: the next are read back, at a time ... */
#define PIECE		64  /* ... of a device ... */
#define PER_TURN	256 /* ... and of all */
#define OUTPUTS		16  /* of a message that an earlier run left, at most */
#define LOOK_MS		100 /* is it durable now? */
#define BUSY_MS		20  /* a commit is in flight; its end is a turn, too */
#define CAREFUL_LOOK_MS 1000
#define CHUNK		32

struct parked_message {
	struct journal_place at;
	struct link_away away;
	uint32_t bytes;
	uint32_t n; /* numbers from that of its place on: what comes of it has those */
};

struct chunk {
	TAILQ_ENTRY(chunk) entry;
	unsigned from, to;
	struct parked_message items[CHUNK];
};
TAILQ_HEAD(chunks, chunk);

struct parked {
	struct chunks lanes[LANES];
	size_t n, bytes;
	uint64_t coming[LANES];	 /* the first of those that are on their way back; 0: none is */
	uint64_t mark;		 /* behind the last of these; 0: it is through */
	uint64_t ends_at;	 /* what has this number, or a smaller one, is cut back */
	uint64_t fell_at[LANES]; /* likewise, has fallen out */
};

/* --- the list ------------------------------------------------------------------------------ */

static struct parked *parked_of(struct port *p)
{
	if (p->parked)
		return p->parked;
	p->parked = mem_zalloc(sizeof *p->parked);
	for (int i = 0; i < LANES; i++)
		TAILQ_INIT(&p->parked->lanes[i]);
	return p->parked;
}

static const struct parked_message *first_of(const struct parked *k, enum lane lane)
{
	const struct chunk *c = TAILQ_FIRST(&k->lanes[lane]);

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
	return c ? &c->items[c->from] : NULL;
}

static const struct parked_message *last_of(const struct parked *k, enum lane lane)
{
	const struct chunk *c = TAILQ_LAST(&k->lanes[lane], chunks);

	return c ? &c->items[c->to - 1] : NULL;
}

/* The lane of the one that has waited longest; LANES: nothing is parked. */
static enum lane oldest_lane(const struct parked *k)
{
	const struct parked_message *m, *oldest = NULL;
	enum lane found = LANES;

	for (int i = 0; k && i < LANES; i++) {
		m = first_of(k, (enum lane)i);
		if (m && (!oldest || m->at.since_ms < oldest->at.since_ms)) {
			oldest = m;
			found = (enum lane)i;
		}
	}
	return found;
}

static void set_bar(struct port *p, enum lane lane)
{
	const struct parked *k = p->parked;
	const struct parked_message *first = first_of(k, lane);

	delivery_bar(p->delivery, lane,
		     k->coming[lane] ? k->coming[lane]
		     : first	     ? first->away.place
				     : UINT64_MAX);
}

static void append(struct port *p, enum lane lane, const struct parked_message *m)
{
	struct parked *k = parked_of(p);
	struct chunk *c = TAILQ_LAST(&k->lanes[lane], chunks);

	if (!c || c->to == CHUNK) {
		c = mem_alloc(sizeof *c);
		c->from = c->to = 0;
		TAILQ_INSERT_TAIL(&k->lanes[lane], c, entry);
	}
	c->items[c->to++] = *m;
	k->n++;
	k->bytes += m->bytes;
	set_bar(p, lane);
}

/* (The bar stays where it is.) */
static struct parked_message pop(struct parked *k, enum lane lane)
{
	struct chunk *c = TAILQ_FIRST(&k->lanes[lane]);
	struct parked_message m = c->items[c->from++];

	if (c->from == c->to) {
		TAILQ_REMOVE(&k->lanes[lane], c, entry);
		free(c);
	}
	k->n--;
	k->bytes -= m.bytes;
	return m;
}

void live_link_forget_parked(struct port *p)
{
	struct parked *k = p->parked;

	for (int i = 0; k && i < LANES; i++)
		while (first_of(k, (enum lane)i))
			pop(k, (enum lane)i);
	free(k);
	p->parked = NULL;
}

/* --- all that waits for a port -------------------------------------------------------------- */

size_t live_link_waiting(const struct port *p)
{
	return delivery_waiting(p->delivery) + (p->parked ? p->parked->n : 0);
}

size_t live_link_bytes(const struct port *p)
{
	return delivery_bytes(p->delivery) + (p->parked ? p->parked->bytes : 0);
}

size_t live_link_on_disk(const struct port *p)
{
	return p->parked ? p->parked->n : 0;
}

static int64_t oldest_parked_ms(const struct port *p)
{
	enum lane lane = oldest_lane(p->parked);

	return lane < LANES ? first_of(p->parked, lane)->at.since_ms : INT64_MAX;
}

int64_t live_link_oldest_ms(const struct port *p)
{
	int64_t here_ms = delivery_oldest(p->delivery), there_ms = oldest_parked_ms(p);

	return here_ms < there_ms ? here_ms : there_ms;
}

/* --- to the disk --------------------------------------------------------------------------- */

struct parking {
	struct port *port;
	struct parked_message message;
	bool is_begun;
	bool is_noted; /* one that has to be durable first */
};

/* What came with QoS 0 has no record: it gets one. */
static bool note_in_journal(struct port *p, const struct parcel *first, unsigned n)
{
	struct live_link *live = p->live;
	struct message raw = { 0 };
	struct arrival a;
	struct record *r;

	if (!link_may_let_go(live->link, first->origin, p->device, n) ||
	    !link_copy_raw(first->origin, &raw, &a))
		return false;
	r = journal_live_accept(live->records, a.from, a.device, &raw, a.at_ms, first->since_ms);
	link_set_tag(first->origin, r);
	message_fini(&raw);
	return true;
}

/* Will it be durable soon? */
static bool is_on_its_way(const struct record *r)
{
	return !record_is_stored(r) || record_commit(r) != 0;
}

/* What may not wait for ever, or whose sender is told what becomes of it, is seen to in memory. */
static bool is_simple(const struct parcel *first)
{
	return first->expires_ms == INT64_MAX && first->deadline_ms == INT64_MAX && !first->order &&
	       !first->is_greeting && first->origin;
}

static enum delivery_sift may_be_parked(void *ctx, const struct parcel *first, unsigned n,
					size_t bytes)
{
	struct parking *x = ctx;
	struct port *p = x->port;
	const struct parked *k = parked_of(p);
	const struct parked_message *last = last_of(k, first->lane);
	struct record *r = link_tag(first->origin);
	uint64_t behind = last ? last->away.place : k->coming[first->lane];

	if (!is_simple(first) || first->number < behind || bytes > UINT32_MAX)
		return DELIVERY_KEEP;
	if (!r)
		x->is_noted = note_in_journal(p, first, n) || x->is_noted;
	if (!r || x->is_noted || !link_may_let_go(p->live->link, first->origin, p->device, n))
		return DELIVERY_KEEP;
	if (!record_may_leave(r))
		return is_on_its_way(r) ? DELIVERY_STOP : DELIVERY_KEEP;
	x->message = (struct parked_message){ .bytes = (uint32_t)bytes, .n = n };
	x->is_begun = false;
	return DELIVERY_TAKE;
}

/* The first of those of an origin takes it along. */
static void park(void *ctx, const struct parcel *parcel)
{
	struct parking *x = ctx;
	struct port *p = x->port;
	struct live_link *live = p->live;
	struct record *r;

	link_acked(live->link, p->side, parcel->echo, live->now_ms);
	if (x->is_begun)
		return;
	x->is_begun = true;
	r = link_tag(parcel->origin);
	x->message.away = link_let_go(live->link, parcel->origin);
	x->message.away.place = parcel->number;
	record_leave(r, &x->message.at);
	append(p, parcel->lane, &x->message);
}

/* Whatever waits behind what is parked goes there, too. */
static bool is_to_park(const struct port *p)
{
	return p->device && p->suspect.stage == SUSPECT_NONE &&
	       (live_link_is_parked(p) || (p->parked && p->parked->n > PIECE)) &&
	       !(p->parked && p->parked->mark) && delivery_waiting(p->delivery) > KEPT;
}

static void park_all(struct port *p)
{
	struct parking x = { .port = p };
	const struct delivery_sifter s = { may_be_parked, park, &x };

	for (int i = 0; i < LANES; i++)
		if (!delivery_sift(p->delivery, (enum lane)i, KEPT, &s))
			p->is_unparked = true;
	p->is_unparked = p->is_unparked || x.is_noted;
}

/* --- and back ------------------------------------------------------------------------------ */

static void tell_unread(const struct port *p, const struct parked_message *m, const struct err *e)
{
	log_event(LOG_ERROR, "row-damaged", "link=%s part=journal key=%llu reason=%s",
		  p->live->plan->name, (unsigned long long)m->at.row, log_value(e->text));
}

/* What cannot be read stays in the journal; the next start sets it aside. */
static void bring_back(struct port *p, const struct parked_message *m)
{
	struct live_link *live = p->live;
	struct journal_output *outputs = NULL;
	struct journal_entry entry = { 0 };
	struct err e = { 0 };
	size_t n = 0;
	struct record *r = journal_live_recall(live->records, side_other(p->side), &m->at, &e);

	if (!r) {
		tell_unread(p, m, &e);
		return;
	}
	if (record_read(r, &entry, &outputs, &n, &e)) {
		live_link_go_back(live, r, &entry, outputs, n, &m->away);
	} else {
		tell_unread(p, m, &e);
		record_forget(r);
	}
	message_fini(&entry.message);
	free(entry.session);
	for (size_t i = 0; i < n; i++)
		journal_output_fini(&outputs[i]);
	free(outputs);
}

/* When the first of a lane has to come in any case: it is too old, or cut back. */
static int64_t due_ms(const struct port *p, enum lane lane)
{
	const struct parked_message *m = first_of(p->parked, lane);

	return !m				     ? INT64_MAX
	       : m->away.place <= p->parked->ends_at ? 0
						     : m->at.since_ms + live_link_most_age_ms(p);
}

static int64_t first_due_ms(const struct port *p)
{
	int64_t first_ms = INT64_MAX;

	for (int i = 0; i < LANES; i++)
		if (due_ms(p, (enum lane)i) < first_ms)
			first_ms = due_ms(p, (enum lane)i);
	return first_ms;
}

/* Could more of them be sent than are in memory? */
static bool is_short(const struct port *p)
{
	return p->phase == DEVICE_UP && p->carrier &&
	       delivery_n_ready(p->delivery, FEW) + delivery_in_flight(p->delivery) < FEW;
}

static bool wants_back(const struct port *p, int64_t now_ms)
{
	const struct parked *k = p->parked;

	return k && k->n && !k->mark && !suspects_is_careful(p->live->parts->suspects) &&
	       (is_short(p) || first_due_ms(p) <= now_ms);
}

static size_t bring_some(struct port *p, size_t most, int64_t now_ms)
{
	struct parked *k = p->parked;
	bool is_any = is_short(p);
	struct parked_message m;
	size_t n = 0;

	for (int i = 0; i < LANES; i++)
		while (n < most && first_of(k, (enum lane)i) &&
		       (is_any || due_ms(p, (enum lane)i) <= now_ms)) {
			m = pop(k, (enum lane)i);
			if (!k->coming[i])
				k->coming[i] = m.away.place;
			bring_back(p, &m);
			n++;
		}
	k->mark = ++p->live->n_marks;
	link_mark(p->live->link, side_other(p->side), p->device, k->mark);
	p->live->is_handing_on = true;
	live_link_wake_port(p);
	return n;
}

void live_link_came_back(void *ctx, const char *device, uint64_t mark)
{
	struct live_link *live = ctx;
	struct port *p = map_get_str(&live->of_device[NORTH], device);

	if (!p || !p->parked || p->parked->mark != mark)
		return;
	p->parked->mark = 0;
	for (int i = 0; i < LANES; i++) {
		p->parked->coming[i] = 0;
		set_bar(p, (enum lane)i);
	}
	live_link_wake_port(p);
}

enum outcome live_link_end_of(const struct port *p, enum lane lane, uint64_t place)
{
	const struct parked *k = place ? p->parked : NULL;

	return !k			   ? CARRIED
	       : place <= k->ends_at	   ? DEAD_CUT_BACK
	       : place <= k->fell_at[lane] ? DEAD_PARKED_FULL
					   : CARRIED;
}

void live_link_cut_parked(struct port *p)
{
	if (!p->parked)
		return;
	p->parked->ends_at = delivery_last_number(p->delivery);
	live_link_wake_port(p);
}

/* --- what falls out ------------------------------------------------------------------------- */

/* Unread. */
static void drop(struct port *p, const struct parked_message *m)
{
	struct live_link *live = p->live;
	struct err e = { 0 };
	struct arrival a = { .from = side_other(p->side),
			     .since_ms = m->at.since_ms,
			     .away = &m->away };

	a.tag = journal_live_recall(live->records, a.from, &m->at, &e);
	if (!a.tag)
		tell_unread(p, m, &e);
	else
		link_end_away(live->link, &a, p->device, m->at.is_own, DEAD_PARKED_FULL);
}

/* Where it counts what it said (fleet/compare.h), it comes back for that. */
static void drop_compared(struct port *p, enum lane lane, const struct parked_message *m)
{
	p->parked->fell_at[lane] = m->away.place + m->n - 1;
	bring_back(p, m);
	p->live->is_handing_on = true;
}

bool live_link_drop_parked(struct port *p, int64_t *since_ms)
{
	enum lane lane = oldest_lane(p->parked);
	struct parked_message m;

	if (lane == LANES || !p->live->is_at_disk)
		return false;
	m = pop(p->parked, lane);
	set_bar(p, lane);
	*since_ms = m.at.since_ms;
	if (fleet_mirrors(link_fleet(p->live->link)))
		drop_compared(p, lane, &m);
	else
		drop(p, &m);
	return true;
}

bool live_link_is_oldest_parked(const struct port *p)
{
	int64_t here_ms = delivery_oldest(p->delivery), there_ms = oldest_parked_ms(p);
	enum lane lane = oldest_lane(p->parked);

	return there_ms < here_ms ||
	       (lane < LANES && there_ms == here_ms &&
		first_of(p->parked, lane)->away.place < delivery_oldest_number(p->delivery));
}

/* --- between two commits -------------------------------------------------------------------- */

void live_link_use_disk(struct live_link *live, int64_t now_ms)
{
	size_t left = PER_TURN;
	struct port *p;

	live->is_at_disk = live->was_at_disk = true;
	live_link_shed(live);
	FOREACH_AWAKE_PORT (p, live) {
		if (!p->turn)
			continue;
		if (p->parked)
			live_link_let_fall(p, now_ms);
		p->is_unparked = false;
		if (is_to_park(p))
			park_all(p);
		if (left && wants_back(p, now_ms))
			left -= bring_some(p, left < PIECE ? left : PIECE, now_ms);
	}
	live->is_at_disk = false;
}

int64_t live_link_disk_due_ms(const struct port *p, int64_t now_ms)
{
	int64_t soon_ms = p->live->was_at_disk ? now_ms : now_ms + BUSY_MS, old_ms;

	if (!p->parked)
		return p->is_unparked ? now_ms + LOOK_MS : INT64_MAX;
	if (p->parked->n && suspects_is_careful(p->live->parts->suspects))
		return now_ms + CAREFUL_LOOK_MS;
	if (wants_back(p, now_ms) || (p->parked->n && live_link_overflows(p)))
		return soon_ms;
	old_ms = p->parked->mark ? INT64_MAX : first_due_ms(p);
	return p->is_unparked && now_ms + LOOK_MS < old_ms ? now_ms + LOOK_MS : old_ms;
}

/* --- an earlier run ------------------------------------------------------------------------- */

/* Of what an earlier run decided: all of it is for this device's session.  Borrowed; NULL: it is not. */
static const char *target_of(const struct live_link *live, const struct journal_output *outputs,
			     size_t n)
{
	const char *device = n ? outputs[0].device : NULL;

	for (size_t i = 0; device && i < n; i++)
		if (outputs[i].to != NORTH || !outputs[i].device || outputs[i].far_id ||
		    outputs[i].expires_ms != INT64_MAX || outputs[i].lane != outputs[0].lane ||
		    strcmp(outputs[i].device, device) != 0)
			return NULL;
	return device && plan_session_of(live->plan, NORTH, device) ? device : NULL;
}

/* Whose it is; NULL: not known, or it is to be looked at now.  Caller frees. */
static char *whose(const struct live_link *live, const struct arrival *a,
		   const struct journal_entry *entry, const struct journal_output *outputs,
		   size_t n, enum kind *kind)
{
	*kind = KIND_NONE;
	return entry->is_decided ? mem_strdup(target_of(live, outputs, n))
				 : link_reports_of(live->link, a, kind);
}

static size_t size_of(const struct journal_entry *entry, const struct journal_output *outputs,
		      size_t n)
{
	size_t bytes = n ? 0 : message_size(&entry->message);

	for (size_t i = 0; i < n; i++)
		bytes += message_size(&outputs[i].message);
	return bytes;
}

/* What is not parked comes at once: all that is behind it of its device has to, too.  (It may be the first that is
 * heard of it.) */
static void stop_keeping(struct live_link *live, const struct arrival *a, bool is_own,
			 const char *device)
{
	const char *named = device ? device : is_own ? NULL : link_entry_device(live->link, a);
	struct port *p = named && link_wants_session(live->link, named)
				 ? live_link_device_port(live, named)
				 : NULL;

	if (p)
		p->keeps_none = true;
	live->keeps_none = live->keeps_none || !named;
}

/* What the bridge has answered a device needs no turn of its session in the north. */
static bool is_for_south(const struct journal_entry *entry, const struct journal_output *outputs,
			 size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (outputs[i].to != SOUTH)
			return false;
	return entry->is_decided;
}

static bool may_keep(const struct live_link *live, const struct journal_entry *entry)
{
	return live->plan->has_device_sessions && entry->from == SOUTH &&
	       !suspects_is_careful(live->parts->suspects);
}

bool live_link_keep_parked(struct live_link *live, struct record *r,
			   const struct journal_entry *entry, const struct journal_output *outputs,
			   size_t n)
{
	struct arrival a = { .from = entry->from,
			     .device = entry->session,
			     .message = &entry->message,
			     .at_ms = entry->received_ms };
	struct parked_message m = { .bytes = (uint32_t)size_of(entry, outputs, n), .n = OUTPUTS };
	struct port *p = NULL;
	enum kind kind;
	char *device;

	if (!may_keep(live, entry) || is_for_south(entry, outputs, n))
		return false;
	device = whose(live, &a, entry, outputs, n, &kind);
	if (device && link_wants_session(live->link, device))
		p = live_link_device_port(live, device);
	if (!p || entry->n_crashes || p->keeps_none || live->keeps_none) {
		stop_keeping(live, &a, !entry->batch, device);
		free(device);
		return false;
	}
	m.away = link_keep_away(live->link, &a, entry->is_decided ? NULL : device, kind,
				!entry->batch);
	m.away.place = delivery_take_numbers(p->delivery, OUTPUTS);
	record_leave(r, &m.at);
	append(p, n ? outputs[0].lane : kind_table[kind].lane, &m);
	free(device);
	return true;
}
