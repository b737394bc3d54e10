/* control_request_waves.c -- devices that are cut over in waves (fleet/waves.h).
 *
 *   {"request":"waves","do":"run"|"status"|"stop"|"rollback","who":NAME,"link":NAME,"file":NAME,
 *    "waves":[...],"dry_run":true}
 *
 * Without a link it is the one for which that can be meant.  A bridge that does not run does what is asked when it is
 * started.  `status` gives an item for each link that has a run, `run` one for each wave or mistake. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "control/control_request_table.h"
#include "control/device_table.h"
#include "fleet/waves.h"
#include "live/change_mode.h"
#include "live/live_link.h"
#include "message/state_json.h"

#define MISTAKES 20 /* of a wave, that are told */

struct work {
	const struct control_request_parts *parts;
	const struct action *action;
	char *who, *link, *file;
	struct wave_list list;
	bool is_dry;
	size_t n_mistakes;
};

struct action {
	const char *word;
	/* Can it be meant for this link, if none is named?  NULL: for any. */
	bool (*fits)(enum waves_phase phase);
	bool (*f)(struct work *w, struct device_table *t, struct buf *out, struct err *e);
};

/* --- status ---------------------------------------------------------------------------------- */

static void put_time(struct buf *out, const char *key, int64_t ms, int64_t ahead_ms)
{
	if (ms)
		buf_printf(out, ",\"%s\":%" PRId64, key, ms + ahead_ms);
}

static void put_wave(const struct waves *w, size_t i, struct buf *out)
{
	const struct wave *wave = &waves_list(w)->items[i];
	const struct wave_count *c = waves_count(w, i);

	buf_puts(out, i ? ",{\"name\":" : "{\"name\":");
	state_json_put_text(out, wave->name);
	control_request_put_text(out, "mode", fleet_mode_names[wave->mode]);
	control_request_put_text(out, "state", wave_state_names[c->state]);
	buf_printf(out,
		   ",\"devices\":%" PRId64 ",\"failures\":%" PRId64 ",\"dead_letters\":%" PRId64
		   ",\"max_failures\":%" PRId64 ",\"max_dead_letters\":%" PRId64
		   ",\"soak_s\":%" PRId64,
		   c->devices, c->failures, c->dead_letters, wave->max_failures,
		   wave->max_dead_letters, wave->soak_ms / 1000);
	control_request_put_text(out, "on_limit", wave->rolls_back ? "rollback" : "stop");
	put_time(out, "not_before_ms", wave->not_before_ms, 0);
	put_time(out, "not_after_ms", wave->not_after_ms, 0);
	put_time(out, "begun_ms", c->begun_ms, clock_ahead_ms());
	put_time(out, "set_ms", c->set_ms, clock_ahead_ms());
	buf_putc(out, '}');
}

static void put_devices(const char *field, const struct waves_failing *devices, size_t n,
			struct buf *out)
{
	buf_printf(out, ",\"%s\":[", field);
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, i ? ",{\"device\":" : "{\"device\":");
		state_json_put_text(out, devices[i].device);
		control_request_put_text(out, "why", devices[i].why);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}

static void put_left(const struct waves *w, struct buf *out)
{
	struct waves_failing kept[WAVES_TOLD];
	size_t n_failing, n_told, n;
	const struct waves_failing *failing = waves_failing(w, &n_failing);

	n = waves_kept(w, kept, &n_told);
	put_devices("failing", failing, n_failing, out);
	put_devices("kept", kept, n_told, out);
	buf_printf(out, ",\"n_kept\":%zu}}\n", n);
}

static bool tell_status(struct work *w, struct device_table *t, struct buf *out, struct err *e)
{
	const struct wave_list *list = waves_list(t->waves);

	(void)e;
	if (waves_phase(t->waves) == WAVES_NONE)
		return true;
	buf_puts(out, "{\"item\":{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "phase", waves_phase_names[waves_phase(t->waves)]);
	control_request_put_text(out, "who", waves_who(t->waves));
	control_request_put_text(out, "why", waves_why(t->waves));
	control_request_put_text(out, "file", list->file ? list->file : "");
	buf_printf(out, ",\"running\":%s,\"at\":%zu,\"waves\":[",
		   w->parts->is_running ? "true" : "false", waves_at(t->waves));
	for (size_t i = 0; i < list->n; i++)
		put_wave(t->waves, i, out);
	buf_putc(out, ']');
	put_left(t->waves, out);
	return true;
}

/* --- run ------------------------------------------------------------------------------------- */

static void put_mistake(struct work *w, const struct wave *wave, const char *device,
			const char *why, size_t n_of_wave, struct buf *out)
{
	char *name = mem_printf("wave %s: %s", wave->name, device);

	w->n_mistakes++;
	if (n_of_wave < MISTAKES) {
		buf_puts(out, "{\"item\":{\"name\":");
		state_json_put_text(out, name);
		control_request_put_text(out, "problem", why);
		buf_puts(out, "}}\n");
	}
	free(name);
}

/* Those that the wave would take as they stand now; mistakes are in the answer. */
static size_t check_wave(struct work *w, struct device_table *t, const struct wave *wave,
			 struct buf *out)
{
	const struct choice *c = &wave->choice;
	size_t n, n_wrong = 0;
	char **names = choice_take(c, t->fleet, t->link, t->link_mode, &n, &t->changes);

	for (size_t i = 0; i < n; i++) {
		char *why = mode_fixed(fleet_find(t->fleet, names[i]), wave->mode);

		if (why)
			put_mistake(w, wave, names[i], why, n_wrong++, out);
		free(why);
		free(names[i]);
	}
	free(names);
	for (size_t i = 0; i < c->n; i++)
		if (!c->list[i].is_known &&
		    (!c->list[i].link || strcmp(c->list[i].link, t->link) == 0))
			put_mistake(w, wave, c->list[i].name, "nothing is known of such a device",
				    n_wrong++, out);
	return n;
}

static void put_begun(const struct device_table *t, const struct wave *wave, size_t n,
		      struct buf *out)
{
	buf_puts(out, "{\"item\":{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "wave", wave->name);
	control_request_put_text(out, "mode", fleet_mode_names[wave->mode]);
	buf_printf(out, ",\"devices\":%zu", n);
	put_time(out, "not_before_ms", wave->not_before_ms, 0);
	put_time(out, "not_after_ms", wave->not_after_ms, 0);
	buf_puts(out, "}}\n");
}

static bool run(struct work *w, struct device_table *t, struct buf *out, struct err *e)
{
	struct buf begun = { 0 };
	bool ok = device_table_fix_modes(w->parts, t, e);

	if (!ok)
		return false;
	for (size_t i = 0; i < w->list.n; i++) {
		const struct wave *wave = &w->list.items[i];

		put_begun(t, wave, check_wave(w, t, wave, out), &begun);
	}
	if (!w->n_mistakes && !w->is_dry) {
		w->list.file = mem_strdup(w->file);
		ok = waves_run(t->waves, &w->list, w->who, &t->changes, e);
	}
	if (!w->n_mistakes)
		buf_append(out, buf_str(&begun), begun.len);
	buf_fini(&begun);
	return ok;
}

static bool stop(struct work *w, struct device_table *t, struct buf *out, struct err *e)
{
	return waves_stop(t->waves, w->who, &t->changes, e) && tell_status(w, t, out, e);
}

static bool roll_back(struct work *w, struct device_table *t, struct buf *out, struct err *e)
{
	return waves_roll_back(t->waves, w->who, &t->changes, e) && tell_status(w, t, out, e);
}

/* --- which link ------------------------------------------------------------------------------ */

static bool is_at_work(enum waves_phase phase)
{
	return phase == WAVES_RUNNING || phase == WAVES_BACK;
}

static bool can_go_back(enum waves_phase phase)
{
	return phase != WAVES_NONE && phase != WAVES_UNDONE;
}

static const struct action actions[] = {
	{ "status", NULL, tell_status },
	{ "run", NULL, run },
	{ "stop", is_at_work, stop },
	{ "rollback", can_go_back, roll_back },
};

/* Of each link: how its run stands.  False sets *e. */
static bool look(const struct work *w, enum waves_phase *phases, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; ok && i < device_table_count(w->parts); i++) {
		struct device_table t;

		ok = device_table_open(w->parts, i, w->who, &t, e);
		if (!ok)
			break;
		phases[i] = waves_phase(t.waves);
		ok = device_table_close(w->parts, &t, true, e);
	}
	return ok;
}

/* The number of the link that is meant; false sets *e. */
static bool find_link(const struct work *w, const enum waves_phase *phases, size_t *found,
		      struct err *e)
{
	size_t n = device_table_count(w->parts), n_fit = 0;

	for (size_t i = 0; i < n; i++) {
		bool fits = w->link	      ? strcmp(device_table_name(w->parts, i), w->link) == 0
			    : w->action->fits ? w->action->fits(phases[i])
					      : true;

		n_fit += fits;
		*found = fits ? i : *found;
	}
	if (n_fit == 0 && w->link)
		err_set(e, ERR_NOT_FOUND, "no link is called \"%s\"", w->link);
	else if (n_fit == 0)
		err_set(e, ERR_NOT_FOUND, "no waves are there for that");
	else if (n_fit > 1)
		err_set(e, ERR_INVALID, "there are several links: --link says which");
	return n_fit == 1;
}

/* The bridge runs one wave at a time. */
static bool is_free(const struct work *w, const enum waves_phase *phases, size_t wanted,
		    struct err *e)
{
	for (size_t i = 0; i < device_table_count(w->parts); i++)
		if (w->action->f == run && i != wanted && is_at_work(phases[i])) {
			err_set(e, ERR_BUSY, "waves of link %s are running: one at a time",
				device_table_name(w->parts, i));
			return false;
		}
	return true;
}

static bool act(struct work *w, size_t i, struct buf *out, struct err *e)
{
	struct device_table t;
	bool ok = device_table_open(w->parts, i, w->who, &t, e);

	if (!ok)
		return false;
	ok = w->action->f(w, &t, out, e);
	if (!device_table_close(w->parts, &t, ok, e))
		return false;
	if (w->parts->is_running)
		live_link_tell_waves(w->parts->links[i]);
	return ok;
}

static bool act_on_all(struct work *w, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < device_table_count(w->parts); i++)
		if ((!w->link || strcmp(device_table_name(w->parts, i), w->link) == 0) &&
		    !act(w, i, out, e))
			return false;
	return true;
}

static bool act_on_one(struct work *w, struct buf *out, struct err *e)
{
	enum waves_phase *phases = mem_zalloc((device_table_count(w->parts) + 1) * sizeof *phases);
	size_t i = 0;
	bool ok = look(w, phases, e) && find_link(w, phases, &i, e) && is_free(w, phases, i, e) &&
		  act(w, i, out, e);

	free(phases);
	return ok;
}

/* --- the request ----------------------------------------------------------------------------- */

static void end(void *work)
{
	struct work *w = work;

	free(w->who);
	free(w->link);
	free(w->file);
	wave_list_fini(&w->list);
	free(w);
}

static void get_text(struct jslice asked, const char *key, char **out)
{
	struct jslice v;

	if (jtext_field(asked, key, &v))
		state_json_text(asked, key, out);
}

static bool read_request(struct work *w, struct jslice asked)
{
	struct jslice word, list;

	get_text(asked, "who", &w->who);
	get_text(asked, "link", &w->link);
	get_text(asked, "file", &w->file);
	w->is_dry = jtext_field(asked, "dry_run", &word);
	if (!w->who)
		w->who = mem_strdup("somebody");
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (jtext_field(asked, "do", &word) && jtext_string_is(word, actions[i].word))
			w->action = &actions[i];
	return w->action && (w->action->f != run ||
			     (jtext_field(asked, "waves", &list) && wave_list_get(&w->list, list)));
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);

	w->parts = parts;
	if (read_request(w, asked))
		return w;
	err_set(e, ERR_INVALID, "the bridge does not know what to do with waves");
	end(w);
	return NULL;
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;

	if (!(w->action->f == tell_status ? act_on_all(w, out, e) : act_on_one(w, out, e)))
		return false;
	buf_printf(out, "{\"done\":{\"failed\":%zu,\"running\":%s}}\n", w->n_mistakes,
		   w->parts->is_running ? "true" : "false");
	return false;
}

const struct control_request_row control_request_waves = { "waves", start, more, end };
