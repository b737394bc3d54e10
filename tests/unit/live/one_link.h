/* one_link.h -- for tests: the one link of one generation, which ends and begins as often as wanted, around
 * unit/live/small_bridge.h. */
#ifndef TESTS_ONE_LINK_H
#define TESTS_ONE_LINK_H

#include "unit/live/small_bridge.h"

static struct generation *generation; /* to be set before it is started */
static struct live_link *live;

static inline void start_link(void)
{
	bridge_make_parts();
	storage.n_links = 0;
	bridge_start_link(generation);
	live = lives[0];
	bridge_resume();
}

static inline void end_link(void)
{
	parts.is_closing = true;
	live_link_free(live);
	bridge_free_parts();
}

#endif
