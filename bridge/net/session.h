/* session.h -- one MQTT session: connects, logs in, subscribes, keeps doing so, and carries messages.
 *
 * Only session*.c and attempt.* see libmosquitto.  Each connect uses a new libmosquitto handle (values learnt from
 * one CONNACK persist in a handle, and so does its queue); lookup and connect never block the loop.
 * Nothing leaves by itself (on_stir tells when something may): session_flush() says for which commit of the caller's
 * all waits that is there (acknowledgements of what was read, publishes, pings), and session_let_out() that it is
 * durable.  Meanwhile the session goes on (net/attempt.h says how, and where not).  Commits are numbers that grow.
 * Loop thread only.
 *
 * Callbacks collect; they must not free the session. */
#ifndef BRIDGE_SESSION_H
#define BRIDGE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/message.h"
#include "net/tls.h"

struct err;
struct loop;
struct session;

#define SESSION_MAX_PACKET ((size_t)16 << 20) /* the packet's remaining length */

struct session_filter {
	const char *filter;
	int qos;	   /* 0 or 1 */
	const char *kinds; /* what comes by it, for the log: "command,config" */
	const char *shown; /* the filter for the log; NULL: itself, it holds no credential */
};

/* All texts are copied. */
struct session_conf {
	const char *name; /* for the log: "link=pump-7 side=north" */
	const char *host;
	int port;
	bool is_tls;
	struct tls_conf tls;
	const char *username, *password, *client_id; /* NULL: not sent (client_id never is) */
	int keepalive_s;
	int mqtt;	     /* 4 or 5; 0: it is found out (message/mqtt_version.h) */
	size_t packet_bytes; /* the largest remaining length of a PUBLISH; 0: any */
	size_t max_packet; /* what comes in and is longer is refused (on_refused); 0: SESSION_MAX_PACKET */
	const struct session_filter *filters;
	size_t n_filters;
	const char *const *old; /* filters to be unsubscribed, of an earlier configuration */
	size_t n_old;
	bool is_clean; /* a short-lived session that keeps nothing at the broker */
	bool is_one_of_many; /* at that server: what happens to it is told once a minute for all of them */
	int unanswered_ms; /* so long a SUBACK may take; it is up without one then.  0: a login needs it */
};

/* How a connection ended, or did not come about. */
enum session_end {
	SESSION_END_OURS,    /* the caller wanted it */
	SESSION_END_UNMADE,  /* it was never up */
	SESSION_END_REFUSED, /* nor was this: the broker refused the login */
	SESSION_END_CLOSED, /* the broker closed it, and did not say why, or for a reason that may be what it got */
	SESSION_END_LOST /* silence, the network, another client took it over, or what came is no MQTT */
};

struct session_ops {
	/* May be NULL: something came of its socket, its clock or its lookup, so that session_flush() and
	 * session_let_out() are due in this turn.  Before all else that is told of it. */
	void (*on_stir)(void *ctx);
	/* May be NULL: a connection is about to be made; session_set_login() from within counts for it. */
	void (*on_login)(void *ctx);
	/* May be NULL: may it connect now?  False: it waits for session_go(). */
	bool (*may_connect)(void *ctx);
	/* May be NULL: a copy of what the server says, without what is secret in it, to be freed; its login is left out
	 * already. */
	char *(*tellable)(void *ctx, const char *text);
	/* CONNACK was good and every filter was answered, granted or not (session_status.degraded). */
	void (*on_up)(void *ctx);
	/* The connection ended or could not be made; it is tried again by itself. */
	void (*on_down)(void *ctx, enum session_end end);
	/* A message came in (borrowed). */
	void (*on_message)(void *ctx, const struct message *m);
	/* Packet `mid` was acknowledged (QoS 0: taken, and waits at most for its commit); code is the reason, >= 128 a
	 * refusal, whose words are `reason`. */
	void (*on_acked)(void *ctx, int mid, int code, const char *reason);
	/* May be NULL: the broker has number `old` of session_conf.old no more. */
	void (*on_unsubscribed)(void *ctx, size_t old);
	/* May be NULL: the ping of session_probe() was answered. */
	void (*on_answered)(void *ctx);
	/* May be NULL: a message came in that is not taken: it is too large, or its topic or another text is none
	 * that MQTT allows.  It is acknowledged like any other.  `m` (borrowed) has its topic, made printable, and how
	 * its payload began (4 KiB; is_cut).  NULL: it could not be had (where nothing is gathered, net/gather.h),
	 * and the broker will send it again. */
	void (*on_refused)(void *ctx, const struct message *m, bool is_too_large,
			   const char *reason);
};

/* NULL sets *e: a TLS file that cannot be used.  Nothing is sent before session_start(). */
struct session *session_new(struct loop *l, const struct session_conf *conf,
			    const struct session_ops *ops, void *ctx, struct err *e);
/* Connect, and again whenever the connection is lost, with backoff; a refused login slowly. */
void session_start(struct session *s);
/* It may connect now, if it waits for that (session_ops.may_connect).  False: it does not, any more. */
bool session_go(struct session *s);
/* Other credentials from the next connect on; if the session is connected or waits for its next try,
 * it connects anew at once.  NULL: not sent. */
void session_set_login(struct session *s, const char *username, const char *password,
		       const char *client_id);
/* Say goodbye and stay away until session_start(); no on_down.  Not from a callback. */
void session_stop(struct session *s);
bool session_is_up(const struct session *s);
/* Connect anew at once, if it is up and not held.  `reason` for the log.  Not from a callback. */
void session_reconnect(struct session *s, const char *reason);
/* Bytes that the broker's end has taken over this connection, and where in them all ends that was published so
 * far (UINT64_MAX: not known yet).  False: that cannot be told. */
bool session_taken(const struct session *s, uint64_t *taken, uint64_t *owed);
/* Is the broker to be asked soon after each login, from the next one on, whether it is there?  A ping goes after some
 * seconds in which nothing was sent, and on_answered follows.  (Not in a visit.) */
void session_probe(struct session *s, bool is_probing);

/* Take nothing more in: what session_flush() has not seen is never acknowledged, and when the rest has
 * been let out, the connection ends, with on_down, after a moment in which acknowledgements still come.  The
 * session stays at the broker, which keeps what comes (QoS 1).  Not from a callback. */
void session_hold(struct session *s);
/* To be held next: nor is acknowledged what waits for its commit.  Nothing more is written on this connection.
 * (Nothing is done in a visit, which acknowledges nothing.) */
void session_retract(struct session *s);
/* Connect as before. */
void session_release(struct session *s);
/* Something waits for a held session: connect it for as long as it takes to hand that over (nothing
 * is done if that is going on, or was a moment ago).  It is up until all has been let out that
 * was published until the next session_flush(), and that is acknowledged with on_acked as ever; what comes in
 * meanwhile is dropped and not acknowledged, so the broker sends it again.  Ends with on_down. */
void session_visit(struct session *s);

/* How it is with the session; texts are borrowed. */
struct session_status {
	const char *phase; /* "idle", "waiting", "connecting", "login", "up", "held" */
	int64_t since_ms; /* clock_mono_ms() when it came up, went down or was held; 0: never was up */
	unsigned attempts; /* in vain since it was last up */
	const char *why;   /* why it is not up, key=value as in the log; "": not known */
	const char *
		degraded; /* what the broker did not grant at the last login, likewise; "": nothing */
	int mqtt;
	int64_t certificate_s; /* when what it shows of itself expires, epoch seconds; 0: it shows none */
	int64_t peer_certificate_s; /* the same of what the far end last showed; 0: it showed none */
};
void session_status(const struct session *s, struct session_status *out);

/* Would it take a message now?  It does not while it is not up, nor while too much waits for a commit. */
bool session_takes(const struct session *s);
/* Hand a message to the library; it waits for the commit of the next session_flush().  *mid is its packet
 * number for on_acked.  False sets *e: ERR_LIMIT larger than the broker takes; ERR_INVALID a topic or
 * property MQTT cannot carry; ERR_NET the connection is going down (reset the delivery). */
bool session_publish(struct session *s, const struct message *m, int *mid, struct err *e);

/* Acknowledgements of what was read wait for the commit `acks` (not less than before), what was published for
 * `published` (not greater), or for `acks` where it stands behind acknowledgements.  Once per turn, when that is
 * handed over; then, maybe often, session_let_out(). */
void session_flush(struct session *s, uint64_t acks, uint64_t published);
/* Write what waited for `durable` or a commit before it.  Once per turn at the end of before-sleep. */
void session_let_out(struct session *s, uint64_t durable);

/* Say goodbye (DISCONNECT) and stop; no callback afterwards.  Memory goes once the loop let go. */
void session_free(struct session *s);

#endif
