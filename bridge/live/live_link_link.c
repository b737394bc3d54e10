/* live_link_link.c -- what the link of a live link hands out: messages to send, verdicts, logins. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "conf/login.h"
#include "delivery/delivery.h"
#include "net/loop.h"
#include "plan/plan.h"
#include "live/live_link_inside.h"
#include "port/port.h"
#include "delivery/roster.h"
#include "store/db.h"
#include "store/deadletter.h"
#include "store/deadletter_live.h"
#include "store/journal.h"
#include "store/journal_live.h"
#include "translate/translate.h"

void live_link_ask(struct port *p)
{
	const struct live_link *live = p->live;
	struct session_login login;
	struct err e = { 0 };

	if (p->carrier || !live->is_open)
		return;
	live_link_make_login(p, &login);
	if (live_link_open_port(p, &login, &e))
		live->parts->port->start(p->carrier);
	else
		log_event(LOG_ERROR, "session-failed", "%s reason=%s", p->name, log_value(e.text));
	login_fini(&login);
}

/* The question of a handshake is not noted: it is asked again as long as the state says it is open. */
static void note_output(struct live_link *live, const struct output *o, struct parcel *parcel)
{
	struct record *r = o->tag;

	if (o->is_provisioning || o->greets)
		return;
	if (!r && o->is_own) {
		r = journal_live_own(live->records, side_other(o->to),
				     loop_now_ms(live->parts->loop));
		link_set_tag(o->origin, r);
	}
	parcel->record = r;
	if (r && o->is_kept)
		record_output(r, &(struct journal_output){ .to = o->to,
							   .lane = o->lane,
							   .message = parcel->message,
							   .device = parcel->device,
							   .far_id = (char *)o->far_id,
							   .expires_ms = o->expires_ms });
}

/* A broker of MQTT 5 is told for how many whole seconds a message is good: in the last one before its
 * deadline it does not leave any more. */
static void set_deadline(struct port *p, struct parcel *parcel, int64_t deadline_ms)
{
	if (deadline_ms < INT64_MAX && live_link_mqtt_version(p) == 5) {
		parcel->deadline_ms = deadline_ms;
		deadline_ms -= 999;
	}
	delivery_expire_at(p->delivery, parcel, deadline_ms);
}

/* Of these only the last one counts: an older one must not come after it. */
static bool is_state(enum kind kind)
{
	return kind == KIND_CONFIG || kind == KIND_PRESENCE || kind == KIND_COMMAND;
}

#define TOO_MANY "there are as many devices with a session of their own as may be (max_devices)"
#define NOBODYS	 "an earlier version of calque did not note whose it is"

static void drop_output(struct live_link *live, struct output *o, enum outcome reason,
			const char *text)
{
	message_fini(&o->message);
	free(o->device);
	link_acked(live->link, o->to, o->echo, loop_now_ms(live->parts->loop));
	link_done(live->link, o->origin, link_ended(live->link, o->origin, o->order, reason), text);
}

/* Where it goes; NULL: nowhere. */
static struct port *port_of(struct live_link *live, const struct output *o)
{
	const char *device = plan_session_of(live->plan, o->to, o->device);

	if (device && !o->is_provisioning)
		return link_wants_session(live->link, device) ? live_link_device_port(live, device)
							      : NULL;
	return o->is_provisioning ? live_link_handshakes(live, o->session)
				  : live_link_find_port(live, o->to, o->device, false);
}

static void on_send(void *ctx, struct output *o)
{
	struct live_link *live = ctx;
	struct port *p = port_of(live, o);
	struct parcel *parcel;
	enum outcome end;

	if (live_link_is_followed(live))
		live_link_follow_sent(live, o);
	if (!p && o->device && !link_wants_session(live->link, o->device)) {
		drop_output(live, o, DEAD_CUT_BACK, "nothing passes for its device any more");
		return;
	}
	if (!p) {
		drop_output(live, o, DEAD_OTHER_DEVICE, o->device ? TOO_MANY : NOBODYS);
		return;
	}
	live_link_wake_port(p);
	endpoint_hurry(live->endpoint, &p->seat);
	if (o->greets && o->greets != p->login) { /* another session's, or one that has ended */
		drop_output(live, o, CARRIED, NULL);
		return;
	}
	if (o->is_provisioning)
		live_link_ask(p);
	if (o->session)
		p->session = o->session;
	if ((end = live_link_end_of(p, o->lane, o->place)) != CARRIED) {
		drop_output(live, o, end, end == DEAD_CUT_BACK ? LIVE_LINK_CUT_BACK : NULL);
		return;
	}
	parcel = delivery_push(p->delivery, o->lane, &o->message, o->origin);
	if (parcel) {
		if (o->place)
			delivery_put_back(p->delivery, parcel, o->place);
		parcel->kind = o->kind;
		parcel->id = o->id;
		parcel->is_state = is_state(o->kind);
		parcel->device = o->device;
		parcel->echo = o->echo;
		parcel->order = o->order;
		parcel->is_greeting = o->greets;
		parcel->since_ms =
			o->tag ? record_since_ms(o->tag) : loop_now_ms(live->parts->loop);
		live_link_stamp_init(p, parcel, &o->stamp, loop_now_ms(live->parts->loop));
		set_deadline(p, parcel, o->expires_ms);
		note_output(live, o, parcel);
		live_link_want_device(p);
		return;
	}
	drop_output(live, o, DEAD_TOO_LARGE, "larger than what may wait for a session");
}

char *live_link_tellable(const struct live_link *live, const char *text)
{
	char *copy = mem_strdup(text ? text : "");

	for (int s = 0; s < SIDES; s++) {
		char *told = vars_hide(&live->plan->side[s].vars, copy);

		free(copy);
		copy = told;
	}
	return copy;
}

/* By which the far side knows it: what it was to be answered by there, else what its topic says; NULL: nothing.  Caller
 * frees. */
static char *far_id_of(const struct live_link *live, const struct verdict *v)
{
	struct match match;
	struct buf text = { 0 };
	char *id, *told;

	if (v->far_id)
		return live_link_tellable(live, v->far_id);
	if (!v->message || v->reason == DEAD_CRASH)
		return NULL;
	plan_match(live->plan, flow_source(v->flow), v->message->topic, &match);
	id = match.n ? translate_topic_id(match.readers[0], v->message->topic) : NULL;
	if (!id)
		return NULL;
	translate_put_id(&text, id);
	told = live_link_tellable(live, text.data);
	buf_fini(&text);
	free(id);
	return told;
}

static void log_letter(const struct live_link *live, const struct verdict *v,
		       const struct deadletter *l, int64_t now_ms)
{
	char *device = live_link_tellable(live, l->device), *far_id = far_id_of(live, v);
	char subject[200];

	snprintf(subject, sizeof subject, "%s/%s/%s", l->link, flow_name(v->flow), l->reason);
	log_limited(LOG_WARNING, now_ms, subject, "dead-letter",
		    "link=%s flow=%s reason=%s detail=%s device=%s far_id=%s id=%llu", l->link,
		    flow_name(v->flow), l->reason, log_value(*l->text ? l->text : NULL),
		    log_value(*device ? device : NULL), log_value(far_id),
		    (unsigned long long)v->id);
	free(device);
	free(far_id);
}

/* Whose it is, by its topic, or by its session if nobody looks at that, since to look may be what ends the process;
 * NULL: neither says.  Caller frees. */
static char *device_of(const struct live_link *live, const struct verdict *v)
{
	struct match match;
	char *device = NULL;

	if (!v->message || v->reason == DEAD_CRASH)
		return mem_strdup(v->session);
	plan_match(live->plan, flow_source(v->flow), v->message->topic, &match);
	if (match.n)
		device = translate_topic_device(match.readers[0], v->message->topic);
	return device ? device : mem_strdup(v->session);
}

static void bury(struct live_link *live, const struct verdict *v)
{
	int64_t now_ms = loop_now_ms(live->parts->loop);
	char *text = live_link_tellable(live, v->text);
	char *topic = live_link_tellable(live, v->message ? v->message->topic : NULL);
	struct deadletter l = {
		.link = live->plan->name,
		.from = flow_source(v->flow),
		.kind = (char *)kind_name(v->kind),
		.reason = (char *)outcome_word(v->reason),
		.text = text,
		.topic = topic,
		.device = device_of(live, v),
		.session = (char *)v->session,
		.received_ms = v->received_ms,
		.has_message = v->message,
	};

	if (v->message)
		l.message = *v->message; /* borrowed, like all of it */
	deadletter_live_bury(live->parts->letters, &l, now_ms);
	log_letter(live, v, &l, now_ms);
	free(l.device);
	free(text);
	free(topic);
}

/* No letter: there is nothing to try again, and each login would bring one more. */
static void log_greeting(const struct live_link *live, const struct verdict *v)
{
	const char *reason = outcome_word(v->reason);
	char *text = live_link_tellable(live, v->text);
	char *subject = mem_printf("%s/greeting/%s", live->plan->name, reason);

	log_limited(LOG_WARNING, loop_now_ms(live->parts->loop), subject, "greeting-failed",
		    "link=%s reason=%s detail=%s", live->plan->name, reason,
		    log_value(*text ? text : NULL));
	free(subject);
	free(text);
}

static void on_settled(void *ctx, const struct verdict *v)
{
	struct live_link *live = ctx;

	if (live_link_is_followed(live))
		live_link_follow_settled(live, v);
	if ((live->parts->is_closing || live->is_closing) && (v->tag || v->is_own)) {
		if (v->tag)
			record_forget(v->tag);
		return;
	}
	if (v->tag)
		record_settled(v->tag);
	if (v->is_greeting && outcome_is_dead(v->reason))
		log_greeting(live, v);
	else if (outcome_is_dead(v->reason) && v->reason != DEAD_PARKED_FULL) /* one for many */
		bury(live, v);
}

static void on_decided(void *ctx, void *tag)
{
	(void)ctx;
	record_decided(tag);
}

static void on_slowed(void *ctx, const char *device, enum kind kind)
{
	const struct live_link *live = ctx;

	log_event(LOG_WARNING, "device-slow", "link=%s device=%s kind=%s for_s=%d",
		  live->plan->name, log_value(device), kind_name(kind), LINK_SLOW_MS / 1000);
}

static void on_crowded(void *ctx, const char *device, bool is_for_another)
{
	const struct live_link *live = ctx;
	const char *event = is_for_another ? "device-forgotten" : "device-unremembered";
	char *subject = mem_printf("%s %s", live->plan->name, event);

	log_limited(LOG_WARNING, loop_now_ms(live->parts->loop), subject, event,
		    "link=%s max_devices=%zu new=%s", live->plan->name, live->plan->max_devices,
		    log_value(device));
	free(subject);
}

static void on_login(void *ctx, const char *device, struct jslice credentials)
{
	struct live_link *live = ctx;
	struct port *p = live->plan->has_device_sessions
				 ? live_link_device_port(live, device)
				 : live_link_find_port(live, NORTH, device, false);
	struct session_login login;
	struct login_terms terms;

	live_link_gate_renew(live, device);
	if (!p)
		return;
	live_link_wake_port(p);
	terms = live_link_login_terms(p);
	login_make(&login, &terms);
	if (login.is_missing) { /* a credential in the configuration wins */
		login_fini(&login);
		terms.credentials = credentials;
		login_make(&login, &terms);
		p->uses_issued = true;
		live_link_device_event(p, DEVICE_ISSUED, "");
		p->is_early = false;
		if (p->device && !(p->carrier && p->place.is_held))
			live_link_renew_port(p);
		else if (p->carrier) {
			live->parts->port->set_login(p->carrier, &login);
			live->parts->port->start(p->carrier);
		}
	}
	login_fini(&login);
}

/* On the port of handshakes, which waits for the outcome: the main session may have other credentials, and what it
 * hears must not come here. */
static void on_try_login(void *ctx, uint64_t session, const char *device, struct jslice credentials)
{
	struct live_link *live = ctx;
	struct port *p = live_link_handshakes(live, session);
	struct login_terms terms = live_link_login_terms(p);
	struct session_login login;
	struct err e = { 0 };
	bool is_possible;

	terms.is_provisioning = false;
	terms.device = plan_session_of(live->plan, NORTH, device);
	login_make(&login, &terms);
	is_possible = login.is_missing; /* a credential in the configuration wins */
	login_fini(&login);
	terms.credentials = credentials;
	login_make_trial(&login, &terms);
	live_link_close_port(p, CARRIED, NULL);
	p->is_trial = true;
	p->session = session;
	if (is_possible && live_link_open_port(p, &login, &e))
		live->parts->port->start(p->carrier);
	else
		link_login_tried(live->link, session, false);
	live_link_device_event(p, DEVICE_TRIED, "");
	login_fini(&login);
}

static void on_end_provisioning(void *ctx, uint64_t session)
{
	struct port *p = live_link_handshakes(ctx, session);

	/* It may be that none could be opened, but the question waits. */
	if (p)
		live_link_close_port(p, CARRIED, NULL); /* the handshake is over */
}

/* Anybody at the south's broker may ask under as many names as he likes: it is said once in a while. */
static void on_handshake_refused(void *ctx, const char *name, const char *why)
{
	const struct live_link *live = ctx;
	char *subject = mem_printf("%s handshake-refused", live->plan->name);

	log_limited(LOG_WARNING, loop_now_ms(live->parts->loop), subject, "handshake-refused",
		    "link=%s name=%s reason=%s", live->plan->name, log_value(name), log_value(why));
	free(subject);
}

static void on_echoes(void *ctx, enum side side)
{
	const struct live_link *live = ctx;

	log_event(LOG_WARNING, "echo-found", "link=%s side=%s reason=%s", live->plan->name,
		  side_name(side),
		  log_value("the dialect says that this platform gives nothing back, but it does: "
			    "what comes "
			    "back is filtered from now on"));
}

static void on_limits(void *ctx, const char *device, const struct limits *told)
{
	struct port *p = live_link_find_port(ctx, NORTH, device, false);
	char *details;

	if (!p)
		return;
	live_link_wake_port(p);
	details = mem_printf("packet_bytes=%lld in_flight=%lld messages_per_second=%lld",
			     (long long)told->packet_bytes, (long long)told->in_flight,
			     (long long)told->messages_per_second);
	live_link_device_event(p, DEVICE_LIMITS_TOLD, details);
	free(details);
	live_link_pace_told(p, told);
}

static void on_worked(void *ctx)
{
	const struct live_link *live = ctx;

	roster_wake(live->turn);
}

const struct link_ops live_link_link_ops = {
	.worked = on_worked,
	.followed = live_link_follow_step,
	.send = on_send,
	.settled = on_settled,
	.login = on_login,
	.try_login = on_try_login,
	.end_provisioning = on_end_provisioning,
	.decided = on_decided,
	.handshake_refused = on_handshake_refused,
	.echoes = on_echoes,
	.slowed = on_slowed,
	.crowded = on_crowded,
	.stamped = live_link_stamped,
	.limits = on_limits,
	.cut_back = live_link_cut_back,
	.run_command = live_link_run_command,
	.came = live_link_came,
	.came_back = live_link_came_back,
};
