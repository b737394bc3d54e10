#include "core/twin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/change.h"
#include "core/row.h"

#define MACHINE	    "twin"
#define MAX_VERSION ((INT64_C(1) << 53) - 1) /* every JSON reader holds it exactly */

/* What was sent on and is not confirmed yet.  A newer push takes over what an older one left open,
 * so there is one at most. */
struct push {
	json_object *keys;    /* changed key -> is it still to be confirmed */
	json_object *deleted; /* name -> true */
	bool is_full;	      /* the sender says it all: confirm it all */
	int64_t version;      /* that it was sent on with */
};

struct twin {
	json_object *doc;
	int64_t version;      /* 0: never changed */
	int64_t updated_ms;   /* when it was first heard of, then of the last change */
	char *source_version; /* the sender's own, JSON text; NULL: it has none */
	char *source_updated;
	struct push *push; /* NULL: none is open */
};

struct twins {
	struct map twins; /* device -> struct twin */
};

/* What a config body says, and what of it differs from a twin. */
struct news {
	json_object *tree;
	json_object *changed, *deleted, *full; /* pieces of the tree; NULL: not there */
	char *version, *updated;	       /* JSON text; NULL: not there */
	json_object *differs;		       /* key -> value */
	json_object *gone;		       /* name -> true */
};

static void free_push(struct push *p)
{
	if (!p)
		return;
	json_object_put(p->keys);
	json_object_put(p->deleted);
	free(p);
}

static void free_twin(void *value)
{
	struct twin *w = value;

	json_object_put(w->doc);
	free(w->source_version);
	free(w->source_updated);
	free_push(w->push);
	free(w);
}

struct twins *twins_new(void)
{
	return mem_zalloc(sizeof(struct twins));
}

void twins_free(struct twins *t)
{
	if (!t)
		return;
	map_fini(&t->twins, free_twin);
	free(t);
}

/* Trees. */

static size_t count(json_object *object)
{
	return (size_t)json_object_object_length(object);
}

static bool has(json_object *object, const char *key)
{
	return json_object_object_get_ex(object, key, NULL);
}

static void set(json_object *object, const char *key, json_object *value)
{
	json_object_object_add(object, key, json_object_get(value));
}

static void set_bool(json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static bool is_number(json_object *v)
{
	return json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double);
}

static bool is_equal(json_object *a, json_object *b);

static bool is_equal_object(json_object *a, json_object *b)
{
	if (count(a) != count(b))
		return false;
	json_object_object_foreach(a, key, va)
	{
		json_object *vb;

		if (!json_object_object_get_ex(b, key, &vb) || !is_equal(va, vb))
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
		if (!is_equal(json_object_array_get_idx(a, i), json_object_array_get_idx(b, i)))
			return false;
	return true;
}

/* Deeply, and numbers by value: many a device gives 10.0 back as 10, which for
 * json_object_equal() is something else. */
static bool is_equal(json_object *a, json_object *b)
{
	if (json_object_is_type(a, json_type_object) && json_object_is_type(b, json_type_object))
		return is_equal_object(a, b);
	if (json_object_is_type(a, json_type_array) && json_object_is_type(b, json_type_array))
		return is_equal_array(a, b);
	if (is_number(a) && is_number(b) && json_object_get_type(a) != json_object_get_type(b))
		return json_object_get_double(a) == json_object_get_double(b);
	return json_object_equal(a, b);
}

/* Rows. */

static void put_json_or_null(struct buf *out, const char *json)
{
	buf_puts(out, json ? json : "null");
}

static void put_row(const char *device, const struct twin *w, struct changes *out)
{
	struct buf row = { 0 };

	buf_printf(&row, "{\"version\":%" PRId64 ",\"updated_ms\":%" PRId64 ",\"source_version\":",
		   w->version, w->updated_ms);
	put_json_or_null(&row, w->source_version);
	buf_puts(&row, ",\"source_updated\":");
	put_json_or_null(&row, w->source_updated);
	buf_puts(&row, ",\"doc\":");
	jtext_tree_put(&row, w->doc);
	if (w->push) {
		buf_printf(&row, ",\"push\":{\"version\":%" PRId64 ",\"full\":%s,\"keys\":",
			   w->push->version, w->push->is_full ? "true" : "false");
		jtext_tree_put(&row, w->push->keys);
		buf_puts(&row, ",\"deleted\":");
		jtext_tree_put(&row, w->push->deleted);
		buf_putc(&row, '}');
	}
	buf_putc(&row, '}');
	changes_put(out, MACHINE, device, buf_str(&row), false);
	buf_fini(&row);
}

/* Texts that go out. */

static void put_updated(struct buf *out, const struct twin *w)
{
	if (w->source_updated)
		buf_puts(out, w->source_updated);
	else
		buf_printf(out, "%" PRId64, w->updated_ms);
}

static void put_version(struct buf *out, const struct twin *w)
{
	if (w->source_version)
		buf_puts(out, w->source_version);
	else
		buf_printf(out, "%" PRId64, w->version);
}

/* The keys of `object` as an array of names. */
static void put_names(struct buf *out, json_object *object)
{
	char before = '[';

	json_object_object_foreach(object, key, value)
	{
		(void)value;
		buf_putc(out, before);
		jtext_put_string(out, key, strlen(key));
		before = ',';
	}
	buf_puts(out, before == '[' ? "[]" : "]");
}

/* Those values of the document whose keys `object` has. */
static void put_values(struct buf *out, const struct twin *w, json_object *object)
{
	char before = '{';

	json_object_object_foreach(object, key, ignored)
	{
		json_object *value;

		(void)ignored;
		if (!json_object_object_get_ex(w->doc, key, &value))
			continue;
		buf_putc(out, before);
		jtext_put_string(out, key, strlen(key));
		buf_putc(out, ':');
		jtext_tree_put(out, value);
		before = ',';
	}
	buf_puts(out, before == '{' ? "{}" : "}");
}

/* The body of the `config` that goes on. */
static void put_config(struct buf *out, const struct twin *w, const struct news *n)
{
	buf_puts(out, "{\"changed\":");
	jtext_tree_put(out, n->differs);
	buf_puts(out, ",\"deleted\":");
	put_names(out, n->gone);
	buf_puts(out, ",\"full\":");
	jtext_tree_put(out, w->doc);
	buf_printf(out, ",\"version\":%" PRId64 ",\"updated\":", w->version);
	put_updated(out, w);
	buf_putc(out, '}');
}

/* The body of a config_reply of our own.  `keys` NULL: it is about the whole document. */
static void put_reply(struct buf *out, const struct twin *w, json_object *keys)
{
	buf_puts(out, "{\"version\":");
	put_version(out, w);
	buf_puts(out, ",\"updated\":");
	put_updated(out, w);
	buf_puts(out, ",\"values\":");
	put_values(out, w, keys ? keys : w->doc);
	buf_putc(out, '}');
}

static json_object *push_keys(const struct push *p)
{
	return p && !p->is_full ? p->keys : NULL;
}

static void close_push(struct twin *w)
{
	free_push(w->push);
	w->push = NULL;
}

/* Reading what came down. */

static bool is_strings(json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++)
		if (!json_object_is_type(json_object_array_get_idx(array, i), json_type_string))
			return false;
	return true;
}

/* The field as it is spelled, if it is a scalar and not null; false: it is no scalar. */
static bool read_scalar(struct jslice body, const char *name, char **out)
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

static bool read_news(struct news *n, struct jslice body, struct err *e)
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
	else if (!read_scalar(body, "version", &n->version))
		wrong = "version is an array or object";
	else if (!read_scalar(body, "updated", &n->updated))
		wrong = "updated is an array or object";
	else if (!n->changed && !n->deleted && !n->full)
		wrong = "there is neither changed nor deleted nor full";
	if (wrong)
		err_set(e, ERR_INVALID, "config: %s", wrong);
	return !wrong;
}

static void fini_news(struct news *n)
{
	json_object_put(n->tree);
	free(n->version);
	free(n->updated);
	json_object_put(n->differs);
	json_object_put(n->gone);
}

static void compare(struct news *n, const struct twin *w)
{
	json_object *values = n->full ? n->full : n->changed;

	n->differs = json_object_new_object();
	n->gone = json_object_new_object();
	if (values) {
		json_object_object_foreach(values, key, value)
		{
			json_object *held;

			if (!json_object_object_get_ex(w->doc, key, &held) ||
			    !is_equal(held, value))
				set(n->differs, key, value);
		}
	}
	if (n->full) {
		json_object_object_foreach(w->doc, key, value)
		{
			(void)value;
			if (!has(n->full, key))
				set_bool(n->gone, key, true);
		}
	}
	for (size_t i = 0; !n->full && n->deleted && i < json_object_array_length(n->deleted);
	     i++) {
		const char *key = json_object_get_string(json_object_array_get_idx(n->deleted, i));

		/* What is said to be both has been set anew. */
		if (has(w->doc, key) && !(n->changed && has(n->changed, key)))
			set_bool(n->gone, key, true);
	}
}

/* Pushing. */

/* The sender's own version as an integer that ours may follow; 0: it is none. */
static int64_t integer_version(const char *version)
{
	int64_t v;

	if (!version || !jtext_integer((struct jslice){ version, strlen(version) }, &v))
		return 0;
	return v > 0 && v <= MAX_VERSION ? v : 0;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Keep the sender's version and time; true if they are others than before. */
static bool take_source(struct twin *w, struct news *n)
{
	if (is_same_text(w->source_version, n->version) &&
	    is_same_text(w->source_updated, n->updated))
		return false;
	free(w->source_version);
	free(w->source_updated);
	w->source_version = n->version;
	w->source_updated = n->updated;
	n->version = n->updated = NULL;
	return true;
}

static void merge(struct twin *w, const struct news *n, int64_t now_ms)
{
	int64_t sent = integer_version(n->version);

	json_object_object_foreach(n->differs, key, value) set(w->doc, key, value);
	json_object_object_foreach(n->gone, name, ignored)
	{
		(void)ignored;
		json_object_object_del(w->doc, name);
	}
	w->version++;
	if (sent > w->version)
		w->version = sent;
	w->updated_ms = now_ms;
}

/* Open a push of what differs, or let the open one grow by it. */
static void open_push(struct twin *w, const struct news *n)
{
	struct push *p = w->push;

	if (!p) {
		p = w->push = mem_zalloc(sizeof *p);
		p->keys = json_object_new_object();
		p->deleted = json_object_new_object();
	}
	json_object_object_foreach(n->differs, key, value)
	{
		(void)value;
		set_bool(p->keys, key, true);
		json_object_object_del(p->deleted, key);
	}
	json_object_object_foreach(n->gone, name, ignored)
	{
		(void)ignored;
		json_object_object_del(p->keys, name);
		set_bool(p->deleted, name, true);
	}
	p->is_full = n->full != NULL;
	p->version = w->version;
}

/* Nothing differs: is the open push about what was said now? */
static bool is_pending(const struct twin *w, const struct news *n)
{
	const struct push *p = w->push;

	if (!p)
		return false;
	if (n->full)
		return true;
	if (n->changed) {
		json_object_object_foreach(n->changed, key, value)
		{
			(void)value;
			if (json_object_get_boolean(json_object_object_get(p->keys, key)))
				return true;
		}
	}
	for (size_t i = 0; n->deleted && i < json_object_array_length(n->deleted); i++)
		if (has(p->deleted,
			json_object_get_string(json_object_array_get_idx(n->deleted, i))))
			return true;
	return false;
}

static void confirm_at_once(const struct twin *w, const struct news *n, struct buf *reply)
{
	json_object *none = json_object_new_object();

	put_reply(reply, w, n->full ? NULL : n->changed ? n->changed : none);
	json_object_put(none);
}

/* The twin of `device`, made if there is none. */
static struct twin *twin_of(struct twins *t, const char *device, int64_t now_ms)
{
	struct twin *w = map_get_str(&t->twins, device);

	if (!w) {
		w = mem_zalloc(sizeof *w);
		w->doc = json_object_new_object();
		w->updated_ms = now_ms;
		map_set_str(&t->twins, device, w);
	}
	return w;
}

bool twins_push(struct twins *t, const char *device, struct jslice body, bool waits, int64_t now_ms,
		struct changes *out, struct twin_push *result, struct buf *config,
		struct buf *reply, struct err *e)
{
	struct news n = { 0 };
	bool ok = false, is_news;
	struct twin *w;

	*result = (struct twin_push){ false, false };
	if (!read_news(&n, body, e))
		goto out;
	w = twin_of(t, device, now_ms);
	compare(&n, w);
	result->is_change = count(n.differs) + count(n.gone) > 0;
	result->is_confirmed = !result->is_change && waits && !is_pending(w, &n);
	if (result->is_change) {
		merge(w, &n, now_ms);
		open_push(w, &n);
	}
	is_news = take_source(w, &n); /* after merge(), which reads it */
	if (result->is_change)
		put_config(config, w, &n);
	if (result->is_confirmed)
		confirm_at_once(w, &n, reply);
	if (result->is_change || is_news)
		put_row(device, w, out);
	ok = true;
out:
	fini_news(&n);
	return ok;
}

/* Confirmations. */

/* Does the value equal what the open push wants of `key`? */
static bool is_echo(const struct twin *w, const char *key, struct jslice value)
{
	json_object *wanted, *tree;
	bool same;

	if (!json_object_get_boolean(json_object_object_get(w->push->keys, key)) ||
	    !json_object_object_get_ex(w->doc, key, &wanted))
		return false;
	tree = jtext_tree(value.text, value.len, NULL);
	same = (tree || jtext_type_of(value) == JTEXT_NULL) && is_equal(wanted, tree);
	json_object_put(tree);
	return same;
}

static bool is_all_confirmed(const struct push *p)
{
	json_object_object_foreach(p->keys, key, is_open)
	{
		(void)key;
		if (json_object_get_boolean(is_open))
			return false;
	}
	return true;
}

static void put_field(struct buf *out, size_t start, const struct jfield *f)
{
	buf_putc(out, out->len == start ? '{' : ',');
	buf_append(out, f->key.text, f->key.len);
	buf_putc(out, ':');
	buf_append(out, f->value.text, f->value.len);
}

static void put_end(struct buf *out, size_t start)
{
	buf_puts(out, out->len == start ? "{}" : "}");
}

bool twins_has_push(const struct twins *t, const char *device)
{
	const struct twin *w = map_get_str(&t->twins, device);

	return w && w->push;
}

void twins_echo(struct twins *t, const char *device, struct jslice attributes, struct changes *out,
		struct buf *rest, bool *confirmed, struct buf *reply)
{
	struct twin *w = map_get_str(&t->twins, device);
	size_t start = rest->len, pos = 0, n = 0;
	struct buf key = { 0 };
	struct jfield f;

	*confirmed = false;
	if (!w || !w->push) { /* nearly always */
		buf_append(rest, attributes.text, attributes.len);
		return;
	}
	while (jtext_next_field(attributes, &pos, &f)) {
		buf_reset(&key);
		jtext_string_decode(f.key, &key);
		if (is_echo(w, buf_str(&key), f.value)) {
			set_bool(w->push->keys, buf_str(&key), false);
			n++;
		} else {
			put_field(rest, start, &f);
		}
	}
	put_end(rest, start);
	buf_fini(&key);
	*confirmed = n > 0 && is_all_confirmed(w->push);
	if (*confirmed) {
		put_reply(reply, w, push_keys(w->push));
		close_push(w);
	}
	if (n > 0)
		put_row(device, w, out);
}

static bool is_version(struct jslice v, int64_t version)
{
	int64_t integer;
	char *number;
	bool same;

	if (jtext_integer(v, &integer))
		return integer == version;
	if (jtext_type_of(v) != JTEXT_NUMBER)
		return false;
	number = mem_strndup(v.text, v.len); /* 4.0 */
	same = strtod(number, NULL) == (double)version;
	free(number);
	return same;
}

/* The fields of a config_reply that the bridge has a say in. */
enum { VERSION, UPDATED, VALUES, FIELDS };
static const char *const field_names[FIELDS] = { "version", "updated", "values" };

static void put_confirmed(struct buf *out, size_t start, int field, const struct twin *w,
			  json_object *keys)
{
	buf_printf(out, "%s\"%s\":", out->len == start ? "{" : ",", field_names[field]);
	switch (field) {
	case VERSION:
		put_version(out, w);
		break;
	case UPDATED:
		put_updated(out, w);
		break;
	default:
		put_values(out, w, keys ? keys : w->doc);
	}
}

/* Append `body` with our word for the fields in `ours` and for those that it leaves out. */
static void put_filled(struct buf *out, struct jslice body, const struct twin *w, json_object *keys,
		       const bool ours[FIELDS])
{
	bool is_there[FIELDS] = { false, false, false };
	size_t start = out->len, pos = 0;
	struct jfield f;

	while (jtext_next_field(body, &pos, &f)) {
		int i = 0;

		while (i < FIELDS && !jtext_string_is(f.key, field_names[i]))
			i++;
		if (i < FIELDS)
			is_there[i] = true;
		if (i < FIELDS && (ours[i] || jtext_type_of(f.value) == JTEXT_NULL))
			put_confirmed(out, start, i, w, keys);
		else
			put_field(out, start, &f);
	}
	for (int i = 0; i < FIELDS; i++)
		if (!is_there[i])
			put_confirmed(out, start, i, w, keys);
	put_end(out, start);
}

bool twins_confirm(struct twins *t, const char *device, struct jslice body, struct changes *out,
		   struct buf *reply, struct err *e)
{
	struct twin *w = map_get_str(&t->twins, device);
	bool ours[FIELDS] = { false, false, false }, closes;
	struct jslice v;

	if (jtext_type_of(body) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "config_reply: the body is no object");
		return false;
	}
	if (!w) { /* the device's own idea: there is nothing to fill in */
		buf_append(reply, body.text, body.len);
		return true;
	}
	closes = w->push && (!jtext_field(body, "version", &v) || jtext_type_of(v) == JTEXT_NULL ||
			     is_version(v, w->push->version));
	ours[VERSION] = closes && w->source_version;
	ours[UPDATED] = ours[VERSION] && w->source_updated;
	put_filled(reply, body, w, closes ? push_keys(w->push) : NULL, ours);
	if (closes) {
		close_push(w);
		put_row(device, w, out);
	}
	return true;
}

void twins_unsendable(struct twins *t, const char *device, struct changes *out, struct buf *reply)
{
	struct twin *w = map_get_str(&t->twins, device);

	if (!w)
		return;
	put_reply(reply, w, push_keys(w->push));
	if (!w->push)
		return;
	close_push(w);
	put_row(device, w, out);
}

void twins_document(const struct twins *t, const char *device, struct buf *out)
{
	const struct twin *w = map_get_str(&t->twins, device);

	if (w)
		jtext_tree_put(out, w->doc);
	else
		buf_puts(out, "{}");
}

bool twins_current(const struct twins *t, const char *device, struct buf *out)
{
	const struct twin *w = map_get_str(&t->twins, device);
	struct news all = { 0 };

	if (!w || w->version == 0)
		return false;
	all.differs = w->doc;
	all.gone = json_object_new_object();
	put_config(out, w, &all);
	json_object_put(all.gone);
	return true;
}

void twins_forget(struct twins *t, const char *device, struct changes *out)
{
	struct twin *w = map_remove_str(&t->twins, device);

	if (!w)
		return;
	changes_delete(out, MACHINE, device);
	free_twin(w);
}

/* Restoring. */

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
	json_object_object_foreach(object, key, value)
	{
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
	return row_integer(v, "version", &p->version) && row_bool(v, "full", &p->is_full) &&
	       read_object(v, "keys", &p->keys) && is_booleans(p->keys) &&
	       read_object(v, "deleted", &p->deleted) && is_booleans(p->deleted);
}

static bool read_twin(struct jslice row, struct twin *w)
{
	return row_integer(row, "version", &w->version) && w->version >= 0 &&
	       row_integer(row, "updated_ms", &w->updated_ms) &&
	       read_scalar(row, "source_version", &w->source_version) &&
	       read_scalar(row, "source_updated", &w->source_updated) &&
	       read_object(row, "doc", &w->doc) && read_push(row, &w->push);
}

bool twins_restore(struct twins *t, const char *key, const char *value, struct err *e)
{
	struct twin *w = mem_zalloc(sizeof *w), *before;
	struct buf text = { 0 };
	struct jslice row;
	bool ok = row_read(value, &text, &row) && read_twin(row, w);

	if (ok) {
		before = map_set_str(&t->twins, key, w);
		if (before)
			free_twin(before);
	} else {
		free_twin(w);
		err_set(e, ERR_CORRUPT, "twin of '%s' is no twin", key);
	}
	buf_fini(&text);
	return ok;
}
