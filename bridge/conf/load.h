/* load.h -- mappings by name, each loaded once, and the plans of links made of them. */
#ifndef BRIDGE_LOAD_H
#define BRIDGE_LOAD_H

#include "jq/mapping.h"
#include "plan/plan.h"

struct conf;
struct conf_link;
struct report;

struct loader {
	struct mapping_path path;
	struct loaded {
		char *name;
		struct mapping *mapping; /* NULL: it has mistakes, and they are reported */
	} * items;
	size_t n;
};

/* The directories, first wins: `first` (--mappings), those of `conf` (may be NULL),
 * CALQUE_MAPPINGS, and the installed ones, or the source tree's for a binary that is not installed.
 * Call before loader_get(): that empties the environment. */
void loader_init(struct loader *l, const struct mapping_path *first, const struct conf *conf);
void loader_fini(struct loader *l);
/* Let go of all mappings, to load them anew; the directories stay. */
void loader_forget(struct loader *l);

/* The mapping called `name`, borrowed; NULL: mistakes, reported once (`where` is the place that asks
 * for it).  The first call empties the environment (jq can read it). */
struct mapping *loader_get(struct loader *l, const char *name, const char *where,
			   struct report *report);
/* The same, and it must be a dialect. */
struct mapping *loader_dialect(struct loader *l, const char *name, const char *where,
			       struct report *report);

/* The plan of a configured link; NULL: mistakes, reported.  `is_whole`: the configuration had
 * none; else only those of the link's mappings are looked for, since what depends on the values of the
 * configuration would be noise.  Caller ends it with plan_free(). */
struct plan *loader_plan(struct loader *l, const struct conf_link *link, bool is_whole,
			 struct report *report);
/* Settings of the whole that this version does not act on are warned of. */
void loader_check_conf(const struct conf *conf, struct report *report);

#endif
