#include "fleet/wave_list.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "message/state_json.h"

struct wave *wave_list_add(struct wave_list *l)
{
	l->items = mem_grow(l->items, l->n, sizeof *l->items);
	l->items[l->n] = (struct wave){ .soak_ms = WAVE_SOAK_MS };
	return &l->items[l->n++];
}

void wave_fini(struct wave *w)
{
	free(w->name);
	choice_fini(&w->choice);
	*w = (struct wave){ 0 };
}

void wave_list_fini(struct wave_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		wave_fini(&l->items[i]);
	free(l->items);
	free(l->file);
	*l = (struct wave_list){ 0 };
}

/* --- as JSON --------------------------------------------------------------------------------- */

#define NUMBERS 5

static int64_t *number(struct wave *w, int i, const char **key)
{
	static const char *const keys[NUMBERS] = { "not_before", "not_after", "soak",
						   "max_failures", "max_dead_letters" };
	int64_t *fields[NUMBERS] = { &w->not_before_ms, &w->not_after_ms, &w->soak_ms,
				     &w->max_failures, &w->max_dead_letters };

	*key = keys[i];
	return fields[i];
}

#define FLAGS 3

static bool *flag(struct wave *w, int i, const char **key)
{
	static const char *const keys[FLAGS] = { "rollback", "provision", "push" };
	bool *fields[FLAGS] = { &w->rolls_back, &w->provisions, &w->pushes };

	*key = keys[i];
	return fields[i];
}

void wave_put(const struct wave *w, struct buf *out)
{
	struct wave look = *w; /* read only */
	const char *key;
	struct buf match = { 0 };

	buf_puts(out, "{\"name\":");
	state_json_put_text(out, w->name);
	buf_printf(out, ",\"mode\":\"%s\"", fleet_mode_names[w->mode]);
	for (int i = 0; i < NUMBERS; i++) {
		int64_t n = *number(&look, i, &key);

		buf_printf(out, ",\"%s\":%" PRId64, key, n);
	}
	for (int i = 0; i < FLAGS; i++) {
		bool is_set = *flag(&look, i, &key);

		buf_printf(out, ",\"%s\":%s", key, is_set ? "true" : "false");
	}
	choice_put(&w->choice, &match);
	buf_printf(out, ",\"match\":{%s}}", match.len ? buf_str(&match) + 1 : "");
	buf_fini(&match);
}

bool wave_get(struct wave *w, struct jslice from)
{
	struct jslice match;
	char *mode = NULL;
	const char *key;
	int word;
	bool ok;

	*w = (struct wave){ 0 };
	ok = state_json_text(from, "name", &w->name) && w->name &&
	     state_json_text(from, "mode", &mode) && mode && jtext_field(from, "match", &match) &&
	     choice_get(&w->choice, match);
	word = ok ? fleet_word(fleet_mode_names, FLEET_MODES, mode) : -1;
	ok = word > FLEET_DEFAULT;
	w->mode = ok ? (enum fleet_mode)word : FLEET_OFF;
	for (int i = 0; ok && i < NUMBERS; i++) {
		int64_t *n = number(w, i, &key);

		ok = state_json_integer(from, key, n) && *n >= 0;
	}
	for (int i = 0; ok && i < FLAGS; i++) {
		bool *is_set = flag(w, i, &key);

		ok = state_json_bool(from, key, is_set);
	}
	free(mode);
	if (!ok)
		wave_fini(w);
	return ok;
}

void wave_list_put(const struct wave_list *l, struct buf *out)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < l->n; i++) {
		buf_puts(out, i ? "," : "");
		wave_put(&l->items[i], out);
	}
	buf_putc(out, ']');
}

static bool has_name(const struct wave_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].name, name) == 0)
			return true;
	return false;
}

bool wave_list_get(struct wave_list *l, struct jslice from)
{
	struct jslice item;
	size_t pos = 0;
	bool ok = true;

	*l = (struct wave_list){ 0 };
	while (ok && jtext_next_element(from, &pos, &item)) {
		struct wave w;

		ok = l->n < WAVES_MAX && wave_get(&w, item);
		if (ok && has_name(l, w.name)) {
			wave_fini(&w);
			ok = false;
		}
		if (ok)
			*wave_list_add(l) = w;
	}
	ok = ok && l->n > 0;
	if (!ok)
		wave_list_fini(l);
	return ok;
}
