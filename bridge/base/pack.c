#include "base/pack.h"

#include <endian.h>
#include <string.h>

#include "base/mem.h"

#define NO_TEXT UINT32_MAX /* in the place of a length */

void pack_u8(struct buf *out, unsigned n)
{
	buf_putc(out, (char)n);
}

void pack_u32(struct buf *out, uint32_t n)
{
	n = htole32(n);
	buf_append(out, &n, sizeof n);
}

void pack_u32_at(struct buf *out, size_t at, uint32_t n)
{
	n = htole32(n);
	memcpy(out->data + at, &n, sizeof n);
}

void pack_u64(struct buf *out, uint64_t n)
{
	n = htole64(n);
	buf_append(out, &n, sizeof n);
}

void pack_bytes(struct buf *out, const void *p, size_t n)
{
	pack_u32(out, (uint32_t)n);
	if (n)
		buf_append(out, p, n);
}

void pack_text(struct buf *out, const char *s)
{
	if (s)
		pack_bytes(out, s, strlen(s));
	else
		pack_u32(out, NO_TEXT);
}

/* The next n bytes; NULL if they are not there. */
static const char *take(struct unpack *u, size_t n)
{
	const char *p = u->p;

	if (u->is_bad || n > u->left) {
		u->is_bad = true;
		return NULL;
	}
	u->p += n;
	u->left -= n;
	return p;
}

unsigned unpack_u8(struct unpack *u)
{
	const char *p = take(u, 1);

	return p ? (unsigned char)*p : 0;
}

uint32_t unpack_u32(struct unpack *u)
{
	const char *p = take(u, sizeof(uint32_t));
	uint32_t n = 0;

	if (p)
		memcpy(&n, p, sizeof n);
	return le32toh(n);
}

uint64_t unpack_u64(struct unpack *u)
{
	const char *p = take(u, sizeof(uint64_t));
	uint64_t n = 0;

	if (p)
		memcpy(&n, p, sizeof n);
	return le64toh(n);
}

const char *unpack_bytes(struct unpack *u, size_t *n)
{
	const char *p;

	*n = unpack_u32(u);
	p = take(u, *n);
	if (!p)
		*n = 0;
	return *n ? p : NULL;
}

char *unpack_text(struct unpack *u)
{
	uint32_t n = unpack_u32(u);
	const char *p;

	if (n == NO_TEXT)
		return NULL;
	p = take(u, n);
	if (p && memchr(p, '\0', n))
		u->is_bad = true;
	return p && !u->is_bad ? mem_strndup(p, n) : NULL;
}

size_t pack_frame_begin(struct buf *out)
{
	pack_u32(out, 0);
	return out->len;
}

void pack_frame_end(struct buf *out, size_t begin)
{
	pack_u32_at(out, begin - sizeof(uint32_t), (uint32_t)(out->len - begin));
}

bool unpack_frame_is_over(const struct unpack *u, size_t most)
{
	struct unpack rest = *u;

	return unpack_u32(&rest) > most;
}

bool unpack_frame(struct unpack *u, struct unpack *frame)
{
	struct unpack rest = *u;
	uint32_t len = unpack_u32(&rest);

	if (rest.is_bad || len > rest.left)
		return false;
	*frame = (struct unpack){ .p = rest.p, .left = len };
	take(&rest, len);
	*u = rest;
	return true;
}
