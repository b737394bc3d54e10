/* The least that any program can do for messages between two brokers with a socket of its own per session: a forwarder
 * that reads, acknowledges, writes and reads the acknowledgement, and nothing else; no MQTT is parsed, nothing is kept.
 * It is measured with one pair of sockets and with a thousand, with one window in all.
 *
 *     cc -O2 -o /tmp/floor tests/bench/floor.c && /tmp/floor
 *
 * The endpoints play both brokers in one thread and read and write in bulk, as those of `calque bench` do.  Frames
 * have the sizes of a PUBLISH with 50 bytes and of a PUBACK, and what counts are bytes. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PUBLISH = 72, PUBACK = 4, WINDOW = 400, BACKLOG = 20 * WINDOW, MOST_LINKS = 1000 };
enum { CHUNK = 64 << 10, MOST_EVENTS = 256 };

enum end { SOUTH, NORTH };

/* One end of a connection.  `part`: bytes of a frame that has not come whole. */
struct socket {
	int fd;
	enum end end;
	size_t link, part, unsent;
};

struct run {
	struct socket at[2][MOST_LINKS]; /* of the process that uses it */
	size_t n_links, next;
	uint64_t sent, acked, delivered;
	int epoll;
};

static char bytes[CHUNK];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static double cpu_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A connection over the loopback, not a pair of Unix sockets: brokers are spoken to by TCP. */
static void connect_pair(int listener, int pair[2])
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	int one = 1;

	must(getsockname(listener, (struct sockaddr *)&a, &len) == 0, "getsockname");
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(pair[0] >= 0 && connect(pair[0], (struct sockaddr *)&a, len) == 0, "connect");
	pair[1] = accept(listener, NULL, NULL);
	must(pair[1] >= 0, "accept");
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void watch_all(struct run *r)
{
	r->epoll = epoll_create1(0);
	must(r->epoll >= 0, "epoll_create1");
	for (int end = 0; end < 2; end++)
		for (size_t i = 0; i < r->n_links; i++) {
			struct epoll_event e = { EPOLLIN, { .ptr = &r->at[end][i] } };

			must(epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->at[end][i].fd, &e) == 0,
			     "epoll_ctl");
		}
}

/* Whole frames of `size` that have come; 0 at the end of the connection too, which `is_open` tells. */
static size_t take_frames(struct socket *s, size_t size, bool *is_open)
{
	ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	size_t all = s->part + (n > 0 ? (size_t)n : 0);

	*is_open = n != 0;
	s->part = all % size;
	return all / size;
}

static void send_frames(const struct socket *s, size_t n, size_t size)
{
	for (size_t rest = n * size; rest > 0;) {
		ssize_t done = send(s->fd, bytes, rest < CHUNK ? rest : CHUNK, MSG_NOSIGNAL);

		if (done <= 0)
			return; /* the measurement is over */
		rest -= (size_t)done;
	}
}

/* recv (south), send (acknowledgement), send (north); recv (acknowledgement of the north). */
static void forward(struct run *r)
{
	struct epoll_event events[MOST_EVENTS];
	bool is_open = true;

	watch_all(r);
	while (is_open) {
		int n = epoll_wait(r->epoll, events, MOST_EVENTS, -1);

		for (int i = 0; is_open && i < n; i++) {
			struct socket *s = events[i].data.ptr;
			size_t frames =
				take_frames(s, s->end == SOUTH ? PUBLISH : PUBACK, &is_open);

			if (s->end == SOUTH && frames) {
				send_frames(s, frames, PUBACK);
				send_frames(&r->at[NORTH][s->link], frames, PUBLISH);
			}
		}
	}
	exit(0);
}

/* Fill the window, links in turn. */
static void fill(struct run *r)
{
	while (r->sent - r->acked < WINDOW && r->sent - r->delivered < BACKLOG) {
		r->at[SOUTH][r->next].unsent++;
		r->next = (r->next + 1) % r->n_links;
		r->sent++;
	}
	for (size_t i = 0; i < r->n_links; i++) {
		struct socket *s = &r->at[SOUTH][i];

		send_frames(s, s->unsent, PUBLISH);
		s->unsent = 0;
	}
}

static void play_brokers(struct run *r, double until)
{
	struct epoll_event events[MOST_EVENTS];

	while (now() < until) {
		int n;

		fill(r);
		n = epoll_wait(r->epoll, events, MOST_EVENTS, 1000);
		for (int i = 0; i < n; i++) {
			struct socket *s = events[i].data.ptr;
			bool is_open;
			size_t frames =
				take_frames(s, s->end == SOUTH ? PUBACK : PUBLISH, &is_open);

			if (s->end == SOUTH)
				r->acked += frames;
			else
				r->delivered += frames;
			if (s->end == NORTH && frames)
				send_frames(s, frames, PUBACK);
		}
	}
}

/* The ends for the forwarder go to `theirs`, those of the brokers to `ours`. */
static void connect_all(struct run *ours, struct run *theirs)
{
	int pair[2], listener = socket(AF_INET, SOCK_STREAM, 0);

	must(listener >= 0 && listen(listener, 64) == 0, "listen");
	for (int end = 0; end < 2; end++)
		for (size_t i = 0; i < ours->n_links; i++) {
			connect_pair(listener, pair);
			ours->at[end][i] = (struct socket){ .fd = pair[0], .end = end, .link = i };
			theirs->at[end][i] =
				(struct socket){ .fd = pair[1], .end = end, .link = i };
		}
	close(listener);
}

static void close_all(const struct run *r)
{
	for (int end = 0; end < 2; end++)
		for (size_t i = 0; i < r->n_links; i++)
			close(r->at[end][i].fd);
}

/* Messages per second from end to end. */
static double measure(size_t n_links, double seconds)
{
	static struct run ours, theirs;
	struct rusage use, before, after;
	uint64_t first;
	double start, rate, drove;
	pid_t forwarder;

	ours = (struct run){ .n_links = n_links };
	theirs = ours;
	connect_all(&ours, &theirs);
	fflush(stdout);
	forwarder = fork();
	must(forwarder >= 0, "fork");
	if (forwarder == 0) {
		close_all(&ours);
		forward(&theirs);
	}
	close_all(&theirs);
	watch_all(&ours);
	play_brokers(&ours, now() + seconds / 5);
	first = ours.delivered;
	getrusage(RUSAGE_SELF, &before);
	start = now();
	play_brokers(&ours, start + seconds);
	getrusage(RUSAGE_SELF, &after);
	rate = (double)(ours.delivered - first) / (now() - start);
	drove = (cpu_of(&after) - cpu_of(&before)) / (now() - start);
	close_all(&ours);
	close(ours.epoll);
	must(wait4(forwarder, NULL, 0, &use) == forwarder, "wait4");
	printf("%4zu links: %8.0f/s, %5.2f us of CPU per message in the forwarder, driver %.0f%%\n",
	       n_links, rate, cpu_of(&use) * 1e6 / (double)ours.delivered, drove * 100);
	return rate;
}

int main(void)
{
	struct rlimit files = { 5 * MOST_LINKS, 5 * MOST_LINKS };
	double one, many;

	must(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
	one = measure(1, 2);
	many = measure(MOST_LINKS, 2);
	printf("quotient:   %8.4f\n", many / one);
	return 0;
}
