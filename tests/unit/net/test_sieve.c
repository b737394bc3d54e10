#include "net/sieve.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "base/mem.h"

enum { MAX_PACKET = 1000 };

/* What the library gets of these bytes, if `step` of them come at a time. */
static void pour(struct sieve *s, const void *bytes, size_t n, size_t step, struct buf *out)
{
	struct buf here = { 0 };

	for (size_t i = 0; i < n && !s->fault[0]; i += step) {
		size_t used = 1;

		buf_append(&here, (const char *)bytes + i, n - i < step ? n - i : step);
		while (here.len > 0 && used > 0) {
			enum sieve_step what = sieve_look(s, here.data, here.len, &used, out);

			cr_assert(used > 0 || what == SIEVE_SHORT || what == SIEVE_END);
			if (what == SIEVE_PASS)
				buf_append(out, here.data, used);
			buf_drop(&here, used);
		}
	}
	buf_fini(&here);
}

struct packet {
	char name[60];
	int mqtt;
	unsigned char bytes[40];
	size_t n;
	char fault[60]; /* "": it passes */
	bool is_malformed_5;
};

#define BYTES(...)                                                                                 \
	.bytes = { __VA_ARGS__ }, .n = sizeof(unsigned char[])                                     \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static struct packet packets[] = {
	{ "CONNACK", 4, BYTES(0x20, 2, 0, 0), "", false },
	{ "CONNACK", 5, BYTES(0x20, 3, 0, 0, 0), "", false },
	{ "CONNACK of an old broker", 5, BYTES(0x20, 2, 0, 1), "", false },
	{ "CONNACK with limits", 5, BYTES(0x20, 11, 0, 0, 8, 0x21, 0, 5, 0x27, 0, 1, 0, 0), "",
	  false },
	{ "room for none", 5, BYTES(0x20, 6, 0, 0, 3, 0x21, 0, 0), "of CONNACK", true },
	{ "no such property", 5, BYTES(0x20, 5, 0, 0, 2, 0x7f, 1), "of CONNACK", true },
	{ "one in 3.1.1, where there is none", 4, BYTES(0x20, 5, 0, 0, 2, 0x7f, 1), "", false },
	{ "one of another packet", 5, BYTES(0x20, 5, 0, 0, 2, 0x01, 1), "of CONNACK", true },
	{ "twice", 5, BYTES(0x20, 7, 0, 0, 4, 0x24, 1, 0x24, 1), "of CONNACK", true },
	{ "more of them than of the packet", 5, BYTES(0x20, 5, 0, 0, 3, 0x24, 1), "of CONNACK",
	  true },
	{ "SUBACK", 4, BYTES(0x90, 3, 0, 1, 1), "", false },
	{ "SUBACK with a reason", 5, BYTES(0x90, 8, 0, 1, 4, 0x1f, 0, 1, 'x', 0x87), "", false },
	{ "SUBACK with half a reason", 5, BYTES(0x90, 7, 0, 1, 3, 0x1f, 0, 9, 'x'), "of SUBACK",
	  true },
	{ "PUBACK", 5, BYTES(0x40, 2, 0, 1), "", false },
	{ "PUBACK", 5, BYTES(0x40, 4, 0, 1, 0x10, 0), "", false },
	{ "PUBACK with a bad property", 5, BYTES(0x40, 6, 0, 1, 0, 2, 0x2b, 0), "of PUBACK", true },
	{ "PUBACK with no properties", 5, BYTES(0x40, 4, 0, 1, 0x97, 0), "", false },
	{ "PUBREC", 5, BYTES(0x50, 2, 0, 1), "a PUBREC, which is for QoS 2, never asked for",
	  false },
	{ "PUBREL", 4, BYTES(0x62, 2, 0, 1), "a PUBREL, which is for QoS 2", false },
	{ "PUBCOMP", 5, BYTES(0x70, 4, 0, 1, 0, 0), "a PUBCOMP, which is for QoS 2", false },
	{ "PINGRESP", 4, BYTES(0xd0, 0), "", false },
	{ "DISCONNECT", 5, BYTES(0xe0, 1, 0x8e), "", false },
	{ "DISCONNECT with a bad property", 5, BYTES(0xe0, 4, 0x8e, 2, 0x2b, 0), "of DISCONNECT",
	  true },
	{ "PUBLISH", 4, BYTES(0x30, 5, 0, 1, 't', 'a', 'b'), "", false },
	{ "PUBLISH of QoS 1", 4, BYTES(0x32, 6, 0, 1, 't', 0, 9, 'a'), "", false },
	{ "PUBLISH, empty", 5, BYTES(0x32, 6, 0, 1, 't', 0, 9, 0), "", false },
	{ "PUBLISH with pairs", 5,
	  BYTES(0x30, 18, 0, 1, 't', 14, 0x26, 0, 1, 'a', 0, 1, 'b', 0x26, 0, 1, 'a', 0, 1, 'c'),
	  "", false },
	{ "PUBLISH with an alias", 5, BYTES(0x30, 7, 0, 1, 't', 3, 0x23, 0, 1), "of PUBLISH",
	  true },
	{ "PUBLISH without its properties", 5, BYTES(0x30, 3, 0, 1, 't'), "of PUBLISH", true },
	{ "PUBLISH with a bad property", 5, BYTES(0x30, 6, 0, 1, 't', 2, 0x7f, 1), "of PUBLISH",
	  true },
	{ "PUBLISH without its identifier", 4, BYTES(0x32, 3, 0, 1, 't'),
	  "malformed packet: PUBLISH", false },
	{ "QoS 2", 4, BYTES(0x34, 6, 0, 1, 't', 0, 9, 'a'), "of QoS 2, which was never asked for",
	  false },
	{ "QoS 3", 4, BYTES(0x36, 6, 0, 1, 't', 0, 9, 'a'), "malformed packet: PUBLISH", false },
	{ "a topic longer than the packet", 4, BYTES(0x30, 5, 0, 9, 't', 'a', 'b'),
	  "malformed packet: PUBLISH", false },
	{ "a length without end", 4, BYTES(0x30, 0xff, 0xff, 0xff, 0xff, 0x7f), "its length",
	  false },
	{ "what only clients send", 4, BYTES(0x82, 3, 0, 1, 't'), "no packet of a broker (type 8)",
	  false },
	{ "DISCONNECT in 3.1.1", 4, BYTES(0xe0, 0), "no packet of a broker (type 14)", false },
	{ "AUTH in 3.1.1", 4, BYTES(0xf0, 0), "no packet of a broker (type 15)", false },
	{ "AUTH", 5, BYTES(0xf0, 0), "AUTH: it wants another way to log in", false },
	{ "AUTH with a reason", 5, BYTES(0xf0, 2, 0x18, 0), "AUTH: it wants another", false },
	{ "an alert of TLS", 5, BYTES(0x15, 3, 3, 0, 2, 2, 40), "speaks TLS: its URL begins with",
	  false },
	{ "HTTP", 4, BYTES('H', 'T', 'T', 'P', '/', '1', '.', '1'), "speaks HTTP", false },
	{ "no packet at all", 4, BYTES(0x00, 0), "no packet of a broker (type 0)", false },
};

ParameterizedTestParameters(sieve, knows_the_packets_of_a_broker)
{
	return cr_make_param_array(struct packet, packets, sizeof packets / sizeof packets[0]);
}

ParameterizedTest(struct packet *p, sieve, knows_the_packets_of_a_broker)
{
	for (size_t step = 1; step <= p->n; step++) {
		struct buf out = { 0 };
		struct sieve s;

		sieve_init(&s, p->mqtt, MAX_PACKET);
		pour(&s, p->bytes, p->n, step, &out);
		cr_expect(strstr(s.fault, p->fault) && !*s.fault == !*p->fault, "%s/%d: '%s'",
			  p->name, p->mqtt, s.fault);
		cr_expect_eq(s.is_malformed_5, p->is_malformed_5, "%s", p->name);
		if (!*p->fault)
			cr_expect(out.len == p->n && memcmp(out.data, p->bytes, p->n) == 0, "%s",
				  p->name);
		else
			cr_expect_eq(out.len, 0, "%s", p->name);
		buf_fini(&out);
		sieve_fini(&s);
	}
}

/* A PUBLISH of QoS 1, number 0x0102. */
static void put_publish(struct buf *out, int mqtt, const char *topic, const char *properties,
			size_t n_properties, size_t n_payload)
{
	size_t n_topic = strlen(topic);
	size_t n = 4 + n_topic + (mqtt == 5 ? 1 + n_properties : 0) + n_payload;

	buf_putc(out, 0x33);
	do {
		buf_putc(out, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
		n >>= 7;
	} while (n);
	buf_putc(out, 0);
	buf_putc(out, (char)n_topic);
	buf_puts(out, topic);
	buf_append(out, "\1\2", 2);
	if (mqtt == 5) {
		buf_putc(out, (char)n_properties);
		buf_append(out, properties, n_properties);
	}
	for (size_t i = 0; i < n_payload; i++)
		buf_putc(out, (char)('a' + i % 26));
}

/* The note of the one packet that the library gets, which has the flags and the number of what came. */
static void expect_note(const struct sieve *s, int mqtt, const struct buf *got,
			struct sieve_note *note)
{
	const char *p = got->data;
	size_t head;

	while (got->len && (unsigned char)*p == 0xd0) /* the broker is alive */
		p += 2;
	cr_assert_eq((unsigned char)p[0], 0x33);
	head = p[1] & 0x80 ? 3 : 2;
	cr_expect_arr_eq(p + head, "\0\1-\1\2", 5);
	head += mqtt == 5 ? 6 : 5;
	cr_assert(sieve_read_note(s, p + head, got->len - (size_t)(p - got->data) - head, note));
}

static void expect_cut(int mqtt, size_t step)
{
	struct buf sent = { 0 }, got = { 0 };
	struct sieve_note note;
	struct sieve s;

	sieve_init(&s, mqtt, MAX_PACKET);
	put_publish(&sent, mqtt, "a/b", "\x26\0\1a\0\1b", 7, 100000);
	pour(&s, sent.data, sent.len - 1, step, &got);
	for (size_t i = 0; i < got.len; i += 2)
		cr_assert_eq((unsigned char)got.data[i], 0xd0, "not before all of it is here");
	pour(&s, sent.data + sent.len - 1, 1, 1, &got);
	expect_note(&s, mqtt, &got, &note);
	cr_expect_eq(note.cause, SIEVE_TOO_LARGE);
	cr_expect_eq(note.packet_len, sent.len - 4);
	cr_expect(note.topic_len == 3 && memcmp(note.topic, "a/b", 3) == 0);
	cr_expect_eq(note.head_len, SIEVE_HEAD_BYTES);
	cr_expect_arr_eq(note.head, sent.data + sent.len - 100000, SIEVE_HEAD_BYTES);
	cr_expect_eq(s.fault[0], '\0');
	cr_expect_not(s.skip_left || s.pass_left);
	buf_fini(&sent);
	buf_fini(&got);
	sieve_fini(&s);
}

Test(sieve, makes_a_note_of_what_is_too_large)
{
	static const size_t steps[] = { 1, 7, 5000, 1 << 20 };

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		expect_cut(4, steps[i]);
		expect_cut(5, steps[i]);
	}
}

Test(sieve, lets_pass_what_is_just_not_too_large)
{
	struct buf sent = { 0 }, got = { 0 };
	struct sieve s;

	sieve_init(&s, 4, MAX_PACKET);
	put_publish(&sent, 4, "a/b", NULL, 0, MAX_PACKET - 7);
	pour(&s, sent.data, sent.len, 100, &got);
	cr_expect_eq(got.len, sent.len);
	buf_reset(&sent);
	buf_reset(&got);
	put_publish(&sent, 4, "a/b", NULL, 0, MAX_PACKET - 6);
	pour(&s, sent.data, sent.len, 100, &got);
	cr_expect_neq(got.len, sent.len);
	buf_fini(&sent);
	buf_fini(&got);
	sieve_fini(&s);
}

static void pour_dup(struct sieve *s, int first_byte, int mid)
{
	const unsigned char bytes[] = {
		(unsigned char)first_byte, 6,  0, 1, 't', (unsigned char)(mid >> 8),
		(unsigned char)mid,	   'a'
	};
	struct buf got = { 0 };

	pour(s, bytes, sizeof bytes, 1, &got);
	cr_expect(got.len == sizeof bytes && memcmp(got.data, bytes, got.len) == 0);
	buf_fini(&got);
}

/* What stands behind it would be the rest of the character. */
Test(sieve, takes_no_topic_that_ends_within_a_character)
{
	static const unsigned char sent[] = { 0x32, 7, 0, 2, 'a', 0xe2, 0x82, 0x81, 'x' };
	static const unsigned char end[] = { 'a', 0xe2 };
	const size_t payload_at =
		7; /* of the packet in its place: two bytes, "-" and its length, its number */

	for (size_t step = 1; step <= sizeof sent; step++) {
		struct sieve_note note = { 0 };
		struct buf got = { 0 };
		struct sieve s;

		sieve_init(&s, 4, MAX_PACKET);
		pour(&s, sent, sizeof sent, step, &got);
		cr_assert_gt(got.len, payload_at);
		cr_assert(sieve_read_note(&s, got.data + payload_at, got.len - payload_at, &note));
		cr_expect_eq(note.cause, SIEVE_BAD_TOPIC);
		cr_expect(note.topic_len == sizeof end && memcmp(note.topic, end, sizeof end) == 0);
		buf_fini(&got);
		sieve_fini(&s);
	}
}

Test(sieve, takes_the_properties_of_a_puback_for_itself)
{
	static const unsigned char sent[] = { 0x40, 9,	  1,   2,    0x97, 5, 0x1f, 0,
					      2,    'n',  'o', 0x40, 11,   1, 3,    0,
					      7,    0x26, 0,   1,    'a',  0, 1,    'b' },
				   puback[] = { 0x40, 3, 1, 2, 0x97 };

	for (size_t step = 1; step <= sizeof sent; step++) {
		struct buf got = { 0 };
		struct sieve s;

		sieve_init(&s, 5, MAX_PACKET);
		pour(&s, sent, 11, step, &got);
		cr_expect(got.len == sizeof puback && memcmp(got.data, puback, got.len) == 0);
		cr_expect_str_eq(sieve_puback_reason(&s, 0x102), "no");
		cr_expect_null(sieve_puback_reason(&s, 0x103));
		pour(&s, sent + 11, sizeof sent - 11, step, &got);
		cr_expect_eq(got.len, 2 * sizeof puback);
		cr_expect_null(sieve_puback_reason(&s, 0x103));
		cr_expect_null(sieve_puback_reason(&s, 0x102));
		buf_fini(&got);
		sieve_fini(&s);
	}
}

Test(sieve, knows_what_came_with_dup)
{
	struct sieve s;

	sieve_init(&s, 4, MAX_PACKET);
	pour_dup(&s, 0x32, 9);
	cr_expect_not(sieve_was_dup(&s, 9));
	pour_dup(&s, 0x3a, 65535);
	pour_dup(&s, 0x3a, 9);
	pour_dup(&s, 0x32, 10);
	cr_expect(sieve_was_dup(&s, 9));
	cr_expect(sieve_was_dup(&s, 65535));
	cr_expect_not(sieve_was_dup(&s, 8));
	cr_expect_not(sieve_was_dup(&s, 10));
	cr_expect_not(sieve_was_dup(&s, 0), "of QoS 0");
	pour_dup(&s, 0x32, 9); /* another message */
	cr_expect_not(sieve_was_dup(&s, 9));
	sieve_fini(&s);
}

struct text {
	char topic[20], properties[20];
	size_t n_properties;
	int cause; /* -1: it passes */
};
#define PROPERTIES(text) text, sizeof text - 1

ParameterizedTestParameters(sieve, makes_a_note_of_texts_that_are_none)
{
	static struct text texts[] = {
		{ "a/\xc3\xa9", PROPERTIES(""), -1 },
		{ "a/\xef\xbf\xbe", PROPERTIES(""), SIEVE_BAD_TOPIC }, /* U+FFFE */
		{ "a/\xff", PROPERTIES(""), SIEVE_BAD_TOPIC },
		{ "a/\1", PROPERTIES(""), SIEVE_BAD_TOPIC },
		{ "", PROPERTIES(""), SIEVE_BAD_TOPIC },
		{ "a", PROPERTIES("\x26\0\1a\0\1b"), -1 },
		{ "a", PROPERTIES("\x26\0\1\xff\0\1b"), SIEVE_BAD_TEXT },
		{ "a", PROPERTIES("\x26\0\1a\0\3\xef\xbf\xbe"), SIEVE_BAD_TEXT },
		{ "a", PROPERTIES("\x08\0\1r"), -1 },
		{ "a", PROPERTIES("\x08\0\1#"), SIEVE_BAD_TEXT }, /* no topic */
		{ "a", PROPERTIES("\x08\0\0"), SIEVE_BAD_TEXT },
		{ "a", PROPERTIES("\x03\0\1\xff"), SIEVE_BAD_TEXT },
		{ "a", PROPERTIES("\x09\0\1\xff"), -1 }, /* no text */
	};

	return cr_make_param_array(struct text, texts, sizeof texts / sizeof texts[0]);
}

ParameterizedTest(struct text *t, sieve, makes_a_note_of_texts_that_are_none)
{
	struct buf sent = { 0 }, got = { 0 };
	struct sieve_note note;
	struct sieve s;

	sieve_init(&s, 5, MAX_PACKET);
	put_publish(&sent, 5, t->topic, t->properties, t->n_properties, 10);
	pour(&s, sent.data, sent.len, 3, &got);
	cr_assert_eq(s.fault[0], '\0', "%s", s.fault);
	if (t->cause < 0) {
		cr_expect(got.len == sent.len && memcmp(got.data, sent.data, sent.len) == 0);
	} else {
		expect_note(&s, 5, &got, &note);
		cr_expect_eq((int)note.cause, t->cause);
		cr_expect(note.topic_len == strlen(t->topic) &&
			  memcmp(note.topic ? note.topic : "", t->topic, note.topic_len) == 0);
		cr_expect(note.head_len == 10 && memcmp(note.head, "abcdefghij", 10) == 0);
	}
	buf_fini(&sent);
	buf_fini(&got);
	sieve_fini(&s);
}

Test(sieve, takes_no_payload_for_a_note_but_its_own)
{
	struct sieve s, other;
	struct sieve_note note;
	struct buf sent = { 0 }, got = { 0 };

	sieve_init(&s, 4, 10);
	sieve_init(&other, 4, 10);
	put_publish(&sent, 4, "a/b", NULL, 0, 20);
	pour(&s, sent.data, sent.len, 100, &got);
	expect_note(&s, 4, &got, &note);
	cr_expect_not(sieve_read_note(&other, got.data + 7, got.len - 7, &note));
	cr_expect(sieve_read_note(&s, got.data + 7, got.len - 7, &note));
	cr_expect_not(sieve_read_note(&s, NULL, 0, &note));
	buf_fini(&sent);
	buf_fini(&got);
	sieve_fini(&s);
	sieve_fini(&other);
}

/* Whatever comes: it ends, asks for bytes only while a packet is not there, and reads nothing that is not. */
Test(sieve, survives_anything)
{
	srand(1);
	for (int round = 0; round < 20000; round++) {
		unsigned char bytes[64];
		struct buf out = { 0 };
		struct sieve s;

		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (unsigned char)(rand() % 3 ? rand() % 40 : rand());
		memcpy(bytes, packets[(size_t)rand() % (sizeof packets / sizeof packets[0])].bytes,
		       (size_t)rand() % 10);
		sieve_init(&s, 4 + rand() % 2, 20);
		pour(&s, bytes, sizeof bytes, 1 + (size_t)rand() % 20, &out);
		buf_fini(&out);
		sieve_fini(&s);
	}
}
