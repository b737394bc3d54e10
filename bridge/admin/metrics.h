/* metrics.h -- a sample as metrics of Prometheus, piece by piece. */
#ifndef BRIDGE_METRICS_H
#define BRIDGE_METRICS_H

#include <stdbool.h>

struct buf;
struct metrics;
struct sample;

/* The sample is taken. */
struct metrics *metrics_new(struct sample *s);
/* Append the next piece.  False: it was the last. */
bool metrics_more(struct metrics *m, struct buf *out);
void metrics_free(struct metrics *m);

#endif
