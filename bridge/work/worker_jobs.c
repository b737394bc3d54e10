/* worker_jobs.c -- what one process has to do: given in batches, and back in that order. */
#include "work/worker_inside.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/loop.h"
#include "translate/job_codec.h"

#define READ_BYTES (64u << 10)
#define KEEP_BYTES (1u << 20) /* of an empty buffer; what a huge message made it is given back */

size_t worker_begin_frame(struct worker *w, enum frame type)
{
	size_t begin = pack_frame_begin(&w->out);

	pack_u8(&w->out, type);
	return begin;
}

static void put_job(struct worker *w, const struct job *job)
{
	size_t begin = worker_begin_frame(w, FRAME_JOB);

	job_codec_put_job(&w->out, job);
	pack_frame_end(&w->out, begin);
}

static bool wants_alone(const struct job *job)
{
	return job->is_alone || job->was_slow;
}

static void give(struct worker *w)
{
	if (w->n_given == 0)
		w->since_ms = clock_mono_ms();
	put_job(w, w->next);
	w->n_given++;
	w->has_alone = wants_alone(w->next);
	w->next = TAILQ_NEXT(w->next, hand_entry);
}

/* What its process may have by now. */
void worker_give_more(struct worker *w)
{
	while (w->next && !w->has_alone && (w->n_given == 0 || !wants_alone(w->next)))
		give(w);
}

/* Write what the socket takes.  False: the process is gone. */
bool worker_send_out(struct worker *w)
{
	while (w->n_sent < w->out.len) {
		ssize_t n = send(w->watch.fd, w->out.data + w->n_sent, w->out.len - w->n_sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			w->n_sent += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return false;
	}
	if (w->n_sent == w->out.len) {
		buf_reset_above(&w->out, KEEP_BYTES);
		w->n_sent = 0;
	} else if (w->n_sent > w->out.len / 2) { /* under load it is never empty */
		buf_drop(&w->out, w->n_sent);
		w->n_sent = 0;
	}
	loop_watch(w->all->loop, &w->watch, w->watch.fd, true, w->out.len > 0);
	return true;
}

/* One that its process was given. */
struct job *worker_take_out(struct worker *w, struct job *job)
{
	TAILQ_REMOVE(&w->jobs, job, hand_entry);
	w->n_jobs--;
	w->n_given--;
	w->has_alone = false;
	if (job->was_slow)
		w->all->slow = NULL;
	return job;
}

/* The results of the oldest job.  False: they are not its. */
static bool take_results(struct worker *w, struct unpack *frame)
{
	struct results results = { 0 };

	if (w->n_given == 0 ||
	    !job_codec_get_results(frame, TAILQ_FIRST(&w->jobs), &w->all->scratch, &results)) {
		results_fini(&results);
		return false;
	}
	w->n_back++;
	w->since_ms = clock_mono_ms();
	executor_back(worker_take_out(w, TAILQ_FIRST(&w->jobs)), &results);
	worker_give_more(w);
	return true;
}

static bool take_frames(struct worker *w)
{
	struct unpack u = { .p = w->in.data, .left = w->in.len }, frame;
	bool ok = true;

	while (ok && unpack_frame(&u, &frame))
		ok = take_results(w, &frame);
	if (unpack_frame_is_over(&u, JOB_CODEC_ANSWER_BYTES))
		ok = false;
	w->has_lied = !ok;
	buf_drop(&w->in, w->in.len - u.left);
	if (u.left == 0)
		buf_reset_above(&w->in, KEEP_BYTES);
	buf_reset_above(&w->all->scratch, KEEP_BYTES);
	return ok;
}

bool worker_receive(struct worker *w)
{
	for (;;) {
		size_t room;
		ssize_t n;

		buf_reserve(&w->in, READ_BYTES);
		room = w->in.cap - w->in.len - 1;
		n = recv(w->watch.fd, w->in.data + w->in.len, room, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		w->in.len += (size_t)n;
		if (!take_frames(w))
			return false;
		if ((size_t)n < room)
			return true;
	}
}
