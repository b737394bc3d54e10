/* message_codec.h -- a message as bytes, as the store keeps it.  The first byte is the version of the form. */
#ifndef BRIDGE_MESSAGE_CODEC_H
#define BRIDGE_MESSAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct message;

void message_codec_put(const struct message *m, struct buf *out);
/* False: not such bytes; *m is empty then.  Else the caller ends it with message_fini(). */
bool message_codec_get(const void *p, size_t n, struct message *m);

#endif
