/* session_inside.h -- what the files of a session share: session.c (its life), session_end.c (how a
 * connection ends), session_callbacks.c (what libmosquitto says) and session_publish.c.  Nobody else
 * includes it. */
#ifndef BRIDGE_SESSION_INSIDE_H
#define BRIDGE_SESSION_INSIDE_H

#include "base/buf.h"
#include "net/attempt.h"
#include "net/backoff.h"
#include "net/loop.h"
#include "message/mqtt_version.h"
#include "net/session.h"

#define SESSION_WHY_BYTES 800
#define LOGIN_MS	  15000 /* from the socket to the last SUBACK */
#define VISIT_MS	  60000 /* without progress */

#define UNSUBSCRIBED (-1)

enum phase {
	IDLE,	 /* not started */
	WAITING, /* for the next try; the timer runs, or it is_in_line */
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
	bool has_unsubscribed; /* asked for it, that is */
	int64_t subscribed_ms; /* clock_mono_ms() */
	size_t n_answered;     /* of the filters */
	uint8_t max_qos;       /* of what it takes */
	bool has_ids;	       /* it says by which subscription a message comes */
};

#define COPY_IDS 16
/* The message that came last, for copies of it (MQTT 5). */
struct last_message {
	struct buf bytes; /* topic, correlation and payload */
	int qos;
	bool is_retained;
	uint32_t ids[COPY_IDS]; /* of the subscriptions by which it came; 0: one without */
	size_t n_ids;		/* 0: there is no such message */
};

struct session {
	struct loop *loop;
	struct session_conf
		conf; /* all texts are ours; mqtt: of the attempt at hand, or the next */
	struct mqtt_version *version;
	struct session_ops ops;
	void *ctx;
	SSL_CTX *tls;		/* NULL: plain */
	int64_t peer_expires_s; /* the broker's certificate, as it was last shown; 0: none was */
	bool is_in_line;	/* WAITING, for session_go() */

	enum phase phase;
	struct attempt *attempt; /* in LOOKUP, LOGIN, UP */
	struct loop_watch watch;
	struct loop_timer timer;
	struct login login;
	int *sub_mids;	     /* of the SUBSCRIBEs in flight, by filter; 0: answered */
	int *unsub_mids;     /* of the old filters: 0 not asked yet, > 0 in flight, UNSUBSCRIBED */
	int *granted;	     /* what was answered: a QoS, or >= 0x80 */
	struct buf degraded; /* what was not granted, for the status */
	int64_t deadline_ms, up_since_ms; /* clock_mono_ms() */
	int64_t down_since_ms;
	unsigned n_in_vain;	     /* attempts since it was last up */
	char why[SESSION_WHY_BYTES]; /* of the last ending */

	struct backoff backoff;
	unsigned n_short_lives, n_abandoned;
	bool is_ipv4_only; /* the next try is */
	bool has_been_up;  /* with this client id: the broker should know us */

	bool is_started;
	bool wants_held; /* from the next connection on */
	bool is_held;	 /* nothing is taken in; a connection is a visit */
	bool is_leaving; /* it had taken something in when it was held: what waits for its commit leaves, and no more */
	bool is_written; /* what a visit brings is out: from now on it reads and does not write */
	int64_t linger_until_ms; /* then it ends; 0: when all is acknowledged */
	size_t n_unacked;	 /* of what was published on this connection */

	bool wants_probe;  /* the next connection is to show that it holds */
	bool has_progress; /* something that was published on this connection was acknowledged */

	bool in_library; /* libmosquitto is on the stack: nothing may be destroyed */
	bool is_relogin; /* as soon as it is not */
	bool is_broken;	 /* a publish failed; what the library did with it is unknown */

	struct message in; /* the incoming message; topic and the like are borrowed */
	struct buf payload;
	struct last_message last;
};

/* --- session.c */
/* By whom log lines are limited: all that are one of many are one. */
const char *session_subject(const struct session *s);
/* Try again in `ms`. */
void session_wait(struct session *s, uint64_t ms);

/* --- session_end.c */

/* What a server says, with no secret in it and no longer than is good for a line.  For the caller to free. */
char *session_tellable(const struct session *s, const char *text);
/* Let go of the attempt; a thread that still has it leaves it to the attempt's `done`. */
void session_close_attempt(struct session *s, bool is_goodbye);
/* The attempt or connection is over: say so, and try again later.  Last thing in its caller. */
void session_end_unmade(struct session *s, const char *reason); /* there is no attempt */
void session_end_login_refused(struct session *s);
void session_end_lost(struct session *s, int rc); /* of the library's call that failed */
void session_end_late(struct session *s);

/* --- session_callbacks.c */

void session_set_callbacks(struct mosquitto *m);
/* What a SUBSCRIBE to this filter calls itself: the same in every run, and hardly that of another filter. */
uint32_t session_filter_id(const char *filter);
/* What comes from now on is no copy of what came before. */
void session_forget_last(struct session *s);
/* The broker has an old filter no more; told once. */
void session_unsubscribed(struct session *s, size_t old);

#endif
