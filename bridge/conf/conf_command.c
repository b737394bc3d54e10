#include "conf/conf_command.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libconfig.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf_value.h"

static bool is_ours(const char *path, const struct stat *st, struct err *e)
{
	bool is_shared = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);

	if (st->st_uid != 0 && st->st_uid != geteuid())
		err_set(e, ERR_INVALID, "%s belongs to neither root nor the user of calque", path);
	else if ((st->st_mode & (S_IWGRP | S_IWOTH)) && !is_shared)
		err_set(e, ERR_INVALID, "%s may be written to by others (chmod go-w %s)", path,
			path);
	else
		return true;
	return false;
}

/* The folders above it, `path` is cut off for that. */
static bool check_above(char *path, struct err *e)
{
	struct stat st;
	char *slash;

	while ((slash = strrchr(path, '/')) != NULL && path[1]) {
		slash[slash == path] = '\0';
		if (stat(path, &st) != 0) {
			err_errno(e, "%s", path);
			return false;
		}
		if (!is_ours(path, &st, e))
			return false;
	}
	return true;
}

bool conf_command_check(const char *path, struct err *e)
{
	char *named = mem_strdup(path), *real = realpath(path, NULL);
	bool ok = false;
	struct stat st;

	if (!real || stat(real, &st) != 0)
		err_errno(e, "%s", path);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_INVALID, "%s is no file", path);
	else if (access(real, X_OK) != 0)
		err_errno(e, "%s cannot be executed", path);
	else
		ok = is_ours(real, &st, e) && check_above(real, e) && check_above(named, e);
	free(real);
	free(named);
	return ok;
}

bool conf_command_read(struct conf_reader *r, void *command, const config_setting_t *s)
{
	struct conf_command *c = command;
	int n = config_setting_length(s);
	struct err e = { 0 };

	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		return false;
	conf_command_fini(c);
	c->argv = mem_zalloc(((size_t)n + 1) * sizeof *c->argv);
	for (int i = 0; i < n; i++) {
		const char *text = conf_value_text(r, config_setting_get_elem(s, (unsigned)i));

		if (!text)
			break;
		c->argv[i] = mem_strdup(text);
	}
	if (n == 0 || (c->argv[0] && *c->argv[0] != '/'))
		conf_value_mistake(r, s, "begins with the absolute path of a program");
	else if (c->argv[0] && !conf_command_check(c->argv[0], &e))
		conf_value_lack(r, s, "%s", e.text);
	return true;
}

void conf_command_put(const void *command, struct buf *out)
{
	const struct conf_command *c = command;

	for (char *const *a = c->argv; a && *a; a++)
		buf_printf(out, "%zu:%s", strlen(*a), *a);
}

void conf_command_fini(struct conf_command *c)
{
	for (char **a = c->argv; a && *a; a++)
		free(*a);
	free(c->argv);
	c->argv = NULL;
}
