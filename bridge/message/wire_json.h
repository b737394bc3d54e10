/* wire_json.h -- an MQTT message as a JSON object, as `translate` prints it and as `translate
 * --lines` and case files give it: topic, payload | payload_text | payload_base64, properties,
 * response_topic, correlation (correlation_base64 where it is no UTF-8), qos, retain.  Always one line. */
#ifndef BRIDGE_WIRE_JSON_H
#define BRIDGE_WIRE_JSON_H

#include <stdbool.h>

#include "base/jtext.h"
#include "message/message.h"
#include "message/side.h"

struct buf;
struct err;

/* Append {"side","topic","qos","retain","payload"...}; the payload is `payload` if it is JSON. */
void wire_json_put(struct buf *out, enum side side, const struct message *m);

/* Read a message from an object's keys (strict JSON text); others are ignored, and the payload stays
 * spelled as it is.  *m is overwritten, caller ends it with
 * message_fini().  ERR_INVALID: no topic, or a wrong type; *m is then empty. */
bool wire_json_take(struct jslice object, struct message *m, struct err *e);

/* The object's `flow`, or ERR_INVALID. */
bool wire_json_flow(struct jslice object, enum flow *flow, struct err *e);

#endif
