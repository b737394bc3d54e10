/* layout.h -- the tables of a database and their version (PRAGMA user_version): made, or brought up from
 * those of an older calque. */
#ifndef BRIDGE_LAYOUT_H
#define BRIDGE_LAYOUT_H

#include <stdbool.h>

struct db;
struct err;

/* What the sums of rows that are not sealed are of; in a statement over the table. */
#define LAYOUT_STATE_SUM   "calque_sum(link, machine, key, value, is_secret)"
#define LAYOUT_PENDING_SUM "calque_sum(pending.seq, link, side, n, is_own, received_ms)"
#define LAYOUT_MARK_SUM	   "calque_sum(mark.seq, settled)"

/* From one version to the next. */
struct layout_step {
	const char *sql;			       /* first; NULL: none */
	bool (*convert)(struct db *db, struct err *e); /* then rows; NULL: none */
	const char *end_sql;			       /* at last; NULL: none */
};

struct layout {
	int version;	    /* of what `tables` makes */
	const char *tables; /* SQL, for a database without any */
	/* The last one leads to `version`, the first one from the oldest that can be taken over. */
	const struct layout_step *steps;
	int n_steps;
};

/* What this calque writes. */
extern const struct layout layout_calque;

/* Read the version of what was opened; 0: it has no tables yet.  False: ERR_INVALID it is newer, or too
 * old, and nothing was changed; ERR_CORRUPT; ERR_IO. */
bool layout_read(struct db *db, const struct layout *layout, int *version, struct err *e);
/* Make the tables, in the transaction, which is begun if there is none. */
bool layout_make(struct db *db, const struct layout *layout, struct err *e);
/* Bring it up from `version`, in one transaction of its own.  False: it is as it was. */
bool layout_bring_up(struct db *db, const struct layout *layout, int version, struct err *e);

#endif
