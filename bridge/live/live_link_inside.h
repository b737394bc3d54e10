/* live_link_inside.h -- what the files of a live link share: live_link.c (starting, ending, looking),
 * live_link_port.c (its ports), live_link_gate.c (its front door), live_link_pace.c (what leaves when),
 * live_link_link.c (what its link hands out) and live_link_turn.c (the turn of the loop).  Nobody else includes it. */
#ifndef BRIDGE_LIVE_LINK_INSIDE_H
#define BRIDGE_LIVE_LINK_INSIDE_H

#include <sys/queue.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "delivery/ack_clock.h"
#include "delivery/endpoint.h"
#include "delivery/places.h"
#include "link/backpressure.h"
#include "link/link.h"
#include "delivery/rate_limit.h"
#include "delivery/slow_start.h"
#include "delivery/suspect.h"
#include "message/limits.h"
#include "message/side.h"
#include "live/live_link.h"
#include "live/tap.h"

struct delivery;
struct gate;
struct generation;
struct parcel;
struct session_login;
struct state_live;

/* How it is with a device's session, for people. */
enum device_phase {
	DEVICE_LACKING, /* what it logs in with is not known */
	DEVICE_DOWN,
	DEVICE_ASLEEP, /* it is open on demand, and not now; or it waits for a place */
	DEVICE_UP,
	DEVICE_REFUSED /* what it logs in with was, the last time */
};

/* What carries messages of one side, and what waits for it. */
struct port {
	TAILQ_ENTRY(port) entry;
	struct live_link *live;
	struct roster_entry
		*turn; /* of a device's: in live->awake; NULL: it is looked at in each turn */
	size_t counted_bytes;	 /* of a device's: in live->device_bytes */
	struct seat seat;	 /* of a device's: at live->endpoint */
	struct place place;	 /* of a device's: in live->places */
	bool is_used;		 /* something came or went, since it was looked at last */
	enum device_phase phase; /* of a device's */
	int64_t connects_ms; /* since when it tries to be UP, and nobody else is in its way; 0: not so */
	size_t counted_parked;	 /* in live->parked_bytes */
	uint64_t n_fallen;	 /* out of what was parked for it, since that was told last ... */
	int64_t fallen_ms[2];	 /* ... when the first and the last of them had come */
	int64_t tells_fallen_ms; /* not before that */
	enum side side;
	char *device; /* whose it is, by its name here; NULL: it carries any device's */
	bool is_provisioning;
	unsigned handshakes; /* of such: its place among them */
	uint64_t session;    /* what was asked over it last: struct output's; 0: nothing */
	char *name;	     /* for the log */
	int mqtt;	     /* what its last login spoke; 0: there was none */
	void *carrier;	     /* port.h; NULL: not needed, or not yet */
	struct gate *gate;   /* its broker carries the front door; NULL: it does not */
	struct delivery *delivery;
	int64_t per_second;   /* how many it takes; 0: any */
	int64_t packet_bytes; /* less than the plan says; 0: it does not */
	unsigned window;      /* how many the platform takes before it acknowledges */
	struct rate_limit rate;
	struct slow_start slow;
	struct suspect suspect;
	struct ack_clock acks;
	int64_t due_ms; /* when more may leave by itself, if something waits; INT64_MAX: it does not */
	unsigned n_vars_set; /* fleet_device's, when what it logs in with was looked at last */
	int64_t drain_look_ms; /* of a device's that is cut back: when to see if all has left; INT64_MAX: it is not */
	bool is_trial;	    /* of handshakes: it only tries whether the north lets a device in */
	bool uses_issued;   /* it logs in with credentials of a handshake */
	bool is_to_renew;   /* of a device's: see live_link_renew_port() */
	bool is_early;	    /* it needs such, or its device's own, and there are none yet */
	unsigned n_renewed; /* conf_session's, when its login was made */
	char **old;	    /* filters to be given up: port_conf.old */
	size_t n_old;
	uint64_t n_ended; /* connections, and what was to be one */
	uint64_t login;	  /* the number of this one among all of the link; 0: it is not up */
	bool is_to_greet; /* it has just logged in */
	unsigned n_lost_greetings; /* logins in a row that ended with one in flight */
	int64_t greets_mono_ms;	   /* not before that, after too many of these */
	char *told_unset;	   /* what its login lacked when it was last told; NULL: nothing */
	struct map stamped;	   /* what live_link_stamp.c knows of devices and topics */
	struct buf stamp_key;
	bool is_stamping; /* one of them */
	bool has_asked;	  /* for stamps, in this turn */
	struct parked *
		parked; /* of a device's: what waits on the disk (live_link_parked.c); NULL: nothing does */
	bool is_unparked; /* and what is to, but is not durable yet */
	bool keeps_none;  /* of what an earlier run left there */
	char *lack;	  /* why it cannot be opened, key=value as in the log; NULL: it can */
};
TAILQ_HEAD(ports, port);

/* What happens to the session of one device, and may to thousands in a second: they are counted. */
enum device_event { DEVICE_ISSUED, DEVICE_TRIED, DEVICE_LIMITS_TOLD, DEVICE_RENEWED };
#define DEVICE_EVENTS (DEVICE_RENEWED + 1)

struct live_link {
	const struct live_link_parts *parts;
	struct generation *generation;
	size_t number;		      /* in it */
	char *known_as;		      /* to brokers: db_known_as() */
	const struct conf_link *conf; /* of it, as the plan is */
	const struct plan *plan;
	bool is_closing;       /* it alone, as live_link_parts.is_closing */
	bool is_open;	       /* else no port has a carrier, and nothing comes in */
	unsigned n_open_tries; /* in vain */
	struct roster_entry *turn;
	struct link *link;
	struct journal_live_link *records;
	struct state_live *changes;
	/* The south's and the north's that carry any device's, the north's for handshakes (some), and those that
	 * were added, in this order. */
	struct ports ports;
	struct map of_device[SIDES]; /* the ports of devices, by their names here */
	struct roster *awake;	     /* those of them that have something to do */
	size_t device_bytes[SIDES];  /* what waits for those, as of the end of the turn of each */
	bool is_started;
	int64_t now_ms;		     /* of the turn */
	size_t parked_bytes;	     /* that is parked for them, likewise */
	struct endpoint *endpoint;   /* of the sessions of devices, shared with other links */
	struct endpoint_user shares; /* with that */
	struct places *places;	     /* likewise: which of them may be open */
	bool was_down;		     /* that, when it was looked at last */
	int64_t answered_ms;	     /* when one of them had its last answer; 0: none had */
	struct live_link_sessions sessions; /* how many of those are how ... */
	struct live_link_sessions told;	    /* ... when it was told last ... */
	unsigned n_events[DEVICE_EVENTS];   /* since then */
	int64_t sessions_due_ms; /* ... and is to be again; INT64_MAX: nothing has changed */
	struct backpressure backpressure;
	bool is_at_disk;    /* live_link_use_disk() */
	bool was_at_disk;   /* in this turn */
	bool is_handing_on; /* jobs that came when all others of this turn had been handed out */
	bool keeps_none;    /* of what an earlier run left for devices, on the disk */
	uint64_t n_marks;
	bool overfills;	  /* the journal: live_link_overfills() */
	int64_t ahead_ms; /* live_link_set_ahead() */
	size_t n_resumed;
	uint64_t n_logins;
	TAILQ_HEAD(, command) commands; /* that register devices: live_link_command.c */
	struct taps taps;
	uint64_t stop_at[FLOWS]; /* accepted when the bridge was told to stop */
};

/* --- live_link_follow.c: what becomes of its messages, for those who listen and for the log at LOG_DEBUG */

static inline bool live_link_is_followed(const struct live_link *live)
{
	return live->taps.tqh_first || log_is_debugging;
}
/* To be called only if it is. */
void live_link_follow_step(void *live, const struct link_step *step);
void live_link_follow_sent(struct live_link *live, const struct output *o);
void live_link_follow_ended(const struct port *p, const struct parcel *parcel, enum outcome reason,
			    const char *text);
void live_link_follow_settled(struct live_link *live, const struct verdict *v);

/* --- live_link_port.c */

/* A new port, which has no carrier yet.  At most one for each (side, device); one for handshakes is in the next
 * place. */
struct port *live_link_add_port(struct live_link *live, enum side side, const char *device,
				bool is_provisioning);
/* The one to which a message goes: that of the device, else the one that carries any device's (each side has one,
 * unless each device has a session of its own there, and the north some for handshakes: the first); NULL: there is
 * none. */
struct port *live_link_find_port(const struct live_link *live, enum side side, const char *device,
				 bool is_provisioning);
/* The one for handshakes in the place of this session (handshake/provision.h); NULL: there is none. */
struct port *live_link_handshakes(const struct live_link *live, uint64_t session);
/* Close it, take it out of the list and free it. */
void live_link_free_port(struct port *p);

/* Something happened to it: it and its link have something to do in this turn. */
void live_link_wake_port(struct port *p);
/* Connect a port that has a carrier; of handshakes, if something waits. */
void live_link_start_port(struct port *p);

/* What is known for a login over it; without what a handshake brought. */
struct login_terms live_link_login_terms(const struct port *p);
/* What it logs in with, as far as that is known now; p->uses_issued and p->n_renewed follow. */
void live_link_make_login(struct port *p, struct session_login *login);
/* Does this side give our messages back over a session of this version of MQTT? */
enum echo_mode live_link_echo_mode(const struct live_link *live, enum side side, int mqtt);
/* What is configured, or needed: 4 or 5; 0: each login finds it out. */
int live_link_mqtt_wanted(const struct live_link *live, enum side side);
/* What its last login spoke, or the first will try. */
int live_link_mqtt_version(const struct port *p);
/* Give it a carrier with this login, which does nothing yet.  False sets *e: it has none, as before. */
bool live_link_open_port(struct port *p, const struct session_login *login, struct err *e);
/* Its connection has ended (or could not be made): what was in flight waits again, and what was for that connection
 * only is ended.  What the carrier tells, and for when it is stopped, of which it tells nothing. */
void live_link_end_connection(struct port *p, enum session_end end);
/* Take its carrier away, and end with `reason` all that waited or was on its way. */
void live_link_close_port(struct port *p, enum outcome reason, const char *text);

/* What became of a message that was on its way; `parcel` is ended. */
void live_link_end_parcel(struct port *p, struct parcel *parcel, enum outcome reason,
			  const char *text);
/* Hand over what may leave now.  Returns the commit with which all is durable that was decided of the messages that it
 * came of (record_commit()); UINT64_MAX: that is one to come, or not known. */
uint64_t live_link_publish(struct port *p, int64_t now_ms);
/* Held or not, what waits for it has to get there. */
void live_link_visit(struct port *p, int64_t now_ms);
/* End what has waited too long. */
void live_link_expire(struct port *p, int64_t now_ms);
int64_t live_link_next_expiry(const struct port *p); /* INT64_MAX: none */

/* --- live_link_pace.c */

/* A new port: nothing is known but what the configuration and the dialect say. */
void live_link_pace_init(struct port *p);
/* What the platform says that it bears over this port (0: any) narrows that, until it says something else.  Nothing is
 * done if the configuration does not want to know. */
void live_link_pace_told(struct port *p, const struct limits *told);

/* What the carrier tells. */
void live_link_pace_up(struct port *p);
void live_link_pace_down(struct port *p, enum session_end end); /* resets the delivery */
void live_link_pace_answered(struct port *p);
void live_link_pace_sent(struct port *p, const struct parcel *parcel, int64_t now_ms);
/* A message was acknowledged as taken, or for good as refused. */
void live_link_pace_acked(struct port *p, const struct parcel *parcel, bool was_first,
			  bool is_taken);
/* Packet `mid` was acknowledged with an error.  True: it waits, and goes again. */
bool live_link_pace_refused(struct port *p, int mid, int code, bool was_first);
/* Once per turn: does the far side still acknowledge? */
void live_link_pace_look(struct port *p, int64_t now_ms);
/* When to look again; INT64_MAX: not by itself. */
int64_t live_link_pace_look_ms(const struct port *p);
/* The parcel that may leave now; NULL: none may.  Borrowed. */
struct parcel *live_link_pace_next(struct port *p, int64_t now_ms);
/* When more may be in flight than now; INT64_MAX: that takes an acknowledgement. */
int64_t live_link_pace_widens_ms(const struct port *p);
/* When live_link_pace_next() may have one that it has not now; INT64_MAX: not by itself. */
int64_t live_link_pace_due_ms(const struct port *p, int64_t now_ms);

/* --- live_link_device.c */

/* The port of a device, where each has a session of its own in the north: it is made when it is first asked for.  NULL:
 * there are as many as may be. */
struct port *live_link_device_port(struct live_link *live, const char *device);
/* (Of a new link.) */
void live_link_join_endpoint(struct live_link *live);
/* The link is started: open the ports of the devices that are known, and of those for which something waits. */
void live_link_start_devices(struct live_link *live);
/* What it logs in with may be known now, or may have changed: with the next tick it is opened, or connects anew.  (Not
 * at once, since that is a change of the state, and no part of what a message does.) */
void live_link_renew_port(struct port *p);
/* That is now, if the link is started. */
void live_link_renew_due(struct port *p);
/* Is what waits for it parked: because of its device, and not since nobody is there?  Then it holds no source, and
 * there may be so much of it (conf_link.waiting). */
bool live_link_is_parked(const struct port *p);
/* Is there more of it? */
bool live_link_overflows(const struct port *p);
/* The oldest falls out, until there is not; and it is told how many did, if that is due. */
void live_link_let_fall(struct port *p, int64_t now_ms);
/* Something waits for it: it is opened with the next tick, if it is not. */
void live_link_want_device(struct port *p);
/* Its device is offline, its session is its presence, and nothing is open on it any more: with the next tick it is
 * closed. */
bool live_link_is_to_close(const struct port *p);
/* link_ops.came */
void live_link_came(void *ctx, const char *device);
/* The end of a turn: is it idle?  True: it is open on demand, or its device offline, and it is not, which is to be
 * looked at again. */
bool live_link_watch_device(struct port *p);
/* It is being connected now. */
void live_link_device_connects(struct port *p, int64_t now_ms);
/* Should it be looked at by itself, as it may be parked from then on?  INT64_MAX: no. */
int64_t live_link_parks_ms(const struct port *p);
/* That has happened to it: one line a second tells of all devices, DEBUG of each; of a session that is no device's
 * there is a line at once.  `details`: key=value ..., or "". */
void live_link_device_event(struct port *p, enum device_event event, const char *details);
/* For log_limited(): one for all devices of the link that have sessions of their own.  Borrowed until the next call. */
const char *live_link_subject(const struct port *p, const char *event);
/* How it is with its session now. */
void live_link_device_is(struct port *p, enum device_phase phase);
/* What is due: those connect whose turn it is, and it is told how many are how. */
void live_link_tick_devices(struct live_link *live, int64_t now_ms);
int64_t live_link_next_of_devices(const struct live_link *live); /* INT64_MAX: nothing is */

/* If there is too much parked for all of them, it falls out. */
bool live_link_has_too_much_parked(const struct live_link *live);
void live_link_shed(struct live_link *live);
int64_t live_link_most_age_ms(const struct port *p); /* of what waits for it */

/* --- live_link_parked.c */

/* What waits for a port, in memory and on the disk: how many, how large, since when the first does (INT64_MAX:
 * none). */
size_t live_link_waiting(const struct port *p);
size_t live_link_bytes(const struct port *p);
int64_t live_link_oldest_ms(const struct port *p);
size_t live_link_on_disk(const struct port *p); /* so many of them */
/* When live_link_use_disk() has something to do for it; INT64_MAX: never. */
int64_t live_link_disk_due_ms(const struct port *p, int64_t now_ms);
/* Has the oldest of what waits for it its place on the disk?  Then: it falls out, and waited since *since_ms.
 * False: not now. */
bool live_link_is_oldest_parked(const struct port *p);
bool live_link_drop_parked(struct port *p, int64_t *since_ms);
/* What is there now is cut back, as soon as it has been read. */
void live_link_cut_parked(struct port *p);
/* Why what comes back to this place is not sent; CARRIED: it is. */
enum outcome live_link_end_of(const struct port *p, enum lane lane, uint64_t place);
/* link_ops.came_back */
void live_link_came_back(void *ctx, const char *device, uint64_t mark);
/* An earlier run left it: it stays on the disk until its device's session is up.  False: it is to be gone on with
 * now. */
bool live_link_keep_parked(struct live_link *live, struct record *r,
			   const struct journal_entry *entry, const struct journal_output *outputs,
			   size_t n);
/* Of all of it nothing is known any more; it stays in the journal. */
void live_link_forget_parked(struct port *p);

/* --- live_link_command.c */

/* link_ops.run_command: it is started when what the link has written of that is durable. */
void live_link_run_command(void *ctx, const char *device, struct jslice question);
/* What was asked for in this turn waits for this commit; those start for which it is there. */
void live_link_flush_commands(struct live_link *live, uint64_t commit);
void live_link_let_out_commands(struct live_link *live, uint64_t durable);
/* The link is told of those that have ended. */
void live_link_tick_commands(struct live_link *live, int64_t now_ms);
int64_t live_link_next_of_commands(const struct live_link *live); /* INT64_MAX: none has */
/* The bridge is stopping: those that have not started are given back. */
void live_link_stop_commands(struct live_link *live);
/* All are killed, and nobody is told. */
void live_link_end_commands(struct live_link *live);

/* --- live_link_cutover.c */

/* Which variable its messages need and nobody has set, for people; NULL: none.  Caller frees. */
char *live_link_why_unset(const struct live_link *live, const char *device);
/* The row of a device was changed: its session follows.  Where something passes no more (by its mode), what waits is
 * sent for a while yet. */
void live_link_cut_over(struct live_link *live, const char *device);
void live_link_cut_over_all(struct live_link *live); /* of an earlier run */
/* How often variables of this device's own were changed (NULL: 0). */
unsigned live_link_vars_set(const struct live_link *live, const char *device);
#define LIVE_LINK_CUT_BACK "its device was cut back before it was sent"
/* link_ops.cut_back */
void live_link_cut_back(void *ctx, const char *device, enum flow flow);
/* When to look whether all has left that waited for it, and do so: then its session ends. */
int64_t live_link_drain_look(const struct port *p);
void live_link_look_drained(struct port *p, int64_t now_ms);

/* --- live_link_waves.c */

/* A wave that runs goes on: what is due of it now, some of its devices at a time. */
void live_link_tick_waves(struct live_link *live, int64_t now_ms);

/* --- live_link_gate.c, behind a front door */

/* What it subscribes to: the dialect's filters, which are taken, or behind a front door (p->gate, made anew) others. */
char **live_link_gate_filters(struct port *p, char **filters, size_t *n);
/* Its session is up: the whole table goes out first. */
void live_link_gate_up(struct port *p);
/* By what this device is let in may have changed. */
void live_link_gate_renew(struct live_link *live, const char *device);
/* The same as its row in the table was changed, outside of any event of the link: with another mode it may be told of
 * that it is here. */
void live_link_gate_changed(struct live_link *live, const char *device);
/* What came in.  False: it was a word on who is here, and is done; true: *said, to be ended with gate_end_message(), is
 * of the session of *device (borrowed until the next), NULL: of none. */
bool live_link_gate_take(struct port *p, const struct message *m, struct message *said,
			 const char **device);
/* What waits for a device, or for one who provisions. */
bool live_link_gate_publish(struct port *p, const char *device, const struct message *m, int *mid,
			    struct err *e);
/* What is to be known there before anything else.  False: more of it waits. */
bool live_link_gate_publish_table(struct port *p);
/* The front door did not take a piece of that. */
void live_link_gate_refused(const struct port *p, int code);

/* --- live_link_stamp.c */

/* A clock that only grows. */
int64_t live_link_mono_ms(const struct port *p);
/* A parcel waits from now on; `stamp` as its output has it. */
void live_link_stamp_init(struct port *p, struct parcel *parcel, const struct stamp *stamp,
			  int64_t now_ms);
/* It is to be handed over.  False: not yet, it is being translated with its time. */
bool live_link_stamp(struct port *p, struct parcel *next, int64_t now_ms);
/* link_ops.stamped */
void live_link_stamped(void *ctx, void *asked, uint64_t number, const struct message *m);
/* It was handed over. */
void live_link_stamp_sent(struct port *p, struct parcel *sent, int64_t now_ms);

/* --- live_link_link.c */

/* Open the port of handshakes and start it, unless that was done. */
void live_link_ask(struct port *p);

extern const struct link_ops live_link_link_ops;

/* --- live_link.c */

/* A message came in on a port. */
void live_link_receive(struct live_link *live, const struct arrival *a);
/* live_link_go_on() with what was parked. */
void live_link_go_back(struct live_link *live, struct record *r, struct journal_entry *entry,
		       struct journal_output *outputs, size_t n, const struct link_away *away);

/* --- live_link_turn.c */

/* Those with something to do in this turn: all that are no device's, and those of devices that are awake. */
#define FOREACH_AWAKE_PORT(p, live)                                                                \
	for ((p) = TAILQ_FIRST(&(live)->ports); (p); (p) = live_link_next_awake_port(p))
struct port *live_link_next_awake_port(const struct port *p); /* NULL: no more */

/* What is held of a direction, in the link and for its target. */
size_t live_link_held_bytes(const struct live_link *live, enum side source);

#endif
