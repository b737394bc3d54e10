/* refs.h -- how many use a thing that somebody else owns.  The count frees nothing: the owner looks at it
 * from time to time, where nobody is on the stack who uses the thing, and may free it when it is 0.
 * A plain value, of one thread. */
#ifndef BRIDGE_REFS_H
#define BRIDGE_REFS_H

#include <assert.h>
#include <stddef.h>

struct refs {
	size_t n;
};

/* NULL: a thing that outlives its users anyway. */
static inline void refs_hold(struct refs *r)
{
	if (r)
		r->n++;
}

static inline void refs_drop(struct refs *r)
{
	if (!r)
		return;
	assert(r->n > 0);
	r->n--;
}

#endif
