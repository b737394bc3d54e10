#include "fleet/fleet_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guess.h"
#include "base/mem.h"
#include "fleet/csv.h"
#include "fleet/fleet.h"
#include "message/state_json.h"

#define MAX_COLUMNS 256
#define MAX_NAME    255
#define MAX_VALUE   65535 /* what an MQTT string holds */

static const char *const own_columns[] = { "link", "name", "group", "mode", "kind", "sessions" };
static const char *const told_columns[] = { "state",  "step",	 "origin",
					    "reason", "seen_up", "seen_down" };
static const char *const prefixes[] = { "south.", "north.", "greet." };
#define N(table) (sizeof(table) / sizeof(table)[0])

bool fleet_is_secret_name(const char *name)
{
	static const char *const words[] = { "auth",	 "credential", "key",	 "passphrase",
					     "password", "passwd",     "secret", "token" };

	for (size_t i = 0; i < N(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

/* --- columns --------------------------------------------------------------------------------- */

static bool is_among(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

static bool is_told(const char *column)
{
	return is_among(told_columns, N(told_columns), column);
}

static bool is_column(const char *column)
{
	if (is_told(column) || is_among(own_columns, N(own_columns), column))
		return true;
	for (size_t i = 0; i < N(prefixes); i++)
		if (strncmp(column, prefixes[i], strlen(prefixes[i])) == 0)
			return column[strlen(prefixes[i])] != '\0';
	return false;
}

static void tell_unknown(const char *column, const char *file, unsigned line, struct report *report)
{
	struct guess g = { .wrong = column };

	for (size_t i = 0; i < N(own_columns); i++)
		guess_try(&g, own_columns[i]);
	report_error(report, "%s:%u: there is no column \"%s\"%s%s%s", file, line, column,
		     g.best ? "; did you mean \"" : "", g.best ? g.best : "", g.best ? "\"?" : "");
}

/* --- rows ------------------------------------------------------------------------------------ */

/* What is read. */
struct reading {
	struct fleet_file *f;
	const char *file;
	fleet_resolve *resolve;
	void *ctx;
	struct report *report;
	struct fleet_file_row row; /* the one in hand */
	bool is_bad;
};

static void free_secret(char *text)
{
	if (text)
		mem_free_secret(text, strlen(text));
}

static void end_row(struct fleet_file_row *row)
{
	for (size_t i = 0; i < row->n; i++) {
		free(row->cells[i].column);
		free_secret(row->cells[i].value);
	}
	free(row->cells);
	free(row->link);
	free(row->name);
}

static void bad(struct reading *r, const char *what, const char *why)
{
	report_error(r->report, "%s:%u: %s: %s", r->file, r->row.line, what, why);
	r->is_bad = true;
}

static void add_cell(struct reading *r, const char *column, char *value, bool is_secret)
{
	struct fleet_file_row *row = &r->row;

	row->cells = mem_grow(row->cells, row->n, sizeof *row->cells);
	row->cells[row->n++] = (struct fleet_cell){ mem_strdup(column), value, is_secret };
}

/* A name that topics and texts can bear. */
static bool is_name(const char *text, size_t n)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20)
			return false;
	return n > 0 && n <= MAX_NAME && strlen(text) == n && jtext_is_utf8(text, n);
}

static void take_word(struct reading *r, const char *column, const char *text, size_t n, char **to)
{
	if (!is_name(text, n))
		bad(r, column, "no name of at most 255 bytes without control characters");
	else if (!*to)
		*to = mem_strdup(text);
}

static void take_value(struct reading *r, const char *column, const char *text)
{
	bool is_secret = false;
	struct err e = { 0 };
	char *value;

	if (strcmp(text, "-") == 0) {
		add_cell(r, column, NULL, false);
		return;
	}
	value = r->resolve ? r->resolve(r->ctx, text, &is_secret, &e) : mem_strdup(text);
	if (!value) {
		bad(r, column, e.text);
		return;
	}
	if (strlen(value) > MAX_VALUE || !jtext_is_utf8(value, strlen(value))) {
		bad(r, column, "no text of at most 65535 bytes");
		free_secret(value);
		return;
	}
	if (strncmp(column, "greet.", 6) != 0 && strchr(column, '.') &&
	    fleet_is_secret_name(strchr(column, '.') + 1)) {
		r->f->has_secrets = r->f->has_secrets || !is_secret;
		is_secret = true;
	}
	add_cell(r, column, value, is_secret);
}

/* A cell that is there; an empty one says nothing. */
static void take_cell(struct reading *r, const char *column, const char *text, size_t n)
{
	if (n == 0 || is_told(column))
		return;
	if (strlen(text) != n)
		bad(r, column, "a NUL byte");
	else if (strcmp(column, "link") == 0)
		take_word(r, column, text, n, &r->row.link);
	else if (strcmp(column, "name") == 0)
		take_word(r, column, text, n, &r->row.name);
	else
		take_value(r, column, text);
}

static const char *value_of(const struct fleet_file_row *row, const char *column)
{
	for (size_t i = 0; i < row->n; i++)
		if (strcmp(row->cells[i].column, column) == 0)
			return row->cells[i].value;
	return NULL;
}

/* Without a name it is called what the south, else the north, calls it. */
static void check_row(struct reading *r)
{
	struct fleet_file_row *row = &r->row;
	const char *mode = value_of(row, "mode");
	const char *sessions = value_of(row, "sessions");
	const char *natives[] = { value_of(row, "south.device"), value_of(row, "north.device") };

	for (int s = 0; s < SIDES; s++) {
		if (natives[s] && !is_name(natives[s], strlen(natives[s])))
			bad(r, s == SOUTH ? "south.device" : "north.device",
			    "no name of at most 255 bytes without control characters");
		if (!row->name && natives[s])
			row->name = mem_strdup(natives[s]);
	}
	if (!row->name && !r->is_bad)
		bad(r, "name", "is missing, and so are south.device and north.device");
	if (mode && fleet_word(fleet_mode_names + 1, FLEET_MODES - 1, mode) < 0)
		bad(r, "mode", "off, mirror, live or retired is wanted");
	if (sessions && strcmp(sessions, FLEET_ALWAYS) != 0 &&
	    strcmp(sessions, FLEET_ON_DEMAND) != 0)
		bad(r, "sessions", FLEET_ALWAYS " or " FLEET_ON_DEMAND " is wanted");
}

static void begin_row(struct reading *r, unsigned line)
{
	r->row = (struct fleet_file_row){ .line = line };
	r->is_bad = false;
}

static void finish_row(struct reading *r)
{
	struct fleet_file *f = r->f;

	check_row(r);
	if (r->is_bad) {
		f->n_bad++;
		end_row(&r->row);
		return;
	}
	f->rows = mem_grow(f->rows, f->n, sizeof *f->rows);
	f->rows[f->n++] = r->row;
}

/* --- CSV ------------------------------------------------------------------------------------- */

static bool read_columns(struct reading *r, struct csv *c, char **columns, size_t *n)
{
	unsigned line = c->line;
	struct buf cell = { 0 };
	struct err e = { 0 };
	bool is_last = false, ok = true;

	while (!is_last && ok) {
		ok = csv_cell(c, &cell, &is_last, &e);
		if (!ok) {
			report_error(r->report, "%s:%u: %s", r->file, line, e.text);
			break;
		}
		if (*n == MAX_COLUMNS || is_among((const char *const *)columns, *n, buf_str(&cell)))
			report_error(r->report, "%s:%u: column \"%s\" is there twice, or too many",
				     r->file, line, buf_str(&cell));
		else if (!is_column(buf_str(&cell)))
			tell_unknown(buf_str(&cell), r->file, line, r->report);
		else {
			columns[(*n)++] = mem_strdup(buf_str(&cell));
			continue;
		}
		ok = is_last = false;
		while (!is_last && csv_cell(c, &cell, &is_last, &e))
			continue;
		is_last = true;
	}
	buf_fini(&cell);
	return ok;
}

static void read_csv_row(struct reading *r, struct csv *c, char *const *columns, size_t n)
{
	struct buf cell = { 0 };
	struct err e = { 0 };
	bool is_last = false, ok = true;
	size_t i = 0;

	begin_row(r, c->line);
	while (!is_last && (ok = csv_cell(c, &cell, &is_last, &e))) {
		if (i < n)
			take_cell(r, columns[i], buf_str(&cell), cell.len);
		i++;
	}
	if (!ok)
		bad(r, "row", e.text);
	else if (i != n)
		bad(r, "row",
		    i < n ? "has fewer cells than there are columns"
			  : "has more cells than there are columns");
	finish_row(r);
	mem_free_secret(cell.data, cell.len);
}

static bool read_csv(struct reading *r, const char *text, size_t len)
{
	char *columns[MAX_COLUMNS];
	struct csv c;
	size_t n = 0;
	bool ok;

	csv_init(&c, text, len);
	ok = csv_has_row(&c) && read_columns(r, &c, columns, &n);
	while (ok && csv_has_row(&c))
		read_csv_row(r, &c, columns, n);
	for (size_t i = 0; i < n; i++)
		free(columns[i]);
	return ok;
}

/* --- JSON lines ------------------------------------------------------------------------------ */

static bool is_there(const struct fleet_file_row *row, const char *column)
{
	for (size_t i = 0; i < row->n; i++)
		if (strcmp(row->cells[i].column, column) == 0)
			return true;
	return (row->name && strcmp(column, "name") == 0) ||
	       (row->link && strcmp(column, "link") == 0);
}

static void read_field(struct reading *r, const struct jfield *field)
{
	struct buf column = { 0 }, value = { 0 };

	jtext_string_decode(field->key, &column);
	if (is_there(&r->row, buf_str(&column))) {
		bad(r, buf_str(&column), "is there twice");
	} else if (!is_column(buf_str(&column))) {
		tell_unknown(buf_str(&column), r->file, r->row.line, r->report);
		r->is_bad = true;
	} else if (jtext_type_of(field->value) == JTEXT_STRING &&
		   jtext_string_decode(field->value, &value)) {
		take_cell(r, buf_str(&column), buf_str(&value), value.len);
	} else if (jtext_type_of(field->value) == JTEXT_NUMBER && !is_told(buf_str(&column))) {
		buf_append(&value, field->value.text, field->value.len);
		take_cell(r, buf_str(&column), buf_str(&value), value.len);
	} else if (jtext_type_of(field->value) != JTEXT_NULL && !is_told(buf_str(&column))) {
		bad(r, buf_str(&column), "a string is wanted");
	}
	buf_fini(&column);
	mem_free_secret(value.data, value.len);
}

static void read_json_row(struct reading *r, const char *text, size_t len, unsigned line)
{
	struct buf strict = { 0 };
	struct err e = { 0 };
	struct jfield field;
	size_t pos = 0;

	begin_row(r, line);
	if (!jtext_read(text, len, false, &strict, &e))
		bad(r, "row", e.text);
	else if (jtext_type_of((struct jslice){ strict.data, strict.len }) != JTEXT_OBJECT)
		bad(r, "row", "an object is wanted");
	while (!r->is_bad &&
	       jtext_next_field((struct jslice){ strict.data, strict.len }, &pos, &field))
		read_field(r, &field);
	finish_row(r);
	mem_free_secret(strict.data, strict.len);
}

static void read_json_lines(struct reading *r, const char *text, size_t len)
{
	const char *at = text, *end = text + len;

	for (unsigned line = 1; at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
		size_t blank = 0;

		while (blank < n && strchr(" \t\r", at[blank]))
			blank++;
		if (blank < n)
			read_json_row(r, at, n, line);
		at += n + 1;
	}
}

/* --- both ------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	const struct fleet_file_row *x = *(const struct fleet_file_row *const *)a;
	const struct fleet_file_row *y = *(const struct fleet_file_row *const *)b;
	int links = strcmp(x->link ? x->link : "", y->link ? y->link : "");
	int names = links ? links : strcmp(x->name, y->name);

	return names ? names : x->line < y->line ? -1 : 1;
}

/* The first of each name stays. */
static void drop_twins(struct reading *r)
{
	struct fleet_file *f = r->f;
	struct fleet_file_row **sorted = mem_zalloc((f->n + 1) * sizeof(struct fleet_file_row *));
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		sorted[i] = &f->rows[i];
	qsort(sorted, f->n, sizeof *sorted, by_name);
	for (size_t i = 1; i < f->n; i++) {
		const struct fleet_file_row *a = sorted[i - 1];
		struct fleet_file_row *b = sorted[i];

		if (strcmp(a->link ? a->link : "", b->link ? b->link : "") != 0 ||
		    strcmp(a->name, b->name) != 0)
			continue;
		report_error(r->report, "%s:%u: \"%s\" is in line %u already", r->file, b->line,
			     b->name, a->line);
		b->line = 0;
		sorted[i] = sorted[i - 1];
	}
	for (size_t i = 0; i < f->n; i++) {
		if (f->rows[i].line)
			f->rows[n++] = f->rows[i];
		else
			end_row(&f->rows[i]);
	}
	f->n_bad += f->n - n;
	f->n = n;
	free(sorted);
}

bool fleet_file_read(struct fleet_file *f, const char *file, const char *text, size_t n,
		     fleet_resolve *resolve, void *ctx, struct report *report)
{
	struct reading r = {
		.f = f, .file = file, .resolve = resolve, .ctx = ctx, .report = report
	};
	size_t blank = 0;
	bool ok = true;

	*f = (struct fleet_file){ 0 };
	blank = csv_passed_mark(text, n);
	text += blank;
	n -= blank;
	blank = 0;
	while (blank < n && strchr(" \t\r\n", text[blank]))
		blank++;
	if (blank < n && text[blank] == '{')
		read_json_lines(&r, text, n);
	else
		ok = blank == n || read_csv(&r, text, n);
	drop_twins(&r);
	return ok;
}

void fleet_file_fini(struct fleet_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		end_row(&f->rows[i]);
	free(f->rows);
	*f = (struct fleet_file){ 0 };
}

/* --- over the socket ------------------------------------------------------------------------- */

void fleet_file_put(const struct fleet_file *f, struct buf *out)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < f->n; i++) {
		const struct fleet_file_row *row = &f->rows[i];

		buf_printf(out, "%s{\"line\":%u,\"link\":", i ? "," : "", row->line);
		state_json_put_text(out, row->link);
		buf_puts(out, ",\"name\":");
		state_json_put_text(out, row->name);
		buf_puts(out, ",\"cells\":[");
		for (size_t k = 0; k < row->n; k++) {
			buf_puts(out, k ? ",{\"column\":" : "{\"column\":");
			state_json_put_text(out, row->cells[k].column);
			buf_puts(out, ",\"value\":");
			state_json_put_text(out, row->cells[k].value);
			buf_printf(out, ",\"secret\":%s}",
				   row->cells[k].is_secret ? "true" : "false");
		}
		buf_puts(out, "]}");
	}
	buf_putc(out, ']');
}

static bool get_cells(struct reading *r, struct jslice cells)
{
	struct jslice cell;
	size_t pos = 0;
	bool ok = true;

	while (ok && jtext_next_element(cells, &pos, &cell)) {
		char *column = NULL, *value = NULL;
		bool is_secret = false;

		ok = state_json_text(cell, "column", &column) && column && is_column(column) &&
		     state_json_text(cell, "value", &value) &&
		     state_json_bool(cell, "secret", &is_secret);
		if (ok)
			add_cell(r, column, value, is_secret);
		else
			free_secret(value);
		free(column);
	}
	return ok;
}

bool fleet_file_get(struct fleet_file *f, struct jslice rows)
{
	struct reading r = { .f = f, .file = "" };
	struct jslice row, cells;
	size_t pos = 0;
	int64_t line;
	bool ok = true;

	*f = (struct fleet_file){ 0 };
	while (ok && jtext_next_element(rows, &pos, &row)) {
		begin_row(&r, 0);
		ok = state_json_integer(row, "line", &line) && line > 0 && line < UINT32_MAX &&
		     state_json_text(row, "link", &r.row.link) &&
		     state_json_text(row, "name", &r.row.name) && r.row.name &&
		     jtext_field(row, "cells", &cells) && get_cells(&r, cells);
		r.row.line = ok ? (unsigned)line : 0;
		f->rows = mem_grow(f->rows, f->n, sizeof *f->rows);
		f->rows[f->n++] = r.row;
	}
	return ok;
}
