/* live_link_stamp.c -- history keeps its time: what could not leave within STAMP_AFTER_MS of its arrival says when that
 * was, where the target can say it.
 *
 * That is decided when it is to be handed over, and it is translated once more for it, with the time.  What always
 * holds, for a device: once one was stamped, all are until nothing waits; none says a time before that at which the
 * last one without a time left for the same topic, or history would be read in another order; and what was handed over
 * once keeps its bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "delivery/delivery.h"
#include "live/live_link_inside.h"

#define STAMP_AFTER_MS 10000
#define AHEAD	       100 /* translated at a time */
#define MAX_KNOWN      10000

/* What is known of a device, or of what goes to a topic for it. */
struct stamped {
	bool is_stamping; /* of the device */
	int64_t last_ms; /* of the topic: when the last one left there that could have said a time */
};

int64_t live_link_mono_ms(const struct port *p)
{
	return p->live->parts->mono_ms ? p->live->parts->mono_ms() : clock_mono_ms();
}

void live_link_stamp_init(struct port *p, struct parcel *parcel, const struct stamp *stamp,
			  int64_t now_ms)
{
	parcel->stamp = *stamp;
	parcel->stamp.from_ms = live_link_mono_ms(p);
	parcel->stamp.age_ms = now_ms > stamp->at_ms ? now_ms - stamp->at_ms : 0;
}

/* `topic` NULL: of the device. */
static const char *put_key(struct port *p, const char *device, const char *topic)
{
	buf_reset(&p->stamp_key);
	buf_puts(&p->stamp_key, device);
	if (topic) {
		buf_putc(&p->stamp_key, '\n');
		buf_puts(&p->stamp_key, topic);
	}
	return p->stamp_key.data;
}

static struct stamped *get(struct port *p, const char *key)
{
	struct stamped *known = map_get_str(&p->stamped, key);

	if (!known) {
		known = mem_zalloc(sizeof *known);
		map_set_str(&p->stamped, key, known);
	}
	return known;
}

/* Does the clock of the machine say a time of day of this? */
static bool is_plausible(const struct port *p, int64_t ms)
{
	return clock_is_plausible(ms + p->live->ahead_ms);
}

static bool wants(struct port *p, const struct parcel *parcel, int64_t now_ms)
{
	const struct stamp *s = &parcel->stamp;
	const struct stamped *device;

	if (!s->reader || s->is_asked || !parcel->device || !is_plausible(p, now_ms) ||
	    !is_plausible(p, s->at_ms))
		return false;
	device = map_get_str(&p->stamped, put_key(p, parcel->device, NULL));
	return (device && device->is_stamping) ||
	       s->age_ms + live_link_mono_ms(p) - s->from_ms >= STAMP_AFTER_MS;
}

static void ask(struct port *p, struct parcel *parcel)
{
	const struct stamped *topic =
		map_get_str(&p->stamped, put_key(p, parcel->device, parcel->message.topic));

	if (topic && parcel->stamp.at_ms < topic->last_ms)
		parcel->stamp.at_ms = topic->last_ms;
	get(p, put_key(p, parcel->device, NULL))->is_stamping = true;
	p->is_stamping = p->has_asked = true;
	parcel->stamp.is_asked = true;
	link_stamp(p->live->link, parcel->origin, &parcel->stamp, p, parcel->number);
}

struct walk {
	struct port *port;
	int64_t now_ms;
};

static bool ask_ahead(void *ctx, struct parcel *parcel)
{
	const struct walk *w = ctx;

	if (wants(w->port, parcel, w->now_ms))
		ask(w->port, parcel);
	return true;
}

bool live_link_stamp(struct port *p, struct parcel *next, int64_t now_ms)
{
	struct walk w = { p, now_ms };

	if (wants(p, next, now_ms)) {
		ask(p, next);
		delivery_walk(p->delivery, AHEAD, ask_ahead, &w);
	}
	return !next->stamp.is_asked;
}

void live_link_stamped(void *ctx, void *asked, uint64_t number, const struct message *m)
{
	struct port *p = asked;
	struct parcel *parcel = delivery_find(p->delivery, number);

	(void)ctx;
	live_link_wake_port(p);
	if (!parcel)
		return; /* it waits no more */
	parcel->stamp.is_asked = false;
	parcel->stamp.reader = NULL;
	if (!m || strcmp(m->topic, parcel->message.topic) != 0 ||
	    (m->payload_len == parcel->message.payload_len &&
	     memcmp(m->payload, parcel->message.payload, m->payload_len) == 0))
		return;
	delivery_set_payload(p->delivery, parcel, m->payload, m->payload_len);
	parcel->stamp.has_time = true;
}

static void end_stamping(struct port *p)
{
	struct map_pos pos = { 0 };
	struct stamped *known;

	if (p->stamped.n > MAX_KNOWN)
		map_fini(&p->stamped, free);
	while (p->is_stamping && (known = map_next(&p->stamped, &pos)) != NULL)
		known->is_stamping = false;
	p->is_stamping = false;
}

void live_link_stamp_sent(struct port *p, struct parcel *sent, int64_t now_ms)
{
	if (sent->stamp.reader && sent->device)
		get(p, put_key(p, sent->device, sent->message.topic))->last_ms = now_ms;
	sent->stamp.reader = NULL;
	if (live_link_waiting(p) == 0)
		end_stamping(p);
}
