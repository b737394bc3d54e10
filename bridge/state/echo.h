/* echo.h -- a session's memory of what it sent, so that it is not taken for news when the broker
 * gives it back (MQTT 3.1.1 has no No Local).
 *
 * An entry serves once for each time that it was published, and ends ECHO_AFTER_ACK_MS after its PUBACK.
 *
 * A platform that says of itself that it gives nothing back is believed (ECHO_WATCH): what equals something that
 * was sent is news.  Unless something stands in for it that does give back, as a plain broker in a test: that
 * is so when one comes that cannot be somebody else's (is_unique), or the ECHO_PROOF-th within ECHO_PROOF_MS.
 * From then on it is as any other (echo_was_found()).  A broker keeps what it has to
 * give back while we are away, so the memory outlives a restart: machine name "echo".  Pure. */
#ifndef BRIDGE_ECHO_H
#define BRIDGE_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/side.h"

struct changes;
struct echo;
struct err;
struct machine;

#define ECHO_AFTER_ACK_MS 10000
#define ECHO_PROOF	  3
#define ECHO_PROOF_MS	  10000
#define ECHO_MAX	  100000 /* entries; beyond that the oldest is forgotten */

enum echo_mode {
	ECHO_OFF, /* the session has No Local: nothing is remembered; what was, before, ends in its time */
	ECHO_ON,
	ECHO_WATCH /* the platform says that it gives nothing back; no rows are kept */
};

/* What was, or is, on its way over a session; all borrowed. */
struct echo_message {
	const char *
		session; /* whose, by the device's name here; NULL: one that carries any device's */
	const char *topic;
	const void *payload;
	size_t len;
};

/* Its mode is ECHO_ON.  `name` (a string constant) stands in the keys of its rows; NULL: it keeps none. */
struct echo *echo_new(const char *name);
void echo_free(struct echo *e);
/* ECHO_WATCH is ECHO_ON once it was found that it does give back.  ECHO_OFF after ECHO_WATCH forgets what was sent. */
void echo_set_mode(struct echo *e, enum echo_mode mode);
enum echo_mode echo_mode(const struct echo *e);
/* Since the last time: it was ECHO_WATCH, and what was sent came back. */
bool echo_was_found(struct echo *e);
/* Remember a message that is to be published.  `is_unique`: nobody else would say just this.  Returns its
 * number for echo_acked(); 0: it is ECHO_OFF. */
uint64_t echo_sent(struct echo *e, const struct echo_message *m, bool is_unique);
/* It may have been published (`number`, or 0), and will be again: it may come back both times.  Returns the number
 * that it has now. */
uint64_t echo_sent_again(struct echo *e, uint64_t number, const struct echo_message *m);
void echo_acked(struct echo *e, uint64_t number, int64_t now_ms);
/* Is this incoming message one of ours?  Uses the entry up, once.  What one device's session says is no echo of what
 * another's said. */
bool echo_take(struct echo *e, const struct echo_message *m, int64_t now_ms);
size_t echo_size(const struct echo *e);

bool echo_has_changes(const struct echo *e);
/* Move the rows that have changed to the end of `out`: to be written as part of `commit` (numbers grow),
 * which must be durable before what was sent leaves. */
void echo_take_changes(struct echo *e, uint64_t commit, struct changes *out);
/* That commit is durable, and what it lets out has left.  The row of an entry that served goes with a commit
 * after that: until the acknowledgement of what came back has left, it may come again.  Are there such changes now? */
bool echo_durable(struct echo *e, uint64_t commit);
/* Take back a row, if it is this memory's.  It ends as if its PUBACK came with the first message.
 * False sets *err: ERR_CORRUPT. */
bool echo_restore(struct echo *e, const char *key, const char *value, struct err *err);

/* The memories of the sides of a link. */
struct echoes {
	struct echo *side[SIDES];
};
struct echoes *echoes_new(const enum echo_mode modes[SIDES]);
void echoes_free(struct echoes *all);
/* Take a row back.  That of a side that keeps none now is deleted. */
bool echoes_restore(struct echoes *all, const char *key, const char *value, struct changes *out,
		    struct err *err);

extern const struct machine
	echo_machine; /* state/machine.h; of a struct echoes, whose `new` is apart */

#endif
