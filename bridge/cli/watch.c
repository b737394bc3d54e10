#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "jq/mapping_path.h"

#define SETTLE_MS 30 /* editors write a file in several steps, and several files in a row */

struct watch {
	int fd;
};

struct watch *watch_open(const struct mapping_path *dirs, struct err *e)
{
	struct watch *w = mem_zalloc(sizeof *w);
	size_t n = 0;

	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (size_t i = 0; w->fd >= 0 && i < dirs->n; i++)
		n += inotify_add_watch(w->fd, dirs->dirs[i],
				       IN_CLOSE_WRITE | IN_MOVE | IN_DELETE) >= 0;
	if (n == 0) {
		err_errno(e, "no directory can be watched");
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		return NULL;
	}
	return w;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	close(w->fd);
	free(w);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* Read what has happened; true if any of it is ours. */
static bool read_events(struct watch *w, struct buf *file)
{
	_Alignas(struct inotify_event) char events[4096];
	bool is_ours = false;
	ssize_t n;

	while ((n = read(w->fd, events, sizeof events)) > 0) {
		for (char *p = events; p < events + n;) {
			const struct inotify_event *event = (void *)p;
			const char *name = event->len ? event->name : "";

			if (ends_with(name, ".jq") || ends_with(name, ".cases.json")) {
				is_ours = true;
				buf_reset(file);
				buf_puts(file, name);
			}
			p += sizeof *event + event->len;
		}
	}
	return is_ours;
}

bool watch_wait(struct watch *w, struct buf *file, struct err *e)
{
	struct pollfd fd = { .fd = w->fd, .events = POLLIN };
	bool is_changed = false;
	int n;

	while ((n = poll(&fd, 1, is_changed ? SETTLE_MS : -1)) != 0) {
		if (n < 0 && errno != EINTR) {
			err_errno(e, "wait for a change");
			return false;
		}
		is_changed = read_events(w, file) || is_changed;
	}
	return true;
}
