#include "store/blob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "core/message.h"

#define VERSION		1
#define QOS_BITS	0x03
#define HAS_RETAIN	0x04
#define HAS_RESPONSE	0x08
#define HAS_CORRELATION 0x10
#define KNOWN_BITS	0x1f

/* Version, flags, topic, payload, [response topic], [correlation], number of properties, names and
 * values.  Lengths and the number have four bytes, the lowest first. */

static void put_number(struct buf *out, size_t n)
{
	uint8_t bytes[4];

	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(n >> 8 * i);
	buf_append(out, bytes, sizeof bytes);
}

static void put_bytes(struct buf *out, const void *p, size_t n)
{
	put_number(out, n);
	if (n)
		buf_append(out, p, n);
}

void blob_put(const struct message *m, struct buf *out)
{
	int flags = (m->qos & QOS_BITS) | (m->retain ? HAS_RETAIN : 0) |
		    (m->response_topic ? HAS_RESPONSE : 0) | (m->correlation ? HAS_CORRELATION : 0);

	buf_reserve(out, message_size(m) + 8 * (m->properties.n + 4));
	buf_putc(out, VERSION);
	buf_putc(out, (char)flags);
	put_bytes(out, m->topic, strlen(m->topic));
	put_bytes(out, m->payload, m->payload_len);
	if (m->response_topic)
		put_bytes(out, m->response_topic, strlen(m->response_topic));
	if (m->correlation)
		put_bytes(out, m->correlation, m->correlation_len);
	put_number(out, m->properties.n);
	for (size_t i = 0; i < m->properties.n; i++) {
		const struct var *v = &m->properties.items[i];

		put_bytes(out, v->name, strlen(v->name));
		put_bytes(out, v->value, strlen(v->value));
	}
}

struct reader {
	const uint8_t *p;
	size_t left;
	bool is_bad;
};

static int get_byte(struct reader *r)
{
	if (r->left == 0)
		r->is_bad = true;
	if (r->is_bad)
		return 0;
	r->left--;
	return *r->p++;
}

static size_t get_number(struct reader *r)
{
	size_t n = 0;

	for (int i = 0; i < 4; i++)
		n |= (size_t)get_byte(r) << (8 * i);
	return n;
}

/* NULL if there are none; a NUL follows. */
static char *get_bytes(struct reader *r, size_t *n)
{
	char *copy;

	*n = get_number(r);
	if (*n > r->left)
		r->is_bad = true;
	if (r->is_bad)
		*n = 0;
	copy = mem_dup(r->p, *n);
	r->p += *n;
	r->left -= *n;
	return copy;
}

static char *get_text(struct reader *r)
{
	size_t n;
	char *text = get_bytes(r, &n);

	if (text && strlen(text) != n)
		r->is_bad = true;
	return text ? text : mem_strdup("");
}

static void get_properties(struct reader *r, struct vars *out)
{
	size_t n = get_number(r);

	for (size_t i = 0; i < n && !r->is_bad; i++) {
		char *name = get_text(r), *value = get_text(r);

		if (!r->is_bad)
			vars_add(out, name, value);
		free(name);
		free(value);
	}
}

bool blob_get(const void *p, size_t n, struct message *m)
{
	struct reader r = { .p = p, .left = n };
	int flags;

	*m = (struct message){ 0 };
	r.is_bad = get_byte(&r) != VERSION;
	flags = get_byte(&r);
	r.is_bad = r.is_bad || (flags & ~KNOWN_BITS);
	m->qos = flags & QOS_BITS;
	m->retain = flags & HAS_RETAIN;
	m->topic = get_text(&r);
	m->payload = get_bytes(&r, &m->payload_len);
	if (flags & HAS_RESPONSE)
		m->response_topic = get_text(&r);
	if (flags & HAS_CORRELATION)
		m->correlation = get_bytes(&r, &m->correlation_len);
	get_properties(&r, &m->properties);
	if (!r.is_bad && r.left == 0)
		return true;
	message_fini(m);
	return false;
}
