/* control_request_state.c -- the state directory: {"request":"state","do":"check"}, an item {"problem"} for each thing that
 * is wrong, {"request":"state","do":"backup","file":PATH}, and {"request":"state","do":"rows","link":LINK}, an item
 * {machine, key, value} for each row of a link that is no secret.  Each is done at once, while the bridge waits. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "run/control_request_table.h"
#include "store/db.h"
#include "store/state.h"

struct work {
	const struct control_request_parts *parts;
	char *file; /* NULL: no backup */
	char *link; /* NULL: not its rows */
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
	      (jtext_string_is(v, "rows") && w->link && !w->file));
	if (ok)
		return w;
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
	bool ok = w->file   ? db_backup(db, w->file, e)
		  : w->link ? state_look(db, w->link, put_state_row, out, e)
			    : db_check(db, put_problem, out, e);

	if (ok)
		buf_puts(out, "{\"done\":{}}\n");
	return false;
}

const struct control_request_row control_request_state = { "state", start, more, end };
