#include "conf/conf_value.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guess.h"
#include "base/mem.h"
#include "conf/conf_environment.h"
#include "conf/environment.h"
#include "conf/secret.h"
#include "message/vars.h"

/* ---- Mistakes and their place ---- */

/* Is this an element of a list at the top level?  Keys inside are named from there. */
static bool is_top_element(const config_setting_t *s)
{
	const config_setting_t *up = config_setting_parent(s);

	return up && config_setting_is_list(up) && config_setting_parent(up) &&
	       config_setting_is_root(config_setting_parent(up));
}

static void put_key(const config_setting_t *s, struct buf *out)
{
	if (config_setting_is_root(s) || is_top_element(s))
		return;
	put_key(config_setting_parent(s), out);
	if (config_setting_name(s))
		buf_printf(out, "%s%s", out->len ? "." : "", config_setting_name(s));
	else
		buf_printf(out, "[%d]", config_setting_index(s));
}

char *conf_value_path(const struct conf_reader *r, const char *path)
{
	if (path[0] == '/' || strcmp(r->dir, ".") == 0)
		return mem_strdup(path);
	return mem_printf("%s%s%s", r->dir, strcmp(r->dir, "/") == 0 ? "" : "/", path);
}

/* libconfig 1.5 names included files as they were written, later versions as they were opened. */
char *conf_value_file_named(const struct conf_reader *r, const char *name)
{
	char *joined;

	if (!name || strcmp(name, r->path) == 0)
		return mem_strdup(r->path);
	joined = conf_value_path(r, name);
	if (access(joined, F_OK) != 0) {
		free(joined);
		joined = mem_strdup(name);
	}
	return joined;
}

char *conf_value_file(const struct conf_reader *r, const config_setting_t *s)
{
	return conf_value_file_named(r, config_setting_source_file(s));
}

/* "plant.conf:7: south.tls.ca", or of the key `child` of a group. */
static void put_place(const struct conf_reader *r, const config_setting_t *s, const char *child,
		      struct buf *out)
{
	char *file = conf_value_file(r, s), *name;
	unsigned line = config_setting_source_line(s);
	struct buf key = { 0 };

	if (is_top_element(s) && !child && !r->is_environment)
		buf_printf(&key, "%s[%d]", config_setting_name(config_setting_parent(s)),
			   config_setting_index(s));
	put_key(s, &key);
	if (child)
		buf_printf(&key, "%s%s", key.len ? "." : "", child);
	if (r->is_environment) {
		name = conf_environment_name(buf_str(&key));
		buf_puts(out, name);
		free(name);
	} else {
		buf_printf(out, "%s:%u: %s", file, line ? line : 1, buf_str(&key));
	}
	buf_fini(&key);
	free(file);
}

/* One of report_error(), report_lack() and report_warning(). */
typedef void say_in_report(struct report *r, const char *fmt, ...);

__attribute__((format(printf, 5, 0))) static void
mistake_at(struct conf_reader *r, say_in_report *say, const config_setting_t *s, const char *child,
	   const char *fmt, va_list ap)
{
	struct buf place = { 0 }, text = { 0 };

	put_place(r, s, child, &place);
	buf_vprintf(&text, fmt, ap);
	say(r->report, "%s: %s", buf_str(&place), buf_str(&text));
	buf_fini(&place);
	buf_fini(&text);
}

void conf_value_mistake(struct conf_reader *r, const config_setting_t *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mistake_at(r, report_error, s, NULL, fmt, ap);
	va_end(ap);
}

void conf_value_lack(struct conf_reader *r, const config_setting_t *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mistake_at(r, report_lack, s, NULL, fmt, ap);
	va_end(ap);
}

void conf_value_warning(struct conf_reader *r, const config_setting_t *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mistake_at(r, report_warning, s, NULL, fmt, ap);
	va_end(ap);
}

void conf_value_mistake_in(struct conf_reader *r, const config_setting_t *group, const char *key,
			   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mistake_at(r, report_error, group, key, fmt, ap);
	va_end(ap);
}

void conf_value_wrong_type(struct conf_reader *r, const config_setting_t *s, const char *wanted)
{
	static const char *const words[] = {
		[CONFIG_TYPE_NONE] = "nothing",	    [CONFIG_TYPE_GROUP] = "a group { }",
		[CONFIG_TYPE_INT] = "a number",	    [CONFIG_TYPE_INT64] = "a number",
		[CONFIG_TYPE_FLOAT] = "a fraction", [CONFIG_TYPE_STRING] = "a string",
		[CONFIG_TYPE_BOOL] = "a boolean",   [CONFIG_TYPE_ARRAY] = "an array [ ]",
		[CONFIG_TYPE_LIST] = "a list ( )",
	};

	conf_value_mistake(r, s, "%s is wanted, not %s", wanted, words[config_setting_type(s)]);
}

void conf_value_unknown(struct conf_reader *r, const config_setting_t *s, const char *what,
			const struct guess *g)
{
	if (g->best)
		conf_value_mistake(r, s, "%s; did you mean \"%s\"?", what, g->best);
	else
		conf_value_mistake(r, s, "%s", what);
}

/* ---- Numbers ---- */

/* The next `NAME = NUMBER` in `text`: its value (LLONG_MAX, LLONG_MIN: beyond). */
static const char *next_number(const char *text, const char *name, long long *value,
			       bool *has_leading_zero)
{
	size_t len = strlen(name);
	const char *p = text;

	while ((p = strstr(p, name))) {
		bool is_word =
			p == text || !(isalnum((unsigned char)p[-1]) || strchr("_-*", p[-1]));
		const char *digits;
		char *end;

		p += len;
		p += strspn(p, " \t\r\n");
		if (!is_word || (*p != '=' && *p != ':'))
			continue;
		p += 1 + strspn(p + 1, " \t\r\n");
		digits = p + (*p == '-' || *p == '+');
		*has_leading_zero = digits[0] == '0' && isdigit((unsigned char)digits[1]);
		*value = strtoll(p, &end, strncasecmp(digits, "0x", 2) == 0 ? 16 : 10);
		if (end != p)
			return end;
	}
	return NULL;
}

/* The lines around a setting (a value may stand on the line after its name). */
static void lines_around(const struct conf_reader *r, const config_setting_t *s, struct buf *out)
{
	char *file = conf_value_file(r, s), *line = NULL;
	unsigned at = config_setting_source_line(s);
	FILE *f = fopen(file, "re");
	size_t cap = 0;
	ssize_t n;

	for (unsigned i = 1; f && i <= at + 1 && (n = getline(&line, &cap, f)) >= 0; i++)
		if (i + 1 >= at)
			buf_append(out, line, (size_t)n);
	if (f)
		fclose(f);
	mem_free_secret(line, cap);
	free(file);
}

/* An integer as it is written.  libconfig 1.5 cuts plain ones to 32 bits without a word (and 1.7
 * reads 010 as octal), so the text is looked at again; it can go with libconfig >= 1.6. */
bool conf_value_integer(struct conf_reader *r, const config_setting_t *s, int64_t *out)
{
	long long seen = config_setting_get_int64(s), value = seen, v;
	bool is_exact = config_setting_type(s) == CONFIG_TYPE_INT64, zero = false, is_octal = false;
	struct buf text = { 0 };

	if (!is_exact)
		lines_around(r, s, &text);
	for (const char *p = buf_str(&text);
	     !is_exact && (p = next_number(p, config_setting_name(s), &v, &zero));) {
		is_exact = v == seen && !zero;
		is_octal |= zero;
		if ((int)v == (int)seen)
			value = v;
	}
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_fini(&text);
	*out = is_exact ? seen : value;
	if (!is_exact && is_octal)
		conf_value_mistake(r, s,
				   "a number starts with 0 (put it in quotes if the 0 matters)");
	else if (*out == LLONG_MAX || *out == LLONG_MIN)
		conf_value_mistake(r, s, "the number is too large");
	else
		return true;
	return false;
}

bool conf_value_is_integer(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_INT ||
	       config_setting_type(s) == CONFIG_TYPE_INT64;
}

/* ---- Texts ---- */

static const char *text_as_written(struct conf_reader *r, const config_setting_t *s)
{
	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		conf_value_wrong_type(r, s, "a string");
		return NULL;
	}
	return config_setting_get_string(s);
}

/* What the environment does not have is a mistake here: without a name, or an address, there is no link that
 * could be down. */
const char *conf_value_text(struct conf_reader *r, const config_setting_t *s)
{
	const char *text = text_as_written(r, s), *value = text;

	if (text && strncmp(text, "env:", 4) == 0) {
		value = environment_get(text + 4);
		if (!value)
			conf_value_mistake(r, s, "the environment variable %s is not set",
					   text[4] ? text + 4 : "\"\"");
	}
	return value;
}

const char *conf_value_filled_text(struct conf_reader *r, const config_setting_t *s)
{
	const char *text = conf_value_text(r, s);

	if (text && !*text) {
		conf_value_mistake(r, s, "must not be empty");
		return NULL;
	}
	return text;
}

char *conf_value_name(struct conf_reader *r, const config_setting_t *s)
{
	static const char fit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *text = conf_value_filled_text(r, s);

	if (!text)
		return NULL;
	if (strlen(text) > CONF_NAME_MAX)
		conf_value_mistake(r, s, "a name has %d characters at most", CONF_NAME_MAX);
	else if (text[strspn(text, fit)])
		conf_value_mistake(r, s, "a name is made of letters, digits, '.', '_' and '-'");
	else
		return mem_strdup(text);
	return NULL;
}

/* ---- Secrets ---- */

/* `scheme`: "file:" or "cred:", as it is written. */
static char *secret_from_file(const char *scheme, const char *path, struct err *e)
{
	char *value = secret_read(path, e);

	if (!value) {
		char *why = mem_strdup(e->text);

		err_set(e, e->code, "%s%s", scheme, why);
		free(why);
	}
	return value;
}

static char *secret_from_env(const char *name, struct err *e)
{
	const char *value = environment_get(name);

	if (!value)
		err_set(e, ERR_NOT_FOUND, "the environment variable %s is not set",
			*name ? name : "\"\"");
	return mem_strdup(value);
}

/* Note where it comes from, if it can be read again or is not there yet. */
static void note_secret(struct conf_reader *r, const config_setting_t *s, const char *path,
			const char *wrong, const struct conf_target *to)
{
	struct buf place = { 0 };
	struct secret *secret;

	if (!r->secrets)
		return;
	put_place(r, s, NULL, &place);
	secret = secrets_add(r->secrets, buf_str(&place), path, wrong);
	secret->field = to->field;
	secret->variable = mem_strdup(to->variable);
	buf_fini(&place);
}

/* It is written down here: may everyone read it? */
static void note_open(struct conf_reader *r, const config_setting_t *s,
		      const struct conf_target *to)
{
	char *file = conf_value_file(r, s);
	struct buf place = { 0 };
	struct stat st;

	if (r->secrets && (to->variable || to->is_secret) && stat(file, &st) == 0 &&
	    (st.st_mode & S_IROTH)) {
		put_place(r, s, NULL, &place);
		secrets_add_open(r->secrets, buf_str(&place), file, to->variable);
	}
	buf_fini(&place);
	free(file);
}

char *conf_value_resolve(struct conf_reader *r, const config_setting_t *s,
			 const struct conf_target *to, bool *is_secret)
{
	const char *text = text_as_written(r, s);
	struct err e = { 0 };
	char *path = NULL, *value;

	*is_secret = false;
	if (!text)
		return NULL;
	if (strncmp(text, "env:", 4) == 0) {
		value = secret_from_env(text + 4, &e);
	} else if (strncmp(text, "file:", 5) == 0) {
		path = conf_value_path(r, text + 5);
		value = secret_from_file("file:", path, &e);
	} else if (strncmp(text, "cred:", 5) == 0) {
		path = secret_credential_path(text + 5, &e);
		value = path ? secret_from_file("cred:", path, &e) : NULL;
	} else {
		if (*text)
			note_open(r, s, to);
		return mem_strdup(text);
	}
	*is_secret = true;
	if (!value)
		conf_value_lack(r, s, "%s", e.text);
	else if (!*value)
		conf_value_warning(r, s, "%s is empty", text);
	if (path || !value)
		note_secret(r, s, path, value ? NULL : e.text, to);
	free(path);
	return value;
}

void conf_value_free_secret(char *text)
{
	if (text)
		mem_free_secret(text, strlen(text));
}

char *conf_value_dir(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(".");
	return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static void tell_unreadable(struct conf_reader *r, const config_t *config)
{
	char *file;
	int fd;

	if (config_error_type(config) != CONFIG_ERR_FILE_IO) {
		file = conf_value_file_named(r, config_error_file(config));
		report_error(r->report, "%s:%d: %s", file, config_error_line(config),
			     config_error_text(config));
		free(file);
		return;
	}
	fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* libconfig does not say why */
	report_error(r->report, "%s: %s", r->path, fd < 0 ? strerror(errno) : "is no file");
	if (fd >= 0)
		close(fd);
}

bool conf_value_read(struct conf_reader *r, config_t *config)
{
	if (strcmp(r->dir, ".") != 0)
		config_set_include_dir(config, r->dir);
	if (config_read_file(config, r->path))
		return true;
	tell_unreadable(r, config);
	return false;
}

static void note_files(const struct conf_reader *r, const config_setting_t *s, const char **last,
		       struct vars *files)
{
	const char *name = config_setting_source_file(s);
	char *file;

	/* Those of one file mostly follow each other. */
	if (name && name != *last) {
		file = conf_value_file_named(r, name);
		vars_set(files, file, "", false);
		free(file);
		*last = name;
	}
	for (int i = 0; config_setting_is_aggregate(s) && i < config_setting_length(s); i++)
		note_files(r, config_setting_get_elem(s, (unsigned)i), last, files);
}

void conf_value_note_files(const struct conf_reader *r, const config_setting_t *root,
			   struct vars *files)
{
	const char *last = NULL;

	if (r->is_environment)
		return;
	vars_set(files, r->path, "", false); /* of its own it may have nothing but @include */
	note_files(r, root, &last, files);
}
