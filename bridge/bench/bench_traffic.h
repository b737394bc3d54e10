/* bench_traffic.h -- numbered messages in at one endpoint, and out at another: how many, how long.
 *
 * The number is in the payload ("n"), so it is told apart what was lost, what came twice, and how long
 * each took.  What is in between connects to both as an MQTT client.  One thread. */
#ifndef BRIDGE_BENCH_TRAFFIC_H
#define BRIDGE_BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

struct err;
struct traffic;

struct traffic_conf {
	const char *const *topics; /* to publish on in turn: each has a session of its own ... */
	size_t n_topics;
	size_t sessions
		[2]; /* ... in the south; how many are to be there, in the south and in the north */
	SSL_CTX *tls;	  /* of the north; NULL: none.  Borrowed */
	const char *body; /* the members of the payload after "n"; "": none */
	size_t size;	  /* payloads are padded to this many bytes */
	int qos;
	size_t window; /* QoS 1: how many may be unacknowledged; QoS 0: how many on their way */
};

/* What a stretch of traffic gave; times in microseconds. */
struct traffic_result {
	uint64_t n; /* came out in it */
	int64_t us; /* its length */
	double per_second;
	int64_t p50_us, p99_us;
	int64_t driver_us; /* CPU time that this side of it took */
};

struct traffic_counts {
	uint64_t sent, arrived, duplicates;
	size_t bytes; /* of the last payload that was sent */
};

/* Listen on both sides.  `conf` is copied, what it points to is borrowed.  NULL sets *e: ERR_IO. */
struct traffic *traffic_open(const struct traffic_conf *conf, struct err *e);
void traffic_close(struct traffic *t); /* NULL is allowed */
int traffic_in_port(const struct traffic *t);
int traffic_out_port(const struct traffic *t);

/* The functions below return false, with *e set, when a session ends (ERR_NET), when it takes too long
 * (ERR_LIMIT), or on SIGINT or SIGTERM, which the caller has blocked (ERR_BUSY). */

/* Wait until all sessions are there, within what 100 of them in a second take twice, and all topics are subscribed to.
 * `is_alive` (may be NULL) tells when it is no use to wait. */
bool traffic_wait_ready(struct traffic *t, bool (*is_alive)(void *ctx), void *ctx, struct err *e);
/* Nothing is sent for that long. */
bool traffic_rest(struct traffic *t, double seconds, struct err *e);
/* The north is gone for that long, and is back again; then wait as above.  `*back_us`: how long that took.
 * `*most`: so many connected within one second at most. */
bool traffic_restart_north(struct traffic *t, double seconds, int64_t *back_us, size_t *most,
			   struct err *e);
/* Send for that long, as fast as the window allows (`per_second` 0) or at a rate. */
bool traffic_run(struct traffic *t, double seconds, double per_second, struct traffic_result *out,
		 struct err *e);
/* Wait until all that was sent has come out and is acknowledged, or nothing more comes. */
bool traffic_drain(struct traffic *t, struct err *e);
struct traffic_counts traffic_counts(const struct traffic *t);

#endif
