#include "conf/plans.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "conf/load.h"
#include "message/side.h"
#include "plan/linkcheck.h"

static const char *host_of(const struct conf_session *s)
{
	bool is_here = strcmp(s->host, "127.0.0.1") == 0 || strcmp(s->host, "::1") == 0;

	return is_here ? "localhost" : s->host;
}

static bool is_same_broker(const struct conf_session *a, const struct conf_session *b)
{
	return a->port == b->port && strcasecmp(host_of(a), host_of(b)) == 0;
}

/* The number of the first session of all that has the same broker. */
static size_t broker_number(const struct conf *conf, const struct conf_session *of)
{
	for (size_t i = 0; i < conf->n_links; i++)
		for (int s = 0; s < SIDES; s++)
			if (is_same_broker(&conf->links[i].side[s], of))
				return SIDES * i + (size_t)s;
	return SIDES * conf->n_links;
}

static void check_together(const struct conf *conf, struct plan *const *plans,
			   struct report *report)
{
	struct linkcheck *links = mem_zalloc((conf->n_links + 1) * sizeof *links);
	size_t n = 0;

	for (size_t i = 0; i < conf->n_links; i++) {
		struct linkcheck *l = &links[n];

		if (!plans[i])
			continue;
		n++;
		l->plan = plans[i];
		for (int s = 0; s < SIDES; s++) {
			const struct conf_session *c = &conf->links[i].side[s];

			l->where[s] =
				mem_printf("%s:%u: %s", c->file, c->line, side_name((enum side)s));
			l->broker[s] = broker_number(conf, c);
		}
	}
	linkcheck_all(links, n, report);
	for (size_t i = 0; i < n; i++)
		for (int s = 0; s < SIDES; s++)
			free((char *)links[i].where[s]);
	free(links);
}

struct plan **plans_make(struct loader *l, const struct conf *conf, bool is_whole,
			 struct report *report)
{
	struct plan **plans = mem_zalloc((conf->n_links + 1) * sizeof(struct plan *));

	for (size_t i = 0; i < conf->n_links; i++)
		plans[i] = loader_plan(l, &conf->links[i], is_whole, report);
	check_together(conf, plans, report);
	return plans;
}

void plans_free(struct plan **plans, size_t n)
{
	for (size_t i = 0; plans && i < n; i++)
		plan_free(plans[i]);
	free(plans);
}
