/* metrics.c -- the table of metrics: each with what it is about, for people, and what puts its samples. */
#include "admin/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "admin/sample.h"
#include "base/buf.h"
#include "base/mem.h"
#include "message/outcome.h"
#include "message/side.h"
#include "metric/exposition.h"

#define PIECE_BYTES (64u << 10) /* so much is made in one turn of the loop */

/* Of a link, for the dozens of families that have them; made when the first does. */
struct labels {
	struct buf flow[FLOWS], side[SIDES];
};

struct metrics {
	struct sample *sample;
	struct labels *of_links;
	size_t family, link; /* to put next */
	bool is_begun;
	struct buf labels;
};

struct family {
	const char *name, *type, *help;
	/* One of these: for all, for each link. */
	void (*whole)(struct metrics *m, const struct family *f, struct buf *out);
	void (*each)(struct metrics *m, const struct family *f, const struct sample_link *link,
		     struct buf *out);
	size_t offset; /* of the number, in the struct that this is about */
};

/* --- samples ------------------------------------------------------------------------------- */

static uint64_t number_at(const void *base, const struct family *f)
{
	return *(const uint64_t *)(const void *)((const char *)base + f->offset);
}

static void label_with(struct buf *labels, const struct sample_link *link, const char *name,
		       const char *value)
{
	buf_append(labels, link->label.data, link->label.len);
	exposition_label(labels, name, value);
}

static const struct labels *labels_of(struct metrics *m, const struct sample_link *link)
{
	struct labels *labels = &m->of_links[link - m->sample->links];

	if (labels->flow[0].len)
		return labels;
	for (int flow = 0; flow < FLOWS; flow++)
		label_with(&labels->flow[flow], link, "flow", flow_name((enum flow)flow));
	for (int side = 0; side < SIDES; side++)
		label_with(&labels->side[side], link, "side", side_name((enum side)side));
	return labels;
}

/* With one label more than those. */
static const struct buf *label_also(struct metrics *m, const struct buf *labels, const char *name,
				    const char *value)
{
	buf_reset(&m->labels);
	buf_append(&m->labels, labels->data, labels->len);
	exposition_label(&m->labels, name, value);
	return &m->labels;
}

static void put_whole(struct metrics *m, const struct family *f, struct buf *out)
{
	exposition_count(out, f->name, NULL, number_at(m->sample, f));
}

static void put_link(struct metrics *m, const struct family *f, const struct sample_link *link,
		     struct buf *out)
{
	(void)m;
	exposition_count(out, f->name, &link->label, number_at(link, f));
}

static void put_flows(struct metrics *m, const struct family *f, const struct sample_link *link,
		      struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int flow = 0; flow < FLOWS; flow++)
		exposition_count(out, f->name, &labels->flow[flow],
				 number_at(&link->flow[flow], f));
}

static void put_sides(struct metrics *m, const struct family *f, const struct sample_link *link,
		      struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int side = 0; side < SIDES; side++)
		if (link->side[side].phase)
			exposition_count(out, f->name, &labels->side[side],
					 number_at(&link->side[side], f));
}

/* Only what is known. */
static void put_limits(struct metrics *m, const struct family *f, const struct sample_link *link,
		       struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int side = 0; side < SIDES; side++)
		if (link->side[side].phase && number_at(&link->side[side], f))
			exposition_count(out, f->name, &labels->side[side],
					 number_at(&link->side[side], f));
}

/* --- those that are no plain number --- */

static void put_build(struct metrics *m, const struct family *f, struct buf *out)
{
	buf_reset(&m->labels);
	exposition_label(&m->labels, "version", CALQUE_VERSION);
	exposition_count(out, f->name, &m->labels, 1);
}

static void put_start(struct metrics *m, const struct family *f, struct buf *out)
{
	exposition_count(out, f->name, NULL,
			 (uint64_t)(m->sample->wall_ms - m->sample->uptime_ms) / 1000);
}

static void put_writable(struct metrics *m, const struct family *f, struct buf *out)
{
	exposition_count(out, f->name, NULL, m->sample->is_writable);
}

static void put_commits(struct metrics *m, const struct family *f, struct buf *out)
{
	exposition_histogram(out, f->name, &m->sample->commits);
}

static void put_translations(struct metrics *m, const struct family *f, struct buf *out)
{
	exposition_histogram(out, f->name, &m->sample->translations);
}

static void put_by_kind(struct metrics *m, const struct family *f, const struct sample_link *link,
			struct buf *out)
{
	(void)m;
	(void)f;
	if (link->by_kind.len)
		buf_append(out, link->by_kind.data, link->by_kind.len);
}

static void put_suppressed(struct metrics *m, const struct family *f,
			   const struct sample_link *link, struct buf *out)
{
	const struct labels *labels = labels_of(m, link);
	static const enum outcome reasons[] = { FILTERED_ECHO, FILTERED_NO_CHANGE };

	for (int flow = 0; flow < FLOWS; flow++)
		for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
			const struct buf *with = label_also(m, &labels->flow[flow], "reason",
							    outcome_word(reasons[i]));

			exposition_count(out, f->name, with, link->flow[flow].by[reasons[i]]);
		}
}

static void put_oldest(struct metrics *m, const struct family *f, const struct sample_link *link,
		       struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int flow = 0; flow < FLOWS; flow++) {
		int64_t oldest_ms = link->flow[flow].oldest_ms,
			age_ms = oldest_ms == INT64_MAX ? 0 : m->sample->now_ms - oldest_ms;

		exposition_number(out, f->name, &labels->flow[flow],
				  age_ms > 0 ? (double)age_ms / 1000 : 0);
	}
}

static void put_up(struct metrics *m, const struct family *f, const struct sample_link *link,
		   struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int side = 0; side < SIDES; side++)
		if (link->side[side].phase)
			exposition_count(out, f->name, &labels->side[side],
					 strcmp(link->side[side].phase, "up") == 0);
}

static void put_state(struct metrics *m, const struct family *f, const struct sample_link *link,
		      struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int side = 0; side < SIDES; side++) {
		if (!link->side[side].phase)
			continue;
		exposition_count(
			out, f->name,
			label_also(m, &labels->side[side], "state", link->side[side].phase), 1);
	}
}

static void put_days(struct metrics *m, const struct family *f, const struct buf *labels,
		     int64_t expires_s, struct buf *out)
{
	if (expires_s)
		exposition_number(out, f->name, labels,
				  (double)(expires_s * 1000 - m->sample->wall_ms) / 86400e3);
}

static void put_certificates(struct metrics *m, const struct family *f,
			     const struct sample_link *link, struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int side = 0; side < SIDES; side++)
		put_days(m, f, &labels->side[side], link->side[side].certificate_s, out);
}

static void put_peer_certificates(struct metrics *m, const struct family *f,
				  const struct sample_link *link, struct buf *out)
{
	const struct labels *labels = labels_of(m, link);

	for (int side = 0; side < SIDES; side++)
		put_days(m, f, &labels->side[side], link->peer_certificate_s[side], out);
}

static void put_device_sessions(struct metrics *m, const struct family *f,
				const struct sample_link *link, struct buf *out)
{
	const struct {
		const char *state;
		uint64_t n;
	} states[] = { { "up", link->up },
		       { "down", link->down },
		       { "refused", link->refused },
		       { "lacking", link->lacking } };

	for (size_t i = 0; link->has_device_sessions && i < sizeof states / sizeof states[0]; i++)
		exposition_count(out, f->name,
				 label_also(m, &link->label, "state", states[i].state),
				 states[i].n);
}

static void put_waves_state(struct metrics *m, const struct family *f,
			    const struct sample_link *link, struct buf *out)
{
	const struct sample_waves *w = &link->waves;

	if (!w->phase)
		return;
	label_also(m, &link->label, "phase", w->phase);
	exposition_label(&m->labels, "wave", w->wave ? w->wave : "");
	exposition_label(&m->labels, "state", w->wave ? w->state : "");
	exposition_count(out, f->name, &m->labels, 1);
}

static void put_wave(struct metrics *m, const struct family *f, const struct sample_link *link,
		     struct buf *out)
{
	const char *at = (const char *)&link->waves + f->offset;

	if (link->waves.wave)
		exposition_count(out, f->name,
				 label_also(m, &link->label, "wave", link->waves.wave),
				 *(const uint64_t *)(const void *)at);
}

/* --- the table ----------------------------------------------------------------------------- */

#define WHOLE(member) .whole = put_whole, .offset = offsetof(struct sample, member)
#define LINK(member)  .each = put_link, .offset = offsetof(struct sample_link, member)
#define FLOW(member)  .each = put_flows, .offset = offsetof(struct sample_flow, member)
#define SIDE(member)  .each = put_sides, .offset = offsetof(struct sample_session, member)
#define LIMIT(member) .each = put_limits, .offset = offsetof(struct sample_session, member)
#define WAVE(member)  .each = put_wave, .offset = offsetof(struct sample_waves, member)
static const struct family families[] = {
	{ "calque_build_info", "gauge", "Always 1; the version is in its label.",
	  .whole = put_build },
	{ "calque_start_time_seconds", "gauge", "When this process began, Unix time.",
	  .whole = put_start },
	{ "calque_state_writable", "gauge", "0 while the disk is full: nothing is taken in.",
	  .whole = put_writable },
	{ "calque_journal_messages", "gauge", "Messages that were taken in and are not settled.",
	  WHOLE(journal_messages) },
	{ "calque_journal_bytes", "gauge", "Their bytes in the journal.", WHOLE(journal_bytes) },
	{ "calque_journal_max_bytes", "gauge", "At this size sources wait.",
	  WHOLE(journal_max_bytes) },
	{ "calque_workers", "gauge", "Processes that translate.", WHOLE(workers) },
	{ "calque_workers_replaced_total", "counter",
	  "Processes that were started in the place of one that died, hung or took too much.",
	  WHOLE(replaced) },
	{ "calque_workers_renewed_total", "counter",
	  "Processes that were started to have more programs of functions.", WHOLE(renewed) },
	{ "calque_workers_lied_total", "counter",
	  "Processes that were ended for an answer that their job cannot have led to.",
	  WHOLE(lied) },
	{ "calque_dead_letters", "gauge", "Dead letters that are kept.", WHOLE(letters) },
	{ "calque_dead_letters_bytes", "gauge", "Their bytes.", WHOLE(letter_bytes) },
	{ "calque_dead_letters_evicted_total", "counter",
	  "Dead letters that went because there were too many.", WHOLE(evicted) },
	{ "calque_commit_duration_seconds", "histogram",
	  "How long it took until what was written is durable.", .whole = put_commits },
	{ "calque_translation_duration_seconds", "histogram",
	  "How long a translation took, from its hand-over to a worker until it was back.",
	  .whole = put_translations },
	{ "calque_messages_received_total", "counter", "Messages that came in.", FLOW(received) },
	{ "calque_messages_resumed_total", "counter",
	  "Messages of earlier runs that were gone on with.", FLOW(resumed) },
	{ "calque_messages_delivered_total", "counter", "Messages that the far side has.",
	  FLOW(delivered) },
	{ "calque_messages_filtered_total", "counter", "Messages that a rule let go.",
	  FLOW(filtered) },
	{ "calque_messages_dead_total", "counter", "Messages that became dead letters.",
	  FLOW(dead) },
	{ "calque_messages_pending", "gauge", "Messages that are not settled.", FLOW(pending) },
	{ "calque_messages_own_total", "counter", "Messages that calque sent by itself.",
	  FLOW(own) },
	{ "calque_messages_suppressed_total", "counter",
	  "Messages that said nothing new: own ones given back, what is so already.",
	  .each = put_suppressed },
	{ "calque_message_outcomes_total", "counter",
	  "What became of messages, by kind and reason; only what has happened.",
	  .each = put_by_kind },
	{ "calque_requests_unanswered_total", "counter",
	  "Questions that the far side left open and whose askers heard nothing.",
	  FLOW(unanswered) },
	{ "calque_oldest_message_seconds", "gauge",
	  "How long the oldest message has waited for the far side; 0: none waits.",
	  .each = put_oldest },
	{ "calque_session_up", "gauge", "Is the session of this side up?", .each = put_up },
	{ "calque_session_state", "gauge", "Always 1; how the session is, is in its label.",
	  .each = put_state },
	{ "calque_session_attempts", "gauge", "Connects in vain since it was last up.",
	  SIDE(attempts) },
	{ "calque_session_waiting_messages", "gauge", "Messages that wait for it.", SIDE(waiting) },
	{ "calque_session_waiting_bytes", "gauge", "Bytes of what waits or is in flight.",
	  SIDE(bytes) },
	{ "calque_session_in_flight_messages", "gauge",
	  "Messages that were sent and are not acknowledged.", SIDE(in_flight) },
	{ "calque_session_in_flight_max_messages", "gauge",
	  "How many may be: what the platform bears.", LIMIT(window) },
	{ "calque_session_max_messages_per_second", "gauge",
	  "How many messages the platform takes in a second.", LIMIT(per_second) },
	{ "calque_session_max_packet_bytes", "gauge", "How long a packet the platform takes.",
	  LIMIT(packet_bytes) },
	{ "calque_certificate_expiry_days", "gauge",
	  "Days until the client certificate of this side expires.", .each = put_certificates },
	{ "calque_server_certificate_expiry_days", "gauge",
	  "Days until the certificate expires that the broker of this side showed last.",
	  .each = put_peer_certificates },
	{ "calque_device_sessions", "gauge", "Sessions of devices in the north, by how they are.",
	  .each = put_device_sessions },
	{ "calque_parked_messages", "gauge",
	  "Messages that wait for the session of a device which is not let in.", LINK(parked) },
	{ "calque_devices", "gauge", "Devices of which something is remembered.", LINK(devices) },
	{ "calque_devices_max", "gauge", "How many may be.", LINK(devices_max) },
	{ "calque_devices_evicted_total", "counter", "Devices that were forgotten for new ones.",
	  LINK(forgotten) },
	{ "calque_devices_unremembered_total", "counter",
	  "New devices that found no place, so that nothing of them is remembered.",
	  LINK(unremembered) },
	{ "calque_waves_state", "gauge",
	  "Always 1; how a run of waves is, and the wave that runs or stopped, is in its labels.",
	  .each = put_waves_state },
	{ "calque_wave_devices", "gauge", "Devices of the wave that runs, or stopped.",
	  WAVE(devices) },
	{ "calque_wave_failures", "gauge", "Of these, those that have failed.", WAVE(failures) },
	{ "calque_wave_max_failures", "gauge", "So many may.", WAVE(max_failures) },
	{ "calque_wave_dead_letters", "gauge", "Dead letters of its devices since it began.",
	  WAVE(dead_letters) },
	{ "calque_wave_max_dead_letters", "gauge", "So many may be.", WAVE(max_dead_letters) },
	{ "calque_waves_kept_devices", "gauge",
	  "Devices that waves leave alone, as somebody else has set them.", LINK(waves.kept) },
};
#define N_FAMILIES (sizeof families / sizeof families[0])

struct metrics *metrics_new(struct sample *s)
{
	struct metrics *m = mem_zalloc(sizeof *m);

	m->sample = s;
	m->of_links = mem_zalloc(s->n_links * sizeof *m->of_links);
	return m;
}

/* All of a family, or as much of it as is one piece.  True: all. */
static bool put_family(struct metrics *m, const struct family *f, struct buf *out)
{
	const struct sample *s = m->sample;

	if (f->whole)
		f->whole(m, f, out);
	while (f->each && m->link < s->n_links) {
		if (out->len >= PIECE_BYTES)
			return false;
		f->each(m, f, &s->links[m->link++], out);
	}
	return true;
}

bool metrics_more(struct metrics *m, struct buf *out)
{
	while (m->family < N_FAMILIES && out->len < PIECE_BYTES) {
		const struct family *f = &families[m->family];

		if (!m->is_begun)
			exposition_begin(out, f->name, f->type, f->help);
		m->is_begun = true;
		if (put_family(m, f, out)) {
			m->family++;
			m->link = 0;
			m->is_begun = false;
		}
	}
	return m->family < N_FAMILIES;
}

void metrics_free(struct metrics *m)
{
	for (size_t i = 0; i < m->sample->n_links; i++) {
		for (int flow = 0; flow < FLOWS; flow++)
			buf_fini(&m->of_links[i].flow[flow]);
		for (int side = 0; side < SIDES; side++)
			buf_fini(&m->of_links[i].side[side]);
	}
	free(m->of_links);
	sample_free(m->sample);
	buf_fini(&m->labels);
	free(m);
}
