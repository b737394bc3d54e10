#include "bench/broker.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/topic.h"

#define CHUNK	       (64 << 10) /* read at once */
#define MAX_PACKET     (16 << 20)
#define MAX_PACKET_IDS 65536
#define MAX_ENDS       4

enum packet_type {
	CONNECT = 1,
	CONNACK,
	PUBLISH,
	PUBACK,
	SUBSCRIBE = 8,
	SUBACK,
	UNSUBSCRIBE,
	UNSUBACK,
	PINGREQ = 12,
	PINGRESP,
	DISCONNECT
};

struct broker {
	void (*on_message)(void *ctx, const char *payload, size_t len);
	void *ctx;
	int listener, port;

	/* the client */
	int fd; /* -1: none */
	bool is_connected;
	bool is_v5;
	char **filters;
	size_t n_filters;
	struct buf in, out;
	size_t out_done; /* bytes of `out` that are written */
	uint16_t last_id;
	size_t n_unacked;
	bool is_unacked[MAX_PACKET_IDS];
};

/* ---- what a packet is made of ---- */

struct reader {
	const unsigned char *at, *end;
	bool is_short; /* something was asked for that is not there */
};

static size_t take_byte(struct reader *r)
{
	if (r->at >= r->end) {
		r->is_short = true;
		return 0;
	}
	return *r->at++;
}

static size_t take_u16(struct reader *r)
{
	size_t high = take_byte(r);

	return high << 8 | take_byte(r);
}

/* MQTT 2.2.3: seven bits a byte, at most four bytes. */
static size_t take_length(struct reader *r)
{
	size_t value = 0, byte = 0x80;

	for (int shift = 0; shift < 28 && byte & 0x80; shift += 7) {
		byte = take_byte(r);
		value |= (byte & 0x7f) << shift;
	}
	r->is_short = r->is_short || byte & 0x80;
	return value;
}

/* The next `n` bytes. */
static const char *take(struct reader *r, size_t n)
{
	const unsigned char *at = r->at;

	if ((size_t)(r->end - r->at) < n) {
		r->is_short = true;
		return NULL;
	}
	r->at += n;
	return (const char *)at;
}

static void skip_properties(const struct broker *p, struct reader *r)
{
	if (p->is_v5)
		take(r, take_length(r));
}

static void put_u16(struct buf *b, size_t value)
{
	buf_putc(b, (char)(value >> 8));
	buf_putc(b, (char)value);
}

static void put_header(struct buf *b, enum packet_type type, unsigned flags, size_t length)
{
	buf_putc(b, (char)(type << 4 | flags));
	do {
		buf_putc(b, (char)((length & 0x7f) | (length > 0x7f ? 0x80 : 0)));
		length >>= 7;
	} while (length > 0);
}

/* ---- packets, each true unless it breaks the protocol ---- */

static bool on_connect(struct broker *p, struct reader *r)
{
	take(r, take_u16(r)); /* the protocol's name */
	/* mosquitto's bridges set the highest bit */
	p->is_v5 = (take_byte(r) & 0x7f) == 5;
	if (r->is_short)
		return false;
	p->is_connected = true;
	put_header(&p->out, CONNACK, 0, p->is_v5 ? 3 : 2);
	put_u16(&p->out, 0); /* no session, accepted */
	if (p->is_v5)
		buf_putc(&p->out, 0);
	return true;
}

static bool on_subscribe(struct broker *p, struct reader *r)
{
	size_t id = take_u16(r);
	struct buf codes = { 0 };

	skip_properties(p, r);
	while (r->at < r->end && !r->is_short) {
		size_t len = take_u16(r);
		const char *filter = take(r, len);
		size_t qos = take_byte(r) & 3;

		if (r->is_short)
			break;
		p->filters = mem_grow(p->filters, p->n_filters, sizeof *p->filters);
		p->filters[p->n_filters++] = mem_strndup(filter, len);
		buf_putc(&codes, qos ? 1 : 0);
	}
	put_header(&p->out, SUBACK, 0, (p->is_v5 ? 3U : 2U) + codes.len);
	put_u16(&p->out, id);
	if (p->is_v5)
		buf_putc(&p->out, 0);
	buf_append(&p->out, buf_str(&codes), codes.len);
	buf_fini(&codes);
	return !r->is_short;
}

static void forget_filter(struct broker *p, const char *filter, size_t len)
{
	for (size_t i = 0; i < p->n_filters; i++) {
		if (strlen(p->filters[i]) != len || memcmp(p->filters[i], filter, len) != 0)
			continue;
		free(p->filters[i]);
		p->filters[i] = p->filters[--p->n_filters];
		return;
	}
}

static bool on_unsubscribe(struct broker *p, struct reader *r)
{
	size_t id = take_u16(r), n = 0;

	skip_properties(p, r);
	for (; r->at < r->end && !r->is_short; n++) {
		size_t len = take_u16(r);
		const char *filter = take(r, len);

		if (filter)
			forget_filter(p, filter, len);
	}
	put_header(&p->out, UNSUBACK, 0, p->is_v5 ? 3 + n : 2);
	put_u16(&p->out, id);
	for (size_t i = 0; p->is_v5 && i < 1 + n; i++)
		buf_putc(&p->out, 0); /* no properties, and a code for each */
	return !r->is_short;
}

static bool on_publish(struct broker *p, struct reader *r, size_t flags)
{
	size_t qos = flags >> 1 & 3, id = 0;

	take(r, take_u16(r)); /* the topic */
	if (qos)
		id = take_u16(r);
	skip_properties(p, r);
	if (r->is_short || qos > 1)
		return false;
	p->on_message(p->ctx, (const char *)r->at, (size_t)(r->end - r->at));
	if (qos) {
		put_header(&p->out, PUBACK, 0, 2);
		put_u16(&p->out, id);
	}
	return true;
}

static bool on_puback(struct broker *p, struct reader *r)
{
	size_t id = take_u16(r);

	if (r->is_short || !p->is_unacked[id])
		return false;
	p->is_unacked[id] = false;
	p->n_unacked--;
	return true;
}

static bool on_packet(struct broker *p, size_t first, struct reader *r)
{
	enum packet_type type = (enum packet_type)(first >> 4);

	if (p->is_connected != (type != CONNECT))
		return false;
	switch (type) {
	case CONNECT:
		return on_connect(p, r);
	case SUBSCRIBE:
		return on_subscribe(p, r);
	case UNSUBSCRIBE:
		return on_unsubscribe(p, r);
	case PUBLISH:
		return on_publish(p, r, first & 0xf);
	case PUBACK:
		return on_puback(p, r);
	case PINGREQ:
		put_header(&p->out, PINGRESP, 0, 0);
		return true;
	case DISCONNECT:
	default:
		return false;
	}
}

/* ---- the socket ---- */

static void drop_client(struct broker *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->is_connected = p->is_v5 = false;
	for (size_t i = 0; i < p->n_filters; i++)
		free(p->filters[i]);
	free(p->filters);
	p->filters = NULL;
	p->n_filters = 0;
	buf_reset(&p->in);
	buf_reset(&p->out);
	p->out_done = 0;
	p->n_unacked = 0;
	memset(p->is_unacked, 0, sizeof p->is_unacked);
}

static void accept_client(struct broker *p)
{
	int on = 1;

	p->fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p->fd >= 0)
		setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* All whole packets of `in`; false: the protocol was broken. */
static bool read_packets(struct broker *p)
{
	const unsigned char *start = (const unsigned char *)p->in.data, *end = start + p->in.len;
	bool ok = true;

	while (ok && end - start >= 2) {
		struct reader r = { start + 1, end, false };
		size_t length = take_length(&r);

		if (r.is_short || (size_t)(end - r.at) < length) {
			ok = length <= MAX_PACKET && end - start < MAX_PACKET;
			break;
		}
		r.end = r.at + length;
		ok = on_packet(p, *start, &r);
		start = r.end;
	}
	p->in.len = (size_t)(end - start);
	memmove(p->in.data, start, p->in.len);
	return ok;
}

static void read_some(struct broker *p)
{
	ssize_t n;

	buf_reserve(&p->in, CHUNK);
	n = recv(p->fd, p->in.data + p->in.len, CHUNK, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		p->in.len += (size_t)n;
	if (n <= 0 || !read_packets(p))
		drop_client(p);
}

static bool has_output(const struct broker *p)
{
	return p->fd >= 0 && p->out_done < p->out.len;
}

static void write_some(struct broker *p)
{
	ssize_t n;

	if (!has_output(p))
		return;
	n = send(p->fd, p->out.data + p->out_done, p->out.len - p->out_done, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop_client(p);
		return;
	}
	p->out_done += n > 0 ? (size_t)n : 0;
	if (p->out_done < p->out.len)
		return;
	buf_reset(&p->out);
	p->out_done = 0;
}

void broker_turn(struct broker *const *ends, size_t n, int64_t timeout_us)
{
	struct pollfd fds[MAX_ENDS];
	struct timespec timeout = { timeout_us / 1000000, timeout_us % 1000000 * 1000 };

	assert(n <= MAX_ENDS);
	for (size_t i = 0; i < n; i++) {
		write_some(ends[i]);
		fds[i].fd = ends[i]->fd >= 0 ? ends[i]->fd : ends[i]->listener;
		fds[i].events = (short)(POLLIN | (has_output(ends[i]) ? POLLOUT : 0));
	}
	if (ppoll(fds, n, &timeout, NULL) <= 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (fds[i].fd == ends[i]->listener && fds[i].revents)
			accept_client(ends[i]);
		else if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
			read_some(ends[i]);
	}
}

/* ---- the caller's side ---- */

static bool open_listener(struct broker *p)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof address;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&address, len) != 0 ||
	    listen(p->listener, 8) != 0 ||
	    getsockname(p->listener, (struct sockaddr *)&address, &len) != 0)
		return false;
	p->port = ntohs(address.sin_port);
	return true;
}

struct broker *broker_open(void (*on_message)(void *ctx, const char *payload, size_t len),
			   void *ctx, struct err *e)
{
	struct broker *p = mem_zalloc(sizeof *p);

	p->on_message = on_message;
	p->ctx = ctx;
	p->fd = -1;
	if (!open_listener(p)) {
		err_errno(e, "listen on 127.0.0.1");
		broker_close(p);
		return NULL;
	}
	return p;
}

void broker_close(struct broker *p)
{
	if (!p)
		return;
	drop_client(p);
	if (p->listener >= 0)
		close(p->listener);
	buf_fini(&p->in);
	buf_fini(&p->out);
	free(p);
}

int broker_port(const struct broker *p)
{
	return p->port;
}

bool broker_is_connected(const struct broker *p)
{
	return p->is_connected;
}

bool broker_has_subscriber(const struct broker *p, const char *topic)
{
	for (size_t i = 0; i < p->n_filters; i++)
		if (topic_filter_covers(p->filters[i], topic))
			return true;
	return false;
}

static size_t next_id(struct broker *p)
{
	assert(p->n_unacked < MAX_PACKET_IDS - 1);
	do {
		p->last_id++;
	} while (p->last_id == 0 || p->is_unacked[p->last_id]); /* MQTT 2.3.1: 0 is no id */
	p->is_unacked[p->last_id] = true;
	p->n_unacked++;
	return p->last_id;
}

void broker_publish(struct broker *p, const char *topic, const char *payload, size_t len, int qos)
{
	size_t n_topic = strlen(topic);
	size_t length = 2 + n_topic + (qos ? 2 : 0) + (p->is_v5 ? 1 : 0) + len;

	assert(p->is_connected);
	put_header(&p->out, PUBLISH, (unsigned)qos << 1, length);
	put_u16(&p->out, n_topic);
	buf_append(&p->out, topic, n_topic);
	if (qos)
		put_u16(&p->out, next_id(p));
	if (p->is_v5)
		buf_putc(&p->out, 0);
	buf_append(&p->out, payload, len);
}

size_t broker_unacked(const struct broker *p)
{
	return p->n_unacked;
}
