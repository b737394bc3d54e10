/* calque routes: the picture of a pair, kind by kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/route.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "message/kind.h"
#include "message/outcome.h"
#include "message/side.h"
#include "offline/offline.h"
#include "plan/plan.h"
#include "work/compiler.h"

struct route_line {
	const struct route *route;
	const char *arrow;
	char *topic[SIDES];
};

/* As it is without any configuration. */
static char *row_topic(const struct dialect *d, const struct row *row)
{
	struct topic_template bound;
	struct buf text = { 0 };

	if (topic_template_bind(&bound, &row->topic, &d->defaults, NULL))
		topic_template_text(&bound, &text);
	topic_template_fini(&bound);
	return buf_take(&text);
}

static void set_line(struct route_line *line, const struct route *r,
		     const struct dialect *const side[SIDES])
{
	enum side from = flow_source(kind_table[r->kind].flow);

	line->route = r;
	line->arrow = from == SOUTH ? "->" : "<-";
	line->topic[from] = r->from ? row_topic(side[from], r->from) : NULL;
	line->topic[side_other(from)] = r->to ? row_topic(side[side_other(from)], r->to) : NULL;
}

static int width(const struct route_line *lines, size_t n, int column)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		const char *s =
			column < SIDES ? lines[i].topic[column] : kind_name(lines[i].route->kind);

		if (s && strlen(s) > most)
			most = strlen(s);
	}
	return (int)most;
}

static void print_pair(const struct route_line *lines, size_t n, const char *south,
		       const char *north, bool has_color)
{
	int kinds = width(lines, n, SIDES), topics = width(lines, n, SOUTH);
	const char *bold = has_color ? "\033[1m" : "", *dim = has_color ? "\033[33m" : "",
		   *plain = has_color ? "\033[0m" : "";
	bool has_gap = false, has_greeting = false;

	if (topics < (int)strlen(south))
		topics = (int)strlen(south);
	printf("%s%-*s  %-*s      %s%s\n", bold, kinds, "kind", topics, south, north, plain);
	for (size_t i = 0; i < n; i++) {
		const struct route_line *l = &lines[i];

		if (!l->route->from && !has_greeting)
			printf("\n%safter each login in the north%s\n", bold, plain);
		has_greeting = !l->route->from;
		if (l->route->to) {
			printf("%-*s  %-*s  %s  %s\n", kinds, kind_name(l->route->kind), topics,
			       l->route->from ? l->topic[SOUTH] : "-", l->arrow, l->topic[NORTH]);
			continue;
		}
		if (!has_gap)
			printf("\n%sno counterpart%s\n", bold, plain);
		has_gap = true;
		printf("%s%-*s  %-*s  %s  %s%s  (%s)\n", dim, kinds, kind_name(l->route->kind),
		       topics, l->topic[SOUTH] ? l->topic[SOUTH] : "-", l->arrow,
		       l->topic[NORTH] ? l->topic[NORTH] : "-", plain, route_fate(l->route));
	}
}

static void put_topic(struct buf *out, const char *key, const char *topic)
{
	buf_printf(out, ",\"%s\":", key);
	if (topic)
		jtext_put_string(out, topic, strlen(topic));
	else
		buf_puts(out, "null");
}

static void print_json(const struct route_line *lines, size_t n, const char *link,
		       const char *south, const char *north)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct route_line *l = &lines[i];

		buf_reset(&out);
		buf_putc(&out, '{');
		if (link)
			buf_printf(&out, "\"link\":\"%s\",", link);
		buf_printf(&out,
			   "\"south_dialect\":\"%s\",\"north_dialect\":\"%s\",\"kind\":\"%s\","
			   "\"flow\":\"%s\"",
			   south, north, kind_name(l->route->kind),
			   flow_name(kind_table[l->route->kind].flow));
		put_topic(&out, "south", l->topic[SOUTH]);
		put_topic(&out, "north", l->topic[NORTH]);
		if (!l->route->from)
			buf_puts(&out, ",\"on_connect\":true");
		if (!l->route->to)
			buf_printf(&out, ",\"no_counterpart\":\"%s\"", route_fate(l->route));
		buf_putc(&out, '}');
		cli_print_line(stdout, out.data, out.len);
	}
	buf_fini(&out);
}

/* For a terminal, which obeys some characters. */
static void escape(char **topic)
{
	struct buf shown = { 0 };

	if (!*topic)
		return;
	buf_put_shown(&shown, *topic, strlen(*topic), false);
	free(*topic);
	*topic = buf_take(&shown);
}

static void print_routes(const struct cli *cli, const char *link, const struct wanted *w)
{
	const struct dialect *south = w->side[SOUTH], *north = w->side[NORTH];
	struct route_line *lines;
	struct route *routes;
	size_t n;

	routes = route_list(w, &n);
	lines = mem_zalloc((n + 1) * sizeof *lines);
	for (size_t i = 0; i < n; i++)
		set_line(&lines[i], &routes[i], w->side);
	if (cli->is_json) {
		print_json(lines, n, link, south->name, north->name);
	} else {
		for (size_t i = 0; i < n; i++)
			for (int s = 0; s < SIDES; s++)
				escape(&lines[i].topic[s]);
		if (link)
			printf("link %s\n", link);
		print_pair(lines, n, south->name, north->name, cli->has_color);
	}
	for (size_t i = 0; i < n; i++) {
		free(lines[i].topic[SOUTH]);
		free(lines[i].topic[NORTH]);
	}
	free(lines);
	free(routes);
}

/* --- what is lost -------------------------------------------------------------------------- */

static void print_lossy_row(const struct cli *cli, const char *link, struct jslice row)
{
	char *kind = ask_text(row, "kind"), *to = ask_text(row, "to"),
	     *refused = ask_text(row, "refused");
	struct buf line = { 0 };
	struct jslice drops, field;
	const char *before = "";
	size_t pos = 0;

	if (cli->is_json) {
		if (link)
			buf_printf(&line, "{\"link\":\"%s\",%.*s", link, (int)row.len - 1,
				   row.text + 1);
		else
			buf_append(&line, row.text, row.len);
	} else {
		buf_printf(&line, "%-22s  %-14s  %s", kind, to, *refused ? "not known: " : "");
		buf_puts(&line, refused);
		if (strcmp(refused, outcome_word(DEAD_BAD_TOPIC)) == 0)
			buf_puts(&line, " (a variable of its topic: --var SIDE.NAME=VALUE)");
		for (; jtext_field(row, "drops", &drops) && jtext_next_element(drops, &pos, &field);
		     before = ", ") {
			buf_puts(&line, before);
			jtext_string_decode(field, &line);
		}
		if (!*refused && !*before)
			buf_putc(&line, '-');
	}
	cli_print_line(stdout, line.data, line.len);
	buf_fini(&line);
	free(kind);
	free(to);
	free(refused);
}

/* Of a link, which is ended; NULL: there is none. */
static bool print_lossy(const struct cli *cli, const char *link, struct offline *o)
{
	struct jslice row;
	struct buf all = { 0 };
	size_t pos = 0;

	if (!o)
		return false;
	offline_lossy(o, &all);
	if (!cli->is_json && link)
		printf("link %s\n", link);
	if (!cli->is_json)
		printf("%-22s  %-14s  %s\n", "kind", "goes to", "which drops");
	while (jtext_next_element((struct jslice){ all.data, all.len }, &pos, &row))
		print_lossy_row(cli, link, row);
	buf_fini(&all);
	offline_free(o);
	return true;
}

static int lossy_routes(struct cli *cli, struct compiler *compiler)
{
	struct report report = { 0 };
	struct conf *conf = cli->argc ? NULL : conf_read(cli->conf_path, &report);
	bool ok = cli->argc || conf;
	struct build build;

	build_init(&build, &cli->mappings, conf);
	build.loader = compiler_loader(compiler);
	if (cli->argc)
		ok = print_lossy(
			cli, NULL,
			offline_new(&build, cli->argv[0], cli->argv[1], cli->vars, NULL, &report));
	for (size_t i = 0; conf && i < conf->n_links; i++)
		ok = print_lossy(
			     cli, conf->links[i].name,
			     offline_new_link(&build, &conf->links[i], cli->vars, NULL, &report)) &&
		     ok;
	cli_print_report(&report);
	conf_free(conf);
	build_fini(&build);
	report_fini(&report);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int routes_of_pair(struct cli *cli, struct compiler *compiler)
{
	struct report report = { 0 };
	struct build build;
	struct mapping *south, *north;

	build_init(&build, &cli->mappings, NULL);
	build.loader = compiler_loader(compiler);
	south = build_dialect(&build, cli->argv[0], "calque routes", &report);
	north = build_dialect(&build, cli->argv[1], "calque routes", &report);
	cli_print_report(&report);
	if (south && north) {
		struct wanted w = { .side = { mapping_dialect(south), mapping_dialect(north) } };

		print_routes(cli, NULL, &w);
	}
	build_fini(&build);
	report_fini(&report);
	return south && north ? EXIT_DONE : EXIT_FAILED;
}

static int routes_of_conf(struct cli *cli, struct compiler *compiler)
{
	struct report report = { 0 };
	struct conf *conf = conf_read(cli->conf_path, &report);
	bool is_whole = report.n_errors == 0;
	struct build build;
	int status;

	build_init(&build, &cli->mappings, conf);
	build.loader = compiler_loader(compiler);
	for (size_t i = 0; conf && i < conf->n_links; i++) {
		const struct conf_link *link = &conf->links[i];
		struct plan *plan = build_plan(&build, link, is_whole, &report);

		if (plan) {
			struct wanted w = plan_wanted(plan);

			if (i && !cli->is_json)
				puts("");
			print_routes(cli, link->name, &w);
		}
		plan_free(plan);
	}
	cli_print_report(&report);
	status = report.n_errors + report.n_lacks ? EXIT_FAILED : EXIT_DONE;
	conf_free(conf);
	build_fini(&build);
	report_fini(&report);
	return status;
}

int verb_routes(struct cli *cli)
{
	bool is_pair = cli->argc == 2 && !cli->has_conf;
	struct compiler *compiler;
	int status = EXIT_FAILED;

	if (!is_pair && cli->argc != 0)
		return options_misused("routes",
				       "it takes two dialects, or a configuration (-c FILE)");
	if (!cli->is_lossy && (cli->vars[SOUTH].n || cli->vars[NORTH].n))
		return options_misused("routes", "--var is for --lossy, which tries messages");
	compiler = apart_begin("routes");
	if (compiler && cli->is_lossy)
		status = lossy_routes(cli, compiler);
	else if (compiler)
		status = is_pair ? routes_of_pair(cli, compiler) : routes_of_conf(cli, compiler);
	compiler_free(compiler);
	return status;
}
