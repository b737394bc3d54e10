#include "cli/route.h"

#include "base/buf.h"
#include "base/mem.h"
#include "message/side.h"
#include "message/topic.h"
#include "plan/plan.h"
#include "plan/wanted.h"

/* As it is without any configuration. */
static void put_filter(const struct dialect *d, const struct row *row, struct buf *out)
{
	struct topic_template bound;

	if (topic_template_bind(&bound, &row->topic, &d->defaults, NULL))
		topic_template_filter(&bound, out);
	topic_template_fini(&bound);
}

static bool covers(const struct dialect *d, const struct row *row, const struct row *other)
{
	struct buf wide = { 0 }, narrow = { 0 };
	bool is_covered;

	put_filter(d, row, &wide);
	put_filter(d, other, &narrow);
	is_covered = topic_filter_covers(buf_str(&wide), buf_str(&narrow));
	buf_fini(&wide);
	buf_fini(&narrow);
	return is_covered;
}

static bool is_heard(const struct wanted *w, const struct dialect *from, const struct row *row)
{
	for (size_t i = 0; i < from->n_rows; i++) {
		const struct row *r = &from->rows[i];

		if (r->can_read && kind_table[r->kind].flow == kind_table[row->kind].flow &&
		    wanted_row(w, r) && covers(from, r, row))
			return true;
	}
	return false;
}

static size_t add_routes(struct route **list, size_t n, const struct wanted *w, enum kind kind,
			 bool has_counterpart)
{
	const struct dialect *from = w->side[flow_source(kind_table[kind].flow)];
	enum kind as = w->remap && w->remap[kind] != KIND_NONE ? w->remap[kind] : kind;
	const struct row *to = dialect_writer(w->side[flow_target(kind_table[kind].flow)], as);

	for (size_t i = 0; i < from->n_rows; i++) {
		const struct row *row = &from->rows[i];

		if (row->kind != kind || !row->can_read || (to != NULL) != has_counterpart)
			continue;
		*list = mem_grow(*list, n, sizeof **list);
		(*list)[n++] = (struct route){ kind, row, to, is_heard(w, from, row) };
	}
	return n;
}

static size_t add_greetings(struct route **list, size_t n, const struct wanted *w)
{
	const struct dialect *north = w->side[NORTH];

	for (size_t i = 0; i < north->n_on_connect; i++) {
		enum kind kind = north->on_connect[i];

		if (!plan_pair_greets(w->side[SOUTH], north, kind))
			continue;
		*list = mem_grow(*list, n, sizeof **list);
		(*list)[n++] = (struct route){ kind, NULL, dialect_writer(north, kind), false };
	}
	return n;
}

struct route *route_list(const struct wanted *w, size_t *n)
{
	struct route *list = NULL;

	*n = 0;
	for (int has = 1; has >= 0; has--) {
		for (int k = 0; k < KINDS; k++)
			*n = add_routes(&list, *n, w, (enum kind)k, has);
		if (has)
			*n = add_greetings(&list, *n, w);
	}
	return list;
}

const char *route_fate(const struct route *r)
{
	static const char *const fates[] = {
		[UNMATCHED_DEAD] = "dead letter",
		[UNMATCHED_ERROR] = "dead letter, and an error reply to the asker",
		[UNMATCHED_OWN_STATE] = "answered from the bridge's own state",
		[UNMATCHED_DEVICE_TABLE] = "kept in the device table",
		[UNMATCHED_TAKEN] = "taken by the bridge itself",
	};

	return r->is_heard ? fates[kind_table[r->kind].unmatched] : "not subscribed";
}
