/* duration.h -- lengths of time as people write them: 90s, 15m, 2h, 3d. */
#ifndef BRIDGE_DURATION_H
#define BRIDGE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

/* A whole number and one of s, m, h, d.  False: it is none, or more than a hundred years. */
bool duration_parse(const char *text, int64_t *ms);
/* Append it in the largest unit of which there are two at least: "0s", "119s", "2m", "47h", "2d". */
void duration_put(int64_t ms, struct buf *out);

#endif
