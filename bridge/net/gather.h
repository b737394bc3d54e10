/* gather.h -- many packets of libmosquitto in one system call.  THIS IS A TRICK.
 *
 * The library reads a packet in three read()s, one of them for a single byte, writes each with a write()
 * of its own, and wakes a thread that we do not have with one more per queued packet: eleven system
 * calls per message, half of the CPU time of a bridge.  No option of it changes that (2.0.11 to 2.0.22;
 * 2.1.2 reads 4 KiB at a time, and still writes packet by packet).  So the
 * executable has functions called read, write, send, recv, close and socketpair; the dynamic linker gives
 * them to the library in place of libc's.  They do what libc's do, except for the descriptors of the
 * session that a thread is working on, from gather_begin() to gather_end():
 *
 *   its socket       reads come out of a read-ahead buffer; writes are collected until gather_flush()
 *   its wake-up pair what is written to it is dropped.  (Nobody reads it; full, it made the library
 *                    stop reading: EAGAIN of this write looked like one of the socket.)
 *
 * Sessions with TLS have their pair looked after, and their socket left alone: OpenSSL has its own
 * buffers.  Built with -DCALQUE_GATHER=OFF, nothing of libc's is replaced, and all else works the same:
 * on the day when `calque bench` is no slower so, this can go. */
#ifndef BRIDGE_GATHER_H
#define BRIDGE_GATHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct gather {
	int socket;    /* -1: none, or left alone */
	int pair[2];   /* of the library's handle; -1: none */
	bool may_fill; /* false: an empty read-ahead buffer answers EAGAIN, so that reading ends */
	struct buf in, out;
	size_t in_done, out_done; /* bytes of them that are used up */
};

void gather_init(struct gather *g);
/* Drops what is in the buffers.  Not between begin and end. */
void gather_fini(struct gather *g);

/* From here to gather_end() this thread works on `g`.  A socketpair made in between is its pair; a
 * descriptor closed in between is its no longer.  May be nested; keep what it returns for the end. */
struct gather *gather_begin(struct gather *g);
/* Memory of empty buffers is given back, so that an idle session has none. */
void gather_end(struct gather *g, struct gather *outer);

/* Is there read-ahead?  The socket does not become readable for it. */
bool gather_has_input(const struct gather *g);
bool gather_has_output(const struct gather *g);
/* Write what was collected.  False: errno says why; EAGAIN when the socket is full, and the rest is kept. */
bool gather_flush(struct gather *g);

#endif
