#include "offline/offline.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/mem.h"
#include "conf/build.h"
#include "jq/mapping.h"
#include "link/link.h"
#include "offline/lossy.h"
#include "offline/solo_worker.h"
#include "offline/trace.h"
#include "offline/why.h"
#include "plan/loader.h"
#include "plan/plan.h"
#include "state/change.h"
#include "translate/executor.h"

struct offline {
	struct plan *plan;
	struct solo_worker *own_worker; /* NULL: somebody else's is used */
	struct executor *executor;
	struct link *link;
	int64_t now_ms;
	char *session;	/* offline_set_session() */
	uint64_t asked; /* the session of handshakes that was given a question last */
	bool has_begun; /* the step in hand, by a move of the clock */
	struct offline_step step;
	struct changes changes; /* of the state, by the last step */
};

static void step_reset(struct offline_step *s)
{
	for (size_t i = 0; i < s->n; i++) {
		message_fini(&s->outputs[i].message);
		free(s->outputs[i].device);
	}
	free(s->outputs);
	free(s->text);
	*s = (struct offline_step){ 0 };
}

static void on_send(void *ctx, struct output *out)
{
	struct offline *o = ctx;
	struct offline_step *s = &o->step;

	if (out->session)
		o->asked = out->session;
	s->outputs = mem_grow(s->outputs, s->n, sizeof *s->outputs);
	s->outputs[s->n++] = (struct offline_output){ .side = out->to,
						      .kind = out->kind,
						      .device = out->device,
						      .is_provisioning = out->is_provisioning,
						      .message = out->message };
	link_done(o->link, out->origin, link_ended(o->link, out->origin, out->order, CARRIED),
		  NULL);
}

static void on_settled(void *ctx, const struct verdict *v)
{
	struct offline *o = ctx;

	if (v->is_own)
		return;
	o->step.reason = v->reason;
	free(o->step.text);
	o->step.text = mem_strdup(v->text);
}

static void on_login(void *ctx, const char *device, struct jslice credentials)
{
	(void)ctx;
	(void)device;
	(void)credentials;
}

static void on_try_login(void *ctx, uint64_t session, const char *device, struct jslice credentials)
{
	(void)ctx;
	(void)session;
	(void)device;
	(void)credentials;
}

static void on_end_provisioning(void *ctx, uint64_t session)
{
	(void)ctx;
	(void)session;
}

/* By hand, it is shown what a payload has to do with a mistake. */
static void show_payloads(struct plan *plan)
{
	for (int s = 0; s < SIDES; s++)
		mapping_show_payloads(plan->side[s].mapping);
	for (size_t i = 0; i < plan->n_through; i++)
		mapping_show_payloads(plan->through[i].mapping);
}

/* NULL: there is none, reported. */
static struct solo_worker *make_worker(struct build *b, struct report *report)
{
	struct err e = { 0 };
	struct solo_worker *worker = solo_worker_new(b->loader ? b->loader->compiler : NULL, &e);

	if (worker && solo_worker_start(worker, &e))
		return worker;
	report_error(report, "%s", e.text);
	solo_worker_free(worker);
	return NULL;
}

/* Takes the plan; NULL: there is none, or no process. */
static struct offline *open_link(struct build *b, struct plan *plan, struct solo_worker *worker,
				 struct report *report)
{
	static const struct link_ops ops = { .send = on_send,
					     .settled = on_settled,
					     .login = on_login,
					     .try_login = on_try_login,
					     .end_provisioning = on_end_provisioning };
	static const enum echo_mode echoes[SIDES] = { ECHO_OFF, ECHO_OFF };
	struct solo_worker *own = NULL;
	struct offline *o;

	if (!plan)
		return NULL;
	show_payloads(plan);
	if (!worker)
		worker = own = make_worker(b, report);
	if (!worker) {
		plan_free(plan);
		return NULL;
	}
	o = mem_zalloc(sizeof *o);
	o->plan = plan;
	o->own_worker = own;
	o->executor = executor_new(solo_worker_pool(worker));
	o->link = link_new(plan, o->executor, &ops, o, echoes);
	o->now_ms = clock_now_ms();
	return o;
}

static bool take_through(struct build *b, struct plan_spec *spec,
			 const struct offline_through *through, size_t n, struct report *report)
{
	spec->through = mem_zalloc((n + 1) * sizeof *spec->through);
	for (spec->n_through = 0; spec->n_through < n; spec->n_through++) {
		const struct offline_through *one = &through[spec->n_through];
		struct mapping *m = build_mapping(b, one->name, "through", report);

		if (m && mapping_dialect(m))
			report_error(report, "through: %s is a dialect, not a through file",
				     mapping_file(m));
		if (!m || mapping_dialect(m))
			return false;
		spec->through[spec->n_through].mapping = m;
		spec->through[spec->n_through].vars = &one->vars;
	}
	return true;
}

static struct plan *make_plan(struct build *b, const char *const names[SIDES],
			      const struct offline_through *through, size_t n_through,
			      const struct vars *vars, struct report *report)
{
	struct plan_spec spec = {
		.name = "link",
		.where = { "south", "north" },
		.mapping = { build_dialect(b, names[SOUTH], "south", report),
			     build_dialect(b, names[NORTH], "north", report) },
		.vars = { &vars[SOUTH], &vars[NORTH] },
		.is_offline = true,
		.command_max_age_ms = PLAN_DEFAULT_COMMAND_MAX_AGE_MS,
	};
	bool ok = take_through(b, &spec, through, n_through, report);
	struct plan *plan = NULL;

	if (ok && spec.mapping[SOUTH] && spec.mapping[NORTH])
		plan = plan_new(&spec, report);
	if (plan && !build_plan_there(b, plan, &spec, report)) {
		plan_free(plan);
		plan = NULL;
	}
	free(spec.through);
	return plan;
}

struct offline *offline_new(struct build *b, const char *south, const char *north,
			    const struct vars *vars, struct solo_worker *worker,
			    struct report *report)
{
	const char *const names[SIDES] = { [SOUTH] = south, [NORTH] = north };

	return open_link(b, make_plan(b, names, NULL, 0, vars, report), worker, report);
}

struct offline *offline_new_through(struct build *b, const char *const names[SIDES],
				    const struct offline_through *through, size_t n_through,
				    const struct vars *vars, struct solo_worker *worker,
				    struct report *report)
{
	return open_link(b, make_plan(b, names, through, n_through, vars, report), worker, report);
}

struct offline *offline_new_link(struct build *b, const struct conf_link *link,
				 const struct vars *vars, struct solo_worker *worker,
				 struct report *report)
{
	return open_link(b, build_offline_plan(b, link, vars, report), worker, report);
}

void offline_free(struct offline *o)
{
	if (!o)
		return;
	step_reset(&o->step);
	changes_fini(&o->changes);
	link_free(o->link);
	executor_free(o->executor);
	solo_worker_free(o->own_worker);
	plan_free(o->plan);
	free(o->session);
	free(o);
}

static const struct offline_step *finish_step(struct offline *o)
{
	executor_run(o->executor);
	while (link_next_deadline(o->link) <=
	       o->now_ms) { /* what was delivered at once has its answer */
		link_tick(o->link, o->now_ms);
		executor_run(o->executor);
	}
	changes_fini(&o->changes);
	link_take_changes(o->link, 0, &o->changes); /* kept in memory only */
	link_durable(o->link, 0);
	return &o->step;
}

static void begin_step(struct offline *o)
{
	if (!o->has_begun)
		step_reset(&o->step);
	o->has_begun = false;
}

void offline_set_session(struct offline *o, const char *device)
{
	free(o->session);
	o->session = mem_strdup(device);
}

const struct offline_step *offline_message(struct offline *o, enum flow flow,
					   const struct message *m)
{
	begin_step(o);
	link_receive(o->link, &(struct arrival){ .from = flow_source(flow),
						 .device = o->session,
						 .message = m,
						 .at_ms = o->now_ms,
						 .session = o->asked });
	return finish_step(o);
}

void offline_trace(const struct offline *o, enum flow flow, const struct message *m,
		   struct buf *out)
{
	trace_message(out, o->plan, o->executor, flow, m, o->now_ms);
}

const struct offline_step *offline_why(struct offline *o, const struct offline *bare,
				       enum flow flow, const struct message *m, struct buf *out)
{
	const struct offline_step *step;
	uint64_t kinds = 0;
	int64_t began_us;

	why_begin(out, o->plan, flow, m);
	if (bare)
		kinds = why_readings(out, "read", bare->plan, bare->executor, flow, m, o->now_ms);
	kinds |= why_readings(out, bare ? "through" : "read", o->plan, o->executor, flow, m,
			      o->now_ms);
	began_us = clock_mono_us();
	step = offline_message(o, flow, m);
	why_end(out, o->plan, flow, kinds, step, &o->changes, clock_mono_us() - began_us);
	return step;
}

static char *text_of(struct jslice row, const char *key)
{
	struct buf text = { 0 };
	struct jslice v;

	if (jtext_field(row, key, &v) && !jtext_string_decode(v, &text))
		buf_append(&text, v.text, v.len); /* JSON as it is */
	return text.data ? buf_take(&text) : mem_strdup("");
}

bool offline_restore(struct offline *o, struct jslice rows, struct err *e)
{
	struct jslice row;
	size_t pos = 0;
	bool ok = true;

	while (ok && jtext_next_element(rows, &pos, &row)) {
		char *machine = text_of(row, "machine"), *key = text_of(row, "key"),
		     *value = text_of(row, "value");

		ok = link_restore(o->link, machine, key, value, e);
		free(machine);
		free(key);
		free(value);
	}
	link_resume(o->link, o->now_ms);
	finish_step(o);
	step_reset(&o->step);
	return ok;
}

bool offline_reads(const struct offline *o, enum flow flow, const char *topic)
{
	return why_is_read(o->plan, flow, topic);
}

void offline_lossy(const struct offline *o, struct buf *out)
{
	lossy_put(out, o->plan, o->executor);
}

void offline_set_clock(struct offline *o, int64_t now_ms)
{
	begin_step(o);
	o->now_ms = now_ms;
	link_tick(o->link, o->now_ms);
	finish_step(o);
	o->has_begun = true;
}

const struct offline_step *offline_after(struct offline *o, int64_t ms)
{
	offline_set_clock(o, o->now_ms + ms);
	o->has_begun = false;
	return &o->step;
}
