#include "store/deadletter_live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/deadletter.h"

struct due {
	TAILQ_ENTRY(due) link;
	struct deadletter letter;
	size_t bytes;
};

struct deadletter_live {
	struct deadletters *stored;
	TAILQ_HEAD(, due) due; /* oldest first */
	size_t n_due;
	int64_t due_bytes;
	uint64_t n_dropped; /* more came in one turn than are kept */
	uint64_t n_logged;  /* evictions that the log knows of */
};

struct deadletter_live *deadletter_live_new(struct db *db, struct err *e)
{
	struct deadletter_live *all = mem_zalloc(sizeof *all);

	TAILQ_INIT(&all->due);
	all->stored = deadletters_new(db, NULL, e);
	if (all->stored)
		return all;
	free(all);
	return NULL;
}

static void forget(struct deadletter_live *all, struct due *due)
{
	TAILQ_REMOVE(&all->due, due, link);
	all->n_due--;
	all->due_bytes -= (int64_t)due->bytes;
	deadletter_fini(&due->letter);
	free(due);
}

void deadletter_live_committed(struct deadletter_live *all)
{
	while (!TAILQ_EMPTY(&all->due))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		forget(all, TAILQ_FIRST(&all->due));
}

void deadletter_live_free(struct deadletter_live *all)
{
	if (!all)
		return;
	deadletter_live_committed(all);
	deadletters_free(all->stored);
	free(all);
}

/* --- burying ------------------------------------------------------------------------------- */

static bool is_too_much(const struct deadletter_live *all)
{
	return all->n_due > DEADLETTER_MAX_COUNT || all->due_bytes > DEADLETTER_MAX_BYTES;
}

void deadletter_live_bury(struct deadletter_live *all, const struct deadletter *from,
			  int64_t now_ms)
{
	struct due *due = mem_zalloc(sizeof *due);
	struct deadletter *l = &due->letter;

	*l = (struct deadletter){
		.id = deadletters_next_id(all->stored),
		.link = mem_strdup(from->link),
		.from = from->from,
		.kind = mem_strdup(from->kind),
		.reason = mem_strdup(from->reason),
		.text = mem_strdup(from->text),
		.topic = mem_strdup(from->topic),
		.received_ms = from->received_ms,
		.died_ms = now_ms,
		.has_message =
			from->has_message && message_size(&from->message) <= DEADLETTER_MAX_MESSAGE,
	};
	if (l->has_message)
		message_copy(&l->message, &from->message);
	due->bytes = sizeof *due + (l->has_message ? message_size(&l->message) : 0);
	TAILQ_INSERT_TAIL(&all->due, due, link);
	all->n_due++;
	all->due_bytes += (int64_t)due->bytes;
	while (is_too_much(all)) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		forget(all, TAILQ_FIRST(&all->due));
		all->n_dropped++;
	}
}

bool deadletter_live_has_news(const struct deadletter_live *all)
{
	return all->n_due > 0;
}

struct deadletters *deadletter_live_stored(struct deadletter_live *all)
{
	return all->stored;
}

uint64_t deadletter_live_evicted(struct deadletter_live *all)
{
	struct deadletter_totals totals;

	deadletters_totals(all->stored, &totals, NULL);
	return totals.evicted + all->n_dropped;
}

static void log_evictions(struct deadletter_live *all, int64_t now_ms)
{
	uint64_t n = deadletter_live_evicted(all);

	if (n == all->n_logged)
		return;
	all->n_logged = n;
	log_limited(LOG_WARNING, now_ms, "deadletters-evicted", "deadletters-evicted",
		    "total=%llu reason=%s", (unsigned long long)n,
		    log_value("more or older than are kept"));
}

bool deadletter_live_write(struct deadletter_live *all, int64_t now_ms, struct err *e)
{
	struct due *due;

	TAILQ_FOREACH (due, &all->due, link)
		if (!deadletters_add(all->stored, &due->letter, e))
			return false;
	if (!deadletters_evict(all->stored, now_ms, e))
		return false;
	log_evictions(all, now_ms);
	return true;
}
