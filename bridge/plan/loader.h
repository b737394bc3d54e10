/* loader.h -- who loads mappings in the place of mapping_load(), and hears of plans that are made of them: another
 * process (work/compiler.h, which says what these do). */
#ifndef BRIDGE_LOADER_H
#define BRIDGE_LOADER_H

#include <stdbool.h>

struct compiler;
struct err;
struct mapping;
struct mapping_path;
struct plan;
struct plan_spec;
struct report;

struct mapping_loader {
	struct mapping *(*load)(struct compiler *c, const struct mapping_path *path,
				const char *name, struct report *report);
	bool (*plan)(struct compiler *c, struct plan *plan, const struct plan_spec *spec,
		     struct err *e);
	void (*forget)(struct compiler *c);
	struct compiler *compiler;
};

#endif
