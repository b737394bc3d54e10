/* waves_inside.h -- what waves.c and waves_rows.c share.  Nobody else includes it. */
#ifndef BRIDGE_WAVES_INSIDE_H
#define BRIDGE_WAVES_INSIDE_H

#include "base/map.h"
#include "fleet/waves.h"

#define WAVE_MACHINE	    "wave"	  /* rows "run", "failing", "spec/NUMBER", "count/NUMBER" */
#define WAVE_DEVICE_MACHINE "wave-device" /* rows are keyed by device */

/* A device that a wave of this run took. */
struct wave_device {
	char *name, *wave;	       /* the last that took it */
	enum fleet_mode before, given; /* by a wave; DEFAULT: rows of earlier versions do not say */
	bool is_given;		       /* some wave has set it, so there is a way back */
	char *left;		       /* why the last wave left it as it was; NULL: it did not */
	char *kept;	 /* somebody else has set it: it is not for waves; NULL: it is */
	int64_t at_ms;	 /* when it was set, as far as the wave is concerned */
	bool is_set;	 /* in this attempt of its wave */
	bool has_passed; /* a message, since then */
	/* Of this run of the program: */
	unsigned n_waiting; /* messages that came in and have not got there */
	int64_t first_ms;   /* when the first of them did */
	bool is_due, is_listed;
};

struct waves {
	enum waves_phase phase;
	struct wave_list list;
	struct wave_count *counts; /* of each */
	size_t at;
	char *who, *why; /* never NULL */
	struct map devices;
	int64_t ahead_ms;
	/* What is to be set, or set back. */
	char **todo;
	size_t n_todo, at_todo;
	bool has_todo;
	int64_t look_ms;
	int64_t since_ms; /* in this run of the program; 0: nothing was asked yet */
	bool is_due;	  /* something of `counts` or of devices is to be written */
	bool has_due_devices;
	struct waves_failing failing[WAVES_TOLD]; /* owned texts */
	size_t n_failing;
	enum waves_phase told_phase;
	enum wave_state told_state;
	size_t told_at;
};

void wave_device_free(void *d);
void waves_note_failing(struct waves *w, const char *device, const char *why);
void waves_put_run(const struct waves *w, struct changes *out);
void waves_put_specs(const struct waves *w, struct changes *out);
void waves_put_count(const struct waves *w, size_t i, struct changes *out);
void waves_put_device(const struct wave_device *d, struct changes *out);
void waves_put_failing(const struct waves *w, struct changes *out);
/* All rows go. */
void waves_delete_rows(const struct waves *w, struct changes *out);

#endif
