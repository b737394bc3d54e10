/* live_link_pace.c -- how much of what waits for a port leaves, when, and which alone: what the platform bears, and what
 * its behaviour tells (delivery/slow_start.h, delivery/suspect.h).
 *
 * The port of handshakes has none of it: its connections are short by their nature. */
#include <inttypes.h>

#include "base/log.h"
#include "conf/conf.h"
#include "delivery/delivery.h"
#include "net/loop.h"
#include "live/live_link_inside.h"
#include "delivery/roster.h"

#define MOST_SKIPPED 3

static int64_t now(const struct port *p)
{
	return loop_now_ms(p->live->parts->loop);
}

/* It is made for what waits, by one that is held, and cannot be waited in. */
static bool is_visit(const struct port *p)
{
	return p->live->backpressure.is_held[p->side];
}

/* --- what the platform bears --------------------------------------------------------------- */

static void set_limits(struct port *p, const struct limits *limits)
{
	int64_t plan_bytes = p->live->plan->limits[p->side].packet_bytes;
	int64_t window = limits->in_flight;

	p->window = window && window < DELIVERY_WINDOW ? (unsigned)window : DELIVERY_WINDOW;
	p->packet_bytes = limits->packet_bytes == plan_bytes ? 0 : limits->packet_bytes;
	if (limits->messages_per_second != p->per_second)
		rate_limit_init(&p->rate, limits->messages_per_second);
	p->per_second = limits->messages_per_second;
}

void live_link_pace_init(struct port *p)
{
	ack_clock_init(&p->acks, p->live->conf->side[p->side].ack_timeout_s * INT64_C(1000));
	set_limits(p, &p->live->plan->limits[p->side]);
}

void live_link_pace_told(struct port *p, const struct limits *told)
{
	struct limits limits = limits_narrow(&p->live->plan->limits[p->side], told);

	roster_wake(p->live->turn);
	if (p->live->conf->side[p->side].asks_limits)
		set_limits(p, &limits);
}

/* --- verdicts ------------------------------------------------------------------------------ */

static void bury_suspect(struct port *p, uint64_t number)
{
	struct parcel *suspect = delivery_find(p->delivery, number);
	struct parcel parcel;

	if (!suspect)
		return;
	delivery_offer(p->delivery, suspect);
	if (delivery_pop(p->delivery, &parcel))
		live_link_end_parcel(p, &parcel, DEAD_BROKER_REFUSED,
				     "the far side ends the connection each time this is sent");
}

static void tell(const struct port *p, enum log_level level, const char *event, const char *reason)
{
	if (p->device)
		log_limited(level, now(p), live_link_subject(p, event), event, "%s reason=\"%s\"",
			    p->name, reason);
	else
		log_event(level, event, "%s reason=\"%s\"", p->name, reason);
}

static void act_on(struct port *p, enum suspect_verdict verdict, int64_t now_ms)
{
	switch (verdict) {
	case SUSPECT_OPEN:
		break;
	case SUSPECT_BEGINS:
		tell(p, LOG_WARNING, "message-suspected",
		     "the far side ended several connections soon after they got the same message: "
		     "it is tried "
		     "alone");
		break;
	case SUSPECT_ACQUITTED:
		tell(p, LOG_INFO, "message-acquitted",
		     "what ended the connections was something else");
		slow_start_begin(&p->slow, now_ms);
		break;
	case SUSPECT_BOTH:
		tell(p, LOG_WARNING, "control-ended",
		     "another message ends the connection as well: all wait for a while");
		break;
	case SUSPECT_GUILTY:
		slow_start_begin(&p->slow, now_ms);
		bury_suspect(p, p->suspect.number);
		break;
	}
}

/* --- what the carrier tells ---------------------------------------------------------------- */

void live_link_pace_up(struct port *p)
{
	ack_clock_reset(&p->acks);
	slow_start_up(&p->slow, now(p));
	suspect_up(&p->suspect, is_visit(p), now(p));
}

void live_link_pace_answered(struct port *p)
{
	suspect_answered(&p->suspect);
}

void live_link_pace_down(struct port *p, enum session_end end)
{
	uint64_t oldest = delivery_first_in_flight(p->delivery);
	bool by_peer = end == SESSION_END_CLOSED;

	delivery_reset(p->delivery);
	ack_clock_reset(&p->acks);
	if (p->is_provisioning)
		return;
	if (by_peer && p->suspect.stage == SUSPECT_NONE &&
	    slow_start_ended(&p->slow, oldest, now(p)))
		tell(p, LOG_WARNING, "slow-start",
		     "the far side ended the connection soon after it got what waits: it gets less "
		     "at once");
	act_on(p, suspect_ended(&p->suspect, by_peer, oldest, now(p)), now(p));
}

void live_link_pace_sent(struct port *p, const struct parcel *parcel, int64_t now_ms)
{
	rate_limit_take(&p->rate, now_ms);
	rate_limit_take(&p->slow.pace, now_ms);
	if (p->device)
		endpoint_sent(p->live->endpoint, &p->seat, now_ms);
	if (p->is_provisioning)
		link_question_sent(p->live->link, p->session);
	else
		ack_clock_sent(&p->acks, now_ms);
	if (parcel->message.qos > 0)
		suspect_sent(&p->suspect, parcel->number, now_ms);
}

/* --- what is acknowledged, or refused ------------------------------------------------------ */

#define TRIES	     5
#define TRY_AGAIN_MS 15000 /* five tries take a minute */
#define SUPERSEDED                                                                                 \
	"superseded: the far side did not take it at first, and took a newer one meanwhile"

/* What a code of MQTT 5 says of the message: nothing, now. */
static bool is_too_much(int code)
{
	return code == 0x91 || code == 0x96 || code == 0x97;
}

/* Something else went wrong over there, and may not the next time. */
static bool is_passing(int code)
{
	return code == 0x80 || code == 0x83;
}

static void note_answer(struct port *p, uint64_t number, bool was_first)
{
	if (was_first)
		ack_clock_acked(&p->acks, delivery_in_flight(p->delivery) > 0, now(p));
	act_on(p, suspect_acked(&p->suspect, number), now(p));
}

void live_link_pace_acked(struct port *p, const struct parcel *parcel, bool was_first,
			  bool is_taken)
{
	struct parcel older;

	if (!parcel->is_greeting)
		slow_start_acked(&p->slow, now(p));
	while (is_taken && parcel->is_state && delivery_pop_older(p->delivery, parcel, &older))
		live_link_end_parcel(p, &older, DEAD_BROKER_REFUSED, SUPERSEDED);
	note_answer(p, parcel->number, was_first);
}

bool live_link_pace_refused(struct port *p, int mid, int code, bool was_first)
{
	int64_t due_ms = is_passing(code) ? now(p) + TRY_AGAIN_MS : 0;
	struct parcel *parcel;

	if (p->is_provisioning || !(is_too_much(code) || is_passing(code)))
		return false;
	parcel = delivery_in_flight_as(p->delivery, mid);
	if (!parcel || (is_passing(code) && parcel->n_refused + 1 >= TRIES))
		return false;
	delivery_refused(p->delivery, mid, due_ms);
	if (is_too_much(code)) {
		slow_start_refused(&p->slow, now(p));
		log_limited(
			LOG_WARNING, now(p), live_link_subject(p, "message-refused"),
			"message-refused",
			"%s code=%d reason=\"the far side has too much: it gets one at a time\"",
			p->name, code);
	}
	note_answer(p, parcel->number, was_first);
	return true;
}

/* --- what is never acknowledged ------------------------------------------------------------ */

#define SKIPPED                                                                                    \
	"the far side acknowledges what is sent after it, and not this, over three connections"

static void warn_late(const struct port *p, int64_t now_ms)
{
	log_limited(LOG_WARNING, now_ms, live_link_subject(p, "not-acknowledged"),
		    "not-acknowledged",
		    "%s messages=%zu after_s=%" PRId64 " reason=\"" LIVE_LINK_LATE "\"", p->name,
		    delivery_in_flight(p->delivery), (now_ms - p->acks.progress_ms) / 1000);
}

/* All goes again over the next connection, but for what was passed over too often. */
static void send_again(struct port *p, int64_t now_ms)
{
	struct parcel parcel;

	if (p->suspect.stage !=
	    SUSPECT_NONE) { /* whatever is the matter, it does not end connections */
		suspect_gone(&p->suspect, p->suspect.number);
		slow_start_begin(&p->slow, now_ms);
	}
	delivery_count_skipped(p->delivery);
	while (delivery_pop_skipped(p->delivery, MOST_SKIPPED, &parcel)) {
		live_link_end_parcel(p, &parcel, DEAD_BROKER_REFUSED, SKIPPED);
		ack_clock_acked(&p->acks, false, now_ms); /* that was the matter */
	}
	p->live->parts->port->reconnect(p->carrier, "no acknowledgement of what was sent");
}

int64_t live_link_pace_look_ms(const struct port *p)
{
	return p->acks.look_ms ? p->acks.look_ms : INT64_MAX;
}

void live_link_pace_look(struct port *p, int64_t now_ms)
{
	uint64_t taken, owed;

	if (!p->acks.look_ms || now_ms < p->acks.look_ms)
		return;
	/* What comes after the first one says nothing of that, when it was passed over. */
	if (!delivery_is_skipped(p->delivery) &&
	    p->live->parts->port->taken(p->carrier, &taken, &owed))
		ack_clock_taken(&p->acks, taken, owed, now_ms);
	switch (ack_clock_look(&p->acks, now_ms)) {
	case ACK_FINE:
		break;
	case ACK_LATE:
		warn_late(p, now_ms);
		break;
	case ACK_OVER:
		if (!is_visit(p)) /* which has a time-out of its own */
			send_again(p, now_ms);
		break;
	}
}

/* --- what leaves --------------------------------------------------------------------------- */

/* Alone: nothing else is in flight, and this goes. */
static struct parcel *try_alone(struct port *p, struct parcel *one)
{
	delivery_offer(p->delivery, one);
	return one;
}

static struct parcel *next_alone(struct port *p, int64_t now_ms)
{
	struct suspect *s = &p->suspect;
	struct parcel *one, *other;

	if (delivery_in_flight(p->delivery) > 0)
		return NULL;
	one = delivery_find(p->delivery, s->number);
	if (!one) { /* it has become too old */
		suspect_gone(s, s->number);
		return delivery_next(p->delivery);
	}
	other = delivery_other(p->delivery, one, suspect_n_skipped(s));
	if (other)
		suspect_other(s);
	switch (suspect_turn(s, now_ms)) {
	case SUSPECT_TURN_ONE:
		return try_alone(p, one);
	case SUSPECT_TURN_OTHER:
		if (other)
			return try_alone(p, other);
		suspect_no_other(s, now_ms);
		break;
	case SUSPECT_TURN_ALL:
	case SUSPECT_TURN_WAIT:
		break;
	}
	return NULL;
}

/* As far as others at its endpoint are concerned.  Who is suspected is tried alone, and seldom: in no line. */
static bool is_its_turn(struct port *p, int64_t now_ms)
{
	if (!p->device || p->suspect.stage != SUSPECT_NONE)
		return true;
	if (delivery_is_ready(p->delivery))
		return endpoint_may_send(p->live->endpoint, &p->seat, now_ms);
	endpoint_has_sent(p->live->endpoint, &p->seat);
	return true;
}

struct parcel *live_link_pace_next(struct port *p, int64_t now_ms)
{
	delivery_take_up(p->delivery, now_ms);
	if (!rate_limit_is_ready(&p->rate, now_ms) || slow_start_ready_ms(&p->slow) > now_ms)
		return NULL;
	delivery_set_window(p->delivery, slow_start_window(&p->slow, p->window, now_ms));
	if (!is_its_turn(p, now_ms))
		return NULL;
	return p->suspect.stage == SUSPECT_NONE ? delivery_next(p->delivery)
						: next_alone(p, now_ms);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t live_link_pace_widens_ms(const struct port *p)
{
	if (!delivery_is_ready(p->delivery) || delivery_in_flight(p->delivery) == 0)
		return INT64_MAX;
	return slow_start_widens_ms(&p->slow, now(p));
}

int64_t live_link_pace_due_ms(const struct port *p, int64_t now_ms)
{
	int64_t ready_ms = later(rate_limit_ready_ms(&p->rate), slow_start_ready_ms(&p->slow));
	int64_t trial_ms = suspect_due_ms(&p->suspect, now_ms);

	if (!delivery_is_ready(p->delivery))
		return delivery_aside_ms(p->delivery);
	if (p->seat.is_in_turn)
		return trial_ms; /* endpoint_next_to_send() has it */
	if (ready_ms <= now_ms)
		return trial_ms;
	return trial_ms == INT64_MAX ? ready_ms : later(trial_ms, ready_ms);
}
