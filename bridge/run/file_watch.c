/* file_watch.c -- of each file three states: what is known, what was seen at the look before, and at the last one.
 * The last is only the looker's until it has ended. */
#include "run/file_watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

struct state {
	int error; /* of stat(); then the rest is 0 */
	dev_t device;
	ino_t inode;
	off_t size;
	mode_t mode;
	uid_t owner;
	gid_t group;
	struct timespec changed;
};

struct file {
	char *path;
	struct state known, before, seen;
};

struct file_watch {
	struct file *items; /* from the first note on in the order of their paths, each once */
	size_t n;
	bool is_sorted;
};

struct file_watch *file_watch_new(void)
{
	return mem_zalloc(sizeof(struct file_watch));
}

void file_watch_free(struct file_watch *w)
{
	for (size_t i = 0; w && i < w->n; i++)
		free(w->items[i].path);
	if (w)
		free(w->items);
	free(w);
}

void file_watch_add(struct file_watch *w, const char *path)
{
	if (!path)
		return;
	w->items = mem_grow(w->items, w->n, sizeof *w->items);
	w->items[w->n++] = (struct file){ .path = mem_strdup(path) };
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void sort(struct file_watch *w)
{
	size_t n = 0;

	if (w->n)
		qsort(w->items, w->n, sizeof *w->items, by_path);
	for (size_t i = 0; i < w->n; i++)
		if (n && strcmp(w->items[n - 1].path, w->items[i].path) == 0)
			free(w->items[i].path);
		else
			w->items[n++] = w->items[i];
	w->n = n;
	w->is_sorted = true;
}

static struct state look_at(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct state){ .error = errno };
	return (struct state){ 0,	   st.st_dev, st.st_ino, st.st_size,
			       st.st_mode, st.st_uid, st.st_gid, st.st_mtim };
}

static bool is_same(const struct state *a, const struct state *b)
{
	return a->error == b->error && a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && a->mode == b->mode && a->owner == b->owner &&
	       a->group == b->group && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

void file_watch_note(struct file_watch *w)
{
	if (!w->is_sorted)
		sort(w);
	for (size_t i = 0; i < w->n; i++)
		w->items[i].known = w->items[i].before = look_at(w->items[i].path);
}

void file_watch_adopt(struct file_watch *w, const struct file_watch *from)
{
	for (size_t i = 0, j = 0; i < w->n; i++) {
		while (j < from->n && by_path(&from->items[j], &w->items[i]) < 0)
			j++;
		if (j < from->n && by_path(&from->items[j], &w->items[i]) == 0)
			w->items[i].known = w->items[i].before = from->items[j].known;
	}
}

void file_watch_look(struct file_watch *w)
{
	for (size_t i = 0; i < w->n; i++)
		w->items[i].seen = look_at(w->items[i].path);
}

enum file_watch_verdict file_watch_compare(struct file_watch *w, const char **path, size_t *n)
{
	bool is_moving = false;

	*n = 0;
	for (struct file *f = w->items; f < w->items + w->n; f++) {
		if (!is_same(&f->seen, &f->before))
			is_moving = true;
		if (!is_same(&f->seen, &f->known) && ++*n == 1)
			*path = f->path;
		f->before = f->seen;
	}
	return !*n ? FILES_SAME : is_moving ? FILES_MOVING : FILES_QUIET;
}
