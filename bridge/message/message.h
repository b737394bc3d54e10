/* message.h -- an MQTT application message, as it came or as it goes: what both sessions speak. */
#ifndef BRIDGE_MESSAGE_H
#define BRIDGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/vars.h"

struct message {
	char *topic;
	char *payload; /* payload_len bytes, a NUL behind; NULL when empty */
	size_t payload_len;
	int qos;
	bool retain;
	struct vars properties; /* MQTT 5 user properties, in order, names may repeat */
	char *response_topic;	/* MQTT 5; NULL: none */
	char *correlation;	/* MQTT 5 correlation data, correlation_len bytes; NULL: none */
	size_t correlation_len;
	/* MQTT 5: so many seconds after it was handed to a broker it is not to be handed on; 0: no such
	 * time.  Of what goes, for the moment in which it does: neither copied to a worker nor kept. */
	uint32_t expiry_s;
	/* The payload is only the beginning of what came, the rest was not kept: to be shown, and no more. */
	bool is_cut;
	/* A broker handed it on once more (DUP): it may have been here before.  Of what came in. */
	bool is_dup;
};

void message_set_payload(struct message *m, const void *p, size_t n); /* copied */
void message_copy(struct message *to, const struct message *from);    /* `to` is overwritten */
void message_fini(struct message *m);				      /* ready for use again */
/* Bytes that the message (with a topic) holds, for limits on queues. */
size_t message_size(const struct message *m);
/* The remaining length of its PUBLISH, in this version of MQTT (4: 3.1.1, 5): all but the first two to five
 * bytes. */
size_t message_packet_bytes(const struct message *m, int mqtt);

#endif
