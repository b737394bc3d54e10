/* attempt.h -- one try at a connection: a libmosquitto handle from its making to its end, and the one
 * way of reading and writing it that works with every version of the library, plain and TLS.
 *
 * Made new for each connect.  While its thread looks up and connects (attempt_connect), nobody else
 * touches it.  Loop thread otherwise.  Only for the files of a session (session_inside.h), which set the
 * library's callbacks; their object is the attempt.
 *
 * What the library has queued since the last attempt_collect() may hold acknowledgements of what was read
 * since, so it leaves as a whole, when the commit is durable that holds what was read (attempt_send).  Where
 * writes are collected (gather.h), the library goes on meanwhile, and several commits may be waited for.
 * Where they are not, what is queued stays in the library, which would mix it with what comes next: so
 * nothing may come next, and the session is not read (attempt_takes).
 *
 * Everything waits alike, for in the library all is one queue: SUBSCRIBE and PINGREQ stand behind
 * acknowledgements; and the CONNECT, too, since its credentials may be those that a handshake has just
 * brought, which must be durable before they are used.  A ping that waits too long costs the connection,
 * and the broker keeps the session; a store that is so slow could acknowledge nothing over it anyway. */
#ifndef BRIDGE_ATTEMPT_H
#define BRIDGE_ATTEMPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mosquitto.h>
#include <openssl/ssl.h>

#include "net/gather.h"
#include "net/sieve.h"

struct err;
struct loop;
struct session;
struct session_conf;

struct attempt {
	struct session *owner; /* NULL: given up, to be freed when the thread is done with it */
	struct mosquitto *m;
	int mqtt;
	bool is_abandoned; /* the library failed an assertion: the handle is never touched again */
	int disconnect_code;  /* what on_disconnect said; -1: nothing */
	struct gather gather; /* to be begun around every call into the library that sends */
	struct sieve sieve;   /* of what is read, where it is gathered */

	/* attempt.c's own */
	char *host;
	int port, keepalive_s;
	int silence_s; /* how long sent bytes may stay unacknowledged; 0: as long as without a keepalive */
	bool is_probing, is_answered;
	bool has_published; /* what of it is in the library is not known */
	uint64_t owed;	    /* where in what was collected it ends */
	bool is_ipv4_only;
	mosquitto_property *properties; /* of the CONNECT */
	SSL_CTX *tls;			/* the handle holds the reference */
	int rc;				/* of the connect */
	int error;			/* errno that came with the last failure */
	int family;			/* of the socket */
	bool is_connected;		/* TCP */
	atomic_bool is_given_up;
	void (*done)(struct attempt *a);
	bool is_collecting;
	uint64_t
		waits_for; /* where nothing is collected: what is in the library does, for this commit; 0: nothing */
	uint64_t last_commit; /* that the last of what was collected waits for */
	bool has_heard;	      /* the caller's: a message, since then: the library acknowledges it */
	size_t n_unmarked;    /* bytes of payloads that were read since */
	bool is_stepwise; /* attempt_read() reads one packet at a time; the caller may change it */
	size_t n_bytes;	  /* of payloads, given by the caller: bounds one attempt_read() */
	char words[240];  /* why it failed, where the library's number does not tell */
	struct attempt *next_abandoned;
};

/* A handle, configured, not connected.  `tls` NULL: plain.  `is_ipv4_only`: do not try IPv6.
 * `is_visit`: ask the broker to send next to nothing, and read stepwise.  NULL sets *e: ERR_INVALID a
 * user name or client id that MQTT cannot carry. */
struct attempt *attempt_new(const struct session_conf *conf, SSL_CTX *tls, bool is_ipv4_only,
			    bool is_visit, struct session *owner, struct err *e);
/* Look up and connect in a thread; `done` is called in the loop, given up or not. */
void attempt_connect(struct attempt *a, struct loop *l, void (*done)(struct attempt *a));
/* Did attempt_connect() start a connection? */
bool attempt_has_started(const struct attempt *a);

int attempt_socket(
	const struct attempt *a); /* -1: closed; ask after every call that reads or writes */
bool attempt_is_tls_ready(const struct attempt *a); /* no TLS, or the handshake is over */
/* When the certificate expires that the broker showed, epoch seconds; 0: it showed none. */
int64_t attempt_peer_expires_s(const struct attempt *a);

/* Read what is there, up to a bound.  A number of the library's, 0 = fine. */
int attempt_read(struct attempt *a, bool readable, bool writable);
/* All that the library has queued waits for the commit `acks` (not less than the last time) if a message was heard
 * since the last time, else for `published` (not greater) and for what waits before it.  Sends nothing.  Nothing
 * happens during a TLS handshake: it has its own writes, which wait for nothing. */
int attempt_collect(struct attempt *a, uint64_t acks, uint64_t published);
/* Send what waited for `durable` or a commit before it, as far as the socket takes it. */
int attempt_send(struct attempt *a, uint64_t durable);
/* Will what the library is given now, by the caller or by reading, wait for no less than it should?  False:
 * too much waits for a commit, or (where nothing is collected) anything does. */
bool attempt_takes(const struct attempt *a);
/* Collect nothing more: what the library has queued will never leave.  `is_cut`: nor will what waits. */
void attempt_stop_collecting(struct attempt *a, bool is_cut);
/* Does something wait for its commit? */
bool attempt_is_waiting(const struct attempt *a);
/* Is there something that was collected (or, before attempt_stop_collecting(), could be), and is not sent? */
bool attempt_has_unsent(const struct attempt *a);
/* Must the socket be watched for writing? */
bool attempt_wants_write(const struct attempt *a);
/* Let the library look at its clock: pings. */
int attempt_tick(struct attempt *a);
/* In how many ms again, if nothing else is waited for: a small part of the keepalive. */
uint64_t attempt_tick_ms(const struct attempt *a);
/* The server wants another keepalive than it was told, in s. */
void attempt_set_keepalive(struct attempt *a, int keepalive_s);
/* Before attempt_connect(): send the first ping early, and note when it is answered. */
void attempt_probe(struct attempt *a);
/* Was it?  True once. */
bool attempt_take_answer(struct attempt *a);
/* Bytes that the peer has taken, and where in them all ends that was published (attempt_published()) so far;
 * UINT64_MAX: that is not known yet.  False: nothing is known, as nothing is collected. */
bool attempt_taken(const struct attempt *a, uint64_t *taken, uint64_t *owed);
void attempt_published(struct attempt *a);
/* Did the peer close the connection, as far as a call that returned `rc` can tell? */
bool attempt_is_closed_by_peer(const struct attempt *a, int rc);
/* The session is up: drop what only a failing login needs. */
void attempt_settle(struct attempt *a);

/* Why it ended, in words, after a call that returned `rc`.  Borrowed. */
const char *attempt_words(struct attempt *a, int rc);
/* The words for a reason code of SUBACK, PUBACK or DISCONNECT. */
const char *attempt_code_words(int mqtt, int code);
/* For one of a CONNACK, of either version. */
const char *attempt_connack_words(int code);
/* Does this CONNACK code say that the server does not speak the version?  (One that knows 3.1.1 only says it in its
 * own way.) */
bool attempt_is_version_fault(int code);
/* Is this CONNACK code the fault of the login (rather than of the server)? */
bool attempt_is_login_fault(int code);
/* How many attempts of this process had to be abandoned; each keeps its memory and two descriptors. */
unsigned attempt_n_abandoned(void);
/* An IPv6 address was tried and did not answer. */
bool attempt_has_failed_on_ipv6(const struct attempt *a);

/* Close and free.  `is_goodbye`: with DISCONNECT, if nothing is queued before it (what is queued may
 * be an acknowledgement that must not leave yet). */
void attempt_free(struct attempt *a, bool is_goodbye);

#endif
