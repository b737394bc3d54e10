/* waves.c -- how a run of waves goes on.
 *
 *   waits ──▶ sets ──▶ soaks ──▶ passed, and the next one          (too much, or too late: the run stops, or goes back)
 *
 * What is asked of the driver and has been said is in the rows of the same step, so that a restart asks only for the
 * rest: a wave that is in the middle is listed anew, less the devices that have a row of it. */
#include "fleet/waves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "fleet/waves_inside.h"
#include "state/change.h"

void wave_device_free(void *device)
{
	struct wave_device *d = device;

	free(d->name);
	free(d->wave);
	free(d->left);
	free(d->kept);
	free(d);
}

struct waves *waves_new(void)
{
	struct waves *w = mem_zalloc(sizeof *w);

	w->who = mem_strdup("");
	w->why = mem_strdup("");
	return w;
}

static void drop_todo(struct waves *w)
{
	for (size_t i = 0; i < w->n_todo; i++)
		free(w->todo[i]);
	free(w->todo);
	w->todo = NULL;
	w->n_todo = w->at_todo = 0;
	w->has_todo = false;
}

static void drop_failing(struct waves *w)
{
	for (size_t i = 0; i < w->n_failing; i++) {
		free((char *)w->failing[i].device);
		free((char *)w->failing[i].why);
	}
	w->n_failing = 0;
}

void waves_free(struct waves *w)
{
	if (!w)
		return;
	drop_todo(w);
	drop_failing(w);
	map_fini(&w->devices, wave_device_free);
	wave_list_fini(&w->list);
	free(w->counts);
	free(w->who);
	free(w->why);
	free(w);
}

void waves_set_ahead(struct waves *w, int64_t ahead_ms)
{
	w->ahead_ms = ahead_ms;
}

static void set_text(char **at, const char *text)
{
	char *copy = mem_strdup(text);

	free(*at);
	*at = copy;
}

static struct wave *this_wave(const struct waves *w)
{
	return &w->list.items[w->at];
}

static bool is_running(const struct waves *w)
{
	return w->phase == WAVES_RUNNING && w->at < w->list.n;
}

/* Is it one that the wave at hand took? */
static bool is_of_wave(const struct waves *w, const struct wave_device *d)
{
	return strcmp(d->wave, this_wave(w)->name) == 0;
}

static void set_state(struct waves *w, enum wave_state state, struct changes *out)
{
	w->counts[w->at].state = state;
	waves_put_count(w, w->at, out);
}

static void set_phase(struct waves *w, enum waves_phase phase, const char *why, struct changes *out)
{
	drop_todo(w);
	w->phase = phase;
	w->look_ms = 0;
	set_text(&w->why, why);
	waves_put_run(w, out);
}

/* --- what people want ------------------------------------------------------------------------ */

static const struct wave_count *passed_before(const struct waves *old, const char *name)
{
	for (size_t i = 0; i < old->list.n; i++)
		if (old->counts[i].state == WAVE_PASSED &&
		    strcmp(old->list.items[i].name, name) == 0)
			return &old->counts[i];
	return NULL;
}

/* Of the waves that passed their devices stay as they are; the others are set once more, and what is known against them
 * counts from then on. */
static void go_on_with_devices(struct waves *w, struct changes *out)
{
	struct map_pos pos = { 0 };
	struct wave_device *d;

	while ((d = map_next(&w->devices, &pos)) != NULL) {
		d->is_set = d->is_set && passed_before(w, d->wave);
		waves_put_device(d, out);
	}
}

static void replace_list(struct waves *w, struct wave_list *list, bool is_rest)
{
	struct wave_count *counts = mem_zalloc((list->n + 1) * sizeof *counts);

	for (size_t i = 0; is_rest && i < list->n; i++) {
		const struct wave_count *before = passed_before(w, list->items[i].name);

		if (before)
			counts[i] = *before;
	}
	wave_list_fini(&w->list);
	free(w->counts);
	w->list = *list;
	w->counts = counts;
	*list = (struct wave_list){ 0 };
}

/* On to the next one that has not passed. */
static void go_to_next(struct waves *w, struct changes *out)
{
	while (w->at < w->list.n && w->counts[w->at].state == WAVE_PASSED)
		w->at++;
	set_phase(w, w->at < w->list.n ? WAVES_RUNNING : WAVES_DONE, "", out);
}

bool waves_run(struct waves *w, struct wave_list *list, const char *who, struct changes *out,
	       struct err *e)
{
	bool is_rest = w->phase == WAVES_STOPPED;

	if (w->phase == WAVES_RUNNING || w->phase == WAVES_BACK) {
		wave_list_fini(list);
		err_set(e, ERR_BUSY,
			w->phase == WAVES_RUNNING
				? "waves are running: stop them first"
				: "waves are rolled back: wait until that is done");
		return false;
	}
	waves_delete_rows(w, out);
	if (is_rest)
		go_on_with_devices(w, out);
	else
		map_fini(&w->devices, wave_device_free);
	replace_list(w, list, is_rest);
	drop_failing(w);
	set_text(&w->who, who);
	w->at = w->told_at = 0;
	waves_put_specs(w, out);
	for (size_t i = 0; i < w->list.n; i++)
		waves_put_count(w, i, out);
	go_to_next(w, out);
	return true;
}

static void stop(struct waves *w, const char *why, struct changes *out)
{
	if (w->at < w->list.n && w->phase == WAVES_RUNNING)
		set_state(w, WAVE_STOPPED, out);
	waves_put_failing(w, out);
	set_phase(w, WAVES_STOPPED, why, out);
}

bool waves_stop(struct waves *w, const char *who, struct changes *out, struct err *e)
{
	char *why;

	if (w->phase != WAVES_RUNNING && w->phase != WAVES_BACK) {
		err_set(e, ERR_NOT_FOUND, "no waves are running");
		return false;
	}
	why = mem_printf("by %s", who);
	stop(w, why, out);
	free(why);
	return true;
}

/* What waves have done is no more: none of them has passed. */
static void go_back(struct waves *w, const char *why, struct changes *out)
{
	for (size_t i = 0; i < w->list.n; i++) {
		if (w->counts[i].state == WAVE_WAITS)
			continue;
		w->counts[i].state = WAVE_UNDONE;
		waves_put_count(w, i, out);
	}
	set_phase(w, WAVES_BACK, why, out);
}

bool waves_roll_back(struct waves *w, const char *who, struct changes *out, struct err *e)
{
	char *why;

	if (w->phase == WAVES_NONE || w->phase == WAVES_UNDONE || w->phase == WAVES_BACK) {
		err_set(e, ERR_NOT_FOUND,
			w->phase == WAVES_NONE	   ? "no waves have run"
			: w->phase == WAVES_UNDONE ? "all is rolled back already"
						   : "they are being rolled back already");
		return false;
	}
	why = mem_printf("by %s", who);
	go_back(w, why, out);
	free(why);
	return true;
}

/* --- what is to be done ---------------------------------------------------------------------- */

static void add_todo(struct waves *w, const char *device)
{
	w->todo = mem_grow(w->todo, w->n_todo, sizeof *w->todo);
	w->todo[w->n_todo++] = mem_strdup(device);
}

static struct waves_next next_back(struct waves *w, struct changes *out)
{
	struct map_pos pos = { 0 };
	const struct wave_device *d;

	if (!w->has_todo) {
		while ((d = map_next(&w->devices, &pos)) != NULL)
			add_todo(w, d->name);
		w->has_todo = true;
	}
	while (w->at_todo < w->n_todo) {
		const char *device = w->todo[w->at_todo];

		d = map_get_str(&w->devices, device);
		if (d && d->is_given)
			return (struct waves_next){ .step = WAVES_UNSET,
						    .device = device,
						    .mode = d->before };
		if (d)
			waves_was_unset(w, device, out);
		else
			w->at_todo++;
	}
	set_phase(w, WAVES_UNDONE, w->why, out);
	return (struct waves_next){ .step = WAVES_REST };
}

/* False: it may not set anything any more. */
static bool is_in_time(struct waves *w, int64_t now_ms, struct changes *out)
{
	const struct wave *wave = this_wave(w);
	struct buf why = { 0 };

	if (!wave->not_after_ms || now_ms + w->ahead_ms <= wave->not_after_ms)
		return true;
	buf_printf(&why, "wave %s may set nothing after ", wave->name);
	clock_put_utc(wave->not_after_ms, &why);
	stop(w, buf_str(&why), out);
	buf_fini(&why);
	return false;
}

static void begin(struct waves *w, int64_t now_ms, struct changes *out)
{
	w->counts[w->at] = (struct wave_count){ .begun_ms = now_ms };
	drop_failing(w);
	w->look_ms = now_ms + WAVES_LOOK_MS;
	set_state(w, WAVE_SETS, out);
}

static bool has_devices(const struct waves *w)
{
	struct map_pos pos = { 0 };
	const struct wave_device *d;

	while ((d = map_next(&w->devices, &pos)) != NULL)
		if (is_of_wave(w, d))
			return true;
	return false;
}

/* A wave of nobody would pass, and the next one follow on nothing: a word in the file is wrong. */
static void end_setting(struct waves *w, int64_t now_ms, struct changes *out)
{
	char *why;

	if (!has_devices(w)) {
		why = mem_printf("wave %s: no device of the link fits", this_wave(w)->name);
		stop(w, why, out);
		free(why);
		return;
	}
	drop_todo(w);
	w->counts[w->at].set_ms = now_ms;
	w->look_ms = now_ms;
	set_state(w, WAVE_SOAKS, out);
}

struct waves_next waves_next(struct waves *w, int64_t now_ms, struct changes *out)
{
	struct waves_next next = { .step = WAVES_REST };
	struct wave_count *count;

	if (w->phase == WAVES_BACK)
		return next_back(w, out);
	if (!is_running(w))
		return next;
	if (!w->since_ms)
		w->since_ms = now_ms;
	count = &w->counts[w->at];
	next.wave = this_wave(w);
	if (next.wave->mode == FLEET_DEFAULT) {
		stop(w, "the row that says what the wave is cannot be read", out);
		return next;
	}
	if (count->state == WAVE_WAITS || count->state == WAVE_STOPPED) {
		if (!is_in_time(w, now_ms, out) || now_ms + w->ahead_ms < next.wave->not_before_ms)
			return next;
		begin(w, now_ms, out);
	}
	if (count->state == WAVE_SETS && !is_in_time(w, now_ms, out))
		return next;
	if (now_ms >= w->look_ms && (count->state == WAVE_SOAKS || w->has_todo)) {
		next.step = WAVES_LOOK;
	} else if (count->state == WAVE_SETS && !w->has_todo) {
		next.step = WAVES_TAKE;
	} else if (w->at_todo < w->n_todo) {
		next.step = WAVES_SET;
		next.device = w->todo[w->at_todo];
		next.mode = next.wave->mode;
	} else if (count->state == WAVE_SETS) {
		end_setting(w, now_ms, out);
		next.step = w->phase == WAVES_RUNNING ? WAVES_LOOK : WAVES_REST;
	}
	return next;
}

/* Those that the wave had taken before it stopped are set once more, whatever is said of them now. */
void waves_take(struct waves *w, char **names, size_t n)
{
	struct map_pos pos = { 0 };
	struct wave_device *d;

	drop_todo(w);
	while ((d = map_next(&w->devices, &pos)) != NULL) {
		d->is_listed = is_of_wave(w, d);
		if (d->is_listed && !d->is_set)
			add_todo(w, d->name);
	}
	for (size_t i = 0; i < n; i++) {
		d = map_get_str(&w->devices, names[i]);
		if (!d || !d->is_listed)
			add_todo(w, names[i]);
	}
	w->has_todo = true;
}

static struct wave_device *device_of(struct waves *w, const char *device, enum fleet_mode before)
{
	struct wave_device *d = map_get_str(&w->devices, device);

	if (d)
		return d;
	d = mem_zalloc(sizeof *d);
	d->name = mem_strdup(device);
	d->before = before;
	map_set_str(&w->devices, device, d);
	return d;
}

void waves_was_set(struct waves *w, const char *device, enum fleet_mode before, const char *left,
		   int64_t now_ms, struct changes *out)
{
	struct wave_device *d = device_of(w, device, before);

	/* The mode that it had before any wave of the run set it. */
	if (!d->is_given)
		d->before = before;
	if (!left) {
		d->is_given = true;
		d->given = this_wave(w)->mode;
	}
	set_text(&d->wave, this_wave(w)->name);
	set_text(&d->left, left);
	set_text(&d->kept, NULL);
	d->at_ms = now_ms;
	d->is_set = true;
	d->has_passed = false;
	d->n_waiting = 0;
	d->first_ms = 0;
	waves_put_device(d, out);
	if (w->at_todo < w->n_todo)
		w->at_todo++;
}

void waves_was_unset(struct waves *w, const char *device, struct changes *out)
{
	struct wave_device *d;

	if (w->at_todo < w->n_todo)
		w->at_todo++;
	d = map_remove_str(&w->devices, device);
	if (!d)
		return;
	changes_delete(out, WAVE_DEVICE_MACHINE, d->name);
	wave_device_free(d);
}

bool waves_is_changed(const struct waves *w, const char *device, enum fleet_mode now)
{
	const struct wave_device *d = map_get_str(&w->devices, device);

	return d && d->is_given && d->given != FLEET_DEFAULT && d->given != now;
}

void waves_was_kept(struct waves *w, const char *device, const char *why, struct changes *out)
{
	struct wave_device *d = map_get_str(&w->devices, device);

	if (w->at_todo < w->n_todo)
		w->at_todo++;
	if (!d)
		return;
	if (is_running(w)) {
		set_text(&d->wave, this_wave(w)->name);
		d->is_set = true;
	}
	set_text(&d->left, NULL);
	set_text(&d->kept, why);
	waves_put_device(d, out);
}

int64_t waves_next_deadline(const struct waves *w)
{
	const struct wave_count *count;
	int64_t not_before_ms;

	if (w->phase == WAVES_BACK || w->is_due)
		return 0;
	if (!is_running(w))
		return INT64_MAX;
	count = &w->counts[w->at];
	if (count->state == WAVE_SOAKS)
		return w->look_ms;
	not_before_ms = this_wave(w)->not_before_ms;
	return count->state == WAVE_SETS || !not_before_ms ? 0 : not_before_ms - w->ahead_ms;
}

/* --- a look ---------------------------------------------------------------------------------- */

struct look {
	struct waves *w;
	waves_lacks *lacks;
	void *ctx;
	int64_t now_ms;
	bool is_last;
};

/* Has it had its time? */
static bool is_over(const struct look *k, int64_t since_ms)
{
	if (since_ms < k->w->since_ms)
		since_ms = k->w->since_ms;
	return k->is_last || k->now_ms >= since_ms + WAVES_PATIENCE_MS;
}

static void keep(struct waves *w, struct wave_device *d, const char *why)
{
	if (why ? d->kept && strcmp(d->kept, why) == 0 : !d->kept)
		return;
	set_text(&d->kept, why);
	d->is_due = w->is_due = w->has_due_devices = true;
}

static const char *why_failed(const struct look *k, struct wave_device *d)
{
	enum waves_comes comes = WAVES_NEVER;
	const char *lack;

	if (d->left)
		return d->left;
	lack = k->lacks(k->ctx, d->name, &comes);
	keep(k->w, d, comes == WAVES_OTHERS ? lack : NULL);
	if (d->kept || !(fleet_passes(this_wave(k->w)->mode) & FLEET_PASSES(FLOW_UP)))
		return NULL;
	if (lack &&
	    (comes == WAVES_NEVER || k->is_last || (comes == WAVES_SOON && is_over(k, d->at_ms))))
		return lack;
	if (d->n_waiting && !d->has_passed && is_over(k, d->first_ms))
		return "it sends, and nothing of it has passed";
	return NULL;
}

void waves_note_failing(struct waves *w, const char *device, const char *why)
{
	if (w->n_failing < WAVES_TOLD)
		w->failing[w->n_failing++] =
			(struct waves_failing){ mem_strdup(device), mem_strdup(why) };
}

static void count_all(const struct look *k, struct wave_count *count)
{
	struct map_pos pos = { 0 };
	struct wave_device *d;

	drop_failing(k->w);
	count->devices = count->failures = 0;
	while ((d = map_next(&k->w->devices, &pos)) != NULL) {
		const char *why;

		if (!d->is_set || !is_of_wave(k->w, d))
			continue;
		why = why_failed(k, d);
		count->devices += !d->kept;
		if (!why)
			continue;
		count->failures++;
		waves_note_failing(k->w, d->name, why);
	}
}

/* Is that too much?  Then the run has ended. */
static bool is_too_much(struct waves *w, const struct wave_count *count, struct changes *out)
{
	const struct wave *wave = this_wave(w);
	struct buf why = { 0 };

	if (count->failures > wave->max_failures)
		buf_printf(&why, "wave %s: %" PRId64 " of its devices failed, and %" PRId64 " may",
			   wave->name, count->failures, wave->max_failures);
	else if (count->dead_letters > wave->max_dead_letters)
		buf_printf(&why,
			   "wave %s: %" PRId64 " dead letter%s of its devices, and %" PRId64
			   " may be",
			   wave->name, count->dead_letters, PLURAL(count->dead_letters),
			   wave->max_dead_letters);
	else
		return false;
	stop(w, buf_str(&why), out);
	if (wave->rolls_back)
		go_back(w, buf_str(&why), out);
	buf_fini(&why);
	return true;
}

/* When it has stood for long enough.  Who could not be looked at for a while is for a minute. */
static int64_t end_of_soak(const struct waves *w)
{
	int64_t soak_ms = this_wave(w)->soak_ms;
	int64_t end_ms = w->counts[w->at].set_ms + soak_ms;
	int64_t again_ms =
		w->since_ms + (soak_ms < WAVES_PATIENCE_MS ? soak_ms : WAVES_PATIENCE_MS);

	return end_ms > again_ms ? end_ms : again_ms;
}

void waves_look(struct waves *w, waves_lacks *lacks, void *ctx, int64_t now_ms, struct changes *out)
{
	struct wave_count *count = &w->counts[w->at], before = *count;
	int64_t end_ms = end_of_soak(w);
	bool is_end = count->state == WAVE_SOAKS && now_ms >= end_ms;
	struct look look = { w, lacks, ctx, now_ms, is_end && this_wave(w)->soak_ms > 0 };

	count_all(&look, count);
	if (is_too_much(w, count, out))
		return;
	if (is_end) {
		set_state(w, WAVE_PASSED, out);
		go_to_next(w, out);
		return;
	}
	w->look_ms = now_ms + WAVES_LOOK_MS;
	if (count->state == WAVE_SOAKS && end_ms < w->look_ms)
		w->look_ms = end_ms;
	if (count->failures != before.failures || count->devices != before.devices)
		waves_put_count(w, w->at, out);
}

/* --- what is heard of devices ---------------------------------------------------------------- */

static struct wave_device *watched(const struct waves *w, const char *device)
{
	struct wave_device *d = is_running(w) ? map_get_str(&w->devices, device) : NULL;

	return d && d->is_set && is_of_wave(w, d) ? d : NULL;
}

bool waves_watches(const struct waves *w, const char *device)
{
	return watched(w, device) != NULL;
}

void waves_accepted(struct waves *w, const char *device, enum flow flow, int64_t at_ms)
{
	struct wave_device *d = flow == FLOW_UP ? watched(w, device) : NULL;

	if (!d || at_ms < d->at_ms)
		return;
	if (!d->n_waiting)
		d->first_ms = at_ms;
	d->n_waiting++;
}

/* Where the bridge is right not to carry it, it is as if it had not come. */
static bool is_no_sign(enum outcome end)
{
	return end != CARRIED && end != FILTERED_BY_MAPPING && !outcome_is_dead(end);
}

void waves_settled(struct waves *w, const char *device, enum flow flow, enum outcome end,
		   int64_t at_ms)
{
	struct wave_device *d = watched(w, device);

	if (!d)
		return;
	if (outcome_is_dead(end)) {
		w->is_due = true;
		if (++w->counts[w->at].dead_letters > this_wave(w)->max_dead_letters)
			w->look_ms = 0;
	}
	if (flow != FLOW_UP || at_ms < d->at_ms)
		return;
	if (is_no_sign(end) && d->n_waiting)
		d->n_waiting--;
	if (end == CARRIED && !d->has_passed)
		d->has_passed = d->is_due = w->is_due = w->has_due_devices = true;
}

void waves_put_due(struct waves *w, struct changes *out)
{
	struct map_pos pos = { 0 };
	struct wave_device *d;

	if (!w->is_due)
		return;
	w->is_due = false;
	if (w->at < w->list.n)
		waves_put_count(w, w->at, out);
	while (w->has_due_devices && (d = map_next(&w->devices, &pos)) != NULL) {
		if (d->is_due)
			waves_put_device(d, out);
		d->is_due = false;
	}
	w->has_due_devices = false;
}

/* --- looking --------------------------------------------------------------------------------- */

enum waves_phase waves_phase(const struct waves *w)
{
	return w->phase;
}

const struct wave_list *waves_list(const struct waves *w)
{
	return &w->list;
}

size_t waves_at(const struct waves *w)
{
	return w->at;
}

const struct wave_count *waves_count(const struct waves *w, size_t i)
{
	return &w->counts[i];
}

const char *waves_who(const struct waves *w)
{
	return w->who;
}

const char *waves_why(const struct waves *w)
{
	return w->why;
}

const struct waves_failing *waves_failing(const struct waves *w, size_t *n)
{
	*n = w->n_failing;
	return w->failing;
}

size_t waves_kept(const struct waves *w, struct waves_failing *told, size_t *n_told)
{
	struct map_pos pos = { 0 };
	const struct wave_device *d;
	size_t n = 0;

	*n_told = 0;
	while ((d = map_next(&w->devices, &pos)) != NULL) {
		if (!d->kept)
			continue;
		if (n++ < WAVES_TOLD)
			told[(*n_told)++] = (struct waves_failing){ d->name, d->kept };
	}
	return n;
}

bool waves_has_news(struct waves *w, size_t *was_at)
{
	enum wave_state state = w->at < w->list.n ? w->counts[w->at].state : WAVE_WAITS;
	bool has = w->phase != w->told_phase || w->at != w->told_at || state != w->told_state;

	*was_at = w->told_at;
	w->told_phase = w->phase;
	w->told_at = w->at;
	w->told_state = state;
	return has;
}
