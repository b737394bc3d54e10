/* outcome.h -- what became of a message: carried, or the reason why it is a dead letter or filtered.
 * They are counted and logged under these words. */
#ifndef BRIDGE_OUTCOME_H
#define BRIDGE_OUTCOME_H

enum outcome {
	CARRIED,
	/* dead letters */
	DEAD_UNKNOWN_TOPIC,
	DEAD_UNREADABLE,      /* no JSON, no UTF-8 */
	DEAD_MAPPING_ERROR,   /* a function failed, or put out what is no message */
	DEAD_MAPPING_OVERRUN, /* a function took too long or too much memory, or crashed jq */
	DEAD_WRONG_SHAPE,     /* the body is not of its kind's shape */
	DEAD_NO_COUNTERPART,  /* the far dialect has no message of that kind */
	DEAD_UNKNOWN_ID,      /* a reply that nobody asked for */
	DEAD_OTHER_DEVICE,    /* topic, payload and session do not name the same device */
	DEAD_CREDENTIAL,      /* a credential in the message is not the one we know */
	DEAD_BAD_TOPIC,	      /* no topic can be made of it */
	DEAD_TOO_LARGE,
	DEAD_WIDE_INTEGER, /* an integer beyond 2^53 that jq would change */
	DEAD_RETAINED,	   /* a command or handshake from the broker's memory */
	DEAD_QUEUE_FULL,
	DEAD_BROKER_REFUSED, /* the far broker acknowledged with a failure */
	DEAD_EXPIRED,	     /* too old when its turn came */
	/* filtered */
	FILTERED_BY_MAPPING,   /* the functions put out nothing */
	FILTERED_NOT_READ,     /* the topic belongs to the other direction */
	FILTERED_UNMATCHED,    /* unmatched = "drop" */
	FILTERED_ECHO,	       /* our own message, given back */
	FILTERED_LOOP,	       /* it has been through this link before */
	FILTERED_NO_CHANGE,    /* presence, alarm or configuration as it was */
	FILTERED_EMPTY_RETAIN, /* a retained message was deleted */
	FILTERED_MIRROR,       /* a request, in mirror mode */
	FILTERED_ONE_WAY,      /* the reply to a command that wants none */
	OUTCOMES
};

static inline int outcome_is_dead(enum outcome r)
{
	return r >= DEAD_UNKNOWN_TOPIC && r <= DEAD_EXPIRED;
}
const char *outcome_word(enum outcome r); /* "unknown-topic" */

#endif
