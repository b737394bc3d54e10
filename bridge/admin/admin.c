#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "admin/answer.h"
#include "admin/answer_bench.h"
#include "admin/page.h"
#include "admin/sample.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "conf/hostport.h"
#include "http/http_check.h"
#include "http/http_server.h"
#include "metric/exposition.h"
#include "play/play.h"
#include "control/control_request.h"

#define READY_AGE_S                                                                                \
	60 /* so long a message may wait that could leave, unless `age` says otherwise */

struct admin {
	const struct control_request_parts *parts;
	struct http_server *server;
	bool is_public;	   /* others than this machine reach it */
	struct play *play; /* NULL: mappings are not to be tried here */
};

/* Who may ask. */
enum access {
	OPEN,	   /* anybody */
	OPEN_HERE, /* where only this machine reaches it; else with the token */
	TOKEN
};

struct page {
	const char *method, *path, *type;
	enum access access;
	struct answer *(*f)(struct admin *a, const struct http_request *r, bool has_token,
			    struct http_reply *reply);
};

static struct answer *say(struct http_reply *reply, int status, const char *text)
{
	reply->status = status;
	return answer_text(text, strlen(text));
}

/* --- the pages ----------------------------------------------------------------------------- */

/* It is made in a turn of the loop, as is what the watchdog of a service manager hears: if the loop hangs, nobody
 * answers. */
static struct answer *get_health(struct admin *a, const struct http_request *r, bool has_token,
				 struct http_reply *reply)
{
	(void)a;
	(void)r;
	(void)has_token;
	return say(reply, 200, "ok\n");
}

static bool is_asked_for(const struct http_request *r, const char *key)
{
	const char *value = http_request_query(r, key);

	return value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

/* `usual` where it is not said; 0: that is none. */
static long seconds_of(const struct http_request *r, const char *key, long usual)
{
	const char *value = http_request_query(r, key);

	if (!value)
		return usual;
	if (!*value || strlen(value) > 9 || strspn(value, "0123456789") != strlen(value))
		return 0;
	return strtol(value, NULL, 10);
}

static struct answer *get_ready(struct admin *a, const struct http_request *r, bool has_token,
				struct http_reply *reply)
{
	long age_s = seconds_of(r, "age", READY_AGE_S);
	struct buf lacks = { 0 };
	struct answer *answer;
	struct sample *s;

	(void)has_token;
	if (age_s == 0)
		return say(reply, 400, "age: a number of seconds\n");
	s = sample_new(a->parts);
	sample_put_lacks(s, is_asked_for(r, "strict"), age_s, &lacks);
	sample_free(s);
	answer = lacks.len ? say(reply, 503, buf_str(&lacks)) : say(reply, 200, "ready\n");
	buf_fini(&lacks);
	return answer;
}

static struct answer *get_metrics(struct admin *a, const struct http_request *r, bool has_token,
				  struct http_reply *reply)
{
	(void)r;
	(void)has_token;
	(void)reply;
	return answer_metrics(a->parts);
}

static struct answer *get_status(struct admin *a, const struct http_request *r, bool has_token,
				 struct http_reply *reply)
{
	(void)r;
	(void)reply;
	return answer_status(a->parts, !has_token);
}

static struct answer *get_page(struct admin *a, const struct http_request *r, bool has_token,
			       struct http_reply *reply)
{
	(void)a;
	(void)r;
	(void)has_token;
	reply->policy = page_policy;
	return answer_text(page_html, page_html_len);
}

static struct answer *post_request(struct admin *a, const struct http_request *r, bool has_token,
				   struct http_reply *reply)
{
	(void)has_token;
	if (!answer_is_json(r->content_type))
		return say(reply, 415, "application/json is wanted\n");
	if (!r->body || !answer_may_be_asked(r->body, r->body_len))
		return say(reply, 400, "this cannot be asked here\n");
	return answer_request(a->parts, r->body, r->body_len);
}

/* Asked before anything is, by the page: a refusal would be told to whoever looks for mistakes. */
static struct answer *get_bench(struct admin *a, const struct http_request *r, bool has_token,
				struct http_reply *reply)
{
	(void)r;
	(void)has_token;
	return say(reply, 200, a->play ? "{\"on\":true}\n" : "{\"on\":false}\n");
}

static struct answer *post_bench(struct admin *a, const struct http_request *r, bool has_token,
				 struct http_reply *reply)
{
	struct build build;
	struct answer *answer;

	(void)has_token;
	if (!a->play)
		return say(reply, 403,
			   "off: admin_bench = true in the configuration turns it on\n");
	if (!answer_is_json(r->content_type))
		return say(reply, 415, "application/json is wanted\n");
	build_init(&build, a->parts->mappings, a->parts->conf);
	answer = answer_bench(a->play, &build.path, r->body, r->body_len);
	build_fini(&build);
	return answer;
}

static const struct page pages[] = {
	{ "GET", "/", "text/html; charset=utf-8", OPEN, get_page },
	{ "GET", "/healthz", NULL, OPEN, get_health },
	{ "GET", "/readyz", NULL, OPEN, get_ready },
	{ "GET", "/metrics", EXPOSITION_TYPE, OPEN, get_metrics },
	{ "GET", "/status", "application/json", OPEN_HERE, get_status },
	{ "POST", "/request", "application/x-ndjson", TOKEN, post_request },
	{ "GET", "/bench", "application/json", TOKEN, get_bench },
	{ "POST", "/bench", "application/json", TOKEN, post_bench },
};

/* --- a request ----------------------------------------------------------------------------- */

static const struct page *find_page(const struct http_request *r, const char **allow)
{
	*allow = NULL;
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
		if (strcmp(pages[i].path, r->path) != 0)
			continue;
		if (strcmp(pages[i].method, r->method) == 0)
			return &pages[i];
		*allow = strcmp(pages[i].method, "GET") == 0 ? "GET, HEAD" : pages[i].method;
	}
	return NULL;
}

/* NULL: it may go on. */
static struct answer *refuse(struct admin *a, const struct page *page, const struct http_request *r,
			     bool has_token, struct http_reply *reply)
{
	const struct conf *conf = a->parts->conf;

	if (page->access == OPEN || has_token ||
	    (page->access == OPEN_HERE && !a->is_public && !r->authorization))
		return NULL;
	if (!conf->admin_token)
		return say(reply, 403, "there is no admin_token in the configuration\n");
	if (r->authorization)
		log_limited(LOG_WARNING, clock_now_ms(), "admin", "admin-refused", "reason=%s",
			    log_value("wrong token"));
	return say(reply, 401, "the token is wanted: Authorization: Bearer ...\n");
}

static void *on_ask(void *ctx, const struct http_request *r, struct http_reply *reply)
{
	struct admin *a = ctx;
	const struct conf *conf = a->parts->conf;
	bool has_token = http_token_is(r->authorization, conf->admin_token);
	const struct page *page;
	struct answer *refusal;
	const char *allow;

	if (!http_host_is_known(r->host, conf->admin_hosts.items, conf->admin_hosts.n))
		return say(reply, 421, "not a name of this machine: see admin_hosts\n");
	if (!http_origin_is_own(r->origin, r->host))
		return say(reply, 403, "a page of another origin asks\n");
	page = find_page(r, &allow);
	if (!page) {
		reply->allow = allow;
		return allow ? say(reply, 405, "this method is not for this page\n")
			     : say(reply, 404, "there is no such page\n");
	}
	refusal = refuse(a, page, r, has_token, reply);
	if (refusal)
		return refusal;
	if (page->type)
		reply->type = page->type;
	return page->f(a, r, has_token, reply);
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

/* --- the door ------------------------------------------------------------------------------ */

static void *open_admin(struct loop *loop, const struct control_request_parts *parts, struct err *e)
{
	static const struct http_server_ops ops = { .ask = on_ask, .more = on_more, .end = on_end };
	const struct conf *conf = parts->conf;
	struct err why = { 0 };
	struct admin *a;

	if (!conf->admin_host)
		return NULL;
	a = mem_zalloc(sizeof *a);
	a->parts = parts;
	a->is_public = !hostport_is_loopback(conf->admin_host);
	a->server = http_server_new(loop, conf->admin_host, conf->admin_port, &ops, a, &why);
	if (!a->server) {
		err_set(e, ERR_INVALID, "admin %s: %s", conf->admin, why.text);
		free(a);
		return NULL;
	}
	if (conf->admin_bench) {
		char *drafts = mem_printf("%s/bench", conf->state);

		a->play = play_new(loop, drafts);
		free(drafts);
	}
	log_event(LOG_INFO, "admin-listening", "host=%s port=%d", log_value(conf->admin_host),
		  http_server_port(a->server));
	return a;
}

static void step(void *ctx)
{
	http_server_step(((struct admin *)ctx)->server);
}

static void hold(void *ctx, uint64_t commit)
{
	http_server_hold(((struct admin *)ctx)->server, commit);
}

static void revoke(void *ctx, uint64_t durable, const char *line, size_t n)
{
	http_server_revoke(((struct admin *)ctx)->server, durable, line, n);
}

static void break_off(void *ctx, const char *line, size_t n)
{
	http_server_break_off(((struct admin *)ctx)->server, line, n);
}

static void flush(void *ctx, uint64_t durable)
{
	http_server_flush(((struct admin *)ctx)->server, durable);
}

static void close_admin(void *ctx)
{
	struct admin *a = ctx;

	http_server_free(a->server);
	play_free(a->play);
	free(a);
}

const struct bridge_door admin_door = { .open = open_admin,
					.step = step,
					.hold = hold,
					.revoke = revoke,
					.break_off = break_off,
					.flush = flush,
					.close = close_admin };
