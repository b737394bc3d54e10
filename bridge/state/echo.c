#include "state/echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/jtext.h"
#include "base/map.h"
#include "base/mem.h"
#include "state/change.h"
#include "state/machine.h"

#define MACHINE "echo"

struct same;

struct entry {
	TAILQ_ENTRY(entry) link;
	TAILQ_ENTRY(entry) same_link; /* in same->entries */
	struct same *same;
	uint64_t number;
	int64_t acked_ms;
	struct entries *list; /* that it is in */
};
TAILQ_HEAD(entries, entry);

/* All entries with one topic and payload, in the order sent. */
struct same {
	struct entries entries;
	uint8_t hash[CRYPTO_HASH_BYTES];
};

struct echo {
	struct map by_hash;	 /* -> struct same */
	struct map by_number;	 /* -> struct entry */
	struct entries unacked;	 /* in the order sent */
	struct entries acked;	 /* in the order acknowledged: what ends first is first */
	struct entries restored; /* by number */
	uint64_t last_number;
	const char *name;
	struct changes changes;
	struct changes later;	/* rows that go ... */
	struct changes waiting; /* ... when this commit is durable */
	uint64_t commit;
};

struct echo *echo_new(const char *name)
{
	struct echo *e = mem_zalloc(sizeof *e);

	e->name = name;
	TAILQ_INIT(&e->restored);
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
	changes_fini(&e->changes);
	changes_fini(&e->later);
	changes_fini(&e->waiting);
	free(e);
}

static void hash_message(const char *topic, const void *payload, size_t len,
			 uint8_t out[CRYPTO_HASH_BYTES])
{
	struct crypto_piece pieces[] = { { topic, strlen(topic) }, { payload, len } };

	crypto_hash(pieces, 2, out);
}

/* Write the row of an entry, or remove it. */
static void note(struct echo *e, const struct entry *it, bool is_there)
{
	char key[64];
	struct buf value = { 0 };

	if (!e->name)
		return;
	snprintf(key, sizeof key, "%s/%llu", e->name, (unsigned long long)it->number);
	if (is_there) {
		buf_putc(&value, '"');
		crypto_base64_encode(&value, it->same->hash, sizeof it->same->hash);
		buf_putc(&value, '"');
		changes_put(&e->changes, MACHINE, key, value.data, false);
		buf_fini(&value);
	} else {
		changes_delete(&e->later, MACHINE, key);
	}
}

static void move(struct entry *it, struct entries *to)
{
	if (it->list)
		TAILQ_REMOVE(it->list, it, link);
	it->list = to;
	if (to)
		TAILQ_INSERT_TAIL(to, it, link);
}

static void forget(struct echo *e, struct entry *it)
{
	struct same *s = it->same;

	note(e, it, false);
	move(it, NULL);
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
	const struct entries *const lists[] = { &e->restored, &e->acked, &e->unacked };
	struct entry *first = NULL;

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		struct entry *it = TAILQ_FIRST(lists[i]);

		if (it && (!first || it->number < first->number))
			first = it;
	}
	return first;
}

static void acknowledge(struct echo *e, struct entry *it, int64_t now_ms)
{
	it->acked_ms = now_ms;
	move(it, &e->acked);
}

static void drop_ended(struct echo *e, int64_t now_ms)
{
	struct entry *it;

	while ((it = TAILQ_FIRST(&e->restored)) != NULL)
		acknowledge(e, it, now_ms);
	while ((it = TAILQ_FIRST(&e->acked)) && now_ms - it->acked_ms >= ECHO_AFTER_ACK_MS)
		forget(e, it);
}

static struct entry *add(struct echo *e, uint64_t number, const uint8_t hash[CRYPTO_HASH_BYTES],
			 struct entries *list)
{
	struct entry *it = mem_zalloc(sizeof *it);
	struct same *s;

	if (e->by_number.n >= ECHO_MAX)
		forget(e, oldest(e));
	s = map_get(&e->by_hash, hash, CRYPTO_HASH_BYTES);
	if (!s) {
		s = mem_alloc(sizeof *s);
		TAILQ_INIT(&s->entries);
		memcpy(s->hash, hash, sizeof s->hash);
		map_set(&e->by_hash, hash, CRYPTO_HASH_BYTES, s);
	}
	it->same = s;
	it->number = number;
	TAILQ_INSERT_TAIL(&s->entries, it, same_link);
	move(it, list);
	map_set(&e->by_number, &it->number, sizeof it->number, it);
	return it;
}

uint64_t echo_sent(struct echo *e, const char *topic, const void *payload, size_t len)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct entry *it;

	hash_message(topic, payload, len, hash);
	it = add(e, ++e->last_number, hash, &e->unacked);
	note(e, it, true);
	return it->number;
}

void echo_acked(struct echo *e, uint64_t number, int64_t now_ms)
{
	struct entry *it = map_get(&e->by_number, &number, sizeof number);

	if (it && it->list == &e->unacked)
		acknowledge(e, it, now_ms);
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

void echo_take_changes(struct echo *e, uint64_t commit, struct changes *out)
{
	changes_move(out, &e->changes, e->changes.n);
	if (e->waiting.n == 0) {
		changes_move(&e->waiting, &e->later, e->later.n);
		e->commit = commit;
	}
}

void echo_durable(struct echo *e, uint64_t commit)
{
	if (commit >= e->commit)
		changes_move(&e->changes, &e->waiting, e->waiting.n);
}

bool echo_restore(struct echo *e, const char *key, const char *value, struct err *err)
{
	size_t len = strlen(e->name);
	struct buf coded = { 0 }, hash = { 0 };
	bool ok;

	if (strncmp(key, e->name, len) != 0 || key[len] != '/')
		return true; /* another one's */
	ok = jtext_string_decode((struct jslice){ value, strlen(value) }, &coded) &&
	     crypto_base64_decode(&hash, buf_str(&coded), coded.len) &&
	     hash.len == CRYPTO_HASH_BYTES;
	if (ok) {
		uint64_t number = strtoull(key + len + 1, NULL, 10);

		if (number > e->last_number)
			e->last_number = number;
		add(e, number, (const uint8_t *)hash.data, &e->restored);
	} else {
		err_set(err, ERR_CORRUPT, "echo '%s' is no row of the memory of what was sent",
			key);
	}
	buf_fini(&coded);
	buf_fini(&hash);
	return ok;
}

/* --- both sides ---------------------------------------------------------------------------- */

struct echoes *echoes_new(const bool wanted[SIDES])
{
	struct echoes *all = mem_zalloc(sizeof *all);

	for (int s = 0; s < SIDES; s++)
		all->side[s] = wanted[s] ? echo_new(side_name((enum side)s)) : NULL;
	return all;
}

void echoes_free(struct echoes *all)
{
	if (!all)
		return;
	for (int s = 0; s < SIDES; s++)
		echo_free(all->side[s]);
	free(all);
}

static bool is_of_side(const char *key, enum side side)
{
	size_t len = strlen(side_name(side));

	return strncmp(key, side_name(side), len) == 0 && key[len] == '/';
}

bool echoes_restore(struct echoes *all, const char *key, const char *value, struct changes *out,
		    struct err *err)
{
	for (int s = 0; s < SIDES; s++)
		if (all->side[s] && !echo_restore(all->side[s], key, value, err))
			return false;
		else if (!all->side[s] && is_of_side(key, (enum side)s))
			changes_delete(out, MACHINE, key);
	return true;
}

static void machine_free(void *m)
{
	echoes_free(m);
}

static bool machine_restore(void *m, const char *key, const char *value, struct changes *out,
			    struct err *err)
{
	return echoes_restore(m, key, value, out, err);
}

/* Its rows are hashes, which say nothing of devices; they end soon after the PUBACK. */
const struct machine echo_machine = {
	.name = MACHINE,
	.free = machine_free,
	.restore = machine_restore,
};
