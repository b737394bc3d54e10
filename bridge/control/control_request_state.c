/* control_request_state.c -- the state directory: {"request":"state","do":"check"}, an item {"problem"} for each thing
 * that is wrong, {"request":"state","do":"backup","file":PATH}, and {"request":"state","do":"rows","link":LINK}, an
 * item {machine, key, value} for each row of a link that is no secret, and {"request":"state","do":"rotate-key"},
 * which no bridge does that runs, and says in {"unreadable"} how many rows it could not read.  Each is done at once,
 * while the bridge waits.
 * The rows that could not be read back: {"request":"aside"}.  An item per row; what was in it is not told.
 * The configuration: {"request":"reload","plan":BOOL,"drop":BOOL,"strict":BOOL}, an item {"mistake"} for each, or
 * {"link","change",...} for each link, {"keys"} for the rest. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "control/control_request_table.h"
#include "store/aside.h"
#include "store/db.h"
#include "store/state.h"

struct work {
	const struct control_request_parts *parts;
	char *file; /* NULL: no backup */
	char *link; /* NULL: not its rows */
	bool rotates;
};

static void end(void *work)
{
	struct work *w = work;

	free(w->file);
	free(w->link);
	free(w);
}

/* A text of the request, caller frees; NULL: there is none. */
static char *text_of(struct jslice asked, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(asked, key, &v) && jtext_string_decode(v, &text) && text.len)
		return buf_take(&text);
	buf_fini(&text);
	return NULL;
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);
	struct jslice v = { 0 };
	bool ok;

	w->parts = parts;
	w->file = text_of(asked, "file");
	w->link = text_of(asked, "link");
	ok = jtext_field(asked, "do", &v) &&
	     ((jtext_string_is(v, "check") && !w->file && !w->link) ||
	      (jtext_string_is(v, "backup") && w->file && *w->file == '/' && !w->link) ||
	      (jtext_string_is(v, "rows") && w->link && !w->file) ||
	      (jtext_string_is(v, "rotate-key") && !w->file && !w->link));
	w->rotates = ok && jtext_string_is(v, "rotate-key");
	if (ok && !(w->rotates && parts->is_running))
		return w;
	if (ok)
		err_set(e, ERR_BUSY,
			"the bridge seals with the key: stop it first, then change the key, and "
			"start it again");
	else
		err_set(e, ERR_INVALID, "the bridge does not know what to do with the state");
	end(w);
	return NULL;
}

static void put_state_row(void *ctx, const char *machine, const char *key, const char *value)
{
	struct buf *out = ctx, strict = { 0 };

	if (jtext_read(value, strlen(value), false, &strict, NULL)) {
		buf_puts(out, "{\"item\":{\"machine\":");
		jtext_put_string(out, machine, strlen(machine));
		control_request_put_text(out, "key", key);
		buf_puts(out, ",\"value\":");
		buf_append(out, strict.data, strict.len);
		buf_puts(out, "}}\n");
	}
	buf_fini(&strict);
}

static void put_problem(void *ctx, const char *what)
{
	struct buf *out = ctx;

	buf_puts(out, "{\"item\":{\"is_problem\":true");
	control_request_put_text(out, "problem", what);
	buf_puts(out, "}}\n");
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;
	struct db *db = w->parts->db;
	size_t n_unread = 0;
	bool ok = w->file      ? db_backup(db, w->file, e)
		  : w->rotates ? db_rotate_key(db, &n_unread, e)
		  : w->link    ? state_look(db, w->link, put_state_row, out, e)
			       : db_check(db, put_problem, out, e);

	if (ok && w->rotates)
		buf_printf(out, "{\"done\":{\"unreadable\":%zu}}\n", n_unread);
	else if (ok)
		buf_puts(out, "{\"done\":{}}\n");
	return false;
}

const struct control_request_row control_request_state = { "state", start, more, end };

/* --- rows that were set aside -------------------------------------------------------------- */

static bool put_row(void *ctx, const struct aside_row *row)
{
	struct buf *out = ctx;

	buf_printf(out, "{\"item\":{\"id\":%llu", (unsigned long long)row->id);
	control_request_put_text(out, "link", row->link);
	control_request_put_text(out, "part", row->part);
	control_request_put_text(out, "key", row->key);
	control_request_put_text(out, "reason", row->reason);
	buf_printf(out, ",\"at_ms\":%lld,\"bytes\":%lld}}\n",
		   (long long)row->at_ms + clock_ahead_ms(), (long long)row->bytes);
	return true;
}

static void *start_aside(const struct control_request_parts *parts, struct jslice asked,
			 struct err *e)
{
	(void)asked;
	(void)e;
	return (void *)parts;
}

/* They are a thousand at most, and short. */
static bool more_aside(void *work, struct buf *out, struct err *e)
{
	const struct control_request_parts *parts = work;
	uint64_t n;

	if (aside_count(parts->db, &n, e) && aside_each(parts->db, put_row, out, e))
		buf_printf(out, "{\"done\":{\"set_aside\":%llu}}\n", (unsigned long long)n);
	return false;
}

static void end_nothing(void *work)
{
	(void)work;
}

const struct control_request_row control_request_aside = { "aside", start_aside, more_aside,
							   end_nothing };

/* --- another configuration ----------------------------------------------------------------- */

struct reload_work {
	const struct control_request_parts *parts;
	struct reload_wish wish;
};

static void *start_reload(const struct control_request_parts *parts, struct jslice asked,
			  struct err *e)
{
	struct reload_work *w;

	if (!parts->is_running) {
		err_set(e, ERR_BUSY, "no bridge runs: its next start reads the configuration");
		return NULL;
	}
	w = mem_zalloc(sizeof *w);
	*w = (struct reload_work){ parts,
				   { .only_plans = jtext_is_true(asked, "plan"),
				     .drops = jtext_is_true(asked, "drop"),
				     .is_strict = jtext_is_true(asked, "strict") } };
	return w;
}

static bool more_reload(void *work, struct buf *out, struct err *e)
{
	const struct reload_work *w = work;

	if (w->parts->reload(w->parts->bridge, &w->wish, out, e))
		buf_puts(out, "{\"done\":{}}\n");
	return false;
}

const struct control_request_row control_request_reload = { "reload", start_reload, more_reload,
							    free };
