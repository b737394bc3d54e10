/* sequence.c -- what is worked on one after the other: each device has a sequence, and so has each session, for what
 * is read of it before it is known whose it is, and the handshakes of a link: their questions leave, and
 * their answers are looked at, in the order in which they came.
 *
 * What holds up one of them holds up no other.  Those of devices come and go. */
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "link/link_inside.h"
#include "translate/executor.h"

#define KEPT 1024 /* of devices, though nothing is to be done in them */

static struct sequence *sequence_new(const struct link *l, const char *device)
{
	struct sequence *q = mem_zalloc(sizeof *q);

	q->device = mem_strdup(device);
	q->strand = strand_new(l->executor, l->ops.worked, l->ctx);
	return q;
}

static void sequence_free(void *sequence)
{
	struct sequence *q = sequence;

	strand_free(q->strand);
	free(q->device);
	free(q);
}

void sequences_new(struct link *l, struct executor *executor)
{
	l->executor = executor;
	l->sweep_at = KEPT;
	for (int s = 0; s < SIDES; s++)
		l->sessions[s] = sequence_new(l, NULL);
	l->handshakes = sequence_new(l, NULL);
	l->stamps = sequence_new(l, NULL);
}

void sequences_free(struct link *l)
{
	map_fini(&l->of_device, sequence_free);
	for (int s = 0; s < SIDES; s++)
		sequence_free(l->sessions[s]);
	sequence_free(l->handshakes);
	sequence_free(l->stamps);
}

struct sequence *sequence_of_device(struct link *l, const char *device)
{
	struct sequence *q = map_get_str(&l->of_device, device);

	if (!q) {
		q = sequence_new(l, device);
		map_set_str(&l->of_device, device, q);
	}
	return q;
}

struct sequence *sequence_of_plain(struct link *l, const struct canonical *p)
{
	if (p->kind == KIND_PROVISION || p->kind == KIND_PROVISION_REPLY)
		return l->handshakes;
	return sequence_of_device(l, p->device);
}

void sequences_sweep(struct link *l)
{
	struct map_pos pos = { 0 };
	struct sequence *q;

	if (l->of_device.n < l->sweep_at)
		return;
	while ((q = map_next(&l->of_device, &pos)) != NULL)
		if (strand_is_idle(q->strand) && !q->decision) {
			map_remove_str(&l->of_device, q->device);
			sequence_free(q);
		}
	l->sweep_at = l->of_device.n * 2 > KEPT ? l->of_device.n * 2 : KEPT;
}
