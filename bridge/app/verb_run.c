/* calque run: the bridge in the foreground. */
#include <stdio.h>
#include <stdlib.h>

#include "app/bridge.h"
#include "app/cli.h"
#include "app/conf.h"
#include "app/load.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/plan.h"

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
	size_t n = conf ? conf->n_links : 0;
	struct plan **plans = mem_zalloc((n + 1) * sizeof(struct plan *));
	struct loader loader;
	int status = EXIT_FAILED;

	loader_init(&loader, &cli->mappings, conf);
	if (conf)
		loader_check_conf(conf, &report);
	for (size_t i = 0; i < n; i++)
		plans[i] = loader_plan(&loader, &conf->links[i], is_whole, &report);
	cli_print_report(&report);
	if (conf && report.n_errors == 0)
		status = run_bridge(conf, plans);
	for (size_t i = 0; i < n; i++)
		plan_free(plans[i]);
	free(plans);
	loader_fini(&loader);
	conf_free(conf);
	report_fini(&report);
	return status;
}
