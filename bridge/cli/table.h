/* table.h -- rows of text under each other, for people. */
#ifndef BRIDGE_TABLE_H
#define BRIDGE_TABLE_H

#include <stddef.h>
#include <stdio.h>

/* Zero it and set the number of columns. */
struct table {
	size_t n_columns;
	char **cells; /* row by row */
	size_t n_cells;
};

void table_add(struct table *t, char *cell); /* the next cell; taken */
/* Columns as wide as need be, two blanks between. */
void table_print(const struct table *t, FILE *f);
void table_fini(struct table *t);

#endif
