#include "fleet/compare.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "message/state_json.h"
#include "state/change.h"
#include "state/machine.h"

#define MACHINE "compare"

TAILQ_HEAD(compare_due, compare_device);

struct compares {
	struct map by_name; /* -> struct compare_device, which it owns */
	struct compare_due due;
};

struct compares *compares_new(void)
{
	struct compares *t = mem_zalloc(sizeof *t);

	TAILQ_INIT(&t->due);
	return t;
}

static void free_device(void *value)
{
	struct compare_device *d = value;

	if (!d)
		return;
	for (size_t i = 0; i < d->n_keys; i++) {
		free(d->keys[i].name);
		buf_fini(&d->keys[i].read.text);
		buf_fini(&d->keys[i].ack.text);
	}
	free(d->keys);
	free(d->name);
	free(d);
}

void compares_free(struct compares *t)
{
	if (!t)
		return;
	map_fini(&t->by_name, free_device);
	free(t);
}

static struct compare_device *device_of(struct compares *t, const char *name)
{
	struct compare_device *d = map_get_str(&t->by_name, name);

	if (!d) {
		d = mem_zalloc(sizeof *d);
		d->name = mem_strdup(name);
		map_set_str(&t->by_name, name, d);
	}
	return d;
}

const struct compare_device *compares_find(const struct compares *t, const char *device)
{
	return map_get_str(&t->by_name, device);
}

const struct compare_device *compares_next(const struct compares *t, struct map_pos *pos)
{
	return map_next(&t->by_name, pos);
}

/* --- values -------------------------------------------------------------------------------- */

static bool is_text(const struct buf *b, struct jslice v)
{
	return b->len == v.len && v.len > 0 && memcmp(b->data, v.text, v.len) == 0;
}

/* The same value has the same hash, however its spaces are. */
static uint64_t hash_of(struct jslice v)
{
	struct buf spelled = { 0 };
	uint8_t hash[CRYPTO_HASH_BYTES];
	json_object *tree =
		jtext_type_of(v) >= JTEXT_STRING ? jtext_tree(v.text, v.len, NULL) : NULL;
	struct crypto_piece piece = { v.text, v.len };
	uint64_t n = 0;

	if (tree) {
		jtext_tree_put(&spelled, tree);
		piece = (struct crypto_piece){ spelled.data, spelled.len };
	}
	crypto_hash(&piece, 1, hash);
	for (int i = 0; i < 8; i++)
		n = n << 8 | hash[i];
	json_object_put(tree);
	buf_fini(&spelled);
	return n;
}

uint64_t compare_hash(const struct compare_value *v)
{
	return v->text.len ? hash_of((struct jslice){ v->text.data, v->text.len }) : v->hash;
}

static void set_value(struct compare_value *to, struct jslice v, bool is_secret)
{
	to->has = true;
	if (is_text(&to->text, v))
		return;
	buf_reset(&to->text);
	to->hash = 0;
	if (v.len > COMPARE_VALUE_MAX || is_secret)
		to->hash = hash_of(v);
	else
		buf_append(&to->text, v.text, v.len);
}

/* Two spellings of a number are one value, as platforms keep numbers and not texts. */
static bool is_same(const struct compare_value *held, struct jslice v)
{
	struct jslice text = { held->text.data, held->text.len };

	if (held->text.len == 0)
		return hash_of(v) == held->hash;
	if (jtext_type_of(text) == JTEXT_NUMBER && jtext_type_of(v) == JTEXT_NUMBER)
		return strtod(buf_str(&held->text), NULL) == strtod(v.text, NULL);
	return is_text(&held->text, v) || hash_of(text) == hash_of(v);
}

/* --- counting ------------------------------------------------------------------------------ */

static bool is_key(const struct compare_key *k, enum kind kind, struct jslice name)
{
	return k->kind == kind && strlen(k->name) == name.len &&
	       memcmp(k->name, name.text, name.len) == 0;
}

/* Keys mostly come in the order of last time.  NULL: there are too many. */
static struct compare_key *key_of(struct compare_device *d, enum kind kind, struct jslice name)
{
	struct compare_key *k;

	for (size_t i = 0; i < d->n_keys; i++) {
		size_t at = (d->at + i) % d->n_keys;

		if (!is_key(&d->keys[at], kind, name))
			continue;
		d->at = at + 1;
		return &d->keys[at];
	}
	if (d->n_keys == COMPARE_KEYS_MAX)
		return NULL;
	d->keys = mem_grow(d->keys, d->n_keys, sizeof *d->keys);
	k = &d->keys[d->n_keys++];
	*k = (struct compare_key){ .name = mem_strndup(name.text, name.len), .kind = kind };
	d->at = d->n_keys;
	return k;
}

static void set_due(struct compares *t, struct compare_device *d, int64_t now_ms)
{
	if (d->is_due)
		return;
	d->is_due = true;
	d->due_ms = now_ms + COMPARE_WRITE_MS;
	TAILQ_INSERT_TAIL(&t->due, d, due);
}

static void unset_due(struct compares *t, struct compare_device *d)
{
	if (d->is_due)
		TAILQ_REMOVE(&t->due, d, due);
	d->is_due = false;
}

struct compare_device *compares_settle(struct compares *t, const char *device, int64_t now_ms)
{
	struct compare_device *d = device_of(t, device);

	if (!d->since_ms)
		d->since_ms = now_ms;
	d->last_ms = now_ms;
	d->messages++;
	d->at = 0;
	set_due(t, d, now_ms);
	return d;
}

void compare_see(struct compare_device *d, const struct compare_seen *s, int64_t now_ms)
{
	struct compare_key *k = key_of(d, s->kind, s->name);
	int64_t lag_ms = now_ms > s->received_ms ? now_ms - s->received_ms : 0;

	if (!k) {
		d->left_out++;
		return;
	}
	if (s->value.text)
		set_value(&k->read, s->value, s->is_secret);
	if (s->why) {
		k->dropped++;
		k->dropped_ms = now_ms;
		snprintf(k->why, sizeof k->why, "%s", s->why);
		return;
	}
	k->acked++;
	k->acked_ms = now_ms;
	k->lag_ms = lag_ms;
	if (lag_ms > k->most_lag_ms)
		k->most_lag_ms = lag_ms;
	if (s->value.text)
		set_value(&k->ack, s->value, s->is_secret);
}

/* --- what the platform says ---------------------------------------------------------------- */

static bool can_be_asked(const struct compare_key *k)
{
	return k->kind == KIND_ATTRIBUTES && k->acked && k->ack.has;
}

size_t compare_put_attributes(const struct compare_device *d, struct buf *out)
{
	size_t n = 0;

	buf_putc(out, '[');
	for (size_t i = 0; i < d->n_keys; i++) {
		if (!can_be_asked(&d->keys[i]))
			continue;
		buf_puts(out, n++ ? "," : "");
		jtext_put_string(out, d->keys[i].name, strlen(d->keys[i].name));
	}
	buf_putc(out, ']');
	return n;
}

void compares_ask(struct compares *t, const char *device, int64_t now_ms)
{
	struct compare_device *d = device_of(t, device);

	d->asked_ms = now_ms;
	d->answered_ms = 0;
	for (size_t i = 0; i < d->n_keys; i++)
		d->keys[i].there = COMPARE_NOT_ASKED;
}

static bool find(struct jslice object, const char *name, struct jslice *out)
{
	struct buf plain = { 0 };
	struct jfield f;
	size_t pos = 0;
	bool is = false;

	while (jtext_next_field(object, &pos, &f)) {
		buf_reset(&plain);
		if (!jtext_string_decode(f.key, &plain) || strcmp(buf_str(&plain), name) != 0)
			continue;
		*out = f.value;
		is = true;
	}
	buf_fini(&plain);
	return is;
}

void compares_answer(struct compares *t, const char *device, struct jslice object, int64_t now_ms)
{
	struct compare_device *d = map_get_str(&t->by_name, device);
	struct jslice value;

	if (!d)
		return;
	d->answered_ms = now_ms;
	for (size_t i = 0; i < d->n_keys; i++) {
		struct compare_key *k = &d->keys[i];

		if (!can_be_asked(k))
			continue;
		k->there = !find(object, k->name, &value) ? COMPARE_MISSING
			   : is_same(&k->ack, value)	  ? COMPARE_SAME
							  : COMPARE_DIFFERS;
	}
}

/* --- rows ---------------------------------------------------------------------------------- */

static void put_value(struct buf *out, const char *text, const char *hash,
		      const struct compare_value *v)
{
	if (!v->has)
		return;
	if (v->text.len) {
		buf_printf(out, ",\"%s\":", text);
		buf_append(out, v->text.data, v->text.len);
	} else {
		buf_printf(out, ",\"%s\":%" PRId64, hash, (int64_t)v->hash);
	}
}

static void put_key(struct buf *out, const struct compare_key *k)
{
	buf_puts(out, "{\"name\":");
	jtext_put_string(out, k->name, strlen(k->name));
	if (k->kind != KIND_NONE)
		buf_printf(out, ",\"kind\":\"%s\"", kind_name(k->kind));
	buf_printf(out,
		   ",\"acked\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"acked_ms\":%" PRId64
		   ",\"dropped_ms\":%" PRId64 ",\"lag_ms\":%" PRId64 ",\"most_lag_ms\":%" PRId64
		   ",\"why\":",
		   k->acked, k->dropped, k->acked_ms, k->dropped_ms, k->lag_ms, k->most_lag_ms);
	state_json_put_text(out, k->why);
	put_value(out, "read", "read_hash", &k->read);
	put_value(out, "ack", "ack_hash", &k->ack);
	buf_putc(out, '}');
}

const char *compares_next_due(const struct compares *t, int64_t now_ms)
{
	const struct compare_device *d = TAILQ_FIRST(&t->due);

	return d && d->due_ms <= now_ms ? d->name : NULL;
}

int64_t compares_next_deadline(const struct compares *t)
{
	const struct compare_device *d = TAILQ_FIRST(&t->due);

	return d ? d->due_ms : INT64_MAX;
}

void compares_put_due(struct compares *t, const char *device, struct changes *out)
{
	struct compare_device *d = map_get_str(&t->by_name, device);
	struct buf row = { 0 };

	assert(d && d->is_due);
	unset_due(t, d);
	buf_printf(&row,
		   "{\"since_ms\":%" PRId64 ",\"last_ms\":%" PRId64 ",\"messages\":%" PRIu64
		   ",\"left_out\":%" PRIu64 ",\"keys\":[",
		   d->since_ms, d->last_ms, d->messages, d->left_out);
	for (size_t i = 0; i < d->n_keys; i++) {
		buf_puts(&row, i ? "," : "");
		put_key(&row, &d->keys[i]);
	}
	buf_puts(&row, "]}");
	changes_put(out, MACHINE, device, buf_str(&row), false);
	buf_fini(&row);
}

void compares_forget(struct compares *t, const char *device, struct changes *out)
{
	struct compare_device *d = map_remove_str(&t->by_name, device);

	if (!d)
		return;
	unset_due(t, d);
	changes_delete(out, MACHINE, device);
	free_device(d);
}

static void get_value(struct jslice row, const char *text, const char *hash,
		      struct compare_value *v)
{
	struct jslice value;
	int64_t n;

	if (jtext_field(row, text, &value)) {
		v->has = true;
		buf_append(&v->text, value.text, value.len);
	} else if (state_json_integer(row, hash, &n)) {
		v->has = true;
		v->hash = (uint64_t)n;
	}
}

static bool get_kind(struct jslice row, enum kind *out)
{
	char *name = NULL;

	*out = KIND_NONE;
	if (!jtext_field(row, "kind", &(struct jslice){ 0 }))
		return true;
	if (state_json_text(row, "kind", &name) && name)
		*out = kind_of(name);
	free(name);
	return *out != KIND_NONE;
}

static bool get_key(struct jslice row, struct compare_device *d)
{
	struct compare_key *k;
	int64_t acked, dropped;
	char *why = NULL;
	bool ok;

	if (d->n_keys == COMPARE_KEYS_MAX)
		return false;
	d->keys = mem_grow(d->keys, d->n_keys, sizeof *d->keys);
	k = &d->keys[d->n_keys];
	*k = (struct compare_key){ 0 };
	ok = get_kind(row, &k->kind) && state_json_integer(row, "acked", &acked) &&
	     state_json_integer(row, "dropped", &dropped) &&
	     state_json_integer(row, "acked_ms", &k->acked_ms) &&
	     state_json_integer(row, "dropped_ms", &k->dropped_ms) &&
	     state_json_integer(row, "lag_ms", &k->lag_ms) &&
	     state_json_integer(row, "most_lag_ms", &k->most_lag_ms) &&
	     state_json_text(row, "why", &why) && why && state_json_text(row, "name", &k->name) &&
	     k->name;
	if (ok) {
		k->acked = (uint64_t)acked;
		k->dropped = (uint64_t)dropped;
		snprintf(k->why, sizeof k->why, "%s", why);
		get_value(row, "read", "read_hash", &k->read);
		get_value(row, "ack", "ack_hash", &k->ack);
		d->n_keys++;
	} else {
		free(k->name);
	}
	free(why);
	return ok;
}

bool compares_restore(struct compares *t, const char *key, const char *value, struct err *e)
{
	struct compare_device *d = mem_zalloc(sizeof *d);
	struct jslice row, keys, item;
	int64_t messages, left_out;
	struct buf text = { 0 };
	size_t pos = 0;
	bool ok = state_json_read(value, &text, &row) &&
		  state_json_integer(row, "since_ms", &d->since_ms) &&
		  state_json_integer(row, "last_ms", &d->last_ms) &&
		  state_json_integer(row, "messages", &messages) &&
		  state_json_integer(row, "left_out", &left_out) && jtext_field(row, "keys", &keys);

	while (ok && jtext_next_element(keys, &pos, &item))
		ok = get_key(item, d);
	if (ok) {
		d->name = mem_strdup(key);
		d->messages = (uint64_t)messages;
		d->left_out = (uint64_t)left_out;
		free_device(map_set_str(&t->by_name, key, d));
	} else {
		free_device(d);
		err_set(e, ERR_CORRUPT, "what was compared of '%s' is no comparison", key);
	}
	buf_fini(&text);
	return ok;
}

static int64_t next_deadline(const void *m)
{
	return compares_next_deadline(m);
}

MACHINE_FUNCTIONS(compares)

const struct machine compare_machine = { .name = MACHINE,
					 .next_deadline = next_deadline,
					 MACHINE_FIELDS };
