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
	uint64_t commit; /* in flight */
};
TAILQ_HEAD(dues, due);

struct deadletter_live {
	struct deadletters *stored;
	struct dues due;    /* to be written; oldest first, as is the other */
	struct dues handed; /* in a commit in flight; kept, in case that is undone */
	size_t n_due;	    /* and their bytes: of those to be written */
	int64_t due_bytes;
	uint64_t n_dropped; /* more came in one turn than are kept */
	uint64_t n_logged;  /* evictions that the log knows of */
};

struct deadletter_live *deadletter_live_new(struct db *db, struct err *e)
{
	struct deadletter_live *all = mem_zalloc(sizeof *all);

	TAILQ_INIT(&all->due);
	TAILQ_INIT(&all->handed);
	all->stored = deadletters_new(db, NULL, e);
	if (all->stored)
		return all;
	free(all);
	return NULL;
}

static void free_due(struct due *due)
{
	deadletter_fini(&due->letter);
	free(due);
}

static void take_out(struct deadletter_live *all, struct due *due)
{
	TAILQ_REMOVE(&all->due, due, link);
	all->n_due--;
	all->due_bytes -= (int64_t)due->bytes;
}

void deadletter_live_durable(struct deadletter_live *all, uint64_t commit)
{
	struct due *due;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
	while ((due = TAILQ_FIRST(&all->handed)) != NULL && due->commit <= commit) {
		TAILQ_REMOVE(&all->handed, due, link);
		free_due(due);
	}
}

void deadletter_live_free(struct deadletter_live *all)
{
	struct due *due;

	if (!all)
		return;
	deadletter_live_durable(all, UINT64_MAX);
	while ((due = TAILQ_FIRST(&all->due)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		take_out(all, due);
		free_due(due);
	}
	deadletters_free(all->stored);
	free(all);
}

/* --- burying ------------------------------------------------------------------------------- */

static bool is_too_much(const struct deadletter_live *all)
{
	return all->n_due > DEADLETTER_MAX_COUNT || all->due_bytes > DEADLETTER_MAX_BYTES;
}

static void drop_too_many(struct deadletter_live *all)
{
	while (is_too_much(all)) {
		struct due *oldest = TAILQ_FIRST(&all->due);

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): TAILQ_REMOVE is not followed */
		take_out(all, oldest);
		free_due(oldest);
		all->n_dropped++;
	}
}

static void put_in(struct deadletter_live *all, struct due *due, bool is_first)
{
	if (is_first)
		TAILQ_INSERT_HEAD(&all->due, due, link);
	else
		TAILQ_INSERT_TAIL(&all->due, due, link);
	all->n_due++;
	all->due_bytes += (int64_t)due->bytes;
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
		.device = mem_strdup(from->device),
		.session = mem_strdup(from->session),
		.received_ms = from->received_ms,
		.died_ms = now_ms,
		.has_message =
			from->has_message && message_size(&from->message) <= DEADLETTER_MAX_MESSAGE,
	};
	if (l->has_message)
		message_copy(&l->message, &from->message);
	due->bytes = sizeof *due + (l->has_message ? message_size(&l->message) : 0);
	put_in(all, due, false);
	drop_too_many(all);
}

void deadletter_live_undone(struct deadletter_live *all)
{
	struct due *due;

	while ((due = TAILQ_LAST(&all->handed, dues)) != NULL) {
		TAILQ_REMOVE(&all->handed, due, link);
		put_in(all, due, true);
	}
	drop_too_many(all);
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

bool deadletter_live_write(struct deadletter_live *all, uint64_t commit, int64_t now_ms,
			   struct err *e)
{
	struct due *due;

	while ((due = TAILQ_FIRST(&all->due)) != NULL) {
		if (!deadletters_add(all->stored, &due->letter, e))
			return false;
		take_out(all, due);
		TAILQ_INSERT_TAIL(&all->handed, due, link);
		due->commit = commit;
	}
	if (!deadletters_evict(all->stored, now_ms, e))
		return false;
	log_evictions(all, now_ms);
	return true;
}
