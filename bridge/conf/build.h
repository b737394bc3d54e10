/* build.h -- what a configuration is worked out to before anything runs: mappings by name, each loaded
 * once, and the plans of links made of them. */
#ifndef BRIDGE_BUILD_H
#define BRIDGE_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "jq/mapping_path.h"

struct conf;
struct conf_link;
struct mapping;
struct mapping_loader;
struct plan;
struct plan_spec;
struct report;
struct vars;

struct build {
	struct mapping_path path;
	/* Borrowed, set by the caller after build_init(); NULL: mappings are loaded here. */
	const struct mapping_loader *loader;
	struct loaded {
		char *name;
		struct mapping *mapping; /* NULL: it has mistakes, and they are reported */
	} * items;
	size_t n;
};

/* The directories, first wins: `first` (--mappings), those of `conf` (may be NULL),
 * CALQUE_MAPPINGS, and the installed ones, or the source tree's for a binary that is not installed.
 * Call before build_mapping(): that empties the environment. */
void build_init(struct build *b, const struct mapping_path *first, const struct conf *conf);
void build_fini(struct build *b);
/* Let go of all mappings, to load them anew; the directories stay. */
void build_forget(struct build *b);

/* The mapping called `name`, borrowed; NULL: mistakes, reported once (`where` is the place that asks
 * for it).  The first call empties the environment (jq can read it). */
struct mapping *build_mapping(struct build *b, const char *name, const char *where,
			      struct report *report);
/* The same, and it must be a dialect. */
struct mapping *build_dialect(struct build *b, const char *name, const char *where,
			      struct report *report);

/* Have a plan of such mappings made where they were loaded, too.  False: it cannot be, reported. */
bool build_plan_there(struct build *b, struct plan *plan, const struct plan_spec *spec,
		      struct report *report);

/* The plan of a configured link; NULL: mistakes, reported.  `is_whole`: the configuration had
 * none; else only those of the link's mappings are looked for, since what depends on the values of the
 * configuration would be noise.  Caller ends it with plan_free(). */
struct plan *build_plan(struct build *b, const struct conf_link *link, bool is_whole,
			struct report *report);

/* The plan of a configured link for one that is tried without sessions (plan_spec.is_offline).  `vars` has SIDES
 * lists, which override those of the link. */
struct plan *build_offline_plan(struct build *b, const struct conf_link *link,
				const struct vars *vars, struct report *report);

/* One plan per link, NULL for a link with mistakes, checked one by one and together; all mistakes are
 * reported, and settings that this version does not act on are warned of.  `is_whole`: as above.
 * Caller ends it with build_plans_free(). */
struct plan **build_plans(struct build *b, const struct conf *conf, bool is_whole,
			  struct report *report);
void build_plans_free(struct plan **plans, size_t n);

/* Of the devices in the list of the configuration: how many want a session of their own with this link's north. */
struct listed_sessions {
	size_t always, on_demand;
};
struct listed_sessions build_listed_sessions(const struct conf *conf, const struct conf_link *link);

#endif
