#include "fleet/choice.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "message/state_json.h"

static bool fits(const char *wanted, const char *value)
{
	return !wanted || strcmp(wanted, value ? value : "") == 0;
}

static bool is_meant(const struct choice *c, struct fleet *t, enum fleet_mode link_mode,
		     const struct fleet_device *d, struct changes *out)
{
	enum fleet_mode passes = fleet_mode_of(d, link_mode);

	if (c->is_orphan && (d->origin != FLEET_CONFIGURATION || d->is_listed))
		return false;
	if (c->percent && !fleet_is_among(t, d->name, strtod(c->percent, NULL), out))
		return false;
	return (!c->pattern || fnmatch(c->pattern, d->name, 0) == 0) &&
	       fits(c->state, fleet_state_names[d->state]) &&
	       fits(c->mode, fleet_mode_names[passes]) && fits(c->group, d->group) &&
	       fits(c->reason, d->reason);
}

static char **listed(const struct choice *c, const struct fleet *t, const char *link, size_t *n)
{
	char **names = mem_zalloc((c->n + 1) * sizeof *names);
	struct map taken = { 0 };

	*n = 0;
	for (size_t i = 0; i < c->n; i++) {
		struct choice_name *item = &c->list[i];

		if ((item->link && strcmp(item->link, link) != 0) || !fleet_find(t, item->name))
			continue;
		item->is_known = true;
		if (map_get_str(&taken, item->name))
			continue;
		map_set_str(&taken, item->name, item);
		names[(*n)++] = mem_strdup(item->name);
	}
	map_fini(&taken, NULL);
	return names;
}

char **choice_take(const struct choice *c, struct fleet *t, const char *link,
		   enum fleet_mode link_mode, size_t *n, struct changes *out)
{
	size_t n_all;
	char **names = c->has_list ? listed(c, t, link, &n_all) : fleet_names(t, &n_all);

	*n = 0;
	for (size_t i = 0; i < n_all; i++) {
		if (is_meant(c, t, link_mode, fleet_find(t, names[i]), out))
			names[(*n)++] = names[i];
		else
			free(names[i]);
	}
	return names;
}

bool choice_is_made(const struct choice *c)
{
	return c->has_list || c->pattern || c->state || c->mode || c->reason || c->group ||
	       c->percent || c->is_orphan || c->is_all;
}

void choice_add(struct choice *c, const char *link, const char *name)
{
	c->has_list = true;
	c->list = mem_grow(c->list, c->n, sizeof *c->list);
	c->list[c->n++] =
		(struct choice_name){ .link = mem_strdup(link), .name = mem_strdup(name) };
}

void choice_fini(struct choice *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->list[i].link);
		free(c->list[i].name);
	}
	free(c->list);
	free(c->pattern);
	free(c->state);
	free(c->mode);
	free(c->reason);
	free(c->group);
	free(c->percent);
	*c = (struct choice){ 0 };
}

/* --- as JSON --------------------------------------------------------------------------------- */

#define TEXTS 6

static char **text_field(struct choice *c, int i, const char **key)
{
	static const char *const keys[TEXTS] = { "name",   "state", "mode",
						 "reason", "group", "percent" };
	char **fields[TEXTS] = { &c->pattern, &c->state, &c->mode,
				 &c->reason,  &c->group, &c->percent };

	*key = keys[i];
	return fields[i];
}

static bool get_text(struct jslice from, const char *key, char **out)
{
	struct jslice v;

	if (!jtext_field(from, key, &v))
		return true;
	if (!state_json_text(from, key, out))
		return false;
	if (*out && !**out) {
		free(*out);
		*out = NULL;
	}
	return true;
}

static bool get_flag(struct jslice from, const char *key, bool *out)
{
	struct jslice v;

	return !jtext_field(from, key, &v) || state_json_bool(from, key, out);
}

static bool get_name(struct choice *c, struct jslice item)
{
	char *link = NULL, *name = NULL;
	struct buf text = { 0 };
	bool ok = true;

	if (jtext_string_decode(item, &text))
		choice_add(c, NULL, buf_str(&text));
	else if ((ok = get_text(item, "link", &link) && get_text(item, "name", &name) && name))
		choice_add(c, link, name);
	buf_fini(&text);
	free(link);
	free(name);
	return ok;
}

bool choice_get(struct choice *c, struct jslice from)
{
	struct jslice list, item;
	size_t pos = 0;
	bool ok = true;
	const char *key;

	*c = (struct choice){ 0 };
	for (int i = 0; ok && i < TEXTS; i++) {
		char **field = text_field(c, i, &key);

		ok = get_text(from, key, field);
	}
	ok = ok && get_flag(from, "orphan", &c->is_orphan) && get_flag(from, "all", &c->is_all);
	if (ok && jtext_field(from, "list", &list)) {
		c->has_list = true;
		while (ok && jtext_next_element(list, &pos, &item))
			ok = get_name(c, item);
	}
	if (!ok)
		choice_fini(c);
	return ok;
}

static void put_list(const struct choice *c, struct buf *out)
{
	buf_puts(out, ",\"list\":[");
	for (size_t i = 0; i < c->n; i++) {
		buf_puts(out, i ? "," : "");
		if (c->list[i].link) {
			buf_puts(out, "{\"link\":");
			state_json_put_text(out, c->list[i].link);
			buf_puts(out, ",\"name\":");
		}
		state_json_put_text(out, c->list[i].name);
		buf_puts(out, c->list[i].link ? "}" : "");
	}
	buf_putc(out, ']');
}

void choice_put(const struct choice *c, struct buf *out)
{
	struct choice look = *c; /* read only */
	const char *key;

	for (int i = 0; i < TEXTS; i++) {
		const char *text = *text_field(&look, i, &key);

		if (!text)
			continue;
		buf_printf(out, ",\"%s\":", key);
		state_json_put_text(out, text);
	}
	buf_puts(out, c->is_orphan ? ",\"orphan\":true" : "");
	buf_puts(out, c->is_all ? ",\"all\":true" : "");
	if (c->has_list)
		put_list(c, out);
}
