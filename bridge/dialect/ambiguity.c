/* ambiguity.c -- each topic of a dialect against each other one, aliases too, once the dialect's own values of
 * variables are in them.  Only rows that are read, in the same direction, can bring a message twice;
 * that one is more specific is wanted of all, since a topic is looked up among all. */
#include "dialect/ambiguity.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "dialect/schema.h"
#include "message/kind.h"
#include "message/side.h"

struct place {
	struct topic_template topic; /* with the dialect's own values of variables filled in */
	char *filter;
	char *text; /* "messages[3].also[0]" */
	enum flow flow;
	bool is_subscribed;
};

struct place_list {
	struct place *items;
	size_t n;
};

/* The topic with the dialect's own values of variables. */
static bool bind_topic(struct schema_reader *r, const struct dialect *d,
		       const struct topic_template *topic, const char *text,
		       struct topic_template *bound)
{
	struct err e = { 0 };
	size_t mark;

	if (topic->n_levels == 0) /* a mistake, reported */
		return false;
	if (topic_template_bind(bound, topic, &d->defaults, &e))
		return true;
	mark = schema_enter_key(r, text);
	schema_mistake(r, "with the value in vars: %s", e.text);
	schema_leave(r, mark);
	return false;
}

static void add_place(struct schema_reader *r, struct place_list *list, const struct dialect *d,
		      const struct row *row, const struct topic_template *topic, char *text)
{
	struct topic_template bound = { 0 };
	struct buf filter = { 0 };

	if (!bind_topic(r, d, topic, text, &bound)) {
		free(text);
		return;
	}
	topic_template_filter(&bound, &filter);
	list->items = mem_grow(list->items, list->n, sizeof *list->items);
	list->items[list->n++] = (struct place){
		.topic = bound,
		.filter = buf_take(&filter),
		.text = text,
		.flow = row->kind == KIND_NONE ? FLOW_UP : kind_table[row->kind].flow,
		.is_subscribed = row->kind != KIND_NONE && row->can_read,
	};
}

static void collect_places(struct schema_reader *r, const struct dialect *d,
			   struct place_list *list)
{
	for (size_t i = 0; i < d->n_rows; i++) {
		const struct row *row = &d->rows[i];

		add_place(r, list, d, row, &row->topic, mem_printf("messages[%zu].topic", i));
		for (size_t k = 0; k < row->n_also; k++)
			add_place(r, list, d, row, &row->also[k].topic,
				  mem_printf("messages[%zu].also[%zu]", i, k));
	}
}

static void put_template(const struct place *p, struct buf *out)
{
	buf_printf(out, "%s, \"", p->text);
	topic_template_text(&p->topic, out);
	buf_puts(out, "\"");
}

static void check_pair(struct schema_reader *r, const struct place *a, const struct place *b)
{
	size_t mark = schema_enter_key(r, b->text);
	struct buf other = { 0 };

	put_template(a, &other);
	if (topic_template_compare(&a->topic, &b->topic) == TOPIC_AMBIGUOUS)
		schema_mistake(r, "overlaps with %s, and neither is more specific", other.data);
	else if (a->is_subscribed && b->is_subscribed && a->flow == b->flow &&
		 topic_filter_overlaps(a->filter, b->filter) &&
		 !topic_filter_covers(a->filter, b->filter) &&
		 !topic_filter_covers(b->filter, a->filter))
		schema_mistake(r,
			       "overlaps with %s, in part only: the subscriptions \"%s\" and "
			       "\"%s\" would both bring a message",
			       other.data, b->filter, a->filter);
	buf_fini(&other);
	schema_leave(r, mark);
}

void ambiguity_check(struct schema_reader *r, const struct dialect *d)
{
	struct place_list list = { 0 };

	collect_places(r, d, &list);
	for (size_t i = 0; i < list.n; i++)
		for (size_t k = i + 1; k < list.n; k++)
			check_pair(r, &list.items[i], &list.items[k]);
	for (size_t i = 0; i < list.n; i++) {
		topic_template_fini(&list.items[i].topic);
		free(list.items[i].filter);
		free(list.items[i].text);
	}
	free(list.items);
}
