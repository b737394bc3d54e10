/* state.h -- what the state machines remember: a table of rows by link, machine and key.  Secret rows
 * are sealed. */
#ifndef BRIDGE_STATE_H
#define BRIDGE_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct changes;
struct db;
struct err;

/* Call `each` for every row of `link`, in the order the rows were first put.  False: ERR_IO,
 * ERR_CORRUPT, or `each` returned false (then *e is what it set). */
bool state_load(struct db *db, const char *link,
		bool (*each)(void *ctx, const char *machine, const char *key, const char *value,
			     struct err *e),
		void *ctx, struct err *e);

/* Call `each` for every link that has rows, with their number. */
bool state_count(struct db *db, void (*each)(void *ctx, const char *link, size_t n), void *ctx,
		 struct err *e);

/* Write the changes of one step of `link` into the open transaction (one is begun if there is none).
 * NOT durable until db_commit() has returned true.  False (ERR_IO, ERR_CORRUPT): the whole
 * transaction is rolled back, earlier steps in it too, and the next db_commit() is false as well. */
bool state_apply(struct db *db, const char *link, const struct changes *c, struct err *e);

#endif
