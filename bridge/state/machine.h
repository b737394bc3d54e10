/* machine.h -- the shape that all state machines have in common, for who keeps them in a table.
 *
 * A machine keeps what the bridge knows beyond a message: open requests, configurations, who is online.
 * It is pure: events and times go in, actions and struct changes come out, and its rows come back at the
 * next start.  What it does else is in its own header, and each is different; this is what must be done
 * to every one.
 *
 * A new one: a module in state/ that ends with such a struct, and a row in link/machines.c. */
#ifndef BRIDGE_MACHINE_H
#define BRIDGE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct changes;
struct err;

struct machine {
	const char *name; /* of its rows: the `machine` of their changes */
	void *(*new)(void);
	void (*free)(void *m); /* NULL is allowed */
	/* Take back a row that an earlier run put out.  A row that is not needed any more may be deleted
	 * again, in *out.  False sets *e: ERR_CORRUPT, not such a row, nothing changed. */
	bool (*restore)(void *m, const char *key, const char *value, struct changes *out,
			struct err *e);
	/* Drop all that is known of a device, and delete its rows.  NULL: its rows do not say of which
	 * device they are, and end by themselves. */
	void (*forget)(void *m, const char *device, struct changes *out);
	/* The earliest; INT64_MAX: none.  NULL: it never has one. */
	int64_t (*next_deadline)(const void *m);
};

/* For modules: their PREFIX_new(), _free(), _restore() and _forget() as the functions machine_new() ... of
 * a machine.  (A pointer to a function is called only as what it is.) */
#define MACHINE_FUNCTIONS(prefix)                                                                  \
	static void *machine_new(void)                                                             \
	{                                                                                          \
		return prefix##_new();                                                             \
	}                                                                                          \
	static void machine_free(void *m)                                                          \
	{                                                                                          \
		prefix##_free(m);                                                                  \
	}                                                                                          \
	static bool machine_restore(void *m, const char *key, const char *value,                   \
				    struct changes *out, struct err *e)                            \
	{                                                                                          \
		(void)out;                                                                         \
		return prefix##_restore(m, key, value, e);                                         \
	}                                                                                          \
	static void machine_forget(void *m, const char *device, struct changes *out)               \
	{                                                                                          \
		prefix##_forget(m, device, out);                                                   \
	}
#define MACHINE_FIELDS                                                                             \
	.new = machine_new, .free = machine_free, .restore = machine_restore,                      \
	.forget = machine_forget

#endif
