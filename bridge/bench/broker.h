/* broker.h -- the smallest MQTT broker that can carry a measurement: nothing kept, everything read and
 * written in bulk, so that what is measured are the clients and not this.
 *
 * Speaks 3.1.1 and 5 as the client's CONNECT says, grants QoS 1 at most, accepts any login, listens on
 * 127.0.0.1 only.  What the client publishes is acknowledged when it has been handed over.  One thread. */
#ifndef BRIDGE_BROKER_H
#define BRIDGE_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

struct err;
struct broker;
struct broker_client;

/* Listen on a port that the kernel chooses, with TLS if there is `tls` (borrowed).  `on_message` gets the payload
 * (borrowed) of everything that the client publishes.  NULL sets *e: ERR_IO. */
struct broker *broker_open(void (*on_message)(void *ctx, const char *payload, size_t len),
			   void *ctx, SSL_CTX *tls, struct err *e);
/* As if it had been killed: all clients are gone, and nobody listens. */
void broker_fall(struct broker *p);
/* It listens again where it did.  False sets *e: ERR_IO. */
bool broker_listen(struct broker *p, struct err *e);
void broker_close(struct broker *p); /* NULL is allowed */
int broker_port(const struct broker *p);

size_t broker_connected(const struct broker *p); /* clients whose CONNECT was accepted */
size_t broker_dropped(const struct broker *p);	 /* clients that are gone, ever */
/* The most connections that came within a second of the clock, since the broker listens. */
size_t broker_most_in_second(const struct broker *p);
/* A client that subscribed to the topic, valid until it is dropped; NULL: none. */
struct broker_client *broker_subscriber(const struct broker *p, const char *topic);

/* Queue a PUBLISH.  At most 65,535 of QoS 1 may be unacknowledged by a client. */
void broker_publish(struct broker_client *c, const char *topic, const char *payload, size_t len,
		    int qos);
/* How many of QoS 1 the clients have not acknowledged. */
size_t broker_unacked(const struct broker *p);

/* Write what is queued, sleep until a client says something or `timeout_us` has gone by, read what
 * there is.  A client that breaks the protocol is disconnected. */
void broker_turn(struct broker *const *ends, size_t n, int64_t timeout_us);

#endif
