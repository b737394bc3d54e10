/* conf_value.h -- values out of a libconfig file, and mistakes in it as "FILE:LINE: KEY: text".
 *
 * KEY is the dotted path of the setting; inside an element of a list at the top level (say, a link) it
 * is named from that element.  A function that finds a mistake reports it and returns nothing
 * (NULL, false); the caller carries on, so that one run shows them all.  Values of secrets are never
 * part of a text. */
#ifndef BRIDGE_CONF_VALUE_H
#define BRIDGE_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libconfig.h>

struct guess;
struct report;
struct secrets;
struct vars;

#define CONF_NAME_MAX 64

/* One reading of one file. */
struct conf_reader {
	const char *path;
	char *dir; /* of the file; relative paths start there */
	struct report *report;
	bool is_environment;	 /* there is no file: keys are named as its variables */
	struct secrets *secrets; /* where those are noted that can be read again; NULL: nowhere */
};

/* The directory of this file, for `dir`.  Caller frees. */
char *conf_value_dir(const char *path);
/* Read the file at r->path into *config, which was initialised and is to be destroyed in any case.  False: reported
 * why it cannot be. */
bool conf_value_read(struct conf_reader *r, config_t *config);

/* Add the file, and those that it includes and something of `root` stands in, as names to `files`. */
void conf_value_note_files(const struct conf_reader *r, const config_setting_t *root,
			   struct vars *files);

void conf_value_mistake(struct conf_reader *r, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Not the text of the configuration is wrong, but this machine has not what it asks for. */
void conf_value_lack(struct conf_reader *r, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void conf_value_warning(struct conf_reader *r, const config_setting_t *s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* About the key `key` that is not there, at the line of its group. */
void conf_value_mistake_in(struct conf_reader *r, const config_setting_t *group, const char *key,
			   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void conf_value_wrong_type(struct conf_reader *r, const config_setting_t *s, const char *wanted);

/* The mistake `what`, with the guess behind if there is one. */
void conf_value_unknown(struct conf_reader *r, const config_setting_t *s, const char *what,
			const struct guess *g);

/* `path` as seen from the file's directory.  Caller frees. */
char *conf_value_path(const struct conf_reader *r, const char *path);
/* The file that `s` stands in, which may be an included one.  Caller frees. */
char *conf_value_file(const struct conf_reader *r, const config_setting_t *s);
/* The same for a name that libconfig gave. */
char *conf_value_file_named(const struct conf_reader *r, const char *name);
bool conf_value_is_integer(const config_setting_t *s);
/* The integer of `s`, as it is written in the file. */
bool conf_value_integer(struct conf_reader *r, const config_setting_t *s, int64_t *out);
/* The string of `s`, borrowed; of "env:NAME" the variable's value.  The second one refuses an empty one. */
const char *conf_value_text(struct conf_reader *r, const config_setting_t *s);
const char *conf_value_filled_text(struct conf_reader *r, const config_setting_t *s);
/* The string of `s` if it is fit for a file name and a client id: [A-Za-z0-9._-]{1,64}.  Caller
 * frees. */
char *conf_value_name(struct conf_reader *r, const config_setting_t *s);
/* Where a secret goes: a field, or a variable by its name (copied). */
struct conf_target {
	char **field;
	const char *variable;
	bool is_secret; /* of a field: nobody else may know what is in it */
};
/* The string of `s`; of "env:NAME" the variable's value, of "file:PATH" the file's content (secret_read()), of
 * "cred:NAME" that of $CREDENTIALS_DIRECTORY/NAME, and then *is_secret is true, also if there is none.  Caller ends it
 * with conf_value_free_secret(). */
char *conf_value_resolve(struct conf_reader *r, const config_setting_t *s,
			 const struct conf_target *to, bool *is_secret);
void conf_value_free_secret(char *text); /* NULL is allowed */

#endif
