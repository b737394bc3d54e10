#include "plan/unreachable.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "plan/plan.h"

/* Templates here borrow the texts of their levels; only the array is their own. */

static void add_levels(struct topic_template *t, const struct topic_template *from, size_t i)
{
	for (; i < from->n_levels; i++)
		t->levels[t->n_levels++] = from->levels[i];
}

/* The template of the topics that match both, which are not disjoint. */
static struct topic_template meet(const struct topic_template *a, const struct topic_template *b)
{
	struct topic_template t = { 0 };
	size_t i;

	t.levels = mem_zalloc((a->n_levels + b->n_levels) * sizeof *t.levels);
	for (i = 0; i < a->n_levels && i < b->n_levels; i++) {
		const struct topic_level *x = &a->levels[i], *y = &b->levels[i];

		if (x->type == LEVEL_REST) {
			add_levels(&t, b, i);
			return t;
		}
		if (y->type == LEVEL_REST)
			break;
		t.levels[t.n_levels++] = x->type <= y->type ? *x : *y;
	}
	add_levels(&t, a, i);
	return t;
}

/* Does every topic of the right shape match?  Not where an {id} must be of a type. */
static bool takes_all_its_topics(const struct reader *r)
{
	for (size_t i = 0; i < r->topic.n_levels; i++)
		if (r->row->id != ID_STRING && r->topic.levels[i].type != LEVEL_LITERAL &&
		    strcmp(r->topic.levels[i].text, "id") == 0)
			return false;
	return true;
}

static bool is_taken(const struct plan_side *ps, const struct reader *r,
		     const struct topic_template *t)
{
	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *other = &ps->readers[i];
		enum topic_relation relation = topic_template_compare(t, &other->topic);

		if ((relation == TOPIC_SAME || relation == TOPIC_MORE_SPECIFIC) &&
		    takes_all_its_topics(other) &&
		    topic_template_compare(&other->topic, &r->topic) == TOPIC_MORE_SPECIFIC)
			return true;
	}
	return false;
}

static size_t most_levels(const struct plan_side *ps)
{
	size_t most = 0;

	for (size_t i = 0; i < ps->n_readers; i++)
		if (ps->readers[i].topic.n_levels > most)
			most = ps->readers[i].topic.n_levels;
	return most;
}

/* {v...} stands for one level, or for one and more behind: each may be taken by another row. */
static bool is_taken_in_parts(const struct plan_side *ps, const struct reader *r,
			      const struct topic_template *t)
{
	struct topic_template part = { 0 };
	bool all;

	if (is_taken(ps, r, t))
		return true;
	if (t->levels[t->n_levels - 1].type != LEVEL_REST || t->n_levels > most_levels(ps))
		return false;
	part.levels = mem_zalloc((t->n_levels + 1) * sizeof *part.levels);
	add_levels(&part, t, 0);
	part.levels[part.n_levels - 1].type = LEVEL_VARIABLE;
	all = is_taken_in_parts(ps, r, &part);
	if (all) {
		part.levels[part.n_levels++] = t->levels[t->n_levels - 1];
		all = is_taken_in_parts(ps, r, &part);
	}
	free(part.levels);
	return all;
}

bool unreachable_is_total(const struct plan_side *ps, const struct reader *r,
			  const struct topic_template *written)
{
	const struct topic_template *other = written ? written : &r->topic;
	struct topic_template shared;
	bool all;

	if (topic_template_compare(&r->topic, other) == TOPIC_DISJOINT)
		return true;
	shared = meet(&r->topic, other);
	all = is_taken_in_parts(ps, r, &shared);
	free(shared.levels);
	return all;
}
