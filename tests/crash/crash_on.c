/* crash_on.c -- calque-crash: calque with a fault.  The main process ends by SIGSEGV when it looks at a topic with
 * "/poison/" in it.  Linked with --wrap=plan_match. */
#include <signal.h>
#include <string.h>

#include "plan/plan.h"

void __real_plan_match(const struct plan *p, enum side from, const char *topic, struct match *out);
void __wrap_plan_match(const struct plan *p, enum side from, const char *topic, struct match *out);

void __wrap_plan_match(const struct plan *p, enum side from, const char *topic, struct match *out)
{
	if (strstr(topic, "/poison/"))
		raise(SIGSEGV);
	__real_plan_match(p, from, topic, out);
}
