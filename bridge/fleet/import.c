#include "fleet/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "fleet/fleet_file.h"
#include "state/devices.h"

bool import_is_for(const struct import_to *to, const struct fleet_file_row *row)
{
	return row->link ? strcmp(row->link, to->link) == 0 : to->takes_rest;
}

/* --- names that collide ---------------------------------------------------------------------- */

static const char *const native_columns[SIDES] = { "south.device", "north.device" };

static const struct fleet_cell *find_cell(const struct fleet_file_row *row, const char *column)
{
	for (size_t i = 0; i < row->n; i++)
		if (strcmp(row->cells[i].column, column) == 0)
			return &row->cells[i];
	return NULL;
}

static enum fleet_mode mode_said(const struct fleet_cell *cell)
{
	int mode = cell->value ? fleet_word(fleet_mode_names, FLEET_MODES, cell->value)
			       : FLEET_DEFAULT;

	return mode < 0 ? FLEET_DEFAULT : (enum fleet_mode)mode;
}

/* What a side calls it when the row is in. */
static const char *native_after(const struct import_to *to, const struct fleet_file_row *row,
				enum side side)
{
	const struct fleet_cell *cell = find_cell(row, native_columns[side]);
	const char *listed = devices_there(to->names, side, row->name);

	if (cell)
		return cell->value ? cell->value : row->name;
	return listed ? listed : row->name;
}

/* Who has the name and is not in the file; NULL: nobody. */
static const char *other_holder(const struct import_to *to, const struct map *in_file,
				enum side side, const char *native, const char *name)
{
	const char *holder = devices_here(to->names, side, native);

	if (!holder && fleet_find(to->fleet, native) && !devices_there(to->names, side, native))
		holder = native;
	return holder && strcmp(holder, name) != 0 && !map_get_str(in_file, holder) ? holder : NULL;
}

static void check_side(const struct import_to *to, const struct fleet_file *f, enum side side,
		       const struct map *in_file, bool *wrong, struct report *report)
{
	struct map natives = { 0 };

	for (size_t i = 0; i < f->n; i++) {
		const struct fleet_file_row *row = &f->rows[i], *first;
		const char *native, *holder;

		if (!import_is_for(to, row) || wrong[i])
			continue;
		native = native_after(to, row, side);
		first = map_get_str(&natives, native);
		holder = first ? first->name : other_holder(to, in_file, side, native, row->name);
		if (!first)
			map_set_str(&natives, native, (void *)row);
		if (!holder)
			continue;
		wrong[i] = true;
		report_error(report, "%s:%u: %s: \"%s\" is what the %s calls \"%s\"", to->file,
			     row->line, native_columns[side], native, side_name(side), holder);
	}
	map_fini(&natives, NULL);
}

static bool is_fixed_otherwise(const struct import_to *to, const struct fleet_file_row *row,
			       const struct fleet_device *d)
{
	const struct fleet_cell *mode = find_cell(row, "mode");

	return d && d->fixed_by && mode && to->origin != FLEET_CONFIGURATION &&
	       mode_said(mode) != d->fixed_mode;
}

static void check_modes(const struct import_to *to, const struct fleet_file *f, bool *wrong,
			struct report *report)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct fleet_file_row *row = &f->rows[i];
		const struct fleet_device *d = fleet_find(to->fleet, row->name);

		if (!import_is_for(to, row) || wrong[i] || !is_fixed_otherwise(to, row, d))
			continue;
		wrong[i] = true;
		report_error(report, "%s:%u: %s: its mode is fixed by %s", to->file, row->line,
			     row->name, d->fixed_by);
	}
}

void import_check(const struct import_to *to, const struct fleet_file *f, bool *wrong,
		  struct report *report)
{
	struct map in_file = { 0 };

	for (size_t i = 0; i < f->n; i++)
		if (import_is_for(to, &f->rows[i]))
			map_set_str(&in_file, f->rows[i].name, &f->rows[i]);
	for (int s = 0; s < SIDES; s++)
		check_side(to, f, (enum side)s, &in_file, wrong, report);
	check_modes(to, f, wrong, report);
	map_fini(&in_file, NULL);
}

/* --- a row ----------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* A side's variable, or what it calls the device; else -1. */
static int side_of(const char *column)
{
	return strncmp(column, "south.", 6) == 0   ? SOUTH
	       : strncmp(column, "north.", 6) == 0 ? NORTH
						   : -1;
}

static const char *own_field(const struct fleet_device *d, const char *column)
{
	return !d				 ? NULL
	       : strcmp(column, "group") == 0	 ? d->group
	       : strcmp(column, "sessions") == 0 ? d->sessions
						 : d->kind;
}

static bool changes_it(const struct import_to *to, const struct fleet_file_row *row,
		       const struct fleet_cell *cell)
{
	const struct fleet_device *d = fleet_find(to->fleet, row->name);
	int side = side_of(cell->column);
	const char *before;

	if (strcmp(cell->column, "mode") == 0)
		return (d ? d->mode : FLEET_DEFAULT) != mode_said(cell);
	if (side >= 0 && strcmp(cell->column, native_columns[side]) == 0) {
		before = devices_there(to->names, (enum side)side, row->name);
		return !is_same(before ? before : row->name, cell->value ? cell->value : row->name);
	}
	if (side >= 0)
		before = fleet_var(d, (enum side)side, cell->column + 6);
	else if (strncmp(cell->column, "greet.", 6) == 0)
		before = d ? vars_get(&d->greet, cell->column + 6) : NULL;
	else
		before = own_field(d, cell->column);
	return !is_same(before, cell->value);
}

static void apply(const struct import_to *to, const struct fleet_file_row *row,
		  const struct fleet_cell *cell, struct changes *out)
{
	int side = side_of(cell->column);

	if (strcmp(cell->column, "mode") == 0)
		fleet_set_mode(to->fleet, row->name, mode_said(cell), out);
	else if (strcmp(cell->column, "group") == 0)
		fleet_set_group(to->fleet, row->name, cell->value, out);
	else if (strcmp(cell->column, "sessions") == 0)
		fleet_set_sessions(to->fleet, row->name, cell->value, out);
	else if (strcmp(cell->column, "kind") == 0)
		fleet_set_kind(to->fleet, row->name, cell->value, out);
	else if (side >= 0 && strcmp(cell->column, native_columns[side]) == 0)
		devices_set(to->names, (enum side)side, row->name,
			    cell->value ? cell->value : row->name, out);
	else if (side >= 0)
		fleet_set_var(to->fleet, row->name, (enum side)side, cell->column + 6, cell->value,
			      cell->is_secret, out);
	else
		fleet_set_greet(to->fleet, row->name, cell->column + 6, cell->value, out);
}

/* With credentials of its own for the north it may log in; without, nobody knows. */
static void settle_state(const struct import_to *to, const char *name, bool has_new_credentials,
			 struct changes *out)
{
	const struct fleet_device *d = fleet_find(to->fleet, name);

	if (!fleet_has_credentials(d, NORTH)) {
		if (d->state == FLEET_READY)
			fleet_set_state(to->fleet, name, FLEET_KNOWN, NULL, out);
	} else if (has_new_credentials || d->state == FLEET_KNOWN) {
		fleet_set_state(to->fleet, name, FLEET_READY, NULL, out);
	}
}

enum import_end import_row(const struct import_to *to, const struct fleet_file_row *row,
			   bool is_dry, struct buf *what, struct changes *out)
{
	const struct fleet_device *d = fleet_find(to->fleet, row->name);
	bool is_new = !d, has_credentials = false, has_change = false;

	if (is_fixed_otherwise(to, row, d))
		return IMPORT_FIXED;
	if (!is_dry)
		fleet_name(to->fleet, row->name, to->origin, out);
	for (size_t i = 0; i < row->n; i++) {
		const struct fleet_cell *cell = &row->cells[i];

		if (!changes_it(to, row, cell))
			continue;
		buf_printf(what, "%s%s", has_change ? "," : "", cell->column);
		has_change = true;
		has_credentials =
			has_credentials || (cell->is_secret && side_of(cell->column) == NORTH);
		if (!is_dry)
			apply(to, row, cell, out);
	}
	if (!is_dry)
		settle_state(to, row->name, has_credentials, out);
	return is_new ? IMPORT_ADDED : has_change ? IMPORT_CHANGED : IMPORT_SAME;
}

static void fix_mode(const struct import_to *to, const struct fleet_file_row *row)
{
	const struct fleet_cell *mode = find_cell(row, "mode");
	char *place;

	if (!mode || !mode->value)
		return;
	place = mem_printf("%s:%u", to->file, row->line);
	fleet_fix_mode(to->fleet, row->name, place, mode_said(mode));
	free(place);
}

void import_fix(const struct import_to *to, const struct fleet_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (import_is_for(to, &f->rows[i]) && fleet_find(to->fleet, f->rows[i].name))
			fix_mode(to, &f->rows[i]);
}

void import_list(const struct import_to *to, const struct fleet_file *f, struct changes *out)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct fleet_file_row *row = &f->rows[i];
		struct buf what = { 0 };

		if (!import_is_for(to, row))
			continue;
		import_row(to, row, false, &what, out);
		buf_fini(&what);
		fleet_list(to->fleet, row->name);
		fix_mode(to, row);
	}
}
