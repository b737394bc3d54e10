/* fleet.h -- the devices of a link: how each one stands, what passes for it, and what it logs in with.
 *
 * A row for each device that somebody named (a file, an import), that a handshake brought, or that was heard of on a
 * link of several devices.  What a side calls it is in state/devices.h, which workers have, too.  A row is sealed if
 * one of its values is a secret.
 *
 * Two things are said of a device besides: its *state* is for people, how its identity stands; its *step* is the
 * ledger of how it got there, written before each step is done.  Its *mode* is what passes.
 *
 * Pure: no clock, no store.  Machine names "fleet" and "fleet-seen".  What is to be told later goes as a note
 * (changes_note()) with the change it is about. */
#ifndef BRIDGE_FLEET_H
#define BRIDGE_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "message/side.h"
#include "message/vars.h"

#define FLEET_MACHINE "fleet" /* its rows are keyed by device */

struct changes;
struct err;
struct fleet;
struct machine;

enum fleet_state { FLEET_KNOWN, FLEET_ASKING, FLEET_READY, FLEET_REFUSED, FLEET_LOST };
#define FLEET_STATES (FLEET_LOST + 1)
enum fleet_step { FLEET_NONE, FLEET_OFFERED, FLEET_ISSUED, FLEET_LOGGED_IN, FLEET_GREETED };
#define FLEET_STEPS (FLEET_GREETED + 1)
/* DEFAULT: what the link says. */
enum fleet_mode { FLEET_DEFAULT, FLEET_OFF, FLEET_MIRROR, FLEET_LIVE, FLEET_RETIRED };
#define FLEET_MODES (FLEET_RETIRED + 1)
/* Who named it first, of the lesser ones; SEEN: nobody, it was heard of.  May be forgotten for another. */
enum fleet_origin { FLEET_SEEN, FLEET_HANDSHAKE, FLEET_IMPORT, FLEET_CONFIGURATION };
#define FLEET_ORIGINS (FLEET_CONFIGURATION + 1)

#define FLEET_ALWAYS	"always"
#define FLEET_ON_DEMAND "on-demand"

/* Their words: "known", "none", "off" ... */
extern const char *const fleet_state_names[FLEET_STATES];
extern const char *const fleet_step_names[FLEET_STEPS];
extern const char *const fleet_mode_names[FLEET_MODES]; /* of DEFAULT: "" */
extern const char *const fleet_origin_names[FLEET_ORIGINS];
/* The number of a word in such a table; -1: not in it. */
int fleet_word(const char *const *names, int n, const char *word);

/* To be read; changed by the functions below. */
struct fleet_device {
	char *name;
	char *group, *kind; /* NULL: none */
	char *sessions; /* "always", FLEET_ON_DEMAND: when it has one of its own; NULL: as the link says */
	char *reason; /* why it is refused or lost, the platform's word, scrubbed; NULL: none */
	enum fleet_state state;
	enum fleet_step step;
	enum fleet_mode mode;
	enum fleet_origin origin;
	struct vars vars[SIDES]; /* count more than those of the side; credentials are is_secret */
	struct vars greet;	 /* what the platform wants once */
	enum fleet_mode before;	 /* its mode was changed: from this ... */
	int64_t mode_ms;	 /* ... at this time; 0: nobody said when, or it was not */
	unsigned n_vars_set;	 /* how often `vars` were changed in this run */
	unsigned leaves;	 /* FLEET_PASSES(): what is sent of these yet, and then no more */
	int64_t seen_ms[FLOWS];	 /* 0: not yet */
	char *fixed_by; /* "fleet.csv:7": the file that fixes its mode; NULL: none.  Not kept ... */
	enum fleet_mode fixed_mode; /* ... nor is what it is fixed to, ... */
	bool is_listed;		    /* ... nor this: the configuration's file has it */

	/* fleet's own */
	int64_t noted_ms[FLOWS];
	bool is_due, is_unwritten, is_set, is_draining;
	int64_t due_ms, drained_ms;
	TAILQ_ENTRY(fleet_device) due, draining;
};

#define FLEET_PASSES(flow) (1u << (flow))

struct fleet *fleet_new(void);
void fleet_free(struct fleet *t);

/* Who does what is set from now on, for the notes (NULL: the bridge; borrowed until the next call), and when (0: that
 * is not known, and modes hold for what came before, too). */
void fleet_act_for(struct fleet *t, const char *who, int64_t now_ms);
/* What the link says of devices without a mode of their own, if it is known. */
void fleet_set_link_mode(struct fleet *t, enum fleet_mode mode);

size_t fleet_count(const struct fleet *t);
/* NULL: it has no row.  Borrowed until the row is forgotten. */
const struct fleet_device *fleet_find(const struct fleet *t, const char *device);
/* The names of all rows, sorted; caller frees each and the array. */
char **fleet_names(const struct fleet *t, size_t *n);
/* The device's own value of a variable of a side; NULL: the side's holds.  `d` may be NULL.  Borrowed. */
const char *fleet_var(const struct fleet_device *d, enum side side, const char *name);
/* Has it a credential of its own for this side?  `d` may be NULL. */
bool fleet_has_credentials(const struct fleet_device *d, enum side side);
/* Is its session open only while it is needed: by its own word, else by `link_says`?  `d` may be NULL. */
bool fleet_is_on_demand(const struct fleet_device *d, bool link_says);
/* What passes for it: its own mode, else `link_mode`.  `d` may be NULL. */
enum fleet_mode fleet_mode_of(const struct fleet_device *d, enum fleet_mode link_mode);
/* What passes of what was accepted at this time: as it was then, if that was before its mode was last changed. */
enum fleet_mode fleet_mode_at(const struct fleet_device *d, enum fleet_mode link_mode,
			      int64_t at_ms);
/* Is some device in mirror, by its own word or the link's? */
bool fleet_mirrors(const struct fleet *t);
/* FLEET_PASSES() of the directions that pass in a mode to the far side. */
unsigned fleet_passes(enum fleet_mode mode);

/* Is it among the first `percent` (0 to 100) of all devices, in an order that is this link's own, and stays?  Who is
 * among 10 % is among 20 %, and so is who comes later.  The order is made with the first question, and kept. */
bool fleet_is_among(struct fleet *t, const char *device, double percent, struct changes *out);

/* Somebody named it: make its row, if there is none, or raise the origin of the one there is, which has no stranger's
 * mode any more. */
const struct fleet_device *fleet_name(struct fleet *t, const char *device, enum fleet_origin origin,
				      struct changes *out);
/* A message of it came in.  A device without a row gets one if `adds`, in this mode (FLEET_DEFAULT or another).  It is
 * written later (fleet_next_due()), as a message does not change the state by that. */
const struct fleet_device *fleet_see(struct fleet *t, const char *device, enum flow flow, bool adds,
				     enum fleet_mode mode, int64_t now_ms);
/* A device of which something is to be written by fleet_put_due(), at this time; NULL: none.  It is no deadline: it
 * can wait for whatever comes next. */
const char *fleet_next_due(const struct fleet *t, int64_t now_ms);
void fleet_put_due(struct fleet *t, const char *device, struct changes *out);

/* Each of these wants a row that is there, and notes nothing if nothing changes; true: something did.  Texts are
 * copied; NULL or "" takes the value away. */
/* What passes no more (fleet_device.leaves) waits for its end: see fleet_drain(). */
bool fleet_set_mode(struct fleet *t, const char *device, enum fleet_mode mode, struct changes *out);
bool fleet_set_state(struct fleet *t, const char *device, enum fleet_state state,
		     const char *reason, struct changes *out);
bool fleet_set_step(struct fleet *t, const char *device, enum fleet_step step, struct changes *out);
bool fleet_set_group(struct fleet *t, const char *device, const char *group, struct changes *out);
bool fleet_set_kind(struct fleet *t, const char *device, const char *kind, struct changes *out);
bool fleet_set_sessions(struct fleet *t, const char *device, const char *sessions,
			struct changes *out);
bool fleet_set_var(struct fleet *t, const char *device, enum side side, const char *name,
		   const char *value, bool is_secret, struct changes *out);
bool fleet_set_greet(struct fleet *t, const char *device, const char *name, const char *value,
		     struct changes *out);
/* What waits of a device that leaves a mode is sent until then (not written: a restart begins anew). */
void fleet_drain(struct fleet *t, const char *device, int64_t until_ms);
/* A device of which that is over, and when the next is (INT64_MAX: none); fleet_end_drain() makes an end. */
const char *fleet_next_drained(const struct fleet *t, int64_t now_ms);
int64_t fleet_next_deadline(const struct fleet *t);
void fleet_end_drain(struct fleet *t, const char *device, struct changes *out);
/* A file fixes its mode ("FILE:LINE", copied) to this, or none does (NULL).  Its mode is not changed by that. */
void fleet_fix_mode(struct fleet *t, const char *device, const char *by, enum fleet_mode mode);
/* The configuration's file has it. */
void fleet_list(struct fleet *t, const char *device);

/* Does somebody miss it: was it named, or something of it set? */
bool fleet_is_kept(const struct fleet *t, const char *device);
/* Its row goes, with what it holds.  False: there was none. */
bool fleet_forget(struct fleet *t, const char *device, struct changes *out);

bool fleet_restore(struct fleet *t, const char *key, const char *value, struct err *e);
/* When it was seen, of one whose row is there already. */
bool fleet_restore_seen(struct fleet *t, const char *key, const char *value, struct err *e);
/* The order of fleet_is_among(). */
bool fleet_restore_salt(struct fleet *t, const char *key, const char *value, struct err *e);

extern const struct machine fleet_machine, fleet_seen_machine,
	fleet_salt_machine; /* state/machine.h */

#endif
