/* drafts.h -- a directory of edited mapping files, the first of a mapping path, as long as they are tried.
 *
 * Files, since jq reads those.  Whatever else is in it goes: it is nobody else's. */
#ifndef BRIDGE_DRAFTS_H
#define BRIDGE_DRAFTS_H

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Have `name`.jq be in `dir`, which is made if it is not there, for this user alone.  `name` is a mapping's
 * (jq/mapping_path.h).  False sets *e (ERR_IO). */
bool drafts_put(const char *dir, const char *name, const char *text, size_t n, struct err *e);
/* Remove all of it, and itself. */
void drafts_clear(const char *dir);

#endif
