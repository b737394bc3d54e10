/* bridges.h -- who may log in as a bridge: a file of names and hashes, as mosquitto_passwd writes it.
 *
 * NAME:$7$ITERATIONS$SALT$HASH (PBKDF2 with SHA-512), one to a line.  It must not be readable by others. */
#ifndef BRIDGE_BRIDGES_H
#define BRIDGE_BRIDGES_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct bridges {
	char *text; /* the file */
	size_t len;
};

/* Read the file in place of what was read before.  False sets *e; what was read before stays. */
bool bridges_read(struct bridges *b, const char *path, struct err *e);
bool bridges_has(const struct bridges *b, const char *name);
bool bridges_check(const struct bridges *b, const char *name, const char *password);
void bridges_fini(struct bridges *b);

#endif
