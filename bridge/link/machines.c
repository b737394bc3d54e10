/* machines.c -- the state machines of a link, each a row of one table: how they come and go, what time does
 * to them, and what the link does then. */
#include <string.h>

#include "base/err.h"
#include "fleet/fleet.h"
#include "fleet/waves.h"
#include "link/link_inside.h"
#include "fleet/compare.h"
#include "state/devices.h"
#include "state/echo.h"
#include "state/machine.h"
#include "state/pairing.h"
#include "state/presence.h"
#include "handshake/provision.h"
#include "state/reported.h"
#include "state/subscription.h"
#include "state/twin.h"
#include "translate/executor.h"

static void expire_pairings(struct link *l);
static void expire_provisions(struct link *l);
static void resume_provisions(struct link *l);
static void expire_twins(struct link *l);
static void note_fleet(struct link *l);
static void note_waves(struct link *l);
static void note_compares(struct link *l);

static const struct machine_row {
	const struct machine *machine;
	size_t at;	       /* where the pointer to it is in struct link */
	bool is_borrowed;      /* who made it and ends it is not this table */
	bool goes_with_device; /* a side said that a device is gone: what is known of it is dropped */
	/* Its deadlines: do what is due at l->now_ms.  NULL: it has none. */
	void (*expire)(struct link *l);
	/* After all rows are restored: go on with what was in hand.  NULL: nothing is. */
	void (*resume)(struct link *l);
} table[] = {
	{ &pairing_machine, offsetof(struct link, pairings), .expire = expire_pairings },
	{ &provision_machine, offsetof(struct link, provisions), .expire = expire_provisions,
	  .resume = resume_provisions },
	{ &twin_machine, offsetof(struct link, twins), .goes_with_device = true,
	  .expire = expire_twins },
	{ &twin_key_machine, offsetof(struct link, twins), .is_borrowed = true },
	{ &presence_machine, offsetof(struct link, presences), .goes_with_device = true,
	  .expire = presence_tick },
	{ &reported_machine, offsetof(struct link, reporteds), .goes_with_device = true },
	{ &devices_machine, offsetof(struct link, devices), .is_borrowed = true,
	  .goes_with_device = true },
	{ &fleet_machine, offsetof(struct link, fleet), .goes_with_device = true,
	  .expire = note_fleet },
	{ &fleet_seen_machine, offsetof(struct link, fleet), .is_borrowed = true },
	{ &fleet_salt_machine, offsetof(struct link, fleet), .is_borrowed = true },
	{ &waves_machine, offsetof(struct link, waves), .expire = note_waves },
	{ &wave_device_machine, offsetof(struct link, waves), .is_borrowed = true },
	{ &echo_machine, offsetof(struct link, echoes), .is_borrowed = true },
	{ &compare_machine, offsetof(struct link, compares), .goes_with_device = true,
	  .expire = note_compares },
	{ &subscription_machine, offsetof(struct link, subscriptions), .is_borrowed = false },
};
#define N_ROWS (sizeof table / sizeof table[0])

/* The pointers in struct link have types of their own, so they are moved as bytes. */
static void *get(const struct link *l, const struct machine_row *row)
{
	void *m;

	memcpy(&m, (const char *)l + row->at, sizeof m);
	return m;
}

static void set(struct link *l, const struct machine_row *row, void *m)
{
	memcpy((char *)l + row->at, &m, sizeof m);
}

void machines_new(struct link *l)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (!table[i].is_borrowed)
			set(l, &table[i], table[i].machine->new ());
}

void machines_free(struct link *l)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (!table[i].is_borrowed)
			table[i].machine->free(get(l, &table[i]));
}

static bool restore(struct link *l, const struct machine_row *row, const char *key,
		    const char *value, struct err *e)
{
	bool ok = row->machine->restore(get(l, row), key, value, &l->changes, e);

	if (ok && row->goes_with_device)
		registry_restored(l, key);
	return ok;
}

bool link_restore(struct link *l, const char *machine, const char *key, const char *value,
		  struct err *e)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (strcmp(table[i].machine->name, machine) == 0)
			return restore(l, &table[i], key, value, e);
	err_set(e, ERR_CORRUPT, "no machine is called %s", machine);
	return false;
}

static void forget(struct link *l, const struct machine_row *row, const char *device)
{
	if (row->machine->forget)
		row->machine->forget(get(l, row), device, &l->changes);
}

void link_forget(struct link *l, const char *device)
{
	for (size_t i = 0; i < N_ROWS; i++)
		forget(l, &table[i], device);
	registry_gone(l, device);
	link_tell_devices(l);
}

void machines_device_gone(struct link *l, const char *device)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (table[i].goes_with_device)
			forget(l, &table[i], device);
	registry_gone(l, device);
}

/* --- time ---------------------------------------------------------------------------------- */

int64_t link_next_deadline(const struct link *l)
{
	bool is_due = l->n_ended || (l->asks_later && !l->n_answers_again);
	int64_t earliest = is_due ? 0 : greeting_next_deadline(l);

	if (provisioning_next_deadline(l) < earliest)
		earliest = provisioning_next_deadline(l);

	for (size_t i = 0; i < N_ROWS; i++) {
		const struct machine *m = table[i].machine;
		int64_t deadline =
			m->next_deadline ? m->next_deadline(get(l, &table[i])) : INT64_MAX;

		if (deadline < earliest)
			earliest = deadline;
	}
	return earliest;
}

void link_tick(struct link *l, int64_t now_ms)
{
	l->now_ms = now_ms;
	if (l->asks_later && !l->n_answers_again)
		resume_provisions(l);
	for (size_t i = 0; i < N_ROWS; i++)
		if (table[i].expire)
			table[i].expire(l);
	greeting_tick(l);
	provisioning_tick(l);
}

void link_resume(struct link *l, int64_t now_ms)
{
	l->now_ms = now_ms;
	l->has_resumed = true;
	registry_prune(l);
	for (size_t i = 0; i < N_ROWS; i++)
		if (table[i].resume)
			table[i].resume(l);
	provisioning_resume(l);
}

/* There will be no reply. */
static void give_up(struct link *l, const struct pairing *p, const char *why)
{
	struct intake *in;
	bool is_told = true;

	link_begin_own(l, sequence_of_device(l, p->request.device), l->now_ms);
	in = link_own_intake(l, flow_from(side_other(p->caller)));
	if (p->answer)
		logic_send_answer(l, in, p->caller, &p->request, p->reply_topic, p->answer);
	else if (p->request.kind == KIND_ATTRIBUTES_REQUEST)
		is_told = logic_answer_held(l, in, p->caller, &p->request, p->reply_topic);
	else
		logic_send_error(l, in, p->caller, &p->request, p->reply_topic, why);
	if (!is_told)
		l->counters[flow_from(p->caller)].unanswered++;
	pairings_close(l->pairings, p, &l->changes);
	link_end_own(l, in);
}

static void expire_pairings(struct link *l)
{
	const struct pairing *p;

	while ((p = pairings_expired(l->pairings, l->now_ms)) != NULL)
		give_up(l, p, p->why ? p->why : "timeout");
}

void link_expire(struct link *l, struct intake *origin, unsigned order, int64_t now_ms)
{
	const struct pairing *p = link_order_pairing(l, origin, order);

	l->now_ms = now_ms;
	if (p) /* else it was told of a time-out before */
		give_up(l, p, p->deadline_ms < now_ms + 1000 ? "timeout" : "expired");
	link_done(l, origin, link_order_is_awaited(origin, order) ? CARRIED : DEAD_EXPIRED,
		  "older than command_max_age");
}

static void expire_twins(struct link *l)
{
	const char *device;

	for (size_t i = 0; i < l->n_ended; i++)
		link_note_ended(l, &l->ended[i]);
	link_drop_ended(l);
	while ((device = twins_next_due(l->twins, l->now_ms)) != NULL) {
		struct intake *in;

		link_begin_own(l, sequence_of_device(l, device), l->now_ms);
		in = link_own_intake(l, FLOW_DOWN);
		logic_send_failed(l, in, device);
		link_end_own(l, in);
	}
}

/* What still waits of a device that left a mode is given up. */
static void end_drain(struct link *l, const char *device)
{
	unsigned leaves = fleet_find(l->fleet, device)->leaves;

	for (int f = 0; f < FLOWS && l->ops.cut_back; f++)
		if (leaves & FLEET_PASSES(f))
			l->ops.cut_back(l->ctx, device, (enum flow)f);
	link_begin_own(l, sequence_of_device(l, device), l->now_ms);
	fleet_end_drain(l->fleet, device, &l->changes);
	link_end_own(l, NULL);
}

static void note_fleet(struct link *l)
{
	const char *device;

	while ((device = fleet_next_drained(l->fleet, l->now_ms)) != NULL)
		end_drain(l, device);

	while ((device = fleet_next_due(l->fleet, l->now_ms)) != NULL) {
		link_begin_own(l, sequence_of_device(l, device), l->now_ms);
		fleet_put_due(l->fleet, device, &l->changes);
		link_end_own(l, NULL);
	}
}

/* (What else is due of waves is done by who can set modes.) */
static void note_waves(struct link *l)
{
	waves_put_due(l->waves, &l->changes);
}

static void note_compares(struct link *l)
{
	const char *device;

	while ((device = compares_next_due(l->compares, l->now_ms)) != NULL) {
		link_begin_own(l, sequence_of_device(l, device), l->now_ms);
		compares_put_due(l->compares, device, &l->changes);
		link_end_own(l, NULL);
	}
}

struct fleet *link_fleet(struct link *l)
{
	return l->fleet;
}

struct devices *link_names(struct link *l)
{
	return l->devices;
}

void link_fleet_changed(struct link *l, struct changes *c)
{
	changes_move(&l->changes, c, c->n);
	link_tell_devices(l);
}

void link_fleet_rest(struct link *l)
{
	const char *device;

	while ((device = fleet_next_due(l->fleet, INT64_MAX)) != NULL)
		fleet_put_due(l->fleet, device, &l->changes);
	while ((device = compares_next_due(l->compares, INT64_MAX)) != NULL)
		compares_put_due(l->compares, device, &l->changes);
}

/* Of one that has no row (yet), as nobody knows it, or there are too many; the device whose link it is is no stranger. */
static enum fleet_mode mode_without_row(const struct link *l, const char *device)
{
	const struct plan *p = l->plan;
	bool is_stranger = !p->is_single && strcmp(device, p->device) != 0;

	return is_stranger && p->new_mode != FLEET_DEFAULT ? p->new_mode : p->mode;
}

enum fleet_mode link_mode(const struct link *l, const char *device)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	return d ? fleet_mode_of(d, l->plan->mode) : mode_without_row(l, device);
}

enum fleet_mode link_mode_at(const struct link *l, const char *device, int64_t at_ms)
{
	const struct fleet_device *d = fleet_find(l->fleet, device);

	return d ? fleet_mode_at(d, l->plan->mode, at_ms) : mode_without_row(l, device);
}

/* What is left to be done for handshakes, in a step of theirs, which it ends. */
static void act(struct link *l, struct provision_actions *acts)
{
	struct intake *in = acts->n ? link_own_intake(l, FLOW_UP) : NULL;

	if (in)
		logic_provision(l, in, acts);
	link_end_own(l, in);
}

static void expire_provisions(struct link *l)
{
	struct provision_terms terms = link_provision_terms(l);
	struct provision_actions acts = { 0 };

	link_begin_own(l, l->handshakes, l->now_ms);
	provisions_expire(l->provisions, &terms, &l->changes, &acts);
	act(l, &acts);
}

/* An answer that is in the journal is heard first.  Was its question asked again, there would be two answers on the
 * session, and as none says whose it is, each device after it would be given what is another's. */
static void resume_provisions(struct link *l)
{
	struct provision_terms terms = link_provision_terms(l);
	struct provision_actions acts = { 0 };

	l->asks_later = l->n_answers_again > 0;
	if (l->asks_later)
		return;
	link_begin_own(l, l->handshakes, l->now_ms);
	provisions_resume(l->provisions, &terms, &l->changes, &acts);
	act(l, &acts);
}
