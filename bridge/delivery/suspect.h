/* suspect.h -- which message makes the far side end the connection: a verdict by control, not by count.
 *
 * That a connection ends again and again with the same message in flight says little: brokers die, lines
 * break, limits are full.  So a message is only *suspected* after a few short connections, and then tried
 * alone, over a connection that has shown that it holds: it lived a while and answered a ping.  If
 * that ends as well, twice, another message goes the same way, the *control*:
 *
 *	NONE    -- short ends with the same oldest message in flight ----> ALONE
 *	ALONE   -- the suspect was acknowledged -------------------------> NONE (acquitted)
 *		-- it ended the connection twice ------------------------> CONTROL
 *	CONTROL -- the control was acknowledged -------------------------> AGAIN, over the same connection
 *		-- it ended the connection, too: a pause ----------------> ALONE, later with the next control
 *		-- so many different ones did, or there is none ---------> LAST
 *	AGAIN	-- acknowledged, as what ended all the others is over ---> NONE
 *		-- it ended the connection, which was fine --------------> NONE, and the suspect is guilty
 *	LAST	-- one try a minute; a control turned up ----------------> CONTROL
 *		-- acknowledged -----------------------------------------> NONE
 *		-- so many tries ended the connection -------------------> NONE, and the suspect is guilty
 *
 * Only ends by the far side count that follow what was sent.  A connection that ends while nothing is
 * tried says that it was not the message: what was counted is forgotten, and after a few the suspicion, too.
 *
 * A plain value and a pure one: times are handed in; messages are numbers that never come again, 0 is
 * none.  Who drives it sends what suspect_turn() says and tells what happens. */
#ifndef BRIDGE_SUSPECT_H
#define BRIDGE_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>

#define SUSPECT_AFTER	  3	/* short ends in a row with the same oldest message */
#define SUSPECT_SHORT_MS  60000 /* what a short connection is */
#define SUSPECT_LIVED_MS  5000	/* how long one has to live before something is tried */
#define SUSPECT_ENDS	  2	/* of the suspect alone, before the control */
#define SUSPECT_DIFFERENT 5	/* messages that all end it: then no more controls */
#define SUSPECT_TRIES	  10	/* ... but these, one a minute */
#define SUSPECT_TRY_MS	  60000
#define SUSPECT_QUIET	  3	/* ends in a row while nothing was tried: the suspicion is lifted */
#define SUSPECT_PAUSE_MS  1000	/* after a control that ended it, doubling ... */
#define SUSPECT_PAUSES_MS 60000 /* ... up to this */
#define SUSPECT_IDLE_MS	  30000 /* an end so long after the last message was sent is not its doing */

struct suspect {
	enum suspect_stage {
		SUSPECT_NONE,
		SUSPECT_ALONE,
		SUSPECT_CONTROL,
		SUSPECT_AGAIN,
		SUSPECT_LAST
	} stage;
	uint64_t number; /* the suspect's; in NONE: what was the oldest at the last short end */
	unsigned n_short;
	unsigned n_ends;   /* of the suspect, since the last pause */
	unsigned n_others; /* controls that ended it as well */
	unsigned n_tries;  /* in LAST */
	unsigned n_quiet;
	int64_t pause_ms, not_before_ms;

	/* The connection. */
	bool is_up, is_answered, is_visit;
	uint64_t tried; /* what was sent for the trial; 0: nothing yet */
	int64_t up_ms, sent_ms;
};

/* What to send. */
enum suspect_turn {
	SUSPECT_TURN_ALL,   /* everything, as ever */
	SUSPECT_TURN_WAIT,  /* nothing now */
	SUSPECT_TURN_ONE,   /* the suspect, and nothing else */
	SUSPECT_TURN_OTHER, /* another one, and nothing else; suspect_no_other() if there is none */
};

/* What an event leads to. */
enum suspect_verdict {
	SUSPECT_OPEN,	/* nothing */
	SUSPECT_BEGINS, /* .number is suspected from now on: connect anew with suspect_wants_ping() */
	SUSPECT_ACQUITTED, /* all goes on; open the window slowly */
	SUSPECT_BOTH,	   /* the control ended it, too */
	SUSPECT_GUILTY	   /* .number is; it is forgotten here.  Open the window slowly */
};

/* A connection is there.  `is_visit`: one that is made for what waits and left again, and so cannot wait. */
void suspect_up(struct suspect *s, bool is_visit, int64_t now_ms);
/* Is a ping to be sent early on the next connection, to be told with suspect_answered()? */
bool suspect_wants_ping(const struct suspect *s);
void suspect_answered(struct suspect *s);
/* Not for QoS 0, of which nobody hears. */
void suspect_sent(struct suspect *s, uint64_t number, int64_t now_ms);
/* `number` was acknowledged, with whatever code. */
enum suspect_verdict suspect_acked(struct suspect *s, uint64_t number);
/* It waits no longer, for another reason. */
void suspect_gone(struct suspect *s, uint64_t number);
/* The connection ended.  `by_peer`: the far side closed it, and for no reason that it gave and that is known
 * to be another (a takeover, say).  `oldest`: what was in flight the longest. */
enum suspect_verdict suspect_ended(struct suspect *s, bool by_peer, uint64_t oldest,
				   int64_t now_ms);

enum suspect_turn suspect_turn(const struct suspect *s, int64_t now_ms);
/* How many others to skip for the control. */
unsigned suspect_n_skipped(const struct suspect *s);
/* There is nothing else to be sent. */
void suspect_no_other(struct suspect *s, int64_t now_ms);
/* In LAST: something else waits, which may serve as control.  False: it is not wanted. */
bool suspect_other(struct suspect *s);
/* When suspect_turn() says something else by itself; INT64_MAX: it does not. */
int64_t suspect_due_ms(const struct suspect *s, int64_t now_ms);

#endif
