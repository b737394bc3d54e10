#include "author/why_next.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "message/wire_json.h"

#define DEFAULT_MS    60000
#define MOST_ARRIVALS 256 /* that are remembered until it is known whose they are */

/* --- what the bridge tells ------------------------------------------------------------------- */

static void add_step(struct why_next *w, const char *text, size_t n)
{
	buf_puts(&w->steps, w->steps.len ? "," : "");
	buf_append(&w->steps, text, n);
}

static void choose(struct why_next *w, uint64_t id, struct jslice arrival)
{
	char *side = ask_text(arrival, "side");
	struct err e = { 0 };

	if (wire_json_take(arrival, &w->message, &e)) {
		w->id = id;
		w->flow = strcmp(side, "north") == 0 ? FLOW_DOWN : FLOW_UP;
		add_step(w, arrival.text, arrival.len);
	}
	free(side);
}

static bool is_of(const struct why_next *w, struct jslice item)
{
	char *device = ask_text(item, "device");
	bool is_so = !w->device || strcmp(device, w->device) == 0;

	free(device);
	return is_so;
}

/* Its topic may not say whose it is: then what is read of it does. */
static void on_arrived(struct why_next *w, uint64_t id, struct jslice item)
{
	if (is_of(w, item))
		choose(w, id, item);
	else if (w->arrivals.n < MOST_ARRIVALS)
		map_set(&w->arrivals, &id, sizeof id, mem_strndup(item.text, item.len));
}

static void on_read(struct why_next *w, uint64_t id, struct jslice item)
{
	char *arrival = map_get(&w->arrivals, &id, sizeof id);

	if (arrival && is_of(w, item))
		choose(w, id, (struct jslice){ arrival, strlen(arrival) });
}

static void take_state(struct why_next *w, struct jslice row)
{
	buf_puts(&w->state, w->state.len ? "," : "[");
	buf_append(&w->state, row.text, row.len);
}

static void take_item(void *ctx, struct jslice item)
{
	struct why_next *w = ctx;
	uint64_t id = (uint64_t)ask_number(item, "id");
	char *step = ask_text(item, "step");
	struct jslice row;

	if (jtext_field(item, "state", &row))
		take_state(w, row);
	else if (strcmp(step, "begins") == 0)
		w->link = ask_text(item, "link");
	else if (jtext_is_true(item, "is_cut"))
		fputs("calque why: warning: the state is too long, and only its beginning is known "
		      "here: the mappings may make something else of the message than the bridge\n",
		      stderr);
	else if (!w->id && strcmp(step, "arrived") == 0)
		on_arrived(w, id, item);
	else if (!w->id && strcmp(step, "read") == 0)
		on_read(w, id, item);
	if (id && id == w->id && strcmp(step, "arrived") != 0)
		add_step(w, item.text, item.len);
	if (strcmp(step, "settled") == 0) {
		if (id == w->id)
			w->is_over = true;
		free(map_remove(&w->arrivals, &id, sizeof id));
	}
	if (w->is_over && jtext_field(item, "is_dead", &row))
		w->status = jtext_type_of(row) == JTEXT_TRUE ? EXIT_FAILED : EXIT_DONE;
	free(step);
}

static void take_done(void *ctx, struct jslice done)
{
	(void)done;
	((struct why_next *)ctx)->is_timed_out = true;
}

static bool is_enough(void *ctx)
{
	return ((struct why_next *)ctx)->is_over;
}

int why_next_ask(struct why_next *w, const struct cli *cli)
{
	static const struct ask_ops ops = { take_item, take_done };
	static const struct ask_end end = { is_enough, NULL };
	int64_t for_ms = cli->listen.for_ms ? cli->listen.for_ms : DEFAULT_MS;
	struct buf request = { 0 };
	int status;

	w->device = cli->devices.name;
	w->status = EXIT_FAILED; /* it is not settled */
	buf_puts(&request, "{\"request\":\"tap\",\"by\":\"why\",\"state\":\"first\"");
	ask_put_text(&request, "link", cli->letters.link);
	ask_put_text(&request, "topic", cli->why.topic);
	ask_put_text(&request, "device", cli->devices.name);
	buf_printf(&request, ",\"for_ms\":%lld}", (long long)for_ms);
	status = ask_until("why", cli->conf_path, &request, &ops, &end, w);
	buf_fini(&request);
	if (w->state.len)
		buf_putc(&w->state, ']');
	if (status == EXIT_DONE && !w->id) {
		fprintf(stderr, "calque why: no such message came within %lld s\n",
			(long long)for_ms / 1000);
		status = EXIT_FAILED;
	}
	return status;
}

/* --- for people ------------------------------------------------------------------------------ */

static void put_word(struct buf *out, struct jslice step, const char *key)
{
	struct jslice v;

	if (!jtext_field(step, key, &v))
		return;
	buf_putc(out, ' ');
	if (jtext_type_of(v) == JTEXT_STRING)
		jtext_string_decode(v, out);
	else
		buf_append(out, v.text, v.len);
}

/* "  +1.234 ms made telemetry pump-7 north v1/devices/me/telemetry {...}" */
static void put_step(struct buf *out, struct jslice step, int64_t began_us)
{
	static const char *const shown[] = { "step",   "kind", "device", "far_id", "side",
					     "result", "text", "topic",	 "payload" };
	int64_t us = ask_number(step, "us") - began_us;

	buf_printf(out, "  +%lld.%03d ms", (long long)(us / 1000), (int)(us % 1000));
	for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
		put_word(out, step, shown[i]);
	buf_putc(out, '\n');
}

static void put_lines(const struct why_next *w, struct buf *out)
{
	struct buf list = { 0 };
	struct jslice step;
	int64_t began_us = 0;
	size_t pos = 0;

	buf_printf(&list, "[%s]", buf_str(&w->steps));
	buf_printf(out, "what link %s made of message %llu\n", w->link, (unsigned long long)w->id);
	while (jtext_next_element((struct jslice){ list.data, list.len }, &pos, &step)) {
		if (!began_us)
			began_us = ask_number(step, "us");
		put_step(out, step, began_us);
	}
	buf_puts(out, w->is_timed_out ? "  it is not settled yet\n" : "");
	buf_puts(out, "and what the mappings make of it\n");
	buf_fini(&list);
}

void why_next_put(const struct why_next *w, bool as_json, struct buf *why, struct buf *text)
{
	struct buf whole = { 0 };

	if (!as_json) {
		put_lines(w, text);
		return;
	}
	buf_printf(&whole, "{\"link\":");
	jtext_put_string(&whole, w->link, strlen(w->link));
	buf_printf(&whole, ",\"id\":%llu,\"steps\":[%s],", (unsigned long long)w->id,
		   buf_str(&w->steps));
	buf_append(&whole, why->data + 1, why->len - 1);
	buf_fini(why);
	*why = whole;
}

void why_next_fini(struct why_next *w)
{
	free(w->link);
	message_fini(&w->message);
	buf_fini(&w->state);
	buf_fini(&w->steps);
	map_fini(&w->arrivals, free);
}
