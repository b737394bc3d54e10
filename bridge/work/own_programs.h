/* own_programs.h -- which functions get a program of their own, as it turns out what is called often.
 *
 * A list in the order in which workers found it out, at most OWN_PROGRAMS_MAX long; one after the other is to be
 * compiled where programs are.  What a worker says is believed for no more than that. */
#ifndef BRIDGE_OWN_PROGRAMS_H
#define BRIDGE_OWN_PROGRAMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWN_PROGRAMS_MAX 24

struct own_program {
	uint32_t mapping, fn; /* mapping_number(), and the function's */
};

struct own_programs {
	struct own_program items[OWN_PROGRAMS_MAX];
	size_t n, n_begun;
};

/* In memory that a worker shares: written there only, whatever that is. */
struct own_programs_wanted {
	atomic_uint n;
	struct own_program items[OWN_PROGRAMS_MAX];
};

/* In the worker. */
void own_programs_want(struct own_programs_wanted *wanted, struct own_program program);
/* And in the bridge: add what is new; *n_heard of it was heard before. */
void own_programs_hear(struct own_programs *o, const struct own_programs_wanted *wanted,
		       size_t *n_heard);
/* The next to be compiled; false: there is none. */
bool own_programs_next(struct own_programs *o, struct own_program *out);
/* Was all that is wanted begun? */
bool own_programs_are_begun(const struct own_programs *o);

#endif
