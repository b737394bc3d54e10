/* What a broker sends, through the sieve and through gather's read-ahead: however it is cut into pieces, the library
 * must get the same bytes as if all had come at once.
 *
 * Three bytes: MQTT 5 or not, the largest packet, the seed of the cuts.  The rest is the stream. */
#include <sys/socket.h>

#include "fuzz.h"
#include "net/gather.h"
#include "net/sieve.h"

#define MOST (64u << 10) /* what a socketpair takes without a reader */

/* All of it at once: the model. */
static void pour(struct sieve *s, const char *p, size_t n, struct buf *out)
{
	size_t used;

	while (n > 0) {
		enum sieve_step step = sieve_look(s, p, n, &used, out);

		assert(used <= n);
		if (step == SIEVE_SHORT || step == SIEVE_END)
			return;
		assert(used > 0);
		if (step == SIEVE_PASS)
			buf_append(out, p, used);
		p += used;
		n -= used;
	}
}

/* As it comes, in pieces, and read in others. */
static void trickle(struct sieve *s, const char *p, size_t n, unsigned seed, struct buf *out)
{
	struct gather g, *outer;
	char piece[512];
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		abort();
	gather_init(&g);
	g.socket = fds[0];
	g.sieve = s;
	g.may_fill = true;
	outer = gather_begin(&g);
	while (n > 0 && !s->fault[0]) {
		size_t sent = seed % 97 + 1 < n ? seed % 97 + 1 : n;
		ssize_t got;

		if (write(fds[1], p, sent) != (ssize_t)sent)
			break;
		p += sent;
		n -= sent;
		seed = seed * 1103515245 + 12345;
		g.skip_room = SIZE_MAX;
		while ((got = read(fds[0], piece, seed % sizeof piece + 1)) > 0) {
			buf_append(out, piece, (size_t)got);
			seed = seed * 1103515245 + 12345;
		}
	}
	gather_end(&g, outer);
	gather_fini(&g);
	close(fds[0]);
	close(fds[1]);
}

/* While a body is dropped, the library gets one with each piece, as a sign of life. */
static void drop_pings(struct buf *b)
{
	struct buf rest = { 0 };
	size_t at = 0;

	while (at < b->len) {
		size_t n = 0, head = 1;
		bool is_ping;

		for (unsigned shift = 0; at + head < b->len && head <= 4; shift += 7, head++) {
			unsigned char c = (unsigned char)b->data[at + head];

			n |= (size_t)(c & 0x7f) << shift;
			if (c < 0x80)
				break;
		}
		n = n + head + 1 < b->len - at ? n + head + 1 : b->len - at;
		is_ping = n == 2 && (unsigned char)b->data[at] == 0xd0;
		if (!is_ping)
			buf_append(&rest, b->data + at, n);
		at += n;
	}
	buf_fini(b);
	*b = rest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { (const char *)data, n };
	int mqtt = take_byte(&in) % 2 ? 5 : 4;
	size_t max_packet = (take_byte(&in) + 1) * 8;
	unsigned seed = take_byte(&in);
	struct buf model = { 0 }, got = { 0 };
	struct sieve whole, cut;

	if (in.left > MOST)
		return 0;
	sieve_init(&whole, mqtt, max_packet);
	sieve_init(&cut, mqtt, max_packet);
	memcpy(cut.mark, whole.mark, sizeof cut.mark); /* random, and seen in what is made */
	pour(&whole, in.p, in.left, &model);
	trickle(&cut, in.p, in.left, seed, &got);
	assert(strcmp(whole.fault, cut.fault) == 0);
	drop_pings(&model);
	drop_pings(&got);
	/* Of a packet that is not here as a whole, as much passes as there is. */
	assert(got.len == model.len &&
	       (got.len == 0 || memcmp(got.data, model.data, got.len) == 0));
	sieve_fini(&whole);
	sieve_fini(&cut);
	buf_fini(&model);
	buf_fini(&got);
	return 0;
}
