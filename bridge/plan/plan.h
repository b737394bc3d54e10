/* plan.h -- what one link does, worked out from its mappings and variables before anything runs.
 *
 * A plan binds each side's dialect to that side's variables and joins the two by kind.  Immutable
 * once made, but for the values of credentials, so translation is a function of plan and message. */
#ifndef BRIDGE_PLAN_H
#define BRIDGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dialect/dialect.h"
#include "fleet/fleet.h"
#include "message/kind.h"
#include "message/limits.h"
#include "message/side.h"
#include "message/topic.h"
#include "message/vars.h"
#include "plan/wanted.h"

struct devices;
struct err;
struct mapping;
struct refs;
struct report;

#define PLAN_DEFAULT_REQUEST_TIMEOUT_MS 30000
#define PLAN_DEFAULT_COMMAND_MAX_AGE_MS 60000
#define PLAN_DEFAULT_MAX_DEVICES	10000

/* What a plan is made of.  Everything is borrowed while plan_new() runs, the mappings for as long as
 * the plan lives. */
struct plan_spec {
	const char *name;
	const char *where[SIDES]; /* place of each side in messages: "plant.conf:7: south" */
	struct mapping *mapping[SIDES];
	const struct vars *vars[SIDES];
	const struct vars *listed[SIDES]; /* which of them the list of devices brings; NULL: none */
	struct {
		struct mapping *mapping;
		const struct vars *vars;
	} * through;
	size_t n_through;
	const enum kind *remap; /* KINDS of them; NULL: none */
	enum fleet_mode mode;	/* of devices that have none of their own; DEFAULT: LIVE */
	/* That a device gets which is seen for the first time; DEFAULT: the link's where one session carries all, or
	 * with `provisions_new`, or where it brings credentials by a handshake; else OFF. */
	enum fleet_mode new_mode;
	bool pushes_first; /* a first snapshot after a login is sent on, not only learnt */
	bool drop_unmatched;
	bool is_offline; /* nothing is sent: unset variables are found out when a message needs them,
			  * and credentials are written as *** */
	struct limits limits[SIDES]; /* what counts more than the dialect's; 0: nothing does */
	int64_t request_timeout_ms;  /* 0: what the asker's dialect says, else the default */
	int64_t command_max_age_ms;
	size_t max_devices;	 /* of which the state holds something; 0: the default */
	bool has_epoch_versions; /* a device's first configuration has the time as its version, not 1 */
	bool has_front_door;	 /* the south's session says of each message whose it is */
	const char *provision_key, *provision_secret, *provision_name; /* NULL: the device's */
	bool provisions_new;	      /* devices that are seen for the first time */
	int64_t provision_per_second; /* 0: any */
	bool registers_by_command; /* a program of the operator's registers devices, not a handshake ... */
	bool is_idempotent;	   /* ... and makes no second one of the same */
	int provision_sessions;	  /* so many at once */
	const struct vars *greet; /* what the north wants once of each device; NULL: nothing */
	/* A device is offline that says nothing for so long; -1: never, 0: as the south's dialect says, but behind a
	 * front door, which knows who is here ... */
	int64_t offline_after_ms;
	int64_t offline_delay_ms;  /* ... or that said so before that time */
	bool has_session_presence; /* if its devices have sessions of their own */
};

/* A topic on which rows are read, or (flow of the other side) may not be. */
struct reader {
	struct topic_template topic; /* known variables filled in */
	const struct row *row;
	const char *reply; /* the alias's topic for answers, a template; NULL: the usual */
	size_t first; /* of the side's readers with the same topic, but for names of variables */
};

struct plan_side {
	struct mapping *mapping;
	const struct dialect *dialect;
	struct vars vars;
	struct vars owed; /* what is not set and its messages need: devices have it, each its own */
	struct reader *readers;
	size_t n_readers;
};

struct plan {
	char *name;
	struct plan_side side[SIDES];
	struct plan_through {
		struct mapping *mapping;
		struct vars vars;
	} * through;
	size_t n_through;
	enum kind remap[KINDS];
	enum fleet_mode mode;
	/* Of one that is seen for the first time, by a message or by credentials that it was issued; DEFAULT: `mode`. */
	enum fleet_mode new_mode, issued_mode;
	bool is_mirror; /* so is its mode: nothing is asked or greeted */
	bool pushes_first;
	bool drop_unmatched;
	bool hides_secrets;
	bool is_single; /* the south brings one device only */
	bool has_front_door;
	bool has_device_sessions; /* the south brings many, and each has a session of its own in the north */
	char *device;		  /* its name, and that of a message which does not say */
	struct devices *devices; /* who is who; it changes, as does ... */
	/* ... what devices have of their own: in *fleet, which is set by the link whose plan it is.  NULL: nobody has
	 * anything (offline, or in another process). */
	const struct fleet **fleet;
	/* What messages to a side must keep to.  A dialect's hold where we play the device: in the north. */
	struct limits limits[SIDES];
	int64_t request_timeout_ms[SIDES]; /* by who asks */
	int64_t command_max_age_ms;
	size_t max_devices;
	bool has_epoch_versions;
	/* The name: of a link with device sessions a template, else the device whose link it is. */
	char *provision_key, *provision_secret, *provision_name;
	bool provisions_new;
	int64_t provision_per_second;
	bool registers_by_command, is_idempotent;
	size_t provision_sessions;
	struct vars greet;
	/* A device that is silent for so long is offline (0: it may be as long as it wants), as is one that was said to
	 * be so long ago. */
	int64_t offline_after_ms, offline_delay_ms;
	bool has_session_presence; /* its session in the north, which each has, is its presence there */
	uint64_t
		there; /* its address in the process that workers are forked from; 0: that is this one */
	/* Of what owns it: counted there (base/refs.h) is who uses it beyond a call.  Set by the owner;
	 * NULL: it outlives its users anyway. */
	struct refs *users;
};

/* NULL if there was a mistake; all are in the report.  A variable that is not set and that a row to be
 * written needs is told once, as "WHERE.vars.NAME: not set, and topic of messages[3] needs it" (not if
 * is_offline, nor where each device can have its own: struct plan_side).  Caller ends it with plan_free(). */
struct plan *plan_new(const struct plan_spec *spec, struct report *report);
void plan_free(struct plan *p);

/* The rows that a topic finds on a side: those of the most specific template that matches. */
#define MATCH_MAX 32
struct match {
	const struct reader *readers[MATCH_MAX]; /* in file order; only those that are read here */
	size_t n;				 /* each row once */
	bool is_known; /* some row has this topic, though it may not be read here (n == 0) */
};
void plan_match(const struct plan *p, enum side from, const char *topic, struct match *m);
/* Does it take only those of its topics whose {id} is of the row's type? */
bool plan_is_id_typed(const struct reader *r);
/* Do both say the same of a topic that they match, as variables? */
bool plan_reads_alike(const struct reader *a, const struct reader *b);

/* What of it is heard at all. */
struct wanted plan_wanted(const struct plan *p);
/* The device whose session in `side` takes what is for `device`, which is borrowed; NULL: one that carries any device's
 * does. */
const char *plan_session_of(const struct plan *p, enum side side, const char *device);

/* The filters to subscribe on a side, those left out that are covered by another or that nobody wants; caller
 * frees the array and its texts.  `provisioning`: those of the short-lived session of a handshake.  `native`: of the
 * session of the device that the side calls so; NULL: of one that carries any device's. */
char **plan_filters(const struct plan *p, enum side side, bool provisioning, const char *native,
		    size_t *n);
/* The filters of its main session that are left out because nobody wants them. */
char **plan_unwanted_filters(const struct plan *p, enum side side, size_t *n);
/* The kinds that come by one of those filters: "command,config".  Caller frees. */
char *plan_filter_kinds(const struct plan *p, enum side side, bool provisioning, const char *native,
			const char *filter);
/* Does the bridge say, or ask, this after each login in the north?  (Not in a mirror, and no snapshot where
 * the south could not be told of it.) */
bool plan_greets(const struct plan *p, enum kind kind);
/* The same of two dialects. */
bool plan_pair_greets(const struct dialect *south, const struct dialect *north, enum kind kind);

/* Does this side read `kind` on a provisioning session rather than on its main one? */
bool plan_is_provisioning(const struct plan *p, enum side side, enum kind kind);
/* Over how many provisioning sessions at once may devices be registered in the north? */
size_t plan_handshake_sessions(const struct plan *p);

/* The first row that can write `kind` on a side; NULL: no counterpart. */
const struct row *plan_writer(const struct plan *p, enum side side, enum kind kind);
/* The first of them that waits for a reply to it: that has no `answered`; NULL: none does. */
const struct row *plan_asker(const struct plan *p, enum side side, enum kind kind);
/* The first row that reads `kind` on a side; NULL: that side never says it. */
const struct row *plan_reader(const struct plan *p, enum side side, enum kind kind);
/* The next topic (the first: after NULL) that is read on a side; NULL: no more. */
const struct reader *plan_next_reader(const struct plan *p, enum side side,
				      const struct reader *after);
/* The same, of those whose messages pass as `kind`. */
const struct reader *plan_next_source(const struct plan *p, enum side side, enum kind kind,
				      const struct reader *after);
/* Does some row of this side give back what was pushed? */
bool plan_has_echoes(const struct plan *p, enum side side);
/* Would this side read the topic back as this row?  (A name that came from a payload can make the
 * topic another row's.) */
bool plan_is_topic_of(const struct plan *p, enum side side, const struct row *row,
		      const char *topic);
/* The row of this side that writes `kind` on this topic; NULL: none does. */
const struct row *plan_writer_on(const struct plan *p, enum side side, enum kind kind,
				 const char *topic);

/* A variable of a side as it is for this device (its name here; NULL: of none): its own, else the side's.  NULL: it is
 * not set.  Borrowed until that changes. */
const struct var *plan_var(const struct plan *p, enum side side, const char *device,
			   const char *name);
/* The first variable that messages of this device need and that neither it nor a side has, and the side; NULL: none. */
const char *plan_lacks(const struct plan *p, const char *device, enum side *side);

/* Properties of a message of this device (NULL: of none) to a side that are nothing but a credential
 * ("{access_key}") get the value that it has now: `to` is a copy of `from` with those, to be ended with vars_fini().  False: they have it, and `to` is
 * as it was. */
bool plan_renew_credentials(const struct plan *p, enum side side, const char *device,
			    const struct vars *from, struct vars *to);

/* Is this property of a message of the device nothing but a credential that is not known yet, and without which its session
 * is not opened?  plan_renew_credentials() fills it in then. */
bool plan_is_filled_later(const struct plan *p, enum side side, const char *device,
			  const char *template);

/* Is the value that this variable had when the plan was made part of it for good: of a topic, or of a text that is
 * more than the variable? */
bool plan_is_made_of(const struct plan *p, enum side side, const char *variable);

/* What a side that speaks for many devices is called itself, which its payloads do not say: as its variable
 * `gateway` says, else as what names no device is called here.  NULL: it is no such side. */
const char *plan_gateway(const struct plan *p, enum side side);
/* The same, if it has such a variable: else nobody here knows it. */
const char *plan_named_gateway(const struct plan *p, enum side side);
/* The device's name here for the name that a side's topic or payload gave; NULL: none of this
 * link's.  Borrowed from the plan or from `native`. */
const char *plan_device_here(const struct plan *p, enum side side, const char *native);
/* The name by which a side knows the device.  Borrowed likewise. */
const char *plan_device_there(const struct plan *p, enum side side, const char *device);

#endif
