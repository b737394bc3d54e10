/* http_server.h -- HTTP/1.1 on a socket of its own: libmicrohttpd in our loop, by its epoll descriptor, without a
 * thread.
 *
 * What requests mean is the business of the callbacks.  As on the control socket (net/control_server.h) an answer
 * is made piece by piece, the next one when the client has taken the last, and leaves only with
 * http_server_flush(), when the commit is durable that it waits for.  At most HTTP_CLIENTS connections; one that
 * is silent for HTTP_PATIENCE_S ends, or takes longer than that for a request (for 16 KiB of a longer one, or of an
 * answer); after a second already where others wait for its place.  A request with more than HTTP_MAX_BODY bytes ends,
 * too. */
#ifndef BRIDGE_HTTP_SERVER_H
#define BRIDGE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct http_server;
struct loop;

#define HTTP_CLIENTS	32
#define HTTP_PATIENCE_S 10
#define HTTP_MAX_BODY	((size_t)1 << 20)

/* Borrowed, while ask() runs.  Headers are NULL where there is none. */
struct http_request {
	const char *method; /* "GET", also of a HEAD; "POST" ... */
	const char *path;   /* without the query */
	const char *host, *origin, *authorization, *content_type;
	const char *body;
	size_t body_len;
	void *inside;
};
/* What the query has for a key: "" where it stands alone, NULL: it does not stand there. */
const char *http_request_query(const struct http_request *r, const char *key);

/* What ask() says of the answer; texts are static. */
struct http_reply {
	int status;	    /* 200 at first */
	const char *type;   /* its Content-Type; text/plain at first */
	const char *policy; /* its Content-Security-Policy; nothing is allowed at first */
	const char *allow;  /* of a 405 */
};

struct http_server_ops {
	/* Whatever stands for the answer, never NULL. */
	void *(*ask)(void *ctx, const struct http_request *request, struct http_reply *reply);
	/* Append the next piece.  False: it was the last.  Nothing and true: there is none yet, and whoever makes it
	 * wakes the loop when there is, and now and then, so that a client that has gone is noticed. */
	bool (*more)(void *ctx, void *answer, struct buf *out);
	/* The answer is over, or nobody wants it any more. */
	void (*end)(void *ctx, void *answer);
};

/* Listen on this address or name and port (0: any).  NULL sets *e: ERR_IO. */
struct http_server *http_server_new(struct loop *l, const char *host, int port,
				    const struct http_server_ops *ops, void *ctx, struct err *e);
int http_server_port(const struct http_server *s);
/* Drops the clients.  Memory goes with loop_free().  NULL is allowed. */
void http_server_free(struct http_server *s);

/* Before the commit of a turn: take requests, go on with answers. */
void http_server_step(struct http_server *s);
/* What was answered since the last time waits for this commit (they grow); 0: for none. */
void http_server_hold(struct http_server *s, uint64_t commit);
/* What waits for a commit after `durable` is not so: it ends with this instead, as a 503. */
void http_server_revoke(struct http_server *s, uint64_t durable, const char *text, size_t n);
/* Answers that are not whole end with this instead, as a 503 if nothing of them has left. */
void http_server_break_off(struct http_server *s, const char *text, size_t n);
/* Let out what waited for `durable` or a commit before it. */
void http_server_flush(struct http_server *s, uint64_t durable);

#endif
