/* clock.h -- the time, read once per turn of the loop and passed down from there.
 *
 * There are two.  Ages are counted by the bridge's time: it begins as the time of day, and from then on it only
 * goes forward, with CLOCK_BOOTTIME, whatever is done to the clock of the machine, and across restarts
 * (clock_go_on()).  The time of day is for people, for messages, and for what is not of this bridge. */
#ifndef BRIDGE_CLOCK_H
#define BRIDGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

int64_t clock_now_ms(void);  /* the bridge's, as epoch milliseconds */
int64_t clock_wall_ms(void); /* the time of day: likewise, as the machine has it */
/* The time of day less the bridge's. */
int64_t clock_ahead_ms(void);
/* From now on the bridge's time is this. */
void clock_set(int64_t now_ms);
/* A clock that says a time before this program was built was not set. */
bool clock_is_plausible(int64_t wall_ms);
int64_t clock_mono_ms(void); /* milliseconds that never go back */
int64_t clock_mono_us(void); /* the same in microseconds */

#define CLOCK_BOOT_CHARS 36

/* All that can be told at one moment. */
struct clock_reading {
	char boot[CLOCK_BOOT_CHARS + 1]; /* the kernel's name for this run of it; "": it has none */
	int64_t boot_ms;		 /* since that began */
	int64_t wall_ms, now_ms;
};
void clock_look(struct clock_reading *out);
/* What the bridge's time is `here` (its now_ms is not looked at), when `last` was read in an earlier run.  Within one
 * run of the kernel that is known.  Else a time of day is believed that is later than that of the last run and
 * than this program.  False: nobody knows how long it was, and no time has passed. */
bool clock_go_on(const struct clock_reading *last, const struct clock_reading *here,
		 int64_t *now_ms);

/* Read "2026-01-31T12:00:00Z", also with a fraction and an offset, as epoch ms.  False: it is not that. */
bool clock_read(const char *text, int64_t *ms);
/* The same of "2026-12-01 06:00 Europe/Berlin" (also with seconds, and a T), by the zones in `dir` (NULL: where
 * tzdata has them).  *ms is set if that is ONCE: clocks skip some times, and show some twice. */
enum clock_place { CLOCK_ONCE, CLOCK_TWICE, CLOCK_NEVER, CLOCK_NO_ZONE, CLOCK_NO_TIME };
enum clock_place clock_read_place(const char *text, const char *dir, int64_t *ms);
/* The time of day here, "14:03:07". */
void clock_put_local(struct buf *out);
/* Append a time of day in UTC, "2026-11-28T02:33:49Z"; 0: "-". */
void clock_put_utc(int64_t ms, struct buf *out);

#endif
