/* cases.h -- case files: mappings' tests as data (mappings/README.md, "Case files"). */
#ifndef BRIDGE_CASES_H
#define BRIDGE_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "message/kind.h"

struct build;
struct conf_link;

struct case_counts {
	size_t passed, failed;
	bool accepts;		  /* what differs is written into the file, as its expectation */
	size_t accepted;	  /* cases where something was; they have passed */
	const char *shown, *word; /* in place of the file's name and of "FAIL"; NULL: these */
	bool is_quiet;		  /* nothing is said of what was accepted */
	/* Steps that failed, by the kind that came out; KIND_NONE: nothing did. */
	size_t differs[KINDS + 1];
	struct report hints; /* what the mappings were warned of, each once */
};

/* Run all cases of a file, each over a link of its own between the dialects that it names; `link` (else NULL): over
 * such a link as is configured, whose dialects need not be named.  What failed is printed on stdout, key by key of
 * what was expected.  (With `accepts`, what was accepted.)  A file that cannot be read or is no array of cases counts
 * as one failure.  Caller ends `counts->hints` with report_fini(). */
void cases_run_file(struct build *b, const char *file, const struct conf_link *link,
		    struct case_counts *counts);

#endif
