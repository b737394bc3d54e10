/* csv.h -- comma separated values (RFC 4180), cell by cell.
 *
 * Written here, as libcsv (no release since 2013) does not say on which line a row began that has line ends in its
 * cells, which is what people need to find it.  A line end is CR LF or LF, a byte order mark in front is passed. */
#ifndef BRIDGE_CSV_H
#define BRIDGE_CSV_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;

struct csv {
	const char *at, *end;
	unsigned line; /* of what comes next, from 1 */
};

/* How many bytes a byte order mark takes in front; 0: there is none.  For texts that are no CSV after all. */
size_t csv_passed_mark(const char *text, size_t n);
void csv_init(struct csv *c, const char *text, size_t n); /* `text` is borrowed */
/* Is there another row?  Empty lines are passed. */
bool csv_has_row(struct csv *c);
/* Replace `cell` by the next one of the row; *is_last: the row ends with it.  False sets *e (ERR_INVALID, without what
 * stands there): quotes that do not end, or with something behind; *c is at the next line then. */
bool csv_cell(struct csv *c, struct buf *cell, bool *is_last, struct err *e);

/* Append a cell, with quotes where they are needed. */
void csv_put(struct buf *out, const char *text);

#endif
