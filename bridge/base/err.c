#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

void err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
}

void err_errno(struct err *e, const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;
	int n;

	if (!e)
		return;
	e->code = ERR_IO;
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->text)
		snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", why);
}

void err_prefix(struct err *e, const char *fmt, ...)
{
	char rest[sizeof e->text];
	va_list ap;
	int n;

	if (!e)
		return;
	memcpy(rest, e->text, sizeof rest);
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->text)
		snprintf(e->text + n, sizeof e->text - (size_t)n, ": %.*s",
			 (int)(sizeof e->text - (size_t)n), rest);
}

/* `count`: of the lines of its sort; NULL: a warning. */
__attribute__((format(printf, 3, 0))) static void report_add(struct report *r, size_t *count,
							     const char *fmt, va_list ap)
{
	struct buf text = { 0 };

	buf_vprintf(&text, fmt, ap);
	r->lines = mem_grow(r->lines, r->n_lines, sizeof *r->lines);
	r->lines[r->n_lines++] = (struct report_line){ !count, buf_take(&text) };
	if (count)
		++*count;
}

void report_error(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_add(r, &r->n_errors, fmt, ap);
	va_end(ap);
}

void report_lack(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_add(r, &r->n_lacks, fmt, ap);
	va_end(ap);
}

void report_warning(struct report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_add(r, NULL, fmt, ap);
	va_end(ap);
}

bool report_has(const struct report *r, const char *line)
{
	for (size_t i = 0; i < r->n_lines; i++)
		if (strcmp(r->lines[i].text, line) == 0)
			return true;
	return false;
}

const char *report_first_mistake(const struct report *r)
{
	for (size_t i = 0; i < r->n_lines; i++)
		if (!r->lines[i].is_warning)
			return r->lines[i].text;
	return NULL;
}

void report_hint(struct report *r, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list ap;

	if (!r->wants_hints)
		return;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (!report_has(r, buf_str(&text)))
		report_warning(r, "%s", buf_str(&text));
	buf_fini(&text);
}

void report_fini(struct report *r)
{
	for (size_t i = 0; i < r->n_lines; i++)
		free(r->lines[i].text);
	free(r->lines);
	*r = (struct report){ 0 };
}
