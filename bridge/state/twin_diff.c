/* twin_diff.c -- what a config body says, and what of it is news to a twin. */
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "state/twin_inside.h"

/* Comparing. */

static bool is_number(json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

static bool is_equal_object(json_object *a, json_object *b)
{
	if (count(a) != count(b))
		return false;
	json_object_object_foreach (a, key, va) {
		json_object *vb;

		if (!json_object_object_get_ex(b, key, &vb) || !twin_is_equal(va, vb))
			return false;
	}
	return true;
}

static bool is_equal_array(json_object *a, json_object *b)
{
	size_t n = json_object_array_length(a);

	if (n != json_object_array_length(b))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!twin_is_equal(json_object_array_get_idx(a, i),
				   json_object_array_get_idx(b, i)))
			return false;
	return true;
}

bool twin_is_equal(json_object *a, json_object *b)
{
	if (json_object_is_type(a, json_type_object) && json_object_is_type(b, json_type_object))
		return is_equal_object(a, b);
	if (json_object_is_type(a, json_type_array) && json_object_is_type(b, json_type_array))
		return is_equal_array(a, b);
	if (is_number(a) && is_number(b) && json_object_get_type(a) != json_object_get_type(b))
		return json_object_get_double(a) == json_object_get_double(b);
	return json_object_equal(a, b);
}

/* Reading what came down. */

static bool is_strings(json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++)
		if (!json_object_is_type(json_object_array_get_idx(array, i), json_type_string))
			return false;
	return true;
}

bool twin_read_scalar(struct jslice body, const char *name, char **out)
{
	struct jslice v;
	enum jtext_type type;

	if (!jtext_field(body, name, &v))
		return true;
	type = jtext_type_of(v);
	if (type == JTEXT_ARRAY || type == JTEXT_OBJECT)
		return false;
	if (type != JTEXT_NULL)
		*out = mem_strndup(v.text, v.len);
	return true;
}

/* The field `name` of `type`, or NULL where it is missing or null; false: another type. */
static bool read_piece(json_object *tree, const char *name, enum json_type type, json_object **out)
{
	json_object_object_get_ex(tree, name, out);
	return !*out || json_object_is_type(*out, type);
}

bool twin_read_news(struct news *n, struct jslice body, struct err *e)
{
	const char *wrong = NULL;

	if (jtext_type_of(body) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "config: the body is no object");
		return false;
	}
	n->tree = jtext_tree(body.text, body.len, e);
	if (!n->tree)
		return false;
	if (!read_piece(n->tree, "changed", json_type_object, &n->changed))
		wrong = "changed is no object";
	else if (!read_piece(n->tree, "deleted", json_type_array, &n->deleted) ||
		 (n->deleted && !is_strings(n->deleted)))
		wrong = "deleted is no array of strings";
	else if (!read_piece(n->tree, "full", json_type_object, &n->full))
		wrong = "full is no object";
	else if (!twin_read_scalar(body, "version", &n->version))
		wrong = "version is an array or object";
	else if (!twin_read_scalar(body, "updated", &n->updated))
		wrong = "updated is an array or object";
	else if (!n->changed && !n->deleted && !n->full)
		wrong = "there is neither changed nor deleted nor full";
	if (wrong)
		err_set(e, ERR_INVALID, "config: %s", wrong);
	return !wrong;
}

void twin_fini_news(struct news *n)
{
	json_object_put(n->tree);
	free(n->version);
	free(n->updated);
	json_object_put(n->differs);
	json_object_put(n->gone);
}

/* A diff is what was said, all of it; of a document, what the device has not. */
static void compare_values(struct news *n, const struct twin *w, json_object *values)
{
	json_object_object_foreach (values, key, value) {
		json_object *held;

		if (!n->full || !json_object_object_get_ex(w->doc, key, &held) ||
		    !twin_is_equal(held, value) || !twin_is_there(w, key))
			set(n->differs, key, value);
	}
}

/* What the document has not: names that are held, and such whose deletion has not got there. */
static void compare_names(struct news *n, const struct twin *w)
{
	json_object_object_foreach (w->doc, key, value) {
		(void)value;
		if (!has(n->full, key))
			set_bool(n->gone, key, true);
	}
	json_object_object_foreach (w->keys, name, array) {
		(void)array;
		if (!has(w->doc, name) && !has(n->full, name) &&
		    twin_is_failed(twin_key_of(w, name).stage))
			set_bool(n->gone, name, true);
	}
}

void twin_compare_news(struct news *n, const struct twin *w)
{
	n->differs = json_object_new_object();
	n->gone = json_object_new_object();
	if (n->full || n->changed)
		compare_values(n, w, n->full ? n->full : n->changed);
	if (n->full)
		compare_names(n, w);
	for (size_t i = 0; !n->full && n->deleted && i < json_object_array_length(n->deleted);
	     i++) {
		const char *key = json_object_get_string(json_object_array_get_idx(n->deleted, i));

		/* What is said to be both has been set anew. */
		if (!n->changed || !has(n->changed, key))
			set_bool(n->gone, key, true);
	}
}
