#include "plan/wanted.h"

#include <stddef.h>
#include <stdint.h>

#include "dialect/dialect.h"
#include "plan/plan.h"

static enum kind passes_as(const struct wanted *w, enum kind kind)
{
	return w->remap && w->remap[kind] != KIND_NONE ? w->remap[kind] : kind;
}

static const struct dialect *here(const struct wanted *w, enum kind kind)
{
	return w->side[flow_source(kind_table[kind].flow)];
}

static const struct dialect *there(const struct wanted *w, enum kind kind)
{
	return w->side[flow_target(kind_table[kind].flow)];
}

static bool has_counterpart(const struct wanted *w, enum kind kind)
{
	return dialect_writer(there(w, kind), passes_as(w, kind));
}

/* Does the side that is answered with `reply` make such requests? */
static bool is_asked(const struct wanted *w, enum kind reply)
{
	const struct kind_info *k = &kind_table[reply];
	const struct dialect *asker = there(w, reply);

	if (plan_pair_greets(asker, here(w, reply), k->request) ||
	    (k->also_answers && plan_pair_greets(asker, here(w, reply), k->also_answers)))
		return true;
	for (int i = 0; i < KINDS; i++)
		if (passes_as(w, (enum kind)i) == k->request && dialect_reader(asker, (enum kind)i))
			return true;
	/* A snapshot is asked for as attributes; the bridge asks for one by itself, too. */
	return reply == KIND_ATTRIBUTES_REPLY &&
	       dialect_writer(here(w, reply), KIND_SNAPSHOT_REQUEST) &&
	       (dialect_reader(asker, KIND_SNAPSHOT_REQUEST) ||
		dialect_writer(asker, KIND_CONFIG) || dialect_writer(asker, KIND_FIRMWARE));
}

/* Does the bridge itself make something of it? */
static bool is_used(const struct wanted *w, enum kind kind)
{
	const struct kind_info *k = &kind_table[kind];

	if ((k->unmatched != UNMATCHED_DEAD && k->unmatched != UNMATCHED_TAKEN) || k->is_state)
		return true;
	return k->is_kept && dialect_reader(here(w, kind), KIND_ATTRIBUTES_REQUEST);
}

/* May the row's function give what the other side has, or an answer to the row's own side? */
static bool gives_another(const struct wanted *w, const struct row *row)
{
	const struct kind_info *own = &kind_table[row->kind];
	uint64_t given = row->read ? here(w, row->kind)->also_gives : 0;

	for (int k = 0; k < KINDS; k++) {
		bool is_back = kind_table[k].flow != own->flow;

		if (!(given & UINT64_C(1) << k) || !has_counterpart(w, (enum kind)k))
			continue;
		if (is_back ? kind_table[k].request == row->kind
			    : !kind_is_paired_reply((enum kind)k))
			return true;
	}
	return false;
}

bool wanted_row(const struct wanted *w, const struct row *row)
{
	enum kind request = kind_table[row->kind].request;

	if (w->is_open[kind_table[row->kind].flow] || row->echoes != KIND_NONE ||
	    has_counterpart(w, row->kind) || is_used(w, passes_as(w, row->kind)))
		return true;
	if (request != KIND_NONE && kind_table[request].is_answered)
		return is_asked(w, row->kind);
	return gives_another(w, row);
}
