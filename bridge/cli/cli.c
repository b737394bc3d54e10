#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/duration.h"
#include "conf/conf.h"
#include "message/kind.h"
#include "message/outcome.h"

enum {
	OPT_CONFIG = 1 << 0,
	OPT_MAPPINGS = 1 << 1,
	OPT_JSON = 1 << 2,
	OPT_LINES = 1 << 3,
	OPT_VAR = 1 << 4,
	OPT_PROPERTY = 1 << 5,
	OPT_RESPONSE_TOPIC = 1 << 6,
	OPT_WATCH = 1 << 7,
	OPT_SCHEMA = 1 << 8,
	OPT_DIRECTORY = 1 << 9,
	OPT_LINK = 1 << 10,
	OPT_REASON = 1 << 11,
	OPT_ROUTE = 1 << 12,
	OPT_OLDER = 1 << 13,
	OPT_NEWER = 1 << 14,
	OPT_LIMIT = 1 << 15,
	OPT_ALL = 1 << 16,
	OPT_PAYLOAD = 1 << 17,
	OPTS_LETTERS = OPT_LINK | OPT_REASON | OPT_ROUTE | OPT_OLDER | OPT_NEWER | OPT_LIMIT |
		       OPT_ALL | OPT_PAYLOAD,
	OPT_SECONDS = 1 << 18,
	OPT_WINDOW = 1 << 19,
	OPT_SCENARIO = 1 << 20,
	OPT_BESIDE = 1 << 21,
};

static const struct verb {
	const char *name;
	int (*run)(struct cli *cli);
	int min_args, max_args;
	unsigned options;
	const char *args, *help;
} verbs[] = {
	{ "run", verb_run, 0, 0, OPT_CONFIG | OPT_MAPPINGS, "",
	  "run the bridge in the foreground" },
	{ "check", verb_check, 0, 0, OPT_CONFIG | OPT_MAPPINGS, "",
	  "all that run does short of the network: report every mistake" },
	{ "routes", verb_routes, 0, 2, OPT_CONFIG | OPT_MAPPINGS | OPT_JSON, "[SOUTH NORTH]",
	  "how two dialects (or the links of a configuration) join, kind by kind" },
	{ "translate", verb_translate, 2, 5,
	  OPT_MAPPINGS | OPT_LINES | OPT_VAR | OPT_PROPERTY | OPT_RESPONSE_TOPIC,
	  "SOUTH NORTH (up|down TOPIC [FILE|-] | --lines)",
	  "translate messages offline; one JSON line each" },
	{ "test", verb_test, 0, 1000, OPT_MAPPINGS | OPT_WATCH, "[PATH...]",
	  "run the case files of mappings (directories or files)" },
	{ "new", verb_new, 0, 1, OPT_DIRECTORY | OPT_SCHEMA, "DIALECT | --schema",
	  "write a commented skeleton mapping and its cases" },
	{ "status", verb_status, 0, 0, OPT_CONFIG | OPT_JSON, "",
	  "how it is with a running bridge: sessions, counters, dead letters" },
	{ "deadletters", verb_deadletters, 1, 1000, OPT_CONFIG | OPT_JSON | OPTS_LETTERS,
	  "list | show ID [--payload] | (retry | drop) (ID... | --all)",
	  "the messages that could not be carried: look, try again, drop" },
	{ "bench", verb_bench, 0, 0,
	  OPT_SECONDS | OPT_WINDOW | OPT_SCENARIO | OPT_BESIDE | OPT_JSON, "",
	  "measure this machine: messages per second, CPU, latency, memory (files in TMPDIR or "
	  "/var/tmp)" },
};

/* What an option says goes into struct cli; false: it cannot say that. */

static bool take_config(struct cli *cli, const char *arg)
{
	cli->conf_path = arg;
	cli->has_conf = true;
	return true;
}

static bool take_mappings(struct cli *cli, const char *arg)
{
	mapping_path_add(&cli->mappings, arg);
	return true;
}

static bool take_response_topic(struct cli *cli, const char *arg)
{
	cli->response_topic = arg;
	return true;
}

static bool take_link(struct cli *cli, const char *arg)
{
	cli->letters.link = arg;
	return true;
}

static bool take_older(struct cli *cli, const char *arg)
{
	return duration_parse(arg, &cli->letters.older_ms) && cli->letters.older_ms > 0;
}

static bool take_newer(struct cli *cli, const char *arg)
{
	return duration_parse(arg, &cli->letters.newer_ms) && cli->letters.newer_ms > 0;
}

/* "south.project=PR_x" */
static bool take_var(struct cli *cli, const char *arg)
{
	enum side side = strncmp(arg, "south.", 6) == 0 ? SOUTH : NORTH;
	const char *equals = strchr(arg, '=');
	char *name;

	if (!equals || equals <= arg + 6 || (side == NORTH && strncmp(arg, "north.", 6) != 0))
		return false;
	name = mem_strndup(arg + 6, (size_t)(equals - arg - 6));
	vars_set(&cli->vars[side], name, equals + 1, false);
	free(name);
	return true;
}

static bool take_property(struct cli *cli, const char *arg)
{
	const char *equals = strchr(arg, '=');
	char *name;

	if (!equals || equals == arg)
		return false;
	name = mem_strndup(arg, (size_t)(equals - arg));
	vars_add(&cli->properties, name, equals + 1);
	free(name);
	return true;
}

static bool take_route(struct cli *cli, const char *arg)
{
	cli->letters.route = arg;
	return kind_of(arg) != KIND_NONE || strcmp(arg, kind_name(KIND_NONE)) == 0;
}

static bool take_reason(struct cli *cli, const char *arg)
{
	cli->letters.reason = arg;
	return outcome_letters(arg) != NULL;
}

static bool take_limit(struct cli *cli, const char *arg)
{
	char *end;

	errno = 0;
	cli->letters.limit = strtoll(arg, &end, 10);
	return errno == 0 && !*end && cli->letters.limit > 0;
}

static bool take_seconds(struct cli *cli, const char *arg)
{
	char *end;

	cli->seconds = strtod(arg, &end);
	return end != arg && *end == '\0' && cli->seconds >= 0.1 && cli->seconds <= 3600;
}

static bool take_window(struct cli *cli, const char *arg)
{
	char *end;

	cli->window = strtol(arg, &end, 10);
	return end != arg && *end == '\0' && cli->window >= 1 && cli->window <= 1000;
}

static bool take_scenario(struct cli *cli, const char *arg)
{
	cli->scenarios = mem_grow(cli->scenarios, cli->n_scenarios, sizeof *cli->scenarios);
	cli->scenarios[cli->n_scenarios++] = arg;
	return true;
}

static const struct option_row {
	unsigned bit;
	char letter; /* 0: none */
	const char *name, *arg, *help;
	bool (*take)(struct cli *cli, const char *arg); /* NULL: it sets ... */
	size_t flag;					/* ... this bool, by its offset */
} options[] = {
	{ OPT_CONFIG, 'c', "config", "FILE", "the configuration (default " CONF_DEFAULT_PATH ")",
	  take_config, 0 },
	{ OPT_MAPPINGS, 0, "mappings", "DIR", "look for mappings here first; may be repeated",
	  take_mappings, 0 },
	{ OPT_DIRECTORY, 0, "mappings", "DIR", "where to write them (default: here)", take_mappings,
	  0 },
	{ OPT_JSON, 0, "json", NULL, "print JSON, for programs", NULL,
	  offsetof(struct cli, is_json) },
	{ OPT_LINES, 0, "lines", NULL, "read one JSON object per line, print one array per line",
	  NULL, offsetof(struct cli, is_lines) },
	{ OPT_VAR, 0, "var", "SIDE.NAME=VALUE", "set a variable: --var south.device=D1", take_var,
	  0 },
	{ OPT_PROPERTY, 0, "property", "NAME=VALUE", "a user property that came with the message",
	  take_property, 0 },
	{ OPT_RESPONSE_TOPIC, 0, "response-topic", "TOPIC", "the Response Topic that came with it",
	  take_response_topic, 0 },
	{ OPT_WATCH, 0, "watch", NULL,
	  "again whenever a mapping or case file changes, until Ctrl-C", NULL,
	  offsetof(struct cli, is_watch) },
	{ OPT_SECONDS, 0, "seconds", "N", "for each scenario (default 3)", take_seconds, 0 },
	{ OPT_WINDOW, 0, "window", "N", "unacknowledged messages, 1 to 1000 (default 100)",
	  take_window, 0 },
	{ OPT_SCENARIO, 0, "scenario", "NAME",
	  "only this one, as in the table or its first word; may be repeated", take_scenario, 0 },
	{ OPT_BESIDE, 0, "beside", NULL, "measure what else could do the job, too", NULL,
	  offsetof(struct cli, is_beside) },
	{ OPT_SCHEMA, 0, "schema", NULL, "print the JSON Schema of a mapping's metadata instead",
	  NULL, offsetof(struct cli, is_schema) },
	{ OPT_LINK, 0, "link", "LINK", "only those of this link", take_link, 0 },
	{ OPT_REASON, 0, "reason", "REASON",
	  "only those with this reason: mapping-error (queue-full: too-large, stopping)",
	  take_reason, 0 },
	{ OPT_ROUTE, 0, "route", "KIND", "only messages of this kind; none: not known", take_route,
	  0 },
	{ OPT_OLDER, 0, "older", "AGE", "only those that died longer ago: 90s, 15m, 2h, 3d",
	  take_older, 0 },
	{ OPT_NEWER, 0, "newer", "AGE", "only those that died since then", take_newer, 0 },
	{ OPT_LIMIT, 0, "limit", "N", "only the N newest of them", take_limit, 0 },
	{ OPT_ALL, 0, "all", NULL, "retry, drop: without it or an ID or one of the above, nothing",
	  NULL, offsetof(struct cli, letters.is_all) },
	{ OPT_PAYLOAD, 0, "payload", NULL, "show: the message, too; never that of a handshake",
	  NULL, offsetof(struct cli, is_payload) },
};
#define N_VERBS	  (sizeof verbs / sizeof verbs[0])
#define N_OPTIONS (sizeof options / sizeof options[0])

int cli_misused(const char *verb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "calque %s: ", verb);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (calque %s --help)\n", verb);
	return EXIT_MISUSED;
}

void cli_print_report(const struct report *r)
{
	for (size_t i = 0; i < r->n_lines; i++)
		fprintf(stderr, "%s%s\n", r->lines[i].text,
			r->lines[i].is_warning ? " (warning)" : "");
}

static void usage(FILE *f)
{
	fputs("calque: a bridge between the MQTT dialects of IoT clouds\n\n"
	      "usage: calque VERB [OPTION...] [ARGUMENT...]\n\n",
	      f);
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(f, "  %-12s %s\n", verbs[i].name, verbs[i].help);
	fputs("\ncalque VERB --help tells more; calque --version.\n", f);
}

static void verb_usage(const struct verb *v)
{
	printf("usage: calque %s [OPTION...]%s%s\n\n%s\n\n", v->name, *v->args ? " " : "", v->args,
	       v->help);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_row *o = &options[i];
		char left[60];

		if (!(v->options & o->bit))
			continue;
		if (o->letter)
			snprintf(left, sizeof left, "-%c, --%s %s", o->letter, o->name,
				 o->arg ? o->arg : "");
		else
			snprintf(left, sizeof left, "--%s %s", o->name, o->arg ? o->arg : "");
		printf("  %-28s %s\n", left, o->help);
	}
	puts("\nexit status: 0 done, 1 failed, 2 misused or nothing matched, 3 storage failed");
}

static bool take_option(struct cli *cli, const struct option_row *o, const char *arg)
{
	if (o->take)
		return o->take(cli, arg);
	*(bool *)((char *)cli + o->flag) = true;
	return true;
}

#define VAL_HELP 1000

/* Options of the verb, through getopt_long; *argc and *argv become the arguments.  -1: go on. */
static int take_options(struct cli *cli, const struct verb *v, int argc, char **argv)
{
	struct option longs[N_OPTIONS + 2] = { 0 };
	char letters[2 * N_OPTIONS + 2] = "h";
	size_t n = 0;
	int c;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (!(v->options & options[i].bit))
			continue;
		longs[n++] = (struct option){ options[i].name,
					      options[i].arg ? required_argument : no_argument,
					      NULL, (int)(2000 + i) };
		if (options[i].letter)
			snprintf(letters + strlen(letters), sizeof letters - strlen(letters),
				 "%c:", options[i].letter);
	}
	longs[n] = (struct option){ "help", no_argument, NULL, VAL_HELP };
	optind = 1;
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		size_t i = 0;

		if (c == VAL_HELP || c == 'h') {
			verb_usage(v);
			return EXIT_DONE;
		}
		if (c == '?')
			return EXIT_MISUSED;
		while (i < N_OPTIONS && c != (int)(2000 + i) && c != options[i].letter)
			i++;
		if (!take_option(cli, &options[i], optarg))
			return cli_misused(v->name, "--%s takes %s, not \"%s\"", options[i].name,
					   options[i].arg, optarg);
	}
	cli->argc = argc - optind;
	cli->argv = argv + optind;
	return -1;
}

static void cli_fini(struct cli *cli)
{
	mapping_path_fini(&cli->mappings);
	vars_fini(&cli->vars[SOUTH]);
	vars_fini(&cli->vars[NORTH]);
	vars_fini(&cli->properties);
	free(cli->scenarios);
}

/* Results that could not be written are no results. */
static int check_stdout(const char *verb, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "calque %s: standard output: %s\n", verb, strerror(errno));
	return status == EXIT_DONE ? EXIT_FAILED : status;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
	struct cli cli = { .conf_path = CONF_DEFAULT_PATH };
	char name[40]; /* as getopt is to call us */
	int status;

	snprintf(name, sizeof name, "calque %s", v->name);
	argv[0] = name;
	status = take_options(&cli, v, argc, argv);

	cli.has_color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (status < 0 && (cli.argc < v->min_args || cli.argc > v->max_args))
		status = cli_misused(v->name, "usage: calque %s %s", v->name, v->args);
	if (status < 0)
		status = v->run(&cli);
	cli_fini(&cli);
	return check_stdout(v->name, status);
}

int cli_main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("calque " CALQUE_VERSION);
		return EXIT_DONE;
	}
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		usage(stdout);
		return EXIT_DONE;
	}
	for (size_t i = 0; argc > 1 && i < N_VERBS; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return run_verb(&verbs[i], argc - 1, argv + 1);
	if (argc > 1)
		fprintf(stderr, "calque: there is no verb \"%s\"\n", argv[1]);
	usage(stderr);
	return EXIT_MISUSED;
}
