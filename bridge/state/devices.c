#include "state/devices.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "message/state_json.h"

#define MACHINE "device"

struct device {
	char *name;
	char *native[SIDES]; /* NULL: its name here */
};

struct devices {
	struct map by_name;	     /* name here -> struct device, which it owns */
	struct map by_native[SIDES]; /* name there -> struct device */
};

struct devices *devices_new(void)
{
	return mem_zalloc(sizeof(struct devices));
}

static void end_device(void *value)
{
	struct device *d = value;

	for (int s = 0; s < SIDES; s++)
		free(d->native[s]);
	free(d->name);
	free(d);
}

void devices_free(struct devices *t)
{
	if (!t)
		return;
	for (int s = 0; s < SIDES; s++)
		map_fini(&t->by_native[s], NULL);
	map_fini(&t->by_name, end_device);
	free(t);
}

const char *devices_here(const struct devices *t, enum side side, const char *native)
{
	const struct device *d = map_get_str(&t->by_native[side], native);

	return d ? d->name : NULL;
}

const char *devices_there(const struct devices *t, enum side side, const char *name)
{
	const struct device *d = map_get_str(&t->by_name, name);

	return d ? d->native[side] : NULL;
}

static struct device *device_of(struct devices *t, const char *name)
{
	struct device *d = map_get_str(&t->by_name, name);

	if (!d) {
		d = mem_zalloc(sizeof *d);
		d->name = mem_strdup(name);
		map_set_str(&t->by_name, name, d);
	}
	return d;
}

static void put_row(const struct device *d, struct changes *out)
{
	struct buf row = { 0 };

	buf_puts(&row, "{\"south\":");
	state_json_put_text(&row, d->native[SOUTH]);
	buf_puts(&row, ",\"north\":");
	state_json_put_text(&row, d->native[NORTH]);
	buf_putc(&row, '}');
	changes_put(out, MACHINE, d->name, row.data, false);
	buf_fini(&row);
}

/* Set what a side calls the device; NULL: its name here. */
static void set_native(struct devices *t, struct device *d, enum side side, const char *native)
{
	if (d->native[side])
		map_remove_str(&t->by_native[side], d->native[side]);
	free(d->native[side]);
	d->native[side] = mem_strdup(native);
	if (native)
		map_set_str(&t->by_native[side], native, d);
}

void devices_set(struct devices *t, enum side side, const char *name, const char *native,
		 struct changes *out)
{
	struct device *before = map_get_str(&t->by_native[side], native);
	struct device *d = device_of(t, name);

	if (before == d)
		return;
	if (before) {
		set_native(t, before, side, NULL);
		put_row(before, out);
	}
	set_native(t, d, side, native);
	put_row(d, out);
}

void devices_forget(struct devices *t, const char *name, struct changes *out)
{
	struct device *d = map_remove_str(&t->by_name, name);

	if (!d)
		return;
	for (int s = 0; s < SIDES; s++)
		set_native(t, d, (enum side)s, NULL);
	changes_delete(out, MACHINE, name);
	end_device(d);
}

void devices_put_rows(const struct devices *t, struct changes *out)
{
	struct map_pos pos = { 0 };
	const struct device *d;

	while ((d = map_next(&t->by_name, &pos)) != NULL)
		put_row(d, out);
}

bool devices_restore(struct devices *t, const char *key, const char *value, struct err *e)
{
	char *native[SIDES] = { NULL, NULL };
	struct buf text = { 0 };
	struct jslice row;
	bool ok = state_json_read(value, &text, &row) &&
		  state_json_text(row, "south", &native[SOUTH]) &&
		  state_json_text(row, "north", &native[NORTH]);

	for (int s = 0; ok && s < SIDES; s++)
		set_native(t, device_of(t, key), (enum side)s, native[s]);
	if (!ok)
		err_set(e, ERR_CORRUPT, "device '%s' is no row of the device table", key);
	free(native[SOUTH]);
	free(native[NORTH]);
	buf_fini(&text);
	return ok;
}

MACHINE_FUNCTIONS(devices)

const struct machine devices_machine = { .name = MACHINE, MACHINE_FIELDS };
