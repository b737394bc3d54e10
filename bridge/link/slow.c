/* slow.c -- rows that take too long for a device, again and again: for a while their jobs go to the slow lane of the
 * executor, so that they hold up nobody else.  Each is still tried.
 *
 * Kept is what overran the last time it was done: few, so that all else costs nothing. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "link/link_inside.h"

#define OVERRUNS 3 /* in a row */

struct slow {
	unsigned n; /* overruns in a row */
	int64_t until_ms;
};

/* What is done, and for whom. */
static void put_key(const struct task *t, struct buf *out)
{
	const char *device = t->sequence->device ? t->sequence->device : "";

	if (t->job.type == JOB_READ)
		buf_printf(out, "read/%d/%p/%s", (int)t->job.side,
			   (const void *)t->job.readers[0]->row, device);
	else
		buf_printf(out, "write/%d/%d/%s", (int)t->job.side, (int)t->job.plain.kind, device);
}

static struct slow *find(const struct task *t)
{
	struct buf key = { 0 };
	struct slow *found;

	if (t->link->slow.n == 0)
		return NULL;
	put_key(t, &key);
	found = map_get_str(&t->link->slow, key.data);
	buf_fini(&key);
	return found;
}

bool slow_is(const struct task *t)
{
	const struct slow *s = find(t);

	return s && s->until_ms > t->link->latest_ms;
}

static bool has_overrun(const struct results *results)
{
	for (size_t i = 0; i < results->n; i++)
		if (results->items[i].type == ITEM_REFUSED &&
		    results->items[i].reason == DEAD_MAPPING_OVERRUN)
			return true;
	return false;
}

static void note_overrun(struct task *t)
{
	struct link *l = t->link;
	enum kind kind = t->job.type == JOB_READ ? t->job.readers[0]->row->kind : t->job.plain.kind;
	struct slow *s = find(t);
	struct buf key = { 0 };

	if (!s) {
		s = mem_zalloc(sizeof *s);
		put_key(t, &key);
		map_set_str(&l->slow, key.data, s);
		buf_fini(&key);
	}
	if (++s->n < OVERRUNS || s->until_ms > l->latest_ms)
		return;
	s->until_ms = l->latest_ms + LINK_SLOW_MS;
	if (l->ops.slowed)
		l->ops.slowed(l->ctx, t->sequence->device ? t->sequence->device : "", kind);
}

void slow_note(struct task *t, const struct results *results)
{
	struct buf key = { 0 };
	struct slow *s;

	if (has_overrun(results)) {
		note_overrun(t);
	} else if ((s = find(t)) != NULL && s->until_ms > t->link->latest_ms) {
		s->n = 0;
	} else if (s) {
		put_key(t, &key);
		free(map_remove_str(&t->link->slow, key.data));
		buf_fini(&key);
	}
}

void slow_free(struct link *l)
{
	map_fini(&l->slow, free);
}
