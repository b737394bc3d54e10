/* link_inside.h -- what the files of a link share: intake.c (the life of a message), sequence.c (what is done one
 * after the other), slow.c (what takes long), decision.c (what is written together), link.c (sending and writing),
 * link_order.c (commands whose sender waits), link_read.c (what comes in), logic.c and logic_state.c (the bridge's
 * own logic, kind by kind), greeting.c (what follows a login), link_presence.c (who is here), link_provisioning.c
 * and link_registration.c (what the bridge has registered), link_compare.c (what is read and what is acknowledged),
 * link_away.c (what waits and is not in memory) and machines.c (its state machines, and time).  Nobody else
 * includes it. */
#ifndef BRIDGE_LINK_INSIDE_H
#define BRIDGE_LINK_INSIDE_H

#include <sys/queue.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "link/link.h"
#include "message/canonical.h"
#include "message/kind.h"
#include "message/message.h"
#include "message/side.h"
#include "state/pairing.h"
#include "translate/translate.h"

struct compared;
struct compares;
struct devices;
struct fleet;
struct echo;
struct echoes;
struct err;
struct presences;
struct provision_action;
struct provision_actions;
struct provision_terms;
struct provisions;
struct reporteds;
struct retained;
struct subscriptions;
struct twins;

TAILQ_HEAD(intakes, intake);

#define LINK_CUT_BACK "cut back" /* why an open command has no other answer */

#define EXPIRED_MS 1 /* before all times: too old from the start */

/* Of a device, a session or the handshakes: sequence.c. */
struct sequence {
	char *device; /* by its name here; NULL: not a device's */
	struct strand *strand;
	struct decision *decision; /* that is open in it; NULL: none */
	TAILQ_ENTRY(sequence) of_decision;
};
TAILQ_HEAD(sequences, sequence);

/* Devices for which the bridge asks: link_provisioning.c. */
struct provisioning {
	char **devices; /* from `at` on */
	size_t n, at;
	int64_t due_ms;			  /* the next one */
	int64_t per_second;		  /* 0: what the plan says */
	int64_t max_failures, n_failures; /* of this run; 0: any */
	unsigned n_wrong_key;		  /* answers in a row that blame the key */
	const char *stopped;		  /* why; NULL: it is not */
	bool is_halted;			  /* the bridge is stopping */
	struct map attempts;		  /* by a program: link_registration.c; as are: */
	size_t n_running;
	int64_t again_ms;  /* when the first is tried again; 0: none is */
	unsigned n_faults; /* in a row */
};

TAILQ_HEAD(registered_list, registered);
/* Of which devices the state holds something: registry.c.  Oldest first. */
struct registry {
	struct map of_device;
	struct registered_list strangers, familiars;
	struct registered_list kept; /* as they were looked at, they were in use */
	int64_t again_ms;	     /* when to look at these again */
	uint64_t n_forgotten, n_unremembered;
};

struct link {
	const struct plan *plan;
	struct executor *executor;
	struct map of_device; /* sequences, by their device */
	size_t sweep_at;      /* so many of them */
	struct sequence *sessions[SIDES], *handshakes;
	struct sequence *stamps; /* what is translated once more, with a time */
	struct sequence *at;	 /* in which the event in hand is */
	struct map slow;	 /* slow.c, as are: */
	struct buf slow_key;	 /* used again */
	int64_t slow_sweep_ms;	 /* when those that are not slow any more leave */
	int64_t ahead_ms;	 /* link_set_ahead() */
	bool voids_commands;	 /* link_void_commands() */
	int64_t latest_ms;	 /* of all times that were handed in */
	struct link_ops ops;
	void *ctx;
	/* The state machines: machines.c. */
	struct pairings *pairings;
	struct twins *twins;
	struct presences *presences;
	struct provisions *provisions;
	unsigned
		n_answers_again; /* of handshakes, that an earlier run received, and nobody has looked at yet */
	bool has_resumed; /* link_resume() was called */
	bool asks_later;  /* what is open is asked again when there are none of these */
	struct reporteds *reporteds;
	struct devices *devices; /* the plan's */
	struct fleet *fleet;
	struct waves *waves;
	struct registry registry;
	struct echoes *echoes; /* sides that give our messages back */
	struct subscriptions *subscriptions;
	struct compares *compares;
	/* link_compare.c; used again. */
	struct compared *spare_compared;
	size_t n_spare_compared;
	struct buf compare_name, compare_payload;
	bool keeps_reported; /* the south can ask for its attributes */
	bool notes_seen; /* it matters which devices there are: a login in the north is told, or names change */
	bool delivery_confirms; /* a configuration: the south's platform has no other word on it */
	struct echo *carried; /* what rode with a kind that comes back; NULL: nothing comes back */
	char *mark;	      /* on the trail of what is sent; NULL: none is left */
	struct retained *retained[SIDES]; /* made with the first; NULL: nothing retained came */
	struct changes changes;		  /* of the state, not written yet */
	size_t n_step;			  /* of these: from before the event in hand */
	size_t n_told;			  /* of these: the executor knows of them */
	/* After a login, and when they come online: devices about which the north is asked, from `at` on, some at
	 * a time. */
	struct to_ask {
		char **devices;
		size_t n, at;
		uint64_t login;
		int64_t due_ms;
	} to_ask;
	struct provisioning provisioning;
	struct ended_config *ended; /* to be noted in the next tick */
	size_t n_ended;
	uint64_t n_device_changes;
	struct link_counters counters[FLOWS];
	size_t pending_bytes[FLOWS];
	uint64_t n_intakes; /* the id of the last */
	bool is_followed;   /* link_follow() */
	int64_t now_ms;	    /* of the event in hand */
	bool is_ending;	    /* what is not complete is dropped */
};

/* A command or a configuration on its way: it matters what becomes of it. */
struct order {
	enum kind kind;
	char *device;
	char *far_id; /* of a command whose sender waits: by this its pairing is found; else NULL */
	int64_t version; /* of a configuration; 0: an earlier run sent it */
	const char *
		answered; /* the plan's: what to say when it is delivered; NULL: it is replied to */
};

/* A configuration whose way has ended. */
struct ended_config {
	char *device;
	int64_t version;
	enum outcome reason;
};

/* How an intake came to be. */
enum intake_origin {
	ORIGIN_RECEIVED,
	ORIGIN_AGAIN,	/* an earlier run received it and decided nothing: received once more */
	ORIGIN_DECIDED, /* an earlier run received and decided it: its outputs are sent again */
	ORIGIN_OWN, /* nothing came in: the bridge does it by itself, which is a change of state */
	ORIGIN_OWN_RESUMED /* an earlier run decided that: its outputs are sent again */
};

/* The life of an intake, in this order; intake.c has the arrows.  "Job": one that reads it, or writes what it
 * led to. */
enum intake_stage {
	INTAKE_READING, /* nothing that came of it may change the state: its outputs need no keeping */
	INTAKE_OPEN,	/* it may come to change the state; what it puts out says so (is_kept) */
	INTAKE_CHANGED,	 /* it has, in the event in hand, at the end of which it goes on */
	INTAKE_DECIDING, /* it has jobs on their way; what they put out is held back */
	INTAKE_WAITING,	 /* it has none any more; others that decide with it do */
	INTAKE_DECIDED, /* the driver was told; no jobs come any more, outputs may be on their way */
	INTAKE_SETTLED, /* all it became is settled: it has its verdict, and ends */
	INTAKE_STAGES
};

/* A message that came in, until all that it became is settled. */
struct intake {
	uint64_t id; /* struct link_step */
	enum flow flow;
	enum intake_origin origin;
	uint64_t greets;	 /* the login that it greets; 0: none */
	bool is_in_turn;	 /* and does not go before all that waits */
	enum intake_stage stage; /* set by intake_move() */
	unsigned refs;		 /* the event in hand, jobs, outputs on their way, a decision */
	unsigned n_jobs;	 /* of these */
	void *tag;
	const struct plan *plan; /* by which it is translated; it is one of its users */
	/* What it is */
	const struct message *raw; /* as it came, or `message`; NULL: nothing came in */
	struct message message;	   /* once rows read it; credentials are taken out */
	char *device;		   /* whose session it came on; NULL: any device's, or none */
	char *welcomes; /* the device that is greeted by it, once (link_provisioning.c); NULL: none */
	char **watched; /* devices of a wave that it is of (link_watch.c), by their names here */
	size_t n_watched;
	char *topic_device; /* as its topic calls it, by the first of `readers`; NULL: it does not */
	const struct reader **readers; /* that read it, in file order */
	size_t n_readers;
	enum kind kind; /* of the first of these */
	size_t n_bytes;
	int64_t at_ms;
	uint64_t login;	      /* struct arrival's; UINT64_MAX: an earlier run's */
	uint64_t session;     /* likewise */
	bool is_dup;	      /* its message had DUP set */
	bool is_answer_again; /* it counts in n_answers_again */
	uint64_t place;	      /* struct link_away's: it was away; 0: it was not */
	unsigned n_ended;     /* of its outputs */
	int64_t since_ms; /* later, if it was a dead letter meanwhile: how old it may get counts from then */
	char *hops; /* that it came with; NULL: none */
	/* What it leads to */
	struct decision *decision;  /* NULL, but if it is DECIDING or WAITING ... */
	TAILQ_ENTRY(intake) member; /* ... in it */
	struct order *orders;
	unsigned n_orders;
	bool is_compared;	   /* link_compare.c looks at it, and */
	struct compared *compared; /* keeps this with it; NULL: nothing yet */
	bool is_clearing; /* it is empty, and a retained message came on its topic before */
	/* What is known of its verdict */
	bool is_well; /* something was delivered, or is kept in the bridge's state */
	enum outcome dead, filtered;
	char *text;
};

/* A job and what it belongs to. */
struct task {
	struct job job;
	struct link *link;
	struct sequence *sequence;
	struct intake *intake;
	struct item *item; /* what was read, and waits for its turn there; owned */
	/* READ */
	char *device;		     /* as the topic calls it; NULL: it does not */
	const struct reader *reader; /* whose part of the results is taken */
	unsigned nth;		     /* of which this one */
	void *asked;		     /* link_stamp() */
	uint64_t number;
	uint64_t n_device_changes; /* when it was started */
	char *response_topic; /* of the message (MQTT 5), if one may publish there; else NULL */
	/* WRITE */
	void (*after)(struct task *t, size_t n_sent, size_t n_refused); /* called when it is done */
	enum side caller;     /* of a request: who asked */
	char *answer_topic;   /* of a request: where its answer goes; NULL: the usual */
	bool waits;	      /* the sender of a configuration, or of a command: for a word on it */
	int64_t expires_ms;   /* of a command; 0: of none */
	uint64_t session;     /* of a question of a handshake: over which; else 0 */
	const char *answered; /* of a request: by the row that wrote it, if no reply comes */
};

/* A plain message to write; everything is copied. */
struct link_write {
	enum side to;
	const struct canonical *plain;
	const struct canonical *request;
	const char *reply_topic;
	void (*after)(struct task *t, size_t n_sent, size_t n_refused);
	enum side caller;
	const char *answer_topic;
	bool waits;
	int64_t expires_ms;
	uint64_t session;
};

/* --- intake.c */

/* A new intake, with one reference, of what is received (or begins) now. */
struct intake *link_intake(struct link *l, enum flow flow, const struct message *raw, void *tag,
			   enum intake_origin origin);
/* The same of what the bridge says by itself.  That it has said so is in its state, so it is settled well. */
struct intake *link_own_intake(struct link *l, enum flow flow);
/* Give a reference back; the last one settles it. */
void link_release(struct link *l, struct intake *in);
/* If it is an answer of a handshake that an earlier run received: somebody has looked at it now. */
void link_answer_heard(struct link *l, struct intake *in);
/* The first dead and the first filtered reason are the ones to tell. */
void link_refuse(struct intake *in, enum outcome reason, const char *text);
bool intake_may_move(enum intake_stage from, enum intake_stage to);
/* On to the next stage; there must be an arrow. */
void intake_move(struct intake *in, enum intake_stage to);
/* It may come to change the state, if that was not known before. */
void intake_open(struct intake *in);
bool intake_is_own(const struct intake *in); /* nothing came in */
/* Another one has this end. */
void intake_count(struct link_counters *c, enum kind kind, enum outcome reason);
/* Without a verdict.  What is known of it elsewhere (link_compare.c, link_watch.c) is gone. */
void intake_free(struct intake *in);

/* --- link_away.c */

/* It is counted already, if it was `away` (NULL: it was not). */
void intake_is_back(struct link *l, struct intake *in, const struct link_away *away);

/* Tell who follows `in` what has happened to it; step->id is filled in. */
void intake_tell(struct link *l, const struct intake *in, struct link_step step);
/* Does anybody? */
static inline bool intakes_are_followed(const struct link *l)
{
	return l->is_followed || log_is_debugging;
}

/* --- sequence.c */

void sequences_new(struct link *l, struct executor *executor);
void sequences_free(struct link *l); /* drops jobs */
/* Those that are not needed go. */
void sequences_sweep(struct link *l);
/* The one of a device; it is there until the next sweep. */
struct sequence *sequence_of_device(struct link *l, const char *device);
/* The one to which a plain message belongs. */
struct sequence *sequence_of_plain(struct link *l, const struct canonical *p);

/* --- slow.c */

/* What is done by this row for this device has taken too long, again and again. */
bool slow_is(const struct task *t);
/* It was done. */
void slow_note(struct task *t, const struct results *results);
void slow_free(struct link *l);

/* --- registry.c */

void registry_new(struct link *l);
void registry_free(struct link *l);
/* May something be remembered of the device?  If it is new, and there are as many as may be, for that of another.
 * False: nothing is to be. */
bool registry_admit(struct link *l, const char *device);

/* What passes for this device. */
enum fleet_mode link_mode(const struct link *l, const char *device);
/* ... and did, of what was accepted at this time. */
enum fleet_mode link_mode_at(const struct link *l, const char *device, int64_t at_ms);
/* Something is remembered of it in any case. */
void registry_note(struct link *l, const char *device);
/* An earlier run did so. */
void registry_restored(struct link *l, const char *device);
/* The device has said something. */
void registry_see(struct link *l, const char *device, int64_t now_ms);
/* Nothing is remembered of it any more. */
void registry_gone(struct link *l, const char *device);
/* All are restored: there may be more than there should be. */
void registry_prune(struct link *l);

/* --- decision.c */

/* The step of `in` (NULL: of none) in `q` ends, which leaves it `n_jobs`: does it decide something?  Then what has
 * changed is held back. */
void decision_end_step(struct link *l, struct sequence *q, struct intake *in, unsigned n_jobs);
/* A job of it is done. */
void decision_follow(struct link *l, struct intake *in);
/* Hold the output back (taken), if something is decided in `q`, or `in` is. */
bool decision_hold(struct sequence *q, struct intake *in, const struct output *o);

/* --- link.c */

/* For the memory of what was sent; borrowed from both. */
struct echo_message link_echo_message(const char *session, const struct message *m);
/* Give an output of `in`, which has a reference for it, to the driver. */
void link_hand_out(struct link *l, struct intake *in, struct output *o);
/* Send a MESSAGE item; it is taken.  `t`: the task that wrote it, be it with reading. */
void link_send(struct link *l, struct intake *in, struct item *item, enum side to,
	       const struct task *t);
/* A job for `in` in `q`, which it holds until link_task_end(). */
struct task *link_task(struct link *l, struct sequence *q, struct intake *in, enum job_type type,
		       enum side side);
/* A completion of `t` begins: the time is that of its message, or of when that was tried again. */
void link_task_begin(struct task *t);
void link_task_end(struct task *t); /* and ends; `t` is freed */
/* Tell a job what is known of the device.  True if it was told otherwise before. */
bool link_set_state(struct task *t, const char *device);
struct canonical *link_copy_canonical(const struct canonical *p); /* NULL gives NULL */
struct provision_terms link_provision_terms(const struct link *l);
/* Order a plain message to be written. */
void link_write(struct link *l, struct intake *in, const struct link_write *w);
void link_write_canonical(struct link *l, struct intake *in, enum side to,
			  const struct canonical *p);
/* Order a reply to be written: to who asked, in answer to `request`; `reply_topic` NULL: the usual. */
void link_write_reply(struct link *l, struct intake *in, enum side caller,
		      const struct canonical *reply, const struct canonical *request,
		      const char *reply_topic);

/* An event begins in `q`, at this time: what the state changes from now on is its work. */
void link_begin_step(struct link *l, struct sequence *q, int64_t now_ms);
/* The same, of what the bridge does by itself: what it leads to comes before all that waits there. */
void link_begin_own(struct link *l, struct sequence *q, int64_t now_ms);
/* And ends; `in` is what it was done by, with a reference of its own, which is given back; NULL: nothing was said. */
void link_end_own(struct link *l, struct intake *in);
/* Tell those who do jobs elsewhere what has changed in the device table. */
void link_tell_devices(struct link *l);

/* --- link_order.c */

/* `out` of `in` is a command or a configuration (struct order), which is found by out->order from now on. */
void link_note_order(struct link *l, struct intake *in, struct output *out,
		     const struct order *order);
/* Does the sender of this command wait for a reply? */
bool link_order_is_awaited(const struct intake *in, unsigned order);
/* The version of a configuration that goes on; 0: it has none. */
int64_t link_config_version(const struct canonical *config);
/* Note what has become of this configuration: tell who waits, if its delivery is all that he will hear. */
void link_note_ended(struct link *l, const struct ended_config *c);
void link_drop_ended(struct link *l);
/* NULL: its sender was told already, or it is no order. */
const struct pairing *link_order_pairing(const struct link *l, const struct intake *in,
					 unsigned order);

/* --- machines.c */

void machines_new(struct link *l);
void machines_free(struct link *l);
/* A side said that the device is gone: drop what is known of it, but for what is still in hand. */
void machines_device_gone(struct link *l, const char *device);

/* --- link_read.c */

/* Something of it came: it is known from now on. */
void link_note_device(struct link *l, const char *device, enum side from, int64_t at_ms);
/* The sequence in which what arrives (and is read by some row) has its turn. */
struct sequence *link_entry(struct link *l, const struct arrival *a);
/* Whose a message is, as its topic or its session says, or since the link has no other; NULL: only its payload may say,
 * or it is of a handshake. */
const char *link_named_device(const struct link *l, enum side from, const struct intake *in);
/* Free what was read (NULL is allowed). */
void link_drop_item(struct item *item);
/* The topic to which `t`, which read the request `p`, wants the answer, if not to the usual one: its
 * Response Topic, if that is among the device's own, or the `reply` of its alias.  Caller frees; NULL: the usual. */
char *link_answer_topic(const struct task *t, const struct canonical *p);

/* --- logic.c */

/* Take a plain message that `t` read to where it goes, through the logic of its kind. */
void logic_take(struct task *t, struct canonical *p);
/* Every kind that needs logic has a function, and no other: a bug otherwise. */
void logic_assert_complete(void);
/* The open request that `p`, read by `t`, answers; NULL: none. */
const struct pairing *logic_pairing(const struct task *t, const struct canonical *p);
/* Tell the asker that there will be no reply.  False: it does not want one, or cannot be told. */
bool logic_send_error(struct link *l, struct intake *in, enum side caller,
		      const struct canonical *request, const char *reply_topic, const char *text);
/* Answer with this body (JSON text), unless the asker wants no reply or cannot be told. */
void logic_send_answer(struct link *l, struct intake *in, enum side caller,
		       const struct canonical *request, const char *reply_topic,
		       const char *answer);
/* Tell the north that its configuration holds: the body of a config_reply. */
void logic_confirm(struct link *l, struct intake *in, const char *device, const char *id,
		   const struct buf *body);
/* Why a twin took no configuration: what that makes of the message. */
enum outcome logic_twin_reason(const struct err *e);
/* Send again what has failed of a device's configuration. */
void logic_send_failed(struct link *l, struct intake *in, const char *device);
/* Do what a handshake asks for; *acts is ended. */
void logic_provision(struct link *l, struct intake *in, struct provision_actions *acts);

/* --- link_watch.c */

/* It is of this device (NULL: of none), of which a wave that runs is told what becomes of it.  May be said again. */
void link_watch(struct link *l, struct intake *in, const char *device);
/* It is settled.  What is known of that is ended. */
void link_end_watch(struct link *l, struct intake *in, enum outcome end);
void link_drop_watch(struct intake *in);
/* --- link_presence.c */

/* The logic of its kind. */
void logic_presence(struct task *t, struct canonical *p);
/* A new link: what its plan says of silence and of goodbyes. */
void presence_new(struct link *l);
/* The device itself has said something, whatever. */
void presence_hear(struct link *l, const char *device, int64_t at_ms);
/* Who is gone, or back, is said to be. */
void presence_tick(struct link *l);

/* --- link_provisioning.c */

/* All rows are restored: who waited does again. */
void provisioning_resume(struct link *l);
void provisioning_free(struct link *l);
/* A device is seen for the first time.  Changes no state. */
void provisioning_came(struct link *l, const char *device);
int64_t provisioning_next_deadline(const struct link *l); /* INT64_MAX: nothing is to be asked */
void provisioning_tick(struct link *l);
/* In a step of the handshakes: the north is asked for this device; it has answered (an ANSWER), or nobody has. */
void provisioning_asked(struct link *l, const char *device);
void provisioning_ended(struct link *l, const struct provision_action *a);
/* Behind the others, if it is not there yet. */
void provisioning_enqueue(struct link *l, const char *device);
/* One was refused: that may have been too many. */
void provisioning_refused(struct link *l);
/* It goes on no more; why (static).  The first reason counts. */
void provisioning_stop(struct link *l, const char *why);
/* From now on one question is open at a time: tell so. */
void provisioning_distrusted(const struct link *l);
/* Its session (NULL: not a device's) has logged in: what the platform wants once is said, until it has it. */
void provisioning_let_in(struct link *l, const char *device);
void provisioning_greet(struct link *l, const char *device, uint64_t login);
void provisioning_greeted(struct link *l, const char *device);

/* --- link_registration.c */

/* Is a program at work for this device, or to be started again later? */
bool registration_is_on(const struct link *l, const char *device);
/* Does it have what it logs in with? */
bool registration_has_login(const struct link *l, const struct fleet_device *d);
/* May another one run? */
bool registration_has_place(const struct link *l);
/* Within a step: it runs for this device, which is to be called so. */
void registration_start(struct link *l, const struct fleet_device *d, const char *name);
/* When some are to be tried again (INT64_MAX: none), and back in the queue with those that are. */
int64_t registration_next_deadline(const struct link *l);
void registration_enqueue_due(struct link *l);
/* An earlier run has asked for it.  False: and nobody knows what came of that, it is lost. */
bool registration_resume(struct link *l, const struct fleet_device *d);
void registration_free(struct link *l);

/* --- link_compare.c */

/* The plain message that was read, and passes, is compared; what it was written as; and `in` is settled, if
 * in->is_compared. */
void link_compare_read(struct link *l, struct intake *in, const struct canonical *plain);
void link_compare_written(struct intake *in, const struct canonical *plain,
			  const struct message *m);
void link_compare_settled(struct link *l, struct intake *in, enum outcome reason);
/* The mode of the device may have changed: with mirror a comparison begins. */
void link_compare_begin(struct link *l, const char *device);
/* `p`, read by `t`, answers link_read_back(). */
void link_compare_answer(struct task *t, const struct canonical *p);
void link_compare_free(struct link *l);
/* It is not compared now. */
void link_compare_drop(struct link *l, struct intake *in);

/* --- greeting.c */

/* When greeting_tick() has something to ask; INT64_MAX: never. */
int64_t greeting_next_deadline(const struct link *l);
/* Ask about the next devices. */
void greeting_tick(struct link *l);
void greeting_free(struct link *l);
/* The device has come online: what the platform could push to nobody meanwhile is asked for, once it is told. */
void greeting_came_online(struct link *l, const char *device);

/* `p`, read by `t`, answers what the bridge asked by itself, a request of this kind.  False: not what it asked
 * for. */
bool greeting_take_answer(struct task *t, const struct canonical *p, enum kind request);
/* Would it be the answer to a question that the bridge has forgotten with a restart? */
bool greeting_is_lost(const struct task *t, const struct canonical *p);
/* Is this whole configuration the answer to the bridge's question for a snapshot, and says nothing that was not
 * said before, while the device has changed something by itself? */
bool greeting_is_known(struct task *t, const struct canonical *p);
/* A message of a kind with a `notice`. */
void greeting_take_notice(struct task *t, struct canonical *p);
/* Send a configuration {changed, deleted} on, as if the north had just said it. */
void logic_push(struct task *t, const struct canonical *p, struct jslice body);
/* Tell a device that asks for them the limits of the far side, as far as they are known. */
void greeting_answer_limits(struct link *l, struct intake *in, enum side caller,
			    const struct canonical *request, const char *reply_topic);

/* --- logic_state.c */

/* Answer a request for attributes with what the bridge knows. */
void logic_answer_attributes(struct link *l, struct intake *in, enum side caller,
			     const struct canonical *request, const char *reply_topic);
/* The same to who was not answered by the platform, if the bridge knows all that was asked for: an empty answer
 * would say that there are no such attributes.  False: nothing was said. */
bool logic_answer_held(struct link *l, struct intake *in, enum side caller,
		       const struct canonical *request, const char *reply_topic);
/* Attributes go up: remember them for such answers. */
void logic_note_attributes(struct link *l, const struct canonical *p);
/* A message goes south on the topic of pushes that come back (`echoes`) without being one: remember
 * its fields, so that they are not taken for attributes. */
void logic_note_carried(struct link *l, const struct item *item);
/* May attributes of this device, on a row that gives back what was pushed, be no news? */
bool logic_awaits_echo(const struct link *l, const char *device);
/* Append the fields of a JSON object of attributes that are no such echo, as an object. */
void logic_drop_carried(struct link *l, const char *device, struct jslice attributes,
			struct buf *out);
/* Tell a device that asks for a snapshot what the bridge holds for it. */
void logic_send_snapshot(struct link *l, struct intake *in, const char *device);
/* Append what an attributes_reply says of the configuration, as the body of a `config` {full}.  False: nothing. */
bool logic_put_full(const struct canonical *reply, struct buf *out);
/* The north's answer to a snapshot request: its attributes. */
void logic_take_snapshot(struct task *t, const struct canonical *p);
/* A side renamed or deleted a device. */
void logic_change_device(struct task *t, struct canonical *p);

#endif
