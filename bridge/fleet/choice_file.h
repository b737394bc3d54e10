/* choice_file.h -- a list of names of devices: one on each line ("#": a remark), or CSV with a column "name" and maybe
 * "link", of which the other columns are passed over, as an export is. */
#ifndef BRIDGE_CHOICE_FILE_H
#define BRIDGE_CHOICE_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct choice;
struct report;

/* Add them to the list of `c`, which has one then, be it empty.  Mistakes are in the report, as "FILE:LINE: text". */
void choice_file_read(struct choice *c, const char *file, const char *text, size_t n,
		      struct report *report);
/* The same of the file at `path` ("-": what comes on stdin). */
void choice_file_load(struct choice *c, const char *path, struct report *report);

#endif
