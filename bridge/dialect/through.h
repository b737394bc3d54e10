/* through.h -- the metadata of a through file, which changes plain messages on their way. */
#ifndef BRIDGE_THROUGH_H
#define BRIDGE_THROUGH_H

#include <stddef.h>

#include "message/side.h"

struct report;
struct schema;

/* Its name and the function for each flow (NULL: passes). */
struct through {
	char *name, *about, *version;
	char *function[FLOWS];
};

extern const struct schema through_schema;

/* As dialect_new(), for metadata {through, about, version, up, down}. */
struct through *through_new(const char *file, const char *metadata, size_t len,
			    struct report *report);
void through_free(struct through *t);

#endif
