/* bridge_reload.c -- another configuration takes over in the running bridge: asked for by a verb or a signal, read and
 * checked at once, applied at the end of the turn, when all that the turn brought is durable. */
#include "run/bridge_inside.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/service.h"
#include "conf/conf.h"
#include "live/generation.h"
#include "live/suspects.h"
#include "net/control_server.h"
#include "run/descriptors_check.h"
#include "work/compiler.h"

bool bridge_may_reload(const struct bridge *b, struct err *e)
{
	const char *why = NULL;

	if (b->is_stopping)
		why = "the bridge is stopping";
	else if (b->next)
		why = "another configuration is just taking over";
	else if (suspects_is_careful(b->parts.suspects))
		why = "after a crash, messages are taken one at a time for a while: try it again";
	else if (!storage_is_well(&b->storage))
		why = "the disk is full, or the journal";
	if (why)
		err_set(e, ERR_BUSY, "%s", why);
	return !why;
}

static void put_mistakes(const struct report *r, struct buf *items)
{
	for (size_t i = 0; i < r->n_lines; i++) {
		if (!r->lines[i].is_warning)
			log_event(LOG_ERROR, "reload-mistake", "reason=%s",
				  log_value(r->lines[i].text));
		buf_printf(items, "{\"item\":{\"is_warning\":%s",
			   r->lines[i].is_warning ? "true" : "false");
		control_request_put_text(items, "mistake", r->lines[i].text);
		buf_puts(items, "}}\n");
	}
}

/* The file, and all that it names.  NULL sets *e: something is wrong, or not there. */
static struct generation *read_again(struct bridge *b, struct buf *items, struct err *e)
{
	struct report report = { 0 };
	struct compiler *compiler = compiler_new(e);
	struct generation *g;

	if (!compiler)
		return NULL;
	g = generation_read(b->conf->file, b->mappings, compiler, &report);
	put_mistakes(&report, items);
	if (!g || report.n_lacks) {
		err_set(e, ERR_BUSY, "the configuration has mistakes: nothing is changed");
		generation_free(g);
		g = NULL;
	}
	report_fini(&report);
	return g;
}

static void put_step(const struct reload_step *s, struct buf *items)
{
	buf_puts(items, "{\"item\":{\"is_link\":true");
	control_request_put_text(items, "link", s->link);
	control_request_put_text(items, "change", reload_change_name(s->change));
	control_request_put_text(items, "keys", s->what ? s->what : "");
	control_request_put_text(items, "filters", s->filters ? s->filters : "");
	buf_printf(items, ",\"waiting\":%llu}}\n", (unsigned long long)s->waiting);
}

static void put_plan(const struct reload_plan *plan, struct buf *items)
{
	if (*plan->bridge) {
		buf_puts(items, "{\"item\":{\"is_bridge\":true");
		control_request_put_text(items, "keys", plan->bridge);
		buf_puts(items, "}}\n");
	}
	for (size_t i = 0; i < plan->n; i++)
		put_step(&plan->items[i], items);
}

/* With `is_strict`, no message may be left behind. */
static bool check_waiting(const struct reload_plan *plan, struct err *e)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->items[i].waiting) {
			err_set(e, ERR_BUSY,
				"%s has %llu messages that are not settled: nothing is changed",
				plan->items[i].link, (unsigned long long)plan->items[i].waiting);
			return false;
		}
	return true;
}

/* Its processes are up before the others end. */
static bool make_ready(struct bridge *b, struct generation *next, struct err *e)
{
	return generation_make_executor(next, b->parts.loop, bridge_on_workers_gone, b, e) &&
	       generation_start_workers(next, e);
}

static bool prepare(struct bridge *b, const struct reload_wish *wish, struct buf *items,
		    struct err *e)
{
	struct generation *next = NULL;
	struct reload_plan plan = { 0 };
	bool ok = bridge_may_reload(b, e);

	if (ok && !wish->only_plans)
		bridge_watch_note(b);
	ok = ok && (next = read_again(b, items, e)) &&
	     reload_plan_make(&plan, b->links, b->generation, next, e);
	if (ok)
		put_plan(&plan, items);
	ok = ok && (!wish->is_strict || wish->drops || check_waiting(&plan, e));
	if (ok && !wish->only_plans && make_ready(b, next, e)) {
		b->next = next;
		b->plan = plan;
		b->next_drops = wish->drops;
		return true;
	}
	ok = ok && wish->only_plans;
	reload_plan_fini(&plan);
	generation_free(next);
	return ok;
}

bool bridge_reload(void *bridge, const struct reload_wish *wish, struct buf *items, struct err *e)
{
	struct bridge *b = bridge;
	bool ok;

	if (!wish->only_plans)
		service_tell_reloading(b->service);
	ok = prepare(b, wish, items, e);
	if (!ok && !wish->only_plans)
		log_event(LOG_ERROR, "reload-refused", "reason=%s", log_value(e->text));
	return ok;
}

void bridge_reload_unasked(struct bridge *b)
{
	const struct reload_wish wish = { 0 };
	struct buf items = { 0 };
	struct err e = { 0 };

	b->is_to_reload = false;
	bridge_reload(b, &wish, &items, &e);
	buf_fini(&items);
}

/* All that the links have done is durable, and nothing is in flight.  False: the disk is full, or *e is set. */
static bool make_durable(struct bridge *b, int64_t now_ms, struct err *e)
{
	uint64_t commit = 0;

	for (size_t i = 0; i < b->n_links; i++)
		live_link_fleet_rest(b->links[i]);
	/* What was settled while its row was on its way is due only then. */
	for (int round = 0; round < 2; round++) {
		commit = storage_hand_over(&b->storage, now_ms, true);
		for (size_t i = 0; i < b->n_links; i++)
			live_link_acknowledge(b->links[i], commit);
		if (!storage_hear(&b->storage, now_ms, true, e))
			return false;
		for (size_t i = 0; i < b->n_links; i++)
			live_link_let_out(b->links[i], storage_durable(&b->storage));
	}
	return storage_durable(&b->storage) >= commit && storage_is_well(&b->storage);
}

/* What requests work on. */
static void show_links(struct bridge *b)
{
	static const char line[] =
		"{\"error\":\"the configuration was changed meanwhile: ask again\",\"status\":1}\n";

	control_server_break_off(b->control, line, sizeof line - 1);
	if (b->behind_door)
		b->door->break_off(b->behind_door, line, sizeof line - 1);
	b->asked.conf = b->conf;
	b->asked.links = b->links;
	b->asked.n_links = b->n_links;
	b->asked.generation = b->generation;
}

/* As after a start, but for links that went on. */
static bool begin_links(struct bridge *b, struct err *e)
{
	bool *is_new = mem_zalloc((b->n_links + 1) * sizeof *is_new);
	bool ok;

	for (size_t k = 0; k < b->plan.n; k++)
		if (b->plan.items[k].change == RELOAD_CHANGED ||
		    b->plan.items[k].change == RELOAD_ADDED)
			is_new[b->plan.items[k].to] = true;
	for (size_t i = 0; i < b->n_links; i++)
		if (is_new[i] && live_link_open(b->links[i]))
			live_link_start(b->links[i]);
	ok = journal_live_resume(b->parts.journal, &bridge_journal_reader, e);
	for (size_t i = 0; ok && i < b->n_links; i++)
		if (is_new[i])
			live_link_resume(b->links[i]);
	free(is_new);
	return ok;
}

static void give_up_next(struct bridge *b)
{
	log_event(LOG_ERROR, "reload-refused", "reason=%s", log_value("the disk is full"));
	generation_free(b->next);
	b->next = NULL;
	reload_plan_fini(&b->plan);
}

bool bridge_take_over(struct bridge *b, int64_t now_ms)
{
	struct reload_bridge rb = { &b->parts, &b->storage, b->links, b->n_links, b->ahead_ms };
	struct generation *from = b->generation;
	struct err e = { 0 };
	bool ok;

	if (!make_durable(b, now_ms, &e)) {
		if (e.code != ERR_NONE)
			bridge_fail(b, &e);
		else
			give_up_next(b);
		b->reopen_ms = now_ms; /* who waits for the end of this is heard */
		return e.code == ERR_NONE;
	}
	ok = reload_apply(&rb, &b->plan, from, b->next, b->next_drops, &e);
	b->generation = b->next;
	b->next = NULL;
	b->conf = generation_conf(b->generation);
	b->links = rb.links;
	b->n_links = rb.n_links;
	b->storage.max_bytes = (uint64_t)b->conf->journal.max_bytes;
	bridge_bound_journal(b);
	log_levels(b->conf->log_levels);
	show_links(b);
	bridge_watch_generation(b, b->generation);
	ok = ok && begin_links(b, &e);
	if (ok && !bridge_list_devices(b, &e)) { /* told, and the list is as it was */
		log_event(LOG_ERROR, "devices-refused", "reason=%s", log_value(e.text));
		e = (struct err){ 0 };
	}
	log_event(LOG_INFO, "reloaded", "same=%zu changed=%zu added=%zu removed=%zu",
		  b->plan.count[RELOAD_SAME], b->plan.count[RELOAD_CHANGED],
		  b->plan.count[RELOAD_ADDED], b->plan.count[RELOAD_REMOVED]);
	reload_plan_fini(&b->plan);
	if (!ok) {
		bridge_fail(b, &e);
		return false;
	}
	descriptors_tell(b->generation, b->links);
	b->reopen_ms = now_ms; /* and the next turn does what they have to do */
	return true;
}
