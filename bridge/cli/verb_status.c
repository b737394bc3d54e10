/* calque status: how it is with a bridge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/duration.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "message/side.h"

struct printer {
	const struct cli *cli;
	bool is_running;
	size_t n_links, n_ready; /* of those that were asked for */
	int64_t n_dead;
	struct buf links; /* of the JSON, or the lines for people */
};

static void put_shown(struct buf *out, struct jslice object, const char *key)
{
	char *text = ask_shown(object, key);

	buf_puts(out, text);
	free(text);
}

static bool has(struct jslice object, const char *key)
{
	struct jslice v;

	return jtext_field(object, key, &v);
}

/* "  south  up for 2h  mqtt://127.0.0.1:1883 (MQTT 3.1.1)" */
static void put_session(struct buf *out, struct jslice s)
{
	buf_puts(out, jtext_is_true(s, "is_provisioning") ? "  provisioning " : "  ");
	put_shown(out, s, "side");
	buf_puts(out, "  ");
	put_shown(out, s, "state");
	if (has(s, "since_s")) {
		buf_puts(out, has(s, "why") ? ", down for " : " for ");
		duration_put(ask_number(s, "since_s") * 1000, out);
	}
	buf_puts(out, "  ");
	put_shown(out, s, "url");
	buf_puts(out, ask_number(s, "mqtt") == 5 ? " (MQTT 5)\n" : " (MQTT 3.1.1)\n");
	if (has(s, "why")) {
		buf_puts(out, "         ");
		put_shown(out, s, "why");
		buf_printf(out, ", %lld attempt%s\n", (long long)ask_number(s, "attempts"),
			   PLURAL(ask_number(s, "attempts")));
	}
	if (has(s, "degraded")) {
		buf_puts(out, "         ");
		put_shown(out, s, "degraded");
		buf_putc(out, '\n');
	}
	if (has(s, "late")) {
		buf_puts(out, "         ");
		put_shown(out, s, "late");
		buf_putc(out, '\n');
	}
	if (ask_number(s, "bytes"))
		buf_printf(out, "         waiting %lld, in flight %lld, %lld bytes\n",
			   (long long)ask_number(s, "waiting"),
			   (long long)ask_number(s, "in_flight"),
			   (long long)ask_number(s, "bytes"));
}

static void put_flow(struct buf *out, const char *flow, struct jslice counters)
{
	static const char *const names[] = { "received", "resumed", "delivered",
					     "filtered", "dead",    "pending" };
	static const char *const between[] = { "", " + ", " = ", " + ", " + ", " + " };
	struct jslice by;
	struct jfield f;
	size_t pos = 0;

	buf_printf(out, "  %-5s  ", flow);
	if (has(counters, "last_s")) {
		buf_puts(out, "last ");
		duration_put(ask_number(counters, "last_s") * 1000, out);
		buf_puts(out, " ago, ");
	}
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		buf_printf(out, "%s%s %lld", between[i], names[i],
			   (long long)ask_number(counters, names[i]));
	buf_putc(out, '\n');
	if (has(counters, "unanswered"))
		buf_printf(out, "         %lld unanswered, and nothing to tell who asked\n",
			   (long long)ask_number(counters, "unanswered"));
	if (!jtext_field(counters, "by", &by))
		return;
	for (int n = 0; jtext_next_field(by, &pos, &f); n++)
		buf_printf(out, "         %.*s %.*s\n", (int)f.key.len - 2, f.key.text + 1,
			   (int)f.value.len, f.value.text);
}

/* Whose it is by its handshakes. */
static void put_owner(struct buf *out, struct jslice link)
{
	const char *key = has(link, "belongs_to") ? "belongs_to" : "promised_to";

	if (!has(link, key))
		return;
	buf_puts(out, " of ");
	put_shown(out, link, key);
	buf_puts(out, strcmp(key, "promised_to") == 0 ? ", which has not logged in yet" : "");
}

/* Of whom something is remembered, once there are too many. */
static void put_devices(struct buf *out, struct jslice link)
{
	struct jslice devices;

	if (!jtext_field(link, "devices", &devices) ||
	    ask_number(devices, "forgotten") + ask_number(devices, "unremembered") == 0)
		return;
	buf_printf(
		out,
		"  devices  remembered %lld of at most %lld, forgotten %lld, not remembered %lld\n",
		(long long)ask_number(devices, "remembered"), (long long)ask_number(devices, "max"),
		(long long)ask_number(devices, "forgotten"),
		(long long)ask_number(devices, "unremembered"));
}

/* Where each device has one of its own: how many are how. */
static void put_device_sessions(struct buf *out, struct jslice link)
{
	struct jslice of_devices;

	if (jtext_field(link, "device_sessions", &of_devices))
		buf_printf(
			out,
			"  north      of devices: %lld up, %lld down, %lld refused, %lld without "
			"credentials, %lld asleep\n",
			(long long)ask_number(of_devices, "up"),
			(long long)ask_number(of_devices, "down"),
			(long long)ask_number(of_devices, "refused"),
			(long long)ask_number(of_devices, "lacking"),
			(long long)ask_number(of_devices, "asleep"));
}

static void put_waves(struct buf *out, struct jslice link)
{
	struct jslice waves;

	if (!jtext_field(link, "waves", &waves))
		return;
	buf_puts(out, "  waves      ");
	put_shown(out, waves, "phase");
	buf_puts(out, ": wave ");
	put_shown(out, waves, "wave");
	buf_putc(out, ' ');
	put_shown(out, waves, "state");
	buf_putc(out, '\n');
}

static void put_link(struct buf *out, struct jslice link)
{
	struct jslice sessions, one;
	size_t pos = 0;

	buf_puts(out, "link ");
	put_shown(out, link, "link");
	put_owner(out, link);
	buf_putc(out, '\n');
	if (jtext_field(link, "sessions", &sessions))
		while (jtext_next_element(sessions, &pos, &one))
			put_session(out, one);
	put_device_sessions(out, link);
	put_waves(out, link);
	for (int f = 0; f < FLOWS; f++)
		if (jtext_field(link, flow_name((enum flow)f), &one))
			put_flow(out, flow_name((enum flow)f), one);
	put_devices(out, link);
}

static bool has_text(struct jslice object, const char *key, const char *wanted)
{
	char *text = ask_text(object, key);
	bool is_it = strcmp(text, wanted) == 0;

	free(text);
	return is_it;
}

/* Does the session do what it is for?  One that is held waits for the other side, which is told there. */
static bool is_ready(struct jslice session)
{
	return jtext_is_true(session, "is_provisioning") || has_text(session, "state", "up") ||
	       has_text(session, "state", "held");
}

/* In a fleet some device is always away: it is ready unless there are some, and none of them is up. */
static bool are_devices_ready(struct jslice link)
{
	struct jslice of_devices;

	return !jtext_field(link, "device_sessions", &of_devices) ||
	       ask_number(of_devices, "up") > 0 ||
	       ask_number(of_devices, "down") + ask_number(of_devices, "refused") == 0;
}

/* Is every session of the link ready?  Those that are not are told, if `out` is given. */
static bool is_link_ready(struct jslice link, struct buf *out)
{
	struct jslice sessions, one;
	size_t pos = 0;
	bool ok = true;

	if (!jtext_field(link, "sessions", &sessions))
		return false;
	while (jtext_next_element(sessions, &pos, &one)) {
		if (is_ready(one))
			continue;
		ok = false;
		if (!out)
			continue;
		buf_puts(out, "link ");
		put_shown(out, link, "link");
		put_session(out, one);
	}
	if (!are_devices_ready(link)) {
		ok = false;
		if (out)
			put_device_sessions(out, link);
	}
	return ok;
}

static bool is_degraded(struct jslice link)
{
	struct jslice sessions, one;
	size_t pos = 0;

	if (jtext_field(link, "sessions", &sessions))
		while (jtext_next_element(sessions, &pos, &one))
			if (has(one, "degraded"))
				return true;
	return false;
}

static int64_t count_dead(struct jslice link)
{
	struct jslice counters;
	int64_t n = 0;

	for (int f = 0; f < FLOWS; f++)
		if (jtext_field(link, flow_name((enum flow)f), &counters))
			n += ask_number(counters, "dead");
	return n;
}

/* One link of those that are asked for. */
static void on_item(void *ctx, struct jslice item)
{
	struct printer *p = ctx;
	const struct cli *cli = p->cli;
	int64_t n_dead = count_dead(item);
	bool is_well;

	if (cli->letters.link && !has_text(item, "link", cli->letters.link))
		return;
	is_well = is_link_ready(item, cli->is_ready && !cli->is_json ? &p->links : NULL);
	p->n_links++;
	p->n_ready += is_well;
	p->n_dead += n_dead;
	if (cli->is_bad && is_well && n_dead == 0 && !is_degraded(item))
		return;
	if (cli->is_json) {
		buf_puts(&p->links, p->links.len ? "," : "");
		buf_put_shown(&p->links, item.text, item.len, false);
	} else if (!cli->is_ready) {
		put_link(&p->links, item);
	}
}

static void print_running(struct jslice done)
{
	struct buf out = { 0 };

	buf_puts(&out, "calque ");
	put_shown(&out, done, "version");
	buf_printf(&out, ", process %lld, up for ", (long long)ask_number(done, "pid"));
	duration_put(ask_number(done, "uptime_s") * 1000, &out);
	puts(buf_str(&out));
	buf_fini(&out);
}

static void print_stored(struct jslice done)
{
	printf("dead letters %lld (%lld bytes)", (long long)ask_number(done, "deadletters"),
	       (long long)ask_number(done, "deadletter_bytes"));
	if (ask_number(done, "deadletters_evicted"))
		printf(", %lld evicted", (long long)ask_number(done, "deadletters_evicted"));
	if (has(done, "journal_messages"))
		printf(", in the journal %lld message%s",
		       (long long)ask_number(done, "journal_messages"),
		       PLURAL(ask_number(done, "journal_messages")));
	if (has(done, "journal_bytes"))
		printf(", in the journal %lld bytes", (long long)ask_number(done, "journal_bytes"));
	putchar('\n');
	if (ask_number(done, "workers_replaced"))
		printf("worker processes replaced since the start %lld, of them for what they "
		       "answered %lld\n",
		       (long long)ask_number(done, "workers_replaced"),
		       (long long)ask_number(done, "workers_lied"));
	if (ask_number(done, "set_aside"))
		printf("%lld row%s of the state directory could not be read, and set aside "
		       "(calque status --aside)\n",
		       (long long)ask_number(done, "set_aside"),
		       PLURAL(ask_number(done, "set_aside")));
}

/* "3 links: 2 ready, 1 not; 12 messages dead since the start" */
static void print_summary(const struct printer *p)
{
	printf("%zu link%s: %zu ready", p->n_links, PLURAL(p->n_links), p->n_ready);
	if (p->n_ready < p->n_links)
		printf(", %zu not", p->n_links - p->n_ready);
	printf("; %lld message%s dead since the start\n", (long long)p->n_dead, PLURAL(p->n_dead));
}

static void print_done(const struct printer *p, struct jslice done)
{
	if (p->cli->is_ready) {
		if (!p->is_running)
			puts("not running");
		fputs(buf_str(&p->links), stdout);
		return;
	}
	if (p->is_running)
		print_running(done);
	else
		puts("not running");
	if (p->is_running)
		print_summary(p);
	fputs(buf_str(&p->links), stdout);
	print_stored(done);
}

static void on_done(void *ctx, struct jslice done)
{
	struct printer *p = ctx;

	p->is_running = jtext_is_true(done, "running");
	if (p->cli->is_json)
		printf("{\"links\":[%s],\"ready\":%s,%.*s\n", buf_str(&p->links),
		       p->is_running && p->n_ready == p->n_links ? "true" : "false",
		       (int)done.len - 1, done.text + 1);
	else
		print_done(p, done);
}

/* --- rows that were set aside -------------------------------------------------------------- */

static const char *const aside_columns[] = { "age", "link", "part", "key", "reason" };
#define N_ASIDE (sizeof aside_columns / sizeof aside_columns[0])

struct aside_printer {
	bool is_json;
	int64_t now_ms;
	struct table table;
};

static void on_aside(void *ctx, struct jslice item)
{
	struct aside_printer *p = ctx;
	struct buf age = { 0 };

	if (p->is_json) {
		cli_print_line(stdout, item.text, item.len);
		return;
	}
	for (size_t i = 0; i < N_ASIDE && p->table.n_cells < N_ASIDE; i++)
		table_add(&p->table, mem_strdup(aside_columns[i]));
	duration_put(p->now_ms - ask_number(item, "at_ms"), &age);
	table_add(&p->table, buf_take(&age));
	for (size_t i = 1; i < N_ASIDE; i++)
		table_add(&p->table, ask_shown(item, aside_columns[i]));
}

static void on_asides(void *ctx, struct jslice done)
{
	const struct aside_printer *p = ctx;

	if (!p->is_json && !ask_number(done, "set_aside"))
		puts("every row could be read");
}

static int show_aside(const struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_aside, .done = on_asides };
	struct aside_printer p = { .is_json = cli->is_json, .now_ms = clock_wall_ms() };
	struct buf request = { 0 };
	int status;

	p.table.n_columns = N_ASIDE;
	buf_puts(&request, "{\"request\":\"aside\"}");
	status = ask("status", cli->conf_path, &request, &ops, &p);
	table_print(&p.table, stdout);
	table_fini(&p.table);
	buf_fini(&request);
	return status;
}

int verb_status(struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_done };
	static const char request_text[] = "{\"request\":\"status\"}";
	struct printer p = { .cli = cli };
	struct buf request = { 0 };
	int status;

	if (cli->is_aside)
		return show_aside(cli);
	buf_puts(&request, request_text);
	status = ask("status", cli->conf_path, &request, &ops, &p);
	buf_fini(&request);
	buf_fini(&p.links);
	if (status != EXIT_DONE)
		return status;
	if (p.is_running && cli->letters.link && p.n_links == 0) {
		fprintf(stderr, "calque status: no link is called \"%s\"\n", cli->letters.link);
		return EXIT_MISUSED;
	}
	return p.is_running && (!cli->is_ready || p.n_ready == p.n_links) ? EXIT_DONE : EXIT_FAILED;
}
