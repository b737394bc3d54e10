#include "jq/mapping_path.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guess.h"
#include "base/mem.h"
#include "message/vars.h"

void mapping_path_add(struct mapping_path *p, const char *dir)
{
	p->dirs = mem_grow(p->dirs, p->n, sizeof *p->dirs);
	p->dirs[p->n++] = mem_strdup(dir);
}

void mapping_path_fini(struct mapping_path *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->dirs[i]);
	free(p->dirs);
	*p = (struct mapping_path){ 0 };
}

/* Letters, digits, - _ and inside also dots: no path. */
static bool is_mapping_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";

	return *name && *name != '.' && !strstr(name, "..") && name[strspn(name, letters)] == '\0';
}

char *mapping_path_find(const struct mapping_path *p, const char *name)
{
	for (size_t i = 0; is_mapping_name(name) && i < p->n; i++) {
		char *file = mem_printf("%s/%s.jq", p->dirs[i], name);
		struct stat st;

		if (stat(file, &st) == 0 && !S_ISDIR(st.st_mode))
			return file;
		free(file);
	}
	return NULL;
}

static void note_names(const char *dir, struct vars *names)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		size_t len = strlen(entry->d_name);
		char *name;

		if (len <= 3 || strcmp(entry->d_name + len - 3, ".jq") != 0)
			continue;
		name = mem_strndup(entry->d_name, len - 3);
		vars_set(names, name, "", false);
		free(name);
	}
	if (d)
		closedir(d);
}

void mapping_path_list(const struct mapping_path *p, struct vars *names)
{
	for (size_t i = 0; i < p->n; i++)
		note_names(p->dirs[i], names);
}

void mapping_path_guess(const struct mapping_path *p, struct guess *g, struct vars *names)
{
	mapping_path_list(p, names);
	for (size_t i = 0; i < names->n; i++)
		guess_try(g, names->items[i].name);
}

void mapping_path_report_missing(const struct mapping_path *p, const char *name,
				 struct report *report)
{
	struct buf dirs = { 0 };

	if (!is_mapping_name(name)) {
		report_error(report, "%s: no name of a mapping: letters, digits, - and _ only",
			     name);
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		buf_printf(&dirs, "%s%s", i ? ", " : "", p->dirs[i]);
	report_error(report, "%s.jq: not found in %s", name,
		     p->n ? buf_str(&dirs) : "the mapping path, which is empty");
	buf_fini(&dirs);
}
