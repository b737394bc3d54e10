#include "bench/broker.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "bench/broker_tls.h"
#include "message/topic.h"

#define CHUNK	       (64 << 10) /* read at once */
#define MAX_PACKET     (16 << 20)
#define MAX_PACKET_IDS 65536
#define MAX_ENDS       4
#define MAX_EVENTS     64 /* looked at in a turn; the others are there in the next */

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

struct broker_client {
	struct broker *of;
	LIST_ENTRY(broker_client) entry;
	TAILQ_ENTRY(broker_client) writing; /* while it has output that nobody has tried to write */
	bool is_writing, is_watched_for_writing;
	int fd;
	SSL *tls;	   /* NULL: it speaks plainly */
	bool is_connected; /* its CONNECT was accepted */
	bool is_v5;
	char **filters;
	size_t n_filters;
	struct buf in, out;
	size_t out_done; /* bytes of `out` that are written */
	uint16_t last_id;
	size_t n_unacked;
	bool *is_unacked; /* MAX_PACKET_IDS of them; NULL: nothing was ever sent to it with QoS 1 */
};

struct broker {
	void (*on_message)(void *ctx, const char *payload, size_t len);
	void *ctx;
	int listener, epoll, port;
	SSL_CTX *tls; /* NULL: clients speak plainly */
	LIST_HEAD(, broker_client) clients;
	TAILQ_HEAD(, broker_client) writing;
	size_t n_connected, n_dropped;
	size_t n_unacked; /* of all clients */
	int64_t second;	  /* of the last connect that was accepted */
	size_t n_in_second, most_in_second;
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

static void skip_properties(const struct broker_client *c, struct reader *r)
{
	if (c->is_v5)
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

static bool on_connect(struct broker_client *c, struct reader *r)
{
	take(r, take_u16(r)); /* the protocol's name */
	/* mosquitto's bridges set the highest bit */
	c->is_v5 = (take_byte(r) & 0x7f) == 5;
	if (r->is_short)
		return false;
	c->is_connected = true;
	c->of->n_connected++;
	put_header(&c->out, CONNACK, 0, c->is_v5 ? 3 : 2);
	put_u16(&c->out, 0); /* no session, accepted */
	if (c->is_v5)
		buf_putc(&c->out, 0);
	return true;
}

static bool on_subscribe(struct broker_client *c, struct reader *r)
{
	size_t id = take_u16(r);
	struct buf codes = { 0 };

	skip_properties(c, r);
	while (r->at < r->end && !r->is_short) {
		size_t len = take_u16(r);
		const char *filter = take(r, len);
		size_t qos = take_byte(r) & 3;

		if (r->is_short)
			break;
		c->filters = mem_grow(c->filters, c->n_filters, sizeof *c->filters);
		c->filters[c->n_filters++] = mem_strndup(filter, len);
		buf_putc(&codes, qos ? 1 : 0);
	}
	put_header(&c->out, SUBACK, 0, (c->is_v5 ? 3U : 2U) + codes.len);
	put_u16(&c->out, id);
	if (c->is_v5)
		buf_putc(&c->out, 0);
	buf_append(&c->out, buf_str(&codes), codes.len);
	buf_fini(&codes);
	return !r->is_short;
}

static void forget_filter(struct broker_client *c, const char *filter, size_t len)
{
	for (size_t i = 0; i < c->n_filters; i++) {
		if (strlen(c->filters[i]) != len || memcmp(c->filters[i], filter, len) != 0)
			continue;
		free(c->filters[i]);
		c->filters[i] = c->filters[--c->n_filters];
		return;
	}
}

static bool on_unsubscribe(struct broker_client *c, struct reader *r)
{
	size_t id = take_u16(r), n = 0;

	skip_properties(c, r);
	for (; r->at < r->end && !r->is_short; n++) {
		size_t len = take_u16(r);
		const char *filter = take(r, len);

		if (filter)
			forget_filter(c, filter, len);
	}
	put_header(&c->out, UNSUBACK, 0, c->is_v5 ? 3 + n : 2);
	put_u16(&c->out, id);
	for (size_t i = 0; c->is_v5 && i < 1 + n; i++)
		buf_putc(&c->out, 0); /* no properties, and a code for each */
	return !r->is_short;
}

static bool on_publish(struct broker_client *c, struct reader *r, size_t flags)
{
	size_t qos = flags >> 1 & 3, id = 0;

	take(r, take_u16(r)); /* the topic */
	if (qos)
		id = take_u16(r);
	skip_properties(c, r);
	if (r->is_short || qos > 1)
		return false;
	c->of->on_message(c->of->ctx, (const char *)r->at, (size_t)(r->end - r->at));
	if (qos) {
		put_header(&c->out, PUBACK, 0, 2);
		put_u16(&c->out, id);
	}
	return true;
}

static bool on_puback(struct broker_client *c, struct reader *r)
{
	size_t id = take_u16(r);

	if (r->is_short || !c->is_unacked || !c->is_unacked[id])
		return false;
	c->is_unacked[id] = false;
	c->n_unacked--;
	c->of->n_unacked--;
	return true;
}

static bool on_packet(struct broker_client *c, size_t first, struct reader *r)
{
	enum packet_type type = (enum packet_type)(first >> 4);

	if (c->is_connected != (type != CONNECT))
		return false;
	switch (type) {
	case CONNECT:
		return on_connect(c, r);
	case SUBSCRIBE:
		return on_subscribe(c, r);
	case UNSUBSCRIBE:
		return on_unsubscribe(c, r);
	case PUBLISH:
		return on_publish(c, r, first & 0xf);
	case PUBACK:
		return on_puback(c, r);
	case PINGREQ:
		put_header(&c->out, PINGRESP, 0, 0);
		return true;
	case DISCONNECT:
	default:
		return false;
	}
}

/* ---- the socket ---- */

/* Have what is put into `out` written in this turn or the next. */
static void write_soon(struct broker_client *c)
{
	if (c->is_writing || c->is_watched_for_writing)
		return;
	c->is_writing = true;
	TAILQ_INSERT_TAIL(&c->of->writing, c, writing);
}

static void write_later(struct broker_client *c)
{
	if (c->is_writing)
		TAILQ_REMOVE(&c->of->writing, c, writing);
	c->is_writing = false;
}

static void drop_client(struct broker_client *c)
{
	struct broker *p = c->of;

	p->n_connected -= c->is_connected;
	p->n_dropped++;
	p->n_unacked -= c->n_unacked;
	LIST_REMOVE(c, entry);
	write_later(c);
	SSL_free(c->tls);
	close(c->fd);
	free(c->is_unacked);
	for (size_t i = 0; i < c->n_filters; i++)
		free(c->filters[i]);
	free(c->filters);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static void watch(struct broker_client *c, int op, bool is_writing)
{
	struct epoll_event event = { .events = EPOLLIN | (is_writing ? EPOLLOUT : 0) };

	event.data.ptr = c;
	c->is_watched_for_writing = is_writing;
	epoll_ctl(c->of->epoll, op, c->fd, &event);
}

static void count_accepted(struct broker *p)
{
	int64_t second = clock_mono_ms() / 1000;

	p->n_in_second = second == p->second ? p->n_in_second + 1 : 1;
	p->second = second;
	if (p->n_in_second > p->most_in_second)
		p->most_in_second = p->n_in_second;
}

static void accept_client(struct broker *p)
{
	struct broker_client *c;
	int on = 1, fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	count_accepted(p);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c = mem_zalloc(sizeof *c);
	c->of = p;
	c->fd = fd;
	c->tls = p->tls ? broker_tls_accept(p->tls, fd) : NULL;
	LIST_INSERT_HEAD(&p->clients, c, entry);
	watch(c, EPOLL_CTL_ADD, false);
}

/* All whole packets of `in`; false: the protocol was broken. */
static bool read_packets(struct broker_client *c)
{
	const unsigned char *start = (const unsigned char *)c->in.data, *end = start + c->in.len;
	bool ok = true;

	while (ok && end - start >= 2) {
		struct reader r = { start + 1, end, false };
		size_t length = take_length(&r);

		if (r.is_short || (size_t)(end - r.at) < length) {
			ok = length <= MAX_PACKET && end - start < MAX_PACKET;
			break;
		}
		r.end = r.at + length;
		ok = on_packet(c, *start, &r);
		start = r.end;
	}
	c->in.len = (size_t)(end - start);
	memmove(c->in.data, start, c->in.len);
	return ok;
}

/* False: it is gone. */
static bool read_some(struct broker_client *c)
{
	ssize_t n;

	buf_reserve(&c->in, CHUNK);
	n = c->tls ? broker_tls_read(c->tls, c->in.data + c->in.len, CHUNK)
		   : recv(c->fd, c->in.data + c->in.len, CHUNK, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n > 0)
		c->in.len += (size_t)n;
	if (n <= 0 || !read_packets(c)) {
		drop_client(c);
		return false;
	}
	if (c->out_done < c->out.len)
		write_soon(c);
	return true;
}

static void write_some(struct broker_client *c)
{
	const char *from = c->out.data + c->out_done;
	size_t len = c->out.len - c->out_done;
	ssize_t n =
		c->tls ? broker_tls_write(c->tls, from, len) : send(c->fd, from, len, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop_client(c);
		return;
	}
	c->out_done += n > 0 ? (size_t)n : 0;
	if (c->out_done == c->out.len) {
		buf_reset(&c->out);
		c->out_done = 0;
	}
	if ((c->out_done < c->out.len) != c->is_watched_for_writing)
		watch(c, EPOLL_CTL_MOD, c->out_done < c->out.len);
}

static void write_all(struct broker *p)
{
	struct broker_client *c;

	while ((c = TAILQ_FIRST(&p->writing))) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		write_later(c);
		write_some(c);
	}
}

static void look(struct broker *p)
{
	struct epoll_event events[MAX_EVENTS];
	int n = epoll_wait(p->epoll, events, MAX_EVENTS, 0);

	for (int i = 0; i < n; i++) {
		struct broker_client *c = events[i].data.ptr;

		if (!c)
			accept_client(p);
		else if ((!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || read_some(c)) &&
			 events[i].events & EPOLLOUT)
			write_some(c);
	}
}

void broker_turn(struct broker *const *ends, size_t n, int64_t timeout_us)
{
	struct pollfd fds[MAX_ENDS];
	struct timespec timeout = { timeout_us / 1000000, timeout_us % 1000000 * 1000 };

	assert(n <= MAX_ENDS);
	for (size_t i = 0; i < n; i++) {
		write_all(ends[i]);
		fds[i] = (struct pollfd){ .fd = ends[i]->epoll, .events = POLLIN };
	}
	if (ppoll(fds, n, &timeout, NULL) <= 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (fds[i].revents)
			look(ends[i]);
}

/* ---- the caller's side ---- */

/* On its port, if it has one. */
static bool listen_there(struct broker *p)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof address;
	struct epoll_event event = { .events = EPOLLIN };
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)p->port);
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->epoll < 0 || p->listener < 0 ||
	    setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
	    bind(p->listener, (struct sockaddr *)&address, len) != 0 ||
	    listen(p->listener, SOMAXCONN) != 0 ||
	    getsockname(p->listener, (struct sockaddr *)&address, &len) != 0 ||
	    epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->listener, &event) != 0)
		return false;
	p->port = ntohs(address.sin_port);
	return true;
}

bool broker_listen(struct broker *p, struct err *e)
{
	if (listen_there(p))
		return true;
	err_errno(e, "listen on 127.0.0.1");
	return false;
}

struct broker *broker_open(void (*on_message)(void *ctx, const char *payload, size_t len),
			   void *ctx, SSL_CTX *tls, struct err *e)
{
	struct broker *p = mem_zalloc(sizeof *p);

	p->on_message = on_message;
	p->ctx = ctx;
	p->tls = tls;
	p->listener = -1;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	LIST_INIT(&p->clients);
	TAILQ_INIT(&p->writing);
	if (!broker_listen(p, e)) {
		broker_close(p);
		return NULL;
	}
	return p;
}

void broker_fall(struct broker *p)
{
	while (!LIST_EMPTY(&p->clients))
		drop_client(LIST_FIRST(&p->clients));
	if (p->listener >= 0)
		close(p->listener);
	p->listener = -1;
	p->most_in_second = 0;
}

void broker_close(struct broker *p)
{
	if (!p)
		return;
	broker_fall(p);
	if (p->epoll >= 0)
		close(p->epoll);
	free(p);
}

int broker_port(const struct broker *p)
{
	return p->port;
}

size_t broker_connected(const struct broker *p)
{
	return p->n_connected;
}

size_t broker_most_in_second(const struct broker *p)
{
	return p->most_in_second;
}

size_t broker_dropped(const struct broker *p)
{
	return p->n_dropped;
}

static bool has_subscribed(const struct broker_client *c, const char *topic)
{
	for (size_t i = 0; i < c->n_filters; i++)
		if (topic_filter_covers(c->filters[i], topic))
			return true;
	return false;
}

struct broker_client *broker_subscriber(const struct broker *p, const char *topic)
{
	struct broker_client *c;

	LIST_FOREACH (c, &p->clients, entry)
		if (has_subscribed(c, topic))
			return c;
	return NULL;
}

static size_t next_id(struct broker_client *c)
{
	assert(c->n_unacked < MAX_PACKET_IDS - 1);
	if (!c->is_unacked)
		c->is_unacked = mem_zalloc(MAX_PACKET_IDS * sizeof *c->is_unacked);
	do {
		c->last_id++;
	} while (c->last_id == 0 || c->is_unacked[c->last_id]); /* MQTT 2.3.1: 0 is no id */
	c->is_unacked[c->last_id] = true;
	c->n_unacked++;
	c->of->n_unacked++;
	return c->last_id;
}

void broker_publish(struct broker_client *c, const char *topic, const char *payload, size_t len,
		    int qos)
{
	size_t n_topic = strlen(topic);
	size_t length = 2 + n_topic + (qos ? 2 : 0) + (c->is_v5 ? 1 : 0) + len;

	assert(c->is_connected);
	put_header(&c->out, PUBLISH, (unsigned)qos << 1, length);
	put_u16(&c->out, n_topic);
	buf_append(&c->out, topic, n_topic);
	if (qos)
		put_u16(&c->out, next_id(c));
	if (c->is_v5)
		buf_putc(&c->out, 0);
	buf_append(&c->out, payload, len);
	write_soon(c);
}

size_t broker_unacked(const struct broker *p)
{
	return p->n_unacked;
}
