/* fleet_rows.c -- what is kept of devices: their rows, out and back.
 *
 * Two rows each, as when a device was seen last changes often, and is no secret.  In a row "vars" is an array for each
 * side of [name, value, is it a secret]; what is not set is not there. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "fleet/fleet_inside.h"
#include "message/state_json.h"
#include "state/change.h"

/* --- out ------------------------------------------------------------------------------------- */

static void put_text(struct buf *row, const char *field, const char *text)
{
	if (!text)
		return;
	buf_printf(row, ",\"%s\":", field);
	state_json_put_text(row, text);
}

static bool put_vars(struct buf *row, const char *field, const struct vars *v)
{
	bool has_secret = false;

	if (v->n)
		buf_printf(row, ",\"%s\":[", field);
	for (size_t i = 0; i < v->n; i++) {
		const struct var *var = &v->items[i];

		buf_puts(row, i ? ",[" : "[");
		state_json_put_text(row, var->name);
		buf_putc(row, ',');
		state_json_put_text(row, var->value);
		buf_puts(row, var->is_secret ? ",true]" : ",false]");
		has_secret = has_secret || var->is_secret;
	}
	if (v->n)
		buf_putc(row, ']');
	return has_secret;
}

void fleet_put_row(struct fleet_device *d, struct changes *out)
{
	struct buf row = { 0 };
	bool is_secret;

	buf_printf(&row,
		   "{\"state\":\"%s\",\"step\":\"%s\",\"mode\":\"%s\",\"origin\":\"%s\",\"set\":%s",
		   fleet_state_names[d->state], fleet_step_names[d->step],
		   fleet_mode_names[d->mode], fleet_origin_names[d->origin],
		   d->is_set ? "true" : "false");
	put_text(&row, "group", d->group);
	put_text(&row, "kind", d->kind);
	put_text(&row, "sessions", d->sessions);
	put_text(&row, "reason", d->reason);
	if (d->mode_ms || d->leaves)
		buf_printf(&row, ",\"before\":\"%s\",\"since\":%" PRId64 ",\"leaves\":%u",
			   fleet_mode_names[d->before], d->mode_ms, d->leaves);
	is_secret = put_vars(&row, "south", &d->vars[SOUTH]);
	is_secret = put_vars(&row, "north", &d->vars[NORTH]) || is_secret;
	put_vars(&row, "greet", &d->greet);
	buf_putc(&row, '}');
	changes_put(out, FLEET_MACHINE, d->name, row.data, is_secret);
	mem_free_secret(row.data, row.len);
	d->is_unwritten = false;
}

void fleet_put_seen(struct fleet_device *d, struct changes *out)
{
	struct buf row = { 0 };

	buf_printf(&row, "{\"up\":%" PRId64 ",\"down\":%" PRId64 "}", d->seen_ms[FLOW_UP],
		   d->seen_ms[FLOW_DOWN]);
	changes_put(out, FLEET_SEEN_MACHINE, d->name, row.data, false);
	buf_fini(&row);
	memcpy(d->noted_ms, d->seen_ms, sizeof d->noted_ms);
}

/* --- back ------------------------------------------------------------------------------------ */

static bool read_word(struct jslice row, const char *field, const char *const *names, int n,
		      int *out)
{
	char *word = NULL;
	bool ok = state_json_text(row, field, &word) && word &&
		  (*out = fleet_word(names, n, word)) >= 0;

	free(word);
	return ok;
}

/* A text that may be missing. */
static bool read_text(struct jslice row, const char *field, char **out)
{
	struct jslice v;

	free(*out);
	*out = NULL;
	return !jtext_field(row, field, &v) || state_json_text(row, field, out);
}

static bool read_var(struct jslice var, struct vars *v)
{
	struct buf text[2] = { { 0 }, { 0 } };
	struct jslice part;
	size_t pos = 0;
	bool ok = true;

	for (int i = 0; ok && i < 2; i++)
		ok = jtext_next_element(var, &pos, &part) && jtext_string_decode(part, &text[i]);
	ok = ok && jtext_next_element(var, &pos, &part) && text[0].len;
	if (ok)
		vars_set(v, buf_str(&text[0]), buf_str(&text[1]),
			 jtext_type_of(part) == JTEXT_TRUE);
	buf_fini(&text[0]);
	mem_free_secret(text[1].data, text[1].len);
	return ok;
}

static bool read_vars(struct jslice row, const char *field, struct vars *v)
{
	struct jslice all, var;
	size_t pos = 0;
	bool ok = true;

	fleet_wipe_vars(v);
	if (!jtext_field(row, field, &all))
		return true;
	while (ok && jtext_next_element(all, &pos, &var))
		ok = read_var(var, v);
	return ok && jtext_type_of(all) == JTEXT_ARRAY;
}

struct words {
	int state, step, mode, origin;
};

static bool read_words(struct jslice row, struct words *w)
{
	return read_word(row, "state", fleet_state_names, FLEET_STATES, &w->state) &&
	       read_word(row, "step", fleet_step_names, FLEET_STEPS, &w->step) &&
	       read_word(row, "mode", fleet_mode_names, FLEET_MODES, &w->mode) &&
	       read_word(row, "origin", fleet_origin_names, FLEET_ORIGINS, &w->origin);
}

/* Since when it is in its mode, and from where; may be missing. */
static bool read_change(struct jslice row, struct fleet_device *d)
{
	struct jslice v;
	int64_t leaves = 0;
	int before = FLEET_DEFAULT;

	if (!jtext_field(row, "before", &v))
		return true;
	if (!read_word(row, "before", fleet_mode_names, FLEET_MODES, &before) ||
	    !state_json_integer(row, "since", &d->mode_ms) ||
	    !state_json_integer(row, "leaves", &leaves) || leaves < 0 ||
	    leaves >= FLEET_PASSES(FLOWS))
		return false;
	d->before = (enum fleet_mode)before;
	d->leaves = (unsigned)leaves;
	return true;
}

static bool read_row(struct fleet *t, const char *key, struct jslice row)
{
	struct vars south = { 0 }, north = { 0 }, greet = { 0 };
	char *group = NULL, *kind = NULL, *reason = NULL, *sessions = NULL;
	struct fleet_device *d, change = { 0 };
	struct words w;
	bool is_set;

	if (!read_words(row, &w) || !read_change(row, &change) ||
	    !state_json_bool(row, "set", &is_set) || !read_text(row, "group", &group) ||
	    !read_text(row, "kind", &kind) || !read_text(row, "reason", &reason) ||
	    !read_text(row, "sessions", &sessions) || !read_vars(row, "south", &south) ||
	    !read_vars(row, "north", &north) || !read_vars(row, "greet", &greet) ||
	    fleet_find(t, key)) {
		free(group);
		free(kind);
		free(reason);
		free(sessions);
		fleet_wipe_vars(&south);
		fleet_wipe_vars(&north);
		vars_fini(&greet);
		return false;
	}
	d = fleet_row(t, key);
	d->group = group;
	d->kind = kind;
	d->reason = reason;
	d->sessions = sessions;
	d->vars[SOUTH] = south;
	d->vars[NORTH] = north;
	d->greet = greet;
	d->state = (enum fleet_state)w.state;
	d->step = (enum fleet_step)w.step;
	fleet_put_mode(t, d, (enum fleet_mode)w.mode);
	d->origin = (enum fleet_origin)w.origin;
	d->is_set = is_set;
	d->before = change.before;
	d->mode_ms = change.mode_ms;
	d->leaves = change.leaves;
	return true;
}

bool fleet_restore(struct fleet *t, const char *key, const char *value, struct err *e)
{
	struct buf text = { 0 };
	struct jslice row;
	bool ok = state_json_read(value, &text, &row) && read_row(t, key, row);

	if (!ok)
		err_set(e, ERR_CORRUPT, "device '%s' has no row of the fleet", key);
	mem_free_secret(text.data, text.len);
	return ok;
}

bool fleet_restore_seen(struct fleet *t, const char *key, const char *value, struct err *e)
{
	struct fleet_device *d = map_get_str(&t->by_name, key);
	int64_t seen_ms[FLOWS];
	struct buf text = { 0 };
	struct jslice row;
	bool ok = d && state_json_read(value, &text, &row) &&
		  state_json_integer(row, "up", &seen_ms[FLOW_UP]) &&
		  state_json_integer(row, "down", &seen_ms[FLOW_DOWN]);

	if (ok) {
		memcpy(d->seen_ms, seen_ms, sizeof seen_ms);
		memcpy(d->noted_ms, seen_ms, sizeof seen_ms);
	} else {
		err_set(e, ERR_CORRUPT, "when device '%s' was seen cannot be read", key);
	}
	buf_fini(&text);
	return ok;
}

bool fleet_restore_salt(struct fleet *t, const char *key, const char *value, struct err *e)
{
	struct buf text = { 0 };
	char *salt = NULL;
	struct jslice row;
	bool ok = strcmp(key, "salt") == 0 && state_json_read(value, &text, &row) &&
		  state_json_text(row, "salt", &salt) && salt && strlen(salt) == CRYPTO_TOKEN_CHARS;

	if (ok)
		memcpy(t->salt, salt, CRYPTO_TOKEN_CHARS);
	else
		err_set(e, ERR_CORRUPT, "the order of devices cannot be read");
	buf_fini(&text);
	free(salt);
	return ok;
}
