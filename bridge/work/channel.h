/* channel.h -- frames, and descriptors with them, between the processes of this program that make other ones.
 *
 * Both ends wait until a frame is through; whoever must not wait for ever looks before (poll()).  Not for workers: what
 * they say is not trusted. */
#ifndef BRIDGE_CHANNEL_H
#define BRIDGE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct err;

#define CHANNEL_FDS 2

struct channel_message {
	struct buf bytes;
	int fds[CHANNEL_FDS]; /* its receiver's to close; -1: none */
};

/* Two ends; false sets *e (ERR_IO). */
bool channel_open(int ends[2], struct err *e);
/* At most CHANNEL_FDS descriptors, which stay the sender's.  False: the other end is gone. */
bool channel_send(int fd, const struct buf *bytes, const int *fds, size_t n_fds);
/* The next frame; `m` is overwritten, caller ends it with channel_message_fini().  False: the other end is gone, or
 * says nonsense. */
bool channel_receive(int fd, struct channel_message *m);
void channel_message_fini(struct channel_message *m);

#endif
