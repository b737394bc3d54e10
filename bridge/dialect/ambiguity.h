/* ambiguity.h -- the topic templates of a dialect must not get in each other's way.
 *
 * Of the templates that match a topic the most specific wins, so two that overlap must have an
 * order; and subscriptions that overlap in part would bring a message twice. */
#ifndef BRIDGE_AMBIGUITY_H
#define BRIDGE_AMBIGUITY_H

struct dialect;
struct schema_reader;

/* Report each pair of templates that does. */
void ambiguity_check(struct schema_reader *r, const struct dialect *d);

#endif
