#include "work/worker_child.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/pack.h"
#include "translate/job_codec.h"
#include "unit/dialects.h"
#include "work/sandbox.h"

/* A process that is a worker, and our end of its socket. */
static struct worker_progress *progress;
static pid_t pid;
static int fd;

static void set_up(void)
{
	int ends[2];
	char ready;

	progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		dup2(ends[1], SANDBOX_FD);
		close_range(SANDBOX_FD + 1, ~0u, 0);
		worker_child(progress);
	}
	close(ends[1]);
	fd = ends[0];
	cr_assert_eq(read(fd, &ready, 1), 1);
}

static void tear_down(void)
{
	int status;

	close(fd);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TestSuite(worker_child, .init = set_up, .fini = tear_down, .timeout = 20);

static void send_bytes(const struct buf *b, size_t from, size_t to)
{
	cr_assert_eq(write(fd, b->data + from, to - from), (ssize_t)(to - from));
}

/* The time limit of the test is the guard. */
static void await_started(uint64_t n)
{
	while (atomic_load(&progress->started) != n)
		usleep(1000);
}

Test(worker_child, marks_a_job_as_soon_as_it_begins_to_come_in)
{
	struct buf b = { 0 };
	size_t begin = pack_frame_begin(&b);

	pack_u8(&b, FRAME_JOB);
	for (int i = 0; i < 1000; i++)
		pack_u8(&b, 0);
	pack_frame_end(&b, begin);
	send_bytes(&b, 0, 5);
	await_started(1);
	send_bytes(&b, 5, 500);
	send_bytes(&b, 500, 900);
	cr_expect_eq(atomic_load(&progress->done), 0);
	send_bytes(&b, 900, b.len); /* it is no job: the process ends */
	cr_expect_eq(read(fd, b.data, 1), 0);
	cr_expect_eq(atomic_load(&progress->started), 1, "once");
	buf_fini(&b);
}

#define N_JOBS	80
#define ENDLESS "{\"n\":\"endless\"}"

static void put_job(struct buf *b, const struct plan *plan, const char *payload)
{
	struct message m = { .topic = mem_strdup("s/d") };
	struct job job = { .type = JOB_READ, .plan = plan, .side = SOUTH, .message = &m };
	struct match match;
	size_t begin = pack_frame_begin(b);

	plan_match(plan, SOUTH, m.topic, &match);
	job.readers = match.readers;
	job.n_readers = match.n;
	message_set_payload(&m, payload, strlen(payload));
	pack_u8(b, FRAME_JOB);
	job_codec_put_job(b, &job);
	pack_frame_end(b, begin);
	message_fini(&m);
}

/* Of what came at once the last job never ends: but for the last quarter, the results of those before it are there all
 * the same. */
Test(worker_child_share, is_answered_before_all_is_done, .timeout = 20)
{
	struct world w;
	struct buf out = { 0 }, in = { 0 };
	size_t n_back = 0;

	world_init(&w);
	world_plan(&w, SOUTHERN("", "{ kind: 'telemetry', topic: 's/{device}' }", ""),
		   NORTHERN("", "{ kind: 'telemetry', topic: 't/{device}', write: 'w' }",
			    "def w: if .body.n == 'endless' then until(false; .) else .body end;"));
	set_up();
	for (int i = 0; i < N_JOBS; i++)
		put_job(&out, w.plan, i < N_JOBS - 1 ? "{\"n\":1}" : ENDLESS);
	send_bytes(&out, 0, out.len);
	while (n_back < N_JOBS * 3 / 4 - 1) {
		struct unpack u, frame;
		ssize_t n;

		buf_reserve(&in, 4096);
		n = read(fd, in.data + in.len, 4096);
		cr_assert_gt(n, 0);
		in.len += (size_t)n;
		u = (struct unpack){ .p = in.data, .left = in.len };
		for (n_back = 0; unpack_frame(&u, &frame);)
			n_back++;
	}
	cr_expect_lt(n_back, N_JOBS);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
	buf_fini(&out);
	buf_fini(&in);
	world_fini(&w);
}
