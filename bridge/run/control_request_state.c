/* control_request_state.c -- the state directory: {"request":"state","do":"check"}, an item {"problem"} for each thing that
 * is wrong, and {"request":"state","do":"backup","file":PATH}.  Either is done at once, while the bridge waits. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "run/control_request_table.h"
#include "store/db.h"

struct work {
	const struct control_request_parts *parts;
	char *file; /* NULL: check */
};

static void end(void *work)
{
	struct work *w = work;

	free(w->file);
	free(w);
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);
	struct buf file = { 0 };
	struct jslice v;
	bool ok;

	w->parts = parts;
	ok = jtext_field(asked, "do", &v) &&
	     (jtext_string_is(v, "check") ||
	      (jtext_string_is(v, "backup") && jtext_field(asked, "file", &v) &&
	       jtext_string_decode(v, &file) && file.len && file.data[0] == '/'));
	if (ok && file.len)
		w->file = buf_take(&file);
	buf_fini(&file);
	if (ok)
		return w;
	err_set(e, ERR_INVALID, "the bridge does not know what to do with the state");
	end(w);
	return NULL;
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
	bool ok = w->file ? db_backup(w->parts->db, w->file, e)
			  : db_check(w->parts->db, put_problem, out, e);

	if (ok)
		buf_puts(out, "{\"done\":{}}\n");
	return false;
}

const struct control_request_row control_request_state = { "state", start, more, end };
