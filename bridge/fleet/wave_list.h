/* wave_list.h -- what a file of waves says, and how it travels: as JSON. */
#ifndef BRIDGE_WAVE_LIST_H
#define BRIDGE_WAVE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fleet/choice.h"
#include "fleet/fleet.h"

struct buf;

#define WAVES_MAX    1000
#define WAVE_SOAK_MS (INT64_C(600) * 1000) /* where it does not say */

struct wave {
	char *name;
	struct choice choice;
	enum fleet_mode mode;			/* not DEFAULT */
	int64_t not_before_ms, not_after_ms;	/* time of day; 0: any */
	int64_t soak_ms;			/* how long it is looked at when all are set */
	int64_t max_failures, max_dead_letters; /* more than that is too much */
	bool rolls_back;			/* then all goes back, else it stands still */
	bool provisions, pushes;		/* struct mode_wish */
};

struct wave_list {
	char *file; /* for people; may be NULL */
	struct wave *items;
	size_t n;
};

/* A new one at the end, with the defaults. */
struct wave *wave_list_add(struct wave_list *l);
/* One of them as an object, and back: false, it is none.  *w is overwritten, and to be ended with wave_fini(). */
void wave_put(const struct wave *w, struct buf *out);
bool wave_get(struct wave *w, struct jslice from);
void wave_fini(struct wave *w);
/* All of them as an array, and back. */
void wave_list_put(const struct wave_list *l, struct buf *out);
bool wave_list_get(struct wave_list *l, struct jslice from);
void wave_list_fini(struct wave_list *l);

#endif
