#include "cli/chosen_link.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "conf/conf.h"

static const struct conf_link *choose(const struct conf *conf, const char *name)
{
	if (!name)
		return conf->n_links == 1 ? &conf->links[0] : NULL;
	for (size_t i = 0; i < conf->n_links; i++)
		if (strcmp(conf->links[i].name, name) == 0)
			return &conf->links[i];
	return NULL;
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
	else if (c->conf && !(c->link = choose(c->conf, cli->letters.link)))
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
