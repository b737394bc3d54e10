#include "live/storage.h"

#include "base/err.h"
#include "base/log.h"
#include "disk/reserve.h"
#include "live/live_link.h"
#include "store/commit.h"
#include "store/db.h"
#include "store/deadletter_live.h"
#include "store/journal_live.h"

#define PROBE_MS	 1000
#define RESERVE_AGAIN_MS 60000 /* after it could not be made for another reason than a full disk */

static void set_full(struct storage *s, int64_t now_ms, const char *reason)
{
	if (s->is_full)
		return;
	log_event(LOG_ERROR, "disk-full", "reason=%s", log_value(reason));
	s->is_full = true;
	s->probe_ms = now_ms + PROBE_MS;
}

/* Make the reserve.  False: the disk is full.  If something else is wrong, that is no reason to take nothing in:
 * a disk that gets full then is borne all the same, only with less of what was read. */
static bool make_reserve(struct storage *s, int64_t now_ms, struct err *e)
{
	s->reserve_ms = INT64_MAX;
	if (reserve_make(db_directory(s->db), e))
		return true;
	if (e->code == ERR_FULL)
		return false;
	log_limited(LOG_WARNING, now_ms, "reserve-failed", "reserve-failed", "reason=%s",
		    log_value(e->text));
	s->reserve_ms = now_ms + RESERVE_AGAIN_MS;
	return true;
}

static void hold(struct storage *s, int64_t now_ms)
{
	uint64_t share = s->n_links ? s->max_bytes / s->n_links : 0;

	for (size_t i = 0; i < s->n_links; i++) {
		bool overfills = live_link_overfills(s->links[i], s->is_over, share);

		live_link_hold_sources(s->links[i], s->is_full || overfills, now_ms);
	}
}

void storage_start(struct storage *s, int64_t now_ms)
{
	struct err e = { 0 };

	s->rollbacks = db_rollbacks(s->db);
	if (!make_reserve(s, now_ms, &e))
		set_full(s, now_ms, e.text);
	storage_step(s, now_ms);
}

/* --- writing and handing over -------------------------------------------------------------- */

static bool write_all(struct storage *s, struct err *e)
{
	uint64_t commit = commits_next(s->commits);
	struct live_link *live;

	FOREACH_AWAKE (live, s->parts)
		if (!live_link_save(live, commit, e))
			return false;
	return deadletter_live_write(s->letters, commit, s->now_ms, e) &&
	       journal_live_write(s->journal, commit, s->is_last ? INT64_MAX : s->now_ms, e) &&
	       db_note_time(s->db, s->is_ending && !s->is_full, e);
}

/* What was in flight is rolled back: all of it is to be written again. */
static void undo(struct storage *s)
{
	commits_undo(s->commits);
	journal_live_undone(s->journal);
	deadletter_live_undone(s->letters);
	for (size_t i = 0; i < s->n_links; i++)
		live_link_undone(s->links[i]);
	s->rollbacks = db_rollbacks(s->db);
}

/* Is there something that must be durable before anything leaves? */
static bool has_news(const struct storage *s)
{
	bool has = journal_live_has_news(s->journal);

	for (size_t i = 0; !has && i < s->n_links; i++)
		has = live_link_has_changes(s->links[i]);
	return has;
}

static void give_up_messages(struct storage *s)
{
	journal_live_give_up(s->journal);
	for (size_t i = 0; i < s->n_links; i++)
		live_link_retract(s->links[i]);
	hold(s, s->now_ms);
}

static void wait_for_room(struct storage *s, const struct err *e)
{
	if (!s->is_told)
		log_event(LOG_ERROR, "disk-waits", "reason=%s", log_value(e->text));
	s->is_told = true;
	s->stage = STORAGE_WAITING;
}

/* The next stage, after a failure.  Is there something to be written again? */
static bool retreat(struct storage *s, const struct err *e)
{
	undo(s);
	if (e->code != ERR_FULL) {
		s->failure = *e;
		return false;
	}
	set_full(s, s->now_ms, e->text);
	switch (s->stage) {
	case STORAGE_WELL:
		if (reserve_release(db_directory(s->db)))
			db_give_back(s->db);
		s->stage = STORAGE_SPARING;
		return true;
	case STORAGE_SPARING:
		give_up_messages(s);
		s->stage = STORAGE_GIVEN_UP;
		return true;
	default:
		if (has_news(s))
			wait_for_room(s, e);
		return false;
	}
}

/* What was written, which may be nothing: then nothing that waits has to wait any longer. */
static void hand_over(struct storage *s)
{
	if (s->failure.code != ERR_NONE || s->stage == STORAGE_WAITING)
		return;
	commits_hand_over(s->commits, s->now_ms);
	s->is_handed_again = true;
}

/* Write until it fits, or nothing is left that can be done about it. */
static void write_and_hand_over(struct storage *s)
{
	struct err e = { 0 };
	bool is_again = true;

	while (is_again && !write_all(s, &e)) {
		is_again = retreat(s, &e);
		e = (struct err){ 0 };
	}
	hand_over(s);
}

/* --- hearing ------------------------------------------------------------------------------- */

static void on_durable(void *ctx, uint64_t commit)
{
	struct storage *s = ctx;
	struct live_link *live;

	s->stage = STORAGE_WELL;
	s->is_told = false;
	journal_live_durable(s->journal, commit);
	deadletter_live_durable(s->letters, commit);
	FOREACH_AWAKE (live, s->parts)
		live_link_durable(live, commit);
}

static void on_undone(void *ctx, const struct err *e)
{
	struct storage *s = ctx;

	if (retreat(s, e))
		write_and_hand_over(s);
	else
		hand_over(s);
}

static void hear(struct storage *s, bool is_waiting)
{
	static const struct commit_ops ops = { .durable = on_durable, .undone = on_undone };

	do {
		s->is_handed_again = false;
		if (s->failure.code == ERR_NONE)
			commits_step(s->commits, is_waiting ? INT64_MAX : s->now_ms, &ops, s);
	} while (s->is_handed_again);
}

/* --- once per turn ------------------------------------------------------------------------- */

/* (At the end nothing is begun.) */
static void use_disk(struct storage *s)
{
	struct live_link *live;

	if (s->failure.code == ERR_NONE && !s->is_ending)
		FOREACH_AWAKE (live, s->parts)
			live_link_use_disk(live, s->now_ms);
}

uint64_t storage_hand_over(struct storage *s, int64_t now_ms, bool is_last)
{
	s->now_ms = now_ms;
	s->is_last = is_last;
	if (commits_is_busy(s->commits))
		hear(s, is_last);
	if (commits_is_busy(s->commits)) /* what this turn brought goes with the next one */
		return commits_next(s->commits);
	if (db_rollbacks(s->db) != s->rollbacks) /* what was asked in this turn spoiled it */
		undo(s);
	if (s->stage == STORAGE_WAITING)
		s->stage = STORAGE_WELL;
	use_disk(s);
	write_and_hand_over(s);
	/* What has not been handed over will be with the next commit. */
	return s->stage == STORAGE_WAITING ? commits_next(s->commits)
					   : commits_next(s->commits) - 1;
}

bool storage_hear(struct storage *s, int64_t now_ms, bool is_waiting, struct err *e)
{
	s->now_ms = now_ms;
	hear(s, is_waiting);
	if (s->failure.code != ERR_NONE)
		*e = s->failure;
	return s->failure.code == ERR_NONE;
}

bool storage_finish(struct storage *s, int64_t now_ms, uint64_t commit, struct err *e)
{
	if (!storage_hear(s, now_ms, true, e))
		return false;
	if (storage_durable(s) < commit) {
		err_set(e, ERR_FULL, "the disk is full: the last changes of state are not written");
		return false;
	}
	/* What was settled while its row was on its way to the disk is due only now, and the time of the end. */
	s->is_ending = true;
	storage_hand_over(s, now_ms, true);
	return storage_hear(s, now_ms, true, e);
}

bool storage_is_well(const struct storage *s)
{
	return s->stage == STORAGE_WELL && !s->is_full;
}

uint64_t storage_durable(const struct storage *s)
{
	return commits_durable(s->commits);
}

/* --- a disk or a journal that is full ------------------------------------------------------ */

static void probe(struct storage *s, int64_t now_ms)
{
	struct err e = { 0 };

	s->probe_ms = now_ms + PROBE_MS;
	db_give_back(s->db);
	if (!make_reserve(s, now_ms, &e))
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
	struct err e = { 0 };

	if (s->is_full && now_ms >= s->probe_ms)
		probe(s, now_ms);
	else if (!s->is_full && now_ms >= s->reserve_ms && !make_reserve(s, now_ms, &e))
		set_full(s, now_ms, e.text);
	step_limit(s);
	if (was_waiting || s->is_full || s->is_over)
		hold(s, now_ms);
}

int64_t storage_deadline(const struct storage *s)
{
	int64_t commits_ms = commits_deadline(s->commits);
	int64_t due_ms;

	if (commits_is_busy(
		    s->commits)) /* the answer is a turn, in which all the rest is written */
		due_ms = s->is_full ? s->probe_ms : INT64_MAX;
	else if (s->is_full) /* what is due does not fit, and is tried again with every turn */
		due_ms = s->probe_ms;
	else /* letters that are there now came after the commit, and so did what else they led to */
		due_ms = deadletter_live_has_news(s->letters) ? 0
							      : journal_live_deadline(s->journal);
	return commits_ms < due_ms ? commits_ms : due_ms;
}
