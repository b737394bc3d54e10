/* control_request_tap.c -- what becomes of the messages of a link, while they do:
 * {"request":"tap","link":LINK,"by":WHO}, with "topic":FILTER, "device":NAME, "for_ms":N, "bytes":N (of what may wait
 * for who listens), and "state":"now" for the rows of its state that are no secret, as they are at the beginning, or
 * "first": as they are when something arrives.
 *
 *	{"item":{"step":"begins","link","at_ms","setup":{"south","north","vars"}}}
 *	{"item":{"state":{"machine","key","value"}}}	each of these, and then
 *	{"item":{"step":"state","is_cut":BOOL}}	that was all of them
 *	{"item":{"step":...}}				see live/live_link_follow.c
 *	{"item":{"step":"beat","dropped":N}}		when nothing came for a while
 *	{"done":{"dropped":N}}				its time is over
 *
 * Who listens only takes: a client that does not read loses steps, which are counted, and no message waits. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_request_table.h"
#include "live/live_link.h"
#include "live/tap.h"
#include "message/topic.h"
#include "store/state.h"

#define PIECE_BYTES	 (64u << 10)
#define MOST_STATE_BYTES (4u << 20)
#define MOST_WAITING	 (16 << 20)

struct work {
	const struct control_request_parts *parts;
	struct live_link *live; /* the owner of `tap` */
	struct tap *tap;
	char *link, *topic, *device, *by;
	enum { NO_STATE, NOW, FIRST } wants; /* of the state, yet */
	bool is_begun;
	int64_t beat_ms; /* clock_mono_ms() of the last line */
	uint64_t n_bytes;
};

/* --- the request ----------------------------------------------------------------------------- */

/* A text of the request, caller frees; NULL: there is none. */
static char *text_of(struct jslice asked, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(asked, key, &v) && jtext_string_decode(v, &text) && text.len)
		return buf_take(&text);
	buf_fini(&text);
	return NULL;
}

static int64_t number_of(struct jslice asked, const char *key)
{
	struct jslice v;
	int64_t n = 0;

	return jtext_field(asked, key, &v) && jtext_integer(v, &n) && n > 0 ? n : 0;
}

/* The link of that name; without one, the only one there is. */
static struct live_link *find_link(const struct control_request_parts *parts, const char *name)
{
	for (size_t i = 0; i < parts->n_links; i++)
		if (name ? strcmp(live_link_name(parts->links[i]), name) == 0 : parts->n_links == 1)
			return parts->links[i];
	return NULL;
}

static void end(void *work)
{
	struct work *w = work;

	if (w->tap)
		log_event(LOG_INFO, "tap-ends", "link=%s by=%s bytes=%llu dropped=%llu", w->link,
			  log_value(w->by), (unsigned long long)w->n_bytes,
			  (unsigned long long)tap_dropped(w->tap));
	live_link_listen_end(w->tap);
	free(w->link);
	free(w->topic);
	free(w->device);
	free(w->by);
	free(w);
}

static bool check(const struct work *w, const char *name, struct err *e)
{
	if (!w->parts->is_running)
		err_set(e, ERR_BUSY, "no bridge runs: there are no messages to be seen");
	else if (!w->live && name)
		err_set(e, ERR_NOT_FOUND, "there is no link \"%s\"", name);
	else if (!w->live)
		err_set(e, ERR_INVALID, "which link? there are %zu", w->parts->n_links);
	else if (w->topic && !topic_filter_is_valid(w->topic))
		err_set(e, ERR_INVALID, "\"%s\" is no topic filter", w->topic);
	return e->code == ERR_NONE;
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);
	char *name = text_of(asked, "link");
	struct tap_terms terms;
	struct jslice state = { 0 };
	int64_t bytes;

	w->parts = parts;
	w->live = find_link(parts, name);
	w->topic = text_of(asked, "topic");
	w->device = text_of(asked, "device");
	w->by = text_of(asked, "by");
	if (jtext_field(asked, "state", &state))
		w->wants = jtext_string_is(state, "first") ? FIRST : NOW;
	if (check(w, name, e)) {
		bytes = number_of(asked, "bytes");
		terms = (struct tap_terms){
			.topic = w->topic,
			.device = w->device,
			.most_bytes = (size_t)(bytes < MOST_WAITING ? bytes : MOST_WAITING),
			.for_ms = number_of(asked, "for_ms")
		};
		w->link = mem_strdup(live_link_name(w->live));
		w->tap = live_link_listen(w->live, &terms);
		log_event(LOG_INFO, "tap-begins", "link=%s by=%s topic=%s device=%s", w->link,
			  log_value(w->by), log_value(w->topic), log_value(w->device));
	}
	free(name);
	if (e->code == ERR_NONE)
		return w;
	end(w);
	return NULL;
}

/* --- the answer ------------------------------------------------------------------------------ */

struct rows {
	const struct live_link *live;
	struct buf *out;
	bool is_cut;
};

static void put_row(void *ctx, const char *machine, const char *key, const char *value)
{
	struct rows *rows = ctx;
	struct buf strict = { 0 };

	rows->is_cut |= rows->out->len > MOST_STATE_BYTES;
	if (!rows->is_cut && jtext_read(value, strlen(value), false, &strict, NULL)) {
		buf_puts(rows->out, "{\"item\":{\"state\":{\"machine\":");
		jtext_put_string(rows->out, machine, strlen(machine));
		control_request_put_text(rows->out, "key", key);
		buf_puts(rows->out, ",\"value\":");
		live_link_put_redacted(rows->live, (struct jslice){ strict.data, strict.len },
				       rows->out);
		buf_puts(rows->out, "}}}\n");
	}
	buf_fini(&strict);
}

/* Before the turn goes on: what arrives in it has not changed anything yet. */
static bool put_state(struct work *w, struct buf *out, struct err *e)
{
	struct rows rows = { w->live, out, false };

	w->wants = NO_STATE;
	if (!state_look(w->parts->db, w->link, put_row, &rows, e))
		return false;
	buf_printf(out, "{\"item\":{\"step\":\"state\",\"is_cut\":%s}}\n",
		   rows.is_cut ? "true" : "false");
	return true;
}

static bool put_beginning(struct work *w, struct buf *out, struct err *e)
{
	int64_t at_ms = clock_now_ms() + clock_ahead_ms();

	w->is_begun = true;
	buf_puts(out, "{\"item\":{\"step\":\"begins\"");
	control_request_put_text(out, "link", w->link);
	buf_printf(out, ",\"at_ms\":%lld", (long long)at_ms);
	buf_puts(out, ",\"setup\":");
	live_link_put_setup(w->live, out);
	buf_puts(out, "}}\n");
	return w->wants != NOW || put_state(w, out, e);
}

/* Also so that it is noticed when nobody reads any more. */
static void put_beat(const struct work *w, struct buf *out)
{
	buf_printf(out, "{\"item\":{\"step\":\"beat\",\"dropped\":%llu}}\n",
		   (unsigned long long)tap_dropped(w->tap));
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;
	size_t before;
	int64_t now_ms = clock_mono_ms();

	if (!tap_owner(w->tap)) {
		err_set(e, ERR_BUSY, "the link has ended");
		return false;
	}
	if (!w->is_begun)
		return put_beginning(w, out, e);
	if (w->wants == FIRST && !tap_is_empty(w->tap) && !put_state(w, out, e))
		return false;
	before = out->len;
	tap_take(w->tap, out, PIECE_BYTES);
	w->n_bytes += out->len - before;
	if (out->len == before && tap_is_over(w->tap)) {
		buf_printf(out, "{\"done\":{\"dropped\":%llu}}\n",
			   (unsigned long long)tap_dropped(w->tap));
		return false;
	}
	if (out->len == before && now_ms - w->beat_ms >= TAP_BEAT_MS)
		put_beat(w, out);
	if (out->len > before)
		w->beat_ms = now_ms;
	return true;
}

const struct control_request_row control_request_tap = { "tap", start, more, end };
