/* subprocess.c -- real pipes rather than the sockets that libuv would make: a program may open /dev/stdin again.
 *
 * Descriptors: all of ours are closed by the exec, whatever a library has forgotten (close_range()).  The end is when
 * the process has ended and both pipes are at their ends; should somebody else still hold one, a little later. */
#include "work/subprocess.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"

#define REST_MS 1000 /* for what is left in the pipes when it has ended */

enum { STD_IN, STD_OUT, STD_ERR, STDS };

struct subprocess {
	struct loop *loop;
	uv_process_t process;
	uv_pipe_t pipes[STDS];
	uv_write_t write;
	struct loop_timer limit;
	char *input;
	size_t input_len;
	struct buf out;
	char complaint[SUBPROCESS_COMPLAIN + 1];
	size_t n_complaint;
	bool has_complained; /* the line is whole */
	struct subprocess_end end;
	subprocess_on_end *on_end; /* NULL: was called, or must not be */
	void *ctx;
	unsigned n_open; /* handles */
	bool has_exited, is_ending;
};

static char scratch[SUBPROCESS_MOST]; /* what was read, until it is looked at */

static bool failed(struct err *e, const char *what, int rc)
{
	err_set(e, ERR_IO, "%s: %s", what, uv_strerror(rc));
	return false;
}

static void free_it(struct subprocess *s)
{
	mem_free_secret(s->input, s->input_len);
	mem_free_secret(s->out.data, s->out.len);
	free(s);
}

static void one_closed(struct subprocess *s)
{
	if (--s->n_open == 0)
		free_it(s);
}

static void on_closed(uv_handle_t *handle)
{
	one_closed(handle->data);
}

static void on_limit_closed(void *ctx)
{
	one_closed(ctx);
}

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void close_pipe(struct subprocess *s, int which)
{
	close_handle((uv_handle_t *)&s->pipes[which]);
}

static void kill_group(const struct subprocess *s)
{
	kill(-s->process.pid, SIGKILL);
}

static bool is_at_end(const struct subprocess *s, int which)
{
	return uv_is_closing((const uv_handle_t *)&s->pipes[which]);
}

static void finish(struct subprocess *s)
{
	subprocess_on_end *on_end = s->on_end;

	if (s->is_ending)
		return;
	s->is_ending = true;
	s->on_end = NULL;
	for (int i = 0; i < STDS; i++)
		close_pipe(s, i);
	close_handle((uv_handle_t *)&s->process);
	s->end.out = (struct jslice){ buf_str(&s->out), s->out.len };
	s->end.complaint = s->complaint;
	if (on_end)
		on_end(s->ctx, &s->end);
	loop_timer_close(&s->limit, on_limit_closed);
}

static void finish_if_over(struct subprocess *s)
{
	if (s->has_exited && is_at_end(s, STD_OUT) && is_at_end(s, STD_ERR))
		finish(s);
}

static void on_limit(void *ctx)
{
	struct subprocess *s = ctx;

	if (s->has_exited) {
		finish(s);
		return;
	}
	if (s->end.how == SUBPROCESS_EXITED)
		s->end.how = SUBPROCESS_TOO_LATE;
	kill_group(s);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
	struct subprocess *s = process->data;

	s->has_exited = true;
	kill_group(s); /* whom it has left behind */
	if (s->end.how == SUBPROCESS_EXITED && signal) {
		s->end.how = SUBPROCESS_KILLED;
		s->end.status = signal;
	} else {
		s->end.status = (int)status;
	}
	loop_timer_set(s->loop, &s->limit, REST_MS, on_limit, s);
	finish_if_over(s);
}

/* --- what it says ---------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
	(void)handle;
	(void)wanted;
	*out = uv_buf_init(scratch, sizeof scratch);
}

static void take_out(struct subprocess *s, const char *text, size_t n)
{
	if (s->end.how != SUBPROCESS_EXITED)
		return;
	if (s->out.len + n <= SUBPROCESS_MOST) {
		buf_append(&s->out, text, n);
		return;
	}
	s->end.how = SUBPROCESS_TOO_MUCH;
	kill_group(s);
}

static void take_complaint(struct subprocess *s, const char *text, size_t n)
{
	for (size_t i = 0; i < n && !s->has_complained; i++) {
		s->has_complained = text[i] == '\n' || s->n_complaint == SUBPROCESS_COMPLAIN;
		if (!s->has_complained)
			s->complaint[s->n_complaint++] = text[i];
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *from)
{
	struct subprocess *s = stream->data;
	bool is_out = stream == (uv_stream_t *)&s->pipes[STD_OUT];

	if (n < 0) {
		close_handle((uv_handle_t *)stream);
		finish_if_over(s);
	} else if (n > 0) {
		(is_out ? take_out : take_complaint)(s, from->base, (size_t)n);
		explicit_bzero(from->base, (size_t)n);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct subprocess *s = write->data;

	(void)status; /* it need not read its question */
	close_pipe(s, STD_IN);
}

/* --- its start ------------------------------------------------------------------------------- */

static void close_ends(int ends[STDS][2], int which)
{
	for (int i = 0; i < STDS; i++)
		if (ends[i][which] >= 0)
			close(ends[i][which]);
}

static bool make_pipes(int ours_theirs[STDS][2], struct err *e)
{
	for (int i = 0; i < STDS; i++) {
		uv_file ends[2];
		int rc = uv_pipe(ends, i == STD_IN ? 0 : UV_NONBLOCK_PIPE,
				 i == STD_IN ? UV_NONBLOCK_PIPE : 0);

		if (rc < 0)
			return failed(e, "pipe", rc);
		ours_theirs[i][0] = ends[i == STD_IN];
		ours_theirs[i][1] = ends[i != STD_IN];
	}
	return true;
}

static bool spawn(struct subprocess *s, const struct subprocess_spec *spec, int ends[STDS][2],
		  struct err *e)
{
	static char *const environment[] = { SUBPROCESS_PATH, NULL };
	uv_stdio_container_t std[STDS];
	uv_process_options_t options = { .exit_cb = on_exit_of,
					 .file = spec->argv[0],
					 .args = (char **)spec->argv,
					 .env = (char **)environment,
					 .cwd = "/",
					 .flags = UV_PROCESS_DETACHED,
					 .stdio_count = STDS,
					 .stdio = std };
	int rc;

	for (int i = 0; i < STDS; i++) {
		std[i].flags = UV_INHERIT_FD;
		std[i].data.fd = ends[i][1];
	}
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return failed(e, "close_range", -errno);
	rc = uv_spawn(loop_uv(s->loop), &s->process, &options);
	return rc == 0 || failed(e, spec->argv[0], rc);
}

static void open_pipe(struct subprocess *s, int which, int fd)
{
	int rc = uv_pipe_init(loop_uv(s->loop), &s->pipes[which], 0);

	assert(rc == 0);
	rc = uv_pipe_open(&s->pipes[which], fd);
	assert(rc == 0); /* it is a pipe, and not blocking */
	(void)rc;
	s->pipes[which].data = s;
	s->n_open++;
}

static void talk(struct subprocess *s, int ends[STDS][2], unsigned timeout_ms)
{
	uv_buf_t input = uv_buf_init(s->input, (unsigned)s->input_len);

	for (int i = 0; i < STDS; i++)
		open_pipe(s, i, ends[i][0]);
	s->write.data = s;
	if (uv_write(&s->write, (uv_stream_t *)&s->pipes[STD_IN], &input, 1, on_written) < 0)
		close_pipe(s, STD_IN);
	for (int i = STD_OUT; i <= STD_ERR; i++)
		if (uv_read_start((uv_stream_t *)&s->pipes[i], on_alloc, on_read) < 0)
			close_pipe(s, i);
	loop_timer_set(s->loop, &s->limit, timeout_ms, on_limit, s);
	s->n_open++;
}

struct subprocess *subprocess_start(struct loop *loop, const struct subprocess_spec *spec,
				    struct err *e)
{
	int ends[STDS][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct subprocess *s = mem_zalloc(sizeof *s);
	bool ok = make_pipes(ends, e);

	s->loop = loop;
	if (ok) {
		s->n_open = 1; /* libuv knows the process, even of one that was not started */
		s->process.data = s;
		ok = spawn(s, spec, ends, e);
	}
	close_ends(ends, 1);
	if (!ok) {
		close_ends(ends, 0);
		if (s->process.type == UV_PROCESS)
			close_handle((uv_handle_t *)&s->process);
		else
			free_it(s);
		return NULL;
	}
	s->on_end = spec->on_end;
	s->ctx = spec->ctx;
	s->input = mem_strndup(spec->input, spec->input_len);
	s->input_len = spec->input_len;
	talk(s, ends, spec->timeout_ms);
	return s;
}

void subprocess_kill(struct subprocess *s)
{
	s->on_end = NULL;
	if (!s->has_exited)
		kill_group(s);
}

const struct subprocess_ops subprocess_ops = { subprocess_start, subprocess_kill };
