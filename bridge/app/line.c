#include "app/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/conf.h"
#include "app/letters.h"
#include "app/login.h"
#include "app/records.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/delivery.h"
#include "core/link.h"
#include "core/pace.h"
#include "core/pressure.h"
#include "core/translator.h"
#include "net/loop.h"
#include "net/session.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/state.h"

#define MESSAGE_BYTES                                                                              \
	(64u << 20) /* what is larger is a dead letter; how many wait: core/pressure.h */

/* A session and what waits for it. */
struct peer {
	struct line *line;
	enum side side;
	bool is_provisioning;
	char *name;		 /* for the log */
	struct session *session; /* NULL: not needed, or not yet */
	struct delivery *delivery;
	struct pace pace;
	bool is_paced; /* what waits has to wait for the platform's pace */
};

struct line {
	const struct line_parts *parts;
	const struct conf_link *conf;
	const struct plan *plan;
	struct link *link;
	struct records_link *records;
	struct peer peer[SIDES];
	struct peer provisioning;
	struct pressure pressure;
	bool uses_issued; /* the north logs in with credentials of a handshake */
	size_t n_resumed;
	uint64_t stop_at[FLOWS]; /* accepted when the bridge was told to stop */
};

/* --- sessions ------------------------------------------------------------------------------ */

static void on_up(void *ctx)
{
	(void)ctx; /* what waits goes out before the loop sleeps */
}

static void on_down(void *ctx, bool refused)
{
	struct peer *p = ctx;

	delivery_reset(p->delivery);
	if (refused && p->side == NORTH && !p->is_provisioning && p->line->uses_issued)
		link_login_refused(p->line->link);
}

static void on_message(void *ctx, const struct message *m)
{
	struct peer *p = ctx;
	struct line *line = p->line;
	int64_t now_ms = loop_now_ms(line->parts->loop);
	struct record *r = NULL;

	if (m->qos > 0)
		r = records_accept(line->records, p->side, m, now_ms);
	link_receive(line->link, p->side, m, now_ms, r);
}

static void end_parcel(struct peer *p, struct parcel *parcel, enum refusal reason, const char *text)
{
	link_acked(p->line->link, p->side, parcel->echo, loop_now_ms(p->line->parts->loop));
	link_done(p->line->link, parcel->origin, reason, text);
	message_fini(&parcel->message);
}

static void on_acked(void *ctx, int mid, int code, const char *reason)
{
	struct peer *p = ctx;
	struct parcel parcel;

	if (delivery_acked(p->delivery, mid, &parcel))
		end_parcel(p, &parcel, code >= 128 ? DEAD_BROKER_REFUSED : REFUSED_NOT, reason);
}

static const struct session_ops session_ops = {
	.on_up = on_up, .on_down = on_down, .on_message = on_message, .on_acked = on_acked
};

static int mqtt_version(const struct line *line, enum side side)
{
	int asked = line->conf->side[side].mqtt;

	return asked ? asked : line->plan->side[side].dialect->mqtt;
}

static struct session *make_session(struct peer *p, const struct session_login *login,
				    struct err *e)
{
	struct line *line = p->line;
	const struct conf_session *c = &line->conf->side[p->side];
	struct session_filter *filters;
	struct session *s;
	size_t n;
	char **texts = plan_filters(line->plan, p->side, p->is_provisioning, &n);
	struct session_conf conf = {
		.name = p->name,
		.host = c->host,
		.port = c->port,
		.is_tls = c->is_tls,
		.tls = { c->tls.ca, c->tls.cert, c->tls.key, c->tls.server_name },
		.username = login->username,
		.password = login->password,
		.client_id = login->client_id,
		.keepalive_s = c->keepalive_s,
		.mqtt = mqtt_version(line, p->side),
		.n_filters = n,
		.is_clean = p->is_provisioning,
	};

	filters = mem_zalloc((n + 1) * sizeof *filters);
	for (size_t i = 0; i < n; i++)
		filters[i] = (struct session_filter){ texts[i], 1 };
	conf.filters = filters;
	s = session_new(line->parts->loop, &conf, &session_ops, p, e);
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
	free(filters);
	return s;
}

/* --- what a link hands out ----------------------------------------------------------------- */

/* The session of a handshake is opened when there is something to ask. */
static void open_provisioning(struct line *line)
{
	struct peer *p = &line->provisioning;
	struct session_login login;
	struct err e = { 0 };

	if (p->session)
		return;
	login_make(&login, line->plan, &line->conf->side[NORTH], NORTH, true, (struct jslice){ 0 },
		   db_instance(line->parts->db));
	p->session = make_session(p, &login, &e);
	login_fini(&login);
	if (p->session)
		session_start(p->session);
	else
		log_event(LOG_ERROR, "session-failed", "%s reason=%s", p->name, log_value(e.text));
}

/* The question of a handshake is not noted: it is asked again as long as the state says it is open. */
static void note_output(struct line *line, const struct output *o, const struct parcel *parcel)
{
	struct record *r = o->tag;

	if (o->is_provisioning)
		return;
	if (!r && o->is_own) {
		r = records_own(line->records, side_other(o->to), loop_now_ms(line->parts->loop));
		link_set_tag(o->origin, r);
	}
	if (r && o->is_kept)
		record_output(r, o->to, o->lane, &parcel->message);
}

static void on_send(void *ctx, struct output *o)
{
	struct line *line = ctx;
	struct peer *p = o->is_provisioning ? &line->provisioning : &line->peer[o->to];
	struct parcel *parcel;

	if (o->is_provisioning)
		open_provisioning(line);
	parcel = delivery_push(p->delivery, o->lane, &o->message, o->origin);
	if (parcel) {
		parcel->echo = o->echo;
		parcel->order = o->order;
		parcel->since_ms =
			o->tag ? record_received_ms(o->tag) : loop_now_ms(line->parts->loop);
		delivery_expire_at(p->delivery, parcel, o->expires_ms);
		note_output(line, o, parcel);
		return;
	}
	message_fini(&o->message);
	link_acked(line->link, o->to, o->echo, loop_now_ms(line->parts->loop));
	link_done(line->link, o->origin, DEAD_QUEUE_FULL,
		  "larger than what may wait for a session");
}

static void on_settled(void *ctx, const struct verdict *v)
{
	struct line *line = ctx;
	char subject[200], *text;

	if (line->parts->is_closing && (v->tag || v->is_own)) {
		if (v->tag)
			record_forget(v->tag);
		return;
	}
	if (v->tag)
		record_settled(v->tag);
	if (!refusal_is_dead(v->reason))
		return;
	letters_bury(line->parts->letters, line->plan, v, loop_now_ms(line->parts->loop));
	text = letters_tellable(line->plan, v->text);
	snprintf(subject, sizeof subject, "%s/%s/%s", line->plan->name, flow_name(v->flow),
		 refusal_word(v->reason));
	log_limited(LOG_WARNING, loop_now_ms(line->parts->loop), subject, "dead-letter",
		    "link=%s flow=%s reason=%s detail=%s", line->plan->name, flow_name(v->flow),
		    refusal_word(v->reason), log_value(*text ? text : NULL));
	free(text);
}

static void on_decided(void *ctx, void *tag)
{
	(void)ctx;
	record_decided(tag);
}

static void on_login(void *ctx, struct jslice credentials)
{
	struct line *line = ctx;
	struct peer *p = &line->peer[NORTH];
	struct session_login login;

	login_make(&login, line->plan, &line->conf->side[NORTH], NORTH, false, (struct jslice){ 0 },
		   db_instance(line->parts->db));
	if (login.is_missing) { /* a credential in the configuration wins */
		login_fini(&login);
		login_make(&login, line->plan, &line->conf->side[NORTH], NORTH, false, credentials,
			   db_instance(line->parts->db));
		line->uses_issued = true;
		log_event(LOG_INFO, "credentials-issued", "link=%s", line->plan->name);
		session_set_login(p->session, login.username, login.password, login.client_id);
		session_start(p->session);
	}
	login_fini(&login);
}

static void close_provisioning(struct line *line)
{
	struct peer *p = &line->provisioning;
	struct parcel parcel;

	if (!p->session)
		return;
	session_free(p->session);
	p->session = NULL;
	delivery_reset(p->delivery);
	while (delivery_pop(p->delivery, &parcel))
		end_parcel(p, &parcel, REFUSED_NOT, NULL); /* the handshake is over */
}

static void on_end_provisioning(void *ctx)
{
	close_provisioning(ctx);
}

static const struct link_ops link_ops = {
	.send = on_send,
	.settled = on_settled,
	.login = on_login,
	.end_provisioning = on_end_provisioning,
	.decided = on_decided,
};

/* --- the turn of the loop ------------------------------------------------------------------ */

static void publish(struct peer *p, int64_t now_ms)
{
	const struct parcel *next;
	struct parcel out;
	struct err e = { 0 };
	int mid;

	while (session_is_up(p->session) && pace_is_ready(&p->pace, now_ms) &&
	       (next = delivery_next(p->delivery)) != NULL) {
		if (session_publish(p->session, &next->message, &mid, &e)) {
			delivery_sent(p->delivery, mid);
			pace_take(&p->pace, now_ms);
			continue;
		}
		if (e.code == ERR_NET)
			return; /* it goes again after the reconnect */
		if (delivery_pop(p->delivery, &out))
			end_parcel(p, &out, e.code == ERR_LIMIT ? DEAD_TOO_LARGE : DEAD_BAD_TOPIC,
				   e.text);
	}
}

static void each_session(struct line *line, int64_t now_ms,
			 void (*before)(struct peer *p, int64_t now_ms))
{
	struct peer *const peers[] = { &line->peer[SOUTH], &line->peer[NORTH],
				       &line->provisioning };

	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
		if (!peers[i]->session)
			continue;
		if (before)
			before(peers[i], now_ms);
		session_flush(peers[i]->session, now_ms);
	}
}

static size_t held_bytes(const struct line *line, enum side source)
{
	return link_pending_bytes(line->link, flow_from(source)) +
	       delivery_bytes(line->peer[side_other(source)].delivery);
}

/* What is held of the source's direction, and what waits for its target, decide whether it waits. */
static void press(struct peer *source)
{
	struct line *line = source->line;
	size_t bytes = held_bytes(line, source->side);

	switch (pressure_step(&line->pressure, source->side, bytes)) {
	case PRESSURE_HOLD:
		log_event(LOG_WARNING, "source-held", "%s bytes=%zu", source->name, bytes);
		session_hold(source->session);
		break;
	case PRESSURE_RELEASE:
		log_event(LOG_INFO, "source-released", "%s bytes=%zu", source->name, bytes);
		session_release(source->session);
		break;
	case PRESSURE_SAME:
		break;
	}
}

/* Held or not, what waits for a side has to get there. */
static void deliver(struct peer *p, int64_t now_ms)
{
	bool is_waiting = delivery_waiting(p->delivery) > 0;

	p->is_paced = is_waiting && !pace_is_ready(&p->pace, now_ms);
	if (is_waiting && !p->is_paced)
		session_visit(p->session);
}

void line_flush(struct line *line, int64_t now_ms)
{
	each_session(line, now_ms, publish);
	for (int s = 0; s < SIDES; s++) {
		press(&line->peer[s]);
		deliver(&line->peer[s], now_ms);
	}
}

void line_hold_sources(struct line *line, bool is_held, int64_t now_ms)
{
	line->pressure.is_closed = is_held;
	for (int s = 0; s < SIDES; s++) {
		press(&line->peer[s]);
		deliver(&line->peer[s], now_ms);
	}
}

void line_acknowledge(struct line *line, int64_t now_ms)
{
	each_session(line, now_ms, NULL);
}

static void expire(struct peer *p, int64_t now_ms)
{
	struct parcel parcel;

	while (delivery_expired(p->delivery, now_ms, &parcel)) {
		link_acked(p->line->link, p->side, parcel.echo, now_ms);
		link_expire(p->line->link, parcel.origin, parcel.order, now_ms);
		message_fini(&parcel.message);
	}
	while (delivery_pop_old(p->delivery, now_ms - p->line->parts->max_age_ms, &parcel))
		end_parcel(p, &parcel, DEAD_EXPIRED, "older than journal.max_age");
}

void line_tick(struct line *line, int64_t now_ms)
{
	if (link_is_deciding(line->link))
		return;
	for (int s = 0; s < SIDES; s++)
		expire(&line->peer[s], now_ms);
	if (link_next_deadline(line->link) <= now_ms)
		link_tick(line->link, now_ms);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t line_next_deadline(const struct line *line)
{
	int64_t earliest = link_next_deadline(line->link);

	for (int s = 0; s < SIDES; s++) {
		const struct peer *p = &line->peer[s];
		int64_t oldest_ms;

		earliest = earlier(earliest, delivery_next_expiry(p->delivery));
		oldest_ms = delivery_oldest(p->delivery);
		if (oldest_ms < INT64_MAX)
			earliest = earlier(earliest, oldest_ms + line->parts->max_age_ms);
		if (p->is_paced)
			earliest = earlier(earliest, pace_ready_ms(&p->pace));
	}
	return earliest;
}

static bool save(struct line *line, const struct changes *c, struct err *e)
{
	return !c || c->n == 0 || state_apply(line->parts->db, line->plan->name, c, e);
}

bool line_save(struct line *line, struct err *e)
{
	struct changes c = link_changes(line->link);
	bool ok = save(line, &c, e);

	for (int s = 0; ok && s < SIDES; s++)
		ok = save(line, link_echoes(line->link, (enum side)s), e);
	return ok;
}

void line_saved(struct line *line)
{
	link_changes_written(line->link);
}

uint64_t line_journal_bytes(const struct line *line)
{
	return records_link_bytes(line->records, SOUTH) + records_link_bytes(line->records, NORTH);
}

void line_stop(struct line *line)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(line->link, (enum flow)f);

		line->stop_at[f] = c->received + c->resumed;
	}
}

bool line_has_settled(const struct line *line)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(line->link, (enum flow)f);

		if (c->delivered + c->filtered + c->dead < line->stop_at[f])
			return false;
	}
	return true;
}

bool line_is_drained(const struct line *line)
{
	for (int s = 0; s < SIDES; s++) {
		const struct peer *p = &line->peer[s];

		if (p->session && session_is_up(p->session) &&
		    delivery_waiting(p->delivery) + delivery_in_flight(p->delivery) > 0)
			return false;
	}
	return true;
}

/* --- starting and ending ------------------------------------------------------------------- */

static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	struct line *line = ctx;

	return link_restore(line->link, machine, key, value, e);
}

static void init_peer(struct peer *p, struct line *line, enum side side, bool is_provisioning)
{
	const struct dialect *d = line->plan->side[side].dialect;
	unsigned window = DELIVERY_WINDOW;

	if (d->limits.in_flight && d->limits.in_flight < DELIVERY_WINDOW)
		window = (unsigned)d->limits.in_flight;
	*p = (struct peer){ .line = line, .side = side, .is_provisioning = is_provisioning };
	p->name = mem_printf("link=%s side=%s%s", line->plan->name, side_name(side),
			     is_provisioning ? " session=provisioning" : "");
	p->delivery = delivery_new(window, MESSAGE_BYTES);
	pace_init(&p->pace, d->limits.messages_per_second);
}

static bool open_peer(struct peer *p, struct err *e)
{
	struct line *line = p->line;
	struct jslice issued =
		p->side == NORTH ? link_credentials(line->link) : (struct jslice){ 0 };
	const char *instance = db_instance(line->parts->db);
	struct session_login login;

	login_make(&login, line->plan, &line->conf->side[p->side], p->side, false,
		   (struct jslice){ 0 }, instance);
	if (login.is_missing && issued.len) {
		login_fini(&login);
		login_make(&login, line->plan, &line->conf->side[p->side], p->side, false, issued,
			   instance);
		line->uses_issued = true;
	}
	if (login.unset && !(login.is_missing && p->side == NORTH))
		log_event(LOG_WARNING, "login-incomplete", "%s unset=%s", p->name, login.unset);
	p->session = make_session(p, &login, e);
	if (p->session && login.is_missing && p->side == NORTH &&
	    line->plan->side[NORTH].dialect->has_provisioning)
		log_event(LOG_INFO, "session-waits", "%s unset=%s reason=%s", p->name, login.unset,
			  log_value("no credentials yet: a provisioning handshake brings them"));
	else if (p->session)
		session_start(p->session);
	login_fini(&login);
	return p->session != NULL;
}

/* What other brokers' clients may see of us: nothing but that it is the same link again. */
static void set_mark(struct line *line)
{
	const char *instance = db_instance(line->parts->db);
	struct crypto_piece pieces[] = { { instance, strlen(instance) },
					 { line->plan->name, strlen(line->plan->name) } };
	uint8_t hash[CRYPTO_HASH_BYTES];
	char mark[17];

	crypto_hash(pieces, 2, hash);
	for (size_t i = 0; i < sizeof mark / 2; i++)
		snprintf(mark + 2 * i, 3, "%02x", hash[i]);
	link_set_mark(line->link, mark);
}

struct line *line_new(const struct line_parts *parts, const struct conf_link *conf,
		      const struct plan *plan, struct err *e)
{
	struct line *line = mem_zalloc(sizeof *line);
	bool echoes[SIDES];

	*line = (struct line){ .parts = parts, .conf = conf, .plan = plan };
	for (int s = 0; s < SIDES; s++) {
		init_peer(&line->peer[s], line, (enum side)s, false);
		echoes[s] = mqtt_version(line, (enum side)s) < 5; /* MQTT 5 has No Local */
	}
	init_peer(&line->provisioning, line, NORTH, true);
	line->records = records_link(parts->records, plan->name, line);
	line->link = link_new(plan, parts->translator, &link_ops, line, echoes);
	set_mark(line);
	if (state_load(parts->db, plan->name, restore, line, e))
		return line;
	line_free(line);
	return NULL;
}

bool line_open(struct line *line)
{
	struct err e = { 0 };

	for (int s = 0; s < SIDES; s++)
		if (!open_peer(&line->peer[s], &e)) {
			log_event(LOG_ERROR, "session-failed", "%s reason=%s", line->peer[s].name,
				  log_value(e.text));
			return false;
		}
	return true;
}

void line_take_again(void *ctx, struct record *r, struct journal_entry *entry,
		     struct journal_output *outputs, size_t n)
{
	struct line *line = ctx;
	struct output *out = mem_zalloc((n + 1) * sizeof *out);

	line->n_resumed++;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct output){ .to = outputs[i].to,
					  .lane = outputs[i].lane,
					  .message = outputs[i].message };
		outputs[i].message = (struct message){ 0 };
	}
	if (entry->is_decided)
		link_resend(line->link, entry->from, !entry->batch, entry->received_ms, out, n, r);
	else
		link_receive_again(line->link, entry->from, &entry->message, entry->received_ms, r);
	free(out);
}

void line_resume(struct line *line)
{
	if (line->n_resumed)
		log_event(LOG_INFO, "journal-resumed", "link=%s messages=%zu", line->plan->name,
			  line->n_resumed);
	link_resume(line->link, clock_now_ms());
}

void line_log_counters(const struct line *line)
{
	for (int f = 0; f < FLOWS; f++) {
		const struct link_counters *c = link_counters(line->link, (enum flow)f);

		log_event(LOG_INFO, "counters",
			  "link=%s flow=%s received=%llu resumed=%llu delivered=%llu filtered=%llu "
			  "dead=%llu pending=%llu",
			  line->plan->name, flow_name((enum flow)f),
			  (unsigned long long)c->received, (unsigned long long)c->resumed,
			  (unsigned long long)c->delivered, (unsigned long long)c->filtered,
			  (unsigned long long)c->dead, (unsigned long long)c->pending);
	}
}

/* --- looking and steering ------------------------------------------------------------------ */

const char *line_name(const struct line *line)
{
	return line->plan->name;
}

const struct link_counters *line_counters(const struct line *line, enum flow flow)
{
	return link_counters(line->link, flow);
}

bool line_has_room(const struct line *line, enum side from)
{
	return held_bytes(line, from) < PRESSURE_HIGH_BYTES;
}

void line_retry(struct line *line, enum side from, const struct message *m, int64_t received_ms)
{
	struct record *r = records_accept(line->records, from, m, received_ms);

	link_receive_again(line->link, from, m, received_ms, r);
}

bool line_session(const struct line *line, size_t i, struct line_session *out)
{
	const struct peer *const peers[] = { &line->peer[SOUTH], &line->peer[NORTH],
					     &line->provisioning };
	const struct peer *p;

	if (i >= sizeof peers / sizeof peers[0])
		return false;
	p = peers[i];
	*out = (struct line_session){
		.side = p->side,
		.is_provisioning = p->is_provisioning,
		.url = line->conf->side[p->side].url,
		.waiting = delivery_waiting(p->delivery),
		.in_flight = delivery_in_flight(p->delivery),
		.bytes = delivery_bytes(p->delivery),
	};
	if (p->session)
		session_status(p->session, &out->session);
	return true;
}

static void free_peer(struct peer *p)
{
	struct parcel parcel;

	if (p->session)
		session_free(p->session);
	if (p->delivery) {
		delivery_reset(p->delivery);
		while (delivery_pop(p->delivery, &parcel))
			end_parcel(p, &parcel, DEAD_QUEUE_FULL, "the bridge was stopped");
		delivery_free(p->delivery);
	}
	free(p->name);
}

void line_free(struct line *line)
{
	for (int s = 0; s < SIDES; s++)
		free_peer(&line->peer[s]);
	free_peer(&line->provisioning);
	link_free(line->link);
	free(line);
}
