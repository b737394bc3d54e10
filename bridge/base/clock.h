/* clock.h -- the time, read once per turn of the loop and passed down from there. */
#ifndef BRIDGE_CLOCK_H
#define BRIDGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

int64_t clock_now_ms(void);  /* epoch milliseconds */
int64_t clock_mono_ms(void); /* milliseconds that never go back */
int64_t clock_mono_us(void); /* the same in microseconds */

/* Read "2026-01-31T12:00:00Z", also with a fraction and an offset, as epoch ms.  False: it is not that. */
bool clock_read(const char *text, int64_t *ms);
/* The time of day here, "14:03:07". */
void clock_put_local(struct buf *out);

#endif
