#include "bench/bench_traffic.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "bench/broker.h"

#define READY_MS	     60000 /* Node-RED needs ten seconds on a slow machine, 1,000 links as long */
#define READY_MS_PER_SESSION 20
#define DRAIN_MS	     5000  /* without anything new */
#define LOOK_US		     50000 /* for signals, at least this often */

/* What has been taken over and has not come out is bounded to this many windows, or a bridge that
 * acknowledges faster than it delivers would be measured filling its memory, or holding its source. */
#define BACKLOG_WINDOWS 20
#define BACKLOG_BYTES	(4 << 20)
#define SLOTS		32768 /* a power of two, and more than any backlog */

struct traffic {
	struct traffic_conf conf;
	struct broker *ends[2];		    /* in, out */
	struct broker_client **subscribers; /* of each topic */
	size_t n_subscribers;		    /* that are known */
	size_t n_dropped[2];		    /* before all was ready */
	struct buf payload;
	struct traffic_counts counts;
	struct slot {
		uint64_t n;
		int64_t sent_us;
		bool has_arrived;
	} slots[SLOTS];
	uint32_t *latencies; /* of the current stretch */
	size_t n_latencies;
};

/* ---- payloads ---- */

static void make_payload(struct traffic *t, uint64_t n)
{
	struct buf *b = &t->payload;
	size_t pad;

	buf_reset(b);
	buf_printf(b, "{\"n\":%llu%s%s", (unsigned long long)n, *t->conf.body ? "," : "",
		   t->conf.body);
	pad = b->len + strlen(",\"pad\":\"\"}");
	if (pad < t->conf.size) {
		buf_puts(b, ",\"pad\":\"");
		for (; pad < t->conf.size; pad++)
			buf_putc(b, 'x');
		buf_putc(b, '"');
	}
	buf_putc(b, '}');
}

/* The number in a payload, however it was translated; 0: none. */
static uint64_t find_number(const char *payload, size_t len)
{
	static const char key[] = "\"n\":";
	const char *at = memmem(payload, len, key, sizeof key - 1), *end = payload + len;
	uint64_t n = 0;

	if (!at)
		return 0;
	for (at += sizeof key - 1; at < end && *at == ' '; at++)
		;
	for (; at < end && *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

static void on_arrival(void *ctx, const char *payload, size_t len)
{
	struct traffic *t = ctx;
	uint64_t n = find_number(payload, len);
	struct slot *slot = &t->slots[n % SLOTS];

	if (n == 0)
		return; /* what the program in between says by itself */
	if (slot->n != n || slot->has_arrived) {
		t->counts.duplicates++;
		return;
	}
	slot->has_arrived = true;
	t->counts.arrived++;
	t->latencies = mem_grow(t->latencies, t->n_latencies, sizeof *t->latencies);
	t->latencies[t->n_latencies++] = (uint32_t)(clock_mono_us() - slot->sent_us);
}

static void ignore(void *ctx, const char *payload, size_t len)
{
	(void)ctx;
	(void)payload;
	(void)len;
}

static void send_next(struct traffic *t, int64_t now_us)
{
	uint64_t n = ++t->counts.sent;
	size_t at = n % t->conf.n_topics;

	make_payload(t, n);
	t->counts.bytes = t->payload.len;
	t->slots[n % SLOTS] = (struct slot){ n, now_us, false };
	broker_publish(t->subscribers[at], t->conf.topics[at], t->payload.data, t->payload.len,
		       t->conf.qos);
}

static bool may_send(const struct traffic *t)
{
	uint64_t on_way = t->counts.sent - t->counts.arrived;

	if (t->conf.qos == 0)
		return on_way < t->conf.window;
	return broker_unacked(t->ends[0]) < t->conf.window &&
	       on_way < BACKLOG_WINDOWS * t->conf.window && on_way * t->conf.size < BACKLOG_BYTES;
}

/* ---- opening ---- */

struct traffic *traffic_open(const struct traffic_conf *conf, struct err *e)
{
	struct traffic *t = mem_zalloc(sizeof *t);

	t->conf = *conf;
	t->subscribers = mem_zalloc(conf->n_topics * sizeof *t->subscribers);
	t->ends[0] = broker_open(ignore, t, NULL, e);
	t->ends[1] = t->ends[0] ? broker_open(on_arrival, t, conf->tls, e) : NULL;
	if (t->ends[1])
		return t;
	traffic_close(t);
	return NULL;
}

void traffic_close(struct traffic *t)
{
	if (!t)
		return;
	broker_close(t->ends[0]);
	broker_close(t->ends[1]);
	buf_fini(&t->payload);
	free(t->latencies);
	free(t->subscribers);
	free(t);
}

int traffic_in_port(const struct traffic *t)
{
	return broker_port(t->ends[0]);
}

int traffic_out_port(const struct traffic *t)
{
	return broker_port(t->ends[1]);
}

/* ---- running ---- */

static bool is_interrupted(struct err *e)
{
	sigset_t waiting;

	sigpending(&waiting);
	if (!sigismember(&waiting, SIGINT) && !sigismember(&waiting, SIGTERM))
		return false;
	err_set(e, ERR_BUSY, "interrupted");
	return true;
}

static bool is_whole(const struct traffic *t, struct err *e)
{
	for (size_t i = 0; i < 2; i++) {
		if (broker_dropped(t->ends[i]) == t->n_dropped[i])
			continue;
		err_set(e, ERR_NET, "a session on the %s side ended during the measurement",
			i == 0 ? "south" : "north");
		return false;
	}
	return !is_interrupted(e);
}

/* Sessions that come and go (with another version of MQTT, say) begin anew. */
static bool is_ready(struct traffic *t)
{
	for (size_t i = 0; i < 2; i++) {
		if (broker_dropped(t->ends[i]) != t->n_dropped[i])
			t->n_subscribers = 0;
		t->n_dropped[i] = broker_dropped(t->ends[i]);
	}
	for (size_t i = 0; i < 2; i++)
		if (broker_connected(t->ends[i]) < t->conf.sessions[i])
			return false;
	while (t->n_subscribers < t->conf.n_topics) {
		struct broker_client *c =
			broker_subscriber(t->ends[0], t->conf.topics[t->n_subscribers]);

		if (!c)
			return false;
		t->subscribers[t->n_subscribers++] = c;
	}
	return true;
}

bool traffic_wait_ready(struct traffic *t, bool (*is_alive)(void *ctx), void *ctx, struct err *e)
{
	int64_t most_ms = READY_MS + (int64_t)t->conf.sessions[1] * READY_MS_PER_SESSION;
	int64_t deadline = clock_mono_ms() + most_ms;

	while (!is_ready(t)) {
		if (is_interrupted(e))
			return false;
		if (is_alive && !is_alive(ctx)) {
			err_set(e, ERR_NET, "it ended before it had connected");
			return false;
		}
		if (clock_mono_ms() > deadline) {
			err_set(e, ERR_LIMIT,
				"it has not connected and subscribed in %lld s, with %zu of %zu "
				"sessions in the north",
				(long long)most_ms / 1000, broker_connected(t->ends[1]),
				t->conf.sessions[1]);
			return false;
		}
		broker_turn(t->ends, 2, LOOK_US);
	}
	return true;
}

/* What is there is served. */
static bool pass_time(struct traffic *t, double seconds, struct err *e)
{
	int64_t end = clock_mono_us() + (int64_t)(seconds * 1e6), now;

	while ((now = clock_mono_us()) < end) {
		if (is_interrupted(e))
			return false;
		broker_turn(t->ends, 2, end - now < LOOK_US ? end - now : LOOK_US);
	}
	return true;
}

bool traffic_rest(struct traffic *t, double seconds, struct err *e)
{
	return pass_time(t, seconds, e) && is_whole(t, e);
}

bool traffic_restart_north(struct traffic *t, double seconds, int64_t *back_us, size_t *most,
			   struct err *e)
{
	int64_t start;

	broker_fall(t->ends[1]);
	if (!pass_time(t, seconds, e) || !broker_listen(t->ends[1], e))
		return false;
	start = clock_mono_us();
	if (!traffic_wait_ready(t, NULL, NULL, e))
		return false;
	*back_us = clock_mono_us() - start;
	*most = broker_most_in_second(t->ends[1]);
	return true;
}

static int64_t used_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int64_t percentile(const struct traffic *t, size_t percent)
{
	return t->n_latencies ? t->latencies[(t->n_latencies - 1) * percent / 100] : 0;
}

/* Send what is due; how long until the next is. */
static int64_t send_due(struct traffic *t, int64_t now, int64_t start, uint64_t first,
			double per_second)
{
	uint64_t due = UINT64_MAX, done;

	if (per_second > 0)
		due = (uint64_t)((double)(now - start) * per_second / 1e6) + 1;
	while (t->counts.sent - first < due && may_send(t))
		send_next(t, now);
	done = t->counts.sent - first;
	if (done < due || !may_send(t))
		return LOOK_US;
	return start + (int64_t)((double)done * 1e6 / per_second) + 1 - now;
}

bool traffic_run(struct traffic *t, double seconds, double per_second, struct traffic_result *out,
		 struct err *e)
{
	int64_t start = clock_mono_us(), end = start + (int64_t)(seconds * 1e6), now = start;
	int64_t used = used_us();
	uint64_t first = t->counts.sent;

	t->n_latencies = 0;
	while (now < end) {
		int64_t wait;

		if (!is_whole(t, e))
			return false;
		wait = send_due(t, now, start, first, per_second);
		if (wait > end - now)
			wait = end - now;
		broker_turn(t->ends, 2, wait > LOOK_US ? LOOK_US : wait > 0 ? wait : 0);
		now = clock_mono_us();
	}
	out->n = t->n_latencies;
	out->us = now - start;
	out->per_second = (double)out->n * 1e6 / (double)out->us;
	out->driver_us = used_us() - used;
	if (t->n_latencies)
		qsort(t->latencies, t->n_latencies, sizeof *t->latencies, by_value);
	out->p50_us = percentile(t, 50);
	out->p99_us = percentile(t, 99);
	return true;
}

bool traffic_drain(struct traffic *t, struct err *e)
{
	int64_t deadline = clock_mono_ms() + DRAIN_MS;

	t->n_latencies = 0;
	while ((t->counts.arrived < t->counts.sent || broker_unacked(t->ends[0]) > 0) &&
	       clock_mono_ms() < deadline) {
		uint64_t before = t->counts.arrived;

		if (!is_whole(t, e))
			return false;
		broker_turn(t->ends, 2, LOOK_US);
		if (t->counts.arrived > before)
			deadline = clock_mono_ms() + DRAIN_MS;
	}
	return true;
}

struct traffic_counts traffic_counts(const struct traffic *t)
{
	return t->counts;
}
