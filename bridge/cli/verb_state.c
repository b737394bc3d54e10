/* calque state: the state directory looked through, copied, or given another key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"

struct looking {
	const struct cli *cli;
	size_t n_problems;
};

static void on_item(void *ctx, struct jslice item)
{
	struct looking *l = ctx;
	char *problem = ask_shown(item, "problem");

	l->n_problems++;
	if (l->cli->is_json)
		cli_print_line(stdout, item.text, item.len);
	else
		printf("%s\n", problem);
	free(problem);
}

static void on_done(void *ctx, struct jslice done)
{
	(void)ctx;
	(void)done;
}

/* The bridge is somewhere else. */
static char *absolute(const char *file)
{
	char *here = *file == '/' ? NULL : getcwd(NULL, 0);
	char *path = here ? mem_printf("%s/%s", here, file) : mem_strdup(file);

	free(here);
	return path;
}

static int check(struct cli *cli, const struct ask_ops *ops)
{
	struct looking l = { .cli = cli };
	struct buf request = { 0 };
	int status;

	buf_puts(&request, "{\"request\":\"state\",\"do\":\"check\"}");
	status = ask("state", cli->conf_path, &request, ops, &l);
	buf_fini(&request);
	if (status == EXIT_DONE && l.n_problems) {
		fprintf(stderr,
			"calque state: what is damaged is set aside when the bridge starts; to go "
			"back, put a backup in its place\n");
		return EXIT_FAILED;
	}
	if (status == EXIT_DONE && !cli->is_json)
		printf("all is well\n");
	return status;
}

static void tell_backup(const char *path)
{
	char *key = mem_printf("%s.key", path);

	if (access(key, F_OK) == 0)
		printf("wrote %s and %s, which opens it\n", path, key);
	else
		printf("wrote %s\n", path);
	free(key);
}

static int backup(struct cli *cli, const struct ask_ops *ops)
{
	struct looking l = { .cli = cli };
	char *path = absolute(cli->argv[1]);
	struct buf request = { 0 };
	int status;

	buf_puts(&request, "{\"request\":\"state\",\"do\":\"backup\",\"file\":");
	jtext_put_string(&request, path, strlen(path));
	buf_putc(&request, '}');
	status = ask("state", cli->conf_path, &request, ops, &l);
	if (status == EXIT_DONE && !cli->is_json)
		tell_backup(path);
	buf_fini(&request);
	free(path);
	return status;
}

static void on_rotated(void *ctx, struct jslice done)
{
	const struct looking *l = ctx;
	long long n = (long long)ask_number(done, "unreadable");

	if (l->cli->is_json)
		cli_print_line(stdout, done.text, done.len);
	else
		printf("the key is a new one, and all is sealed with it\n");
	if (n)
		fprintf(stderr,
			"calque state: %lld row%s could not be read with the old key, and left as "
			"found\n",
			n, PLURAL(n));
}

static int rotate_key(struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_rotated };
	struct looking l = { .cli = cli };
	struct buf request = { 0 };
	int status;

	buf_puts(&request, "{\"request\":\"state\",\"do\":\"rotate-key\"}");
	status = ask("state", cli->conf_path, &request, &ops, &l);
	buf_fini(&request);
	return status;
}

int verb_state(struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_done };

	if (strcmp(cli->argv[0], "check") == 0 && cli->argc == 1)
		return check(cli, &ops);
	if (strcmp(cli->argv[0], "backup") == 0 && cli->argc == 2 && *cli->argv[1] &&
	    jtext_is_utf8(cli->argv[1], strlen(cli->argv[1])))
		return backup(cli, &ops);
	if (strcmp(cli->argv[0], "rotate-key") == 0 && cli->argc == 1)
		return rotate_key(cli);
	return options_misused("state", "check, backup FILE, or rotate-key");
}
