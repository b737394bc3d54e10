/* calque why: what each step makes of one message -- one that is given, that of a dead letter, or the next one of a
 * bridge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args/options.h"
#include "author/why_next.h"
#include "author/why_text.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/ask.h"
#include "cli/chosen_link.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "message/wire_json.h"
#include "offline/offline.h"
#include "work/compiler.h"

#define MOST_PAYLOAD (256u << 20) /* MQTT 2.2.3: the largest packet */

/* The message in question. */
struct subject {
	struct message message;
	enum flow flow;
	bool has_flow;
	char *link; /* of a letter; NULL: what --link says */
	struct buf
		state; /* items of the link's state, one after another as an array; empty: none is known */
	bool is_found;
	bool is_hidden;	      /* its body is, as it is of a handshake */
	struct why_next next; /* what the bridge made of it, if it has */
	struct err e;
};

static void subject_fini(struct subject *s)
{
	message_fini(&s->message);
	free(s->link);
	buf_fini(&s->state);
	why_next_fini(&s->next);
}

/* --- a message that is given ----------------------------------------------------------------- */

/* "TEXT", "@FILE" or "@-". */
static bool take_payload(struct subject *s, const char *given)
{
	struct buf payload = { 0 };
	bool ok = true;

	if (given && *given == '@')
		ok = buf_append_file(&payload, strcmp(given, "@-") == 0 ? "/dev/stdin" : given + 1,
				     MOST_PAYLOAD, &s->e);
	else if (given)
		buf_puts(&payload, given);
	if (ok)
		message_set_payload(&s->message, payload.data, payload.len);
	buf_fini(&payload);
	return ok;
}

static bool take_given(struct subject *s, const struct cli *cli)
{
	s->message.topic = mem_strdup(cli->why.topic);
	s->message.qos = 1;
	s->has_flow = cli->why.flow;
	s->flow = cli->why.flow && strcmp(cli->why.flow, "down") == 0 ? FLOW_DOWN : FLOW_UP;
	vars_copy(&s->message.properties, &cli->properties);
	s->message.response_topic = mem_strdup(cli->response_topic);
	return take_payload(s, cli->why.payload);
}

/* --- that of a dead letter ------------------------------------------------------------------- */

static void take_letter(void *ctx, struct jslice item)
{
	struct subject *s = ctx;
	char *flow = ask_text(item, "flow"), *route = ask_text(item, "route");
	enum kind kind = kind_of(route);
	struct jslice message;

	s->flow = strcmp(flow, "down") == 0 ? FLOW_DOWN : FLOW_UP;
	s->has_flow = true;
	s->link = ask_text(item, "link");
	s->is_hidden = kind != KIND_NONE && kind_table[kind].has_secrets;
	if (!jtext_field(item, "message", &message))
		err_set(&s->e, ERR_NOT_FOUND, "its message was not kept");
	else
		s->is_found = wire_json_take(message, &s->message, &s->e);
	free(flow);
	free(route);
}

static void take_row(void *ctx, struct jslice item)
{
	struct subject *s = ctx;

	buf_putc(&s->state, s->state.len ? ',' : '[');
	buf_append(&s->state, item.text, item.len);
}

static void take_done(void *ctx, struct jslice done)
{
	(void)ctx;
	(void)done;
}

/* Its message, and what its link remembers now.  The exit status. */
static int ask_for_letter(struct subject *s, const struct cli *cli, const char *id)
{
	static const struct ask_ops letter = { take_letter, take_done };
	static const struct ask_ops rows = { take_row, take_done };
	struct buf request = { 0 };
	int status;

	buf_printf(&request,
		   "{\"request\":\"deadletters\",\"do\":\"show\",\"ids\":[%s],\"payload\":true}",
		   id);
	status = ask("why", cli->conf_path, &request, &letter, s);
	if (status == EXIT_DONE && !s->is_found) {
		fprintf(stderr, "calque why: %s: %s\n", id,
			s->e.code ? s->e.text : "there is no such letter");
		status = EXIT_MISUSED;
	}
	if (status == EXIT_DONE) {
		buf_reset(&request);
		buf_puts(&request, "{\"request\":\"state\",\"do\":\"rows\",\"link\":");
		jtext_put_string(&request, s->link, strlen(s->link));
		buf_putc(&request, '}');
		status = ask("why", cli->conf_path, &request, &rows, s);
		if (s->state.len)
			buf_putc(&s->state, ']');
	}
	buf_fini(&request);
	return status;
}

/* --- the next one of a bridge ---------------------------------------------------------------- */

static int take_next(struct subject *s, const struct cli *cli)
{
	int status = why_next_ask(&s->next, cli);

	if (status != EXIT_DONE)
		return status;
	s->link = mem_strdup(s->next.link);
	s->flow = s->next.flow;
	s->has_flow = true;
	message_copy(&s->message, &s->next.message);
	buf_append(&s->state, buf_str(&s->next.state), s->next.state.len);
	return status;
}

/* --- the way ---------------------------------------------------------------------------------- */

/* The side that reads it; where none does, the south. */
static enum flow flow_of(const struct subject *s, const struct offline *o)
{
	if (s->has_flow)
		return s->flow;
	return !offline_reads(o, FLOW_UP, s->message.topic) &&
			       offline_reads(o, FLOW_DOWN, s->message.topic)
		       ? FLOW_DOWN
		       : FLOW_UP;
}

static int status_of(const struct offline_step *step)
{
	if (step->reason == DEAD_UNKNOWN_TOPIC || step->reason == FILTERED_NOT_READ)
		return EXIT_MISUSED; /* nothing matched */
	return outcome_is_dead(step->reason) ? EXIT_FAILED : EXIT_DONE;
}

static int tell(const struct subject *s, const struct cli *cli, struct offline *o,
		const struct offline *bare)
{
	struct buf why = { 0 }, text = { 0 };
	const struct offline_step *step = offline_why(o, bare, flow_of(s, o), &s->message, &why);
	int status = s->next.steps.len ? s->next.status : status_of(step);

	if (s->is_hidden)
		fprintf(stderr, "calque why: the payload of a handshake is not shown, so it is not "
				"known here: \"***\" stands for it\n");
	if (s->next.steps.len)
		why_next_put(&s->next, cli->is_json, &why, &text);
	if (!cli->is_json)
		why_text_put(&text, (struct jslice){ why.data, why.len });
	cli_print_line(stdout, cli->is_json ? why.data : text.data,
		       cli->is_json ? why.len : text.len - 1);
	buf_fini(&why);
	buf_fini(&text);
	return status;
}

static struct offline *open_link(struct build *b, const struct cli *cli,
				 const struct conf_link *link, struct report *report)
{
	if (link)
		return offline_new_link(b, link, cli->vars, NULL, report);
	return offline_new(b, cli->argv[0], cli->argv[1], cli->vars, NULL, report);
}

static int go_the_way(const struct subject *s, struct cli *cli, struct compiler *compiler)
{
	struct offline *o, *bare = NULL;
	struct report report = { 0 }, again = { 0 };
	struct chosen_link chosen;
	struct build build;
	struct err e = { 0 };
	int status = EXIT_FAILED;

	if (s->link)
		cli->letters.link = s->link;
	if (!chosen_link_read(&chosen, cli))
		return EXIT_FAILED;
	build_init(&build, &cli->mappings, chosen.conf);
	build.loader = compiler_loader(compiler);
	o = open_link(&build, cli, chosen.link, &report);
	if (o && chosen.link && chosen.link->n_through) {
		struct conf_link direct = *chosen.link;

		direct.n_through = 0;
		bare = open_link(&build, cli, &direct, &again);
	}
	cli_print_report(&report);
	if (o && s->state.len &&
	    !offline_restore(o, (struct jslice){ s->state.data, s->state.len }, &e))
		fprintf(stderr, "calque why: what the link remembers is not known: %s\n", e.text);
	if (o)
		status = tell(s, cli, o, bare);
	offline_free(bare);
	offline_free(o);
	build_fini(&build);
	chosen_link_fini(&chosen);
	report_fini(&report);
	report_fini(&again);
	return status;
}

static bool is_number(const char *arg)
{
	return *arg && strlen(arg) < 19 && strspn(arg, "0123456789") == strlen(arg);
}

/* Is it the next one that arrives? */
static bool is_next(const struct cli *cli)
{
	return cli->listen.for_ms || cli->devices.name;
}

/* A link of the configuration is meant, be it the usual one: then that is read. */
static int check_arguments(struct cli *cli)
{
	bool is_letter = cli->argc == 1 && is_number(cli->argv[0]);
	bool is_given = cli->argc == 2 || cli->why.payload || cli->why.flow;

	if (cli->argc == 1 && !is_letter)
		return options_misused("why", "\"%s\" is no number of a letter", cli->argv[0]);
	if (cli->argc == 2 && (cli->has_conf || !cli->why.topic))
		return options_misused("why", "two dialects take --topic, and no configuration");
	if (is_letter && (cli->why.topic || cli->why.payload))
		return options_misused("why", "a letter has its topic and payload");
	if ((is_letter || is_given) && is_next(cli))
		return options_misused("why", "--device and --timeout are of the next message");
	if (is_given && !cli->why.topic)
		return options_misused("why", "which message? --topic says on which it came");
	if (cli->argc < 2)
		cli->has_conf = true;
	return EXIT_DONE;
}

int verb_why(struct cli *cli)
{
	struct subject s = { 0 };
	struct compiler *compiler;
	int status = check_arguments(cli);

	if (status != EXIT_DONE)
		return status;
	log_least(
		LOG_ERROR); /* what ends a mapping's process is told as what became of the message */
	compiler = apart_begin("why");
	if (!compiler)
		return EXIT_FAILED;
	if (cli->argc == 1)
		status = ask_for_letter(&s, cli, cli->argv[0]);
	else if (is_next(cli) || !cli->why.topic)
		status = take_next(&s, cli);
	else if (!take_given(&s, cli)) {
		fprintf(stderr, "calque why: %s\n", s.e.text);
		status = EXIT_FAILED;
	}
	if (status == EXIT_DONE)
		status = go_the_way(&s, cli, compiler);
	subject_fini(&s);
	compiler_free(compiler);
	return status;
}
