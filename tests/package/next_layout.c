/* A calque to come, whose database is one version further than ours: what a package is upgraded to, and downgraded
 * from. */
#include <string.h>

#include "store/layout.h"

/* Names are those that ld makes: --wrap. */
bool __real_layout_read(struct db *db, const struct layout *layout, int *version, struct err *e);
bool __wrap_layout_read(struct db *db, const struct layout *layout, int *version, struct err *e);
bool __real_layout_make(struct db *db, const struct layout *layout, struct err *e);
bool __wrap_layout_make(struct db *db, const struct layout *layout, struct err *e);
bool __real_layout_bring_up(struct db *db, const struct layout *layout, int version, struct err *e);
bool __wrap_layout_bring_up(struct db *db, const struct layout *layout, int version, struct err *e);

static const struct layout *next(const struct layout *layout)
{
	static struct layout_step steps[100]; /* the last one changes nothing */
	static struct layout l;

	memcpy(steps, layout->steps, (size_t)layout->n_steps * sizeof *steps);
	l = *layout;
	l.version++;
	l.steps = steps;
	l.n_steps++;
	return &l;
}

bool __wrap_layout_read(struct db *db, const struct layout *layout, int *version, struct err *e)
{
	return __real_layout_read(db, next(layout), version, e);
}

bool __wrap_layout_make(struct db *db, const struct layout *layout, struct err *e)
{
	return __real_layout_make(db, next(layout), e);
}

bool __wrap_layout_bring_up(struct db *db, const struct layout *layout, int version, struct err *e)
{
	return __real_layout_bring_up(db, next(layout), version, e);
}
