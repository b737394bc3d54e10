#include "offline/case_through.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "offline/offline.h"

/* NULL: it names none. */
static const char *name_of(json_object *one)
{
	json_object *name = one;

	if (json_object_is_type(one, json_type_object) &&
	    !json_object_object_get_ex(one, "name", &name))
		return NULL;
	return json_object_is_type(name, json_type_string) ? json_object_get_string(name) : NULL;
}

static bool read_one(struct offline_through *t, json_object *one)
{
	json_object *given = NULL;

	t->name = name_of(one);
	if (!json_object_is_type(one, json_type_object) ||
	    !json_object_object_get_ex(one, "vars", &given))
		return t->name;
	if (!json_object_is_type(given, json_type_object))
		return false;
	json_object_object_foreach (given, name, value)
		vars_set(&t->vars, name, json_object_get_string(value), false);
	return t->name;
}

bool case_through_read(struct case_through *t, json_object *c, struct buf *diff)
{
	json_object *list = NULL;
	bool ok;

	*t = (struct case_through){ 0 };
	if (!json_object_object_get_ex(c, "through", &list))
		return true;
	ok = json_object_is_type(list, json_type_array);
	if (ok)
		t->items = mem_zalloc((json_object_array_length(list) + 1) * sizeof *t->items);
	for (size_t i = 0; ok && i < json_object_array_length(list); i++)
		ok = read_one(&t->items[t->n++], json_object_array_get_idx(list, i));
	if (!ok)
		buf_puts(diff,
			 "  through: write [\"NAME\", {\"name\": \"NAME\", \"vars\": {\"NAME\": "
			 "\"VALUE\"}}, ...]\n");
	return ok;
}

void case_through_fini(struct case_through *t)
{
	for (size_t i = 0; i < t->n; i++)
		vars_fini(&t->items[i].vars);
	free(t->items);
	*t = (struct case_through){ 0 };
}
