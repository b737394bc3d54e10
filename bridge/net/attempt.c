/* attempt.c -- one handle of libmosquitto, driven by hand.
 *
 * The library's own loops are of no use here: they acknowledge a message before we have seen it, block
 * in lookups, need a thread per session or select() (no descriptor above 1023).  So its loop is taken
 * apart: connect in a thread, then loop_read, loop_write and loop_misc when ours says so.
 *
 * What the library does on the way that one would not guess, where it was seen, what is done about it:
 *
 * - A PUBACK is made before on_message is called, and no version up to 2.1.2 lets us make it ourselves.
 *   But after mosquitto_threaded_set(true) a packet is only queued, and loop_write alone writes.  So all
 *   that was read in a turn is acknowledged by the attempt_write() behind the commit, or never: after a
 *   failed commit the handle must not write again, DISCONNECT included, which would queue behind the
 *   PUBACKs.  With 550 kills between the two, 120,000 messages: none lost; without the setting, 2,358.
 * - An incoming QoS 2 message waits in memory from PUBREC to PUBREL and is shown only then: a crash in
 *   between loses it, and after a mere reconnect in between the payloads of later messages come in the
 *   place of others.  In all versions.  So nothing is subscribed above QoS 1.
 * - Before CONNACK, TLS: 2.0.11 drives the handshake in loop_read only, and mosquitto_want_write() is
 *   true all through it (2.0.22, 2.1.2), so a loop that believes it spins.  OpenSSL is asked instead
 *   (attempt_wants_write), and loop_read is called when the socket can be written to, too.
 * - Each queued packet puts a byte into a socketpair that nobody reads here.  When that is full, after 278,
 *   the EAGAIN of that write passes for one of the socket: loop_read returns with packets left inside
 *   OpenSSL, and no poll will ever tell.  2.0.11 to 2.0.22; hence has_pending().
 * - Before 2.0.15 a peer that goes away in the handshake looks like one that is slow: is_peer_gone().
 * - A server's DISCONNECT closes the socket and returns 0; a failed handshake on 2.0.11 closes it without
 *   on_disconnect.  So what counts is attempt_socket() after each call, whatever the call returned.
 * - connect, the asynchronous one too, waits for the lookup: it is called in a thread.  It also takes no
 *   MQTT 5 properties; a connect to a socket that does not exist leaves them in the handle (NO_SOCKET).
 *   2.0.11 to 2.1.2.
 * - What one CONNACK says (window, packet size, keepalive) stays in the handle for the next connection,
 *   as does the queue, which comes again with DUP.  So each try has a handle of its own.
 * - It announces room for 20 messages only, and takes in packets of any size: sieve.h.  (MQTT 5 has a way to
 *   say what is too large; but a broker drops such messages without a word to anybody.  It is only told
 *   where nothing is gathered.)
 * - It ends the connection over a topic or text that it does not like, and the broker sends it again: sieve.h.
 * - 2.0.11 runs into an assertion on what a broker may send: sieve.h sees to it before, and assert_guard.h if
 *   there is another.
 * - Inside a callback it holds locks: nothing is connected, written or destroyed there (2.0.11 hangs).
 *
 * Whether one of these can go depends on the oldest library that is supported.  For the first, the
 * stall and the properties, test_session_plain fails when what is done about them is taken out
 * (test_session alone does not: gather.h hides the first two); the others were seen with servers that
 * delay, reset, fall silent or talk nonsense, and want to be tried with such again. */
#include "net/attempt.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mqtt_protocol.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/assert_guard.h"
#include "net/loop.h"
#include "net/session.h"

#define TICKS_PER_KEEPALIVE                                                                        \
	12 /* a ping is late by one of them, and servers wait for half of it more */
#define MIN_TICK_MS	 1000 /* the library counts in seconds */
#define MAX_TICK_MS	 5000
#define RECEIVE_MAXIMUM	 1000 /* the library's default of 20 makes one commit cover 20 */
#define SESSION_EXPIRY_S (7 * 24 * 60 * 60) /* how long a broker keeps our backlog */
#define MIN_KEEPALIVE_S	 5		    /* the library takes no less */
#define PACKETS_PER_TURN 1000
#define BYTES_PER_TURN	 (4 << 20) /* or large messages would pass every bound in one turn */
#define USER_TIMEOUT_MS	 60000
#define WAITING_BYTES	 BYTES_PER_TURN /* that may wait for a commit: a turn's worth */

/* No such path: a connect to it fails at once, but leaves the properties in the handle. */
#define NO_SOCKET "/nonexistent/calque"

static const struct {
	int v4, v5;
	bool is_login_fault;
	const char *words;
} codes[] = {
	{ 1, 0x84, false, "unacceptable protocol version" },
	{ 2, 0x85, true, "client id rejected" },
	{ 3, 0x88, false, "server unavailable" },
	{ 4, 0x86, true, "bad user name or password" },
	{ 5, 0x87, true, "not authorised" },
	{ -1, 0x8a, true, "banned" },
	{ -1, 0x8c, true, "bad authentication method" },
	{ -1, 0x8e, false, "session taken over, another client uses this client id" },
	{ 0x80, -1, false, "refused" }, /* SUBACK of 3.1.1 */
};
#define N_CODES	    (sizeof codes / sizeof codes[0])
#define LAST_CODE_4 5 /* of a CONNACK */

static const struct {
	int rc;
	const char *words;
} failures[] = {
	{ MOSQ_ERR_SUCCESS, "the broker closed the connection" },
	{ MOSQ_ERR_CONN_LOST, "the connection was lost" },
	{ MOSQ_ERR_KEEPALIVE, "no answer to a ping" },
	{ MOSQ_ERR_PROTOCOL, "the broker broke the protocol" },
	{ MOSQ_ERR_MALFORMED_PACKET, "the broker sent a malformed packet" },
	{ MOSQ_ERR_MALFORMED_UTF8, "the broker sent text that is no UTF-8" },
	{ MOSQ_ERR_TLS, "TLS failed" },
	{ MOSQ_ERR_NOMEM, "the broker sent a malformed packet" }, /* 1: one that is too short */
};

/* Reachable to the end: what the library was in the middle of can neither be used nor freed. */
static struct attempt *abandoned;
static unsigned n_abandoned;

static bool code_is(size_t i, int mqtt, int code)
{
	return code == (mqtt == 5 ? codes[i].v5 : codes[i].v4);
}

const char *attempt_code_words(int mqtt, int code)
{
	for (size_t i = 0; i < N_CODES; i++)
		if (code_is(i, mqtt, code))
			return codes[i].words;
	return mosquitto_reason_string(code);
}

/* Servers answer in the codes of the other version too. */
static int version_of(int connack_code)
{
	return connack_code < 0x80 ? 4 : 5;
}

const char *attempt_connack_words(int code)
{
	if (version_of(code) == 4 && code > LAST_CODE_4)
		return "a code that MQTT does not have";
	return attempt_code_words(version_of(code), code);
}

bool attempt_is_version_fault(int code)
{
	return code == codes[0].v4 || code == codes[0].v5;
}

bool attempt_is_login_fault(int code)
{
	for (size_t i = 0; i < N_CODES; i++)
		if (code_is(i, version_of(code), code))
			return codes[i].is_login_fault;
	return false;
}

/* Set by TLS sessions until they are up, as OpenSSL's reasons go nowhere else; and while one is probed, as
 * nothing else tells of a PINGRESP (2.0.11 to 2.1.2). */
static void on_log(struct mosquitto *m, void *ctx, int level, const char *text)
{
	static const char prefix[] = "OpenSSL Error";
	struct attempt *a = ctx;
	const char *reason;

	(void)m;
	(void)level;
	a->is_answered |= a->is_probing && strstr(text, "received PINGRESP");
	if (a->words[0] || strncmp(text, prefix, sizeof prefix - 1) != 0)
		return;
	reason = strrchr(text, ':');
	snprintf(a->words, sizeof a->words, "TLS: %s", reason ? reason + 1 : text);
}

static mosquitto_property *connect_properties(bool is_clean, size_t max_packet)
{
	mosquitto_property *list = NULL;

	if (!gather_collects())
		mosquitto_property_add_int32(&list, MQTT_PROP_MAXIMUM_PACKET_SIZE,
					     (uint32_t)max_packet);
	if (!is_clean)
		mosquitto_property_add_int32(&list, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
					     SESSION_EXPIRY_S);
	return list;
}

static void set_options(struct attempt *a, bool is_clean, bool is_visit)
{
	/* Before anything else: from here on packets leave with loop_write only. */
	mosquitto_threaded_set(a->m, true);
	mosquitto_int_option(a->m, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(a->m, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX); /* the caller has a window */
	mosquitto_int_option(a->m, MOSQ_OPT_PROTOCOL_VERSION,
			     a->mqtt == 5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	if (a->mqtt == 5) {
		mosquitto_int_option(a->m, MOSQ_OPT_RECEIVE_MAXIMUM,
				     is_visit ? 1 : RECEIVE_MAXIMUM);
		a->properties = connect_properties(is_clean, a->sieve.max_packet);
	}
	if (a->tls) {
		mosquitto_void_option(a->m, MOSQ_OPT_SSL_CTX, a->tls);
		mosquitto_int_option(a->m, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
		mosquitto_log_callback_set(a->m, on_log);
	}
}

struct attempt *attempt_new(const struct session_conf *conf, SSL_CTX *tls, bool is_ipv4_only,
			    bool is_visit, struct session *owner, struct err *e)
{
	struct attempt *a = mem_zalloc(sizeof *a);
	struct gather *outer;
	int rc;

	a->owner = owner;
	a->mqtt = conf->mqtt;
	a->tls = tls;
	a->disconnect_code = -1;
	a->is_ipv4_only = is_ipv4_only;
	a->is_stepwise = is_visit;
	a->is_collecting = true;
	a->rc = MOSQ_ERR_NO_CONN;
	gather_init(&a->gather);
	a->gather.is_tls = tls;
	sieve_init(&a->sieve, conf->mqtt, conf->max_packet ? conf->max_packet : SESSION_MAX_PACKET);
	if (gather_collects())
		a->gather.sieve = &a->sieve;
	outer = gather_begin(&a->gather);
	a->m = mosquitto_new(conf->client_id, conf->is_clean, a);
	gather_end(&a->gather, outer);
	if (!a->m) {
		err_set(e, ERR_INVALID, "client id: %s", strerror(errno));
		gather_fini(&a->gather);
		free(a);
		return NULL;
	}
	a->host = mem_strdup(conf->host);
	a->port = conf->port;
	a->keepalive_s = a->silence_s = conf->keepalive_s;
	if (a->keepalive_s != 0 && a->keepalive_s < MIN_KEEPALIVE_S)
		a->keepalive_s = MIN_KEEPALIVE_S;
	set_options(a, conf->is_clean, is_visit);
	rc = mosquitto_username_pw_set(a->m, conf->username, conf->password);
	if (rc != MOSQ_ERR_SUCCESS) {
		err_set(e, ERR_INVALID, "user name or password: %s",
			rc == MOSQ_ERR_INVAL ? "MQTT 3.1.1 takes no password without a user name"
					     : mosquitto_strerror(rc));
		attempt_free(a, false);
		return NULL;
	}
	return a;
}

/* Keep what came with the return of a call. */
static int note(struct attempt *a, int rc)
{
	const char *refusal;

	a->error = errno;
	refusal = a->tls ? tls_take_refusal() : NULL;
	if (refusal)
		snprintf(a->words, sizeof a->words, "certificate verify failed: %s", refusal);
	return rc;
}

struct guarded {
	struct mosquitto *m;
	int (*f)(struct mosquitto *m);
	int rc;
};

static void call_guarded(void *ctx)
{
	struct guarded *g = ctx;

	g->rc = g->f(g->m);
}

static void abandon(struct attempt *a)
{
	close(attempt_socket(a));
	a->is_abandoned = true;
	n_abandoned++;
	snprintf(a->words, sizeof a->words, "libmosquitto gave up on what the broker sent (%s)",
		 assert_guard_words());
}

/* One of the calls in which the library looks at what a broker sent. */
static int call(struct attempt *a, int (*f)(struct mosquitto *m))
{
	struct guarded g = { .m = a->m, .f = f };

	if (assert_guard_call(call_guarded, &g))
		return note(a, g.rc);
	abandon(a);
	return MOSQ_ERR_UNKNOWN;
}

static int read_some(struct mosquitto *m)
{
	return mosquitto_loop_read(m, 1);
}

static int write_all(struct mosquitto *m)
{
	return mosquitto_loop_write(m, 1);
}

static void work(void *ctx)
{
	struct attempt *a = ctx;
	const char *bind_to = a->is_ipv4_only ? "0.0.0.0" : NULL;

	if (atomic_load(&a->is_given_up))
		return;
	/* No asynchronous connect takes properties; this one keeps them for the next. */
	if (a->properties)
		mosquitto_connect_bind_v5(a->m, NO_SOCKET, 0, a->keepalive_s, NULL, a->properties);
	a->rc = note(a,
		     mosquitto_connect_bind_async(a->m, a->host, a->port, a->keepalive_s, bind_to));
}

/* How long sent bytes may stay unacknowledged: keepalive does not see a peer that is gone while we
 * keep sending. */
static void set_user_timeout(const struct attempt *a)
{
	unsigned ms = a->silence_s ? (unsigned)a->silence_s * 1000 : USER_TIMEOUT_MS;

	setsockopt(attempt_socket(a), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

static void work_done(void *ctx)
{
	struct attempt *a = ctx;
	struct sockaddr_storage local = { 0 };
	socklen_t n = sizeof local;

	if (attempt_has_started(a)) {
		set_user_timeout(a);
		if (getsockname(attempt_socket(a), (struct sockaddr *)&local, &n) == 0)
			a->family = local.ss_family;
	}
	a->done(a);
}

void attempt_connect(struct attempt *a, struct loop *l, void (*done)(struct attempt *a))
{
	a->done = done;
	loop_work(l, work, work_done, a);
}

bool attempt_has_started(const struct attempt *a)
{
	return a->rc == MOSQ_ERR_SUCCESS && attempt_socket(a) >= 0;
}

int attempt_socket(const struct attempt *a)
{
	return a->is_abandoned ? -1 : mosquitto_socket(a->m);
}

bool attempt_is_tls_ready(const struct attempt *a)
{
	SSL *ssl = mosquitto_ssl_get(a->m);

	return !ssl || SSL_is_init_finished(ssl);
}

int64_t attempt_peer_expires_s(const struct attempt *a)
{
	const SSL *ssl = mosquitto_ssl_get(a->m);

	return ssl ? tls_peer_expires_s(ssl) : 0;
}

/* Has the kernel's connect come to an end, and to a good one? */
static bool finish_connect(struct attempt *a)
{
	struct sockaddr_storage peer;
	socklen_t n_peer = sizeof peer;
	int error = 0;
	socklen_t n = sizeof error;

	if (getsockopt(attempt_socket(a), SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	/* OpenSSL's first write may have taken the error off the socket. */
	if (error == 0 && getpeername(attempt_socket(a), (struct sockaddr *)&peer, &n_peer) != 0)
		error = ECONNREFUSED;
	a->error = error;
	a->is_connected = error == 0 || error == ECONNRESET; /* a refusal is not a reset */
	return error == 0;
}

/* Is there more for the library to read?  What OpenSSL or the read-ahead holds already, no poll tells:
 * it must be empty before the loop sleeps. */
static bool has_pending(const struct attempt *a)
{
	SSL *ssl = mosquitto_ssl_get(a->m);

	return gather_has_input(&a->gather) || (ssl && SSL_pending(ssl) > 0);
}

/* From when the first packet may be written.  (The handshake of TLS writes for itself, and waits for nothing.) */
static void start_gathering(struct attempt *a)
{
	if (gather_collects() && a->gather.socket < 0 && attempt_is_tls_ready(a))
		a->gather.socket = attempt_socket(a);
}

static bool has_input(const struct attempt *a)
{
	int n = 0;

	return ioctl(attempt_socket(a), FIONREAD, &n) == 0 && n > 0;
}

/* libmosquitto before 2.0.15 takes a peer that is gone for one that is slow, and we would spin. */
static bool is_peer_gone(const struct attempt *a)
{
	char c;
	ssize_t n = recv(attempt_socket(a), &c, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Once for what the poll told, and on for as long as there is more that no poll will tell: what OpenSSL
 * or the read-ahead holds must be read to its end, past every bound.  In a handshake nothing is
 * read ahead, and a socket that can be written to counts as one to be read. */
int attempt_read(struct attempt *a, bool readable, bool writable)
{
	bool in_handshake = !attempt_is_tls_ready(a);
	struct gather *outer;
	int rc = MOSQ_ERR_SUCCESS;

	if (!a->is_connected && !finish_connect(a))
		return MOSQ_ERR_ERRNO;
	if (!readable && !(in_handshake && writable))
		return MOSQ_ERR_SUCCESS;
	a->n_bytes = 0;
	a->gather.skip_room = BYTES_PER_TURN;
	start_gathering(a);
	outer = gather_begin(&a->gather);
	for (int i = 0; rc == MOSQ_ERR_SUCCESS && attempt_socket(a) >= 0; i++) {
		bool is_bounded = i < PACKETS_PER_TURN && a->n_bytes < BYTES_PER_TURN &&
				  a->gather.skip_room > 0;
		bool is_more = has_pending(a) || (is_bounded && !in_handshake && has_input(a));

		if (i > 0 && (a->is_stepwise || !is_more))
			break;
		a->gather.may_fill = is_bounded;
		rc = call(a, read_some);
	}
	a->n_unmarked += a->n_bytes;
	a->gather.may_fill = true;
	gather_end(&a->gather, outer);
	if (a->sieve.fault[0])
		snprintf(a->words, sizeof a->words, "%s", a->sieve.fault);
	if (rc == MOSQ_ERR_SUCCESS && in_handshake && attempt_socket(a) >= 0 &&
	    !attempt_is_tls_ready(a) && is_peer_gone(a)) {
		snprintf(a->words, sizeof a->words, "the connection ended in the TLS handshake");
		rc = MOSQ_ERR_CONN_LOST;
	}
	return rc;
}

bool attempt_takes(const struct attempt *a)
{
	return a->waits_for == 0 && !gather_is_stuck(&a->gather) &&
	       gather_waiting(&a->gather) + a->n_unmarked < WAITING_BYTES;
}

bool attempt_is_waiting(const struct attempt *a)
{
	return a->waits_for != 0 || a->gather.n_marks > 0;
}

static bool is_gathering(const struct attempt *a)
{
	return a->gather.socket >= 0;
}

/* Have the library write; what is collected of that waits for `commit`, and for what is before it. */
static int collect(struct attempt *a, uint64_t commit)
{
	struct gather *outer;
	bool is_new, is_left;
	int rc;

	if (!mosquitto_want_write(a->m) && !gather_has_output(&a->gather)) {
		a->n_unmarked = 0; /* it needs no acknowledgement */
		return MOSQ_ERR_SUCCESS;
	}
	outer = gather_begin(&a->gather);
	rc = mosquitto_want_write(a->m) ? call(a, write_all) : MOSQ_ERR_SUCCESS;
	if (a->has_published) {
		a->has_published = mosquitto_want_write(a->m);
		a->owed = a->gather.n_put;
	}
	commit = commit > a->last_commit ? commit : a->last_commit;
	is_left = mosquitto_want_write(a->m);
	is_new = gather_mark(&a->gather, commit, a->n_unmarked);
	if (is_new || !is_left)
		a->n_unmarked = 0;
	if (is_new || is_left)
		a->last_commit = commit;
	gather_end(&a->gather, outer);
	return rc;
}

int attempt_collect(struct attempt *a, uint64_t acks, uint64_t published)
{
	uint64_t commit = a->has_heard ? acks : published;

	assert(acks >= a->last_commit && acks >= published);
	if (!a->is_connected || !attempt_is_tls_ready(a) || !a->is_collecting)
		return MOSQ_ERR_SUCCESS;
	a->has_heard = false;
	start_gathering(a);
	if (is_gathering(a))
		return collect(a, commit);
	if (a->waits_for == 0 && mosquitto_want_write(a->m))
		a->waits_for = acks;
	a->n_unmarked = 0;
	return MOSQ_ERR_SUCCESS;
}

/* What waited in the library: it writes to the socket itself. */
static int send_queued(struct attempt *a, uint64_t durable)
{
	if (a->waits_for == 0 || a->waits_for > durable)
		return MOSQ_ERR_SUCCESS;
	a->waits_for = 0;
	return collect(a, a->last_commit);
}

/* What was collected, as far as the socket takes it. */
static int send_collected(struct attempt *a, uint64_t durable)
{
	if (!is_gathering(a) || gather_send(&a->gather, durable) || errno == EAGAIN)
		return MOSQ_ERR_SUCCESS;
	return note(a, errno == ECONNRESET || errno == EPIPE ? MOSQ_ERR_CONN_LOST : MOSQ_ERR_ERRNO);
}

int attempt_send(struct attempt *a, uint64_t durable)
{
	int rc;

	if (!is_gathering(a))
		return send_queued(a, durable);
	rc = send_collected(a, durable);
	/* There was more in the library than is collected at a time. */
	while (rc == MOSQ_ERR_SUCCESS && a->is_collecting && is_gathering(a) &&
	       !gather_has_output(&a->gather) && mosquitto_want_write(a->m)) {
		rc = collect(a, a->last_commit);
		if (!gather_has_output(&a->gather))
			break;
		rc = rc == MOSQ_ERR_SUCCESS ? send_collected(a, durable) : rc;
	}
	return rc;
}

void attempt_stop_collecting(struct attempt *a, bool is_cut)
{
	a->is_collecting = false;
	if (!is_cut)
		return;
	a->waits_for = 0;
	gather_cut(&a->gather);
}

bool attempt_has_unsent(const struct attempt *a)
{
	return gather_has_output(&a->gather) || (a->is_collecting && mosquitto_want_write(a->m));
}

bool attempt_wants_write(const struct attempt *a)
{
	SSL *ssl = mosquitto_ssl_get(a->m);

	if (!a->is_connected)
		return true;
	if (ssl && !SSL_is_init_finished(ssl))
		return !SSL_want_read(ssl);
	if (is_gathering(a))
		return gather_has_sendable(&a->gather);
	return a->is_collecting && a->waits_for == 0 && mosquitto_want_write(a->m);
}

int attempt_tick(struct attempt *a)
{
	struct gather *outer = gather_begin(&a->gather);
	int rc = call(a, mosquitto_loop_misc);

	gather_end(&a->gather, outer);
	gather_trim(&a->gather);
	return rc;
}

/* Thousands of sessions that rest are looked at so often. */
uint64_t attempt_tick_ms(const struct attempt *a)
{
	uint64_t ms = (uint64_t)a->keepalive_s * 1000 / TICKS_PER_KEEPALIVE;

	return ms < MIN_TICK_MS ? MIN_TICK_MS : ms > MAX_TICK_MS ? MAX_TICK_MS : ms;
}

void attempt_set_keepalive(struct attempt *a, int keepalive_s)
{
	a->keepalive_s = keepalive_s;
}

void attempt_probe(struct attempt *a)
{
	a->is_probing = true;
	a->keepalive_s = MIN_KEEPALIVE_S;
	mosquitto_log_callback_set(a->m, on_log);
}

bool attempt_take_answer(struct attempt *a)
{
	if (!a->is_answered)
		return false;
	a->is_answered = a->is_probing = false;
	mosquitto_log_callback_set(a->m, NULL);
	return true;
}

void attempt_settle(struct attempt *a)
{
	if (a->tls &&
	    !a->is_probing) /* on 2.0.11 the library formats a line per packet as long as it is set */
		mosquitto_log_callback_set(a->m, NULL);
}

/* The last number that says something: a DISCONNECT's code, else the call's, else the callback's. */
static int final_code(const struct attempt *a, int rc)
{
	if (a->disconnect_code >= 0x80 || (rc == MOSQ_ERR_SUCCESS && a->disconnect_code > 0))
		return a->disconnect_code;
	return rc == MOSQ_ERR_CONN_LOST && a->disconnect_code > 0 ? a->disconnect_code : rc;
}

const char *attempt_words(struct attempt *a, int rc)
{
	int code = final_code(a, rc);

	if (a->words[0])
		return a->words;
	if (code >= 0x80)
		return attempt_code_words(a->mqtt, code);
	if (code == MOSQ_ERR_EAI) {
		snprintf(a->words, sizeof a->words, "lookup of %s: %s", a->host,
			 gai_strerror(a->error));
		return a->words;
	}
	if (code == MOSQ_ERR_ERRNO)
		return strerror(a->error);
	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
		if (failures[i].rc == code)
			return failures[i].words;
	return mosquitto_strerror(code);
}

void attempt_published(struct attempt *a)
{
	a->has_published = true;
}

bool attempt_taken(const struct attempt *a, uint64_t *taken, uint64_t *owed)
{
	int n = 0; /* that the kernel has, and the peer does not */

	if (!is_gathering(a) || ioctl(attempt_socket(a), TIOCOUTQ, &n) != 0)
		return false;
	*taken = a->gather.n_sent - (uint64_t)n;
	*owed = a->has_published ? UINT64_MAX : a->owed;
	return true;
}

/* A reset is a close that came while the peer had something unread; through TLS the one may look like an error. */
bool attempt_is_closed_by_peer(const struct attempt *a, int rc)
{
	int code = final_code(a, rc);

	if (a->sieve.fault[0])
		return false; /* it was us, over what it sent */
	if (code == MOSQ_ERR_SUCCESS || code == MOSQ_ERR_CONN_LOST || code >= 0x80)
		return !a->is_abandoned;
	return code == MOSQ_ERR_ERRNO && (a->error == ECONNRESET || a->error == EPIPE ||
					  a->error == ECONNABORTED || a->error == EPROTO);
}

bool attempt_has_failed_on_ipv6(const struct attempt *a)
{
	return a->family == AF_INET6 && !a->is_connected;
}

unsigned attempt_n_abandoned(void)
{
	return n_abandoned;
}

static void say_goodbye(struct attempt *a)
{
	if (attempt_socket(a) < 0 || !a->is_connected || !attempt_is_tls_ready(a) ||
	    !a->is_collecting || attempt_has_unsent(a))
		return;
	if (mosquitto_disconnect(a->m) == MOSQ_ERR_SUCCESS &&
	    collect(a, a->last_commit) == MOSQ_ERR_SUCCESS)
		send_collected(a, UINT64_MAX);
}

void attempt_free(struct attempt *a, bool is_goodbye)
{
	a->owner = NULL; /* what the library still calls back is nobody's */
	if (a->is_abandoned) {
		gather_fini(&a->gather);
		sieve_fini(&a->sieve);
		a->next_abandoned = abandoned;
		abandoned = a;
		return;
	}
	if (is_goodbye)
		say_goodbye(a);
	gather_fini(&a->gather);
	sieve_fini(&a->sieve);
	mosquitto_destroy(a->m); /* with its reference to the context (tried: 2.0.11, 2.0.21) */
	mosquitto_property_free_all(&a->properties);
	free(a->host);
	free(a);
}
