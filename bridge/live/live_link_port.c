/* live_link_port.c -- the ports of a live link: how they are made and chosen, what their carriers say, and
 * how what waits for them leaves. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "delivery/delivery.h"
#include "gate/gate.h"
#include "handshake/provision.h"
#include "net/loop.h"
#include "live/generation.h"
#include "live/live_link_inside.h"
#include "port/port.h"
#include "delivery/roster.h"
#include "live/suspects.h"
#include "store/db.h"
#include "store/journal_live.h"

#define NO_MATCHING_SUBSCRIBERS 0x10 /* MQTT 5, 3.4.2.1 */
#define MESSAGE_BYTES                                                                              \
	(64u << 20) /* what is larger is a dead letter; how many wait: link/backpressure.h */
#define MOST_LOST_GREETINGS 3
#define NO_GREETING_MS	    INT64_C(3600000)

/* --- making and choosing ------------------------------------------------------------------- */

static char *name_of(const struct port *p)
{
	const char *device = p->device ? log_value(p->device) : "";

	if (p->handshakes > 0)
		return mem_printf("link=%s side=%s session=provisioning-%u", p->live->plan->name,
				  side_name(p->side), p->handshakes + 1);
	return mem_printf("link=%s side=%s%s%s%s", p->live->plan->name, side_name(p->side),
			  *device ? " device=" : "", device,
			  p->is_provisioning ? " session=provisioning" : "");
}

/* How many there are. */
static unsigned count_handshakes(const struct live_link *live)
{
	const struct port *p;
	unsigned n = 0;

	TAILQ_FOREACH (p, &live->ports, entry)
		n += p->is_provisioning;
	return n;
}

struct port *live_link_add_port(struct live_link *live, enum side side, const char *device,
				bool is_provisioning)
{
	struct port *p = mem_zalloc(sizeof *p);
	*p = (struct port){ .live = live,
			    .side = side,
			    .device = mem_strdup(device),
			    .is_provisioning = is_provisioning,
			    .handshakes = is_provisioning ? count_handshakes(live) : 0,
			    .due_ms = INT64_MAX,
			    .drain_look_ms = INT64_MAX };
	p->name = name_of(p);
	p->delivery = delivery_new(DELIVERY_WINDOW, MESSAGE_BYTES);
	live_link_pace_init(p);
	TAILQ_INSERT_TAIL(&live->ports, p, entry);
	if (device) {
		map_set_str(&live->of_device[side], device, p);
		p->turn = roster_add(live->awake, p);
		delivery_keep_little(p->delivery);
		p->seat.owner = p;
		p->place.owner = p;
	}
	return p;
}

struct port *live_link_find_port(const struct live_link *live, enum side side, const char *device,
				 bool is_provisioning)
{
	struct port *p =
		device && !is_provisioning ? map_get_str(&live->of_device[side], device) : NULL;

	if (p)
		return p;
	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->device || (p->side == side && p->is_provisioning == is_provisioning))
			break; /* those of devices are behind all others */
	return p && !p->device ? p : NULL;
}

struct port *live_link_handshakes(const struct live_link *live, uint64_t session)
{
	struct port *p;

	TAILQ_FOREACH (p, &live->ports, entry)
		if (p->device || (p->is_provisioning && p->handshakes == provision_place(session)))
			break;
	return p && !p->device ? p : NULL;
}

void live_link_wake_port(struct port *p)
{
	roster_wake(p->live->turn);
	if (p->turn)
		roster_wake(p->turn);
}

static void forget_old(struct port *p)
{
	for (size_t i = 0; i < p->n_old; i++)
		mem_free_secret(p->old[i], strlen(p->old[i]));
	free(p->old);
	p->old = NULL;
	p->n_old = 0;
}

void live_link_free_port(struct port *p)
{
	live_link_close_port(p, DEAD_STOPPING, "the bridge was stopped");
	TAILQ_REMOVE(&p->live->ports, p, entry);
	if (p->device) {
		map_remove_str(&p->live->of_device[p->side], p->device);
		p->live->device_bytes[p->side] -= p->counted_bytes;
		p->live->parked_bytes -= p->counted_parked;
		roster_remove(p->turn);
	}
	live_link_forget_parked(p);
	delivery_free(p->delivery);
	map_fini(&p->stamped, free);
	buf_fini(&p->stamp_key);
	gate_free(p->gate);
	forget_old(p);
	free(p->lack);
	free(p->told_unset);
	free(p->device);
	free(p->name);
	free(p);
}

/* --- what its carrier says ----------------------------------------------------------------- */

/* The port to which something happened. */
static struct port *woken(void *port)
{
	struct port *p = port;

	live_link_wake_port(p);
	return p;
}

static int64_t now(const struct port *p)
{
	return loop_now_ms(p->live->parts->loop);
}

static void log_unreadable(const struct port *p, const struct err *e)
{
	char *subject = mem_printf("%s %s", live_link_subject(p, "secret-unreadable"), e->text);

	log_limited(LOG_WARNING, now(p), subject, "secret-unreadable", "%s reason=%s", p->name,
		    log_value(e->text));
	free(subject);
}

static void on_stirred(void *port)
{
	woken(port);
}

static bool may_connect(void *port)
{
	struct port *p = woken(port);

	if (!p->device)
		return true;
	if (!endpoint_ask(p->live->endpoint, &p->seat, live_link_waiting(p) > 0, now(p)))
		return false;
	live_link_device_connects(p, now(p));
	return true;
}

/* A secret that cannot be read now stays what it was. */
static void on_login(void *port)
{
	struct port *p = woken(port);
	struct live_link *live = p->live;
	struct session_login login;
	struct err e = { 0 };

	live->parts->port->probe(p->carrier, suspect_wants_ping(&p->suspect));
	if (!generation_renew(live->generation, live->number, p->side, &e))
		log_unreadable(p, &e);
	if (p->n_renewed == live->conf->side[p->side].n_renewed)
		return;
	live_link_make_login(p, &login);
	live_link_device_event(p, DEVICE_RENEWED, "");
	live->parts->port->set_login(p->carrier, &login);
	login_fini(&login);
}

static void note_publish(void *port, struct parcel *parcel)
{
	struct port *p = port;

	if (!parcel->echo)
		parcel->echo =
			link_sent_again(p->live->link, p->side, p->device, &parcel->message, 0);
}

/* What waits was handed out when another version was to be expected. */
static void follow_version(struct port *p)
{
	struct live_link *live = p->live;
	struct port_status status;
	enum echo_mode mode;

	live->parts->port->status(p->carrier, &status);
	p->mqtt = status.mqtt;
	if (p->is_provisioning)
		return;
	mode = live_link_echo_mode(live, p->side, p->mqtt);
	link_set_echoes(live->link, p->side, mode);
	if (mode != ECHO_OFF)
		delivery_each(p->delivery, false, note_publish, p);
}

/* In a visit nothing is asked, since nothing is taken in, and what is said would soon be forgotten. */
static void begin_greetings(struct port *p)
{
	struct live_link *live = p->live;

	if (p->side != NORTH || p->is_provisioning || live->backpressure.is_held[p->side])
		return;
	p->login = ++live->n_logins;
	p->is_to_greet = (p->device || live->plan->side[p->side].dialect->n_on_connect > 0) &&
			 live_link_mono_ms(p) >= p->greets_mono_ms;
}

/* They are no messages that could be to blame for the end of a connection, nor a measure of what the far side
 * bears: those are left to live_link_pace.c.  But what it ends the connection on each time is not said again for a
 * while. */
static void end_greetings(struct port *p, enum session_end end)
{
	struct parcel parcel;
	bool was_sent, is_lost = false;

	p->login = 0;
	p->is_to_greet = false;
	while (delivery_pop_greeting(p->delivery, &parcel, &was_sent)) {
		is_lost = is_lost || was_sent;
		live_link_end_parcel(p, &parcel, CARRIED, NULL);
	}
	if (end != SESSION_END_CLOSED)
		return;
	p->n_lost_greetings = is_lost ? p->n_lost_greetings + 1 : 0;
	if (p->n_lost_greetings < MOST_LOST_GREETINGS)
		return;
	p->n_lost_greetings = 0;
	p->greets_mono_ms = live_link_mono_ms(p) + NO_GREETING_MS;
	log_limited(
		LOG_WARNING, now(p), live_link_subject(p, "greeting-given-up"), "greeting-given-up",
		"%s reason=\"the far side ends the connection each time it is asked or told what "
		"its "
		"dialect has for a login (on_connect): not for an hour\"",
		p->name);
}

/* Of a device's. */
static void note_answer(struct port *p, enum device_phase phase)
{
	if (!p->device)
		return;
	endpoint_answered(p->live->endpoint, &p->seat);
	p->live->answered_ms = now(p);
	live_link_device_is(p, phase);
}

static void note_end(struct port *p, enum session_end end)
{
	struct live_link *live = p->live;
	struct port_status status;

	if (!p->device)
		return;
	if (end == SESSION_END_REFUSED) {
		live->parts->port->status(p->carrier, &status);
		link_device_refused(live->link, p->device, status.why);
		note_answer(p, DEVICE_REFUSED);
	} else if (p->phase == DEVICE_UP)
		live_link_device_is(p, DEVICE_DOWN);
	if (end == SESSION_END_UNMADE)
		endpoint_failed(p->live->endpoint, &p->seat);
}

/* Are all devices of the south heard that say something? */
static void note_hearing(const struct port *p, bool is_heard)
{
	if (p->side == SOUTH && !p->device)
		link_listen(p->live->link, is_heard && !p->live->backpressure.is_held[SOUTH],
			    now(p));
}

/* What waits goes out before the loop sleeps. */
static void on_up(void *port)
{
	struct port *p = woken(port);
	const char *name = p->uses_issued ? link_login_accepted(p->live->link, p->device) : NULL;

	note_answer(p, DEVICE_UP);
	if (p->device)
		link_device_let_in(p->live->link, p->device);
	follow_version(p);
	live_link_pace_up(p);
	if (p->is_trial)
		link_login_tried(p->live->link, p->session, true);
	if (name)
		log_event(LOG_INFO, "device-bound", "link=%s name=%s", p->live->plan->name,
			  log_value(name));
	begin_greetings(port);
	note_hearing(p, true);
	if (p->gate)
		live_link_gate_up(p);
}

static void on_answered(void *port)
{
	live_link_pace_answered(woken(port));
}

/* What was published and not acknowledged will be again: it may come back as often. */
static void sent_again(void *port, struct parcel *parcel)
{
	struct port *p = port;

	parcel->echo =
		link_sent_again(p->live->link, p->side, p->device, &parcel->message, parcel->echo);
}

void live_link_end_connection(struct port *p, enum session_end end)
{
	p->n_ended++;
	note_hearing(p, false);
	if (!p->is_provisioning)
		delivery_each(p->delivery, true, sent_again, p);
	end_greetings(p, end);
	live_link_pace_down(p, end);
}

/* What was answered and not acknowledged would be asked once more, and its second answer be taken for that to the next
 * question. */
static void end_handshakes(struct port *p, enum session_end end)
{
	bool was_asked = delivery_in_flight(p->delivery) > 0;
	bool goes_again = link_handshakes_down(p->live->link, p->session, was_asked);
	struct parcel parcel;

	live_link_end_connection(p, end);
	while (delivery_waiting(p->delivery) > goes_again && delivery_pop(p->delivery, &parcel))
		live_link_end_parcel(p, &parcel, CARRIED, NULL);
}

static void on_down(void *port, enum session_end end)
{
	struct port *p = woken(port);

	if (p->is_trial && end == SESSION_END_REFUSED)
		link_login_tried(p->live->link, p->session, false);
	if (p->is_provisioning && !p->is_trial)
		end_handshakes(p, end);
	else
		live_link_end_connection(p, end);
	note_end(p, end);
	if (end == SESSION_END_REFUSED && p->uses_issued)
		link_login_refused(p->live->link, p->device);
}

/* `device`: whose session it is. */
static void take(struct port *p, const char *device, const struct message *m)
{
	struct live_link *live = p->live;
	struct arrival a = { .from = p->side,
			     .device = device,
			     .message = m,
			     .at_ms = now(p),
			     .login = p->n_ended + 1,
			     .session = p->session };

	if (m->qos > 0)
		a.tag = journal_live_accept(live->records, p->side, device, m, a.at_ms, a.at_ms);
	live_link_receive(live, &a);
}

/* A front door's own words on who is here are acknowledged with the turn. */
static void on_message(void *port, const struct message *m)
{
	struct port *p = woken(port);
	struct message said;
	const char *device;

	p->is_used = true;
	if (!p->gate) {
		take(p, p->device, m);
	} else if (live_link_gate_take(p, m, &said, &device)) {
		take(p, device, &said);
		gate_end_message(&said);
	}
}

/* A broker that keeps a message for whoever comes has somebody to give it to. */
static enum outcome acknowledged(const struct port *p, const struct parcel *parcel, int code)
{
	if (code >= 128)
		return DEAD_BROKER_REFUSED;
	if (code != NO_MATCHING_SUBSCRIBERS || parcel->message.retain || !parcel->order)
		return CARRIED;
	log_limited(LOG_WARNING, now(p), p->name, "no-listener", "%s device=%s", p->name,
		    log_value(parcel->device));
	return DEAD_NO_LISTENER;
}

static void on_acked(void *port, int mid, int code, const char *reason)
{
	struct port *p = woken(port);
	struct parcel parcel;
	bool was_first = delivery_is_first(p->delivery, mid);

	if (code >= 128 && live_link_pace_refused(p, mid, code, was_first))
		return;
	if (!delivery_acked(p->delivery, mid, &parcel)) {
		if (p->gate && code >= 128)
			live_link_gate_refused(p, code);
		return;
	}
	live_link_pace_acked(p, &parcel, was_first, code < 128);
	live_link_end_parcel(p, &parcel, acknowledged(p, &parcel, code), reason);
}

static void turn_away(struct port *p, const char *device, const struct message *m,
		      enum outcome reason, const char *why)
{
	const struct arrival a = {
		.from = p->side, .device = device, .message = m, .at_ms = now(p)
	};

	link_turn_away(p->live->link, &a, reason, why);
}

/* Its letter is part of the turn, so it is durable before the acknowledgement leaves. */
static void on_refused(void *port, const struct message *m, bool is_too_large, const char *reason)
{
	enum outcome why = is_too_large ? DEAD_TOO_LARGE : DEAD_UNREADABLE;
	struct port *p = woken(port);
	struct message said;
	const char *device;

	if (!p->gate || !m || !m->topic) {
		turn_away(p, p->device, m, why, reason);
	} else if (live_link_gate_take(p, m, &said, &device)) {
		turn_away(p, device, &said, why, reason);
		gate_end_message(&said);
	}
}

static char *tellable(void *port, const char *text)
{
	return live_link_tellable(((const struct port *)port)->live, text);
}

static void on_unsubscribed(void *port, size_t old)
{
	struct port *p = woken(port);

	if (!p->device) /* else others' sessions have it yet */
		link_unsubscribed(p->live->link, p->side, p->old[old]);
}

static const struct port_events events = { .stirred = on_stirred,
					   .may_connect = may_connect,
					   .login = on_login,
					   .up = on_up,
					   .down = on_down,
					   .answered = on_answered,
					   .message = on_message,
					   .acked = on_acked,
					   .unsubscribed = on_unsubscribed,
					   .refused = on_refused,
					   .tellable = tellable };

/* --- opening and closing ------------------------------------------------------------------- */

int live_link_mqtt_wanted(const struct live_link *live, enum side side)
{
	int asked = live->conf->side[side].mqtt;

	return asked ? asked : live->plan->side[side].dialect->mqtt == 5 ? 5 : 0;
}

int live_link_mqtt_version(const struct port *p)
{
	int wanted = live_link_mqtt_wanted(p->live, p->side);

	return wanted ? wanted : p->mqtt ? p->mqtt : 5;
}

/* MQTT 5 has No Local.  What a platform says of itself holds where it is one: in the south, calque is before
 * devices, at a broker like any other; a front door gives nothing back. */
enum echo_mode live_link_echo_mode(const struct live_link *live, enum side side, int mqtt)
{
	if (mqtt == 5 || (side == SOUTH && live->plan->has_front_door))
		return ECHO_OFF;
	return side == NORTH && !live->plan->side[side].dialect->echoes_publishes ? ECHO_WATCH
										  : ECHO_ON;
}

struct login_terms live_link_login_terms(const struct port *p)
{
	const struct live_link *live = p->live;

	return (struct login_terms){ .plan = live->plan,
				     .conf = &live->conf->side[p->side],
				     .side = p->side,
				     .is_provisioning = p->is_provisioning,
				     .handshakes = p->handshakes,
				     .device = p->device,
				     .own = p->device
						    ? link_own_vars(live->link, p->side, p->device)
						    : NULL,
				     .instance = db_instance(live->parts->db),
				     .known_as = live->known_as };
}

void live_link_make_login(struct port *p, struct session_login *login)
{
	struct live_link *live = p->live;
	struct login_terms terms = live_link_login_terms(p);

	p->n_renewed = terms.conf->n_renewed;
	p->n_vars_set = live_link_vars_set(live, p->device);
	login_make(login, &terms);
	if (p->side != NORTH || p->is_provisioning || !login->is_missing)
		return;
	terms.credentials = link_credentials(live->link, p->device);
	if (!terms.credentials.len)
		return;
	login_fini(login);
	login_make(login, &terms);
	p->uses_issued = true;
}

#define ANY_DEVICE "{device}" /* no device is called so: no level of a filter has braces */

/* The filters that the far end may have of an earlier configuration.  Of the sessions of devices they are remembered
 * once for all of them, with the place of the device's name in them. */
static void remember_filters(struct port *p, char **filters, size_t n, const char *native)
{
	struct live_link *live = p->live;
	struct buf own = { 0 };
	char **any;

	if (!native) {
		p->old = link_subscribe(live->link, p->side, filters, n, &p->n_old);
		return;
	}
	any = plan_filters(live->plan, p->side, false, ANY_DEVICE, &n);
	p->old = link_subscribe(live->link, p->side, any, n, &p->n_old);
	for (size_t i = 0; i < n; i++)
		free(any[i]);
	free(any);
	for (size_t i = 0; i < p->n_old; i++) {
		char *at = strstr(p->old[i], "/" ANY_DEVICE);

		if (!at)
			continue;
		buf_append(&own, p->old[i], (size_t)(at + 1 - p->old[i]));
		buf_puts(&own, native);
		buf_puts(&own, at + 1 + strlen(ANY_DEVICE));
		mem_free_secret(p->old[i], strlen(p->old[i]));
		p->old[i] = buf_take(&own);
	}
}

bool live_link_open_port(struct port *p, const struct session_login *login, struct err *e)
{
	const struct live_link *live = p->live;
	const char *native = p->device ? plan_device_there(live->plan, p->side, p->device) : NULL;
	size_t n;
	char **filters = live_link_gate_filters(
		p, plan_filters(live->plan, p->side, p->is_provisioning, native, &n), &n);
	char **kinds = mem_zalloc((n + 1) * sizeof *kinds);
	char **shown = mem_zalloc((n + 1) * sizeof *shown);
	struct port_conf conf = {
		.name = p->name,
		.device = p->device,
		.conf = &live->conf->side[p->side],
		.login = login,
		.mqtt = live_link_mqtt_wanted(live, p->side),
		.packet_bytes = (size_t)live->plan->limits[p->side].packet_bytes,
		.is_provisioning = p->is_provisioning,
		.filters = filters,
		.kinds = kinds,
		.shown = shown,
		.n_filters = p->is_trial ? 0 : n, /* else what is the main session's would come */
	};

	for (size_t i = 0; i < n; i++) {
		kinds[i] = p->gate ? mem_strdup("front-door")
				   : plan_filter_kinds(live->plan, p->side, p->is_provisioning,
						       native, filters[i]);
		shown[i] = live_link_tellable(live, filters[i]);
	}
	forget_old(p);
	if (!p->is_provisioning)
		remember_filters(p, filters, n, native);
	conf.old = p->old;
	conf.n_old = p->n_old;
	p->carrier = live->parts->port->open(live->parts->port_ctx, &conf, &events, p, e);
	for (size_t i = 0; i < n; i++) {
		free(filters[i]);
		free(kinds[i]);
		free(shown[i]);
	}
	free(filters);
	free(kinds);
	free(shown);
	return p->carrier;
}

void live_link_close_port(struct port *p, enum outcome reason, const char *text)
{
	struct parcel parcel;

	if (p->carrier)
		p->live->parts->port->close(p->carrier);
	p->carrier = NULL;
	endpoint_leave(p->live->endpoint, &p->seat);
	places_leave(p->live->places, &p->place);
	p->is_trial = false;
	delivery_reset(p->delivery);
	ack_clock_reset(&p->acks);
	while (delivery_pop(p->delivery, &parcel))
		live_link_end_parcel(p, &parcel, reason, text);
}

/* --- what waits for it --------------------------------------------------------------------- */

void live_link_end_parcel(struct port *p, struct parcel *parcel, enum outcome reason,
			  const char *text)
{
	link_acked(p->live->link, p->side, parcel->echo, now(p));
	if (live_link_is_followed(p->live))
		live_link_follow_ended(p, parcel, reason, text);
	reason = link_ended(p->live->link, parcel->origin, parcel->order, reason);
	link_done(p->live->link, parcel->origin, reason, text);
	parcel_fini(parcel);
}

/* A message may have waited since before a secret changed that it carries, of the side's or of its device. */
static bool publish_renewed(struct port *p, const struct parcel *parcel, int *mid, struct err *e)
{
	const struct message *m = &parcel->message;
	const char *device = p->device ? p->device : parcel->device;
	const struct port_ops *ops = p->live->parts->port;
	struct message renewed = *m;
	bool ok;

	if (p->packet_bytes &&
	    message_packet_bytes(m, live_link_mqtt_version(p)) > (size_t)p->packet_bytes) {
		err_set(e, ERR_LIMIT, "larger than the platform takes, %lld bytes as a packet",
			(long long)p->packet_bytes);
		return false;
	}
	if (p->gate)
		return live_link_gate_publish(p, parcel->device, m, mid, e);
	if ((p->live->conf->side[p->side].n_renewed == 0 &&
	     live_link_vars_set(p->live, device) == 0) ||
	    !plan_renew_credentials(p->live->plan, p->side, device, &m->properties,
				    &renewed.properties))
		return ops->publish(p->carrier, m, mid, e);
	ok = ops->publish(p->carrier, &renewed, mid, e);
	vars_fini(&renewed.properties);
	return ok;
}

static bool publish(struct port *p, const struct parcel *parcel, int *mid, struct err *e)
{
	uint64_t before = suspects_begin_parcel(p->live->parts->suspects, parcel);
	bool ok = publish_renewed(p, parcel, mid, e);

	suspects_end_parcel(before);
	return ok;
}

/* Is another one to be tried?  *commit: see live_link_publish(). */
static bool publish_next(struct port *p, struct parcel *next, int64_t now_ms, uint64_t *commit)
{
	uint64_t own = next->record ? record_commit(next->record) : UINT64_MAX;
	struct parcel out;
	struct err e = { 0 };
	int mid;

	if (next->expires_ms <= now_ms)
		return false; /* the next tick ends it */
	if (!live_link_stamp(p, next, now_ms))
		return false;
	if (next->deadline_ms < INT64_MAX)
		next->message.expiry_s = (uint32_t)((next->deadline_ms - now_ms) / 1000);
	if (publish(p, next, &mid, &e)) {
		delivery_sent(p->delivery, mid);
		live_link_stamp_sent(p, next, now_ms);
		live_link_pace_sent(p, next, now_ms);
		*commit = own > *commit ? own : *commit;
		return true;
	}
	if (e.code == ERR_NET)
		return false; /* it goes again after the reconnect */
	if (delivery_pop(p->delivery, &out))
		live_link_end_parcel(p, &out, e.code == ERR_LIMIT ? DEAD_TOO_LARGE : DEAD_BAD_TOPIC,
				     e.text);
	return true;
}

uint64_t live_link_publish(struct port *p, int64_t now_ms)
{
	const struct port_ops *ops = p->live->parts->port;
	struct parcel *next;
	uint64_t commit = 0;
	size_t n = 0;

	p->has_asked = false;
	if (p->gate && !live_link_gate_publish_table(p))
		return UINT64_MAX;
	while (ops->takes(p->carrier) && (next = live_link_pace_next(p, now_ms)) != NULL &&
	       publish_next(p, next, now_ms, &commit))
		n++;
	return n > 0 && !p->gate ? commit : UINT64_MAX;
}

void live_link_visit(struct port *p, int64_t now_ms)
{
	bool is_waiting;

	delivery_take_up(p->delivery, now_ms); /* though nothing may leave now */
	is_waiting = delivery_is_ready(p->delivery) || live_link_on_disk(p);
	p->due_ms = live_link_pace_due_ms(p, now_ms);
	if (is_waiting && p->due_ms == INT64_MAX && p->carrier)
		p->live->parts->port->visit(p->carrier);
}

int64_t live_link_most_age_ms(const struct port *p)
{
	int64_t age_ms = p->live->parts->max_age_ms;
	int64_t parked_ms = p->live->conf->waiting.age_s * INT64_C(1000);

	return parked_ms < age_ms && live_link_is_parked(p) ? parked_ms : age_ms;
}

void live_link_expire(struct port *p, int64_t now_ms)
{
	struct parcel parcel;

	while (delivery_expired(p->delivery, now_ms, &parcel)) {
		link_acked(p->live->link, p->side, parcel.echo, now_ms);
		link_expire(p->live->link, parcel.origin, parcel.order, now_ms);
		parcel_fini(&parcel);
	}
	while (delivery_pop_old(p->delivery, now_ms - live_link_most_age_ms(p), &parcel))
		live_link_end_parcel(p, &parcel, DEAD_EXPIRED,
				     live_link_most_age_ms(p) < p->live->parts->max_age_ms
					     ? "older than waiting.age"
					     : "older than journal.max_age");
	live_link_let_fall(p, now_ms);
}

int64_t live_link_next_expiry(const struct port *p)
{
	int64_t oldest_ms = delivery_oldest(p->delivery);
	int64_t age_ms = live_link_most_age_ms(p);
	int64_t expiry_ms = delivery_next_expiry(p->delivery);

	if (oldest_ms == INT64_MAX || expiry_ms < oldest_ms + age_ms)
		return expiry_ms;
	return oldest_ms + age_ms;
}
