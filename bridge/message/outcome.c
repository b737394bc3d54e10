#include "message/outcome.h"

static const char *const words[OUTCOMES] = {
	[CARRIED] = "carried",
	[DEAD_UNKNOWN_TOPIC] = "unknown-topic",
	[DEAD_UNREADABLE] = "unreadable-payload",
	[DEAD_MAPPING_ERROR] = "mapping-error",
	[DEAD_MAPPING_OVERRUN] = "mapping-overrun",
	[DEAD_WRONG_SHAPE] = "wrong-shape",
	[DEAD_NO_COUNTERPART] = "no-counterpart",
	[DEAD_UNKNOWN_ID] = "unknown-id",
	[DEAD_OTHER_DEVICE] = "other-device",
	[DEAD_CREDENTIAL] = "wrong-credential",
	[DEAD_BAD_TOPIC] = "bad-topic",
	[DEAD_TOO_LARGE] = "too-large",
	[DEAD_WIDE_INTEGER] = "wide-integer",
	[DEAD_RETAINED] = "retained",
	[DEAD_QUEUE_FULL] = "queue-full",
	[DEAD_BROKER_REFUSED] = "broker-refused",
	[DEAD_EXPIRED] = "expired",
	[FILTERED_BY_MAPPING] = "mapping",
	[FILTERED_NOT_READ] = "not-read",
	[FILTERED_UNMATCHED] = "unmatched",
	[FILTERED_ECHO] = "echo",
	[FILTERED_LOOP] = "loop",
	[FILTERED_NO_CHANGE] = "no-change",
	[FILTERED_EMPTY_RETAIN] = "empty-retained",
	[FILTERED_MIRROR] = "mirror",
	[FILTERED_ONE_WAY] = "one-way",
};

const char *outcome_word(enum outcome r)
{
	return words[r];
}
