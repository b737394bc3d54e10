/* loops.h -- messages that would run in a loop: what a session writes is read, on the same broker, by
 * another session, carried on, and so comes back to where it was read first. */
#ifndef BRIDGE_LOOPS_H
#define BRIDGE_LOOPS_H

#include <stddef.h>

struct linkcheck;
struct report;

/* Report each ring of sessions through which messages would run, with the kinds that do.  What a
 * session itself gets back of what it wrote is no loop: it is known as an echo
 * (state/echo.h).  One through which only handshakes would run is a warning. */
void loops_check(const struct linkcheck *links, size_t n, struct report *report);

#endif
