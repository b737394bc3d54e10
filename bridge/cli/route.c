#include "cli/route.h"

#include "base/mem.h"
#include "message/side.h"

static size_t add_routes(struct route **list, size_t n, const struct dialect *const side[SIDES],
			 enum kind kind, const enum kind *remap, bool has_counterpart)
{
	const struct dialect *from = side[flow_source(kind_table[kind].flow)];
	enum kind as = remap && remap[kind] != KIND_NONE ? remap[kind] : kind;
	const struct row *to = dialect_writer(side[flow_target(kind_table[kind].flow)], as);

	for (size_t i = 0; i < from->n_rows; i++) {
		const struct row *row = &from->rows[i];

		if (row->kind != kind || !row->can_read || (to != NULL) != has_counterpart)
			continue;
		*list = mem_grow(*list, n, sizeof **list);
		(*list)[n++] = (struct route){ kind, row, to };
	}
	return n;
}

struct route *route_list(const struct dialect *south, const struct dialect *north,
			 const enum kind *remap, size_t *n)
{
	const struct dialect *const side[SIDES] = { south, north };
	struct route *list = NULL;

	*n = 0;
	for (int has = 1; has >= 0; has--)
		for (int k = 0; k < KINDS; k++)
			*n = add_routes(&list, *n, side, (enum kind)k, remap, has);
	return list;
}

const char *route_fate(enum kind kind)
{
	static const char *const fates[] = {
		[UNMATCHED_DEAD] = "dead letter",
		[UNMATCHED_ERROR] = "dead letter, and an error reply to the asker",
		[UNMATCHED_OWN_STATE] = "answered from the bridge's own state",
		[UNMATCHED_DEVICE_TABLE] = "kept in the device table",
	};

	return fates[kind_table[kind].unmatched];
}
