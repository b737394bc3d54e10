/* twin_store.c -- a twin as rows of the state, a head and one for each key, and back. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "message/state_json.h"
#include "state/twin_inside.h"

static void put_json_or_null(struct buf *out, const char *json)
{
	buf_puts(out, json ? json : "null");
}

/* The key of the row of a key. */
static void put_row_key(struct buf *out, const char *device, const char *name)
{
	buf_putc(out, '[');
	jtext_put_string(out, device, strlen(device));
	buf_putc(out, ',');
	jtext_put_string(out, name, strlen(name));
	buf_putc(out, ']');
}

/* What a key is to the open push: to be confirmed, confirmed, or a name that it deletes. */
static const char *push_part(const struct twin *w, const char *name)
{
	json_object *is_open;

	if (!w->push)
		return NULL;
	if (json_object_object_get_ex(w->push->keys, name, &is_open))
		return json_object_get_boolean(is_open) ? "open" : "done";
	return has(w->push->deleted, name) ? "gone" : NULL;
}

static void put_field_of(struct buf *out, const char *name, json_object *object, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return;
	buf_printf(out, ",\"%s\":", name);
	jtext_tree_put(out, value);
}

/* {"key":[…],"value":…,"reported":…,"push":"…"}; what is not there is not so. */
static void put_key_row(const char *device, const struct twin *w, const char *name,
			struct changes *out)
{
	struct buf key = { 0 }, row = { 0 };
	const char *part = push_part(w, name);
	json_object *array;

	put_row_key(&key, device, name);
	if (json_object_object_get_ex(w->keys, name, &array)) {
		buf_puts(&row, "{\"key\":");
		jtext_tree_put(&row, array);
		put_field_of(&row, "value", w->doc, name);
		put_field_of(&row, "reported", w->reported, name);
		if (part)
			buf_printf(&row, ",\"push\":\"%s\"", part);
		buf_putc(&row, '}');
		changes_put(out, KEY_MACHINE, buf_str(&key), buf_str(&row), false);
	} else {
		changes_delete(out, KEY_MACHINE, buf_str(&key));
	}
	buf_fini(&key);
	buf_fini(&row);
}

static void put_head(const char *device, const struct twin *w, struct changes *out)
{
	struct buf row = { 0 };

	buf_printf(&row, "{\"version\":%" PRId64 ",\"updated_ms\":%" PRId64 ",\"source_version\":",
		   w->version, w->updated_ms);
	put_json_or_null(&row, w->source_version);
	buf_puts(&row, ",\"source_updated\":");
	put_json_or_null(&row, w->source_updated);
	buf_printf(&row, ",\"said_version\":%" PRId64, w->said_version);
	if (count(w->notices) > 0) {
		buf_puts(&row, ",\"notices\":");
		jtext_tree_put(&row, w->notices);
	}
	if (w->is_learnt)
		buf_puts(&row, ",\"learnt\":true");
	if (w->push)
		buf_printf(&row, ",\"push\":{\"version\":%" PRId64 ",\"full\":%s,\"waits\":%s}",
			   w->push->version, w->push->is_full ? "true" : "false",
			   w->push->waits ? "true" : "false");
	buf_putc(&row, '}');
	changes_put(out, MACHINE, device, buf_str(&row), false);
	buf_fini(&row);
}

void twin_put_row(const char *device, struct twin *w, struct changes *out)
{
	put_head(device, w, out);
	json_object_object_foreach (w->unsaved, name, ignored) {
		(void)ignored;
		put_key_row(device, w, name, out);
	}
	json_object_put(w->unsaved);
	w->unsaved = twin_nothing();
}

void twin_delete_rows(const struct twin *w, struct changes *out)
{
	struct buf key = { 0 };

	changes_delete(out, MACHINE, w->device);
	json_object_object_foreach (w->keys, name, array) {
		(void)array;
		buf_reset(&key);
		put_row_key(&key, w->device, name);
		changes_delete(out, KEY_MACHINE, buf_str(&key));
	}
	buf_fini(&key);
}

static bool read_object(struct jslice row, const char *name, json_object **out)
{
	struct jslice v;

	if (!jtext_field(row, name, &v) || jtext_type_of(v) != JTEXT_OBJECT)
		return false;
	*out = jtext_tree(v.text, v.len, NULL);
	return *out;
}

static bool is_booleans(json_object *object)
{
	json_object_object_foreach (object, key, value) {
		(void)key;
		if (!json_object_is_type(value, json_type_boolean))
			return false;
	}
	return true;
}

static struct push *push_new(void)
{
	struct push *p = mem_zalloc(sizeof *p);

	p->keys = json_object_new_object();
	p->deleted = json_object_new_object();
	return p;
}

static bool replace_object(struct jslice row, const char *name, json_object **object)
{
	json_object_put(*object);
	*object = NULL;
	return read_object(row, name, object);
}

/* Of a row of before there were rows of keys: all that is in the push. */
static bool read_former_push(struct jslice v, struct push *p)
{
	return replace_object(v, "keys", &p->keys) && is_booleans(p->keys) &&
	       replace_object(v, "deleted", &p->deleted) && is_booleans(p->deleted);
}

static bool read_push(struct jslice row, bool is_former, struct push **out)
{
	struct jslice v;
	struct push *p;

	if (!jtext_field(row, "push", &v))
		return true;
	p = *out = push_new();
	state_json_bool(v, "waits", &p->waits); /* rows of version 5 do not say it */
	return state_json_integer(v, "version", &p->version) &&
	       state_json_bool(v, "full", &p->is_full) && (!is_former || read_former_push(v, p));
}

/* Rows of version 5 of the database do not have it: the object stays empty. */
static bool read_added(struct jslice row, const char *name, json_object **object)
{
	struct jslice v;

	return !jtext_field(row, name, &v) || replace_object(row, name, object);
}

/* Nor do they say how far a key got.  What is open was sent, long ago. */
static void complete_keys(struct twin *w)
{
	json_object *is_open;

	json_object_object_foreach (w->doc, key, value) {
		struct twin_key k = { w->updated_ms, w->version, TWIN_CONFIRMED };

		(void)value;
		if (w->push && json_object_object_get_ex(w->push->keys, key, &is_open) &&
		    json_object_get_boolean(is_open))
			k.stage = TWIN_DELIVERED;
		if (!has(w->keys, key))
			twin_set_key(w, key, k);
	}
}

static bool read_head(struct jslice row, bool is_former, struct twin *w)
{
	if (!state_json_integer(row, "version", &w->version) || w->version < 0 ||
	    !state_json_integer(row, "updated_ms", &w->updated_ms) ||
	    !twin_read_scalar(row, "source_version", &w->source_version) ||
	    !twin_read_scalar(row, "source_updated", &w->source_updated) ||
	    !read_push(row, is_former, &w->push) || !read_added(row, "notices", &w->notices))
		return false;
	state_json_integer(row, "said_version", &w->said_version); /* not in rows of version 5 */
	state_json_bool(row, "learnt", &w->is_learnt);		   /* not there: false */
	return true;
}

/* A row of before there were rows of keys. */
static bool read_former(struct jslice row, struct twin *w)
{
	json_object *doc = NULL, *keys = NULL;
	bool ok = read_object(row, "doc", &doc) && read_added(row, "keys", &keys) &&
		  (!keys || twin_are_keys(keys)) && read_added(row, "reported", &w->reported);

	if (ok && keys) {
		json_object_put(w->keys);
		w->keys = json_object_get(keys);
	}
	if (ok) {
		json_object_object_foreach (doc, key, value)
			twin_put_value(w, key, value);
		complete_keys(w);
		json_object_object_foreach (w->keys, name, array) {
			(void)array;
			twin_set_key(w, name, twin_key_of(w, name)); /* which also touches it */
		}
	}
	json_object_put(doc);
	json_object_put(keys);
	return ok;
}

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void swap(void *a, void *b, size_t n)
{
	char c[64];

	memcpy(c, a, n);
	memcpy(a, b, n);
	memcpy(b, c, n);
}

/* The head comes to keys that were there before it, in whichever order the rows are. */
static void take_head(struct twin *w, struct twin *head)
{
	w->version = greater(w->version, head->version);
	w->said_version = head->said_version;
	w->updated_ms = head->updated_ms;
	w->is_learnt = head->is_learnt;
	swap(&w->source_version, &head->source_version, sizeof w->source_version);
	swap(&w->source_updated, &head->source_updated, sizeof w->source_updated);
	swap(&w->notices, &head->notices, sizeof w->notices);
	if (w->push && head->push) {
		w->push->version = head->push->version;
		w->push->is_full = head->push->is_full;
		w->push->waits = head->push->waits;
	} else {
		swap(&w->push, &head->push, sizeof w->push);
	}
}

static void replace(struct twins *t, struct twin *w)
{
	struct twin *before = map_set_str(&t->twins, w->device, w);

	twin_add(t, w);
	if (before) {
		twin_sleep(t, before);
		twin_leave(t, before);
		twin_free(before);
	}
}

bool twins_restore(struct twins *t, const char *key, const char *value, struct changes *out,
		   struct err *e)
{
	struct twin *read = twin_new(t, key), *w = twin_get(t, key);
	struct buf text = { 0 };
	struct jslice row, doc;
	bool ok = state_json_read(value, &text, &row);
	bool is_former = ok && jtext_field(row, "doc", &doc);

	ok = ok && read_head(row, is_former, read) && (!is_former || read_former(row, read));
	if (!ok)
		err_set(e, ERR_CORRUPT, "twin of '%s' is no twin", key);
	if (ok && w && !is_former) {
		take_head(w, read);
	} else if (ok) {
		replace(t, read);
		if (is_former)
			twin_put_row(key, read, out);
		read = NULL;
	}
	if (read)
		twin_free(read);
	buf_fini(&text);
	return ok;
}

/* --- rows of keys */

static bool read_row_key(const char *key, struct buf *device, struct buf *name)
{
	struct jslice part, rest;
	struct buf text = { 0 };
	size_t pos = 0;
	bool ok = jtext_read(key, strlen(key), false, &text, NULL);
	struct jslice array = { text.data, text.len };

	ok = ok && jtext_type_of(array) == JTEXT_ARRAY && jtext_next_element(array, &pos, &part) &&
	     jtext_string_decode(part, device) && jtext_next_element(array, &pos, &part) &&
	     jtext_string_decode(part, name) && !jtext_next_element(array, &pos, &rest);
	buf_fini(&text);
	return ok;
}

/* *out gets a reference; *is_there: there is such a field, which may be null. */
static bool read_value(struct jslice row, const char *name, json_object **out, bool *is_there)
{
	struct jslice v;

	*out = NULL;
	*is_there = jtext_field(row, name, &v);
	if (!*is_there || jtext_type_of(v) == JTEXT_NULL)
		return true;
	*out = jtext_tree(v.text, v.len, NULL);
	return *out;
}

static bool read_part(struct jslice row, struct jslice *part)
{
	*part = (struct jslice){ NULL, 0 };
	return !jtext_field(row, "push", part) || jtext_string_is(*part, "open") ||
	       jtext_string_is(*part, "done") || jtext_string_is(*part, "gone");
}

static void take_part(struct twin *w, const char *name, struct jslice part)
{
	if (!part.text)
		return;
	if (!w->push)
		w->push = push_new();
	w->push->version = greater(w->push->version, twin_key_of(w, name).version);
	if (jtext_string_is(part, "gone"))
		set_bool(w->push->deleted, name, true);
	else
		set_bool(w->push->keys, name, jtext_string_is(part, "open"));
}

static bool restore_key(struct twins *t, const char *device, const char *name, struct jslice row)
{
	json_object *array = NULL, *value = NULL, *reported = NULL;
	bool has_value = false, has_reported = false;
	struct jslice key, part;
	struct twin *w;
	bool ok = jtext_field(row, "key", &key) && jtext_type_of(key) == JTEXT_ARRAY &&
		  (array = jtext_tree(key.text, key.len, NULL)) && twin_is_key(array) &&
		  read_value(row, "value", &value, &has_value) &&
		  read_value(row, "reported", &reported, &has_reported) && read_part(row, &part);

	if (ok) {
		w = twin_of(t, device, 0);
		twin_own(&w->keys);
		json_object_object_add(w->keys, name, json_object_get(array));
		twin_set_key(w, name, twin_key_of(w, name));
		w->version = greater(w->version, twin_key_of(w, name).version);
		if (has_value)
			twin_put_value(w, name, value);
		if (has_reported) {
			twin_own(&w->reported);
			set(w->reported, name, reported);
		}
		take_part(w, name, part);
		json_object_object_del(w->unsaved, name);
	}
	json_object_put(array);
	json_object_put(value);
	json_object_put(reported);
	return ok;
}

bool twins_restore_key(struct twins *t, const char *key, const char *value, struct err *e)
{
	struct buf device = { 0 }, name = { 0 }, text = { 0 };
	struct jslice row;
	bool ok = read_row_key(key, &device, &name) && state_json_read(value, &text, &row) &&
		  restore_key(t, buf_str(&device), buf_str(&name), row);

	if (!ok)
		err_set(e, ERR_CORRUPT, "key %s of a twin is none", key);
	buf_fini(&device);
	buf_fini(&name);
	buf_fini(&text);
	return ok;
}
