/* link_watch.c -- of devices that a wave has just cut over (fleet/waves.h): it is told what becomes of their
 * messages. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fleet/waves.h"
#include "link/link_inside.h"

void link_watch(struct link *l, struct intake *in, const char *device)
{
	if (!device || !waves_watches(l->waves, device))
		return;
	for (size_t i = 0; i < in->n_watched; i++)
		if (strcmp(in->watched[i], device) == 0)
			return;
	in->watched = mem_grow(in->watched, in->n_watched, sizeof *in->watched);
	in->watched[in->n_watched++] = mem_strdup(device);
	if (!in->place)
		waves_accepted(l->waves, device, in->flow, in->since_ms);
}

void link_drop_watch(struct intake *in)
{
	for (size_t i = 0; i < in->n_watched; i++)
		free(in->watched[i]);
	free(in->watched);
	in->watched = NULL;
	in->n_watched = 0;
}

/* (What nobody reads is its session's, if it came on one.) */
void link_end_watch(struct link *l, struct intake *in, enum outcome end)
{
	if (!in->n_watched)
		link_watch(l, in, in->device);
	for (size_t i = 0; i < in->n_watched; i++)
		waves_settled(l->waves, in->watched[i], in->flow, end, in->since_ms);
	link_drop_watch(in);
}

struct waves *link_waves(struct link *l)
{
	return l->waves;
}
