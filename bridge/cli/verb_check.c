/* calque check: everything that run does, short of the network. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "cli/apart.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/sessions_check.h"
#include "conf/conf.h"
#include "live/generation.h"
#include "disk/directory.h"
#include "run/descriptors_check.h"

/* Would run take the state directory, as far as can be told without touching it? */
static void check_state(const struct conf *c, struct report *report)
{
	struct err e = { 0 };

	if (!directory_check(c->state, &e))
		report_lack(report, "%s: state: %s", c->file, e.text);
	else if (!keyfile_check(c->state, c->state_key, &e))
		report_lack(report, "%s: %s: %s", c->file, c->state_key ? "state_key" : "state",
			    e.text);
}

/* {"file":FILE,"links":N,"mistakes":[{"severity":"error"|"warning","text":TEXT},...]} */
static void print_json(const char *path, size_t n_links, const struct report *r)
{
	struct buf out = { 0 };

	buf_puts(&out, "{\"file\":");
	jtext_put_string(&out, path, strlen(path));
	buf_printf(&out, ",\"links\":%zu,\"mistakes\":[", n_links);
	for (size_t i = 0; i < r->n_lines; i++) {
		const struct report_line *l = &r->lines[i];

		buf_printf(&out, "%s{\"severity\":\"%s\",\"text\":", i ? "," : "",
			   l->is_warning ? "warning" : "error");
		jtext_put_string(&out, l->text, strlen(l->text));
		buf_putc(&out, '}');
	}
	buf_puts(&out, "]}");
	cli_print_line(stdout, out.data, out.len);
	buf_fini(&out);
}

static int check_all(struct cli *cli)
{
	struct report report = { .wants_hints = true };
	struct compiler *compiler = apart_begin("check");
	struct generation *g;
	size_t n;
	bool ok;

	if (!compiler)
		return EXIT_FAILED;
	g = generation_read(cli->conf_path, &cli->mappings, compiler, &report);
	n = g ? generation_conf(g)->n_links : 0;
	if (g) {
		check_state(generation_conf(g), &report);
		descriptors_warn(g, &report);
		sessions_check(cli->conf_path, generation_conf(g), &report);
	}
	ok = g && report.n_lacks == 0;
	if (cli->is_json)
		print_json(cli->conf_path, n, &report);
	else
		cli_print_report(&report);
	if (ok && !cli->is_json)
		printf("%s: %zu link%s, no mistakes\n", cli->conf_path, n, PLURAL(n));
	report_fini(&report);
	generation_free(g);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int print_keys(void)
{
	struct buf out = { 0 };

	conf_put_keys(&out);
	fputs(buf_str(&out), stdout);
	buf_fini(&out);
	return EXIT_DONE;
}

int verb_check(struct cli *cli)
{
	struct err e = { 0 };
	int status;

	if (cli->is_schema)
		return print_keys();
	if (!ask_as_owner(cli->conf_path, &e)) {
		fprintf(stderr, "calque check: %s\n", e.text);
		return EXIT_FAILED;
	}
	status = check_all(cli);
	return status == EXIT_DONE && cli->is_plan ? reload_tell_plan(cli) : status;
}
