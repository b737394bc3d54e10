#include "link/retained.h"

/* FNV-1a. */
static uint64_t hash_of(const char *topic)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *topic; topic++)
		h = (h ^ (unsigned char)*topic) * UINT64_C(1099511628211);
	return h;
}

/* Its place; r->n: it is not there. */
static size_t find(const struct retained *r, uint64_t hash)
{
	size_t i = 0;

	while (i < r->n && r->hashes[i] != hash)
		i++;
	return i;
}

void retained_note(struct retained *r, const char *topic)
{
	uint64_t hash = hash_of(topic);

	if (find(r, hash) < r->n)
		return;
	r->hashes[r->next] = hash;
	r->next = (r->next + 1) % RETAINED_MAX;
	if (r->n < RETAINED_MAX)
		r->n++;
}

bool retained_has(const struct retained *r, const char *topic)
{
	return find(r, hash_of(topic)) < r->n;
}
