#include "cli/table.h"

#include <stdlib.h>

#include "base/mem.h"

void table_add(struct table *t, char *cell)
{
	t->cells = mem_grow(t->cells, t->n_cells, sizeof *t->cells);
	t->cells[t->n_cells++] = cell;
}

/* Characters of UTF-8 text. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

void table_print(const struct table *t, FILE *f)
{
	int *widths = mem_zalloc(t->n_columns * sizeof *widths);

	for (size_t i = 0; i < t->n_cells; i++) {
		int *most = &widths[i % t->n_columns], n = width(t->cells[i]);

		*most = n > *most ? n : *most;
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t column = i % t->n_columns;

		if (column + 1 == t->n_columns)
			fprintf(f, "%s\n", t->cells[i]);
		else
			fprintf(f, "%s%*s", t->cells[i], widths[column] - width(t->cells[i]) + 2,
				"");
	}
	free(widths);
}

void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ 0 };
}
