/* tap.h -- one who listens to what becomes of a link's messages.
 *
 * A listener has a queue of lines (live/live_link_follow.c makes them), bounded in bytes: what does not fit is dropped
 * and counted, so nobody ever waits for who listens, and where nobody does the link asks one question per step
 * (live_link_is_followed()).  Which messages are followed is decided as they arrive; of those all steps are told.
 * Loop thread only. */
#ifndef BRIDGE_TAP_H
#define BRIDGE_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct buf;
struct loop;
struct tap;

TAILQ_HEAD(taps, tap);

#define TAP_MOST_BYTES ((size_t)1 << 20) /* of lines that were not taken yet */
#define TAP_MOST_IDS   4096		 /* messages that are followed and not settled */

struct tap_terms {
	const char
		*topic; /* a filter that the topic of what arrives must match; NULL: any (copied) */
	const char *
		device; /* whose it must be, where its topic or session tells; NULL: anybody's (copied) */
	size_t most_bytes; /* of lines that were not taken yet; 0: TAP_MOST_BYTES */
	int64_t for_ms;	   /* so long it listens; 0: until it is ended */
};

/* In the list of those who listen to `owner`.  The loop is woken for tap_take(): soon after something came, after each
 * TAP_BEAT_MS, and when the time is over. */
#define TAP_BEAT_MS 1000
struct tap *tap_new(struct loop *loop, struct taps *taps, void *owner,
		    const struct tap_terms *terms);
void *tap_owner(const struct tap *t); /* NULL: it has ended */
/* NULL is allowed.  Memory may go only with the loop. */
void tap_free(struct tap *t);
/* What it listens to ends before it does: nothing comes any more. */
void taps_end(struct taps *taps);

/* A message arrives on this topic, of this device (NULL: not known yet): whoever wants it follows it from now on. */
void taps_begin(const struct taps *taps, uint64_t id, const char *topic, const char *device);
/* Is a line about it, of some n bytes at least, wanted by anybody?  For those that follow it and have no room it
 * counts as dropped, and need not be made. */
bool taps_want(const struct taps *taps, uint64_t id, size_t n);
/* After that: the line, copied; where it does not fit after all it is dropped and counted. */
void taps_put(const struct taps *taps, const char *line, size_t n);
/* It is settled. */
void taps_settle(const struct taps *taps, uint64_t id);

/* Move lines to the end of `out`, `most` bytes at most, or one that is longer. */
void tap_take(struct tap *t, struct buf *out, size_t most);
uint64_t tap_dropped(const struct tap *t);
bool tap_is_empty(const struct tap *t);
/* Will nothing come any more: its time is over, or the link is? */
bool tap_is_over(const struct tap *t);

#endif
