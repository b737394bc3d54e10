/* session.c -- the life of a session: from its making over login, holding and visits to its end.
 *
 *	IDLE -> LOOKUP -> LOGIN -> UP	and from each of the three, when it ends, to WAITING, from there
 *					to LOOKUP again; or to IDLE, if the session is held
 *
 * `attempt` is there from LOOKUP to UP and nowhere else; in LOOKUP it belongs to a thread, and nobody looks
 * into it.  `timer` is the phase's: in WAITING the next try, in LOOKUP the warning, from LOGIN on the
 * tick that keepalive and deadlines need.  Every call into the library is followed by conclude(), when
 * the library is off the stack: there, or in a call of the caller's, an attempt ends, never in a
 * callback (in_library).
 *
 * A held session takes nothing in.  wants_held is the caller's wish, is_held that of the connection at hand:
 * to be held comes into force at once, to be released with the next connection.  A connection made while
 * held is a visit: up to its first session_flush() it writes and does not read, so there is nothing that
 * it could acknowledge; then (is_written) it reads and does not write, for the acknowledgements of what it
 * brought, and ends. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mqtt_protocol.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/session_inside.h"

#define TICK_MS	       1000  /* while there is a deadline; else as attempt_tick_ms() has it */
#define LOOKUP_MS      15000 /* a lookup that takes longer is told */
#define LINGER_MS      200   /* for a broker to read what we wrote */
#define VISIT_PAUSE_MS 100   /* between two: spare the broker */

#define OTHER_CREDENTIALS "other credentials"

static void connect_now(struct session *s);

/* ---- the configuration, copied ---- */

static struct session_filter *copy_filters(const struct session_filter *from, size_t n)
{
	struct session_filter *to = n ? mem_zalloc(n * sizeof *to) : NULL;

	for (size_t i = 0; i < n; i++) {
		assert(from[i].qos <= 1); /* the library loses messages of QoS 2: attempt.c */
		to[i] = (struct session_filter){ mem_strdup(from[i].filter), from[i].qos,
						 mem_strdup(from[i].kinds),
						 mem_strdup(from[i].shown) };
	}
	return to;
}

static const char *const *copy_old(const char *const *from, size_t n)
{
	const char **to = mem_zalloc((n + 1) * sizeof *to);

	for (size_t i = 0; i < n; i++)
		to[i] = mem_strdup(from[i]);
	return to;
}

static void free_secret(const char *text)
{
	if (text)
		mem_free_secret((char *)text, strlen(text));
}

static void copy_login(struct session_conf *to, const char *username, const char *password,
		       const char *client_id)
{
	to->username = mem_strdup(username);
	to->password = mem_strdup(password);
	to->client_id = mem_strdup(client_id);
}

static void free_login(struct session_conf *conf)
{
	free_secret(conf->username); /* a token on some platforms */
	free_secret(conf->password);
	free((char *)conf->client_id);
}

struct session *session_new(struct loop *l, const struct session_conf *conf,
			    const struct session_ops *ops, void *ctx, struct err *e)
{
	static bool is_library_ready;
	SSL_CTX *tls = NULL;
	struct session *s;

	if (conf->is_tls) {
		tls = tls_context(&conf->tls, conf->host, e);
		if (!tls)
			return NULL;
	}
	if (!is_library_ready)
		mosquitto_lib_init();
	is_library_ready = true;
	s = mem_zalloc(sizeof *s);
	s->loop = l;
	s->conf = *conf;
	s->conf.tls = (struct tls_conf){ 0 };
	s->conf.name = mem_strdup(conf->name);
	s->conf.host = mem_strdup(conf->host);
	copy_login(&s->conf, conf->username, conf->password, conf->client_id);
	s->conf.filters = copy_filters(conf->filters, conf->n_filters);
	s->conf.old = copy_old(conf->old, conf->n_old);
	s->unsub_mids = mem_zalloc(conf->n_old * sizeof *s->unsub_mids);
	s->sub_mids = mem_zalloc(conf->n_filters * sizeof *s->sub_mids);
	s->granted = mem_zalloc(conf->n_filters * sizeof *s->granted);
	s->version = mqtt_version_new(conf->host, conf->port, conf->mqtt);
	s->conf.mqtt = mqtt_version_next(s->version, clock_mono_ms());
	s->ops = *ops;
	s->ctx = ctx;
	s->tls = tls;
	s->timer.ctx = s;
	return s;
}

static void free_memory(void *ctx)
{
	struct session *s = ctx;
	struct session_filter *filters = (struct session_filter *)s->conf.filters;

	for (size_t i = 0; i < s->conf.n_filters; i++) {
		free((char *)filters[i].filter);
		free((char *)filters[i].kinds);
		free((char *)filters[i].shown);
	}
	free(filters);
	for (size_t i = 0; i < s->conf.n_old; i++)
		free((char *)s->conf.old[i]);
	free((char **)s->conf.old);
	free(s->unsub_mids);
	free(s->sub_mids);
	free(s->granted);
	buf_fini(&s->degraded);
	mqtt_version_free(s->version);
	free((char *)s->conf.name);
	free((char *)s->conf.host);
	free_login(&s->conf);
	tls_release(s->tls);
	buf_fini(&s->payload);
	buf_fini(&s->last.bytes);
	free(s);
}

/* ---- when to try again ---- */

static void stir(const struct session *s)
{
	if (s->ops.on_stir)
		s->ops.on_stir(s->ctx);
}

const char *session_subject(const struct session *s)
{
	return s->conf.is_one_of_many ? s->conf.host : s->conf.name;
}

static void on_retry(void *ctx)
{
	struct session *s = ctx;

	stir(s);
	s->phase = IDLE;
	if (!s->wants_held) /* else when something waits for it */
		connect_now(s);
}

void session_wait(struct session *s, uint64_t ms)
{
	s->phase = WAITING;
	loop_timer_set(s->loop, &s->timer, ms, on_retry, s);
}

/* ---- login ---- */

static int subscribe_5(struct session *s, size_t i, int options)
{
	const struct session_filter *f = &s->conf.filters[i];
	mosquitto_property *properties = NULL;
	int rc = MOSQ_ERR_SUCCESS;

	if (s->login.has_ids)
		rc = mosquitto_property_add_varint(&properties, MQTT_PROP_SUBSCRIPTION_IDENTIFIER,
						   session_filter_id(f->filter));
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_subscribe_v5(s->attempt->m, &s->sub_mids[i], f->filter, f->qos,
					    options, properties);
	mosquitto_property_free_all(&properties);
	return rc;
}

static bool subscribe(struct session *s, size_t i)
{
	const struct session_filter *f = &s->conf.filters[i];
	struct gather *outer = gather_begin(&s->attempt->gather);
	int rc;

	if (s->conf.mqtt == 5) /* no echo of ours; retained messages for new subscriptions only */
		rc = subscribe_5(s, i, MQTT_SUB_OPT_NO_LOCAL | MQTT_SUB_OPT_SEND_RETAIN_NEW);
	else
		rc = mosquitto_subscribe(s->attempt->m, &s->sub_mids[i], f->filter, f->qos);
	gather_end(&s->attempt->gather, outer);
	if (rc == MOSQ_ERR_SUCCESS)
		return true;
	session_end_lost(s, rc);
	return false;
}

static bool unsubscribe(struct session *s, size_t i)
{
	struct gather *outer = gather_begin(&s->attempt->gather);
	int rc = mosquitto_unsubscribe(s->attempt->m, &s->unsub_mids[i], s->conf.old[i]);

	gather_end(&s->attempt->gather, outer);
	if (rc == MOSQ_ERR_SUCCESS)
		return true;
	session_end_lost(s, rc);
	return false;
}

/* After all has been subscribed that may take their place.  Nobody waits for it; what is not acknowledged on this
 * connection is asked for on the next.  A broker that kept nothing has none of them.  False: the session is down. */
static bool give_up_old(struct session *s)
{
	for (size_t i = 0; i < s->conf.n_old; i++) {
		if (!s->login.is_present)
			session_unsubscribed(s, i);
		else if (s->unsub_mids[i] != UNSUBSCRIBED && !unsubscribe(s, i))
			return false;
	}
	return true;
}

static void warn_if_lost(const struct session *s)
{
	if (s->has_been_up && !s->conf.is_clean && !s->login.is_present)
		log_limited(LOG_WARNING, loop_now_ms(s->loop), session_subject(s), "session-lost",
			    "%s reason=\"the broker kept nothing since the last connection\"",
			    s->conf.name);
}

static void set_up(struct session *s)
{
	s->phase = UP;
	s->up_since_ms = clock_mono_ms();
	s->peer_expires_s = attempt_peer_expires_s(s->attempt);
	mqtt_version_logged_in(s->version, s->up_since_ms);
	s->n_in_vain = 0;
	s->why[0] = '\0';
}

/* Say it, and keep it for the status. */
__attribute__((format(printf, 3, 4))) static void degrade(struct session *s, const char *event,
							  const char *fmt, ...)
{
	struct buf text = { 0 }, subject = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	buf_printf(&subject, "%s %s", session_subject(s), buf_str(&text));
	log_limited(LOG_WARNING, loop_now_ms(s->loop), buf_str(&subject), event, "%s %s",
		    s->conf.name, buf_str(&text));
	buf_printf(&s->degraded, "%s%s", s->degraded.len ? "; " : "", buf_str(&text));
	buf_fini(&subject);
	buf_fini(&text);
}

/* What the broker does not grant cannot come; all else can.  It is asked for again with each login. */
static void look_at_grants(struct session *s)
{
	buf_reset(&s->degraded);
	for (size_t i = 0; i < s->conf.n_filters; i++) {
		const struct session_filter *f = &s->conf.filters[i];
		const char *kinds = f->kinds ? f->kinds : "";
		char filter[256];

		snprintf(filter, sizeof filter, "%s", log_value(f->shown ? f->shown : f->filter));
		if (s->granted[i] >= 0x80)
			degrade(s, "subscription-refused", "filter=%s kinds=%s code=%d reason=%s",
				filter, kinds, s->granted[i],
				log_value(attempt_code_words(s->conf.mqtt, s->granted[i])));
		else if (s->granted[i] < f->qos)
			degrade(s, "subscription-lowered",
				"filter=%s kinds=%s reason=\"granted QoS %d, asked for %d: what "
				"comes may be lost\"",
				filter, kinds, s->granted[i], f->qos);
	}
	if (s->login.max_qos == 0)
		degrade(s, "qos-lowered",
			"reason=\"the broker takes QoS 0 only: what is sent may be lost\"");
}

static void go_up(struct session *s)
{
	set_up(s);
	s->is_ipv4_only = false;
	attempt_settle(s->attempt);
	log_event(s->conf.is_one_of_many ? LOG_DEBUG : LOG_INFO, "session-up", "%s present=%d",
		  s->conf.name, s->login.is_present);
	warn_if_lost(s);
	look_at_grants(s);
	s->has_been_up = true;
	s->ops.on_up(s->ctx);
}

/* Close without a word to the broker: what is not written yet, acknowledgements among it, is
 * dropped.  `pause_ms`: after a good visit, how long to stay away; 0: the end of it. */
static void break_off(struct session *s, uint64_t pause_ms)
{
	bool was_up = s->phase == UP;

	session_close_attempt(s, false);
	if (pause_ms) {
		backoff_reset(&s->backoff);
		session_wait(s, pause_ms);
	} else {
		s->phase = IDLE;
		loop_timer_stop(&s->timer);
	}
	if (was_up)
		s->ops.on_down(s->ctx, SESSION_END_OURS);
}

/* A visit has its CONNACK and has read nothing else: no acknowledgement is in what it writes. */
static void begin_visit(struct session *s)
{
	warn_if_lost(s);
	for (size_t i = 0; !s->login.is_present && i < s->conf.n_filters; i++)
		if (!subscribe(s, i)) /* the broker is to keep what comes meanwhile */
			return;
	set_up(s);
	s->deadline_ms = s->up_since_ms + VISIT_MS;
	s->ops.on_up(s->ctx);
}

/* A session that was up when it was held is not waited for longer: what a broker has no room for yet,
 * the library keeps, and it will never leave. */
static bool is_visit_over(const struct session *s)
{
	return s->is_written &&
	       (s->linger_until_ms ? clock_mono_ms() >= s->linger_until_ms : s->n_unacked == 0);
}

/* Does the connection take in what is there to be read? */
static bool is_reading(const struct session *s)
{
	if (s->is_written)
		return true;
	return !(s->is_held && (s->phase == UP || s->is_leaving)) && attempt_takes(s->attempt);
}

/* Take the next step of the login, if its time has come. */
static void advance(struct session *s)
{
	struct login *login = &s->login;

	if (!login->has_connack)
		return;
	if (s->is_held) {
		begin_visit(s);
		return;
	}
	for (size_t i = 0; !login->has_subscribed && i < s->conf.n_filters; i++)
		if (!subscribe(s, i))
			return;
	if (!login->has_subscribed)
		login->subscribed_ms = clock_mono_ms();
	login->has_subscribed = true;
	if (!login->has_unsubscribed && !give_up_old(s))
		return;
	login->has_unsubscribed = true;
	if (login->n_answered == s->conf.n_filters)
		go_up(s);
}

static void relogin(struct session *s, const char *reason)
{
	bool was_up = s->phase == UP;

	s->is_relogin = false;
	if (was_up)
		log_event(s->conf.is_one_of_many ? LOG_DEBUG : LOG_INFO, "session-down",
			  "%s reason=%s retry_ms=0", s->conf.name, log_value(reason));
	session_close_attempt(s, true);
	connect_now(s);
	if (was_up)
		s->ops.on_down(s->ctx, SESSION_END_OURS);
}

/* What came of a call into the library that returned `rc`?  Called after each, from outside of
 * them: here the attempt may end. */
static void conclude(struct session *s, int rc)
{
	if (s->is_relogin)
		relogin(s, OTHER_CREDENTIALS);
	else if (s->login.connack_code != 0)
		session_end_login_refused(s);
	else if (rc != MOSQ_ERR_SUCCESS || s->is_broken || attempt_socket(s->attempt) < 0)
		session_end_lost(s, rc); /* a server's DISCONNECT leaves rc at 0 */
	else if (s->phase == LOGIN && !s->is_leaving)
		advance(s);
	else if (is_visit_over(s))
		break_off(s, s->wants_held ? VISIT_PAUSE_MS : 1);
}

/* ---- the way through an attempt ---- */

static void hear_answer(struct session *s)
{
	if (s->phase == UP && attempt_take_answer(s->attempt) && s->ops.on_answered)
		s->ops.on_answered(s->ctx);
}

static void on_ready(void *ctx, bool readable, bool writable)
{
	struct session *s = ctx;
	struct attempt *a = s->attempt;
	int rc;

	stir(s);
	if (!is_reading(s)) {
		loop_watch(s->loop, &s->watch, attempt_socket(a), false, false);
		return; /* session_let_out() comes */
	}
	s->in_library = true;
	rc = attempt_read(a, readable, writable);
	s->in_library = false;
	hear_answer(s);
	if (rc == MOSQ_ERR_MALFORMED_UTF8 && s->login.has_connack && s->ops.on_refused)
		s->ops.on_refused(s->ctx, NULL, false, attempt_words(a, rc));
	conclude(s, rc);
	/* Writing is session_let_out()'s, and it watches again if something is left.  Until then a
	 * socket that can be written to must not keep the loop awake. */
	if (s->phase >= LOGIN)
		loop_watch(s->loop, &s->watch, attempt_socket(a), is_reading(s),
			   !attempt_is_tls_ready(a) && attempt_wants_write(a));
}

/* There are servers that do what a SUBSCRIBE asks for, and do not answer it. */
static void do_without_suback(struct session *s)
{
	if (s->phase != LOGIN || s->is_held || !s->conf.unanswered_ms || !s->login.has_subscribed ||
	    clock_mono_ms() - s->login.subscribed_ms < s->conf.unanswered_ms)
		return;
	for (size_t i = 0; i < s->conf.n_filters; i++)
		if (s->sub_mids[i])
			s->granted[i] = s->conf.filters[i].qos;
	log_limited(LOG_INFO, loop_now_ms(s->loop), session_subject(s), "suback-missing",
		    "%s after_ms=%d", s->conf.name, s->conf.unanswered_ms);
	go_up(s);
}

static void on_tick(void *ctx)
{
	struct session *s = ctx;
	int rc;

	stir(s);
	s->in_library = true;
	rc = attempt_tick(s->attempt);
	s->in_library = false;
	conclude(s, rc);
	if (s->phase < LOGIN)
		return;
	do_without_suback(s);
	if (s->phase == UP && !s->is_held)
		loop_timer_set_about(s->loop, &s->timer, attempt_tick_ms(s->attempt), on_tick, s);
	else
		loop_timer_set(s->loop, &s->timer, TICK_MS, on_tick, s);
	if ((s->phase == LOGIN || s->is_held) && clock_mono_ms() >= s->deadline_ms)
		session_end_late(s);
}

/* The thread gave the handle back. */
static void on_connected(struct attempt *a)
{
	struct session *s = a->owner;

	if (!s) {
		attempt_free(a, false);
		return;
	}
	stir(s);
	s->phase = LOGIN;
	if (!attempt_has_started(a)) {
		session_end_lost(s, a->rc);
		return;
	}
	s->deadline_ms = clock_mono_ms() + LOGIN_MS;
	s->watch.on_ready = on_ready;
	s->watch.ctx = s;
	loop_watch(s->loop, &s->watch, attempt_socket(a), true, attempt_wants_write(a));
	loop_timer_set(s->loop, &s->timer, TICK_MS, on_tick, s);
}

/* The thread cannot be ended, so there is no other try; but somebody should know. */
static void on_slow_lookup(void *ctx)
{
	struct session *s = ctx;

	log_limited(LOG_WARNING, loop_now_ms(s->loop), session_subject(s), "lookup-slow",
		    "%s host=%s after_ms=%d", s->conf.name, log_value(s->conf.host), LOOKUP_MS);
}

/* Once a minute for each: they may alternate while the server is away. */
static void choose_version(struct session *s)
{
	int before = s->conf.mqtt;
	char *details;

	s->conf.mqtt = mqtt_version_next(s->version, clock_mono_ms());
	if (s->conf.mqtt == before)
		return;
	details = mem_printf("%s mqtt=%s", session_subject(s), s->conf.mqtt == 5 ? "5" : "3.1.1");
	log_limited(LOG_INFO, loop_now_ms(s->loop), details, "mqtt-version", "%s mqtt=%s",
		    s->conf.name, s->conf.mqtt == 5 ? "5" : "3.1.1");
	free(details);
}

/* Its turn has come. */
static void connect_in_turn(struct session *s)
{
	struct err e = { 0 };

	s->is_in_line = false;
	s->login = (struct login){ 0 };
	session_forget_last(s);
	memset(s->sub_mids, 0, s->conf.n_filters * sizeof *s->sub_mids);
	for (size_t i = 0; i < s->conf.n_old; i++)
		if (s->unsub_mids[i] != UNSUBSCRIBED)
			s->unsub_mids[i] = 0;
	loop_timer_stop(&s->timer);
	s->phase = IDLE;
	if (s->ops.on_login)
		s->ops.on_login(s->ctx);
	choose_version(s);
	s->phase = LOOKUP;
	s->is_held = s->wants_held;
	s->is_written = s->is_leaving = false;
	s->linger_until_ms = 0;
	s->n_unacked = 0;
	s->has_progress = false;
	s->attempt = attempt_new(&s->conf, s->tls, s->is_ipv4_only, s->is_held, s, &e);
	if (!s->attempt) {
		session_end_unmade(s, e.text);
		return;
	}
	session_set_callbacks(s->attempt->m);
	if (s->wants_probe && !s->is_held)
		attempt_probe(s->attempt);
	attempt_connect(s->attempt, s->loop, on_connected);
	loop_timer_set(s->loop, &s->timer, LOOKUP_MS, on_slow_lookup, s);
}

static void connect_now(struct session *s)
{
	loop_timer_stop(&s->timer);
	s->is_in_line = s->ops.may_connect && !s->ops.may_connect(s->ctx);
	if (s->is_in_line)
		s->phase = WAITING;
	else
		connect_in_turn(s);
}

/* ---- the caller's side ---- */

bool session_go(struct session *s)
{
	if (!s->is_in_line || s->phase != WAITING)
		return false;
	s->phase = IDLE;
	connect_in_turn(s);
	return true;
}

void session_start(struct session *s)
{
	s->is_started = true;
	if (s->phase == IDLE && !s->wants_held)
		connect_now(s);
}

void session_stop(struct session *s)
{
	assert(!s->in_library);
	if (s->phase == UP)
		s->down_since_ms = clock_mono_ms();
	session_close_attempt(s, true);
	loop_timer_stop(&s->timer);
	s->phase = IDLE;
	s->is_started = s->is_relogin = s->is_in_line = false;
	s->is_held = s->wants_held;
	backoff_reset(&s->backoff);
}

/* What waited has been let out. */
static void leave(struct session *s)
{
	s->is_written = true;
	s->linger_until_ms = clock_mono_ms() + LINGER_MS;
	s->deadline_ms = s->linger_until_ms + VISIT_MS;
	loop_timer_set(s->loop, &s->timer, LINGER_MS, on_tick, s);
}

void session_hold(struct session *s)
{
	assert(!s->in_library);
	s->wants_held = true;
	if (s->is_held)
		return;
	s->is_held = true;
	s->down_since_ms = clock_mono_ms();
	/* A broker gives what it kept right behind its CONNACK, before the session is up. */
	if (s->phase != UP && !(s->phase == LOGIN && attempt_is_waiting(s->attempt))) {
		break_off(s, 0);
		return;
	}
	/* Like the end of a visit.  To close at once would be a reset, which overtakes the
	 * acknowledgements that have just left, and what they acknowledge would come again. */
	s->is_leaving = true;
	attempt_stop_collecting(s->attempt, false);
	s->deadline_ms = s->down_since_ms + LINGER_MS + VISIT_MS;
	loop_timer_set(s->loop, &s->timer, TICK_MS, on_tick, s);
	if (!attempt_is_waiting(s->attempt))
		leave(s);
}

void session_retract(struct session *s)
{
	if (s->phase >= LOGIN && (!s->is_held || s->is_leaving))
		attempt_stop_collecting(s->attempt, true);
}

void session_release(struct session *s)
{
	if (!s->wants_held)
		return;
	s->wants_held = false;
	if (s->phase == WAITING || (s->phase == IDLE && s->is_started))
		connect_now(s); /* else when the visit is over */
}

void session_visit(struct session *s)
{
	if (s->wants_held && s->is_started && s->phase == IDLE)
		connect_now(s);
}

void session_set_login(struct session *s, const char *username, const char *password,
		       const char *client_id)
{
	struct session_conf old = s->conf;

	copy_login(&s->conf, username, password, client_id);
	if (strcmp(old.client_id, client_id) != 0)
		s->has_been_up = false;
	free_login(&old);
	backoff_reset(&s->backoff);
	if (s->phase == IDLE || s->is_held)
		return;
	if (s->in_library)
		s->is_relogin = true;
	else
		relogin(s, OTHER_CREDENTIALS);
}

void session_probe(struct session *s, bool is_probing)
{
	s->wants_probe = is_probing;
}

void session_reconnect(struct session *s, const char *reason)
{
	assert(!s->in_library);
	if (s->phase == UP && !s->is_held)
		relogin(s, reason);
}

bool session_taken(const struct session *s, uint64_t *taken, uint64_t *owed)
{
	return s->phase == UP && attempt_taken(s->attempt, taken, owed);
}

bool session_is_up(const struct session *s)
{
	return s->phase == UP;
}

bool session_takes(const struct session *s)
{
	return s->phase == UP && !s->is_broken && !s->is_written && !s->is_leaving &&
	       attempt_takes(s->attempt);
}

void session_status(const struct session *s, struct session_status *out)
{
	static const char *const phases[] = { [IDLE] = "idle",
					      [WAITING] = "waiting",
					      [LOOKUP] = "connecting",
					      [LOGIN] = "login",
					      [UP] = "up" };

	*out = (struct session_status){
		.phase = s->wants_held ? "held" : phases[s->phase],
		.since_ms = s->phase == UP && !s->wants_held ? s->up_since_ms : s->down_since_ms,
		.attempts = s->n_in_vain,
		.why = s->phase == UP ? "" : s->why,
		.degraded = buf_str(&s->degraded),
		.mqtt = s->conf.mqtt,
		.certificate_s = s->tls ? tls_expires_s(s->tls) : 0,
		.peer_certificate_s = s->peer_expires_s,
	};
}

/* All that a visit brings is out: read what came of it, and what OpenSSL holds already. */
static int end_writing(struct session *s)
{
	struct attempt *a = s->attempt;
	int rc;

	s->is_written = true;
	s->deadline_ms = clock_mono_ms() + VISIT_MS;
	a->is_stepwise = false;
	s->in_library = true;
	rc = attempt_read(a, true, false);
	s->in_library = false;
	return rc;
}

void session_flush(struct session *s, uint64_t acks, uint64_t published)
{
	int rc;

	if (s->phase < LOGIN || s->in_library)
		return;
	if (s->is_broken || s->is_written)
		return;
	s->in_library = true;
	rc = attempt_collect(s->attempt, acks, s->phase == UP ? published : acks);
	s->in_library = false;
	if (rc != MOSQ_ERR_SUCCESS)
		conclude(s, rc);
}

/* Has a session that is held nothing more to write? */
static bool has_said_all(const struct session *s)
{
	if (!s->is_held || (s->phase != UP && !s->is_leaving) || s->is_written)
		return false;
	return s->is_leaving ? !attempt_is_waiting(s->attempt) : !attempt_has_unsent(s->attempt);
}

void session_let_out(struct session *s, uint64_t durable)
{
	struct attempt *a = s->attempt;
	int rc = MOSQ_ERR_SUCCESS;
	bool did_take;

	if (s->phase < LOGIN || s->in_library)
		return;
	did_take = attempt_takes(a);
	if (!s->is_broken && !s->is_written) {
		s->in_library = true;
		rc = attempt_send(a, durable);
		s->in_library = false;
	}
	if (rc == MOSQ_ERR_SUCCESS && has_said_all(s)) {
		if (s->is_leaving)
			leave(s);
		else
			rc = end_writing(s);
	}
	conclude(s, rc);
	if (s->phase < LOGIN)
		return;
	/* If it takes more now, have the loop come back at once for that. */
	loop_watch(s->loop, &s->watch, attempt_socket(a), is_reading(s),
		   !s->is_written && (attempt_wants_write(a) || (!did_take && attempt_takes(a))));
}

void session_free(struct session *s)
{
	if (!s)
		return;
	assert(!s->in_library);
	session_close_attempt(s, true);
	s->phase = IDLE;
	loop_timer_close(&s->timer, free_memory);
}
