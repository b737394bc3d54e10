/* map.c -- chains in a table that doubles: there are never more nodes than buckets, and the table never shrinks.
 * A node keeps its hash, so that growing looks at no key. */
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

#define MIN_BUCKETS 16

struct map_node {
	struct map_node *next;
	void *value;
	uint64_t hash;
	size_t len;
	char key[];
};

/* FNV-1a, its high bits folded down because a bucket is chosen by the low ones. */
static uint64_t hash_of(const void *key, size_t len)
{
	const unsigned char *p = key;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static struct map_node **bucket_of(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->n_buckets - 1)];
}

/* Where the pointer to the node of `key` is, or would be. */
static struct map_node **find(const struct map *m, const void *key, size_t len, uint64_t hash)
{
	struct map_node **at = bucket_of(m, hash);

	while (*at &&
	       !((*at)->hash == hash && (*at)->len == len && memcmp((*at)->key, key, len) == 0))
		at = &(*at)->next;
	return at;
}

static void resize(struct map *m, size_t n_buckets)
{
	struct map old = *m;

	m->buckets = mem_zalloc(n_buckets * sizeof *m->buckets);
	m->n_buckets = n_buckets;
	for (size_t i = 0; i < old.n_buckets; i++)
		for (struct map_node *n = old.buckets[i], *next; n; n = next) {
			struct map_node **at = bucket_of(m, n->hash);

			next = n->next;
			n->next = *at;
			*at = n;
		}
	free(old.buckets);
}

void *map_get(const struct map *m, const void *key, size_t len)
{
	struct map_node *n = m->n ? *find(m, key, len, hash_of(key, len)) : NULL;

	return n ? n->value : NULL;
}

void *map_set(struct map *m, const void *key, size_t len, void *value)
{
	uint64_t hash = hash_of(key, len);
	struct map_node **at, *n;

	if (m->n >= m->n_buckets)
		resize(m, m->n_buckets ? m->n_buckets * 2 : MIN_BUCKETS);
	at = find(m, key, len, hash);
	if (*at) {
		void *before = (*at)->value;

		(*at)->value = value;
		return before;
	}
	n = mem_alloc(sizeof *n + len);
	*n = (struct map_node){ NULL, value, hash, len };
	memcpy(n->key, key, len);
	*at = n;
	m->n++;
	return NULL;
}

void *map_remove(struct map *m, const void *key, size_t len)
{
	struct map_node **at, *n;
	void *value;

	if (m->n == 0)
		return NULL;
	at = find(m, key, len, hash_of(key, len));
	n = *at;
	if (!n)
		return NULL;
	value = n->value;
	*at = n->next;
	free(n);
	m->n--;
	return value;
}

void *map_next(const struct map *m, struct map_pos *pos)
{
	struct map_node *n;

	while (!pos->next && pos->bucket < m->n_buckets)
		pos->next = m->buckets[pos->bucket++];
	n = pos->next;
	if (!n)
		return NULL;
	pos->next = n->next;
	return n->value;
}

void map_fini(struct map *m, void (*end)(void *value))
{
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct map_node *n = m->buckets[i], *next; n; n = next) {
			next = n->next;
			if (end)
				end(n->value);
			free(n);
		}
	free(m->buckets);
	*m = (struct map){ 0 };
}
