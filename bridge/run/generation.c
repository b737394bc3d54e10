#include "run/generation.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/refs.h"
#include "conf/build.h"
#include "conf/conf.h"
#include "plan/plan.h"
#include "translate/executor.h"
#include "work/worker.h"

struct generation {
	struct conf *conf;
	struct build build;  /* of the mappings that plans point into */
	struct plan **plans; /* one per link */
	struct workers *workers;
	struct executor *executor;
	struct refs users;
};

struct generation *generation_read(const char *conf_path, const struct mapping_path *mappings,
				   struct report *report)
{
	struct generation *g = mem_zalloc(sizeof *g);
	bool is_whole;

	g->conf = conf_read(conf_path, report);
	is_whole = report->n_errors == 0;
	build_init(&g->build, mappings, g->conf);
	if (g->conf)
		g->plans = build_plans(&g->build, g->conf, is_whole, report);
	if (!g->conf || report->n_errors > 0) {
		generation_free(g);
		return NULL;
	}
	for (size_t i = 0; i < g->conf->n_links; i++)
		g->plans[i]->users = &g->users;
	return g;
}

void generation_free(struct generation *g)
{
	if (!g)
		return;
	assert(g->users.n == 0);
	generation_end_workers(g);
	executor_free(g->executor);
	if (g->conf)
		build_plans_free(g->plans, g->conf->n_links);
	build_fini(&g->build);
	conf_free(g->conf);
	free(g);
}

bool generation_make_executor(struct generation *g, struct loop *loop, struct err *e)
{
	if (loop && !(g->workers = workers_new(loop, (unsigned)g->conf->workers, e)))
		return false;
	g->executor = executor_new(g->workers ? workers_pool(g->workers) : NULL);
	return true;
}

bool generation_start_workers(struct generation *g, struct err *e)
{
	return workers_start(g->workers, e);
}

void generation_end_workers(struct generation *g)
{
	workers_free(g->workers);
	g->workers = NULL;
}

void generation_run(struct generation *g)
{
	executor_run(g->executor);
	if (g->workers)
		workers_flush(g->workers); /* they work while the disk does */
}

bool generation_is_idle(const struct generation *g)
{
	return executor_is_idle(g->executor);
}

const struct conf *generation_conf(const struct generation *g)
{
	return g->conf;
}

const struct plan *generation_plan(const struct generation *g, size_t link)
{
	assert(link < g->conf->n_links);
	return g->plans[link];
}

struct executor *generation_executor(const struct generation *g)
{
	return g->executor;
}

size_t generation_users(const struct generation *g)
{
	return g->users.n;
}
