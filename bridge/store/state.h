/* state.h -- what the state machines remember: a table of rows by link, machine and key.  Secret rows
 * are sealed. */
#ifndef BRIDGE_STATE_H
#define BRIDGE_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct changes;
struct db;
struct err;

struct state_reader {
	/* A row.  False sets *e: ERR_CORRUPT, it makes no sense; else the load ends. */
	bool (*each)(void *ctx, const char *machine, const char *key, const char *value,
		     struct err *e);
	/* A row that could not be unsealed, or made no sense, is set aside (store/aside.h); why. */
	void (*aside)(void *ctx, const char *machine, const char *key, const char *why);
};
/* Read every row of `link`, in the order the rows were first put.  False: ERR_IO, or `each` returned
 * false (then *e is what it set). */
bool state_load(struct db *db, const char *link, const struct state_reader *reader, void *ctx,
		struct err *e);

/* Call `each` for every row of `link` that is no secret and can be read, in that order; nothing changes.  False:
 * ERR_IO. */
bool state_look(struct db *db, const char *link,
		void (*each)(void *ctx, const char *machine, const char *key, const char *value),
		void *ctx, struct err *e);

/* Call `each` for every link that has rows, with their number. */
bool state_count(struct db *db, void (*each)(void *ctx, const char *link, size_t n), void *ctx,
		 struct err *e);

/* Write the changes of one step of `link` into the open transaction (one is begun if there is none).
 * NOT durable until db_commit() has returned true.  False (ERR_IO, ERR_CORRUPT): the whole
 * transaction is rolled back, earlier steps in it too, and the next db_commit() is false as well. */
bool state_apply(struct db *db, const char *link, const struct changes *c, struct err *e);

/* What a secret value is bound to; no link and no machine has a '/' in its name.  Caller frees. */
char *state_context(const char *link, const char *machine, const char *key);

#endif
