/* late_store.c -- calque-late: calque with a store that answers late.
 *
 * What a turn hands over is in the database, and told durable, 200 ms after the first of it was handed over.
 * Whatever leaves before that is lost by a kill in between.  Linked with --wrap=commits_new. */
#include "store/commit.h"

#define LATE_MS 200

struct commits *__real_commits_new(struct db *db, int64_t late_ms);
struct commits *__wrap_commits_new(struct db *db, int64_t late_ms);

struct commits *__wrap_commits_new(struct db *db, int64_t late_ms)
{
	(void)late_ms;
	return __real_commits_new(db, LATE_MS);
}
