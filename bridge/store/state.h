/* state.h -- the state directory: what the bridge must know again after a restart.
 *
 * DIR (0700) holds calque.db (SQLite, WAL, synchronous=FULL, one connection), `key` (0600, 32 random
 * bytes made at first use, which encrypts secret rows) and `lock`.  Tables: state(link, machine, key,
 * value, is_secret), meta.  One process per directory.  Loop thread only. */
#ifndef BRIDGE_STATE_H
#define BRIDGE_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct changes;
struct err;
struct state;

/* Open `dir`, creating it (0700) and what it holds.  `key_file`: a file with the encryption key to
 * use instead of DIR/key (exactly 32 bytes, or 64 hexadecimal digits); NULL: DIR/key.
 * NULL sets *e: ERR_BUSY another process has it; ERR_INVALID the directory or key file can be read
 * by others, or the key is no key, or a newer calque wrote the database; ERR_CORRUPT the database is damaged or sealed with another key;
 * ERR_IO. */
struct state *state_open(const char *dir, const char *key_file, struct err *e);
void state_close(struct state *s); /* NULL is allowed; what was not committed is lost */

/* A short random name of this installation, made once; borrowed.  Part of default client ids. */
const char *state_instance(const struct state *s);

/* Call `each` for every row of `link`, in the order the rows were first put.  False: ERR_IO,
 * ERR_CORRUPT, or `each` returned false (then *e is what it set). */
bool state_load(struct state *s, const char *link,
		bool (*each)(void *ctx, const char *machine, const char *key, const char *value,
			     struct err *e),
		void *ctx, struct err *e);

/* Write the changes of one step of `link` into the open transaction (one is begun if there is none).
 * NOT durable until state_commit() has returned true.  False (ERR_IO, ERR_CORRUPT): the whole
 * transaction is rolled back, earlier steps in it too, and the next state_commit() is false as well. */
bool state_apply(struct state *s, const char *link, const struct changes *c, struct err *e);
/* Make everything applied durable.  Cheap if nothing was.  False: ERR_IO; the transaction is rolled
 * back and nothing that depends on it may leave.  After a full disk it can be tried again with the
 * next step; after an I/O error nothing is accepted any more until a restart. */
bool state_commit(struct state *s, struct err *e);

#endif
