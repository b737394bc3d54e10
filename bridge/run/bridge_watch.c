#include "run/bridge_watch.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "jq/mapping.h"
#include "live/generation.h"
#include "plan/plan.h"
#include "run/bridge_inside.h"
#include "run/file_watch.h"

#define LOOK_MS	 2000
#define QUIET_MS 1000 /* after a look that found something: has it gone on since? */

/* One look.  Of a bridge that does not wait for it any more, the files are its own. */
struct bridge_look {
	struct bridge *bridge; /* NULL: nobody waits */
	struct file_watch *files;
	bool is_late; /* they were noted after it began */
};

/* --- which files --------------------------------------------------------------------------- */

static void add_mapping(struct file_watch *w, const struct mapping *m)
{
	const char *path;

	for (size_t i = 0; (path = mapping_source(m, i)); i++)
		file_watch_add(w, path);
}

static void add_secrets(struct file_watch *w, const struct secrets *s)
{
	for (size_t i = 0; i < s->n; i++)
		file_watch_add(w, s->items[i].path);
}

static void add_link(struct file_watch *w, const struct conf_link *l, const struct plan *p)
{
	for (int s = 0; s < SIDES; s++) {
		add_mapping(w, p->side[s].mapping);
		add_secrets(w, &l->side[s].secrets);
		file_watch_add(w, l->side[s].tls.ca);
		file_watch_add(w, l->side[s].tls.cert);
		file_watch_add(w, l->side[s].tls.key);
	}
	for (size_t i = 0; i < p->n_through; i++)
		add_mapping(w, p->through[i].mapping);
	add_secrets(w, &l->secrets);
}

static struct file_watch *files_of(const struct generation *g)
{
	const struct conf *c = generation_conf(g);
	struct file_watch *w = file_watch_new();

	for (size_t i = 0; i < c->included.n; i++)
		file_watch_add(w, c->included.items[i].name);
	file_watch_add(w, c->devices);
	for (size_t i = 0; i < c->n_links; i++)
		add_link(w, &c->links[i], generation_plan(g, i));
	return w;
}

/* --- looking ------------------------------------------------------------------------------- */

static void on_time(void *bridge);

static void set_timer(struct bridge *b, uint64_t after_ms)
{
	loop_timer_set(b->parts.loop, &b->watch.timer, after_ms, on_time, b);
}

static void ask_for_reload(struct bridge *b, const char *path, size_t n)
{
	struct err e = { 0 };

	if (!bridge_may_reload(b, &e))
		return; /* it is still due at the next look */
	log_event(LOG_INFO, "files-changed", "file=%s n=%zu", log_value(path), n);
	b->is_to_reload = true;
}

/* In another thread. */
static void look(void *ctx)
{
	struct bridge_look *l = ctx;

	file_watch_look(l->files);
}

static void on_looked(void *ctx)
{
	struct bridge_look *l = ctx;
	struct bridge *b = l->bridge;
	enum file_watch_verdict verdict = FILES_SAME;
	const char *path = NULL;
	size_t n;

	if (!b) {
		file_watch_free(l->files);
		free(l);
		return;
	}
	if (!l->is_late)
		verdict = file_watch_compare(l->files, &path, &n);
	b->watch.look = NULL;
	free(l);
	if (verdict == FILES_QUIET)
		ask_for_reload(b, path, n);
	set_timer(b, verdict == FILES_MOVING ? QUIET_MS : LOOK_MS);
}

static void on_time(void *bridge)
{
	struct bridge *b = bridge;
	struct bridge_look *l = mem_zalloc(sizeof *l);

	l->bridge = b;
	l->files = b->watch.files;
	b->watch.look = l;
	loop_work(b->parts.loop, look, on_looked, l);
}

/* --- from one configuration to the next ---------------------------------------------------- */

static void forget(struct bridge_watch *w)
{
	if (w->look)
		w->look->bridge = NULL;
	else
		file_watch_free(w->files);
	w->files = NULL;
	w->look = NULL;
}

void bridge_watch_generation(struct bridge *b, const struct generation *g)
{
	struct file_watch *files = generation_conf(g)->watches ? files_of(g) : NULL;

	if (files)
		file_watch_note(files);
	if (files && b->watch.files)
		file_watch_adopt(files, b->watch.files);
	forget(&b->watch);
	b->watch.files = files;
	if (files)
		set_timer(b, LOOK_MS);
	else if (b->watch.timer.is_open)
		loop_timer_stop(&b->watch.timer);
}

void bridge_watch_note(struct bridge *b)
{
	if (b->watch.look)
		b->watch.look->is_late = true;
	if (b->watch.files)
		file_watch_note(b->watch.files);
}

void bridge_watch_end(struct bridge *b)
{
	forget(&b->watch);
	loop_timer_close(&b->watch.timer, NULL);
}
