/* calque translate: messages through two dialects, offline. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/options.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/chosen_link.h"
#include "cli/cli.h"
#include "offline/offline.h"
#include "work/compiler.h"
#include "conf/build.h"
#include "message/side.h"
#include "message/wire_json.h"

#define MAX_PAYLOAD (256u << 20) /* MQTT 2.2.3: the largest packet */

static bool read_payload(const char *file, struct buf *out, struct err *e)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "rb");
	char chunk[65536];
	bool ok = false;
	size_t n;

	if (!f) {
		err_errno(e, "%s", file);
		return false;
	}
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && out->len <= MAX_PAYLOAD)
		buf_append(out, chunk, n);
	if (ferror(f))
		err_errno(e, "%s", file);
	else if (out->len > MAX_PAYLOAD)
		err_set(e, ERR_LIMIT, "%s: larger than an MQTT packet can be", file);
	else
		ok = true;
	if (f != stdin)
		fclose(f);
	return ok;
}

static void print_outputs(const struct offline_step *s, const char *separator, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			buf_puts(out, separator);
		wire_json_put(out, s->outputs[i].side, &s->outputs[i].message);
	}
}

static const struct offline_step *translate_message(struct offline *o, bool is_traced,
						    enum flow flow, const struct message *m)
{
	struct buf trace = { 0 };

	if (is_traced) {
		offline_trace(o, flow, m, &trace);
		cli_print_line(stderr, trace.data, trace.len - 1); /* it ends its last line */
	}
	buf_fini(&trace);
	return offline_message(o, flow, m);
}

static void say_why(const char *who, const struct offline_step *s)
{
	struct buf line = { 0 };

	if (s->reason == CARRIED)
		return;
	buf_printf(&line, "%s: %s%s%s%s", who,
		   outcome_is_dead(s->reason) ? "" : "filtered: ", outcome_word(s->reason),
		   s->text ? ": " : "", s->text ? s->text : "");
	cli_print_line(stderr, line.data, line.len);
	buf_fini(&line);
}

/* `argv`: up|down TOPIC [FILE|-] */
static int translate_one(struct cli *cli, int argc, char **argv, struct offline *o)
{
	enum flow flow = strcmp(argv[0], "up") == 0 ? FLOW_UP : FLOW_DOWN;
	struct message m = { .topic = mem_strdup(argv[1]), .qos = 1 };
	struct buf payload = { 0 }, line = { 0 };
	const struct offline_step *s;
	struct err e = { 0 };
	int status = EXIT_DONE;

	if (argc > 2 && !read_payload(argv[2], &payload, &e)) {
		fprintf(stderr, "calque translate: %s\n", e.text);
		status = EXIT_FAILED;
	} else {
		message_set_payload(&m, payload.data, payload.len);
		vars_copy(&m.properties, &cli->properties);
		m.response_topic = mem_strdup(cli->response_topic);
		s = translate_message(o, cli->is_trace, flow, &m);
		print_outputs(s, "\n", &line);
		if (s->n)
			cli_print_line(stdout, line.data, line.len);
		say_why("calque translate", s);
		if (s->reason == DEAD_UNKNOWN_TOPIC || s->reason == FILTERED_NOT_READ)
			status = EXIT_MISUSED; /* nothing matched */
		else if (outcome_is_dead(s->reason))
			status = EXIT_FAILED;
	}
	message_fini(&m);
	buf_fini(&payload);
	buf_fini(&line);
	return status;
}

/* One line of input; NULL sets *e if it cannot be read. */
static const struct offline_step *step_line(struct offline *o, bool is_traced, const char *text,
					    size_t len, struct err *e)
{
	const struct offline_step *s = NULL;
	struct buf strict = { 0 };
	struct message m = { 0 };
	struct jslice line, after;
	enum flow flow;
	int64_t ms;

	if (!jtext_read(text, len, false, &strict, e))
		return NULL;
	line = (struct jslice){ strict.data, strict.len };
	if (jtext_field(line, "after_ms", &after)) {
		if (jtext_integer(after, &ms) && ms >= 0)
			s = offline_after(o, ms);
		else
			err_set(e, ERR_INVALID, "after_ms: a number of milliseconds was expected");
	} else if (wire_json_flow(line, &flow, e) && wire_json_take(line, &m, e)) {
		s = translate_message(o, is_traced, flow, &m);
		message_fini(&m);
	}
	buf_fini(&strict);
	return s;
}

static int translate_lines(struct offline *o, bool is_traced)
{
	char *text = NULL, who[40];
	size_t cap = 0;
	unsigned long number = 0;
	int status = EXIT_DONE;
	struct buf out = { 0 };
	ssize_t len;

	while ((len = getline(&text, &cap, stdin)) >= 0) {
		const struct offline_step *s;
		struct err e = { 0 };

		snprintf(who, sizeof who, "line %lu", ++number);
		s = step_line(o, is_traced, text, (size_t)len, &e);
		buf_reset(&out);
		buf_putc(&out, '[');
		if (s) {
			print_outputs(s, ",", &out);
			say_why(who, s);
		} else {
			fprintf(stderr, "%s: unreadable: ", who);
			cli_print_line(stderr, e.text, strlen(e.text));
		}
		buf_putc(&out, ']');
		cli_print_line(stdout, out.data, out.len);
		fflush(stdout);
		if (!s || outcome_is_dead(s->reason))
			status = EXIT_FAILED;
	}
	free(text);
	buf_fini(&out);
	return status;
}

/* What follows the dialects, or comes first with -c. */
static bool is_call(const struct cli *cli, int argc, char **argv)
{
	if (argc < 0)
		return false;
	if (cli->is_lines) /* there, each line says what came with it */
		return argc == 0 && cli->properties.n == 0 && !cli->response_topic;
	return (argc == 2 || argc == 3) &&
	       (strcmp(argv[0], "up") == 0 || strcmp(argv[0], "down") == 0);
}

int verb_translate(struct cli *cli)
{
	int n = cli->has_conf ? 0 : SIDES, argc = cli->argc - n, status = EXIT_FAILED;
	char **argv = cli->argv + n;
	struct report report = { 0 };
	struct chosen_link chosen;
	struct compiler *compiler;
	struct offline *o = NULL;
	struct build build;

	if (!is_call(cli, argc, argv))
		return options_misused(
			"translate", "it takes SOUTH NORTH (up|down TOPIC [FILE|-] | --lines), and "
				     "with -c FILE no dialects");
	log_least(
		LOG_ERROR); /* what ends a mapping's process is told as what became of the message */
	compiler = apart_begin("translate");
	if (!compiler || !chosen_link_read(&chosen, cli)) {
		compiler_free(compiler);
		return EXIT_FAILED;
	}
	build_init(&build, &cli->mappings, chosen.conf);
	build.loader = compiler_loader(compiler);
	if (chosen.link)
		o = offline_new_link(&build, chosen.link, cli->vars, NULL, &report);
	else
		o = offline_new(&build, cli->argv[0], cli->argv[1], cli->vars, NULL, &report);
	cli_print_report(&report);
	if (o)
		status = cli->is_lines ? translate_lines(o, cli->is_trace)
				       : translate_one(cli, argc, argv, o);
	offline_free(o);
	build_fini(&build);
	compiler_free(compiler);
	chosen_link_fini(&chosen);
	report_fini(&report);
	return status;
}
