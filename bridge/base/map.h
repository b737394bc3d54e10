/* map.h -- a table from keys to pointers that stays fast while keys come and go.
 *
 * (json-c's lh_table never takes back the slots of deleted keys, so that a look-up that finds
 * nothing walks them all.)  Keys are bytes, copied; the _str functions take the text as key.  A
 * zeroed struct is an empty map.  Any thread, one at a time. */
#ifndef BRIDGE_MAP_H
#define BRIDGE_MAP_H

#include <stddef.h>
#include <string.h>

struct map_node;

struct map {
	struct map_node **buckets;
	size_t n, n_buckets; /* n_buckets: 0 or a power of two */
};

/* The value of `key`; NULL: not there. */
void *map_get(const struct map *m, const void *key, size_t len);
/* Set it; the value (not NULL) that was there before is returned, NULL if none was. */
void *map_set(struct map *m, const void *key, size_t len, void *value);
/* Take it out and return its value; NULL: not there. */
void *map_remove(struct map *m, const void *key, size_t len);
/* Walk all values, in no order: start with a zeroed position; NULL at the end.  The value just
 * returned may be removed meanwhile, nothing else. */
struct map_pos {
	size_t bucket;
	struct map_node *next;
};
void *map_next(const struct map *m, struct map_pos *pos);
/* Empty it; `end` (NULL: nothing) is called for each value. */
void map_fini(struct map *m, void (*end)(void *value));

static inline void *map_get_str(const struct map *m, const char *key)
{
	return map_get(m, key, strlen(key));
}
static inline void *map_set_str(struct map *m, const char *key, void *value)
{
	return map_set(m, key, strlen(key), value);
}
static inline void *map_remove_str(struct map *m, const char *key)
{
	return map_remove(m, key, strlen(key));
}

#endif
