#include "run/descriptors_check.h"

#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "live/generation.h"
#include "live/live_link.h"
#include "net/descriptors.h"
#include "plan/plan.h"
#include "work/worker.h"

#define BASE		  64  /* the state, the loop, the log, verbs that ask */
#define PER_WORKER	  8   /* two lanes */
#define OF_DOOR		  40u /* clients, and what a library needs */
#define SESSIONS_PER_LINK 2   /* its sides; and some for handshakes, or one for a visit */
#define CURE		  "ulimit -n, or LimitNOFILE of systemd"

/* What is wanted. */
struct demand {
	size_t links, devices, handshakes, descriptors;
};

/* How many devices of a link have a session of their own, at most at once. */
static size_t count_devices(const struct generation *g, size_t i, const struct live_link *live)
{
	const struct conf *c = generation_conf(g);
	size_t max = (size_t)c->links[i].side[NORTH].connections.max, n;
	struct live_link_sessions known = { 0 };
	struct listed_sessions listed;

	if (!generation_plan(g, i)->has_device_sessions)
		return 0;
	listed = build_listed_sessions(c, &c->links[i]);
	n = listed.always + listed.on_demand;
	if (live && live_link_sessions(live, &known) && known.n > n)
		n = known.n;
	return max && n > max ? max : n;
}

static struct demand count(const struct generation *g, struct live_link *const *links)
{
	const struct conf *c = generation_conf(g);
	struct demand d = { .links = c->n_links };

	for (size_t i = 0; i < c->n_links; i++) {
		d.handshakes += plan_handshake_sessions(generation_plan(g, i));
		d.devices += count_devices(g, i, links ? links[i] : NULL);
	}
	d.descriptors =
		BASE + (*c->admin ? OF_DOOR : 0u) +
		PER_WORKER * (size_t)workers_wanted((unsigned)c->workers) +
		DESCRIPTORS_PER_SESSION * (SESSIONS_PER_LINK * d.links + d.handshakes + d.devices);
	return d;
}

void descriptors_tell(const struct generation *g, struct live_link *const *links)
{
	struct demand d = count(g, links);
	size_t limit = descriptors_raise();

	/* What runs out of them says so at each login, and of no number. */
	if (limit < d.descriptors)
		log_event(LOG_WARNING, "descriptors-few",
			  "limit=%zu needed=%zu links=%zu devices=%zu cure=%s", limit,
			  d.descriptors, d.links, d.devices, log_value(CURE));
}

void descriptors_warn(const struct generation *g, struct report *report)
{
	struct demand d = count(g, NULL);
	size_t limit = descriptors_raise();

	if (limit < d.descriptors)
		report_warning(
			report,
			"%s: takes %zu file descriptors (links: %zu, devices with sessions of "
			"their own: %zu), and here a process may have %zu: " CURE,
			generation_conf(g)->file, d.descriptors, d.links, d.devices, limit);
}
