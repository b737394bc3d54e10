/* blob.h -- a message as bytes, to be kept.  The first byte is the version of the form. */
#ifndef BRIDGE_BLOB_H
#define BRIDGE_BLOB_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct message;

void blob_put(const struct message *m, struct buf *out);
/* False: not such bytes; *m is empty then.  Else the caller ends it with message_fini(). */
bool blob_get(const void *p, size_t n, struct message *m);

#endif
