/* waves_rows.c -- what is kept of a run of waves: its rows, out and back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "fleet/waves_inside.h"
#include "message/state_json.h"
#include "state/change.h"
#include "state/machine.h"

const char *const waves_phase_names[WAVES_PHASES] = { "none", "running",      "stopped",
						      "done", "rolling-back", "rolled-back" };
const char *const wave_state_names[WAVE_STATES] = { "waits",  "sets",	 "soaks",
						    "passed", "stopped", "undone" };

/* --- out ------------------------------------------------------------------------------------- */

static void put_text(struct buf *row, const char *field, const char *text)
{
	buf_printf(row, ",\"%s\":", field);
	state_json_put_text(row, text);
}

static void put_row(const char *machine, const char *key, struct buf *row, struct changes *out)
{
	changes_put(out, machine, key, buf_str(row), false);
	buf_fini(row);
}

void waves_put_run(const struct waves *w, struct changes *out)
{
	struct buf row = { 0 };

	buf_printf(&row, "{\"phase\":\"%s\",\"at\":%zu", waves_phase_names[w->phase], w->at);
	put_text(&row, "who", w->who);
	put_text(&row, "why", w->why);
	put_text(&row, "file", w->list.file);
	buf_putc(&row, '}');
	put_row(WAVE_MACHINE, "run", &row, out);
}

static char *numbered(const char *what, size_t i)
{
	return mem_printf("%s/%04zu", what, i);
}

void waves_put_specs(const struct waves *w, struct changes *out)
{
	for (size_t i = 0; i < w->list.n; i++) {
		char *key = numbered("spec", i);
		struct buf row = { 0 };

		wave_put(&w->list.items[i], &row);
		put_row(WAVE_MACHINE, key, &row, out);
		free(key);
	}
}

void waves_put_count(const struct waves *w, size_t i, struct changes *out)
{
	const struct wave_count *c = &w->counts[i];
	char *key = numbered("count", i);
	struct buf row = { 0 };

	buf_printf(&row,
		   "{\"state\":\"%s\",\"devices\":%" PRId64 ",\"failures\":%" PRId64
		   ",\"dead\":%" PRId64 ",\"begun\":%" PRId64 ",\"set\":%" PRId64 "}",
		   wave_state_names[c->state], c->devices, c->failures, c->dead_letters,
		   c->begun_ms, c->set_ms);
	put_row(WAVE_MACHINE, key, &row, out);
	free(key);
}

void waves_put_device(const struct wave_device *d, struct changes *out)
{
	struct buf row = { 0 };

	buf_printf(&row, "{\"before\":\"%s\",\"at\":%" PRId64 ",\"set\":%s,\"passed\":%s",
		   fleet_mode_names[d->before], d->at_ms, d->is_set ? "true" : "false",
		   d->has_passed ? "true" : "false");
	if (d->is_given)
		buf_printf(&row, ",\"given\":\"%s\"", fleet_mode_names[d->given]);
	put_text(&row, "wave", d->wave);
	put_text(&row, "left", d->left);
	if (d->kept)
		put_text(&row, "kept", d->kept);
	buf_putc(&row, '}');
	put_row(WAVE_DEVICE_MACHINE, d->name, &row, out);
}

void waves_put_failing(const struct waves *w, struct changes *out)
{
	struct buf row = { 0 };

	buf_puts(&row, "{\"devices\":[");
	for (size_t i = 0; i < w->n_failing; i++) {
		buf_puts(&row, i ? ",{\"device\":" : "{\"device\":");
		state_json_put_text(&row, w->failing[i].device);
		put_text(&row, "why", w->failing[i].why);
		buf_putc(&row, '}');
	}
	buf_puts(&row, "]}");
	put_row(WAVE_MACHINE, "failing", &row, out);
}

void waves_delete_rows(const struct waves *w, struct changes *out)
{
	static const char *const what[] = { "spec", "count" };
	const struct wave_device *d;
	struct map_pos pos = { 0 };

	for (size_t i = 0; i < w->list.n; i++)
		for (size_t k = 0; k < sizeof what / sizeof what[0]; k++) {
			char *key = numbered(what[k], i);

			changes_delete(out, WAVE_MACHINE, key);
			free(key);
		}
	changes_delete(out, WAVE_MACHINE, "failing");
	while ((d = map_next(&w->devices, &pos)) != NULL)
		changes_delete(out, WAVE_DEVICE_MACHINE, d->name);
}

/* --- back ------------------------------------------------------------------------------------ */

static bool get_word(struct jslice row, const char *field, const char *const *names, int n,
		     int *out)
{
	char *word = NULL;
	bool ok = state_json_text(row, field, &word) && word &&
		  (*out = fleet_word(names, n, word)) >= 0;

	free(word);
	return ok;
}

static bool restore_run(struct waves *w, struct jslice row)
{
	char *who = NULL, *why = NULL, *file = NULL;
	int64_t at = 0;
	int phase = 0;
	bool ok = get_word(row, "phase", waves_phase_names, WAVES_PHASES, &phase) &&
		  state_json_integer(row, "at", &at) && at >= 0 && at <= WAVES_MAX &&
		  state_json_text(row, "who", &who) && who && state_json_text(row, "why", &why) &&
		  why && state_json_text(row, "file", &file);

	if (!ok) {
		free(who);
		free(why);
		free(file);
		return false;
	}
	free(w->who);
	free(w->why);
	free(w->list.file);
	w->who = who;
	w->why = why;
	w->list.file = file;
	w->phase = (enum waves_phase)phase;
	w->at = (size_t)at;
	return true;
}

/* Rows of a list come in any order. */
static void make_room(struct waves *w, size_t n)
{
	while (w->list.n < n) {
		w->counts = mem_grow(w->counts, w->list.n, sizeof *w->counts);
		w->counts[w->list.n] = (struct wave_count){ 0 };
		wave_list_add(&w->list)->name = mem_strdup("");
	}
}

static bool restore_spec(struct waves *w, size_t i, struct jslice row)
{
	struct wave wave;

	if (!wave_get(&wave, row))
		return false;
	make_room(w, i + 1);
	wave_fini(&w->list.items[i]);
	w->list.items[i] = wave;
	return true;
}

static bool restore_count(struct waves *w, size_t i, struct jslice row)
{
	struct wave_count c = { 0 };
	int state = 0;

	if (!get_word(row, "state", wave_state_names, WAVE_STATES, &state) ||
	    !state_json_integer(row, "devices", &c.devices) ||
	    !state_json_integer(row, "failures", &c.failures) ||
	    !state_json_integer(row, "dead", &c.dead_letters) ||
	    !state_json_integer(row, "begun", &c.begun_ms) ||
	    !state_json_integer(row, "set", &c.set_ms))
		return false;
	c.state = (enum wave_state)state;
	make_room(w, i + 1);
	w->counts[i] = c;
	return true;
}

static bool restore_failing(struct waves *w, struct jslice row)
{
	struct jslice devices, item;
	size_t pos = 0;
	bool ok = jtext_field(row, "devices", &devices);

	while (ok && jtext_next_element(devices, &pos, &item)) {
		char *device = NULL, *why = NULL;

		ok = state_json_text(item, "device", &device) && device &&
		     state_json_text(item, "why", &why) && why;
		if (ok)
			waves_note_failing(w, device, why);
		free(device);
		free(why);
	}
	return ok;
}

static bool restore_row(struct waves *w, const char *key, struct jslice row)
{
	const char *slash = strchr(key, '/');
	char *end;
	unsigned long i;

	if (strcmp(key, "failing") == 0)
		return restore_failing(w, row);
	if (!slash)
		return strcmp(key, "run") == 0 && restore_run(w, row);
	i = strtoul(slash + 1, &end, 10);
	if (*end || i >= WAVES_MAX)
		return false;
	if (strncmp(key, "spec/", 5) == 0)
		return restore_spec(w, i, row);
	return strncmp(key, "count/", 6) == 0 && restore_count(w, i, row);
}

bool waves_restore(struct waves *w, const char *key, const char *value, struct err *e)
{
	struct buf text = { 0 };
	struct jslice row;
	bool ok = state_json_read(value, &text, &row) && restore_row(w, key, row);

	if (!ok)
		err_set(e, ERR_CORRUPT, "wave %s: no row of a wave", key);
	buf_fini(&text);
	return ok;
}

static bool has(struct jslice row, const char *field)
{
	return jtext_field(row, field, &(struct jslice){ 0 });
}

/* Rows of earlier versions do not say which mode was given. */
static bool get_given(struct jslice row, struct wave_device *d)
{
	int given = FLEET_DEFAULT;

	d->is_given = has(row, "given") || !d->left;
	if (has(row, "given") && !get_word(row, "given", fleet_mode_names, FLEET_MODES, &given))
		return false;
	d->given = (enum fleet_mode)given;
	return !has(row, "kept") || state_json_text(row, "kept", &d->kept);
}

bool waves_restore_device(struct waves *w, const char *key, const char *value, struct err *e)
{
	struct wave_device *d = mem_zalloc(sizeof *d);
	struct buf text = { 0 };
	struct jslice row;
	int before = 0;
	bool ok = state_json_read(value, &text, &row) &&
		  get_word(row, "before", fleet_mode_names, FLEET_MODES, &before) &&
		  state_json_integer(row, "at", &d->at_ms) &&
		  state_json_bool(row, "set", &d->is_set) &&
		  state_json_bool(row, "passed", &d->has_passed) &&
		  state_json_text(row, "wave", &d->wave) && d->wave &&
		  state_json_text(row, "left", &d->left) && get_given(row, d);

	if (ok) {
		d->before = (enum fleet_mode)before;
		d->name = mem_strdup(key);
		d = map_set_str(&w->devices, key, d); /* the one that was there */
	} else {
		err_set(e, ERR_CORRUPT, "wave-device %s: no row of a device", key);
	}
	if (d)
		wave_device_free(d);
	buf_fini(&text);
	return ok;
}

/* --- the machines ---------------------------------------------------------------------------- */

static void *machine_new(void)
{
	return waves_new();
}

static void machine_free(void *m)
{
	waves_free(m);
}

static bool machine_restore(void *m, const char *key, const char *value, struct changes *out,
			    struct err *e)
{
	(void)out;
	return waves_restore(m, key, value, e);
}

static bool device_restore(void *m, const char *key, const char *value, struct changes *out,
			   struct err *e)
{
	(void)out;
	return waves_restore_device(m, key, value, e);
}

static int64_t machine_deadline(const void *m)
{
	return waves_next_deadline(m);
}

const struct machine waves_machine = { .name = WAVE_MACHINE,
				       .new = machine_new,
				       .free = machine_free,
				       .restore = machine_restore,
				       .next_deadline = machine_deadline };
const struct machine wave_device_machine = { .name = WAVE_DEVICE_MACHINE,
					     .new = machine_new,
					     .free = machine_free,
					     .restore = device_restore };
