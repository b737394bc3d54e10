/* twin_keys.c -- what a twin knows of each key of its document: how far it got, what the device has, and what is
 * to be sent again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "state/twin_inside.h"

/* Between two tries of what has failed. */
#define TRY_AGAIN_MS 60000
#define LONG_BYTES   256 /* of a value */

/* A key as a row has it: [at_ms, version, stage]. */
enum { AT, SENT_WITH, STAGE, PARTS };

static int64_t part(json_object *array, size_t i)
{
	return json_object_get_int64(json_object_array_get_idx(array, i));
}

static struct twin_key read_key(json_object *array)
{
	return (struct twin_key){ .at_ms = part(array, AT),
				  .version = part(array, SENT_WITH),
				  .stage = (enum twin_stage)part(array, STAGE) };
}

struct twin_key twin_key_of(const struct twin *w, const char *name)
{
	json_object *array;

	if (!json_object_object_get_ex(w->keys, name, &array))
		return (struct twin_key){ .stage = TWIN_CONFIRMED };
	return read_key(array);
}

void twin_touch(struct twin *w, const char *name)
{
	twin_own(&w->unsaved);
	set_bool(w->unsaved, name, true);
}

static size_t bytes_of(const char *name, json_object *value)
{
	struct buf text = { 0 };
	size_t n;

	jtext_tree_put(&text, value);
	n = strlen(name) + text.len;
	buf_fini(&text);
	return n;
}

static size_t held_bytes(const struct twin *w, const char *name)
{
	json_object *held;

	return json_object_object_get_ex(w->doc, name, &held) ? bytes_of(name, held) : 0;
}

void twin_put_value(struct twin *w, const char *name, json_object *value)
{
	w->doc_bytes += bytes_of(name, value);
	w->doc_bytes -= held_bytes(w, name);
	twin_own(&w->doc);
	set(w->doc, name, value);
	twin_touch(w, name);
}

void twin_drop_value(struct twin *w, const char *name)
{
	w->doc_bytes -= held_bytes(w, name);
	json_object_object_del(w->doc, name);
	twin_touch(w, name);
}

bool twin_fits(const struct twin *w, json_object *differs, json_object *gone, struct err *e)
{
	size_t n = count(w->doc), bytes = w->doc_bytes;

	json_object_object_foreach (differs, key, value) {
		n += !has(w->doc, key);
		bytes += bytes_of(key, value);
		bytes -= held_bytes(w, key);
	}
	json_object_object_foreach (gone, name, ignored) {
		(void)ignored;
		n -= has(w->doc, name);
		bytes -= held_bytes(w, name);
	}
	if (n > TWIN_MAX_KEYS && n > count(w->doc))
		err_set(e, ERR_LIMIT,
			"the device's configuration would have %zu keys, more than %d", n,
			TWIN_MAX_KEYS);
	else if (bytes > TWIN_MAX_BYTES && bytes > w->doc_bytes)
		err_set(e, ERR_LIMIT,
			"the device's configuration would have %zu bytes, more than %d", bytes,
			TWIN_MAX_BYTES);
	else
		return true;
	return false;
}

void twin_set_key(struct twin *w, const char *name, struct twin_key k)
{
	json_object *array = json_object_new_array_ext(PARTS);

	twin_own(&w->keys);
	twin_touch(w, name);
	json_object_array_add(array, json_object_new_int64(k.at_ms));
	json_object_array_add(array, json_object_new_int64(k.version));
	json_object_array_add(array, json_object_new_int64(k.stage));
	json_object_object_add(w->keys, name, array);
	w->has_failed = w->has_failed || k.stage == TWIN_FAILED;
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

/* Of what the device has, all that matters is whether it is what it said before: a long value is kept by its
 * hash.  A reference of the caller's. */
static json_object *shortened(json_object *value)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	char text[2 * CRYPTO_HASH_BYTES + 1];
	struct crypto_piece piece;
	struct buf whole = { 0 };
	bool is_long;

	jtext_tree_put(&whole, value);
	is_long = whole.len > LONG_BYTES;
	piece = (struct crypto_piece){ whole.data, whole.len };
	if (is_long)
		crypto_hash(&piece, 1, hash);
	for (size_t i = 0; is_long && i < sizeof hash; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	buf_fini(&whole);
	return is_long ? json_object_new_string(text) : json_object_get(value);
}

bool twin_has_reported(const struct twin *w, const char *key, json_object *value)
{
	json_object *reported, *shown = shortened(value);
	bool is = json_object_object_get_ex(w->reported, key, &reported) &&
		  twin_is_equal(reported, shown);

	json_object_put(shown);
	return is;
}

bool twin_note_reported(struct twin *w, const char *key, json_object *value)
{
	json_object *wanted, *before;
	bool is_known;

	if (!json_object_object_get_ex(w->doc, key, &wanted))
		return false; /* it is no configuration */
	if (twin_is_equal(wanted, value)) {
		bool is_news = has(w->reported, key) || twin_key_of(w, key).stage != TWIN_CONFIRMED;

		json_object_object_del(w->reported, key);
		if (is_news)
			twin_set_stage(w, key, TWIN_CONFIRMED);
		return is_news;
	}
	value = shortened(value);
	is_known = json_object_object_get_ex(w->reported, key, &before) &&
		   twin_is_equal(before, value);
	if (!is_known) {
		twin_own(&w->reported);
		set(w->reported, key, value);
		twin_touch(w, key);
	}
	json_object_put(value);
	return !is_known;
}

bool twin_is_key(json_object *array)
{
	if (!json_object_is_type(array, json_type_array) ||
	    json_object_array_length(array) != PARTS)
		return false;
	for (size_t i = 0; i < PARTS; i++)
		if (!json_object_is_type(json_object_array_get_idx(array, i), json_type_int))
			return false;
	return part(array, STAGE) >= 0 && part(array, STAGE) < TWIN_STAGES;
}

bool twin_are_keys(json_object *keys)
{
	json_object_object_foreach (keys, name, array) {
		(void)name;
		if (!twin_is_key(array))
			return false;
	}
	return true;
}

/* Messages that are said again. */

/* Nothing of what was said at `at_ms` is to be sent, if this is so: it was said otherwise since, or got there. */
static bool is_superseded(const struct twin *w, const char *name, json_object *value, int64_t at_ms)
{
	struct twin_key k = twin_key_of(w, name);
	json_object *held = NULL;
	bool is_held = json_object_object_get_ex(w->doc, name, &held);

	if (k.at_ms != at_ms)
		return k.at_ms > at_ms;
	if (!is_held || !twin_is_equal(held, value))
		return true; /* it was said in the same moment */
	return !has(w->reported, name) && k.stage != TWIN_SENT && !twin_is_failed(k.stage);
}

/* Something newer was said of the key: if that did not get there, it is what goes now. */
static void take_newer(struct news *n, const struct twin *w, const char *name)
{
	json_object *held;

	if (!twin_is_failed(twin_key_of(w, name).stage))
		return;
	if (json_object_object_get_ex(w->doc, name, &held))
		set(n->differs, name, held);
	else
		set_bool(n->gone, name, true);
}

void twin_drop_superseded(struct news *n, const struct twin *w, int64_t at_ms)
{
	json_object *said = n->differs, *deleted = n->gone;

	n->differs = json_object_new_object();
	n->gone = json_object_new_object();
	json_object_object_foreach (said, key, value) {
		if (is_superseded(w, key, value, at_ms))
			take_newer(n, w, key);
		else
			set(n->differs, key, value);
	}
	json_object_object_foreach (deleted, name, ignored) {
		(void)ignored;
		if (twin_key_of(w, name).at_ms > at_ms)
			take_newer(n, w, name);
		else
			set_bool(n->gone, name, true);
	}
	json_object_put(said);
	json_object_put(deleted);
}

/* What became of what was sent. */

bool twin_move_sent(struct twin *w, int64_t version, enum twin_stage stage)
{
	bool any = false;

	json_object_object_foreach (w->keys, name, array) {
		struct twin_key k = read_key(array);
		bool is_it = version ? k.version == version : k.stage == TWIN_SENT;

		/* One of several messages may have failed, and what the device said is better known. */
		if (!is_it ||
		    (k.stage != TWIN_SENT && (k.stage != TWIN_DELIVERED || !twin_is_failed(stage))))
			continue;
		twin_set_stage(w, name, stage);
		any = true;
	}
	return any;
}

void twins_failed(struct twins *t, const char *device, int64_t version, bool is_worth_a_try,
		  int64_t now_ms, struct changes *out)
{
	struct twin *w = twin_get(t, device);

	if (!w || !twin_move_sent(w, version, is_worth_a_try ? TWIN_FAILED : TWIN_REFUSED))
		return;
	w->failed_ms = now_ms;
	twin_put_row(device, w, out);
}

/* Sending again. */

void twin_leave(struct twins *t, struct twin *w)
{
	if (w->is_due)
		TAILQ_REMOVE(&t->due, w, due);
	w->is_due = false;
}

void twins_show_up(struct twins *t, const char *device, int64_t now_ms)
{
	struct twin *w = twin_get(t, device);
	int64_t next_ms;

	if (!w || !w->has_failed || w->is_due || now_ms <= w->failed_ms)
		return;
	next_ms = w->tried_ms ? w->tried_ms + TRY_AGAIN_MS : 0;
	w->due_ms = next_ms > now_ms ? next_ms : now_ms;
	TAILQ_INSERT_TAIL(&t->due, w, due);
	w->is_due = true;
}

int64_t twins_next_deadline(const struct twins *t)
{
	const struct twin *w;
	int64_t earliest_ms = INT64_MAX;

	TAILQ_FOREACH (w, &t->due, due)
		if (w->due_ms < earliest_ms)
			earliest_ms = w->due_ms;
	return earliest_ms;
}

const char *twins_next_due(struct twins *t, int64_t now_ms)
{
	struct twin *w;

	TAILQ_FOREACH (w, &t->due, due) {
		if (w->due_ms > now_ms)
			continue;
		twin_leave(t, w);
		w->tried_ms = now_ms;
		return w->device;
	}
	return NULL;
}

/* What has failed, as news. */
static void collect_failed(struct twin *w, struct news *n)
{
	json_object *held;

	n->differs = json_object_new_object();
	n->gone = json_object_new_object();
	json_object_object_foreach (w->keys, name, array) {
		(void)array;
		if (twin_key_of(w, name).stage != TWIN_FAILED)
			continue;
		if (json_object_object_get_ex(w->doc, name, &held))
			set(n->differs, name, held);
		else
			set_bool(n->gone, name, true);
	}
}

static void send_again(struct twin *w, json_object *names)
{
	json_object_object_foreach (names, name, ignored) {
		struct twin_key k = twin_key_of(w, name);

		(void)ignored;
		k.version = w->version;
		k.stage = TWIN_SENT;
		twin_set_key(w, name, k);
	}
}

bool twins_send_failed(struct twins *t, const char *device, int64_t now_ms, struct changes *out,
		       struct buf *config)
{
	struct twin *w = twin_get(t, device);
	struct news n = { 0 };
	bool any;

	if (!w)
		return false;
	collect_failed(w, &n);
	any = count(n.differs) + count(n.gone) > 0;
	if (any) {
		w->version = twin_next_version(t, w, 0, now_ms);
		send_again(w, n.differs);
		send_again(w, n.gone);
		if (w->push) /* which is theirs, or nobody waits for them any more */
			w->push->version = w->version;
		twin_put_config(config, w, &n);
		twin_put_row(device, w, out);
	}
	w->has_failed = false;
	twin_fini_news(&n);
	return any;
}
