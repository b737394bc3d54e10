/* port.h -- what carries the messages of a side of a link: the table that every such thing implements.
 *
 * A live link has ports: one for each side, one for handshakes, later one for each device.  What waits for
 * a port, how fast it takes messages and what becomes of them is the live link's (live_link_port.c); how
 * they travel is its *carrier's*, which is reached through `struct port_ops` only.  In a running bridge
 * that is an MQTT session (port_mqtt.c), in tests a few lists in memory.
 *
 * What all carriers have in common:
 *
 * - Nothing leaves by itself, neither a message nor an acknowledgement: flush() says for which commits all
 *   waits that is there, and let_out() that it is durable, with what the caller was told before.
 * - A connection that was lost is made again by the carrier itself.  What was published and not
 *   acknowledged is forgotten with it: the port publishes it again.
 * - Events are told from the loop or from within flush() and let_out(); down() also from within hold() and
 *   set_login(), login() from whatever makes it connect. */
#ifndef BRIDGE_PORT_H
#define BRIDGE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/session.h"

struct conf_session;
struct err;
struct message;
struct session_login;

/* What a carrier is made for; all borrowed while open() runs. */
struct port_conf {
	const char *name; /* for the log: "link=pump-7 side=north" */
	const char
		*device; /* whose it is, by its name in the bridge; NULL: it carries any device's */
	const struct conf_session *conf; /* where it goes, and how */
	const struct session_login *login;
	int mqtt;	     /* the version of the protocol, 4 or 5; 0: it is found out */
	size_t packet_bytes; /* the largest packet that the far end takes; 0: any */
	bool is_provisioning; /* for handshakes: keeps nothing at the far end, which may not say what it grants */
	char *const *filters; /* of the topics to hear */
	char *const *kinds;   /* what comes by each, for the log */
	char *const *shown;   /* each without credentials, for the log */
	size_t n_filters;
	char *const *
		old; /* filters that the far end may have of an earlier configuration: to be given up */
	size_t n_old;
};

/* What a carrier tells its port. */
struct port_events {
	/* Something came of the carrier's connection, its clock or its lookup, so that flush() and let_out() are due in
	 * this turn.  Before all else that is told of it, but for what is told from within a call. */
	void (*stirred)(void *port);
	/* May it connect now?  False: it waits for go(). */
	bool (*may_connect)(void *port);
	/* A login is about to be made; set_login() from within counts for it. */
	void (*login)(void *port);
	/* The far end let us in, and what was to be heard was asked for: what is published from now on goes over
	 * this new connection. */
	void (*up)(void *port);
	/* The connection ended or could not be made. */
	void (*down)(void *port, enum session_end end);
	/* The far end answered the ping of probe(). */
	void (*answered)(void *port);
	/* A message came in (borrowed). */
	void (*message)(void *port, const struct message *m);
	/* What publish() numbered `mid` was acknowledged; code is the reason, >= 128 a refusal, whose
	 * words are `reason`. */
	void (*acked)(void *port, int mid, int code, const char *reason);
	/* The far end has number `old` of port_conf.old no more. */
	void (*unsubscribed)(void *port, size_t old);
	/* A message came in that is not taken, and is acknowledged all the same: it is too large, or no message.
	 * `m` (borrowed): what is known of it (message.h: is_cut); NULL: nothing, and it comes again. */
	void (*refused)(void *port, const struct message *m, bool is_too_large, const char *reason);
	/* A copy of a text of the far end's, without what is secret in it; to be freed. */
	char *(*tellable)(void *port, const char *text);
};

/* How it is with a carrier; texts are borrowed. */
struct port_status {
	/* "lacking" or "asleep" (there is none), "idle", "waiting", "connecting", "login", "up", "held" */
	const char *phase;
	int64_t since_ms; /* clock_mono_ms() when it came up, went down or was held; 0: never was up */
	unsigned attempts;    /* in vain since it was last up */
	const char *why;      /* why it is not up, key=value as in the log; "": not known */
	const char *degraded; /* what the far end did not grant, likewise; NULL or "": nothing */
	int mqtt;
	int64_t certificate_s; /* when what it shows of itself expires, epoch seconds; 0: it shows none */
	int64_t peer_certificate_s; /* the same of what the far end last showed; 0: it showed none */
};

struct port_ops {
	/* A carrier, which does nothing yet; `events` (for as long as it lives) are told with `port`.
	 * `ctx` is the maker's (live_link.h).  NULL sets *e. */
	void *(*open)(void *ctx, const struct port_conf *conf, const struct port_events *events,
		      void *port, struct err *e);
	/* Connect, and again whenever the connection is lost. */
	void (*start)(void *carrier);
	/* It may connect now, if it waits for that (port_events.may_connect).  False: it does not, any more. */
	bool (*go)(void *carrier);
	/* Another login from the next connect on; what is connected connects anew at once. */
	void (*set_login)(void *carrier, const struct session_login *login);
	/* Connect anew at once, if it is up and not held; `reason` for the log.  Not from an event. */
	void (*reconnect)(void *carrier, const char *reason);
	/* Bytes that the far end has taken over this connection, and where in them all ends that was published
	 * so far (UINT64_MAX: not known yet).  False: that cannot be told. */
	bool (*taken)(const void *carrier, uint64_t *taken, uint64_t *owed);
	/* Should the far end be asked after each connect, from the next one on, whether it is there?  The answer is
	 * told with answered(), unless it is a visit. */
	void (*probe)(void *carrier, bool is_probing);
	/* Disconnect, and stay so until start(), as if it had just been opened.  Not from an event; there is
	 * none of the end.  What was published and not acknowledged is forgotten. */
	void (*stop)(void *carrier);
	bool (*is_up)(const void *carrier);
	/* Would it take a message now?  Not while it is not up, nor while too much waits for a commit. */
	bool (*takes)(const void *carrier);

	/* Hand a message over.  Only while it takes one.  *mid is its number for acked().  False sets *e: ERR_LIMIT
	 * larger than the far end takes; ERR_INVALID it cannot be carried; ERR_NET the connection is
	 * going down (down() follows). */
	bool (*publish)(void *carrier, const struct message *m, int *mid, struct err *e);
	/* What is due waits for a commit: acknowledgements of all that was told before for `acks` (they grow), and what
	 * was published for `published` (not greater).  In a carrier that writes both in one sequence, all may wait
	 * for the greater one.  Once per turn of the loop. */
	void (*flush)(void *carrier, uint64_t acks, uint64_t published);
	/* Let out what waited for `durable` or a commit before it.  Once per turn, after flush(). */
	void (*let_out)(void *carrier, uint64_t durable);

	/* Take nothing more in: what flush() has not seen is never acknowledged, and the far end keeps
	 * what comes.  Not from an event.  A second hold() or release() does nothing. */
	void (*hold)(void *carrier);
	/* To be held next: nor is acknowledged what waits for its commit. */
	void (*retract)(void *carrier);
	void (*release)(void *carrier);
	/* Something waits for a held carrier: be up until it is handed over, and take nothing in.  May be
	 * called again while that goes on, and for one that is not held: it does nothing then. */
	void (*visit)(void *carrier);

	void (*status)(const void *carrier, struct port_status *out);
	/* No event afterwards. */
	void (*close)(void *carrier);
};

/* An MQTT session (net/session.h); the `ctx` of open() is the loop. */
extern const struct port_ops port_mqtt_ops;

#endif
