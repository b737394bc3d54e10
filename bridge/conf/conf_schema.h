/* conf_schema.h -- a group of settings read into a struct by a table (dialect/schema.h).
 *
 * Unknown keys are mistakes, as is a required one that is missing; mistakes are reported in the order of
 * the file (conf_value.h), and what they concern is left as it was (texts: NULL). */
#ifndef BRIDGE_CONF_SCHEMA_H
#define BRIDGE_CONF_SCHEMA_H

#include <libconfig.h>

#include "dialect/schema.h"

/* { "workers", SCHEMA_INTEGER, offsetof(struct conf, workers), CONF_RANGE(0, 256, 0) } */
#define CONF_RANGE(low, high, value) .min = (low), .max = (high), .preset = (value)

struct buf;

/* Give every member of the struct its default. */
void conf_schema_preset(const struct schema *schema, void *into);
/* Read the group `s`; its values go to the members of `into`, which have their defaults.  False: it is
 * no group. */
bool conf_schema_read(struct conf_reader *r, const struct schema *schema, void *into,
		      const config_setting_t *s);

/* Append a line for each value of `from`, but of lists of groups: "links.south.url HASH", always in the same order, so
 * that two readings can be compared without telling a secret. */
void conf_schema_put_values(const struct schema *schema, const char *prefix, const void *from,
			    struct buf *out);

/* Append a line for each key, those of groups behind the group's. */
void conf_schema_put_keys(const struct schema *schema, const char *prefix, struct buf *out);

#endif
