#include "app/bridge.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "app/conf.h"
#include "app/login.h"
#include "app/records.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/delivery.h"
#include "core/link.h"
#include "core/translator.h"
#include "net/loop.h"
#include "net/session.h"
#include "store/db.h"
#include "store/journal.h"
#include "store/state.h"

#define QUEUE_BYTES (64u << 20) /* per session; what does not fit is a dead letter */
#define DRAIN_MS    5000	/* at the end: how long what is in hand may take */

/* A session and what waits for it. */
struct peer {
	struct line *line;
	enum side side;
	bool is_provisioning;
	char *name;		 /* for the log */
	struct session *session; /* NULL: not needed, or not yet */
	struct delivery *delivery;
};

/* A link with its sessions: its line. */
struct line {
	struct bridge *bridge;
	const struct conf_link *conf;
	const struct plan *plan;
	struct link *link;
	struct peer peer[SIDES];
	struct peer provisioning;
	bool uses_issued; /* the north logs in with credentials of a handshake */
};

struct bridge {
	const struct conf *conf;
	struct loop *loop;
	struct db *db;
	struct records *records;
	struct translator *translator;
	struct line *lines;
	size_t n_lines;
	struct loop_timer deadline, drain;
	int64_t deadline_ms; /* that the timer is set to */
	bool is_stopping, has_failed;
	bool is_closing; /* what is not settled stays in the journal */
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
	int64_t now_ms = loop_now_ms(line->bridge->loop);
	struct record *r = NULL;

	if (m->qos > 0)
		r = records_accept(line->bridge->records, line->plan->name, p->side, m, now_ms);
	link_receive(line->link, p->side, m, now_ms, r);
}

static void end_parcel(struct peer *p, struct parcel *parcel, enum refusal reason, const char *text)
{
	link_acked(p->line->link, p->side, parcel->echo, loop_now_ms(p->line->bridge->loop));
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
	s = session_new(line->bridge->loop, &conf, &session_ops, p, e);
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
		   db_instance(line->bridge->db));
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
		r = records_own(line->bridge->records, line->plan->name, side_other(o->to),
				loop_now_ms(line->bridge->loop));
		link_set_tag(o->origin, r);
	}
	if (r)
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
		note_output(line, o, parcel);
		return;
	}
	message_fini(&o->message);
	link_acked(line->link, o->to, o->echo, loop_now_ms(line->bridge->loop));
	link_done(line->link, o->origin, DEAD_QUEUE_FULL, "too much waits for this session");
}

static void on_settled(void *ctx, const struct verdict *v)
{
	struct line *line = ctx;
	char subject[200];

	if (line->bridge->is_closing && (v->tag || v->is_own)) {
		if (v->tag)
			record_forget(v->tag);
		return;
	}
	if (v->tag)
		record_settled(v->tag);
	if (!refusal_is_dead(v->reason))
		return;
	snprintf(subject, sizeof subject, "%s/%s/%s", line->plan->name, flow_name(v->flow),
		 refusal_word(v->reason));
	log_limited(LOG_WARNING, loop_now_ms(line->bridge->loop), subject, "dead-letter",
		    "link=%s flow=%s reason=%s detail=%s", line->plan->name, flow_name(v->flow),
		    refusal_word(v->reason), log_value(v->text));
}

static void on_decided(void *ctx, void *tag)
{
	(void)ctx;
	if (tag)
		record_decided(tag);
}

static void on_login(void *ctx, struct jslice credentials)
{
	struct line *line = ctx;
	struct peer *p = &line->peer[NORTH];
	struct session_login login;

	login_make(&login, line->plan, &line->conf->side[NORTH], NORTH, false, (struct jslice){ 0 },
		   db_instance(line->bridge->db));
	if (login.is_missing) { /* a credential in the configuration wins */
		login_fini(&login);
		login_make(&login, line->plan, &line->conf->side[NORTH], NORTH, false, credentials,
			   db_instance(line->bridge->db));
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

static void bridge_fail(struct bridge *b, const struct err *e)
{
	log_event(LOG_ERROR, "state-failed", "reason=%s", log_value(e->text));
	b->has_failed = true;
	loop_stop(b->loop);
}

/* The messages that were accepted, what they changed, and what is settled, in one transaction. */
static bool commit(struct bridge *b)
{
	struct err e = { 0 };

	for (size_t i = 0; i < b->n_lines; i++) {
		struct changes *c = link_changes(b->lines[i].link);

		if (c->n && !state_apply(b->db, b->lines[i].plan->name, c, &e)) {
			bridge_fail(b, &e);
			return false;
		}
		changes_fini(c);
	}
	if (records_write(b->records, &e) && db_commit(b->db, &e))
		return true;
	bridge_fail(b, &e);
	return false;
}

static void publish(struct peer *p)
{
	const struct parcel *next;
	struct parcel out;
	struct err e = { 0 };
	int mid;

	while (session_is_up(p->session) && (next = delivery_next(p->delivery)) != NULL) {
		if (session_publish(p->session, &next->message, &mid, &e)) {
			delivery_sent(p->delivery, mid);
			continue;
		}
		if (e.code == ERR_NET)
			return; /* it goes again after the reconnect */
		if (delivery_pop(p->delivery, &out))
			end_parcel(p, &out, e.code == ERR_LIMIT ? DEAD_TOO_LARGE : DEAD_BAD_TOPIC,
				   e.text);
	}
}

static void flush(struct line *line, int64_t now_ms)
{
	struct peer *const peers[] = { &line->peer[SOUTH], &line->peer[NORTH],
				       &line->provisioning };

	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
		if (!peers[i]->session)
			continue;
		publish(peers[i]);
		session_flush(peers[i]->session, now_ms);
	}
}

/* The timer only wakes the loop; what is due is found before it sleeps. */
static void on_deadline(void *ctx)
{
	(void)ctx;
}

static void set_deadline(struct bridge *b, int64_t now_ms)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < b->n_lines; i++) {
		int64_t d = link_next_deadline(b->lines[i].link);

		if (d < earliest)
			earliest = d;
	}
	if (earliest == b->deadline_ms)
		return;
	b->deadline_ms = earliest;
	if (earliest == INT64_MAX)
		loop_timer_stop(&b->deadline);
	else
		loop_timer_set(b->loop, &b->deadline,
			       earliest > now_ms ? (uint64_t)(earliest - now_ms) + 1 : 1,
			       on_deadline, b);
}

static bool is_drained(const struct bridge *b)
{
	for (size_t i = 0; i < b->n_lines; i++)
		for (int s = 0; s < SIDES; s++) {
			const struct peer *p = &b->lines[i].peer[s];

			if (p->session && session_is_up(p->session) &&
			    delivery_waiting(p->delivery) + delivery_in_flight(p->delivery) > 0)
				return false;
		}
	return true;
}

static void before_sleep(void *ctx, int64_t now_ms)
{
	struct bridge *b = ctx;

	if (b->has_failed)
		return;
	for (size_t i = 0; i < b->n_lines; i++)
		if (link_next_deadline(b->lines[i].link) <= now_ms)
			link_tick(b->lines[i].link, now_ms);
	translator_run(b->translator);
	if (!commit(b))
		return; /* what was not acknowledged comes again */
	for (size_t i = 0; i < b->n_lines; i++)
		flush(&b->lines[i], now_ms);
	set_deadline(b, now_ms);
	if (b->is_stopping && is_drained(b))
		loop_stop(b->loop);
}

static void on_drained_too_long(void *ctx)
{
	struct bridge *b = ctx;

	log_event(LOG_WARNING, "stop-forced", "after_ms=%d", DRAIN_MS);
	loop_stop(b->loop);
}

static void on_signal(void *ctx, int signum)
{
	struct bridge *b = ctx;

	log_event(LOG_INFO, "stopping", "signal=%s", signum == SIGTERM ? "SIGTERM" : "SIGINT");
	b->is_stopping = true;
	loop_timer_set(b->loop, &b->drain, DRAIN_MS, on_drained_too_long, b);
}

/* --- starting and ending ------------------------------------------------------------------- */

struct restoring {
	struct line *line;
};

static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	struct restoring *r = ctx;

	return link_restore(r->line->link, machine, key, value, e);
}

static void init_peer(struct peer *p, struct line *line, enum side side, bool is_provisioning)
{
	*p = (struct peer){ .line = line, .side = side, .is_provisioning = is_provisioning };
	p->name = mem_printf("link=%s side=%s%s", line->plan->name, side_name(side),
			     is_provisioning ? " session=provisioning" : "");
	p->delivery = delivery_new(DELIVERY_WINDOW, QUEUE_BYTES);
}

static bool open_peer(struct peer *p, struct err *e)
{
	struct line *line = p->line;
	struct jslice issued =
		p->side == NORTH ? link_credentials(line->link) : (struct jslice){ 0 };
	const char *instance = db_instance(line->bridge->db);
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

static bool init_line(struct bridge *b, struct line *line, const struct conf_link *conf,
		      const struct plan *plan, struct err *e)
{
	struct restoring r = { line };
	bool echoes[SIDES];

	*line = (struct line){ .bridge = b, .conf = conf, .plan = plan };
	for (int s = 0; s < SIDES; s++) {
		init_peer(&line->peer[s], line, (enum side)s, false);
		echoes[s] = mqtt_version(line, (enum side)s) < 5; /* MQTT 5 has No Local */
	}
	init_peer(&line->provisioning, line, NORTH, true);
	line->link = link_new(plan, b->translator, &link_ops, line, echoes);
	return state_load(b->db, plan->name, restore, &r, e);
}

struct bridge *bridge_new(const struct conf *conf, struct plan *const *plans, struct err *e)
{
	struct bridge *b = mem_zalloc(sizeof *b);
	bool ok = false;

	b->conf = conf;
	b->deadline_ms = INT64_MAX;
	b->translator = translator_new();
	b->lines = mem_zalloc(conf->n_links * sizeof *b->lines);
	b->db = db_open(conf->state, conf->state_key, e);
	if (!b->db)
		goto out;
	b->records = records_new(b->db, e);
	if (!b->records)
		goto out;
	b->loop = loop_new(e);
	if (!b->loop)
		goto out;
	for (; b->n_lines < conf->n_links; b->n_lines++)
		if (!init_line(b, &b->lines[b->n_lines], &conf->links[b->n_lines],
			       plans[b->n_lines], e)) {
			b->n_lines++;
			goto out;
		}
	ok = loop_on_signal(b->loop, SIGTERM, on_signal, b, e) &&
	     loop_on_signal(b->loop, SIGINT, on_signal, b, e);
out:
	if (ok)
		return b;
	bridge_free(b);
	return NULL;
}

static bool open_sessions(struct bridge *b)
{
	struct err e = { 0 };

	for (size_t i = 0; i < b->n_lines; i++)
		for (int s = 0; s < SIDES; s++)
			if (!open_peer(&b->lines[i].peer[s], &e)) {
				log_event(LOG_ERROR, "session-failed", "%s reason=%s",
					  b->lines[i].peer[s].name, log_value(e.text));
				return false;
			}
	return true;
}

struct resuming {
	struct line *line;
	size_t n;
};

static bool resume_entry(void *ctx, struct journal_entry *entry, struct journal_output *outputs,
			 size_t n, struct err *e)
{
	struct resuming *resuming = ctx;
	struct line *line = resuming->line;
	struct bridge *b = line->bridge;
	struct record *r = records_resumed(b->records, line->plan->name, entry);
	struct output *out = mem_zalloc((n + 1) * sizeof *out);

	(void)e;
	resuming->n++;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct output){ .to = outputs[i].to,
					  .lane = outputs[i].lane,
					  .message = outputs[i].message };
		outputs[i].message = (struct message){ 0 };
	}
	if (entry->is_decided)
		link_resend(line->link, entry->from, entry->is_own, out, n, r);
	else
		link_receive_again(line->link, entry->from, &entry->message, entry->received_ms, r);
	translator_run(b->translator); /* each with the time and the state that it had */
	free(out);
	return true;
}

/* Go on with what earlier runs accepted and did not settle, before anything new comes in. */
static bool resume(struct bridge *b)
{
	struct err e = { 0 };
	bool ok = journal_count_start(b->db, &e);

	for (size_t i = 0; ok && i < b->n_lines; i++) {
		struct resuming r = { .line = &b->lines[i] };

		ok = journal_load(b->db, r.line->plan->name, resume_entry, &r, &e);
		if (r.n)
			log_event(LOG_INFO, "journal-resumed", "link=%s messages=%zu",
				  r.line->plan->name, r.n);
		link_resume(r.line->link, clock_now_ms());
	}
	if (!ok)
		bridge_fail(b, &e);
	return ok;
}

/* What was read since the last commit: once it is durable, its acknowledgements leave, too. */
static bool finish(struct bridge *b)
{
	translator_run(b->translator);
	if (!commit(b))
		return false;
	for (size_t i = 0; i < b->n_lines; i++)
		for (int s = 0; s < SIDES; s++)
			session_flush(b->lines[i].peer[s].session, loop_now_ms(b->loop));
	return true;
}

bool bridge_run(struct bridge *b)
{
	if (!open_sessions(b) || !resume(b))
		return false;
	loop_before_sleep(b->loop, before_sleep, b);
	log_event(LOG_INFO, "started", "links=%zu", b->n_lines);
	loop_run(b->loop);
	return !b->has_failed && finish(b);
}

static void log_counters(const struct line *line)
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

void bridge_free(struct bridge *b)
{
	b->is_closing = true;
	for (size_t i = 0; i < b->n_lines; i++)
		if (b->loop && b->lines[i].peer[SOUTH].session)
			log_counters(&b->lines[i]);
	translator_free(b->translator);
	for (size_t i = 0; i < b->n_lines; i++) {
		struct line *line = &b->lines[i];

		for (int s = 0; s < SIDES; s++)
			free_peer(&line->peer[s]);
		free_peer(&line->provisioning);
		link_free(line->link);
	}
	if (b->loop) {
		loop_timer_close(&b->deadline, NULL);
		loop_timer_close(&b->drain, NULL);
		loop_free(b->loop);
	}
	records_free(b->records);
	db_close(b->db);
	free(b->lines);
	free(b);
}
