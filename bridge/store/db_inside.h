/* db_inside.h -- what the tables need of the database.  Included by store/ only. */
#ifndef BRIDGE_DB_INSIDE_H
#define BRIDGE_DB_INSIDE_H

#include <stddef.h>

#include <sqlite3.h>

#include "store/db.h"

struct buf;
struct directory;
struct keyfile;

const char *db_dir(const struct db *db);
sqlite3 *db_sqlite(struct db *db); /* to copy it */

/* False: an earlier write failed. */
bool db_usable(const struct db *db, struct err *e);
/* The open transaction, begun if there is none.  False: nothing can be written. */
bool db_begin(struct db *db, struct err *e);
/* A write failed: roll back what was written since the last commit; the next commit is false.
 * Returns false. */
bool db_break(struct db *db);

/* db_commit() in two halves, the first of which waits for the disk in another thread:
 *
 * Lend the open transaction; `wait(ctx)` is to return when db_commit_lent() has.  Until then it is called by
 * whoever wants anything of the database, so that nobody but that thread is at it.  False: there is nothing to
 * commit, or it cannot be: nothing is lent. */
bool db_lend(struct db *db, void (*wait)(void *ctx), void *ctx);
void db_commit_lent(struct db *db); /* in that thread */
/* What has become of the last that was lent; waits for it.  False sets *e as db_commit(): it is rolled back, and the
 * next db_commit() is false, too. */
bool db_take_back(struct db *db, struct err *e);

/* Run statements that need no values and give no rows. */
bool db_exec(struct db *db, const char *sql, const char *what, struct err *e);
/* The prepared statement of `sql`, a constant; kept until db_close().  NULL sets *e. */
sqlite3_stmt *db_statement(struct db *db, const char *sql, struct err *e);
/* Done with it until the next time; what was bound is not ours. */
void db_release(sqlite3_stmt *stmt);
/* Step once a statement that gives no rows, and release it.  `is_bound`: binding went well. */
bool db_run(struct db *db, sqlite3_stmt *stmt, bool is_bound, const char *what, struct err *e);
/* What SQLite said, never what was bound.  Returns false. */
bool db_failed(struct db *db, const char *what, struct err *e);
/* The file says what no calque has written: which, and how; and what is to be done.  Returns false. */
bool db_damaged(const struct db *db, const char *what, const char *how, struct err *e);
/* (Statements have a function calque_sum(…), of all its arguments.) */

/* crypto_seal() and crypto_open() with the key of the directory. */
bool db_seal(struct db *db, const char *context, const void *plain, size_t n, struct buf *out,
	     struct err *e);
bool db_unseal(struct db *db, const char *context, const void *sealed, size_t n, struct buf *out,
	       struct err *e);

/* What is sealed in a table, so that it can be sealed anew; a column of statements that read it. */
struct db_sealed {
	const char
		*each; /* its rows: number, what is sealed, the link, and what `context` asks for */
	const char *put; /* ?1 the number, ?2 sealed anew */
	/* What the row on which `row` stands may be bound to, if it is of `link`: the i-th guess, which caller frees;
	 * NULL: no more. */
	char *(*context)(sqlite3_stmt *row, const char *link, unsigned i);
};
extern const struct db_sealed state_sealed, journal_sealed, deadletter_sealed, aside_sealed;

/* Another key: where the key is; that `key` is the right one, into the open transaction; and from now on. */
const struct keyfile *db_keyfile(const struct db *db);
bool db_put_check(struct db *db, const uint8_t key[32], struct err *e);
void db_use_key(struct db *db, const uint8_t key[32]);

/* An empty buffer for what is sealed, until the next call. */
struct buf *db_scratch(struct db *db);
/* buf_fini() for what may have been a secret. */
void db_wipe(struct buf *b);

#endif
