/* conf_environment.h -- a configuration of one link out of variables of the environment.
 *
 * Their names are made of the tables of keys: the path in capitals, joined by _, behind CALQUE_ (CALQUE_SOUTH_URL,
 * CALQUE_JOURNAL_MAX_BYTES; the keys of `links` are those of the one link).  Of a group of any names the last
 * part is the name in small letters: CALQUE_NORTH_VARS_TOKEN. */
#ifndef BRIDGE_CONF_ENVIRONMENT_H
#define BRIDGE_CONF_ENVIRONMENT_H

#include <libconfig.h>

#include "dialect/schema.h"

struct report;

/* Are there variables that say something of a configuration?  Those that Kubernetes makes for a service that is
 * called so are none, nor is CALQUE_MAPPINGS, which every configuration may have beside it. */
bool conf_environment_is_set(void);
/* One of those that there are keys for; caller frees.  NULL: there is none. */
char *conf_environment_first(const struct schema *whole, const struct schema *link);

/* Put the values of all of them into `root` as a file would have them, the keys of `link` in a list `links` of one.
 * Of what is no key a mistake is reported. */
void conf_environment_put(const struct schema *whole, const struct schema *link,
			  config_setting_t *root, struct report *report);

/* The name of the variable for the key at this path: "south.tls.ca", "CALQUE_SOUTH_TLS_CA".  Caller frees. */
char *conf_environment_name(const char *path);

#endif
