#include "admin/sample.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "fleet/waves.h"
#include "link/link.h"
#include "message/kind.h"
#include "metric/exposition.h"
#include "control/control_request.h"
#include "live/generation.h"
#include "live/live_link.h"
#include "live/storage.h"
#include "store/commit.h"
#include "store/deadletter.h"
#include "store/deadletter_live.h"
#include "store/journal_live.h"
#include "translate/executor.h"
#include "work/worker.h"

#define LACKS_MOST 20 /* lines: of a thousand links that are down, some are enough */

/* --- taking it ----------------------------------------------------------------------------- */

static void put_of_kind(struct sample_link *link, enum flow flow, int kind, const uint64_t *of)
{
	struct buf labels = { 0 };

	for (int r = 0; of && r < OUTCOMES; r++) {
		if (!of[r])
			continue;
		buf_reset(&labels);
		buf_append(&labels, link->label.data, link->label.len);
		exposition_label(&labels, "flow", flow_name(flow));
		exposition_label(&labels, "kind",
				 kind < KINDS ? kind_name((enum kind)kind) : "none");
		exposition_label(&labels, "outcome",
				 r == CARRIED			    ? "delivered"
				 : outcome_is_dead((enum outcome)r) ? "dead"
								    : "filtered");
		exposition_label(&labels, "reason", outcome_word((enum outcome)r));
		exposition_count(&link->by_kind, "calque_message_outcomes_total", &labels, of[r]);
	}
	buf_fini(&labels);
}

static void take_flow(const struct live_link *live, enum flow flow, struct sample_link *out)
{
	const struct link_counters *c = live_link_counters(live, flow);

	out->flow[flow] = (struct sample_flow){ .received = c->received,
						.resumed = c->resumed,
						.delivered = c->delivered,
						.filtered = c->filtered,
						.dead = c->dead,
						.pending = c->pending,
						.own = c->own,
						.unanswered = c->unanswered,
						.oldest_ms = INT64_MAX };
	memcpy(out->flow[flow].by, c->by, sizeof c->by);
	for (int k = 0; k <= KINDS; k++)
		put_of_kind(out, flow, k, c->of[k]);
}

/* All sessions of a side are with one address, and maybe not all with one server of it. */
static void take_peer(int64_t expires_s, int64_t *first_s)
{
	if (expires_s && (!*first_s || expires_s < *first_s))
		*first_s = expires_s;
}

static void take_port(const struct port *p, struct sample_link *out)
{
	struct live_link_port look;
	enum flow flow;

	live_link_look_at_port(p, &look);
	flow = flow_from(side_other(look.side)); /* what waits came from there */
	if (look.oldest_ms < out->flow[flow].oldest_ms)
		out->flow[flow].oldest_ms = look.oldest_ms;
	if (look.is_parked)
		out->parked += look.waiting;
	take_peer(look.carrier.peer_certificate_s, &out->peer_certificate_s[look.side]);
	if (look.device || look.is_provisioning)
		return;
	out->side[look.side] = (struct sample_session){
		.phase = look.carrier.phase,
		.attempts = look.carrier.attempts,
		.waiting = look.waiting,
		.in_flight = look.in_flight,
		.bytes = look.bytes,
		.window = (uint64_t)look.window,
		.per_second = (uint64_t)look.per_second,
		.packet_bytes = (uint64_t)look.packet_bytes,
		.oldest_ms = look.oldest_ms,
		.certificate_s = look.carrier.certificate_s,
	};
}

static void take_waves(const struct waves *w, struct sample_waves *out)
{
	struct waves_failing told[WAVES_TOLD];
	const struct wave_count *c;
	const struct wave *wave;
	size_t n;

	if (waves_phase(w) == WAVES_NONE)
		return;
	out->phase = waves_phase_names[waves_phase(w)];
	out->kept = waves_kept(w, told, &n);
	if (waves_at(w) >= waves_list(w)->n)
		return;
	wave = &waves_list(w)->items[waves_at(w)];
	c = waves_count(w, waves_at(w));
	out->wave = mem_strdup(wave->name);
	out->state = wave_state_names[c->state];
	out->devices = (uint64_t)c->devices;
	out->failures = (uint64_t)c->failures;
	out->max_failures = (uint64_t)wave->max_failures;
	out->dead_letters = (uint64_t)c->dead_letters;
	out->max_dead_letters = (uint64_t)wave->max_dead_letters;
}

static void take_link(struct live_link *live, struct sample_link *out)
{
	struct live_link_sessions sessions;
	struct link_devices devices;

	out->name = mem_strdup(live_link_name(live));
	exposition_label(&out->label, "link", out->name);
	for (int f = 0; f < FLOWS; f++)
		take_flow(live, (enum flow)f, out);
	for (const struct port *p = NULL; (p = live_link_next_port(live, p));)
		take_port(p, out);
	out->has_device_sessions = live_link_sessions(live, &sessions);
	if (out->has_device_sessions) {
		out->up = sessions.up;
		out->refused = sessions.refused;
		out->lacking = sessions.lacking;
		out->down = sessions.n - sessions.up - sessions.refused - sessions.lacking;
	}
	live_link_devices(live, &devices);
	out->devices = devices.n;
	out->devices_max = devices.most;
	out->forgotten = devices.forgotten;
	out->unremembered = devices.unremembered;
	take_waves(live_link_waves(live), &out->waves);
}

struct sample *sample_new(const struct control_request_parts *parts)
{
	struct sample *s = mem_zalloc(sizeof *s);
	struct workers_counters workers;
	struct deadletter_totals letters = { 0 };
	struct err e = { 0 };

	s->now_ms = clock_now_ms();
	s->wall_ms = clock_wall_ms();
	s->uptime_ms = clock_mono_ms() - parts->started_ms;
	s->links = mem_zalloc(parts->n_links * sizeof *s->links);
	for (; s->n_links < parts->n_links; s->n_links++)
		take_link(parts->links[s->n_links], &s->links[s->n_links]);
	s->journal_bytes = journal_live_bytes(parts->journal);
	s->journal_messages = journal_live_messages(parts->journal);
	s->journal_max_bytes = (uint64_t)parts->conf->journal.max_bytes;
	generation_count_workers(parts->generation, &workers);
	s->workers = workers.processes;
	s->replaced = workers.replaced;
	s->renewed = workers.renewed;
	s->lied = workers.lied;
	deadletters_totals(deadletter_live_stored(parts->letters), &letters, &e);
	s->letters = letters.count;
	s->letter_bytes = (uint64_t)letters.bytes;
	s->evicted = deadletter_live_evicted(parts->letters);
	s->is_writable =
		parts->storage->stage == STORAGE_WELL && parts->storage->failure.code == ERR_NONE;
	s->commits = *commits_times(parts->commits);
	s->translations = *executor_times(generation_executor(parts->generation));
	return s;
}

void sample_free(struct sample *s)
{
	for (size_t i = 0; i < s->n_links; i++) {
		free(s->links[i].name);
		buf_fini(&s->links[i].label);
		buf_fini(&s->links[i].by_kind);
		free(s->links[i].waves.wave);
	}
	free(s->links);
	free(s);
}

/* --- is it ready? -------------------------------------------------------------------------- */

static bool is_phase(const struct sample_session *s, const char *phase)
{
	return s->phase && strcmp(s->phase, phase) == 0;
}

/* In a fleet some device is always away: it is ready unless there are some, and none of them is up. */
static bool are_devices_ready(const struct sample_link *link)
{
	return !link->has_device_sessions || link->up > 0 || link->down + link->refused == 0;
}

static void put_link_lacks(const struct sample *s, const struct sample_link *link, bool is_strict,
			   int64_t age_s, struct buf *out)
{
	for (int side = 0; side < SIDES; side++) {
		const struct sample_session *one = &link->side[side];
		bool is_up = is_phase(one, "up"), is_there = one->phase != NULL;
		int64_t age_ms = one->oldest_ms == INT64_MAX ? 0 : s->now_ms - one->oldest_ms;

		if ((side == SOUTH || is_strict) && is_there && !is_up && !is_phase(one, "held"))
			buf_printf(out, "link %s: %s is not up: %s\n", link->name,
				   side_name((enum side)side), one->phase);
		else if (is_up && age_ms > age_s * 1000)
			buf_printf(out, "link %s: a message for %s has waited for %lld s\n",
				   link->name, side_name((enum side)side),
				   (long long)age_ms / 1000);
	}
	if (is_strict && !are_devices_ready(link))
		buf_printf(out, "link %s: no session of a device is up\n", link->name);
}

void sample_put_lacks(const struct sample *s, bool is_strict, int64_t age_s, struct buf *out)
{
	size_t n = 0;

	if (!s->is_writable)
		buf_puts(out, "state: it cannot be written\n");
	if (s->workers == 0)
		buf_puts(out, "workers: there are none\n");
	for (size_t i = 0; i < s->n_links; i++) {
		size_t before = out->len;

		put_link_lacks(s, &s->links[i], is_strict, age_s, out);
		if (out->len > before && ++n > LACKS_MOST)
			buf_cut(out, before);
	}
	if (n > LACKS_MOST)
		buf_printf(out, "and %zu link%s more\n", n - LACKS_MOST, PLURAL(n - LACKS_MOST));
}

bool sample_is_up(const struct sample *s)
{
	for (size_t i = 0; i < s->n_links; i++) {
		const struct sample_link *link = &s->links[i];

		for (int side = 0; side < SIDES; side++)
			if (link->side[side].phase && !is_phase(&link->side[side], "up") &&
			    !is_phase(&link->side[side], "held"))
				return false;
		if (!are_devices_ready(link))
			return false;
	}
	return true;
}
