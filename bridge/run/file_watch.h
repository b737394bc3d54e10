/* file_watch.h -- has one of these files become another one, and is it left alone by now?
 *
 * Files are looked at by name, as they are found then: editors put a new file in the place of the old one, others swap
 * a link on the way to it.  One that is not there is a state like any other.  What was there is not remembered, only
 * its inode, size, times and rights. */
#ifndef BRIDGE_FILE_WATCH_H
#define BRIDGE_FILE_WATCH_H

#include <stddef.h>

struct file_watch;

enum file_watch_verdict {
	FILES_SAME,
	FILES_MOVING, /* one has changed, and since the look before, too */
	FILES_QUIET   /* one has changed, and none since the look before */
};

struct file_watch *file_watch_new(void);
void file_watch_free(struct file_watch *w); /* NULL is allowed */

/* Before the first file_watch_note(); a file may be added several times.  `path` is copied; NULL is nothing. */
void file_watch_add(struct file_watch *w, const char *path);
/* As the files are now, so they are known.  Waits for the disk. */
void file_watch_note(struct file_watch *w);
/* What `from`, which was noted, knows of files that are in both holds for `w`, too. */
void file_watch_adopt(struct file_watch *w, const struct file_watch *from);

/* Look at them.  Waits for the disk; another thread may do it, while this one notes, adopts, but not compares or
 * frees. */
void file_watch_look(struct file_watch *w);
/* What the last look says.  Of FILES_QUIET, *path is one that changed (borrowed), and *n how many have. */
enum file_watch_verdict file_watch_compare(struct file_watch *w, const char **path, size_t *n);

#endif
