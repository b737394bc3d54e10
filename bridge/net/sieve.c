/* sieve.c -- the forms of packets, as far as they must be known.  A packet is looked at from its first byte; what is
 * known of it between two calls is in pass_left and skip_left, of which one at most is not 0. */
#include "net/sieve.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>

#include "base/crypto.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "base/pack.h"

#define WHOLE_BYTES ((size_t)1 << 20) /* of a packet that is no PUBLISH */
#define PROPERTY_BYTES                                                                             \
	((size_t)64 << 10) /* of a PUBLISH that is too large: beyond, its payload is not shown */
#define MAX_LENGTH 4	   /* bytes of a length (MQTT 1.5.5) */
#define FLAG_DUP   8	   /* of a PUBLISH (MQTT 3.3.1.1) */
#define MAX_MID	   65535

enum type {
	CONNACK = 2,
	PUBLISH = 3,
	PUBACK = 4,
	PUBREC = 5,
	PUBREL = 6,
	PUBCOMP = 7,
	DISCONNECT = 14,
	AUTH = 15,
	TYPES = 16
};

/* What a server may send, but for PUBLISH, and after how many bytes of it its properties begin (MQTT 5; ones that
 * end before have none). */
static const struct {
	const char *name;
	size_t properties_at;
} packets[TYPES] = {
	[CONNACK] = { "CONNACK", 2 },	 [PUBLISH] = { "PUBLISH", 0 },
	[PUBACK] = { "PUBACK", 3 },	 [PUBREC] = { "PUBREC", 3 },
	[PUBREL] = { "PUBREL", 3 },	 [PUBCOMP] = { "PUBCOMP", 3 },
	[9] = { "SUBACK", 2 },		 [11] = { "UNSUBACK", 2 },
	[13] = { "PINGRESP", SIZE_MAX }, [DISCONNECT] = { "DISCONNECT", 1 },
	[AUTH] = { "AUTH", 1 },
};

#define IN(type) (1u << (type))
#define IN_ACKS	 (IN(PUBACK) | IN(9) | IN(11))
#define IN_ALL	 (IN_ACKS | IN(CONNACK) | IN(PUBLISH) | IN(DISCONNECT) | IN(AUTH))

enum form { NUMBER, TEXT, BINARY, PAIR, VARIABLE };

/* Properties by their number (MQTT 2.2.2.2), and which packets of a server may have them. */
static const struct property {
	enum form form;
	unsigned in;	/* 0: there is no such property */
	unsigned bytes; /* of a number */
	unsigned most;	/* of a number; 0: any */
	bool may_be_0;	/* a number */
	bool may_repeat;
} properties[64] = {
	[0x01] = { NUMBER, IN(PUBLISH), 1, 1, true, false },
	[0x02] = { NUMBER, IN(PUBLISH), 4, 0, true, false },
	[0x03] = { TEXT, IN(PUBLISH), 0, 0, false, false },
	[0x08] = { TEXT, IN(PUBLISH), 0, 0, false, false },
	[0x09] = { BINARY, IN(PUBLISH), 0, 0, false, false },
	[0x0b] = { VARIABLE, IN(PUBLISH), 0, 0, false, true },
	[0x11] = { NUMBER, IN(CONNACK) | IN(DISCONNECT), 4, 0, true, false },
	[0x12] = { TEXT, IN(CONNACK), 0, 0, false, false },
	[0x13] = { NUMBER, IN(CONNACK), 2, 0, true, false },
	[0x15] = { TEXT, IN(CONNACK) | IN(AUTH), 0, 0, false, false },
	[0x16] = { BINARY, IN(CONNACK) | IN(AUTH), 0, 0, false, false },
	[0x1a] = { TEXT, IN(CONNACK), 0, 0, false, false },
	[0x1c] = { TEXT, IN(CONNACK) | IN(DISCONNECT), 0, 0, false, false },
	[0x1f] = { TEXT, IN_ALL & ~IN(PUBLISH), 0, 0, false, false },
	[0x21] = { NUMBER, IN(CONNACK), 2, 0, false, false },
	[0x22] = { NUMBER, IN(CONNACK), 2, 0, true, false },
	[0x24] = { NUMBER, IN(CONNACK), 1, 1, true, false },
	[0x25] = { NUMBER, IN(CONNACK), 1, 1, true, false },
	[0x26] = { PAIR, IN_ALL, 0, 0, false, true },
	[0x27] = { NUMBER, IN(CONNACK), 4, 0, false, false },
	[0x28] = { NUMBER, IN(CONNACK), 1, 1, true, false },
	[0x29] = { NUMBER, IN(CONNACK), 1, 1, true, false },
	[0x2a] = { NUMBER, IN(CONNACK), 1, 1, true, false },
};
#define RESPONSE_TOPIC	 0x08
#define SERVER_REFERENCE 0x1c
#define REASON_STRING	 0x1f

void sieve_init(struct sieve *s, int mqtt, size_t max_packet)
{
	*s = (struct sieve){ .mqtt = mqtt, .max_packet = max_packet };
	crypto_random(s->mark, sizeof s->mark);
}

void sieve_fini(struct sieve *s)
{
	buf_fini(&s->instead);
	free(s->dups);
	s->dups = NULL;
	free(s->reason_string);
	free(s->server_reference);
	free(s->puback_reason);
	s->reason_string = s->server_reference = s->puback_reason = NULL;
}

__attribute__((format(printf, 2, 3))) static enum sieve_step end(struct sieve *s, const char *fmt,
								 ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->fault, sizeof s->fault, fmt, ap);
	va_end(ap);
	return SIEVE_END;
}

static enum sieve_step end_malformed_5(struct sieve *s, unsigned type)
{
	s->is_malformed_5 = true;
	return end(s, "the broker sent a malformed packet: properties of %s", packets[type].name);
}

/* --- reading ------------------------------------------------------------------------------- */

/* What is there, of something of which `rest` bytes may be missing still. */
struct look {
	const unsigned char *p;
	size_t n;
};

static bool get_number(struct look *l, unsigned n_bytes, uint32_t *out)
{
	*out = 0;
	if (l->n < n_bytes)
		return false;
	for (unsigned i = 0; i < n_bytes; i++)
		*out = *out << 8 | l->p[i];
	l->p += n_bytes;
	l->n -= n_bytes;
	return true;
}

static bool get_bytes(struct look *l, struct look *out)
{
	uint32_t n;

	if (!get_number(l, 2, &n) || l->n < n)
		return false;
	*out = (struct look){ l->p, n };
	l->p += n;
	l->n -= n;
	return true;
}

/* A length of one to four bytes: how many; 0: it is not all there; -1: it goes on beyond that. */
static int get_length(const unsigned char *p, size_t n, size_t *out)
{
	*out = 0;
	for (size_t i = 0; i < n && i < MAX_LENGTH; i++) {
		*out |= (size_t)(p[i] & 0x7f) << 7 * i;
		if (!(p[i] & 0x80))
			return (int)i + 1;
	}
	return n < MAX_LENGTH ? 0 : -1;
}

/* The library's own look reads on behind a text that ends within a character, and may like what it finds there
 * (2.0.11 to 2.0.22). */
static bool is_text(const struct look *l)
{
	return l->n == 0 ||
	       (jtext_is_utf8(l->p, l->n) &&
		mosquitto_validate_utf8((const char *)l->p, (int)l->n) == MOSQ_ERR_SUCCESS);
}

/* --- properties ---------------------------------------------------------------------------- */

enum verdict { FINE, BAD_TEXT, MALFORMED };

static enum verdict check_text(struct look *l, unsigned id)
{
	struct look text;

	if (!get_bytes(l, &text))
		return MALFORMED;
	if (!is_text(&text))
		return BAD_TEXT;
	return id == RESPONSE_TOPIC && (text.n == 0 || mosquitto_pub_topic_check2(
							       (const char *)text.p, text.n) != 0)
		       ? BAD_TEXT
		       : FINE;
}

static enum verdict check_pair(struct look *l, unsigned id)
{
	enum verdict name = check_text(l, id), value;

	if (name == MALFORMED)
		return MALFORMED;
	value = check_text(l, id);
	return value == FINE ? name : value;
}

static enum verdict check_value(const struct property *is, unsigned id, struct look *l)
{
	struct look bytes;
	uint32_t number;
	size_t length;
	int n;

	switch (is->form) {
	case NUMBER:
		return get_number(l, is->bytes, &number) && (!is->most || number <= is->most) &&
				       (number || is->may_be_0)
			       ? FINE
			       : MALFORMED;
	case TEXT:
		return check_text(l, id);
	case PAIR:
		return check_pair(l, id);
	case BINARY:
		return get_bytes(l, &bytes) ? FINE : MALFORMED;
	case VARIABLE:
		n = get_length(l->p, l->n, &length);
		if (n <= 0)
			return MALFORMED;
		l->p += n;
		l->n -= (size_t)n;
		return FINE;
	}
	return MALFORMED;
}

/* All of them; a text that is none counts less than what is malformed. */
static enum verdict check_properties(struct look l, unsigned type)
{
	enum verdict worst = FINE;
	uint64_t seen = 0;

	while (l.n > 0) {
		unsigned id = l.p[0];
		const struct property *is = id < 64 ? &properties[id] : NULL;
		enum verdict v;

		l.p++;
		l.n--;
		if (!is || !(is->in & IN(type)) || (!is->may_repeat && seen >> id & 1))
			return MALFORMED;
		seen |= (uint64_t)1 << id;
		v = check_value(is, id, &l);
		if (v == MALFORMED)
			return MALFORMED;
		worst = v == BAD_TEXT ? BAD_TEXT : worst;
	}
	return worst;
}

/* Of properties that are fine. */
static char *find_text(struct look l, unsigned id)
{
	struct look text;

	while (l.n > 0) {
		unsigned is = l.p[0];

		l.p++;
		l.n--;
		if (is == id && get_bytes(&l, &text))
			return mem_strndup((const char *)text.p, text.n);
		check_value(&properties[is], is, &l);
	}
	return NULL;
}

/* --- packets ------------------------------------------------------------------------------- */

struct packet {
	unsigned type, flags;
	size_t head, length; /* bytes of the fixed header, and behind it */
	const unsigned char *body;
	size_t n; /* bytes of the body that are there */
};

static enum sieve_step pass(struct sieve *s, const struct packet *k, size_t *used)
{
	*used = k->head + k->n;
	s->pass_left = k->length - k->n;
	return SIEVE_PASS;
}

/* What the server says in its own words of why, and of where else to go. */
static void note_said(struct sieve *s, struct look list)
{
	free(s->reason_string);
	free(s->server_reference);
	s->reason_string = find_text(list, REASON_STRING);
	s->server_reference = find_text(list, SERVER_REFERENCE);
}

/* The library keeps the properties of a PUBACK for ever if it does not know its message (2.0.11 to 2.0.22: a broker
 * could fill the memory with them), so it gets one without. */
static enum sieve_step replace_puback(struct sieve *s, const struct packet *k, struct look list,
				      size_t *used, struct buf *made)
{
	const char plain[] = { PUBACK << 4, 3, (char)k->body[0], (char)k->body[1],
			       (char)k->body[2] };

	buf_append(made, plain, sizeof plain);
	s->puback_mid = k->body[0] << 8 | k->body[1];
	s->puback_reason = find_text(list, REASON_STRING);
	*used = k->head + k->length;
	return SIEVE_DROP;
}

const char *sieve_puback_reason(const struct sieve *s, int mid)
{
	return mid == s->puback_mid ? s->puback_reason : NULL;
}

static enum sieve_step look_at_other(struct sieve *s, const struct packet *k, size_t *used,
				     struct buf *made)
{
	size_t at = packets[k->type].properties_at, length;
	struct look list;
	int n;

	if (k->type >= PUBREC && k->type <= PUBCOMP)
		return end(s, "the broker sent a %s, which is for QoS 2, never asked for",
			   packets[k->type].name);
	if (k->length > WHOLE_BYTES)
		return end(s, "the broker sent a %s of %zu bytes", packets[k->type].name,
			   k->length);
	if (k->n < k->length)
		return SIEVE_SHORT;
	if (k->type == PUBACK) {
		free(s->puback_reason);
		s->puback_reason = NULL;
	}
	if (s->mqtt != 5 || k->length <= at)
		return pass(s, k, used);
	n = get_length(k->body + at, k->length - at, &length);
	if (n <= 0 || length > k->length - at - (size_t)n)
		return end_malformed_5(s, k->type);
	list = (struct look){ k->body + at + n, length };
	if (check_properties(list, k->type) != FINE)
		return end_malformed_5(s, k->type);
	if (k->type == DISCONNECT || (k->type == CONNACK && k->body[1] != 0))
		note_said(s, list);
	if (k->type == PUBACK && length > 0)
		return replace_puback(s, k, list, used, made);
	return pass(s, k, used);
}

struct publish {
	struct look topic;
	unsigned qos, mid;
	size_t properties_at, payload_at; /* in the body */
};

/* Its head, but for the properties themselves.  SIEVE_PASS: it is there. */
static enum sieve_step read_head(struct sieve *s, const struct packet *k, struct publish *out)
{
	struct look l = { k->body, k->n };
	size_t fixed, length = 0;
	uint32_t n, mid = 0;
	int n_length = 0;

	out->qos = k->flags >> 1 & 3;
	if (out->qos == 2)
		return end(s, "the broker sent a message of QoS 2, which was never asked for");
	fixed = 2 + (out->qos ? 2 : 0);
	if (k->length < fixed || out->qos == 3)
		return end(s, "the broker sent a malformed packet: PUBLISH");
	if (!get_number(&l, 2, &n))
		return SIEVE_SHORT;
	if (k->length - fixed < n)
		return end(s, "the broker sent a malformed packet: PUBLISH");
	if (l.n < n + fixed - 2)
		return SIEVE_SHORT;
	out->topic = (struct look){ l.p, n };
	l.p += n;
	l.n -= n;
	if (out->qos)
		get_number(&l, 2, &mid);
	out->mid = mid;
	if (s->mqtt == 5) {
		n_length = get_length(l.p, l.n, &length);
		if (n_length == 0 && k->n < k->length)
			return SIEVE_SHORT;
		if (n_length <= 0 || length > k->length - n - fixed - (size_t)n_length)
			return end_malformed_5(s, PUBLISH);
	}
	out->properties_at = fixed + n + (size_t)n_length;
	out->payload_at = out->properties_at + length;
	return SIEVE_PASS;
}

static void put_length(struct buf *out, size_t n)
{
	do {
		pack_u8(out, (unsigned)(n & 0x7f) | (n > 0x7f ? 0x80 : 0));
		n >>= 7;
	} while (n > 0);
}

/* The same packet, with a note for a payload. */
static void put_instead(struct sieve *s, const struct packet *k, const struct publish *publish,
			enum sieve_cause cause, struct look head)
{
	struct buf note = { 0 };

	buf_append(&note, s->mark, sizeof s->mark);
	pack_u8(&note, cause);
	pack_u64(&note, k->length);
	pack_bytes(&note, publish->topic.p, publish->topic.n);
	pack_bytes(&note, head.p, head.n);
	buf_reset(&s->instead);
	pack_u8(&s->instead, PUBLISH << 4 | k->flags);
	put_length(&s->instead, note.len + 3 + (publish->qos ? 2 : 0) + (s->mqtt == 5));
	buf_append(&s->instead, "\0\1-", 3); /* some topic */
	if (publish->qos) {
		pack_u8(&s->instead, publish->mid >> 8);
		pack_u8(&s->instead, publish->mid & 0xff);
	}
	if (s->mqtt == 5)
		pack_u8(&s->instead, 0); /* no properties */
	buf_append(&s->instead, note.data, note.len);
	buf_fini(&note);
}

/* What was dropped is all of it. */
static void finish(struct sieve *s, struct buf *made)
{
	buf_append(made, s->instead.data, s->instead.len);
	buf_fini(&s->instead);
}

static enum sieve_step replace(struct sieve *s, const struct packet *k,
			       const struct publish *publish, enum sieve_cause cause, size_t *used,
			       struct buf *made)
{
	size_t at = publish->payload_at, want = k->length - at;

	want = want < SIEVE_HEAD_BYTES ? want : SIEVE_HEAD_BYTES;
	if (cause == SIEVE_TOO_LARGE && at - publish->properties_at > PROPERTY_BYTES)
		at = want = 0;
	if (k->n < at + want)
		return SIEVE_SHORT;
	put_instead(s, k, publish, cause, (struct look){ k->body + at, want });
	*used = k->head + k->n;
	s->skip_left = k->length - k->n;
	if (s->skip_left == 0)
		finish(s, made);
	return SIEVE_DROP;
}

static void note_dup(struct sieve *s, const struct packet *k, const struct publish *publish)
{
	unsigned char bit = (unsigned char)(1 << publish->mid % 8), *at;
	bool is_dup = publish->qos && k->flags & FLAG_DUP;

	if (is_dup && !s->dups)
		s->dups = mem_zalloc((MAX_MID + 1) / 8);
	if (!s->dups || !publish->qos)
		return;
	at = &s->dups[publish->mid / 8];
	*at = (unsigned char)(is_dup ? *at | bit : *at & ~bit);
}

bool sieve_was_dup(const struct sieve *s, int mid)
{
	return s->dups && mid > 0 && mid <= MAX_MID && s->dups[mid / 8] >> mid % 8 & 1;
}

static enum sieve_step pass_publish(struct sieve *s, const struct packet *k,
				    const struct publish *publish, size_t *used)
{
	note_dup(s, k, publish);
	return pass(s, k, used);
}

static enum sieve_step look_at_publish(struct sieve *s, const struct packet *k, size_t *used,
				       struct buf *made)
{
	struct publish publish = { 0 };
	enum sieve_step step = read_head(s, k, &publish);
	struct look texts;

	if (step != SIEVE_PASS)
		return step;
	if (k->length > s->max_packet)
		return replace(s, k, &publish, SIEVE_TOO_LARGE, used, made);
	if (publish.topic.n == 0 || !is_text(&publish.topic))
		return replace(s, k, &publish, SIEVE_BAD_TOPIC, used, made);
	if (publish.payload_at == publish.properties_at)
		return pass_publish(s, k, &publish, used);
	if (k->n < publish.payload_at)
		return SIEVE_SHORT;
	texts = (struct look){ k->body + publish.properties_at,
			       publish.payload_at - publish.properties_at };
	switch (check_properties(texts, PUBLISH)) {
	case FINE:
		return pass_publish(s, k, &publish, used);
	case BAD_TEXT:
		return replace(s, k, &publish, SIEVE_BAD_TEXT, used, made);
	case MALFORMED:
		break;
	}
	return end_malformed_5(s, PUBLISH);
}

/* More of what is dropped.  The library hears none of it, and would end the connection, which brings all of it again:
 * a PINGRESP tells it that the broker is alive. */
static enum sieve_step skip(struct sieve *s, size_t n, size_t *used, struct buf *made)
{
	static const char pingresp[] = { (char)0xd0, 0 };

	*used = n < s->skip_left ? n : s->skip_left;
	s->skip_left -= *used;
	buf_append(made, pingresp, sizeof pingresp);
	if (s->skip_left == 0)
		finish(s, made);
	return SIEVE_DROP;
}

/* What does not speak MQTT at all, by how it begins, which no packet of a broker does. */
static const char *other_protocol(const unsigned char *p, size_t n)
{
	static const struct {
		const char *begins;
		size_t n;
		const char *words;
	} others[] = {
		{ "\x15\3", 2, "speaks TLS: its URL begins with mqtts" }, /* an alert */
		{ "HTTP/", 5, "speaks HTTP: this is not its port for MQTT" },
	};

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (n >= others[i].n && memcmp(p, others[i].begins, others[i].n) == 0)
			return others[i].words;
	return NULL;
}

enum sieve_step sieve_look(struct sieve *s, const char *p, size_t n, size_t *used, struct buf *made)
{
	const unsigned char *bytes = (const unsigned char *)p;
	struct packet k = { .type = bytes[0] >> 4, .flags = bytes[0] & 15 };
	const char *other;
	int n_length;

	*used = 0;
	if (s->fault[0])
		return SIEVE_END;
	if (s->skip_left > 0)
		return skip(s, n, used, made);
	if (s->pass_left > 0) {
		*used = n < s->pass_left ? n : s->pass_left;
		s->pass_left -= *used;
		return SIEVE_PASS;
	}
	if (n < 2)
		return SIEVE_SHORT;
	other = other_protocol(bytes, n);
	if (other)
		return end(s, "the broker %s", other);
	if (!packets[k.type].name || (s->mqtt != 5 && k.type >= DISCONNECT))
		return end(s, "the broker sent what is no packet of a broker (type %u)", k.type);
	if (k.type == AUTH)
		return end(s, "the broker sent AUTH: it wants another way to log in");
	n_length = get_length(bytes + 1, n - 1, &k.length);
	if (n_length < 0)
		return end(s, "the broker sent a malformed packet: its length");
	if (n_length == 0)
		return SIEVE_SHORT;
	k.head = 1 + (size_t)n_length;
	k.body = bytes + k.head;
	k.n = n - k.head < k.length ? n - k.head : k.length;
	return k.type == PUBLISH ? look_at_publish(s, &k, used, made)
				 : look_at_other(s, &k, used, made);
}

bool sieve_read_note(const struct sieve *s, const void *payload, size_t n, struct sieve_note *out)
{
	struct unpack u;

	if (n < sizeof s->mark || memcmp(payload, s->mark, sizeof s->mark) != 0)
		return false;
	u = (struct unpack){ .p = (const char *)payload + sizeof s->mark,
			     .left = n - sizeof s->mark };
	out->cause = (enum sieve_cause)unpack_u8(&u);
	out->packet_len = (size_t)unpack_u64(&u);
	out->topic = unpack_bytes(&u, &out->topic_len);
	out->head = unpack_bytes(&u, &out->head_len);
	return !u.is_bad;
}
