#include "message/message_codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pack.h"
#include "message/message.h"

#define VERSION		1
#define QOS_BITS	0x03
#define HAS_RETAIN	0x04
#define HAS_RESPONSE	0x08
#define HAS_CORRELATION 0x10
#define IS_CUT		0x20
#define KNOWN_BITS	0x3f

/* Version, flags, topic, payload, [response topic], [correlation], number of properties, names and
 * values.  Lengths and the number have four bytes, the lowest first. */

void message_codec_put(const struct message *m, struct buf *out)
{
	int flags = (m->qos & QOS_BITS) | (m->retain ? HAS_RETAIN : 0) |
		    (m->response_topic ? HAS_RESPONSE : 0) |
		    (m->correlation ? HAS_CORRELATION : 0) | (m->is_cut ? IS_CUT : 0);

	buf_reserve(out, message_size(m) + 8 * (m->properties.n + 4));
	pack_u8(out, VERSION);
	pack_u8(out, (unsigned)flags);
	pack_text(out, m->topic);
	pack_bytes(out, m->payload, m->payload_len);
	if (m->response_topic)
		pack_text(out, m->response_topic);
	if (m->correlation)
		pack_bytes(out, m->correlation, m->correlation_len);
	pack_u32(out, (uint32_t)m->properties.n);
	for (size_t i = 0; i < m->properties.n; i++) {
		const struct var *v = &m->properties.items[i];

		pack_text(out, v->name);
		pack_text(out, v->value);
	}
}

/* NULL if there are none; a NUL follows. */
static char *get_bytes(struct unpack *u, size_t *n)
{
	const char *p = unpack_bytes(u, n);

	return mem_dup(p, *n);
}

static char *get_text(struct unpack *u)
{
	char *text = unpack_text(u);

	return text ? text : mem_strdup("");
}

static void get_properties(struct unpack *u, struct vars *out)
{
	size_t n = unpack_u32(u);

	for (size_t i = 0; i < n && !u->is_bad; i++) {
		char *name = get_text(u), *value = get_text(u);

		if (!u->is_bad)
			vars_add(out, name, value);
		free(name);
		free(value);
	}
}

bool message_codec_get(const void *p, size_t n, struct message *m)
{
	struct unpack u = { .p = p, .left = n };
	int flags;

	*m = (struct message){ 0 };
	u.is_bad = (int)unpack_u8(&u) != VERSION;
	flags = (int)unpack_u8(&u);
	u.is_bad = u.is_bad || (flags & ~KNOWN_BITS);
	m->qos = flags & QOS_BITS;
	m->retain = flags & HAS_RETAIN;
	m->is_cut = flags & IS_CUT;
	m->topic = get_text(&u);
	m->payload = get_bytes(&u, &m->payload_len);
	if (flags & HAS_RESPONSE)
		m->response_topic = get_text(&u);
	if (flags & HAS_CORRELATION)
		m->correlation = get_bytes(&u, &m->correlation_len);
	get_properties(&u, &m->properties);
	if (!u.is_bad && u.left == 0)
		return true;
	message_fini(m);
	return false;
}
