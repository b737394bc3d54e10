#include "run/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "link/link.h"
#include "message/vars.h"
#include "plan/plan.h"
#include "live/generation.h"
#include "live/live_link.h"
#include "live/storage.h"
#include "store/db.h"
#include "store/journal.h"

const char *reload_change_name(enum reload_change change)
{
	static const char *const names[] = { [RELOAD_SAME] = "same",
					     [RELOAD_CHANGED] = "changed",
					     [RELOAD_ADDED] = "added",
					     [RELOAD_REMOVED] = "removed" };
	return names[change];
}

/* --- what changes -------------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = list; (at = strstr(at, key)) != NULL; at += n)
		if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
			return true;
	return false;
}

/* Processes, sockets and files that are open for as long as the bridge runs. */
static bool check_fixed(const char *keys, struct err *e)
{
	static const char *const fixed[] = { "state",	    "state_key",   "workers",
					     "admin",	    "admin_token", "admin_hosts",
					     "admin_bench", "log_format",  "journal.sync" };

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		if (is_listed(keys, fixed[i])) {
			err_set(e, ERR_BUSY,
				"%s has changed: that takes a restart, and nothing is changed now",
				fixed[i]);
			return false;
		}
	return true;
}

static bool find(const struct conf *c, const char *name, size_t *at)
{
	for (*at = 0; *at < c->n_links; ++*at)
		if (strcmp(c->links[*at].name, name) == 0)
			return true;
	return false;
}

static bool is_renamed(const struct conf *c, const char *was)
{
	for (size_t i = 0; i < c->n_links; i++)
		if (c->links[i].rename && strcmp(c->links[i].rename, was) == 0)
			return true;
	return false;
}

static struct reload_step *add(struct reload_plan *plan, enum reload_change change,
			       const char *link)
{
	struct reload_step *s;

	plan->items = mem_grow(plan->items, plan->n, sizeof *plan->items);
	s = &plan->items[plan->n++];
	*s = (struct reload_step){ .change = change, .link = link };
	plan->count[change]++;
	return s;
}

static bool has_filter(char *const *filters, size_t n, const char *filter)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(filters[i], filter) == 0)
			return true;
	return false;
}

/* Those of `p` that are not among the `n`, less credentials. */
static void put_filters(const struct plan *p, enum side side, char sign, char *const *others,
			size_t n_others, struct buf *out)
{
	size_t n;
	char **filters = plan_filters(p, side, false, NULL, &n);

	for (size_t i = 0; i < n; i++) {
		if (!has_filter(others, n_others, filters[i])) {
			char *told = vars_hide(&p->side[side].vars, filters[i]);

			buf_printf(out, "%s%s %c%s", out->len ? ", " : "", side_name(side), sign,
				   told);
			free(told);
		}
		free(filters[i]);
	}
	free(filters);
}

static void free_filters(char **filters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(filters[i]);
	free(filters);
}

static char *compare_filters(const struct plan *from, const struct plan *to)
{
	struct buf out = { 0 };

	for (int s = 0; s < SIDES; s++) {
		size_t n_old, n_new;
		char **old = plan_filters(from, (enum side)s, false, NULL, &n_old);
		char **new = plan_filters(to, (enum side)s, false, NULL, &n_new);

		put_filters(to, (enum side)s, '+', old, n_old, &out);
		put_filters(from, (enum side)s, '-', new, n_new, &out);
		free_filters(old, n_old);
		free_filters(new, n_new);
	}
	return out.data ? buf_take(&out) : mem_strdup("");
}

static void add_new(struct reload_plan *plan, const struct generation *from,
		    const struct generation *to, size_t j)
{
	const char *name = generation_conf(to)->links[j].name,
		   *was = generation_conf(to)->links[j].rename;
	struct buf what = { 0 };
	struct reload_step *s;
	size_t i;

	if (!find(generation_conf(from), name, &i) &&
	    !(was && find(generation_conf(from), was, &i))) {
		add(plan, RELOAD_ADDED, name)->to = j;
		return;
	}
	generation_put_link_difference(from, i, to, j, &what);
	if (strcmp(buf_str(&what), "rename") == 0) /* it has the name already */
		buf_fini(&what);
	s = add(plan, what.len ? RELOAD_CHANGED : RELOAD_SAME, name);
	s->what = what.len ? buf_take(&what) : NULL;
	s->from = i;
	s->to = j;
	if (s->what)
		s->filters = compare_filters(generation_plan(from, i), generation_plan(to, j));
}

static void add_old(struct reload_plan *plan, const struct live_link *live, size_t i)
{
	struct reload_step *s = add(plan, RELOAD_REMOVED, live_link_name(live));

	s->from = i;
	for (int f = 0; f < FLOWS; f++)
		s->waiting += live_link_counters(live, (enum flow)f)->pending;
}

bool reload_plan_make(struct reload_plan *plan, struct live_link *const *links,
		      const struct generation *from, const struct generation *to, struct err *e)
{
	const struct conf *old = generation_conf(from), *new = generation_conf(to);
	struct buf bridge = { 0 };
	size_t at;

	*plan = (struct reload_plan){ 0 };
	generation_put_difference(from, to, &bridge);
	plan->bridge = mem_strdup(buf_str(&bridge));
	buf_fini(&bridge);
	for (size_t j = 0; j < new->n_links; j++)
		add_new(plan, from, to, j);
	for (size_t i = 0; i < old->n_links; i++)
		if (!find(new, old->links[i].name, &at) && !is_renamed(new, old->links[i].name))
			add_old(plan, links[i], i);
	return check_fixed(plan->bridge, e);
}

void reload_plan_fini(struct reload_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		free(plan->items[i].what);
		free(plan->items[i].filters);
	}
	free(plan->items);
	free(plan->bridge);
	*plan = (struct reload_plan){ 0 };
}

/* --- doing it ------------------------------------------------------------------------------ */

static bool end_links(struct reload_bridge *b, const struct reload_plan *plan, bool drops,
		      struct err *e)
{
	bool ok = true;

	for (size_t k = 0; k < plan->n; k++) {
		const struct reload_step *s = &plan->items[k];

		if (s->change != RELOAD_CHANGED && s->change != RELOAD_REMOVED)
			continue;
		live_link_log_counters(b->links[s->from]);
		live_link_end(b->links[s->from]);
		b->links[s->from] = NULL;
		if (ok && drops && s->change == RELOAD_REMOVED)
			ok = journal_remove_link(b->parts->db, s->link, e);
	}
	return ok;
}

bool reload_take_names(struct db *db, const struct conf *c, struct err *e)
{
	for (size_t i = 0; i < c->n_links; i++) {
		const struct conf_link *l = &c->links[i];
		bool is_done = false;

		if (l->rename && !db_rename_link(db, l->rename, l->name, &is_done, e)) {
			if (e->code != ERR_INVALID)
				return false;
			log_event(LOG_ERROR, "rename-refused", "link=%s was=%s reason=%s", l->name,
				  l->rename, log_value(e->text));
			*e = (struct err){ 0 };
		}
		if (is_done)
			log_event(LOG_INFO, "renamed", "link=%s was=%s", l->name, l->rename);
	}
	return true;
}

static bool make_link(struct reload_bridge *b, const struct reload_step *s, struct generation *from,
		      struct generation *to, struct live_link **out, struct err *e)
{
	if (s->change == RELOAD_SAME) {
		generation_adopt(from, s->from, to, s->to);
		*out = b->links[s->from];
		b->links[s->from] = NULL;
		live_link_adopt(*out, to, s->to);
		return true;
	}
	*out = live_link_new(b->parts, to, s->to, e);
	if (*out)
		live_link_set_ahead(*out, b->ahead_ms);
	return *out;
}

bool reload_apply(struct reload_bridge *b, const struct reload_plan *plan, struct generation *from,
		  struct generation *to, bool drops, struct err *e)
{
	size_t n = generation_conf(to)->n_links, n_made = 0;
	struct live_link **links = mem_zalloc((n + 1) * sizeof *links);
	bool ok;

	generation_end_workers(from);
	ok = end_links(b, plan, drops, e) &&
	     reload_take_names(b->parts->db, generation_conf(to), e);
	generation_hand_over(from, to);
	/* All that go on, whatever becomes of the others: nothing may point to what is freed. */
	for (size_t k = 0; k < plan->n; k++)
		if (plan->items[k].change == RELOAD_SAME)
			make_link(b, &plan->items[k], from, to, &links[plan->items[k].to], e);
	for (size_t k = 0; ok && k < plan->n; k++)
		if (plan->items[k].change == RELOAD_CHANGED ||
		    plan->items[k].change == RELOAD_ADDED)
			ok = make_link(b, &plan->items[k], from, to, &links[plan->items[k].to], e);
	generation_end(from, to);
	for (size_t j = 0; j < n; j++) {
		if (!links[j])
			continue;
		links[n_made++] = links[j];
		generation_tell_devices(to, j);
	}
	free(b->links);
	b->links = links;
	b->n_links = n_made;
	b->storage->links = links;
	b->storage->n_links = n_made;
	return ok;
}
