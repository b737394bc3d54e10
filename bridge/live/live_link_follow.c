/* live_link_follow.c -- what becomes of a link's messages, step by step: a line of the log each at LOG_DEBUG, and a
 * line of JSON for who listens (live/tap.h), made once for all of them and only if somebody wants it:
 *
 *	{"item":{"step":"arrived","id","at_ms","us","side","topic","qos","retain","payload"...,"session","again"}}
 *	{"item":{"step":"read","id","us","kind","device"}}
 *	{"item":{"step":"paired","id","us","kind","device","far_id"}}
 *	{"item":{"step":"made","id","at_ms","us","kind","device","is_own","is_greeting","side","topic","payload"...}}
 *	{"item":{"step":"ended","id","us","side","topic","result","text"}}
 *	{"item":{"step":"settled","id","us","kind","result","is_dead","text"}}
 *
 * "us" is of a clock that only grows, "at_ms" the time of day.  What is secret (of the link's variables, of its
 * device's own, and by the names of keys) is "***" in them, and so is the body of a handshake. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "delivery/delivery.h"
#include "live/live_link_inside.h"
#include "message/outcome.h"
#include "message/redact.h"
#include "message/wire_json.h"
#include "net/loop.h"
#include "plan/plan.h"
#include "translate/translate.h"

/* --- without secrets ------------------------------------------------------------------------- */

#define MOST_SECRETS ((size_t)SIDES * 2)

/* The lists of what is to be hidden in messages of this device (NULL: of none that is known). */
static size_t find_secrets(const struct live_link *live, const char *device,
			   const struct vars **secrets)
{
	size_t n = 0;

	for (int s = 0; s < SIDES; s++) {
		const struct vars *own =
			device ? link_own_vars(live->link, (enum side)s, device) : NULL;

		secrets[n++] = &live->plan->side[s].vars;
		if (own)
			secrets[n++] = own;
	}
	return n;
}

static void put_text(struct buf *out, const char *key, const char *text,
		     const struct vars *const *secrets, size_t n)
{
	char *told = redact_text(text, secrets, n);

	if (told && *told) {
		buf_printf(out, ",\"%s\":", key);
		if (jtext_is_utf8(told, strlen(told)))
			jtext_put_string(out, told, strlen(told));
		else
			buf_puts(out, "\"?\"");
	}
	free(told);
}

/* Bytes that are no text are shown as base64, in which no secret would be found. */
static bool hides_secret(const struct message *m, const struct vars *const *secrets, size_t n)
{
	if (!m->payload_len || jtext_is_utf8(m->payload, m->payload_len))
		return false;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < secrets[i]->n; k++) {
			const struct var *v = &secrets[i]->items[k];

			if (v->is_secret && strlen(v->value) >= 4 &&
			    memmem(m->payload, m->payload_len, v->value, strlen(v->value)))
				return true;
		}
	return false;
}

static bool is_handshake(const struct live_link *live, enum side from, const char *topic)
{
	struct match match;

	plan_match(live->plan, from, topic, &match);
	for (size_t i = 0; i < match.n; i++)
		if (kind_table[match.readers[i]->row->kind].has_secrets)
			return true;
	return false;
}

/* ,"side":...,"topic":... */
static void put_message(struct buf *out, enum side side, const struct message *m, bool is_hidden,
			const struct vars *const *secrets, size_t n)
{
	struct buf wire = { 0 }, told = { 0 };
	struct message shown;

	message_copy(&shown, m);
	if (is_hidden || hides_secret(m, secrets, n))
		message_set_payload(&shown, "\"" REDACT_HIDDEN "\"", strlen(REDACT_HIDDEN) + 2);
	wire_json_put(&wire, side, &shown);
	redact_json(&told, (struct jslice){ wire.data, wire.len }, secrets, n);
	buf_putc(out, ',');
	buf_append(out, told.data + 1, told.len - 2);
	message_fini(&shown);
	buf_fini(&wire);
	buf_fini(&told);
}

/* --- lines ----------------------------------------------------------------------------------- */

static void begin_line(struct buf *out, const char *step, uint64_t id)
{
	buf_printf(out, "{\"item\":{\"step\":\"%s\",\"id\":%llu,\"us\":%lld", step,
		   (unsigned long long)id, (long long)clock_mono_us());
}

static void put_at(struct buf *out, const struct live_link *live, int64_t at_ms)
{
	at_ms += live->ahead_ms;
	buf_printf(out, ",\"at_ms\":%lld", (long long)at_ms);
}

static void put_kind(struct buf *out, enum kind kind)
{
	if (kind != KIND_NONE)
		buf_printf(out, ",\"kind\":\"%s\"", kind_name(kind));
}

static void hand_out(const struct live_link *live, struct buf *line)
{
	buf_puts(line, "}}\n");
	taps_put(&live->taps, line->data, line->len);
	buf_fini(line);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void log_arrival(const struct live_link *live, const struct link_step *step,
			const char *device)
{
	const struct message *m = step->arrival->message;
	char *topic = live_link_tellable(live, m->topic);

	log_event(LOG_DEBUG, "message-arrived",
		  "link=%s id=%llu side=%s device=%s topic=%s qos=%d bytes=%zu again=%s",
		  live->plan->name, (unsigned long long)step->id, side_name(step->arrival->from),
		  log_value(device), log_value(topic), m->qos, m->payload_len,
		  step->is_again ? "yes" : "no");
	free(topic);
}

static void put_arrival(const struct live_link *live, const struct link_step *step,
			const char *device)
{
	const struct arrival *a = step->arrival;
	const struct vars *secrets[MOST_SECRETS];
	size_t n = find_secrets(live, device, secrets);
	struct buf line = { 0 };

	begin_line(&line, "arrived", step->id);
	put_at(&line, live, a->at_ms);
	put_text(&line, "device", device, secrets, n);
	put_text(&line, "session", a->device, secrets, n);
	buf_puts(&line, step->is_again ? ",\"again\":true" : "");
	put_message(&line, a->from, a->message, is_handshake(live, a->from, a->message->topic),
		    secrets, n);
	hand_out(live, &line);
}

static void on_arrived(struct live_link *live, const struct link_step *step)
{
	const struct arrival *a = step->arrival;
	struct match match;
	char *native = NULL;
	const char *device;

	if (!a->message || !a->message->topic)
		return; /* it could not be had */
	plan_match(live->plan, a->from, a->message->topic, &match);
	if (match.n)
		native = translate_topic_device(match.readers[0], a->message->topic);
	device = translate_device(live->plan, a->from, a->device, native);
	if (log_is_debugging)
		log_arrival(live, step, device);
	taps_begin(&live->taps, step->id, a->message->topic, device);
	if (taps_want(&live->taps, step->id, a->message->payload_len))
		put_arrival(live, step, device);
	free(native);
}

static void on_read(struct live_link *live, const struct link_step *step)
{
	const char *what = step->what == LINK_READ ? "read" : "paired";
	const struct vars *secrets[MOST_SECRETS];
	struct buf line = { 0 };

	if (log_is_debugging)
		log_event(LOG_DEBUG, step->what == LINK_READ ? "message-read" : "message-paired",
			  "link=%s id=%llu kind=%s device=%s far_id=%s", live->plan->name,
			  (unsigned long long)step->id, kind_name(step->kind),
			  log_value(step->device), log_value(step->far_id));
	if (!taps_want(&live->taps, step->id, 0))
		return;
	begin_line(&line, what, step->id);
	put_kind(&line, step->kind);
	put_text(&line, "device", step->device, secrets, find_secrets(live, step->device, secrets));
	if (step->far_id)
		buf_printf(&line, ",\"far_id\":%s", step->far_id);
	hand_out(live, &line);
}

void live_link_follow_step(void *ctx, const struct link_step *step)
{
	if (step->what == LINK_ARRIVED)
		on_arrived(ctx, step);
	else
		on_read(ctx, step);
}

void live_link_follow_sent(struct live_link *live, const struct output *o)
{
	const struct vars *secrets[MOST_SECRETS];
	struct buf line = { 0 };
	size_t n;

	if (log_is_debugging)
		log_event(LOG_DEBUG, "message-made", "link=%s id=%llu side=%s kind=%s device=%s",
			  live->plan->name, (unsigned long long)o->id, side_name(o->to),
			  kind_name(o->kind), log_value(o->device));
	/* Of what the bridge says by itself nothing arrived. */
	if (o->is_own)
		taps_begin(&live->taps, o->id, o->message.topic, o->device);
	if (!taps_want(&live->taps, o->id, o->message.payload_len))
		return;
	n = find_secrets(live, o->device, secrets);
	begin_line(&line, "made", o->id);
	put_at(&line, live, loop_now_ms(live->parts->loop));
	put_kind(&line, o->kind);
	put_text(&line, "device", o->device, secrets, n);
	buf_puts(&line, o->is_own ? ",\"is_own\":true" : "");
	buf_puts(&line, o->greets ? ",\"is_greeting\":true" : "");
	put_message(&line, o->to, &o->message,
		    o->is_provisioning || (o->kind != KIND_NONE && kind_table[o->kind].has_secrets),
		    secrets, n);
	hand_out(live, &line);
}

static const char *result_of(enum outcome reason)
{
	return reason == CARRIED ? "delivered" : outcome_word(reason);
}

void live_link_follow_ended(const struct port *p, const struct parcel *parcel, enum outcome reason,
			    const char *text)
{
	const struct live_link *live = p->live;
	const struct vars *secrets[MOST_SECRETS];
	struct buf line = { 0 };
	size_t n;

	if (log_is_debugging)
		log_event(LOG_DEBUG, "message-ended", "link=%s id=%llu side=%s device=%s result=%s",
			  live->plan->name, (unsigned long long)parcel->id, side_name(p->side),
			  log_value(parcel->device), result_of(reason));
	if (!taps_want(&live->taps, parcel->id, 0))
		return;
	n = find_secrets(live, parcel->device, secrets);
	begin_line(&line, "ended", parcel->id);
	buf_printf(&line, ",\"side\":\"%s\",\"result\":\"%s\"", side_name(p->side),
		   result_of(reason));
	put_text(&line, "topic", parcel->message.topic, secrets, n);
	put_text(&line, "text", text, secrets, n);
	hand_out(live, &line);
}

void live_link_follow_settled(struct live_link *live, const struct verdict *v)
{
	const struct vars *secrets[MOST_SECRETS];
	struct buf line = { 0 };

	if (log_is_debugging)
		log_event(LOG_DEBUG, "message-settled", "link=%s id=%llu kind=%s result=%s",
			  live->plan->name, (unsigned long long)v->id, kind_name(v->kind),
			  result_of(v->reason));
	if (taps_want(&live->taps, v->id, 0)) {
		begin_line(&line, "settled", v->id);
		put_kind(&line, v->kind);
		buf_printf(&line, ",\"result\":\"%s\",\"is_dead\":%s", result_of(v->reason),
			   outcome_is_dead(v->reason) ? "true" : "false");
		put_text(&line, "text", v->text, secrets, find_secrets(live, NULL, secrets));
		hand_out(live, &line);
	}
	taps_settle(&live->taps, v->id);
}

/* --- who listens ----------------------------------------------------------------------------- */

void live_link_put_redacted(const struct live_link *live, struct jslice json, struct buf *out)
{
	const struct vars *secrets[MOST_SECRETS];

	redact_json(out, json, secrets, find_secrets(live, NULL, secrets));
}

/* "SIDE.NAME":VALUE, of those that are no secrets; `prefix` may be empty. */
static void put_vars(const struct vars *vars, const char *prefix, const char **before,
		     struct buf *out)
{
	for (size_t i = 0; i < vars->n; i++) {
		const struct var *v = &vars->items[i];

		if (v->is_secret || redact_names_secret(v->name) ||
		    !jtext_is_utf8(v->value, strlen(v->value)))
			continue;
		buf_printf(out, "%s\"%s%s\":", *before, prefix, v->name);
		jtext_put_string(out, v->value, strlen(v->value));
		*before = ",";
	}
}

static void put_through(const struct conf_through *through, struct buf *out)
{
	const char *before = "";

	buf_puts(out, "{\"name\":");
	jtext_put_string(out, through->name, strlen(through->name));
	buf_puts(out, ",\"vars\":{");
	put_vars(&through->vars, "", &before, out);
	buf_puts(out, "}}");
}

void live_link_put_setup(const struct live_link *live, struct buf *out)
{
	const char *before = "";

	for (int s = 0; s < SIDES; s++)
		buf_printf(out, "%s\"%s\":\"%s\"", s ? "," : "{", side_name((enum side)s),
			   live->plan->side[s].dialect->name);
	for (size_t i = 0; i < live->conf->n_through; i++) {
		buf_puts(out, i ? "," : ",\"through\":[");
		put_through(&live->conf->through[i], out);
		buf_puts(out, i + 1 == live->conf->n_through ? "]" : "");
	}
	buf_puts(out, ",\"vars\":{");
	for (int s = 0; s < SIDES; s++)
		put_vars(&live->plan->side[s].vars, s == SOUTH ? "south." : "north.", &before, out);
	buf_puts(out, "}}");
}

struct tap *live_link_listen(struct live_link *live, const struct tap_terms *terms)
{
	struct tap *t = tap_new(live->parts->loop, &live->taps, live, terms);

	link_follow(live->link, true);
	return t;
}

void live_link_listen_end(struct tap *t)
{
	struct live_link *live = t ? tap_owner(t) : NULL;

	tap_free(t);
	if (live)
		link_follow(live->link, !TAILQ_EMPTY(&live->taps));
}
