/* slow.c -- rows that take too long for a device, again and again: for a while their jobs go to the slow lane of the
 * executor, so that they hold up nobody else.  Each is still tried.
 *
 * Kept is what overran the last time it was done: few, so that all else costs nothing.  What has not been done for as
 * long as the slow lane takes leaves, and of what a hostile south could make there are never more than MOST. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "link/link_inside.h"

#define OVERRUNS 3 /* in a row */
#define MOST	 256

struct slow {
	unsigned n; /* overruns in a row */
	int64_t until_ms;
	int64_t last_ms; /* when it last overran */
	size_t key_len;
	char key[];
};

/* What is done, and for whom: in a buffer of the link's, which is used again. */
static const struct buf *key_of(const struct task *t)
{
	const char *device = t->sequence->device ? t->sequence->device : "";
	const void *what = t->job.type == JOB_READ ? (const void *)t->job.readers[0]->row
						   : (const void *)&kind_table[t->job.plain.kind];
	struct buf *key = &t->link->slow_key;

	buf_reset(key);
	buf_append(key, &what, sizeof what);
	buf_putc(key, t->job.side == SOUTH ? 's' : 'n');
	buf_puts(key, device);
	return key;
}

static struct slow *find(const struct task *t)
{
	const struct buf *key;

	if (t->link->slow.n == 0)
		return NULL;
	key = key_of(t);
	return map_get(&t->link->slow, key->data, key->len);
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

static void leave(struct link *l, struct slow *s)
{
	map_remove(&l->slow, s->key, s->key_len);
	free(s);
}

/* Those that have not been done for long; and if there are too many all the same, the one that is so the longest. */
static void make_room(struct link *l)
{
	struct map_pos pos = { 0 };
	struct slow *s, *oldest = NULL;

	while ((s = map_next(&l->slow, &pos)) != NULL)
		if (s->last_ms + LINK_SLOW_MS <= l->latest_ms && s->until_ms <= l->latest_ms)
			leave(l, s);
		else if (!oldest || s->last_ms < oldest->last_ms)
			oldest = s;
	if (oldest && l->slow.n >= MOST)
		leave(l, oldest);
}

static struct slow *add(const struct task *t)
{
	struct link *l = t->link;
	const struct buf *key;
	struct slow *s;

	if (l->slow.n >= MOST || l->latest_ms >= l->slow_sweep_ms) {
		make_room(l);
		l->slow_sweep_ms = l->latest_ms + LINK_SLOW_MS;
	}
	key = key_of(t);
	s = mem_zalloc(sizeof *s + key->len);
	s->key_len = key->len;
	memcpy(s->key, key->data, key->len);
	map_set(&l->slow, s->key, s->key_len, s);
	return s;
}

static void note_overrun(struct task *t)
{
	struct link *l = t->link;
	enum kind kind = t->job.type == JOB_READ ? t->job.readers[0]->row->kind : t->job.plain.kind;
	struct slow *s = find(t);

	if (!s)
		s = add(t);
	s->last_ms = l->latest_ms;
	if (++s->n < OVERRUNS || s->until_ms > l->latest_ms)
		return;
	s->until_ms = l->latest_ms + LINK_SLOW_MS;
	if (l->ops.slowed)
		l->ops.slowed(l->ctx, t->sequence->device ? t->sequence->device : "", kind);
}

void slow_note(struct task *t, const struct results *results)
{
	struct slow *s;

	if (has_overrun(results))
		note_overrun(t);
	else if ((s = find(t)) != NULL && s->until_ms > t->link->latest_ms)
		s->n = 0;
	else if (s)
		leave(t->link, s);
}

void slow_free(struct link *l)
{
	map_fini(&l->slow, free);
	buf_fini(&l->slow_key);
}
