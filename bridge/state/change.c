#include "state/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "message/state_json.h"

static void add(struct changes *c, const char *machine, const char *key, char *value,
		bool is_secret)
{
	c->items = mem_grow(c->items, c->n, sizeof *c->items);
	c->items[c->n++] = (struct change){ machine, mem_strdup(key), value, is_secret };
}

void changes_put(struct changes *c, const char *machine, const char *key, const char *value,
		 bool is_secret)
{
	add(c, machine, key, mem_strdup(value), is_secret);
}

void changes_delete(struct changes *c, const char *machine, const char *key)
{
	add(c, machine, key, NULL, false);
}

void changes_note(struct changes *c, const char *device, const char *who, const char *what,
		  const char *answer)
{
	struct buf note = { 0 };

	buf_puts(&note, "{\"who\":");
	state_json_put_text(&note, who);
	buf_puts(&note, ",\"what\":");
	state_json_put_text(&note, what);
	buf_puts(&note, ",\"answer\":");
	state_json_put_text(&note, answer);
	buf_putc(&note, '}');
	add(c, CHANGES_NOTE, device, buf_take(&note), false);
}

static void change_fini(struct change *it)
{
	free(it->key);
	if (it->is_secret && it->value)
		mem_free_secret(it->value, strlen(it->value));
	else
		free(it->value);
}

static void cut(struct changes *c, size_t n)
{
	c->n -= n;
	if (c->n > 0)
		memmove(c->items, c->items + n, c->n * sizeof *c->items);
	else
		changes_fini(c);
}

void changes_move(struct changes *to, struct changes *from, size_t n)
{
	if (to->n == 0 && n == from->n) {
		changes_fini(to);
		*to = *from;
		*from = (struct changes){ 0 };
		return;
	}
	for (size_t i = 0; i < n; i++) {
		to->items = mem_grow(to->items, to->n, sizeof *to->items);
		to->items[to->n++] = from->items[i];
	}
	cut(from, n);
}

void changes_drop(struct changes *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		change_fini(&c->items[i]);
	cut(c, n);
}

void changes_fini(struct changes *c)
{
	for (size_t i = 0; i < c->n; i++)
		change_fini(&c->items[i]);
	free(c->items);
	*c = (struct changes){ 0 };
}
