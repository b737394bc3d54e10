/* imports.c -- jq finds modules by rules of its own, in places that depend on who imports; so each import
 * is looked up here by the same rules, and must come out inside the mapping path.  Files are told apart by
 * their real path.  is_open is what finds circles: a file that is reached again while it is open. */
#include "jq/imports.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "jq/jq_kinds.h"
#include "jq/jq_lint.h"
#include "jq/mapping.h"
#include "jq/scrub.h"

/* A file that is being read or was, told apart by its real path. */
struct source {
	char *real, *shown;
	uint8_t sum[CRYPTO_HASH_BYTES];
	bool is_open; /* it or what it imports is still being read */
};

struct imports {
	struct scrub *scrub;
	imports_metadata *metadata;
	void *ctx;
	struct report *report;
	char **dirs;	    /* absolute, without links */
	const char **given; /* the same as the user gave them, borrowed */
	size_t n_dirs;
	struct source *items;
	size_t n;
	uint64_t kinds;
	bool is_broken;
};

/* A file as jq looks for it, and as it is shown. */
struct found {
	char *file, *shown;
};

/* The statement that imports a module. */
struct importer {
	const char *shown; /* its file */
	unsigned line;	   /* 0: not known */
};

static char *read_source(struct imports *s, const struct found *found);

/* Paths */

char *imports_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(".");
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static void found_fini(struct found *f)
{
	free(f->file);
	free(f->shown);
}

static bool find_file(const char *base, const char *shown_base, const char *rest, struct found *out)
{
	out->file = mem_printf("%s/%s.jq", base, rest);
	if (!is_file(out->file)) {
		free(out->file);
		return false;
	}
	out->shown = mem_printf("%s/%s.jq", shown_base, rest);
	return true;
}

/* jq tries BASE/a/b.jq, BASE/a/b/jq/main.jq and BASE/a/b/b.jq. */
static bool find_in(const char *base, const char *shown_base, const char *module, struct found *out)
{
	const char *slash = strrchr(module, '/');
	char *main = mem_printf("%s/jq/main", module);
	char *twice = mem_printf("%s/%s", module, slash ? slash + 1 : module);
	bool ok = find_file(base, shown_base, module, out) ||
		  find_file(base, shown_base, main, out) || find_file(base, shown_base, twice, out);

	free(main);
	free(twice);
	return ok;
}

static bool find_on_path(const struct imports *s, const char *module, struct found *out)
{
	for (size_t i = 0; i < s->n_dirs; i++)
		if (find_in(s->dirs[i], s->given[i], module, out))
			return true;
	return false;
}

/* jq (1.6 to 1.8) looks for a module in the current directory before the path.  Is there another file
 * than this one, which it would take, unchecked? */
static bool is_shadowed(const char *module, const char *real)
{
	struct found near;
	char *near_real;
	bool is_other;

	if (!find_in(".", ".", module, &near))
		return false;
	near_real = realpath(near.file, NULL);
	is_other = !near_real || strcmp(near_real, real) != 0;
	free(near_real);
	found_fini(&near);
	return is_other;
}

/* Imports */

static void import_mistake(struct imports *s, const struct importer *by, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void import_mistake(struct imports *s, const struct importer *by, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (by->line)
		report_error(s->report, "%s:%u: %s", by->shown, by->line, buf_str(&text));
	else
		report_error(s->report, "%s: %s", by->shown, buf_str(&text));
	buf_fini(&text);
	s->is_broken = true;
}

static const struct source *find_source(const struct imports *s, const char *real)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->items[i].real, real) == 0)
			return &s->items[i];
	return NULL;
}

static bool is_module_path(const char *module)
{
	return *module && *module != '/' && !strstr(module, "..") && !strchr(module, '\\');
}

static void follow_found(struct imports *s, const struct importer *by, const char *module,
			 const struct found *found)
{
	char *real = realpath(found->file, NULL);
	const struct source *known = real ? find_source(s, real) : NULL;

	if (real && is_shadowed(module, real))
		import_mistake(s, by,
			       "module \"%s\" is also in the current directory, where jq looks "
			       "first; start calque in another directory, or rename one",
			       module);
	else if (known && known->is_open)
		import_mistake(s, by,
			       "module \"%s\" imports this one, so this one cannot import it",
			       module);
	else if (!known)
		free(read_source(s, found));
	free(real);
}

static void follow_module(struct imports *s, const struct importer *by, const char *module)
{
	struct found found;

	if (!is_module_path(module)) {
		import_mistake(s, by,
			       "module \"%s\" cannot be imported: only modules of the mapping "
			       "path can, by a relative path without \"..\"",
			       module);
	} else if (!find_on_path(s, module, &found)) {
		import_mistake(s, by, "module \"%s\" is not in the mapping path", module);
	} else {
		follow_found(s, by, module, &found);
		found_fini(&found);
	}
}

/* `dep` is {relpath, is_data, as} and the keys of the import's own metadata. */
static void follow_import(struct imports *s, const struct importer *by, json_object *dep)
{
	bool has_search = json_object_object_get_ex(dep, "search", NULL);
	json_object *module = NULL, *is_data = NULL;

	json_object_object_get_ex(dep, "relpath", &module);
	json_object_object_get_ex(dep, "is_data", &is_data);
	if (has_search)
		import_mistake(s, by,
			       "`search` is not allowed in an import: modules come from the "
			       "mapping path alone");
	if (json_object_get_boolean(is_data))
		import_mistake(s, by,
			       "data cannot be imported, only functions; write it into the "
			       "mapping");
	else if (!has_search)
		follow_module(s, by, module ? json_object_get_string(module) : "");
}

static void follow_imports(struct imports *s, const struct found *found, json_object *metadata,
			   const struct jq_lint_imports *lines)
{
	json_object *deps = NULL;
	bool seen_import = false;
	size_t n;

	if (!json_object_object_get_ex(metadata, "deps", &deps))
		return;
	n = json_object_array_length(deps);
	for (size_t i = 0; i < n; i++) {
		struct importer by = { found->shown, lines->n == n ? lines->lines[i] : 0 };
		json_object *dep = json_object_array_get_idx(deps, i);
		bool is_import = json_object_object_get_ex(dep, "as", NULL);

		if (!is_import && seen_import)
			import_mistake(s, &by,
				       "`include` must come before all `import`: jq 1.6 loses "
				       "what it includes otherwise");
		seen_import = seen_import || is_import;
		follow_import(s, &by, dep);
	}
}

/* Files */

static bool check_metadata(struct imports *s, const struct found *found, const char *text,
			   const struct jq_lint_imports *lines)
{
	struct err e = { 0 };
	json_object *metadata = jtext_tree(text, strlen(text), &e);

	if (!metadata) {
		report_error(s->report, "%s: the metadata cannot be read: %s", found->shown,
			     e.text);
		return false;
	}
	if (json_object_object_get_ex(metadata, "search", NULL))
		report_error(s->report, "%s: `search` is not allowed in the metadata of a module",
			     found->shown);
	follow_imports(s, found, metadata, lines);
	json_object_put(metadata);
	return true;
}

static void sum_of(const struct buf *text, uint8_t sum[CRYPTO_HASH_BYTES])
{
	const struct crypto_piece piece = { buf_str(text), text->len };

	crypto_hash(&piece, 1, sum);
}

static char *read_new_source(struct imports *s, const struct found *found, size_t at)
{
	struct jq_lint_imports lines = { 0 };
	struct buf text = { 0 };
	struct err e = { 0 };
	char *metadata = NULL;

	if (!buf_append_file(&text, found->file, IMPORTS_MAX_BYTES, &e)) {
		report_error(s->report, "%s: %s", found->shown, e.text);
	} else {
		sum_of(&text, s->items[at].sum);
		jq_lint_check(found->shown, buf_str(&text), text.len, &lines, s->report);
		s->kinds |= jq_kinds_named(buf_str(&text), text.len);
		scrub_learn(s->scrub, buf_str(&text), text.len);
		metadata = s->metadata(s->ctx, found->file, found->shown);
	}
	if (!metadata || !check_metadata(s, found, metadata, &lines)) {
		free(metadata);
		metadata = NULL;
		s->is_broken = true;
	}
	jq_lint_imports_fini(&lines);
	buf_fini(&text);
	return metadata;
}

/* A file that was not read before, and all it imports. */
static char *read_source(struct imports *s, const struct found *found)
{
	char *real = realpath(found->file, NULL), *metadata;
	size_t at = s->n;

	if (!real) {
		report_error(s->report, "%s: cannot be opened: %s", found->shown, strerror(errno));
		s->is_broken = true;
		return NULL;
	}
	s->items = mem_grow(s->items, s->n, sizeof *s->items);
	s->items[s->n++] =
		(struct source){ .real = real, .shown = mem_strdup(found->shown), .is_open = true };
	metadata = read_new_source(s, found, at);
	s->items[at].is_open = false;
	return metadata;
}

struct imports *imports_new(const struct mapping_path *p, struct scrub *scrub,
			    imports_metadata *metadata, void *ctx, struct report *report)
{
	struct imports *s = mem_zalloc(sizeof *s);

	s->scrub = scrub;
	s->metadata = metadata;
	s->ctx = ctx;
	s->report = report;
	s->dirs = mem_zalloc(p->n * sizeof *s->dirs);
	s->given = mem_zalloc(p->n * sizeof *s->given);
	for (size_t i = 0; i < p->n; i++) {
		char *real = realpath(p->dirs[i], NULL);

		if (!real)
			continue;
		s->dirs[s->n_dirs] = real;
		s->given[s->n_dirs++] = p->dirs[i];
	}
	return s;
}

void imports_free(struct imports *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].real);
		free(s->items[i].shown);
	}
	free(s->items);
	for (size_t i = 0; i < s->n_dirs; i++)
		free(s->dirs[i]);
	free(s->dirs);
	free(s->given);
	free(s);
}

/* jq takes a relative path from where the program stands, so it gets absolute ones.  Only the directory
 * is freed of links: jq looks for the file under its own name. */
char *imports_read(struct imports *s, const char *file)
{
	char *dir = imports_dirname(file), *real = realpath(dir, NULL), *metadata;
	struct found found = { mem_printf("%s/%s", real ? real : dir, strrchr(file, '/') + 1),
			       mem_strdup(file) };

	metadata = read_source(s, &found);
	found_fini(&found);
	free(dir);
	free(real);
	return metadata;
}

uint64_t imports_kinds(const struct imports *s)
{
	return s->kinds;
}

bool imports_are_whole(const struct imports *s)
{
	return !s->is_broken;
}

size_t imports_dirs(const struct imports *s, char *const **dirs)
{
	*dirs = s->dirs;
	return s->n_dirs;
}

void imports_files(const struct imports *s, struct imports_files *out)
{
	*out = (struct imports_files){ mem_zalloc((s->n + 1) * sizeof *out->items), s->n };
	for (size_t i = 0; i < s->n; i++) {
		out->items[i].real = mem_strdup(s->items[i].real);
		out->items[i].shown = mem_strdup(s->items[i].shown);
		memcpy(out->items[i].sum, s->items[i].sum, CRYPTO_HASH_BYTES);
	}
}

bool imports_files_are_same(const struct imports_files *f)
{
	bool ok = true;

	for (size_t i = 0; ok && i < f->n; i++) {
		uint8_t sum[CRYPTO_HASH_BYTES];
		struct buf text = { 0 };
		struct err e = { 0 };

		ok = buf_append_file(&text, f->items[i].real, IMPORTS_MAX_BYTES, &e);
		sum_of(&text, sum);
		ok = ok && memcmp(sum, f->items[i].sum, sizeof sum) == 0;
		buf_fini(&text);
	}
	return ok;
}

void imports_files_fini(struct imports_files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->items[i].real);
		free(f->items[i].shown);
	}
	free(f->items);
	*f = (struct imports_files){ 0 };
}

const char *imports_shown(const struct imports *s, const char *real)
{
	const struct source *known = find_source(s, real);

	return known ? known->shown : real;
}
