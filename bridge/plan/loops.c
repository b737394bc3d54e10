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

#define MAX_LOOPS 10 /* told; who has more has the same mistake many times */
#define NOWHERE	  SIZE_MAX

/* A session: of a side, or the short-lived one of handshakes. */
struct end {
	size_t link;
	enum side side;
	bool is_provisioning;
};

/* A topic on which a session reads or writes, with edges from what is read to what is written for it,
 * and from that to those who hear it. */
struct node {
	struct end end;
	const struct row *row;
	enum kind kind; /* as which it passes */
	bool is_writer;
	const struct reader *
		reader; /* of a writer: only what is asked on this alias is answered there; NULL: all */
	struct topic_template topic; /* of a reader: borrowed from it */
	char *key;
	size_t *edges;
	size_t n_edges, n_in; /* n_in: from nodes that are not done */
	size_t from;	      /* on the way that is searched */
	bool is_done;	      /* it is on no loop, or on one that is told */
};

/* A loop to tell: the sessions it runs through, and what is said of it. */
struct loop {
	struct buf ends, text;
	bool has[KINDS]; /* kinds that the text names */
	bool is_error;
};

struct graph {
	const struct linkcheck *links;
	struct node *nodes; /* in the order of links, sides and rows */
	size_t n_nodes;
	size_t *by_key; /* the readers among them, sorted */
	size_t n_by_key;
	struct loop loops[MAX_LOOPS];
	size_t n_loops;
	size_t *queue; /* of the search */
	struct names names;
};

static const struct plan *plan_of(const struct graph *g, const struct end *end)
{
	return g->links[end->link].plan;
}

/* --- what is read and written -------------------------------------------------------------- */

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

static void add_node(struct graph *g, struct node n)
{
	n.key = make_key(g, &n.end, &n.topic);
	g->nodes = mem_grow(g->nodes, g->n_nodes, sizeof *g->nodes);
	g->nodes[g->n_nodes++] = n;
}

/* A reply that nobody waits for goes nowhere, so replies alone make no loop. */
static bool is_carried(const struct plan *p, enum side side, enum kind kind)
{
	enum kind request = kind_table[kind].request;

	if (p->is_mirror && (side == NORTH || kind_table[kind].asks != ASKS_NOTHING))
		return false;
	return request == KIND_NONE || kind_table[request].asks == ASKS_NOTHING;
}

static void add_readers(struct graph *g, const struct plan *p, struct end end)
{
	const struct reader *r = NULL;

	while ((r = plan_next_reader(p, end.side, r))) {
		enum kind kind = p->remap[r->row->kind];

		end.is_provisioning = plan_is_provisioning(p, end.side, r->row->kind);
		if (is_carried(p, end.side, kind))
			add_node(g, (struct node){ .end = end,
						   .row = r->row,
						   .kind = kind,
						   .reader = r,
						   .topic = r->topic });
	}
}

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

static void add_writer(struct graph *g, struct node n, const struct topic_template *t,
		       const struct vars *known)
{
	n.is_writer = true;
	if (topic_template_bind(&n.topic, t, known, NULL)) /* else plan_new() refused the value */
		add_node(g, n);
}

static void add_writers(struct graph *g, const struct plan *p, struct end end)
{
	const struct dialect *d = p->side[end.side].dialect;
	const struct reader *r = NULL;
	struct topic_template reply;
	struct vars known;

	known_vars(p, end.side, &known);
	for (const struct row *row = d->rows; row < d->rows + d->n_rows; row++) {
		struct node n = { .end = end, .row = row, .kind = row->kind };

		n.end.is_provisioning = plan_is_provisioning(p, end.side, row->kind);
		if (row_is_written(row, end.side))
			add_writer(g, n, &row->topic, &known);
	}
	while ((r = plan_next_reader(p, end.side, r))) {
		struct node n = { .end = end,
				  .row = r->row,
				  .kind = kind_table[r->row->kind].reply,
				  .reader = r };

		if (!r->reply || !plan_writer(p, end.side, n.kind) ||
		    !topic_template_parse(&reply, r->reply, NULL))
			continue;
		add_writer(g, n, &reply, &known);
		topic_template_fini(&reply);
	}
	vars_fini(&known);
}

/* --- what leads to what -------------------------------------------------------------------- */

static void add_edge(struct graph *g, size_t from, size_t to)
{
	struct node *n = &g->nodes[from];

	n->edges = mem_grow(n->edges, n->n_edges, sizeof *n->edges);
	n->edges[n->n_edges++] = to;
	g->nodes[to].n_in++;
}

/* Is `w` written for what `n` of the same link reads? */
static bool is_written_for(const struct node *n, const struct node *w)
{
	if (w->reader && w->reader != n->reader)
		return false;
	if (w->kind == n->kind)
		return true;
	/* The bridge answers by itself, too: with errors, confirmations, what the mapping says. */
	return (n->row->echoes != KIND_NONE && w->kind == KIND_CONFIG_REPLY) ||
	       w->kind == kind_own_answer(n->kind);
}

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

/* Does `n` hear what is written on `w`? */
static bool is_heard(const struct graph *g, const struct node *w, const struct node *n)
{
	if (is_same_end(&w->end, &n->end) ||
	    (is_told_by_session(g, &w->end) && is_told_by_session(g, &n->end)) ||
	    is_about_another(g, &w->end, &n->end))
		return false;
	return topic_template_compare(&w->topic, &n->topic) != TOPIC_DISJOINT &&
	       !unreachable_is_total(&plan_of(g, &n->end)->side[n->end.side], n->reader, &w->topic);
}

static const char *key_at(const struct graph *g, size_t i)
{
	return g->nodes[g->by_key[i]].key;
}

static int compare_keys(const void *a, const void *b, void *ctx)
{
	const struct graph *g = ctx;
	const size_t *x = a, *y = b;
	int order = strcmp(g->nodes[*x].key, g->nodes[*y].key);

	return order ? order : *x < *y ? -1 : *x > *y;
}

/* The first place in by_key whose key is not before the `len` bytes of `key`. */
static size_t find_key(const struct graph *g, const char *key, size_t len)
{
	size_t low = 0, high = g->n_by_key;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strncmp(key_at(g, mid), key, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Those who hear what is written on `w` are among the readers whose key is the beginning of its key, or
 * begins with it. */
static void connect_writer(struct graph *g, size_t w)
{
	const char *key = g->nodes[w].key;

	for (size_t len = strcspn(key, "/");; len += 1 + strcspn(key + len + 1, "/")) {
		for (size_t i = find_key(g, key, len); i < g->n_by_key; i++) {
			const char *other = key_at(g, i);

			if (strncmp(other, key, len) != 0 || (key[len] && other[len]))
				break;
			if ((!other[len] || other[len] == '/') &&
			    is_heard(g, &g->nodes[w], &g->nodes[g->by_key[i]]))
				add_edge(g, w, g->by_key[i]);
		}
		if (!key[len])
			break;
	}
}

static void connect_reader(struct graph *g, size_t n, size_t first)
{
	for (size_t w = first; w < g->n_nodes; w++)
		if (g->nodes[w].is_writer && is_written_for(&g->nodes[n], &g->nodes[w]))
			add_edge(g, n, w);
}

static void collect_link(struct graph *g, size_t link)
{
	size_t first = g->n_nodes;

	for (enum side s = SOUTH; s <= NORTH; s++) {
		add_readers(g, g->links[link].plan, (struct end){ link, s, false });
		add_writers(g, g->links[link].plan, (struct end){ link, s, false });
	}
	for (size_t n = first; n < g->n_nodes; n++)
		if (!g->nodes[n].is_writer)
			connect_reader(g, n, first);
}

static void collect(struct graph *g, size_t n_links)
{
	for (size_t i = 0; i < n_links; i++)
		collect_link(g, i);
	g->by_key = mem_zalloc((g->n_nodes + 1) * sizeof *g->by_key);
	g->queue = mem_zalloc((g->n_nodes + 1) * sizeof *g->queue);
	for (size_t i = 0; i < g->n_nodes; i++)
		if (!g->nodes[i].is_writer)
			g->by_key[g->n_by_key++] = i;
	qsort_r(g->by_key, g->n_by_key, sizeof *g->by_key, compare_keys, g);
	for (size_t i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].is_writer)
			connect_writer(g, i);
}

/* --- loops --------------------------------------------------------------------------------- */

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
			if (--g->nodes[node->edges[i]].n_in == 0)
				g->queue[n++] = node->edges[i];
	}
}

/* The shortest way from a node back to it; `from` then tells it, backwards. */
static bool find_loop(struct graph *g, size_t start)
{
	size_t head = 0, tail = 0;

	for (size_t i = 0; i < g->n_nodes; i++)
		g->nodes[i].from = NOWHERE;
	g->queue[tail++] = start;
	while (head < tail && g->nodes[start].from == NOWHERE) {
		size_t at = g->queue[head++];
		const struct node *n = &g->nodes[at];

		for (size_t i = 0; i < n->n_edges; i++) {
			if (g->nodes[n->edges[i]].from != NOWHERE)
				continue;
			g->nodes[n->edges[i]].from = at;
			g->queue[tail++] = n->edges[i];
		}
	}
	return g->nodes[start].from != NOWHERE;
}

/* Readers and writers of the loop through `start` by turns, from the first of the readers on; caller
 * frees. */
static size_t *list_loop(const struct graph *g, size_t start, size_t *n)
{
	size_t *list, at = start, first = start;

	*n = 0;
	do {
		at = g->nodes[at].from;
		++*n;
		if (at < first && !g->nodes[at].is_writer)
			first = at;
	} while (at != start);
	list = mem_zalloc(*n * sizeof *list);
	at = first;
	for (size_t k = *n; k > 0; k--)
		list[k - 1] = at = g->nodes[at].from;
	return list;
}

static const char *row_name(struct graph *g, const struct node *n)
{
	return names_row(&g->names, plan_of(g, &n->end), n->end.side, n->row);
}

static void put_hop(struct buf *out, struct graph *g, const struct node *w, const struct node *n,
		    bool is_last)
{
	buf_printf(out, "link %s writes \"%s\" on its %s (%s), and link %s reads it on its %s",
		   plan_of(g, &w->end)->name, names_topic(&g->names, &w->topic),
		   side_name(w->end.side), row_name(g, w), plan_of(g, &n->end)->name,
		   side_name(n->end.side));
	if (is_last)
		buf_puts(out, " again");
	else
		buf_printf(out, " as %s (%s); ", kind_name(n->row->kind), row_name(g, n));
}

static void describe(struct loop *l, struct graph *g, const size_t *list, size_t n)
{
	const struct node *first = &g->nodes[list[0]];

	buf_printf(&l->text, "%s: loop: %s read here (%s) would come back: ",
		   g->links[first->end.link].where[first->end.side], kind_name(first->row->kind),
		   row_name(g, first));
	for (size_t i = 1; i < n; i += 2)
		put_hop(&l->text, g, &g->nodes[list[i]], &g->nodes[list[(i + 1) % n]], i + 1 == n);
	l->has[first->row->kind] = true;
}

/* The loop to tell of these sessions, a new one if it is not known; NULL: no room. */
static struct loop *loop_of(struct graph *g, const size_t *list, size_t n)
{
	struct loop *l = g->loops, *end = l + g->n_loops;
	struct buf ends = { 0 };

	for (size_t i = 0; i < n; i += 2) {
		const struct end *e = &g->nodes[list[i]].end;

		buf_printf(&ends, "%zu.%d.%d ", e->link, e->side, e->is_provisioning);
	}
	while (l < end && strcmp(buf_str(&l->ends), buf_str(&ends)) != 0)
		l++;
	if (l == end && g->n_loops < MAX_LOOPS) {
		g->n_loops++;
		buf_puts(&l->ends, buf_str(&ends));
		describe(l, g, list, n);
	} else if (l == end) {
		l = NULL;
	}
	buf_fini(&ends);
	return l;
}

/* False: there is no room for another loop. */
static bool tell_loop(struct graph *g, size_t start)
{
	size_t n, *list = list_loop(g, start, &n);
	enum kind kind = g->nodes[list[0]].row->kind;
	struct loop *l = loop_of(g, list, n);

	if (l && !l->has[kind]) {
		buf_printf(&l->text, "%s%s",
			   strstr(l->text.data, "; likewise ") ? ", " : "; likewise ",
			   kind_name(kind));
		l->has[kind] = true;
	}
	for (size_t i = 0; l && i < n; i += 2) {
		g->nodes[list[i]].is_done = true;
		/* Handshakes go one at a time and only where a device asks: two dialects that share
		 * their topics may live on one broker. */
		l->is_error |= !kind_is_handshake(g->nodes[list[i]].kind);
	}
	free(list);
	return l;
}

static void find_loops(struct graph *g)
{
	peel(g);
	for (size_t i = 0; i < g->n_nodes; i++)
		if (!g->nodes[i].is_writer && !g->nodes[i].is_done && find_loop(g, i) &&
		    !tell_loop(g, i))
			break;
}

static void graph_fini(struct graph *g)
{
	for (struct node *n = g->nodes; n < g->nodes + g->n_nodes; n++) {
		if (n->is_writer)
			topic_template_fini(&n->topic);
		free(n->key);
		free(n->edges);
	}
	for (size_t i = 0; i < g->n_loops; i++) {
		buf_fini(&g->loops[i].ends);
		buf_fini(&g->loops[i].text);
	}
	free(g->nodes);
	free(g->by_key);
	names_fini(&g->names);
	free(g->queue);
}

void loops_check(const struct linkcheck *links, size_t n, struct report *report)
{
	struct graph g = { .links = links };

	collect(&g, n);
	find_loops(&g);
	for (size_t i = 0; i < g.n_loops; i++)
		(g.loops[i].is_error ? report_error : report_warning)(report, "%s",
								      g.loops[i].text.data);
	graph_fini(&g);
}
