#include "work/own_programs.h"

void own_programs_want(struct own_programs_wanted *wanted, struct own_program program)
{
	unsigned n = atomic_load_explicit(&wanted->n, memory_order_relaxed);

	if (n >= OWN_PROGRAMS_MAX)
		return;
	wanted->items[n] = program;
	atomic_store_explicit(&wanted->n, n + 1, memory_order_release);
}

static bool has(const struct own_programs *o, struct own_program program)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->items[i].mapping == program.mapping && o->items[i].fn == program.fn)
			return true;
	return false;
}

void own_programs_hear(struct own_programs *o, const struct own_programs_wanted *wanted,
		       size_t *n_heard)
{
	unsigned n = atomic_load_explicit(&wanted->n, memory_order_acquire);

	for (; *n_heard < n && *n_heard < OWN_PROGRAMS_MAX; ++*n_heard) {
		struct own_program program = wanted->items[*n_heard];

		if (o->n < OWN_PROGRAMS_MAX && !has(o, program))
			o->items[o->n++] = program;
	}
}

bool own_programs_next(struct own_programs *o, struct own_program *out)
{
	if (own_programs_are_begun(o))
		return false;
	*out = o->items[o->n_begun++];
	return true;
}

bool own_programs_are_begun(const struct own_programs *o)
{
	return o->n_begun == o->n;
}
