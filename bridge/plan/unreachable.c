#include "plan/unreachable.h"

#include <stdlib.h>

#include "base/mem.h"
#include "plan/plan.h"

static size_t most_levels(const struct plan_side *ps)
{
	size_t most = 0;

	for (size_t i = 0; i < ps->n_readers; i++)
		if (ps->readers[i].topic.n_levels > most)
			most = ps->readers[i].topic.n_levels;
	return most;
}

/* The template of the topics that match both, which are not disjoint.  It borrows the texts of its
 * levels; its array has room for `most` levels and one, and is freed by the caller. */
static struct topic_template meet(const struct topic_template *a, const struct topic_template *b,
				  size_t most)
{
	struct topic_template t = { .levels = mem_zalloc((most + 1) * sizeof *t.levels) };
	const struct topic_template *rest = b;
	size_t i = 0;

	for (; i < a->n_levels && i < b->n_levels; i++) {
		const struct topic_level *x = &a->levels[i], *y = &b->levels[i];

		rest = x->type == LEVEL_REST ? b : a;
		if (x->type == LEVEL_REST || y->type == LEVEL_REST)
			break;
		t.levels[t.n_levels++] = x->type <= y->type ? *x : *y;
	}
	for (; i < rest->n_levels; i++)
		t.levels[t.n_levels++] = rest->levels[i];
	return t;
}

/* Does a template that is more specific than the reader's take all topics of `t`?  Not where an {id}
 * must be of a type. */
static bool is_taken(const struct plan_side *ps, const struct reader *r,
		     const struct topic_template *t)
{
	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *other = &ps->readers[i];
		enum topic_relation relation = topic_template_compare(t, &other->topic);

		if ((relation == TOPIC_SAME || relation == TOPIC_MORE_SPECIFIC) &&
		    !plan_is_id_typed(other) &&
		    topic_template_compare(&other->topic, &r->topic) == TOPIC_MORE_SPECIFIC)
			return true;
	}
	return false;
}

/* {v...} stands for one level, or for one and more behind: each may be taken by another row.  `t` grows
 * to `most` levels at most, behind which no template tells topics apart. */
static bool is_taken_in_parts(const struct plan_side *ps, const struct reader *r,
			      struct topic_template *t, size_t most)
{
	while (!is_taken(ps, r, t)) {
		struct topic_level *last = &t->levels[t->n_levels - 1];

		if (last->type != LEVEL_REST || t->n_levels > most)
			return false;
		last->type = LEVEL_VARIABLE;
		if (!is_taken(ps, r, t))
			return false;
		last[1] = (struct topic_level){ LEVEL_REST, last->text, last->len };
		t->n_levels++;
	}
	return true;
}

bool unreachable_is_total(const struct plan_side *ps, const struct reader *r,
			  const struct topic_template *written)
{
	const struct topic_template *other = written ? written : &r->topic;
	size_t most = most_levels(ps);
	struct topic_template shared;
	bool all;

	if (topic_template_compare(&r->topic, other) == TOPIC_DISJOINT)
		return true;
	shared = meet(&r->topic, other, most > other->n_levels ? most : other->n_levels);
	all = is_taken_in_parts(ps, r, &shared, most);
	free(shared.levels);
	return all;
}
