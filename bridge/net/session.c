#include "net/session.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mqtt_protocol.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/backoff.h"
#include "net/assert_guard.h"
#include "net/attempt.h"
#include "net/loop.h"

#define TICK_MS	      1000  /* keepalive wants a look once a second */
#define LOGIN_MS      15000 /* from the socket to the last SUBACK */
#define LOOKUP_MS     15000 /* a lookup that takes longer is told */
#define STABLE_MS     5000  /* up for less, and the next try waits longer still */
#define SHORT_LIVES   3	    /* that many in a row look like a second client with our id */
#define MQTT_MAX_TEXT 65535

#define VISIT_MS       60000 /* without progress */
#define LINGER_MS      200   /* for a broker to read what we wrote */
#define VISIT_PAUSE_MS 100   /* between two: spare the broker */

enum phase {
	IDLE,	 /* not started */
	WAITING, /* for the next try; the timer runs */
	LOOKUP,	 /* the thread has the handle */
	LOGIN,	 /* from the socket to the last SUBACK */
	UP
};

/* How far a login has come; begun anew with each attempt. */
struct login {
	bool has_connack;
	int connack_code;
	bool is_present; /* the broker kept our session */
	uint16_t room;	 /* how many publishes it takes before it acknowledges */
	bool has_subscribed;
	size_t n_granted;
	const struct session_filter *refused; /* NULL: none */
	int suback_code;		      /* for it */
};

/* Why an attempt or a connection ended. */
struct ending {
	const char *event;
	enum backoff_class class;
	bool is_login_refused;
	char details[400]; /* key=value pairs for the log */
};

struct session {
	struct loop *loop;
	struct session_conf conf; /* all texts are ours */
	struct session_ops ops;
	void *ctx;
	SSL_CTX *tls; /* NULL: plain */

	enum phase phase;
	struct attempt *attempt; /* in LOOKUP, LOGIN, UP */
	struct loop_watch watch;
	struct loop_timer timer;
	struct login login;
	int *sub_mids;			  /* of the SUBSCRIBEs in flight, by filter; 0: granted */
	int64_t deadline_ms, up_since_ms; /* clock_mono_ms() */
	int64_t down_since_ms;
	unsigned n_in_vain; /* attempts since it was last up */
	char why[320];	    /* of the last ending */
	uint64_t flushed_turn;

	struct backoff backoff;
	unsigned n_short_lives, n_abandoned;
	bool is_ipv4_only; /* the next try is */
	bool has_been_up;  /* with this client id: the broker should know us */

	bool is_started;
	bool wants_held; /* from the next connection on */
	bool is_held;	 /* nothing is taken in; a connection is a visit */
	bool is_written; /* what a visit brings is out: from now on it reads and does not write */
	int64_t linger_until_ms; /* then it ends; 0: when all is acknowledged */
	size_t n_unacked;	 /* of what was published on this connection */

	bool in_library; /* libmosquitto is on the stack: nothing may be destroyed */
	bool is_relogin; /* as soon as it is not */
	bool is_broken;	 /* a publish failed; what the library did with it is unknown */

	struct message in; /* the incoming message; topic and the like are borrowed */
	struct buf payload;
};

static void connect_now(struct session *s);

/* ---- the configuration, copied ---- */

static struct session_filter *copy_filters(const struct session_filter *from, size_t n)
{
	struct session_filter *to = n ? mem_zalloc(n * sizeof *to) : NULL;

	for (size_t i = 0; i < n; i++) {
		assert(from[i].qos <= 1); /* QoS 2 loses messages (libraries, 1.5) */
		to[i] = (struct session_filter){ mem_strdup(from[i].filter), from[i].qos };
	}
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
	s->sub_mids = mem_zalloc(conf->n_filters * sizeof *s->sub_mids);
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

	for (size_t i = 0; i < s->conf.n_filters; i++)
		free((char *)filters[i].filter);
	free(filters);
	free(s->sub_mids);
	free((char *)s->conf.name);
	free((char *)s->conf.host);
	free_login(&s->conf);
	SSL_CTX_free(s->tls);
	buf_fini(&s->payload);
	free(s);
}

/* ---- endings ---- */

static void set_details(struct ending *end, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void set_details(struct ending *end, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(end->details, sizeof end->details, fmt, ap);
	va_end(ap);
}

/* Let go of the attempt; a thread that still has it leaves it to on_connected(). */
static void close_attempt(struct session *s, bool is_goodbye)
{
	struct attempt *a = s->attempt;

	if (s->watch.is_active)
		loop_watch(s->loop, &s->watch, s->watch.fd, false, false);
	s->attempt = NULL;
	s->is_broken = false;
	if (!a)
		return;
	if (s->phase == LOOKUP) {
		a->owner = NULL;
		atomic_store(&a->is_given_up, true);
	} else {
		attempt_free(a, is_goodbye && s->phase == UP);
	}
}

/* One line for the first ending of its kind, and for each that ended a session that was up. */
static void log_ending(const struct session *s, const struct ending *end, int64_t retry_ms)
{
	enum log_level level = end->class == BACKOFF_REFUSED ? LOG_ERROR : LOG_WARNING;
	char *subject;

	if (s->phase == UP) {
		log_event(level, end->event, "%s %s retry_ms=%lld", s->conf.name, end->details,
			  (long long)retry_ms);
		return;
	}
	subject = mem_printf("%s %s", s->conf.name, end->details);
	log_limited(level, loop_now_ms(s->loop), subject, end->event, "%s %s retry_ms=%lld",
		    s->conf.name, end->details, (long long)retry_ms);
	free(subject);
}

static void on_retry(void *ctx)
{
	struct session *s = ctx;

	s->phase = IDLE;
	if (!s->wants_held) /* else when something waits for it */
		connect_now(s);
}

/* The attempt or connection is over: say so, and try again later.  Last thing in its caller. */
static void end_attempt(struct session *s, const struct ending *end)
{
	uint32_t random;
	int64_t retry_ms;

	if (s->phase == UP && clock_mono_ms() - s->up_since_ms >= STABLE_MS)
		backoff_reset(&s->backoff);
	crypto_random(&random, sizeof random);
	retry_ms = backoff_next(&s->backoff, end->class, random);
	log_ending(s, end, retry_ms);
	if (s->phase == UP)
		s->down_since_ms = clock_mono_ms();
	s->n_in_vain++;
	memcpy(s->why, end->details, sizeof s->why);
	s->is_ipv4_only = !s->is_ipv4_only && s->attempt && attempt_has_failed_on_ipv6(s->attempt);
	close_attempt(s, false);
	s->phase = WAITING;
	loop_timer_set(s->loop, &s->timer, (uint64_t)retry_ms, on_retry, s);
	s->ops.on_down(s->ctx, end->is_login_refused);
}

static void end_login_refused(struct session *s)
{
	struct ending end = { .event = "login-refused", .class = BACKOFF_LOST };
	int code = s->login.connack_code;

	end.is_login_refused = attempt_is_login_fault(s->conf.mqtt, code);
	if (end.is_login_refused)
		end.class = BACKOFF_REFUSED;
	set_details(&end, "code=%d reason=%s", code,
		    log_value(attempt_code_words(s->conf.mqtt, code)));
	end_attempt(s, &end);
}

static void end_subscription_refused(struct session *s)
{
	struct ending end = { .event = "subscription-refused", .class = BACKOFF_REFUSED };
	int code = s->login.suback_code;

	if (code < 0x80)
		set_details(&end, "filter=%s reason=\"granted QoS %d, asked for %d\"",
			    log_value(s->login.refused->filter), code, s->login.refused->qos);
	else
		set_details(&end, "filter=%s code=%d reason=%s",
			    log_value(s->login.refused->filter), code,
			    log_value(attempt_code_words(s->conf.mqtt, code)));
	end_attempt(s, &end);
}

/* Twins with one client id throw each other out for ever; 3.1.1 does not tell. */
static const char *short_life_hint(struct session *s, int rc)
{
	bool is_closed = rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_CONN_LOST || rc == MOSQ_ERR_ERRNO;
	bool was_short =
		s->phase == UP && is_closed && clock_mono_ms() - s->up_since_ms < STABLE_MS;

	if (s->phase == UP)
		s->n_short_lives = was_short ? s->n_short_lives + 1 : 0;
	return was_short && s->n_short_lives >= SHORT_LIVES
		       ? ", soon after login again: does another client use this client id?"
		       : "";
}

/* A reset may overtake the alert that would have told. */
static const char *early_loss_hint(const struct session *s)
{
	if (!s->attempt->is_connected || s->login.has_connack || s->attempt->words[0])
		return "";
	if (!attempt_is_tls_ready(s->attempt))
		return ", in the TLS handshake";
	return s->tls && !SSL_CTX_get0_certificate(s->tls)
		       ? ", login not answered: does the broker want a client certificate?"
		       : ", login not answered";
}

/* Say it each time, and come back slowly if it comes again: each time costs memory. */
static enum backoff_class abandoned_class(struct session *s)
{
	log_event(LOG_ERROR, "library-failed", "%s in_all=%u", s->conf.name, attempt_n_abandoned());
	return s->n_abandoned++ == 0 ? BACKOFF_LOST : BACKOFF_REFUSED;
}

static void end_lost(struct session *s, int rc)
{
	struct ending end = { .event = "session-down", .class = BACKOFF_LOST };
	const char *words = attempt_words(s->attempt, rc);
	char reason[360];

	if (s->attempt->disconnect_code == MQTT_RC_SESSION_TAKEN_OVER)
		end.class = BACKOFF_REFUSED;
	if (s->attempt->is_abandoned)
		end.class = abandoned_class(s);
	snprintf(reason, sizeof reason, "%s%s%s", words, early_loss_hint(s),
		 short_life_hint(s, rc));
	set_details(&end, "reason=%s", log_value(reason));
	end_attempt(s, &end);
}

static void end_late(struct session *s)
{
	struct ending end = { .event = "session-down", .class = BACKOFF_LOST };
	const char *what = !s->attempt->is_connected	       ? "no connection"
			   : !attempt_is_tls_ready(s->attempt) ? "no TLS handshake"
			   : !s->login.has_connack	       ? "no CONNACK"
			   : s->phase == LOGIN		       ? "no SUBACK"
							       : "no PUBACK";

	set_details(&end, "reason=\"%s within %d s\"", what,
		    (s->phase == LOGIN ? LOGIN_MS : VISIT_MS) / 1000);
	end_attempt(s, &end);
}

/* ---- login ---- */

static bool subscribe(struct session *s, size_t i)
{
	const struct session_filter *f = &s->conf.filters[i];
	struct mosquitto *m = s->attempt->m;
	struct gather *outer = gather_begin(&s->attempt->gather);
	int rc;

	if (s->conf.mqtt == 5) /* no echo of ours; retained messages for new subscriptions only */
		rc = mosquitto_subscribe_v5(m, &s->sub_mids[i], f->filter, f->qos,
					    MQTT_SUB_OPT_NO_LOCAL | MQTT_SUB_OPT_SEND_RETAIN_NEW,
					    NULL);
	else
		rc = mosquitto_subscribe(m, &s->sub_mids[i], f->filter, f->qos);
	gather_end(&s->attempt->gather, outer);
	if (rc == MOSQ_ERR_SUCCESS)
		return true;
	end_lost(s, rc);
	return false;
}

static void warn_if_lost(const struct session *s)
{
	if (s->has_been_up && !s->conf.is_clean && !s->login.is_present)
		log_limited(LOG_WARNING, loop_now_ms(s->loop), s->conf.name, "session-lost",
			    "%s reason=\"the broker kept nothing since the last connection\"",
			    s->conf.name);
}

static void set_up(struct session *s)
{
	s->phase = UP;
	s->up_since_ms = clock_mono_ms();
	s->n_in_vain = 0;
	s->why[0] = '\0';
}

static void go_up(struct session *s)
{
	set_up(s);
	s->is_ipv4_only = false;
	attempt_settle(s->attempt);
	log_event(LOG_INFO, "session-up", "%s present=%d", s->conf.name, s->login.is_present);
	warn_if_lost(s);
	s->has_been_up = true;
	s->ops.on_up(s->ctx);
}

/* Close without a word to the broker: what is not written yet, acknowledgements among it, is
 * dropped.  `pause_ms`: after a good visit, how long to stay away; 0: the end of it. */
static void break_off(struct session *s, uint64_t pause_ms)
{
	bool was_up = s->phase == UP;

	close_attempt(s, false);
	s->phase = pause_ms ? WAITING : IDLE;
	if (pause_ms) {
		backoff_reset(&s->backoff);
		loop_timer_set(s->loop, &s->timer, pause_ms, on_retry, s);
	} else {
		loop_timer_stop(&s->timer);
	}
	if (was_up)
		s->ops.on_down(s->ctx, false);
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
	return !(s->is_held && s->phase == UP && !s->is_written);
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
	login->has_subscribed = true;
	if (login->n_granted == s->conf.n_filters)
		go_up(s);
}

static void relogin(struct session *s)
{
	bool was_up = s->phase == UP;

	s->is_relogin = false;
	if (was_up)
		log_event(LOG_INFO, "session-down", "%s reason=\"other credentials\" retry_ms=0",
			  s->conf.name);
	close_attempt(s, true);
	connect_now(s);
	if (was_up)
		s->ops.on_down(s->ctx, false);
}

/* What came of a call into the library that returned `rc`?  Called after each, from outside of
 * them: here the attempt may end. */
static void conclude(struct session *s, int rc)
{
	if (s->is_relogin)
		relogin(s);
	else if (s->login.connack_code != 0)
		end_login_refused(s);
	else if (s->login.refused && !s->is_held)
		end_subscription_refused(s);
	else if (rc != MOSQ_ERR_SUCCESS || s->is_broken || attempt_socket(s->attempt) < 0)
		end_lost(s, rc); /* a server's DISCONNECT leaves rc at 0 */
	else if (s->phase == LOGIN)
		advance(s);
	else if (is_visit_over(s))
		break_off(s, s->wants_held ? VISIT_PAUSE_MS : 1);
}

/* ---- callbacks of libmosquitto: they collect ---- */

/* Each one begins and ends like this.  NULL: nobody's any more. */
static struct session *enter(void *ctx)
{
	assert_guard_suspend();
	return ((struct attempt *)ctx)->owner;
}

static void leave(void)
{
	assert_guard_resume();
}

static void on_connack(struct mosquitto *m, void *ctx, int code, int flags,
		       const mosquitto_property *properties)
{
	struct session *s = enter(ctx);

	(void)m;
	if (s) {
		s->login.room = UINT16_MAX;
		mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &s->login.room,
					      false);
		s->login.has_connack = true;
		s->login.connack_code = code;
		s->login.is_present = flags & 1;
	}
	leave();
}

static void take_suback(struct session *s, int mid, int granted)
{
	for (size_t i = 0; i < s->conf.n_filters; i++) {
		if (s->sub_mids[i] != mid)
			continue;
		s->sub_mids[i] = 0;
		if (granted >= 0x80 || granted < s->conf.filters[i].qos) {
			s->login.refused = &s->conf.filters[i];
			s->login.suback_code = granted;
		} else {
			s->login.n_granted++;
		}
		return;
	}
}

static void on_suback(struct mosquitto *m, void *ctx, int mid, int n, const int *granted)
{
	struct session *s = enter(ctx);

	(void)m;
	if (s && n > 0)
		take_suback(s, mid, granted[0]);
	leave();
}

static void on_disconnect(struct mosquitto *m, void *ctx, int code,
			  const mosquitto_property *properties)
{
	(void)m;
	(void)properties;
	((struct attempt *)ctx)->disconnect_code = code;
}

static void take_puback(struct session *s, int mid, int code)
{
	s->n_unacked--;
	if (s->is_held)
		s->deadline_ms = clock_mono_ms() + VISIT_MS;
	s->ops.on_acked(s->ctx, mid, code,
			code >= 0x80 ? attempt_code_words(s->conf.mqtt, code) : "");
}

static void on_puback(struct mosquitto *m, void *ctx, int mid, int code,
		      const mosquitto_property *properties)
{
	struct session *s = enter(ctx);

	(void)m;
	(void)properties;
	if (s && s->phase == UP)
		take_puback(s, mid, code);
	leave();
}

static void read_properties(struct message *m, const mosquitto_property *list)
{
	const mosquitto_property *p = list;
	char *name = NULL, *value = NULL;
	void *data = NULL;
	uint16_t len = 0;
	bool is_next = false;

	while ((p = mosquitto_property_read_string_pair(p, MQTT_PROP_USER_PROPERTY, &name, &value,
							is_next))) {
		vars_add(&m->properties, name, value);
		free(name);
		free(value);
		is_next = true;
	}
	mosquitto_property_read_string(list, MQTT_PROP_RESPONSE_TOPIC, &m->response_topic, false);
	if (mosquitto_property_read_binary(list, MQTT_PROP_CORRELATION_DATA, &data, &len, false)) {
		m->correlation = data;
		m->correlation_len = len;
	}
}

static void take_message(struct session *s, const struct mosquitto_message *from,
			 const mosquitto_property *properties)
{
	struct message *in = &s->in;

	s->attempt->n_bytes += (size_t)from->payloadlen;
	*in = (struct message){ .topic = from->topic, .qos = from->qos, .retain = from->retain };
	if (from->payloadlen > 0) {
		buf_reset(&s->payload);
		buf_append(&s->payload, from->payload, (size_t)from->payloadlen);
		in->payload = s->payload.data;
		in->payload_len = s->payload.len;
	}
	if (properties)
		read_properties(in, properties);
	s->ops.on_message(s->ctx, in);
	if (properties) {
		vars_fini(&in->properties);
		free(in->response_topic);
		free(in->correlation);
	}
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *from,
		       const mosquitto_property *properties)
{
	struct session *s = enter(ctx);

	(void)m;
	if (s && !s->is_held)
		take_message(s, from, properties);
	leave();
}

static void set_callbacks(struct mosquitto *m)
{
	mosquitto_connect_v5_callback_set(m, on_connack);
	mosquitto_subscribe_callback_set(m, on_suback);
	mosquitto_disconnect_v5_callback_set(m, on_disconnect);
	mosquitto_publish_v5_callback_set(m, on_puback);
	mosquitto_message_v5_callback_set(m, on_message);
}

/* ---- the way through an attempt ---- */

static void on_ready(void *ctx, bool readable, bool writable)
{
	struct session *s = ctx;
	struct attempt *a = s->attempt;
	int rc;

	if (!is_reading(s)) {
		loop_watch(s->loop, &s->watch, attempt_socket(a), false, false);
		return; /* session_flush() comes */
	}
	s->in_library = true;
	rc = attempt_read(a, readable, writable);
	s->in_library = false;
	if (rc == MOSQ_ERR_MALFORMED_UTF8 && s->ops.on_unreadable)
		s->ops.on_unreadable(s->ctx, attempt_words(a, rc));
	conclude(s, rc);
	/* Writing is session_flush()'s, and it watches again if something is left.  Until then a
	 * socket that can be written to must not keep the loop awake. */
	if (s->phase >= LOGIN)
		loop_watch(s->loop, &s->watch, attempt_socket(a), is_reading(s),
			   !attempt_is_tls_ready(a) && attempt_wants_write(a));
}

static void on_tick(void *ctx)
{
	struct session *s = ctx;
	int rc;

	s->in_library = true;
	rc = attempt_tick(s->attempt);
	s->in_library = false;
	conclude(s, rc);
	if (s->phase < LOGIN)
		return;
	loop_timer_set(s->loop, &s->timer, TICK_MS, on_tick, s);
	if ((s->phase == LOGIN || s->is_held) && clock_mono_ms() >= s->deadline_ms)
		end_late(s);
}

/* The thread gave the handle back. */
static void on_connected(struct attempt *a)
{
	struct session *s = a->owner;

	if (!s) {
		attempt_free(a, false);
		return;
	}
	s->phase = LOGIN;
	if (!attempt_has_started(a)) {
		end_lost(s, a->rc);
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

	log_event(LOG_WARNING, "lookup-slow", "%s host=%s after_ms=%d", s->conf.name,
		  log_value(s->conf.host), LOOKUP_MS);
}

static void connect_now(struct session *s)
{
	struct ending end = { .event = "session-down", .class = BACKOFF_REFUSED };
	struct err e = { 0 };

	s->login = (struct login){ 0 };
	memset(s->sub_mids, 0, s->conf.n_filters * sizeof *s->sub_mids);
	loop_timer_stop(&s->timer);
	s->phase = LOOKUP;
	s->is_held = s->wants_held;
	s->is_written = false;
	s->linger_until_ms = 0;
	s->n_unacked = 0;
	s->attempt = attempt_new(&s->conf, s->tls, s->is_ipv4_only, s->is_held, s, &e);
	if (!s->attempt) {
		set_details(&end, "reason=%s", log_value(e.text));
		end_attempt(s, &end);
		return;
	}
	set_callbacks(s->attempt->m);
	attempt_connect(s->attempt, s->loop, on_connected);
	loop_timer_set(s->loop, &s->timer, LOOKUP_MS, on_slow_lookup, s);
}

/* ---- the caller's side ---- */

void session_start(struct session *s)
{
	s->is_started = true;
	if (s->phase == IDLE && !s->wants_held)
		connect_now(s);
}

void session_hold(struct session *s)
{
	assert(!s->in_library);
	s->wants_held = true;
	if (s->is_held)
		return;
	s->is_held = true;
	s->down_since_ms = clock_mono_ms();
	if (s->phase != UP) {
		break_off(s, 0);
		return;
	}
	/* Like the end of a visit.  To close at once would be a reset, which overtakes the
	 * acknowledgements that have just left, and what they acknowledge would come again. */
	s->is_written = true;
	s->linger_until_ms = clock_mono_ms() + LINGER_MS;
	s->deadline_ms = s->linger_until_ms + VISIT_MS;
	loop_timer_set(s->loop, &s->timer, LINGER_MS, on_tick, s);
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
		relogin(s);
}

bool session_is_up(const struct session *s)
{
	return s->phase == UP;
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
		.mqtt = s->conf.mqtt,
	};
}

static bool property_failed(int rc, const char *what, struct err *e)
{
	if (rc == MOSQ_ERR_SUCCESS)
		return false;
	err_set(e, ERR_INVALID, "%s: %s", what, mosquitto_strerror(rc));
	return true;
}

/* The properties of a PUBLISH.  False sets *e: one that MQTT cannot carry. */
static bool write_properties(const struct message *m, mosquitto_property **list, struct err *e)
{
	for (size_t i = 0; i < m->properties.n; i++)
		if (property_failed(
			    mosquitto_property_add_string_pair(list, MQTT_PROP_USER_PROPERTY,
							       m->properties.items[i].name,
							       m->properties.items[i].value),
			    "property", e))
			return false;
	if (m->response_topic &&
	    (property_failed(mosquitto_pub_topic_check(m->response_topic), "response topic", e) ||
	     property_failed(mosquitto_property_add_string(list, MQTT_PROP_RESPONSE_TOPIC,
							   m->response_topic),
			     "response topic", e)))
		return false;
	if (m->correlation_len > MQTT_MAX_TEXT) {
		err_set(e, ERR_INVALID, "correlation data: longer than %d bytes", MQTT_MAX_TEXT);
		return false;
	}
	return m->correlation_len == 0 ||
	       !property_failed(mosquitto_property_add_binary(list, MQTT_PROP_CORRELATION_DATA,
							      m->correlation,
							      (uint16_t)m->correlation_len),
				"correlation data", e);
}

static enum err_code publish_error(int rc)
{
	switch (rc) {
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return ERR_LIMIT;
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_MALFORMED_UTF8:
	case MOSQ_ERR_DUPLICATE_PROPERTY:
	case MOSQ_ERR_PROTOCOL:
	case MOSQ_ERR_QOS_NOT_SUPPORTED:
	case MOSQ_ERR_RETAIN_NOT_SUPPORTED:
		return ERR_INVALID;
	default:
		return ERR_NET;
	}
}

static int publish(struct session *s, const struct message *m, int *mid,
		   const mosquitto_property *properties)
{
	struct mosquitto *handle = s->attempt->m;
	struct gather *outer = gather_begin(&s->attempt->gather);
	int len = (int)m->payload_len, rc;

	if (s->conf.mqtt == 5)
		rc = mosquitto_publish_v5(handle, mid, m->topic, len, m->payload, m->qos, m->retain,
					  properties);
	else
		rc = mosquitto_publish(handle, mid, m->topic, len, m->payload, m->qos, m->retain);
	gather_end(&s->attempt->gather, outer);
	return rc;
}

bool session_publish(struct session *s, const struct message *m, int *mid, struct err *e)
{
	mosquitto_property *properties = NULL;
	bool ok = false;
	int rc;

	/* Offline, the library would answer NO_CONN and queue the message all the same. */
	if (s->phase != UP || s->is_broken || s->is_written || attempt_socket(s->attempt) < 0) {
		err_set(e, ERR_NET, "the session is not up");
		return false;
	}
	if (s->is_held && s->n_unacked >= s->login.room) { /* the library would keep it for later */
		err_set(e, ERR_NET, "this visit takes no more");
		return false;
	}
	if (m->payload_len > INT_MAX) {
		err_set(e, ERR_LIMIT, "payload of %zu bytes", m->payload_len);
		return false;
	}
	if (s->conf.mqtt == 5 && !write_properties(m, &properties, e))
		goto out;
	rc = publish(s, m, mid, properties);
	if (rc != MOSQ_ERR_SUCCESS) {
		err_set(e, publish_error(rc), "publish: %s", mosquitto_strerror(rc));
		s->is_broken = publish_error(rc) == ERR_NET;
		goto out;
	}
	/* Too late for this turn's flush: have the loop come back at once. */
	if (s->flushed_turn == loop_turn(s->loop) && s->watch.is_active)
		loop_watch(s->loop, &s->watch, s->watch.fd, true, true);
	s->n_unacked++;
	ok = true;
out:
	mosquitto_property_free_all(&properties);
	return ok;
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

void session_flush(struct session *s, int64_t now_ms)
{
	struct attempt *a = s->attempt;
	int rc = MOSQ_ERR_SUCCESS;

	(void)now_ms; /* keepalive has its own timer */
	if (s->phase < LOGIN || s->in_library)
		return;
	s->flushed_turn = loop_turn(s->loop);
	if (!s->is_broken && !s->is_written) {
		s->in_library = true;
		rc = attempt_write(a);
		s->in_library = false;
	}
	if (rc == MOSQ_ERR_SUCCESS && !is_reading(s) && !attempt_wants_write(a))
		rc = end_writing(s);
	conclude(s, rc);
	if (s->phase >= LOGIN)
		loop_watch(s->loop, &s->watch, attempt_socket(a), is_reading(s),
			   !s->is_written && attempt_wants_write(a));
}

void session_free(struct session *s)
{
	if (!s)
		return;
	assert(!s->in_library);
	close_attempt(s, true);
	s->phase = IDLE;
	loop_timer_close(&s->timer, free_memory);
}
