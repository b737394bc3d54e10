/* calque reload: what the bridge that runs makes of its configuration, read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"

struct telling {
	const struct cli *cli;
	size_t n_links, n_same;
};

static void tell_link(struct telling *t, struct jslice item)
{
	char *link = ask_shown(item, "link"), *change = ask_shown(item, "change");
	char *keys = ask_shown(item, "keys"), *filters = ask_shown(item, "filters");
	long long waiting = (long long)ask_number(item, "waiting");

	t->n_links++;
	if (strcmp(change, "same") == 0)
		t->n_same++;
	else
		printf("%s: %s%s%s\n", link, change, *keys ? ", its sessions connect anew: " : "",
		       keys);
	if (*filters)
		printf("  filters: %s\n", filters);
	if (waiting)
		printf("  %lld message%s not settled: %s\n", waiting, PLURAL(waiting),
		       t->cli->drops ? "dropped" : "kept, for a link of this name");
	free(link);
	free(change);
	free(keys);
	free(filters);
}

static void on_item(void *ctx, struct jslice item)
{
	struct telling *t = ctx;
	char *text;

	if (t->cli->is_json) {
		cli_print_line(stdout, item.text, item.len);
	} else if (jtext_is_true(item, "is_link")) {
		tell_link(t, item);
	} else if (jtext_is_true(item, "is_bridge")) {
		text = ask_shown(item, "keys");
		printf("changed: %s\n", text);
		free(text);
	} else {
		text = ask_shown(item, "mistake");
		fprintf(stderr, "%s%s\n", jtext_is_true(item, "is_warning") ? "warning: " : "",
			text);
		free(text);
	}
}

static void on_done(void *ctx, struct jslice done)
{
	const struct telling *t = ctx;

	(void)done;
	if (!t->cli->is_json)
		printf("%zu of %zu link%s the same\n", t->n_same, t->n_links,
		       t->n_links == 1 ? " is" : "s are");
}

static int tell(struct cli *cli, bool only_plans)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_done };
	struct telling t = { .cli = cli };
	struct buf request = { 0 };
	int status;

	buf_printf(&request, "{\"request\":\"reload\",\"plan\":%s,\"drop\":%s,\"strict\":%s}",
		   only_plans ? "true" : "false", cli->drops ? "true" : "false",
		   cli->is_strict ? "true" : "false");
	status = ask(only_plans ? "check" : "reload", cli->conf_path, &request, &ops, &t);
	buf_fini(&request);
	return status;
}

int verb_reload(struct cli *cli)
{
	return tell(cli, false);
}

int reload_tell_plan(struct cli *cli)
{
	return tell(cli, true);
}
