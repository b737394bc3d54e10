#include "state/reported.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "message/state_json.h"

#define MACHINE "reported"

struct reporteds {
	struct map objects; /* device -> JSON text of an object */
};

struct reporteds *reporteds_new(void)
{
	return mem_zalloc(sizeof(struct reporteds));
}

void reporteds_free(struct reporteds *t)
{
	if (!t)
		return;
	map_fini(&t->objects, free);
	free(t);
}

static struct jslice object_of(const struct reporteds *t, const char *device)
{
	const char *text = map_get_str(&t->objects, device);

	if (!text)
		text = "{}";
	return (struct jslice){ text, strlen(text) };
}

static bool is_same(struct jslice a, struct jslice b)
{
	return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

/* The value of the field whose key is spelled `key`, quotes and all; the last of several. */
static bool find(struct jslice object, struct jslice key, struct jslice *out)
{
	struct jfield f;
	size_t pos = 0;
	bool found = false;

	while (jtext_next_field(object, &pos, &f)) {
		if (is_same(f.key, key)) {
			*out = f.value;
			found = true;
		}
	}
	return found;
}

static void put_field(struct buf *out, struct jslice key, struct jslice value)
{
	if (out->data[out->len - 1] != '{')
		buf_putc(out, ',');
	buf_append(out, key.text, key.len);
	buf_putc(out, ':');
	buf_append(out, value.text, value.len);
}

/* The fields of `old`, with the values of `new` where it has them, and then what only `new` has. */
static void put_merged(struct jslice old, struct jslice new, struct buf *out)
{
	struct jslice value;
	struct jfield f;
	size_t pos = 0;

	buf_putc(out, '{');
	while (jtext_next_field(old, &pos, &f)) {
		if (!find(new, f.key, &value))
			value = f.value;
		put_field(out, f.key, value);
	}
	for (pos = 0; jtext_next_field(new, &pos, &f);)
		if (!find(old, f.key, &value) && find(new, f.key, &value) &&
		    is_same(value, f.value) && value.text == f.value.text)
			put_field(out, f.key, value);
	buf_putc(out, '}');
}

void reporteds_merge(struct reporteds *t, const char *device, struct jslice attributes,
		     struct changes *out)
{
	struct jslice old = object_of(t, device);
	struct buf merged = { 0 };

	put_merged(old, attributes, &merged);
	if (is_same(old, (struct jslice){ merged.data, merged.len })) {
		buf_fini(&merged);
		return;
	}
	changes_put(out, MACHINE, device, merged.data, false);
	free(map_set_str(&t->objects, device, buf_take(&merged)));
}

void reporteds_put(const struct reporteds *t, const char *device, struct buf *out)
{
	struct jslice object = object_of(t, device);

	buf_append(out, object.text, object.len);
}

void reporteds_forget(struct reporteds *t, const char *device, struct changes *out)
{
	char *text = map_remove_str(&t->objects, device);

	if (text)
		changes_delete(out, MACHINE, device);
	free(text);
}

void reported_select(struct jslice object, struct jslice names, struct buf *out)
{
	struct jslice name, value;
	size_t pos = 0;

	if (names.len == 0) {
		buf_append(out, object.text, object.len);
		return;
	}
	buf_putc(out, '{');
	while (jtext_next_element(names, &pos, &name))
		if (find(object, name, &value))
			put_field(out, name, value);
	buf_putc(out, '}');
}

bool reporteds_restore(struct reporteds *t, const char *key, const char *value, struct err *e)
{
	struct buf text = { 0 };
	struct jslice row;
	bool ok = state_json_read(value, &text, &row);

	if (ok)
		free(map_set_str(&t->objects, key, buf_take(&text)));
	else
		err_set(e, ERR_CORRUPT, "reported attributes of '%s' are no object", key);
	buf_fini(&text);
	return ok;
}

MACHINE_FUNCTIONS(reporteds)

const struct machine reported_machine = { .name = MACHINE, MACHINE_FIELDS };
