#include "cli/cli.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args/bench.h"
#include "args/duration.h"
#include "args/options.h"
#include "args/pages.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "fleet/fleet.h"
#include "message/kind.h"
#include "message/outcome.h"

/* Numbered by the compiler, so that no two are one bit. */
enum option_number {
	N_CONFIG,
	N_MAPPINGS,
	N_JSON,
	N_LINES,
	N_VAR,
	N_PROPERTY,
	N_RESPONSE_TOPIC,
	N_WATCH,
	N_SCHEMA,
	N_DIRECTORY,
	N_LINK,
	N_REASON,
	N_ROUTE,
	N_OLDER,
	N_NEWER,
	N_LIMIT,
	N_ALL,
	N_PAYLOAD,
	N_ELSEWHERE,
	N_STRICT,
	N_ASIDE,
	N_TRACE,
	N_READY,
	N_BAD,
	N_KEYS,
	N_DEVICES,
	N_WHY,
	N_ACCEPT,
	N_LOSSY,
	N_LOG,
	N_FROM,
	N_DROP,
	N_PORT,
	N_RECORD,
	N_BITS
};
_Static_assert(N_BITS <= 64, "options are bits of 64");

#define BIT(option)	   (UINT64_C(1) << N_##option)
#define OPT_CONFIG	   BIT(CONFIG)
#define OPT_MAPPINGS	   BIT(MAPPINGS)
#define OPT_JSON	   BIT(JSON)
#define OPT_LINES	   BIT(LINES)
#define OPT_VAR		   BIT(VAR)
#define OPT_PROPERTY	   BIT(PROPERTY)
#define OPT_RESPONSE_TOPIC BIT(RESPONSE_TOPIC)
#define OPT_WATCH	   BIT(WATCH)
#define OPT_SCHEMA	   BIT(SCHEMA)
#define OPT_DIRECTORY	   BIT(DIRECTORY)
#define OPT_LINK	   BIT(LINK)
#define OPT_REASON	   BIT(REASON)
#define OPT_ROUTE	   BIT(ROUTE)
#define OPT_OLDER	   BIT(OLDER)
#define OPT_NEWER	   BIT(NEWER)
#define OPT_LIMIT	   BIT(LIMIT)
#define OPT_ALL		   BIT(ALL)
#define OPT_PAYLOAD	   BIT(PAYLOAD)
#define OPT_ELSEWHERE	   BIT(ELSEWHERE) /* what follows is read by another program */
#define OPT_STRICT	   BIT(STRICT)
#define OPT_ASIDE	   BIT(ASIDE)
#define OPT_TRACE	   BIT(TRACE)
#define OPT_READY	   BIT(READY)
#define OPT_BAD		   BIT(BAD)
#define OPT_KEYS	   BIT(KEYS)	/* all that only `check` has */
#define OPT_DEVICES	   BIT(DEVICES) /* all that only `devices` has */
#define OPT_WHY		   BIT(WHY)	/* all that only `why` has */
#define OPT_ACCEPT	   BIT(ACCEPT)
#define OPT_LOSSY	   BIT(LOSSY)
#define OPT_LOG		   BIT(LOG)
#define OPT_FROM	   BIT(FROM)
#define OPT_DROP	   BIT(DROP) /* and its --strict */
#define OPT_PORT	   BIT(PORT)
#define OPT_RECORD	   BIT(RECORD) /* all that only `record` has */
#define OPTS_LETTERS                                                                               \
	(OPT_LINK | OPT_REASON | OPT_ROUTE | OPT_OLDER | OPT_NEWER | OPT_LIMIT | OPT_ALL |         \
	 OPT_PAYLOAD)

static const struct verb_row {
	struct verb verb;
	int (*run)(struct cli *cli);
} verbs[] = {
	{ { "run", "", "run the bridge in the foreground", 0, 0,
	    OPT_CONFIG | OPT_MAPPINGS | OPT_STRICT | OPT_LOG },
	  verb_run },
	{ { "check", "", "all that run does short of the network: report every mistake", 0, 0,
	    OPT_CONFIG | OPT_MAPPINGS | OPT_JSON | OPT_KEYS },
	  verb_check },
	{ { "routes", "[SOUTH NORTH]",
	    "how two dialects (or the links of a configuration) join, kind by kind", 0, 2,
	    OPT_CONFIG | OPT_MAPPINGS | OPT_JSON | OPT_LOSSY | OPT_VAR },
	  verb_routes },
	{ { "translate", "(SOUTH NORTH | -c FILE) (up|down TOPIC [FILE|-] | --lines)",
	    "translate messages offline; one JSON line each", 0, 5,
	    OPT_CONFIG | OPT_LINK | OPT_MAPPINGS | OPT_TRACE | OPT_LINES | OPT_VAR | OPT_PROPERTY |
		    OPT_RESPONSE_TOPIC },
	  verb_translate },
	{ { "why", "[SOUTH NORTH --topic TOPIC | --topic TOPIC | ID]",
	    "what each step makes of a message, a dead letter, or the next one that arrives", 0, 2,
	    OPT_CONFIG | OPT_LINK | OPT_MAPPINGS | OPT_JSON | OPT_VAR | OPT_PROPERTY |
		    OPT_RESPONSE_TOPIC | OPT_WHY },
	  verb_why },
	{ { "play", "SOUTH NORTH",
	    "edit mappings in a browser, and see at each keystroke what becomes of a message", 2, 2,
	    OPT_MAPPINGS | OPT_VAR | OPT_PORT },
	  verb_play },
	{ { "test", "[PATH...]", "run the case files of mappings (directories or files)", 0, 1000,
	    OPT_CONFIG | OPT_LINK | OPT_MAPPINGS | OPT_WATCH | OPT_ACCEPT },
	  verb_test },
	{ { "record", "", "messages of a link of a running bridge, as they pass, to a case file", 0,
	    0, OPT_CONFIG | OPT_LINK | OPT_RECORD },
	  verb_record },
	{ { "replay", "CASES OLD NEW",
	    "messages of a case file through the mappings of two directories: what differs", 3, 3,
	    OPT_MAPPINGS },
	  verb_replay },
	{ { "new", "DIALECT | --schema", "write a commented skeleton mapping and its cases", 0, 1,
	    OPT_DIRECTORY | OPT_SCHEMA | OPT_FROM },
	  verb_new },
	{ { "init", "[SOUTH URL NORTH URL]",
	    "write a commented configuration of a link; what is not given is asked", 0, 4,
	    OPT_CONFIG | OPT_MAPPINGS | OPT_LINK | OPT_VAR },
	  verb_init },
	{ { "status", "", "how it is with a running bridge: sessions, counters, dead letters", 0, 0,
	    OPT_CONFIG | OPT_JSON | OPT_LINK | OPT_READY | OPT_BAD | OPT_ASIDE },
	  verb_status },
	{ { "deadletters", "list | show ID [--payload] | (retry | drop) (ID... | --all)",
	    "the messages that could not be carried: look, try again, drop", 1, 1000,
	    OPT_CONFIG | OPT_JSON | OPTS_LETTERS },
	  verb_deadletters },
	{ { "devices", "list|show|report|compare|provision|set-mode|wave|import|...",
	    "the devices of links: how each stands, what passes for it", 1, 100000,
	    OPT_CONFIG | OPT_JSON | OPT_LINK | OPT_ALL | OPT_DEVICES },
	  verb_devices },
	{ { "reload", "", "have the bridge read its configuration again, and tell what changes", 0,
	    0, OPT_CONFIG | OPT_JSON | OPT_DROP },
	  verb_reload },
	{ { "state", "check | backup FILE | rotate-key",
	    "what the bridge remembers: look for damage, copy it, seal it with a new key", 1, 2,
	    OPT_CONFIG | OPT_JSON },
	  verb_state },
	{ { "report", "[FILE]",
	    "for who helps: versions, configuration, status, log; no secrets (FILE: "
	    "calque-report.txt)",
	    0, 1, OPT_CONFIG },
	  verb_report },
	{ { "bench", "", BENCH_HELP, 0, 0, OPT_ELSEWHERE }, verb_bench },
};

/* What an option says goes into struct cli; false: it cannot say that. */

static bool take_config(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->conf_path = arg;
	cli->has_conf = true;
	return true;
}

static bool take_mappings(void *into, const char *arg)
{
	struct cli *cli = into;

	mapping_path_add(&cli->mappings, arg);
	return true;
}

static bool take_response_topic(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->response_topic = arg;
	return true;
}

static bool take_link(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->letters.link = arg;
	return true;
}

static bool take_older(void *into, const char *arg)
{
	struct cli *cli = into;

	return duration_parse(arg, &cli->letters.older_ms) && cli->letters.older_ms > 0;
}

static bool take_newer(void *into, const char *arg)
{
	struct cli *cli = into;

	return duration_parse(arg, &cli->letters.newer_ms) && cli->letters.newer_ms > 0;
}

/* A time of day, or how long ago. */
static bool take_since(void *into, const char *arg)
{
	struct cli *cli = into;
	int64_t age_ms;

	if (clock_read(arg, &cli->devices.since_ms))
		return cli->devices.since_ms > 0;
	cli->devices.since_ms = duration_parse(arg, &age_ms) ? clock_wall_ms() - age_ms : 0;
	return cli->devices.since_ms > 0;
}

/* "south.project=PR_x" */
static bool take_var(void *into, const char *arg)
{
	struct cli *cli = into;
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

static bool take_property(void *into, const char *arg)
{
	struct cli *cli = into;
	const char *equals = strchr(arg, '=');
	char *name;

	if (!equals || equals == arg)
		return false;
	name = mem_strndup(arg, (size_t)(equals - arg));
	vars_add(&cli->properties, name, equals + 1);
	free(name);
	return true;
}

static bool take_route(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->letters.route = arg;
	return kind_of(arg) != KIND_NONE || strcmp(arg, kind_name(KIND_NONE)) == 0;
}

static bool take_reason(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->letters.reason = arg;
	return outcome_letters(arg) != NULL;
}

static bool take_device_name(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.name = arg;
	return true;
}

static bool take_device_state(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.state = arg;
	return fleet_word(fleet_state_names, FLEET_STATES, arg) >= 0;
}

static bool take_device_mode(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.mode = arg;
	return *arg && fleet_word(fleet_mode_names, FLEET_MODES, arg) >= 0;
}

static bool take_device_reason(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.reason = arg;
	return true;
}

static bool take_device_group(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.group = arg;
	return true;
}

static bool take_count(const char *arg, int64_t *into)
{
	char *end;

	*into = strtoll(arg, &end, 10);
	return *arg >= '1' && *arg <= '9' && !*end && *into <= INT32_MAX;
}

static bool take_rate(void *into, const char *arg)
{
	return take_count(arg, &((struct cli *)into)->devices.rate);
}

static bool take_max_failures(void *into, const char *arg)
{
	return take_count(arg, &((struct cli *)into)->devices.max_failures);
}

static bool take_secrets(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.secrets = arg;
	return true;
}

static bool take_list(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.list = arg;
	return *arg;
}

static bool take_topic(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->why.topic = arg;
	return *arg;
}

static bool take_payload(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->why.payload = arg;
	return true;
}

static bool take_flow(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->why.flow = arg;
	return strcmp(arg, "up") == 0 || strcmp(arg, "down") == 0;
}

static bool take_timeout(void *into, const char *arg)
{
	struct cli *cli = into;

	return duration_parse(arg, &cli->listen.for_ms) && cli->listen.for_ms > 0;
}

static bool take_output(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->listen.output = arg;
	return *arg;
}

static bool take_bytes(void *into, const char *arg)
{
	return take_count(arg, &((struct cli *)into)->listen.bytes);
}

static bool take_percent(void *into, const char *arg)
{
	struct cli *cli = into;
	char *end;
	double percent = strtod(arg, &end);

	cli->devices.percent = arg;
	return end != arg && !*end && percent >= 0 && percent <= 100;
}

static bool take_push(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->devices.pushes = strcmp(arg, "diff") == 0;
	return cli->devices.pushes || strcmp(arg, "none") == 0;
}

static bool take_port(void *into, const char *arg)
{
	struct cli *cli = into;
	char *end;
	long port = strtol(arg, &end, 10);

	cli->port = (int)port;
	return *arg && !*end && port > 0 && port <= UINT16_MAX;
}

static bool take_samples(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->samples = arg;
	return *arg;
}

static bool take_log_format(void *into, const char *arg)
{
	struct cli *cli = into;

	cli->has_log_format = true;
	cli->log_format = strcmp(arg, "json") == 0 ? LOG_JSON : LOG_TEXT;
	return cli->log_format == LOG_JSON || strcmp(arg, "text") == 0;
}

static bool take_limit(void *into, const char *arg)
{
	struct cli *cli = into;
	char *end;

	errno = 0;
	cli->letters.limit = strtoll(arg, &end, 10);
	return errno == 0 && !*end && cli->letters.limit > 0;
}

static const struct option_row options[] = {
	{ OPT_CONFIG, 'c', "config", "FILE", "the configuration (default " CONF_DEFAULT_PATH ")",
	  take_config, 0 },
	{ OPT_MAPPINGS, 0, "mappings", "DIR", "look for mappings here first; may be repeated",
	  take_mappings, 0 },
	{ OPT_DIRECTORY, 0, "mappings", "DIR", "where to write them (default: here)", take_mappings,
	  0 },
	{ OPT_JSON, 0, "json", NULL, "print JSON, for programs", NULL,
	  offsetof(struct cli, is_json) },
	{ OPT_KEYS, 0, "plan", NULL,
	  "then tell what the bridge that runs would change if it was reloaded", NULL,
	  offsetof(struct cli, is_plan) },
	{ OPT_DROP, 0, "drop", NULL, "messages of links that are gone go, too; else they are kept",
	  NULL, offsetof(struct cli, drops) },
	{ OPT_DROP, 0, "strict", NULL, "refuse if there are such messages", NULL,
	  offsetof(struct cli, is_strict) },
	{ OPT_ASIDE, 0, "aside", NULL,
	  "instead: rows of the state that could not be read and were set aside", NULL,
	  offsetof(struct cli, is_aside) },
	{ OPT_READY, 0, "ready", NULL,
	  "only say what is not: exit status 1 unless every session is up", NULL,
	  offsetof(struct cli, is_ready) },
	{ OPT_BAD, 0, "bad", NULL,
	  "only links with a session that is not well, or with dead letters", NULL,
	  offsetof(struct cli, is_bad) },
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
	{ OPT_LOG, 0, "log-format", "text|json", "how a line of the log is written",
	  take_log_format, 0 },
	{ OPT_FROM, 0, "from", "FILE", "guess it from messages, JSON lines {topic, payload, flow}",
	  take_samples, 0 },
	{ OPT_ACCEPT, 0, "accept", NULL,
	  "write what came out into the case files, as what is expected", NULL,
	  offsetof(struct cli, accepts) },
	{ OPT_LOSSY, 0, "lossy", NULL, "instead: what of each kind the other side does not take",
	  NULL, offsetof(struct cli, is_lossy) },
	{ OPT_SCHEMA, 0, "schema", NULL, "print the JSON Schema of a mapping's metadata instead",
	  NULL, offsetof(struct cli, is_schema) },
	{ OPT_KEYS, 0, "schema", NULL, "print the keys of the configuration instead", NULL,
	  offsetof(struct cli, is_schema) },
	{ OPT_LINK, 0, "link", "LINK", "this link; of dead letters: only its", take_link, 0 },
	{ OPT_REASON, 0, "reason", "REASON", "only those with this reason, say mapping-error",
	  take_reason, 0 },
	{ OPT_ROUTE, 0, "route", "KIND", "only messages of this kind; none: not known", take_route,
	  0 },
	{ OPT_OLDER, 0, "older", "AGE", "only those that died longer ago: 90s, 15m, 2h, 3d",
	  take_older, 0 },
	{ OPT_NEWER, 0, "newer", "AGE", "only those that died since then", take_newer, 0 },
	{ OPT_LIMIT, 0, "limit", "N", "only the N newest of them", take_limit, 0 },
	{ OPT_ALL, 0, "all", NULL, "all of them: without it or a NAME, an ID or a filter, nothing",
	  NULL, offsetof(struct cli, letters.is_all) },
	{ OPT_TRACE, 0, "trace", NULL,
	  "say on stderr which rows were tried and why not, and what was read", NULL,
	  offsetof(struct cli, is_trace) },
	{ OPT_STRICT, 0, "strict", NULL,
	  "do not run at all if one link lacks a secret or a TLS file", NULL,
	  offsetof(struct cli, is_strict) },
	{ OPT_DEVICES, 0, "name", "PATTERN", "only devices of such a name: 'pump-*'",
	  take_device_name, 0 },
	{ OPT_DEVICES, 0, "state", "STATE", "only: known, asking, ready, refused, lost",
	  take_device_state, 0 },
	{ OPT_DEVICES, 0, "mode", "MODE",
	  "only for which so much passes: off, mirror, live, retired", take_device_mode, 0 },
	{ OPT_DEVICES, 0, "reason", "REASON", "only those that were refused or lost for it",
	  take_device_reason, 0 },
	{ OPT_DEVICES, 0, "group", "GROUP", "only devices of this group", take_device_group, 0 },
	{ OPT_DEVICES, 0, "percent", "N",
	  "only so many of all, always the same: 20 has those of 10 and more", take_percent, 0 },
	{ OPT_DEVICES, 0, "list", "FILE",
	  "only those in this file: a name per line, or CSV as export writes it", take_list, 0 },
	{ OPT_DEVICES, 0, "orphan", NULL, "only those that the configuration's list has no more",
	  NULL, offsetof(struct cli, devices.is_orphan) },
	{ OPT_DEVICES, 0, "summary", NULL, "list: only how many there are of each state and mode",
	  NULL, offsetof(struct cli, devices.is_summary) },
	{ OPT_DEVICES, 0, "partial", NULL, "import: the rows that are right, though others are not",
	  NULL, offsetof(struct cli, devices.is_partial) },
	{ OPT_DEVICES, 0, "only", "PATTERN", "the same as --name", take_device_name, 0 },
	{ OPT_DEVICES, 0, "since", "TIME",
	  "compare: only what was since (2026-11-28T09:00:00Z, or 2h)", take_since, 0 },
	{ OPT_DEVICES, 0, "rate", "N", "provision: so many in a second", take_rate, 0 },
	{ OPT_DEVICES, 0, "max-failures", "N", "provision: stop when so many were refused",
	  take_max_failures, 0 },
	{ OPT_DEVICES, 0, "retry-lost", NULL,
	  "provision: also whose answer was lost: there may be two of it then", NULL,
	  offsetof(struct cli, devices.retries_lost) },
	{ OPT_DEVICES, 0, "csv", NULL, "report, provision: as CSV", NULL,
	  offsetof(struct cli, devices.is_csv) },
	{ OPT_DEVICES, 0, "dry-run", NULL,
	  "import, set-mode, provision, wave run: only say what would change", NULL,
	  offsetof(struct cli, devices.is_dry) },
	{ OPT_DEVICES, 0, "provision", NULL,
	  "set-mode: who lacks credentials is registered in the north, too", NULL,
	  offsetof(struct cli, devices.provisions) },
	{ OPT_DEVICES, 0, "push", "none|diff",
	  "set-mode live, of the configuration: diff, what is missing, or none", take_push, 0 },
	{ OPT_DEVICES, 0, "replace", NULL, "import: devices that are not in the file are off", NULL,
	  offsetof(struct cli, devices.replaces) },
	{ OPT_DEVICES, 0, "credentials", NULL, "forget: credentials of the north, too", NULL,
	  offsetof(struct cli, devices.has_credentials) },
	{ OPT_DEVICES, 0, "secrets", "FILE", "export: to this new file (0600), with credentials",
	  take_secrets, 0 },
	{ OPT_WHY, 0, "topic", "TOPIC", "the topic of a message", take_topic, 0 },
	{ OPT_WHY, 0, "payload", "TEXT",
	  "its payload; @FILE: what is in that, @-: the standard input", take_payload, 0 },
	{ OPT_WHY, 0, "flow", "up|down", "where it goes (default: where its topic is read)",
	  take_flow, 0 },
	{ OPT_PORT, 0, "port", "N", "the port of 127.0.0.1 (default: any that is free)", take_port,
	  0 },
	{ OPT_WHY, 0, "device", "NAME", "of the next message: whose it is", take_device_name, 0 },
	{ OPT_WHY, 0, "timeout", "TIME",
	  "wait so long for the next message (of --topic, a filter; default 1m)", take_timeout, 0 },
	{ OPT_RECORD, 'o', "output", "FILE", "the case file, a new one (0600)", take_output, 0 },
	{ OPT_RECORD, 0, "bytes", "N", "end with so many bytes of messages (default 4194304)",
	  take_bytes, 0 },
	{ OPT_RECORD, 0, "time", "TIME", "end after so long: 30s, 5m (default 1m)", take_timeout,
	  0 },
	{ OPT_PAYLOAD, 0, "payload", NULL, "show: the message, too; never that of a handshake",
	  NULL, offsetof(struct cli, is_payload) },
};
#define N_VERBS	  (sizeof verbs / sizeof verbs[0])
#define N_OPTIONS (sizeof options / sizeof options[0])

void cli_print_line(FILE *f, const char *text, size_t len)
{
	struct buf line = { 0 };

	buf_put_shown(&line, text, len, true);
	buf_putc(&line, '\n');
	fwrite(line.data, 1, line.len, f);
	buf_fini(&line);
}

void cli_print_report(const struct report *r)
{
	struct buf line = { 0 };

	for (size_t i = 0; i < r->n_lines; i++) {
		buf_reset(&line);
		buf_printf(&line, "%s%s", r->lines[i].text,
			   r->lines[i].is_warning ? " (warning)" : "");
		cli_print_line(stderr, line.data, line.len);
	}
	buf_fini(&line);
}

#define ABOUT "a bridge between the MQTT dialects of IoT clouds"

static void usage(FILE *f)
{
	fputs("calque: " ABOUT "\n\n"
	      "usage: calque VERB [OPTION...] [ARGUMENT...]\n\n",
	      f);
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(f, "  %-12s %s\n", verbs[i].verb.name, verbs[i].verb.help);
	fputs("\ncalque VERB --help tells more; calque --version.\n", f);
}

/* --- the same for other readers: the manual, and shells that complete ---------------------- */

static const char exit_text[] = "0  done\n1  failed\n2  misused, or nothing matched\n"
				"3  storage failed\n";
static const char files_text[] = CONF_DEFAULT_PATH
	"\n    the configuration\n" CONF_DEFAULT_STATE
	"\n    what the bridge remembers, with the control socket of a running one\n";

static int print_page(void (*put)(const struct program *p, struct buf *out))
{
	const struct verb *rows[N_VERBS];
	struct buf page = { 0 }, keys = { 0 };
	struct program p = {
		.name = "calque",
		.version = CALQUE_VERSION,
		.about = ABOUT,
		.verbs = rows,
		.n_verbs = N_VERBS,
		.options = options,
		.n_options = N_OPTIONS,
	};

	for (size_t i = 0; i < N_VERBS; i++)
		rows[i] = &verbs[i].verb;
	conf_put_keys(&keys);
	const struct page_section sections[] = { { "CONFIGURATION", buf_str(&keys) },
						 { "FILES", files_text },
						 { "EXIT STATUS", exit_text } };
	p.sections = sections;
	p.n_sections = sizeof sections / sizeof sections[0];
	put(&p, &page);
	fwrite(page.data, 1, page.len, stdout);
	buf_fini(&page);
	buf_fini(&keys);
	return options_end("page", EXIT_DONE);
}

/* For the build, which installs them. */
static const struct {
	const char *option;
	void (*put)(const struct program *p, struct buf *out);
} pages[] = {
	{ "--print-man", pages_put_man },
	{ "--print-bash", pages_put_bash },
	{ "--print-zsh", pages_put_zsh },
};

static void cli_fini(struct cli *cli)
{
	mapping_path_fini(&cli->mappings);
	vars_fini(&cli->vars[SOUTH]);
	vars_fini(&cli->vars[NORTH]);
	vars_fini(&cli->properties);
}

static int choose_conf(const struct verb *v, struct cli *cli)
{
	struct err e = { 0 };

	cli->conf_path = conf_choose(cli->has_conf ? cli->conf_path : NULL, &e);
	if (cli->conf_path)
		return OPTIONS_GOOD;
	fprintf(stderr, "calque %s: %s\n", v->name, e.text);
	return EXIT_FAILED;
}

static int run_verb(const struct verb_row *row, int argc, char **argv)
{
	const struct verb *v = &row->verb;
	struct cli cli = { .argc = argc, .argv = argv };
	int status = OPTIONS_GOOD;

	if (!(v->options & OPT_ELSEWHERE))
		status = options_read(v, options, N_OPTIONS, &cli, &cli.argc, &cli.argv);
	if (status == OPTIONS_GOOD && (v->options & OPT_CONFIG))
		status = choose_conf(v, &cli);
	cli.has_color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (status == OPTIONS_GOOD)
		status = row->run(&cli);
	cli_fini(&cli);
	return options_end(v->name, status);
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
	for (size_t i = 0; argc > 1 && i < sizeof pages / sizeof pages[0]; i++)
		if (strcmp(argv[1], pages[i].option) == 0)
			return print_page(pages[i].put);
	for (size_t i = 0; argc > 1 && i < N_VERBS; i++)
		if (strcmp(argv[1], verbs[i].verb.name) == 0)
			return run_verb(&verbs[i], argc - 1, argv + 1);
	if (argc > 1)
		fprintf(stderr, "calque: there is no verb \"%s\"\n", argv[1]);
	usage(stderr);
	return EXIT_MISUSED;
}
