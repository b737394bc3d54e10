/* twin_store.c -- a twin as a row of the state, and back. */
#include <inttypes.h>

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

void twin_put_row(const char *device, const struct twin *w, struct changes *out)
{
	struct buf row = { 0 };

	buf_printf(&row, "{\"version\":%" PRId64 ",\"updated_ms\":%" PRId64 ",\"source_version\":",
		   w->version, w->updated_ms);
	put_json_or_null(&row, w->source_version);
	buf_puts(&row, ",\"source_updated\":");
	put_json_or_null(&row, w->source_updated);
	buf_puts(&row, ",\"doc\":");
	jtext_tree_put(&row, w->doc);
	buf_puts(&row, ",\"keys\":");
	jtext_tree_put(&row, w->keys);
	buf_printf(&row, ",\"said_version\":%" PRId64 ",\"reported\":", w->said_version);
	jtext_tree_put(&row, w->reported);
	if (count(w->notices) > 0) {
		buf_puts(&row, ",\"notices\":");
		jtext_tree_put(&row, w->notices);
	}
	if (w->is_learnt)
		buf_puts(&row, ",\"learnt\":true");
	if (w->push) {
		buf_printf(&row,
			   ",\"push\":{\"version\":%" PRId64 ",\"full\":%s,\"waits\":%s,\"keys\":",
			   w->push->version, w->push->is_full ? "true" : "false",
			   w->push->waits ? "true" : "false");
		jtext_tree_put(&row, w->push->keys);
		buf_puts(&row, ",\"deleted\":");
		jtext_tree_put(&row, w->push->deleted);
		buf_putc(&row, '}');
	}
	buf_putc(&row, '}');
	changes_put(out, MACHINE, device, buf_str(&row), false);
	buf_fini(&row);
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

static bool read_push(struct jslice row, struct push **out)
{
	struct jslice v;
	struct push *p;

	if (!jtext_field(row, "push", &v))
		return true;
	p = *out = mem_zalloc(sizeof *p);
	state_json_bool(v, "waits", &p->waits); /* rows of version 5 do not say it */
	return state_json_integer(v, "version", &p->version) &&
	       state_json_bool(v, "full", &p->is_full) && read_object(v, "keys", &p->keys) &&
	       is_booleans(p->keys) && read_object(v, "deleted", &p->deleted) &&
	       is_booleans(p->deleted);
}

static bool replace_object(struct jslice row, const char *name, json_object **object)
{
	json_object_put(*object);
	*object = NULL;
	return read_object(row, name, object);
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

static bool read_twin(struct jslice row, struct twin *w)
{
	if (!state_json_integer(row, "version", &w->version) || w->version < 0 ||
	    !state_json_integer(row, "updated_ms", &w->updated_ms) ||
	    !twin_read_scalar(row, "source_version", &w->source_version) ||
	    !twin_read_scalar(row, "source_updated", &w->source_updated) ||
	    !replace_object(row, "doc", &w->doc) || !read_push(row, &w->push) ||
	    !read_added(row, "keys", &w->keys) || !twin_are_keys(w->keys) ||
	    !read_added(row, "reported", &w->reported))
		return false;
	state_json_integer(row, "said_version", &w->said_version); /* likewise */
	if (!read_added(row, "notices", &w->notices))
		return false;
	state_json_bool(row, "learnt", &w->is_learnt); /* not there: false */
	complete_keys(w);
	json_object_object_foreach (w->keys, name, array) {
		(void)array;
		w->has_failed = w->has_failed || twin_key_of(w, name).stage == TWIN_FAILED;
	}
	return true;
}

bool twins_restore(struct twins *t, const char *key, const char *value, struct err *e)
{
	struct twin *w = twin_new(key), *before;
	struct buf text = { 0 };
	struct jslice row;
	bool ok = state_json_read(value, &text, &row) && read_twin(row, w);

	if (ok) {
		before = map_set_str(&t->twins, key, w);
		if (before) {
			twin_leave(t, before);
			twin_free(before);
		}
	} else {
		twin_free(w);
		err_set(e, ERR_CORRUPT, "twin of '%s' is no twin", key);
	}
	buf_fini(&text);
	return ok;
}
