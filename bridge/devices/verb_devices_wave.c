/* calque devices wave: a fleet is cut over in waves, which the bridge runs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "conf/wave_file.h"
#include "devices/device_request.h"
#include "fleet/wave_list.h"

struct telling {
	const struct cli *cli;
	bool is_run;
	size_t n, n_problems;
	bool is_running, is_at_work; /* a bridge; what was asked about */
};

/* --- how it stands --------------------------------------------------------------------------- */

static void put_until(int64_t ms, const char *text, struct buf *out)
{
	buf_puts(out, text);
	clock_put_utc(ms, out);
}

/* What is waited for. */
static void put_waited(struct jslice wave, struct buf *out)
{
	char *state = ask_text(wave, "state");
	int64_t set_ms = ask_number(wave, "set_ms"),
		not_before_ms = ask_number(wave, "not_before_ms");

	if (strcmp(state, "waits") == 0 && not_before_ms)
		put_until(not_before_ms, "until ", out);
	else if (strcmp(state, "soaks") == 0)
		put_until(set_ms + ask_number(wave, "soak_s") * 1000, "until ", out);
	free(state);
}

static char *of_most(struct jslice wave, const char *field, const char *most)
{
	return mem_printf("%" PRId64 " of %" PRId64, ask_number(wave, field),
			  ask_number(wave, most));
}

static void add_wave(struct table *table, struct jslice wave)
{
	struct buf waited = { 0 };

	put_waited(wave, &waited);
	table_add(table, ask_shown(wave, "name"));
	table_add(table, ask_shown(wave, "mode"));
	table_add(table, ask_shown(wave, "state"));
	table_add(table, mem_printf("%" PRId64, ask_number(wave, "devices")));
	table_add(table, of_most(wave, "failures", "max_failures"));
	table_add(table, of_most(wave, "dead_letters", "max_dead_letters"));
	table_add(table, mem_strdup(buf_str(&waited)));
	buf_fini(&waited);
}

static void print_waves(struct jslice item)
{
	static const char *const titles[] = { "wave",	  "mode",	  "state", "devices",
					      "failures", "dead letters", "" };
	struct table table = { .n_columns = sizeof titles / sizeof titles[0] };
	struct jslice waves, wave;
	size_t pos = 0;

	for (size_t i = 0; i < table.n_columns; i++)
		table_add(&table, mem_strdup(titles[i]));
	while (jtext_field(item, "waves", &waves) && jtext_next_element(waves, &pos, &wave))
		add_wave(&table, wave);
	table_print(&table, stdout);
	table_fini(&table);
}

static size_t print_devices(struct jslice item, const char *field, const char *more)
{
	struct jslice all, one;
	size_t pos = 0, n = 0;

	while (jtext_field(item, field, &all) && jtext_next_element(all, &pos, &one)) {
		char *device = ask_shown(one, "device"), *why = ask_shown(one, "why");

		printf("%s: %s%s\n", device, why, more);
		free(device);
		free(why);
		n++;
	}
	return n;
}

static void print_left(struct jslice item)
{
	int64_t n;

	print_devices(item, "failing", "");
	n = ask_number(item, "n_kept") -
	    (int64_t)print_devices(item, "kept", ": waves leave it alone");
	if (n > 0)
		printf("and %" PRId64 " more that waves leave alone\n", n);
}

static void print_status(struct jslice item)
{
	char *link = ask_shown(item, "link"), *phase = ask_shown(item, "phase"),
	     *who = ask_shown(item, "who"), *why = ask_shown(item, "why"),
	     *file = ask_shown(item, "file");

	printf("link %s: %s%s%s (%s, by %s)\n", link, phase, *why ? ": " : "", why, file, who);
	print_waves(item);
	print_left(item);
	free(link);
	free(phase);
	free(who);
	free(why);
	free(file);
}

static void put_limit(struct jslice item, const char *field, const char *text, struct buf *out)
{
	int64_t ms = ask_number(item, field);

	if (ms)
		put_until(ms, text, out);
}

static void print_begun(struct jslice item)
{
	char *link = ask_shown(item, "link"), *wave = ask_shown(item, "wave"),
	     *mode = ask_shown(item, "mode");
	int64_t n = ask_number(item, "devices");
	struct buf times = { 0 };

	put_limit(item, "not_before_ms", ", not before ", &times);
	put_limit(item, "not_after_ms", ", not after ", &times);
	printf("link %s: wave %s: %" PRId64 " device%s, %s%s\n", link, wave, n, PLURAL(n), mode,
	       buf_str(&times));
	buf_fini(&times);
	free(link);
	free(wave);
	free(mode);
}

static bool is_phase(struct jslice item, const char *phase)
{
	struct jslice v;

	return jtext_field(item, "phase", &v) && jtext_string_is(v, phase);
}

static void on_item(void *ctx, struct jslice item)
{
	struct telling *t = ctx;
	char *problem = ask_shown(item, "problem"), *name = ask_shown(item, "name");

	if (*problem) {
		fprintf(stderr, "calque devices: %s: %s\n", name, problem);
		t->n_problems++;
	} else {
		t->n++;
		t->is_at_work = t->is_at_work || t->is_run || is_phase(item, "running") ||
				is_phase(item, "rolling-back");
		if (t->cli->is_json)
			cli_print_line(stdout, item.text, item.len);
		else if (t->is_run)
			print_begun(item);
		else
			print_status(item);
	}
	free(problem);
	free(name);
}

static void on_done(void *ctx, struct jslice done)
{
	struct telling *t = ctx;

	t->is_running = jtext_is_true(done, "running");
	if ((size_t)ask_number(done, "failed") > t->n_problems)
		fprintf(stderr, "calque devices: %" PRId64 " mistake%s in all\n",
			ask_number(done, "failed"), PLURAL(ask_number(done, "failed")));
}

/* --- the request ----------------------------------------------------------------------------- */

/* False: told what is wrong with the file. */
static bool put_file(const char *path, struct buf *out)
{
	struct report report = { 0 };
	struct wave_list list;
	bool ok = wave_file_read(path, &list, &report);

	cli_print_report(&report);
	if (ok) {
		device_request_put_field(out, "file", path);
		buf_puts(out, ",\"waves\":");
		wave_list_put(&list, out);
		wave_list_fini(&list);
	}
	report_fini(&report);
	return ok;
}

static int finish(const struct telling *t, int status)
{
	if (status != EXIT_DONE)
		return status;
	if (t->n_problems) {
		fputs("calque devices: nothing is run\n", stderr);
		return EXIT_FAILED;
	}
	if (t->n == 0)
		puts("no waves have run");
	else if (t->cli->devices.is_dry && !t->cli->is_json)
		puts("nothing is run");
	else if (t->is_at_work && !t->is_running && !t->cli->is_json)
		puts("no bridge runs: it goes on when one is started");
	return EXIT_DONE;
}

int devices_wave(const struct cli *cli)
{
	static const char *const words[] = { "run", "status", "stop", "rollback" };
	static const struct ask_ops ops = { .item = on_item, .done = on_done };
	const char *word = cli->argc > 1 ? cli->argv[1] : "";
	struct telling t = { .cli = cli, .is_run = strcmp(word, "run") == 0 };
	struct buf request = { 0 };
	size_t known = 0;
	char *who;
	int status = EXIT_FAILED;

	while (known < sizeof words / sizeof words[0] && strcmp(words[known], word) != 0)
		known++;
	if (known == sizeof words / sizeof words[0] || cli->argc != (t.is_run ? 3 : 2))
		return options_misused("devices", "wave run FILE, wave status, wave stop, or wave "
						  "rollback");
	if (cli->devices.is_dry && !t.is_run)
		return options_misused("devices", "--dry-run goes with wave run");
	who = device_request_user();
	buf_printf(&request, "{\"request\":\"waves\",\"do\":\"%s\"", word);
	device_request_put_field(&request, "who", who);
	device_request_put_field(&request, "link", cli->letters.link);
	buf_puts(&request, cli->devices.is_dry ? ",\"dry_run\":true" : "");
	if (!t.is_run || put_file(cli->argv[2], &request)) {
		buf_putc(&request, '}');
		status = finish(&t, ask("devices", cli->conf_path, &request, &ops, &t));
	}
	free(who);
	buf_fini(&request);
	return status;
}
