#include "jq/mapping_path.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static char *dirs_of(const struct mapping_path *p)
{
	if (!p->n)
		return mem_strdup("the mapping path, which is empty");
	return mem_printf("%s%s", p->dirs[0], p->n > 1 ? " and the other directories" : "");
}

char *mapping_path_miss(const struct mapping_path *p, const char *name)
{
	struct guess g = { .wrong = name };
	struct vars names = { 0 };
	char *here, *dirs, *said;

	if (!is_mapping_name(name))
		return mem_printf(
			"there is no mapping \"%s\", and none can be called so: a name has "
			"letters, digits and - _ . in it",
			name);
	mapping_path_list(p, &names);
	for (size_t i = 0; i < names.n; i++)
		guess_try(&g, names.items[i].name);
	here = mem_printf("%s.jq", name);
	dirs = dirs_of(p);
	if (access(here, R_OK) == 0)
		said = mem_printf("there is no mapping \"%s\" in %s; %s in this directory is found "
				  "with --mappings ., "
				  "or by `mappings` of a configuration",
				  name, dirs, here);
	else if (g.best)
		said = mem_printf("there is no mapping \"%s\"; did you mean \"%s\"?", name, g.best);
	else
		said = mem_printf("there is no mapping \"%s\" (%s in %s); `calque new %s` writes "
				  "one to begin "
				  "with",
				  name, here, dirs, name);
	free(here);
	free(dirs);
	vars_fini(&names);
	return said;
}

void mapping_path_report_missing(const struct mapping_path *p, const char *name,
				 struct report *report)
{
	char *said = mapping_path_miss(p, name);

	report_error(report, "%s", said);
	free(said);
}
