/* buf.h -- a byte buffer that grows.
 *
 * `data` always has a NUL byte after `len` bytes once there is any, so text in it can be printed.
 * What is appended must not lie in the buffer itself.  Reset it to reuse its memory.  Any thread, one
 * at a time. */
#ifndef BRIDGE_BUF_H
#define BRIDGE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct err;

/* What a word ends with of which there are n: "s", but for one. */
#define PLURAL(n) ((n) == 1 ? "" : "s")

struct buf {
	char *data; /* NULL until something was appended or reserved */
	size_t len, cap;
};

void buf_grow(struct buf *b, size_t more); /* what buf_reserve() does where there is no room yet */

/* Room for `more` bytes and a NUL. */
static inline void buf_reserve(struct buf *b, size_t more)
{
	if (more >= b->cap - b->len)
		buf_grow(b, more);
}

static inline void buf_append(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (n) /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): there is room now */
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

static inline void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

static inline void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Bytes of the character at `p`, of which `n` are there, at least 1.  *is_obeyed: a terminal would obey it rather than
 * show it.  It is a control (U+0000 to U+001F, U+007F to U+009F), turns the direction of writing, or is no UTF-8. */
size_t buf_character(const char *p, size_t n, bool *is_obeyed);
/* Append text for a terminal: those characters as \u001b, which leaves JSON the same, and a byte that is no UTF-8 as
 * \ufffd.  With keeps_lines, line ends and tabs stay what they are. */
void buf_put_shown(struct buf *b, const char *text, size_t n, bool keeps_lines);
/* Append a file.  False sets *e: ERR_IO, or ERR_LIMIT (it has more than `most` bytes); something of it may be
 * there then. */
bool buf_append_file(struct buf *b, const char *path, size_t most, struct err *e);
/* A new file with this text, for whom `mode` says (less the umask).  False sets *e: ERR_BUSY there is one, or a link,
 * which stays; ERR_IO: nothing is left of it. */
bool buf_write_new(const struct buf *b, const char *path, unsigned mode, struct err *e);
/* The two halves of that, for who may not open it later.  The descriptor is closed in any case; -1, as false, sets
 * *e. */
int buf_open_new(const char *path, unsigned mode, struct err *e);
bool buf_write_out(const struct buf *b, int fd, const char *path, struct err *e);
void buf_reset(struct buf *b); /* empty, memory kept */
/* The first `len` bytes stay, of those that are there. */
void buf_cut(struct buf *b, size_t len);
void buf_fini(struct buf *b); /* memory freed, ready for use again */
/* Empty; the memory is freed if it is more than `most` bytes. */
void buf_reset_above(struct buf *b, size_t most);
/* The first `n` bytes are done with.  Costs a move of the rest: for queues, when that is the smaller part. */
void buf_drop(struct buf *b, size_t n);

/* The text, never NULL; borrowed. */
const char *buf_str(const struct buf *b);
/* The text; the buffer is empty afterwards.  Caller frees. */
char *buf_take(struct buf *b);

#endif
