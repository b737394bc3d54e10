#include "message/limits.h"

static int64_t narrower(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

struct limits limits_narrow(const struct limits *a, const struct limits *b)
{
	return (struct limits){
		.payload_bytes = narrower(a->payload_bytes, b->payload_bytes),
		.packet_bytes = narrower(a->packet_bytes, b->packet_bytes),
		.in_flight = narrower(a->in_flight, b->in_flight),
		.messages_per_second = narrower(a->messages_per_second, b->messages_per_second),
	};
}
