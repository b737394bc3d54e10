/* setting.h -- values out of a libconfig file, and mistakes in it as "FILE:LINE: KEY: text".
 *
 * KEY is the dotted path of the setting; inside an element of a list at the top level (say, a link) it
 * is named from that element.  A function that finds a mistake reports it and returns nothing
 * (NULL, false); the caller carries on, so that one run shows them all.  Values of secrets are never
 * part of a text. */
#ifndef BRIDGE_SETTING_H
#define BRIDGE_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <libconfig.h>

struct guess;
struct report;

#define SETTING_NAME_MAX 64

/* One reading of one file. */
struct setting_load {
	const char *path;
	char *dir; /* of the file; relative paths start there */
	struct report *report;
};

void setting_mistake(struct setting_load *ld, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void setting_warning(struct setting_load *ld, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* About the key `key` that is not there, at the line of its group. */
void setting_mistake_in(struct setting_load *ld, const config_setting_t *group, const char *key,
			const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void setting_wrong_type(struct setting_load *ld, const config_setting_t *s, const char *wanted);

/* The mistake `what`, with the guess behind if there is one. */
void setting_unknown(struct setting_load *ld, const config_setting_t *s, const char *what,
		     const struct guess *g);

/* `path` as seen from the file's directory.  Caller frees. */
char *setting_path(const struct setting_load *ld, const char *path);
/* The file that `s` stands in, which may be an included one.  Caller frees. */
char *setting_file(const struct setting_load *ld, const config_setting_t *s);
/* The same for a name that libconfig gave. */
char *setting_file_named(const struct setting_load *ld, const char *name);
/* Is the file, whose status is `st`, closed to others?  `prefix` stands before its path. */
bool setting_is_private(struct setting_load *ld, const config_setting_t *s, const char *prefix,
			const char *path, const struct stat *st);

bool setting_is_integer(const config_setting_t *s);
/* The integer of `s`, as it is written in the file. */
bool setting_integer(struct setting_load *ld, const config_setting_t *s, int64_t *out);
/* The string of `s`, borrowed; the second one refuses an empty one. */
const char *setting_text(struct setting_load *ld, const config_setting_t *s);
const char *setting_filled_text(struct setting_load *ld, const config_setting_t *s);
/* The string of `s` if it is fit for a file name and a client id: [A-Za-z0-9._-]{1,64}.  Caller
 * frees. */
char *setting_name(struct setting_load *ld, const config_setting_t *s);
/* The string of `s`; of "env:NAME" the variable's value, of "file:PATH" the file's content less one
 * newline at its end, and then *is_secret is true.  Caller ends it with setting_free_secret(). */
char *setting_resolve(struct setting_load *ld, const config_setting_t *s, bool *is_secret);
void setting_free_secret(char *text); /* NULL is allowed */

#endif
