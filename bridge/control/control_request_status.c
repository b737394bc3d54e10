/* control_request_status.c -- how it is with a bridge: {"request":"status"}.  An item per link, and at the end
 * what concerns all. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/err.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "link/link.h"
#include "message/side.h"
#include "control/control_request_table.h"
#include "live/generation.h"
#include "fleet/waves.h"
#include "live/live_link.h"
#include "store/aside.h"
#include "store/deadletter.h"
#include "store/deadletter_live.h"
#include "store/journal.h"
#include "store/journal_live.h"
#include "work/worker.h"

#define PIECE_BYTES (64u << 10) /* so much of an answer is made in one turn of the loop */

struct work {
	const struct control_request_parts *parts;
	size_t at; /* the link to tell of next */
};

static void put_number(struct buf *out, const char *key, uint64_t n)
{
	buf_printf(out, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void put_session(const struct live_link_port *s, struct buf *out)
{
	const struct port_status *status = &s->carrier;

	buf_printf(out, "{\"side\":\"%s\",\"is_provisioning\":%s", side_name(s->side),
		   s->is_provisioning ? "true" : "false");
	control_request_put_text(out, "url", s->url);
	control_request_put_text(out, "state", status->phase);
	if (status->since_ms)
		put_number(out, "since_s", (uint64_t)(clock_mono_ms() - status->since_ms) / 1000);
	if (*status->why && jtext_is_utf8(status->why, strlen(status->why)))
		control_request_put_text(out, "why", status->why);
	if (status->degraded && *status->degraded &&
	    jtext_is_utf8(status->degraded, strlen(status->degraded)))
		control_request_put_text(out, "degraded", status->degraded);
	if (s->is_late)
		control_request_put_text(out, "late", LIVE_LINK_LATE);
	put_number(out, "attempts", status->attempts);
	put_number(out, "mqtt", (uint64_t)status->mqtt);
	put_number(out, "waiting", s->waiting);
	put_number(out, "in_flight", s->in_flight);
	put_number(out, "bytes", s->bytes);
	buf_putc(out, '}');
}

/* By a clock that may have been set back since. */
static int64_t age_s(int64_t at_ms)
{
	int64_t age_ms = clock_now_ms() - at_ms;

	return age_ms > 0 ? age_ms / 1000 : 0;
}

static void put_counters(const struct link_counters *c, struct buf *out)
{
	const char *comma = "";

	buf_printf(out, "{\"received\":%llu", (unsigned long long)c->received);
	put_number(out, "resumed", c->resumed);
	put_number(out, "delivered", c->delivered);
	put_number(out, "filtered", c->filtered);
	put_number(out, "dead", c->dead);
	put_number(out, "pending", c->pending);
	put_number(out, "own", c->own);
	if (c->unanswered)
		put_number(out, "unanswered", c->unanswered);
	if (c->last_ms)
		put_number(out, "last_s", (uint64_t)age_s(c->last_ms));
	buf_puts(out, ",\"by\":{");
	for (int r = CARRIED + 1; r < OUTCOMES; r++)
		if (c->by[r]) {
			buf_printf(out, "%s\"%s\":%llu", comma, outcome_word((enum outcome)r),
				   (unsigned long long)c->by[r]);
			comma = ",";
		}
	buf_puts(out, "}}");
}

/* Thousands, maybe: how many are how. */
static void put_sessions(const struct live_link_sessions *s, struct buf *out)
{
	buf_printf(out, ",\"device_sessions\":{\"up\":%llu", (unsigned long long)s->up);
	put_number(out, "down", s->n - s->up - s->refused - s->lacking - s->asleep);
	put_number(out, "refused", s->refused);
	put_number(out, "lacking", s->lacking);
	put_number(out, "asleep", s->asleep);
	buf_putc(out, '}');
}

/* That somebody should know of: one that is done is none. */
static void put_waves(const struct waves *w, struct buf *out)
{
	enum waves_phase phase = waves_phase(w);

	if (phase != WAVES_RUNNING && phase != WAVES_STOPPED && phase != WAVES_BACK)
		return;
	buf_printf(out, ",\"waves\":{\"phase\":\"%s\"", waves_phase_names[phase]);
	if (waves_at(w) < waves_list(w)->n) {
		control_request_put_text(out, "wave", waves_list(w)->items[waves_at(w)].name);
		control_request_put_text(out, "state",
					 wave_state_names[waves_count(w, waves_at(w))->state]);
	}
	control_request_put_text(out, "why", waves_why(w));
	buf_putc(out, '}');
}

static void put_link(struct live_link *live, struct buf *out)
{
	const char *comma = "";
	const struct port *p = NULL;
	struct live_link_port s;
	struct live_link_sessions of_devices;
	struct link_devices devices;
	bool is_proved;
	const char *owner = live_link_owner(live, &is_proved);

	buf_puts(out, "{\"item\":{\"link\":");
	jtext_put_string(out, live_link_name(live), strlen(live_link_name(live)));
	if (owner && jtext_is_utf8(owner, strlen(owner)))
		control_request_put_text(out, is_proved ? "belongs_to" : "promised_to", owner);
	buf_puts(out, ",\"sessions\":[");
	while ((p = live_link_next_port(live, p)) != NULL) {
		live_link_look_at_port(p, &s);
		if (s.carrier.phase && !s.device) {
			buf_puts(out, comma);
			put_session(&s, out);
			comma = ",";
		}
	}
	buf_puts(out, "]");
	if (live_link_sessions(live, &of_devices))
		put_sessions(&of_devices, out);
	put_waves(live_link_waves(live), out);
	for (int f = 0; f < FLOWS; f++) {
		buf_printf(out, ",\"%s\":", flow_name((enum flow)f));
		put_counters(live_link_counters(live, (enum flow)f), out);
	}
	live_link_devices(live, &devices);
	buf_printf(out, ",\"devices\":{\"remembered\":%zu", devices.n);
	put_number(out, "max", devices.most);
	put_number(out, "forgotten", devices.forgotten);
	put_number(out, "unremembered", devices.unremembered);
	buf_puts(out, "}}}\n");
}

static void put_running(const struct control_request_parts *parts, struct buf *out)
{
	struct workers_counters workers;

	put_number(out, "pid", (uint64_t)getpid());
	put_number(out, "uptime_s", (uint64_t)(clock_mono_ms() - parts->started_ms) / 1000);
	put_number(out, "journal_bytes", journal_live_bytes(parts->journal));
	generation_count_workers(parts->generation, &workers);
	put_number(out, "workers", workers.processes);
	put_number(out, "workers_replaced", workers.replaced);
	put_number(out, "workers_lied", workers.lied);
}

static bool put_end(const struct control_request_parts *parts, struct buf *out, struct err *e)
{
	struct deadletter_totals totals;
	uint64_t journal = 0, aside;

	if (!deadletters_totals(deadletter_live_stored(parts->letters), &totals, e) ||
	    !aside_count(parts->db, &aside, e) ||
	    (!parts->is_running && !journal_count(parts->db, &journal, e)))
		return false;
	buf_printf(out, "{\"done\":{\"running\":%s,\"version\":\"" CALQUE_VERSION "\"",
		   parts->is_running ? "true" : "false");
	if (parts->is_running)
		put_running(parts, out);
	else
		put_number(out, "journal_messages", journal);
	put_number(out, "deadletters", totals.count);
	put_number(out, "deadletter_bytes", (uint64_t)totals.bytes);
	put_number(out, "set_aside", aside);
	if (parts->is_running)
		put_number(out, "deadletters_evicted", deadletter_live_evicted(parts->letters));
	buf_puts(out, "}}\n");
	return true;
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);

	(void)asked;
	(void)e;
	w->parts = parts;
	return w;
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;

	while (w->at < w->parts->n_links && out->len < PIECE_BYTES)
		put_link(w->parts->links[w->at++], out);
	if (w->at < w->parts->n_links)
		return true;
	put_end(w->parts, out, e);
	return false;
}

const struct control_request_row control_request_status = { "status", start, more, free };

/* --- the log: {"request":"log"}, an item {"line"} for each of the last lines of it --- */

static void *start_log(const struct control_request_parts *parts, struct jslice asked,
		       struct err *e)
{
	(void)asked;
	if (parts->is_running)
		return (void *)parts;
	err_set(e, ERR_NOT_FOUND, "no bridge runs, which would have a log");
	return NULL;
}

static bool more_log(void *work, struct buf *out, struct err *e)
{
	struct buf tail = { 0 };
	const char *line, *end;

	(void)work;
	(void)e;
	log_put_tail(&tail);
	for (line = buf_str(&tail); (end = strchr(line, '\n')); line = end + 1) {
		buf_puts(out, "{\"item\":{\"line\":");
		jtext_put_string(out, line, (size_t)(end - line));
		buf_puts(out, "}}\n");
	}
	buf_puts(out, "{\"done\":{}}\n");
	buf_fini(&tail);
	return false;
}

static void end_log(void *work)
{
	(void)work;
}

const struct control_request_row control_request_log = { "log", start_log, more_log, end_log };
