/* calque run: the bridge in the foreground. */
#include <stdio.h>

#include "base/err.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "run/bridge.h"

/* Nothing goes out before every mistake is found and there is none. */
static int run_bridge(const struct conf *conf, struct plan *const *plans)
{
	struct err e = { 0 };
	struct bridge *b = bridge_new(conf, plans, &e);
	int status;

	if (!b) {
		fprintf(stderr, "calque run: %s\n", e.text);
		return e.code == ERR_IO || e.code == ERR_CORRUPT ? EXIT_STORAGE : EXIT_FAILED;
	}
	status = bridge_run(b) ? EXIT_DONE : EXIT_STORAGE;
	bridge_free(b);
	return status;
}

int verb_run(struct cli *cli)
{
	struct report report = { 0 };
	struct conf *conf = conf_read(cli->conf_path, &report);
	bool is_whole = report.n_errors == 0;
	struct plan **plans = NULL;
	struct build build;
	int status = EXIT_FAILED;

	build_init(&build, &cli->mappings, conf);
	if (conf)
		plans = build_plans(&build, conf, is_whole, &report);
	cli_print_report(&report);
	if (conf && report.n_errors == 0)
		status = run_bridge(conf, plans);
	if (conf)
		build_plans_free(plans, conf->n_links);
	build_fini(&build);
	conf_free(conf);
	report_fini(&report);
	return status;
}
