/* conf_command.h -- a program of the operator's, as the configuration names it: ( "/path", "argument" ). */
#ifndef BRIDGE_CONF_COMMAND_H
#define BRIDGE_CONF_COMMAND_H

#include <stdbool.h>

struct buf;
struct conf_reader;
struct config_setting_t;
struct err;

struct conf_command {
	char **argv; /* ends with NULL; NULL: there is none */
};

/* A row of a schema (schema_key.set, .put). */
bool conf_command_read(struct conf_reader *r, void *command, const struct config_setting_t *s);
void conf_command_put(const void *command, struct buf *out);
void conf_command_fini(struct conf_command *c);

/* May we execute this file, and could nobody else have put another one there?  It belongs to root or to us, as do the
 * folders above it, and nobody else may write to it or to these (but for a folder in which everybody may change only
 * his own, like /tmp).  Links are followed.  False sets *e (ERR_INVALID, ERR_IO). */
bool conf_command_check(const char *path, struct err *e);

#endif
