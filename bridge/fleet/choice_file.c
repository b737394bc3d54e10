#include "fleet/choice_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "fleet/choice.h"
#include "fleet/csv.h"

#define MAX_FILE (64u << 20)
#define MAX_NAME 255
#define NOWHERE	 (-1)

struct list_reading {
	struct choice *choice;
	const char *file;
	struct report *report;
	int name_at, link_at; /* columns; NOWHERE */
};

static bool is_name(const char *text)
{
	return *text && strlen(text) <= MAX_NAME && jtext_is_utf8(text, strlen(text));
}

static void add(struct list_reading *r, unsigned line, const char *link, const char *name)
{
	if (is_name(name))
		choice_add(r->choice, link && *link ? link : NULL, name);
	else
		report_error(r->report, "%s:%u: that is no name of a device", r->file, line);
}

/* The next row: what stands in the two columns.  False: it is no CSV, which is in the report. */
static bool read_row(struct list_reading *r, struct csv *csv, struct buf *name, struct buf *link)
{
	struct buf cell = { 0 };
	struct err e = { 0 };
	unsigned line = csv->line;
	bool is_last = false, ok = true;

	for (int i = 0; ok && !is_last; i++) {
		ok = csv_cell(csv, &cell, &is_last, &e);
		if (ok && i == r->name_at)
			buf_append(name, buf_str(&cell), cell.len);
		if (ok && i == r->link_at)
			buf_append(link, buf_str(&cell), cell.len);
	}
	if (!ok)
		report_error(r->report, "%s:%u: %s", r->file, line, e.text);
	buf_fini(&cell);
	return ok;
}

/* Is the first row one of column names, with one that we look for? */
static bool read_columns(struct list_reading *r, struct csv *csv)
{
	struct buf cell = { 0 };
	bool is_last = false;
	struct err e = { 0 };

	r->name_at = r->link_at = NOWHERE;
	for (int i = 0; !is_last && csv_cell(csv, &cell, &is_last, &e); i++) {
		if (strcmp(buf_str(&cell), "name") == 0)
			r->name_at = i;
		else if (strcmp(buf_str(&cell), "link") == 0)
			r->link_at = i;
	}
	buf_fini(&cell);
	return r->name_at != NOWHERE;
}

static void read_csv(struct list_reading *r, struct csv *csv)
{
	struct buf name = { 0 }, link = { 0 };

	while (csv_has_row(csv)) {
		unsigned line = csv->line;

		buf_reset(&name);
		buf_reset(&link);
		if (read_row(r, csv, &name, &link))
			add(r, line, buf_str(&link), buf_str(&name));
	}
	buf_fini(&name);
	buf_fini(&link);
}

static void read_line(struct list_reading *r, unsigned number, const char *line, size_t n)
{
	struct buf name = { 0 };

	while (n && isspace((unsigned char)line[n - 1]))
		n--;
	while (n && isspace((unsigned char)*line)) {
		line++;
		n--;
	}
	if (n && *line != '#') {
		buf_append(&name, line, n);
		add(r, number, NULL, strlen(buf_str(&name)) == n ? buf_str(&name) : "");
	}
	buf_fini(&name);
}

static void read_lines(struct list_reading *r, const char *text, size_t n)
{
	const char *end = text + n;

	text += csv_passed_mark(text, n);
	for (unsigned number = 1; text < end; number++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		stop = stop ? stop : end;
		read_line(r, number, text, (size_t)(stop - text));
		text = stop + 1;
	}
}

void choice_file_read(struct choice *c, const char *file, const char *text, size_t n,
		      struct report *report)
{
	struct list_reading r = { .choice = c, .file = file, .report = report };
	struct csv csv;

	c->has_list = true;
	csv_init(&csv, text, n);
	if (csv_has_row(&csv) && read_columns(&r, &csv))
		read_csv(&r, &csv);
	else
		read_lines(&r, text, n);
}

void choice_file_load(struct choice *c, const char *path, struct report *report)
{
	struct buf text = { 0 };
	struct err e = { 0 };

	c->has_list = true;
	if (buf_append_file(&text, strcmp(path, "-") == 0 ? "/dev/stdin" : path, MAX_FILE, &e))
		choice_file_read(c, path, buf_str(&text), text.len, report);
	else
		report_error(report, "%s: %s", path, e.text);
	buf_fini(&text);
}
