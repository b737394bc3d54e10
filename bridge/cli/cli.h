/* cli.h -- the command line: verbs, their options, and where mappings are found. */
#ifndef BRIDGE_CLI_H
#define BRIDGE_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/exit_status.h"
#include "base/log.h"
#include "jq/mapping.h"
#include "message/side.h"
#include "message/vars.h"

struct report;

/* What the options said. */
struct cli {
	const char *conf_path;
	bool has_conf; /* -c was given */
	bool is_json, is_lines, is_watch, is_schema, is_strict, is_aside, is_trace, is_ready,
		is_bad, is_plan, drops;
	bool has_color;		      /* stdout is a terminal, and NO_COLOR is not set */
	struct mapping_path mappings; /* --mappings */
	struct vars vars[SIDES];
	struct vars properties;
	const char *response_topic;
	struct {				   /* which dead letters */
		const char *link, *reason, *route; /* NULL: any */
		int64_t older_ms, newer_ms;	   /* 0: any */
		int64_t limit;			   /* 0: none */
		bool is_all;
	} letters;
	struct { /* which devices, and what is to be done with them */
		const char *name, *state, *mode, *reason, *group; /* NULL: any */
		const char *percent;				  /* NULL: not said */
		const char *secrets;				  /* a file for them; NULL: none */
		const char *list;				  /* a file of names; NULL: none */
		bool is_summary, is_orphan, is_partial, is_dry, replaces, has_credentials, pushes;
		bool is_csv, retries_lost, provisions;
		int64_t rate, max_failures; /* 0: as configured; any */
		int64_t since_ms;	    /* a time of day; 0: ever */
	} devices;
	bool is_payload, accepts, is_lossy, has_log_format;
	enum log_format log_format;
	int port;				    /* 0: any */
	const char *samples;			    /* a file of messages; NULL: none */
	struct {				    /* the message in question */
		const char *topic, *payload, *flow; /* NULL: not said */
	} why;
	struct {		       /* what is listened to, and for how long */
		const char *output;    /* a file; NULL: none */
		int64_t for_ms, bytes; /* 0: not said */
	} listen;
	int argc; /* the verb's arguments */
	char **argv;
};

/* Run `calque ARGS`; returns the exit status. */
int cli_main(int argc, char **argv);

/* Print text and a line end; what a terminal would obey is escaped, but for line ends in it. */
void cli_print_line(FILE *f, const char *text, size_t len);
/* Print a report's lines on stderr, warnings marked as such. */
void cli_print_report(const struct report *r);

/* One function per verb, in verb_VERB.c. */
int verb_run(struct cli *cli);
int verb_check(struct cli *cli);
int verb_routes(struct cli *cli);
int verb_translate(struct cli *cli);
int verb_test(struct cli *cli);
int verb_new(struct cli *cli);
int verb_init(struct cli *cli); /* in verb_new.c */
int verb_deadletters(struct cli *cli);
int verb_devices(struct cli *cli);
int devices_provision(const struct cli *cli);	       /* in verb_devices_provision.c */
int devices_wave(const struct cli *cli);	       /* in verb_devices_wave.c */
int devices_compare_with_north(const struct cli *cli); /* in verb_devices_compare.c */
int verb_reload(struct cli *cli);
/* What would it change?  As verb_reload(), and nothing does. */
int reload_tell_plan(struct cli *cli);
int verb_state(struct cli *cli);
int verb_status(struct cli *cli);
int verb_bench(struct cli *cli);
/* In author/. */
int verb_why(struct cli *cli);
int verb_play(struct cli *cli);
int verb_record(struct cli *cli);
int verb_replay(struct cli *cli);
int verb_report(struct cli *cli);
int verb_new_from(struct cli *cli, const char *dir); /* new --from */

#endif
