#include "conf/check_presence.h"

#include "base/err.h"
#include "conf/conf.h"
#include "plan/plan.h"

/* Does anything in the south say who is here? */
static bool is_said(const struct plan *plan)
{
	return plan->has_front_door || plan->offline_after_ms ||
	       plan_reader(plan, SOUTH, KIND_PRESENCE);
}

void check_presence(const struct conf_link *link, const struct plan *plan, const char *where,
		    struct report *report)
{
	const char *north = plan->side[NORTH].dialect->name;

	if (link->has_session_presence && !plan->has_device_sessions)
		report_warning(report,
			       "%s: presence = \"session\" is for links whose devices have a "
			       "session of their own each, which this one's have not: it goes as a "
			       "message, if %s has one",
			       where, north);
	else if (link->has_session_presence && !is_said(plan))
		report_warning(report,
			       "%s: presence = \"session\" closes none: nothing in the south says "
			       "that a device is offline (offline_after: who is silent is)",
			       where);
	if (link->offline_after_s > 0 && !plan->offline_after_ms)
		report_warning(report,
			       "%s: offline_after does nothing: %s has no message that a device is "
			       "offline%s",
			       where, north,
			       plan->has_device_sessions ? " (presence = \"session\" closes its "
							   "session)"
							 : "");
}
