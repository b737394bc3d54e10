/* reserve.h -- space on the disk that is kept for the day it is full: a file in the state directory,
 * allocated for real.  Given up, it is room for what must still be written so that messages can go out
 * and their space comes back. */
#ifndef BRIDGE_RESERVE_H
#define BRIDGE_RESERVE_H

#include <stdbool.h>

struct directory;
struct err;

/* As much as SQLite's write-ahead log usually grows to: what it holds can be taken into the database,
 * and there is room for the settled after that. */
#define RESERVE_BYTES (4 << 20)

/* Make the file, if there is room for twice its size.  True, too, if it is there.  False sets *e, and it is
 * not there: ERR_FULL there is not that much room; ERR_IO there is, and something else is wrong.  What stands in its
 * place (a link, a directory) is left alone. */
bool reserve_make(const struct directory *dir, struct err *e);
/* Give it up.  False: it was not there. */
bool reserve_release(const struct directory *dir);

#endif
