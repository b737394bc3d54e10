#include "store/state_live.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "state/change.h"
#include "store/state.h"

/* `changes` is, in the order in which they came: for each part the changes of a commit in flight, then
 * those that are due. */
struct part {
	uint64_t commit;
	size_t n;
};

struct state_live {
	struct db *db;
	const char *name;
	struct changes changes;
	struct part *parts;
	size_t n_parts;
	size_t n_handed; /* of the changes: in flight */
};

struct state_live *state_live_new(struct db *db, const char *name)
{
	struct state_live *s = mem_zalloc(sizeof *s);

	*s = (struct state_live){ .db = db, .name = name };
	return s;
}

void state_live_free(struct state_live *s)
{
	if (!s)
		return;
	changes_fini(&s->changes);
	free(s->parts);
	free(s);
}

void state_live_add(struct state_live *s, struct changes *c)
{
	changes_move(&s->changes, c, c->n);
}

bool state_live_has_news(const struct state_live *s)
{
	return s->n_handed < s->changes.n;
}

uint64_t state_live_commit(const struct state_live *s)
{
	if (state_live_has_news(s))
		return UINT64_MAX;
	return s->n_parts ? s->parts[s->n_parts - 1].commit : 0;
}

bool state_live_write(struct state_live *s, uint64_t commit, struct err *e)
{
	struct changes due = { s->changes.items + s->n_handed, s->changes.n - s->n_handed };

	if (due.n == 0)
		return true;
	s->parts = mem_grow(s->parts, s->n_parts, sizeof *s->parts);
	s->parts[s->n_parts++] = (struct part){ commit, due.n };
	s->n_handed = s->changes.n;
	return state_apply(s->db, s->name, &due, e);
}

void state_live_durable(struct state_live *s, uint64_t commit)
{
	size_t n = 0, n_parts = 0;

	while (n_parts < s->n_parts && s->parts[n_parts].commit <= commit)
		n += s->parts[n_parts++].n;
	if (n_parts == 0)
		return;
	changes_drop(&s->changes, n);
	s->n_handed -= n;
	s->n_parts -= n_parts;
	memmove(s->parts, s->parts + n_parts, s->n_parts * sizeof *s->parts);
}

void state_live_undone(struct state_live *s)
{
	s->n_parts = 0;
	s->n_handed = 0;
}
