/* assert_guard.c -- in a call: between assert_guard_call() and its return.  Armed: the library is on the stack
 * above us and none of our own frames is above it, so to jump is to leave its frames only. */
#include "net/assert_guard.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local struct {
	sigjmp_buf back;
	bool is_in_call, is_armed, has_failed;
	char words[160];
} guard;

/* Declared by assert.h. */
void __assert_fail(const char *assertion, const char *file, unsigned int line, const char *function)
{
	if (guard.is_armed) {
		guard.has_failed = true;
		snprintf(guard.words, sizeof guard.words, "%s:%u: %s: %s", file, line, function,
			 assertion);
		siglongjmp(guard.back, 1);
	}
	fprintf(stderr, "%s: %s:%u: %s: Assertion `%s' failed.\n", program_invocation_short_name,
		file, line, function, assertion);
	fflush(stderr);
	abort();
}

bool assert_guard_call(void (*f)(void *ctx), void *ctx)
{
	assert(!guard.is_in_call);
	guard.is_in_call = guard.is_armed = true;
	guard.has_failed = false;
	/* Nothing local is used behind it: a jump back may leave that as it was. */
	if (sigsetjmp(guard.back, 0) == 0)
		f(ctx);
	guard.is_in_call = guard.is_armed = false;
	return !guard.has_failed;
}

const char *assert_guard_words(void)
{
	return guard.words;
}

void assert_guard_suspend(void)
{
	guard.is_armed = false;
}

void assert_guard_resume(void)
{
	guard.is_armed = guard.is_in_call;
}
