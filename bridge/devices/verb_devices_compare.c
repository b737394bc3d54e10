/* calque devices compare: what devices said, beside what the north has of it. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "devices/device_request.h"

#define LOOK_MS	   200
#define ANSWER_MS  10000 /* the platform has so long to say what it has */
#define ROUNDED_MS 10	 /* its time is of two clocks */

struct comparing {
	const struct cli *cli;
	bool shows_all; /* of devices that were named, all keys */
	bool is_last;	/* items are told, not only looked at */
	size_t n_asked, n_unanswered, n_not_asked;
	char *why;	  /* one was not asked; NULL: all were */
	int64_t begun_ms; /* what was answered before counts for nothing */
	bool is_fresh;	  /* the platform has answered for the device at hand since */
	struct table table;
	size_t n_devices, n_keys, n_differ, n_silent, n_read_back;
};

static void put_value(struct table *table, struct jslice key)
{
	struct jslice value;
	char *hash = ask_shown(key, "value_hash");
	struct buf text = { 0 };

	if (jtext_field(key, "value", &value))
		buf_put_shown(&text, value.text, value.len, false);
	else if (*hash)
		buf_printf(&text, "#%s", hash);
	table_add(table, mem_strdup(buf_str(&text)));
	buf_fini(&text);
	free(hash);
}

static void put_titles(struct table *t)
{
	static const char *const titles[] = { "device", "key", "kind",	     "read",
					      "acked",	"lag", "last value", "differs" };

	t->n_columns = sizeof titles / sizeof titles[0];
	for (size_t i = 0; i < t->n_columns; i++)
		table_add(t, mem_strdup(titles[i]));
}

static void put_row(struct comparing *c, const char *name, struct jslice key, const char *differs)
{
	struct table *t = &c->table;

	if (!t->n_columns)
		put_titles(t);
	table_add(t, mem_strdup(name));
	table_add(t, ask_shown(key, "name"));
	table_add(t, ask_shown(key, "kind"));
	table_add(t, mem_printf("%" PRId64, ask_number(key, "read")));
	table_add(t, mem_printf("%" PRId64, ask_number(key, "acknowledged")));
	table_add(t, mem_printf("%" PRId64 " ms", ask_number(key, "lag_ms")));
	put_value(t, key);
	table_add(t, mem_strdup(differs));
}

static void tell_key(struct comparing *c, const char *name, struct jslice key)
{
	char *differs = ask_shown(key, "differs"), *platform = ask_text(key, "platform");

	c->n_keys++;
	c->n_differ += *differs != '\0';
	c->n_read_back += *platform && c->is_fresh;
	if (!c->cli->is_json && (*differs || c->shows_all))
		put_row(c, name, key,
			!*differs && *platform && c->is_fresh ? "- (the platform has it)"
							      : differs);
	free(differs);
	free(platform);
}

static void tell_device(struct comparing *c, struct jslice item)
{
	static const struct jslice none = { "{}", 2 };
	char *name = ask_shown(item, "name"), *differs = ask_shown(item, "differs");
	struct jslice keys, key;
	size_t pos = 0;

	c->n_devices++;
	c->is_fresh = ask_number(item, "answered_ms") + ROUNDED_MS >= c->begun_ms;
	c->n_silent += *differs != '\0';
	if (c->cli->is_json)
		cli_print_line(stdout, item.text, item.len);
	else if (*differs)
		put_row(c, name, none, differs);
	if (jtext_field(item, "keys", &keys))
		while (jtext_next_element(keys, &pos, &key))
			tell_key(c, name, key);
	if (ask_number(item, "left_out") && !c->cli->is_json)
		fprintf(stderr, "calque devices: %s has more keys than are compared\n", name);
	free(name);
	free(differs);
}

static void on_compared(void *ctx, struct jslice item)
{
	struct comparing *c = ctx;
	struct jslice asking;

	if (jtext_field(item, "asking", &asking))
		c->n_unanswered++;
	if (c->is_last)
		tell_device(c, item);
}

static void on_asked(void *ctx, struct jslice item)
{
	struct comparing *c = ctx;
	char *why = ask_shown(item, "why");

	c->n_asked += !*why;
	c->n_not_asked += *why != '\0';
	if (*why && !c->why)
		c->why = why;
	else
		free(why);
}

static void on_done(void *ctx, struct jslice done)
{
	(void)ctx;
	(void)done;
}

static int request(struct comparing *c, const char *word)
{
	static const struct ask_ops compared = { on_compared, on_done },
				    asked = { on_asked, on_done };
	bool is_asking = strcmp(word, "read-back") == 0;
	struct buf text = { 0 };
	int status = EXIT_FAILED;

	c->n_unanswered = 0;
	if (device_request_put(c->cli, word, c->cli->argv + 1, c->cli->argc - 1, true, &text)) {
		buf_putc(&text, '}');
		status =
			ask("devices", c->cli->conf_path, &text, is_asking ? &asked : &compared, c);
	}
	buf_fini(&text);
	return status;
}

/* The platforms are asked what they have, and get some time for it. */
static int read_back(struct comparing *c)
{
	int64_t until_ms = clock_mono_ms() + ANSWER_MS;
	int status = request(c, "read-back");

	while (status == EXIT_DONE && c->n_asked) {
		status = request(c, "compare");
		if (!c->n_unanswered || clock_mono_ms() > until_ms)
			break;
		poll(NULL, 0, LOOK_MS);
	}
	return status;
}

/* An acknowledgement is the word of the platform's broker; what it has stored, only it can say. */
static void tell_proof(const struct comparing *c)
{
	if (c->n_read_back)
		printf("%zu attribute%s read back from the platform, which is the only proof of "
		       "what it has; all else was acknowledged by it, no more\n",
		       c->n_read_back, PLURAL(c->n_read_back));
	else
		printf("nothing was read back from the platform: what it acknowledged is known, "
		       "not what it has\n");
	if (c->why)
		fprintf(stderr, "calque devices: %zu device%s not read back: %s\n", c->n_not_asked,
			PLURAL(c->n_not_asked), c->why);
	if (c->n_unanswered)
		fprintf(stderr, "calque devices: of %zu device%s the platform did not answer\n",
			c->n_unanswered, PLURAL(c->n_unanswered));
}

static int finish(struct comparing *c)
{
	if (!c->n_devices) {
		fprintf(stderr, "calque devices: nothing passes for such a device, or none was "
				"compared: that begins with `set-mode mirror`\n");
		return EXIT_MISUSED;
	}
	if (c->table.n_cells)
		table_print(&c->table, stdout);
	if (!c->cli->is_json) {
		printf("%zu device%s, %zu key%s: %zu differ%s, %zu device%s silent\n", c->n_devices,
		       PLURAL(c->n_devices), c->n_keys, PLURAL(c->n_keys), c->n_differ,
		       c->n_differ == 1 ? "s" : "", c->n_silent, PLURAL(c->n_silent));
		tell_proof(c);
	}
	return c->n_differ || c->n_silent ? EXIT_FAILED : EXIT_DONE;
}

int devices_compare_with_north(const struct cli *cli)
{
	struct comparing c = { .cli = cli,
			       .shows_all = cli->argc > 1,
			       .begun_ms = clock_wall_ms() };
	int status = read_back(&c);

	c.is_last = true;
	if (status == EXIT_DONE)
		status = request(&c, "compare");
	if (status == EXIT_DONE)
		status = finish(&c);
	table_fini(&c.table);
	free(c.why);
	return status;
}
