/* control_server.h -- control.sock: a local socket in the state directory, through which verbs speak to the
 * running bridge.
 *
 * A client sends requests, one line each, and gets to each an answer of as many lines as it takes.
 * What they mean is the business of the callbacks.  Only our own user and root are heard.  An answer
 * is made piece by piece, the next one when the client has taken the last, so that neither a long
 * answer nor a slow client holds up the loop; a client that neither asks nor reads is dropped, but not one whose
 * answer is still to come.
 *
 * An answer leaves only with control_server_flush(), when the commit is durable that it waits for: what it
 * tells has happened.  The owner
 * of `dir` must hold the lock of db.h: what is left there by a run that was killed is replaced. */
#ifndef BRIDGE_CONTROL_SERVER_H
#define BRIDGE_CONTROL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/un.h>

struct buf;
struct control_server;
struct err;
struct loop;

#define CONTROL_SERVER_SOCKET "control.sock"
/* The longest request: a list of some 20,000 devices.  Who asks for more is dropped. */
#define CONTROL_SERVER_MAX_REQUEST ((size_t)4 << 20)

/* The address of DIR/control.sock.  A path that is too long for one (107 bytes) is spelled through
 * /proc/self/fd/N, which is good while `dir_fd`, the open directory, is. */
void control_server_address(const char *dir, int dir_fd, struct sockaddr_un *address);

struct control_server_ops {
	/* A request came in (a line without its end, borrowed): whatever stands for its answer, never
	 * NULL. */
	void *(*ask)(void *ctx, const char *line, size_t n);
	/* Append the next piece of the answer, some lines.  False: it was the last.  Nothing and true: there is none
	 * yet, and whoever makes it wakes the loop when there is, and now and then, so that a client that has gone is
	 * noticed. */
	bool (*more)(void *ctx, void *answer, struct buf *out);
	/* The answer is over, or nobody wants it any more. */
	void (*end)(void *ctx, void *answer);
	/* False: the others wait for a later turn, to which the loop wakes by itself. */
	bool (*goes_on)(void *ctx);
};

/* Listen on DIR/control.sock (0600).  NULL sets *e: ERR_IO. */
struct control_server *control_server_new(struct loop *l, const char *dir,
					  const struct control_server_ops *ops, void *ctx,
					  struct err *e);
/* Drops the clients and removes the socket.  Memory goes with loop_free().  NULL is allowed. */
void control_server_free(struct control_server *c);

/* Before the commit of a turn: take requests, go on with answers. */
void control_server_step(struct control_server *c);
/* What has been answered since the last time waits for this commit (they grow); 0: for none. */
void control_server_hold(struct control_server *c, uint64_t commit);
/* What waits for a commit after `durable` is not so: all of it ends with this line instead, which does not
 * wait. */
void control_server_revoke(struct control_server *c, uint64_t durable, const char *line, size_t n);
/* No answer goes on: what it is made of will not be there any more.  Those that are not over end with this line. */
void control_server_break_off(struct control_server *c, const char *line, size_t n);
/* Let out what waited for `durable` or a commit before it. */
void control_server_flush(struct control_server *c, uint64_t durable);

#endif
