/* cases.h -- case files: mappings' tests as data (design, section 2). */
#ifndef BRIDGE_CASES_H
#define BRIDGE_CASES_H

#include <stddef.h>

struct err;
struct loader;

struct case_counts {
	size_t passed, failed;
};

/* Run all cases of a file; what failed is printed on stdout as a diff of expected and got.  A file
 * that cannot be read or is no array of cases counts as one failure. */
void cases_run_file(struct loader *l, const char *file, struct case_counts *counts);

#endif
