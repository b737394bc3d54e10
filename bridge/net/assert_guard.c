#include "net/assert_guard.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local struct {
	sigjmp_buf back;
	bool is_in_call, is_armed;
	char words[160];
} guard;

/* Declared by assert.h. */
void __assert_fail(const char *assertion, const char *file, unsigned int line, const char *function)
{
	if (guard.is_armed) {
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
	bool is_whole = false;

	assert(!guard.is_in_call);
	guard.is_in_call = true;
	if (sigsetjmp(guard.back, 0) == 0) {
		guard.is_armed = true;
		f(ctx);
		is_whole = true;
	}
	guard.is_in_call = guard.is_armed = false;
	return is_whole;
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
