/* mqtt_version.h -- which version of MQTT a session speaks, if its configuration does not say: 5 first, for what it
 * knows of echoes, refusals and deadlines; 3.1.1 where that gets no login.
 *
 * An attempt with 3.1.1 is made after the server refused the version, answered in the form of 3.1.1, or did not
 * answer twice in a row: it closed the connection, or let the time for a login pass.  (Some servers that do not know 5
 * do the one, some the other.)  So does one that is about to start, or gone behind a proxy: that may go on for long,
 * with longer and longer pauses, and says little; 3.1.1 has its turn now and then.  Once that has logged in, it holds
 * for all sessions with that endpoint: until the process ends, or for 24 hours, then 5 is tried again.  A login that
 * is refused for other reasons changes nothing.  Versions are 4 (3.1.1) and 5.  Loop thread only; no clock. */
#ifndef BRIDGE_MQTT_VERSION_H
#define BRIDGE_MQTT_VERSION_H

#include <stdbool.h>
#include <stdint.h>

struct mqtt_version;

#define MQTT_VERSION_AGAIN_MS (24 * INT64_C(3600) * 1000) /* then 5 is tried again */
#define MQTT_VERSION_CLOSES_MS                                                                     \
	10000 /* two ends without an answer, the next attempt begun within this: enough */
#define MQTT_VERSION_SILENT    4 /* or so many, whatever passed between them */
#define MQTT_VERSION_MALFORMED 5 /* so many malformed packets, and the session speaks 3.1.1 */

/* `fixed` is 4 or 5; 0: it is found out. */
struct mqtt_version *mqtt_version_new(const char *host, int port, int fixed);
void mqtt_version_free(struct mqtt_version *v); /* NULL is allowed */

/* For the attempt that begins now. */
int mqtt_version_next(struct mqtt_version *v, int64_t now_ms);
/* What came of it: the server does not speak it; */
void mqtt_version_refused(struct mqtt_version *v);
/* it answered the CONNECT with another refusal; */
void mqtt_version_answered(struct mqtt_version *v);
/* it had the CONNECT, and the connection ended without an answer; */
void mqtt_version_silent(struct mqtt_version *v, int64_t now_ms);
/* it let us in; */
void mqtt_version_logged_in(struct mqtt_version *v, int64_t now_ms);
/* it sent a packet that MQTT 5 does not know.  True: that was one too many. */
bool mqtt_version_malformed(struct mqtt_version *v);

#endif
