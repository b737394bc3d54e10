/* control_request_deadletters.c -- list, show, retry and drop dead letters.
 *
 *   {"request":"deadletters","do":"list"|"show"|"retry"|"drop","ids":[N...],
 *    "link","reason","route","since_ms","until_ms","limit","payload"}
 *
 * All of it but `do` may be missing.  With ids, these and no others. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "message/kind.h"
#include "message/outcome.h"
#include "message/redact.h"
#include "message/side.h"
#include "message/wire_json.h"
#include "control/control_request_table.h"
#include "live/live_link.h"
#include "store/deadletter.h"
#include "store/deadletter_live.h"
#include "store/journal.h"

/* So much of an answer is made in one turn of the loop. */
#define PIECE_LETTERS 64
#define PIECE_BYTES   (256u << 10)

struct work;

struct action {
	const char *word;
	const char *done; /* "retried" */
	bool wants_message;
	/* Deal with a letter and append its item; false sets *e. */
	bool (*f)(struct work *w, struct deadletter *l, struct buf *out, struct err *e);
};

struct work {
	const struct control_request_parts *parts;
	struct deadletters *stored;
	const struct action *action;
	uint64_t *ids;
	size_t n, at, n_done;
	bool shows_payload;
};

/* --- one letter ---------------------------------------------------------------------------- */

static void put_letter(const struct deadletter *l, struct buf *out)
{
	int64_t ahead_ms = clock_ahead_ms();

	buf_printf(out, "{\"id\":%llu", (unsigned long long)l->id);
	control_request_put_text(out, "link", l->link);
	control_request_put_text(out, "flow", flow_name(flow_from(l->from)));
	control_request_put_text(out, "route", l->kind);
	control_request_put_text(out, "reason", l->reason);
	control_request_put_text(out, "topic", l->topic);
	control_request_put_text(out, "text", l->text);
	buf_printf(out, ",\"received_ms\":%lld,\"died_ms\":%lld,\"has_message\":%s",
		   (long long)l->received_ms + ahead_ms, (long long)l->died_ms + ahead_ms,
		   l->bytes ? "true" : "false");
}

static void put_problem(const struct deadletter *l, const char *problem, struct buf *out)
{
	buf_printf(out, "{\"item\":{\"id\":%llu", (unsigned long long)l->id);
	control_request_put_text(out, "problem", problem);
	buf_puts(out, "}}\n");
}

static bool list_letter(struct work *w, struct deadletter *l, struct buf *out, struct err *e)
{
	(void)e;
	buf_puts(out, "{\"item\":");
	put_letter(l, out);
	buf_puts(out, "}}\n");
	w->n_done++;
	return true;
}

static void hide_values(struct vars *properties)
{
	struct vars hidden = { 0 };

	for (size_t i = 0; i < properties->n; i++)
		vars_add(&hidden, properties->items[i].name, "***");
	vars_fini(properties);
	*properties = hidden;
}

/* A client may say in any property what it should not, by its name or with a value that the link keeps secret
 * (`live` NULL: no bridge runs, and nobody knows those). */
static void hide_secret_values(struct vars *properties, const struct live_link *live)
{
	struct vars told = { 0 };

	for (size_t i = 0; i < properties->n; i++) {
		const struct var *p = &properties->items[i];
		char *value = live ? live_link_tellable(live, p->value) : mem_strdup(p->value);

		vars_add(&told, p->name, redact_names_secret(p->name) ? REDACT_HIDDEN : value);
		free(value);
	}
	vars_fini(properties);
	*properties = told;
}

/* Payloads of handshakes are never shown.  Properties that are credentials were taken out where a row
 * says which they are; a message that no row reads has them all. */
static void hide_secrets(struct deadletter *l, const struct live_link *live)
{
	static const char hidden[] = "\"***\"";
	enum kind kind = kind_of(l->kind);
	struct message *m = &l->message;

	if (kind == KIND_NONE || kind_table[kind].has_secrets)
		hide_values(&m->properties);
	else
		hide_secret_values(&m->properties, live);
	if (kind != KIND_NONE && kind_table[kind].has_secrets)
		message_set_payload(m, hidden, strlen(hidden));
	free(m->topic);
	m->topic = mem_strdup(l->topic);
}

static struct live_link *find_live(const struct control_request_parts *parts, const char *link)
{
	for (size_t i = 0; i < parts->n_links; i++)
		if (strcmp(live_link_name(parts->links[i]), link) == 0)
			return parts->links[i];
	return NULL;
}

static bool show_letter(struct work *w, struct deadletter *l, struct buf *out, struct err *e)
{
	(void)e;
	buf_puts(out, "{\"item\":");
	put_letter(l, out);
	if (w->shows_payload && l->has_message) {
		hide_secrets(l, find_live(w->parts, l->link));
		buf_puts(out, ",\"message\":");
		wire_json_put(out, l->from, &l->message);
	}
	buf_puts(out, "}}\n");
	w->n_done++;
	return true;
}

static bool drop_letter(struct work *w, struct deadletter *l, struct buf *out, struct err *e)
{
	if (!deadletters_remove(w->stored, l->id, e))
		return false;
	return list_letter(w, l, out, e);
}

static bool has_link(const struct conf *conf, const char *link)
{
	for (size_t i = 0; i < conf->n_links; i++)
		if (strcmp(conf->links[i].name, link) == 0)
			return true;
	return false;
}

/* No bridge runs: into the journal, for the next one. */
static bool journal_letter(const struct control_request_parts *parts, const struct deadletter *l,
			   struct err *e)
{
	struct journal_row row = {
		.link = l->link, .from = l->from, .n = 1, .received_ms = clock_now_ms()
	};
	struct buf content = { 0 };
	uint64_t last;
	bool ok = journal_last(parts->db, &last, e);

	if (ok) {
		row.seq = last + row.n + 1;
		journal_put_message(&content, 0, l->received_ms, l->session, &l->message);
		ok = journal_put(parts->db, &row, &content, e);
	}
	mem_free_secret(content.data, content.len);
	return ok;
}

static bool retry_letter(struct work *w, struct deadletter *l, struct buf *out, struct err *e)
{
	const struct control_request_parts *parts = w->parts;
	struct live_link *live = find_live(parts, l->link);
	const char *problem = NULL;

	if (!l->has_message)
		problem = "its message was not kept";
	else if (l->message.is_cut)
		problem = "only the beginning of its message was kept";
	else if (parts->is_running ? !live : !has_link(parts->conf, l->link))
		problem = "its link is not in the configuration any more";
	if (problem) {
		put_problem(l, problem, out);
		return true;
	}
	if (live && !live_link_has_room(live, l->from)) {
		err_set(e, ERR_LIMIT,
			"retried %zu, then too much waited for the other side: retry the rest "
			"later",
			w->n_done);
		return false;
	}
	if (!deadletters_remove(w->stored, l->id, e))
		return false;
	if (live)
		live_link_retry(live, l->from, l->session, &l->message, l->received_ms);
	else if (!journal_letter(parts, l, e))
		return false;
	return list_letter(w, l, out, e);
}

static const struct action actions[] = {
	{ "list", "listed", false, list_letter },
	{ "show", "shown", true, show_letter },
	{ "retry", "retried", true, retry_letter },
	{ "drop", "dropped", false, drop_letter },
};

/* --- the request --------------------------------------------------------------------------- */

static char *text_of(struct jslice asked, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(asked, key, &v) && jtext_string_decode(v, &text))
		return buf_take(&text);
	buf_fini(&text);
	return NULL;
}

static int64_t number_of(struct jslice asked, const char *key)
{
	struct jslice v;
	int64_t n = 0;

	return jtext_field(asked, key, &v) && jtext_integer(v, &n) ? n : 0;
}

/* Letters have the bridge's time; who asks has the time of day. */
static int64_t time_of(struct jslice asked, const char *key)
{
	int64_t wall_ms = number_of(asked, key);

	return wall_ms ? wall_ms - clock_ahead_ms() : 0;
}

static bool find_action(struct work *w, struct jslice asked, struct err *e)
{
	struct jslice word;

	for (size_t i = 0;
	     jtext_field(asked, "do", &word) && i < sizeof actions / sizeof actions[0]; i++)
		if (jtext_string_is(word, actions[i].word)) {
			w->action = &actions[i];
			return true;
		}
	err_set(e, ERR_INVALID, "the bridge does not know what to do with dead letters");
	return false;
}

static uint64_t *read_ids(struct jslice list, size_t *n)
{
	uint64_t *ids = NULL;
	struct jslice v;
	size_t pos = 0;
	int64_t id;

	for (*n = 0; jtext_next_element(list, &pos, &v); ++*n) {
		ids = mem_grow(ids, *n, sizeof *ids);
		ids[*n] = jtext_integer(v, &id) && id > 0 ? (uint64_t)id : 0; /* 0: nobody's */
	}
	return ids;
}

static bool is_among(const uint64_t *ids, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Keep those that were asked for, in the order they have here. */
static bool choose(struct work *w, struct jslice list, struct err *e)
{
	size_t n_wanted, n = 0;
	uint64_t *wanted = read_ids(list, &n_wanted);
	bool ok = true;

	for (size_t i = 0; ok && i < n_wanted; i++) {
		ok = is_among(w->ids, w->n, wanted[i]);
		if (!ok)
			err_set(e, ERR_NOT_FOUND, "there is no dead letter %llu",
				(unsigned long long)wanted[i]);
	}
	for (size_t i = 0; i < w->n; i++)
		if (is_among(wanted, n_wanted, w->ids[i]))
			w->ids[n++] = w->ids[i];
	w->n = n;
	free(wanted);
	return ok;
}

static bool find(struct work *w, struct jslice asked, struct err *e)
{
	char *link = text_of(asked, "link"), *reason = text_of(asked, "reason"),
	     *route = text_of(asked, "route");
	const char *known = reason ? outcome_letters(reason) : NULL;
	struct deadletter_filter filter = {
		.link = link,
		.reason = known ? known : reason,
		.kind = route,
		.since_ms = time_of(asked, "since_ms"),
		.until_ms = time_of(asked, "until_ms"),
	};
	int64_t limit = number_of(asked, "limit");
	struct jslice ids;
	bool ok = deadletters_find(w->stored, &filter, &w->ids, &w->n, e);

	if (ok && jtext_field(asked, "ids", &ids))
		ok = choose(w, ids, e);
	if (limit > 0 && (uint64_t)limit < w->n)
		w->at = w->n - (size_t)limit; /* the newest */
	free(link);
	free(reason);
	free(route);
	return ok;
}

static void end(void *work)
{
	struct work *w = work;

	free(w->ids);
	free(w);
}

static void *start(const struct control_request_parts *parts, struct jslice asked, struct err *e)
{
	struct work *w = mem_zalloc(sizeof *w);

	w->parts = parts;
	w->stored = deadletter_live_stored(parts->letters);
	w->shows_payload = jtext_is_true(asked, "payload");
	if (find_action(w, asked, e) && find(w, asked, e))
		return w;
	end(w);
	return NULL;
}

static bool do_one(struct work *w, uint64_t id, struct buf *out, struct err *e)
{
	struct deadletter l;
	struct err why = { 0 };
	bool ok = deadletters_get(w->stored, id, w->action->wants_message, &l, &why);

	if (!ok && why.code == ERR_NOT_FOUND)
		return true; /* it went meanwhile */
	if (!ok)
		*e = why;
	ok = ok && w->action->f(w, &l, out, e);
	deadletter_fini(&l);
	return ok;
}

static bool more(void *work, struct buf *out, struct err *e)
{
	struct work *w = work;
	size_t until = w->at + PIECE_LETTERS;

	while (w->at < w->n && w->at < until && out->len < PIECE_BYTES)
		if (!do_one(w, w->ids[w->at++], out, e))
			return false;
	if (w->at < w->n)
		return true;
	buf_printf(out, "{\"done\":{\"%s\":%zu}}\n", w->action->done, w->n_done);
	return false;
}

const struct control_request_row control_request_deadletters = { "deadletters", start, more, end };
