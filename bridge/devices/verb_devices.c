/* calque devices: the devices of links. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "conf/device_file.h"
#include "conf/environment.h"
#include "devices/device_request.h"
#include "devices/key_warning.h"
#include "fleet/csv.h"
#include "fleet/fleet.h"
#include "fleet/fleet_file.h"
#include "message/state_json.h"

/* Of a report: the devices of a link in a group. */
struct group {
	char *link, *name;
	size_t n, states[FLEET_STATES], modes[FLEET_MODES];
	int64_t seen_ms; /* when one of them was heard of last; 0: none was */
};

struct asking {
	const struct cli *cli;
	struct table table;
	size_t n, n_problems;
	size_t n_parks, n_live; /* of set-mode: that wait, that became live */
	size_t states[FLEET_STATES], modes[FLEET_MODES];
	/* Of an export: */
	int secrets_fd; /* of the file for them, if there is one */
	char **items;
	size_t n_items;
	struct group *groups;
	size_t n_groups;
};

struct sub {
	const char *word;
	int min_args, max_args; /* behind the word; -1: any */
	void (*item)(struct asking *a, struct jslice item);
	size_t n_columns;
};

/* --- items ----------------------------------------------------------------------------------- */

static void add(struct asking *a, struct jslice item, const char *field)
{
	table_add(&a->table, ask_shown(item, field));
}

static char *day_of(struct jslice item, const char *field)
{
	struct buf text = { 0 };

	clock_put_utc(ask_number(item, field), &text);
	return buf_take(&text);
}

/* What passes, and by whose word. */
static char *mode_of(struct jslice item)
{
	char *own = ask_shown(item, "mode"), *passes = ask_shown(item, "passes"), *text;

	if (*own)
		text = mem_strdup(own);
	else
		text = mem_printf("(%s)", *passes ? passes : "link");
	free(own);
	free(passes);
	return text;
}

static void count(size_t *states, size_t *modes, struct jslice item)
{
	char *state = ask_text(item, "state"), *mode = ask_text(item, "passes");
	int s = fleet_word(fleet_state_names, FLEET_STATES, state), m;

	if (!*mode) {
		free(mode);
		mode = ask_text(item, "mode");
	}
	m = fleet_word(fleet_mode_names, FLEET_MODES, mode);
	if (s >= 0)
		states[s]++;
	if (m >= 0)
		modes[m]++;
	free(state);
	free(mode);
}

static void add_head(struct table *t, const char *const *words, size_t n)
{
	if (t->n_cells)
		return;
	for (size_t i = 0; i < n; i++)
		table_add(t, mem_strdup(words[i]));
}

static void list_item(struct asking *a, struct jslice item)
{
	static const char *const head[] = { "link",  "name", "mode",  "state",
					    "group", "seen", "reason" };

	count(a->states, a->modes, item);
	if (a->cli->devices.is_summary)
		return;
	add_head(&a->table, head, sizeof head / sizeof head[0]);
	add(a, item, "link");
	add(a, item, "name");
	table_add(&a->table, mode_of(item));
	add(a, item, "state");
	add(a, item, "group");
	table_add(&a->table, day_of(item, "seen_up_ms"));
	add(a, item, "reason");
}

/* What became of them: a row for each group of a link. */
static void report_item(struct asking *a, struct jslice item)
{
	char *link = ask_text(item, "link"), *name = ask_text(item, "group");
	int64_t seen_ms = ask_number(item, "seen_up_ms");
	struct group *g = a->groups;

	while (g && g < a->groups + a->n_groups &&
	       (strcmp(g->link, link) != 0 || strcmp(g->name, name) != 0))
		g++;
	if (!g || g == a->groups + a->n_groups) {
		a->groups = mem_grow(a->groups, a->n_groups, sizeof *a->groups);
		g = &a->groups[a->n_groups++];
		*g = (struct group){ .link = mem_strdup(link), .name = mem_strdup(name) };
	}
	g->n++;
	count(g->states, g->modes, item);
	if (seen_ms > g->seen_ms)
		g->seen_ms = seen_ms;
	free(link);
	free(name);
}

static void put_group_json(const struct group *g)
{
	struct buf out = { 0 };

	buf_puts(&out, "{\"link\":");
	state_json_put_text(&out, g->link);
	buf_puts(&out, ",\"group\":");
	state_json_put_text(&out, g->name);
	buf_printf(&out, ",\"devices\":%zu", g->n);
	for (int i = 0; i < FLEET_STATES; i++)
		buf_printf(&out, ",\"%s\":%zu", fleet_state_names[i], g->states[i]);
	for (int i = 1; i < FLEET_MODES; i++)
		buf_printf(&out, ",\"%s\":%zu", fleet_mode_names[i], g->modes[i]);
	buf_printf(&out, ",\"seen_up_ms\":%" PRId64 "}", g->seen_ms);
	cli_print_line(stdout, out.data, out.len);
	buf_fini(&out);
}

/* A cell of the report; taken. */
static void put_report_cell(struct asking *a, struct buf *csv, char *text)
{
	if (!a->cli->devices.is_csv) {
		table_add(&a->table, text);
		return;
	}
	buf_puts(csv, csv->len && csv->data[csv->len - 1] != '\n' ? "," : "");
	csv_put(csv, text);
	free(text);
}

static void put_group(struct asking *a, const struct group *g, struct buf *csv)
{
	struct buf seen = { 0 };

	put_report_cell(a, csv, mem_strdup(g ? g->link : "link"));
	put_report_cell(a, csv, mem_strdup(g ? g->name : "group"));
	put_report_cell(a, csv, g ? mem_printf("%zu", g->n) : mem_strdup("devices"));
	for (int i = 0; i < FLEET_STATES; i++)
		put_report_cell(a, csv,
				g ? mem_printf("%zu", g->states[i])
				  : mem_strdup(fleet_state_names[i]));
	for (int i = 1; i < FLEET_MODES; i++)
		put_report_cell(a, csv,
				g ? mem_printf("%zu", g->modes[i])
				  : mem_strdup(fleet_mode_names[i]));
	if (g && g->seen_ms)
		clock_put_utc(g->seen_ms, &seen);
	put_report_cell(a, csv, g ? mem_strdup(buf_str(&seen)) : mem_strdup("seen"));
	if (a->cli->devices.is_csv)
		buf_putc(csv, '\n');
	buf_fini(&seen);
}

static void put_report(struct asking *a)
{
	struct buf csv = { 0 };

	if (!a->cli->is_json && a->n_groups)
		put_group(a, NULL, &csv);
	for (size_t i = 0; i < a->n_groups; i++) {
		if (a->cli->is_json)
			put_group_json(&a->groups[i]);
		else
			put_group(a, &a->groups[i], &csv);
	}
	if (csv.len)
		fwrite(csv.data, 1, csv.len, stdout);
	buf_fini(&csv);
}

static void put_line(struct jslice item, const char *field)
{
	char *text = ask_shown(item, field);

	if (*text)
		printf("  %-10s %s\n", field, text);
	free(text);
}

static void put_pairs(struct jslice item, const char *field, const char *prefix)
{
	struct jslice vars;
	struct jfield var;
	size_t pos = 0;

	if (!jtext_field(item, field, &vars))
		return;
	while (jtext_next_field(vars, &pos, &var)) {
		struct buf name = { 0 }, value = { 0 }, line = { 0 };

		jtext_string_decode(var.key, &name);
		jtext_string_decode(var.value, &value);
		buf_printf(&line, "  %s.%s = %s", prefix, buf_str(&name), buf_str(&value));
		cli_print_line(stdout, line.data, line.len);
		buf_fini(&name);
		buf_fini(&value);
		buf_fini(&line);
	}
}

static void show_item(struct asking *a, struct jslice item)
{
	static const char *const fields[] = { "group",	"kind",	  "sessions", "state", "step",
					      "reason", "origin", "south",    "north", "fixed_by" };
	char *link = ask_shown(item, "link"), *name = ask_shown(item, "name");
	char *mode = mode_of(item), *up = day_of(item, "seen_up_ms"),
	     *down = day_of(item, "seen_down_ms");

	(void)a;
	printf("%s of link %s\n  %-10s %s\n", name, link, "mode", mode);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		put_line(item, fields[i]);
	printf("  %-10s up %s, down %s\n", "seen", up, down);
	put_pairs(item, "south_vars", "south");
	put_pairs(item, "north_vars", "north");
	put_pairs(item, "greet", "greet");
	free(link);
	free(name);
	free(mode);
	free(up);
	free(down);
}

static void history_item(struct asking *a, struct jslice item)
{
	static const char *const head[] = { "since", "times", "link",  "name",
					    "who",   "what",  "answer" };
	struct jslice note = { "{}", 2 };
	char *who;

	add_head(&a->table, head, sizeof head / sizeof head[0]);
	jtext_field(item, "note", &note);
	who = ask_shown(note, "who");
	table_add(&a->table, day_of(item, "first_ms"));
	table_add(&a->table, mem_printf("%" PRId64 "x", ask_number(item, "n")));
	add(a, item, "link");
	add(a, item, "name");
	table_add(&a->table, mem_strdup(*who ? who : "bridge"));
	add(a, note, "what");
	add(a, note, "answer");
	free(who);
}

/* What the platform says of its configuration, and it does not have. */
static void put_difference(const struct asking *a, struct jslice item)
{
	struct jslice names, name, pushed;
	struct buf line = { 0 }, text = { 0 };
	size_t pos = 0;

	if (!jtext_field(item, "differs", &names) || !jtext_field(item, "pushed", &pushed))
		return;
	buf_puts(&line, "  the north says otherwise than the device has, and that is ");
	buf_puts(&line, jtext_type_of(pushed) == JTEXT_TRUE ? "sent" : "not sent");
	buf_puts(&line, a->cli->devices.is_dry ? " then:" : ":");
	while (jtext_next_element(names, &pos, &name)) {
		jtext_string_decode(name, &text);
		buf_printf(&line, " %s", buf_str(&text));
		buf_reset(&text);
	}
	cli_print_line(stdout, line.data, line.len);
	buf_fini(&line);
	buf_fini(&text);
}

static void set_item(struct asking *a, struct jslice item)
{
	char *link = ask_shown(item, "link"), *name = ask_shown(item, "name"),
	     *was = ask_shown(item, "was"), *passes = ask_text(item, "passes"),
	     *mode = mode_of(item);
	struct jslice parks;

	if (a->cli->devices.is_dry)
		printf("%s of link %s would be %s, and is %s\n", name, link, mode,
		       *was ? was : "as the link");
	else
		printf("%s of link %s: %s\n", name, link, mode);
	put_difference(a, item);
	a->n_parks += jtext_field(item, "parks", &parks);
	a->n_live += strcmp(*passes ? passes : mode, "live") == 0 && strcmp(was, "live") != 0;
	free(link);
	free(name);
	free(was);
	free(passes);
	free(mode);
}

/* What whoever cuts over should know. */
static void put_advice(const struct asking *a)
{
	if (a->n_parks)
		printf("%zu of these %s not ready yet: what is for %s waits (parks) until %s\n",
		       a->n_parks, a->n_parks == 1 ? "is" : "are", a->n_parks == 1 ? "it" : "them",
		       a->n_parks == 1 ? "it is" : "they are");
	if (a->n_live)
		fputs("calque devices: the old cloud's own users can still command these devices, "
		      "as "
		      "long as they are connected there\n",
		      stderr);
}

static void forget_item(struct asking *a, struct jslice item)
{
	char *link = ask_shown(item, "link"), *name = ask_shown(item, "name");

	(void)a;
	printf("link %s has forgotten %s: it is free for the next device\n", link, name);
	free(link);
	free(name);
}

static void import_item(struct asking *a, struct jslice item)
{
	add(a, item, "link");
	add(a, item, "name");
	add(a, item, "end");
	add(a, item, "what");
}

static void keep_item(struct asking *a, struct jslice item)
{
	a->items = mem_grow(a->items, a->n_items, sizeof *a->items);
	a->items[a->n_items++] = mem_strndup(item.text, item.len);
}

static void tell_problem(struct asking *a, struct jslice item)
{
	char *mistake = ask_text(item, "mistake"), *problem = ask_text(item, "problem"),
	     *name = ask_text(item, "name");
	struct buf line = { 0 };

	if (*mistake)
		buf_puts(&line, mistake);
	else if (*problem)
		buf_printf(&line, "calque devices: %s: %s", name, problem);
	if (line.len) {
		a->n_problems++;
		cli_print_line(stderr, line.data, line.len);
	}
	free(mistake);
	free(problem);
	free(name);
	buf_fini(&line);
}

static bool is_problem(struct jslice item)
{
	struct jslice v;

	return jtext_field(item, "mistake", &v) || jtext_field(item, "problem", &v);
}

struct running {
	struct asking a;
	const struct sub *sub;
};

static void on_item(void *ctx, struct jslice item)
{
	struct running *r = ctx;

	if (is_problem(item)) {
		tell_problem(&r->a, item);
		return;
	}
	r->a.n++;
	if (r->sub->item != keep_item && r->sub->item != report_item && r->a.cli->is_json &&
	    !(r->sub->item == list_item && r->a.cli->devices.is_summary))
		cli_print_line(stdout, item.text, item.len);
	else
		r->sub->item(&r->a, item);
}

static void on_done(void *ctx, struct jslice done)
{
	(void)ctx;
	(void)done;
}

/* --- import ---------------------------------------------------------------------------------- */

/* The request of an import; false: told why not. */
static bool put_import(const struct cli *cli, const char *path, struct asking *a, struct buf *out)
{
	struct report report = { 0 };
	struct fleet_file f = { 0 };
	bool ok = device_file_read(path, &f, &report);

	/* A file that was cut off on its way must not turn a fleet off. */
	if (ok && !f.n && cli->devices.replaces) {
		report_error(
			&report,
			"%s: no device is in it, so all would be off: `set-mode off --all` does "
			"that",
			path);
		ok = false;
	}
	a->n_problems = report.n_errors;
	if (ok)
		devices_warn_of_key(cli->conf_path, &f, &report);
	cli_print_report(&report);
	/* (Whose row has a mistake would be off, as if it had none.) */
	ok = ok && (!report.n_errors || cli->devices.is_dry ||
		    (cli->devices.is_partial && !cli->devices.replaces));
	if (ok) {
		ok = device_request_put(cli, "import", NULL, 0, true, out);
		device_request_put_field(out, "file", path);
		buf_puts(out, ",\"rows\":");
		fleet_file_put(&f, out);
	}
	report_fini(&report);
	fleet_file_fini(&f);
	return ok;
}

/* --- export ---------------------------------------------------------------------------------- */

/* A column of an export: a field of the items, or a member of one that is an object. */
struct column {
	char *name;
	const char *field;
	char *member; /* NULL: the field itself */
};

struct columns {
	struct column *items;
	size_t n;
};

static void add_column(struct columns *c, const char *prefix, const char *field, const char *member)
{
	char *name = mem_printf("%s%s", prefix, member ? member : field);

	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->items[i].name, name) == 0) {
			free(name);
			return;
		}
	c->items = mem_grow(c->items, c->n, sizeof *c->items);
	c->items[c->n++] = (struct column){ name, field, mem_strdup(member) };
}

static void add_members(struct columns *c, const char *prefix, const char *field,
			const struct asking *a)
{
	for (size_t i = 0; i < a->n_items; i++) {
		struct jslice item = { a->items[i], strlen(a->items[i]) }, vars;
		struct jfield var;
		size_t pos = 0;

		while (jtext_field(item, field, &vars) && jtext_next_field(vars, &pos, &var)) {
			struct buf name = { 0 };

			jtext_string_decode(var.key, &name);
			add_column(c, prefix, field, buf_str(&name));
			buf_fini(&name);
		}
	}
}

static void put_cell(const struct cli *cli, const struct column *c, struct jslice item,
		     struct buf *out)
{
	struct jslice at = item;
	char *text;

	if (c->member && !jtext_field(item, c->field, &at))
		at = (struct jslice){ "{}", 2 };
	text = strncmp(c->name, "seen_", 5) == 0
		       ? day_of(at, strstr(c->name, "up") ? "seen_up_ms" : "seen_down_ms")
		       : ask_text(at, c->member ? c->member : c->field);
	/* Without the file for them, secrets are not there. */
	if (c->member && !cli->devices.secrets && strcmp(text, "***") == 0)
		*text = '\0';
	/* (As a value it would remove one.  A device may be called so.) */
	csv_put(out, strcmp(text, "-") == 0 && strcmp(c->name, "name") != 0 ? "" : text);
	mem_free_secret(text, strlen(text));
}

static void put_csv(const struct asking *a, struct buf *out)
{
	static const char *const before[] = { "link", "name",	  "group", "mode",
					      "kind", "sessions", "state" };
	struct columns c = { 0 };

	for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
		add_column(&c, "", before[i], NULL);
	add_column(&c, "", "seen_up", NULL);
	add_column(&c, "", "seen_down", NULL);
	c.items = mem_grow(c.items, c.n, sizeof *c.items);
	c.items[c.n++] = (struct column){ mem_strdup("south.device"), "south", NULL };
	c.items = mem_grow(c.items, c.n, sizeof *c.items);
	c.items[c.n++] = (struct column){ mem_strdup("north.device"), "north", NULL };
	add_members(&c, "south.", "south_vars", a);
	add_members(&c, "north.", "north_vars", a);
	add_members(&c, "greet.", "greet", a);
	for (size_t k = 0; k < c.n; k++) {
		buf_puts(out, k ? "," : "");
		csv_put(out, c.items[k].name);
	}
	buf_puts(out, "\n");
	for (size_t i = 0; i < a->n_items; i++) {
		for (size_t k = 0; k < c.n; k++) {
			buf_puts(out, k ? "," : "");
			put_cell(a->cli, &c.items[k],
				 (struct jslice){ a->items[i], strlen(a->items[i]) }, out);
		}
		buf_puts(out, "\n");
	}
	for (size_t k = 0; k < c.n; k++) {
		free(c.items[k].name);
		free(c.items[k].member);
	}
	free(c.items);
}

/* Nobody else's file is written over.  Opened first: who asks as root is somebody else then, who may not write here. */
static bool open_secrets(struct asking *a)
{
	const char *path = a->cli->devices.secrets;

	if (!path)
		return true;
	a->secrets_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->secrets_fd < 0)
		fprintf(stderr, "calque devices: %s: %s\n", path, strerror(errno));
	return a->secrets_fd >= 0;
}

static int write_secrets(const struct asking *a, const struct buf *text)
{
	FILE *f = fdopen(a->secrets_fd, "w");
	bool ok = f && fwrite(text->data, 1, text->len, f) == text->len && fflush(f) == 0 &&
		  fsync(a->secrets_fd) == 0;

	if (!ok)
		fprintf(stderr, "calque devices: %s: %s\n", a->cli->devices.secrets,
			strerror(errno));
	if (f)
		fclose(f);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int finish_export(struct asking *a)
{
	struct buf text = { 0 };
	int status = EXIT_DONE;

	put_csv(a, &text);
	if (a->cli->devices.secrets)
		status = write_secrets(a, &text);
	else
		fwrite(text.data, 1, text.len, stdout);
	mem_free_secret(text.data, text.len);
	return status;
}

/* --- the verb -------------------------------------------------------------------------------- */

static const struct sub subs[] = {
	{ "list", 0, 0, list_item, 7 },
	{ "show", 0, -1, show_item, 0 },
	{ "history", 1, -1, history_item, 7 },
	{ "export", 0, 0, keep_item, 0 },
	{ "set-mode", 1, -1, set_item, 0 },
	{ "retire", 0, -1, set_item, 0 },
	{ "report", 0, 0, report_item, 4 + FLEET_STATES + FLEET_MODES - 1 },
	{ "forget", 0, -1, forget_item, 0 },
	{ "import", 1, 1, import_item, 4 },
};

static const struct sub *find_sub(const struct cli *cli)
{
	int n = cli->argc - 1;

	for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++)
		if (strcmp(subs[i].word, cli->argv[0]) == 0)
			return n < subs[i].min_args ||
					       (subs[i].max_args >= 0 && n > subs[i].max_args)
				       ? NULL
				       : &subs[i];
	return NULL;
}

static void put_counts(const char *const *words, const size_t *counts, int n)
{
	for (int i = 0; i < n; i++)
		if (counts[i])
			printf(" %s %zu", *words[i] ? words[i] : "link", counts[i]);
}

static void put_summary(const struct asking *a)
{
	printf("%zu device%s:", a->n, PLURAL(a->n));
	put_counts(fleet_state_names, a->states, FLEET_STATES);
	printf("; mode");
	put_counts(fleet_mode_names, a->modes, FLEET_MODES);
	putchar('\n');
}

static void put_summary_json(const struct asking *a)
{
	struct buf out = { 0 };

	buf_printf(&out, "{\"devices\":%zu,\"states\":{", a->n);
	for (int i = 0; i < FLEET_STATES; i++)
		buf_printf(&out, "%s\"%s\":%zu", i ? "," : "", fleet_state_names[i], a->states[i]);
	buf_puts(&out, "},\"modes\":{");
	for (int i = 1; i < FLEET_MODES; i++)
		buf_printf(&out, "%s\"%s\":%zu", i > 1 ? "," : "", fleet_mode_names[i],
			   a->modes[i]);
	buf_puts(&out, "}}");
	cli_print_line(stdout, out.data, out.len);
	buf_fini(&out);
}

static int finish(struct running *r, int status)
{
	struct asking *a = &r->a;

	if (status != EXIT_DONE)
		return status;
	if (r->sub->item == keep_item)
		status = finish_export(a);
	else if (r->sub->item == report_item)
		put_report(a);
	else if (a->cli->devices.is_summary && a->cli->is_json)
		put_summary_json(a);
	else if (a->cli->devices.is_summary)
		put_summary(a);
	if (!a->cli->is_json && a->table.n_cells)
		table_print(&a->table, stdout);
	put_advice(a);
	if (a->n_problems)
		return EXIT_FAILED;
	if (r->sub->item == import_item && a->n == 0 && !a->cli->is_json)
		puts("nothing changes");
	if (a->n == 0 && r->sub->item != list_item && r->sub->item != report_item &&
	    r->sub->item != keep_item && r->sub->item != import_item) {
		fprintf(stderr, "calque devices: nothing is known of such a device\n");
		return EXIT_MISUSED;
	}
	return status;
}

static bool has_choice(const struct cli *cli, int n_names)
{
	return n_names > 0 || cli->letters.is_all || cli->devices.name || cli->devices.state ||
	       cli->devices.mode || cli->devices.reason || cli->devices.group ||
	       cli->devices.is_orphan || cli->devices.percent || cli->devices.list;
}

/* What is said of some devices would be done to all of the file. */
static bool takes_no_choice(const struct cli *cli)
{
	return (strcmp(cli->argv[0], "wave") == 0 || strcmp(cli->argv[0], "import") == 0) &&
	       has_choice(cli, 0);
}

/* False: told what is wrong. */
static bool put_question(const struct cli *cli, const struct sub *sub, struct asking *a,
			 struct buf *out, int *status)
{
	bool sets = strcmp(sub->word, "set-mode") == 0;
	int skip = sets ? 2 : 1, n = cli->argc - skip;
	const char *mode = sets				      ? cli->argv[1]
			   : strcmp(sub->word, "retire") == 0 ? "retired"
							      : NULL;

	*status = EXIT_FAILED;
	if (sub->item == import_item)
		return put_import(cli, cli->argv[1], a, out);
	*status = EXIT_MISUSED;
	for (int i = 0; i < n; i++)
		if (!cli->argv[skip + i][0] ||
		    !jtext_is_utf8(cli->argv[skip + i], strlen(cli->argv[skip + i]))) {
			options_misused("devices", "that is no name of a device");
			return false;
		}
	if (sets && fleet_word(fleet_mode_names + 1, FLEET_MODES - 1, mode) < 0 &&
	    strcmp(mode, "link") != 0) {
		options_misused("devices", "set-mode takes off, mirror, live, retired, or link");
		return false;
	}
	if (sub->item != list_item && sub->item != report_item && sub->item != keep_item &&
	    !has_choice(cli, n)) {
		options_misused("devices", "%s: which? NAME, --name, --group ... or --all",
				sub->word);
		return false;
	}
	*status = EXIT_FAILED;
	if (!device_request_put(cli, sub->item == report_item ? "list" : sub->word,
				cli->argv + skip, n, true, out))
		return false;
	device_request_put_field(out, "set", mode && strcmp(mode, "link") != 0 ? mode : NULL);
	return true;
}

int verb_devices(struct cli *cli)
{
	static const struct ask_ops ops = { .item = on_item, .done = on_done };
	struct running r = { .a.cli = cli, .sub = find_sub(cli) };
	struct buf request = { 0 };
	int status;

	if (takes_no_choice(cli))
		return options_misused("devices",
				       "%s takes no filter: which devices, its file says",
				       cli->argv[0]);
	if (strcmp(cli->argv[0], "provision") == 0)
		return devices_provision(cli);
	if (strcmp(cli->argv[0], "compare") == 0)
		return devices_compare_with_north(cli);
	if (strcmp(cli->argv[0], "wave") == 0)
		return devices_wave(cli);
	if (!r.sub)
		return options_misused(
			"devices",
			"list, show, history, report, provision, set-mode MODE, wave, "
			"compare, retire, forget, import FILE or export, not \"%s\" like this",
			cli->argv[0]);
	r.a.table.n_columns = r.sub->n_columns;
	if (put_question(cli, r.sub, &r.a, &request, &status)) {
		buf_putc(&request, '}');
		if (r.sub->item == keep_item && !open_secrets(&r.a))
			status = EXIT_FAILED;
		else
			status = finish(&r, ask("devices", cli->conf_path, &request, &ops, &r));
		if (status != EXIT_DONE && r.a.secrets_fd > 0)
			unlink(cli->devices.secrets);
	}
	mem_free_secret(request.data, request.len);
	for (size_t i = 0; i < r.a.n_items; i++)
		mem_free_secret(r.a.items[i], strlen(r.a.items[i]));
	free(r.a.items);
	for (size_t i = 0; i < r.a.n_groups; i++) {
		free(r.a.groups[i].link);
		free(r.a.groups[i].name);
	}
	free(r.a.groups);
	table_fini(&r.a.table);
	return status;
}
