/* calque play: the mapping bench of the admin page, without a bridge. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/answer.h"
#include "admin/answer_bench.h"
#include "admin/page.h"
#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/apart.h"
#include "cli/cli.h"
#include "conf/build.h"
#include "conf/environment.h"
#include "http/http_check.h"
#include "http/http_server.h"
#include "net/loop.h"
#include "play/play.h"
#include "work/compiler.h"

#define HOST "127.0.0.1"

struct playground {
	const struct cli *cli;
	struct build build; /* for its path */
	struct play *play;
	struct http_server *server;
	char token[CRYPTO_TOKEN_CHARS + 1];
};

/* --- what is asked over HTTP -------------------------------------------------------------------- */

static struct answer *say(struct http_reply *reply, int status, const char *text)
{
	reply->status = status;
	return answer_text(text, strlen(text));
}

static struct answer *get_page(struct playground *g, const struct http_request *r,
			       struct http_reply *reply)
{
	(void)g;
	(void)r;
	reply->type = "text/html; charset=utf-8";
	reply->policy = page_policy;
	return answer_text(page_html, page_html_len);
}

static void put_vars(const struct vars *vars, enum side side, struct buf *out)
{
	for (size_t i = 0; i < vars->n; i++) {
		char *name = mem_printf("%s.%s", side_name(side), vars->items[i].name);

		buf_puts(out, out->data[out->len - 1] == '{' ? "" : ",");
		jtext_put_string(out, name, strlen(name));
		buf_putc(out, ':');
		jtext_put_string(out, vars->items[i].value, strlen(vars->items[i].value));
		free(name);
	}
}

/* What it is; to who has the token, also what is to be shown first. */
static struct answer *get_status(struct playground *g, const struct http_request *r,
				 struct http_reply *reply)
{
	struct buf out = { 0 };
	struct answer *answer;

	reply->type = "application/json";
	if (!http_token_is(r->authorization, g->token))
		return say(reply, 200, "{\"play\":true}\n");
	buf_puts(&out, "{\"play\":true,\"version\":\"" CALQUE_VERSION "\",\"south\":");
	jtext_put_string(&out, g->cli->argv[0], strlen(g->cli->argv[0]));
	buf_puts(&out, ",\"north\":");
	jtext_put_string(&out, g->cli->argv[1], strlen(g->cli->argv[1]));
	buf_puts(&out, ",\"vars\":{");
	put_vars(&g->cli->vars[SOUTH], SOUTH, &out);
	put_vars(&g->cli->vars[NORTH], NORTH, &out);
	buf_puts(&out, "}}\n");
	answer = answer_text(out.data, out.len);
	buf_fini(&out);
	return answer;
}

static struct answer *post_bench(struct playground *g, const struct http_request *r,
				 struct http_reply *reply)
{
	if (!answer_is_json(r->content_type))
		return say(reply, 415, "application/json is wanted\n");
	reply->type = "application/json";
	return answer_bench(g->play, &g->build.path, r->body, r->body_len);
}

static const struct {
	const char *method, *path;
	bool wants_token;
	struct answer *(*f)(struct playground *g, const struct http_request *r,
			    struct http_reply *reply);
} pages[] = {
	{ "GET", "/", false, get_page },
	{ "GET", "/status", false, get_status },
	{ "POST", "/bench", true, post_bench },
};

static void *on_ask(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	struct playground *g = ctx;

	if (!http_host_is_known(r->host, NULL, 0))
		return say(reply, 421, "not a name of this machine\n");
	if (!http_origin_is_own(r->origin, r->host))
		return say(reply, 403, "a page of another origin asks\n");
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
		if (strcmp(pages[i].method, r->method) != 0 || strcmp(pages[i].path, r->path) != 0)
			continue;
		if (pages[i].wants_token && !http_token_is(r->authorization, g->token))
			return say(reply, 401,
				   "the token is wanted: it is in the address that was printed\n");
		return pages[i].f(g, r, reply);
	}
	return say(reply, 404, "there is no such page\n");
}

static bool on_more(void *ctx, void *answer, struct buf *out)
{
	struct answer *one = answer;

	(void)ctx;
	return one->more(one, out);
}

static void on_end(void *ctx, void *answer)
{
	struct answer *one = answer;

	(void)ctx;
	one->end(one);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void before_sleep(void *ctx, int64_t now_ms)
{
	struct playground *g = ctx;

	(void)now_ms;
	http_server_step(g->server);
	http_server_hold(g->server, 0);
	http_server_flush(g->server, 0);
}

static void on_signal(void *ctx, int signum)
{
	(void)signum;
	loop_stop(ctx);
}

static bool open_server(struct playground *g, struct loop *loop, struct err *e)
{
	static const struct http_server_ops ops = { .ask = on_ask, .more = on_more, .end = on_end };

	g->server = http_server_new(loop, HOST, g->cli->port, &ops, g, e);
	if (!g->server) {
		err_prefix(e, HOST ":%d", g->cli->port);
		return false;
	}
	loop_before_sleep(loop, before_sleep, g);
	return loop_on_signal(loop, SIGINT, on_signal, loop, e) &&
	       loop_on_signal(loop, SIGTERM, on_signal, loop, e);
}

static void tell(const struct playground *g)
{
	printf("http://" HOST ":%d/#%s\n", http_server_port(g->server), g->token);
	fflush(stdout);
	fprintf(stderr, "calque play: open that in a browser; Ctrl-C ends it\n");
}

/* `dir`: a directory of its own. */
static int run(struct playground *g, const char *dir)
{
	char *drafts = mem_printf("%s/bench", dir);
	struct err e = { 0 };
	struct loop *loop = loop_new(&e);
	int status = EXIT_FAILED;

	crypto_token(g->token);
	if (loop)
		g->play = play_new(loop, drafts);
	if (loop && open_server(g, loop, &e)) {
		tell(g);
		loop_run(loop);
		status = EXIT_DONE;
	} else {
		fprintf(stderr, "calque play: %s\n", e.text);
	}
	if (loop)
		loop_before_sleep(loop, NULL, NULL);
	http_server_free(g->server);
	play_free(g->play);
	loop_free(loop);
	free(drafts);
	return status;
}

/* Both have to be there: the page edits files. */
static bool are_there(const struct playground *g)
{
	bool ok = true;

	for (int s = 0; s < SIDES; s++) {
		char *file = mapping_path_find(&g->build.path, g->cli->argv[s]);
		struct report report = { 0 };

		if (!file)
			mapping_path_report_missing(&g->build.path, g->cli->argv[s], &report);
		cli_print_report(&report);
		report_fini(&report);
		ok = ok && file;
		free(file);
	}
	return ok;
}

static int run_in_directory(struct playground *g)
{
	const char *temporary = environment_get("TMPDIR");
	char *dir = mem_printf("%s/calque-play-XXXXXX", temporary ? temporary : "/tmp");
	int status = EXIT_FAILED;

	if (mkdtemp(dir)) {
		status = run(g, dir);
		rmdir(dir);
	} else {
		fprintf(stderr, "calque play: %s: %s\n", dir, strerror(errno));
	}
	free(dir);
	return status;
}

int verb_play(struct cli *cli)
{
	struct playground g = { .cli = cli };
	struct compiler *compiler;
	int status = EXIT_FAILED;

	log_least(LOG_ERROR);
	compiler = apart_begin("play");
	if (!compiler)
		return EXIT_FAILED;
	build_init(&g.build, &cli->mappings, NULL);
	if (are_there(&g))
		status = run_in_directory(&g);
	build_fini(&g.build);
	compiler_free(compiler);
	return status;
}
