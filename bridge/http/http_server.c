/* http_server.c -- libmicrohttpd and its connections.
 *
 * The life of an exchange, one request and its answer:
 *
 *   READING ─▶ ASKED ─▶ MADE ─▶ SENDING ◀─▶ WANTING
 *                ▲        │                   │
 *                └────────┘◀──────────────────┘
 *
 *	READING	its body comes in
 *	ASKED	it is whole, or the client has taken the last piece: the next is made in the next turn (suspended)
 *	MADE	a piece is in `out`, and waits for a commit (suspended)
 *	SENDING	the library takes from `out`
 * What always holds:
 *	whoever is ASKED or MADE is suspended: the library does not look at it
 *	`out` grows only while it is ASKED, and shrinks only while it is SENDING
 *	a request that is refused before it is whole never was ASKED */
#include "http/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"

#define CROWDED_MS	 1000	     /* the patience with each while all places are taken */
#define CONNECTION_BYTES (32u << 10) /* of the library, for headers and what is being written */
#define PIECE_BYTES	 (16u << 10)

enum stage { READING, ASKED, MADE, SENDING };

/* A connection.  The library ends those in which nothing moves; a byte now and then would hold a place for ever. */
struct visitor {
	TAILQ_ENTRY(visitor) entry;
	struct MHD_Connection *connection;
	int64_t since_ms; /* clock_mono_ms(); then it came, a request or answer was whole, or a piece of one */
	size_t n_moved; /* of a piece, since then */
	bool is_served; /* it waits for us, not we for it */
	bool is_shut;
};

struct exchange {
	TAILQ_ENTRY(exchange) entry;
	struct http_server *server;
	struct MHD_Connection *connection;
	struct visitor *visitor;
	enum stage stage;
	char *method, *path;
	struct buf body, out;
	size_t n_out;  /* of `out`, that the library has */
	void *answer;  /* NULL: there is none in hand */
	bool is_asked; /* there was */
	bool is_answered, is_too_large;
	bool waits;	 /* ASKED, and there was no next piece yet */
	uint64_t commit; /* MADE */
	struct http_reply reply;
};

struct http_server {
	struct loop *loop;
	struct http_server_ops ops;
	void *ctx;
	struct MHD_Daemon *daemon;
	struct loop_watch watch;
	struct loop_timer timer;
	bool is_due; /* the library could go on */
	TAILQ_HEAD(, exchange) exchanges;
	TAILQ_HEAD(, visitor) visitors;
	size_t n_visitors;
	int port;
};

/* --- connections --------------------------------------------------------------------------- */

static void get_on(struct visitor *v, bool is_served)
{
	v->since_ms = clock_mono_ms();
	v->n_moved = 0;
	v->is_served = is_served;
}

static void move(struct visitor *v, size_t n)
{
	v->n_moved += n;
	if (v->n_moved >= PIECE_BYTES)
		get_on(v, v->is_served);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *s = cls;
	struct visitor *v = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		v = mem_zalloc(sizeof *v);
		v->connection = connection;
		get_on(v, false);
		TAILQ_INSERT_TAIL(&s->visitors, v, entry);
		s->n_visitors++;
		*context = v;
	} else {
		TAILQ_REMOVE(&s->visitors, v, entry);
		s->n_visitors--;
		free(v);
	}
}

static struct visitor *visitor_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

/* The library sees that its client has gone. */
static void shut(struct visitor *v)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(v->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	shutdown(info->connect_fd, SHUT_RDWR);
	v->is_shut = true;
}

/* End those that get nowhere.  In so many ms the next one may be due; -1: none. */
static int64_t lose_patience(struct http_server *s)
{
	int64_t now_ms = clock_mono_ms(), next_ms = -1;
	int64_t most_ms = s->n_visitors < HTTP_CLIENTS ? HTTP_PATIENCE_S * 1000 : CROWDED_MS;
	struct visitor *v;

	TAILQ_FOREACH (v, &s->visitors, entry) {
		int64_t left_ms = v->since_ms + most_ms - now_ms;

		if (v->is_served || v->is_shut)
			continue;
		if (left_ms <= 0)
			shut(v);
		else if (next_ms < 0 || left_ms < next_ms)
			next_ms = left_ms;
	}
	return next_ms;
}

/* --- in the loop --------------------------------------------------------------------------- */

static void run(struct http_server *s);

static void on_timer(void *ctx)
{
	run(ctx);
}

static void on_ready(void *ctx, bool readable, bool writable)
{
	(void)readable;
	(void)writable;
	run(ctx);
}

/* Let the library do what it can.  Who has taken a piece gets the next one in the turn that follows, and there the
 * library goes on too, if it could at once: not after 1 ms, which a thousand links would wait for a hundred times. */
static void run(struct http_server *s)
{
	MHD_UNSIGNED_LONG_LONG library_ms;
	bool has_asked = false, was_full;
	int64_t after_ms;
	struct exchange *x;

	do {
		was_full = s->n_visitors == HTTP_CLIENTS;
		MHD_run(s->daemon);
	} while (was_full && s->n_visitors < HTTP_CLIENTS); /* it listens again only then */
	after_ms = lose_patience(s);
	TAILQ_FOREACH (x, &s->exchanges, entry)
		has_asked |= x->stage == ASKED && !x->waits;
	if (MHD_get_timeout(s->daemon, &library_ms) == MHD_YES &&
	    (after_ms < 0 || library_ms < (uint64_t)after_ms))
		after_ms = (int64_t)library_ms;
	s->is_due = after_ms == 0;
	if (has_asked || s->is_due)
		loop_again(s->loop);
	if (after_ms > 0)
		loop_timer_set(s->loop, &s->timer, (uint64_t)after_ms, on_timer, s);
	else
		loop_timer_stop(&s->timer);
}

/* --- an answer ----------------------------------------------------------------------------- */

static void ask_for_more(struct exchange *x)
{
	x->stage = ASKED;
	x->waits = false;
	get_on(x->visitor, true);
	MHD_suspend_connection(x->connection);
}

static ssize_t take_piece(void *cls, uint64_t pos, char *to, size_t most)
{
	struct exchange *x = cls;
	size_t n = x->out.len - x->n_out;

	(void)pos;
	if (n == 0 && !x->answer)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		ask_for_more(x);
		return 0;
	}
	n = n < most ? n : most;
	memcpy(to, x->out.data + x->n_out, n);
	x->n_out += n;
	move(x->visitor, n);
	if (x->n_out == x->out.len) {
		buf_reset(&x->out);
		x->n_out = 0;
	}
	return (ssize_t)n;
}

static void put_headers(struct MHD_Response *response, const struct http_reply *reply)
{
	const char *const headers[][2] = {
		{ "Content-Type", reply->type },
		{ "Content-Security-Policy", reply->policy },
		{ "Cache-Control", "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Allow", reply->allow },
		{ "WWW-Authenticate", reply->status == 401 ? "Bearer realm=\"calque\"" : NULL },
	};

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		if (headers[i][1])
			MHD_add_response_header(response, headers[i][0], headers[i][1]);
}

static enum MHD_Result send_response(struct exchange *x, struct MHD_Response *response)
{
	enum MHD_Result rc;

	if (!response)
		return MHD_NO;
	put_headers(response, &x->reply);
	rc = MHD_queue_response(x->connection, (unsigned)x->reply.status, response);
	MHD_destroy_response(response);
	x->is_answered = true;
	return rc;
}

/* What is whole already says how long it is; a long one is taken in pieces, too. */
static enum MHD_Result begin_answer(struct exchange *x)
{
	if (x->answer || x->out.len > PIECE_BYTES)
		return send_response(x, MHD_create_response_from_callback(
						x->answer ? MHD_SIZE_UNKNOWN : x->out.len,
						PIECE_BYTES, take_piece, x, NULL));
	return send_response(
		x, MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result refuse(struct exchange *x, int status, const char *text)
{
	x->reply.status = status;
	buf_reset(&x->out);
	buf_puts(&x->out, text);
	return begin_answer(x);
}

/* --- a request ----------------------------------------------------------------------------- */

static struct exchange *exchange_new(struct http_server *s, struct MHD_Connection *connection,
				     const char *path, const char *method)
{
	struct exchange *x = mem_zalloc(sizeof *x);

	x->server = s;
	x->connection = connection;
	x->visitor = visitor_of(connection);
	x->method = mem_strdup(strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? "GET" : method);
	x->path = mem_strdup(path);
	x->reply = (struct http_reply){ .status = 200,
					.type = "text/plain; charset=utf-8",
					.policy = "default-src 'none'; frame-ancestors 'none'" };
	TAILQ_INSERT_TAIL(&s->exchanges, x, entry);
	return x;
}

static void end_answer(struct exchange *x)
{
	if (x->answer)
		x->server->ops.end(x->server->ctx, x->answer);
	x->answer = NULL;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *con_cls;

	(void)cls;
	(void)connection;
	(void)code;
	if (!x)
		return;
	end_answer(x);
	get_on(x->visitor, false);
	TAILQ_REMOVE(&x->server->exchanges, x, entry);
	if (x->body.data)
		explicit_bzero(x->body.data, x->body.len);
	buf_fini(&x->body);
	buf_fini(&x->out);
	free(x->method);
	free(x->path);
	free(x);
	*con_cls = NULL;
}

/* The library calls it with the headers, with pieces of the body, and without more when that is whole; then once more
 * for whoever was suspended. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *n_data, void **con_cls)
{
	struct http_server *s = cls;
	struct exchange *x = *con_cls;
	const char *length;

	(void)version;
	if (!x) {
		*con_cls = x = exchange_new(s, connection, url, method);
		length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
		if (length && strtoull(length, NULL, 10) > HTTP_MAX_BODY)
			return refuse(x, 413, "more than 1 MiB\n");
		return MHD_YES;
	}
	if (*n_data) {
		x->is_too_large |= x->body.len + *n_data > HTTP_MAX_BODY;
		if (!x->is_too_large)
			buf_append(&x->body, data, *n_data);
		move(x->visitor, *n_data);
		*n_data = 0;
		return MHD_YES;
	}
	if (x->is_answered)
		return MHD_YES;
	if (x->is_too_large)
		return refuse(x, 413, "more than 1 MiB\n");
	if (x->stage == SENDING)
		return begin_answer(x);
	ask_for_more(x);
	return MHD_YES;
}

const char *http_request_query(const struct http_request *r, const char *key)
{
	const char *value = NULL;
	enum MHD_Result is_there = MHD_lookup_connection_value_n(r->inside, MHD_GET_ARGUMENT_KIND,
								 key, strlen(key), &value, NULL);

	return is_there != MHD_YES ? NULL : value ? value : "";
}

static void ask(struct exchange *x)
{
	struct http_server *s = x->server;
	struct http_request request = { .method = x->method,
					.path = x->path,
					.body = x->body.data,
					.body_len = x->body.len,
					.inside = x->connection };
	const struct {
		const char *name, **to;
	} headers[] = { { "Host", &request.host },
			{ "Origin", &request.origin },
			{ "Authorization", &request.authorization },
			{ "Content-Type", &request.content_type } };

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		*headers[i].to = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND,
							     headers[i].name);
	x->answer = s->ops.ask(s->ctx, &request, &x->reply);
	x->is_asked = true;
}

/* --- the turn of the loop ------------------------------------------------------------------ */

void http_server_step(struct http_server *s)
{
	struct exchange *x;

	if (s->is_due)
		run(s);
	TAILQ_FOREACH (x, &s->exchanges, entry) {
		if (x->stage != ASKED)
			continue;
		if (!x->is_asked)
			ask(x);
		if (x->answer && !s->ops.more(s->ctx, x->answer, &x->out))
			end_answer(x);
		x->waits = x->answer && !x->out.len;
		if (!x->waits) {
			x->stage = MADE;
			x->commit = UINT64_MAX; /* until it is held */
		}
	}
}

void http_server_hold(struct http_server *s, uint64_t commit)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &s->exchanges, entry)
		if (x->stage == MADE && x->commit == UINT64_MAX)
			x->commit = commit;
}

void http_server_revoke(struct http_server *s, uint64_t durable, const char *text, size_t n)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &s->exchanges, entry)
		if (x->stage == MADE && x->commit != UINT64_MAX && x->commit > durable) {
			x->commit = 0;
			end_answer(x);
			x->reply.status = 503;
			buf_reset(&x->out);
			buf_append(&x->out, text, n);
		}
}

void http_server_break_off(struct http_server *s, const char *text, size_t n)
{
	struct exchange *x;

	TAILQ_FOREACH (x, &s->exchanges, entry)
		if (x->answer) {
			end_answer(x);
			if (!x->is_answered) {
				x->reply.status = 503;
				buf_reset(&x->out);
			}
			buf_append(&x->out, text, n);
		}
}

void http_server_flush(struct http_server *s, uint64_t durable)
{
	bool has_any = false, waits = false;
	struct exchange *x;

	TAILQ_FOREACH (x, &s->exchanges, entry) {
		if (x->stage == MADE && x->commit <= durable) {
			x->stage = SENDING;
			get_on(x->visitor, false);
			MHD_resume_connection(x->connection);
			has_any = true;
		}
		waits |= x->stage == ASKED && !x->waits;
	}
	if (has_any)
		run(s);
	else if (waits)
		loop_again(s->loop);
}

/* --- listening ----------------------------------------------------------------------------- */

static int bind_to(const struct addrinfo *a, struct err *e)
{
	int fd =
		socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	static const int on = 1;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, HTTP_CLIENTS) == 0)
		return fd;
	err_errno(e, "listen");
	if (fd >= 0)
		close(fd);
	return -1;
}

static int listen_on(const char *host, int port, int *got, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	struct sockaddr_storage at;
	socklen_t n = sizeof at;
	char text[16], number[16];
	int fd, rc;

	snprintf(text, sizeof text, "%d", port);
	rc = getaddrinfo(host, text, &hints, &found);
	if (rc != 0) {
		err_set(e, ERR_IO, "%s", gai_strerror(rc));
		return -1;
	}
	fd = bind_to(found, e);
	freeaddrinfo(found);
	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&at, &n) == 0 &&
	    getnameinfo((struct sockaddr *)&at, n, NULL, 0, number, sizeof number,
			NI_NUMERICSERV) == 0)
		*got = atoi(number);
	return fd;
}

/* What it says of clients that make mistakes helps nobody. */
static void be_quiet(void *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	(void)fmt;
	(void)ap;
}

static bool start(struct http_server *s, int fd, struct err *e)
{
	const union MHD_DaemonInfo *info;

	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_request, s, MHD_OPTION_EXTERNAL_LOGGER, be_quiet, NULL, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CLIENTS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_PATIENCE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, s, MHD_OPTION_END);
	info = s->daemon ? MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		err_set(e, ERR_IO, "libmicrohttpd does not start");
		if (!s->daemon)
			close(fd);
		return false;
	}
	s->watch = (struct loop_watch){ .on_ready = on_ready, .ctx = s };
	loop_watch(s->loop, &s->watch, info->epoll_fd, true, false);
	return true;
}

struct http_server *http_server_new(struct loop *l, const char *host, int port,
				    const struct http_server_ops *ops, void *ctx, struct err *e)
{
	struct http_server *s = mem_zalloc(sizeof *s);
	int fd;

	s->loop = l;
	s->ops = *ops;
	s->ctx = ctx;
	TAILQ_INIT(&s->exchanges);
	TAILQ_INIT(&s->visitors);
	fd = listen_on(host, port, &s->port, e);
	if (fd >= 0 && start(s, fd, e))
		return s;
	http_server_free(s);
	return NULL;
}

int http_server_port(const struct http_server *s)
{
	return s->port;
}

static void free_memory(void *ctx)
{
	free(ctx);
}

void http_server_free(struct http_server *s)
{
	struct exchange *x;

	if (!s)
		return;
	if (s->watch.is_active)
		loop_watch(s->loop, &s->watch, s->watch.fd, false, false);
	TAILQ_FOREACH (x, &s->exchanges, entry) {
		end_answer(x);
		if (x->stage == ASKED || x->stage == MADE)
			MHD_resume_connection(x->connection);
		x->stage = SENDING;
	}
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	s->timer.ctx = s;
	loop_timer_close(&s->timer, free_memory);
}
