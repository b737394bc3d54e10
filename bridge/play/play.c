#include "play/play.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "net/loop.h"
#include "play/drafts.h"
#include "play/play_child.h"
#include "work/nursery.h"

struct play {
	struct loop *loop;
	char *drafts;
	struct play_request *current; /* NULL: no process is at work */
	pid_t pid;
	struct loop_watch watch; /* of its answer */
	struct loop_timer timer;
};

struct play_request {
	struct play *play;
	int in; /* what the process is asked; -1: it has it */
	struct buf answer;
	bool is_done;
};

struct play *play_new(struct loop *l, const char *drafts)
{
	struct play *p = mem_zalloc(sizeof *p);

	p->loop = l;
	p->drafts = mem_strdup(drafts);
	return p;
}

static void free_memory(void *ctx)
{
	free(ctx);
}

void play_free(struct play *p)
{
	if (!p)
		return;
	drafts_clear(p->drafts); /* a process that was killed leaves some */
	free(p->drafts);
	p->timer.ctx = p;
	loop_timer_close(&p->timer, free_memory);
}

/* --- the process ----------------------------------------------------------------------------- */

static void end_process(struct play *p)
{
	int fd = p->watch.fd;

	loop_timer_stop(&p->timer);
	loop_watch(p->loop, &p->watch, fd, false, false);
	close(fd);
	kill(-p->pid, SIGKILL); /* with what it has forked ... */
	kill(p->pid, SIGKILL);	/* ... which it may not have come to yet */
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* Whose parent has ended is a child of the first process: in a container this one. */
	while (waitpid(-p->pid, NULL, 0) > 0 || errno == EINTR)
		;
	p->current = NULL;
}

static void finish(struct play_request *r, const char *error)
{
	if (r->play->current == r)
		end_process(r->play);
	if (error) {
		buf_reset(&r->answer);
		buf_puts(&r->answer, "{\"error\":");
		jtext_put_string(&r->answer, error, strlen(error));
		buf_putc(&r->answer, '}');
	}
	r->is_done = true;
}

static void on_late(void *ctx)
{
	struct play *p = ctx;

	finish(p->current, "it took more than 2 s, and was ended");
}

static void on_answer(void *ctx, bool readable, bool writable)
{
	struct play *p = ctx;
	struct play_request *r = p->current;
	char piece[65536];
	ssize_t n;

	(void)readable;
	(void)writable;
	while ((n = read(p->watch.fd, piece, sizeof piece)) > 0 && r->answer.len <= PLAY_MAX_ANSWER)
		buf_append(&r->answer, piece, (size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r->answer.len > PLAY_MAX_ANSWER)
		finish(r, "what came of it is more than 4 MiB");
	else if (r->answer.len == 0 || r->answer.data[r->answer.len - 1] != '\n')
		finish(r, "the process that tried it has ended");
	else
		finish(r, NULL);
}

static bool begin(struct play *p, struct play_request *r, struct err *e)
{
	int ends[2];
	bool ok;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		err_errno(e, "pipe");
		return false;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	ok = nursery_fork_also(r->in, ends[1], &p->pid, e);
	close(ends[1]);
	close(r->in);
	r->in = -1;
	if (!ok) {
		close(ends[0]);
		return false;
	}
	p->current = r;
	p->watch.on_ready = on_answer;
	p->watch.ctx = p;
	loop_watch(p->loop, &p->watch, ends[0], true, false);
	loop_timer_set(p->loop, &p->timer, PLAY_MS, on_late, p);
	return true;
}

/* --- a request --------------------------------------------------------------------------------- */

/* Memory that the process is handed: nothing is sent, which somebody would have to wait for. */
static int keep(const struct buf *asked, struct err *e)
{
	int fd = memfd_create("calque-play", MFD_CLOEXEC);
	size_t done = 0;
	ssize_t n;

	while (fd >= 0 && done < asked->len) {
		n = write(fd, asked->data + done, asked->len - done);
		if (n < 0) {
			err_errno(e, "memory to ask with");
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	if (fd < 0)
		err_errno(e, "memory to ask with");
	return fd;
}

struct play_request *play_request_new(struct play *p, const struct mapping_path *path,
				      const char *json, size_t n)
{
	struct play_request *r = mem_zalloc(sizeof *r);
	struct buf asked = { 0 };
	struct err e = { 0 };

	r->play = p;
	r->in = -1;
	if (n > PLAY_MAX_BYTES) {
		finish(r, "more than 1 MiB");
		return r;
	}
	play_child_put(&asked, p->drafts, path, json, n);
	r->in = keep(&asked, &e);
	if (r->in < 0)
		finish(r, e.text);
	buf_fini(&asked);
	return r;
}

bool play_request_more(struct play_request *r, struct buf *out)
{
	struct err e = { 0 };

	if (!r->is_done && !r->play->current && !begin(r->play, r, &e))
		finish(r, e.text);
	if (!r->is_done)
		return true;
	buf_append(out, r->answer.data, r->answer.len);
	return false;
}

void play_request_free(struct play_request *r)
{
	if (r->play->current == r)
		end_process(r->play);
	if (r->in >= 0)
		close(r->in);
	buf_fini(&r->answer);
	free(r);
}
