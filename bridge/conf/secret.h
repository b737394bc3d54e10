/* secret.h -- values that the configuration only points to: where they come from and where they go, so that
 * they can be read again. */
#ifndef BRIDGE_SECRET_H
#define BRIDGE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct secret {
	char *place; /* "plant.conf:7: north.password", for messages */
	char *path;  /* of its file; NULL: a variable of the environment that was not set */
	char *wrong; /* why there was no value when the configuration was read; NULL: there was one */
	/* Where it goes: a field of the configuration, or the variable of that name. */
	char **field;
	char *variable;
};

/* A value that stands in the text of the configuration, in a file that everyone may read.  Not all are secrets: of a
 * variable its dialect knows. */
struct open_value {
	char *place, *file;
	char *variable; /* NULL: a key that is a secret */
};

struct secrets {
	struct secret *items;
	size_t n;
	struct open_value *open;
	size_t n_open;
};

/* The content of a file, less one newline at its end; caller ends it with mem_free_secret().  NULL sets *e:
 * ERR_IO; ERR_INVALID no regular file, readable by everyone, or no text that MQTT can carry.  No error has
 * anything of the content in its text. */
char *secret_read(const char *path, struct err *e);
/* Where the service manager put this credential (LoadCredential= of systemd); caller frees.  NULL sets *e: ERR_INVALID
 * that is no name of one; ERR_NOT_FOUND there are none. */
char *secret_credential_path(const char *name, struct err *e);
/* Is the file whose mode is `mode` closed to others?  False sets *e (ERR_INVALID). */
bool secret_is_private(const char *path, unsigned mode, struct err *e);

/* A new one at the end; its texts are copied, where it goes is still open. */
struct secret *secrets_add(struct secrets *s, const char *place, const char *path,
			   const char *wrong);
void secrets_add_open(struct secrets *s, const char *place, const char *file, const char *variable);
void secrets_fini(struct secrets *s);

#endif
