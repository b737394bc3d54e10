/* watch.h -- waits for files of mappings to change. */
#ifndef BRIDGE_WATCH_H
#define BRIDGE_WATCH_H

#include <stdbool.h>

struct buf;
struct err;
struct mapping_path;
struct watch;

/* Watch the directories that there are; from now on no change is missed.  NULL sets *e: none can be
 * watched (ERR_IO). */
struct watch *watch_open(const struct mapping_path *dirs, struct err *e);
void watch_close(struct watch *w); /* NULL is allowed */

/* Wait until a .jq or .cases.json file was written, came or went, and what changes with it has
 * too; its name replaces `file`.  ERR_IO: it cannot be waited for. */
bool watch_wait(struct watch *w, struct buf *file, struct err *e);

#endif
