#include "state/echo.h"

#include <limits.h>
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
	unsigned n_published; /* and not come back */
	bool is_unique;
	struct entries *list; /* that it is in */
};
TAILQ_HEAD(entries, entry);

/* All entries with one session, topic and payload, in the order sent. */
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
	enum echo_mode mode;
	bool was_found, is_found;    /* since it was asked for; ever */
	int64_t came_ms[ECHO_PROOF]; /* ECHO_WATCH: the last that came back, in a ring */
	unsigned n_came;
	struct changes changes;
	struct changes later;	/* rows that go ... */
	struct changes waiting; /* ... when this commit is durable */
	uint64_t commit;
};

struct echo *echo_new(const char *name)
{
	struct echo *e = mem_zalloc(sizeof *e);

	e->name = name;
	e->mode = ECHO_ON;
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

static void hash_message(const struct echo_message *m, uint8_t out[CRYPTO_HASH_BYTES])
{
	struct crypto_piece pieces[] = { { m->topic, strlen(m->topic) },
					 { m->payload, m->len },
					 { m->session, m->session ? strlen(m->session) : 0 } };

	crypto_hash(pieces, m->session ? 3 : 2, out);
}

/* Its row: the hash, and how often it may come yet if that is not once: "HASH*2". */
static void put_row(const struct entry *it, const char *key, struct changes *out)
{
	struct buf value = { 0 };

	buf_putc(&value, '"');
	crypto_base64_encode(&value, it->same->hash, sizeof it->same->hash);
	if (it->n_published > 1)
		buf_printf(&value, "*%u", it->n_published);
	buf_putc(&value, '"');
	changes_put(out, MACHINE, key, value.data, false);
	buf_fini(&value);
}

/* Write the row of an entry, or (it came back, or ended) change or remove it later. */
static void note(struct echo *e, const struct entry *it, bool is_sent)
{
	char key[64];

	if (!e->name || e->mode == ECHO_WATCH)
		return;
	snprintf(key, sizeof key, "%s/%llu", e->name, (unsigned long long)it->number);
	if (is_sent || it->n_published > 0)
		put_row(it, key, is_sent ? &e->changes : &e->later);
	else
		changes_delete(&e->later, MACHINE, key);
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

	it->n_published = 0;
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
	it->n_published = 1;
	TAILQ_INSERT_TAIL(&s->entries, it, same_link);
	move(it, list);
	map_set(&e->by_number, &it->number, sizeof it->number, it);
	return it;
}

uint64_t echo_sent(struct echo *e, const struct echo_message *m, bool is_unique)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct entry *it;

	if (e->mode == ECHO_OFF)
		return 0;
	hash_message(m, hash);
	it = add(e, ++e->last_number, hash, &e->unacked);
	it->is_unique = is_unique;
	note(e, it, true);
	return it->number;
}

uint64_t echo_sent_again(struct echo *e, uint64_t number, const struct echo_message *m)
{
	struct entry *it = map_get(&e->by_number, &number, sizeof number);

	if (!it || e->mode == ECHO_OFF)
		return echo_sent(e, m, false);
	it->n_published++;
	note(e, it, true);
	return number;
}

void echo_acked(struct echo *e, uint64_t number, int64_t now_ms)
{
	struct entry *it = map_get(&e->by_number, &number, sizeof number);

	if (it && it->list == &e->unacked)
		acknowledge(e, it, now_ms);
	drop_ended(e, now_ms);
}

/* Nothing is to come back from it by its own word, and not by No Local either. */
static void forget_all(struct echo *e)
{
	struct entry *it;

	while ((it = oldest(e)) != NULL)
		forget(e, it);
}

void echo_set_mode(struct echo *e, enum echo_mode mode)
{
	bool had_none = e->mode == ECHO_WATCH;
	bool is_known = e->is_found && mode == ECHO_WATCH;
	struct map_pos pos = { 0 };
	struct entry *it;

	if (had_none && mode == ECHO_OFF)
		forget_all(e);
	e->mode = is_known ? ECHO_ON : mode;
	while (had_none && e->mode == ECHO_ON && (it = map_next(&e->by_number, &pos)) != NULL)
		note(e, it, true);
}

enum echo_mode echo_mode(const struct echo *e)
{
	return e->mode;
}

bool echo_was_found(struct echo *e)
{
	bool was_found = e->was_found;

	e->was_found = false;
	return was_found;
}

/* What we sent came back from a platform that gives nothing back, it says.  Is it one that does? */
static bool is_proof(struct echo *e, const struct entry *it, int64_t now_ms)
{
	unsigned n = ++e->n_came;

	e->came_ms[n % ECHO_PROOF] = now_ms; /* the next in the ring is the first of the last few */
	return it->is_unique ||
	       (n >= ECHO_PROOF && now_ms - e->came_ms[(n + 1) % ECHO_PROOF] <= ECHO_PROOF_MS);
}

bool echo_take(struct echo *e, const struct echo_message *m, int64_t now_ms)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct same *s;
	struct entry *it;

	drop_ended(e, now_ms);
	if (e->by_number.n == 0)
		return false; /* spares the hash */
	hash_message(m, hash);
	s = map_get(&e->by_hash, hash, sizeof hash);
	if (!s)
		return false;
	it = TAILQ_FIRST(&s->entries);
	if (e->mode == ECHO_WATCH && is_proof(e, it, now_ms)) {
		e->was_found = e->is_found = true;
		echo_set_mode(e, ECHO_ON);
	}
	if (--it->n_published == 0)
		forget(e, it);
	else
		note(e, it, false);
	return e->mode != ECHO_WATCH;
}

size_t echo_size(const struct echo *e)
{
	return e->by_number.n;
}

bool echo_has_changes(const struct echo *e)
{
	return e->changes.n > 0;
}

void echo_take_changes(struct echo *e, uint64_t commit, struct changes *out)
{
	changes_move(out, &e->changes, e->changes.n);
	if (e->waiting.n == 0) {
		changes_move(&e->waiting, &e->later, e->later.n);
		e->commit = commit;
	}
}

bool echo_durable(struct echo *e, uint64_t commit)
{
	bool has_news = commit >= e->commit && e->waiting.n > 0;

	if (has_news)
		changes_move(&e->changes, &e->waiting, e->waiting.n);
	return has_news;
}

/* Read a row: see put_row(). */
static bool read_row(const char *value, struct buf *hash, unsigned long *n)
{
	struct buf coded = { 0 };
	bool ok = jtext_string_decode((struct jslice){ value, strlen(value) }, &coded);
	char *times = ok ? strchr(buf_str(&coded), '*') : NULL;

	*n = times ? strtoul(times + 1, NULL, 10) : 1;
	if (times)
		coded.len = (size_t)(times - coded.data);
	ok = ok && crypto_base64_decode(hash, coded.data, coded.len) &&
	     hash->len == CRYPTO_HASH_BYTES && *n > 0 && *n <= UINT_MAX;
	buf_fini(&coded);
	return ok;
}

bool echo_restore(struct echo *e, const char *key, const char *value, struct err *err)
{
	size_t len = strlen(e->name);
	struct buf hash = { 0 };
	unsigned long n;
	bool ok;

	if (strncmp(key, e->name, len) != 0 || key[len] != '/')
		return true; /* another one's */
	ok = read_row(value, &hash, &n);
	if (ok) {
		uint64_t number = strtoull(key + len + 1, NULL, 10);

		if (number > e->last_number)
			e->last_number = number;
		add(e, number, (const uint8_t *)hash.data, &e->restored)->n_published = (unsigned)n;
	} else {
		err_set(err, ERR_CORRUPT, "echo '%s' is no row of the memory of what was sent",
			key);
	}
	buf_fini(&hash);
	return ok;
}

/* --- both sides ---------------------------------------------------------------------------- */

struct echoes *echoes_new(const enum echo_mode modes[SIDES])
{
	struct echoes *all = mem_zalloc(sizeof *all);

	for (int s = 0; s < SIDES; s++) {
		all->side[s] = echo_new(side_name((enum side)s));
		echo_set_mode(all->side[s], modes[s]);
	}
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
		if (all->side[s]->mode != ECHO_ON && is_of_side(key, (enum side)s))
			changes_delete(out, MACHINE, key);
		else if (!echo_restore(all->side[s], key, value, err))
			return false;
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
