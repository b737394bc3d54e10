#include "control/control_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/exit_status.h"
#include "base/mem.h"
#include "control/control_request_table.h"

static const struct control_request_row *const rows[] = {
	&control_request_aside,	 &control_request_deadletters, &control_request_devices,
	&control_request_log,	 &control_request_reload,      &control_request_state,
	&control_request_status, &control_request_tap,	       &control_request_waves
};

void control_request_put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ",\"%s\":", key);
	if (jtext_is_utf8(text, strlen(text)))
		jtext_put_string(out, text, strlen(text));
	else
		buf_puts(out, "\"?\"");
}

struct request {
	const struct control_request_row *row;
	void *work; /* NULL: it failed */
	struct err e;
};

/* Whose next piece is not there before others make it. */
static bool waits(const struct control_request_row *row)
{
	return row == &control_request_tap;
}

static const struct control_request_row *find_row(struct jslice asked)
{
	struct jslice name;

	for (size_t i = 0; jtext_field(asked, "request", &name) && i < sizeof rows / sizeof rows[0];
	     i++)
		if (jtext_string_is(name, rows[i]->name))
			return rows[i];
	return NULL;
}

struct request *control_request_new(const struct control_request_parts *parts, const char *line,
				    size_t n)
{
	struct request *r = mem_zalloc(sizeof *r);
	struct buf text = { 0 };
	struct jslice asked;

	if (jtext_read(line, n, false, &text, &r->e)) {
		asked = (struct jslice){ text.data, text.len };
		r->row = find_row(asked);
		if (r->row)
			r->work = r->row->start(parts, asked, &r->e);
		else
			err_set(&r->e, ERR_INVALID, "the bridge does not know this request");
	}
	buf_fini(&text);
	return r;
}

static int exit_status(enum err_code code)
{
	switch (code) {
	case ERR_INVALID:
	case ERR_NOT_FOUND:
		return EXIT_MISUSED;
	case ERR_IO:
	case ERR_FULL:
	case ERR_CORRUPT:
		return EXIT_STORAGE;
	default:
		return EXIT_FAILED;
	}
}

void control_request_put_error(const struct err *e, struct buf *out)
{
	buf_puts(out, "{\"error\":");
	jtext_put_string(out, e->text, strlen(e->text));
	buf_printf(out, ",\"status\":%d}\n", exit_status(e->code));
}

bool control_request_more(struct request *r, struct buf *out)
{
	size_t before = out->len;
	bool is_more = false;

	do
		is_more = r->work && r->row->more(r->work, out, &r->e);
	while (is_more && out->len == before && !waits(r->row));
	if (is_more)
		return true;
	if (r->e.code != ERR_NONE)
		control_request_put_error(&r->e, out);
	return false;
}

void control_request_free(struct request *r)
{
	if (r->work)
		r->row->end(r->work);
	free(r);
}
