#include "conf/device_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/environment.h"
#include "conf/secret.h"
#include "fleet/fleet_file.h"

#define MAX_FILE (64u << 20)

static char *from_file(const char *list, const char *name, struct err *e)
{
	const char *slash = strrchr(list, '/');
	char *path, *secret;

	if (*name == '/' || !slash)
		return secret_read(name, e);
	path = mem_printf("%.*s/%s", (int)(slash - list), list, name);
	secret = secret_read(path, e);
	free(path);
	return secret;
}

static char *from_credential(const char *name, struct err *e)
{
	char *path = secret_credential_path(name, e);
	char *secret = path ? secret_read(path, e) : NULL;

	free(path);
	return secret;
}

static char *resolve(void *ctx, const char *text, bool *is_secret, struct err *e)
{
	const char *value;

	*is_secret = true;
	if (strncmp(text, "file:", 5) == 0)
		return from_file(ctx, text + 5, e);
	if (strncmp(text, "cred:", 5) == 0)
		return from_credential(text + 5, e);
	if (strncmp(text, "env:", 4) != 0) {
		*is_secret = false;
		return mem_strdup(text);
	}
	value = environment_get(text + 4);
	if (!value)
		err_set(e, ERR_NOT_FOUND, "the environment has no %s", text + 4);
	return mem_strdup(value);
}

static bool is_private(const char *path, const struct fleet_file *f, struct report *report)
{
	struct stat st;

	if (!f->has_secrets || strcmp(path, "-") == 0 || stat(path, &st) != 0 ||
	    (st.st_mode & (S_IRWXG | S_IRWXO)) == 0)
		return true;
	report_error(report, "%s: has credentials in it and is open to others (chmod 600 %s)", path,
		     path);
	return false;
}

/* What it points to may not be there in this environment. */
static char *resolve_if_there(void *ctx, const char *text, bool *is_secret, struct err *e)
{
	struct err lack = { 0 };
	char *value = resolve(ctx, text, is_secret, &lack);

	(void)e;
	return value ? value : mem_strdup(text);
}

static bool read_file(const char *path, fleet_resolve *resolves, struct fleet_file *f,
		      struct report *report)
{
	const char *from = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
	struct buf text = { 0 };
	struct err e = { 0 };
	bool ok = buf_append_file(&text, from, MAX_FILE, &e);

	*f = (struct fleet_file){ 0 };
	if (!ok)
		report_error(report, "%s: %s", path, e.text);
	ok = ok &&
	     fleet_file_read(f, path, buf_str(&text), text.len, resolves, (void *)path, report);
	mem_free_secret(text.data, text.len);
	return ok;
}

bool device_file_read(const char *path, struct fleet_file *f, struct report *report)
{
	return read_file(path, resolve, f, report) && is_private(path, f, report);
}

bool device_file_read_modes(const char *path, struct fleet_file *f, struct report *report)
{
	return read_file(path, resolve_if_there, f, report);
}
