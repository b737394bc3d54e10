/* hops.h -- the links that a message has come through, as a user property of MQTT 5.
 *
 * Two bridges may carry a message back and forth between the same brokers for ever: neither
 * configuration shows it, and No Local is about one session.  So each link adds its mark to what it
 * sends, and does not take what bears that mark already.  One hop without a trail loses it: MQTT 3.1.1
 * has no place for one, and where a dialect sets properties its platform wants just these.  Pure. */
#ifndef BRIDGE_HOPS_H
#define BRIDGE_HOPS_H

#include <stdbool.h>

struct vars;

#define HOPS_PROPERTY "calque-trail"
#define HOPS_MAX      500 /* bytes; a message that came that far goes no further */

/* Has a message with these properties been through the link with this mark (a word), or too far? */
bool hops_has(const struct vars *properties, const char *mark);
/* `trail` (NULL: none) and the mark, as a property. */
void hops_put(struct vars *properties, const char *trail, const char *mark);

#endif
