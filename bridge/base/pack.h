/* pack.h -- numbers and texts as bytes, and back: for what goes to the store or to another process.
 *
 * Numbers have a fixed size, the lowest byte first; texts are a length of four bytes and the bytes.
 * Reading never goes beyond the end: what is not there makes the unpack bad, and gives zeros and
 * empty texts from then on. */
#ifndef BRIDGE_PACK_H
#define BRIDGE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

void pack_u8(struct buf *out, unsigned n);
void pack_u32(struct buf *out, uint32_t n);
void pack_u32_at(struct buf *out, size_t at, uint32_t n); /* over what was put there */
void pack_u64(struct buf *out, uint64_t n);
void pack_bytes(struct buf *out, const void *p, size_t n);
void pack_text(struct buf *out, const char *s); /* NULL is another thing than "" */

struct unpack {
	const char *p;
	size_t left;
	bool is_bad;
};

unsigned unpack_u8(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
/* Borrowed from what is unpacked; NULL if there are none. */
const char *unpack_bytes(struct unpack *u, size_t *n);
/* A copy; NULL if pack_text() got that, or it is bad.  One with a NUL in it is bad.  Caller frees. */
char *unpack_text(struct unpack *u);

/* Frames: a length of four bytes, and that many bytes.  Append one: what is packed between begin and
 * end is in it. */
size_t pack_frame_begin(struct buf *out); /* for pack_frame_end() */
void pack_frame_end(struct buf *out, size_t begin);
/* Is the next frame, of which the rest may still be to come, of more than `most` bytes? */
bool unpack_frame_is_over(const struct unpack *u, size_t most);
/* The next frame, and step over it.  False: it is not there as a whole; *u is as before. */
bool unpack_frame(struct unpack *u, struct unpack *frame);

#endif
