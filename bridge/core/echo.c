#include "core/echo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/crypto.h"
#include "base/map.h"
#include "base/mem.h"

struct same;

struct entry {
	TAILQ_ENTRY(entry) link;      /* in `unacked` or `acked` */
	TAILQ_ENTRY(entry) same_link; /* in same->entries */
	struct same *same;
	uint64_t number;
	int64_t acked_ms;
	bool is_acked;
};
TAILQ_HEAD(entries, entry);

/* All entries with one topic and payload, in the order sent. */
struct same {
	struct entries entries;
	uint8_t hash[CRYPTO_HASH_BYTES];
};

struct echo {
	struct map by_hash;	/* -> struct same */
	struct map by_number;	/* -> struct entry */
	struct entries unacked; /* in the order sent */
	struct entries acked;	/* in the order acknowledged: what ends first is first */
	uint64_t last_number;
};

struct echo *echo_new(void)
{
	struct echo *e = mem_zalloc(sizeof *e);

	TAILQ_INIT(&e->unacked);
	TAILQ_INIT(&e->acked);
	return e;
}

void echo_free(struct echo *e)
{
	if (!e)
		return;
	map_fini(&e->by_number, free);
	map_fini(&e->by_hash, free);
	free(e);
}

static void hash_message(const char *topic, const void *payload, size_t len,
			 uint8_t out[CRYPTO_HASH_BYTES])
{
	struct crypto_piece pieces[] = { { topic, strlen(topic) }, { payload, len } };

	crypto_hash(pieces, 2, out);
}

static void forget(struct echo *e, struct entry *it)
{
	struct same *s = it->same;

	TAILQ_REMOVE(it->is_acked ? &e->acked : &e->unacked, it, link);
	TAILQ_REMOVE(&s->entries, it, same_link);
	map_remove(&e->by_number, &it->number, sizeof it->number);
	if (TAILQ_EMPTY(&s->entries)) {
		map_remove(&e->by_hash, s->hash, sizeof s->hash);
		free(s);
	}
	free(it);
}

static struct entry *oldest(const struct echo *e)
{
	struct entry *a = TAILQ_FIRST(&e->acked), *u = TAILQ_FIRST(&e->unacked);

	return !u || (a && a->number < u->number) ? a : u;
}

static bool has_ended(const struct entry *it, int64_t now_ms)
{
	return it->is_acked && now_ms - it->acked_ms >= ECHO_AFTER_ACK_MS;
}

static void drop_ended(struct echo *e, int64_t now_ms)
{
	struct entry *it;

	while ((it = TAILQ_FIRST(&e->acked)) && has_ended(it, now_ms))
		forget(e, it);
}

uint64_t echo_sent(struct echo *e, const char *topic, const void *payload, size_t len)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct entry *it = mem_zalloc(sizeof *it);
	struct same *s;

	if (e->by_number.n >= ECHO_MAX)
		forget(e, oldest(e));
	hash_message(topic, payload, len, hash);
	s = map_get(&e->by_hash, hash, sizeof hash);
	if (!s) {
		s = mem_alloc(sizeof *s);
		TAILQ_INIT(&s->entries);
		memcpy(s->hash, hash, sizeof hash);
		map_set(&e->by_hash, hash, sizeof hash, s);
	}
	it->same = s;
	it->number = ++e->last_number;
	TAILQ_INSERT_TAIL(&s->entries, it, same_link);
	TAILQ_INSERT_TAIL(&e->unacked, it, link);
	map_set(&e->by_number, &it->number, sizeof it->number, it);
	return it->number;
}

void echo_acked(struct echo *e, uint64_t number, int64_t now_ms)
{
	struct entry *it = map_get(&e->by_number, &number, sizeof number);

	if (it && !it->is_acked) {
		TAILQ_REMOVE(&e->unacked, it, link);
		it->is_acked = true;
		it->acked_ms = now_ms;
		TAILQ_INSERT_TAIL(&e->acked, it, link);
	}
	drop_ended(e, now_ms);
}

bool echo_take(struct echo *e, const char *topic, const void *payload, size_t len, int64_t now_ms)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct same *s;

	drop_ended(e, now_ms);
	if (e->by_number.n == 0)
		return false; /* spares the hash */
	hash_message(topic, payload, len, hash);
	s = map_get(&e->by_hash, hash, sizeof hash);
	if (!s)
		return false;
	forget(e, TAILQ_FIRST(&s->entries));
	return true;
}

size_t echo_size(const struct echo *e)
{
	return e->by_number.n;
}
