/* twin_rest.c -- twins in two shapes: as trees, of those that were used last, and as one text each of all others.  A
 * tree takes twenty times what its text does, and most devices of a fleet have nothing to do with their configuration
 * for days.
 *
 * Whoever asks for a twin gets it as trees, and has it so until many others have been asked for: nobody holds more than
 * one.  What rests is all of a twin that grows with its keys. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "state/twin_inside.h"

static const char *const names[] = { "doc", "keys", "reported", "notices", "open", "deleted" };
#define PARTS (sizeof names / sizeof names[0])

/* Where they are; of a push only if there is one. */
static size_t parts_of(struct twin *w, json_object **at[PARTS])
{
	at[0] = &w->doc;
	at[1] = &w->keys;
	at[2] = &w->reported;
	at[3] = &w->notices;
	if (!w->push)
		return 4;
	at[4] = &w->push->keys;
	at[5] = &w->push->deleted;
	return PARTS;
}

/* False: there is something that could not be read again. */
static bool put_text(struct buf *text, json_object **const at[], size_t n)
{
	json_object *again;

	for (size_t i = 0; i < n; i++) {
		buf_printf(text, "%c\"%s\":", i ? ',' : '{', names[i]);
		jtext_tree_put(text, *at[i]);
	}
	buf_putc(text, '}');
	again = jtext_tree(text->data, text->len, NULL);
	json_object_put(again);
	return again;
}

static bool rest(struct twin *w)
{
	json_object **at[PARTS];
	size_t n = parts_of(w, at);
	struct buf text = { 0 };

	if (count(w->unsaved) == 0 && put_text(&text, at, n)) {
		w->resting = mem_strdup(buf_str(&text)); /* no longer than it is */
		for (size_t i = 0; i < n; i++) {
			json_object_put(*at[i]);
			*at[i] = NULL;
		}
		json_object_put(w->unsaved);
		w->unsaved = twin_nothing();
	}
	buf_fini(&text);
	return w->resting;
}

static json_object *take(json_object *all, const char *name, bool is_pushs)
{
	json_object *part = json_object_object_get(all, name);

	return is_pushs || count(part) ? json_object_get(part) : twin_nothing();
}

static void wake(struct twin *w)
{
	json_object *all = jtext_tree(w->resting, strlen(w->resting), NULL);
	json_object **at[PARTS];
	size_t n = parts_of(w, at);

	assert(all); /* it is our own */
	for (size_t i = 0; i < n; i++)
		*at[i] = take(all, names[i], i >= 4);
	json_object_put(all);
	free(w->resting);
	w->resting = NULL;
}

/* False: the last is one that has yet to be saved, or cannot be a text; it goes to the front. */
static bool rest_last(struct twins_awake *awake)
{
	struct twin *w = TAILQ_LAST(&awake->list, twin_list);
	bool rests = rest(w);

	TAILQ_REMOVE(&awake->list, w, awake);
	if (rests)
		awake->n--;
	else
		TAILQ_INSERT_HEAD(&awake->list, w, awake);
	return rests;
}

struct twin *twin_get(const struct twins *t, const char *device)
{
	struct twin *w = map_get_str(&t->twins, device);

	while (t->awake->n > t->awake->most && rest_last(t->awake))
		;
	if (!w)
		return NULL;
	if (w->resting)
		wake(w);
	else
		twin_sleep(t, w);
	TAILQ_INSERT_HEAD(&t->awake->list, w, awake);
	t->awake->n++;
	return w;
}

void twins_set_awake(struct twins *t, size_t most)
{
	t->awake->most = most;
}

void twin_add(struct twins *t, struct twin *w)
{
	TAILQ_INSERT_HEAD(&t->awake->list, w, awake);
	t->awake->n++;
}

void twin_sleep(const struct twins *t, struct twin *w)
{
	if (w->resting)
		return;
	TAILQ_REMOVE(&t->awake->list, w, awake);
	t->awake->n--;
}
