/* link.h -- one link at work: what comes in on one side, what goes out on the other, and the bridge's
 * own logic in between (pairing, twins, presence, provisioning, echo).
 *
 * No socket, no clock, no store: messages and times are handed in; messages to send, verdicts and
 * changes of state are handed out.  A driver (the running bridge, or an offline verb) connects it.
 * Every message that comes in ends as exactly one verdict: delivered, filtered, or dead. */
#ifndef BRIDGE_LINK_H
#define BRIDGE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/jtext.h"
#include "delivery/delivery.h"
#include "message/kind.h"
#include "message/outcome.h"
#include "message/side.h"
#include "plan/plan.h"
#include "state/change.h"
#include "state/echo.h"

struct err;
struct intake; /* a message that came in and is not settled */
struct link;
struct map_pos;
struct message;
struct executor;
struct limits;
struct vars;

#define LINK_SLOW_MS 60000 /* struct link_ops: slowed */

/* A message that came in; all borrowed. */
struct arrival {
	enum side from;
	const char *device; /* whose session it came on, by its name here; NULL: one that may bring
			     * any device's, topic and payload say whose it is */
	const struct message *message;
	int64_t at_ms;
	/* Which login of this session it came over: another number than before means that what was not
	 * acknowledged came again.  0: there are no sessions. */
	uint64_t login;
	uint64_t session; /* what was asked over it last, struct output's; 0: nothing */
	/* From when on its time counts, if not from `at_ms`: it was a dead letter meanwhile; else 0. */
	int64_t since_ms;
	void *tag;		      /* of the driver, for verdicts and outputs; may be NULL */
	const struct link_away *away; /* it was, and is back; NULL: it was not */
};

/* A message that is pending, and that is not in memory. */
struct link_away {
	uint64_t id;	/* struct link_step */
	enum kind kind; /* struct verdict */
	uint64_t place; /* the driver's, not 0: its outputs have it when it is back */
};

/* A message to send. */
struct output {
	enum side to;
	/* KIND_NONE: an earlier run did not note it, and its topic does not tell ... */
	enum kind kind;
	char *device; /* ... nor whose it is, by its name here: NULL */
	enum lane lane;
	bool is_provisioning; /* over the short-lived session of a handshake */
	/* Of a question of a handshake: the number of that session (handshake/provision.h), which is in the answer's
	 * struct arrival; else 0. */
	uint64_t session;
	struct message message;
	struct intake *origin; /* give it back with link_done() */
	uint64_t id;	       /* its origin's: struct link_step */
	void *tag;	       /* of its origin, see struct arrival and link_set_tag() */
	bool is_own;	       /* nothing came in: the bridge says it by itself */
	bool is_kept;	       /* its message may come to be decided: it would be sent again */
	bool is_unique;	       /* nobody else would say just this (state/echo.h) */
	uint64_t echo;	       /* give it to link_acked() when the PUBACK is there; 0: none */
	uint64_t
		greets; /* of link_greet(): for this login only, and for no restart; 0: any message */
	/* Of a command: not to be handed to a session from this time on, but to link_expire() with
	 * `order`, and its end to be told to link_ended().  INT64_MAX: never. */
	int64_t expires_ms;
	unsigned order;
	struct stamp stamp; /* its reader, nth and at_ms */
	uint64_t place;	    /* struct link_away's, if its origin was away; else 0 */
	const char *
		far_id; /* by which, with its device, its sender is found again (link_resend()); NULL:
			     * nobody waits.  The origin's */
};

struct verdict {
	uint64_t id; /* struct link_step */
	enum flow flow;
	enum outcome reason; /* CARRIED: delivered */
	const char *text;    /* of a dead letter, for people; may be NULL */
	void *tag;	     /* of its arrival, or what link_set_tag() was given */
	bool is_own;	     /* nothing came in: the bridge said it by itself */
	bool is_greeting;    /* after a login, link_greet() */
	/* What came in, less the properties that were credentials; NULL: nothing, or an earlier run
	 * decided it.  Borrowed. */
	const struct message *message;
	const char *session; /* of which device it came on; NULL: of any, or nothing came in */
	enum kind kind;	     /* of the first row that reads it; KIND_NONE: none does */
	int64_t received_ms;
	const char *
		far_id; /* by which the other side was to answer it; NULL: it was not, or had not got there */
};

/* What happens within the link to a message, for who follows it.  All borrowed. */
enum link_step_what {
	LINK_ARRIVED, /* nothing was looked at yet */
	LINK_READ,    /* it has said something of this kind, of this device (NULL: of none) */
	LINK_PAIRED   /* this request of the device goes on under far_id */
};
struct link_step {
	enum link_step_what what;
	/* The message that came in, or what the bridge says by itself, from its arrival to its verdict: numbers grow,
	 * from 1 on, and begin again with each struct link. */
	uint64_t id;
	const struct arrival *arrival; /* LINK_ARRIVED; else NULL */
	bool is_again;		       /* LINK_ARRIVED: an earlier run had received it */
	enum kind kind;
	const char *device;
	const char *far_id; /* LINK_PAIRED: JSON text */
};

struct link_ops {
	/* Send it, and say what became of it with link_done().  Its message and device are taken. */
	void (*send)(void *ctx, struct output *o);
	/* A message that came in is settled. */
	void (*settled)(void *ctx, const struct verdict *v);
	/* The north issued credentials for a device (the body of a provision_reply): log in with them. */
	void (*login)(void *ctx, const char *device, struct jslice credentials);
	/* Would the north let in this device with these (the body of a provision_reply)?  Say so with
	 * link_login_tried(); the session of handshakes in that place is not needed meanwhile. */
	void (*try_login)(void *ctx, uint64_t session, const char *device,
			  struct jslice credentials);
	/* This session of handshakes is not needed any more. */
	void (*end_provisioning)(void *ctx, uint64_t session);
	/* May be NULL.  The message with this tag has changed the state in this step: after a restart it
	 * must not be received again, its outputs are to be sent again with link_resend().  To be
	 * written together with link_take_changes().  Called once per message, after its outputs were handed
	 * out (those with is_kept), also for what the bridge says by itself, if that has a tag. */
	void (*decided)(void *ctx, void *tag);
	/* May be NULL.  A handshake under this name (NULL: it had none) was refused, and the north not asked; why. */
	void (*handshake_refused)(void *ctx, const char *name, const char *why);
	/* May be NULL.  This side gives our messages back, though its platform says that it does not. */
	void (*echoes)(void *ctx, enum side side);
	/* May be NULL.  What is done with messages of this kind for this device ("": before it is known whose they
	 * are) has taken too long, again and again: for a while it is done beside all else, in less time. */
	void (*slowed)(void *ctx, const char *device, enum kind kind);
	/* May be NULL.  As many devices are remembered as may be (plan->max_devices), and this one is new: another was
	 * forgotten for it, or else it is not remembered.  "": some were at the start. */
	void (*crowded)(void *ctx, const char *device, bool is_for_another);
	/* May be NULL, if link_stamp() is never called.  The payload with the time (borrowed); NULL: it says none. */
	void (*stamped)(void *ctx, void *asked, uint64_t number, const struct message *m);
	/* May be NULL.  Something of this link was done that the executor had: its next turn is due. */
	void (*worked)(void *ctx);
	/* May be NULL.  The north has answered what its limits for this device's session are. */
	void (*limits)(void *ctx, const char *device, const struct limits *limits);
	/* May be NULL, if the plan has no program that registers devices.  It is to run for this device with this
	 * question, once the changes of this step are durable; its end is told to link_command_ended(). */
	void (*run_command)(void *ctx, const char *device, struct jslice question);
	/* May be NULL.  link_is_away() of this device has changed. */
	void (*came)(void *ctx, const char *device);
	/* May be NULL, if link_mark() is never called: all that came back before it has been sent, or settled. */
	void (*came_back)(void *ctx, const char *device, uint64_t mark);
	/* May be NULL.  See link_follow(). */
	void (*followed)(void *ctx, const struct link_step *step);
	/* May be NULL.  What waits of this device in this direction waits no longer (DEAD_CUT_BACK):
	 * link_cut_over(). */
	void (*cut_back)(void *ctx, const char *device, enum flow flow);
};

struct buf;
struct compares;
struct devices;
struct fleet;
struct waves;

/* Of which devices the state holds something. */
struct link_devices {
	size_t n, most;
	uint64_t forgotten, unremembered; /* as new ones came, since the start */
};

/* received + resumed = delivered + filtered + dead + pending */
struct link_counters {
	uint64_t received, resumed, delivered, filtered, dead, pending;
	uint64_t by[OUTCOMES];
	/* The same by kind (the last: no row reads it); NULL: none of that kind was settled. */
	uint64_t *of[KINDS + 1];
	int64_t last_ms; /* when one was received last, 0: not yet */
	uint64_t
		unanswered; /* questions that the other side left open and whose askers heard nothing */
	uint64_t
		own; /* messages that the bridge sent by itself: after time-outs, resumed handshakes */
};

/* `plan` and `executor` are borrowed.  `echoes[side]`: does that side give our own messages back,
 * so that they have to be remembered? */
struct link *link_new(const struct plan *plan, struct executor *executor,
		      const struct link_ops *ops, void *ctx, const enum echo_mode echoes[SIDES]);
/* That has changed, with the version of a login. */
void link_set_echoes(struct link *l, enum side side, enum echo_mode mode);
/* Leave this mark (a word, copied) on the trail of what is sent by MQTT 5, and take in nothing that bears
 * it; without it there is no trail. */
void link_set_mark(struct link *l, const char *mark);
/* Times that are handed in are for ages.  The time of day, which messages say, is so much more; 0 until this is
 * called. */
void link_set_ahead(struct link *l, int64_t ahead_ms);
/* Nobody knows how long ago an earlier run received its commands: they are too old.  To be called before they are
 * received again. */
void link_void_commands(struct link *l);
/* From now on (or no more) tell what happens to messages.  It is also told while the log wants LOG_DEBUG. */
void link_follow(struct link *l, bool is_followed);
void link_free(struct link *l); /* after the executor's hand has ended; drops jobs */

/* Take back a row that an earlier run put out with its changes.  ERR_CORRUPT. */
bool link_restore(struct link *l, const char *machine, const char *key, const char *value,
		  struct err *e);
/* After the last link_restore(): go on with what was in hand. */
void link_resume(struct link *l, int64_t now_ms);

void link_devices(const struct link *l, struct link_devices *out);
/* The next of them (the first: *pos all 0), in no order that matters; NULL: no more.  Borrowed until the next event. */
const char *link_next_device(const struct link *l, struct map_pos *pos);
/* Its devices, borrowed.  What is changed there is put out with link_fleet_changed(). */
struct fleet *link_fleet(struct link *l);
struct waves *link_waves(struct link *l);   /* the run of waves that sets their modes; likewise */
struct devices *link_names(struct link *l); /* what sides call them; likewise */
/* Somebody set something of devices, outside of any message; the changes are taken.  What workers know of names
 * follows. */
void link_fleet_changed(struct link *l, struct changes *c);
/* The mode of this device was changed.  Where something passes no more, what waits is sent for so long yet, and then
 * cut back; what the north has asked of it and waits for is answered with "cut back" (with the next link_tick()), and
 * what the platform said of its configuration is held.  Returns the directions, FLEET_PASSES(). */
unsigned link_cut_over(struct link *l, const char *device, int64_t now_ms, int64_t drain_ms);
/* What devices said and the north has acknowledged, borrowed until the next event. */
const struct compares *link_compares(const struct link *l);
/* Can the north be asked what attributes it has of a device? */
bool link_can_read_back(const struct link *l);
/* Then: ask it for those that it has acknowledged of this one, over this login of its session; the answer goes into the
 * comparison.  False: there are none. */
bool link_read_back(struct link *l, const char *device, uint64_t login, int64_t now_ms);
/* Is nothing in hand of what this device said, or is told? */
bool link_is_idle(const struct link *l, const char *device);
/* Of this command, which waits: does somebody wait for its reply? */
bool link_is_awaited(const struct intake *origin, unsigned order);
/* Send a device (that is live) what the platform said and it does not have: twins_put_differing(). */
void link_push_differing(struct link *l, const char *device, int64_t now_ms);
/* twins_put_differing() */
bool link_put_differing(const struct link *l, const char *device, struct buf *names);
/* Nothing comes any more: what would be written of devices later is due now. */
void link_fleet_rest(struct link *l);

/* Drop all that is known of this device (by its name here), but for what is in hand: a handshake that the
 * north was asked, messages on their way.  Who waits for a reply to it gets none. */
void link_forget(struct link *l, const char *device);

/* A session of the north has logged in: say and ask what its dialect has for that (`on_connect`), which goes
 * before all that waits.  `device`: whose session it is, NULL: one that carries any device's.  `login` is not
 * 0 and another one at each login; outputs have it. */
void link_greet(struct link *l, const char *device, uint64_t login, int64_t now_ms);

/* Are the south's devices heard from now on?  (Until it is told otherwise they are.)  That the bridge has lost them is
 * no silence of theirs, and nobody goes meanwhile. */
void link_listen(struct link *l, bool is_heard, int64_t now_ms);
/* Is its session to be closed, as the device is offline?  (Only where its session is its presence.) */
bool link_is_away(const struct link *l, const char *device);
/* The front door says that a device is here, or that it has gone. */
void link_presence(struct link *l, const char *device, bool is_online, int64_t now_ms);

/* A message came in. */
void link_receive(struct link *l, const struct arrival *a);
/* One came in that is not taken: a dead letter, with its message (of which only the beginning may be there: is_cut),
 * or without one (NULL), if it could not be had. */
void link_turn_away(struct link *l, const struct arrival *a, enum outcome reason, const char *why);
/* An earlier run received it (then) and did not settle it: once more.  Counted as resumed. */
void link_receive_again(struct link *l, const struct arrival *a);
/* An earlier run decided what became of an arrival (`is_own`: of none, and it has no message), and did not settle
 * it: send these.  Of an output, `to`, `device`, `lane`, `message`,
 * `expires_ms` (0: not known) and `far_id` (borrowed) are used; messages and devices are taken.  They are sent
 * when what was handed in before is done, as they were then.  With none it is settled at that time. */
void link_resend(struct link *l, const struct arrival *a, bool is_own, struct output *outputs,
		 size_t n);
/* In place of link_receive_again() and link_resend(): it is a dead letter, and nothing is looked at.  `is_own`: it is
 * what the bridge said by itself, and there is no message. */
void link_bury(struct link *l, const struct arrival *a, bool is_own, enum outcome reason,
	       const char *text);
/* All that is on the way of it are these `n` outputs to the session of this device: may the link let go of it? */
bool link_may_let_go(const struct link *l, const struct intake *origin, const char *device,
		     unsigned n);
/* Then: it is pending, and not in memory.  The outputs and the tag are dropped by the driver, which brings it back by
 * link_receive_again() or link_resend(), with arrival.away, or has it end. */
struct link_away link_let_go(struct link *l, struct intake *origin);
/* The same of what an earlier run left, which counts as resumed.  Of the arrival `from` and `at_ms` are used.
 * `device`: it may never have been read, so this one has to be noted; NULL: it was. */
struct link_away link_keep_away(struct link *l, const struct arrival *a, const char *device,
				enum kind kind, bool is_own);
/* It ends where it is.  Of the arrival `from`, `since_ms`, `tag` and `away` are used. */
void link_end_away(struct link *l, const struct arrival *a, const char *device, bool is_own,
		   enum outcome reason);
/* What came, for a journal, if it had no tag; its texts are the intake's, and *out is the caller's to end.  False: it
 * is not known any more, or something was decided of it. */
bool link_copy_raw(const struct intake *origin, struct message *out, struct arrival *a);
/* Whose reports it has, if its topic or session says so and they need no memory (else NULL; caller frees); and of which
 * kind they are. */
char *link_reports_of(const struct link *l, const struct arrival *a, enum kind *kind);
/* In whose turn it is read; NULL: no device's.  Borrowed until the next event. */
const char *link_entry_device(struct link *l, const struct arrival *a);
/* Tell ops.came_back() when what was handed in before of this device is done. */
void link_mark(struct link *l, enum side from, const char *device, uint64_t number);
void *link_tag(const struct intake *origin); /* struct arrival's, or what it was given */
/* Give a tag to what the bridge says by itself: for its verdict and its further outputs. */
void link_set_tag(struct intake *origin, void *tag);
/* What became of an output: CARRIED, the far side has it; else why not. */
void link_done(struct link *l, struct intake *origin, enum outcome reason, const char *text);
/* In place of link_done(): a command has waited until it was too old (`command_max_age`), and will not
 * be sent.  Who asked and waits for a reply is told "expired", which counts as delivered, as every
 * answer does; one that nobody waits for is a dead letter.  So is one that an earlier run decided: who
 * asked is told of a time-out then, by the pairing. */
void link_expire(struct link *l, struct intake *origin, unsigned order, int64_t now_ms);
/* Before link_done() of an output, which is to get the result: so its way ended.  DEAD_NO_LISTENER: its broker has
 * it, and had nobody to give it to.  Of a command the sender is told with the next link_tick(), which is due
 * then, if it was delivered and nothing will come back, or was not and there is no other on its way.  What becomes
 * of a configuration is noted then, too.  `order` 0: nothing waits for it. */
enum outcome link_ended(struct link *l, const struct intake *origin, unsigned order,
			enum outcome reason);
/* It was not published yet (`echo` is 0), or may have been, and will be (again), over the session of this device (NULL:
 * one that carries any device's).  Returns its number for
 * link_acked().  To be told before the commit that lets it out is written (link_take_changes()). */
uint64_t link_sent_again(struct link *l, enum side to, const char *session, const struct message *m,
			 uint64_t echo);
/* Translate what led to this output of `origin` once more, with the time at_ms where it says none itself, and tell the
 * result by link_ops.stamped() with `asked` and `number`. */
void link_stamp(struct link *l, struct intake *origin, const struct stamp *stamp, void *asked,
		uint64_t number);
/* Its PUBACK came: the memory of it ends soon. */
void link_acked(struct link *l, enum side to, uint64_t echo, int64_t now_ms);

/* Deadlines. */
void link_tick(struct link *l, int64_t now_ms);
int64_t link_next_deadline(const struct link *l); /* INT64_MAX: none */
/* Move the changes of state to the end of `out`, to be written in one transaction with what was decided
 * (link_ops), as part of `commit` (numbers grow), which must be durable before what was sent leaves.  Those
 * of a message that has jobs on their way are held back, as are its outputs: a crash must not come between
 * them.  Among them is the memory of what was sent to a side (state/echo.h). */
void link_take_changes(struct link *l, uint64_t commit, struct changes *out);
bool link_has_changes(const struct link *l); /* it would move some */
/* That commit is durable, and what it lets out has left.  Are there changes now that waited for that? */
bool link_durable(struct link *l, uint64_t commit);
/* Bytes of the messages of this direction that came in and are not settled. */
size_t link_pending_bytes(const struct link *l, enum flow flow);
const struct link_counters *link_counters(const struct link *l, enum flow flow);

/* What a device has of its own of the variables of a side, which count before the side's; NULL: nothing.  Borrowed
 * until the next event. */
const struct vars *link_own_vars(const struct link *l, enum side side, const char *device);
/* Does anything pass for it (its mode), so that it is to have its session? */
bool link_wants_session(const struct link *l, const char *device);
/* Is its session, where it has one of its own, open only while it is needed: as its row says, else `link_says`? */
bool link_is_on_demand(const struct link *l, const char *device, bool link_says);
/* Is something of it in hand, or a request open that it has asked or was asked? */
bool link_is_busy_with(const struct link *l, const char *device);
/* Something of its own is not known without which none of its messages can be made, as this says: it is not ready. */
void link_device_lacks(struct link *l, const char *device, const char *why);
/* The north let it in on a session of its own, or refused it, with these words (without a secret in them). */
void link_device_let_in(struct link *l, const char *device);
void link_device_refused(struct link *l, const char *device, const char *why);

/* What follows is of the session of `device`, or (NULL) of the one that carries any device's. */

/* The credentials that the north issued in an earlier handshake: the body of a provision_reply; its
 * len is 0 if there are none. */
struct jslice link_credentials(const struct link *l, const char *device);
/* The north refused these credentials. */
void link_login_refused(struct link *l, const char *device);
/* The north let us in with them: the name whose the link is from now on, borrowed; NULL: no news. */
const char *link_login_accepted(struct link *l, const char *device);

/* The session of a side is about to subscribe to these: remember it.  Returns those that it had before and that
 * are not among them: to be unsubscribed; caller frees the array and its texts.  (Of a state from before that was
 * remembered: those of the plan that nobody wants.) */
char **link_subscribe(struct link *l, enum side side, char *const *filters, size_t n,
		      size_t *n_old);
/* That was done. */
void link_unsubscribed(struct link *l, enum side side, const char *filter);

/* A session of handshakes has sent its question. */
void link_question_sent(struct link *l, uint64_t session);
/* One was lost.  was_asked: with a question that had left, and may have arrived.  True: the last one that it was given
 * has no answer, and is to go again, it alone. */
bool link_handshakes_down(struct link *l, uint64_t session, bool was_asked);
/* What came of ops.try_login(); may be told from anywhere, the rest is due with link_tick(). */
void link_login_tried(struct link *l, uint64_t session, bool is_let_in);
/* Whose a link of one device is, as handshakes have it (handshake/provision.h). */
const char *link_owner(const struct link *l, bool *is_proved);
/* Can the bridge have devices registered by the north, each under credentials of its own?  NULL: yes; else why not. */
const char *link_may_provision(const struct link *l);
/* A device that has a row is to get credentials of the north, if it has none: what changes of its row is put out.
 * NULL: well; else why not. */
const char *link_provision(struct link *l, const char *device, bool retries_lost,
			   struct changes *out);
/* The end of ops.run_command(). */
enum link_command_how {
	LINK_COMMAND_DONE, /* .out is its answer */
	LINK_COMMAND_REFUSED,
	LINK_COMMAND_AGAIN,
	LINK_COMMAND_UNKNOWN, /* nobody knows what it has done */
	LINK_COMMAND_NOT_STARTED
};
struct link_command_end {
	enum link_command_how how;
	struct jslice out;
	const char *why;  /* for people, without a secret; "": nothing is known.  Borrowed */
	bool is_stopping; /* of NOT_STARTED: that is no fault */
};
/* What changes of the device is put out, for link_fleet_changed(). */
void link_command_ended(struct link *l, const char *device, const struct link_command_end *end,
			int64_t now_ms, struct changes *out);
/* The bridge is stopping: nothing more is begun. */
void link_provision_halt(struct link *l);
/* From now on so many in a second (0: as configured), until so many (0: any) were refused. */
void link_provision_run(struct link *l, int64_t per_second, int64_t max_failures);
/* Why it goes on no more, although devices wait; NULL: it does. */
const char *link_provision_stopped(const struct link *l);

/* Drop what a handshake brought for this name.  False: nothing is known of it. */
bool link_forget_name(struct link *l, const char *name);

#endif
