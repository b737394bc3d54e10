/* plan_match.c -- which rows a topic finds: plan.h. */
#include "plan/plan.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/jtext.h"

/* An int64 as JSON spells it. */
static bool is_integer(const char *s)
{
	struct jslice number = { s, strlen(s) };
	size_t sign = *s == '-';
	int64_t value;

	if (!s[sign] || s[sign + strspn(s + sign, "0123456789")])
		return false;
	return (s[sign] != '0' || strcmp(s, "0") == 0) && jtext_integer(number, &value);
}

static bool is_uuid(const char *s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	for (size_t i = 0; i < sizeof form - 1; i++)
		if (form[i] == '-' ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	return s[sizeof form - 1] == '\0';
}

bool plan_is_id_typed(const struct reader *r)
{
	return r->row->id != ID_STRING && topic_template_has(&r->topic, "id");
}

/* A captured {id} that is not of the row's type does not match, and another row may. */
static bool id_converts(const struct reader *r, const char *topic)
{
	struct vars captures = { 0 };
	const char *id;
	bool ok = true;

	if (!plan_is_id_typed(r))
		return true;
	topic_template_match(&r->topic, topic, &captures);
	id = vars_get(&captures, "id");
	if (id)
		ok = r->row->id == ID_INTEGER ? is_integer(id) : is_uuid(id);
	vars_fini(&captures);
	return ok;
}

/* A row may stand there twice: where a variable that is known makes an alias the row's own topic. */
static void add_match(struct match *m, const struct reader *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->readers[i]->row == r->row)
			return;
	assert(m->n < MATCH_MAX); /* plan_new() saw to that */
	m->readers[m->n++] = r;
}

/* The first of the readers from `r` on that has the same template as `best`; NULL: none has. */
static const struct reader *next_reader(const struct plan_side *ps, const struct reader *best,
					const struct reader *r, const char *topic)
{
	for (; r < ps->readers + ps->n_readers; r++)
		if (r->first == best->first && id_converts(r, topic))
			return r;
	return NULL;
}

/* The first reader of the most specific template that matches; NULL: none does.  The others of that
 * template come after it. */
static const struct reader *best_reader(const struct plan_side *ps, const char *topic)
{
	const struct reader *best = NULL;

	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *r = &ps->readers[i];

		if (r->first != i || !topic_template_match(&r->topic, topic, NULL) ||
		    (best &&
		     topic_template_compare(&r->topic, &best->topic) != TOPIC_MORE_SPECIFIC))
			continue;
		r = next_reader(ps, r, r, topic);
		best = r ? r : best;
	}
	return best;
}

void plan_match(const struct plan *p, enum side from, const char *topic, struct match *m)
{
	const struct plan_side *ps = &p->side[from];
	const struct reader *best = best_reader(ps, topic);

	m->n = 0;
	m->is_known = best != NULL;
	for (const struct reader *r = best; r; r = next_reader(ps, best, r + 1, topic))
		if (row_is_read(r->row, from))
			add_match(m, r);
}

bool plan_reads_alike(const struct reader *a, const struct reader *b)
{
	return topic_template_equal(&a->topic, &b->topic) &&
	       topic_template_equal(&a->row->topic, &b->row->topic);
}

bool plan_is_topic_of(const struct plan *p, enum side side, const struct row *row,
		      const char *topic)
{
	const struct plan_side *ps = &p->side[side];
	const struct reader *best = best_reader(ps, topic), *r = best;

	while (r && r->row != row)
		r = next_reader(ps, best, r + 1, topic);
	return r != NULL;
}

const struct row *plan_writer_on(const struct plan *p, enum side side, enum kind kind,
				 const char *topic)
{
	const struct dialect *d = p->side[side].dialect;

	for (size_t i = 0; i < d->n_rows; i++)
		if (d->rows[i].kind == kind && d->rows[i].can_write &&
		    plan_is_topic_of(p, side, &d->rows[i], topic))
			return &d->rows[i];
	return NULL;
}
