/* calque devices: what is known of devices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/options.h"
#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"

struct forgetting {
	const struct cli *cli;
	size_t n;
};

static void on_item(void *ctx, struct jslice item)
{
	struct forgetting *f = ctx;
	char *link = ask_shown(item, "link"), *name = ask_shown(item, "name");

	f->n++;
	if (f->cli->is_json)
		cli_print_line(stdout, item.text, item.len);
	else
		printf("link %s has forgotten %s: it is free for the next device\n", link, name);
	free(link);
	free(name);
}

static void on_done(void *ctx, struct jslice done)
{
	(void)ctx;
	(void)done;
}

static void put_request(const struct cli *cli, const char *name, struct buf *out)
{
	buf_puts(out, "{\"request\":\"devices\",\"do\":\"forget\",\"name\":");
	jtext_put_string(out, name, strlen(name));
	if (cli->letters.link) {
		buf_puts(out, ",\"link\":");
		jtext_put_string(out, cli->letters.link, strlen(cli->letters.link));
	}
	buf_putc(out, '}');
}

int verb_devices(struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_done };
	struct forgetting f = { .cli = cli };
	struct buf request = { 0 };
	const char *name = cli->argv[1];
	int status;

	if (strcmp(cli->argv[0], "forget") != 0)
		return options_misused("devices", "forget, not \"%s\"", cli->argv[0]);
	if (!*name || !jtext_is_utf8(name, strlen(name)))
		return options_misused("devices", "forget takes the name of a device");
	put_request(cli, name, &request);
	status = ask("devices", cli->conf_path, &request, &ops, &f);
	buf_fini(&request);
	if (status != EXIT_DONE || f.n)
		return status;
	fprintf(stderr, "calque devices: no handshake brought anything for \"%s\"\n", name);
	return EXIT_MISUSED;
}
