/* sources.h -- the source files of a mapping: its own and, following `import` and `include`, all that
 * jq would load with it.
 *
 * Each is read once, checked by jqlint, and asked for its metadata, which only jq can parse: that is
 * a callback.  Refused: `search` keys, data imports, modules outside the mapping path, circles. */
#ifndef BRIDGE_SOURCES_H
#define BRIDGE_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

struct mapping_path;
struct report;
struct scrub;
struct sources;

#define SOURCES_MAX_BYTES (1u << 20) /* of one file */

/* The metadata of the module `file` ("/absolute/name.jq", shown to people as `shown`) with jq's "deps"
 * in it, as JSON text; caller frees.  NULL: it cannot be parsed, which was reported. */
typedef char *sources_metadata(void *ctx, const char *file, const char *shown);

/* `scrub` learns the words of all files.  All are borrowed until sources_free(). */
struct sources *sources_new(const struct mapping_path *p, struct scrub *scrub,
			    sources_metadata *metadata, void *ctx, struct report *report);
void sources_free(struct sources *s);

/* Read `file`, as mapping_path_find() gave it, and all it imports.  Every mistake is reported.  Returns
 * the file's metadata, or NULL; caller frees. */
char *sources_read(struct sources *s, const char *file);
/* Could all files be parsed and all imports be found?  If not, there is no use in compiling. */
bool sources_are_whole(const struct sources *s);
/* The directories that exist, absolute and without links. */
size_t sources_dirs(const struct sources *s, char *const **dirs);
/* What people know the file at this real path as; borrowed. */
const char *sources_shown(const struct sources *s, const char *real);

/* The directory part of a path; caller frees. */
char *sources_dirname(const char *path);

#endif
