#include "link/pressure.h"

enum pressure_step pressure_step(struct pressure *p, enum side source, size_t pending)
{
	bool was_held = p->is_held[source];
	size_t mark = was_held ? PRESSURE_LOW_BYTES : PRESSURE_HIGH_BYTES;
	bool is_held = p->is_closed || pending >= mark;

	p->is_held[source] = is_held;
	if (is_held == was_held)
		return PRESSURE_SAME;
	return is_held ? PRESSURE_HOLD : PRESSURE_RELEASE;
}
