/* mapping_path.h -- where mapping files are looked for. */
#ifndef BRIDGE_MAPPING_PATH_H
#define BRIDGE_MAPPING_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct report;
struct vars;

/* The first directory that has the file wins. */
struct mapping_path {
	char **dirs;
	size_t n;
};

void mapping_path_add(struct mapping_path *p, const char *dir);
void mapping_path_fini(struct mapping_path *p);
/* The file of the mapping called `name` ("factory" -> "/etc/calque/mappings/factory.jq"); caller
 * frees.  NULL: no directory has it. */
char *mapping_path_find(const struct mapping_path *p, const char *name);
/* The names of all mappings there are, added to `names` (their values are empty). */
void mapping_path_list(const struct mapping_path *p, struct vars *names);
/* That `name` has no file, and what to do; caller frees. */
char *mapping_path_miss(const struct mapping_path *p, const char *name);
void mapping_path_report_missing(const struct mapping_path *p, const char *name,
				 struct report *report);

#endif
