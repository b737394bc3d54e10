#include "delivery/places.h"

#include <stdlib.h>

#include "base/mem.h"

struct places {
	size_t max, n_held;
	int64_t idle_ms;
	struct place_list idle; /* the longest first */
	struct place_list line;
};

struct places *places_new(size_t max, int64_t idle_ms)
{
	struct places *ps = mem_zalloc(sizeof *ps);

	ps->max = max;
	ps->idle_ms = idle_ms;
	TAILQ_INIT(&ps->idle);
	TAILQ_INIT(&ps->line);
	return ps;
}

void places_free(struct places *ps)
{
	free(ps);
}

static bool has_room(const struct places *ps)
{
	return !ps->max || ps->n_held < ps->max;
}

static void leave_list(struct place *p)
{
	if (p->list)
		TAILQ_REMOVE(p->list, p, entry);
	p->list = NULL;
}

static void hold(struct places *ps, struct place *p)
{
	leave_list(p);
	p->is_held = true;
	ps->n_held++;
}

bool places_take(struct places *ps, struct place *p)
{
	if (p->is_held)
		return true;
	if (has_room(ps) && (TAILQ_EMPTY(&ps->line) || TAILQ_FIRST(&ps->line) == p)) {
		hold(ps, p);
		return true;
	}
	if (!p->list) {
		p->list = &ps->line;
		TAILQ_INSERT_TAIL(&ps->line, p, entry);
	}
	return false;
}

void places_leave(struct places *ps, struct place *p)
{
	leave_list(p);
	ps->n_held -= p->is_held;
	p->is_held = false;
}

bool places_is_waiting(const struct places *ps, const struct place *p)
{
	return p->list == &ps->line;
}

/* Nearly all are the latest; those that are to be left alone for a while are behind. */
void places_rest(struct places *ps, struct place *p, int64_t since_ms)
{
	struct place *before = TAILQ_LAST(&ps->idle, place_list);

	if (!p->is_held || p->list)
		return;
	while (before && before->idle_ms > since_ms)
		before = TAILQ_PREV(before, place_list, entry);
	p->idle_ms = since_ms;
	p->list = &ps->idle;
	if (before)
		TAILQ_INSERT_AFTER(&ps->idle, before, p, entry);
	else
		TAILQ_INSERT_HEAD(&ps->idle, p, entry);
}

void places_use(struct places *ps, struct place *p)
{
	if (p->list == &ps->idle)
		leave_list(p);
}

/* When the first of those that are idle has to go; INT64_MAX: none is. */
static int64_t gives_up_ms(const struct places *ps)
{
	const struct place *first = TAILQ_FIRST(&ps->idle);
	bool is_wanted = !TAILQ_EMPTY(&ps->line) && !has_room(ps);

	return !first ? INT64_MAX : first->idle_ms + (is_wanted ? PLACES_REST_MS : ps->idle_ms);
}

struct place *places_due(const struct places *ps, int64_t now_ms)
{
	return gives_up_ms(ps) <= now_ms ? TAILQ_FIRST(&ps->idle) : NULL;
}

struct place *places_next(struct places *ps)
{
	struct place *p = has_room(ps) ? TAILQ_FIRST(&ps->line) : NULL;

	if (p)
		hold(ps, p);
	return p;
}

int64_t places_due_ms(const struct places *ps)
{
	return has_room(ps) && !TAILQ_EMPTY(&ps->line) ? 0 : gives_up_ms(ps);
}
