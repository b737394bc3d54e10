/* twin_keys.c -- what a twin knows of each key of its document: how far it got, and what the device has. */
#include "state/twin_inside.h"

/* A key as a row has it: [at_ms, version, stage]. */
enum { AT, SENT_WITH, STAGE, PARTS };

static int64_t part(json_object *array, size_t i)
{
	return json_object_get_int64(json_object_array_get_idx(array, i));
}

struct twin_key twin_key_of(const struct twin *w, const char *name)
{
	json_object *array;

	if (!json_object_object_get_ex(w->keys, name, &array))
		return (struct twin_key){ .stage = TWIN_CONFIRMED };
	return (struct twin_key){ .at_ms = part(array, AT),
				  .version = part(array, SENT_WITH),
				  .stage = (enum twin_stage)part(array, STAGE) };
}

void twin_set_key(struct twin *w, const char *name, struct twin_key k)
{
	json_object *array = json_object_new_array();

	json_object_array_add(array, json_object_new_int64(k.at_ms));
	json_object_array_add(array, json_object_new_int64(k.version));
	json_object_array_add(array, json_object_new_int64(k.stage));
	json_object_object_add(w->keys, name, array);
}

void twin_set_stage(struct twin *w, const char *name, enum twin_stage stage)
{
	struct twin_key k = twin_key_of(w, name);

	k.stage = stage;
	twin_set_key(w, name, k);
}

void twin_set_push_stage(struct twin *w, enum twin_stage stage)
{
	json_object_object_foreach (w->push->keys, key, value) {
		(void)value;
		twin_set_stage(w, key, stage);
	}
	json_object_object_foreach (w->push->deleted, name, ignored) {
		(void)ignored;
		twin_set_stage(w, name, stage);
	}
}

bool twin_is_there(const struct twin *w, const char *key)
{
	enum twin_stage stage = twin_key_of(w, key).stage;

	return !has(w->reported, key) && (stage == TWIN_SENT || stage == TWIN_CONFIRMED);
}

bool twin_note_reported(struct twin *w, const char *key, json_object *value)
{
	json_object *wanted, *before;

	if (!json_object_object_get_ex(w->doc, key, &wanted))
		return false; /* it is no configuration */
	if (twin_is_equal(wanted, value)) {
		bool is_news = has(w->reported, key) || twin_key_of(w, key).stage != TWIN_CONFIRMED;

		json_object_object_del(w->reported, key);
		if (is_news)
			twin_set_stage(w, key, TWIN_CONFIRMED);
		return is_news;
	}
	if (json_object_object_get_ex(w->reported, key, &before) && twin_is_equal(before, value))
		return false;
	set(w->reported, key, value);
	return true;
}

bool twin_are_keys(json_object *keys)
{
	json_object_object_foreach (keys, name, array) {
		(void)name;
		if (!json_object_is_type(array, json_type_array) ||
		    json_object_array_length(array) != PARTS)
			return false;
		for (size_t i = 0; i < PARTS; i++)
			if (!json_object_is_type(json_object_array_get_idx(array, i),
						 json_type_int))
				return false;
		if (part(array, STAGE) < 0 || part(array, STAGE) >= TWIN_STAGES)
			return false;
	}
	return true;
}
