/* gather.h -- many packets of libmosquitto in one system call, and none before its time.  THIS IS A TRICK.
 *
 * The library reads a packet in three read()s, one of them for a single byte, writes each with a write()
 * of its own, and wakes a thread that we do not have with one more per queued packet: eleven system
 * calls per message, half of the CPU time of a bridge.  No option of it changes that (2.0.11 to 2.0.22;
 * 2.1.2 reads 4 KiB at a time, and still writes packet by packet).  Nor can the library
 * hold back an acknowledgement: what it has queued, it writes all at once.  So the
 * executable has functions called read, write, send, recv, close, socketpair, SSL_read and SSL_get_error; the
 * dynamic linker gives them to the library in place of libc's and OpenSSL's.  They do what those do, except
 * for the descriptors of the session that a thread is working on, from gather_begin() to gather_end():
 *
 *   its socket       what is written (by OpenSSL, where there is TLS) is collected, and never sent from
 *                    here; what is read (with TLS: by SSL_read) comes out of a read-ahead buffer
 *   its wake-up pair what is written to it is dropped.  (Nobody reads it; full, it made the library
 *                    stop reading: EAGAIN of this write looked like one of the socket.)
 *
 * What was collected is divided by *marks*: each names the commit that must be durable before the bytes
 * up to it may leave.  It leaves in the order in which it was written, so commits grow from mark to mark.
 *
 *    sent │ may leave: up to the last mark whose commit is durable │ waits │ collected since the last mark
 *
 * As bytes pass through here before the library has them, here is the place to look at them: what is read goes
 * through a sieve, if there is one (net/sieve.h).
 *
 *    used │ for the library │ dropped by the sieve │ not looked at yet        and between the second and the third,
 *                                                                             what the sieve made in its stead
 *
 * Built with -DCALQUE_GATHER=OFF, nothing of libc's is replaced, nothing is collected or looked at, and whoever
 * drives the library must not let it write before its time (net/attempt.c). */
#ifndef BRIDGE_GATHER_H
#define BRIDGE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct sieve;

struct gather_mark {
	uint64_t commit;
	size_t end;    /* in `out` */
	size_t weight; /* see gather_mark() */
};

struct gather {
	int socket;  /* -1: none, or left alone */
	int pair[2]; /* of the library's handle; -1: none */
	bool is_tls;
	void *ssl;     /* what the library read from last; NULL: nothing, or there is no TLS */
	int ssl_error; /* what SSL_get_error() says of the last SSL_read(); 0: what OpenSSL does */
	bool may_fill; /* false: an empty read-ahead buffer answers EAGAIN, so that reading ends */
	struct sieve *sieve; /* borrowed; NULL: all is for the library */
	size_t skip_room; /* bytes that may be read, and dropped by the sieve, before EAGAIN; the caller's */
	bool was_used; /* since gather_trim() */
	struct buf in, made, out;
	size_t in_done, in_ready, in_drop; /* where the parts of `in` end; the last is its length */
	bool is_short;			   /* the sieve wants more than there is */
	size_t made_done, out_done;	   /* bytes of them that are used up */
	size_t out_free; /* bytes of `out` that may leave, those that have left included */
	struct gather_mark *marks; /* those that wait */
	size_t n_marks;
	size_t weight;		/* of these */
	uint64_t n_put, n_sent; /* bytes, in all */
};

/* Does this build collect what is written?  (A function, so that a test can say no.) */
bool gather_collects(void);

void gather_init(struct gather *g);
/* Drops what is in the buffers.  Not between begin and end. */
void gather_fini(struct gather *g);

/* From here to gather_end() this thread works on `g`.  A socketpair made in between is its pair; a
 * descriptor closed in between is its no longer.  May be nested; keep what it returns for the end. */
struct gather *gather_begin(struct gather *g);
/* Of empty buffers 64 KB are kept, to be used again. */
void gather_end(struct gather *g, struct gather *outer);
/* To be called now and then: empty buffers are given back if nothing happened since, so that an idle session has
 * none. */
void gather_trim(struct gather *g);

/* Is there read-ahead that the library could use, or is it to be told that this is the end?  The socket does not
 * become readable for it. */
bool gather_has_input(const struct gather *g);

/* What was collected since the last mark leaves when `commit` is durable, which is not less than that of the
 * last mark.  `weight`: bytes of what it acknowledges, if that is known.  False: there is nothing. */
bool gather_mark(struct gather *g, uint64_t commit, size_t weight);
/* Bytes that wait for a commit, and the weight of what they acknowledge.  It is for the caller to stop
 * reading and writing when that is too much: nothing here makes it less but gather_send(). */
size_t gather_waiting(const struct gather *g);
/* Does all that is collected wait for a commit, and nothing more is taken before that? */
bool gather_is_stuck(const struct gather *g);
/* Send what may leave, given that all commits up to `durable` are.  False: errno says why; EAGAIN when the
 * socket is full, and the rest is kept. */
bool gather_send(struct gather *g, uint64_t durable);
/* Is there something that may leave (as far as the last gather_send() knew)? */
bool gather_has_sendable(const struct gather *g);
/* Is there anything that has not left? */
bool gather_has_output(const struct gather *g);
/* Drop what waits.  The stream may be cut in the middle of a packet: write nothing more to it. */
void gather_cut(struct gather *g);

#endif
