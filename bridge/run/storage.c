#include "run/storage.h"

#include "base/err.h"
#include "base/log.h"
#include "run/live_link.h"
#include "store/db.h"
#include "store/deadletter_live.h"
#include "store/journal_live.h"
#include "store/reserve.h"

#define PROBE_MS 1000

static void set_full(struct storage *s, int64_t now_ms, const char *reason)
{
	if (s->is_full)
		return;
	log_event(LOG_ERROR, "disk-full", "reason=%s", log_value(reason));
	s->is_full = true;
	s->probe_ms = now_ms + PROBE_MS;
}

void storage_start(struct storage *s, int64_t now_ms)
{
	struct err e = { 0 };

	if (!reserve_make(s->db, &e))
		set_full(s, now_ms, e.text);
	storage_step(s, now_ms);
}

static void hold(struct storage *s, int64_t now_ms)
{
	uint64_t share = s->n_links ? s->max_bytes / s->n_links : 0;

	for (size_t i = 0; i < s->n_links; i++)
		live_link_hold_sources(
			s->links[i],
			s->is_full || (s->is_over && live_link_journal_bytes(s->links[i]) >= share),
			now_ms);
}

static bool commit(struct storage *s, int64_t now_ms, struct err *e)
{
	bool ok = true;

	s->has_changes = true;
	for (size_t i = 0; ok && i < s->n_links; i++)
		ok = live_link_save(s->links[i], e);
	if (ok)
		s->has_changes = db_is_writing(s->db);
	ok = ok && deadletter_live_write(s->letters, now_ms, e) &&
	     journal_live_write(s->journal, s->is_last ? INT64_MAX : now_ms, e);
	if (!ok) {
		db_commit(s->db, NULL); /* is false, and all can be tried again */
		return false;
	}
	if (!db_commit(s->db, e))
		return false;
	s->is_waiting = false;
	journal_live_committed(s->journal);
	deadletter_live_committed(s->letters);
	for (size_t i = 0; i < s->n_links; i++)
		live_link_saved(s->links[i]);
	return true;
}

/* The disk is full. */
static enum storage_result commit_less(struct storage *s, int64_t now_ms, struct err *e)
{
	if (commit(s, now_ms, e))
		return STORAGE_DONE;
	if (e->code != ERR_FULL)
		return STORAGE_FAILED;
	journal_live_give_up(s->journal);
	hold(s, now_ms);
	if (commit(s, now_ms, e))
		return STORAGE_DONE;
	if (e->code != ERR_FULL)
		return STORAGE_FAILED;
	if (!s->has_changes && !journal_live_has_news(s->journal))
		return STORAGE_DONE;
	if (!s->is_waiting)
		log_event(LOG_ERROR, "disk-waits", "reason=%s", log_value(e->text));
	s->is_waiting = true;
	return STORAGE_WAITS;
}

enum storage_result storage_commit(struct storage *s, int64_t now_ms, bool is_last, struct err *e)
{
	s->is_last = is_last;
	if (commit(s, now_ms, e))
		return STORAGE_DONE;
	if (e->code != ERR_FULL)
		return STORAGE_FAILED;
	set_full(s, now_ms, e->text);
	if (reserve_release(s->db))
		db_give_back(s->db);
	return commit_less(s, now_ms, e);
}

static void probe(struct storage *s, int64_t now_ms)
{
	struct err e = { 0 };

	s->probe_ms = now_ms + PROBE_MS;
	db_give_back(s->db);
	if (!reserve_make(s->db, &e))
		return;
	s->is_full = false;
	log_event(LOG_INFO, "disk-free", "bytes=%llu",
		  (unsigned long long)journal_live_bytes(s->journal));
}

static void step_limit(struct storage *s)
{
	uint64_t bytes = journal_live_bytes(s->journal);
	bool is_over = bytes >= (s->is_over ? s->max_bytes / 4 * 3 : s->max_bytes);

	if (is_over != s->is_over)
		log_event(is_over ? LOG_WARNING : LOG_INFO,
			  is_over ? "journal-full" : "journal-free", "bytes=%llu max_bytes=%llu",
			  (unsigned long long)bytes, (unsigned long long)s->max_bytes);
	s->is_over = is_over;
}

void storage_step(struct storage *s, int64_t now_ms)
{
	bool was_waiting = s->is_full || s->is_over;

	if (s->is_full && now_ms >= s->probe_ms)
		probe(s, now_ms);
	step_limit(s);
	if (was_waiting || s->is_full || s->is_over)
		hold(s, now_ms);
}

int64_t storage_deadline(const struct storage *s)
{
	if (s->is_full) /* what is due does not fit, and is tried again with every turn */
		return s->probe_ms;
	/* Letters that are there now came after the commit, and so did what else they led to. */
	return deadletter_live_has_news(s->letters) ? 0 : journal_live_deadline(s->journal);
}
