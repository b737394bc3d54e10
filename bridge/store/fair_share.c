/* fair_share.c -- a tree of three levels, each an array: the nodes of a level stand in the order in which they were
 * added, so that those below a node are a range.  What is taken is taken from the beginning of its device's. */
#include "store/fair_share.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LINKS, REASONS, DEVICES, LEVELS };

#define FEW 4 /* letters of a device, by weight; that many are as good as one */

struct node {
	char *name;
	size_t begin, end; /* of the level below; of a device: of the letters */
	int64_t weight;
};

struct level {
	struct node *nodes;
	size_t n;
};

struct fair_share {
	int64_t each_bytes;
	struct level levels[LEVELS];
	struct fair_share_letter *letters;
	size_t n_letters;
};

struct fair_share *fair_share_new(int64_t each_bytes)
{
	struct fair_share *f = mem_zalloc(sizeof *f);

	f->each_bytes = each_bytes;
	return f;
}

void fair_share_free(struct fair_share *f)
{
	if (!f)
		return;
	for (int d = 0; d < LEVELS; d++) {
		for (size_t i = 0; i < f->levels[d].n; i++)
			free(f->levels[d].nodes[i].name);
		free(f->levels[d].nodes);
	}
	free(f->letters);
	free(f);
}

static size_t n_below(const struct fair_share *f, int depth)
{
	return depth + 1 < LEVELS ? f->levels[depth + 1].n : f->n_letters;
}

/* The node of that name, if it is the last one of its level and its parent is, too. */
static struct node *open_node(struct fair_share *f, int depth, const char *name, bool *is_new)
{
	struct level *l = &f->levels[depth];

	if (*is_new || l->n == 0 || strcmp(l->nodes[l->n - 1].name, name) != 0) {
		*is_new = true;
		l->nodes = mem_grow(l->nodes, l->n, sizeof *l->nodes);
		l->nodes[l->n++] =
			(struct node){ .name = mem_strdup(name), .begin = n_below(f, depth) };
	}
	return &l->nodes[l->n - 1];
}

static int64_t weight_of(const struct fair_share *f, const struct fair_share_letter *letter)
{
	return f->each_bytes + letter->bytes;
}

void fair_share_add(struct fair_share *f, const char *link, const char *reason, const char *device,
		    const struct fair_share_letter *letter)
{
	const char *const names[LEVELS] = { link, reason, device };
	struct node *path[LEVELS];
	bool is_new = false;

	for (int d = 0; d < LEVELS; d++) {
		path[d] = open_node(f, d, names[d], &is_new);
		path[d]->weight += weight_of(f, letter);
	}
	f->letters = mem_grow(f->letters, f->n_letters, sizeof *f->letters);
	f->letters[f->n_letters++] = *letter;
	for (int d = 0; d < LEVELS; d++)
		path[d]->end = n_below(f, d);
}

/* Does `a` lose a letter before `b` does? */
static bool is_before(const struct fair_share *f, int depth, const struct node *a,
		      const struct node *b)
{
	int64_t few = depth == DEVICES ? FEW * f->each_bytes : 1;
	int64_t much_a = a->weight / few, much_b = b->weight / few;

	if (a->weight == 0 || b->weight == 0 || depth != DEVICES || much_a != much_b)
		return b->weight == 0 || (a->weight != 0 && much_a > much_b);
	return f->letters[a->begin].id < f->letters[b->begin].id;
}

bool fair_share_take(struct fair_share *f, struct fair_share_letter *out)
{
	size_t begin = 0, end = f->levels[LINKS].n;
	struct node *path[LEVELS];

	if (f->n_letters == 0)
		return false;
	for (int d = 0; d < LEVELS; d++) {
		path[d] = &f->levels[d].nodes[begin];
		for (size_t i = begin + 1; i < end; i++)
			if (is_before(f, d, &f->levels[d].nodes[i], path[d]))
				path[d] = &f->levels[d].nodes[i];
		begin = path[d]->begin;
		end = path[d]->end;
	}
	if (path[LINKS]->weight == 0)
		return false;
	*out = f->letters[path[DEVICES]->begin++];
	for (int d = 0; d < LEVELS; d++)
		path[d]->weight -= weight_of(f, out);
	return true;
}
