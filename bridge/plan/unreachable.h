/* unreachable.h -- rows that get no message: of the templates of a side that match a topic, the most
 * specific takes it. */
#ifndef BRIDGE_UNREACHABLE_H
#define BRIDGE_UNREACHABLE_H

#include <stdbool.h>

struct plan_side;
struct reader;
struct topic_template;

/* Are all topics that `r` shares with `written` (NULL: all topics of `r`) taken by more specific
 * templates of its side?  Also if there are none that it shares. */
bool unreachable_is_total(const struct plan_side *ps, const struct reader *r,
			  const struct topic_template *written);

#endif
