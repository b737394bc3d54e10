/* plans.h -- the plans of all links of a configuration, checked one by one and together. */
#ifndef BRIDGE_PLANS_H
#define BRIDGE_PLANS_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct loader;
struct plan;
struct report;

/* One plan per link, NULL for a link with mistakes; all mistakes are reported.  `is_whole`: see
 * loader_plan().  Caller ends it with plans_free(). */
struct plan **plans_make(struct loader *l, const struct conf *conf, bool is_whole,
			 struct report *report);
void plans_free(struct plan **plans, size_t n);

#endif
