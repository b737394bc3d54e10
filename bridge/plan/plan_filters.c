/* plan_filters.c -- what is subscribed, and what is asked after a login: plan.h. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "jq/mapping.h"

bool plan_is_provisioning(const struct plan *p, enum side side, enum kind kind)
{
	return side == NORTH && p->side[side].dialect->has_provisioning && kind_is_handshake(kind);
}

static void add_filter(char ***list, size_t *n, const struct topic_template *t)
{
	struct buf text = { 0 };

	topic_template_filter(t, &text);
	for (size_t i = 0; i < *n; i++) {
		if (topic_filter_covers((*list)[i], text.data)) {
			buf_fini(&text);
			return;
		}
	}
	for (size_t i = 0; i < *n;) {
		if (topic_filter_covers(text.data, (*list)[i])) {
			free((*list)[i]);
			(*list)[i] = (*list)[--*n];
		} else {
			i++;
		}
	}
	*list = mem_realloc(*list, (*n + 1) * sizeof **list);
	(*list)[(*n)++] = buf_take(&text);
}

struct wanted plan_wanted(const struct plan *p)
{
	struct wanted w = { .side = { p->side[SOUTH].dialect, p->side[NORTH].dialect },
			    .remap = p->remap };

	for (size_t i = 0; i < p->n_through; i++)
		for (int f = 0; f < FLOWS; f++)
			if (mapping_through_fn(p->through[i].mapping, (enum flow)f) >= 0)
				w.is_open[f] = true;
	return w;
}

const char *plan_session_of(const struct plan *p, enum side side, const char *device)
{
	return side == NORTH && p->has_device_sessions ? device : NULL;
}

/* What it hears on a session of the device that the side calls so, NULL: of any; caller ends it. */
static void own_topic(const struct reader *r, const char *native, struct topic_template *out)
{
	struct vars known = { 0 };

	if (native)
		vars_set(&known, "device", native, false);
	if (!topic_template_bind(out, &r->topic, &known, NULL)) /* no such name is in a topic */
		topic_template_bind(out, &r->topic, &(struct vars){ 0 }, NULL);
	vars_fini(&known);
}

char **plan_filters(const struct plan *p, enum side side, bool provisioning, const char *native,
		    size_t *n)
{
	const struct wanted wanted = plan_wanted(p);
	const struct reader *r = NULL;
	char **list = NULL;

	*n = 0;
	while ((r = plan_next_reader(p, side, r)))
		if (plan_is_provisioning(p, side, r->row->kind) == provisioning &&
		    wanted_row(&wanted, r->row)) {
			struct topic_template own;

			own_topic(r, native, &own);
			add_filter(&list, n, &own);
			topic_template_fini(&own);
		}
	return list;
}

/* Is there one with just these topics? */
static bool has_filter(char *const *list, size_t n, const struct topic_template *t)
{
	struct buf text = { 0 };
	bool has = false;

	topic_template_filter(t, &text);
	for (size_t i = 0; i < n; i++)
		has = has || strcmp(list[i], text.data) == 0;
	buf_fini(&text);
	return has;
}

char **plan_unwanted_filters(const struct plan *p, enum side side, size_t *n)
{
	const struct wanted wanted = plan_wanted(p);
	const struct reader *r = NULL;
	size_t n_heard;
	char **heard = plan_filters(p, side, false, NULL, &n_heard), **list = NULL;

	*n = 0;
	while ((r = plan_next_reader(p, side, r)))
		if (!plan_is_provisioning(p, side, r->row->kind) && !wanted_row(&wanted, r->row) &&
		    !has_filter(heard, n_heard, &r->topic))
			add_filter(&list, n, &r->topic);
	for (size_t i = 0; i < n_heard; i++)
		free(heard[i]);
	free(heard);
	return list;
}

char *plan_filter_kinds(const struct plan *p, enum side side, bool provisioning, const char *native,
			const char *filter)
{
	const struct wanted wanted = plan_wanted(p);
	bool is_told[KINDS] = { false };
	const struct reader *r = NULL;
	struct buf out = { 0 };

	while ((r = plan_next_reader(p, side, r))) {
		struct topic_template topic;
		struct buf own = { 0 };

		own_topic(r, native, &topic);
		topic_template_filter(&topic, &own);
		topic_template_fini(&topic);
		if (plan_is_provisioning(p, side, r->row->kind) == provisioning &&
		    !is_told[r->row->kind] && wanted_row(&wanted, r->row) &&
		    topic_filter_covers(filter, buf_str(&own))) {
			is_told[r->row->kind] = true;
			buf_printf(&out, "%s%s", out.len ? "," : "", kind_name(r->row->kind));
		}
		buf_fini(&own);
	}
	return buf_take(&out);
}

/* Can it be told what a snapshot is made of? */
static bool takes_snapshots(const struct dialect *south)
{
	static const enum kind parts[] = { KIND_CONFIG, KIND_FIRMWARE, KIND_LICENSE,
					   KIND_SPACE_INFO };

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (dialect_writer(south, parts[i]))
			return true;
	return dialect_reader(south, KIND_ATTRIBUTES_REQUEST);
}

bool plan_pair_greets(const struct dialect *south, const struct dialect *north, enum kind kind)
{
	return dialect_greets(north, kind) &&
	       (kind != KIND_SNAPSHOT_REQUEST || takes_snapshots(south));
}

bool plan_greets(const struct plan *p, enum kind kind)
{
	return !p->is_mirror &&
	       plan_pair_greets(p->side[SOUTH].dialect, p->side[NORTH].dialect, kind);
}
