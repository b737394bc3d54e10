#include "cli/chosen_link.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "conf/conf.h"

static bool choose(struct chosen_link *c, const char *name)
{
	for (size_t i = 0; i < c->conf->n_links; i++) {
		const struct conf_link *link = &c->conf->links[i];

		if (name ? strcmp(link->name, name) != 0 : c->conf->n_links > 1)
			continue;
		c->link = link;
		return true;
	}
	return false;
}

static void print_links(const struct conf *conf, const char *name)
{
	if (name)
		fprintf(stderr, "%s: no link is called \"%s\"; there are:", conf->file, name);
	else
		fprintf(stderr, "%s: --link says which link is meant:", conf->file);
	for (size_t i = 0; i < conf->n_links; i++)
		fprintf(stderr, " %s", conf->links[i].name);
	putc('\n', stderr);
}

bool chosen_link_read(struct chosen_link *c, const struct cli *cli)
{
	struct report report = { 0 };

	*c = (struct chosen_link){ 0 };
	if (!cli->has_conf) {
		if (cli->letters.link)
			fprintf(stderr, "calque: --link needs a configuration, -c FILE\n");
		return !cli->letters.link;
	}
	c->conf = conf_read(cli->conf_path, &report);
	if (report.n_errors)
		cli_print_report(&report);
	else if (c->conf && !choose(c, cli->letters.link))
		print_links(c->conf, cli->letters.link);
	report_fini(&report);
	if (!c->link)
		chosen_link_fini(c);
	return c->link;
}

void chosen_link_fini(struct chosen_link *c)
{
	conf_free(c->conf);
	*c = (struct chosen_link){ 0 };
}
