/* link_away.c -- messages that are pending, and of which the link has let go: they wait for so long that nothing of
 * them is in memory (live/live_link_parked.c).
 *
 * What is let go of has led to outputs only, of which none has had its end: so it can go the way that it would go
 * after a restart, once more.  On that way back nobody hears again what was heard when it came. */
#include <stdlib.h>

#include "base/mem.h"
#include "fleet/waves.h"
#include "link/link_inside.h"
#include "message/hops.h"
#include "translate/executor.h"

/* Would it lead to the same, whatever the state is by then? */
static bool is_stateless(const struct reader *const *readers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (kind_table[readers[i]->row->kind].logic == LOGIC_ALWAYS)
			return false;
	return n > 0;
}

/* Is it read in the sequence of this device, or of a session?  (Then link_mark() is behind it.) */
static bool is_read_beside(const struct link *l, const struct intake *in, const char *device)
{
	const char *named =
		translate_device(l->plan, flow_source(in->flow), in->device, in->topic_device);

	return !named || strcmp(named, device) == 0;
}

bool link_may_let_go(const struct link *l, const struct intake *in, const char *device, unsigned n)
{
	if (in->refs != n || in->n_jobs || in->n_ended || in->dead != CARRIED || in->decision ||
	    in->welcomes || in->greets || in->n_orders)
		return false;
	if (in->stage == INTAKE_DECIDED)
		return !in->compared;
	return in->stage <= INTAKE_OPEN && is_stateless(in->readers, in->n_readers) &&
	       is_read_beside(l, in, device);
}

bool link_copy_raw(const struct intake *in, struct message *out, struct arrival *a)
{
	if (!in->raw || in->stage > INTAKE_OPEN)
		return false;
	message_copy(out, in->raw);
	if (in->hops)
		vars_add(&out->properties, HOPS_PROPERTY, in->hops);
	*a = (struct arrival){ .from = flow_source(in->flow),
			       .device = in->device,
			       .message = out,
			       .at_ms = in->at_ms,
			       .since_ms = in->since_ms };
	return true;
}

struct link_away link_let_go(struct link *l, struct intake *in)
{
	const struct link_away away = { .id = in->id, .kind = in->kind };

	l->pending_bytes[in->flow] -= in->n_bytes;
	link_compare_drop(l, in);
	link_drop_watch(in);
	intake_free(in);
	return away;
}

struct link_away link_keep_away(struct link *l, const struct arrival *a, const char *device,
				enum kind kind, bool is_own)
{
	struct link_counters *c = &l->counters[flow_from(a->from)];

	if (device)
		link_note_device(l, device, a->from, a->at_ms);
	c->resumed += !is_own;
	c->pending += !is_own;
	return (struct link_away){ .id = ++l->n_intakes, .kind = kind };
}

void intake_is_back(struct link *l, struct intake *in, const struct link_away *away)
{
	struct link_counters *c = &l->counters[in->flow];

	if (!away)
		return;
	in->id = away->id;
	in->place = away->place;
	c->resumed -= !intake_is_own(in);
	c->pending -= !intake_is_own(in);
}

void link_end_away(struct link *l, const struct arrival *a, const char *device, bool is_own,
		   enum outcome reason)
{
	const struct verdict v = { .id = a->away->id,
				   .flow = flow_from(a->from),
				   .reason = reason,
				   .tag = a->tag,
				   .is_own = is_own,
				   .kind = a->away->kind,
				   .received_ms = a->since_ms };

	if (!is_own) {
		intake_count(&l->counters[v.flow], v.kind, reason);
		waves_settled(l->waves, device, v.flow, reason, a->since_ms);
	}
	l->ops.settled(l->ctx, &v);
}

/* Nobody has looked at it yet, it may be: then it is what confirms an open push. */
static bool may_be_echo(const struct link *l, const struct match *match, const char *device)
{
	bool echoes = false;

	for (size_t i = 0; i < match->n; i++)
		echoes = echoes || match->readers[i]->row->echoes != KIND_NONE;
	return echoes && logic_awaits_echo(l, device);
}

char *link_reports_of(const struct link *l, const struct arrival *a, enum kind *kind)
{
	struct match match;
	const char *device;
	char *native, *copy;

	plan_match(l->plan, a->from, a->message->topic, &match);
	if (!is_stateless(match.readers, match.n) ||
	    kind_table[match.readers[0]->row->kind].flow != flow_from(a->from))
		return NULL;
	*kind = match.readers[0]->row->kind;
	native = translate_topic_device(match.readers[0], a->message->topic);
	device = translate_device(l->plan, a->from, a->device, native);
	copy = device && !may_be_echo(l, &match, device) ? mem_strdup(device) : NULL;
	free(native);
	return copy;
}

const char *link_entry_device(struct link *l, const struct arrival *a)
{
	return link_entry(l, a)->device;
}

/* --- behind what came back ------------------------------------------------------------------- */

struct mark {
	struct job job;
	struct link *link;
	char *device;
	uint64_t number;
};

static void drop_mark(struct job *job)
{
	struct mark *m = (struct mark *)job; /* the job is its first member */

	free(m->device);
	free(m);
}

static void on_through(struct job *job, struct results *results)
{
	struct mark *m = (struct mark *)job;

	(void)results;
	m->link->ops.came_back(m->link->ctx, m->device, m->number);
	drop_mark(job);
}

static void submit(struct link *l, struct sequence *q, const char *device, uint64_t number,
		   void (*done)(struct job *job, struct results *results))
{
	struct mark *m = mem_zalloc(sizeof *m);

	*m = (struct mark){ .job = { .type = JOB_NOTHING, .done = done, .drop = drop_mark },
			    .link = l,
			    .device = mem_strdup(device),
			    .number = number };
	strand_submit(q->strand, &m->job);
}

static void on_read(struct job *job, struct results *results)
{
	struct mark *m = (struct mark *)job;

	(void)results;
	submit(m->link, sequence_of_device(m->link, m->device), m->device, m->number, on_through);
	drop_mark(job);
}

void link_mark(struct link *l, enum side from, const char *device, uint64_t number)
{
	submit(l, l->sessions[from], device, number, on_read);
}
