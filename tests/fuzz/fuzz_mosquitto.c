/* A session, and libmosquitto in it, with whatever a hostile broker says.
 *
 * A byte: MQTT 5 or not, and whether a good CONNACK and SUBACK stand before the rest.  The broker answers the
 * CONNECT with it all and hangs up; the session is then given up. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "net/loop.h"
#include "net/session.h"

static struct loop *loop;
static int listener = -1, port;

/* One connection. */
static struct exchange {
	struct input in;
	bool is_5, is_polite, is_over;
	struct loop_watch listening, talking;
	int fd;
} x;

static void hang_up(struct exchange *e)
{
	e->is_over = true;
	loop_stop(loop);
}

static void say(const void *p, size_t n)
{
	ssize_t sent = send(x.fd, p, n, MSG_NOSIGNAL);

	(void)sent; /* it may have hung up before */
}

/* The CONNECT is here (or whatever it is). */
static void on_asked(void *ctx, bool readable, bool writable)
{
	static const unsigned char good_4[] = { 0x20, 2, 0, 0, 0x90, 3, 0, 1, 1 };
	static const unsigned char good_5[] = { 0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 1 };
	struct exchange *e = ctx;
	char ignored[4096];

	(void)writable;
	if (!readable || recv(e->fd, ignored, sizeof ignored, 0) <= 0 || !e->in.p) {
		hang_up(e);
		return;
	}
	if (e->is_polite && e->is_5)
		say(good_5, sizeof good_5);
	else if (e->is_polite)
		say(good_4, sizeof good_4);
	say(e->in.p, e->in.left);
	e->in.p = NULL;
	shutdown(e->fd, SHUT_WR);
}

static void on_connection(void *ctx, bool readable, bool writable)
{
	struct exchange *e = ctx;

	(void)readable;
	(void)writable;
	if (e->fd >= 0)
		return;
	e->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (e->fd < 0)
		return;
	e->talking = (struct loop_watch){ .on_ready = on_asked, .ctx = e };
	loop_watch(loop, &e->talking, e->fd, true, false);
}

static void on_up(void *ctx)
{
	(void)ctx;
}

static void on_down(void *ctx, enum session_end end)
{
	(void)end;
	hang_up(ctx);
}

static void on_message(void *ctx, const struct message *m)
{
	(void)ctx;
	assert(m->topic);
}

static void on_acked(void *ctx, int mid, int code, const char *reason)
{
	(void)ctx;
	(void)mid;
	(void)code;
	(void)reason;
}

static void on_refused(void *ctx, const struct message *m, bool is_too_large, const char *reason)
{
	(void)ctx;
	(void)m;
	(void)is_too_large;
	assert(reason[0]);
}

static struct session *session;

static void before_sleep(void *ctx, int64_t now_ms)
{
	static uint64_t commit;

	(void)ctx;
	(void)now_ms;
	if (!session)
		return;
	++commit;
	session_flush(session, commit, commit);
	session_let_out(session, commit);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	struct err e = { 0 };

	(void)argc;
	(void)argv;
	if (!freopen("/dev/null", "w", stdout))
		abort();
	loop = loop_new(&e);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert(loop && listener >= 0);
	if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 8) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) != 0)
		abort();
	port = ntohs(address.sin_port);
	loop_before_sleep(loop, before_sleep, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct session_ops ops = { .on_up = on_up,
						.on_down = on_down,
						.on_message = on_message,
						.on_acked = on_acked,
						.on_refused = on_refused };
	static const struct session_filter filter = { .filter = "a/#",
						      .qos = 1,
						      .kinds = "command" };
	struct session_conf conf = { .name = "fuzz",
				     .host = "127.0.0.1",
				     .port = port,
				     .client_id = "fuzz",
				     .keepalive_s = 60,
				     .max_packet = 4096,
				     .filters = &filter,
				     .n_filters = 1 };
	struct err e = { 0 };
	unsigned how;

	x = (struct exchange){ .in = { (const char *)data, n }, .fd = -1 };
	how = take_byte(&x.in);
	x.is_5 = how & 1;
	x.is_polite = how & 2;
	conf.mqtt = x.is_5 ? 5 : 4;
	x.listening = (struct loop_watch){ .on_ready = on_connection, .ctx = &x };
	loop_watch(loop, &x.listening, listener, true, false);
	session = session_new(loop, &conf, &ops, &x, &e);
	assert(session);
	session_start(session);
	while (!x.is_over)
		loop_run(loop);
	session_free(session);
	session = NULL;
	loop_watch(loop, &x.listening, listener, false, false);
	if (x.fd >= 0) {
		loop_watch(loop, &x.talking, x.fd, false, false);
		close(x.fd);
	}
	uv_run(loop_uv(loop), UV_RUN_NOWAIT); /* what was closed lets go */
	return 0;
}
