/* waves.h -- devices are cut over in waves, one after the other: whose turn it is, how long they are looked at, when
 * that is too much, and the way back.
 *
 * A run is a list of waves.  Each waits for its time, then its devices are set, some at a time, and when all are it
 * *soaks*: a second look at each of them, again and again.  A device has failed that was left as it was, that is not
 * ready, or that sends while nothing of it passes (in a minute, or at the end of the soak).  More of these than may
 * be, or more dead letters, and the run stands still or goes back: each device to the mode that it had before the
 * first wave that took it.  After a restart all of them have another minute.
 *
 * A device that somebody else has set to another mode since a wave set it is *kept*: no wave of the run sets it and no
 * way back, it does not count, and it is told of.  Given the wave's mode again, it is the wave's again.
 *
 * Pure: no clock, no store, no table.  Who drives it asks waves_next() what is to be done, does that, and says so.
 * All of it is in rows, so that a run goes on after a restart where it was.  Machine names "wave" and "wave-device". */
#ifndef BRIDGE_WAVES_H
#define BRIDGE_WAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fleet/fleet.h"
#include "fleet/wave_list.h"
#include "message/outcome.h"

struct buf;
struct changes;
struct err;
struct machine;
struct waves;

enum waves_phase { WAVES_NONE, WAVES_RUNNING, WAVES_STOPPED, WAVES_DONE, WAVES_BACK, WAVES_UNDONE };
#define WAVES_PHASES (WAVES_UNDONE + 1)
enum wave_state { WAVE_WAITS, WAVE_SETS, WAVE_SOAKS, WAVE_PASSED, WAVE_STOPPED, WAVE_UNDONE };
#define WAVE_STATES (WAVE_UNDONE + 1)
extern const char *const waves_phase_names[WAVES_PHASES], *const wave_state_names[WAVE_STATES];

#define WAVES_LOOK_MS	  1000
#define WAVES_PATIENCE_MS 60000 /* to log in, and for a message to get there */

struct waves *waves_new(void);
void waves_free(struct waves *w); /* NULL is allowed */
/* The time of day less the times that are handed in. */
void waves_set_ahead(struct waves *w, int64_t ahead_ms);

/* --- what people want.  False sets *e (ERR_BUSY, ERR_NOT_FOUND): nothing is changed */

/* Run this (taken in any case).  After a run that stopped it is the rest of that: waves of the same name that passed
 * are passed over (none of a way back that was stopped), and the way back is that of both; after one that is done, or
 * undone, a new one begins. */
bool waves_run(struct waves *w, struct wave_list *list, const char *who, struct changes *out,
	       struct err *e);
bool waves_stop(struct waves *w, const char *who, struct changes *out, struct err *e);
/* Each device of the waves so far goes back. */
bool waves_roll_back(struct waves *w, const char *who, struct changes *out, struct err *e);

/* --- what is to be done */

enum waves_step {
	WAVES_REST,  /* nothing, until waves_next_deadline() */
	WAVES_TAKE,  /* say who is in the wave: waves_take() */
	WAVES_SET,   /* the device to the wave's mode: waves_was_set(), or waves_was_kept() */
	WAVES_UNSET, /* the device back to `mode`: waves_was_unset(), or waves_was_kept() */
	WAVES_LOOK   /* at all of them: waves_look() */
};
struct waves_next {
	enum waves_step step;
	const struct wave *wave; /* NULL: the way back */
	const char *device;
	enum fleet_mode mode;
};
/* What is borrowed is so until the next call. */
struct waves_next waves_next(struct waves *w, int64_t now_ms, struct changes *out);
void waves_take(struct waves *w, char **names, size_t n); /* borrowed */
/* From which mode; or why it was left alone (copied; NULL: it was not). */
void waves_was_set(struct waves *w, const char *device, enum fleet_mode before, const char *left,
		   int64_t now_ms, struct changes *out);
void waves_was_unset(struct waves *w, const char *device, struct changes *out);
/* Its mode is `now`: has somebody else set that, since a wave of this run set another? */
bool waves_is_changed(const struct waves *w, const char *device, enum fleet_mode now);
/* It was, or may not be set back: it stays as it is.  `why` is copied. */
void waves_was_kept(struct waves *w, const char *device, const char *why, struct changes *out);
/* Why nothing can pass for this device, with whether that may change by itself; NULL: it can. */
enum waves_comes {
	WAVES_NEVER,
	WAVES_SOON,  /* in a minute */
	WAVES_LATER, /* while it soaks */
	WAVES_OTHERS /* it has another mode than the wave's: somebody else has set that */
};
typedef const char *waves_lacks(void *ctx, const char *device, enum waves_comes *comes);
void waves_look(struct waves *w, waves_lacks *lacks, void *ctx, int64_t now_ms,
		struct changes *out);
int64_t waves_next_deadline(const struct waves *w); /* INT64_MAX: none */

/* --- what is heard of devices */

/* Is it one of the wave that runs? */
bool waves_watches(const struct waves *w, const char *device);
/* A message of it came in, at this time; what became of it. */
void waves_accepted(struct waves *w, const char *device, enum flow flow, int64_t at_ms);
void waves_settled(struct waves *w, const char *device, enum flow flow, enum outcome end,
		   int64_t at_ms);
/* What is to be written of that. */
void waves_put_due(struct waves *w, struct changes *out);

/* --- looking; borrowed */

struct wave_count {
	enum wave_state state;
	int64_t devices, failures, dead_letters;
	int64_t begun_ms, set_ms; /* 0: not yet */
};
struct waves_failing {
	const char *device, *why;
};
#define WAVES_TOLD 20 /* devices, of each kind */
enum waves_phase waves_phase(const struct waves *w);
const struct wave_list *waves_list(const struct waves *w);
size_t waves_at(const struct waves *w); /* the number of the wave that runs, or did last */
const struct wave_count *waves_count(const struct waves *w, size_t i);
const char *waves_who(const struct waves *w); /* ran it; "": nobody did */
const char *waves_why(const struct waves *w); /* it stopped, or goes back; "": it did not */
/* Some of the devices that have failed in the wave that runs, or did last. */
const struct waves_failing *waves_failing(const struct waves *w, size_t *n);
/* Some of the devices that are kept, of all waves of the run, into told[WAVES_TOLD]; how many are. */
size_t waves_kept(const struct waves *w, struct waves_failing *told, size_t *n_told);
/* Has the phase, the wave that runs or its state changed since this was asked last?  *was_at: that wave, then. */
bool waves_has_news(struct waves *w, size_t *was_at);

bool waves_restore(struct waves *w, const char *key, const char *value, struct err *e);
bool waves_restore_device(struct waves *w, const char *key, const char *value, struct err *e);

extern const struct machine waves_machine, wave_device_machine; /* state/machine.h */

#endif
