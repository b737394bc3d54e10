#include "fleet/csv.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"

size_t csv_passed_mark(const char *text, size_t n)
{
	return n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

void csv_init(struct csv *c, const char *text, size_t n)
{
	*c = (struct csv){ .at = text, .end = text + n, .line = 1 };
	c->at += csv_passed_mark(text, n);
}

/* Past a line end, if there is one here. */
static bool pass_end(struct csv *c)
{
	size_t n = (size_t)(c->end - c->at);

	if (n >= 2 && c->at[0] == '\r' && c->at[1] == '\n')
		c->at += 2;
	else if (n >= 1 && c->at[0] == '\n')
		c->at++;
	else
		return false;
	c->line++;
	return true;
}

bool csv_has_row(struct csv *c)
{
	while (pass_end(c))
		continue;
	return c->at < c->end;
}

static bool fail(struct csv *c, const char *why, struct err *e)
{
	while (c->at < c->end && !pass_end(c))
		c->at++;
	err_set(e, ERR_INVALID, "%s", why);
	return false;
}

/* Behind the opening quote. */
static bool read_quoted(struct csv *c, struct buf *cell)
{
	while (c->at < c->end) {
		if (*c->at == '"' && c->at + 1 < c->end && c->at[1] == '"') {
			c->at++;
		} else if (*c->at == '"') {
			c->at++;
			return true;
		}
		c->line += *c->at == '\n';
		buf_putc(cell, *c->at++);
	}
	return false;
}

bool csv_cell(struct csv *c, struct buf *cell, bool *is_last, struct err *e)
{
	buf_reset(cell);
	*is_last = false;
	if (c->at < c->end && *c->at == '"') {
		c->at++;
		if (!read_quoted(c, cell))
			return fail(c, "quotes that do not end", e);
	} else {
		while (c->at < c->end && *c->at != ',' && *c->at != '\n' &&
		       !(*c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n'))
			buf_putc(cell, *c->at++);
	}
	if (c->at < c->end && *c->at == ',') {
		c->at++;
		return true;
	}
	*is_last = pass_end(c) || c->at == c->end;
	return *is_last || fail(c, "something behind closing quotes", e);
}

void csv_put(struct buf *out, const char *text)
{
	if (!strpbrk(text, "\",\r\n")) {
		buf_puts(out, text);
		return;
	}
	buf_putc(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_putc(out, '"');
		buf_putc(out, *text);
	}
	buf_putc(out, '"');
}
