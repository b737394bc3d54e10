/* calque check: everything that run does, short of the network. */
#include <stdio.h>

#include "base/err.h"
#include "cli/cli.h"
#include "conf/conf.h"
#include "conf/load.h"
#include "conf/plans.h"

int verb_check(struct cli *cli)
{
	struct report report = { .wants_hints = true };
	struct conf *conf = conf_read(cli->conf_path, &report);
	bool is_whole = report.n_errors == 0;
	struct loader loader;
	int status;

	loader_init(&loader, &cli->mappings, conf);
	if (conf) {
		loader_check_conf(conf, &report);
		plans_free(plans_make(&loader, conf, is_whole, &report), conf->n_links);
	}
	cli_print_report(&report);
	status = report.n_errors ? EXIT_FAILED : EXIT_DONE;
	if (conf && status == EXIT_DONE)
		printf("%s: %zu link%s, no mistakes\n", cli->conf_path, conf->n_links,
		       conf->n_links == 1 ? "" : "s");
	conf_free(conf);
	loader_fini(&loader);
	report_fini(&report);
	return status;
}
