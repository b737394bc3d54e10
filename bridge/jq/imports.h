/* imports.h -- the source files of a mapping: its own and, following `import` and `include`, all that
 * jq would load with it.
 *
 * Each is read once, checked by jq_lint, and asked for its metadata, which only jq can parse: that is
 * a callback.  Refused: `search` keys, data imports, modules outside the mapping path, circles. */
#ifndef BRIDGE_IMPORTS_H
#define BRIDGE_IMPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"

struct mapping_path;
struct report;
struct scrub;
struct imports;

#define IMPORTS_MAX_BYTES (1u << 20) /* of one file */

/* The metadata of the module `file` ("/absolute/name.jq", shown to people as `shown`) with jq's "deps"
 * in it, as JSON text; caller frees.  NULL: it cannot be parsed, which was reported. */
typedef char *imports_metadata(void *ctx, const char *file, const char *shown);

/* `scrub` learns the words of all files.  All are borrowed until imports_free(). */
struct imports *imports_new(const struct mapping_path *p, struct scrub *scrub,
			    imports_metadata *metadata, void *ctx, struct report *report);
void imports_free(struct imports *s);

/* Read `file`, as mapping_path_find() gave it, and all it imports.  Every mistake is reported.  Returns
 * the file's metadata, or NULL; caller frees. */
char *imports_read(struct imports *s, const char *file);
/* The kinds that functions of these files may give beside those of their rows (jq_kinds.h). */
uint64_t imports_kinds(const struct imports *s);
/* Could all files be parsed and all imports be found?  If not, there is no use in compiling. */
bool imports_are_whole(const struct imports *s);
/* The directories that exist, absolute and without links. */
size_t imports_dirs(const struct imports *s, char *const **dirs);
/* The files as they were read.  Caller ends them with imports_files_fini(). */
struct imports_files {
	struct imports_file {
		char *real;  /* NULL: it was read in another process */
		char *shown; /* as people know it: links are in it, that may point elsewhere later */
		uint8_t sum[CRYPTO_HASH_BYTES];
	} * items;
	size_t n;
};
void imports_files(const struct imports *s, struct imports_files *out);
bool imports_files_are_same(const struct imports_files *f); /* and nobody changed them since? */
void imports_files_fini(struct imports_files *f);
/* What people know the file at this real path as; borrowed. */
const char *imports_shown(const struct imports *s, const char *real);

/* The directory part of a path; caller frees. */
char *imports_dirname(const char *path);

#endif
