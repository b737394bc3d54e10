/* db_inside.h -- what the tables need of the database.  Included by store/ only. */
#ifndef BRIDGE_DB_INSIDE_H
#define BRIDGE_DB_INSIDE_H

#include <stddef.h>

#include <sqlite3.h>

#include "store/db.h"

struct buf;

const char *db_dir(const struct db *db);
int db_dir_fd(const struct db *db);
sqlite3 *db_sqlite(const struct db *db); /* to copy it */

/* False: an earlier write failed. */
bool db_usable(const struct db *db, struct err *e);
/* The open transaction, begun if there is none.  False: nothing can be written. */
bool db_begin(struct db *db, struct err *e);
/* A write failed: roll back what was written since the last commit; the next commit is false.
 * Returns false. */
bool db_break(struct db *db);

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
/* An empty buffer for what is sealed, until the next call. */
struct buf *db_scratch(struct db *db);
/* buf_fini() for what may have been a secret. */
void db_wipe(struct buf *b);

#endif
