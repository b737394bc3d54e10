/* calque deadletters: the messages that could not be carried. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/duration.h"
#include "args/options.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "message/outcome.h"

struct listing;

struct subcommand {
	const char *word;
	int min_ids, max_ids;
	bool is_change; /* must be told which */
	void (*item)(struct listing *p, struct jslice item);
};

struct listing {
	const struct cli *cli;
	const struct subcommand *action;
	struct table table;
	int64_t now_ms;
	size_t n, n_problems;
};

static const char *const columns[] = { "id",	"age",	  "link",  "flow",
				       "route", "reason", "topic", "text" };
#define N_COLUMNS (sizeof columns / sizeof columns[0])

/* --- what is asked ------------------------------------------------------------------------- */

static bool has_filter(const struct cli *cli)
{
	return cli->letters.link || cli->letters.reason || cli->letters.route ||
	       cli->letters.older_ms || cli->letters.newer_ms || cli->letters.limit;
}

static bool is_id(const char *arg)
{
	return *arg && strlen(arg) < 19 && strspn(arg, "0123456789") == strlen(arg);
}

/* EXIT_DONE: it makes sense. */
static int check_arguments(const struct cli *cli, const struct subcommand *a)
{
	int n = cli->argc - 1;
	bool is_chosen = has_filter(cli) || cli->letters.is_all;

	for (int i = 1; i <= n; i++)
		if (!is_id(cli->argv[i]))
			return options_misused("deadletters", "\"%s\" is no number of a letter",
					       cli->argv[i]);
	if (n < a->min_ids || n > a->max_ids)
		return options_misused("deadletters", "%s takes %s", a->word,
				       a->max_ids ? "the number of a letter"
						  : "no number of a letter");
	if (n > 0 && is_chosen)
		return options_misused("deadletters",
				       "%s takes numbers or options that choose, not both",
				       a->word);
	if (a->is_change && n == 0 && !is_chosen)
		return options_misused("deadletters",
				       "%s which? numbers, options that choose, or --all", a->word);
	if (cli->is_payload && strcmp(a->word, "show") != 0)
		return options_misused("deadletters", "--payload goes with show");
	return EXIT_DONE;
}

static void put_text(struct buf *out, const char *key, const char *text)
{
	if (!text)
		return;
	buf_printf(out, ",\"%s\":", key);
	jtext_put_string(out, text, strlen(text));
}

static void put_ids(struct buf *out, const struct cli *cli)
{
	for (int i = 1; i < cli->argc; i++)
		buf_printf(out, "%s%lld", i == 1 ? ",\"ids\":[" : ",", atoll(cli->argv[i]));
	if (cli->argc > 1)
		buf_putc(out, ']');
}

static void put_request(const struct listing *p, struct buf *out)
{
	const struct cli *cli = p->cli;

	buf_printf(out, "{\"request\":\"deadletters\",\"do\":\"%s\"", p->action->word);
	put_ids(out, cli);
	put_text(out, "link", cli->letters.link);
	put_text(out, "reason", cli->letters.reason);
	put_text(out, "route", cli->letters.route);
	if (cli->letters.newer_ms)
		buf_printf(out, ",\"since_ms\":%lld",
			   (long long)(p->now_ms - cli->letters.newer_ms));
	if (cli->letters.older_ms)
		buf_printf(out, ",\"until_ms\":%lld",
			   (long long)(p->now_ms - cli->letters.older_ms));
	buf_printf(out, ",\"limit\":%lld,\"payload\":%s}", (long long)cli->letters.limit,
		   cli->is_payload ? "true" : "false");
}

/* --- what is answered ---------------------------------------------------------------------- */

static char *age_of(const struct listing *p, struct jslice item)
{
	struct buf age = { 0 };

	duration_put(p->now_ms - ask_number(item, "died_ms"), &age);
	return buf_take(&age);
}

static bool has_message(struct jslice item)
{
	return jtext_is_true(item, "has_message");
}

static char *text_without_message(struct jslice item)
{
	char *text = ask_shown(item, "text");
	char *more = mem_printf("%s%s(its message was not kept)", text, *text ? " " : "");

	free(text);
	return more;
}

static char *cell(const struct listing *p, struct jslice item, const char *column)
{
	if (strcmp(column, "id") == 0)
		return mem_printf("%lld", (long long)ask_number(item, "id"));
	if (strcmp(column, "age") == 0)
		return age_of(p, item);
	if (strcmp(column, "text") == 0 && !has_message(item))
		return text_without_message(item);
	return ask_shown(item, column);
}

static void add_row(struct listing *p, struct jslice item)
{
	for (size_t i = 0; i < N_COLUMNS && p->table.n_cells < N_COLUMNS; i++)
		table_add(&p->table, mem_strdup(columns[i]));
	for (size_t i = 0; i < N_COLUMNS; i++)
		table_add(&p->table, cell(p, item, columns[i]));
}

/* What its reason means. */
static void print_meaning(struct jslice item)
{
	char *reason = ask_shown(item, "reason");
	const char *about = outcome_about(reason);

	if (about)
		printf("%-8s %s\n", "means", about);
	free(reason);
}

static void print_letter(struct listing *p, struct jslice item)
{
	struct jslice message;

	for (size_t i = 0; i < N_COLUMNS; i++) {
		char *text = cell(p, item, columns[i]);

		if (*text)
			printf("%-8s %s\n", columns[i], text);
		free(text);
	}
	print_meaning(item);
	if (!jtext_field(item, "message", &message))
		return;
	printf("%-8s ", "message");
	cli_print_line(stdout, message.text, message.len);
}

static void print_nothing(struct listing *p, struct jslice item)
{
	(void)p;
	(void)item;
}

static const struct subcommand actions[] = {
	{ "list", 0, 0, false, add_row },
	{ "show", 1, 1, false, print_letter },
	{ "retry", 0, 1000, true, print_nothing },
	{ "drop", 0, 1000, true, print_nothing },
};
#define N_ACTIONS (sizeof actions / sizeof actions[0])

static void on_item(void *ctx, struct jslice item)
{
	struct listing *p = ctx;
	char *problem = ask_shown(item, "problem");

	if (*problem) {
		fprintf(stderr, "calque deadletters: letter %lld: %s\n",
			(long long)ask_number(item, "id"), problem);
		p->n_problems++;
	} else {
		p->n++;
		if (p->cli->is_json)
			cli_print_line(stdout, item.text, item.len);
		else
			p->action->item(p, item);
	}
	free(problem);
}

static void on_done(void *ctx, struct jslice done)
{
	struct listing *p = ctx;
	struct jfield f;
	size_t pos = 0;

	if (!p->action->is_change || p->cli->is_json || !jtext_next_field(done, &pos, &f))
		return;
	printf("%.*s %.*s\n", (int)f.key.len - 2, f.key.text + 1, (int)f.value.len, f.value.text);
}

static int conclude(const struct listing *p, int status)
{
	if (status != EXIT_DONE)
		return status;
	if (p->n_problems)
		return EXIT_FAILED;
	if (p->n)
		return EXIT_DONE;
	fputs("calque deadletters: no dead letter matched\n", stderr);
	return EXIT_MISUSED;
}

int verb_deadletters(struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_done };
	struct listing p = { .cli = cli, .now_ms = clock_wall_ms() };
	struct buf request = { 0 };
	int status;

	p.table.n_columns = N_COLUMNS;
	for (size_t i = 0; i < N_ACTIONS; i++)
		if (strcmp(cli->argv[0], actions[i].word) == 0)
			p.action = &actions[i];
	if (!p.action)
		return options_misused("deadletters", "list, show, retry or drop, not \"%s\"",
				       cli->argv[0]);
	status = check_arguments(cli, p.action);
	if (status != EXIT_DONE)
		return status;
	put_request(&p, &request);
	status = ask("deadletters", cli->conf_path, &request, &ops, &p);
	table_print(&p.table, stdout);
	table_fini(&p.table);
	buf_fini(&request);
	return conclude(&p, status);
}
