/* suspects.h -- after a crash: which message was it?
 *
 * A run that finds that the last one ended by its own fault (work/crash.h) is *careful*: what is not settled, and
 * what comes in, waits here and is worked on one at a time, each once it is in the journal, and is marked while the
 * main process works on it.  So the next crash names one message, which costs it an attempt; the third makes it a
 * dead letter (live_link_take_again()).  A run is careful until all that is through, and for CAREFUL_MS at least:
 * a message that was not in the journal yet comes again with its session.
 *
 * Otherwise nothing is marked and nothing waits. */
#ifndef BRIDGE_SUSPECTS_H
#define BRIDGE_SUSPECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arrival;
struct db;
struct err;
struct generation;
struct journal_entry;
struct journal_output;
struct live_link;
struct parcel;
struct record;
struct suspects;

#define CRASH_ATTEMPTS 3
#define CAREFUL_MS     60000

/* See how the last run in the state directory `dir` ended, note whom that costs an attempt, and watch over this
 * one.  `db` is borrowed.  On a full disk the attempt is counted by a later start.  NULL sets *e: ERR_IO. */
struct suspects *suspects_new(struct db *db, const char *dir, int64_t now_ms, struct err *e);
/* NULL is allowed.  What waits is forgotten, and stays in the journal. */
void suspects_free(struct suspects *s);

bool suspects_is_careful(const struct suspects *s); /* NULL is not */
/* What an earlier run left waits for its turn: the messages of entry and outputs are taken. */
void suspects_hold_again(struct suspects *s, struct live_link *live, struct record *r,
			 struct journal_entry *entry, struct journal_output *outputs, size_t n);
/* What came in does (copied; its tag is its record, or NULL).  `is_again`: an earlier run had received it. */
void suspects_hold(struct suspects *s, struct live_link *live, const struct arrival *a,
		   bool is_again);

/* Once per turn: complete the jobs of `g` that are done, and hand out others (generation_run()); of what waits, go on
 * with the next whenever all jobs are done.  NULL: nothing waits. */
void suspects_run_jobs(struct suspects *s, struct generation *g, int64_t now_ms);
/* The next one waits for nothing but that. */
bool suspects_is_due(const struct suspects *s, const struct generation *g);
/* To hand a message over is its work, too: returns what to give to suspects_end_parcel(). */
uint64_t suspects_begin_parcel(const struct suspects *s, const struct parcel *p);
void suspects_end_parcel(uint64_t before);
/* Bytes of what waits here. */
size_t suspects_bytes(const struct suspects *s);

#endif
