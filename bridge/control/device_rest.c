#include "control/device_rest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"
#include "state/presence.h"
#include "state/reported.h"
#include "state/twin.h"
#include "store/state.h"

/* Their rows, and which of them keeps them. */
static const struct {
	const struct machine *machine;
	size_t keeper;
} rests[] = {
	{ &twin_machine, 0 },
	{ &twin_key_machine, 0 },
	{ &presence_machine, 2 },
	{ &reported_machine, 3 },
};
#define N_RESTS (sizeof rests / sizeof rests[0])

struct device_rest {
	void *kept[N_RESTS]; /* by the number of the keeper */
	struct changes changes;
};

static bool restore(void *ctx, const char *machine, const char *key, const char *value,
		    struct err *e)
{
	struct device_rest *r = ctx;

	for (size_t i = 0; i < N_RESTS; i++)
		if (strcmp(rests[i].machine->name, machine) == 0)
			return rests[i].machine->restore(r->kept[rests[i].keeper], key, value,
							 &r->changes, e);
	return true;
}

static void set_aside(void *ctx, const char *machine, const char *key, const char *why)
{
	(void)ctx; /* the next start of the bridge would */
	(void)machine;
	(void)key;
	(void)why;
}

struct device_rest *device_rest_load(struct db *db, const char *link, struct err *e)
{
	static const struct state_reader reader = { .each = restore, .aside = set_aside };
	struct device_rest *r = mem_zalloc(sizeof *r);

	for (size_t i = 0; i < N_RESTS; i++)
		if (rests[i].keeper == i)
			r->kept[i] = rests[i].machine->new ();
	if (state_load(db, link, &reader, r, e))
		return r;
	device_rest_free(r);
	return NULL;
}

void device_rest_forget(struct device_rest *r, const char *device, struct changes *out)
{
	for (size_t i = 0; i < N_RESTS; i++)
		if (rests[i].keeper == i)
			rests[i].machine->forget(r->kept[i], device, out);
}

void device_rest_free(struct device_rest *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < N_RESTS; i++)
		if (rests[i].keeper == i)
			rests[i].machine->free(r->kept[i]);
	changes_fini(&r->changes);
	free(r);
}
