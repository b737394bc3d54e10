/* control_server.c -- control.sock and its clients.
 *
 * A client is asked for one thing at a time:
 *	a request in `in` ─▶ `answer` ─▶ a piece of it in `out` ─▶ is_held ─▶ is_writing ─▶ the next piece, or request
 * What always holds:
 *	`out` is not touched while it is held or written, but by revoke, which puts another text in its place
 *	nothing is read while an answer is in hand, so a client can fill no memory
 *	after control_server_hold() each client that has something in `out` is held, or it is being written
 *	a client that `waits` has an answer in hand and nothing in `out`: it is asked again in each turn
 *	whoever dropped a client does not look at it again; libuv still has it until on_client_closed() */
#include "net/control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

#define MAX_CLIENTS 32
#define PATIENCE_MS 10000 /* so long a client may say nothing, or not read what it asked for */
#define SWEEP_MS    2500

struct client {
	TAILQ_ENTRY(client) link;
	struct control_server *control; /* NULL: it is being closed */
	uv_pipe_t pipe;
	uv_write_t write;
	struct buf in, out;
	struct buf last; /* what comes behind `out`: an answer was broken off */
	void *answer;	 /* NULL: none is in hand */
	bool is_writing, is_reading, has_ended;
	bool is_held; /* `out` waits for `commit` */
	bool waits;   /* there was no next piece of its answer yet */
	uint64_t commit;
	int64_t moved_ms; /* clock_mono_ms() when something last went through */
};

struct control_server {
	struct loop *loop;
	struct control_server_ops ops;
	void *ctx;
	int dir_fd;
	uv_pipe_t listener;
	struct loop_timer sweep;
	TAILQ_HEAD(, client) clients;
	size_t n_clients;
	char piece[1 << 16]; /* what is being read */
};

/* --- clients ------------------------------------------------------------------------------- */

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	buf_fini(&client->in);
	buf_fini(&client->out);
	buf_fini(&client->last);
	free(client);
}

static void end_answer(struct client *client)
{
	struct control_server *c = client->control;

	if (client->answer)
		c->ops.end(c->ctx, client->answer);
	client->answer = NULL;
}

static void drop(struct client *client, const char *why)
{
	struct control_server *c = client->control;

	if (why)
		log_limited(LOG_WARNING, clock_now_ms(), why, "control-dropped", "reason=%s",
			    log_value(why));
	end_answer(client);
	client->control = NULL;
	TAILQ_REMOVE(&c->clients, client, link);
	c->n_clients--;
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct client *client = handle->data;

	(void)wanted; /* it is read and handed over at once, so all share one place */
	*buf = uv_buf_init(client->control->piece, sizeof client->control->piece);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *client = stream->data;

	if (n == UV_EOF) {
		uv_read_stop(stream);
		client->is_reading = false;
		client->has_ended = true; /* it still gets its answers */
	} else if (n < 0) {
		drop(client, NULL);
	} else {
		client->moved_ms = clock_mono_ms();
		buf_append(&client->in, buf->base, (size_t)n);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct client *client = write->data;

	client->is_writing = false;
	if (!client->control)
		return;
	buf_reset(&client->out);
	client->moved_ms = clock_mono_ms();
	if (status < 0)
		drop(client, NULL);
}

/* Are we spoken to by ourselves, or by root? */
static bool is_ours(uv_pipe_t *pipe)
{
	struct ucred peer;
	socklen_t n = sizeof peer;
	int fd;

	return uv_fileno((uv_handle_t *)pipe, &fd) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void on_sweep(void *ctx)
{
	struct control_server *c = ctx;
	int64_t now_ms = clock_mono_ms();

	for (struct client *client = TAILQ_FIRST(&c->clients), *next; client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (now_ms - client->moved_ms >= PATIENCE_MS && !client->is_held && !client->waits)
			drop(client, client->is_writing ? "does not read" : "does not ask");
	}
	if (c->n_clients)
		loop_timer_set(c->loop, &c->sweep, SWEEP_MS, on_sweep, c);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct control_server *c = listener->data;
	struct client *client;

	if (status < 0)
		return;
	client = mem_zalloc(sizeof *client);
	uv_pipe_init(listener->loop, &client->pipe, 0);
	client->pipe.data = client->write.data = client;
	client->control = c;
	client->moved_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&c->clients, client, link);
	if (c->n_clients++ == 0)
		loop_timer_set(c->loop, &c->sweep, SWEEP_MS, on_sweep, c);
	if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0)
		drop(client, NULL);
	else if (!is_ours(&client->pipe))
		drop(client, "is another user's");
	else if (c->n_clients > MAX_CLIENTS)
		drop(client, "too many clients");
}

/* --- the turn of the loop ------------------------------------------------------------------ */

/* The next request, if there is a whole one. */
static void take_request(struct client *client)
{
	struct control_server *c = client->control;
	char *end = client->in.len ? memchr(client->in.data, '\n', client->in.len) : NULL;
	struct buf rest = { 0 };
	size_t n;

	n = end ? (size_t)(end - client->in.data) : client->in.len;
	if (!end || n > CONTROL_SERVER_MAX_REQUEST) {
		if (n > CONTROL_SERVER_MAX_REQUEST)
			drop(client, "asks too long a question");
		else if (client->has_ended)
			drop(client, NULL);
		return;
	}
	client->answer = c->ops.ask(c->ctx, client->in.data, n);
	if (n + 1 < client->in.len)
		buf_append(&rest, end + 1, client->in.len - n - 1);
	buf_fini(&client->in);
	client->in = rest;
}

static void step(struct client *client)
{
	struct control_server *c = client->control;
	bool is_over;

	client->waits = false;
	if (client->last.len && client->out.len == 0) {
		buf_append(&client->out, client->last.data, client->last.len);
		buf_reset(&client->last);
		return;
	}
	if (!client->answer)
		take_request(client);
	if (!client->control || !client->answer)
		return;
	is_over = !c->ops.more(c->ctx, client->answer, &client->out);
	client->waits = !is_over && client->out.len == 0;
	if (is_over) /* else what is written wakes the loop again */
		end_answer(client);
}

void control_server_step(struct control_server *c)
{
	for (struct client *client = TAILQ_FIRST(&c->clients), *next; client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (!c->ops.goes_on(c->ctx))
			return;
		if (!client->is_writing && !client->is_held)
			step(client);
	}
}

static bool has_answer(const struct client *client)
{
	return client->out.len && !client->is_writing;
}

void control_server_hold(struct control_server *c, uint64_t commit)
{
	struct client *client;

	TAILQ_FOREACH (client, &c->clients, link)
		if (has_answer(client) && !client->is_held) {
			client->is_held = true;
			client->commit = commit;
		}
}

void control_server_revoke(struct control_server *c, uint64_t durable, const char *line, size_t n)
{
	struct client *client;

	TAILQ_FOREACH (client, &c->clients, link)
		if (client->is_held && client->commit > durable) {
			client->commit = 0;
			end_answer(client);
			buf_reset(&client->out);
			buf_append(&client->out, line, n);
		}
}

void control_server_break_off(struct control_server *c, const char *line, size_t n)
{
	struct client *client;

	TAILQ_FOREACH (client, &c->clients, link)
		if (client->answer) {
			end_answer(client);
			buf_append(&client->last, line, n);
		}
}

/* While an answer is under way, no more questions are read. */
static void read_or_wait(struct client *client)
{
	uv_stream_t *stream = (uv_stream_t *)&client->pipe;
	bool wants =
		!client->answer && !client->is_writing && !client->is_held && !client->has_ended;

	if (wants == client->is_reading)
		return;
	client->is_reading = wants;
	if (!wants)
		uv_read_stop(stream);
	else if (uv_read_start(stream, on_alloc, on_read) != 0)
		drop(client, NULL);
}

void control_server_flush(struct control_server *c, uint64_t durable)
{
	for (struct client *client = TAILQ_FIRST(&c->clients), *next; client; client = next) {
		uv_buf_t buf = uv_buf_init(client->out.data, (unsigned)client->out.len);

		next = TAILQ_NEXT(client, link);
		if (client->is_held && client->commit <= durable) {
			client->is_held = false;
			client->is_writing = true;
			client->moved_ms = clock_mono_ms();
			if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buf, 1,
				     on_written) != 0) {
				client->is_writing = false;
				drop(client, NULL);
				continue;
			}
		}
		read_or_wait(client);
	}
}

/* --- listening ----------------------------------------------------------------------------- */

/* The mode is right from the start.  No other thread of ours makes files. */
static bool bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)address, sizeof *address);
	int error = errno;

	umask(before);
	errno = error;
	return rc == 0;
}

void control_server_address(const char *dir, int dir_fd, struct sockaddr_un *address)
{
	size_t n = sizeof address->sun_path;

	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if ((size_t)snprintf(address->sun_path, n, "%s/" CONTROL_SERVER_SOCKET, dir) >= n)
		snprintf(address->sun_path, n, "/proc/self/fd/%d/" CONTROL_SERVER_SOCKET, dir_fd);
}

/* A bound socket, which the listener owns then. */
static bool bind_listener(struct control_server *c, const char *dir, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	int rc;

	control_server_address(dir, c->dir_fd, &address);
	if (fd < 0 || (unlinkat(c->dir_fd, CONTROL_SERVER_SOCKET, 0) != 0 && errno != ENOENT) ||
	    !bind_private(fd, &address)) {
		err_errno(e, "open the control socket %s/" CONTROL_SERVER_SOCKET, dir);
		if (fd >= 0)
			close(fd);
		return false;
	}
	rc = uv_pipe_open(&c->listener, fd);
	if (rc != 0) {
		close(fd);
		err_set(e, ERR_IO, "control socket: %s", uv_strerror(rc));
	}
	return rc == 0;
}

struct control_server *control_server_new(struct loop *l, const char *dir,
					  const struct control_server_ops *ops, void *ctx,
					  struct err *e)
{
	struct control_server *c = mem_zalloc(sizeof *c);
	int rc;

	c->loop = l;
	c->ops = *ops;
	c->ctx = ctx;
	TAILQ_INIT(&c->clients);
	uv_pipe_init(loop_uv(l), &c->listener, 0);
	c->listener.data = c;
	c->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir_fd < 0) {
		err_errno(e, "open the state directory %s", dir);
	} else if (bind_listener(c, dir, e)) {
		rc = uv_listen((uv_stream_t *)&c->listener, MAX_CLIENTS, on_connection);
		if (rc == 0)
			return c;
		err_set(e, ERR_IO, "control socket: %s", uv_strerror(rc));
	}
	control_server_free(c);
	return NULL;
}

static void on_listener_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void close_listener(void *ctx)
{
	struct control_server *c = ctx;

	uv_close((uv_handle_t *)&c->listener, on_listener_closed);
}

void control_server_free(struct control_server *c)
{
	if (!c)
		return;
	while (!TAILQ_EMPTY(&c->clients))
		drop(TAILQ_FIRST(&c->clients), NULL);
	if (c->dir_fd >= 0) {
		unlinkat(c->dir_fd, CONTROL_SERVER_SOCKET, 0);
		close(c->dir_fd);
	}
	c->sweep.ctx = c;
	loop_timer_close(&c->sweep, close_listener);
}
