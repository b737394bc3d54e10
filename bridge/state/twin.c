/* twin.c -- what becomes of a configuration: it is merged and pushed on, until the device confirms it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "state/twin_inside.h"

#define MAX_VERSION ((INT64_C(1) << 53) - 1) /* every JSON reader holds it exactly */

static void free_push(struct push *p)
{
	if (!p)
		return;
	json_object_put(p->keys);
	json_object_put(p->deleted);
	free(p);
}

void twin_free(void *value)
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
	map_fini(&t->twins, twin_free);
	free(t);
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

	json_object_object_foreach (n->differs, key, value)
		set(w->doc, key, value);
	json_object_object_foreach (n->gone, name, ignored) {
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

static void confirm_at_once(const struct twin *w, const struct news *n, struct buf *reply)
{
	json_object *none = json_object_new_object();

	twin_put_reply(reply, w, n->full ? NULL : n->changed ? n->changed : none);
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
	if (!twin_read_news(&n, body, e))
		goto out;
	w = twin_of(t, device, now_ms);
	twin_compare_news(&n, w);
	result->is_change = count(n.differs) + count(n.gone) > 0;
	result->is_confirmed = !result->is_change && waits && !is_pending(w, &n);
	if (result->is_change) {
		merge(w, &n, now_ms);
		open_push(w, &n);
	}
	is_news = take_source(w, &n); /* after merge(), which reads it */
	if (result->is_change)
		twin_put_config(config, w, &n);
	if (result->is_confirmed)
		confirm_at_once(w, &n, reply);
	if (result->is_change || is_news)
		twin_put_row(device, w, out);
	ok = true;
out:
	twin_fini_news(&n);
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
	same = (tree || jtext_type_of(value) == JTEXT_NULL) && twin_is_equal(wanted, tree);
	json_object_put(tree);
	return same;
}

static bool is_all_confirmed(const struct push *p)
{
	json_object_object_foreach (p->keys, key, is_open) {
		(void)key;
		if (json_object_get_boolean(is_open))
			return false;
	}
	return true;
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
			twin_put_field(rest, start, &f);
		}
	}
	twin_put_end(rest, start);
	buf_fini(&key);
	*confirmed = n > 0 && is_all_confirmed(w->push);
	if (*confirmed) {
		twin_put_reply(reply, w, push_keys(w->push));
		close_push(w);
	}
	if (n > 0)
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
	twin_put_filled(reply, body, w, closes ? push_keys(w->push) : NULL, ours);
	if (closes) {
		close_push(w);
		twin_put_row(device, w, out);
	}
	return true;
}

void twins_unsendable(struct twins *t, const char *device, struct changes *out, struct buf *reply)
{
	struct twin *w = map_get_str(&t->twins, device);

	if (!w)
		return;
	twin_put_reply(reply, w, push_keys(w->push));
	if (!w->push)
		return;
	close_push(w);
	twin_put_row(device, w, out);
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
	twin_put_config(out, w, &all);
	json_object_put(all.gone);
	return true;
}

void twins_forget(struct twins *t, const char *device, struct changes *out)
{
	struct twin *w = map_remove_str(&t->twins, device);

	if (!w)
		return;
	changes_delete(out, MACHINE, device);
	twin_free(w);
}

MACHINE_FUNCTIONS(twins)

const struct machine twin_machine = { .name = MACHINE, MACHINE_FIELDS };
