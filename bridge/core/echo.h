/* echo.h -- a session's memory of what it sent, so that it is not taken for news when the broker
 * gives it back (MQTT 3.1.1 has no No Local).
 *
 * An entry serves once, and ends ECHO_AFTER_ACK_MS after its PUBACK.  Pure. */
#ifndef BRIDGE_ECHO_H
#define BRIDGE_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct echo;

#define ECHO_AFTER_ACK_MS 10000
#define ECHO_MAX	  100000 /* entries; beyond that the oldest is forgotten */

struct echo *echo_new(void);
void echo_free(struct echo *e);
/* Remember a message that was handed to the session.  Returns its number for echo_acked(). */
uint64_t echo_sent(struct echo *e, const char *topic, const void *payload, size_t len);
void echo_acked(struct echo *e, uint64_t number, int64_t now_ms);
/* Is this incoming message one of ours?  Uses the entry up. */
bool echo_take(struct echo *e, const char *topic, const void *payload, size_t len, int64_t now_ms);
size_t echo_size(const struct echo *e);

#endif
