/* calque check: everything that run does, short of the network. */
#include <stdio.h>

#include "base/err.h"
#include "cli/cli.h"
#include "conf/conf.h"
#include "run/generation.h"

int verb_check(struct cli *cli)
{
	struct report report = { .wants_hints = true };
	struct generation *g = generation_read(cli->conf_path, &cli->mappings, &report);
	size_t n = g ? generation_conf(g)->n_links : 0;

	cli_print_report(&report);
	report_fini(&report);
	if (!g)
		return EXIT_FAILED;
	printf("%s: %zu link%s, no mistakes\n", cli->conf_path, n, n == 1 ? "" : "s");
	generation_free(g);
	return EXIT_DONE;
}
