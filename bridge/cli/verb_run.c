/* calque run: the bridge in the foreground. */
#include <signal.h>
#include <stdio.h>

#include "admin/admin.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/apart.h"
#include "cli/cli.h"
#include "conf/conf.h"
#include "run/bridge.h"
#include "live/generation.h"

static int run_bridge(struct generation *g, const struct mapping_path *mappings)
{
	static const int ends[] = { [BRIDGE_DONE] = EXIT_DONE,
				    [BRIDGE_STATE_FAILED] = EXIT_STORAGE,
				    [BRIDGE_WITHOUT_WORKERS] = EXIT_FAILED };
	struct err e = { 0 };
	struct bridge *b = bridge_new(g, mappings, &admin_door, &e);
	int status;

	if (!b) {
		fprintf(stderr, "calque run: %s\n", e.text);
		return e.code == ERR_IO || e.code == ERR_CORRUPT ? EXIT_STORAGE : EXIT_FAILED;
	}
	status = ends[bridge_run(b)];
	bridge_free(b);
	return status;
}

/* Nothing goes out before every mistake is found and there is none.  What the machine lacks keeps only those
 * links that need it from running. */
int verb_run(struct cli *cli)
{
	struct report report = { 0 };
	struct compiler *compiler;
	struct generation *g;

	signal(SIGHUP, SIG_IGN); /* until the bridge hears it, and never an end */
	log_find_journal();
	compiler = apart_begin("run");
	if (!compiler)
		return EXIT_FAILED;
	g = generation_read(cli->conf_path, &cli->mappings, compiler, &report);

	if (g) {
		const struct conf *conf = generation_conf(g);

		log_format(cli->has_log_format ? cli->log_format
					       : (enum log_format)conf->log_format);
		log_levels(conf->log_levels);
	}
	cli_print_report(&report);
	if (g && cli->is_strict && report.n_lacks) {
		generation_free(g);
		g = NULL;
	}
	report_fini(&report);
	return g ? run_bridge(g, &cli->mappings) : EXIT_FAILED;
}
