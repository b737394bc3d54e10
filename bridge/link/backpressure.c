#include "link/backpressure.h"

enum backpressure_step backpressure_step(struct backpressure *p, enum side source, size_t pending)
{
	bool was_held = p->is_held[source];
	size_t mark = was_held ? BACKPRESSURE_LOW_BYTES : BACKPRESSURE_HIGH_BYTES;
	bool is_held = p->is_closed || pending >= mark;

	p->is_held[source] = is_held;
	if (is_held == was_held)
		return BACKPRESSURE_SAME;
	return is_held ? BACKPRESSURE_HOLD : BACKPRESSURE_RELEASE;
}
