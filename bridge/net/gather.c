/* gather.c -- the two buffers of a session, and the functions in the place of libc's.
 *
 * `current` is the session that this thread works on, NULL outside of gather_begin() and gather_end(); for
 * every other descriptor, and every other thread, the functions below are libc's.  Of both buffers the first
 * *_done bytes are used up.  A reader is told EAGAIN only if the buffer is empty and the socket was (or
 * may_fill forbids to ask it), so nobody sleeps on bytes that are here already if he asks
 * gather_has_input(); and bytes leave in the order in which they were put, whoever flushes. */
#include "net/gather.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/mem.h"

#define CHUNK ((size_t)64 * 1024 - 1) /* read at once (with its NUL a power of two) */
#define OUT_BYTES                                                                                  \
	((size_t)256 * 1024 - 1) /* of which more is not taken: as if the socket were full */

static _Thread_local struct gather *current;

void gather_init(struct gather *g)
{
	*g = (struct gather){
		.socket = -1, .pair = { -1, -1 }, .reads_ahead = true, .may_fill = true
	};
}

void gather_fini(struct gather *g)
{
	buf_fini(&g->in);
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

void gather_end(struct gather *g, struct gather *outer)
{
	current = outer;
	if (outer == g)
		return;
	if (!gather_has_input(g)) {
		buf_fini(&g->in);
		g->in_done = 0;
	}
	if (!gather_has_output(g)) {
		buf_fini(&g->out);
		g->out_done = g->out_free = 0;
	}
	if (g->n_marks == 0) {
		free(g->marks);
		g->marks = NULL;
	}
}

bool gather_has_input(const struct gather *g)
{
	return g->in_done < g->in.len;
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

static bool reads_ahead(int fd)
{
	return is_socket(fd) && current->reads_ahead;
}

static bool is_pair(int fd)
{
	return current && fd >= 0 && (fd == current->pair[0] || fd == current->pair[1]);
}

/* What recv() would return, from the buffer, which is filled when it is empty. */
static ssize_t take(struct gather *g, void *p, size_t n)
{
	if (!gather_has_input(g)) {
		ssize_t got;

		if (!g->may_fill) {
			errno = EAGAIN;
			return -1;
		}
		buf_reset(&g->in);
		g->in_done = 0;
		if (n >= CHUNK)
			return real_recv(g->socket, p, n, 0);
		buf_reserve(&g->in, CHUNK);
		got = real_recv(g->socket, g->in.data, CHUNK, 0);
		if (got <= 0)
			return got;
		g->in.len = (size_t)got;
	}
	if (n > g->in.len - g->in_done)
		n = g->in.len - g->in_done;
	memcpy(p, g->in.data + g->in_done, n);
	g->in_done += n;
	return (ssize_t)n;
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
	buf_append(&g->out, p, n);
	g->n_put += n;
	return (ssize_t)n;
}

ssize_t read(int fd, void *p, size_t n)
{
	static _Atomic(void *) f;

	return reads_ahead(fd) ? take(current, p, n) : ((read_fn)real(&f, "read"))(fd, p, n);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	return reads_ahead(fd) && flags == 0 ? take(current, p, n) : real_recv(fd, p, n, flags);
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

#endif
