#include "core/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

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

void changes_fini(struct changes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct change *it = &c->items[i];

		free(it->key);
		if (it->is_secret && it->value)
			mem_free_secret(it->value, strlen(it->value));
		else
			free(it->value);
	}
	free(c->items);
	*c = (struct changes){ 0 };
}
