#include "net/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/control_server.h"

#define PATIENCE_S 30
#define LAST_US	   300000 /* for what was on its way when the signal came, ... */
#define STOP_MS	   1000	  /* ... and in all, if that does not end */

struct control_client {
	int fd;
	struct buf in;
	size_t at;			   /* what of `in` was given out */
	const volatile sig_atomic_t *stop; /* NULL: never */
	int64_t stops_ms;		   /* clock_mono_ms(); 0: not yet */
};

static int connect_to(const char *dir, struct err *e)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un address;
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = false;

	control_server_address(dir, dir_fd, &address);
	if (dir_fd >= 0 && fd >= 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0)
		ok = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	if (!ok && (errno == ENOENT || errno == ECONNREFUSED))
		err_set(e, ERR_NOT_FOUND, "no bridge runs in %s", dir);
	else if (!ok)
		err_errno(e, "ask the bridge that runs in %s", dir);
	if (dir_fd >= 0)
		close(dir_fd);
	if (ok)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

struct control_client *control_client_open(const char *dir, struct err *e)
{
	int fd = connect_to(dir, e);
	struct control_client *d;

	if (fd < 0)
		return NULL;
	d = mem_zalloc(sizeof *d);
	d->fd = fd;
	return d;
}

void control_client_close(struct control_client *d)
{
	if (!d)
		return;
	close(d->fd);
	buf_fini(&d->in);
	free(d);
}

bool control_client_send(struct control_client *d, const char *line, size_t n, struct err *e)
{
	struct buf out = { 0 };
	size_t sent = 0;

	if (n > CONTROL_SERVER_MAX_REQUEST) {
		err_set(e, ERR_LIMIT,
			"%zu bytes at once are more than a running bridge takes (%zu): divide "
			"them, or ask while it is stopped",
			n, CONTROL_SERVER_MAX_REQUEST);
		return false;
	}
	buf_append(&out, line, n);
	buf_putc(&out, '\n');
	while (sent < out.len) {
		ssize_t k = send(d->fd, out.data + sent, out.len - sent, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			err_errno(e, "ask the bridge");
			break;
		}
		sent += (size_t)k;
	}
	buf_fini(&out);
	return sent == n + 1;
}

void control_client_stop_on(struct control_client *d, const volatile sig_atomic_t *stop)
{
	d->stop = stop;
}

/* Is it over, by a signal? */
static bool is_stopped(struct control_client *d)
{
	struct timeval last = { .tv_usec = LAST_US };

	if (!d->stop || !*d->stop)
		return false;
	if (!d->stops_ms) {
		setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &last, sizeof last);
		d->stops_ms = clock_mono_ms() + STOP_MS;
	}
	return clock_mono_ms() >= d->stops_ms;
}

static bool fill(struct control_client *d, struct err *e)
{
	char piece[1 << 16];
	bool is_over;
	ssize_t n;

	do {
		is_over = is_stopped(d);
		n = is_over ? 0 : recv(d->fd, piece, sizeof piece, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		buf_append(&d->in, piece, (size_t)n);
	else if (is_over || (d->stops_ms && n < 0 && errno == EAGAIN))
		err_set(e, ERR_BUSY, "interrupted");
	else if (n < 0 && errno == EAGAIN)
		err_set(e, ERR_IO, "the bridge has not answered for %d s", PATIENCE_S);
	else if (n < 0)
		err_errno(e, "the bridge's answer");
	else
		err_set(e, ERR_IO, "the bridge ended before it had answered");
	return n > 0;
}

bool control_client_receive(struct control_client *d, struct buf *line, struct err *e)
{
	size_t looked = d->at;
	const char *end;

	while (!(end = memchr(buf_str(&d->in) + looked, '\n', d->in.len - looked))) {
		struct buf rest = { 0 };

		if (d->at) { /* begin anew with what is left */
			buf_append(&rest, d->in.data + d->at, d->in.len - d->at);
			buf_fini(&d->in);
			d->in = rest;
			d->at = 0;
		}
		looked = d->in.len;
		if (!fill(d, e))
			return false;
	}
	buf_reset(line);
	buf_append(line, d->in.data + d->at, (size_t)(end - d->in.data) - d->at);
	d->at = (size_t)(end - d->in.data) + 1;
	return true;
}
