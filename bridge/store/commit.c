#include "store/commit.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/db_inside.h"

/* All commits in flight are one open transaction of SQLite, so they have one fate: its COMMIT makes durable
 * what all of them wrote, and a roll-back undoes all. */
struct commits {
	struct db *db;
	int64_t late_ms;
	uint64_t last,
		durable; /* those between are in flight, or undone and not handed over again */
	bool is_undone;
	int64_t due_ms;	  /* of the COMMIT; INT64_MAX: nothing was written */
	struct err final; /* what failed for good */
};

struct commits *commits_new(struct db *db, int64_t late_ms)
{
	struct commits *c = mem_zalloc(sizeof *c);

	*c = (struct commits){ .db = db, .late_ms = late_ms, .due_ms = INT64_MAX };
	return c;
}

void commits_free(struct commits *c)
{
	free(c);
}

uint64_t commits_next(const struct commits *c)
{
	return c->last + 1;
}

uint64_t commits_hand_over(struct commits *c, int64_t now_ms)
{
	c->is_undone = false;
	if (c->due_ms == INT64_MAX && db_is_writing(c->db))
		c->due_ms = now_ms + c->late_ms;
	return ++c->last;
}

void commits_undo(struct commits *c)
{
	db_break(c->db);
	db_commit(c->db, NULL); /* is false, and the next one begins anew */
	c->due_ms = INT64_MAX;
	c->is_undone = true;
}

static bool is_open(const struct commits *c)
{
	return c->durable < c->last && !c->is_undone;
}

void commits_step(struct commits *c, int64_t now_ms, const struct commit_ops *ops, void *ctx)
{
	struct err e = { 0 };

	if (!is_open(c) || (c->due_ms != INT64_MAX && now_ms < c->due_ms))
		return;
	c->due_ms = INT64_MAX;
	if (c->final.code == ERR_NONE && db_commit(c->db, &e)) {
		c->durable = c->last;
		ops->durable(ctx, c->durable);
		return;
	}
	if (c->final.code == ERR_NONE && e.code != ERR_FULL)
		c->final = e;
	c->is_undone = c->final.code == ERR_NONE; /* else it is told again, whenever it is asked */
	ops->undone(ctx, c->final.code == ERR_NONE ? &e : &c->final);
}

int64_t commits_deadline(const struct commits *c)
{
	if (!is_open(c))
		return INT64_MAX;
	return c->due_ms == INT64_MAX ? 0 : c->due_ms;
}

uint64_t commits_durable(const struct commits *c)
{
	return c->durable;
}
