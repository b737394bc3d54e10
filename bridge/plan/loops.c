#include "plan/loops.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "message/kind.h"
#include "message/side.h"
#include "plan/linkcheck.h"
#include "plan/plan.h"
#include "plan/unreachable.h"

#define MAX_CIRCLES 10 /* told; who has more has the same mistake many times */
#define NOWHERE	    SIZE_MAX

/* A session: of a side, or the short-lived one of handshakes. */
struct end {
	size_t link;
	enum side side;
	bool is_provisioning;
};

/* What is read there and carried on. */
struct node {
	struct end end;
	const struct reader *reader;
	enum kind kind; /* as which it passes */
	char *key;
	struct edge {
		size_t to;
		const struct writer *by;
	} * edges;
	size_t n_edges;
	size_t n_in;  /* edges from nodes that are not done */
	bool is_done; /* it is on no loop, or on one that is told */
};

/* A topic on which a row is written. */
struct writer {
	struct end end;
	const struct row *row;
	enum kind kind;
	struct topic_template topic;
	char *key;
	const struct reader *alias; /* only what is asked there is answered on it; NULL: all */
};

struct ring {
	struct buf key, text;
	bool has[KINDS]; /* kinds that the text names */
	bool is_error;
};

struct graph {
	const struct linkcheck *links;
	size_t n_links;
	struct node *nodes; /* in the order of links and rows */
	size_t n_nodes;
	size_t *by_key; /* their numbers */
	struct writer *writers;
	size_t n_writers;
	size_t *first_writer; /* of each link, and the end of all */
	struct ring rings[MAX_CIRCLES];
	size_t n_rings;
	size_t *from, *queue; /* of the search */
	const struct writer **by;
};

static const struct plan *plan_of(const struct graph *g, const struct end *end)
{
	return g->links[end->link].plan;
}

/* --- what is read -------------------------------------------------------------------------- */

/* A reply that nobody waits for goes nowhere, so replies alone make no loop. */
static bool is_carried(const struct plan *p, enum side side, enum kind kind)
{
	enum kind request = kind_table[kind].request;

	if (p->is_mirror && (side == NORTH || kind_table[kind].asks != ASKS_NOTHING))
		return false;
	return request == KIND_NONE || kind_table[request].asks == ASKS_NOTHING;
}

/* Broker and literal beginning: templates whose keys are not the same up to where the shorter one ends
 * are disjoint. */
static char *make_key(const struct graph *g, const struct end *end, const struct topic_template *t)
{
	struct buf key = { 0 };

	buf_printf(&key, "%zu", g->links[end->link].broker[end->side]);
	for (size_t i = 0; i < t->n_levels && t->levels[i].type == LEVEL_LITERAL; i++)
		buf_printf(&key, "/%s", t->levels[i].text);
	return buf_take(&key);
}

static void add_nodes(struct graph *g, size_t link, enum side side)
{
	const struct plan *p = g->links[link].plan;
	const struct plan_side *ps = &p->side[side];

	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct row *row = ps->readers[i].row;
		struct node n = { .end = { link, side, plan_is_provisioning(p, side, row->kind) },
				  .reader = &ps->readers[i],
				  .kind = p->remap[row->kind] };

		if (!row->can_read || kind_table[row->kind].flow != flow_from(side) ||
		    !is_carried(p, side, n.kind))
			continue;
		n.key = make_key(g, &n.end, &ps->readers[i].topic);
		g->nodes = mem_grow(g->nodes, g->n_nodes, sizeof *g->nodes);
		g->nodes[g->n_nodes++] = n;
	}
}

static int compare_keys(const void *a, const void *b, void *ctx)
{
	const struct graph *g = ctx;
	const size_t *x = a, *y = b;
	int order = strcmp(g->nodes[*x].key, g->nodes[*y].key);

	return order ? order : *x < *y ? -1 : *x > *y;
}

/* --- what is written ----------------------------------------------------------------------- */

/* Variables that are known when the side is written to: {id} is always the message's. */
static void known_vars(const struct plan *p, enum side side, struct vars *known)
{
	const struct vars *own = &p->side[side].vars;

	*known = (struct vars){ 0 };
	for (size_t i = 0; i < own->n; i++)
		if (strcmp(own->items[i].name, "id") != 0)
			vars_add(known, own->items[i].name, own->items[i].value);
	if (p->is_single && !vars_find(known, "device"))
		vars_add(known, "device", p->device);
}

static void add_writer(struct graph *g, const struct writer *w, const struct topic_template *t,
		       const struct vars *known)
{
	struct writer *copy;

	g->writers = mem_grow(g->writers, g->n_writers, sizeof *g->writers);
	copy = &g->writers[g->n_writers];
	*copy = *w;
	if (!topic_template_bind(&copy->topic, t, known, NULL))
		return; /* plan_new() refused the value */
	copy->key = make_key(g, &w->end, &copy->topic);
	g->n_writers++;
}

static void add_writers(struct graph *g, size_t link, enum side side)
{
	const struct plan *p = g->links[link].plan;
	const struct plan_side *ps = &p->side[side];
	struct topic_template reply;
	struct vars known;

	known_vars(p, side, &known);
	for (size_t i = 0; i < ps->dialect->n_rows; i++) {
		const struct row *row = &ps->dialect->rows[i];
		struct writer w = { .end = { link, side, plan_is_provisioning(p, side, row->kind) },
				    .row = row,
				    .kind = row->kind };

		if (row->can_write && flow_target(kind_table[row->kind].flow) == side)
			add_writer(g, &w, &row->topic, &known);
	}
	for (size_t i = 0; i < ps->n_readers; i++) {
		const struct reader *r = &ps->readers[i];
		struct writer w = { .end = { link, side, false },
				    .row = r->row,
				    .kind = kind_table[r->row->kind].reply,
				    .alias = r };

		if (r->reply && plan_writer(p, side, w.kind) &&
		    topic_template_parse(&reply, r->reply, NULL)) {
			add_writer(g, &w, &reply, &known);
			topic_template_fini(&reply);
		}
	}
	vars_fini(&known);
}

/* Is this written for what `n` reads? */
static bool is_written_for(const struct node *n, const struct writer *w)
{
	enum kind kind = n->kind;

	if (w->alias && w->alias != n->reader)
		return false;
	if (w->kind == kind)
		return true;
	/* The bridge answers by itself, too: with errors, confirmations, what the mapping says. */
	if (n->reader->row->echoes != KIND_NONE && w->kind == KIND_CONFIG_REPLY)
		return true;
	return w->kind == kind_own_answer(kind);
}

/* --- who reads what is written ------------------------------------------------------------- */

static bool is_same_end(const struct end *a, const struct end *b)
{
	return a->link == b->link && a->side == b->side && a->is_provisioning == b->is_provisioning;
}

/* A platform that tells devices apart by their session alone passes nothing from one to another. */
static bool is_told_by_session(const struct graph *g, const struct end *end)
{
	return end->side == NORTH &&
	       plan_of(g, end)->side[NORTH].dialect->device == DEVICE_IN_SESSION;
}

/* The topic does not tell them apart, the payload does. */
static bool is_about_another(const struct graph *g, const struct end *a, const struct end *b)
{
	const struct plan *p = plan_of(g, a), *q = plan_of(g, b);

	return p->is_single && q->is_single &&
	       p->side[a->side].dialect->device == DEVICE_IN_PAYLOAD &&
	       q->side[b->side].dialect->device == DEVICE_IN_PAYLOAD &&
	       strcmp(plan_device_there(p, a->side, p->device),
		      plan_device_there(q, b->side, q->device)) != 0;
}

static bool is_heard(const struct graph *g, const struct writer *w, const struct node *n)
{
	if (is_same_end(&w->end, &n->end) ||
	    (is_told_by_session(g, &w->end) && is_told_by_session(g, &n->end)) ||
	    is_about_another(g, &w->end, &n->end))
		return false;
	return topic_template_compare(&w->topic, &n->reader->topic) != TOPIC_DISJOINT &&
	       !unreachable_is_total(&plan_of(g, &n->end)->side[n->end.side], n->reader, &w->topic);
}

static void add_edge(struct graph *g, struct node *n, const struct writer *w, size_t to)
{
	if (!is_heard(g, w, &g->nodes[to]))
		return;
	n->edges = mem_grow(n->edges, n->n_edges, sizeof *n->edges);
	n->edges[n->n_edges++] = (struct edge){ to, w };
	g->nodes[to].n_in++;
}

/* The first place in by_key whose key is not before the `len` bytes of `key`. */
static size_t find_key(const struct graph *g, const char *key, size_t len)
{
	size_t low = 0, high = g->n_nodes;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *other = g->nodes[g->by_key[mid]].key;

		if (strncmp(other, key, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Nodes whose key is the first `len` bytes of `key`, or (`is_below`) starts with them. */
static void add_edges_at(struct graph *g, struct node *n, const struct writer *w, size_t len,
			 bool is_below)
{
	for (size_t i = find_key(g, w->key, len); i < g->n_nodes; i++) {
		const char *key = g->nodes[g->by_key[i]].key;

		if (strncmp(key, w->key, len) != 0 || (!is_below && key[len]))
			break;
		if (!key[len] || key[len] == '/')
			add_edge(g, n, w, g->by_key[i]);
	}
}

static void add_edges(struct graph *g, struct node *n, const struct writer *w)
{
	for (size_t len = 0; w->key[len]; len++)
		if (w->key[len] == '/')
			add_edges_at(g, n, w, len, false);
	add_edges_at(g, n, w, strlen(w->key), true);
}

static void connect(struct graph *g, struct node *n)
{
	size_t link = n->end.link;

	for (size_t i = g->first_writer[link]; i < g->first_writer[link + 1]; i++)
		if (is_written_for(n, &g->writers[i]))
			add_edges(g, n, &g->writers[i]);
}

/* --- loops ------------------------------------------------------------------------------- */

/* A node to which no undone node leads is on no loop. */
static void peel(struct graph *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].n_in == 0)
			g->queue[n++] = i;
	while (n > 0) {
		struct node *node = &g->nodes[g->queue[--n]];

		node->is_done = true;
		for (size_t i = 0; i < node->n_edges; i++)
			if (--g->nodes[node->edges[i].to].n_in == 0)
				g->queue[n++] = node->edges[i].to;
	}
}

/* The shortest way from a node back to it; g->from then tells it, backwards. */
static bool find_circle(struct graph *g, size_t start)
{
	size_t head = 0, tail = 0;

	for (size_t i = 0; i < g->n_nodes; i++)
		g->from[i] = NOWHERE;
	g->queue[tail++] = start;
	while (head < tail) {
		size_t at = g->queue[head++];
		const struct node *n = &g->nodes[at];

		for (size_t i = 0; i < n->n_edges; i++) {
			size_t to = n->edges[i].to;

			if (g->from[to] != NOWHERE)
				continue;
			g->from[to] = at;
			g->by[to] = n->edges[i].by;
			if (to == start)
				return true;
			g->queue[tail++] = to;
		}
	}
	return false;
}

/* The nodes of the loop through `start`, from the first of them on; caller frees. */
static size_t *list_circle(const struct graph *g, size_t start, size_t *n)
{
	size_t *list, at = start, first = start, k;

	*n = 0;
	do {
		at = g->from[at];
		++*n;
		if (at < first)
			first = at;
	} while (at != start);
	list = mem_zalloc(*n * sizeof *list);
	at = first;
	for (k = *n; k > 0; k--) {
		at = g->from[at];
		list[k - 1] = at;
	}
	return list;
}

static void put_row(struct buf *out, const struct graph *g, const struct end *end,
		    const struct row *row)
{
	buf_puts(out, " (");
	linkcheck_put_row(out, plan_of(g, end), end->side, row);
	buf_puts(out, ")");
}

/* `link x writes "a/b" on its north (ROW), and link y reads it on its south as event (ROW)` */
static void put_hop(struct buf *out, const struct graph *g, size_t to, bool is_last)
{
	const struct writer *w = g->by[to];
	const struct node *n = &g->nodes[to];

	buf_printf(out, "link %s writes \"", plan_of(g, &w->end)->name);
	topic_template_text(&w->topic, out);
	buf_printf(out, "\" on its %s", side_name(w->end.side));
	put_row(out, g, &w->end, w->row);
	buf_printf(out, ", and link %s reads it on its %s", plan_of(g, &n->end)->name,
		   side_name(n->end.side));
	if (is_last) {
		buf_puts(out, " again");
		return;
	}
	buf_printf(out, " as %s", kind_name(n->reader->row->kind));
	put_row(out, g, &n->end, n->reader->row);
	buf_puts(out, "; ");
}

static void describe(struct ring *r, const struct graph *g, const size_t *list, size_t n)
{
	const struct node *first = &g->nodes[list[0]];

	buf_printf(&r->text, "%s: loop: %s read here",
		   g->links[first->end.link].where[first->end.side],
		   kind_name(first->reader->row->kind));
	put_row(&r->text, g, &first->end, first->reader->row);
	buf_puts(&r->text, " would come back: ");
	for (size_t i = 1; i <= n; i++)
		put_hop(&r->text, g, list[i % n], i == n);
}

/* The ring of the sessions of a loop, a new one if it is not known; NULL: no room. */
static struct ring *ring_of(struct graph *g, const size_t *list, size_t n)
{
	struct ring *r = NULL;
	struct buf key = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct end *end = &g->nodes[list[i]].end;

		buf_printf(&key, "%zu.%d.%d ", end->link, end->side, end->is_provisioning);
	}
	for (size_t i = 0; i < g->n_rings && !r; i++)
		if (strcmp(buf_str(&g->rings[i].key), buf_str(&key)) == 0)
			r = &g->rings[i];
	if (!r && g->n_rings < MAX_CIRCLES) {
		r = &g->rings[g->n_rings++];
		buf_puts(&r->key, buf_str(&key));
		describe(r, g, list, n);
		r->has[g->nodes[list[0]].reader->row->kind] = true;
	}
	buf_fini(&key);
	return r;
}

/* False: there is no room for another ring. */
static bool tell_circle(struct graph *g, size_t start)
{
	size_t n, *list = list_circle(g, start, &n);
	enum kind kind = g->nodes[list[0]].reader->row->kind;
	size_t before = g->n_rings;
	struct ring *r = ring_of(g, list, n);

	if (r && !r->has[kind]) {
		buf_printf(&r->text, "%s%s",
			   strstr(r->text.data, "; likewise ") ? ", " : "; likewise ",
			   kind_name(kind));
		r->has[kind] = true;
	}
	for (size_t i = 0; i < n; i++) {
		struct node *node = &g->nodes[list[i]];

		node->is_done = true;
		/* Handshakes go one at a time and only where a device asks: two dialects that share
		 * their topics may live on one broker. */
		if (r && !kind_is_handshake(node->kind))
			r->is_error = true;
	}
	free(list);
	return r || before < MAX_CIRCLES;
}

static void find_circles(struct graph *g)
{
	peel(g);
	for (size_t i = 0; i < g->n_nodes; i++)
		if (!g->nodes[i].is_done && find_circle(g, i) && !tell_circle(g, i))
			break;
}

/* --- all ----------------------------------------------------------------------------------- */

static void collect(struct graph *g)
{
	g->first_writer = mem_zalloc((g->n_links + 1) * sizeof *g->first_writer);
	for (size_t i = 0; i < g->n_links; i++) {
		for (int s = 0; s < SIDES; s++) {
			add_nodes(g, i, (enum side)s);
			add_writers(g, i, (enum side)s);
		}
		g->first_writer[i + 1] = g->n_writers;
	}
	g->by_key = mem_zalloc((g->n_nodes + 1) * sizeof *g->by_key);
	g->from = mem_zalloc((g->n_nodes + 1) * sizeof *g->from);
	g->queue = mem_zalloc((g->n_nodes + 1) * sizeof *g->queue);
	g->by = mem_zalloc((g->n_nodes + 1) * sizeof *g->by);
	for (size_t i = 0; i < g->n_nodes; i++)
		g->by_key[i] = i;
	qsort_r(g->by_key, g->n_nodes, sizeof *g->by_key, compare_keys, g);
}

static void graph_fini(struct graph *g)
{
	for (size_t i = 0; i < g->n_nodes; i++) {
		free(g->nodes[i].key);
		free(g->nodes[i].edges);
	}
	for (size_t i = 0; i < g->n_writers; i++) {
		topic_template_fini(&g->writers[i].topic);
		free(g->writers[i].key);
	}
	for (size_t i = 0; i < g->n_rings; i++) {
		buf_fini(&g->rings[i].key);
		buf_fini(&g->rings[i].text);
	}
	free(g->nodes);
	free(g->by_key);
	free(g->writers);
	free(g->first_writer);
	free(g->from);
	free(g->queue);
	free(g->by);
}

void loops_check(const struct linkcheck *links, size_t n, struct report *report)
{
	struct graph g = { .links = links, .n_links = n };

	collect(&g);
	for (size_t i = 0; i < g.n_nodes; i++)
		connect(&g, &g.nodes[i]);
	find_circles(&g);
	for (size_t i = 0; i < g.n_rings; i++)
		(g.rings[i].is_error ? report_error : report_warning)(report, "%s",
								      g.rings[i].text.data);
	graph_fini(&g);
}
