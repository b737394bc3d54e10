/* twin_body.c -- the texts of a twin that go out: bodies of config and config_reply. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "state/twin_inside.h"

static void put_updated(struct buf *out, const struct twin *w)
{
	if (w->source_updated)
		buf_puts(out, w->source_updated);
	else
		buf_printf(out, "%" PRId64, w->updated_ms + w->of->ahead_ms);
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

	json_object_object_foreach (object, key, value) {
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

	json_object_object_foreach (object, key, ignored) {
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

void twin_put_config(struct buf *out, const struct twin *w, const struct news *n)
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

void twin_put_reply(struct buf *out, const struct twin *w, json_object *keys)
{
	buf_puts(out, "{\"version\":");
	put_version(out, w);
	buf_puts(out, ",\"updated\":");
	put_updated(out, w);
	buf_puts(out, ",\"values\":");
	put_values(out, w, keys ? keys : w->doc);
	buf_putc(out, '}');
}

/* A config_reply of the device, completed. */

static const char *const field_names[FIELDS] = { "version", "updated", "values" };

void twin_put_field(struct buf *out, size_t start, const struct jfield *f)
{
	buf_putc(out, out->len == start ? '{' : ',');
	buf_append(out, f->key.text, f->key.len);
	buf_putc(out, ':');
	buf_append(out, f->value.text, f->value.len);
}

void twin_put_end(struct buf *out, size_t start)
{
	buf_puts(out, out->len == start ? "{}" : "}");
}

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

void twin_put_filled(struct buf *out, struct jslice body, const struct twin *w, json_object *keys,
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
			twin_put_field(out, start, &f);
	}
	for (int i = 0; i < FIELDS; i++)
		if (!is_there[i])
			put_confirmed(out, start, i, w, keys);
	twin_put_end(out, start);
}
