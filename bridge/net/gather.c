/* gather.c -- the two buffers of a session, and the functions in the place of libc's.
 *
 * `current` is the session that this thread works on, NULL outside of gather_begin() and gather_end(); for
 * every other descriptor, and every other thread, the functions below are libc's.  Of the buffers the first
 * *_done bytes are used up.  A reader is told EAGAIN only if there is nothing for him and the socket was empty (or
 * may_fill or skip_room forbid to ask it), so nobody sleeps on bytes that are here already if he asks
 * gather_has_input(); and bytes leave in the order in which they were put, whoever flushes. */
#include "net/gather.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "net/sieve.h"

#define CHUNK ((size_t)64 * 1024 - 1) /* read at once (with its NUL a power of two) */
#define OUT_BYTES                                                                                  \
	((size_t)256 * 1024 - 1)       /* of which more is not taken: as if the socket were full */
#define KEEP_BYTES ((size_t)64 * 1024) /* of an empty buffer */

static _Thread_local struct gather *current;

void gather_init(struct gather *g)
{
	*g = (struct gather){
		.socket = -1, .pair = { -1, -1 }, .may_fill = true, .skip_room = SIZE_MAX
	};
}

void gather_fini(struct gather *g)
{
	buf_fini(&g->in);
	buf_fini(&g->made);
	buf_fini(&g->out);
	free(g->marks);
	gather_init(g);
}

struct gather *gather_begin(struct gather *g)
{
	struct gather *outer = current;

	current = g;
	return outer;
}

/* Empty what is used up, and keep no more than `most` bytes of it. */
static void empty(struct gather *g, size_t most)
{
	if (g->in_done == g->in.len && g->made_done == g->made.len) {
		buf_reset_above(&g->in, most);
		buf_reset_above(&g->made, most);
		g->in_done = g->in_ready = g->in_drop = g->made_done = 0;
	}
	if (!gather_has_output(g)) {
		buf_reset_above(&g->out, most);
		g->out_done = g->out_free = 0;
	}
}

void gather_end(struct gather *g, struct gather *outer)
{
	current = outer;
	if (outer != g)
		empty(g, KEEP_BYTES);
}

void gather_trim(struct gather *g)
{
	if (!g->was_used) {
		empty(g, 0);
		if (g->n_marks == 0) {
			free(g->marks);
			g->marks = NULL;
		}
	}
	g->was_used = false;
}

/* Is there something for the library, as far as was looked? */
static bool has_ready(const struct gather *g)
{
	return g->in_done < g->in_ready || g->made_done < g->made.len;
}

bool gather_has_input(const struct gather *g)
{
	return has_ready(g) || (!g->is_short && g->in_drop < g->in.len);
}

bool gather_has_output(const struct gather *g)
{
	return g->out_done < g->out.len;
}

/* ---- libc's own ---- */

typedef ssize_t (*send_fn)(int fd, const void *p, size_t n, int flags);

/* Looked up once; two threads at a time find the same. */
static void *real(_Atomic(void *) *known, const char *name)
{
	void *f = atomic_load_explicit(known, memory_order_relaxed);

	if (!f) {
		f = dlsym(RTLD_NEXT, name);
		atomic_store_explicit(known, f, memory_order_relaxed);
	}
	return f;
}

static ssize_t real_send(int fd, const void *p, size_t n, int flags)
{
	static _Atomic(void *) f;

	return ((send_fn)real(&f, "send"))(fd, p, n, flags);
}

/* --- what was collected -------------------------------------------------------------------- */

bool gather_mark(struct gather *g, uint64_t commit, size_t weight)
{
	struct gather_mark *last = g->n_marks ? &g->marks[g->n_marks - 1] : NULL;

	if (g->out.len == (last ? last->end : g->out_free))
		return false; /* nothing is new */
	assert(!last || commit >= last->commit);
	if (!last || commit > last->commit) {
		g->marks = mem_grow(g->marks, g->n_marks, sizeof *g->marks);
		last = &g->marks[g->n_marks++];
		*last = (struct gather_mark){ .commit = commit };
	}
	last->end = g->out.len;
	last->weight += weight;
	g->weight += weight;
	return true;
}

size_t gather_waiting(const struct gather *g)
{
	return g->out.len - g->out_free + g->weight;
}

bool gather_is_stuck(const struct gather *g)
{
	return g->out_free == g->out_done && g->out.len - g->out_done >= OUT_BYTES;
}

bool gather_has_sendable(const struct gather *g)
{
	return g->out_done < g->out_free;
}

/* A peer that reads slowly but always may never let it become empty. */
static void forget_done(struct gather *g)
{
	if (g->out_done == 0)
		return;
	buf_drop(&g->out, g->out_done);
	g->out_free -= g->out_done;
	for (size_t i = 0; i < g->n_marks; i++)
		g->marks[i].end -= g->out_done;
	g->out_done = 0;
}

/* Take away the marks whose commit is durable. */
static void set_free(struct gather *g, uint64_t durable)
{
	size_t n = 0;

	while (n < g->n_marks && g->marks[n].commit <= durable) {
		g->out_free = g->marks[n].end;
		g->weight -= g->marks[n++].weight;
	}
	if (n == 0)
		return;
	g->n_marks -= n;
	memmove(g->marks, g->marks + n, g->n_marks * sizeof *g->marks);
}

bool gather_send(struct gather *g, uint64_t durable)
{
	bool ok = true;

	set_free(g, durable);
	while (ok && gather_has_sendable(g)) {
		ssize_t n = real_send(g->socket, g->out.data + g->out_done,
				      g->out_free - g->out_done, MSG_NOSIGNAL);

		if (n >= 0) {
			g->out_done += (size_t)n;
			g->n_sent += (uint64_t)n;
		} else if (errno != EINTR)
			ok = false;
	}
	forget_done(g);
	return ok;
}

void gather_cut(struct gather *g)
{
	g->out.len = g->out_free;
	if (g->out.data)
		g->out.data[g->out.len] = '\0';
	g->n_marks = 0;
	g->weight = 0;
}

#ifndef CALQUE_GATHER

bool gather_collects(void)
{
	return false;
}

#else

bool gather_collects(void)
{
	return true;
}

/* ---- in place of libc's ---- */

typedef ssize_t (*recv_fn)(int fd, void *p, size_t n, int flags);
typedef ssize_t (*read_fn)(int fd, void *p, size_t n);
typedef ssize_t (*write_fn)(int fd, const void *p, size_t n);
typedef int (*close_fn)(int fd);
typedef int (*ssl_read_fn)(void *ssl, void *p, int n);
typedef int (*ssl_get_error_fn)(const SSL *ssl, int rc);
typedef int (*socketpair_fn)(int domain, int type, int protocol, int fds[2]);

static ssize_t real_recv(int fd, void *p, size_t n, int flags)
{
	static _Atomic(void *) f;

	return ((recv_fn)real(&f, "recv"))(fd, p, n, flags);
}

static bool is_socket(int fd)
{
	return current && fd >= 0 && fd == current->socket;
}

/* With TLS, what is read from the socket is OpenSSL's. */
static bool is_plain(int fd)
{
	return is_socket(fd) && !current->is_tls;
}

static bool is_pair(int fd)
{
	return current && fd >= 0 && (fd == current->pair[0] || fd == current->pair[1]);
}

static int real_ssl_read(void *ssl, void *p, int n)
{
	static _Atomic(void *) f;

	return ((ssl_read_fn)real(&f, "SSL_read"))(ssl, p, n);
}

/* Have the sieve look on, past what the library has had.  False: there is nothing more for the library. */
static bool look(struct gather *g)
{
	enum sieve_step step = SIEVE_PASS;
	size_t used;

	buf_reset_above(&g->made, KEEP_BYTES);
	g->made_done = 0;
	g->in_done = g->in_ready = g->in_drop;
	if (!g->sieve)
		g->in_ready = g->in.len;
	while (step == SIEVE_PASS && g->in_ready < g->in.len) {
		step = sieve_look(g->sieve, g->in.data + g->in_ready, g->in.len - g->in_ready,
				  &used, &g->made);
		if (step == SIEVE_PASS)
			g->in_ready += used;
	}
	g->in_drop = g->in_ready + (step == SIEVE_DROP ? used : 0);
	g->is_short = step == SIEVE_SHORT;
	return has_ready(g) || step == SIEVE_DROP;
}

/* Nothing comes now: as read() says it, and SSL_read(). */
static ssize_t refuse(struct gather *g, int error)
{
	g->ssl_error = error == EAGAIN ? SSL_ERROR_WANT_READ : SSL_ERROR_SSL;
	errno = error;
	return -1;
}

static ssize_t read_some(struct gather *g, void *p, size_t n)
{
	return g->ssl ? real_ssl_read(g->ssl, p, n < INT_MAX ? (int)n : INT_MAX)
		      : real_recv(g->socket, p, n, 0);
}

/* May the socket be asked?  What OpenSSL holds already, no poll would tell. */
static bool may_fill(const struct gather *g)
{
	bool may = g->may_fill && (!g->sieve || g->sieve->skip_left == 0 || g->skip_room > 0);

	return may || (g->ssl && SSL_pending(g->ssl) > 0);
}

/* All that is in the buffer was looked at.  Read on: into it, or the body of a message to where it belongs, which
 * is what is returned then; 0 of *is_direct: it is in the buffer. */
static ssize_t fill(struct gather *g, void *p, size_t n, bool *is_direct)
{
	bool is_dropping = g->sieve && g->sieve->skip_left > 0;
	size_t room;
	ssize_t got;

	*is_direct =
		n >= CHUNK && g->in_done == g->in.len && (!g->sieve || g->sieve->pass_left >= n);
	if (*is_direct) {
		got = read_some(g, p, n);
		if (got > 0 && g->sieve)
			g->sieve->pass_left -= (size_t)got;
		return got;
	}
	buf_drop(&g->in, g->in_done);
	g->in_done = g->in_ready = g->in_drop = 0;
	room = g->in.len < CHUNK / 2 ? CHUNK - g->in.len : CHUNK; /* a record of TLS fits */
	buf_reserve(&g->in, room);
	got = read_some(g, g->in.data + g->in.len, room);
	if (got <= 0)
		return got;
	g->in.len += (size_t)got;
	g->is_short = false;
	if (is_dropping)
		g->skip_room -= (size_t)got < g->skip_room ? (size_t)got : g->skip_room;
	return got;
}

/* What is there of buffer `b`, which is ready up to `end`. */
static ssize_t take_from(const struct buf *b, size_t *done, size_t end, void *p, size_t n)
{
	n = n < end - *done ? n : end - *done;
	memcpy(p, b->data + *done, n);
	*done += n;
	return (ssize_t)n;
}

/* What recv() or SSL_read() would return, from the buffer, which is filled when it is empty. */
static ssize_t take(struct gather *g, void *p, size_t n)
{
	bool is_direct = false;

	g->was_used = true;
	g->ssl_error = 0;
	while (!has_ready(g)) {
		ssize_t got;

		if (look(g))
			continue;
		if (g->sieve && g->sieve->fault[0])
			return refuse(g, EPROTO);
		if (!may_fill(g))
			return refuse(g, EAGAIN);
		got = fill(g, p, n, &is_direct);
		if (got <= 0 || is_direct)
			return got;
	}
	if (g->in_done < g->in_ready)
		return take_from(&g->in, &g->in_done, g->in_ready, p, n);
	return take_from(&g->made, &g->made_done, g->made.len, p, n);
}

/* What send() would return, of a socket that has room for OUT_BYTES. */
static ssize_t put(struct gather *g, const void *p, size_t n)
{
	size_t room = OUT_BYTES - (g->out.len - g->out_done);

	if (n > 0 && room == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (n > room)
		n = room;
	g->was_used = true;
	buf_append(&g->out, p, n);
	g->n_put += n;
	return (ssize_t)n;
}

ssize_t read(int fd, void *p, size_t n)
{
	static _Atomic(void *) f;

	return is_plain(fd) ? take(current, p, n) : ((read_fn)real(&f, "read"))(fd, p, n);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	return is_plain(fd) && flags == 0 ? take(current, p, n) : real_recv(fd, p, n, flags);
}

ssize_t write(int fd, const void *p, size_t n)
{
	static _Atomic(void *) f;

	if (is_pair(fd))
		return (ssize_t)n;
	return is_socket(fd) ? put(current, p, n) : ((write_fn)real(&f, "write"))(fd, p, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	if (is_pair(fd))
		return (ssize_t)n;
	return is_socket(fd) && (flags & ~MSG_NOSIGNAL) == 0 ? put(current, p, n)
							     : real_send(fd, p, n, flags);
}

int close(int fd)
{
	static _Atomic(void *) f;

	if (is_socket(fd))
		current->socket = -1;
	if (is_pair(fd))
		current->pair[0] = current->pair[1] = -1;
	return ((close_fn)real(&f, "close"))(fd);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	static _Atomic(void *) f;
	int rc = ((socketpair_fn)real(&f, "socketpair"))(domain, type, protocol, fds);

	if (rc == 0 && current) {
		current->pair[0] = fds[0];
		current->pair[1] = fds[1];
	}
	return rc;
}

int SSL_read(SSL *ssl, void *p, int n)
{
	if (!current || !current->is_tls || n <= 0)
		return real_ssl_read(ssl, p, n);
	current->ssl = ssl;
	return (int)take(current, p, (size_t)n);
}

int SSL_get_error(const SSL *ssl, int rc)
{
	static _Atomic(void *) f;

	if (current && current->ssl == ssl && current->ssl_error && rc <= 0) {
		int error = current->ssl_error;

		current->ssl_error = 0; /* the next one may be of SSL_write() */
		return error;
	}
	return ((ssl_get_error_fn)real(&f, "SSL_get_error"))(ssl, rc);
}

#endif
