#include "store/commit.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "metric/histogram.h"
#include "store/db_inside.h"

/* Of SQLite's, a COMMIT with a checkpoint needs a fraction. */
#define STACK_BYTES ((size_t)512 << 10)

/* What it is about, under its lock. */
enum thread_stage { THREAD_IDLE, THREAD_ASKED, THREAD_DONE, THREAD_ENDING };

/* It waits for the disk, and knows nothing but the transaction that it was lent (db_inside.h). */
struct thread {
	struct db *db;
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum thread_stage stage;
	int64_t took_us; /* the last time */
	int fd;		 /* an eventfd, which is readable while it is DONE */
};

/* All commits in flight are one open transaction of SQLite, so they have one fate: its COMMIT makes durable
 * what all of them wrote, and a roll-back undoes all. */
struct commits {
	struct db *db;
	int64_t late_ms;
	uint64_t last,
		durable; /* those between are in flight, or undone and not handed over again */
	bool is_undone;
	int64_t due_ms;	       /* of the COMMIT; INT64_MAX: nothing was written */
	struct thread *thread; /* NULL: none */
	bool is_lent;	       /* to it, and not heard of since */
	struct err final;      /* what failed for good */
	struct histogram times;
};

/* --- the thread ---------------------------------------------------------------------------- */

static void *run_thread(void *ctx)
{
	static const uint64_t one = 1;
	struct thread *t = ctx;
	int64_t begun_us;

	pthread_mutex_lock(&t->lock);
	while (t->stage != THREAD_ENDING) {
		if (t->stage != THREAD_ASKED) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		begun_us = clock_mono_us();
		db_commit_lent(t->db);
		pthread_mutex_lock(&t->lock);
		t->took_us = clock_mono_us() - begun_us;
		t->stage = THREAD_DONE;
		if (write(t->fd, &one, sizeof one) != sizeof one)
			abort(); /* an eventfd that is at 0 */
		pthread_cond_broadcast(&t->changed);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void thread_set(struct thread *t, enum thread_stage stage)
{
	pthread_mutex_lock(&t->lock);
	t->stage = stage;
	pthread_mutex_unlock(&t->lock);
	pthread_cond_broadcast(&t->changed); /* unlocked, or it would wake to wait for the lock */
}

static bool thread_is_at_work(struct thread *t)
{
	bool is;

	pthread_mutex_lock(&t->lock);
	is = t->stage == THREAD_ASKED;
	pthread_mutex_unlock(&t->lock);
	return is;
}

/* Until it has done what it was asked. */
static void thread_wait(void *ctx)
{
	struct thread *t = ctx;
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	while (t->stage == THREAD_ASKED)
		pthread_cond_wait(&t->changed, &t->lock);
	t->stage = THREAD_IDLE;
	pthread_mutex_unlock(&t->lock);
	if (read(t->fd, &n, sizeof n) != sizeof n)
		abort();
}

/* Signals are the loop's. */
static int make_thread(struct thread *t)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	error = pthread_create(&t->id, &attr, run_thread, t);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		pthread_setname_np(t->id, "calque-commit");
	return error;
}

bool commits_start(struct commits *c, struct err *e)
{
	struct thread *t = mem_zalloc(sizeof *t);
	int error;

	*t = (struct thread){ .db = c->db, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	error = t->fd < 0 ? errno : 0;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	if (error == 0)
		error = make_thread(t);
	if (error == 0) {
		c->thread = t;
		return true;
	}
	errno = error;
	err_errno(e, "thread for commits");
	if (t->fd >= 0)
		close(t->fd);
	free(t);
	return false;
}

static void end_thread(struct thread *t)
{
	if (!t)
		return;
	thread_set(t, THREAD_ENDING);
	pthread_join(t->id, NULL);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	close(t->fd);
	free(t);
}

int commits_fd(const struct commits *c)
{
	return c->thread ? c->thread->fd : -1;
}

bool commits_is_busy(const struct commits *c)
{
	return c->is_lent;
}

/* The transaction is due. */
static void lend(struct commits *c)
{
	c->is_lent =
		c->thread && c->final.code == ERR_NONE && db_lend(c->db, thread_wait, c->thread);
	if (c->is_lent)
		thread_set(c->thread, THREAD_ASKED);
}

/* --- commits ------------------------------------------------------------------------------- */

struct commits *commits_new(struct db *db, int64_t late_ms)
{
	struct commits *c = mem_zalloc(sizeof *c);

	*c = (struct commits){ .db = db, .late_ms = late_ms, .due_ms = INT64_MAX };
	return c;
}

void commits_free(struct commits *c)
{
	if (!c)
		return;
	if (c->is_lent)
		db_take_back(c->db, NULL);
	end_thread(c->thread);
	free(c);
}

uint64_t commits_next(const struct commits *c)
{
	return c->last + 1;
}

static bool is_due(const struct commits *c, int64_t now_ms)
{
	return c->due_ms == INT64_MAX || now_ms >= c->due_ms;
}

uint64_t commits_hand_over(struct commits *c, int64_t now_ms)
{
	assert(!c->is_lent);
	c->is_undone = false;
	if (c->due_ms == INT64_MAX && db_is_writing(c->db))
		c->due_ms = now_ms + c->late_ms;
	if (is_due(c, now_ms))
		lend(c);
	return ++c->last;
}

/* It has an end, whatever became of it. */
static bool take_back(struct commits *c, struct err *e)
{
	bool ok = db_take_back(c->db, e);

	histogram_add(&c->times, c->thread->took_us); /* it waits to be asked again */
	c->is_lent = false;
	return ok || db_commit(c->db, NULL); /* is false, and the next one begins anew */
}

void commits_undo(struct commits *c)
{
	assert(!c->is_lent);
	db_break(c->db);
	db_commit(c->db, NULL); /* as above */
	c->due_ms = INT64_MAX;
	c->is_undone = true;
}

static bool is_open(const struct commits *c)
{
	return c->durable < c->last && !c->is_undone;
}

/* Is there an answer?  If it takes a thread to have one, that is asked. */
static bool has_answer(struct commits *c, int64_t now_ms)
{
	if (!is_open(c) || (!c->is_lent && !is_due(c, now_ms)))
		return false;
	if (!c->is_lent)
		lend(c);
	return !c->is_lent || now_ms == INT64_MAX || !thread_is_at_work(c->thread);
}

void commits_step(struct commits *c, int64_t now_ms, const struct commit_ops *ops, void *ctx)
{
	struct err e = { 0 };

	if (!has_answer(c, now_ms))
		return;
	c->due_ms = INT64_MAX;
	if (c->final.code == ERR_NONE && (c->is_lent ? take_back(c, &e) : db_commit(c->db, &e))) {
		c->durable = c->last;
		ops->durable(ctx, c->durable);
		return;
	}
	if (c->final.code == ERR_NONE && e.code != ERR_FULL)
		c->final = e;
	c->is_undone = c->final.code == ERR_NONE; /* else it is told again, whenever it is asked */
	ops->undone(ctx, c->final.code == ERR_NONE ? &e : &c->final);
}

int64_t commits_deadline(const struct commits *c)
{
	if (!is_open(c) || (c->is_lent && thread_is_at_work(c->thread)))
		return INT64_MAX;
	if (c->is_lent)
		return 0;
	return c->due_ms == INT64_MAX ? 0 : c->due_ms;
}

uint64_t commits_durable(const struct commits *c)
{
	return c->durable;
}

const struct histogram *commits_times(const struct commits *c)
{
	return &c->times;
}
