#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

void buf_grow(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 64;

	assert(more < SIZE_MAX / 2 - b->len); /* sizes from outside were checked before */
	while (cap < b->len + more + 1)
		cap *= 2;
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
	b->data[b->len] = '\0';
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return;
	buf_reserve(b, (size_t)n);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

#define NO_CHARACTER 0xfffdu

/* The bytes of the character at `p`; 1 and NO_CHARACTER for what is no UTF-8. */
static size_t take_character(const unsigned char *p, size_t n, unsigned *code)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	unsigned c = len == 1 ? *p : *p & (0x7fu >> len);

	*code = NO_CHARACTER;
	if (len > n || (*p >= 0x80 && *p < 0xc0) || *p >= 0xf8)
		return 1;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len])
		return 1;
	*code = c;
	return len;
}

/* (U+FFFD itself may be spelled likewise.)  Beside the controls, Unicode's Bidi_Control. */
static bool is_obeyed(unsigned c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == NO_CHARACTER;
}

size_t buf_character(const char *p, size_t n, bool *obeyed)
{
	unsigned code;
	size_t len = take_character((const unsigned char *)p, n, &code);

	*obeyed = is_obeyed(code);
	return len;
}

void buf_put_shown(struct buf *b, const char *text, size_t n, bool keeps_lines)
{
	for (size_t i = 0, len; i < n; i += len) {
		unsigned code;

		len = take_character((const unsigned char *)text + i, n - i, &code);
		if (is_obeyed(code) && !(keeps_lines && (code == '\n' || code == '\t')))
			buf_printf(b, "\\u%04x", code);
		else
			buf_append(b, text + i, len);
	}
}

bool buf_append_file(struct buf *b, const char *path, size_t most, struct err *e)
{
	size_t begin = b->len, n;
	FILE *f = fopen(path, "re");
	bool ok = false;

	if (!f) {
		err_errno(e, "cannot be opened");
		return false;
	}
	do {
		buf_reserve(b, 65536);
		n = fread(b->data + b->len, 1, 65536, f);
		b->len += n;
	} while (n > 0 && b->len - begin <= most);
	b->data[b->len] = '\0';
	if (ferror(f))
		err_errno(e, "cannot be read");
	else if (b->len - begin > most)
		err_set(e, ERR_LIMIT, "is larger than %zu bytes", most);
	else
		ok = true;
	fclose(f);
	return ok;
}

int buf_open_new(const char *path, unsigned mode, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);

	if (fd < 0 && errno == EEXIST)
		err_set(e, ERR_BUSY, "%s is there already, and nothing is overwritten", path);
	else if (fd < 0)
		err_errno(e, "%s", path);
	return fd;
}

bool buf_write_out(const struct buf *b, int fd, const char *path, struct err *e)
{
	FILE *f = fdopen(fd, "w");
	bool ok = f && fwrite(b->data, 1, b->len, f) == b->len;

	if (f)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		err_errno(e, "%s", path);
	if (!f)
		close(fd);
	if (!ok)
		unlink(path);
	return ok;
}

bool buf_write_new(const struct buf *b, const char *path, unsigned mode, struct err *e)
{
	int fd = buf_open_new(path, mode, e);

	return fd >= 0 && buf_write_out(b, fd, path, e);
}

void buf_cut(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->len = len;
	if (b->data)
		b->data[len] = '\0';
}

void buf_reset(struct buf *b)
{
	buf_cut(b, 0);
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_reset_above(struct buf *b, size_t most)
{
	if (b->cap > most)
		buf_fini(b);
	else
		buf_reset(b);
}

void buf_drop(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len + 1); /* with its NUL */
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
	char *s = b->data ? b->data : mem_strdup("");

	*b = (struct buf){ 0 };
	return s;
}
