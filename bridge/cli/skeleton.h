/* skeleton.h -- what `calque new` writes: a small dialect that works, with words about everything that
 * could be added. */
#ifndef BRIDGE_SKELETON_H
#define BRIDGE_SKELETON_H

struct buf;

/* Append the mapping called `name` (as skeleton_name_mistake() wants it), and its cases. */
void skeleton_put_mapping(const char *name, struct buf *out);
void skeleton_put_cases(const char *name, struct buf *out);

/* What is wrong with this name for a new dialect; NULL: nothing. */
const char *skeleton_name_mistake(const char *name);

#endif
