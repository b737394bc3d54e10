/* subscription.h -- the filters that the sessions of a link have at their brokers, so that those of an earlier
 * configuration can be given up: a broker keeps them with the session, across restarts of both.
 *
 * A filter may hold a credential, so rows are sealed and their keys do not show it.  Machine name
 * "subscription".  Pure: no clock, no store. */
#ifndef BRIDGE_SUBSCRIPTION_H
#define BRIDGE_SUBSCRIPTION_H

#include <stdbool.h>

#include "message/side.h"

struct changes;
struct err;
struct machine;
struct subscriptions;

struct subscriptions *subscriptions_new(void);
void subscriptions_free(struct subscriptions *t);

/* The side's session is about to subscribe to it. */
void subscriptions_add(struct subscriptions *t, enum side side, const char *filter,
		       struct changes *out);
/* The broker has it no more. */
void subscriptions_remove(struct subscriptions *t, enum side side, const char *filter,
			  struct changes *out);
/* The next one of a side (the first: after NULL), in no order that matters; NULL: no more.  Borrowed until the
 * next change. */
const char *subscriptions_next(const struct subscriptions *t, enum side side, const char *after);

bool subscriptions_restore(struct subscriptions *t, const char *key, const char *value,
			   struct err *e);

extern const struct machine subscription_machine; /* state/machine.h */

#endif
