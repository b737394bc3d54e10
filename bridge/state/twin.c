/* twin.c -- what becomes of a configuration: it is merged and pushed on, until the device confirms it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "state/twin_inside.h"

#define FORGET_GONE_MS (31 * INT64_C(86400000)) /* letters are kept for 30 days */
#define SWEEP_GONE_MS  3600000
/* Devices may hold a version in 32 bits.  Nobody's word takes ours so far that the rest is used up. */
#define MAX_VERSION (INT32_MAX - (INT32_C(1) << 20))

json_object *twin_nothing(void)
{
	static json_object *nothing;

	if (!nothing)
		nothing = json_object_new_object();
	return json_object_get(nothing);
}

void twin_own(json_object **object)
{
	json_object *nothing = twin_nothing();

	if (*object == nothing) {
		json_object_put(nothing); /* the twin's */
		*object = json_object_new_object();
	}
	json_object_put(nothing);
}

static void free_push(struct push *p)
{
	if (!p)
		return;
	json_object_put(p->keys);
	json_object_put(p->deleted);
	free(p);
}

struct twin *twin_new(const struct twins *of, const char *device)
{
	struct twin *w = mem_zalloc(sizeof *w);

	w->of = of;
	w->device = mem_strdup(device);
	w->doc = twin_nothing();
	w->keys = twin_nothing();
	w->reported = twin_nothing();
	w->notices = twin_nothing();
	w->unsaved = twin_nothing();
	return w;
}

void twin_free(void *value)
{
	struct twin *w = value;

	free(w->device);
	json_object_put(w->doc);
	json_object_put(w->keys);
	json_object_put(w->reported);
	json_object_put(w->notices);
	json_object_put(w->unsaved);
	json_object_put(w->word);
	free(w->source_version);
	free(w->source_updated);
	free_push(w->push);
	free(w->resting);
	free(w);
}

struct twins *twins_new(void)
{
	struct twins *t = mem_zalloc(sizeof *t);

	TAILQ_INIT(&t->due);
	t->awake = mem_zalloc(sizeof *t->awake);
	TAILQ_INIT(&t->awake->list);
	t->awake->most = TWINS_AWAKE;
	return t;
}

void twins_start_at_epoch(struct twins *t)
{
	t->from_epoch = true;
}

void twins_set_ahead(struct twins *t, int64_t ahead_ms)
{
	t->ahead_ms = ahead_ms;
}

void twins_free(struct twins *t)
{
	if (!t)
		return;
	map_fini(&t->twins, twin_free);
	free(t->awake);
	free(t);
}

static json_object *push_keys(const struct push *p)
{
	return p && !p->is_full ? p->keys : NULL;
}

static void touch_all(struct twin *w, json_object *names)
{
	json_object_object_foreach (names, name, ignored) {
		(void)ignored;
		twin_touch(w, name);
	}
}

static void close_push(struct twin *w)
{
	if (!w->push)
		return;
	touch_all(w, w->push->keys);
	touch_all(w, w->push->deleted);
	free_push(w->push);
	w->push = NULL;
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

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t twin_next_version(const struct twins *t, const struct twin *w, int64_t theirs,
			  int64_t now_ms)
{
	int64_t next = greater(w->version, w->said_version) + 1;
	int64_t wall_s = (now_ms + t->ahead_ms) / 1000;

	if (w->version == 0 && t->from_epoch && wall_s <= MAX_VERSION)
		next = greater(next, wall_s);
	return greater(next, theirs);
}

static void note_sent(struct twin *w, const char *name, int64_t at_ms)
{
	struct twin_key k = twin_key_of(w, name);

	if (at_ms > k.at_ms)
		k.at_ms = at_ms;
	k.version = w->version;
	k.stage = TWIN_SENT;
	twin_set_key(w, name, k);
	json_object_object_del(w->reported, name);
}

/* Of names that are gone, this is known for as long as a letter may say them again, and of no more than there
 * may be keys. */
static void forget_gone(struct twin *w, int64_t now_ms)
{
	size_t n_gone = count(w->keys) - count(w->doc);
	bool are_many = n_gone > TWIN_MAX_KEYS;

	if (n_gone == 0 ||
	    (!are_many && now_ms < w->swept_ms + SWEEP_GONE_MS && now_ms >= w->swept_ms))
		return;
	w->swept_ms = now_ms;
	json_object_object_foreach (w->keys, name, array) {
		struct twin_key k = twin_key_of(w, name);

		(void)array;
		if (has(w->doc, name) || k.stage == TWIN_SENT || k.stage == TWIN_FAILED)
			continue;
		if (are_many || (k.stage == TWIN_CONFIRMED && k.at_ms < now_ms - FORGET_GONE_MS)) {
			twin_touch(w, name);
			json_object_object_del(w->keys, name);
		}
	}
}

/* Of a key that is set anew, our last word says nothing any more. */
static void forget_word(struct twin *w, const struct news *n)
{
	json_object *values = NULL;

	if (!w->word || !json_object_object_get_ex(w->word, "values", &values))
		return;
	json_object_object_foreach (values, key, value) {
		(void)value;
		if (!has(n->differs, key) && !has(n->gone, key))
			continue;
		json_object_put(w->word);
		w->word = NULL;
		return;
	}
}

static void merge(const struct twins *t, struct twin *w, const struct news *n, int64_t at_ms)
{
	forget_word(w, n);
	w->version = twin_next_version(t, w, integer_version(n->version), at_ms);
	if (at_ms > w->updated_ms)
		w->updated_ms = at_ms;
	json_object_object_foreach (n->differs, key, value) {
		twin_put_value(w, key, value);
		note_sent(w, key, at_ms);
	}
	json_object_object_foreach (n->gone, name, ignored) {
		(void)ignored;
		twin_drop_value(w, name);
		note_sent(w, name, at_ms);
	}
	forget_gone(w, at_ms);
}

/* Open a push of what differs, or let the open one grow by it. */
static void open_push(struct twin *w, const struct news *n, bool waits)
{
	struct push *p = w->push;

	if (!p) {
		p = w->push = mem_zalloc(sizeof *p);
		p->keys = json_object_new_object();
		p->deleted = json_object_new_object();
	}
	json_object_object_foreach (n->differs, key, value) {
		(void)value;
		set_bool(p->keys, key, true);
		json_object_object_del(p->deleted, key);
	}
	json_object_object_foreach (n->gone, name, ignored) {
		(void)ignored;
		json_object_object_del(p->keys, name);
		set_bool(p->deleted, name, true);
	}
	p->is_full = n->full != NULL;
	p->waits = p->waits || waits;
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
		json_object_object_foreach (n->changed, key, value) {
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

/* Our word to the platform, from here on in `reply`. */
static void note_word(struct twin *w, const struct buf *reply, size_t start, int64_t now_ms)
{
	json_object_put(w->word);
	w->word = jtext_tree(reply->data + start, reply->len - start, NULL);
	w->word_ms = now_ms;
}

static void put_word(struct buf *reply, struct twin *w, json_object *keys, int64_t now_ms)
{
	size_t start = reply->len;

	twin_put_reply(reply, w, keys);
	note_word(w, reply, start, now_ms);
}

static void confirm_at_once(struct twin *w, const struct news *n, struct buf *reply, int64_t now_ms)
{
	json_object *none = json_object_new_object();

	put_word(reply, w, n->full ? NULL : n->changed ? n->changed : none, now_ms);
	json_object_put(none);
}

/* Does it say nothing but what the document says, and nothing that the device has changed since? */
static bool is_unchanged(const struct twin *w, json_object *changed)
{
	json_object_object_foreach (changed, key, value) {
		json_object *held;

		if (!json_object_object_get_ex(w->doc, key, &held) || !twin_is_equal(held, value) ||
		    has(w->reported, key))
			return false;
	}
	return true;
}

/* Brokers give back what we say where confirmations are attributes: what was confirmed, or the
 * confirmation as it is.  Each word serves once. */
static bool take_word(struct twin *w, const struct news *n, int64_t now_ms)
{
	json_object *values;
	bool is_word;

	if (!w->word || !n->changed || n->deleted || n->full || now_ms - w->word_ms >= TWIN_ECHO_MS)
		return false;
	is_word = twin_is_equal(n->changed, w->word) ||
		  (json_object_object_get_ex(w->word, "values", &values) &&
		   twin_is_equal(n->changed, values) && is_unchanged(w, n->changed));
	if (is_word) {
		json_object_put(w->word);
		w->word = NULL;
	}
	return is_word;
}

struct twin *twin_of(struct twins *t, const char *device, int64_t now_ms)
{
	struct twin *w = twin_get(t, device);

	if (!w) {
		w = twin_new(t, device);
		w->updated_ms = now_ms;
		map_set_str(&t->twins, device, w);
		twin_add(t, w);
	}
	return w;
}

static bool is_any(const struct news *n)
{
	return count(n->differs) + count(n->gone) > 0;
}

static bool is_open(const struct twin *w, const char *key)
{
	return w->push && json_object_get_boolean(json_object_object_get(w->push->keys, key));
}

/* What the device has changed by itself is there, now that a whole document says it, too.  (Of what is open, it may
 * have been said before the push got there.)  True if there is any. */
static bool adopt_reported(struct twin *w, json_object *full, int64_t at_ms)
{
	bool any = false;

	json_object_object_foreach (full, key, value) {
		if (is_open(w, key) || !twin_has_reported(w, key, value))
			continue;
		twin_put_value(w, key, value);
		twin_set_key(w, key,
			     (struct twin_key){ .at_ms = at_ms,
						.version = w->version,
						.stage = TWIN_CONFIRMED });
		json_object_object_del(w->reported, key);
		any = true;
	}
	return any;
}

static bool take_news(const struct twins *t, struct twin *w, struct news *n,
		      const struct twin_said *said, enum twin_outcome *outcome, struct err *e)
{
	bool was_any;

	if (!said->is_again && take_word(w, n, said->at_ms)) {
		*outcome = TWIN_ECHO;
		return true;
	}
	twin_compare_news(n, w);
	was_any = is_any(n);
	if (said->is_again)
		twin_drop_superseded(n, w, said->at_ms);
	if (is_any(n)) {
		if (!twin_fits(w, n->differs, n->gone, e))
			return false;
		merge(t, w, n, said->at_ms);
		open_push(w, n, said->waits);
		*outcome = TWIN_CHANGES;
	} else if (was_any) {
		*outcome = TWIN_SUPERSEDED;
	} else {
		*outcome = said->waits && !is_pending(w, n) ? TWIN_ANSWER : TWIN_SAME;
	}
	return true;
}

bool twin_is_blank(const struct twin *w)
{
	return w->version == 0 && w->said_version == 0 && !w->source_version &&
	       !w->source_updated && !w->push && !w->is_learnt && w->asked_until_ms == 0 &&
	       !w->word && !w->is_due && count(w->keys) + count(w->notices) == 0;
}

/* Of whom there is nothing to be kept, nothing is. */
static void drop_blank(struct twins *t, struct twin *w)
{
	if (!twin_is_blank(w))
		return;
	twin_sleep(t, w);
	twin_free(map_remove_str(&t->twins, w->device));
}

/* What is said again may be an older version than what was said since. */
static bool is_latest(const struct twin *w, const struct twin_said *said)
{
	return !said->is_again || said->at_ms >= w->updated_ms;
}

bool twins_push(struct twins *t, const char *device, const struct twin_said *said,
		struct changes *out, enum twin_outcome *outcome, struct buf *text, struct err *e)
{
	struct news n = { 0 };
	bool ok = false, is_news, is_latest_said, is_adopted;
	struct twin *w = NULL;

	*outcome = TWIN_SAME;
	if (!twin_read_news(&n, said->body, e))
		goto out;
	w = twin_of(t, device, said->at_ms);
	is_latest_said = is_latest(w, said);
	is_adopted = n.full && !said->is_again && adopt_reported(w, n.full, said->at_ms);
	if (!take_news(t, w, &n, said, outcome,
		       e)) /* which reads the version, so the next comes after it */
		goto out;
	is_news = *outcome != TWIN_ECHO && is_latest_said && take_source(w, &n);
	if (*outcome == TWIN_CHANGES)
		twin_put_config(text, w, &n);
	if (*outcome == TWIN_ANSWER)
		confirm_at_once(w, &n, text, said->at_ms);
	if (*outcome == TWIN_CHANGES || is_news || is_adopted)
		twin_put_row(device, w, out);
	ok = true;
out:
	if (w)
		drop_blank(t, w);
	twin_fini_news(&n);
	return ok;
}

/* Confirmations. */

static bool is_all_confirmed(const struct push *p)
{
	json_object_object_foreach (p->keys, key, is_still_open) {
		(void)key;
		if (json_object_get_boolean(is_still_open))
			return false;
	}
	return true;
}

bool twins_watches(const struct twins *t, const char *device)
{
	const struct twin *w = twin_get(t, device);

	return w && (w->push || count(w->doc) > 0);
}

/* What happened to a twin by attributes that came up. */
struct echo_result {
	bool is_news;	    /* it is to be stored */
	size_t n_confirmed; /* keys of the open push */
};

/* True if the field confirms a key of the open push, which is all that it says. */
static bool take_attribute(struct twin *w, const char *key, struct jslice value,
			   struct echo_result *r)
{
	json_object *tree, *wanted;
	bool confirms;

	if (!json_object_object_get_ex(w->doc, key, &wanted))
		return false;
	tree = jtext_tree(value.text, value.len, NULL);
	if (!tree && jtext_type_of(value) != JTEXT_NULL)
		return false; /* no tree can hold it: a wide integer */
	confirms = is_open(w, key) && twin_is_equal(wanted, tree);
	r->is_news = twin_note_reported(w, key, tree) || r->is_news;
	if (confirms) {
		set_bool(w->push->keys, key, false);
		twin_touch(w, key);
		r->n_confirmed++;
		r->is_news = true;
	}
	json_object_put(tree);
	return confirms;
}

void twins_echo(struct twins *t, const char *device, struct jslice attributes, int64_t now_ms,
		struct changes *out, struct buf *rest, bool *confirmed, struct buf *reply)
{
	struct twin *w = twin_get(t, device);
	struct echo_result result = { 0 };
	size_t start = rest->len, pos = 0;
	struct buf key = { 0 };
	struct jfield f;

	*confirmed = false;
	if (!w) { /* nearly always */
		buf_append(rest, attributes.text, attributes.len);
		return;
	}
	while (jtext_next_field(attributes, &pos, &f)) {
		buf_reset(&key);
		jtext_string_decode(f.key, &key);
		if (!take_attribute(w, buf_str(&key), f.value, &result))
			twin_put_field(rest, start, &f);
	}
	twin_put_end(rest, start);
	if (result.n_confirmed == 0) {
		rest->len = start;
		buf_append(rest, attributes.text, attributes.len);
	}
	buf_fini(&key);
	*confirmed = result.n_confirmed > 0 && is_all_confirmed(w->push);
	if (*confirmed) {
		put_word(reply, w, push_keys(w->push), now_ms);
		close_push(w);
	}
	if (result.is_news)
		twin_put_row(device, w, out);
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

/* What the device had before it got the push that is open says nothing of what it has. */
static bool is_outdated(const struct twin *w, struct jslice body)
{
	struct jslice v;
	int64_t version;

	return w->push && jtext_field(body, "version", &v) && jtext_integer(v, &version) &&
	       version < w->push->version;
}

/* What the device says that it has.  True if that is news. */
static bool note_values(struct twin *w, struct jslice body)
{
	struct jslice values;
	json_object *tree;
	bool is_news = false;

	if (!jtext_field(body, "values", &values) || jtext_type_of(values) != JTEXT_OBJECT)
		return false;
	tree = jtext_tree(values.text, values.len, NULL);
	if (!tree)
		return false;
	json_object_object_foreach (tree, key, value)
		is_news = twin_note_reported(w, key, value) || is_news;
	json_object_put(tree);
	return is_news;
}

/* True if that is news. */
static bool note_version(struct twin *w, struct jslice body)
{
	struct jslice v;
	int64_t version;

	if (!jtext_field(body, "version", &v) || !jtext_integer(v, &version) ||
	    version <= greater(w->version, w->said_version) || version > MAX_VERSION)
		return false;
	w->said_version = version;
	return true;
}

bool twins_confirm(struct twins *t, const char *device, struct jslice body, int64_t now_ms,
		   struct changes *out, struct buf *reply, struct err *e)
{
	struct twin *w;
	bool ours[FIELDS] = { false, false, false }, closes, is_ours, is_news;
	size_t start = reply->len;
	struct jslice v;

	if (jtext_type_of(body) != JTEXT_OBJECT) {
		err_set(e, ERR_INVALID, "config_reply: the body is no object");
		return false;
	}
	w = twin_of(t, device, now_ms);
	is_news = note_version(w, body);
	/* The device's own idea: there is nothing to fill in. */
	if (w->version == 0 && !w->source_version && !w->source_updated) {
		buf_append(reply, body.text, body.len);
		if (is_news)
			twin_put_row(device, w, out);
		else
			drop_blank(t, w);
		return true;
	}
	closes = w->push && (!jtext_field(body, "version", &v) || jtext_type_of(v) == JTEXT_NULL ||
			     is_version(v, w->push->version));
	/* A device may still say what its delivery has said. */
	is_ours = closes ||
		  (!w->push && jtext_field(body, "version", &v) && is_version(v, w->version));
	ours[VERSION] = is_ours && w->source_version;
	ours[UPDATED] = ours[VERSION] && w->source_updated;
	twin_put_filled(reply, body, w, closes ? push_keys(w->push) : NULL, ours);
	note_word(w, reply, start, now_ms);
	if (closes) {
		twin_set_push_stage(w, TWIN_CONFIRMED);
		close_push(w);
	}
	is_news = (!is_outdated(w, body) && note_values(w, body)) || is_news;
	if (closes || is_news)
		twin_put_row(device, w, out);
	return true;
}

/* What is confirmed by now is not open any more. */
static void close_keys(struct twin *w)
{
	struct push *p = w->push;

	json_object_object_foreach (p->keys, key, is_still_open) {
		(void)is_still_open;
		if (twin_key_of(w, key).stage != TWIN_CONFIRMED)
			continue;
		set_bool(p->keys, key, false);
		twin_touch(w, key);
	}
	json_object_object_foreach (p->deleted, name, ignored) {
		(void)ignored;
		if (twin_key_of(w, name).stage != TWIN_CONFIRMED)
			continue;
		twin_touch(w, name);
		json_object_object_del(p->deleted, name);
	}
}

void twins_delivered(struct twins *t, const char *device, int64_t version, bool is_final,
		     int64_t now_ms, struct changes *out, struct buf *reply)
{
	struct twin *w = twin_get(t, device);

	if (!w || !twin_move_sent(w, version, is_final ? TWIN_CONFIRMED : TWIN_DELIVERED))
		return;
	if (is_final && w->push && w->push->waits) {
		close_keys(w);
		if (is_all_confirmed(w->push) && count(w->push->deleted) == 0) {
			put_word(reply, w, push_keys(w->push), now_ms);
			close_push(w);
		}
	}
	twin_put_row(device, w, out);
}

void twins_unsendable(struct twins *t, const char *device, int64_t version, int64_t now_ms,
		      struct changes *out, struct buf *reply)
{
	struct twin *w = twin_get(t, device);

	if (!w)
		return;
	twin_move_sent(w, version, TWIN_CONFIRMED);
	if (w->push)
		close_keys(w);
	if (w->push && is_all_confirmed(w->push)) {
		if (w->push->waits)
			put_word(reply, w, push_keys(w->push), now_ms);
		close_push(w);
	}
	twin_put_row(device, w, out);
}

void twins_document(const struct twins *t, const char *device, struct buf *out)
{
	const struct twin *w = twin_get(t, device);

	if (w)
		jtext_tree_put(out, w->doc);
	else
		buf_puts(out, "{}");
}

bool twins_current(const struct twins *t, const char *device, struct buf *out)
{
	const struct twin *w = twin_get(t, device);
	struct news all = { 0 };

	if (!w || w->version == 0)
		return false;
	all.differs = w->doc;
	all.gone = json_object_new_object();
	twin_put_config(out, w, &all);
	json_object_put(all.gone);
	return true;
}

void twins_forget(struct twins *t, const char *device, struct changes *out)
{
	struct twin *w = twin_get(t, device);

	if (!w)
		return;
	twin_sleep(t, w);
	map_remove_str(&t->twins, device);
	twin_leave(t, w);
	twin_delete_rows(w, out);
	twin_free(w);
}

bool twins_holds(const struct twins *t, const char *device)
{
	const struct twin *w = twin_get(t, device);

	return w && (w->push || count(w->keys) > 0);
}

static void *machine_new(void)
{
	return twins_new();
}

static void machine_free(void *t)
{
	twins_free(t);
}

static bool machine_restore(void *t, const char *key, const char *value, struct changes *out,
			    struct err *e)
{
	return twins_restore(t, key, value, out, e);
}

static bool machine_restore_key(void *t, const char *key, const char *value, struct changes *out,
				struct err *e)
{
	(void)out;
	return twins_restore_key(t, key, value, e);
}

static void machine_forget(void *t, const char *device, struct changes *out)
{
	twins_forget(t, device, out);
}

static int64_t machine_next_deadline(const void *t)
{
	return twins_next_deadline(t);
}

const struct machine twin_machine = {
	.name = MACHINE,
	MACHINE_FIELDS,
	.next_deadline = machine_next_deadline,
};

/* Its rows belong to the twins, which make, end and forget them. */
const struct machine twin_key_machine = {
	.name = KEY_MACHINE,
	.free = machine_free,
	.restore = machine_restore_key,
};
