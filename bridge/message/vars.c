#include "message/vars.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define MIN_SECRET 4

const struct var *vars_find(const struct vars *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->items[i].name, name) == 0)
			return &v->items[i];
	return NULL;
}

const char *vars_get(const struct vars *v, const char *name)
{
	const struct var *found = vars_find(v, name);

	return found ? found->value : NULL;
}

static void drop_value(struct var *var)
{
	if (var->is_secret && var->value)
		mem_free_secret(var->value, strlen(var->value));
	else
		free(var->value);
}

void vars_add(struct vars *v, const char *name, const char *value)
{
	v->items = mem_grow(v->items, v->n, sizeof *v->items);
	v->items[v->n++] = (struct var){ mem_strdup(name), mem_strdup(value), false };
}

void vars_set(struct vars *v, const char *name, const char *value, bool is_secret)
{
	struct var *var = (struct var *)vars_find(v, name);
	char *copy = mem_strdup(value);

	if (var) {
		drop_value(var);
		var->value = copy;
	} else {
		v->items = mem_grow(v->items, v->n, sizeof *v->items);
		var = &v->items[v->n++];
		*var = (struct var){ mem_strdup(name), copy, false };
	}
	var->is_secret = is_secret;
}

void vars_copy(struct vars *to, const struct vars *from)
{
	*to = (struct vars){ 0 };
	for (size_t i = 0; i < from->n; i++) {
		vars_add(to, from->items[i].name, from->items[i].value);
		to->items[i].is_secret = from->items[i].is_secret;
	}
}

static char *replace(char *text, const char *what)
{
	struct buf out = { 0 };
	const char *from = text, *at;

	while ((at = strstr(from, what)) != NULL) {
		buf_append(&out, from, (size_t)(at - from));
		buf_puts(&out, "***");
		from = at + strlen(what);
	}
	if (from == text)
		return text;
	buf_puts(&out, from);
	free(text);
	return buf_take(&out);
}

char *vars_hide(const struct vars *v, const char *text)
{
	char *copy = mem_strdup(text);

	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].is_secret && strlen(v->items[i].value) >= MIN_SECRET)
			copy = replace(copy, v->items[i].value);
	return copy;
}

void vars_fini(struct vars *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->items[i].name);
		drop_value(&v->items[i]);
	}
	free(v->items);
	*v = (struct vars){ 0 };
}
