/* jq_lint.h -- what may not stand in the source of a mapping, found by its words alone.
 *
 * A translation is a function of its input, so whatever reads the clock, the environment or another
 * input, writes, or stops the program is refused by name, wherever it stands as code: comments, text
 * of strings, .fields, $variables, @formats and object keys are no code, the \( ) in a string is.  A
 * `def` of such a name is refused too.  Which modules a file imports is asked of jq, not of this
 * module; it only tells their lines.  What is allowed and risky is left to jq_hazard.h. */
#ifndef BRIDGE_JQ_LINT_H
#define BRIDGE_JQ_LINT_H

#include <stdbool.h>
#include <stddef.h>

struct report;

/* The lines of the `import` and `include` statements, in order. */
struct jq_lint_imports {
	unsigned *lines;
	size_t n;
};

/* Check `len` bytes of jq source (borrowed).  Each mistake goes into the report as
 * "FILE:LINE: text"; true if there was none.  Hazards go there as hints.  `imports` (may be NULL) is overwritten,
 * caller ends it with jq_lint_imports_fini(). */
bool jq_lint_check(const char *file, const char *source, size_t len,
		   struct jq_lint_imports *imports, struct report *report);
void jq_lint_imports_fini(struct jq_lint_imports *imports);

#endif
