/* mapping_symbols.h -- the functions that the metadata of a mapping names, and their numbers in its program.
 *
 * Taken from the metadata as it is, so that missing functions can be told even where the table has
 * other mistakes.  Places that name the same function share its number. */
#ifndef BRIDGE_MAPPING_SYMBOLS_H
#define BRIDGE_MAPPING_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

struct report;

struct mapping_symbols {
	struct function {
		char *name;
		bool is_missing; /* the file was found not to have it */
	} * items;		 /* by number */
	size_t n;
	struct function_use {
		char *place; /* "messages[3].read" */
		int number;
	} * uses;
	size_t n_uses;
};

/* Find all that `metadata` (of a dialect or a through file) names; names that are none are left to
 * the checks of the table. */
void mapping_symbols_collect(struct mapping_symbols *f, json_object *metadata);
void mapping_symbols_fini(struct mapping_symbols *f);
int mapping_symbols_number(const struct mapping_symbols *f,
			   const char *name); /* -1: none; name may be NULL */

/* Note, and report for each place that names it, that FILE has no such function.  False if no place
 * does. */
bool mapping_symbols_report_missing(struct mapping_symbols *f, const char *file, const char *name,
				    struct report *report);

#endif
