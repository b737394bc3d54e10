/* What a turn of the loop is, told by what happens in it. */
#include <criterion/criterion.h>

#include <unistd.h>

#include "base/err.h"
#include "net/loop.h"

#define TURNS 100

struct turns {
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer limit;
	int pipe[2];
	int n, n_read, n_wanted;
	bool is_late;
};

static void begin(struct turns *t)
{
	struct err e = { 0 };

	*t = (struct turns){ .loop = loop_new(&e) };
	cr_assert(t->loop, "%s", e.text);
	cr_assert_eq(pipe(t->pipe), 0);
}

static void on_ready(void *ctx, bool readable, bool writable)
{
	struct turns *t = ctx;
	char byte;

	(void)readable;
	(void)writable;
	cr_assert_eq(read(t->pipe[0], &byte, 1), 1);
	t->n_read++;
}

/* Work for many turns: each brings one byte in, too. */
static void on_turn(void *ctx, int64_t now_ms)
{
	struct turns *t = ctx;

	(void)now_ms;
	cr_expect_eq(t->n_read, t->n, "what came in is read before the next turn");
	if (t->n == t->n_wanted) {
		loop_stop(t->loop);
		return;
	}
	t->n++;
	cr_assert_eq(write(t->pipe[1], "x", 1), 1);
	loop_again(t->loop);
	loop_again(t->loop);
}

static void on_limit(void *ctx)
{
	struct turns *t = ctx;

	t->is_late = true;
	loop_stop(t->loop);
}

static void end(struct turns *t)
{
	loop_watch(t->loop, &t->watch, t->pipe[0], false, false);
	loop_timer_close(&t->limit, NULL);
	loop_free(t->loop);
	close(t->pipe[0]);
	close(t->pipe[1]);
}

Test(loop, work_for_many_turns_lets_in_what_is_ready_between_them)
{
	struct turns t;

	begin(&t);
	t.n_wanted = TURNS;
	t.watch = (struct loop_watch){ .on_ready = on_ready, .ctx = &t };
	loop_watch(t.loop, &t.watch, t.pipe[0], true, false);
	loop_timer_set(t.loop, &t.limit, 60000, on_limit, &t);
	loop_before_sleep(t.loop, on_turn, &t);
	loop_run(t.loop);
	cr_expect_eq(t.n, TURNS);
	cr_expect_not(t.is_late);
	end(&t);
}

static void on_turn_alone(void *ctx, int64_t now_ms)
{
	struct turns *t = ctx;

	(void)now_ms;
	if (++t->n == t->n_wanted)
		loop_stop(t->loop);
	else
		loop_again(t->loop);
}

Test(loop, another_turn_follows_without_anything_that_is_ready)
{
	struct turns t;

	begin(&t);
	t.n_wanted = TURNS;
	loop_timer_set(t.loop, &t.limit, 60000, on_limit, &t);
	loop_before_sleep(t.loop, on_turn_alone, &t);
	loop_run(t.loop);
	cr_expect_eq(t.n, TURNS);
	cr_expect_not(t.is_late, "it slept");
	end(&t);
}

static void on_turn_once(void *ctx, int64_t now_ms)
{
	struct turns *t = ctx;

	(void)now_ms;
	if (t->n++ == 0)
		loop_again(t->loop);
}

Test(loop, it_sleeps_when_nobody_asks_any_more)
{
	struct turns t;

	begin(&t);
	loop_timer_set(t.loop, &t.limit, 20, on_limit, &t);
	loop_before_sleep(t.loop, on_turn_once, &t);
	loop_run(t.loop);
	cr_expect(t.is_late);
	cr_expect_leq(t.n, 4, "%d turns: it did not sleep", t.n);
	end(&t);
}
