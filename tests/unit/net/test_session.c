/* Sessions against a real mosquitto on a loopback port that the kernel picked.  Waiting is for
 * events, with one guard over all. */
#include "net/session.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/gather.h"
#include "net/loop.h"
#include "net/session_inside.h"
#include "message/mqtt_version.h"

#define MOSQUITTO  "/usr/sbin/mosquitto"
#define GUARD_MS   20000
#define MAX_CLIENT 4

struct bench;

struct client {
	struct bench *bench;
	struct session *session;
	bool is_silent; /* never flushed */
	uint64_t lag;	/* so many commits are in flight */
	bool is_stuck;	/* no further commit is ever durable */
	bool is_plain;	/* what it publishes waits for none */
	uint64_t durable;
	int to_publish;	  /* as soon as the session takes it */
	int brings;	  /* publishes so many to d/x when it is up, and visits if held */
	int unsubscribed; /* a bit for each old filter, told once */
	int ups, downs, refusals, messages, acks, answers;
	enum session_end end; /* the last one */
	struct message last;
	int refused; /* of what came in */
	bool is_too_large;
	struct message last_refused;
	char refused_reason[200];
	int acked_mid, acked_code;
	char acked_reason[80];
};

struct bench {
	struct loop *loop;
	char dir[64];
	int port, reserved; /* see reserve_port() */
	pid_t broker;
	int broker_log;
	int real_stderr;
	struct client clients[MAX_CLIENT];
	size_t n_clients;
	uint64_t commit;
	const int *counter; /* what is waited for */
	int target;
	struct loop_timer guard, turn;
	bool is_late;
};

TestSuite(session, .timeout = 60);

/* ---- a gate in the resolver: the executable's own getaddrinfo goes before libc's ---- */

static sem_t gate;
static atomic_int n_at_gate;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **result)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (node && strcmp(node, "slow.invalid") == 0) {
		atomic_fetch_add(&n_at_gate, 1);
		sem_wait(&gate);
		return EAI_NONAME;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, result);
}

/* ---- files ---- */

static char *path_of(const struct bench *b, const char *name)
{
	static char ring[8][128];
	static size_t turn;
	char *path = ring[turn++ % 8];

	snprintf(path, sizeof ring[0], "%s/%s", b->dir, name);
	return path;
}

static void write_file(const struct bench *b, const char *name, const char *text)
{
	FILE *f = fopen(path_of(b, name), "w");

	cr_assert(f);
	fputs(text, f);
	fclose(f);
}

static char *read_log(const struct bench *b)
{
	static char text[65536];
	FILE *f = fopen(path_of(b, "log"), "r");
	size_t n;

	cr_assert(f);
	fflush(stderr);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void expect_log(const struct bench *b, const char *piece)
{
	const char *text = read_log(b);

	cr_expect(strstr(text, piece), "no '%s' in:\n%s", piece, text);
}

static void run(const struct bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void run(const struct bench *b, const char *fmt, ...)
{
	struct buf line = { 0 };
	va_list ap;

	buf_printf(&line, "cd %s && ", b->dir);
	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	buf_puts(&line, " >tool.log 2>&1");
	cr_assert_eq(system(line.data), 0, "%s", line.data);
	buf_fini(&line);
}

static void remove_dir(const struct bench *b)
{
	char *line = mem_printf("rm -rf %s", b->dir);

	cr_expect_eq(system(line), 0);
	free(line);
}

/* ---- the broker ---- */

/* A port that nobody gets but a broker that asks for just this one: it stays bound, and brokers reuse addresses. */
static void reserve_port(struct bench *b)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) == 0);
	cr_assert(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
	cr_assert(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
	b->port = ntohs(at.sin_port);
	b->reserved = fd;
}

static void wait_until_running(struct bench *b)
{
	char text[16384];
	size_t n = 0;

	for (;;) {
		struct pollfd p = { .fd = b->broker_log, .events = POLLIN };
		ssize_t got;

		cr_assert(poll(&p, 1, GUARD_MS) == 1, "the broker says nothing");
		got = read(b->broker_log, text + n, sizeof text - 1 - n);
		cr_assert(got > 0, "the broker ended: %.*s", (int)n, text);
		n += (size_t)got;
		text[n] = '\0';
		if (strstr(text, " running"))
			return;
	}
}

static void start_broker(struct bench *b)
{
	int out[2];

	cr_assert(pipe(out) == 0);
	b->broker = fork();
	if (b->broker == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test does not get to stop it */
		dup2(out[1], STDERR_FILENO);
		execl(MOSQUITTO, MOSQUITTO, "-c", path_of(b, "mosquitto.conf"), (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	b->broker_log = out[0];
	wait_until_running(b);
}

static void stop_broker(struct bench *b)
{
	kill(b->broker, SIGTERM);
	waitpid(b->broker, NULL, 0);
	close(b->broker_log);
	b->broker = 0;
}

/* `more`: lines of the broker's configuration; "%s" in them is the directory. */
static void configure_broker(struct bench *b, const char *more)
{
	struct buf conf = { 0 };

	buf_printf(&conf,
		   "%spersistence false\nlog_dest stderr\nlog_type information\n"
		   "connection_messages false\nlistener %d localhost\n", /* of either family */
		   geteuid() == 0 ? "user root\n" : "", b->port);
	for (const char *p = more; *p; p++) {
		if (p[0] == '%' && p[1] == 's')
			buf_puts(&conf, b->dir), p++;
		else
			buf_putc(&conf, *p);
	}
	write_file(b, "mosquitto.conf", conf.data);
	buf_fini(&conf);
}

/* ---- the bench ---- */

static int publish(struct client *c, const char *topic, const char *payload, int qos);

static void on_turn(void *ctx)
{
	(void)ctx;
}

static void before_sleep(void *ctx, int64_t now_ms)
{
	struct bench *b = ctx;

	(void)now_ms;
	b->commit++;
	for (size_t i = 0; i < b->n_clients; i++) {
		struct client *c = &b->clients[i];

		if (c->session && !c->is_silent) {
			while (c->to_publish && session_takes(c->session)) {
				publish(c, "t/x", "payload", 1);
				c->to_publish--;
			}
			if (!c->is_stuck && b->commit > c->lag)
				c->durable = b->commit - c->lag;
			session_flush(c->session, b->commit, c->is_plain ? 0 : b->commit);
			session_let_out(c->session, c->durable);
			if (c->lag) /* more commits come */
				loop_timer_set(b->loop, &b->turn, 1, on_turn, b);
		}
		if (b->clients[i].brings)
			session_visit(b->clients[i].session);
	}
	if (b->counter && *b->counter >= b->target)
		loop_stop(b->loop);
}

static void on_guard(void *ctx)
{
	struct bench *b = ctx;

	b->is_late = true;
	loop_stop(b->loop);
}

/* Run the loop until the counter has reached `target`. */
static void await(struct bench *b, const int *counter, int target)
{
	b->counter = counter;
	b->target = target;
	if (*counter < target)
		loop_run(b->loop);
	cr_assert(!b->is_late && *counter >= target, "late; log so far:\n%s", read_log(b));
}

static void bench_init(struct bench *b)
{
	struct err e = { 0 };

	memset(b, 0, sizeof *b);
	strcpy(b->dir, "/tmp/calque-session-XXXXXX");
	cr_assert(mkdtemp(b->dir));
	fflush(stderr);
	b->real_stderr = dup(STDERR_FILENO);
	cr_assert(freopen(path_of(b, "log"), "w", stderr));
	reserve_port(b);
	b->loop = loop_new(&e);
	cr_assert(b->loop, "%s", e.text);
	loop_before_sleep(b->loop, before_sleep, b);
	loop_timer_set(b->loop, &b->guard, GUARD_MS, on_guard, b);
}

static void client_close(struct client *c)
{
	session_free(c->session);
	c->session = NULL;
	message_fini(&c->last);
	message_fini(&c->last_refused);
}

static void bench_fini(struct bench *b)
{
	for (size_t i = 0; i < b->n_clients; i++)
		client_close(&b->clients[i]);
	loop_timer_close(&b->guard, NULL);
	loop_timer_close(&b->turn, NULL);
	loop_free(b->loop);
	if (b->broker)
		stop_broker(b);
	close(b->reserved);
	remove_dir(b);
	fflush(stderr);
	dup2(b->real_stderr, STDERR_FILENO); /* where the leak report goes */
	close(b->real_stderr);
}

static void with_broker(struct bench *b, const char *more)
{
	bench_init(b);
	configure_broker(b, more);
	start_broker(b);
}

/* ---- clients ---- */

static void on_up(void *ctx)
{
	struct client *c = ctx;

	c->ups++;
	for (int i = 0; i < c->brings; i++)
		publish(c, "d/x", "brought", 1);
}

static void on_down(void *ctx, enum session_end end)
{
	struct client *c = ctx;

	c->downs++;
	c->end = end;
	c->refusals += end == SESSION_END_REFUSED;
}

static void on_message(void *ctx, const struct message *m)
{
	struct client *c = ctx;

	message_fini(&c->last);
	message_copy(&c->last, m);
	c->messages++;
}

static void on_acked(void *ctx, int mid, int code, const char *reason)
{
	struct client *c = ctx;

	c->acks++;
	c->acked_mid = mid;
	c->acked_code = code;
	snprintf(c->acked_reason, sizeof c->acked_reason, "%s", reason);
}

static void on_unsubscribed(void *ctx, size_t old)
{
	struct client *c = ctx;

	c->unsubscribed += 1 << old;
}

static void on_answered(void *ctx)
{
	((struct client *)ctx)->answers++;
}

static void on_refused(void *ctx, const struct message *m, bool is_too_large, const char *reason)
{
	struct client *c = ctx;

	c->refused++;
	c->is_too_large = is_too_large;
	snprintf(c->refused_reason, sizeof c->refused_reason, "%s", reason);
	message_fini(&c->last_refused);
	if (m)
		message_copy(&c->last_refused, m);
}

static const struct session_ops ops = { .on_up = on_up,
					.on_down = on_down,
					.on_message = on_message,
					.on_acked = on_acked,
					.on_unsubscribed = on_unsubscribed,
					.on_answered = on_answered,
					.on_refused = on_refused };
static const struct session_filter t_filter[] = { { "t/#", 1, "command,config", NULL } };

/* A configuration for a client that subscribes to t/#. */
static struct session_conf conf_for(const struct bench *b, const char *client_id, int mqtt)
{
	return (struct session_conf){ .name = "link=test side=north",
				      .host = "127.0.0.1",
				      .port = b->port,
				      .client_id = client_id,
				      .keepalive_s = 60,
				      .mqtt = mqtt,
				      .filters = t_filter,
				      .n_filters = 1 };
}

static void open_session(struct client *c, const struct session_conf *conf)
{
	struct err e = { 0 };

	c->session = session_new(c->bench->loop, conf, &ops, c, &e);
	cr_assert(c->session, "%s", e.text);
	session_start(c->session);
}

static struct client *open_client(struct bench *b, const struct session_conf *conf)
{
	struct client *c = &b->clients[b->n_clients++];

	c->bench = b;
	open_session(c, conf);
	return c;
}

static int publish(struct client *c, const char *topic, const char *payload, int qos)
{
	struct message m = { .topic = (char *)topic, .qos = qos };
	struct err e = { 0 };
	int mid = 0;

	message_set_payload(&m, payload, strlen(payload));
	cr_assert(session_publish(c->session, &m, &mid, &e), "%s", e.text);
	free(m.payload);
	return mid;
}

/* ---- plain ---- */

static const char open_to_all[] = "allow_anonymous true\n";

Test(session, subscribes_publishes_and_receives_with_3_1_1)
{
	struct bench b;
	struct client *c;
	int mid;

	with_broker(&b, open_to_all);
	c = open_client(&b, &(struct session_conf){ .name = "link=test side=north",
						    .host = "localhost",
						    .port = b.port,
						    .client_id = "one",
						    .keepalive_s = 1,
						    .mqtt = 4,
						    .filters = t_filter,
						    .n_filters = 1 });
	cr_expect(!session_is_up(c->session));
	await(&b, &c->ups, 1);
	cr_expect(session_is_up(c->session));
	mid = publish(c, "t/x", "{\"a\":1}", 1);
	await(&b, &c->messages, 1);
	await(&b, &c->acks, 1);
	cr_expect_eq(c->acked_mid, mid);
	cr_expect_eq(c->acked_code, 0);
	cr_expect_str_eq(c->last.topic, "t/x");
	cr_expect_str_eq(c->last.payload, "{\"a\":1}");
	cr_expect_eq(c->last.payload_len, 7);
	cr_expect_eq(c->last.qos, 1);
	publish(c, "t/empty", "", 0);
	await(&b, &c->messages, 2);
	await(&b, &c->acks, 2);
	cr_expect_null(c->last.payload);
	expect_log(&b, "info session-up link=test side=north present=0\n");
	bench_fini(&b);
}

Test(session, carries_properties_with_5)
{
	struct message m = { .topic = (char *)"t/x",
			     .qos = 1,
			     .response_topic = (char *)"t/reply",
			     .correlation = (char *)"a\0b",
			     .correlation_len = 3 };
	struct client *from, *to;
	struct err e = { 0 };
	struct bench b;
	int mid;

	with_broker(&b, open_to_all);
	from = open_client(&b, &(struct session_conf){ .name = "from",
						       .host = "127.0.0.1",
						       .port = b.port,
						       .client_id = "from",
						       .mqtt = 5 });
	to = open_client(&b, &(struct session_conf){ .name = "to",
						     .host = "127.0.0.1",
						     .port = b.port,
						     .client_id = "to",
						     .keepalive_s = 60,
						     .mqtt = 5,
						     .filters = t_filter,
						     .n_filters = 1 });
	await(&b, &from->ups, 1);
	await(&b, &to->ups, 1);
	vars_add(&m.properties, "k", "v");
	vars_add(&m.properties, "k", "w");
	cr_assert(session_publish(from->session, &m, &mid, &e), "%s", e.text);
	vars_fini(&m.properties);
	await(&b, &to->messages, 1);
	cr_assert_eq(to->last.properties.n, 2);
	cr_expect_str_eq(to->last.properties.items[0].value, "v");
	cr_expect_str_eq(to->last.properties.items[1].value, "w");
	cr_expect_str_eq(to->last.response_topic, "t/reply");
	cr_assert_eq(to->last.correlation_len, 3);
	cr_expect_arr_eq(to->last.correlation, "a\0b", 3);
	bench_fini(&b);
}

Test(session, does_not_hear_itself_with_5)
{
	struct client *c, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	c = open_client(&b, &(struct session_conf){ .name = "c",
						    .host = "127.0.0.1",
						    .port = b.port,
						    .client_id = "c",
						    .mqtt = 5,
						    .filters = t_filter,
						    .n_filters = 1 });
	other = open_client(&b, &(struct session_conf){ .name = "other",
							.host = "127.0.0.1",
							.port = b.port,
							.client_id = "other",
							.mqtt = 5 });
	await(&b, &c->ups, 1);
	await(&b, &other->ups, 1);
	publish(c, "t/x", "mine", 1);
	await(&b, &c->acks, 1);
	publish(other, "t/x", "theirs", 1);
	await(&b, &c->messages, 1);
	cr_expect_str_eq(c->last.payload, "theirs");
	bench_fini(&b);
}

Test(session, refuses_what_mqtt_cannot_carry)
{
	static const struct {
		const char *topic, *response;
		size_t correlation_len;
	} cases[] = {
		{ "t/+", NULL, 0 }, { "", NULL, 0 }, { "t/x", "a/#", 0 }, { "t/x", "r", 70000 }
	};
	struct err e = { 0 };
	struct client *c;
	struct bench b;
	int mid;

	with_broker(&b, open_to_all);
	c = open_client(&b, &(struct session_conf){ .name = "c",
						    .host = "127.0.0.1",
						    .port = b.port,
						    .client_id = "c",
						    .mqtt = 5 });
	cr_expect(!session_publish(c->session, &(struct message){ .topic = (char *)"t/x" }, &mid,
				   &e));
	cr_expect_eq(e.code, ERR_NET);
	await(&b, &c->ups, 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct message m = { .topic = (char *)cases[i].topic,
				     .response_topic = (char *)cases[i].response,
				     .correlation = (char *)"",
				     .correlation_len = cases[i].correlation_len };

		cr_expect(!session_publish(c->session, &m, &mid, &e), "case %zu", i);
		cr_expect_eq(e.code, ERR_INVALID, "case %zu: %s", i, e.text);
	}
	publish(c, "t/x", "", 1);
	await(&b, &c->acks, 1);
	bench_fini(&b);
}

Test(session, carries_payloads_larger_than_socket_buffers)
{
	size_t n = 6 * 1024 * 1024;
	char *big = mem_alloc(n + 1);
	struct client *c;
	struct bench b;

	memset(big, 'x', n);
	big[n] = '\0';
	with_broker(&b, open_to_all);
	c = open_client(&b, &(struct session_conf){ .name = "c",
						    .host = "127.0.0.1",
						    .port = b.port,
						    .client_id = "c",
						    .mqtt = 4,
						    .filters = t_filter,
						    .n_filters = 1 });
	await(&b, &c->ups, 1);
	for (int i = 0; i < 3; i++)
		publish(c, "t/big", big, 1);
	await(&b, &c->messages, 3);
	await(&b, &c->acks, 3);
	cr_expect_eq(c->last.payload_len, n);
	cr_expect_eq(memcmp(c->last.payload, big, n), 0);
	free(big);
	bench_fini(&b);
}

/* ---- losing and refusing ---- */

Test(session, comes_back_when_the_broker_does)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	stop_broker(&b);
	await(&b, &c->downs, 1);
	cr_expect(!session_is_up(c->session));
	cr_expect_eq(c->refusals, 0);
	start_broker(&b);
	await(&b, &c->ups, 2);
	publish(c, "t/x", "again", 1);
	await(&b, &c->messages, 1);
	expect_log(&b,
		   "warning session-down link=test side=north reason=\"the connection was lost\" "
		   "retry_ms=");
	expect_log(&b, "warning session-lost link=test side=north");
	bench_fini(&b);
}

Test(session, tells_an_end_by_the_broker_from_others)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	session_set_login(c->session, NULL, NULL, "two");
	cr_expect_eq(c->end, SESSION_END_OURS);
	await(&b, &c->ups, 2);
	stop_broker(&b);
	await(&b, &c->downs, 2);
	cr_expect_eq(c->end, SESSION_END_CLOSED);
	await(&b, &c->downs, 3);
	cr_expect_eq(c->end, SESSION_END_UNMADE);
	bench_fini(&b);
}

Test(session, asks_whether_the_broker_is_there)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	session_probe(c->session, true);
	session_set_login(c->session, NULL, NULL, "two"); /* from the next connection on */
	await(&b, &c->answers, 1);
	cr_expect_eq(c->ups, 2);
	cr_expect_eq(c->downs, 1);
	bench_fini(&b);
}

Test(session, finds_its_messages_after_a_while_away)
{
	struct session_conf conf;
	struct client *away, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "away", 5);
	away = open_client(&b, &conf);
	await(&b, &away->ups, 1);
	client_close(away);
	other = open_client(&b, &(struct session_conf){ .name = "other",
							.host = "127.0.0.1",
							.port = b.port,
							.client_id = "other",
							.mqtt = 4 });
	await(&b, &other->ups, 1);
	publish(other, "t/x", "kept", 1);
	await(&b, &other->acks, 1);
	open_session(away, &conf);
	await(&b, &away->messages, 1);
	cr_expect_str_eq(away->last.payload, "kept");
	await(&b, &away->ups, 2);
	expect_log(&b, "present=1");
	bench_fini(&b);
}

static struct client *open_publisher(struct bench *b)
{
	struct client *c = open_client(b, &(struct session_conf){ .name = "other",
								  .host = "127.0.0.1",
								  .port = b->port,
								  .client_id = "other",
								  .mqtt = 4 });

	await(b, &c->ups, 1);
	return c;
}

/* A broker keeps filters with the session; one that kept nothing has none of them. */
static void expect_old_filters_end(int mqtt)
{
	static const struct session_filter before[] = { { "t/#", 1, "command", NULL },
							{ "old/#", 1, "config", NULL } };
	static const char *const old[] = { "old/#", "never" };
	struct session_conf first, second;
	struct client *c, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	first = second = conf_for(&b, "renewed", mqtt);
	first.filters = before;
	first.n_filters = 2;
	second.old = old;
	second.n_old = 2;
	c = open_client(&b, &first);
	await(&b, &c->ups, 1);
	client_close(c);
	open_session(c, &second);
	await(&b, &c->unsubscribed, 3);
	await(&b, &c->ups, 2);
	other = open_publisher(&b);
	publish(other, "old/x", "unheard", 1);
	publish(other, "t/x", "heard", 1);
	await(&b, &c->messages, 1);
	cr_expect_str_eq(c->last.payload, "heard");
	stop_broker(&b);
	await(&b, &c->downs, 1);
	start_broker(&b);
	await(&b, &c->ups, 3);
	cr_expect_eq(c->unsubscribed, 3, "told once");
	second.client_id = "unknown";
	client_close(c);
	c->unsubscribed = 0;
	open_session(c, &second);
	await(&b, &c->unsubscribed, 3);
	bench_fini(&b);
}

Test(session, gives_up_filters_of_an_earlier_configuration_with_3_1_1)
{
	expect_old_filters_end(4);
}

Test(session, gives_up_filters_of_an_earlier_configuration_with_5)
{
	expect_old_filters_end(5);
}

/* Filters that the broker keeps for this client id, and the session knows nothing of. */
static void expect_no_copies(int mqtt_before, size_t n_before, int mqtt)
{
	static const struct session_filter before[] = { { "t/+", 1, "command", NULL },
							{ "u/+", 1, "alarm", NULL },
							{ "+/x", 1, "config", NULL } };
	static const char *const sent[] = { "same", "same", "other", "same", "", "", "end" };
	struct session_conf first, second;
	struct client *c, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	first = conf_for(&b, "twice", mqtt_before);
	second = conf_for(&b, "twice", mqtt);
	first.filters = before;
	first.n_filters = n_before;
	c = open_client(&b, &first);
	await(&b, &c->ups, 1);
	client_close(c);
	open_session(c, &second);
	await(&b, &c->ups, 2);
	other = open_publisher(&b);
	for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++)
		publish(other, "t/x", sent[i], 1);
	publish(other, "u/x", "by the old one alone", 1);
	await(&b, &c->messages, sizeof sent / sizeof sent[0] + 1);
	cr_expect_eq(c->messages, sizeof sent / sizeof sent[0] + 1, "%d", c->messages);
	cr_expect_str_eq(c->last.topic, "u/x");
	bench_fini(&b);
}

Test(session, takes_a_message_once_that_comes_by_several_subscriptions_with_3_1_1)
{
	expect_no_copies(4, 3, 4);
}

Test(session, takes_a_message_once_that_comes_by_several_subscriptions_with_5)
{
	expect_no_copies(5, 3, 5);
}

Test(session, takes_a_message_once_if_a_subscription_is_left_from_3_1_1)
{
	expect_no_copies(4, 2, 5);
}

static void expect_refusal(int mqtt, const char *line)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	run(&b, "mosquitto_passwd -c -b passwords ann right-s3cret");
	configure_broker(&b, "allow_anonymous false\npassword_file %s/passwords\n");
	start_broker(&b);
	conf = conf_for(&b, "one", mqtt);
	conf.username = "ann";
	conf.password = "wrong-s3cret";
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	cr_expect_eq(c->refusals, 1);
	cr_expect_eq(c->ups, 0);
	expect_log(&b, line);
	session_set_login(c->session, "ann", "right-s3cret", "one");
	await(&b, &c->ups, 1);
	cr_expect(!strstr(read_log(&b), "s3cret"), "a password in the log");
	bench_fini(&b);
}

Test(session, says_why_the_login_was_refused_with_3_1_1)
{
	expect_refusal(4,
		       "error login-refused link=test side=north code=5 reason=\"not authorised\" "
		       "retry_ms=");
}

Test(session, says_why_the_login_was_refused_with_5)
{
	expect_refusal(5, "error login-refused link=test side=north code=135 "
			  "reason=\"not authorised\" retry_ms=");
}

Test(session, connects_anew_with_other_credentials)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	session_set_login(c->session, "ann", NULL, "two");
	cr_expect_eq(c->downs, 1);
	session_set_login(c->session, "bob", NULL, "three"); /* while the first is at it */
	await(&b, &c->ups, 2);
	cr_expect_eq(c->downs, 1);
	bench_fini(&b);
}

static void expect_degraded(const struct client *c, const char *text)
{
	struct session_status status;

	session_status(c->session, &status);
	cr_expect_str_eq(status.phase, "up");
	cr_expect(strstr(status.degraded, text), "%s", status.degraded);
}

Test(session, is_up_with_less_than_it_asked_for)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_broker(&b, "max_qos 0\nallow_anonymous true\n");
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	expect_log(&b,
		   "warning subscription-lowered link=test side=north filter=t/# "
		   "kinds=command,config reason=\"granted QoS 0, asked for 1: what comes may be "
		   "lost\"");
	expect_degraded(c, "granted QoS 0");
	bench_fini(&b);
}

Test(session, publishes_at_the_qos_that_the_broker_takes)
{
	struct session_conf conf;
	struct client *c, *d;
	struct bench b;

	with_broker(&b, "max_qos 0\nallow_anonymous true\n");
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	conf = conf_for(&b, "two", 5);
	d = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	await(&b, &d->ups, 1);
	expect_degraded(c, "the broker takes QoS 0 only");
	publish(c, "t/1", "x", 1);
	await(&b, &c->acks, 1);
	await(&b, &d->messages, 1);
	cr_expect_eq(c->acked_code, 0);
	cr_expect_eq(c->downs, 0);
	bench_fini(&b);
}

Test(session, reports_a_refused_publish_with_5)
{
	struct client *c;
	struct bench b;

	bench_init(&b);
	write_file(&b, "acl", "topic readwrite t/#\n");
	chmod(path_of(&b, "acl"), 0600);
	configure_broker(&b, "allow_anonymous true\nacl_file %s/acl\n");
	start_broker(&b);
	c = open_client(&b, &(struct session_conf){ .name = "c",
						    .host = "127.0.0.1",
						    .port = b.port,
						    .client_id = "c",
						    .mqtt = 5 });
	await(&b, &c->ups, 1);
	publish(c, "other", "x", 1);
	await(&b, &c->acks, 1);
	cr_expect_eq(c->acked_code, 0x87);
	cr_expect_str_eq(c->acked_reason, "not authorised");
	bench_fini(&b);
}

/* A broker for one connection that answers as told, in a thread. */
struct fake {
	int listener;
	pthread_t thread;
	unsigned char connack[80], suback_code;
	size_t connack_len;
	unsigned char at_last[80]; /* sent after the SUBACK */
	size_t at_last_len;
	const struct buf *says; /* after that, or after the burst; NULL: nothing */
	bool is_5;
	int n_connections; /* one after the other; 0: 1 */
	int n_pubacks;	   /* that came */
	bool is_mute;	   /* to what is asked by SUBSCRIBE */
	int level;	   /* of the last CONNECT */
	int n_levels[6];   /* CONNECTs, by that */
	bool is_old;	   /* of MQTT 5 it knows only this refusal, and closes */
	unsigned char refusal[8];
	size_t refusal_len;
	SSL_CTX *tls; /* NULL: plain */
	int burst_at; /* PUBLISHes that came; 0: never */
	int burst;    /* how many it sends then */
	bool ends;    /* with the first that comes, of which it keeps the beginning */
	unsigned char publish[32];
	int fd;
	SSL *ssl;
};

#define N_BURST 9 /* bytes of a packet */

static bool fake_get(struct fake *f, unsigned char *p, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t step = f->ssl ? SSL_read(f->ssl, p + got, (int)(n - got))
				      : read(f->fd, p + got, n - got);

		if (step <= 0)
			return false;
		got += (size_t)step;
	}
	return true;
}

/* With TLS, all of it in one record. */
static void fake_put(struct fake *f, const unsigned char *p, size_t n)
{
	if (n > 0)
		cr_assert((f->ssl ? SSL_write(f->ssl, p, (int)n) : write(f->fd, p, n)) ==
			  (ssize_t)n);
}

/* Read one packet with a length below 16384; its type, 0 at the end. */
static int fake_read(struct fake *f, unsigned char body[16384])
{
	unsigned char type, b = 0x80;
	size_t n = 0;

	if (!fake_get(f, &type, 1))
		return 0;
	for (int shift = 0; b & 0x80; shift += 7) {
		if (!fake_get(f, &b, 1))
			return 0;
		n |= (size_t)(b & 0x7f) << shift;
	}
	return fake_get(f, body, n) ? type >> 4 : 0;
}

static void fake_burst(struct fake *f)
{
	unsigned char *packets = mem_alloc((size_t)f->burst * N_BURST), *at = packets;

	for (int i = 1; i <= f->burst; i++, at += N_BURST)
		memcpy(at,
		       (unsigned char[]){ 0x32, 7, 0, 3, 't', '/', 'x', (unsigned char)(i >> 8),
					  (unsigned char)i },
		       N_BURST);
	fake_put(f, packets, (size_t)f->burst * N_BURST);
	free(packets);
}

static void fake_say(struct fake *f)
{
	if (f->says)
		fake_put(f, (const unsigned char *)f->says->data, f->says->len);
}

static void fake_serve(struct fake *f)
{
	static unsigned char body[16384];
	int type, n_publishes = 0;

	while ((type = fake_read(f, body)) != 0) {
		unsigned char suback[] = { 0x90, f->is_5 ? 4 : 3, body[0], body[1], 0, 0 };

		if (type == 1) {
			f->level = body[6];
			f->n_levels[f->level]++;
			if (f->is_old && f->level == 5) {
				fake_put(f, f->refusal, f->refusal_len);
				return;
			}
			fake_put(f, f->connack, f->connack_len);
		}
		f->n_pubacks += type == 4;
		if (type == 3 && ++n_publishes == f->burst_at) {
			fake_burst(f);
			fake_say(f);
		}
		if (type == 3 && f->ends) {
			memcpy(f->publish, body, sizeof f->publish);
			return;
		}
		if (type != 8 || f->is_mute)
			continue;
		suback[f->is_5 ? 5 : 4] = f->suback_code;
		fake_put(f, suback, f->is_5 ? 6 : 5);
		fake_put(f, f->at_last, f->at_last_len);
		if (!f->burst_at)
			fake_say(f);
	}
}

static void *fake_main(void *ctx)
{
	struct fake *f = ctx;

	for (int i = 0; i == 0 || i < f->n_connections; i++) {
		f->fd = accept(f->listener, NULL, NULL);
		if (f->tls) {
			f->ssl = SSL_new(f->tls);
			SSL_set_fd(f->ssl, f->fd);
			SSL_accept(f->ssl);
		}
		fake_serve(f);
		SSL_free(f->ssl);
		f->ssl = NULL;
		close(f->fd);
	}
	return NULL;
}

static void start_fake(struct bench *b, struct fake *f)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	at.sin_port = htons((uint16_t)b->port);
	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) == 0);
	cr_assert(bind(f->listener, (struct sockaddr *)&at, sizeof at) == 0);
	cr_assert(listen(f->listener, 1) == 0);
	cr_assert(pthread_create(&f->thread, NULL, fake_main, f) == 0);
}

static void without_fake(struct bench *b, struct fake *f)
{
	for (size_t i = 0; i < b->n_clients; i++)
		client_close(&b->clients[i]);
	pthread_join(f->thread, NULL);
	close(f->listener);
	bench_fini(b);
}

static void expect_expiry(uint32_t expiry_s, const unsigned char *want, size_t n)
{
	struct fake f = { .is_5 = true,
			  .ends = true,
			  .connack = { 0x20, 3, 0, 0, 0 },
			  .connack_len = 5,
			  .suback_code = 1 };
	struct message m = { .topic = (char *)"t", .qos = 1, .expiry_s = expiry_s };
	struct session_conf conf;
	struct client *c;
	struct err e = { 0 };
	struct bench b;
	int mid;

	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	cr_assert(session_publish(c->session, &m, &mid, &e), "%s", e.text);
	await(&b, &c->downs, 1);
	without_fake(&b, &f);
	cr_expect_arr_eq(f.publish, "\0\1t", 3);
	cr_expect_arr_eq(f.publish + 5, want, n); /* behind the packet id */
}

/* MQTT 5, 3.3.2.3.3 */
Test(session, tells_the_broker_how_long_a_message_is_good_with_5)
{
	expect_expiry(300, (unsigned char[]){ 5, 0x02, 0, 0, 1, 44 }, 6);
	expect_expiry(0, (unsigned char[]){ 0 }, 1);
}

static void expect_ending(struct fake *f, bool refused, const char *line)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	start_fake(&b, f);
	conf = conf_for(&b, "one", f->is_5 ? 5 : 4);
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	cr_expect_eq(c->refusals, refused);
	cr_expect_neq(c->end, SESSION_END_CLOSED);
	expect_log(&b, line);
	without_fake(&b, f);
}

Test(session, says_that_another_took_its_client_id)
{
	struct fake f = { .is_5 = true,
			  .connack = { 0x20, 3, 0, 0, 0 },
			  .connack_len = 5,
			  .suback_code = 1,
			  .at_last = { 0xe0, 1, 0x8e },
			  .at_last_len = 3 };

	expect_ending(
		&f, false,
		"error session-down link=test side=north reason=\"session taken over, another "
		"client uses this client id\" retry_ms=");
}

static void expect_refused_filter(struct fake *f, const struct session_filter *filter,
				  const char *text)
{
	struct session_conf conf;
	struct client *c;
	char *line;
	struct bench b;

	bench_init(&b);
	start_fake(&b, f);
	conf = conf_for(&b, "one", f->is_5 ? 5 : 4);
	conf.filters = filter;
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	line = mem_printf("warning subscription-refused link=test side=north %s", text);
	expect_log(&b, line);
	expect_degraded(c, text);
	cr_expect_eq(c->downs, 0);
	free(line);
	without_fake(&b, f);
}

Test(session, says_which_subscription_was_refused_with_3_1_1)
{
	struct fake f = { .connack = { 0x20, 2, 0, 0 }, .connack_len = 4, .suback_code = 0x80 };

	expect_refused_filter(&f, t_filter,
			      "filter=t/# kinds=command,config code=128 reason=refused");
}

Test(session, says_which_subscription_was_refused_with_5)
{
	struct fake f = {
		.is_5 = true, .connack = { 0x20, 3, 0, 0, 0 }, .connack_len = 5, .suback_code = 0x87
	};

	expect_refused_filter(&f, t_filter,
			      "filter=t/# kinds=command,config code=135 reason=\"not authorised\"");
}

/* --- how often one that rests is looked at */

Test(session, is_looked_at_twelve_times_in_a_keepalive_but_neither_always_nor_never)
{
	struct attempt a = { .keepalive_s = 60 };

	cr_expect_eq(attempt_tick_ms(&a), 5000);
	attempt_set_keepalive(&a, 24);
	cr_expect_eq(attempt_tick_ms(&a), 2000);
	attempt_set_keepalive(&a, 5);
	cr_expect_eq(attempt_tick_ms(&a), 1000);
	attempt_set_keepalive(&a, 65535);
	cr_expect_eq(attempt_tick_ms(&a), 5000, "buffers are given back, too");
}

Test(session, follows_the_keepalive_that_the_server_wants)
{
	struct fake f = { .is_5 = true,
			  .connack = { 0x20, 6, 0, 0, 3, 0x13, 0, 24 },
			  .connack_len = 8,
			  .suback_code = 1 };
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	cr_expect_eq(attempt_tick_ms(c->session->attempt), 2000);
	without_fake(&b, &f);
}

Test(session, hides_what_is_secret_in_a_refused_filter)
{
	static const struct session_filter secret[] = { { "t/k4711/#", 1, "command", "t/***/#" } };
	struct fake f = { .connack = { 0x20, 2, 0, 0 }, .connack_len = 4, .suback_code = 0x80 };

	expect_refused_filter(&f, secret, "filter=t/***/# kinds=command code=128 reason=refused");
}

Test(session, tells_a_busy_server_from_a_refused_login)
{
	struct fake busy = { .connack = { 0x20, 2, 0, 3 }, .connack_len = 4 };
	struct fake refused = { .connack = { 0x20, 2, 0, 4 }, .connack_len = 4 };

	expect_ending(&busy, false,
		      "warning login-refused link=test side=north code=3 reason=\"server "
		      "unavailable\" retry_ms=");
	expect_ending(&refused, true, "code=4 reason=\"bad user name or password\" retry_ms=");
}

Test(session, survives_a_broker_that_talks_nonsense)
{
	struct fake f = { .connack = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, .connack_len = 6 };

	expect_ending(&f, false, "warning session-down link=test side=north reason=");
}

Test(session, gives_up_on_a_port_where_nobody_listens)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	await(&b, &c->downs, 2);
	expect_log(&b, "reason=\"Connection refused\" retry_ms=");
	cr_expect_null(strstr(strstr(read_log(&b), "session-down") + 1, "session-down"),
		       "the same failure is told once a minute");
	bench_fini(&b);
}

/* ---- the barrier ---- */

Test(session, acknowledges_only_with_a_flush)
{
	struct session_conf conf;
	struct client *c, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	other = open_client(&b, &(struct session_conf){ .name = "other",
							.host = "127.0.0.1",
							.port = b.port,
							.client_id = "other",
							.mqtt = 4 });
	await(&b, &c->ups, 1);
	await(&b, &other->ups, 1);
	c->is_silent = true;
	publish(other, "t/x", "first", 1);
	await(&b, &c->messages, 1);
	await(&b, &other->acks, 1);
	client_close(c); /* not flushed: the broker must not have heard of it */

	c->is_silent = false;
	open_session(c, &conf);
	await(&b, &c->messages, 2);
	cr_expect_str_eq(c->last.payload, "first");
	await(&b, &c->ups, 2);
	publish(c, "t/x", "second", 1); /* flushed now, acknowledgement and all */
	await(&b, &c->messages, 3);
	await(&b, &c->acks, 1);
	client_close(c);

	open_session(c, &conf);
	await(&b, &c->ups, 3);
	publish(other, "t/x", "third", 1);
	await(&b, &c->messages, 4);
	cr_expect_str_eq(c->last.payload, "third");
	bench_fini(&b);
}

/* A session whose commits are not durable any more takes in what `other` says. */
static void take_in_what_waits(struct bench *b, struct client *c, struct client *other, int n)
{
	await(b, &c->ups, 1);
	await(b, &other->ups, 1);
	c->is_stuck = true;
	for (int i = 0; i < n; i++)
		publish(other, "t/x", "payload", 1);
	await(b, &other->acks, n);
	await(b, &c->messages, gather_collects() ? n : 1);
}

static struct client *open_other(struct bench *b)
{
	return open_client(b, &(struct session_conf){ .name = "other",
						      .host = "127.0.0.1",
						      .port = b->port,
						      .client_id = "other",
						      .mqtt = 4 });
}

Test(session, reads_on_while_a_commit_is_in_flight_and_acknowledges_nothing_of_it)
{
	struct session_conf conf;
	struct client *c, *other;
	struct bench b;
	int n;

	with_broker(&b, "allow_anonymous true\nmax_inflight_messages 0\n");
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	other = open_other(&b);
	take_in_what_waits(&b, c, other, 500);
	client_close(c); /* a crash */
	n = c->messages;

	c->is_stuck = false;
	open_session(c, &conf);
	await(&b, &c->messages, n + 500);
	publish(other, "t/x", "fence", 1);
	await(&b, &c->messages, n + 501);
	cr_expect_str_eq(c->last.payload, "fence");
	bench_fini(&b);
}

Test(session, sends_what_waits_for_no_commit_unless_it_stands_behind_an_acknowledgement)
{
	struct session_conf conf, conf2;
	struct client *c, *other;
	struct bench b;

	if (!gather_collects())
		cr_skip_test("where nothing is collected all waits alike");
	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	conf2 = conf_for(&b, "two", 4);
	c = open_client(&b, &conf);
	other = open_client(&b, &conf2);
	await(&b, &c->ups, 1);
	await(&b, &other->ups, 1);
	c->is_stuck = c->is_plain = true;
	publish(c, "t/x", "first", 1);
	await(&b, &other->messages, 1);
	await(&b, &c->messages, 1); /* which it owes an acknowledgement now */
	publish(c, "t/x", "second", 1);
	publish(other, "t/x", "fence", 1);
	await(&b, &other->messages, 2);
	cr_expect_str_eq(other->last.payload, "fence");
	c->is_stuck = false;
	await(&b, &other->messages, 3);
	cr_expect_str_eq(other->last.payload, "second");
	bench_fini(&b);
}

static void expect_late_commits_are_borne(struct bench *b, const struct session_conf *conf)
{
	struct client *c = open_client(b, conf);

	c->lag = 3;
	await(b, &c->ups, 1);
	c->to_publish = 2000;
	await(b, &c->messages, 2000);
	await(b, &c->acks, 2000);
	cr_expect_eq(c->downs, 0);
	bench_fini(b);
}

Test(session, carries_on_with_several_commits_in_flight)
{
	struct session_conf conf;
	struct bench b;

	with_broker(&b, "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n");
	conf = conf_for(&b, "one", 4);
	expect_late_commits_are_borne(&b, &conf);
}

Test(session, is_held_when_what_waits_has_left)
{
	struct session_conf conf;
	struct client *c, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	other = open_other(&b);
	take_in_what_waits(&b, c, other, 1);
	session_hold(c->session);
	publish(other, "t/x", "second", 1);
	await(&b, &other->acks, 2);
	cr_expect_eq(c->downs, 0, "it waits for its commit");
	c->is_stuck = false;
	publish(other, "t/x", "third", 1); /* a turn of the loop */
	await(&b, &c->downs, 1);
	session_release(c->session);
	await(&b, &c->messages, 3);
	cr_expect_str_eq(c->last.payload, "third", "the first was acknowledged");
	bench_fini(&b);
}

Test(session, acknowledges_nothing_that_was_retracted)
{
	struct session_conf conf;
	struct client *c, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	other = open_other(&b);
	take_in_what_waits(&b, c, other, 1);
	session_retract(c->session);
	session_hold(c->session);
	c->is_stuck = false;
	await(&b, &c->downs, 1);
	session_release(c->session);
	await(&b, &c->messages, 2);
	bench_fini(&b);
}

/* ---- holding ---- */

enum { KEPT = 50, BROUGHT = 12, VISITS = 3 };

/* A session that takes t/#, and another that takes d/# and has published KEPT messages meanwhile. */
static void hold(struct bench *b, const struct session_conf *conf, struct client **held,
		 struct client **other)
{
	static const struct session_filter d_filter[] = { { "d/#", 1, NULL, NULL } };
	struct session_conf other_conf = *conf;
	char text[12];

	other_conf.client_id = "other";
	other_conf.mqtt = 4;
	other_conf.filters = d_filter;
	*held = open_client(b, conf);
	*other = open_client(b, &other_conf);
	await(b, &(*held)->ups, 1);
	await(b, &(*other)->ups, 1);
	session_hold((*held)->session);
	for (int i = 1; i <= KEPT; i++) {
		snprintf(text, sizeof text, "%d", i);
		publish(*other, "t/x", text, 1);
	}
	await(b, &(*other)->acks, KEPT);
	await(b, &(*held)->downs, 1);
	cr_expect_not(session_is_up((*held)->session));
}

static void expect_visits(struct bench *b, struct client *held, struct client *other)
{
	held->brings = BROUGHT;
	session_visit(held->session);
	await(b, &held->downs, 1 + VISITS);
	cr_expect_eq(held->acks, VISITS * BROUGHT);
	await(b, &other->messages, VISITS * BROUGHT);
	cr_expect_eq(held->messages, 0);
	held->brings = 0;
}

static void expect_release(struct bench *b, struct client *held, struct client *other)
{
	session_release(held->session);
	await(b, &held->messages, KEPT);
	cr_expect_str_eq(held->last.payload, "50");
	await(b, &held->ups, 1 + VISITS + 1);
	publish(other, "t/x", "next", 1);
	await(b, &held->messages, KEPT + 1);
	cr_expect_str_eq(held->last.payload, "next");
	cr_expect_eq(other->messages, VISITS * BROUGHT);
}

static void expect_held_session(struct bench *b, const struct session_conf *conf)
{
	struct client *held, *other;

	hold(b, conf, &held, &other);
	expect_visits(b, held, other);
	expect_release(b, held, other);
	cr_expect(!strstr(read_log(b), "session-lost"));
	bench_fini(b);
}

Test(session, takes_nothing_in_while_it_is_held_and_delivers_all_the_same_with_3_1_1)
{
	struct session_conf conf;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "held", 4);
	expect_held_session(&b, &conf);
}

Test(session, takes_nothing_in_while_it_is_held_and_delivers_all_the_same_with_5)
{
	struct session_conf conf;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "held", 5);
	expect_held_session(&b, &conf);
}

/* The broker has forgotten the session: a visit subscribes again, so that it keeps what comes. */
Test(session, keeps_what_comes_even_if_the_broker_forgot_it_while_it_was_held)
{
	struct session_conf conf;
	struct client *held, *other;
	struct bench b;

	with_broker(&b, open_to_all);
	conf = conf_for(&b, "held", 4);
	hold(&b, &conf, &held, &other);
	stop_broker(&b); /* persistence is off */
	start_broker(&b);
	await(&b, &other->downs, 1);
	held->brings = 1;
	session_visit(held->session);
	await(&b, &held->downs, 2);
	cr_expect_eq(held->acks, 1);
	expect_log(&b, "session-lost");
	await(&b, &other->ups, 2);
	publish(other, "t/x", "after", 1);
	await(&b, &other->acks, KEPT + 1);
	session_release(held->session);
	await(&b, &held->messages, 1);
	cr_expect_str_eq(held->last.payload, "after");
	bench_fini(&b);
}

/* ---- lookups ---- */

struct ticks {
	struct loop *loop;
	struct loop_timer timer;
	int n, open_gate_at;
};

static void on_tick(void *ctx)
{
	struct ticks *t = ctx;

	if (++t->n == t->open_gate_at)
		sem_post(&gate);
	loop_timer_set(t->loop, &t->timer, 1, on_tick, t);
}

Test(session, looks_up_without_stopping_the_loop)
{
	struct ticks ticks = { .open_gate_at = 5 };
	struct session_conf conf;
	struct client *c;
	struct bench b;

	sem_init(&gate, 0, 0);
	bench_init(&b);
	conf = conf_for(&b, "one", 4);
	conf.host = "slow.invalid";
	c = open_client(&b, &conf);
	ticks.loop = b.loop;
	loop_timer_set(b.loop, &ticks.timer, 1, on_tick, &ticks);
	await(&b, &c->downs, 1); /* would wait for ever: only the loop opens the gate */
	expect_log(&b, "reason=\"lookup of slow.invalid: Name or service not known\"");
	loop_timer_close(&ticks.timer, NULL);
	bench_fini(&b);
}

Test(session, can_be_freed_while_its_lookup_is_under_way)
{
	struct ticks ticks = { 0 };
	struct session_conf conf;
	struct client *c;
	struct bench b;

	sem_init(&gate, 0, 0);
	bench_init(&b);
	conf = conf_for(&b, "one", 5);
	conf.host = "slow.invalid";
	c = open_client(&b, &conf);
	ticks.loop = b.loop;
	loop_timer_set(b.loop, &ticks.timer, 1, on_tick, &ticks);
	while (atomic_load(&n_at_gate) == 0)
		await(&b, &ticks.n, ticks.n + 1);
	client_close(c);
	sem_post(&gate);
	loop_timer_close(&ticks.timer, NULL);
	bench_fini(&b);
	cr_expect_eq(c->downs, 0);
}

/* ---- TLS ---- */

static void make_ca(const struct bench *b, const char *name)
{
	run(b,
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
	    "-subj /CN=%s -keyout %s.key -out %s.crt",
	    name, name, name);
}

/* NAME.crt and NAME.key, signed by `ca`, for the names in `san`. */
static void make_cert(const struct bench *b, const char *name, const char *ca, const char *san)
{
	run(b,
	    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=%s "
	    "-keyout %s.key -out %s.csr && echo subjectAltName=%s >%s.ext && openssl x509 -req "
	    "-in %s.csr -CA %s.crt -CAkey %s.key -CAcreateserial -days 2 -extfile %s.ext "
	    "-out %s.crt",
	    name, name, name, san, name, name, ca, ca, name, name);
}

static const char tls_listener[] = "allow_anonymous true\nmax_inflight_messages 0\n"
				   "max_queued_messages 0\ncertfile %s/server.crt\n"
				   "keyfile %s/server.key\n";

static void with_tls_broker(struct bench *b, const char *san, const char *more)
{
	struct buf conf = { 0 };

	bench_init(b);
	make_ca(b, "ca");
	make_cert(b, "server", "ca", san);
	buf_printf(&conf, "%s%s", tls_listener, more);
	configure_broker(b, conf.data);
	buf_fini(&conf);
	start_broker(b);
}

static struct session_conf tls_conf_for(const struct bench *b, const char *host, const char *ca,
					int mqtt)
{
	struct session_conf conf = conf_for(b, "one", mqtt);

	conf.host = host;
	conf.is_tls = true;
	conf.tls.ca = path_of(b, ca);
	return conf;
}

Test(session, carries_many_messages_with_tls)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, "DNS:localhost", "");
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	for (int i = 0; i < 2000; i++)
		publish(c, "t/x", "payload", 1);
	await(&b, &c->messages, 2000);
	await(&b, &c->acks, 2000);
	bench_fini(&b);
}

Test(session, carries_on_with_several_commits_in_flight_with_tls)
{
	struct session_conf conf;
	struct bench b;

	with_tls_broker(&b, "DNS:localhost", "");
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	expect_late_commits_are_borne(&b, &conf);
}

Test(session, acknowledges_nothing_of_a_commit_in_flight_with_tls)
{
	struct session_conf conf;
	struct client *c, *other;
	struct bench b;
	int n;

	with_tls_broker(&b, "DNS:localhost", "");
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	c = open_client(&b, &conf);
	conf.client_id = "other";
	conf.n_filters = 0;
	other = open_client(&b, &conf);
	take_in_what_waits(&b, c, other, 100);
	client_close(c);
	n = c->messages;

	c->is_stuck = false;
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	open_session(c, &conf);
	await(&b, &c->messages, n + 100);
	bench_fini(&b);
}

/* More packets than are read in a turn of the loop, and all of them off the socket at once. */
Test(session, reads_a_burst_to_its_end)
{
	struct fake f = { .connack = { 0x20, 2, 0, 0 },
			  .connack_len = 4,
			  .suback_code = 1,
			  .burst_at = 1,
			  .burst = 5000 };
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	publish(c, "t/x", "payload", 0);
	await(&b, &c->messages, f.burst);
	without_fake(&b, &f);
}

Test(session, takes_nothing_in_while_it_is_held_and_delivers_all_the_same_with_tls)
{
	struct session_conf conf;
	struct bench b;

	with_tls_broker(&b, "DNS:localhost", "");
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	expect_held_session(&b, &conf);
}

static void use_tls(struct bench *b, struct fake *f)
{
	make_ca(b, "ca");
	make_cert(b, "server", "ca", "DNS:localhost");
	f->tls = SSL_CTX_new(TLS_server_method());
	cr_assert(SSL_CTX_use_certificate_file(f->tls, path_of(b, "server.crt"),
					       SSL_FILETYPE_PEM) == 1);
	cr_assert(SSL_CTX_use_PrivateKey_file(f->tls, path_of(b, "server.key"), SSL_FILETYPE_PEM) ==
		  1);
}

/* What OpenSSL holds already, no poll tells, and libmosquitto stops reading once its wake-up pipe is
 * full (bridge/net/attempt.c). */
Test(session, reads_all_packets_of_one_tls_record)
{
	struct fake f = { .connack = { 0x20, 2, 0, 0 },
			  .connack_len = 4,
			  .suback_code = 1,
			  .burst_at = 400,
			  .burst = 10 };
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	use_tls(&b, &f);
	start_fake(&b, &f);
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	for (int i = 0; i < f.burst_at; i++)
		publish(c, "t/x", "payload", 0);
	await(&b, &c->messages, f.burst);
	without_fake(&b, &f);
	SSL_CTX_free(f.tls);
}

Test(session, connects_with_tls_to_an_address)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, "IP:127.0.0.1", "");
	conf = tls_conf_for(&b, "127.0.0.1", "ca.crt", 5);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	bench_fini(&b);
}

static void expect_tls_refusal(const char *san, const char *ca, const char *reason)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, san, "");
	make_ca(&b, "other");
	conf = tls_conf_for(&b, "localhost", ca, 4);
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	cr_expect_eq(c->ups, 0);
	cr_expect_eq(c->refusals, 0);
	expect_log(&b, reason);
	bench_fini(&b);
}

Test(session, refuses_a_certificate_for_another_host)
{
	expect_tls_refusal("DNS:elsewhere.example", "ca.crt",
			   "reason=\"certificate verify failed: hostname mismatch\"");
}

/* `openssl req` makes such ones, and OpenSSL takes them. */
Test(session, refuses_a_certificate_whose_only_name_is_a_common_name)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	run(&b, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
		"-subj /CN=localhost -keyout server.key -out server.crt");
	configure_broker(&b, tls_listener);
	start_broker(&b);
	conf = tls_conf_for(&b, "localhost", "server.crt", 4);
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	cr_expect_eq(c->ups, 0);
	expect_log(&b, "reason=\"certificate verify failed: it has no subjectAltName, and a "
		       "common name (CN) is no host's\"");
	bench_fini(&b);
}

Test(session, refuses_a_certificate_of_an_unknown_ca)
{
	expect_tls_refusal("DNS:localhost", "other.crt",
			   "reason=\"certificate verify failed: unable to get local issuer");
}

Test(session, accepts_the_name_it_was_told_to_expect)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, "DNS:elsewhere.example", "");
	conf = tls_conf_for(&b, "127.0.0.1", "ca.crt", 4);
	conf.tls.server_name = "elsewhere.example";
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	bench_fini(&b);
}

/* A context is shared by all attempts: one that never got to use it must not give it back twice. */
Test(session, shares_its_tls_context_with_attempts_that_never_used_it)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, "DNS:localhost", "");
	conf = tls_conf_for(&b, "nosuch.invalid", "ca.crt", 4);
	c = open_client(&b, &conf);
	for (int n = 1; n <= 3; n++) {
		await(&b, &c->downs, n);
		session_set_login(c->session, "u", "p", "id"); /* the next attempt, at once */
	}
	bench_fini(&b);
}

Test(session, shows_its_client_certificate)
{
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, "DNS:localhost", "cafile %s/ca.crt\nrequire_certificate true\n");
	make_cert(&b, "client", "ca", "DNS:client");
	conf = tls_conf_for(&b, "localhost", "ca.crt", 4);
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	cr_expect_eq(c->ups, 0);
	expect_log(&b, "certificate"); /* the alert, or a guess if a reset overtook it */
	conf.tls.cert = path_of(&b, "client.crt");
	conf.tls.key = path_of(&b, "client.key");
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	bench_fini(&b);
}

/* 0.9 MB each with the certificates of Debian. */
Test(session, shares_its_tls_context_with_all_sessions_of_its_endpoint)
{
	struct tls_conf tls = { 0 };
	SSL_CTX *one, *other, *named, *renewed;
	struct err e = { 0 };
	struct bench b;

	bench_init(&b);
	make_ca(&b, "ca");
	tls.ca = path_of(&b, "ca.crt");
	one = tls_context(&tls, "localhost", &e);
	other = tls_context(&tls, "localhost", &e);
	named = tls_context(&tls, "127.0.0.1", &e);
	cr_assert(one && named, "%s", e.text);
	cr_expect_eq(one, other);
	cr_expect_neq(one, named);
	make_ca(&b, "ca");
	renewed = tls_context(&tls, "localhost", &e);
	cr_expect_neq(one, renewed, "the file is another one now");
	tls_release(one);
	tls_release(other);
	tls_release(named);
	tls_release(renewed);
	bench_fini(&b);
}

Test(session, says_which_tls_file_is_wrong)
{
	static const struct {
		const char *ca, *cert, *key, *text;
	} cases[] = {
		{ "none.crt", NULL, NULL, "none.crt: No such file or directory" },
		{ "empty", NULL, NULL, "CA certificates" },
		{ "ca.crt", "server.crt", NULL, "both cert and key" },
		{ "ca.crt", "server.crt", "ca.key", "key values mismatch" },
		{ "ca.crt", "server.crt", "open.key", "can be read by everyone" },
		{ "ca.crt", "empty", "server.key", "no start line" },
	};
	struct bench b;

	bench_init(&b);
	make_ca(&b, "ca");
	make_cert(&b, "server", "ca", "DNS:localhost");
	write_file(&b, "empty", "");
	run(&b, "cp server.key open.key && chmod 0644 open.key");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct session_conf conf = tls_conf_for(&b, "localhost", cases[i].ca, 4);
		struct err e = { 0 };

		conf.tls.cert = cases[i].cert ? path_of(&b, cases[i].cert) : NULL;
		conf.tls.key = cases[i].key ? path_of(&b, cases[i].key) : NULL;
		cr_expect_null(session_new(b.loop, &conf, &ops, NULL, &e), "case %zu", i);
		cr_expect(strstr(e.text, cases[i].text), "case %zu: %s", i, e.text);
	}
	bench_fini(&b);
}

/* --- what a broker should not send (net/sieve.h) ------------------------------------------- */

/* A PUBLISH of QoS 1. */
static void put_publish(struct buf *out, int mqtt, const char *topic, unsigned char mid,
			const char *properties, size_t n_properties, size_t n_payload)
{
	size_t n_topic = strlen(topic);
	size_t n = 4 + n_topic + (mqtt == 5 ? 1 + n_properties : 0) + n_payload;

	buf_putc(out, 0x32);
	do {
		buf_putc(out, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
		n >>= 7;
	} while (n);
	buf_putc(out, 0);
	buf_putc(out, (char)n_topic);
	buf_puts(out, topic);
	buf_putc(out, 0);
	buf_putc(out, (char)mid);
	if (mqtt == 5) {
		buf_putc(out, (char)n_properties);
		buf_append(out, properties, n_properties);
	}
	for (size_t i = 0; i < n_payload; i++)
		buf_putc(out, (char)('a' + i % 26));
}

static struct fake fake_for(int mqtt, const struct buf *says)
{
	struct fake f = {
		.connack = { 0x20, 2, 0, 0 }, .connack_len = 4, .suback_code = 1, .says = says
	};

	if (mqtt == 4)
		return f;
	f.is_5 = true;
	f.connack[1] = 3;
	f.connack_len = 5;
	return f;
}

/* What the broker kept comes right behind its CONNACK. */
Test(session, is_held_before_it_is_up_when_what_it_took_in_is_acknowledged)
{
	static const unsigned char kept[] = { 0x32, 7, 0, 3, 't', '/', 'x', 0, 1 };
	struct fake f = fake_for(4, NULL);
	struct session_conf conf;
	struct client *c;
	struct bench b;

	memcpy(f.connack + f.connack_len, kept, sizeof kept);
	f.connack_len += sizeof kept;
	f.is_mute = true;
	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	c->lag = 5;
	await(&b, &c->messages, 1);
	cr_expect_eq(c->ups, 0);
	session_hold(c->session);
	await(&b, &f.n_pubacks, 1);
	without_fake(&b, &f);
}

/* A bad message and a good one: one is refused, the other comes, both are acknowledged, and the session stays. */
static void expect_refused(int mqtt, bool is_tls, const struct buf *says, size_t max_packet,
			   struct client *out)
{
	struct fake f = fake_for(mqtt, says);
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	if (is_tls)
		use_tls(&b, &f);
	start_fake(&b, &f);
	conf = is_tls ? tls_conf_for(&b, "localhost", "ca.crt", mqtt) : conf_for(&b, "one", mqtt);
	conf.max_packet = max_packet;
	c = open_client(&b, &conf);
	await(&b, &c->messages, 1);
	cr_expect_eq(c->refused, 1);
	cr_expect_eq(c->downs, 0);
	cr_expect_str_eq(c->last.topic, "t/good");
	*out = *c;
	message_copy(&out->last_refused, &c->last_refused);
	without_fake(&b, &f);
	SSL_CTX_free(f.tls);
	cr_expect_eq(f.n_pubacks, 2);
}

static void expect_large_refused(int mqtt, bool is_tls)
{
	struct buf says = { 0 };
	struct client c;

	if (!gather_collects())
		return;
	put_publish(&says, mqtt, "t/large", 1, "", 0, 6 << 20);
	put_publish(&says, mqtt, "t/good", 2, "", 0, 10);
	expect_refused(mqtt, is_tls, &says, 1 << 20, &c);
	cr_expect(c.is_too_large);
	cr_expect(c.last_refused.is_cut);
	cr_expect_eq(c.last_refused.qos, 1);
	cr_expect_str_eq(c.last_refused.topic, "t/large");
	cr_expect_eq(c.last_refused.payload_len, 4096);
	cr_expect_arr_eq(c.last_refused.payload, "abcdef", 6);
	cr_expect_str_eq(c.refused_reason,
			 mqtt == 5 ? "a packet of 6291468 bytes, and max_packet is 1048576"
				   : "a packet of 6291467 bytes, and max_packet is 1048576");
	message_fini(&c.last_refused);
	buf_fini(&says);
}

Test(session, refuses_what_is_too_large_and_goes_on_with_3_1_1)
{
	expect_large_refused(4, false);
}

Test(session, refuses_what_is_too_large_and_goes_on_with_5)
{
	expect_large_refused(5, false);
}

Test(session, refuses_what_is_too_large_and_goes_on_with_tls)
{
	expect_large_refused(4, true);
	expect_large_refused(5, true);
}

static void expect_text_refused(int mqtt, const char *topic, const char *properties,
				size_t n_properties, const char *told, const char *reason)
{
	struct buf says = { 0 };
	struct client c;

	if (!gather_collects())
		return;
	put_publish(&says, mqtt, topic, 1, properties, n_properties, 10);
	put_publish(&says, mqtt, "t/good", 2, "", 0, 10);
	expect_refused(mqtt, false, &says, 0, &c);
	cr_expect_not(c.is_too_large);
	cr_expect_str_eq(c.last_refused.topic, told);
	cr_expect(strstr(c.refused_reason, reason), "%s", c.refused_reason);
	message_fini(&c.last_refused);
	buf_fini(&says);
}

Test(session, refuses_topics_and_texts_that_mqtt_does_not_allow_and_goes_on)
{
	expect_text_refused(4, "t/\xef\xbf\xbe", "", 0, "t/\\xEF\\xBF\\xBE",
			    "the topic is no text");
	expect_text_refused(5, "t/\xff", "", 0, "t/\\xFF", "the topic is no text");
	expect_text_refused(5, "t/x", "\x03\0\1\xff", 4, "t/x", "a property is no text");
}

/* What is in flight must not be blamed for it. */
Test(session, does_not_take_for_an_end_by_the_peer_what_it_ends_itself)
{
	struct buf says = { 0 };
	struct fake f = fake_for(4, &says);
	struct session_conf conf;
	struct client *c;
	struct bench b;

	if (!gather_collects())
		return;
	buf_append(&says, "\x34\x08\0\3t/x\0\1a", 10); /* QoS 2 */
	f.burst_at = 1;
	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 4);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	publish(c, "t/x", "payload", 1);
	await(&b, &c->downs, 1);
	cr_expect_eq(c->end, SESSION_END_LOST);
	expect_log(&b, "reason=\"the broker sent a message of QoS 2, which was never asked for");
	without_fake(&b, &f);
	buf_fini(&says);
}

static size_t count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Five of them, then it is 3.1.1. */
static void expect_fall_back(const struct buf *says)
{
	struct fake f = fake_for(5, says);
	struct session_status status;
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	f.n_connections = MQTT_VERSION_MALFORMED + 1;
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 0);
	c = open_client(&b, &conf);
	for (int i = 1; i <= MQTT_VERSION_MALFORMED; i++) {
		await(&b, &c->downs, i);
		session_status(c->session, &status);
		cr_expect_eq(status.mqtt, 5);
		session_set_login(c->session, NULL, NULL, "one"); /* connect at once */
	}
	cr_expect_eq(c->messages + c->refused, 0);
	expect_log(&b, "the broker sent a malformed packet: properties of PUBLISH");
	expect_log(&b, "warning mqtt-lowered link=test side=north reason=\"malformed MQTT 5, 5 "
		       "times\" mqtt=4");
	await(&b, &c->messages, 1); /* where there are no properties */
	without_fake(&b, &f);
	cr_expect_eq(f.level, 4);
}

Test(session, speaks_3_1_1_after_five_malformed_packets)
{
	struct buf says = { 0 };

	if (!gather_collects())
		return;
	put_publish(&says, 5, "t/x", 1, "\x7f\1", 2, 10);
	expect_fall_back(&says);
	buf_fini(&says);
}

/* Forty connections that each end by this. */
static void end_by(struct fake f)
{
	struct session_status status;
	struct session_conf conf;
	struct client *c;
	struct bench b;

	bench_init(&b);
	f.n_connections = 40;
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	for (int i = 1; i <= f.n_connections; i++) {
		await(&b, &c->downs, i);
		if (i < f.n_connections)
			session_set_login(c->session, NULL, NULL, "one"); /* the next, at once */
	}
	session_status(c->session, &status);
	cr_expect(strstr(status.why, "malformed packet: properties of "), "%s", status.why);
	cr_expect_null(strstr(read_log(&b), "library-failed"));
	without_fake(&b, &f);
}

static void end_by_publish(const char *properties, size_t n)
{
	struct buf says = { 0 };

	put_publish(&says, 5, "t/x", 1, properties, n, 0);
	end_by(fake_for(5, &says));
	buf_fini(&says);
}

static void end_by_connack(const void *connack, size_t n)
{
	struct fake f = fake_for(5, NULL);

	memcpy(f.connack, connack, f.connack_len = n);
	end_by(f);
}

static void end_by_disconnect(const void *disconnect, size_t n)
{
	struct fake f = fake_for(5, NULL);

	memcpy(f.at_last, disconnect, f.at_last_len = n);
	end_by(f);
}

/* Each assertion of the library over one would cost a handle with two descriptors. */
Test(session, leaks_no_descriptor_over_200_malformed_packets)
{
	size_t n;

	if (!gather_collects())
		return;
	end_by_publish("\x7f\1", 2); /* no such property */
	n = count_descriptors();
	end_by_publish("\x7f\1", 2);
	end_by_publish("\3\0\11", 3); /* a text that is longer than the packet */
	end_by_connack("\x20\5\0\0\2\x7f\1", 7);
	end_by_connack("\x20\3\0\0\5", 5); /* properties that are */
	end_by_disconnect("\xe0\4\x8e\2\x2b\0", 6);
	cr_expect_eq(count_descriptors(), n);
}

/* A server that knows 3.1.1 answers like this to MQTT 5, so many times; then it is asked in 3.1.1, and a second
 * session with it begins with that. */
static void expect_older(const void *refusal, size_t n, int times)
{
	struct fake f = fake_for(4, NULL);
	struct session_conf conf;
	struct client *c, *second;
	struct bench b;

	f.is_old = true;
	memcpy(f.refusal, refusal, f.refusal_len = n);
	f.n_connections = times + 2;
	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 0);
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	expect_log(&b, "info mqtt-version link=test side=north mqtt=3.1.1");
	conf = conf_for(&b, "two", 0);
	second = open_client(&b, &conf);
	client_close(c);
	await(&b, &second->ups, 1);
	without_fake(&b, &f);
	cr_expect_eq(f.n_levels[5], times);
	cr_expect_eq(f.n_levels[4], 2);
}

Test(session, asks_in_3_1_1_a_server_that_refuses_5)
{
	expect_older("\x20\3\0\x84\0", 5, 1);
}

Test(session, asks_in_3_1_1_a_server_that_refuses_5_with_the_code_of_3_1_1)
{
	expect_older("\x20\3\0\1\0", 5, 1);
}

Test(session, asks_in_3_1_1_a_server_that_refuses_in_the_form_of_3_1_1)
{
	expect_older("\x20\2\0\1", 4, 1);
}

Test(session, asks_in_3_1_1_a_server_that_answers_in_the_form_of_3_1_1)
{
	expect_older("\x20\2\0\0", 4, 1);
}

Test(session, asks_in_3_1_1_a_server_that_closes_twice)
{
	expect_older("", 0, 2);
}

static void expect_no_older(const void *refusal, size_t n, int mqtt)
{
	struct fake f = fake_for(4, NULL);
	struct session_conf conf;
	struct client *c;
	struct bench b;

	f.is_old = true;
	memcpy(f.refusal, refusal, f.refusal_len = n);
	f.n_connections = 5;
	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", mqtt);
	c = open_client(&b, &conf);
	for (int i = 1; i <= f.n_connections; i++) {
		await(&b, &c->downs, i);
		if (i < f.n_connections)
			session_set_login(c->session, NULL, NULL, "one"); /* the next, at once */
	}
	without_fake(&b, &f);
	cr_expect_eq(f.n_levels[5], 5);
	cr_expect_eq(f.n_levels[4], 0);
}

Test(session, stays_with_5_whatever_else_a_server_refuses)
{
	expect_no_older("\x20\3\0\x86\0", 5, 0);
	expect_no_older("\x20\3\0\x87\0", 5, 0);
	expect_no_older("\x20\3\0\x88\0", 5, 0);
	expect_no_older("\x20\3\0\x84\0", 5, 5); /* it was told to */
}

static void expect_refused_login(int mqtt, int code, bool refused, const char *words)
{
	struct fake f = fake_for(mqtt, NULL);
	char *line = mem_printf(
		"login-refused link=test side=north code=%d reason=%s retry_ms=", code, words);

	f.connack[3] = (unsigned char)code;
	expect_ending(&f, refused, line);
	free(line);
}

/* Servers are not always true to the version. */
static void expect_refused_logins(int mqtt)
{
	expect_refused_login(mqtt, 1, false, "\"unacceptable protocol version\"");
	expect_refused_login(mqtt, 2, true, "\"client id rejected\"");
	expect_refused_login(mqtt, 3, false, "\"server unavailable\"");
	expect_refused_login(mqtt, 4, true, "\"bad user name or password\"");
	expect_refused_login(mqtt, 5, true, "\"not authorised\"");
	expect_refused_login(mqtt, 6, false, "\"a code that MQTT does not have\"");
	expect_refused_login(mqtt, 0x86, true, "\"bad user name or password\"");
	expect_refused_login(mqtt, 0x8a, true, "banned");
	expect_refused_login(mqtt, 0x9f, false, "\"Connection rate exceeded\"");
}

Test(session, says_in_words_why_a_login_with_3_1_1_is_refused)
{
	expect_refused_logins(4);
}

Test(session, says_in_words_why_a_login_with_5_is_refused)
{
	expect_refused_logins(5);
}

static void put_text(unsigned char *packet, size_t *n, unsigned char id, const char *text)
{
	size_t len = strlen(text);

	packet[(*n)++] = id;
	packet[(*n)++] = 0;
	packet[(*n)++] = (unsigned char)len;
	memcpy(packet + *n, text, len);
	*n += len;
}

#define REASON_STRING	 0x1f
#define SERVER_REFERENCE 0x1c

/* `says` and `server` come with it; `line` is what is logged. */
static void expect_said(unsigned char type, unsigned char code, const char *says,
			const char *server, const char *line)
{
	struct fake f = fake_for(5, NULL);
	unsigned char *packet = type == 0x20 ? f.connack : f.at_last;
	size_t head = type == 0x20 ? 5 : 4, n = head;
	struct session_conf conf;
	struct client *c;
	struct bench b;

	put_text(packet, &n, REASON_STRING, says);
	put_text(packet, &n, SERVER_REFERENCE, server);
	packet[0] = type;
	packet[1] = (unsigned char)(n - 2);
	packet[2] = 0;
	packet[head - 2] = code;
	packet[head - 1] = (unsigned char)(n - head);
	*(type == 0x20 ? &f.connack_len : &f.at_last_len) = n;
	bench_init(&b);
	start_fake(&b, &f);
	conf = conf_for(&b, "one", 5);
	conf.username = "t0ken";
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	expect_log(&b, line);
	without_fake(&b, &f);
}

Test(session, shows_what_the_server_says_itself)
{
	if (!gather_collects())
		return;
	expect_said(0x20, 0x87, "who is t0ken?", "b.example:1884",
		    "code=135 reason=\"not authorised\" said=\"who is ***?\" "
		    "other_server=b.example:1884 retry_ms=");
	expect_said(0xe0, 0x9d, "a \"way\"", "b.example",
		    "session-down link=test side=north reason=\"Server moved\" "
		    "said=\"a \\\"way\\\"\" other_server=b.example retry_ms=");
}

/* A refusal of whatever message has this identifier. */
static void put_puback(struct buf *out, unsigned char mid, const char *says)
{
	size_t n = strlen(says);

	buf_append(out,
		   (char[]){ 0x40, (char)(n + 7), 0, (char)mid, (char)0x97, (char)(n + 3),
			     REASON_STRING, 0, (char)n },
		   9);
	buf_puts(out, says);
}

/* The library would keep what is said of those that it does not know, until the memory is full. */
Test(session, shows_what_the_server_says_of_a_message_and_keeps_none_of_it)
{
	struct fake f = fake_for(5, NULL);
	struct buf says = { 0 };
	struct client *c;
	struct bench b;

	if (!gather_collects())
		return;
	for (unsigned char mid = 1; mid < 10; mid++)
		put_puback(&says, mid, "10 messages a second, t0ken");
	f.burst_at = 1;
	f.says = &says;
	bench_init(&b);
	start_fake(&b, &f);
	struct session_conf conf = conf_for(&b, "one", 5);
	conf.username = "t0ken";
	c = open_client(&b, &conf);
	await(&b, &c->ups, 1);
	publish(c, "t/1", "x", 1);
	await(&b, &c->acks, 1);
	cr_expect_eq(c->acked_code, 0x97);
	cr_expect_str_eq(c->acked_reason,
			 "Quota exceeded; the server says: 10 messages a second, ***");
	without_fake(&b, &f);
	buf_fini(&says);
}

Test(session, says_that_a_port_wants_tls)
{
	struct fake alert = { .connack = { 0x15, 3, 3, 0, 2, 2, 40 }, .connack_len = 7 };
	struct session_conf conf;
	struct client *c;
	struct bench b;

	with_tls_broker(&b, "DNS:localhost", ""); /* it closes */
	conf = conf_for(&b, "one", 5);
	c = open_client(&b, &conf);
	await(&b, &c->downs, 1);
	expect_log(&b, "login not answered: does this port want TLS (mqtts)?");
	bench_fini(&b);
	if (gather_collects())
		expect_ending(&alert, false,
			      "reason=\"the broker speaks TLS: its URL begins with mqtts\"");
}

Test(session, says_that_a_server_wants_another_way_to_log_in)
{
	struct fake f = fake_for(5, NULL);

	memcpy(f.connack, "\xf0\0", f.connack_len = 2);
	expect_ending(&f, false,
		      gather_collects() ? "reason=\"the broker sent AUTH: it wants another way"
					: "reason=\"the broker sent a malformed packet");
}
