/* calque devices provision: the bridge is told which devices want credentials, and looked at until it is done with
 * them.
 *
 * The queue is the bridge's, and in its state: who stops looking stops nothing, and who asks again sees the rest. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "devices/device_request.h"
#include "fleet/csv.h"
#include "fleet/fleet.h"

#define LOOK_MS	  500
#define PLAIN_MS  10000 /* between two lines, where there is no terminal */
#define BAR_CHARS 30

struct chosen {
	char *link, *name, *state, *step, *reason;
};

struct provisioning {
	const struct cli *cli;
	struct map by_name; /* "LINK/NAME" -> struct chosen, which it owns */
	struct chosen **items;
	size_t n, n_problems;
	size_t states[FLEET_STATES];
	char *stopped; /* why; NULL: it is not */
	bool is_gone;  /* no bridge runs any more */
	int64_t begun_ms, told_ms;
	size_t begun_with; /* were done then */
};

static void end_chosen(void *value)
{
	struct chosen *c = value;

	free(c->link);
	free(c->name);
	free(c->state);
	free(c->step);
	free(c->reason);
	free(c);
}

static char *key_of(struct jslice item)
{
	char *link = ask_text(item, "link"), *name = ask_text(item, "name");
	char *key = mem_printf("%s/%s", link, name);

	free(link);
	free(name);
	return key;
}

static void note(struct provisioning *p, struct chosen *c, struct jslice item)
{
	char *stopped = ask_shown(item, "stopped");

	free(c->state);
	free(c->step);
	free(c->reason);
	c->state = ask_text(item, "state");
	c->step = ask_text(item, "step");
	c->reason = ask_shown(item, "reason");
	if (*stopped && !p->stopped)
		p->stopped = stopped;
	else
		free(stopped);
}

/* --- what the bridge says -------------------------------------------------------------------- */

static void on_begun(void *ctx, struct jslice item)
{
	struct provisioning *p = ctx;
	char *problem = ask_shown(item, "problem"), *name = ask_shown(item, "name");
	struct chosen *c;
	char *key;

	if (*problem) {
		fprintf(stderr, "calque devices: %s: %s\n", name, problem);
		p->n_problems++;
	} else {
		c = mem_zalloc(sizeof *c);
		c->link = ask_shown(item, "link");
		c->name = mem_strdup(name);
		note(p, c, item);
		key = key_of(item);
		map_set_str(&p->by_name, key, c);
		free(key);
		p->items = mem_grow(p->items, p->n, sizeof *p->items);
		p->items[p->n++] = c;
	}
	free(problem);
	free(name);
}

static void on_looked(void *ctx, struct jslice item)
{
	struct provisioning *p = ctx;
	char *key = key_of(item);
	struct chosen *c = map_get_str(&p->by_name, key);

	if (c)
		note(p, c, item);
	free(key);
}

static void on_done(void *ctx, struct jslice done)
{
	struct provisioning *p = ctx;
	struct jslice running;

	p->is_gone =
		!jtext_field(done, "running", &running) || jtext_type_of(running) != JTEXT_TRUE;
}

static int request(struct provisioning *p, const char *word, bool is_first)
{
	static const struct ask_ops begin = { on_begun, on_done }, look = { on_looked, on_done };
	const struct cli *cli = p->cli;
	struct buf text = { 0 };
	int n = is_first ? cli->argc - 1 : 0, status;

	if (!device_request_put(cli, word, cli->argv + 1, n, is_first, &text)) {
		buf_fini(&text);
		return EXIT_FAILED;
	}
	buf_putc(&text, '}');
	status = ask("devices", cli->conf_path, &text, is_first ? &begin : &look, p);
	buf_fini(&text);
	return status;
}

/* --- how far it is --------------------------------------------------------------------------- */

static size_t count_done(struct provisioning *p)
{
	memset(p->states, 0, sizeof p->states);
	for (size_t i = 0; i < p->n; i++) {
		int s = fleet_word(fleet_state_names, FLEET_STATES, p->items[i]->state);

		if (s >= 0)
			p->states[s]++;
	}
	return p->n - p->states[FLEET_ASKING];
}

static void put_progress(const struct provisioning *p, size_t done, struct buf *out)
{
	int64_t took_ms = clock_mono_ms() - p->begun_ms;
	double rate = took_ms > 0 ? (double)(done - p->begun_with) * 1000.0 / (double)took_ms : 0;
	int64_t left_s = rate > 0 ? (int64_t)((double)(p->n - done) / rate) : 0;

	buf_printf(out, "%zu of %zu, %zu refused, %zu lost, %.1f/s", done, p->n,
		   p->states[FLEET_REFUSED], p->states[FLEET_LOST], rate);
	if (rate > 0)
		buf_printf(out, ", %" PRId64 ":%02" PRId64 " left", left_s / 60, left_s % 60);
}

static void tell_progress(struct provisioning *p, size_t done)
{
	bool is_terminal = isatty(STDERR_FILENO) && !p->cli->is_json;
	struct buf line = { 0 };
	size_t full = p->n ? done * BAR_CHARS / p->n : 0;

	if (!is_terminal && clock_mono_ms() < p->told_ms + PLAIN_MS)
		return;
	p->told_ms = clock_mono_ms();
	put_progress(p, done, &line);
	if (is_terminal) {
		fprintf(stderr, "\r[");
		for (size_t i = 0; i < BAR_CHARS; i++)
			putc(i < full ? '#' : '.', stderr);
		fprintf(stderr, "] %s \033[K%s", buf_str(&line), done == p->n ? "\n" : "");
	} else {
		fprintf(stderr, "%s\n", buf_str(&line));
	}
	fflush(stderr);
	buf_fini(&line);
}

static int follow(struct provisioning *p)
{
	int status = EXIT_DONE;

	p->begun_ms = clock_mono_ms();
	p->begun_with = count_done(p);
	for (size_t done = p->begun_with; status == EXIT_DONE; done = count_done(p)) {
		tell_progress(p, done);
		if (done == p->n || p->stopped || p->is_gone)
			break;
		poll(NULL, 0, LOOK_MS);
		status = request(p, "list", false);
	}
	return status;
}

/* --- what came of it ------------------------------------------------------------------------- */

static void print_csv(const struct provisioning *p)
{
	struct buf out = { 0 };

	buf_puts(&out, "link,name,state,step,reason\n");
	for (size_t i = 0; i < p->n; i++) {
		const struct chosen *c = p->items[i];
		const char *cells[] = { c->link, c->name, c->state, c->step, c->reason };

		for (size_t k = 0; k < sizeof cells / sizeof cells[0]; k++) {
			buf_puts(&out, k ? "," : "");
			csv_put(&out, cells[k]);
		}
		buf_putc(&out, '\n');
	}
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
}

/* Those that are not ready, and how many are. */
static void print_table(const struct provisioning *p)
{
	struct table table = { .n_columns = 5 };

	for (size_t i = 0; i < p->n; i++) {
		const struct chosen *c = p->items[i];

		if (strcmp(c->state, "ready") == 0 && !p->cli->devices.is_dry)
			continue;
		table_add(&table, mem_strdup(c->link));
		table_add(&table, mem_strdup(c->name));
		table_add(&table, mem_strdup(c->state));
		table_add(&table, mem_strdup(c->step));
		table_add(&table, mem_strdup(c->reason));
	}
	if (table.n_cells)
		table_print(&table, stdout);
	table_fini(&table);
	printf("%zu device%s:", p->n, PLURAL(p->n));
	for (int s = 0; s < FLEET_STATES; s++)
		if (p->states[s])
			printf(" %zu %s", p->states[s], fleet_state_names[s]);
	putchar('\n');
}

static int finish(struct provisioning *p)
{
	bool is_dry = p->cli->devices.is_dry;

	count_done(p);
	if (p->cli->devices.is_csv)
		print_csv(p);
	else
		print_table(p);
	if (p->stopped)
		fprintf(stderr, "calque devices: stopped: %s\n", p->stopped);
	if (p->is_gone)
		fprintf(stderr,
			"calque devices: the bridge has ended: it goes on with the rest when "
			"it runs again\n");
	if (p->n_problems || p->stopped || p->is_gone)
		return EXIT_FAILED;
	return is_dry || p->states[FLEET_READY] == p->n ? EXIT_DONE : EXIT_FAILED;
}

int devices_provision(const struct cli *cli)
{
	struct provisioning p = { .cli = cli };
	int status = request(&p, "provision", true);

	if (status == EXIT_DONE && !cli->devices.is_dry)
		status = follow(&p);
	if (status == EXIT_DONE)
		status = finish(&p);
	map_fini(&p.by_name, end_chosen);
	free(p.items);
	free(p.stopped);
	return status;
}
