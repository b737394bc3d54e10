#include "link/retained.h"

/* FNV-1a. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return h;
}

/* No topic has a NUL, with which the next text would begin. */
static uint64_t hash_of(const char *session, const char *topic)
{
	uint64_t h = hash_text(UINT64_C(14695981039346656037), topic);

	return session ? hash_text(h * UINT64_C(1099511628211), session) : h;
}

/* Its place; r->n: it is not there. */
static size_t find(const struct retained *r, uint64_t hash)
{
	size_t i = 0;

	while (i < r->n && r->hashes[i] != hash)
		i++;
	return i;
}

void retained_note(struct retained *r, const char *session, const char *topic)
{
	uint64_t hash = hash_of(session, topic);

	if (find(r, hash) < r->n)
		return;
	r->hashes[r->next] = hash;
	r->next = (r->next + 1) % RETAINED_MAX;
	if (r->n < RETAINED_MAX)
		r->n++;
}

bool retained_has(const struct retained *r, const char *session, const char *topic)
{
	return find(r, hash_of(session, topic)) < r->n;
}
