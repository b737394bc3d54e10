/* limits.h -- what a platform bears from one session; 0: not said, or no limit. */
#ifndef BRIDGE_LIMITS_H
#define BRIDGE_LIMITS_H

#include <stdint.h>

struct limits {
	int64_t payload_bytes;
	int64_t packet_bytes; /* MQTT's remaining length: message_packet_bytes() */
	int64_t in_flight;    /* messages that may wait for their acknowledgement */
	int64_t messages_per_second;
};

/* What both of them allow. */
struct limits limits_narrow(const struct limits *a, const struct limits *b);

#endif
