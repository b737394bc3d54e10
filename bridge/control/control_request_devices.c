/* control_request_devices.c -- the devices of links (fleet/fleet.h).
 *
 *   {"request":"devices","do":"list"|"show"|"history"|"export"|"set-mode"|"retire"|"forget"|"provision"|"import"
 *    |"compare"|"read-back",
 *    "who":NAME,"since_ms":N,
 *    "link","names":[NAME...],"name":PATTERN,"percent":TEXT,"state","mode","reason","group","orphan":true,"all":true,
 *    "list":[NAME or {"link","name"}...],
 *    "set":MODE,"push":true,"provision":true,"credentials":true,"secrets":true,"rate":N,"max_failures":N,
 *    "retry_lost":true,
 *    "file","rows":[...],"partial":true,"dry_run":true,"replace":true}
 *
 * All of it but `do` may be missing; names, or else what the filters and the list say (fleet/choice.h).  An item for
 * each device, some in each turn of the loop; what they change is part of the commit of that turn.  A link is closed
 * at the end of each piece, and opened again for the next, so that nobody relies on what may have changed meanwhile. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "fleet/choice.h"
#include "fleet/fleet.h"
#include "fleet/fleet_file.h"
#include "fleet/import.h"
#include "message/state_json.h"
#include "control/control_request_table.h"
#include "control/device_compare.h"
#include "control/device_table.h"
#include "live/change_mode.h"
#include "live/live_link.h"
#include "state/change.h"
#include "state/devices.h"
#include "handshake/provision.h"
#include "store/history.h"

#define PIECE_DEVICES 64   /* so that messages do not wait */
#define PIECE_ALONE   4096 /* where there are none: the table is read anew for each piece */

struct work;

struct action {
	const char *word, *done;
	bool changes, wants_choice;
	/* Deal with a device of the table and append its item. */
	bool (*f)(struct work *w, struct device_table *t, const char *name, struct buf *out,
		  struct err *e);
};

struct work {
	const struct control_request_parts *parts;
	const struct action *action; /* NULL: import */
	char *who, *link, *file;
	struct choice names; /* chosen by name; it has no list: by the filters */
	struct choice choice;
	int64_t rate, max_failures;
	int64_t since_ms; /* of the bridge's time; 0: ever */
	bool retries_lost;
	bool has_credentials, has_secrets, is_partial, replaces;
	struct mode_wish wish;
	struct fleet_file rows;
	bool *wrong, is_checked;
	/* Where it is: */
	size_t at_link, at, n_done, n_failed;
	char **of_link; /* the names of the link at hand; NULL: not begun */
	size_t n_of_link;
};

/* --- one device ------------------------------------------------------------------------------ */

static void put_vars(struct buf *out, const char *field, const struct vars *v, bool shows_secrets)
{
	buf_printf(out, ",\"%s\":{", field);
	for (size_t i = 0; i < v->n; i++) {
		buf_puts(out, i ? "," : "");
		state_json_put_text(out, v->items[i].name);
		buf_putc(out, ':');
		state_json_put_text(
			out, v->items[i].is_secret && !shows_secrets ? "***" : v->items[i].value);
	}
	buf_putc(out, '}');
}

static void put_time(struct buf *out, const char *field, int64_t at_ms)
{
	if (at_ms)
		buf_printf(out, ",\"%s\":%" PRId64, field, at_ms + clock_ahead_ms());
}

static void put_device(const struct device_table *t, const struct fleet_device *d, struct buf *out)
{
	enum fleet_mode passes = fleet_mode_of(d, t->link_mode);

	buf_puts(out, "{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "name", d->name);
	control_request_put_text(out, "group", d->group ? d->group : "");
	control_request_put_text(out, "kind", d->kind ? d->kind : "");
	control_request_put_text(out, "sessions", d->sessions ? d->sessions : "");
	control_request_put_text(out, "mode", fleet_mode_names[d->mode]);
	if (passes != FLEET_DEFAULT)
		control_request_put_text(out, "passes", fleet_mode_names[passes]);
	control_request_put_text(out, "state", fleet_state_names[d->state]);
	control_request_put_text(out, "step", fleet_step_names[d->step]);
	control_request_put_text(out, "origin", fleet_origin_names[d->origin]);
	if (d->reason)
		control_request_put_text(out, "reason", d->reason);
	if (d->fixed_by)
		control_request_put_text(out, "fixed_by", d->fixed_by);
	if (t->live && d->state == FLEET_ASKING && live_link_provision_stopped(t->live))
		control_request_put_text(out, "stopped", live_link_provision_stopped(t->live));
	for (int s = 0; s < SIDES; s++) {
		const char *native = devices_there(t->names, (enum side)s, d->name);

		control_request_put_text(out, s == SOUTH ? "south" : "north",
					 native ? native : d->name);
	}
	put_time(out, "seen_up_ms", d->seen_ms[FLOW_UP]);
	put_time(out, "seen_down_ms", d->seen_ms[FLOW_DOWN]);
}

static void put_problem(struct work *w, const struct device_table *t, const char *name,
			const char *why, struct buf *out)
{
	buf_puts(out, "{\"item\":{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "name", name);
	control_request_put_text(out, "problem", why);
	buf_puts(out, "}}\n");
	w->n_failed++;
}

static bool list_device(struct work *w, struct device_table *t, const char *name, struct buf *out,
			struct err *e)
{
	(void)w;
	(void)e;
	buf_puts(out, "{\"item\":");
	put_device(t, fleet_find(t->fleet, name), out);
	buf_puts(out, "}}\n");
	return true;
}

/* What a handshake brought: the body of its provision_reply; len 0: nothing. */
static struct jslice issued_to(const struct device_table *t, const char *name)
{
	const struct provision_terms terms = { .device = name };

	return t->live ? live_link_issued(t->live, name)
		       : provisions_credentials(t->provisions, &terms);
}

/* The device's own variables of the north, and what a handshake brought where it has none of that name. */
static void put_north_vars(const struct work *w, const struct device_table *t,
			   const struct fleet_device *d, struct buf *out)
{
	static const char *const names[] = { "token", "username", "password", "client_id" };
	struct jslice body = issued_to(t, d->name), v;
	struct vars all = { 0 };
	struct buf text = { 0 };

	vars_copy(&all, &d->vars[NORTH]);
	for (size_t i = 0; body.len && i < sizeof names / sizeof names[0]; i++) {
		buf_reset(&text);
		if (!vars_find(&all, names[i]) && jtext_field(body, names[i], &v) &&
		    jtext_string_decode(v, &text))
			vars_set(&all, names[i], buf_str(&text), true);
	}
	put_vars(out, "north_vars", &all, w->has_secrets);
	mem_free_secret(text.data, text.cap);
	vars_fini(&all);
}

static bool show_device(struct work *w, struct device_table *t, const char *name, struct buf *out,
			struct err *e)
{
	const struct fleet_device *d = fleet_find(t->fleet, name);

	(void)e;
	buf_puts(out, "{\"item\":");
	put_device(t, d, out);
	put_vars(out, "south_vars", &d->vars[SOUTH], w->has_secrets);
	put_north_vars(w, t, d, out);
	put_vars(out, "greet", &d->greet, false);
	buf_puts(out, "}}\n");
	return true;
}

struct telling {
	const struct device_table *t;
	const char *name;
	struct buf *out;
	size_t n;
};

static void put_entry(void *ctx, const struct history_entry *entry)
{
	struct telling *told = ctx;
	struct buf text = { 0 };
	struct jslice note;

	if (!state_json_read(entry->note, &text, &note)) {
		buf_fini(&text);
		return;
	}
	buf_puts(told->out, "{\"item\":{\"link\":");
	state_json_put_text(told->out, told->t->link);
	control_request_put_text(told->out, "name", told->name);
	buf_printf(told->out, ",\"first_ms\":%" PRId64 ",\"last_ms\":%" PRId64 ",\"n\":%" PRId64,
		   entry->first_ms + clock_ahead_ms(), entry->last_ms + clock_ahead_ms(), entry->n);
	buf_puts(told->out, ",\"note\":");
	buf_append(told->out, note.text, note.len);
	buf_puts(told->out, "}}\n");
	buf_fini(&text);
	told->n++;
}

static bool tell_history(struct work *w, struct device_table *t, const char *name, struct buf *out,
			 struct err *e)
{
	struct telling told = { t, name, out, 0 };

	return history_each(w->parts->db, t->link, name, put_entry, &told, e);
}

static bool set_mode(struct work *w, struct device_table *t, const char *name, struct buf *out,
		     struct err *e)
{
	const struct fleet_device *d = fleet_find(t->fleet, name);
	const struct mode_table table = { t->live, t->fleet, t->link_mode };
	enum fleet_mode own = d->mode;
	struct fleet_device then = *d;
	struct mode_change end;

	(void)e;
	then.mode = w->wish.to;
	mode_change(&table, name, &w->wish, &end, &t->changes);
	if (end.left) {
		put_problem(w, t, name, end.left, out);
		mode_change_fini(&end);
		return true;
	}
	buf_puts(out, "{\"item\":");
	put_device(t, &then, out);
	control_request_put_text(out, "was", fleet_mode_names[own]);
	if (end.parks)
		buf_puts(out, ",\"parks\":true");
	if (end.differs.len)
		buf_printf(out, ",\"differs\":%s,\"pushed\":%s", buf_str(&end.differs),
			   end.is_pushed ? "true" : "false");
	buf_puts(out, "}}\n");
	mode_change_fini(&end);
	return true;
}

/* What a handshake brought goes the way it went before there was a table. */
static bool forget_handshake(struct work *w, struct device_table *t, const char *name)
{
	const struct provision_terms terms = { .is_single = true };

	if (t->live)
		return live_link_forget(w->parts->links[w->at_link], name);
	return provisions_forget_name(t->provisions, &terms, name, &t->changes);
}

static bool has_credentials(const struct device_table *t, const struct fleet_device *d)
{
	return fleet_has_credentials(d, NORTH) || issued_to(t, d->name).len > 0;
}

/* It is asked for from now on; who asks for it looks at how it stands. */
static bool provision_device(struct work *w, struct device_table *t, const char *name,
			     struct buf *out, struct err *e)
{
	const char *why = t->live ? live_link_may_provision(t->live)
				  : "only a running bridge asks for credentials";

	if (!why && !w->wish.is_dry)
		why = live_link_provision(t->live, name, w->retries_lost, &t->changes);
	if (why)
		put_problem(w, t, name, why, out);
	else
		list_device(w, t, name, out, e);
	return true;
}

static bool forget_device(struct work *w, struct device_table *t, const char *name, struct buf *out,
			  struct err *e)
{
	const struct fleet_device *d = fleet_find(t->fleet, name);
	bool is_known;

	if (d && has_credentials(t, d) && !w->has_credentials) {
		put_problem(w, t, name,
			    "it has credentials of the north, and a platform that issued them will "
			    "not issue others: --credentials forgets them all the same",
			    out);
		return true;
	}
	is_known = forget_handshake(w, t, name);
	if (d) {
		changes_note(&t->changes, name, w->who, "forgotten", "");
		fleet_forget(t->fleet, name, &t->changes);
		devices_forget(t->names, name, &t->changes);
		is_known = true;
		if (!device_table_forget_rest(w->parts, t, name, e))
			return false;
	}
	if (!is_known)
		return true;
	buf_puts(out, "{\"item\":{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "name", name);
	buf_puts(out, "}}\n");
	w->n_done++;
	return true;
}

static bool compare_device(struct work *w, struct device_table *t, const char *name,
			   struct buf *out, struct err *e)
{
	(void)e;
	device_compare_put(t, name, w->since_ms, out);
	return true;
}

static bool read_back_device(struct work *w, struct device_table *t, const char *name,
			     struct buf *out, struct err *e)
{
	(void)w;
	(void)e;
	device_compare_ask(t, name, out);
	return true;
}

static const struct action actions[] = {
	{ "list", "listed", false, false, list_device },
	{ "show", "shown", false, true, show_device },
	{ "export", "exported", false, false, show_device },
	{ "history", "told", false, true, tell_history },
	{ "set-mode", "set", true, true, set_mode },
	{ "retire", "set", true, true, set_mode },
	{ "forget", "forgotten", true, true, forget_device },
	{ "compare", "compared", false, false, compare_device },
	{ "read-back", "asked", true, false, read_back_device },
	{ "provision", "provisioned", true, true, provision_device },
};

/* --- which devices --------------------------------------------------------------------------- */

static void end_names(char **names, size_t n)
{
	for (size_t i = 0; names && i < n; i++)
		free(names[i]);
	free(names);
}

static bool compares(const struct work *w)
{
	return w->action->f == compare_device || w->action->f == read_back_device;
}

/* Of a link: those that were named, or that the filters find.  History and handshakes are also of devices that have no
 * row. */
static void begin_link(struct work *w, struct device_table *t)
{
	bool takes_any = w->action->f == tell_history || w->action->f == forget_device;

	w->at = 0;
	if (compares(w) && fleet_count(t->fleet) == 0) {
		w->of_link = device_compare_names(t, &w->n_of_link);
		return;
	}
	w->of_link = choice_take(w->names.has_list ? &w->names : &w->choice, t->fleet, t->link,
				 t->link_mode, &w->n_of_link, &t->changes);
	if (!takes_any || !w->names.has_list)
		return;
	end_names(w->of_link, w->n_of_link);
	w->of_link = mem_zalloc((w->names.n + 1) * sizeof *w->of_link);
	w->n_of_link = w->names.n;
	for (size_t i = 0; i < w->names.n; i++)
		w->of_link[i] = mem_strdup(w->names.list[i].name);
}

static void end_link(struct work *w)
{
	end_names(w->of_link, w->n_of_link);
	w->of_link = NULL;
	w->n_of_link = 0;
	w->at_link++;
}

/* The row may have gone since it was chosen. */
static bool do_one(struct work *w, struct device_table *t, const char *name, struct buf *out,
		   struct err *e)
{
	bool has_row = fleet_find(t->fleet, name);

	if (!has_row && w->action->f != tell_history && w->action->f != forget_device &&
	    !compares(w))
		return true;
	if (w->action->f != forget_device)
		w->n_done++;
	return w->action->f(w, t, name, out, e);
}

static size_t piece_of(const struct work *w)
{
	return w->parts->is_running ? PIECE_DEVICES : PIECE_ALONE;
}

/* A piece of a link. */
static bool do_piece(struct work *w, struct buf *out, struct err *e)
{
	struct device_table t;
	bool ok = device_table_open(w->parts, w->at_link, w->who, &t, e);
	size_t n = 0;

	if (!ok)
		return false;
	if (w->action->f == set_mode && !device_table_fix_modes(w->parts, &t, e))
		return device_table_close(w->parts, &t, false, e);
	if (!w->of_link) {
		begin_link(w, &t);
		if (w->action->f == provision_device && t.live && !w->wish.is_dry)
			live_link_provision_run(t.live, w->rate, w->max_failures);
	}
	while (ok && w->at < w->n_of_link && n++ < piece_of(w))
		ok = do_one(w, &t, w->of_link[w->at++], out, e);
	ok = device_table_close(w->parts, &t, ok, e);
	if (ok && w->at == w->n_of_link)
		end_link(w);
	return ok;
}

/* --- import ---------------------------------------------------------------------------------- */

static struct import_to import_to(const struct work *w, const struct device_table *t)
{
	return (struct import_to){ .fleet = t->fleet,
				   .names = t->names,
				   .link = t->link,
				   .takes_rest = w->link ? strcmp(w->link, t->link) == 0
							 : device_table_count(w->parts) == 1,
				   .file = w->file ? w->file : "",
				   .origin = FLEET_IMPORT };
}

static bool is_of_no_link(const struct work *w, const struct fleet_file_row *row)
{
	if (!row->link)
		return !w->link && device_table_count(w->parts) > 1;
	for (size_t i = 0; i < device_table_count(w->parts); i++)
		if (strcmp(device_table_name(w->parts, i), row->link) == 0)
			return false;
	return true;
}

/* All rows of all links, before anything is done. */
static bool check_all(struct work *w, struct report *report, struct err *e)
{
	bool ok = true;

	for (size_t i = 0; i < w->rows.n; i++) {
		const struct fleet_file_row *row = &w->rows.rows[i];

		w->wrong[i] = is_of_no_link(w, row);
		if (w->wrong[i])
			report_error(report, "%s:%u: link: %s", w->file, row->line,
				     row->link ? "there is none of this name"
					       : "is missing, and there are several (--link)");
	}
	for (w->at_link = 0; ok && w->at_link < device_table_count(w->parts); w->at_link++) {
		struct device_table t;
		struct import_to to;

		ok = device_table_open(w->parts, w->at_link, w->who, &t, e);
		if (!ok)
			break;
		to = import_to(w, &t);
		ok = device_table_fix_modes(w->parts, &t, e);
		if (ok)
			import_check(&to, &w->rows, w->wrong, report);
		ok = device_table_close(w->parts, &t, ok, e) && ok;
	}
	w->at_link = 0;
	return ok;
}

static void put_ended(struct work *w, const struct device_table *t, const char *name,
		      const char *end, const struct buf *what, struct buf *out)
{
	buf_puts(out, "{\"item\":{\"link\":");
	state_json_put_text(out, t->link);
	control_request_put_text(out, "name", name);
	control_request_put_text(out, "end", end);
	control_request_put_text(out, "what", buf_str(what));
	buf_puts(out, "}}\n");
	w->n_done++;
}

static void put_in(struct work *w, struct device_table *t, const struct fleet_file_row *row,
		   struct buf *out)
{
	static const char *const ends[] = { "same", "added", "changed" };
	struct import_to to = import_to(w, t);
	struct buf what = { 0 };
	enum import_end end = import_row(&to, row, w->wish.is_dry, &what, &t->changes);

	if (end == IMPORT_FIXED) /* since it was looked at */
		put_problem(w, t, row->name, "its mode is fixed by the configuration's list", out);
	else if (end != IMPORT_SAME)
		put_ended(w, t, row->name, ends[end], &what, out);
	buf_fini(&what);
}

/* Who is not in the file is off, and keeps what it has. */
static void turn_off_rest(struct work *w, struct device_table *t, struct buf *out)
{
	struct import_to to = import_to(w, t);
	struct buf what = { 0 };
	struct map in_file = { 0 };
	size_t n;
	char **names = fleet_names(t->fleet, &n);

	for (size_t i = 0; i < w->rows.n; i++)
		if (import_is_for(&to, &w->rows.rows[i]))
			map_set_str(&in_file, w->rows.rows[i].name, w);
	buf_puts(&what, "mode");
	for (size_t i = 0; i < n; i++) {
		const struct fleet_device *d = fleet_find(t->fleet, names[i]);
		char *fixed;

		if (map_get_str(&in_file, names[i]))
			continue;
		fixed = mode_fixed(d, FLEET_OFF);
		if (!fixed && d->mode == FLEET_OFF)
			continue;
		if (!fixed && !w->wish.is_dry)
			fleet_set_mode(t->fleet, names[i], FLEET_OFF, &t->changes);
		if (fixed)
			put_problem(w, t, names[i], fixed, out);
		else
			put_ended(w, t, names[i], "off", &what, out);
		free(fixed);
	}
	map_fini(&in_file, NULL);
	end_names(names, n);
	buf_fini(&what);
}

static bool import_piece(struct work *w, struct buf *out, struct err *e)
{
	struct device_table t;
	struct import_to to;
	size_t n = 0;

	if (!device_table_open(w->parts, w->at_link, w->who, &t, e))
		return false;
	if (!device_table_fix_modes(w->parts, &t, e))
		return device_table_close(w->parts, &t, false, e);
	to = import_to(w, &t);
	for (; w->at < w->rows.n && n < piece_of(w); w->at++) {
		if (w->wrong[w->at] || !import_is_for(&to, &w->rows.rows[w->at]))
			continue;
		put_in(w, &t, &w->rows.rows[w->at], out);
		n++;
	}
	if (w->at == w->rows.n) {
		if (w->replaces && (!w->link || strcmp(w->link, t.link) == 0))
			turn_off_rest(w, &t, out);
		w->at = 0;
		w->at_link++;
	}
	return device_table_close(w->parts, &t, true, e);
}

/* False: there are mistakes, and nothing is done. */
static bool begin_import(struct work *w, struct buf *out, struct err *e)
{
	struct report report = { 0 };
	bool ok = check_all(w, &report, e);

	for (size_t i = 0; ok && i < report.n_lines; i++) {
		buf_puts(out, "{\"item\":{\"mistake\":");
		state_json_put_text(out, report.lines[i].text);
		buf_puts(out, "}}\n");
	}
	w->n_failed += report.n_errors;
	if (ok && report.n_errors && !w->is_partial && !w->wish.is_dry)
		w->at_link = device_table_count(w->parts);
	report_fini(&report);
	w->is_checked = true;
	return ok;
}

/* --- the request ----------------------------------------------------------------------------- */

static char *text_of(struct jslice asked, const char *key)
{
	char *text = NULL;

	if (jtext_field(asked, key, &(struct jslice){ 0 }) && state_json_text(asked, key, &text) &&
	    text && *text)
		return text;
	free(text);
	return NULL;
}

/* 1 or more; 0: it does not say. */
static int64_t number_of(struct jslice asked, const char *key)
{
	int64_t n = 0;

	return jtext_field(asked, key, &(struct jslice){ 0 }) &&
			       state_json_integer(asked, key, &n) && n > 0
		       ? n
		       : 0;
}

static void end(void *work)
{
	struct work *w = work;

	free(w->who);
	free(w->link);
	free(w->file);
	free(w->wrong);
	choice_fini(&w->names);
	choice_fini(&w->choice);
	end_names(w->of_link, w->n_of_link);
	fleet_file_fini(&w->rows);
	free(w);
}

static void read_names(struct work *w, struct jslice asked)
{
	struct jslice list, name;
	size_t pos = 0;

	while (jtext_field(asked, "names", &list) && jtext_next_element(list, &pos, &name)) {
		struct buf text = { 0 };

		jtext_string_decode(name, &text);
		choice_add(&w->names, NULL, buf_str(&text));
		buf_fini(&text);
	}
}

static bool read_filters(struct work *w, struct jslice asked)
{
	w->who = text_of(asked, "who");
	w->link = text_of(asked, "link");
	w->file = text_of(asked, "file");
	w->has_credentials = jtext_is_true(asked, "credentials");
	w->has_secrets = jtext_is_true(asked, "secrets");
	w->is_partial = jtext_is_true(asked, "partial");
	w->wish.is_dry = jtext_is_true(asked, "dry_run");
	w->replaces = jtext_is_true(asked, "replace");
	w->wish.pushes = jtext_is_true(asked, "push");
	w->wish.provisions = jtext_is_true(asked, "provision");
	w->retries_lost = jtext_is_true(asked, "retry_lost");
	w->rate = number_of(asked, "rate");
	w->since_ms = number_of(asked, "since_ms");
	if (w->since_ms)
		w->since_ms -= clock_ahead_ms();
	w->max_failures = number_of(asked, "max_failures");
	read_names(w, asked);
	return choice_get(&w->choice, asked);
}

static bool read_action(struct work *w, struct jslice asked)
{
	char *set = text_of(asked, "set");
	struct jslice word, rows;
	int mode = set ? fleet_word(fleet_mode_names, FLEET_MODES, set) : FLEET_DEFAULT;

	free(set);
	w->wish.to = mode < 0 ? FLEET_DEFAULT : (enum fleet_mode)mode;
	if (!jtext_field(asked, "do", &word) || mode < 0)
		return false;
	if (jtext_string_is(word, "import")) {
		if (!jtext_field(asked, "rows", &rows) || !fleet_file_get(&w->rows, rows))
			return false;
		w->wrong = mem_zalloc((w->rows.n + 1) * sizeof *w->wrong);
		return true;
	}
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (jtext_string_is(word, actions[i].word))
			w->action = &actions[i];
	return w->action &&
	       (!w->action->wants_choice || w->names.has_list || choice_is_made(&w->choice));
}

static bool is_known_link(const struct work *w)
{
	for (size_t i = 0; i < device_table_count(w->parts); i++)
		if (!w->link || strcmp(device_table_name(w->parts, i), w->link) == 0)
			return true;
	return false;
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);

	w->parts = parts;
	if (!read_filters(w, asked) || !read_action(w, asked))
		err_set(e, ERR_INVALID, "the bridge does not know what to do with devices");
	else if (!parts->is_running && (w->wish.pushes || w->wish.provisions))
		err_set(e, ERR_BUSY, "%s",
			w->wish.pushes
				? "only a running bridge can push: start it first, or set the mode "
				  "without --push, and again with it when the bridge runs"
				: "only a running bridge asks for credentials: start it first");
	else if (!is_known_link(w))
		err_set(e, ERR_NOT_FOUND, "no link is called \"%s\"", w->link);
	else
		return w;
	end(w);
	return NULL;
}

/* Those that were named, and that no link has. */
static void put_unknown(struct work *w, const struct choice *c, struct buf *out)
{
	bool takes_any =
		w->action && (w->action->f == tell_history || w->action->f == forget_device);

	for (size_t i = 0; i < c->n && !takes_any; i++) {
		const struct choice_name *item = &c->list[i];
		struct device_table t = { .link = item->link ? item->link
						  : w->link  ? w->link
							     : "" };

		if (!item->is_known && !(w->link && item->link && strcmp(w->link, item->link) != 0))
			put_problem(w, &t, item->name, "nothing is known of such a device", out);
	}
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;
	bool ok = true;

	if (!w->action && !w->is_checked) {
		if (!begin_import(w, out, e))
			return false;
		if (out->len)
			return true;
	}
	while (w->action && w->link && w->at_link < device_table_count(w->parts) &&
	       strcmp(w->link, device_table_name(w->parts, w->at_link)) != 0)
		w->at_link++;
	if (w->at_link < device_table_count(w->parts))
		ok = w->action ? do_piece(w, out, e) : import_piece(w, out, e);
	if (!ok)
		return false;
	if (w->at_link < device_table_count(w->parts))
		return true;
	if (w->n_done + w->n_failed)
		put_unknown(w, &w->names, out);
	put_unknown(w, &w->choice, out);
	buf_printf(out, "{\"done\":{\"%s\":%zu,\"failed\":%zu,\"running\":%s}}\n",
		   w->action ? w->action->done : "imported", w->n_done, w->n_failed,
		   w->parts->is_running ? "true" : "false");
	return false;
}

const struct control_request_row control_request_devices = { "devices", start, more, end };
