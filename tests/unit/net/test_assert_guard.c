#include "net/assert_guard.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

static int n_callbacks;

static void fail(void *ctx)
{
	int answer = *(int *)ctx;

	assert(answer == 42);
}

static void call_back_and_fail(void *ctx)
{
	assert_guard_suspend();
	n_callbacks++;
	assert_guard_resume();
	fail(ctx);
}

static void fail_in_callback(void *ctx)
{
	assert_guard_suspend();
	fail(ctx);
}

static void *fail_in_thread(void *ctx)
{
	fail(ctx);
	return NULL;
}

static void fail_in_another_thread(void *ctx)
{
	pthread_t thread;

	pthread_create(&thread, NULL, fail_in_thread, ctx);
	pthread_join(thread, NULL);
}

Test(assert_guard, comes_back_out_of_a_call_again_and_again)
{
	int wrong = 41, right = 42;

	for (int i = 0; i < 3; i++) {
		cr_expect(!assert_guard_call(fail, &wrong));
		cr_expect(strstr(assert_guard_words(), "test_assert_guard.c:"));
		cr_expect(strstr(assert_guard_words(), "fail")); /* clang: "void fail(void *)" */
		cr_expect(strstr(assert_guard_words(), ": answer == 42"));
		cr_expect(assert_guard_call(fail, &right));
	}
}

Test(assert_guard, is_on_again_after_a_callback)
{
	int wrong = 41;

	cr_expect(!assert_guard_call(call_back_and_fail, &wrong));
	cr_expect_eq(n_callbacks, 1);
}

/* An assertion of our own is a bug of our own. */

Test(assert_guard, is_off_in_a_callback, .signal = SIGABRT)
{
	int wrong = 41;

	assert_guard_call(fail_in_callback, &wrong);
}

Test(assert_guard, is_off_after_the_call, .signal = SIGABRT)
{
	int right = 42;

	cr_expect(assert_guard_call(fail, &right));
	right = 0;
	fail(&right);
}

Test(assert_guard, is_off_outside_of_a_call, .signal = SIGABRT)
{
	int wrong = 41;

	assert_guard_resume();
	fail(&wrong);
}

Test(assert_guard, is_of_one_thread, .signal = SIGABRT)
{
	int wrong = 41;

	assert_guard_call(fail_in_another_thread, &wrong);
}
