/* cases.h -- case files: mappings' tests as data (mappings/README.md, "Case files"). */
#ifndef BRIDGE_CASES_H
#define BRIDGE_CASES_H

#include <stddef.h>

#include "base/err.h"

struct loader;

struct case_counts {
	size_t passed, failed;
	struct report hints; /* what the mappings were warned of, each once */
};

/* Run all cases of a file; what failed is printed on stdout as a diff of expected and got.  A file
 * that cannot be read or is no array of cases counts as one failure.  Caller ends `counts->hints` with
 * report_fini(). */
void cases_run_file(struct loader *l, const char *file, struct case_counts *counts);

#endif
