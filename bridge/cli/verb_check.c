/* calque check: everything that run does, short of the network. */
#include <stdio.h>

#include "base/err.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "conf/conf.h"

int verb_check(struct cli *cli)
{
	struct report report = { .wants_hints = true };
	struct conf *conf = conf_read(cli->conf_path, &report);
	bool is_whole = report.n_errors == 0;
	struct build build;
	int status;

	build_init(&build, &cli->mappings, conf);
	if (conf)
		build_plans_free(build_plans(&build, conf, is_whole, &report), conf->n_links);
	cli_print_report(&report);
	status = report.n_errors ? EXIT_FAILED : EXIT_DONE;
	if (conf && status == EXIT_DONE)
		printf("%s: %zu link%s, no mistakes\n", cli->conf_path, conf->n_links,
		       conf->n_links == 1 ? "" : "s");
	conf_free(conf);
	build_fini(&build);
	report_fini(&report);
	return status;
}
