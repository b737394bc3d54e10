/* key_warning.h -- what is to be known by who stores credentials of devices. */
#ifndef BRIDGE_KEY_WARNING_H
#define BRIDGE_KEY_WARNING_H

struct fleet_file;
struct report;

/* Warn if the list has some, and the key that seals them, by the configuration CONF, lies beside what it seals.
 * (Whether CONF can be read at all is said elsewhere.) */
void devices_warn_of_key(const char *conf, const struct fleet_file *f, struct report *report);

#endif
