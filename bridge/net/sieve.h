/* sieve.h -- looks at what a broker sends, packet by packet, before libmosquitto sees it.
 *
 * The library takes in a packet of any size, ends the connection over a message that it does not like (the
 * broker sends that again after the next login, for ever), and fails an assertion over properties that it
 * does not know.  So:
 *
 *   a PUBLISH that is longer than `max_packet`, or whose topic or texts are none that MQTT allows
 *		is replaced, once all of it is here, by one with the same packet identifier and QoS and a payload
 *		that says what was wrong with it and how it began (struct sieve_note).  So it is acknowledged
 *		like any other, and nothing of its body was kept.  Nobody but the sieve can make such a payload:
 *		it begins with random bytes that never leave the process.
 *   a PUBACK with properties
 *		is replaced by one without, which the library would not give back.  sieve_puback_reason() has what
 *		the server said.
 *   what cannot be a packet, QoS 2 (never asked for), properties that are malformed
 *		is the end: sieve_look() refuses from then on.
 *   all else passes as it is: packets of a few bytes as a whole, the body of a PUBLISH as it comes.
 *
 * And the library does not tell whether a message came with DUP: sieve_was_dup() does.
 *
 * No socket, no clock.  For a connection; any thread, one at a time. */
#ifndef BRIDGE_SIEVE_H
#define BRIDGE_SIEVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SIEVE_MARK_BYTES 16
#define SIEVE_HEAD_BYTES 4096 /* of a payload that is replaced */

struct sieve {
	int mqtt;	     /* 4 or 5 */
	size_t max_packet;   /* the longest PUBLISH, by its remaining length */
	size_t pass_left;    /* bytes of the packet in hand that pass */
	size_t skip_left;    /* ... that are dropped */
	struct buf instead;  /* of what is being dropped, when that is done */
	char fault[120];     /* why it is the end; "": it is not */
	bool is_malformed_5; /* and that the reason is a property of MQTT 5 */
	char *reason_string,
		*server_reference; /* of a refusing CONNACK, or a DISCONNECT (the library drops
						 * these); NULL: none */
	char *puback_reason;	   /* see sieve_puback_reason() */
	int puback_mid;
	unsigned char mark[SIEVE_MARK_BYTES];
	/* A bit for each packet identifier: the last PUBLISH that passed with it had DUP.  NULL: none had. */
	unsigned char *dups;
};

void sieve_init(struct sieve *s, int mqtt, size_t max_packet);
void sieve_fini(struct sieve *s);

enum sieve_step {
	SIEVE_PASS,  /* the first *used bytes are for the library, as they are */
	SIEVE_DROP,  /* they are not; what was appended to `made`, if anything, is for it instead */
	SIEVE_SHORT, /* there must be more of them to tell (*used is 0) */
	SIEVE_END    /* s->fault says why; always the same from then on */
};
/* What is to be done with the beginning of these `n` (> 0) bytes, which stand where the last call's *used ended?
 * SHORT asks for no more than 1 MiB, or a packet that is within max_packet. */
enum sieve_step sieve_look(struct sieve *s, const char *p, size_t n, size_t *used,
			   struct buf *made);

/* Had the message with this packet identifier, which the library hands on now, DUP set?  (A broker does not use an
 * identifier again before it is acknowledged, so it is that message of which this is known.) */
bool sieve_was_dup(const struct sieve *s, int mid);

/* The server's own words of why, with the PUBACK of this packet identifier, which the library tells of now; borrowed;
 * NULL: none. */
const char *sieve_puback_reason(const struct sieve *s, int mid);

enum sieve_cause { SIEVE_TOO_LARGE, SIEVE_BAD_TOPIC, SIEVE_BAD_TEXT };
/* Of a message that was replaced; borrowed from the payload in its stead. */
struct sieve_note {
	enum sieve_cause cause;
	size_t packet_len; /* its remaining length */
	const char *topic; /* as it came */
	size_t topic_len;
	const char *head; /* how its payload began, SIEVE_HEAD_BYTES at most */
	size_t head_len;
};
/* Is this payload one that the sieve made? */
bool sieve_read_note(const struct sieve *s, const void *payload, size_t n, struct sieve_note *out);

#endif
