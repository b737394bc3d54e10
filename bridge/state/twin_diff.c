/* twin_diff.c -- what a config body says, and what of it is news to a twin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/twin_inside.h"

#define MAX_NOTICES 64

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
	else if (!read_piece(n->tree, "unread", json_type_array, &n->unread) ||
		 (n->unread && !is_strings(n->unread)))
		wrong = "unread is no array of strings";
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

/* Does the whole document have this key?  With a value that could not be read, it stays as it was. */
static bool full_has(const struct news *n, const char *key)
{
	if (has(n->full, key))
		return true;
	for (size_t i = 0; n->unread && i < json_object_array_length(n->unread); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(n->unread, i)), key) ==
		    0)
			return true;
	return false;
}

/* What the document has not: names that are held, and such whose deletion has not got there. */
static void compare_names(struct news *n, const struct twin *w)
{
	json_object_object_foreach (w->doc, key, value) {
		(void)value;
		if (!full_has(n, key))
			set_bool(n->gone, key, true);
	}
	json_object_object_foreach (w->keys, name, array) {
		(void)array;
		if (!has(w->doc, name) && !full_has(n, name) &&
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

/* What the platform answers when the bridge asks it for all that it has to say of a device.
 *
 * The document is what the platform last said, so what differs from it was said while nobody listened, and
 * nothing else is to be sent: what the device itself has changed since stays.  Without a document nothing is
 * known to have been said since, and the first answer becomes it. */

void twins_ask(struct twins *t, const char *device, bool is_told, int64_t now_ms, int64_t until_ms)
{
	struct twin *w = twin_of(t, device, now_ms);

	w->asked_ms = now_ms;
	w->asked_until_ms = until_ms;
	w->asks_config = true;
	w->asks_first = is_told && !w->is_learnt;
}

static bool is_asked(const struct twin *w, int64_t now_ms)
{
	return w && now_ms < w->asked_until_ms;
}

bool twins_is_asked(const struct twins *t, const char *device, int64_t now_ms)
{
	return is_asked(twin_get(t, device), now_ms);
}

bool twins_takes_answer(const struct twins *t, const char *device)
{
	const struct twin *w = twin_get(t, device);

	return w && w->asks_config;
}

bool twins_is_as_said(const struct twins *t, const char *device)
{
	const struct twin *w = twin_get(t, device);

	if (!w)
		return true;
	json_object_object_foreach (w->doc, key, value) {
		(void)value;
		if (!twin_is_there(w, key))
			return false;
	}
	return true;
}

/* That it is on its way is no difference. */
static bool differs(const struct twin *w, const char *name)
{
	enum twin_stage stage = twin_key_of(w, name).stage;

	return twin_is_failed(stage) || (has(w->reported, name) && stage != TWIN_SENT);
}

/* The names of what differs -> true: of the document, and those that are gone; the caller's. */
static json_object *differing(const struct twin *w)
{
	json_object *names = json_object_new_object();

	json_object_object_foreach (w->keys, name, array) {
		(void)array;
		if (differs(w, name))
			set_bool(names, name, true);
	}
	json_object_object_foreach (w->reported, key, value) {
		(void)value;
		if (differs(w, key))
			set_bool(names, key, true);
	}
	return names;
}

bool twins_put_differing(const struct twins *t, const char *device, struct buf *names)
{
	const struct twin *w = twin_get(t, device);
	json_object *all = w ? differing(w) : NULL;
	char before = '[';
	bool any = all && count(all) > 0;

	if (any) {
		json_object_object_foreach (all, name, ignored) {
			(void)ignored;
			buf_putc(names, before);
			jtext_put_string(names, name, strlen(name));
			before = ',';
		}
		buf_putc(names, ']');
	}
	json_object_put(all);
	return any;
}

void twins_hold(struct twins *t, const char *device, struct changes *out)
{
	struct twin *w = twin_get(t, device);
	json_object *all = w ? differing(w) : NULL;

	if (!all)
		return;
	json_object_object_foreach (all, name, ignored) {
		(void)ignored;
		if (twin_key_of(w, name).stage == TWIN_FAILED)
			twin_set_stage(w, name, TWIN_REFUSED);
	}
	w->has_failed = false;
	twin_leave(t, w);
	twin_put_row(device, w, out);
	json_object_put(all);
}

bool twins_take_up(struct twins *t, const char *device, struct changes *out)
{
	struct twin *w = twin_get(t, device);
	json_object *all = w ? differing(w) : NULL;
	bool any = all && count(all) > 0;

	if (any) {
		json_object_object_foreach (all, name, ignored) {
			(void)ignored;
			twin_set_stage(w, name, TWIN_FAILED);
		}
		twin_put_row(device, w, out);
	}
	json_object_put(all);
	return any;
}

void twins_end_question(struct twins *t, const char *device)
{
	struct twin *w = twin_get(t, device);

	if (w)
		w->asked_until_ms = 0;
}

/* A key of the answer. */
static void compare_key(struct news *n, const struct twin *w, const char *key, json_object *value,
			bool may_add)
{
	struct twin_key k = twin_key_of(w, key);
	json_object *held = NULL;
	bool is_held = json_object_object_get_ex(w->doc, key, &held);

	if (k.at_ms >= w->asked_ms)
		return; /* said after the question: the answer may be older */
	if (is_held ? !twin_is_equal(held, value) || k.stage == TWIN_FAILED : may_add)
		set(n->differs, key, value);
}

static void compare(struct news *n, const struct twin *w, bool may_add)
{
	n->differs = json_object_new_object();
	n->gone = json_object_new_object();
	json_object_object_foreach (n->full, key, value)
		compare_key(n, w, key, value, may_add);
	json_object_object_foreach (w->doc, held, ignored) {
		(void)ignored;
		if (!full_has(n, held) && twin_key_of(w, held).at_ms < w->asked_ms)
			set_bool(n->gone, held, true);
	}
}

/* What is new and not to be sent is taken as if the device had it. */
static void learn(const struct twins *t, struct twin *w, const struct news *n)
{
	bool is_any = false;

	json_object_object_foreach (n->full, key, value) {
		if (has(w->doc, key) || has(n->differs, key) ||
		    twin_key_of(w, key).at_ms >= w->asked_ms)
			continue;
		if (!is_any)
			w->version = twin_next_version(t, w, 0, w->asked_ms);
		is_any = true;
		twin_put_value(w, key, value);
		twin_set_key(w, key,
			     (struct twin_key){ w->asked_ms - 1, w->version, TWIN_CONFIRMED });
	}
}

static void put_diff(struct buf *out, const struct news *n)
{
	char before = '[';

	if (count(n->differs) + count(n->gone) == 0)
		return;
	buf_puts(out, "{\"changed\":");
	jtext_tree_put(out, n->differs);
	buf_puts(out, ",\"deleted\":");
	json_object_object_foreach (n->gone, name, ignored) {
		(void)ignored;
		buf_putc(out, before);
		jtext_put_string(out, name, strlen(name));
		before = ',';
	}
	buf_puts(out, before == '[' ? "[]}" : "]}");
}

bool twins_compare(struct twins *t, const char *device, struct jslice full, bool pushes_first,
		   int64_t now_ms, struct changes *out, struct buf *diff, struct err *e)
{
	struct twin *w = twin_of(t, device, now_ms);
	struct news n = { 0 };
	bool ok;

	ok = twin_read_news(&n, full, e) && n.full;
	if (ok && w->asks_config && is_asked(w, now_ms)) {
		compare(&n, w, pushes_first || !w->asks_first);
		ok = twin_fits(w, n.full, n.gone, e);
	}
	if (ok && n.differs) {
		learn(t, w, &n);
		put_diff(diff, &n);
		w->is_learnt = true;
		w->asks_config = false;
		twin_put_row(device, w, out);
	}
	twin_fini_news(&n);
	return ok;
}

/* Beside the configuration. */

static void put_hash(char text[17], struct jslice body)
{
	struct crypto_piece piece = { body.text, body.len };
	uint8_t hash[CRYPTO_HASH_BYTES];

	crypto_hash(&piece, 1, hash);
	for (size_t i = 0; i < 8; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
}

static void drop_oldest_notice(struct twin *w)
{
	if (count(w->notices) < MAX_NOTICES)
		return;
	json_object_object_foreach (w->notices, what, hash) {
		(void)hash;
		json_object_object_del(w->notices, what);
		return;
	}
}

bool twins_take_notice(struct twins *t, const char *device, const char *what, struct jslice body,
		       bool is_answer, bool pushes_first, int64_t now_ms, struct changes *out)
{
	struct twin *w = twin_of(t, device, now_ms);
	json_object *last = NULL;
	char hash[17];
	bool is_known = json_object_object_get_ex(w->notices, what, &last), is_same;

	put_hash(hash, body);
	is_same = is_known && strcmp(json_object_get_string(last), hash) == 0;
	if (!is_same) {
		twin_own(&w->notices);
		drop_oldest_notice(w);
		json_object_object_add(w->notices, what, json_object_new_string(hash));
		twin_put_row(device, w, out);
	}
	if (!is_answer)
		return true;
	return !is_same && (is_known || pushes_first || !w->asks_first);
}
