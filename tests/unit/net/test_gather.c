#include "net/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/mem.h"
#include "net/sieve.h"

/* A session's socket, and the far end of it. */
struct live_link {
	struct gather g;
	int near, far;
};

static void open_line(struct live_link *l)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	gather_init(&l->g);
	l->near = l->g.socket = fds[0];
	l->far = fds[1];
}

static void close_line(struct live_link *l)
{
	gather_fini(&l->g);
	close(l->near);
	close(l->far);
}

/* Send all, as if what it waits for were durable at once. */
static bool flush(struct gather *g)
{
	static uint64_t commit;

	gather_mark(g, ++commit, 0);
	return gather_send(g, commit);
}

static int waiting_at(int fd)
{
	int n = -1;

	ioctl(fd, FIONREAD, &n);
	return n;
}

Test(gather, reads_ahead)
{
	struct gather *outer;
	struct live_link l;
	char text[16];

	open_line(&l);
	cr_assert_eq(write(l.far, "abcdef", 6), 6);
	outer = gather_begin(&l.g);
	cr_expect_eq(read(l.near, text, 1), 1);
	cr_expect_eq(text[0], 'a');
	cr_expect_eq(waiting_at(l.near), 0, "all of it is off the socket");
	cr_expect(gather_has_input(&l.g));
	cr_expect_eq(recv(l.near, text, sizeof text, 0), 5, "what is there, not more");
	cr_expect_arr_eq(text, "bcdef", 5);
	cr_expect_not(gather_has_input(&l.g));
	cr_expect_eq(read(l.near, text, 1), -1);
	cr_expect_eq(errno, EAGAIN);
	gather_end(&l.g, outer);
	close_line(&l);
}

Test(gather, ends_reading_when_told_to)
{
	struct gather *outer;
	struct live_link l;
	char c;

	open_line(&l);
	cr_assert_eq(write(l.far, "a", 1), 1);
	outer = gather_begin(&l.g);
	l.g.may_fill = false;
	cr_expect_eq(read(l.near, &c, 1), -1);
	cr_expect_eq(errno, EAGAIN);
	cr_expect_eq(waiting_at(l.near), 1, "the poll will tell");
	l.g.may_fill = true;
	cr_expect_eq(read(l.near, &c, 1), 1);
	gather_end(&l.g, outer);
	close_line(&l);
}

Test(gather, tells_the_end_after_the_last_byte)
{
	struct gather *outer;
	struct live_link l;
	char text[8];

	open_line(&l);
	cr_assert_eq(write(l.far, "ab", 2), 2);
	close(l.far);
	outer = gather_begin(&l.g);
	cr_expect_eq(read(l.near, text, 1), 1);
	cr_expect_eq(read(l.near, text, sizeof text), 1);
	cr_expect_eq(read(l.near, text, sizeof text), 0);
	gather_end(&l.g, outer);
	close_line(&l);
}

Test(gather, writes_nothing_before_the_flush)
{
	struct gather *outer;
	struct live_link l;
	char text[8] = "";

	open_line(&l);
	cr_assert_eq(write(l.far, "x", 1), 1);
	outer = gather_begin(&l.g);
	cr_expect_eq(write(l.near, "ab", 2), 2);
	cr_expect_eq(read(l.near, text, 1), 1, "a read must not let it out");
	cr_expect_eq(read(l.near, text, 1), -1);
	cr_expect_eq(send(l.near, "cd", 2, MSG_NOSIGNAL), 2);
	cr_expect(gather_has_output(&l.g));
	gather_end(&l.g, outer);
	cr_expect_eq(waiting_at(l.far), 0);
	cr_expect(flush(&l.g));
	cr_expect_not(gather_has_output(&l.g));
	cr_expect_eq(read(l.far, text, sizeof text), 4);
	cr_expect_arr_eq(text, "abcd", 4);
	close_line(&l);
}

/* Writes of all sizes into a socket that is full now and then: every byte once and in order. */
Test(gather, keeps_what_a_full_socket_does_not_take)
{
	enum { TOTAL = 4 * 1024 * 1024 };
	unsigned char *sent = mem_alloc(TOTAL), *got = mem_alloc(TOTAL);
	size_t n_sent = 0, n_got = 0, size = 1, n_full = 0;
	struct live_link l;

	open_line(&l);
	for (size_t i = 0; i < TOTAL; i++)
		sent[i] = (unsigned char)(i * 2654435761u >> 13);
	while (n_got < TOTAL) {
		struct gather *outer = gather_begin(&l.g);
		ssize_t n = 0;

		while (n_sent < TOTAL && n >= 0) {
			size_t want = size > TOTAL - n_sent ? TOTAL - n_sent : size;

			n = write(l.near, sent + n_sent, want);
			n_sent += n > 0 ? (size_t)n : 0;
			size = size * 5 % 200003;
		}
		cr_assert(n >= 0 || errno == EAGAIN);
		if (!flush(&l.g)) {
			cr_assert_eq(errno, EAGAIN);
			n_full++;
		}
		gather_end(&l.g, outer);
		while ((n = read(l.far, got + n_got, TOTAL - n_got)) > 0)
			n_got += (size_t)n;
	}
	cr_expect_gt(n_full, 0);
	cr_expect_eq(memcmp(sent, got, TOTAL), 0);
	free(sent);
	free(got);
	close_line(&l);
}

Test(gather, is_bounded_where_the_peer_reads_always_and_never_all)
{
	static char piece[1000], got[sizeof piece];
	bool is_full = false;
	struct live_link l;

	open_line(&l);
	for (int i = 0; i < 5000; i++) {
		struct gather *outer = gather_begin(&l.g);

		for (int k = 0; k < 2; k++) /* more than is read */
			is_full = write(l.near, piece, sizeof piece) < 0 || is_full;
		flush(&l.g);
		gather_end(&l.g, outer);
		if (is_full)
			cr_assert_eq(read(l.far, got, sizeof got), sizeof got);
	}
	cr_assert(is_full);
	cr_expect(gather_has_output(&l.g), "it is never empty");
	cr_expect_leq(l.g.out.cap, 256 * 1024);
	close_line(&l);
}

/* --- marks --------------------------------------------------------------------------------- */

/* The library writes this text, and what it has written then waits for `commit`. */
static void collect(struct live_link *l, const char *text, uint64_t commit)
{
	struct gather *outer = gather_begin(&l->g);

	cr_assert_eq(write(l->near, text, strlen(text)), (ssize_t)strlen(text));
	gather_mark(&l->g, commit, 0);
	gather_end(&l->g, outer);
}

static void expect_sent_at(struct live_link *l, uint64_t durable, const char *wanted, int line)
{
	char text[64];
	ssize_t n;

	cr_expect(gather_send(&l->g, durable));
	n = read(l->far, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	cr_expect_str_eq(text, wanted, "%d: '%s'", line, text);
}
#define expect_sent(l, durable, wanted) expect_sent_at(l, durable, wanted, __LINE__)

Test(gather, sends_up_to_the_last_mark_that_is_durable)
{
	struct live_link l;

	open_line(&l);
	collect(&l, "ab", 1);
	collect(&l, "cd", 2);
	collect(&l, "e", 2);
	collect(&l, "fg", 5);
	expect_sent(&l, 0, "");
	cr_expect_not(gather_has_sendable(&l.g));
	cr_expect_eq(gather_waiting(&l.g), 7);
	expect_sent(&l, 1, "ab");
	expect_sent(&l, 1, "");
	collect(&l, "h", 6);
	expect_sent(&l, 4, "cde");
	cr_expect_eq(gather_waiting(&l.g), 3);
	expect_sent(&l, 9, "fgh");
	cr_expect_not(gather_has_output(&l.g));
	cr_expect_eq(gather_waiting(&l.g), 0);
	close_line(&l);
}

Test(gather, sends_nothing_that_is_not_marked)
{
	struct gather *outer;
	struct live_link l;

	open_line(&l);
	collect(&l, "ab", 1);
	outer = gather_begin(&l.g);
	cr_expect_eq(write(l.near, "cd", 2), 2);
	gather_end(&l.g, outer);
	expect_sent(&l, UINT64_MAX, "ab");
	cr_expect(gather_has_output(&l.g));
	collect(&l, "e", 2);
	expect_sent(&l, 2, "cde");
	close_line(&l);
}

Test(gather, never_sends_by_itself_however_much_is_written)
{
	static char piece[1000];
	struct gather *outer;
	struct live_link l;
	size_t total = 0;
	ssize_t n;

	open_line(&l);
	outer = gather_begin(&l.g);
	while ((n = write(l.near, piece, sizeof piece)) > 0) {
		total += (size_t)n;
		cr_assert_lt(total, 1 << 20, "it is bounded");
	}
	cr_expect_eq(errno, EAGAIN);
	gather_mark(&l.g, 1, 0);
	gather_end(&l.g, outer);
	cr_expect_eq(waiting_at(l.far), 0);
	cr_expect(gather_is_stuck(&l.g));
	cr_expect_eq(gather_waiting(&l.g), total);
	gather_send(&l.g, 1);
	cr_expect_gt(waiting_at(l.far), 0);
	cr_expect_not(gather_is_stuck(&l.g));
	close_line(&l);
}

Test(gather, knows_the_weight_of_what_is_acknowledged)
{
	struct gather *outer;
	struct live_link l;

	open_line(&l);
	outer = gather_begin(&l.g);
	cr_expect_not(gather_mark(&l.g, 1, 1000), "there is nothing to mark");
	cr_expect_eq(write(l.near, "ab", 2), 2);
	cr_expect(gather_mark(&l.g, 1, 1000));
	cr_expect_eq(write(l.near, "c", 1), 1);
	cr_expect(gather_mark(&l.g, 2, 500));
	gather_end(&l.g, outer);
	cr_expect_eq(gather_waiting(&l.g), 1503);
	expect_sent(&l, 1, "ab");
	cr_expect_eq(gather_waiting(&l.g), 501);
	expect_sent(&l, 2, "c");
	cr_expect_eq(gather_waiting(&l.g), 0);
	close_line(&l);
}

Test(gather, what_is_cut_off_never_leaves)
{
	struct live_link l;

	open_line(&l);
	collect(&l, "ab", 1);
	collect(&l, "cd", 2);
	expect_sent(&l, 1, "ab");
	gather_cut(&l.g);
	expect_sent(&l, UINT64_MAX, "");
	cr_expect_not(gather_has_output(&l.g));
	cr_expect_eq(gather_waiting(&l.g), 0);
	close_line(&l);
}

Test(gather, leaves_the_reading_of_tls_alone)
{
	struct gather *outer;
	struct live_link l;
	char c;

	open_line(&l);
	l.g.is_tls = true;
	cr_assert_eq(write(l.far, "ab", 2), 2);
	outer = gather_begin(&l.g);
	cr_expect_eq(read(l.near, &c, 1), 1);
	cr_expect_eq(waiting_at(l.near), 1);
	cr_expect_not(gather_has_input(&l.g));
	gather_end(&l.g, outer);
	collect(&l, "x", 1);
	expect_sent(&l, 0, "");
	expect_sent(&l, 1, "x");
	close_line(&l);
}

Test(gather, says_that_the_peer_is_gone)
{
	struct gather *outer;
	struct live_link l;

	open_line(&l);
	close(l.far);
	outer = gather_begin(&l.g);
	cr_expect_eq(write(l.near, "a", 1), 1);
	cr_expect_not(flush(&l.g));
	cr_expect_eq(errno, EPIPE);
	gather_end(&l.g, outer);
	close_line(&l);
}

Test(gather, drops_what_is_written_to_the_wake_up_pair)
{
	struct gather *outer;
	struct live_link l;
	int pair[2], other[2];

	open_line(&l);
	outer = gather_begin(&l.g);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	gather_end(&l.g, outer);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other), 0);

	outer = gather_begin(&l.g);
	for (int i = 0; i < 100000; i++)
		cr_assert_eq(write(pair[1], "", 1), 1);
	cr_expect_eq(write(other[1], "", 1), 1);
	gather_end(&l.g, outer);
	cr_expect_eq(waiting_at(pair[0]), 0);
	cr_expect_eq(waiting_at(other[0]), 1, "a pair of somebody else");
	cr_expect_eq(write(pair[1], "", 1), 1);
	cr_expect_eq(waiting_at(pair[0]), 1, "outside it is an ordinary one");
	close_line(&l);
}

Test(gather, knows_only_the_session_in_hand)
{
	struct gather *outer, *inner;
	struct live_link l, m;

	open_line(&l);
	open_line(&m);
	cr_expect_eq(write(l.near, "a", 1), 1);
	cr_expect_eq(waiting_at(l.far), 1, "nobody is at work");
	outer = gather_begin(&l.g);
	inner = gather_begin(&m.g);
	cr_expect_eq(write(l.near, "b", 1), 1);
	cr_expect_eq(write(m.near, "c", 1), 1);
	gather_end(&m.g, inner);
	cr_expect_eq(write(l.near, "d", 1), 1);
	gather_end(&l.g, outer);
	cr_expect_eq(waiting_at(l.far), 2);
	cr_expect_eq(waiting_at(m.far), 0);
	close_line(&l);
	close_line(&m);
}

Test(gather, forgets_a_descriptor_that_is_closed)
{
	struct gather *outer;
	struct live_link l;
	int fds[2];

	open_line(&l);
	cr_assert_eq(pipe(fds), 0);
	outer = gather_begin(&l.g);
	close(l.near);
	cr_assert_eq(dup(fds[1]), l.near, "the number is used again");
	cr_expect_eq(write(l.near, "a", 1), 1);
	gather_end(&l.g, outer);
	cr_expect_not(gather_has_output(&l.g));
	cr_expect_eq(waiting_at(fds[0]), 1);
	close_line(&l);
}

/* A turn in which the library reads and writes `n` bytes. */
static void take_turn(struct live_link *l, size_t n)
{
	static char bytes[300000];
	struct gather *outer;
	size_t got = 0;

	cr_assert_eq(write(l->far, bytes, n), (ssize_t)n);
	outer = gather_begin(&l->g);
	while (got < n) {
		ssize_t step = read(l->near, bytes, 1000);

		cr_assert_gt(step, 0);
		got += (size_t)step;
	}
	cr_expect_eq(write(l->near, bytes, n), (ssize_t)n);
	flush(&l->g);
	gather_end(&l->g, outer);
	while (n > 0) {
		ssize_t step = read(l->far, bytes, sizeof bytes);

		n -= step > 0 ? (size_t)step : 0;
		flush(&l->g);
	}
}

Test(gather, keeps_its_buffers_from_turn_to_turn_and_costs_an_idle_session_nothing)
{
	struct live_link l;
	char *in, *out;

	open_line(&l);
	take_turn(&l, 1);
	in = l.g.in.data;
	out = l.g.out.data;
	cr_assert(in && out);
	take_turn(&l, 1000);
	cr_expect_eq(l.g.in.data, in);
	cr_expect_leq(l.g.in.cap, 64 * 1024);
	gather_trim(&l.g);
	cr_expect_not_null(l.g.in.data, "there was a turn since");
	gather_trim(&l.g);
	cr_expect_null(l.g.in.data);
	cr_expect_null(l.g.out.data);
	close_line(&l);
}

Test(gather, gives_back_what_a_large_write_took)
{
	struct live_link l;

	open_line(&l);
	take_turn(&l, 100000);
	cr_expect_leq(l.g.in.cap + l.g.out.cap, 128 * 1024);
	close_line(&l);
}

/* --- the sieve ----------------------------------------------------------------------------- */

/* What the library can read now, up to `most` bytes, as text. */
static const char *hear_some(struct live_link *l, size_t most)
{
	static char text[70000];
	struct gather *outer = gather_begin(&l->g);
	size_t n = 0;
	ssize_t got = 1;

	while (n < most && got > 0) {
		got = read(l->near, text + n, most - n < 7 ? most - n : 7);
		n += got > 0 ? (size_t)got : 0;
	}
	gather_end(&l->g, outer);
	text[n] = '\0';
	return text;
}

static const char *hear(struct live_link *l)
{
	return hear_some(l, 69999);
}

#define PUT(l, bytes) cr_assert_eq(write((l).far, bytes, sizeof bytes - 1), sizeof bytes - 1)

Test(gather, lets_whole_packets_through_and_bodies_as_they_come)
{
	struct live_link l;
	struct sieve s;

	open_line(&l);
	sieve_init(&s, 4, 100);
	l.g.sieve = &s;
	PUT(l, "\x30\x06\0");
	cr_expect_str_eq(hear(&l), "");
	cr_expect_not(gather_has_input(&l.g), "the library can do nothing with it");
	PUT(l, "\1tab");
	cr_expect_eq(hear(&l)[0], 0x30);
	PUT(l, "c\x32\x03\0\1t"); /* too short for its packet identifier */
	cr_expect_str_eq(hear_some(&l, 1), "c", "what comes before what is wrong");
	cr_expect(gather_has_input(&l.g), "no poll will tell that this is the end");
	cr_expect_str_eq(hear(&l), "");
	cr_expect_eq(errno, EPROTO);
	cr_expect_neq(s.fault[0], '\0');
	sieve_fini(&s);
	close_line(&l);
}

Test(gather, gives_what_was_made_in_its_place)
{
	struct gather *outer;
	struct live_link l;
	struct sieve s;
	char text[200];

	open_line(&l);
	sieve_init(&s, 4, 5);
	l.g.sieve = &s;
	PUT(l, "\x30\x04\0\1ta\x30\x09\0\1tabcdef\x30\x04\0\1tb");
	outer = gather_begin(&l.g);
	cr_expect_eq(read(l.near, text, sizeof text), 6);
	cr_expect_eq(text[5], 'a');
	cr_expect(gather_has_input(&l.g), "no poll will tell of it");
	cr_expect_gt(read(l.near, text, sizeof text), 30);
	cr_expect_eq(text[4], '-');
	cr_expect(gather_has_input(&l.g));
	cr_expect_eq(read(l.near, text, sizeof text), 6);
	cr_expect_eq(text[5], 'b');
	cr_expect_not(gather_has_input(&l.g));
	gather_end(&l.g, outer);
	sieve_fini(&s);
	close_line(&l);
}

Test(gather, drops_no_more_in_a_turn_than_it_is_told)
{
	static char body[1 << 20];
	struct live_link l;
	struct sieve s;
	size_t n = 5, turns = 0;

	open_line(&l);
	sieve_init(&s, 4, 5);
	l.g.sieve = &s;
	PUT(l, "\x30\x80\x80\x40\0\1ta"); /* 1 MiB, 4 bytes of it here */
	for (n = 4; n < sizeof body; turns++) {
		ssize_t put = write(l.far, body, sizeof body - n);

		n += put > 0 ? (size_t)put : 0;
		l.g.skip_room = 30000;
		hear(&l);
		cr_expect_eq(errno, EAGAIN);
		cr_assert_lt(turns, 1000);
	}
	cr_expect_gt(turns, 10);
	cr_expect_leq(l.g.in.cap, 64 * 1024, "nothing of it is kept");
	l.g.skip_room = SIZE_MAX;
	PUT(l, "\x30\x04\0\1tz");
	cr_expect(memmem(hear(&l), 70000, "\0\1tz", 4));
	sieve_fini(&s);
	close_line(&l);
}
