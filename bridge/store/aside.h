/* aside.h -- rows that could not be read back.
 *
 * A row that is damaged, or that this calque does not understand, must not keep the bridge from its other
 * rows: it is moved here as it is, with the reason, and nothing reads it again.  The newest thousand are kept,
 * for who wants to know what was lost. */
#ifndef BRIDGE_ASIDE_H
#define BRIDGE_ASIDE_H

#include <stdbool.h>
#include <stdint.h>

struct db;
struct err;

struct aside_row {
	uint64_t id;
	const char *link;
	const char *part;   /* "journal", else the machine whose row it was */
	const char *key;    /* which of its rows; of the journal: its number */
	const char *reason; /* why it could not be read */
	int64_t at_ms;	    /* when that was seen */
	int64_t bytes;
};

/* Move the row number `seq` of the state, or of the journal (with what is marked of it), into the open
 * transaction (one is begun if there is none).  False (ERR_IO, ERR_FULL, ERR_CORRUPT): the whole
 * transaction is rolled back. */
bool aside_state(struct db *db, int64_t seq, const char *reason, struct err *e);
bool aside_journal(struct db *db, int64_t seq, const char *reason, struct err *e);

/* How many there are.  ERR_IO. */
bool aside_count(struct db *db, uint64_t *n, struct err *e);
/* Call `each` for every one, the oldest first, until it returns false; what it is given is borrowed for the call.
 * ERR_IO. */
bool aside_each(struct db *db, bool (*each)(void *ctx, const struct aside_row *row), void *ctx,
		struct err *e);

#endif
