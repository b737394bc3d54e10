/* mistake.h -- the lines of a report about mapping files, with their places: what an editor needs. */
#ifndef BRIDGE_MISTAKE_H
#define BRIDGE_MISTAKE_H

#include <stdbool.h>
#include <stddef.h>

struct mistake {
	char *file; /* the name of the mapping; NULL: none is named */
	/* Where it is, from 1; 0: not known.  The report names lines, or rows of the table; which word of a line is
	 * meant is told by what it says of it. */
	unsigned line, column;
	char *text; /* without its place */
};

/* Take apart "DIR/NAME.jq:LINE: TEXT" or "DIR/NAME.jq: TEXT".  The place within the line is found in `source`, once it
 * is given to mistake_find().  Caller ends it with mistake_fini(). */
void mistake_read(struct mistake *m, const char *line);
/* Find the place in the file's text. */
void mistake_find(struct mistake *m, const char *source, size_t n);
void mistake_fini(struct mistake *m);

#endif
