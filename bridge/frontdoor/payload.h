/* payload.h -- is a payload what the platform would take?  No tree is built.  Pure. */
#ifndef BRIDGE_PAYLOAD_H
#define BRIDGE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

#define PAYLOAD_MAX_DEPTH 64

/* One value of JSON, nested no deeper than PAYLOAD_MAX_DEPTH; `lenient` as in jtext_read().  `scratch` is used. */
bool payload_is_json(const void *p, size_t n, bool lenient, struct buf *scratch);

#endif
