/* db.h -- the state directory: what the bridge must know again after a restart.
 *
 * DIR (0700) holds calque.db (SQLite, WAL, synchronous=FULL, one connection), `key` (0600, 32 random bytes made at
 * first use, which seals what is secret), `lock`, `heartbeat` (disk/heartbeat.h) and `reserve` (reserve.h); after a
 * crash, for the next start, also `crash` (work/crash.h), and while the key is changed, `key.new`.  One process per
 * directory.  The tables are those of state.h and journal.h; what both write between two commits is one transaction.
 * Loop thread only, but for the COMMIT that db_lend() lends to another (db_inside.h). */
#ifndef BRIDGE_DB_H
#define BRIDGE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct directory;
struct err;
struct heartbeat;

/* Open `dir`, creating it (0700) and what it holds.  `key_file`: a file with the encryption key to
 * use instead of DIR/key (exactly 32 bytes, or 64 hexadecimal digits); NULL: DIR/key.  The database
 * of an older calque is brought up to date.
 * NULL sets *e: ERR_BUSY another process has it; ERR_INVALID the directory or key file can be read
 * by others, or the key is no key, or a calque wrote the database that is newer or too old (layout.h); ERR_CORRUPT the
 * database is damaged or sealed with another key; ERR_IO. */
struct db *db_open(const char *dir, const char *key_file, struct err *e);
/* Without it, db_commit() does not wait for the disk (SQLite's synchronous=NORMAL): what a crash of the
 * system or a power cut finds is whole, and lacks the last commits, at most those since the write-ahead
 * log was last taken into the database.  A crash of calque alone loses nothing.  On by default. */
bool db_set_sync(struct db *db, bool is_sync, struct err *e);
void db_close(struct db *db); /* NULL is allowed; what was not committed is lost */
/* Borrowed. */
const struct directory *db_directory(const struct db *db);

/* Who has the directory, told to other machines; to be renewed by whoever has it for long.  Borrowed. */
struct heartbeat *db_heartbeat(struct db *db);
/* Another has the directory now: nothing of it is written any more, not by db_close() either. */
void db_leave(struct db *db);

/* The time goes on as it was noted here last (base/clock.h), which opening sees to.  False: nobody knows how long
 * ago that was. */
bool db_knows_time(const struct db *db);
/* Note it in the open transaction, if there is one and the last note is old, or in any case.  False: ERR_IO as
 * db_commit(). */
bool db_note_time(struct db *db, bool in_any_case, struct err *e);

/* A key for `purpose`, always the same, from the one of the directory. */
void db_derive_key(const struct db *db, const char *purpose, uint8_t out[32]);

/* A short random name of this installation, made once; borrowed.  Part of default client ids. */
const char *db_instance(const struct db *db);

/* Was anything written since the last commit? */
bool db_is_writing(const struct db *db);
/* How often a transaction was rolled back: what was remembered of it is not true any more. */
unsigned long db_rollbacks(const struct db *db);
/* Make everything written durable.  Cheap if nothing was.  False: ERR_IO; the transaction is rolled
 * back and nothing that depends on it may leave.  After ERR_FULL (no space on the disk) all of it can
 * be tried again; after an I/O error nothing is accepted any more until a restart. */
bool db_commit(struct db *db, struct err *e);

/* Give space that is no longer used back to the disk, as far as can be done in a moment; nothing while a transaction
 * is open. */
void db_give_back(struct db *db);

/* Call `each` with each thing that is wrong, in one line: pages and indexes, and rows whose sum is of something else,
 * by their link.  All of it is read.  False: ERR_IO, ERR_CORRUPT. */
bool db_check(struct db *db, void (*each)(void *ctx, const char *what), void *ctx, struct err *e);

/* Copy what is committed to a new file `path` (0600), and the key, if it is the one of the directory, to `path`.key.
 * Both are on the disk then.  It takes as long as reading and writing all of it.
 * False: ERR_INVALID one of them is there already; ERR_IO, ERR_FULL: nothing is left of them. */
bool db_backup(struct db *db, const char *path, struct err *e);

/* A new random key in the place of the one there is, and everything sealed anew with it, in one transaction.  It takes
 * as long as reading and writing all of it.  A kill at any moment leaves the old key or the new one, and the next
 * db_open() ends what was begun.  Rows that cannot be unsealed stay as they are, and are as unreadable as before:
 * *n_unread of them.  What db_derive_key() gave is another's now.
 * Nothing may be open in a transaction.  False: ERR_IO, ERR_FULL, ERR_CORRUPT: the old key is that of the directory, or
 * after a failure of the disk itself what the next db_open() finds. */
bool db_rotate_key(struct db *db, size_t *n_unread, struct err *e);

/* What is of the link `from` is of `to` from now on, in the open transaction (begun if there is none): what it
 * remembers, its messages and dead letters.  *is_done: there was something.  It takes as long as reading all that is
 * sealed.  False: ERR_INVALID there are rows of both, and nothing is changed; ERR_IO, ERR_FULL, ERR_CORRUPT: as
 * after any write that fails (state_apply()). */
bool db_rename_link(struct db *db, const char *from, const char *to, bool *is_done, struct err *e);
/* The name by which brokers know a link: its first.  Caller frees. */
char *db_known_as(struct db *db, const char *link);

#endif
