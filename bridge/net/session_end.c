/* session_end.c -- how an attempt or a connection ends: why, what the log says of it, and when to try
 * again. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mqtt_protocol.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/session_inside.h"

#define SAID_BYTES  120	 /* of what the server says, at most */
#define STABLE_MS   5000 /* up for less, and the next try waits longer still */
#define SHORT_LIVES 3	 /* that many in a row look like a second client with our id */

/* Why an attempt or a connection ended. */
struct ending {
	const char *event;
	enum backoff_class class;
	enum session_end end;
	char details[SESSION_WHY_BYTES]; /* key=value pairs for the log */
};

void session_close_attempt(struct session *s, bool is_goodbye)
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

static void set_details(struct ending *end, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void set_details(struct ending *end, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(end->details, sizeof end->details, fmt, ap);
	va_end(ap);
}

/* A server may quote our login. */
static char *without_secrets(const struct session *s, const char *text)
{
	struct var login[2];
	struct vars hidden = { login, 0 };
	char *told, *more;

	if (s->conf.username)
		login[hidden.n++] =
			(struct var){ .value = (char *)s->conf.username, .is_secret = true };
	if (s->conf.password)
		login[hidden.n++] =
			(struct var){ .value = (char *)s->conf.password, .is_secret = true };
	told = vars_hide(&hidden, text);
	if (!s->ops.tellable)
		return told;
	more = s->ops.tellable(s->ctx, told);
	free(told);
	return more;
}

char *session_tellable(const struct session *s, const char *text)
{
	char *told = without_secrets(s, text);
	size_t n = strlen(told);

	if (n > SAID_BYTES)
		for (n = SAID_BYTES; n > 0 && (told[n] & 0xc0) == 0x80; n--)
			;
	told[n] = '\0';
	return told;
}

static void put_said(struct ending *end, const struct session *s, const char *key, const char *text)
{
	size_t len = strlen(end->details);
	char *told;

	if (!text)
		return;
	told = session_tellable(s, text);
	snprintf(end->details + len, sizeof end->details - len, " %s=%s", key, log_value(told));
	free(told);
}

/* The server's own words go behind ours. */
static void put_all_said(struct ending *end, const struct session *s)
{
	put_said(end, s, "said", s->attempt->sieve.reason_string);
	put_said(end, s, "other_server", s->attempt->sieve.server_reference);
}

/* One line for the first ending of its kind, and for each that ended a session that was up. */
static void log_ending(const struct session *s, const struct ending *end, int64_t retry_ms)
{
	enum log_level level = end->class == BACKOFF_REFUSED ? LOG_ERROR : LOG_WARNING;
	char *subject;

	if (s->phase == UP && !s->conf.is_one_of_many) {
		log_event(level, end->event, "%s %s retry_ms=%lld", s->conf.name, end->details,
			  (long long)retry_ms);
		return;
	}
	subject = mem_printf("%s %s", session_subject(s), end->details);
	log_limited(level, loop_now_ms(s->loop), subject, end->event, "%s %s retry_ms=%lld",
		    s->conf.name, end->details, (long long)retry_ms);
	free(subject);
}

/* The attempt or connection is over: say so, and try again later.  Last thing in its caller. */
static void end_attempt(struct session *s, const struct ending *end)
{
	uint32_t random;
	int64_t retry_ms;

	if (s->phase == UP && clock_mono_ms() - s->up_since_ms >= STABLE_MS)
		backoff_reset(&s->backoff);
	else if (s->phase == UP && s->has_progress)
		backoff_ease(&s->backoff);
	crypto_random(&random, sizeof random);
	retry_ms = backoff_next(&s->backoff, end->class, random);
	log_ending(s, end, retry_ms);
	if (s->phase == UP)
		s->down_since_ms = clock_mono_ms();
	s->n_in_vain++;
	memcpy(s->why, end->details, sizeof s->why);
	s->is_ipv4_only = !s->is_ipv4_only && s->attempt && attempt_has_failed_on_ipv6(s->attempt);
	session_close_attempt(s, false);
	session_wait(s, (uint64_t)retry_ms);
	s->ops.on_down(s->ctx, end->end);
}

void session_end_unmade(struct session *s, const char *reason)
{
	struct ending end = { .event = "session-down",
			      .class = BACKOFF_REFUSED,
			      .end = SESSION_END_UNMADE };

	set_details(&end, "reason=%s", log_value(reason));
	end_attempt(s, &end);
}

void session_end_login_refused(struct session *s)
{
	struct ending end = { .event = "login-refused",
			      .class = BACKOFF_LOST,
			      .end = SESSION_END_UNMADE };
	int code = s->login.connack_code;

	if (attempt_is_version_fault(code))
		mqtt_version_refused(s->version);
	else
		mqtt_version_answered(s->version);
	if (attempt_is_login_fault(code)) {
		end.class = BACKOFF_REFUSED;
		end.end = SESSION_END_REFUSED;
	}
	set_details(&end, "code=%d reason=%s", code, log_value(attempt_connack_words(code)));
	put_all_said(&end, s);
	end_attempt(s, &end);
}

/* Twins with one client id throw each other out for ever; 3.1.1 does not tell.  With something in flight it
 * may as well be that. */
static const char *short_life_hint(struct session *s, enum session_end end)
{
	bool was_short = end == SESSION_END_CLOSED && s->attempt->disconnect_code < 0x80 &&
			 clock_mono_ms() - s->up_since_ms < STABLE_MS;

	if (s->phase == UP)
		s->n_short_lives = was_short && s->n_unacked == 0 ? s->n_short_lives + 1 : 0;
	if (!was_short)
		return "";
	if (s->n_unacked > 0)
		return ", soon after login, and did not acknowledge what it got: too much at once, "
		       "or a "
		       "message that it does not take?";
	return s->n_short_lives >= SHORT_LIVES
		       ? ", soon after login again: does another client use this client id?"
		       : "";
}

/* Codes of a DISCONNECT that have nothing to do with what was sent. */
static bool is_elsewhere(int code)
{
	switch (code) {
	case MQTT_RC_SERVER_SHUTTING_DOWN:
	case MQTT_RC_KEEP_ALIVE_TIMEOUT:
	case MQTT_RC_SESSION_TAKEN_OVER:
	case MQTT_RC_ADMINISTRATIVE_ACTION:
	case MQTT_RC_USE_ANOTHER_SERVER:
	case MQTT_RC_SERVER_MOVED:
	case MQTT_RC_MAXIMUM_CONNECT_TIME:
		return true;
	default:
		return false;
	}
}

static enum session_end how_it_ended(const struct session *s, int rc)
{
	if (s->phase != UP)
		return SESSION_END_UNMADE;
	if (s->is_broken)
		return SESSION_END_LOST;
	return attempt_is_closed_by_peer(s->attempt, rc) &&
			       !is_elsewhere(s->attempt->disconnect_code)
		       ? SESSION_END_CLOSED
		       : SESSION_END_LOST;
}

/* A reset may overtake the alert that would have told. */
static const char *early_loss_hint(const struct session *s)
{
	if (!s->attempt->is_connected || s->login.has_connack || s->attempt->words[0])
		return "";
	if (!attempt_is_tls_ready(s->attempt))
		return ", in the TLS handshake";
	if (!s->tls)
		return ", login not answered: does this port want TLS (mqtts)?";
	return SSL_CTX_get0_certificate(s->tls)
		       ? ", login not answered"
		       : ", login not answered: does the broker want a client certificate?";
}

/* Say it each time, and come back slowly if it comes again: each time costs memory. */
static enum backoff_class abandoned_class(struct session *s)
{
	log_event(LOG_ERROR, "library-failed", "%s in_all=%u", s->conf.name, attempt_n_abandoned());
	return s->n_abandoned++ == 0 ? BACKOFF_LOST : BACKOFF_REFUSED;
}

/* What is malformed comes again with each login, and 3.1.1 has no properties. */
static void note_malformed(struct session *s)
{
	if (mqtt_version_malformed(s->version))
		log_event(LOG_WARNING, "mqtt-lowered",
			  "%s reason=\"malformed MQTT 5, %d times\" mqtt=4", s->conf.name,
			  MQTT_VERSION_MALFORMED);
}

/* A server that does not know MQTT 5 may answer as it always does, or not at all. */
static void look_at_version(struct session *s, int rc)
{
	const struct attempt *a = s->attempt;

	if (!a->is_connected || !attempt_is_tls_ready(a) || s->conf.mqtt != 5)
		return;
	if (a->sieve.is_malformed_5)
		note_malformed(s);
	if (s->login.has_connack)
		return;
	if (a->is_abandoned || rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_PACKET)
		mqtt_version_refused(s->version);
	else
		mqtt_version_silent(s->version, clock_mono_ms());
}

void session_end_lost(struct session *s, int rc)
{
	struct ending end = { .event = "session-down",
			      .class = BACKOFF_LOST,
			      .end = how_it_ended(s, rc) };
	const char *words = attempt_words(s->attempt, rc);
	char reason[360];

	look_at_version(s, rc);
	if (s->attempt->disconnect_code == MQTT_RC_SESSION_TAKEN_OVER)
		end.class = BACKOFF_REFUSED;
	if (s->attempt->is_abandoned)
		end.class = abandoned_class(s);
	snprintf(reason, sizeof reason, "%s%s%s", words, early_loss_hint(s),
		 short_life_hint(s, end.end));
	set_details(&end, "reason=%s", log_value(reason));
	put_all_said(&end, s);
	end_attempt(s, &end);
}

void session_end_late(struct session *s)
{
	struct ending end = {
		.event = "session-down",
		.class = BACKOFF_LOST,
		.end = s->phase == UP ? SESSION_END_LOST : SESSION_END_UNMADE,
	};
	const char *what = !s->attempt->is_connected	       ? "no connection"
			   : !attempt_is_tls_ready(s->attempt) ? "no TLS handshake"
			   : !s->login.has_connack	       ? "no CONNACK"
			   : s->phase == LOGIN		       ? "no SUBACK"
							       : "no PUBACK";

	look_at_version(s, MOSQ_ERR_TIMEOUT);
	set_details(&end, "reason=\"%s within %d s\"", what,
		    (s->phase == LOGIN ? LOGIN_MS : VISIT_MS) / 1000);
	end_attempt(s, &end);
}
