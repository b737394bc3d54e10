/* assert_guard.h -- a seat belt for assertions that fail inside libmosquitto.
 *
 * libmosquitto 2.0.11 (Debian 12) asserts on what a broker may send: in MQTT 5, a property identifier
 * that it does not know ends in log__printf(NULL, …), assert(mosq), and the whole process would go,
 * with every other link.  Later versions (2.0.21 at the latest) return an error instead.  So the
 * executable has the __assert_fail of its own that the dynamic linker gives to all libraries: while a
 * call is guarded in this thread, a failed assertion comes back out of it.  Anywhere else it says
 * what glibc's own says, and aborts.
 *
 * What the call was working on must be given up as it is: never touched, never freed.  Our own frames
 * must not be jumped over, so whoever the library calls back suspends the guard.  When 2.0.11 is no
 * longer supported, this file can go. */
#ifndef BRIDGE_ASSERT_GUARD_H
#define BRIDGE_ASSERT_GUARD_H

#include <stdbool.h>

/* Call `f(ctx)`.  False: an assertion in it failed; assert_guard_words() says which. */
bool assert_guard_call(void (*f)(void *ctx), void *ctx);
/* The assertion that failed last in this thread, with its place.  Borrowed, until the next one. */
const char *assert_guard_words(void);

/* Around every callback out of a guarded call: in there, an assertion is final again. */
void assert_guard_suspend(void);
void assert_guard_resume(void);

#endif
