/* channel.c -- a frame is a length of four bytes, with which the descriptors come, and that many bytes. */
#include "work/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/pack.h"

#define MAX_BYTES (64u << 20)

bool channel_open(int ends[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0)
		return true;
	err_errno(e, "socketpair");
	return false;
}

/* The control part of a message with descriptors. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
};

static bool send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Few enough bytes to go at once. */
static bool send_with(int fd, struct buf *head, const int *fds, size_t n_fds)
{
	union control control = { .bytes = { 0 } };
	struct iovec part = { head->data, head->len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;
	ssize_t n;

	if (n_fds > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof *fds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof *fds);
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof *fds);
	}
	while ((n = sendmsg(fd, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return n == (ssize_t)head->len;
}

bool channel_send(int fd, const struct buf *bytes, const int *fds, size_t n_fds)
{
	struct buf head = { 0 };
	bool ok;

	pack_u32(&head, (uint32_t)bytes->len);
	ok = bytes->len <= MAX_BYTES && send_with(fd, &head, fds, n_fds) &&
	     send_all(fd, buf_str(bytes), bytes->len);
	buf_fini(&head);
	return ok;
}

static bool receive_all(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

static void take_fds(struct channel_message *m, struct msghdr *head)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(head);

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(m->fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
}

static bool receive_head(int fd, struct channel_message *m, uint32_t *len)
{
	union control control;
	char bytes[sizeof *len];
	struct iovec part = { bytes, sizeof bytes };
	struct msghdr head = { .msg_iov = &part,
			       .msg_iovlen = 1,
			       .msg_control = control.bytes,
			       .msg_controllen = sizeof control.bytes };
	struct unpack u = { .p = bytes, .left = sizeof bytes };
	ssize_t n;

	while ((n = recvmsg(fd, &head, MSG_CMSG_CLOEXEC | MSG_WAITALL)) < 0 && errno == EINTR)
		;
	if (n > 0)
		take_fds(m, &head);
	*len = unpack_u32(&u);
	return n == sizeof bytes && *len <= MAX_BYTES;
}

bool channel_receive(int fd, struct channel_message *m)
{
	uint32_t len;

	*m = (struct channel_message){ .fds = { -1, -1 } };
	if (!receive_head(fd, m, &len))
		return false;
	buf_reserve(&m->bytes, len);
	m->bytes.len = len;
	m->bytes.data[len] = '\0';
	return receive_all(fd, m->bytes.data, len);
}

void channel_message_fini(struct channel_message *m)
{
	for (size_t i = 0; i < CHANNEL_FDS; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	buf_fini(&m->bytes);
	*m = (struct channel_message){ .fds = { -1, -1 } };
}
