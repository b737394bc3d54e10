#include "dialect/through.h"

#include <stdlib.h>

#include "base/mem.h"
#include "dialect/schema.h"

/* clang-format off */
#define THROUGH(member) .offset = offsetof(struct through, member)
static const struct schema_key through_keys[] = {
	{ "through", SCHEMA_TEXT, THROUGH(name), .is_required = true,
	  .about = "the name of this file, without .jq" },
	{ "about", SCHEMA_TEXT, THROUGH(about), .about = "what it does, in a line" },
	{ "version", SCHEMA_VERSION, THROUGH(version), .about = "of this file" },
	{ "up", SCHEMA_NAME, THROUGH(function[FLOW_UP]),
	  .about = "the function for plain messages from south to north; without it they pass" },
	{ "down", SCHEMA_NAME, THROUGH(function[FLOW_DOWN]),
	  .about = "the function for plain messages from north to south; without it they pass" },
};
/* clang-format on */
const struct schema through_schema = SCHEMA_OF(through_keys);

static bool names_a_function(json_object *tree)
{
	return json_object_object_get_ex(tree, "up", NULL) ||
	       json_object_object_get_ex(tree, "down", NULL);
}

struct through *through_new(const char *file, const char *metadata, size_t len,
			    struct report *report)
{
	struct schema_reader r = { .file = file, .report = report };
	struct through *t = mem_zalloc(sizeof *t);
	json_object *tree = schema_tree(&r, metadata, len);

	if (tree) {
		schema_read(&r, &through_schema, t, tree);
		if (!names_a_function(tree))
			schema_mistake(&r, "one of \"up\" and \"down\" must name a function");
	}
	json_object_put(tree);
	buf_fini(&r.place);
	if (r.mistakes) {
		through_free(t);
		return NULL;
	}
	return t;
}

void through_free(struct through *t)
{
	if (!t)
		return;
	free(t->name);
	free(t->about);
	free(t->version);
	free(t->function[FLOW_UP]);
	free(t->function[FLOW_DOWN]);
	free(t);
}
